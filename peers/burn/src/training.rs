//! The updates of DiffRatio in burn: warm-up, ratio network, generator; and the optimizer.

use std::collections::BTreeMap;

use burn::optim::{Adam, AdamConfig, AdamState, Optimizer};
use burn::tensor::activation::softplus;
use burn::tensor::{Bool, Device, Gradients, Tensor};
use peer_common::Value;

use crate::nets::{Head, Net, Param, Params, column, each};

/// Bins of noise levels.
pub const BINS: usize = 16;
/// Share of a step in the running means by bin.
const BIN_RATE: f32 = 0.05;

/// What an update draws, as rows; `u` are the numbers in 0 to 1 behind the noise levels.
#[derive(Clone)]
pub struct Drawn {
    pub real: Tensor<2>,
    pub latent: Tensor<2>,
    pub sigma: Tensor<1>,
    pub u: Tensor<1>,
    pub noise_real: Tensor<2>,
    pub noise_fake: Tensor<2>,
}

/// The networks of a run without gradients, and what they are told.
pub struct Nets<'a> {
    pub config: &'a Value,
    pub device: &'a Device,
    pub sigma_init: f64,
}

impl Nets<'_> {
    /// A network that is only evaluated; with gradients through it, on the device with gradients.
    pub fn net<'n>(&'n self, head: Head, params: &'n Params, through: bool) -> Net<'n> {
        let device = if through { self.device.clone().autodiff() } else { self.device.clone() };
        Net { config: self.config, head, params, device }
    }

    fn draws_images(&self) -> bool {
        self.config["type"] != "mlp"
    }

    /// Images have no numbers beyond -1 and 1.
    fn seen(&self, samples: Tensor<2>) -> Tensor<2> {
        if self.draws_images() { samples.clamp(-1.0, 1.0) } else { samples }
    }

    /// The denoising loss and its gradients.
    pub fn warmup(&self, generator: &Params, drawn: Drawn) -> (Tensor<1>, Params) {
        let params = tracked(generator);
        let sigma = drawn.sigma.autodiff();
        let real = drawn.real.autodiff();
        let x_t = real.clone() + column(sigma.clone()) * drawn.noise_real.autodiff();
        let denoised = self.net(Head::Denoise, &params, true).denoise(x_t, sigma.clone());
        let weight = (sigma.clone().square() + 0.25) / (sigma * 0.5).square();
        let loss = (column(weight) * (denoised - real).square()).mean();
        let gradients = loss.backward();
        (loss.inner(), collect(&params, &gradients))
    }

    /// The logistic loss, the gradients of the ratio network, and the running mean accuracies.
    pub fn ratio(
        &self,
        ratio: &Params,
        generator: &Params,
        drawn: Drawn,
        accuracy: Tensor<2>,
    ) -> (Tensor<1>, Params, Tensor<2>) {
        let fake = self.net(Head::Denoise, generator, false).generate(drawn.latent, self.sigma_init);
        let s = column(drawn.sigma.clone());
        let batch = s.dims()[0];
        let both =
            Tensor::cat(vec![drawn.real + s.clone() * drawn.noise_real, self.seen(fake) + s * drawn.noise_fake], 0);
        let params = tracked(ratio);
        let sigma = Tensor::cat(vec![drawn.sigma.clone(), drawn.sigma], 0).autodiff();
        let logit = self.net(Head::Logit, &params, true).logit(both.autodiff(), sigma);
        let (on_real, on_fake) = (logit.clone().narrow(0, 0, batch), logit.narrow(0, batch, batch));
        let is = |right: Tensor<2, Bool>| right.float() * 0.5;
        let right = is(on_real.clone().inner().greater_scalar(0.0)) + is(on_fake.clone().inner().lower_scalar(0.0));
        let (_, accuracy) = running_mean(accuracy, right, drawn.u);
        let loss = softplus(-on_real, 1.0).mean() + softplus(on_fake, 1.0).mean();
        let gradients = loss.backward();
        (loss.inner(), collect(&params, &gradients), accuracy)
    }

    /// The loss of the divergence reverse-kl, the generator's gradients, and the running mean squares of the pull.
    pub fn generator(
        &self,
        generator: &Params,
        ratio: &Params,
        drawn: Drawn,
        squares: Tensor<2>,
        accuracy: Tensor<2>,
    ) -> (Tensor<1>, Params, Tensor<2>) {
        let params = tracked(generator);
        let net = self.net(Head::Denoise, &params, true);
        let fake = net.generate(drawn.latent.autodiff(), self.sigma_init);
        let s = column(drawn.sigma.clone());
        let x = fake.clone().inner().autodiff().require_grad();
        let x_t = self.seen(x.clone()) + s.clone().autodiff() * drawn.noise_fake.autodiff();
        let frozen: Params = ratio.iter().map(|(k, p)| (k.clone(), each!(p, p => p.clone().autodiff()))).collect();
        let logit = self.net(Head::Logit, &frozen, true).logit(x_t, drawn.sigma.autodiff());
        let gradients = (-logit.clone().sum()).backward();
        let d_x = x.grad(&gradients).expect("it was asked for") * s.square();
        let bins = indicator(drawn.u.clone()).transpose();
        let (own, squares) = running_mean(squares, d_x.clone().square().mean_dim(1), drawn.u);
        let [batch, width] = d_x.dims();
        let mut d_x = d_x / (own + 1e-12).sqrt() / (batch as f64 * (width as f64).sqrt());
        if self.draws_images() {
            d_x = d_x * bins.matmul((accuracy * 2.0 - 1.0).clamp_min(0.0));
        }
        let gradients = (fake * d_x.autodiff()).sum().backward();
        (-logit.inner().mean(), collect(&params, &gradients), squares)
    }
}

fn tracked(params: &Params) -> Params {
    let track = |(name, p): (&String, &Param)| (name.clone(), each!(p, p => p.clone().autodiff().require_grad()));
    params.iter().map(track).collect()
}

fn collect(params: &Params, gradients: &Gradients) -> Params {
    let all = params.iter();
    all.map(|(name, p)| (name.clone(), each!(p, p => p.grad(gradients).expect("every parameter is used")))).collect()
}

/// Running mean per bin `[BINS, 1]` of `values [B, 1]`: each value's own, and all. A bin that is still 0 takes the first
/// mean as it comes; one without a value keeps its own.
fn running_mean(old: Tensor<2>, values: Tensor<2>, u: Tensor<1>) -> (Tensor<2>, Tensor<2>) {
    let indicator = indicator(u);
    let count = indicator.clone().sum_dim(1);
    let mean = indicator.clone().matmul(values) / count.clone().clamp_min(1.0);
    let fresh = old.clone().equal_elem(0.0).float();
    let rate = count.clamp_max(1.0) * (fresh * (1.0 - BIN_RATE) + BIN_RATE);
    let new = old.clone() + rate * (mean - old);
    (indicator.transpose().matmul(new.clone()), new)
}

/// `[BINS, B]`: 1 where a value is in a bin.
fn indicator(u: Tensor<1>) -> Tensor<2> {
    let (batch, device) = (u.dims()[0], u.device());
    let bins: Vec<f32> = (0..BINS).map(|k| k as f32).collect();
    let k = Tensor::<1>::from_floats(&bins[..], &device).reshape([BINS, 1]);
    let bin = (u * BINS as f32).floor().clamp_max(BINS as f32 - 1.0).reshape([1, batch]);
    (bin - k).abs().lower_scalar(0.5).float()
}

/// A state of burn's Adam for a parameter of any rank.
enum State {
    One(Option<AdamState<1>>),
    Two(Option<AdamState<2>>),
    Four(Option<AdamState<4>>),
}

/// burn's Adam with clipping by the norm of all gradients, and a moving average of the weights.
pub struct Training {
    adam: Adam,
    rate: f64,
    clip: f64,
    ema: f64,
    steps: u32,
    states: BTreeMap<String, State>,
    average: Option<Params>,
}

impl Training {
    pub fn new((rate, beta1, beta2): (f64, f32, f32), clip: f64, ema: f64) -> Self {
        let adam = AdamConfig::new().with_beta_1(beta1).with_beta_2(beta2).with_epsilon(1e-8).build();
        Self { adam, rate, clip, ema, steps: 0, states: BTreeMap::new(), average: None }
    }

    /// One step.
    pub fn step(&mut self, params: &mut Params, gradients: Params) {
        self.steps += 1;
        let scale = self.scale(&gradients);
        for (name, gradient) in gradients {
            let param = params.get_mut(&name).expect("gradients have the parameters' names");
            let state = self.states.remove(&name);
            let (adam, rate) = (&self.adam, self.rate);
            macro_rules! step {
                ($variant:ident, $rank:literal, $p:ident, $g:ident) => {{
                    let state = if let Some(State::$variant(state)) = state { state } else { None };
                    let gradient = $g * scale.clone().reshape([1; $rank]);
                    let (new, state) = adam.step(rate, $p.clone(), gradient, state);
                    *$p = new;
                    State::$variant(state)
                }};
            }
            let state = match (param, gradient) {
                (Param::One(p), Param::One(g)) => step!(One, 1, p, g),
                (Param::Two(p), Param::Two(g)) => step!(Two, 2, p, g),
                (Param::Four(p), Param::Four(g)) => step!(Four, 4, p, g),
                _ => unreachable!("a gradient has the rank of its parameter"),
            };
            self.states.insert(name, state);
        }
        let decay = self.ema.min(f64::from(self.steps) / (f64::from(self.steps) + 9.0));
        let average = self.average.get_or_insert_with(|| params.clone());
        for (name, param) in params {
            let old = average.remove(name).expect("it began as the parameters");
            let new = match (old, &*param) {
                (Param::One(a), Param::One(p)) => Param::One(a.clone() + (p.clone() - a) * (1.0 - decay)),
                (Param::Two(a), Param::Two(p)) => Param::Two(a.clone() + (p.clone() - a) * (1.0 - decay)),
                (Param::Four(a), Param::Four(p)) => Param::Four(a.clone() + (p.clone() - a) * (1.0 - decay)),
                _ => unreachable!("an average has the rank of its parameter"),
            };
            average.insert(name.clone(), new);
        }
    }

    /// What gradients are multiplied by so that their norm is no more than the limit; it stays on the device.
    fn scale(&self, gradients: &Params) -> Tensor<1> {
        let square = |gradient: &Param| match gradient {
            Param::One(g) => g.clone().square().sum(),
            Param::Two(g) => g.clone().square().sum(),
            Param::Four(g) => g.clone().square().sum(),
        };
        let total = gradients.values().map(square).reduce(|a, b| a + b).expect("a network has parameters");
        if self.clip > 0.0 { (total.sqrt().recip() * self.clip).clamp_max(1.0) } else { total.ones_like() }
    }
}
