//! The network whose features judge images of digits: a small convolutional classifier in the manner of `LeNet`.
//!
//! Convolution 3x3 to 16 channels, `silu`, mean over 2x2; the same to 32 channels; flatten; linear to 64 **features**;
//! `silu`; linear to 10 logits: 105,866 parameters. The plan of "Gradient-based learning applied to document
//! recognition" (`LeCun` et al. 1998), with the activation and the layers that this project's networks use anyway.
//! Distances between features mean something only for equal weights: a report names them (`lenet`), and the weights
//! are one file.
//!
//! The loss and the accuracy of a classifier are here, too; [`super::classifier`] trains it.

use crate::graph::Var;
use crate::nets::{Init, Params, conv, linear};

/// Height and width of the images.
pub const SIDE: usize = 28;
/// Number of features.
pub const FEATURES: usize = 64;
/// Number of classes.
pub const CLASSES: usize = 10;

/// Keeps the second moment through `silu`, which is 0.356 for a standard normal: `1 / sqrt(0.356)`.
const INIT: Init = Init::KaimingNormal(1.68);

/// `images [B, 28, 28, 1]` (or `[B, 784]`), black 0 to white 1, to features `[B, 64]` and logits `[B, 10]`.
///
/// Zero is the background, so that the padding of the convolutions continues it. Features are taken before their
/// activation: both signs, closer to the Gaussian that the Frechet distance assumes.
pub fn lenet<'g>(params: &Params<'g>, images: Var<'g>) -> (Var<'g>, Var<'g>) {
    let b = images.shape().first().copied().unwrap_or(1);
    let x = images.reshape(&[b, SIDE, SIDE, 1]);
    let x = conv(params, "conv1", x, 16, 3, INIT).silu().downsample2();
    let x = conv(params, "conv2", x, 32, 3, INIT).silu().downsample2();
    let flat = x.reshape(&[b, SIDE / 4 * (SIDE / 4) * 32]);
    let features = linear(params, "features", flat, FEATURES, INIT);
    let logits = linear(params, "logits", features.silu(), CLASSES, Init::KaimingNormal(1.0));
    (features, logits)
}

/// Mean cross-entropy in nats, shape `[]`: `logits [B, K]`, `labels [B]` with the numbers 0 to K - 1.
///
/// The largest logit is subtracted as a constant, so that no logit is too large to be exponentiated.
pub fn cross_entropy<'g>(logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
    let shifted = logits - largest(logits).detach();
    (shifted.exp().sum(&[1]).log() - of_label(shifted, labels)).mean_all()
}

/// Share of rows whose label has the largest logit, shape `[]`; a tie counts as right.
pub fn accuracy<'g>(logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
    (1.0 - of_label(logits, labels).less(largest(logits))).mean_all()
}

/// The largest element of each row: `[B, K]` to `[B, 1]`.
fn largest(logits: Var<'_>) -> Var<'_> {
    let classes = logits.shape().get(1).copied().unwrap_or(1);
    (1..classes).fold(logits.slice(1, 0..1), |top, k| top.max(logits.slice(1, k..k + 1)))
}

/// The element of each row at its label: `[B, K]` and `[B]` to `[B, 1]`.
fn of_label<'g>(logits: Var<'g>, labels: Var<'g>) -> Var<'g> {
    let graph = logits.graph();
    let [b, classes] = logits.shape()[..] else { return logits.slice(1, 0..1) }; // reports the shape
    let distance = labels.reshape(&[b, 1]) - graph.iota(classes).reshape(&[1, classes]);
    let is_label = 1.0 - distance.sign().abs();
    (logits * is_label).sum(&[1])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};

    fn feed(stores: &[(&str, &[f32])]) -> Feed {
        let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect();
        Feed { stores: stores.iter().map(|(name, v)| ((*name).to_owned(), wide(v))).collect(), ..Feed::default() }
    }

    #[test]
    fn lenet_has_the_documented_shapes_and_size() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let (features, logits) = lenet(&params, graph.input("x", 0, &[3, SIDE, SIDE, 1]));
        graph.check().unwrap();
        assert_eq!((features.shape(), logits.shape()), (vec![3, FEATURES], vec![3, CLASSES]));
        assert_eq!(params.layout().parameters(), 16 * 10 + 32 * (9 * 16 + 1) + 64 * (7 * 7 * 32 + 1) + 10 * 65);
        assert_eq!(params.layout().parameters(), 105_866);
        let names: Vec<String> = params.layout().specs.iter().map(|s| s.name.clone()).collect();
        assert_eq!(names[..3], ["conv1.weight", "conv1.bias", "conv2.weight"]);
    }

    #[test]
    fn first_weights_keep_the_scale_of_features() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let (features, logits) = lenet(&params, graph.input("x", 0, &[2, SIDE, SIDE, 1]));
        let pixels: Vec<f32> = normals(1, 2 * SIDE * SIDE).iter().map(|v| v.abs().min(1.0)).collect();
        let out = evaluate(&graph, &feed(&[("x", &pixels), ("p", &params.layout().initial(1))]), &[features, logits]);
        for values in out {
            let size = (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
            assert!((0.1..3.0).contains(&size), "root mean square {size}");
        }
    }

    #[test]
    fn another_image_size_is_reported() {
        let graph = Graph::new();
        lenet(&Params::new(&graph, "p"), graph.input("x", 0, &[2, 32, 32, 3]));
        assert!(graph.check().is_err());
    }

    #[test]
    fn cross_entropy_and_accuracy_match_plain_formulas() {
        let (b, k) = (5, CLASSES);
        let logits: Vec<f32> = normals(2, b * k).iter().map(|v| 3.0 * v).collect();
        let best = |row: usize| (0..k).max_by(|&i, &j| logits[row * k + i].total_cmp(&logits[row * k + j])).unwrap();
        // Rows 0 to 2 are right, 3 and 4 are not.
        let labels: Vec<f32> = (0..b).map(|row| ((best(row) + usize::from(row > 2)) % k) as f32).collect();
        let graph = Graph::new();
        let (x, y) = (graph.input("x", 0, &[b, k]), graph.input("y", 0, &[b]));
        let out = evaluate(&graph, &feed(&[("x", &logits), ("y", &labels)]), &[cross_entropy(x, y), accuracy(x, y)]);
        let term = |row: usize| {
            let values: Vec<f64> = logits[row * k..][..k].iter().map(|&v| v.into()).collect();
            values.iter().map(|v| v.exp()).sum::<f64>().ln() - values[labels[row] as usize]
        };
        assert_near(out[0][0], (0..b).map(term).sum::<f64>() / b as f64, 1e-6, "cross-entropy");
        assert_near(out[1][0], 0.6, 1e-6, "accuracy");
    }

    #[test]
    fn cross_entropy_of_huge_logits_is_finite_with_gradient() {
        let graph = Graph::new();
        let (x, y) = (graph.input("x", 0, &[1, 3]), graph.input("y", 0, &[1]));
        let loss = cross_entropy(x, y);
        let gradient = graph.grad(loss, &[x])[0];
        graph.check().unwrap();
        let out = evaluate(&graph, &feed(&[("x", &[1000.0, -1000.0, 0.0]), ("y", &[1.0])]), &[loss, gradient]);
        assert_near(out[0][0], 2000.0, 1e-6, "loss");
        // softmax - one-hot
        for (got, wanted) in out[1].iter().zip([1.0, -1.0, 0.0]) {
            assert_near(*got, wanted, 1e-6, "gradient");
        }
    }

    #[test]
    fn gradient_of_the_loss_matches_a_directional_difference() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let (_, logits) = lenet(&params, graph.input("x", 0, &[2, SIDE, SIDE, 1]));
        let loss = cross_entropy(logits, graph.input("y", 0, &[2]));
        let (offsets, vars): (Vec<usize>, Vec<Var<'_>>) = params.all().into_iter().unzip();
        let gradients = graph.grad(loss, &vars);
        graph.check().unwrap();
        let pixels: Vec<f32> = normals(3, 2 * SIDE * SIDE).iter().map(|v| v.abs().min(1.0)).collect();
        let weights = params.layout().initial(2);
        let mut feed = feed(&[("x", &pixels), ("y", &[7.0, 2.0]), ("p", &weights)]);
        let direction: Vec<f64> = normals(4, weights.len()).iter().map(|&v| v.into()).collect();
        let values = evaluate(&graph, &feed, &gradients);
        let dot = |offset: usize, g: &[f64]| g.iter().zip(&direction[offset..]).map(|(a, b)| a * b).sum::<f64>();
        let slope: f64 = offsets.iter().zip(&values).map(|(&offset, g)| dot(offset, g)).sum();
        let step = 1e-5;
        let mut at = |change: f64| {
            let moved = weights.iter().zip(&direction).map(|(&w, d)| f64::from(w) + change * d).collect();
            feed.stores.insert("p".to_owned(), moved);
            evaluate(&graph, &feed, &[loss])[0][0]
        };
        let difference = (at(step) - at(-step)) / (2.0 * step);
        assert_near(slope, difference, 1e-6 * difference.abs().max(1.0), "directional derivative");
    }
}
