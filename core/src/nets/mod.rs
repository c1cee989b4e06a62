//! Networks: functions over a graph and named parameters.
//!
//! [`NetworkConfig`] is what presets and files hold; its methods build the denoiser, the
//! one-step generator (the same network at one noise level) and the ratio network. [`Params`]
//! gives parameters their places, [`ParamLayout`] gives them their first values and their form
//! in files. Adding a network: a file like [`mlp`], and a variant here.

mod draw;
mod edm;
mod labels;
mod layers;
mod layout;
mod mlp;
#[cfg(test)]
mod naive;
mod params;
mod ratio;
mod sampler;
mod spec;
#[cfg(feature = "gallery")]
mod students;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod tap;
#[cfg(test)]
pub(crate) mod testing;
mod unet;
mod unet_config;

pub use draw::{Draw, MOST_LEVELS, Rule, latent, renoise, sampler, walker};
pub use edm::{Preconditioning, SIGMA_DATA, denoise, denoising_weight, generate, per_sample, ratio_logit};
pub use labels::{cycle, given_labels, one_hot};
pub use layers::{
    INIT, INIT_ATTENTION, INIT_ZERO, attention, conv, group_norm, groups, linear, linears, patchify,
    positional_embedding, sinusoidal, unpatchify,
};
pub use layout::{LayoutError, ParamLayout, Tensor, Tensors};
pub use mlp::{MlpConfig, Waves, mlp};
pub use params::Params;
pub use ratio::ratio;
pub use sampler::{euler_step, heun_step, karras_sigmas, last_step};
pub use spec::{DiskLayout, Init, ParamSpec};
#[cfg(feature = "gallery")]
pub use students::StudentsConfig;
pub use unet::unet;
pub(crate) use unet::{EPS, SKIP_SCALE};
pub use unet_config::UnetConfig;
pub(crate) use unet_config::{Block, Resample};

use serde::Serialize;

use crate::graph::{Graph, Var};
use crate::json::Fields;

/// What a network is told of time.
#[derive(Clone, Copy)]
pub struct Time<'g> {
    /// `ln(sigma) / 4` of the noise level, `[N]`.
    pub noise: Var<'g>,
    /// From there to a lower time, `sigma / (1 + sigma)` of both subtracted, `[N]`: of networks with two times.
    pub gap: Option<Var<'g>>,
}

impl<'g> Time<'g> {
    /// One time.
    pub fn at(noise: Var<'g>) -> Self {
        Self { noise, gap: None }
    }

    /// The gap, 0 if there is none.
    fn gap_or_none(self) -> Var<'g> {
        self.gap.unwrap_or_else(|| self.noise.graph().full(0.0, &[1]))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The time of a rectified flow at a noise level: `sigma / (1 + sigma)`.
fn flow_time(sigma: Var<'_>) -> Var<'_> {
    sigma / (sigma + 1.0)
}

/// Which network, and how large: the generator's. The ratio network follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum NetworkConfig {
    /// For points.
    Mlp(MlpConfig),
    /// For images.
    Unet(UnetConfig),
    /// Several of these.
    #[cfg(feature = "gallery")]
    Students(StudentsConfig),
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
        Self::take(Fields::parse(text)?)
    }

    /// The network whose settings are the entries of this object.
    fn take(mut fields: Fields) -> Result<Self, String> {
        let config = match &fields.required::<String>("type")?[..] {
            "mlp" => Self::Mlp(MlpConfig::take(&mut fields)?),
            "unet" => Self::Unet(UnetConfig::take(&mut fields)?),
            #[cfg(feature = "gallery")]
            "students" => Self::Students(StudentsConfig::take(&mut fields)?),
            other => return Err(format!("unknown network `{other}`; known: mlp, unet")),
        };
        fields.finish().map(|()| config)
    }

    /// Whether the network can be built. The methods below panic on one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Mlp(config) => config.validate(),
            Self::Unet(config) => config.validate(),
            #[cfg(feature = "gallery")]
            Self::Students(config) => config.validate(),
        }
    }

    /// Sizes of one data point: `[H, W, C]` or `[D]`.
    pub fn data_shape(&self) -> Vec<usize> {
        match self {
            Self::Mlp(config) => vec![config.dim],
            Self::Unet(config) => [&config.image_size()[..], &[config.channels]].concat(),
            #[cfg(feature = "gallery")]
            Self::Students(config) => config.of.data_shape(),
        }
    }

    /// Classes of a conditional network, 0 if it is none.
    pub fn classes(&self) -> usize {
        match self {
            Self::Mlp(config) => config.label_dim,
            Self::Unet(config) => config.label_dim,
            #[cfg(feature = "gallery")]
            Self::Students(config) => config.of.classes(),
        }
    }

    /// The classes that numbers stand for, such as seeds: n stands for n mod K, and for nothing without classes.
    pub fn classes_of(&self, numbers: &[u32]) -> Vec<u32> {
        numbers.iter().filter_map(|number| number.checked_rem(self.classes() as u32)).collect()
    }

    /// The same network with a second time: how far the step goes whose mean velocity is wanted.
    #[must_use]
    pub fn with_two_times(mut self) -> Self {
        match &mut self {
            Self::Mlp(config) => config.two_times = true,
            Self::Unet(config) => config.two_times = true,
            #[cfg(feature = "gallery")]
            Self::Students(config) => *config.of = config.of.clone().with_two_times(),
        }
        self
    }

    /// So many of this network, each for a part of the classes.
    #[cfg(feature = "gallery")]
    #[must_use]
    pub fn students(self, students: usize) -> Self {
        Self::Students(StudentsConfig {
            students,
            #[cfg(not(target_arch = "wasm32"))]
            levels: Vec::new(),
            of: Box::new(self),
        })
    }

    /// One of this network for the noise levels above the first of `levels`, which fall, and one from each downwards.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    #[must_use]
    pub fn experts(self, levels: Vec<f32>) -> Self {
        Self::Students(StudentsConfig { students: levels.len() + 1, levels, of: Box::new(self) })
    }

    /// `D(x; sigma)` of data `x [B, ..]` and `sigma [N]`, N the batch or 1. Like all of these, it takes one-hot
    /// `labels [B, K]` or `[1, K]` if it is conditional; none: no class.
    pub fn denoiser<'g>(&self, params: &Params<'g>, x: Var<'g>, sigma: Var<'g>, labels: Option<Var<'g>>) -> Var<'g> {
        denoise(|x, noise| self.bare(params, x, Time::at(noise), labels), x, sigma)
    }

    /// What leads in one step of Euler's method from `x` at `sigma [N]` to the level `next [N]`: of a network with two
    /// times, where its mean velocity points; of others, `D(x; sigma)`.
    pub fn denoiser_towards<'g>(
        &self,
        params: &Params<'g>,
        x: Var<'g>,
        sigma: Var<'g>,
        next: Var<'g>,
        labels: Option<Var<'g>>,
    ) -> Var<'g> {
        let gap = self.has_two_times().then(|| flow_time(sigma) - flow_time(next));
        denoise(|x, noise| self.bare(params, x, Time { noise, gap }, labels), x, sigma)
    }

    /// `D(x; sigma)` of a network with two times that is told another number, `[N]`, in the place of the second.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn denoiser_told<'g>(
        &self,
        params: &Params<'g>,
        x: Var<'g>,
        sigma: Var<'g>,
        number: Var<'g>,
        labels: Option<Var<'g>>,
    ) -> Var<'g> {
        assert!(self.has_two_times(), "a network with one time has no place for another number");
        denoise(|x, noise| self.bare(params, x, Time { noise, gap: Some(number) }, labels), x, sigma)
    }

    /// `g(z)`: one step from `sigma_init z` to noise level 0, of a standard normal `latent [B, ..]`.
    pub fn generator<'g>(
        &self,
        params: &Params<'g>,
        latent: Var<'g>,
        sigma_init: f32,
        labels: Option<Var<'g>>,
    ) -> Var<'g> {
        let net = |x, noise| self.bare(params, x, self.whole_way(noise, sigma_init), labels);
        generate(net, latent, sigma_init)
    }

    fn has_two_times(&self) -> bool {
        match self {
            Self::Mlp(config) => config.two_times,
            Self::Unet(config) => config.two_times,
            #[cfg(feature = "gallery")]
            Self::Students(config) => config.of.has_two_times(),
        }
    }

    /// The time of a step from `sigma` to 0.
    fn whole_way<'g>(&self, noise: Var<'g>, sigma: f32) -> Time<'g> {
        let gap = self.has_two_times().then(|| noise.graph().full(sigma / (1.0 + sigma), &[1]));
        Time { noise, gap }
    }

    /// The logit `l(x_t, sigma) [B]` of noised data `x_t [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn ratio<'g>(&self, params: &Params<'g>, x_t: Var<'g>, sigma: Var<'g>, labels: Option<Var<'g>>) -> Var<'g> {
        #[cfg(feature = "gallery")]
        if let Self::Students(config) = self {
            return config.of.ratio(params, x_t, sigma, labels);
        }
        let batch = x_t.shape()[0];
        let net = |x: Var<'g>, noise: Var<'g>| match self {
            Self::Mlp(config) => mlp(params, config, x, Time::at(noise), labels, Waves::RATIO, 1).reshape(&[batch]),
            Self::Unet(config) => ratio(params, config, x, Time::at(noise), labels),
            #[cfg(feature = "gallery")]
            Self::Students(_) => unreachable!("they have one ratio network, see above"),
        };
        ratio_logit(net, x_t, sigma)
    }

    /// What the noise level `sigma` and the `labels [N, K]` say to each block of the generator, in order:
    /// `[N, channels]`, N 1 without labels. Not of several networks.
    pub(crate) fn shifts<'g>(&self, params: &Params<'g>, sigma: f32, labels: Option<Var<'g>>) -> Vec<Var<'g>> {
        let graph = params.graph();
        // Once whole, so that every parameter has the place that the layout says.
        let shape: Vec<usize> = std::iter::once(1).chain(self.data_shape()).collect();
        let _ = self.generator(params, graph.input("latent", 0, &shape), sigma, None);
        let time = self.whole_way(Preconditioning::new(graph.full(sigma, &[1]), 1).c_noise, sigma);
        match self {
            Self::Mlp(config) => mlp::shifts(params, config, time, labels),
            Self::Unet(config) => {
                let (encoder, decoder) = (config.encoder(), config.decoder());
                let blocks: Vec<&Block> = encoder.iter().chain(&decoder).collect();
                unet::shifts(params, config, &blocks, time, labels)
            }
            #[cfg(feature = "gallery")]
            Self::Students(_) => panic!("several networks have no one list of blocks"),
        }
    }

    /// The network F itself, of inputs and outputs of unit variance.
    pub(crate) fn bare<'g>(&self, params: &Params<'g>, x: Var<'g>, time: Time<'g>, labels: Option<Var<'g>>) -> Var<'g> {
        match self {
            Self::Mlp(config) => mlp(params, config, x, time, labels, Waves::GENERATOR, config.dim),
            Self::Unet(config) => unet(params, config, x, time, labels),
            #[cfg(feature = "gallery")]
            Self::Students(config) => config.chosen(params, time.noise, labels, &|of| of.bare(params, x, time, labels)),
        }
    }

    /// Parameters of the denoiser, which are the generator's.
    pub fn generator_layout(&self) -> ParamLayout {
        self.layout(|params, x, sigma| self.denoiser(params, x, sigma, None))
    }

    /// Parameters of the ratio network.
    pub fn ratio_layout(&self) -> ParamLayout {
        self.layout(|params, x, sigma| self.ratio(params, x, sigma, None))
    }

    /// Parameters of a head on a denoiser's features: see [`NetworkConfig::judge`].
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn judge_layout(&self) -> ParamLayout {
        self.layout(|params, x, sigma| {
            self.judge(params, self.features(&Params::new(x.graph(), "denoiser"), x, sigma, None))
        })
    }

    /// Parameters of an adapter on the denoiser: see [`Params::adapter`].
    pub fn adapter_layout(&self, rank: usize) -> ParamLayout {
        let graph = Graph::new();
        let params = Params::adapter(&graph, "param", "base", rank);
        let shape: Vec<usize> = std::iter::once(1).chain(self.data_shape()).collect();
        let _ = self.denoiser(&params, graph.input("x", 0, &shape), graph.input("sigma", 0, &[1]), None);
        params.layout()
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
        assert!(!serde_json::to_string(&mlp).unwrap().contains("label"), "it is written as it always was");
        let classes = NetworkConfig::from_json(r#"{"type":"mlp","width":128,"depth":3,"label_dim":8}"#).unwrap();
        assert_eq!((mlp.classes(), classes.classes()), (0, 8));
        assert_eq!(classes, NetworkConfig::from_json(&serde_json::to_string(&classes).unwrap()).unwrap());
        assert!(
            NetworkConfig::Mlp(MlpConfig { dim: 2, width: 0, depth: 1, label_dim: 0, two_times: false })
                .validate()
                .is_err()
        );
    }

    #[test]
    fn generator_and_denoiser_have_one_layout() {
        let config = NetworkConfig::Mlp(MlpConfig { dim: 3, width: 8, depth: 2, label_dim: 0, two_times: false });
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let sample = config.generator(&params, graph.input("z", 0, &[4, 3]), 80.0, None);
        assert_eq!(sample.shape(), [4, 3]);
        assert_eq!(params.layout(), config.generator_layout());
        let logit = config.ratio(&Params::new(&graph, "r"), sample, graph.full(1.0, &[1]), None);
        assert_eq!(logit.shape(), [4]);
        graph.check().unwrap();
    }
}
