//! A generator on a device: latents in, samples out, one evaluation each.

use super::canary::Witness;
use super::{SamplingError, all_finite, put_weights};
use crate::exec::{Executor, PlanId, RunArgs};
use crate::graph::Graph;
use crate::model::{ModelFile, ModelMeta};
use crate::plan::SLOT_ALIGN;
use crate::train::latent;
use crate::train::method::sampler;

/// Images per run of the network: enough to fill small devices.
const IMAGES: usize = 64;
/// The same for networks of more than [`LARGE`] parameters, whose images take long on a processor.
const IMAGES_LARGE: usize = 8;
/// Parameters of a large network.
const LARGE: usize = 10_000_000;
/// Points per run of the network.
const POINTS: usize = 4096;

/// Prefix of the sampler's stores.
const PREFIX: &str = "sample";
const PARAMETERS: &str = "sample.param";
const LATENTS: &str = "sample.latent";
const SAMPLES: &str = "sample.sample";

/// A generator on a device.
pub struct Generator {
    meta: ModelMeta,
    /// Numbers per sample.
    width: usize,
    /// Batch sizes, ascending, with the plan of each that has been prepared.
    batches: Vec<(usize, Option<PlanId>)>,
    /// Checks the first sample of each plan, and which plans it has seen.
    witness: Option<(Box<Witness>, Vec<PlanId>)>,
}

impl Generator {
    /// Puts a generator on a device. It runs in batches of these sizes (ascending, at least one),
    /// the smallest that holds what is asked for; plans are prepared when they are first needed.
    pub fn new(executor: &mut Executor, model: &ModelFile, batches: &[usize]) -> Result<Self, SamplingError> {
        put_weights(executor, PARAMETERS, model)?;
        let meta = model.meta.clone();
        let width: usize = meta.data_shape.iter().product();
        let rows = batches.last().copied().expect("callers name at least one batch size");
        for store in [LATENTS, SAMPLES] {
            executor.create_store(store, (rows * width).next_multiple_of(SLOT_ALIGN))?;
        }
        Ok(Self { meta, width, batches: batches.iter().map(|rows| (*rows, None)).collect(), witness: None })
    }

    /// The same, for a device that may compute nonsense: the first sample of each plan is compared with the
    /// processor's.
    pub fn with_witness(mut self, model: &ModelFile) -> Result<Self, SamplingError> {
        self.witness = Some((Box::new(Witness::new(model)?), Vec::new()));
        Ok(self)
    }

    /// The batch size for drawing many samples of this model.
    pub fn usual_batch(meta: &ModelMeta) -> usize {
        match &meta.data_shape[..] {
            [_, _, _] if meta.network.generator_layout().parameters() > LARGE => IMAGES_LARGE,
            [_, _, _] => IMAGES,
            _ => POINTS,
        }
    }

    /// What the model says about itself.
    pub fn meta(&self) -> &ModelMeta {
        &self.meta
    }

    /// Samples per run of the network, at most.
    pub fn rows(&self) -> usize {
        self.batches[self.batches.len() - 1].0
    }

    /// Numbers per sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Makes the plan that will draw `count` samples at a time: what the first draw would wait for.
    pub fn prepare(&mut self, executor: &mut Executor, count: usize) -> Result<PlanId, SamplingError> {
        let index = self.batches.iter().position(|(rows, _)| *rows >= count).unwrap_or(self.batches.len() - 1);
        if let (_, Some(plan)) = self.batches[index] {
            return Ok(plan);
        }
        let graph = Graph::new();
        let ModelMeta { network, sigma_init, .. } = &self.meta;
        let plan = sampler(&graph, network, *sigma_init, PREFIX, PARAMETERS, self.batches[index].0).build()?;
        let plan = executor.prepare(&plan)?;
        self.batches[index].1 = Some(plan);
        Ok(plan)
    }

    /// The samples of latents `[n, ..]`, any number of them, one after the other.
    pub async fn draw(&mut self, executor: &mut Executor, latents: &[f32]) -> Result<Vec<f32>, SamplingError> {
        assert!(latents.len().is_multiple_of(self.width), "latents are rows of {} numbers", self.width);
        let mut samples = Vec::with_capacity(latents.len());
        for latents in latents.chunks(self.rows() * self.width) {
            let count = latents.len() / self.width;
            let plan = self.prepare(executor, count)?;
            let drawn = self.run(executor, plan, latents).await?;
            if let Some((witness, seen)) = &mut self.witness
                && !seen.contains(&plan)
            {
                let checked = witness.check(&latents[..self.width], &drawn[..self.width]).await;
                seen.push(plan);
                if checked.is_err() {
                    // Of a kernel that does not compile, a browser tells late: this run hears of it.
                    self.run(executor, plan, latents).await?;
                }
                checked?;
            }
            all_finite(&drawn, self.width)?;
            samples.extend(drawn);
        }
        Ok(samples)
    }

    /// What one run of a plan makes of at most as many latents as it has rows.
    pub(super) async fn run(
        &self,
        executor: &mut Executor,
        plan: PlanId,
        latents: &[f32],
    ) -> Result<Vec<f32>, SamplingError> {
        let count = latents.len() / self.width;
        let rows = self.batches.iter().map(|(rows, _)| *rows).find(|rows| *rows >= count).unwrap_or(self.rows());
        let mut padded = latents.to_vec();
        padded.resize(rows * self.width, 0.0);
        executor.write(LATENTS, 0, &padded)?;
        executor.run(plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
        Ok(executor.read(SAMPLES, 0, latents.len()).await?)
    }

    /// The samples of seeds: each depends on its seed alone.
    pub async fn draw_seeds(&mut self, executor: &mut Executor, seeds: &[u32]) -> Result<Vec<f32>, SamplingError> {
        let mut samples = Vec::with_capacity(seeds.len() * self.width);
        for seeds in seeds.chunks(self.rows()) {
            let latents: Vec<f32> = seeds.iter().flat_map(|seed| latent(*seed, self.width)).collect();
            samples.extend(self.draw(executor, &latents).await?);
        }
        Ok(samples)
    }
}
