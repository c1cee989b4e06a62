//! Shortcut models (Frans et al. 2024, arXiv 2410.12557): a flow that is told how far a step goes, and whose long steps are
//! two of its own short ones.

use std::ops::Range;

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Need, Rates, Subject, Update};
use super::super::step::{Step, Weights};
use super::{OWN, alone, phase, walked};
use crate::graph::Var;
use crate::nets::{Draw, Rule, per_sample};

/// The step's size as an input.
pub const METHOD: Method = Method {
    name: "shortcut",
    about: "A flow is told how far a step goes, and learns each step as two of its own of half the size: any number of steps draws.",
    paper: "arXiv 2410.12557",
    knobs: &["lr_generator", "cooldown"],
    needs: &[Need::WholeBatch],
    settings: |c| {
        c.sigma_init = c.sigma_init.max(20.0);
        // Long steps learn from the average of what short ones are: one that lags holds up all of them.
        c.ema = c.ema.min(0.998);
    },
    recipe: |setup| {
        let training = vec![phase("training", "steps", UPDATE, Vec::new())];
        let draw = Draw { rule: Rule::Euler, sigmas: vec![setup.config.sigma_init] };
        walked(alone(setup.network.clone().with_two_times(), training, Vec::new(), draw, STORY), OWN)
    },
};

/// Halvings of the whole way down to the smallest step, at which the flow itself is learned: 128 steps.
const HALVINGS: f32 = 7.0;
/// One of so many rows learns long steps.
const LONG: usize = 8;

const UPDATE: Update = Update {
    name: "shortcut",
    about: "the network learns velocities, and long steps from its own short ones",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: shortcut,
};

/// Algorithm 1. As in the published code the long steps are an eighth of the batch (the paper: a quarter), and times are
/// multiples of a step; its bounds for targets of four units are left out.
fn shortcut<'g>(step: &Step<'g>) {
    let (batch, rank) = (step.batch(), step.real().rank());
    let long = (batch / LONG).max(1);
    let [long, short] = [0..long, long..batch];
    let (x0, eps) = (step.real(), step.normal(Stream::NoiseReal));
    let whole = step.config().sigma_init / (1.0 + step.config().sigma_init);
    let [place, size] = [Stream::SigmaKind, Stream::Level].map(|stream| step.uniform(stream));
    // State, time and step of these rows, whose steps are the whole way halved so often.
    let begin = |rows: &Range<usize>, halvings: Var<'g>| {
        let of = |x: Var<'g>| x.slice(0, rows.clone());
        let steps = (halvings * std::f32::consts::LN_2).exp();
        let t = ((of(place) * steps).floor() + 1.0) / steps * whole;
        let share = per_sample(t, rank);
        ((1.0 - share) * of(x0) + share * of(eps), t, whole / steps)
    };
    let net = step.net("generator").of_rows(short.clone());
    let (y, t, gap) = begin(&short, step.graph().full(HALVINGS, &[short.len()]));
    let of_flow = net.velocity(y, t, gap) - (eps - x0).slice(0, short.clone());

    let (y, t, gap) = begin(&long, (size.slice(0, long.clone()) * HALVINGS).floor());
    let average = step.frozen("generator", Weights::Ema).of_rows(long.clone());
    let target = two_of_half(|y, t, gap| average.velocity(y, t, gap), y, t, gap).detach();
    let of_steps = step.net("generator").of_rows(long).velocity(y, t, gap) - target;

    step.record("Loss/flow", of_flow.square().mean_all());
    step.record("Loss/steps", of_steps.square().mean_all());
    let squares = of_flow.square().sum_all() + of_steps.square().sum_all();
    step.descend(&net, squares * (1.0 / (batch * step.width()) as f32));
}

/// The mean velocity of a step of `gap`, by two steps of half of it: `(u(y, t) + u(y - gap / 2 u(y, t), t - gap / 2)) / 2`
/// (equation 3).
pub(super) fn two_of_half<'g>(
    u: impl Fn(Var<'g>, Var<'g>, Var<'g>) -> Var<'g>,
    y: Var<'g>,
    t: Var<'g>,
    gap: Var<'g>,
) -> Var<'g> {
    let half = gap * 0.5;
    let first = u(y, t, half);
    let second = u(y - per_sample(half, y.rank()) * first, t - half, half);
    (first + second) * 0.5
}

const STORY: &[Moment] = &[
    Moment {
        name: "Lines",
        about: "Most points of a batch stand on straight lines between noise and data, and the network learns the velocity \
                there for the smallest step.",
        subject: Subject::Real,
        update: None,
        statistic: Some("Loss/flow"),
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Long steps",
        about: "From the others the network's average takes two steps of one size, and the network learns to do the same in \
                one of twice that size.",
        subject: Subject::Fake,
        update: Some("shortcut"),
        statistic: Some("Loss/steps"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, mean_velocity};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};

    /// The exact mean velocity is that of two steps of half the size, at every size.
    #[test]
    fn two_steps_of_the_exact_mean_velocity_are_one_of_twice_the_size() {
        let graph = Graph::new();
        let [y, t, gap] = ["y", "t", "gap"].map(|store| graph.input(store, 0, &[3]));
        let y = y.reshape(&[3, 1]);
        let wanted = [two_of_half(mean_velocity, y, t, gap), mean_velocity(y, t, gap)];
        let stores: [(&str, &[f64]); 4] =
            [("y", &[-1.5, 0.3, 0.8]), ("t", &[0.95, 0.5, 0.3]), ("gap", &[0.95, 0.25, 0.01]), ("model", &DATA)];
        let out = evaluate(&graph, &feed(&stores), &wanted);
        assert_close(&out[0], &out[1], 1e-9);
    }
}
