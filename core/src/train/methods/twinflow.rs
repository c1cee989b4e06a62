//! `TwinFlow` (2025): a network learns mean velocities by a recursion on its own average, and beside them, behind times below
//! zero, the velocity of its own samples; where the two flows differ is where samples move. No teacher, no discriminator.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Rates, Subject, Update};
use super::super::step::{Step, Weights};
use super::shortcut::two_of_half;
use super::{OWN, alone, phase, walked};
use crate::graph::Var;
use crate::nets::{Draw, Rule, per_sample};

/// Twin trajectories.
pub const METHOD: Method = Method {
    name: "twinflow",
    about: "One network learns mean velocities and, at negative times, the flow of its own samples, which move by the difference.",
    paper: "TwinFlow, MNIST tutorial",
    knobs: &["lr_generator", "cooldown", "score_weight"],
    needs: &[],
    settings: |c| {
        c.sigma_init = c.sigma_init.max(20.0);
        c.ema = c.ema.min(0.99);
    },
    recipe: |setup| {
        let training = vec![phase("training", "steps", UPDATE, Vec::new())];
        let draw = Draw { rule: Rule::Euler, sigmas: vec![setup.config.sigma_init] };
        walked(alone(setup.network.clone().with_two_times(), training, Vec::new(), draw, STORY), OWN)
    },
};

/// The part of a way along which the data's own velocity is followed, and the lowest time above it.
const STEP: f32 = 0.01;
const FIRST_TIME: f32 = 0.002;
/// The gap that stands for the other branch: one that no way has.
const TWIN: f32 = -1.0;

const UPDATE: Update = Update {
    name: "twin",
    about: "the network learns mean velocities, the flow of its own samples, and to draw where both flows agree",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: twin,
};

/// The tutorial's losses, each with weight 1, without its enhancement of targets by classes. Its twin loss and its
/// difference of flows draw noise and times apart; here they share them, and so one evaluation of the twin branch.
fn twin<'g>(step: &Step<'g>) {
    let (net, average) = (step.net("generator"), step.frozen("generator", Weights::Ema));
    let (x0, eps) = (step.real(), step.normal(Stream::NoiseReal));
    let (graph, rank) = (step.graph(), x0.rank());
    let last = step.config().sigma_init / (1.0 + step.config().sigma_init);
    let lowest = STEP + FIRST_TIME;
    let t = step.stratified() * (last - lowest) + lowest;
    let gap = (t * step.uniform(Stream::Level)).max(graph.constant(FIRST_TIME));
    let share = per_sample(t, rank);
    let on_line = |x0: Var<'g>, eps: Var<'g>| (1.0 - share) * x0 + share * eps;
    let no_way = graph.full(0.0, &t.shape());
    let recursion = |u: Var<'g>, v, y, t, gap| {
        recursion_error(u, |y, t, gap| average.velocity(y, t, gap), v, y, t, gap).clamp(-1.0, 1.0)
    };

    let (y, v) = (on_line(x0, eps), eps - x0);
    let u = net.velocity(y, t, gap);
    let residual = recursion(u, v, y, t, gap);
    let of_flow = (net.velocity(y, t, no_way) - v).square().mean_all();
    // The whole way from noise, in one step.
    let (z, whole) = (step.latent(), graph.full(last, &[1]));
    let start = z * last;
    let way = net.velocity(start, whole, whole);
    let of_ways = moved(u, residual) + moved(way, recursion(way, z - x0, start, whole, whole));

    let (sample, eps) = ((start - way * last).detach(), step.normal(Stream::NoiseFake));
    let y = on_line(sample, eps);
    let fake = net.velocity(y, t, graph.full(TWIN, &t.shape()));
    let of_twin = (fake - (eps - sample)).square().mean_all();
    let difference = fake - step.frozen("generator", Weights::Param).velocity(y, t, no_way);

    step.record("Loss/flow", of_flow);
    step.record("Recursion/size", residual.abs().mean_all());
    step.record("Loss/twin", of_twin);
    step.record("Pull/size", difference.abs().mean_all());
    let twins = of_twin + moved(way, difference);
    step.descend(&net, of_flow + of_ways + step.knob("score_weight") * twins);
}

/// `E |u - sg(u - by)|^2`.
fn moved<'g>(u: Var<'g>, by: Var<'g>) -> Var<'g> {
    (u - (u - by).detach()).square().mean_all()
}

/// By how much the mean velocity `u` from `y` over `gap` is wrong: along the first part of the way, of h = [`STEP`] or what
/// there is, `y` goes with the velocity `v`, and over the rest in two steps of `average`. `(gap u - rest) / h - v`.
fn recursion_error<'g>(
    u: Var<'g>,
    average: impl Fn(Var<'g>, Var<'g>, Var<'g>) -> Var<'g>,
    v: Var<'g>,
    y: Var<'g>,
    t: Var<'g>,
    gap: Var<'g>,
) -> Var<'g> {
    let h = gap.min(y.graph().constant(STEP));
    let rest = gap - h;
    let [part, left, way] = [h, rest, gap].map(|time| per_sample(time, y.rank()));
    let there = left * two_of_half(average, y - part * v, t - h, rest);
    (way * u - there) / part - v
}

const STORY: &[Moment] = &[
    Moment {
        name: "Recursion",
        about: "On lines between noise and data the network learns the velocity, and the mean velocity of a way: a short part \
                along the line, and the rest as its own average has it.",
        subject: Subject::Real,
        update: None,
        statistic: Some("Recursion/size"),
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Twin",
        about: "The other branch of the network learns the velocity between noise and the network's own samples.",
        subject: Subject::Critic,
        update: None,
        statistic: Some("Loss/twin"),
        layers: &[Layer::Samples],
    },
    Moment {
        name: "Difference",
        about: "Samples get noise again, and move by the difference of both branches there, until it is zero.",
        subject: Subject::Pull,
        update: Some("twin"),
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

    /// The exact mean velocity, over a millionth more: over no way the quotient has a limit and no value.
    fn nearly<'g>(y: Var<'g>, t: Var<'g>, gap: Var<'g>) -> Var<'g> {
        mean_velocity(y, t, gap + 1e-6)
    }

    /// For a Gaussian's flow the exact mean velocity is right up to the step, over ways longer and shorter than it, and one
    /// that is a tenth too large is not.
    #[test]
    fn the_recursion_ends_at_the_exact_mean_velocity() {
        let error = |scale: f32| {
            let graph = Graph::new();
            let y = graph.input("y", 0, &[4, 1]);
            let [t, gap] = ["t", "gap"].map(|store| graph.input(store, 0, &[4]));
            let share = per_sample(t, 2);
            let v = (y - denoiser(y / (1.0 - share), t / (1.0 - t))) / share;
            let u = |y, t, gap| nearly(y, t, gap) * scale;
            let error = recursion_error(u(y, t, gap), u, v, y, t, gap);
            let stores: [(&str, &[f64]); 4] = [
                ("y", &[-1.5, 0.3, 0.9, -0.8]),
                ("t", &[0.9, 0.5, 0.3, 0.6]),
                ("gap", &[0.9, 0.25, 0.2, 0.005]),
                ("model", &DATA),
            ];
            evaluate(&graph, &feed(&stores), &[error]).remove(0)
        };
        let (exact, larger) = (error(1.0), error(1.1));
        // Half the step times the path's curvature, which is 4.0 at most here (the third row).
        assert!(exact.iter().all(|e| e.abs() < 2.5 * f64::from(STEP)), "{exact:?}");
        assert!(larger.iter().any(|e| e.abs() > 0.1), "{larger:?}");
    }
}
