//! `SwiftBrush` (Nguyen and Tran 2023, arXiv 2312.05239): variational score distillation in which the denoiser of the
//! samples is the teacher itself with low-rank adapters, so that it costs only theirs.
//!
//! The paper guides both denoisers by a text with the same weight. Without classes there is nothing to guide by, and the
//! weight has no effect.

use super::super::recipe::{Method, Mode, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, Denoised, generator_rates, pull};
use crate::nets::{SIGMA_DATA, per_sample};

/// Variational score distillation by adapters.
pub const METHOD: Method = Method {
    name: "swiftbrush",
    about: "As vsd; the denoiser of the samples is the teacher with low-rank adapters, the only weights it has of its own.",
    paper: "arXiv 2312.05239",
    knobs: &score::knobs::<12>(&["rank"]),
    needs: &[Need::Teacher],
    settings: |c| score::settings(c, 2e-3),
    recipe: |setup| {
        let story = score::story(
            "Low-rank adapters on the frozen teacher, without effect at first, learn to remove noise from samples.",
            "The teacher and the teacher with adapters are asked for the same noised samples. Their difference points to \
             where data are more likely.",
        );
        let adapter = Mode::Adapter { of: "teacher", rank: setup.config.rank };
        score::recipe(setup, adapter, GENERATOR, &story)
    },
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by what the adapters change of the teacher",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// Algorithm 1. The difference of both noise predictions has weight `sigma^2` at deviation `sigma` of a process that
/// keeps the variance; in units of the data that is `sigma sd / (sigma^2 + sd^2)` times the difference of both denoisers.
/// Noise levels are uniform in the logarithm; the paper's are uniform in time, without two per cent at both ends. The
/// paper moves the generator first and the adapters after it, on the same sample.
fn generator(step: &Step<'_>) {
    let net = step.net("generator");
    let denoised = Denoised::of(step, net.generate(step.latent()));
    let sigma = denoised.sigma;
    let weight = sigma * SIGMA_DATA / (sigma.square() + SIGMA_DATA * SIGMA_DATA);
    pull(step, &net, &denoised, denoised.difference() * per_sample(weight, denoised.y.rank()));
}
