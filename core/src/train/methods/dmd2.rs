//! Improved distribution matching distillation (DMD2, Yin et al. 2024, arXiv 2405.14867): distribution matching in which
//! the fake denoiser takes several updates for each of the generator, and a discriminator on its features brings in what
//! the teacher does not know of the data.
//!
//! Samples may be of a few steps ([`super::few`]).

use super::super::recipe::{Method, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, Denoised, generator_rates};
use super::{Config, dmd, judge};
use crate::graph::Var;

/// Distribution matching with a discriminator.
pub const METHOD: Method = Method {
    name: "dmd2",
    about: "As dmd, and a small head on the fake denoiser's features tells samples from data: it may pass its teacher.",
    paper: "arXiv 2405.14867",
    knobs: &score::knobs::<16>(&["gan_weight", "gan_start", "few_steps", "backward"]),
    needs: &[Need::Teacher],
    settings,
    recipe: |setup| {
        let story = judge::story(
            "What teacher and fake denoiser disagree on, divided by the teacher's error, moves samples; so does the slope \
             of the head's answer, which knows real data.",
        );
        judge::recipe(setup, GENERATOR, &story)
    },
};

/// Those of dmd, with five updates of the fake denoiser. The discriminator's loss is one number per sample, the pull a mean
/// over its numbers: where these are two instead of thousands, the published weight would be nothing.
pub fn settings(config: &mut Config) {
    let points = config.warmup_steps == 0;
    (dmd::METHOD.settings)(config);
    config.gan_weight = if points { 0.3 } else { 3e-3 };
}

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by the difference of two scores, and to where they are taken for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// Distribution matching and the non-saturating loss of the discriminator on the same noised samples.
fn generator(step: &Step<'_>) {
    let (net, denoised, logit) = judge::asked(step);
    step.descend(&net, loss(&denoised, judge::price(step, logit)));
}

/// The pull of dmd and the mean of what samples cost.
pub fn loss<'g>(denoised: &Denoised<'g>, price: Var<'g>) -> Var<'g> {
    score::pulled(denoised.y, dmd::gradient(denoised)) + price.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed, values};

    /// Of one dimension and a head whose logit is `a y + b`: the pull of dmd, and the price `w softplus(-a y - b)` whose
    /// slope is `-w a sigmoid(-a y - b)`.
    #[test]
    fn samples_move_by_dmds_pull_and_up_the_heads_answer() {
        let graph = Graph::new();
        let [y, teacher, fake] = ["y", "teacher", "fake"].map(|store| graph.input(store, 0, &[4, 1]));
        let denoised = Denoised { y, sigma: graph.full(0.5, &[4]), teacher, fake };
        let (a, b, weight) = (1.5, -0.25, 0.75);
        let logit = (y * a + b).reshape(&[4]);
        let slope = graph.grad(loss(&denoised, (-logit).softplus() * weight), &[y])[0];
        let stores = [values(1, 4), values(2, 4), values(3, 4)];
        let feed = feed(&[("y", &stores[0]), ("teacher", &stores[1]), ("fake", &stores[2])]);
        let got = evaluate(&graph, &feed, &[slope]).remove(0);
        let wanted = (0..4).map(|i| {
            let [y, teacher, fake] = [0, 1, 2].map(|store| stores[store][i]);
            let doubt = 1.0 / (1.0 + (f64::from(a) * y + f64::from(b)).exp());
            ((fake - teacher) / (y - teacher).abs() - f64::from(weight) * f64::from(a) * doubt) / 4.0
        });
        assert_close(&got, &wanted.collect::<Vec<_>>(), 1e-6);
    }
}
