//! Samples of several evaluations: from noise level to noise level, as a [`Draw`] says.
//!
//! Invariant: a sample depends on its latent alone. The noise that a [`Rule::Jump`] adds is made of a hash of the
//! latent, so it is the same whatever the batch and the device.

use super::{SamplingError, all_finite, class_numbers, put_weights};
use crate::exec::{Executor, PlanId, RunArgs};
use crate::graph::Graph;
use crate::model::ModelFile;
use crate::nets::{Draw, NetworkConfig, Rule, renoise, sampler, walker};
use crate::plan::SLOT_ALIGN;

/// Prefix of the stores of a walk that is watched step by step.
const PREFIX: &str = "walk";
const PARAMETERS: &str = "walk.param";

/// Plans that draw `rows` samples at a time, from `{prefix}.latent` to `{prefix}.sample`.
pub struct Walk {
    /// From one level to the next; none if there is one level only.
    step: Option<PlanId>,
    last: PlanId,
    draw: Draw,
    prefix: String,
    rows: usize,
    width: usize,
    /// Steps done of a walk that is watched.
    level: usize,
}

impl Walk {
    /// Prepares the plans for a network whose weights are in the store `params`, and makes the stores that are not
    /// there yet.
    pub fn new(
        executor: &mut Executor,
        network: &NetworkConfig,
        draw: Draw,
        prefix: &str,
        params: &str,
        rows: usize,
    ) -> Result<Self, SamplingError> {
        Self::guided(executor, network, draw, prefix, params, rows, None)
    }

    /// The same with classifier-free guidance of this weight, in several levels.
    pub(crate) fn guided(
        executor: &mut Executor,
        network: &NetworkConfig,
        draw: Draw,
        prefix: &str,
        params: &str,
        rows: usize,
        guidance: Option<f32>,
    ) -> Result<Self, SamplingError> {
        let width: usize = network.data_shape().iter().product();
        let graph = Graph::new();
        let several = draw.sigmas.len() > 1;
        let noise = several && draw.rule == Rule::Jump;
        for (store, needed) in [("latent", true), ("sample", true), ("noise", noise)] {
            let store = format!("{prefix}.{store}");
            if needed && executor.store_len(&store).is_none() {
                executor.create_store(&store, (rows * width).next_multiple_of(SLOT_ALIGN))?;
            }
        }
        let (step, last) = if several {
            let [step, last] = walker(&graph, network, draw.rule, prefix, params, rows, guidance);
            (Some(executor.prepare(&step.build()?)?), last.build()?)
        } else {
            assert!(guidance.is_none(), "one evaluation is not guided");
            (None, sampler(&graph, network, draw.sigmas[0], prefix, params, rows).build()?)
        };
        let last = executor.prepare(&last)?;
        Ok(Self { step, last, draw, prefix: prefix.to_owned(), rows, width, level: 0 })
    }

    /// Puts a model on a device that draws `rows` samples at a time and is watched; of the first class, if it has
    /// classes, until [others are said](Walk::say).
    pub fn of_model(executor: &mut Executor, model: &ModelFile, rows: usize) -> Result<Self, SamplingError> {
        put_weights(executor, PARAMETERS, model)?;
        if model.meta.network.classes() > 0 {
            executor.create_store(&format!("{PREFIX}.class"), rows.next_multiple_of(SLOT_ALIGN))?;
        }
        Self::new(executor, &model.meta.network, model.meta.draw(), PREFIX, PARAMETERS, rows)
    }

    /// Says of which classes, in turn, the samples of a model with classes are to be.
    pub fn say(&self, executor: &mut Executor, classes: &[u32]) -> Result<(), SamplingError> {
        Ok(executor.write(&self.store("class"), 0, &class_numbers(classes, self.rows))?)
    }

    /// Forgets the plans; the stores stay.
    pub fn release(self, executor: &mut Executor) {
        for plan in self.step.into_iter().chain([self.last]) {
            executor.release(plan);
        }
    }

    /// Samples at a time.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.draw.sigmas.len()
    }

    /// Steps done.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Evaluations of the network after `steps` steps.
    pub fn evaluations(&self, steps: usize) -> usize {
        let each = if self.draw.rule == Rule::Heun { 2 } else { 1 };
        (each * steps).min(self.draw.evaluations())
    }

    /// The noise level that the state has after `steps` steps.
    pub fn sigma(&self, steps: usize) -> f32 {
        self.draw.sigmas.get(steps).copied().unwrap_or(0.0)
    }

    fn store(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Draws samples of at most `rows` latents `[n, ..]`; they stay on the device, in `{prefix}.sample`.
    pub fn draw(&self, executor: &mut Executor, latents: &[f32]) -> Result<(), SamplingError> {
        let mut padded = latents.to_vec();
        padded.resize(self.rows * self.width, 0.0);
        self.begin(executor, &padded)?;
        for level in 0..self.steps() {
            self.step(executor, level, &padded)?;
        }
        Ok(())
    }

    fn begin(&self, executor: &mut Executor, latents: &[f32]) -> Result<(), SamplingError> {
        executor.write(&self.store("latent"), 0, latents)?;
        if self.step.is_some() {
            let noised: Vec<f32> = latents.iter().map(|z| z * self.draw.sigmas[0]).collect();
            executor.write(&self.store("sample"), 0, &noised)?;
        }
        Ok(())
    }

    fn step(&self, executor: &mut Executor, level: usize, latents: &[f32]) -> Result<(), SamplingError> {
        let (sigma, next) = (self.sigma(level), self.sigma(level + 1));
        // Scalars have the order in which the graph first uses them: the level, then the next one.
        let (plan, scalars): (_, &[f32]) = match self.step {
            None => (self.last, &[]),
            Some(_) if next == 0.0 => (self.last, &[sigma]),
            Some(step) => (step, &[sigma, next]),
        };
        if next > 0.0 && self.draw.rule == Rule::Jump {
            let noise = latents.chunks(self.width).flat_map(|latent| renoise(latent, level as u32));
            executor.write(&self.store("noise"), 0, &noise.collect::<Vec<f32>>())?;
        }
        Ok(executor.run(plan, &RunArgs { scalars, seed: 0, step: 0 })?)
    }

    /// Starts a walk that is watched, from latents `[rows, ..]`.
    pub fn start(&mut self, executor: &mut Executor, latents: &[f32]) -> Result<(), SamplingError> {
        assert_eq!(latents.len(), self.rows * self.width, "one latent per row");
        self.begin(executor, latents)?;
        self.level = 0;
        Ok(())
    }

    /// One step; returns the state, `None` after the last.
    pub async fn advance(&mut self, executor: &mut Executor) -> Result<Option<Vec<f32>>, SamplingError> {
        if self.level == self.steps() {
            return Ok(None);
        }
        let latents = match self.draw.rule {
            Rule::Jump => executor.read(&self.store("latent"), 0, self.rows * self.width).await?,
            Rule::Euler | Rule::Heun => Vec::new(),
        };
        self.step(executor, self.level, &latents)?;
        self.level += 1;
        let state = executor.read(&self.store("sample"), 0, self.rows * self.width).await?;
        all_finite(&state, self.width)?;
        Ok(Some(state))
    }
}
