//! Continuous-time consistency (sCM, Lu and Song 2024, arXiv 2410.11081): consistency along a teacher's path in steps of no
//! length, so that no levels have to be chosen.

use super::super::batch::Stream;
use super::super::bins::{bin_indicator, mean_by_bin};
use super::super::net::Net;
use super::super::recipe::{Layer, Method, Moment, Need, Plot, Rates, Subject, Update};
use super::super::step::{Step, Weights};
use super::{from_noise, phase, taught};
use crate::graph::Var;
use crate::nets::{Draw, SIGMA_DATA, per_sample};

/// Consistency in continuous time.
pub const METHOD: Method = Method {
    name: "scm",
    about: "The network learns to say the same all along a teacher's path: the slope of its answer, a derivative, goes to zero.",
    paper: "arXiv 2410.11081",
    knobs: &KNOBS,
    needs: &[Need::Teacher],
    settings: from_noise,
    recipe: |setup| {
        let last = phase("distillation", "steps", UPDATE, Vec::new());
        let mut recipe = taught(setup, setup.network.clone(), vec![last], Draw::once(setup.config.sigma_init), STORY);
        recipe.plots = vec![TANGENT];
        recipe
    },
};

/// Settings that it reads.
pub(super) const KNOBS: [&str; 8] = [
    "warmup_steps",
    "lr_warmup",
    "lr_generator",
    "label_dropout",
    "guidance",
    "cooldown",
    "tangent_warmup",
    "tangent_normal",
];

/// Of the levels, whose logarithms are normal.
const LEVELS: (f32, f32) = (-1.0, 1.4);
/// Lowest level.
const LOWEST: f32 = 0.002;
/// Added to the size of a tangent before it is divided by it.
const OFFSET: f32 = 0.1;

const UPDATE: Update = Update {
    name: "consistency",
    about: "the slope of the network's answer along the teacher's path goes to zero",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.99, cools: true },
    build: |step| {
        let net = step.net("generator");
        step.descend(&net, on_data(step, &net));
    },
};

/// The loss at noised data.
pub(super) fn on_data<'g>(step: &Step<'g>, net: &Net<'g>) -> Var<'g> {
    let (mean, deviation) = LEVELS;
    let bounds = [LOWEST, step.config().sigma_init].map(|level| step.graph().constant(level));
    let sigma = (step.levels() * deviation + mean).exp().max(bounds[0]).min(bounds[1]);
    let at = Angle::of(sigma);
    let x = at.cos(step.real().rank()) * step.noised(step.real(), sigma, Stream::NoiseReal);
    loss(step, net, x, &at, teacher_velocity(step, x, &at))
}

/// A noise level as the angle t of `TrigFlow`: `tan t = sigma / sd`.
pub(super) struct Angle<'g> {
    sigma: Var<'g>,
    /// `ln(sigma) / 4`, which a derivative is taken by.
    noise: Var<'g>,
    cos: Var<'g>,
    sin: Var<'g>,
}

impl<'g> Angle<'g> {
    pub fn of(sigma: Var<'g>) -> Self {
        let size = (sigma.square() + SIGMA_DATA * SIGMA_DATA).sqrt();
        Self { sigma, noise: sigma.log() * 0.25, cos: SIGMA_DATA / size, sin: sigma / size }
    }

    pub fn cos(&self, rank: usize) -> Var<'g> {
        per_sample(self.cos, rank)
    }

    pub fn sin(&self, rank: usize) -> Var<'g> {
        per_sample(self.sin, rank)
    }
}

/// `dx / dt` at states `x [B, ..]` along the teacher's path.
fn teacher_velocity<'g>(step: &Step<'g>, x: Var<'g>, at: &Angle<'g>) -> Var<'g> {
    let answer = step.frozen("teacher", Weights::Param).guided(x / at.cos(x.rank()), at.sigma);
    velocity_to(answer, x, at).detach()
}

/// The velocity of states `x` for this answer of a denoiser: `(cos t x - D) / sin t`.
pub(super) fn velocity_to<'g>(answer: Var<'g>, x: Var<'g>, at: &Angle<'g>) -> Var<'g> {
    (at.cos(x.rank()) * x - answer) / at.sin(x.rank())
}

/// The loss of algorithm 1 at states `x [B, ..]` with `dx / dt = slope`: the velocity moves by the tangent, which is
/// divided by its size, and each noise level counts as much as any other.
///
/// The paper learns the logarithm of the mean loss by noise level with a layer of its own, and divides by it; here running
/// means by level do that.
pub(super) fn loss<'g>(step: &Step<'g>, net: &Net<'g>, x: Var<'g>, at: &Angle<'g>, slope: Var<'g>) -> Var<'g> {
    let graph = step.graph();
    // In f32 a progress of 0 by a warm-up of 0 is no number.
    let warm = (step.progress() / (step.knob("tangent_warmup") + 1e-6)).min(graph.constant(1.0));
    let velocity = net.angular(x, at.noise);
    let tangent = tangent(velocity, x, at, slope, warm);
    let axes: Vec<usize> = (1..x.rank()).collect();
    let size = (tangent.square().sum(&axes) + 1e-12).sqrt();
    let normal = step.knob("tangent_normal");
    let moved = tangent / (normal * (size + OFFSET) + (1.0 - normal));
    let error = (velocity - (velocity + moved).detach()).square().mean(&axes).reshape(&[x.shape()[0]]);
    let share = (at.sigma / LOWEST).log() * (1.0 / (step.config().sigma_init / LOWEST).ln());
    let indicator = bin_indicator(share);
    let mean = mean_by_bin(step, MEANS, error.detach(), indicator);
    let mean = (mean * indicator).sum(&[0]).reshape(&[x.shape()[0]]);
    step.record("Tangent/size", size.mean_all());
    step.record("Loss/consistency", error.mean_all());
    (error / (mean + 1e-6)).mean_all()
}

/// Store of the mean losses by noise level.
const MEANS: &str = "consistency.means";

/// The tangent g, detached, which is `-cos t d/dt` of the answer `D = cos t x - sin t sd F` by `sd`, along the path:
/// `-cos^2 t (F - dx/dt / sd) - r (cos t sin t x / sd + cos t sin t dF/dt)`, where r is how far it has warmed up.
fn tangent<'g>(velocity: Var<'g>, x: Var<'g>, at: &Angle<'g>, slope: Var<'g>, warm: Var<'g>) -> Var<'g> {
    let (graph, rank) = (x.graph(), x.rank());
    let (cos, both) = (at.cos(rank), at.cos(rank) * at.sin(rank));
    // d(ln sigma) / dt = 1 / (cos t sin t).
    let quarter = graph.full(0.25, &at.noise.shape());
    let derivative = graph.jvp(velocity, &[(x, both * slope), (at.noise, quarter)]);
    let rest = both * x * (1.0 / SIGMA_DATA) + derivative;
    (-(cos.square() * (velocity - slope * (1.0 / SIGMA_DATA))) - warm * rest).detach()
}

pub(super) const TANGENT: Plot = Plot {
    title: "Tangent",
    about: "How large the change of the answer along the path still is. The loss itself says little: tangents are divided \
            by their size.",
    log: true,
    curves: &[("Tangent/size", "size", Subject::Pull)],
};

pub(super) const STORY: &[Moment] = &[
    Moment {
        name: "A place",
        about: "A batch of real data gets noise of random levels, and the teacher says in which direction its path leads.",
        subject: Subject::Real,
        update: None,
        statistic: None,
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Tangent",
        about: "How the network's answer changes in that direction is a derivative. Where it is zero all along, every place of \
                a path gives the same answer: the path's end.",
        subject: Subject::Pull,
        update: Some("consistency"),
        statistic: Some("Tangent/size"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, consistency, denoiser};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    /// Tangents at the answers that `answer` gives, with the teacher's exact path of a Gaussian.
    fn tangents(answer: impl for<'g> Fn(Var<'g>, Var<'g>) -> Var<'g>, warm: f32) -> Vec<f64> {
        let graph = Graph::new();
        let x = graph.input("x", 0, &[4, 1]);
        // A function of what derivatives are taken by, as of a network.
        let noise = graph.input("noise", 0, &[4]);
        let at = Angle { noise, ..Angle::of((noise * 4.0).exp()) };
        let [slope, given] = [denoiser(x / at.cos(2), at.sigma), answer(x / at.cos(2), at.sigma)]
            .map(|answer| velocity_to(answer, x, &at));
        let given = given * (1.0 / SIGMA_DATA);
        let out = tangent(given, x, &at, slope.detach(), graph.constant(warm));
        let levels = [0.05_f64, 0.4, 2.0, 18.0].map(|sigma| sigma.ln() / 4.0);
        let stores: [(&str, &[f64]); 3] = [("x", &[0.4, -0.6, 0.2, 0.7]), ("noise", &levels), ("model", &DATA)];
        evaluate(&graph, &feed(&stores), &[out]).remove(0)
    }

    #[test]
    fn the_exact_map_has_no_tangent() {
        let exact = tangents(consistency, 1.0);
        assert!(exact.iter().all(|g| g.abs() < 1e-5), "{exact:?}");
        let denoiser = tangents(denoiser, 1.0);
        assert!(denoiser.iter().any(|g| g.abs() > 0.01), "another map has one: {denoiser:?}");
    }

    /// Before the warm-up the tangent leads to the teacher's own velocity.
    #[test]
    fn at_first_the_teacher_is_where_training_stays() {
        let teacher = tangents(denoiser, 0.0);
        assert!(teacher.iter().all(|g| g.abs() < 1e-5), "{teacher:?}");
        assert!(tangents(consistency, 0.0).iter().any(|g| g.abs() > 0.01));
    }
}
