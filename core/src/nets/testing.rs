//! What the tests of networks share: inputs, comparison, finite differences in f64.

use std::collections::HashMap;

use crate::graph::reference::{Feed, evaluate};
use crate::graph::{Graph, Var};
use crate::random;

/// `n` normal numbers that are exact in f32, scaled so that no layer is negligible.
pub fn values(stream: u32, n: usize) -> Vec<f64> {
    (0..n as u32).map(|i| f64::from(0.5 * random::normal(random::threefry2x32([42, stream], [0, i]))[0])).collect()
}

/// A feed with these stores.
pub fn feed(stores: &[(&str, &[f64])]) -> Feed {
    let stores: HashMap<String, Vec<f64>> = stores.iter().map(|(name, v)| ((*name).to_owned(), v.to_vec())).collect();
    Feed { stores, ..Feed::default() }
}

/// Fails unless every element agrees within `tolerance`, relative to the largest wanted value.
pub fn assert_close(got: &[f64], wanted: &[f64], tolerance: f64) {
    assert!(!wanted.is_empty(), "nothing to compare");
    assert_eq!(got.len(), wanted.len());
    let scale = wanted.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
        assert!((g - w).abs() <= tolerance * scale, "element {i}: got {g}, wanted {w}, scale {scale}");
    }
}

/// Compares the gradient of `loss` with central differences, at about `count` elements of every
/// one of `wrt`, each a variable with the store and offset that it reads.
pub fn check_gradient(graph: &Graph, feed: &Feed, loss: Var<'_>, wrt: &[(&str, usize, Var<'_>)], count: usize) {
    let vars: Vec<Var<'_>> = wrt.iter().map(|w| w.2).collect();
    let gradients = graph.grad(loss, &vars);
    graph.check().unwrap();
    let gradients = evaluate(graph, feed, &gradients);
    let step = 1e-4;
    for ((store, offset, var), gradient) in wrt.iter().zip(&gradients) {
        let largest = gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        for i in (0..var.len()).step_by(var.len().div_ceil(count)) {
            let at = |change: f64| {
                let mut stores = feed.stores.clone();
                stores.get_mut(*store).unwrap()[offset + i] += change;
                evaluate(graph, &Feed { stores, ..Feed::default() }, &[loss])[0][0]
            };
            // Fourth order: its error is far below the tolerance at this step.
            let slope = (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
            let error = (gradient[i] - slope).abs();
            assert!(
                error <= 1e-7 * largest.max(1.0),
                "{store}[{offset} + {i}] {:?}: gradient {}, finite difference {slope}",
                var.node().label,
                gradient[i]
            );
        }
    }
}
