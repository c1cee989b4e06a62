//! Diff-Instruct (Luo et al. 2023, arXiv 2305.18455), which is variational score distillation (arXiv 2305.16213) of a
//! generator: samples move by the difference of two scores, that of the data and that of the samples, at every noise
//! level.

use super::super::recipe::{Method, Mode, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, Denoised, generator_rates, pull};

/// Diff-Instruct.
pub const METHOD: Method = Method {
    name: "vsd",
    about: "Samples move by what a frozen teacher and a denoiser of the samples disagree on (Diff-Instruct).",
    paper: "arXiv 2305.18455",
    knobs: &score::KNOBS,
    needs: &[Need::Teacher],
    settings: |c| score::settings(c, 1e-3),
    recipe: |setup| {
        let story = score::story(
            "A second denoiser, a copy of the teacher at first, learns to remove noise from samples.",
            "The teacher, which knows the data, and the fake denoiser are asked for the same noised samples. Their \
             difference points to where data are more likely.",
        );
        score::recipe(setup, Mode::Trained, GENERATOR, &story)
    },
};

/// The generator's update.
pub const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by the difference of two scores",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// Algorithm 1: the gradient of the integral Kullback-Leibler divergence,
/// `E w(sigma) (score_fake - score_teacher)(x_t) dy`, with `w = sigma^2`: the plain difference of both denoisers. Noise
/// levels are uniform in the logarithm; the published code takes them log-normal, mean -1.2 and deviation 1.2.
fn generator(step: &Step<'_>) {
    let net = step.net("generator");
    let denoised = Denoised::of(step, net.generate(step.latent()));
    pull(step, &net, &denoised, denoised.difference());
}
