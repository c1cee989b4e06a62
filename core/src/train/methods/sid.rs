//! Score identity distillation (Zhou et al. 2024, arXiv 2404.04057): the squared difference of two scores as a loss, with
//! gradients through both denoisers.

use super::super::recipe::{Method, Mode, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, Denoised, generator_rates, record_size};
use crate::graph::Var;

/// Score identity distillation.
pub const METHOD: Method = Method {
    name: "sid",
    about: "The squared difference of the scores of data and samples is a loss; its gradient passes through both denoisers.",
    paper: "arXiv 2404.04057",
    knobs: &score::knobs::<13>(&["alpha"]),
    needs: &[Need::Teacher],
    settings: |c| score::settings(c, 2e-3),
    recipe: |setup| {
        let story = score::story(
            "A second denoiser, a copy of the teacher at first, learns to remove noise from samples.",
            "What teacher and fake denoiser disagree on. Samples move so that the two agree at where they are: the \
             gradient passes through both.",
        );
        score::recipe(setup, Mode::Trained, GENERATOR, &story)
    },
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move to where both denoisers agree",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// Algorithm 1. Noise levels are uniform in the logarithm; the paper's are `sigma^(1/7)` uniform between 0.002 and 24.
/// For points, the loss is divided by a function of the noise level alone ([`Denoised::error`]).
fn generator(step: &Step<'_>) {
    let net = step.net("generator");
    let denoised = Denoised::of(step, net.generate(step.latent()));
    let loss = loss(&denoised, step.knob("alpha"));
    step.record("Loss/generator", loss);
    record_size(step, &denoised);
    step.descend(&net, loss);
}

/// The generator's loss of algorithm 1, as a mean over numbers:
/// `(D_teacher - D_fake) ((D_teacher - y) - alpha (D_teacher - D_fake)) / mean |y - D_teacher|`. Its value is no measure
/// of progress: for a perfect fake denoiser it is `(1 - alpha) (D_teacher - D_fake)^2` in the mean.
pub fn loss<'g>(denoised: &Denoised<'g>, alpha: Var<'g>) -> Var<'g> {
    let Denoised { y, teacher, fake, .. } = *denoised;
    let difference = teacher - fake;
    (difference * ((teacher - y) - alpha * difference) / denoised.error()).mean_all()
}

#[cfg(test)]
mod tests {
    use super::super::dmd;
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed, values};

    #[test]
    fn with_both_denoisers_detached_its_gradient_is_that_of_dmd() {
        for shape in [[8, 2], [2, 32]] {
            let graph = Graph::new();
            let n: usize = shape.iter().product();
            let [y, teacher, fake] = ["y", "teacher", "fake"].map(|store| graph.input(store, 0, &shape));
            let denoised = Denoised { y, sigma: graph.input("sigma", 0, &shape[..1]), teacher, fake };
            // Inputs of the graph: nothing passes through them.
            let sid = graph.grad(loss(&denoised, graph.constant(1.2)), &[y])[0] * n as f32;
            let stores = [values(1, n), values(2, n), values(3, n), vec![0.3, 1.0, 0.05, 2.0, 0.7, 0.1, 4.0, 0.02]];
            let feed = feed(&[("y", &stores[0]), ("teacher", &stores[1]), ("fake", &stores[2]), ("sigma", &stores[3])]);
            // Points are divided by a function of the noise level, by dmd by their error.
            let points = shape[1] == 2;
            let wanted =
                if points { denoised.difference() / denoised.error_of_level() } else { dmd::gradient(&denoised) };
            let out = evaluate(&graph, &feed, &[sid, wanted]);
            assert_close(&out[0], &out[1], 1e-12);
        }
    }
}
