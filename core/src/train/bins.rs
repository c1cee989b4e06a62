//! Running means by noise level, on the device.

use super::step::Step;
use crate::graph::Var;

/// Bins of noise levels, equal in the logarithm.
pub const BINS: usize = 16;
/// Share of a step in the running means by bin.
const BIN_RATE: f32 = 0.05;

/// `[BINS, B]`: 1 where sample b's noise level is in bin k. `u [B]` is in 0 to 1.
pub fn bin_indicator(u: Var<'_>) -> Var<'_> {
    let batch = u.len();
    let graph = u.graph();
    let last = graph.constant(BINS as f32 - 1.0);
    let bin = (u * BINS as f32).floor().min(last).reshape(&[1, batch]);
    let k = graph.iota(BINS).reshape(&[BINS, 1]);
    1.0 - (bin - k).abs().sign()
}

/// Running mean per bin of `value [B]`, kept in `store`: `[BINS, 1]`.
pub fn mean_by_bin<'g>(step: &Step<'g>, store: &'static str, value: Var<'g>, indicator: Var<'g>) -> Var<'g> {
    step.remember(store, &[BINS, 1], |old| {
        let [count, total] = by_bin(value, indicator);
        running_mean(step.over_batch(count), step.over_batch(total), old)
    })
}

/// How many there are in each bin, and the sum of their `value [B]`: `[BINS, 1]` each.
fn by_bin<'g>(value: Var<'g>, indicator: Var<'g>) -> [Var<'g>; 2] {
    [indicator.sum(&[1]), (indicator * value.reshape(&[1, value.len()])).sum(&[1])]
}

/// Running mean per bin `[BINS, 1]`. A bin without a sample keeps its `old`; one that is still 0 takes the first mean
/// as it comes.
fn running_mean<'g>(count: Var<'g>, total: Var<'g>, old: Var<'g>) -> Var<'g> {
    let graph = old.graph();
    let mean = total / count.max(graph.constant(1.0));
    let seen = count.min(graph.constant(1.0));
    let fresh = 1.0 - old.abs().sign();
    let rate = seen * (fresh + (1.0 - fresh) * BIN_RATE);
    old + rate * (mean - old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};

    #[test]
    fn a_bin_that_saw_nothing_keeps_its_mean() {
        let graph = Graph::new();
        let u = graph.input("u", 0, &[3]);
        let old = graph.input("old", 0, &[BINS, 1]);
        let [count, total] = by_bin(graph.input("v", 0, &[3]), bin_indicator(u));
        let new = running_mean(count, total, old);
        let mut feed = Feed::default();
        feed.stores.insert("u".into(), vec![0.01, 0.02, 0.99]);
        feed.stores.insert("v".into(), vec![2.0, 4.0, 5.0]);
        let mut before = vec![7.0; BINS];
        before[0] = 0.0;
        feed.stores.insert("old".into(), before);
        let after = evaluate(&graph, &feed, &[new]).remove(0);
        assert!((after[0] - 3.0).abs() < 1e-9, "an empty bin takes the first mean");
        assert!((after[1] - 7.0).abs() < 1e-9, "a bin without a sample keeps its mean");
        assert!((after[BINS - 1] - (7.0 - 2.0 * f64::from(BIN_RATE))).abs() < 1e-6);
    }
}
