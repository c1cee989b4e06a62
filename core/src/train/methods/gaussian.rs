//! For tests: data that are a Gaussian in one dimension, for which denoisers, velocities and maps are known.
//!
//! A method stays where its loss has no slope. With all signs of a standard deviation as data and as noise, means of
//! polynomials of the second degree are exact, so that slope is zero to rounding at the exact function.

use crate::graph::reference::evaluate;
use crate::graph::{Graph, Var};
use crate::nets::per_sample;
use crate::nets::testing::feed;

/// Mean and deviation of the data.
pub const DATA: [f64; 2] = [0.25, 0.5];

/// Data and noise, in standard deviations.
pub const SIGNS: [[f64; 2]; 4] = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]];

/// `mean + v / (v + sigma^2) (x - mean)`: the exact denoiser of a Gaussian with mean and deviation in the store `model`.
pub fn denoiser<'g>(x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
    let [mean, deviation] = [0, 1].map(|i| x.graph().input("model", i, &[1, 1]));
    let variance = deviation.square();
    mean + variance / (variance + per_sample(sigma, 2).square()) * (x - mean)
}

/// The mean velocity of the flow of a Gaussian with mean and deviation in the store `model`: the flow maps `y` at time t to
/// `(1 - r) mean + (deviation at r / deviation at t) (y - (1 - t) mean)` at time r.
pub fn mean_velocity<'g>(y: Var<'g>, t: Var<'g>, gap: Var<'g>) -> Var<'g> {
    let mean = y.graph().input("model", 0, &[1, 1]);
    let [t, gap] = [t, gap].map(|time| per_sample(time, 2));
    let r = t - gap;
    let there = (1.0 - r) * mean + deviation("model", r) / deviation("model", t) * (y - (1.0 - t) * mean);
    (y - there) / gap
}

/// The end of the path through `x` at the level `sigma`, for a Gaussian with mean and deviation in the store `model`:
/// `mean + deviation / sqrt(deviation^2 + sigma^2) (x - mean)`.
pub fn consistency<'g>(x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
    let [mean, deviation] = [0, 1].map(|i| x.graph().input("model", i, &[1, 1]));
    mean + deviation / (deviation.square() + per_sample(sigma, 2).square()).sqrt() * (x - mean)
}

/// Deviation of `(1 - t) x0 + t eps` at times `t [B, 1]`.
pub fn deviation<'g>(store: &str, t: Var<'g>) -> Var<'g> {
    let deviation = t.graph().input(store, 1, &[1, 1]);
    ((1.0 - t).square() * deviation.square() + t.square()).sqrt()
}

/// The numbers `[4]` as a variable: a constant has no slope.
pub fn variable(graph: &Graph, value: f32) -> Var<'_> {
    graph.input("ones", 0, &[SIGNS.len()]) * value
}

/// Gradient of the mean square of `error [4, 1]`, a function of data and noise `[4, 1]`, by mean and deviation of the
/// model, where the model has these.
pub fn gradient(model: [f64; 2], error: impl for<'g> FnOnce(Var<'g>, Var<'g>) -> Var<'g>) -> Vec<f64> {
    let graph = Graph::new();
    let n = SIGNS.len();
    let [x0, eps] = ["x0", "eps"].map(|store| graph.input(store, 0, &[n, 1]));
    let parameters = [0, 1].map(|i| graph.input("model", i, &[1, 1]));
    let slopes = graph.grad(error(x0, eps).square().mean_all(), &parameters);
    let data: Vec<f64> = SIGNS.iter().map(|[sign, _]| DATA[0] + DATA[1] * sign).collect();
    let noise: Vec<f64> = SIGNS.iter().map(|[_, sign]| *sign).collect();
    let stores = [("x0", &data[..]), ("eps", &noise), ("model", &model), ("ones", &[1.0; SIGNS.len()])];
    evaluate(&graph, &feed(&stores), &slopes).concat()
}

/// The gradient is zero at the exact model, and not beside it.
#[track_caller]
pub fn stationary(exact: [f64; 2], error: impl for<'g> Fn(Var<'g>, Var<'g>) -> Var<'g>) {
    let at = |model| gradient(model, &error);
    let there = at(exact);
    assert!(there.iter().all(|g| g.abs() < 1e-5), "{there:?} at the exact model");
    for (i, beside) in [[exact[0] + 0.1, exact[1]], [exact[0], exact[1] + 0.1]].into_iter().enumerate() {
        let slope = at(beside)[i];
        assert!(slope > 1e-3, "slope {slope} beside the exact model does not lead back");
    }
}
