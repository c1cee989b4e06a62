//! The ratio network as a judge of samples.
//!
//! `score(x) = mean over i of l(x + sigma_i eps_i, sigma_i)`, the smallest noise levels first, where the pixels of an
//! image x are cut at black and white. Noise and levels are fixed, so that the score of a sample depends on that sample
//! alone.

use super::{SamplingError, batch_shape, check_classes, class_numbers, put_weights};
use crate::exec::{Executor, PlanId, RunArgs};
use crate::graph::Graph;
use crate::model::{ModelFile, ModelMeta};
use crate::nets::latent;
use crate::nets::{Params, given_labels};
use crate::plan::{Program, SLOT_ALIGN};

/// The noise levels of [`Verifier::new`]: by factors of two, from near the smallest at which the ratio network is trained
/// (`sigma_min`) to where details still show through the noise.
pub const SIGMAS: [f32; 4] = [0.05, 0.1, 0.2, 0.4];
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
        Self::at(executor, model, rows, &SIGMAS)
    }

    /// The same at other noise levels: each of them with noise of its own, also where one comes twice.
    pub fn at(executor: &mut Executor, model: &ModelFile, rows: usize, sigmas: &[f32]) -> Result<Self, SamplingError> {
        let shape = &model.meta.data_shape;
        let width: usize = shape.iter().product();
        put_weights(executor, PARAMETERS, model)?;
        let stride = width.next_multiple_of(SLOT_ALIGN);
        executor.create_store(NOISE, stride * sigmas.len())?;
        for i in 0..sigmas.len() {
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
        // As in training: of a number beyond black or white, nobody sees how far.
        let [black, white] = model.meta.data_range;
        let samples = if shape.len() == 3 { samples.clamp(black, white) } else { samples };
        let labels = given_labels(&graph, &model.meta.network, "verifier", rows);
        let logit = |(i, sigma): (usize, &f32)| {
            let noise = graph.input(NOISE, i * stride, &batch_shape(1, shape));
            model.meta.network.ratio(&params, samples + noise * *sigma, graph.full(*sigma, &[1]), labels)
        };
        let sum = sigmas.iter().enumerate().map(logit).reduce(|a, b| a + b).expect("there are noise levels");
        let mean = sum * (1.0 / sigmas.len() as f32);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::cpu::CpuExecutor;
    use crate::model::ModelKind;
    use crate::nets::{NetworkConfig, UnetConfig};

    /// A ratio network is trained on images that are cut at black and white; the judge saw what was beyond.
    #[test]
    fn what_is_blacker_than_black_is_judged_as_black() {
        let network = NetworkConfig::Unet(UnetConfig::tiny());
        let layout = network.ratio_layout();
        let weights: Vec<f32> = (0..layout.len).map(|i| 0.3 * (i as f32 * 0.7).sin()).collect();
        let model = ModelFile::new(ModelMeta::new(ModelKind::Ratio, network), &layout, &weights);
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let verifier = Verifier::new(&mut executor, &model, 3).unwrap();
        let picture = |black: f32| (0..64).map(move |i| if i % 3 == 0 { 0.9 } else { black });
        let samples: Vec<f32> = picture(-1.0).chain(picture(-1.4)).chain(picture(-0.9)).collect();
        let scores = pollster::block_on(verifier.scores_of(&mut executor, &samples, &[])).unwrap();
        assert_eq!(scores[0].to_bits(), scores[1].to_bits());
        assert!((scores[0] - scores[2]).abs() > 1e-4, "{scores:?}: a judge that sees nothing proves nothing");
    }
}
