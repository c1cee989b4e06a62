//! The networks of onestep's presets in burn, over named parameters. Data are rows `[B, N]`, images with the channels
//! first.

use std::collections::BTreeMap;

use burn::tensor::activation::silu;
use burn::tensor::module::{avg_pool2d, conv2d, interpolate, linear};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use peer_common::Value;

const SIGMA_DATA: f32 = 0.5;
const EPS: f64 = 1e-6;

/// A parameter of any rank.
#[derive(Clone)]
pub enum Param {
    One(Tensor<1>),
    Two(Tensor<2>),
    Four(Tensor<4>),
}

/// Does the same to a parameter of any rank.
macro_rules! each {
    ($param:expr, $tensor:ident => $body:expr) => {
        match $param {
            $crate::nets::Param::One($tensor) => $crate::nets::Param::One($body),
            $crate::nets::Param::Two($tensor) => $crate::nets::Param::Two($body),
            $crate::nets::Param::Four($tensor) => $crate::nets::Param::Four($body),
        }
    };
}
pub(crate) use each;

/// Parameters by name.
pub type Params = BTreeMap<String, Param>;

/// What a network gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Denoise,
    Logit,
}

/// The network F of a configuration.
pub struct Net<'a> {
    pub config: &'a Value,
    pub head: Head,
    pub params: &'a Params,
    pub device: Device,
}

impl Net<'_> {
    fn number(&self, name: &str) -> usize {
        self.config[name].as_u64().unwrap_or_else(|| panic!("`{name}` is no number of the network")) as usize
    }

    fn one(&self, name: &str) -> Tensor<1> {
        let Some(Param::One(tensor)) = self.params.get(name) else { panic!("no vector `{name}`") };
        tensor.clone()
    }

    fn linear(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let Some(Param::Two(weight)) = self.params.get(&format!("{name}.weight")) else { panic!("no matrix `{name}`") };
        linear(x, weight.clone().transpose(), Some(self.one(&format!("{name}.bias"))))
    }

    fn conv(&self, name: &str, x: Tensor<4>) -> Tensor<4> {
        let Some(Param::Four(weight)) = self.params.get(&format!("{name}.weight")) else {
            panic!("no kernel `{name}`")
        };
        let side = weight.dims()[2] / 2;
        conv2d(
            x,
            weight.clone(),
            Some(self.one(&format!("{name}.bias"))),
            ConvOptions::new([1, 1], [side, side], [1, 1], 1),
        )
    }

    fn norm(&self, name: &str, x: Tensor<4>) -> Tensor<4> {
        let [b, c, h, w] = x.dims();
        let groups = (1..=(c / 4).clamp(1, 32)).rev().find(|g| c % g == 0).unwrap_or(1);
        let x = x.reshape([b, groups, c / groups * h * w]);
        let x = x.clone() - x.mean_dim(2);
        let variance = x.clone().square().mean_dim(2);
        let x = (x / (variance + EPS).sqrt()).reshape([b, c, h, w]);
        let of = |part: &str| self.one(&format!("{name}.{part}")).reshape([1, c, 1, 1]);
        x * of("weight") + of("bias")
    }

    /// Rows `x [B, N]` at noise `[B]` or `[1]`: rows, or a logit `[B, 1]`.
    fn forward(&self, x: Tensor<2>, noise: Tensor<1>) -> Tensor<2> {
        if self.config["type"] == "mlp" { self.mlp(x, noise) } else { self.unet(x, noise) }
    }

    fn mlp(&self, x: Tensor<2>, noise: Tensor<1>) -> Tensor<2> {
        let (count, finest) = if self.head == Head::Denoise { (8, 128.0) } else { (5, 16.0) };
        let embedding = silu(self.linear("map_layer0", self.waves(noise, 16, 0.5, 16.0)));
        let [b, dim] = x.dims();
        let features = self.waves(x.clone().reshape([b * dim]), count, 1.0, finest).reshape([b, 2 * count * dim]);
        let mut h = self.linear("input", Tensor::cat(vec![x, features], 1));
        for i in 0..self.number("depth") {
            let shift = self.linear(&format!("blocks.{i}.affine"), embedding.clone());
            h = h.clone() + self.linear(&format!("blocks.{i}.linear"), silu(h + shift));
        }
        self.linear("output", silu(h))
    }

    fn unet(&self, x: Tensor<2>, noise: Tensor<1>) -> Tensor<2> {
        let (width, p) = (self.number("model_channels"), self.number("patch"));
        let (height, channels) = (self.number("resolution"), self.number("channels"));
        let across = self.config["width"].as_u64().map_or(height, |width| width as usize);
        let levels = self.config["channel_mult"].as_array().map_or(0, Vec::len);
        let size = |level: usize| format!("{}x{}", (height / p) >> level, (across / p) >> level);
        let embedding = silu(self.linear("map_layer0", self.waves(noise, width / 2, 1.0, 1e-4)));
        let embedding = silu(self.linear("map_layer1", embedding));
        let b = x.dims()[0];
        let x = x.reshape([b, channels, height / p, p, across / p, p]).permute([0, 3, 5, 1, 2, 4]);
        let x = x.reshape([b, p * p * channels, height / p, across / p]);
        let mut h = self.conv(&format!("enc.{}_conv", size(0)), x);
        let mut skips = vec![h.clone()];
        for level in 0..levels {
            if level > 0 {
                h = self.block(&format!("enc.{}_down", size(level)), h, &embedding);
                skips.push(h.clone());
            }
            for i in 0..self.number("num_blocks") {
                h = self.block(&format!("enc.{}_block{i}", size(level)), h, &embedding);
                skips.push(h.clone());
            }
        }
        if self.head == Head::Logit {
            // Weights of the head are in the order of pixels, then channels.
            let features = silu(self.norm("head_norm", h)).permute([0, 2, 3, 1]);
            let count = features.dims()[1..].iter().product();
            return self.linear("head", features.reshape([b, count]));
        }
        for level in (0..levels).rev() {
            let steps = if level + 1 == levels { &["in0", "in1"][..] } else { &["up"] };
            for step in steps {
                h = self.block(&format!("dec.{}_{step}", size(level)), h, &embedding);
            }
            for i in 0..=self.number("num_blocks") {
                let skip = skips.pop().expect("the encoder made one output per block that takes it");
                h = self.block(&format!("dec.{}_block{i}", size(level)), Tensor::cat(vec![h, skip], 1), &embedding);
            }
        }
        let h = silu(self.norm(&format!("dec.{}_aux_norm", size(0)), h));
        let h = self.conv(&format!("dec.{}_aux_conv", size(0)), h);
        let h = h.reshape([b, p, p, channels, height / p, across / p]).permute([0, 3, 4, 1, 5, 2]);
        h.reshape([b, channels * height * across])
    }

    fn block(&self, name: &str, x: Tensor<4>, embedding: &Tensor<2>) -> Tensor<4> {
        let part = |part: &str| format!("{name}.{part}");
        let (down, up) = (name.ends_with("_down"), name.ends_with("_up"));
        let resize = |x: Tensor<4>| {
            let [_, _, height, width] = x.dims();
            let twice = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
            match (down, up) {
                (true, _) => avg_pool2d(x, AvgPoolOptions::new([2, 2])),
                (_, true) => interpolate(x, twice),
                _ => x,
            }
        };
        let h = self.conv(&part("conv0"), resize(silu(self.norm(&part("norm0"), x.clone()))));
        let shift = self.linear(&part("affine"), embedding.clone());
        let [n, c] = shift.dims();
        let h = self.conv(&part("conv1"), silu(self.norm(&part("norm1"), h + shift.reshape([n, c, 1, 1]))));
        let skip = match self.params.contains_key(&part("skip.weight")) {
            false => x,
            // A 1 x 1 convolution and nearest-neighbour upsampling commute: the cheaper goes first.
            true if up => resize(self.conv(&part("skip"), x)),
            true => self.conv(&part("skip"), resize(x)),
        };
        (h + skip) * std::f32::consts::FRAC_1_SQRT_2
    }

    /// Sines, then cosines of `x [N]` at frequencies that are even in the logarithm: `[N, 2 count]`.
    fn waves(&self, x: Tensor<1>, count: usize, first: f64, last: f64) -> Tensor<2> {
        let steps = (count - 1) as f64;
        let frequencies: Vec<f32> =
            (0..count).map(|i| (first * (last / first).powf(i as f64 / steps)) as f32).collect();
        let frequencies = Tensor::<1>::from_floats(&frequencies[..], &self.device).reshape([1, count]);
        let n = x.dims()[0];
        let angles = x.reshape([n, 1]) * frequencies;
        Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
    }

    /// D(x; sigma) of EDM, `sigma [B]` or `[1]`.
    pub fn denoise(&self, x: Tensor<2>, sigma: Tensor<1>) -> Tensor<2> {
        let s = column(sigma.clone());
        let variance = s.clone().square() + SIGMA_DATA * SIGMA_DATA;
        let c_in = variance.clone().sqrt().recip();
        let output = self.forward(c_in.clone() * x.clone(), sigma.log() / 4.0);
        variance.recip() * (SIGMA_DATA * SIGMA_DATA) * x + s * SIGMA_DATA * c_in * output
    }

    /// One step from noise `sigma_init z` to a sample.
    pub fn generate(&self, z: Tensor<2>, sigma_init: f64) -> Tensor<2> {
        let sigma = Tensor::<1>::from_floats([sigma_init as f32], &self.device);
        self.denoise(z * sigma_init, sigma)
    }

    /// The log density ratio `[B, 1]`.
    pub fn logit(&self, x: Tensor<2>, sigma: Tensor<1>) -> Tensor<2> {
        let c_in = (column(sigma.clone()).square() + SIGMA_DATA * SIGMA_DATA).sqrt().recip();
        self.forward(c_in * x, sigma.log() / 4.0)
    }
}

/// `x [N]` as `[N, 1]`.
pub fn column(x: Tensor<1>) -> Tensor<2> {
    let n = x.dims()[0];
    x.reshape([n, 1])
}
