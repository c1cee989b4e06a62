//! BOOT (Gu et al. 2023, arXiv 2306.05544): a student learns where a teacher's path is at every noise level, each from the
//! one above it, without data.

use super::super::recipe::{Layer, Method, Moment, Need, Rates, Subject, Update};
use super::super::step::{Step, Weights};
use super::{from_noise, phase, taught};
use crate::graph::Var;
use crate::nets::{Draw, Rule, per_sample};

/// Bootstrapping without data.
pub const METHOD: Method = Method {
    name: "boot",
    about: "A student learns from a noise what its teacher's path has of a sample at each level, every level from the one above, without data.",
    paper: "arXiv 2306.05544",
    knobs: &["warmup_steps", "lr_warmup", "lr_generator", "label_dropout", "guidance", "cooldown", "boundary"],
    needs: &[Need::Teacher],
    settings: from_noise,
    recipe: |setup| {
        let last = phase("distillation", "steps", UPDATE, Vec::new());
        let draw = Draw { rule: Rule::Euler, sigmas: vec![setup.config.sigma_init] };
        taught(setup, setup.network.clone().with_two_times(), vec![last], draw, STORY)
    },
};

/// Lowest level, and levels from the highest to it, equal in the logarithm.
const LOWEST: f32 = 0.002;
const LEVELS: f32 = 25.0;

const UPDATE: Update = Update {
    name: "bootstrap",
    about: "the student learns what the teacher's path has of a sample, each level from the one above",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: bootstrap,
};

/// The signal-ODE's loss and the boundary's. The paper could not be read whole: step size, weights and the boundary's
/// share are of this project.
///
/// A network with two times is the student: asked at the highest level for a step to the level s, it gives the signal
/// `y = x - s eps` of the teacher's path there. As a copy of the teacher it begins with the boundary's answer at all of them.
fn bootstrap(step: &Step<'_>) {
    let highest = step.config().sigma_init;
    let (eps, graph) = (step.latent(), step.graph());
    let (start, top) = (eps * highest, graph.full(highest, &[1]));
    let [net, same] = [step.net("generator"), step.frozen("generator", Weights::Param)];
    let teacher = step.frozen("teacher", Weights::Param);
    // From the highest level down to one above the lowest.
    let ratio = (LOWEST / highest).powf(1.0 / LEVELS);
    let above = (step.stratified() * ((LEVELS - 1.0) * ratio.ln())).exp() * highest;
    let signal = same.denoise_towards(start, top, above);
    let answer = teacher.guided(signal + per_sample(above, eps.rank()) * eps, above);
    let error = net.denoise_towards(start, top, above * ratio) - next_signal(signal, answer, ratio).detach();
    let bootstrap = error.square().mean_all() * (1.0 - ratio).powi(-2);
    let begin = teacher.guided(start, top).detach();
    let boundary = (net.denoise_towards(start, top, top) - begin).square().mean_all();
    step.record("Loss/bootstrap", bootstrap);
    step.record("Loss/boundary", boundary);
    step.descend(&net, bootstrap + step.knob("boundary") * boundary);
}

/// The signal at the next level, `ratio` times this one, with the teacher's answer at this one: one step of Euler's method
/// along the teacher's path, of which the noise is subtracted before and after.
fn next_signal<'g>(signal: Var<'g>, answer: Var<'g>, ratio: f32) -> Var<'g> {
    answer + (signal - answer) * ratio
}

const STORY: &[Moment] = &[
    Moment {
        name: "A level above",
        about: "A batch of noises; the student says what the teacher's path has of a sample at some level, and the teacher, \
                asked there, which way it goes on. Real data are not used.",
        subject: Subject::Fake,
        update: None,
        statistic: Some("Loss/boundary"),
        layers: &[Layer::Samples, Layer::Noise],
    },
    Moment {
        name: "The level below",
        about: "For the level below the student learns what that gives: coarse forms at first, fine ones in the end.",
        subject: Subject::Fake,
        update: Some("bootstrap"),
        statistic: Some("Loss/bootstrap"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, denoiser};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    /// From level to level, the signal of a Gaussian's exact path: what is left of it after one step is the error of
    /// Euler's method, of second order.
    #[test]
    fn the_next_signal_is_that_of_the_teachers_path() {
        let highest = 20.0;
        let signal = |eps: f64, s: f64| {
            let size = |s: f64| (DATA[1] * DATA[1] + s * s).sqrt();
            DATA[0] + (highest * eps - DATA[0]) * size(s) / size(highest) - s * eps
        };
        let left = |ratio: f32| {
            let graph = Graph::new();
            let [y, eps] = ["y", "eps"].map(|store| graph.input(store, 0, &[2, 1]));
            let answer = denoiser(y + eps * 0.8, graph.full(0.8, &[2]));
            let eps = [0.5, -1.25];
            let here = eps.map(|eps| signal(eps, f64::from(0.8_f32)));
            let stores: [(&str, &[f64]); 3] = [("y", &here), ("eps", &eps), ("model", &DATA)];
            let out = evaluate(&graph, &feed(&stores), &[next_signal(y, answer, ratio)]).remove(0);
            let there = eps.map(|eps| signal(eps, f64::from(0.8_f32) * f64::from(ratio)));
            out.iter().zip(there).fold(0.0_f64, |most, (got, wanted)| most.max((got - wanted).abs()))
        };
        let [far, near, nearest] = [0.8, 0.9, 0.95].map(left);
        assert!(far > 1e-3, "{far} proves nothing");
        assert!((3.0..5.0).contains(&(far / near)) && (3.0..5.0).contains(&(near / nearest)), "{far} {near} {nearest}");
    }
}
