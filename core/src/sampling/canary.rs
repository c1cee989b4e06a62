//! What a device computes, against the processor.
//!
//! Drivers and browsers have bugs: a shader may compile and compute nonsense. A [`Witness`] knows what
//! a generator should have drawn, at no cost of a GPU's start; [`canary`] is for devices that will
//! train, whose kernels are others.

use super::{Generator, SamplingError};
use crate::exec::cpu::CpuExecutor;
use crate::exec::{Executor, RunArgs};
use crate::graph::Graph;
use crate::model::ModelFile;
use crate::nets::latent;
use crate::nets::sampler;
use crate::nets::{MlpConfig, NetworkConfig};
use crate::plan::SLOT_ALIGN;

/// Prefix of the canary's stores.
const PREFIX: &str = "canary";
const PARAMETERS: &str = "canary.param";
/// Points in its batch: an odd number, so that no tile is full.
const ROWS: usize = 67;
/// Largest difference of the canary, of the largest magnitude. Rounding is meant to pass, a
/// wrong index, a lost barrier or a NaN is not.
const TOLERANCE: f32 = 1e-3;
/// The same for a generator, which has tens of layers: four grey levels.
const TOLERANCE_DEEP: f32 = 3e-2;

/// A generator on the processor.
pub struct Witness {
    executor: Executor,
    generator: Generator,
}

impl Witness {
    /// The double of a model on a device.
    pub fn new(model: &ModelFile) -> Result<Self, SamplingError> {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let mut generator = Generator::new(&mut executor, model, &[1])?;
        generator.prepare(&mut executor, 1)?;
        Ok(Self { executor, generator })
    }

    /// Whether `sample` is what becomes of `latent`, one row of numbers each; `class` is its class in a list of one.
    ///
    /// # Errors
    /// If the processor finds something else.
    pub async fn check(&mut self, latent: &[f32], class: &[f32], sample: &[f32]) -> Result<(), SamplingError> {
        let Self { executor, generator } = self;
        compare(sample, &generator.run(executor, latent, class).await?, TOLERANCE_DEEP)
    }
}

/// Runs a small network that a plane's training has on a device and on the processor.
///
/// # Errors
/// If the device fails, or computes something else.
pub async fn canary(executor: &mut Executor) -> Result<(), SamplingError> {
    let wanted = run(&mut Executor::Cpu(CpuExecutor::new())).await?;
    let got = run(executor).await;
    for store in [PARAMETERS, "canary.latent", "canary.sample"] {
        executor.remove_store(store);
    }
    compare(&got?, &wanted, TOLERANCE)
}

fn compare(got: &[f32], wanted: &[f32], tolerance: f32) -> Result<(), SamplingError> {
    let largest = wanted.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    for (index, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
        // Weights that diverge on the processor, too, are no fault of the device.
        let agrees = (got - wanted).abs() <= tolerance * largest || !wanted.is_finite();
        if !agrees {
            return Err(SamplingError::Canary { got, wanted, index });
        }
    }
    Ok(())
}

async fn run(executor: &mut Executor) -> Result<Vec<f32>, SamplingError> {
    let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 32, depth: 1, label_dim: 0, two_times: false });
    let layout = network.generator_layout();
    // Away from the zeros that some layers start with.
    let first = layout.initial(1);
    let moved = |(i, w): (usize, &f32)| w + 0.05 * (f64::from(i as u32) * 0.7).sin() as f32;
    let weights: Vec<f32> = first.iter().enumerate().map(moved).collect();
    let latents: Vec<f32> = (0..ROWS as u32).flat_map(|seed| latent(seed, 2)).collect();
    let len = latents.len().next_multiple_of(SLOT_ALIGN);
    executor.create_store(PARAMETERS, weights.len())?;
    executor.write(PARAMETERS, 0, &weights)?;
    executor.create_store("canary.latent", len)?;
    executor.create_store("canary.sample", len)?;
    executor.write("canary.latent", 0, &latents)?;
    let graph = Graph::new();
    let plan = executor.prepare(&sampler(&graph, &network, 80.0, PREFIX, PARAMETERS, ROWS).build()?)?;
    executor.run(plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
    Ok(executor.read("canary.sample", 0, latents.len()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelKind, ModelMeta};
    use crate::nets::UnetConfig;

    #[test]
    fn the_processor_agrees_with_itself_and_the_answer_is_not_trivial() {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        pollster::block_on(canary(&mut executor)).unwrap();
        let samples = pollster::block_on(run(&mut executor)).unwrap();
        let spread = samples.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        assert!(spread > 0.1, "samples near {spread} prove nothing");
    }

    #[test]
    fn a_device_that_draws_something_else_is_found_out_by_the_first_sample() {
        let network = NetworkConfig::Unet(UnetConfig::tiny());
        let layout = network.generator_layout();
        let meta = ModelMeta::new(ModelKind::Generator, network);
        let [model, other] = [0.02, 0.03].map(|shift| {
            let weights: Vec<f32> = layout.initial(1).iter().map(|w| w + shift).collect();
            ModelFile::new(meta.clone(), &layout, &weights)
        });
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let mut draw = |witnessed: &ModelFile| {
            let generator = Generator::new(&mut executor, &model, &[1, 4]).unwrap();
            let mut generator = generator.with_witness(witnessed).unwrap();
            pollster::block_on(generator.draw_seeds(&mut executor, &[5, 6, 7]))
        };
        assert!(draw(&model).is_ok());
        assert!(matches!(draw(&other), Err(SamplingError::Canary { .. })));
    }

    #[test]
    fn nonsense_is_noticed_and_rounding_is_not() {
        let compare = |got: &[f32], wanted: &[f32]| compare(got, wanted, TOLERANCE);
        assert!(compare(&[1.0, 2.0001], &[1.0, 2.0]).is_ok());
        for wrong in [2.01, f32::NAN, f32::INFINITY] {
            assert!(matches!(compare(&[1.0, wrong], &[1.0, 2.0]), Err(SamplingError::Canary { index: 1, .. })));
        }
        assert!(compare(&[f32::NAN], &[f32::NAN]).is_ok(), "a diverged model is another error");
    }
}
