//! How samples are drawn from a network.

use serde::Serialize;

use super::{NetworkConfig, Params, SIGMA_DATA, euler_step, given_labels, heun_step, karras_sigmas, last_step};
use crate::graph::{Graph, Var};
use crate::json::Fields;
use crate::names::named;
use crate::plan::Program;
use crate::random::{normal, threefry2x32};

/// Lowest level above 0 of [`Draw::heun`].
const LOWEST: f32 = 0.002;
/// Power of its schedule.
const RHO: f32 = 7.0;
/// More levels than anybody walks.
pub const MOST_LEVELS: usize = 1000;

/// How a sample is made of a latent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Draw {
    /// What leads from one noise level to the next.
    pub rule: Rule,
    /// Noise levels at which the network is evaluated, falling; after the last comes 0.
    pub sigmas: Vec<f32>,
}

/// What leads from one noise level to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// To what the network makes of it, and new noise of the next level on that.
    Jump,
    /// Along the path, by Euler's method: one evaluation per level.
    Euler,
    /// Along the path, by Heun's method: two evaluations per level, one at the last.
    Heun,
}

named!(Rule, "rules": Jump = "jump", Euler = "euler", Heun = "heun");

impl Draw {
    /// What a JSON object says, as it is serialised.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut fields = Fields::parse(text)?;
        let draw = Self { rule: fields.required::<String>("rule")?.parse()?, sigmas: fields.required("sigmas")? };
        fields.finish()?;
        if draw.is_valid() { Ok(draw) } else { Err("noise levels should be positive and fall".to_owned()) }
    }

    /// One evaluation.
    pub fn once(sigma: f32) -> Self {
        Self { rule: Rule::Jump, sigmas: vec![sigma] }
    }

    /// Heun's method in `levels` levels from `sigma`, spaced as in equation 5 of Karras et al. 2022 (arXiv 2206.00364).
    pub fn heun(levels: usize, sigma: f32) -> Self {
        let mut sigmas = karras_sigmas(levels, LOWEST, sigma, RHO);
        sigmas.pop();
        Self { rule: Rule::Heun, sigmas }
    }

    /// Euler's method in `levels` levels from `sigma`, evenly spaced in the time `sigma / (1 + sigma)` of a rectified
    /// flow (arXiv 2209.03003).
    pub fn euler(levels: usize, sigma: f32) -> Self {
        let start = sigma / (1.0 + sigma);
        let time = |i: usize| start * (levels - i) as f32 / levels as f32;
        Self { rule: Rule::Euler, sigmas: (0..levels).map(|i| time(i) / (1.0 - time(i))).collect() }
    }

    /// Jumps in `levels` levels from `sigma`, evenly spaced in the logarithm down to the data's deviation: from that or
    /// below there is but one.
    pub fn jumps(levels: usize, sigma: f32) -> Self {
        let share = |i: usize| i as f32 / (levels.max(2) - 1) as f32;
        let lowest = SIGMA_DATA.min(sigma).ln() - sigma.ln();
        Self { rule: Rule::Jump, sigmas: (0..levels).map(|i| sigma * (share(i) * lowest).exp()).collect() }
    }

    /// The same rule in so many levels, from the same noise level. It need not be valid: see [`Draw::jumps`].
    #[must_use]
    pub fn with_levels(&self, levels: usize) -> Self {
        let sigma = self.sigmas[0];
        match self.rule {
            Rule::Jump => Self::jumps(levels, sigma),
            Rule::Euler => Self::euler(levels, sigma),
            Rule::Heun => Self::heun(levels, sigma),
        }
    }

    /// Whether it can be walked: at least one level, all positive, falling.
    pub fn is_valid(&self) -> bool {
        let falls = self.sigmas.windows(2).all(|pair| pair[1] < pair[0]);
        let positive = self.sigmas.iter().all(|sigma| *sigma > 0.0 && sigma.is_finite());
        (1..=MOST_LEVELS).contains(&self.sigmas.len()) && falls && positive
    }

    /// Evaluations of the network per sample.
    pub fn evaluations(&self) -> usize {
        let levels = self.sigmas.len();
        if self.rule == Rule::Heun { 2 * levels - 1 } else { levels }
    }
}

/// The latent of a seed: standard normal, `width` numbers that depend on the seed alone.
pub fn latent(seed: u32, width: usize) -> impl Iterator<Item = f32> {
    /// Keeps latents of samples apart from the random numbers of training.
    const STREAM: u32 = 0x4C41_5445;
    (0..width as u32).map(move |i| normal(threefry2x32([seed, STREAM], [0, i]))[0])
}

/// The program that turns `{prefix}.latent` into `{prefix}.sample`, `batch` at a time: one evaluation at the noise level
/// `sigma_init` of the network whose weights are in the store `params`. A conditional network takes the class of each
/// row from `{prefix}.class`.
pub fn sampler<'g>(
    graph: &'g Graph,
    network: &NetworkConfig,
    sigma_init: f32,
    prefix: &str,
    params: &str,
    batch: usize,
) -> Program<'g> {
    let shape: Vec<usize> = std::iter::once(batch).chain(network.data_shape()).collect();
    let latent = graph.input(&format!("{prefix}.latent"), 0, &shape);
    let labels = given_labels(graph, network, prefix, batch);
    let sample = network.generator(&Params::new(graph, params), latent, sigma_init, labels);
    Program::new("sample", graph).output(sample, &format!("{prefix}.sample"), 0)
}

/// The new noise of a jump from level `level` for the sample of a latent, as many standard normal numbers: they depend
/// on the latent's numbers alone.
pub fn renoise(latent: &[f32], level: u32) -> impl Iterator<Item = f32> + use<> {
    let key = latent.iter().fold([level, 0], |key, z| threefry2x32(key, [z.to_bits(), 0]));
    (0..latent.len() as u32).map(move |i| normal(threefry2x32(key, [0, i]))[0])
}

/// The programs that lead `{prefix}.sample` from one noise level to the next, with the scalars `sigma` and `next`, and
/// from the last to 0, with `sigma` alone. Jumps read `{prefix}.noise`, conditional networks `{prefix}.class`; these are
/// guided by the weight `guidance`, if there is one: `D(x | 0) + w (D(x | c) - D(x | 0))` (arXiv 2207.12598).
pub fn walker<'g>(
    graph: &'g Graph,
    network: &NetworkConfig,
    rule: Rule,
    prefix: &str,
    params: &str,
    batch: usize,
    guidance: Option<f32>,
) -> [Program<'g>; 2] {
    let shape: Vec<usize> = std::iter::once(batch).chain(network.data_shape()).collect();
    let state = format!("{prefix}.sample");
    let x = graph.input(&state, 0, &shape);
    let params = Params::new(graph, params);
    let labels = given_labels(graph, network, prefix, batch);
    let guided = |told: &dyn Fn(Option<Var<'g>>) -> Var<'g>| match guidance {
        // The page draws without guidance, which tells its compiler what to leave out.
        Some(weight) if labels.is_some() && cfg!(not(target_arch = "wasm32")) => {
            let untold = told(None);
            untold + (told(labels) - untold) * weight
        }
        _ => told(labels),
    };
    let denoise = |x, sigma| guided(&|labels| network.denoiser(&params, x, sigma, labels));
    let towards = |next| {
        let (params, guided) = (&params, &guided);
        move |x, sigma| guided(&|labels| network.denoiser_towards(params, x, sigma, next, labels))
    };
    let (sigma, next, end) = (graph.scalar("sigma"), graph.scalar("next"), graph.constant(0.0));
    let last = last_step(towards(end.reshape(&[1])), x, sigma);
    let step = match rule {
        Rule::Jump => last + next * graph.input(&format!("{prefix}.noise"), 0, &shape),
        Rule::Euler => euler_step(towards(next.reshape(&[1])), x, sigma, next),
        Rule::Heun => heun_step(denoise, x, sigma, next),
    };
    [("step", step), ("last step", last)].map(|(name, value)| Program::new(name, graph).output(value, &state, 0))
}
