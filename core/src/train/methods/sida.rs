//! Adversarial score identity distillation (`SiDA`, Zhou et al. 2024, arXiv 2410.14919): score identity distillation in
//! which the fake denoiser is the discriminator, too, without one parameter more.

use super::super::net::Net;
use super::super::recipe::{Method, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, Denoised, generator_rates, record_size};
use super::{Mode, few, judge, sid};
use crate::graph::Var;

/// Score identity distillation with a discriminator.
pub const METHOD: Method = Method {
    name: "sida",
    about: "As sid, and the mean of what the fake denoiser sees half way tells samples from data: no parameter more.",
    paper: "arXiv 2410.14919",
    knobs: &score::knobs::<17>(&["gan_weight", "gan_start", "few_steps", "backward", "alpha"]),
    needs: &[Need::Teacher],
    settings: |c| {
        let points = c.warmup_steps == 0;
        (sid::METHOD.settings)(c);
        (c.alpha, c.gan_start) = (1.0, 0.05);
        c.gan_weight = if points { 0.03 } else { 1e-3 };
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
    build: |step| learn(step, &step.net("fake")),
    ..score::FAKE
};

/// The fake denoiser learns both. In the published code the discriminator's loss is weighed by `lambda(sigma) / 2`, the
/// denoising loss by `lambda(sigma)`; here the first has the weight [`judge::IN_FAKE`], as in dmd2, at every level.
pub fn learn<'g>(step: &Step<'g>, fake: &Net<'g>) {
    let (denoising, seen) = judge::seen(step, fake);
    let told = judge::told(step, seen.map(logits));
    step.descend(fake, denoising + told * judge::IN_FAKE);
}

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
    build: |step| follow(step, &score::asked(step, "fake")),
};

/// The generator follows teacher and fake denoiser as they are asked.
pub fn follow<'g>(step: &Step<'g>, asked: &[Net<'g>; 2]) {
    let net = step.net("generator");
    let denoised = Denoised::by(step, few::samples(step, &net), asked);
    record_size(step, &denoised);
    let seen = judge::of_samples(step, &asked[1], denoised.y);
    let price = judge::price(step, logits(seen).clamp(-10.0, 10.0));
    step.descend(&net, loss(&denoised, step.knob("alpha"), price));
}

/// The loss of sid and the mean of what samples cost. The published code weighs them 100 to 0.01 and divides both by the
/// teacher's error; but it takes the mean of the price over the batch first, so that the divisor weighs no noise level
/// more than another. Here it is left to `gan_weight`. (Divided sample by sample, so that the lowest
/// levels count most, `kl_grid` of `two-moons` was 0.27 where it is 0.13 like this, after as many turns.)
fn loss<'g>(denoised: &Denoised<'g>, alpha: Var<'g>, price: Var<'g>) -> Var<'g> {
    sid::loss(denoised, alpha) + price.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed, values};

    /// Features `[2, 1, 2, 3]` that are those of y: a logit per place, the mean of its three channels, whose price has
    /// the slope `-sigmoid(-l) / 3` by each of them. What sid adds to it is left out by a difference.
    #[test]
    fn samples_move_up_the_mean_of_the_features_at_each_place() {
        let graph = Graph::new();
        let shape = [2, 1, 2, 3];
        let [y, teacher, fake] = ["y", "teacher", "fake"].map(|store| graph.input(store, 0, &shape));
        let denoised = Denoised { y, sigma: graph.full(0.5, &[2]), teacher, fake };
        let (alpha, logits) = (graph.constant(1.0), logits(y));
        assert_eq!(logits.shape(), [2, 2]);
        let slope = |loss| graph.grad(loss, &[y])[0];
        let moved = slope(loss(&denoised, alpha, (-logits).softplus())) - slope(sid::loss(&denoised, alpha));
        let stores = [values(1, 12), values(2, 12), values(3, 12)];
        let feed = feed(&[("y", &stores[0]), ("teacher", &stores[1]), ("fake", &stores[2])]);
        let got = evaluate(&graph, &feed, &[moved]).remove(0);
        let places = stores[0].chunks(3).map(|channels| channels.iter().sum::<f64>() / 3.0);
        let wanted: Vec<f64> = places.flat_map(|l| [-1.0 / (1.0 + l.exp()) / 3.0 / 4.0; 3]).collect();
        assert_close(&got, &wanted, 1e-6);
    }
}
