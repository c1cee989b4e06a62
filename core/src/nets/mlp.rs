//! A residual multilayer perceptron, for data that are points: denoiser, generator or ratio.
//!
//! Every block is one matrix product: its input is shifted by an affine function of the noise
//! level, and all those functions are one product together.

use serde::Serialize;

use super::Time;
use super::labels::embed_label;
use super::layers::{INIT, INIT_ZERO, linear, linears, sinusoidal};
use super::{ConfigError, Init, Params, is_false};
use crate::graph::{Var, concat};
use crate::json::Fields;

/// Sines and cosines of the noise level, each.
const FREQUENCIES: usize = 16;
/// Radians per unit of `ln(sigma) / 4`. Its range is 2.7 for sigma from 0.002 to 80: the
/// lowest is less than a half turn over all of it, the highest tells sigmas apart that differ by
/// a factor of two.
const LOWEST: f32 = 0.5;
/// See [`LOWEST`].
const HIGHEST: f32 = 16.0;

/// Sines and cosines of each coordinate, from one radian per standard deviation to the finest: a
/// perceptron learns fine detail of a few raw numbers only very slowly (Tancik et al. 2020, arXiv
/// 2006.10739).
#[derive(Clone, Copy, Debug)]
pub struct Waves {
    /// How many sines, and as many cosines.
    pub count: usize,
    /// Radians per standard deviation of the last.
    pub finest: f32,
}

impl Waves {
    /// For a ratio network: down to a small part of the data's deviation.
    pub const RATIO: Self = Self { count: 5, finest: 16.0 };
    /// For a generator. Waves much finer than the latent's deviation are as good as further latent
    /// numbers: without them the network is a smooth map of the plane, and fills separate bumps by
    /// folding a sheet.
    pub const GENERATOR: Self = Self { count: 8, finest: 128.0 };
}

/// Size of a perceptron.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MlpConfig {
    /// Numbers per data point.
    pub dim: usize,
    /// Hidden units per layer.
    pub width: usize,
    /// Residual blocks.
    pub depth: usize,
    /// Classes of a conditional network, 0 if it is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_dim: usize,
    /// Whether it has a second time.
    #[serde(skip_serializing_if = "is_false")]
    pub two_times: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl MlpConfig {
    /// Takes the settings from the entries of a JSON object.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, String> {
        Ok(Self {
            dim: fields.optional("dim")?.unwrap_or(2),
            width: fields.required("width")?,
            depth: fields.required("depth")?,
            label_dim: fields.optional("label_dim")?.unwrap_or(0),
            two_times: fields.optional("two_times")?.unwrap_or(false),
        })
    }

    /// Whether the network can be built; the error names the first setting that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, value, hi) in [("dim", self.dim, 4096), ("width", self.width, 4096), ("depth", self.depth, 64)] {
            ConfigError::unless((1..=hi).contains(&value), "mlp", field, format!("in 1 to {hi}"), value)?;
        }
        ConfigError::unless(self.label_dim <= 10_000, "mlp", "label_dim", "in 0 to 10000".to_owned(), self.label_dim)
    }
}

/// The network of points `x [B, D]` and a time of N entries (N is B, or 1 for all points), with one-hot `labels [B, K]` or
/// `[1, K]` if it is conditional (none: no class): `[B, out]`.
pub fn mlp<'g>(
    params: &Params<'g>,
    config: &MlpConfig,
    x: Var<'g>,
    time: Time<'g>,
    labels: Option<Var<'g>>,
    waves: Waves,
    out: usize,
) -> Var<'g> {
    let h = hidden(params, config, x, time, labels, waves, config.depth);
    linear(params, "output", h.silu(), out, INIT_ZERO)
}

/// What is there behind the first `blocks` blocks: `[B, width]`.
pub(super) fn hidden<'g>(
    params: &Params<'g>,
    config: &MlpConfig,
    x: Var<'g>,
    time: Time<'g>,
    labels: Option<Var<'g>>,
    waves: Waves,
    blocks: usize,
) -> Var<'g> {
    assert_eq!(x.shape()[1..], [config.dim], "points of another dimension than the network's");
    let shifts = shifts(params, config, time, labels);
    let batch = x.shape()[0];
    let features = 2 * waves.count * config.dim;
    let waves = sinusoidal(x.reshape(&[x.len()]), waves.count, 1.0, waves.finest).reshape(&[batch, features]);
    // Unit variance in, unit variance out, however few the inputs.
    let mut h = linear(params, "input", concat(&[x, waves], 1), config.width, Init::KaimingNormal(1.0));
    for (i, shift) in shifts.into_iter().take(blocks).enumerate() {
        h = h + linear(params, &format!("blocks.{i}.linear"), (h + shift).silu(), config.width, INIT);
    }
    h
}

/// What the time and the label say to each block: `[N, width]`.
pub(super) fn shifts<'g>(
    params: &Params<'g>,
    config: &MlpConfig,
    time: Time<'g>,
    labels: Option<Var<'g>>,
) -> Vec<Var<'g>> {
    let waves = |x| params.graph().scope("map_noise", || sinusoidal(x, FREQUENCIES, LOWEST, HIGHEST));
    let mut embedding = linear(params, "map_layer0", waves(time.noise), config.width, INIT);
    if config.two_times {
        embedding = embedding + linear(params, "map_gap", waves(time.gap_or_none()), config.width, INIT_ZERO);
    }
    if let Some(label) = embed_label(params, config.label_dim, labels, config.width) {
        embedding = embedding + label;
    }
    let embedding = embedding.silu();
    let layers: Vec<_> = (0..config.depth).map(|i| (format!("blocks.{i}.affine"), config.width)).collect();
    linears(params, &layers, embedding, INIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, check_gradient, feed, values};
    use crate::nets::{Tensors, one_hot};

    #[test]
    fn gradient_matches_finite_differences() {
        for label_dim in [0, 3] {
            let graph = Graph::new();
            let params = Params::new(&graph, "p");
            let config = MlpConfig { dim: 2, width: 6, depth: 2, label_dim, two_times: true };
            let x = graph.input("x", 0, &[3, 2]);
            let time = Time { noise: graph.input("noise", 0, &[3]), gap: Some(graph.input("gap", 0, &[3])) };
            let labels = (label_dim > 0).then(|| graph.input("labels", 0, &[3, label_dim]));
            let y = mlp(&params, &config, x, time, labels, Waves::GENERATOR, 2);
            let loss = (y - x).square().mean_all();
            let (p, data) = (values(1, params.layout().len), values(2, x.len()));
            let one_hot = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
            let feed = feed(&[
                ("p", &p),
                ("x", &data),
                ("noise", &[0.7, -0.4, 1.0]),
                ("labels", &one_hot),
                ("gap", &[0.3, 0.0, 0.9]),
            ]);
            let mut wrt = vec![("x", 0, x)];
            wrt.extend(labels.map(|labels| ("labels", 0, labels)));
            wrt.extend(params.all().into_iter().map(|(offset, var)| ("p", offset, var)));
            check_gradient(&graph, &feed, loss, &wrt, 4);
        }
    }

    /// The perceptron as plain loops over the tensors of a file, one point.
    fn naive(tensors: &Tensors, config: &MlpConfig, x: &[f64], noise: f64, class: Option<usize>) -> Vec<f64> {
        let silu = |x: f64| x / (1.0 + (-x).exp());
        let linear = |name: &str, x: &[f64]| {
            let tensor = |part: &str| &tensors[&format!("{name}.{part}")].values;
            let (w, b) = (tensor("weight"), tensor("bias"));
            let row = |o: usize| x.iter().zip(&w[o * x.len()..]).map(|(x, w)| x * f64::from(*w)).sum::<f64>();
            (0..b.len()).map(|o| row(o) + f64::from(b[o])).collect::<Vec<f64>>()
        };
        let waves = |x: f64, count: usize, lo: f64, hi: f64| {
            let angle = move |i: usize| x * lo * (hi / lo).powf(i as f64 / (count - 1) as f64);
            (0..count).map(move |i| angle(i).sin()).chain((0..count).map(move |i| angle(i).cos()))
        };
        let mut embedding = linear("map_layer0", &waves(noise, 16, 0.5, 16.0).collect::<Vec<_>>());
        if config.label_dim > 0 {
            let size = (config.label_dim as f64).sqrt();
            let label: Vec<f64> = (0..config.label_dim).map(|k| if class == Some(k) { size } else { 0.0 }).collect();
            embedding.iter_mut().zip(linear("map_label", &label)).for_each(|(x, y)| *x += y);
        }
        let embedding: Vec<f64> = embedding.into_iter().map(silu).collect();
        let features: Vec<f64> = x.iter().copied().chain(x.iter().flat_map(|x| waves(*x, 8, 1.0, 128.0))).collect();
        let mut h = linear("input", &features);
        for i in 0..config.depth {
            let shift = linear(&format!("blocks.{i}.affine"), &embedding);
            let shifted: Vec<f64> = h.iter().zip(shift).map(|(h, s)| silu(h + s)).collect();
            let y = linear(&format!("blocks.{i}.linear"), &shifted);
            h.iter_mut().zip(y).for_each(|(h, y)| *h += y);
        }
        linear("output", &h.into_iter().map(silu).collect::<Vec<_>>())
    }

    #[test]
    fn forward_matches_naive_loops_over_the_tensors_of_a_file() {
        for label_dim in [0, 3] {
            let graph = Graph::new();
            let params = Params::new(&graph, "p");
            let config = MlpConfig { dim: 2, width: 6, depth: 2, label_dim, two_times: false };
            let x = graph.input("x", 0, &[2, 2]);
            let labels = (label_dim > 0).then(|| one_hot(graph.input("class", 0, &[2]), label_dim));
            let y = mlp(&params, &config, x, Time::at(graph.input("noise", 0, &[2])), labels, Waves::GENERATOR, 2);
            let layout = params.layout();
            let (p, data, noise) = (values(1, layout.len), values(2, x.len()), [0.7, -0.4]);
            let stores: [(&str, &[f64]); 4] = [("p", &p), ("x", &data), ("noise", &noise), ("class", &[2.0, -1.0])];
            let got = evaluate(&graph, &feed(&stores), &[y]).remove(0);
            let tensors = layout.to_tensors("", &p.iter().map(|x| *x as f32).collect::<Vec<_>>());
            let rows = data.chunks(2).zip(noise).zip([Some(2), None]);
            let wanted: Vec<f64> =
                rows.flat_map(|((x, noise), class)| naive(&tensors, &config, x, noise, class)).collect();
            // Constants of the graph are f32; the finest wave multiplies the error of its frequency.
            assert_close(&got, &wanted, 1e-4);
        }
    }

    #[test]
    fn one_noise_level_for_all_equals_one_per_point() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let config = MlpConfig { dim: 2, width: 5, depth: 2, label_dim: 0, two_times: false };
        let x = graph.input("x", 0, &[4, 2]);
        let one = mlp(&params, &config, x, Time::at(graph.input("noise", 0, &[1])), None, Waves::RATIO, 1);
        let each = mlp(&params, &config, x, Time::at(graph.input("noise", 0, &[4])), None, Waves::RATIO, 1);
        let (p, data) = (values(1, params.layout().len), values(2, x.len()));
        let out = evaluate(&graph, &feed(&[("p", &p), ("x", &data), ("noise", &[0.3; 4])]), &[one, each]);
        assert_close(&out[0], &out[1], 1e-14);
    }
}
