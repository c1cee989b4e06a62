//! The denoiser with many evaluations beside the generator with one: Heun's method.
//!
//! Karras et al. 2022, algorithm 1 without noise: n levels take 2 n - 1 evaluations.

use super::{SamplingError, all_finite, batch_shape, put_weights};
use crate::exec::{Executor, PlanId, RunArgs};
use crate::graph::{Graph, Var};
use crate::model::ModelFile;
use crate::nets::{Params, heun_step, karras_sigmas, last_step};
use crate::plan::{Program, SLOT_ALIGN};

/// Noise levels: 18 take 35 evaluations, the number that Karras et al. report for small images.
const LEVELS: usize = 18;
/// Lowest level above 0.
const SIGMA_MIN: f32 = 0.002;
/// Power of the schedule.
const RHO: f32 = 7.0;

const PARAMETERS: &str = "teacher.param";
const STATE: &str = "teacher.x";
const SIGMA: &str = "sigma";
const NEXT: &str = "next";

/// A denoiser on a device, part of the way from noise to samples.
pub struct Teacher {
    step: PlanId,
    last: PlanId,
    sigmas: Vec<f32>,
    level: usize,
    rows: usize,
    width: usize,
}

impl Teacher {
    /// Puts a denoiser on a device that draws `rows` samples at a time.
    pub fn new(executor: &mut Executor, model: &ModelFile, rows: usize) -> Result<Self, SamplingError> {
        put_weights(executor, PARAMETERS, model)?;
        let width: usize = model.meta.data_shape.iter().product();
        executor.create_store(STATE, (rows * width).next_multiple_of(SLOT_ALIGN))?;
        let graph = Graph::new();
        let params = Params::new(&graph, PARAMETERS);
        let x = graph.input(STATE, 0, &batch_shape(rows, &model.meta.data_shape));
        let (sigma, next) = (graph.scalar(SIGMA), graph.scalar(NEXT));
        let denoise = |x, sigma| model.meta.network.denoiser(&params, x, sigma);
        let mut prepare = |name: &str, value: Var<'_>| -> Result<PlanId, SamplingError> {
            Ok(executor.prepare(&Program::new(name, &graph).output(value, STATE, 0).build()?)?)
        };
        let step = prepare("Heun step", heun_step(denoise, x, sigma, next))?;
        let last = prepare("last step", last_step(denoise, x, sigma))?;
        let sigmas = karras_sigmas(LEVELS, SIGMA_MIN, model.meta.sigma_init, RHO);
        Ok(Self { step, last, sigmas, level: 0, rows, width })
    }

    /// Samples at a time.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// Steps done.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Evaluations of the network after `steps` steps.
    pub fn evaluations(&self, steps: usize) -> usize {
        (2 * steps).min(2 * self.steps() - 1)
    }

    /// The noise level that the state has after `steps` steps.
    pub fn sigma(&self, steps: usize) -> f32 {
        self.sigmas[steps]
    }

    /// Starts from latents `[rows, ..]`, which the first noise level scales.
    pub fn start(&mut self, executor: &mut Executor, latents: &[f32]) -> Result<(), SamplingError> {
        assert_eq!(latents.len(), self.rows * self.width, "one latent per row");
        let noised: Vec<f32> = latents.iter().map(|z| z * self.sigmas[0]).collect();
        executor.write(STATE, 0, &noised)?;
        self.level = 0;
        Ok(())
    }

    /// One step, two evaluations (the last step one); returns the state, `None` after the last.
    pub async fn advance(&mut self, executor: &mut Executor) -> Result<Option<Vec<f32>>, SamplingError> {
        if self.level == self.steps() {
            return Ok(None);
        }
        let (sigma, next) = (self.sigmas[self.level], self.sigmas[self.level + 1]);
        // Scalars have the order in which the graph first uses them: the level, then the next one.
        let (plan, scalars): (_, &[f32]) = if next > 0.0 { (self.step, &[sigma, next]) } else { (self.last, &[sigma]) };
        executor.run(plan, &RunArgs { scalars, seed: 0, step: 0 })?;
        self.level += 1;
        let state = executor.read(STATE, 0, self.rows * self.width).await?;
        all_finite(&state, self.width)?;
        Ok(Some(state))
    }
}
