//! What the methods have in common whose discriminator is a head on the fake denoiser's features: it reads noised data and
//! noised samples as the fake denoiser sees them, and samples also move to where it takes them for data.

use super::super::batch::Stream;
use super::super::net::Net;
use super::super::recipe::{First, Head, Mode, Moment, Network, Recipe, Update};
use super::super::step::{Setup, Step, Weights};
use super::{denoising_loss, few, score};
use crate::graph::Var;

/// The recipe of [`score::recipe`] with a head, which learns together with the fake denoiser.
pub fn recipe(setup: &Setup, generator: Update, story: &[Moment]) -> Recipe {
    let mut recipe = score::recipe(setup, Mode::Trained, generator, story);
    recipe.networks.push(Network {
        name: "head",
        net: setup.network.clone(),
        head: Head::Judge,
        first: First::Random(0x4845_4144),
        mode: Mode::Trained,
    });
    learn_with(setup, &mut recipe, FAKE);
    recipe
}

/// Puts `fake` in the place of the fake denoiser's update; samples may be of a few steps.
pub fn learn_with(setup: &Setup, recipe: &mut Recipe, fake: Update) {
    recipe.draw = few::draw(&setup.config);
    let distillation = recipe.phases.last_mut().expect("it has one");
    distillation.turn.iter_mut().filter(|(_, update)| *update == fake).for_each(|(_, update)| *update = fake);
}

/// Weight of the discriminator's loss where the fake denoiser's features learn from it (DMD2's published code).
pub const IN_FAKE: f32 = 1e-2;

/// The fake denoiser learns from samples as in all of these methods; it and the head learn to tell noised samples from
/// noised data.
const FAKE: Update = Update {
    about: "the fake denoiser learns to remove noise from samples, and a head on its features to tell them from data",
    build: |step| {
        let (net, head) = (step.net("fake"), step.net("head"));
        let (denoising, seen) = seen(step, &net);
        let told = told(step, seen.map(|features| head.judge(features)));
        step.descend(&net, denoising + told * IN_FAKE);
        step.descend(&head, told);
    },
    ..score::FAKE
};

/// The loss of the fake denoiser `net`, and its features of noised data and of noised samples. The noise levels of both
/// are those of the denoising loss, in which the samples' features are there already.
pub fn seen<'g>(step: &Step<'g>, net: &Net<'g>) -> (Var<'g>, [Var<'g>; 2]) {
    let y = few::samples(step, &step.frozen("generator", Weights::Param));
    let (sigma, _) = step.sigma();
    let loss = denoising_loss(step, net, y, sigma, Stream::NoiseFake);
    step.record("Loss/fake", loss);
    let features = |x, stream| net.features(step.noised(x, sigma, stream), sigma);
    (loss, [features(step.real(), Stream::NoiseReal), features(y, Stream::NoiseFake)])
}

/// The logistic loss of logits on data and on samples, which at its minimum are the log density ratio of the two.
pub fn told<'g>(step: &Step<'g>, logits: [Var<'g>; 2]) -> Var<'g> {
    told_where(step, logits, step.graph().constant(1.0))
}

/// The same where logits count for so much `[B]`, 1 on average.
pub fn told_where<'g>(step: &Step<'g>, [real, fake]: [Var<'g>; 2], counts: Var<'g>) -> Var<'g> {
    let zero = step.graph().constant(0.0);
    let mean = |x: Var<'g>| (x * counts).mean_all();
    let loss = mean((-real).softplus()) + mean(fake.softplus());
    step.record("Loss/told", loss);
    step.record("Told/accuracy", (mean(zero.less(real)) + mean(fake.less(zero))) * 0.5);
    loss
}

/// What a generator's update begins with: the generator, its samples as teacher and fake denoiser see them, and the head's
/// logit on the same noised samples `[B]`. (DMD2's published code gives the latter noise of levels of their own.)
pub fn asked<'g>(step: &Step<'g>) -> (Net<'g>, score::Denoised<'g>, Var<'g>) {
    let net = step.net("generator");
    let denoised = score::Denoised::of(step, few::samples(step, &net));
    let seen = of_samples(step, &step.frozen("fake", Weights::Param), denoised.y);
    let logit = step.frozen("head", Weights::Param).judge(seen);
    score::record_size(step, &denoised);
    (net, denoised, logit)
}

/// The features that `fake`, the fake denoiser, has of samples `y` with the noise that [`score::Denoised::of`] puts on them.
pub fn of_samples<'g>(step: &Step<'g>, fake: &Net<'g>, y: Var<'g>) -> Var<'g> {
    let (sigma, _) = step.sigma();
    fake.features(step.noised(y, sigma, Stream::NoiseFake), sigma)
}

/// What a generator pays for samples that are not taken for data, by their `logit`: `softplus(-logit)`, the
/// non-saturating loss, from `gan_start` on with the weight `gan_weight`; of the same shape.
pub fn price<'g>(step: &Step<'g>, logit: Var<'g>) -> Var<'g> {
    let price = (-logit).softplus();
    step.record("Loss/gan", price.mean_all());
    let begun = 1.0 - step.progress().less(step.knob("gan_start"));
    price * (begun * step.knob("gan_weight"))
}

/// The story of [`score::story`] with the discriminator's part in it.
pub const fn story(pull: &'static str) -> [Moment; 4] {
    let mut story = score::story(
        "A second denoiser, a copy of the teacher at first, learns to remove noise from samples; half way through it, what \
         it sees learns to tell noised samples from noised data.",
        pull,
    );
    story[1].statistic = Some("Told/accuracy");
    story
}
