//! Distribution matching distillation (Yin et al. 2023, arXiv 2311.18828) with the two time scales of its successor
//! (DMD2, Yin et al. 2024, arXiv 2405.14867), without the discriminator of that and without the regression of the first.

use super::super::recipe::{Method, Mode, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, Denoised, generator_rates, pull};
use crate::graph::Var;

/// Distribution matching.
pub const METHOD: Method = Method {
    name: "dmd",
    about: "As vsd, in units of the teacher's error, and with several updates of the fake denoiser per move.",
    paper: "arXiv 2311.18828, 2405.14867",
    knobs: &score::KNOBS,
    needs: &[Need::Teacher],
    settings: |c| {
        score::settings(c, 1e-3);
        // DMD2, section 4.2: five updates of the fake denoiser for each of the generator.
        c.critic_steps = 5;
    },
    recipe: |setup| {
        let story = score::story(
            "A second denoiser, a copy of the teacher at first, learns to remove noise from samples: five updates, so \
             that it keeps up with them.",
            "What teacher and fake denoiser disagree on, divided by the teacher's error: samples at all noise levels are \
             pulled alike.",
        );
        score::recipe(setup, Mode::Trained, GENERATOR, &story)
    },
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by the difference of two scores, in units of the teacher's error",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// Algorithm 2 of the first paper. Noise levels are uniform in the logarithm; the paper's are uniform in the teacher's
/// time without its two ends, for EDM `sigma^(1/7)` between 0.002 and 80.
fn generator(step: &Step<'_>) {
    let net = step.net("generator");
    let denoised = Denoised::of(step, net.generate(step.latent()));
    pull(step, &net, &denoised, gradient(&denoised));
}

/// Equation 7 with the weight of equation 8: `(D_fake - D_teacher) / mean |y - D_teacher|`, the mean over a sample. (On
/// `gaussians` it did no harm that this divisor varies much in the plane.)
pub fn gradient<'g>(denoised: &Denoised<'g>) -> Var<'g> {
    denoised.difference() / denoised.error_of_sample()
}
