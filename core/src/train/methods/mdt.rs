//! Marginal-data transport (MDT-dist, arXiv 2509.04406): the mean velocity from any time to the end is matched to a teacher's
//! flow, and samples move by what the student's own velocity and the teacher's disagree on.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Need, Rates, Subject, Update};
use super::super::step::{Step, Weights};
use super::{Config, from_noise, phase, taught};
use crate::graph::Var;
use crate::nets::{Draw, per_sample};

/// Velocity matching and velocity distillation.
pub const METHOD: Method = Method {
    name: "mdt-dist",
    about: "A network learns the mean velocity to a path's end, and samples move by how its own velocity differs from a teacher's.",
    paper: "arXiv 2509.04406",
    knobs: &[
        "warmup_steps",
        "lr_warmup",
        "lr_generator",
        "label_dropout",
        "guidance",
        "cooldown",
        "matching",
        "score_weight",
        "tangent_normal",
    ],
    needs: &[Need::Teacher],
    settings,
    recipe: |setup| {
        let last = phase("distillation", "steps", UPDATE, Vec::new());
        taught(setup, setup.network.clone(), vec![last], Draw::once(setup.config.sigma_init), STORY)
    },
};

/// Those of a consistency; derivatives of points, whose size is about 1 anyway, are taken as they are: divided by it, they
/// lead to another place of rest.
fn settings(config: &mut Config) {
    if config.warmup_steps == 0 {
        config.tangent_normal = 0.0;
    }
    from_noise(config);
}

/// Step of the difference that stands for a derivative, and lowest time above it.
const STEP: f32 = 0.01;
const FIRST_TIME: f32 = 0.002;
/// Added to the size of a derivative before it is divided by it.
const OFFSET: f32 = 0.1;

const UPDATE: Update = Update {
    name: "velocity",
    about: "mean velocities are matched to the teacher's flow, and samples move by what the velocities disagree on",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: velocity,
};

/// Both losses, as in the published trainer with its differences: one time and one noise for both. Times are logistic of a
/// normal number (mean 1, deviation 1), in the range of this project's start.
fn velocity<'g>(step: &Step<'g>) {
    let (net, frozen) = (step.net("generator"), step.frozen("generator", Weights::Param));
    let teacher = step.frozen("teacher", Weights::Param);
    let (x0, eps) = (step.real(), step.normal(Stream::NoiseReal));
    let rank = x0.rank();
    let last = step.config().sigma_init / (1.0 + step.config().sigma_init);
    let lowest = STEP + FIRST_TIME;
    let t = (step.levels() + 1.0).sigmoid() * (last - lowest) + lowest;
    let share = per_sample(t, rank);
    let on_line = |x0: Var<'g>| (1.0 - share) * x0 + share * eps;
    let target = |y| {
        let v = (y - teacher.guided(y / (1.0 - share), t / (1.0 - t))) / share;
        mean_to_the_end(|y, t| frozen.velocity(y, t, t), v, y, t, step.knob("tangent_normal"))
    };
    let y = on_line(x0);
    let matched = (net.velocity(y, t, t) - target(y)).square().mean_all();
    // One step from noise, with the velocity that moves.
    let start = step.latent() * last;
    let whole = step.graph().full(last, &[1]);
    let moved = net.velocity(start, whole, whole);
    let y = on_line((start - moved * last).detach());
    let difference = (frozen.velocity(y, t, t) - target(y)).detach();
    step.record("Loss/matching", matched);
    step.record("Pull/size", difference.abs().mean_all());
    // Half the gradient of |difference + moved - sg moved|^2 is the difference.
    let distilled = (difference * moved * 2.0).mean_all();
    step.descend(&net, step.knob("matching") * matched + step.knob("score_weight") * distilled);
}

/// What the mean velocity from `y` at time `t [B]` to time 0 has to be where the flow's velocity is `v`, detached:
/// `v - t du/dt`, the derivative along the flow by a difference, which may be divided by its size. With that its place of
/// rest is not the exact mean velocity any more.
fn mean_to_the_end<'g>(
    u: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    v: Var<'g>,
    y: Var<'g>,
    t: Var<'g>,
    normal: Var<'g>,
) -> Var<'g> {
    let rank = y.rank();
    let change = (u(y, t) - u(y - v * STEP, t - STEP)) * (1.0 / STEP);
    let axes: Vec<usize> = (1..rank).collect();
    let size = (change.square().sum(&axes) + 1e-12).sqrt() + OFFSET;
    (v - per_sample(t, rank) * change / (normal * size + (1.0 - normal))).detach()
}

const STORY: &[Moment] = &[
    Moment {
        name: "Matching",
        about: "On lines between noise and data the network learns the mean velocity to the end: the teacher's velocity there, \
                less what its own answer changes on the way.",
        subject: Subject::Real,
        update: None,
        statistic: Some("Loss/matching"),
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Distillation",
        about: "Samples of one step get noise again, and move by the difference of two velocities there: the one that the \
                network implies, and the teacher's.",
        subject: Subject::Pull,
        update: Some("velocity"),
        statistic: Some("Pull/size"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, denoiser, mean_velocity};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    /// For a Gaussian's flow the target at the exact mean velocity is that velocity, up to the difference's step; divided by
    /// its size it is another.
    #[test]
    fn the_exact_mean_velocity_is_its_own_target() {
        let error = |normal: f32| {
            let graph = Graph::new();
            let (y, t) = (graph.input("y", 0, &[3, 1]), graph.input("t", 0, &[3]));
            let share = per_sample(t, 2);
            let v = (y - denoiser(y / (1.0 - share), t / (1.0 - t))) / share;
            let target = mean_to_the_end(|y, t| mean_velocity(y, t, t), v, y, t, graph.constant(normal));
            let stores: [(&str, &[f64]); 3] = [("y", &[-1.5, 0.3, 0.9]), ("t", &[0.9, 0.5, 0.3]), ("model", &DATA)];
            let out = evaluate(&graph, &feed(&stores), &[target - mean_velocity(y, t, t)]).remove(0);
            out.iter().fold(0.0_f64, |most, x| most.max(x.abs()))
        };
        let [exact, divided] = [0.0, 1.0].map(error);
        assert!(exact < 2.0 * f64::from(STEP), "{exact}");
        assert!(divided > 0.1, "{divided}");
    }
}
