//! The ratio network as a judge of samples.
//!
//! `score(x) = mean over i of l(x + sigma_i eps_i, sigma_i)`, the smallest noise levels first. Noise
//! and levels are fixed, so that the score of a sample depends on that sample alone.

use super::{SamplingError, batch_shape, check_classes, class_numbers, put_weights};
use crate::exec::{Executor, PlanId, RunArgs};
use crate::graph::Graph;
use crate::model::{ModelFile, ModelMeta};
use crate::nets::latent;
use crate::nets::{Params, given_labels};
use crate::plan::{Program, SLOT_ALIGN};

/// Noise levels by factors of two, from near the smallest at which the ratio network is trained
/// (`sigma_min`) to where details still show through the noise.
const SIGMAS: [f32; 4] = [0.05, 0.1, 0.2, 0.4];
/// Seeds of the noise, one per level: the golden ratio's bits, far from the seeds that people type.
const NOISE_SEED: u32 = 0x9E37_79B9;

const PARAMETERS: &str = "verifier.param";
const SAMPLES: &str = "verifier.sample";
const NOISE: &str = "verifier.noise";
const SCORES: &str = "verifier.score";
/// The class of each row, for a conditional model.
const CLASSES: &str = "verifier.class";

/// A ratio network on a device.
pub struct Verifier {
    plan: PlanId,
    rows: usize,
    width: usize,
    meta: ModelMeta,
}

impl Verifier {
    /// Puts a ratio network on a device that judges up to `rows` samples at a time.
    pub fn new(executor: &mut Executor, model: &ModelFile, rows: usize) -> Result<Self, SamplingError> {
        let shape = &model.meta.data_shape;
        let width: usize = shape.iter().product();
        put_weights(executor, PARAMETERS, model)?;
        let stride = width.next_multiple_of(SLOT_ALIGN);
        executor.create_store(NOISE, stride * SIGMAS.len())?;
        for i in 0..SIGMAS.len() {
            let noise: Vec<f32> = latent(NOISE_SEED.wrapping_add(i as u32), width).collect();
            executor.write(NOISE, i * stride, &noise)?;
        }
        executor.create_store(SAMPLES, (rows * width).next_multiple_of(SLOT_ALIGN))?;
        executor.create_store(SCORES, rows.next_multiple_of(SLOT_ALIGN))?;
        if model.meta.network.classes() > 0 {
            executor.create_store(CLASSES, rows.next_multiple_of(SLOT_ALIGN))?;
        }

        let graph = Graph::new();
        let params = Params::new(&graph, PARAMETERS);
        let samples = graph.input(SAMPLES, 0, &batch_shape(rows, shape));
        let labels = given_labels(&graph, &model.meta.network, "verifier", rows);
        let logit = |(i, sigma): (usize, &f32)| {
            let noise = graph.input(NOISE, i * stride, &batch_shape(1, shape));
            model.meta.network.ratio(&params, samples + noise * *sigma, graph.full(*sigma, &[1]), labels)
        };
        let sum = SIGMAS.iter().enumerate().map(logit).reduce(|a, b| a + b).expect("there are noise levels");
        let mean = sum * (1.0 / SIGMAS.len() as f32);
        let plan = Program::new("verifier", &graph).output(mean, SCORES, 0).build()?;
        Ok(Self { plan: executor.prepare(&plan)?, rows, width, meta: model.meta.clone() })
    }

    /// The scores of any number of samples, as samples of these classes in turn (none: the first class): higher is closer
    /// to the data. A ratio network without classes takes none.
    pub async fn scores_of(
        &self,
        executor: &mut Executor,
        samples: &[f32],
        classes: &[u32],
    ) -> Result<Vec<f32>, SamplingError> {
        check_classes(&self.meta, classes)?;
        let mut classes = class_numbers(classes, samples.len() / self.width).into_iter();
        let mut scores = Vec::with_capacity(samples.len() / self.width);
        for samples in samples.chunks(self.rows * self.width) {
            let mut padded = samples.to_vec();
            padded.resize(self.rows * self.width, 0.0);
            executor.write(SAMPLES, 0, &padded)?;
            if self.meta.network.classes() > 0 {
                let classes: Vec<f32> = classes.by_ref().take(self.rows).collect();
                executor.write(CLASSES, 0, &classes)?;
            }
            executor.run(self.plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
            scores.extend(executor.read(SCORES, 0, samples.len() / self.width).await?);
        }
        super::all_finite(&scores, 1)?;
        Ok(scores)
    }
}
