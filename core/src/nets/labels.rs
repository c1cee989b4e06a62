//! Classes as networks take them: one-hot rows `[B, K]`, a row of zeros for a sample of which no class is said.

use super::layers::{INIT, linear};
use super::{NetworkConfig, Params};
use crate::graph::{Graph, Var};

/// One-hot rows `[B, K]` of `classes [B]`, whole numbers from 0 to K - 1; any other is no class, and a row of zeros.
pub fn one_hot(classes: Var<'_>, count: usize) -> Var<'_> {
    let rows = classes.len();
    let distance = classes.reshape(&[rows, 1]) - classes.graph().iota(count).reshape(&[1, count]);
    1.0 - distance.sign().abs()
}

/// One-hot labels `[rows, K]` of the classes in the store `{prefix}.class`, a number per row; nothing if the network is
/// not conditional.
pub fn given_labels<'g>(graph: &'g Graph, network: &NetworkConfig, prefix: &str, rows: usize) -> Option<Var<'g>> {
    let classes = network.classes();
    (classes > 0).then(|| one_hot(graph.input(&format!("{prefix}.class"), 0, &[rows]), classes))
}

/// The layer `map_label` of one-hot `labels [N, K]` (none: no class), scaled to unit mean square as in EDM's networks:
/// `[N, channels]`, or nothing if the network is not conditional.
pub(super) fn embed_label<'g>(
    params: &Params<'g>,
    label_dim: usize,
    labels: Option<Var<'g>>,
    channels: usize,
) -> Option<Var<'g>> {
    (label_dim > 0).then(|| {
        let labels = labels.unwrap_or_else(|| params.graph().full(0.0, &[1, label_dim]));
        assert_eq!(labels.shape()[1..], [label_dim], "labels of another number of classes than the network's");
        linear(params, "map_label", labels * (label_dim as f32).sqrt(), channels, INIT)
    })
}

/// The classes `[rows]` of samples that show all of them in turn.
pub fn cycle(rows: usize, count: usize) -> Vec<u32> {
    (0..rows).map(|row| (row % count.max(1)) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    #[test]
    fn rows_have_one_at_their_class_and_nothing_without_one() {
        let graph = Graph::new();
        let rows = one_hot(graph.input("class", 0, &[4]), 3);
        assert_eq!(rows.shape(), [4, 3]);
        let values = evaluate(&graph, &feed(&[("class", &[2.0, 0.0, -1.0, 1.0])]), &[rows]).remove(0);
        assert_eq!(values, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(cycle(5, 3), [0, 1, 2, 0, 1]);
    }
}
