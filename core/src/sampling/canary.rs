//! A small network on a device, against the same network on the processor.
//!
//! Drivers and browsers have bugs: a shader may compile and compute nonsense. Before a visitor sees
//! a picture, a network that has the layers of the shipped ones is run on both executors, once per start.

use super::{SamplingError, batch_shape};
use crate::exec::cpu::CpuExecutor;
use crate::exec::{Executor, RunArgs};
use crate::graph::Graph;
use crate::nets::{NetworkConfig, UnetConfig};
use crate::plan::SLOT_ALIGN;
use crate::train::latent;
use crate::train::method::sampler;

/// Prefix of the canary's stores.
const PREFIX: &str = "canary";
const PARAMETERS: &str = "canary.param";
/// Images in its batch: an odd number, so that no tile is full.
const ROWS: usize = 3;
/// Largest difference, of the largest magnitude. Rounding is meant to pass, a
/// wrong index, a lost barrier or a NaN is not.
const TOLERANCE: f32 = 1e-3;

/// Runs the canary on a device and on the processor.
///
/// # Errors
/// If the device fails, or computes something else.
pub async fn canary(executor: &mut Executor) -> Result<(), SamplingError> {
    let wanted = run(&mut Executor::Cpu(CpuExecutor::new())).await?;
    let got = run(executor).await;
    for store in [PARAMETERS, "canary.latent", "canary.sample"] {
        executor.remove_store(store);
    }
    let got = got?;
    let largest = wanted.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    for (index, (&got, &wanted)) in got.iter().zip(&wanted).enumerate() {
        let agrees = (got - wanted).abs() <= TOLERANCE * largest;
        if !agrees {
            return Err(SamplingError::Canary { got, wanted, index, count: ROWS * 64 });
        }
    }
    Ok(())
}

async fn run(executor: &mut Executor) -> Result<Vec<f32>, SamplingError> {
    // Without attention, which few networks have: every kind of kernel costs a start its compilation.
    let network =
        NetworkConfig::Unet(UnetConfig { attn_resolutions: Vec::new(), attn_middle: false, ..UnetConfig::tiny() });
    let layout = network.generator_layout();
    let (width, shape) = (64, batch_shape(ROWS, &network.data_shape()));
    // Away from the zeros that some layers start with.
    let first = layout.initial(1);
    let weights: Vec<f32> = first.iter().enumerate().map(|(i, w)| w + 0.05 * (i as f32 * 0.7).sin()).collect();
    let len = shape.iter().product::<usize>().next_multiple_of(SLOT_ALIGN);
    executor.create_store(PARAMETERS, weights.len())?;
    executor.write(PARAMETERS, 0, &weights)?;
    executor.create_store("canary.latent", len)?;
    executor.create_store("canary.sample", len)?;
    let latents: Vec<f32> = (0..ROWS as u32).flat_map(|seed| latent(seed, width)).collect();
    executor.write("canary.latent", 0, &latents)?;
    let graph = Graph::new();
    let plan = executor.prepare(&sampler(&graph, &network, 80.0, PREFIX, PARAMETERS, ROWS).build()?)?;
    executor.run(plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
    Ok(executor.read("canary.sample", 0, latents.len()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_agrees_with_itself_and_the_answer_is_not_trivial() {
        let mut executor = Executor::Cpu(CpuExecutor::new());
        pollster::block_on(canary(&mut executor)).unwrap();
        let samples = pollster::block_on(run(&mut executor)).unwrap();
        let spread = samples.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        assert!(spread > 0.1, "samples near {spread} prove nothing");
    }
}
