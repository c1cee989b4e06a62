//! Continuous-time consistency on the teacher's own paths (TBCM, arXiv 2511.20410): as `scm`, at places that the teacher
//! passes on its way from noise, without data.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Need, Rates, Subject, Update};
use super::super::step::Weights;
use super::scm::{self, Angle};
use super::{from_noise, phase, taught};
use crate::graph::{Var, concat};
use crate::nets::{Draw, SIGMA_DATA, euler_step, per_sample};

/// sCM without data.
pub const METHOD: Method = Method {
    name: "tbcm",
    about: "As scm, but at places that the teacher itself passes on its way from noise: no data are needed.",
    paper: "arXiv 2511.20410",
    knobs: &scm::KNOBS,
    needs: &[Need::Teacher, Need::WholeBatch],
    settings: from_noise,
    recipe: |setup| {
        let last = phase("distillation", "steps", UPDATE, Vec::new());
        let mut recipe = taught(setup, setup.network.clone(), vec![last], Draw::once(setup.config.sigma_init), STORY);
        recipe.plots = vec![scm::TANGENT];
        recipe
    },
};

/// Places on the teacher's way, noise alone included, and how much closer to noise they are than to data.
const STEPS: usize = 16;
const SHIFT: f32 = 2.5;

/// Lowest level of a place.
const LOWEST: f32 = 0.002;

const UPDATE: Update = Update {
    name: "consistency",
    about: "the slope of the network's answer along the teacher's own ways goes to zero",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.99, cools: true },
    build: |step| {
        // As many ways as give a batch of places: the first place of each, noise alone, is left out.
        let ways = (step.batch() / (STEPS - 1)).max(1);
        let net = step.net("generator").of_rows(0..ways);
        let teacher = step.frozen("teacher", Weights::Param).of_rows(0..ways);
        let eps = step.latent().slice(0, 0..ways);
        let levels = levels(step.uniform(Stream::Level).slice(0, 0..ways), step.config().sigma_init);
        let [x, sigma, answer] = places(|x, sigma| teacher.guided(x, sigma), eps, &levels);
        let at = Angle::of(sigma);
        let x = at.cos(x.rank()) * x;
        let loss = scm::loss(step, &net, x, &at, scm::velocity_to(answer, x, &at));
        step.descend(&net, loss);
    },
};

/// Noise levels `[N]` of a way, falling: the highest first, and each of the others at the same random share `u [N]` between
/// two of evenly spaced ones, the lowest of which is no noise. (The published code draws a share for each of them.)
fn levels<'g>(u: Var<'g>, highest: f32) -> Vec<Var<'g>> {
    let angle = |share: Var<'g>| {
        let shifted = share * SHIFT / (share * (SHIFT - 1.0) + 1.0);
        let angle = shifted * (highest / SIGMA_DATA).atan();
        (angle.sin() / angle.cos() * SIGMA_DATA).clamp(LOWEST, highest)
    };
    let below = (0..STEPS - 1).rev().map(|number| angle((u + number as f32) * (1.0 / (STEPS - 1) as f32)));
    std::iter::once(u.graph().full(highest, &u.shape())).chain(below).collect()
}

/// The places after the first that the teacher passes from noise `eps [N, ..]` in steps of Euler's method, way by way for
/// each level: states, levels and the teacher's answers, all detached.
fn places<'g>(teacher: impl Fn(Var<'g>, Var<'g>) -> Var<'g>, eps: Var<'g>, levels: &[Var<'g>]) -> [Var<'g>; 3] {
    let mut x = per_sample(levels[0], eps.rank()) * eps;
    let (mut states, mut answers) = (Vec::new(), Vec::new());
    for pair in levels.windows(2) {
        x = euler_step(&teacher, x, pair[0], pair[1]);
        states.push(x);
        answers.push(teacher(x, pair[1]));
    }
    [concat(&states, 0), concat(&levels[1..], 0), concat(&answers, 0)].map(Var::detach)
}

const STORY: &[Moment] = &[
    Moment {
        name: "A way",
        about: "The teacher walks from noise towards a sample, and the places that it passes are kept. Real data are not used.",
        subject: Subject::Real,
        update: None,
        statistic: None,
        layers: &[Layer::Noise],
    },
    Moment {
        name: "Tangent",
        about: "How the network's answer changes along the way is a derivative. Where it is zero, every place of the way gives \
                the same answer: its end.",
        subject: Subject::Pull,
        update: Some("consistency"),
        statistic: Some("Tangent/size"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, denoiser};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};

    #[test]
    fn levels_fall_from_the_highest_and_leave_no_gap() {
        let graph = Graph::new();
        let all = levels(graph.input("u", 0, &[2]), 20.0);
        assert_eq!(all.len(), STEPS);
        let out = evaluate(&graph, &feed(&[("u", &[0.0, 1.0])]), &all);
        assert_close(&out[0], &[20.0, 20.0], 1e-4);
        for pair in out[1..].windows(2) {
            assert!((pair[0][0] / pair[1][1] - 1.0).abs() < 1e-4, "{pair:?}");
        }
        assert!((out[1][1] / 20.0 - 1.0).abs() < 1e-4, "{out:?}");
        assert_close(&out[STEPS - 1][..1], &[f64::from(LOWEST)], 1e-9);
    }

    /// For a Gaussian's exact denoiser each step multiplies the distance from the mean by `(v + s s') / (v + s^2)`.
    #[test]
    fn places_are_those_of_eulers_method() {
        let graph = Graph::new();
        let eps = graph.input("eps", 0, &[2, 1]);
        let steps = [4.0_f64, 1.5, 0.5];
        let levels: Vec<Var<'_>> = steps.iter().map(|s| graph.full(*s as f32, &[2])).collect();
        let out = evaluate(&graph, &feed(&[("eps", &[0.75, -0.5]), ("model", &DATA)]), &places(denoiser, eps, &levels));
        let variance = DATA[1] * DATA[1];
        let step = |x: f64, s: f64, next: f64| DATA[0] + (x - DATA[0]) * (variance + s * next) / (variance + s * s);
        let first = [0.75, -0.5].map(|eps| step(4.0 * eps, 4.0, 1.5));
        let second = first.map(|x| step(x, 1.5, 0.5));
        // Quotients of constant levels are f32.
        assert_close(&out[0], &[first, second].concat(), 1e-6);
        assert_close(&out[1], &[1.5, 1.5, 0.5, 0.5], 1e-12);
        let answers: Vec<f64> =
            [(first, 1.5), (second, 0.5)].iter().flat_map(|(x, s)| x.map(|x| step(x, *s, 0.0))).collect();
        assert_close(&out[2], &answers, 1e-6);
    }
}
