//! A residual multilayer perceptron, for data that are points: denoiser, generator or ratio.
//!
//! Every block is one matrix product: its input is shifted by an affine function of the noise
//! level, and all those functions are one product together.

use serde::Serialize;

use super::layers::{INIT, INIT_ZERO, linear, linears, sinusoidal};
use super::{ConfigError, Init, Params};
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
}

impl MlpConfig {
    /// Takes the settings from the entries of a JSON object.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, String> {
        Ok(Self {
            dim: fields.optional("dim")?.unwrap_or(2),
            width: fields.required("width")?,
            depth: fields.required("depth")?,
        })
    }

    /// Whether the network can be built; the error names the first setting that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, value, hi) in [("dim", self.dim, 4096), ("width", self.width, 4096), ("depth", self.depth, 64)] {
            ConfigError::unless((1..=hi).contains(&value), "mlp", field, format!("in 1 to {hi}"), value)?;
        }
        Ok(())
    }
}

/// The network of points `x [B, D]` and `noise [N]` (N is B, or 1 for all points): `[B, out]`.
pub fn mlp<'g>(
    params: &Params<'g>,
    config: &MlpConfig,
    x: Var<'g>,
    noise: Var<'g>,
    waves: Waves,
    out: usize,
) -> Var<'g> {
    assert_eq!(x.shape()[1..], [config.dim], "points of another dimension than the network's");
    let shifts = shifts(params, config, noise);
    let batch = x.shape()[0];
    let features = 2 * waves.count * config.dim;
    let waves = sinusoidal(x.reshape(&[x.len()]), waves.count, 1.0, waves.finest).reshape(&[batch, features]);
    // Unit variance in, unit variance out, however few the inputs.
    let mut h = linear(params, "input", concat(&[x, waves], 1), config.width, Init::KaimingNormal(1.0));
    for (i, shift) in shifts.into_iter().enumerate() {
        h = h + linear(params, &format!("blocks.{i}.linear"), (h + shift).silu(), config.width, INIT);
    }
    linear(params, "output", h.silu(), out, INIT_ZERO)
}

/// What the noise level says to each block: `[N, width]`.
pub(super) fn shifts<'g>(params: &Params<'g>, config: &MlpConfig, noise: Var<'g>) -> Vec<Var<'g>> {
    let features = params.graph().scope("map_noise", || sinusoidal(noise, FREQUENCIES, LOWEST, HIGHEST));
    let embedding = linear(params, "map_layer0", features, config.width, INIT).silu();
    let layers: Vec<_> = (0..config.depth).map(|i| (format!("blocks.{i}.affine"), config.width)).collect();
    linears(params, &layers, embedding, INIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, check_gradient, feed, values};

    #[test]
    fn gradient_matches_finite_differences() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let config = MlpConfig { dim: 2, width: 6, depth: 2 };
        let x = graph.input("x", 0, &[3, 2]);
        let y = mlp(&params, &config, x, graph.input("noise", 0, &[3]), Waves::GENERATOR, 2);
        let loss = (y - x).square().mean_all();
        let (p, data) = (values(1, params.layout().len), values(2, x.len()));
        let feed = feed(&[("p", &p), ("x", &data), ("noise", &[0.7, -0.4, 1.0])]);
        let mut wrt = vec![("x", 0, x)];
        wrt.extend(params.all().into_iter().map(|(offset, var)| ("p", offset, var)));
        check_gradient(&graph, &feed, loss, &wrt, 4);
    }

    #[test]
    fn one_noise_level_for_all_equals_one_per_point() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let config = MlpConfig { dim: 2, width: 5, depth: 2 };
        let x = graph.input("x", 0, &[4, 2]);
        let one = mlp(&params, &config, x, graph.input("noise", 0, &[1]), Waves::RATIO, 1);
        let each = mlp(&params, &config, x, graph.input("noise", 0, &[4]), Waves::RATIO, 1);
        let (p, data) = (values(1, params.layout().len), values(2, x.len()));
        let out = evaluate(&graph, &feed(&[("p", &p), ("x", &data), ("noise", &[0.3; 4])]), &[one, each]);
        assert_close(&out[0], &out[1], 1e-14);
    }
}
