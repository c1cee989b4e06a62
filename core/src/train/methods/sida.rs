//! Adversarial score identity distillation (`SiDA`, Zhou et al. 2024, arXiv 2410.14919): score identity distillation in
//! which the fake denoiser is the discriminator, too, without one parameter more.

use super::super::recipe::{Method, Need, Subject, Update};
use super::score::{self, Denoised, generator_rates, record_size};
use super::{Mode, few, judge, sid};
use crate::graph::Var;
use crate::nets::SIGMA_DATA;

/// Score identity distillation with a discriminator.
pub const METHOD: Method = Method {
    name: "sida",
    about: "As sid, and the mean of what the fake denoiser sees half way tells samples from data: no parameter more.",
    paper: "arXiv 2410.14919",
    knobs: &score::knobs::<16>(&["gan_weight", "gan_start", "few_steps", "backward", "alpha"]),
    needs: &[Need::Teacher],
    settings: |c| {
        let points = c.warmup_steps == 0;
        (sid::METHOD.settings)(c);
        (c.alpha, c.gan_start) = (1.0, 0.05);
        c.gan_weight = if points { 0.03 } else { 1e-4 };
    },
    recipe: |setup| {
        let story = judge::story(
            "What teacher and fake denoiser disagree on. Samples move so that the two agree at where they are, and to where \
             the fake denoiser's features take them for data.",
        );
        let mut recipe = score::recipe(setup, Mode::Trained, GENERATOR, &story);
        judge::learn_with(setup, &mut recipe, FAKE);
        recipe
    },
};

const FAKE: Update = Update {
    about: "the fake denoiser learns to remove noise from samples, and half way through it to tell them from data",
    build: |step| {
        let net = step.net("fake");
        let (denoising, seen) = judge::seen(step, &net);
        let told = judge::told(step, seen.map(logits));
        step.descend(&net, denoising + told * judge::IN_FAKE);
    },
    ..score::FAKE
};

/// Features as logits: their mean over channels, one logit per place, `[B, places]`.
fn logits(features: Var<'_>) -> Var<'_> {
    let (shape, last) = (features.shape(), features.rank() - 1);
    let places = features.len() / shape[0] / shape[last];
    features.mean(&[last]).reshape(&[shape[0], places])
}

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move to where both denoisers agree, and to where they are taken for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let denoised = Denoised::of(step, few::samples(step, &net));
        record_size(step, &denoised);
        let price = judge::price(step, logits(judge::of_samples(step, denoised.y)).clamp(-10.0, 10.0));
        step.descend(&net, loss(&denoised, step.knob("alpha"), price));
    },
};

/// The loss of sid and what samples cost, `price [B, places]`, divided by the teacher's error as the former is. The
/// published code weighs them 100 to 0.01 and takes the mean of the price over a batch before it divides.
fn loss<'g>(denoised: &Denoised<'g>, alpha: Var<'g>, price: Var<'g>) -> Var<'g> {
    let error = denoised.error();
    let rows = price.shape()[0];
    let of_sample = price.mean(&[1]).reshape(&[rows]) / error.reshape(&[rows]);
    sid::loss(denoised, alpha) + of_sample.mean_all() * SIGMA_DATA
}
