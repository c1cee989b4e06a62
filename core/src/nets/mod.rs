//! Networks: functions over a graph and named parameters.
//!
//! [`NetworkConfig`] is what presets and files hold; its methods build the denoiser, the
//! one-step generator (the same network at one noise level) and the ratio network. [`Params`]
//! gives parameters their places, [`ParamLayout`] gives them their first values and their form
//! in files. Adding a network: a file like [`mlp`], and a variant here.

mod edm;
mod layers;
mod layout;
mod mlp;
#[cfg(test)]
mod naive;
mod params;
mod ratio;
mod sampler;
mod spec;
#[cfg(test)]
mod testing;
mod unet;
mod unet_config;

pub use edm::{Preconditioning, SIGMA_DATA, denoise, denoising_weight, generate, per_sample, ratio_logit};
pub use layers::{
    INIT, INIT_ATTENTION, INIT_ZERO, attention, conv, group_norm, groups, linear, linears, patchify,
    positional_embedding, sinusoidal, unpatchify,
};
pub use layout::{LayoutError, ParamLayout, Tensor, Tensors};
pub use mlp::{MlpConfig, Waves, mlp};
pub use params::Params;
pub use ratio::ratio;
pub use sampler::{heun_step, karras_sigmas, last_step};
pub use spec::{DiskLayout, Init, ParamSpec};
pub use unet::unet;
pub(crate) use unet::{EPS, SKIP_SCALE};
pub use unet_config::UnetConfig;
pub(crate) use unet_config::{Block, Resample};

use serde::Serialize;

use crate::graph::{Graph, Var};
use crate::json::Fields;

/// Which network, and how large: the generator's. The ratio network follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum NetworkConfig {
    /// For points.
    Mlp(MlpConfig),
    /// For images.
    Unet(UnetConfig),
}

/// A setting of a network that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{network}: {field} should be {wanted}, got {got}{fix}")]
pub struct ConfigError {
    /// `mlp` or `unet`.
    pub network: &'static str,
    /// The setting.
    pub field: &'static str,
    /// What fits.
    pub wanted: String,
    /// What came.
    pub got: usize,
    /// What else helps, after a semicolon; empty where `wanted` says it all.
    pub fix: String,
}

impl ConfigError {
    fn unless(fits: bool, network: &'static str, field: &'static str, wanted: String, got: usize) -> Result<(), Self> {
        if fits { Ok(()) } else { Err(Self { network, field, wanted, got, fix: String::new() }) }
    }
}

impl NetworkConfig {
    /// The network whose settings are this JSON object, as they are serialised.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut fields = Fields::parse(text)?;
        let config = match &fields.required::<String>("type")?[..] {
            "mlp" => Self::Mlp(MlpConfig::take(&mut fields)?),
            "unet" => Self::Unet(UnetConfig::take(&mut fields)?),
            other => return Err(format!("unknown network `{other}`; known: mlp, unet")),
        };
        fields.finish().map(|()| config)
    }

    /// Whether the network can be built. The methods below panic on one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Mlp(config) => config.validate(),
            Self::Unet(config) => config.validate(),
        }
    }

    /// Sizes of one data point: `[H, W, C]` or `[D]`.
    pub fn data_shape(&self) -> Vec<usize> {
        match self {
            Self::Mlp(config) => vec![config.dim],
            Self::Unet(config) => [&config.image_size()[..], &[config.channels]].concat(),
        }
    }

    /// `D(x; sigma)` of data `x [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn denoiser<'g>(&self, params: &Params<'g>, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        denoise(|x, noise| self.network(params, x, noise), x, sigma)
    }

    /// `g(z) = D(sigma_init z; sigma_init)` of a standard normal `latent [B, ..]`.
    pub fn generator<'g>(&self, params: &Params<'g>, latent: Var<'g>, sigma_init: f32) -> Var<'g> {
        generate(|x, noise| self.network(params, x, noise), latent, sigma_init)
    }

    /// The logit `l(x_t, sigma) [B]` of noised data `x_t [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn ratio<'g>(&self, params: &Params<'g>, x_t: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        let batch = x_t.shape()[0];
        let net = |x: Var<'g>, noise: Var<'g>| match self {
            Self::Mlp(config) => mlp(params, config, x, noise, Waves::RATIO, 1).reshape(&[batch]),
            Self::Unet(config) => ratio(params, config, x, noise, None),
        };
        ratio_logit(net, x_t, sigma)
    }

    /// What the noise level `sigma` says to each block of the generator, in order: `[1, channels]`.
    pub(crate) fn shifts<'g>(&self, params: &Params<'g>, sigma: f32) -> Vec<Var<'g>> {
        let graph = params.graph();
        // Once whole, so that every parameter has the place that the layout says.
        let shape: Vec<usize> = std::iter::once(1).chain(self.data_shape()).collect();
        let _ = self.generator(params, graph.input("latent", 0, &shape), sigma);
        let noise = Preconditioning::new(graph.full(sigma, &[1]), 1).c_noise;
        match self {
            Self::Mlp(config) => mlp::shifts(params, config, noise),
            Self::Unet(config) => {
                let (encoder, decoder) = (config.encoder(), config.decoder());
                let blocks: Vec<&Block> = encoder.iter().chain(&decoder).collect();
                unet::shifts(params, config, &blocks, noise, None)
            }
        }
    }

    fn network<'g>(&self, params: &Params<'g>, x: Var<'g>, noise: Var<'g>) -> Var<'g> {
        match self {
            Self::Mlp(config) => mlp(params, config, x, noise, Waves::GENERATOR, config.dim),
            Self::Unet(config) => unet(params, config, x, noise, None),
        }
    }

    /// Parameters of the denoiser, which are the generator's.
    pub fn generator_layout(&self) -> ParamLayout {
        self.layout(|params, x, sigma| self.denoiser(params, x, sigma))
    }

    /// Parameters of the ratio network.
    pub fn ratio_layout(&self) -> ParamLayout {
        self.layout(|params, x, sigma| self.ratio(params, x, sigma))
    }

    /// Builds a network on a graph that is then thrown away.
    fn layout(&self, build: impl for<'g> Fn(&Params<'g>, Var<'g>, Var<'g>) -> Var<'g>) -> ParamLayout {
        let graph = Graph::new();
        let params = Params::new(&graph, "param");
        let mut shape = vec![1];
        shape.extend(self.data_shape());
        let _ = build(&params, graph.input("x", 0, &shape), graph.input("sigma", 0, &[1]));
        params.layout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_and_unknown_settings_refused() {
        let text = r#"{"type":"unet","resolution":28,"channels":1,"patch":2,"model_channels":32,
            "channel_mult":[1,2],"num_blocks":2}"#;
        let config = NetworkConfig::from_json(text).unwrap();
        config.validate().unwrap();
        assert_eq!(config.data_shape(), [28, 28, 1]);
        let again = NetworkConfig::from_json(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
        let error = NetworkConfig::from_json(&text.replace("patch", "patches")).unwrap_err();
        assert!(error.contains("unknown field `patches`"), "{error}");
        assert!(!serde_json::to_string(&config).unwrap().contains("width"), "squares are written as they always were");
        let wide = NetworkConfig::from_json(&text.replace("28,", "28,\"width\":40,")).unwrap();
        assert_eq!(wide.data_shape(), [28, 40, 1]);
        assert_eq!(wide, NetworkConfig::from_json(&serde_json::to_string(&wide).unwrap()).unwrap());
        let mlp = NetworkConfig::from_json(r#"{"type":"mlp","width":128,"depth":3}"#).unwrap();
        assert_eq!(mlp.data_shape(), [2]);
        assert!(NetworkConfig::Mlp(MlpConfig { dim: 2, width: 0, depth: 1 }).validate().is_err());
    }

    #[test]
    fn generator_and_denoiser_have_one_layout() {
        let config = NetworkConfig::Mlp(MlpConfig { dim: 3, width: 8, depth: 2 });
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let sample = config.generator(&params, graph.input("z", 0, &[4, 3]), 80.0);
        assert_eq!(sample.shape(), [4, 3]);
        assert_eq!(params.layout(), config.generator_layout());
        let logit = config.ratio(&Params::new(&graph, "r"), sample, graph.full(1.0, &[1]));
        assert_eq!(logit.shape(), [4]);
        graph.check().unwrap();
    }
}
