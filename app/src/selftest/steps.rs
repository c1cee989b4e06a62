//! Training steps of a tiny network on a GPU, against the same steps on the CPU executor.
//!
//! The network is one for points: [`super::cases`] has checked the convolutions, and software that
//! imitates a GPU takes minutes to compile the hundreds of kernels of a U-Net's steps.

use onestep_core::data::Density;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::train::method::{Setup, StepKind};
use onestep_core::train::{Config, Trainer, TrainingData, latent};

use super::{Outcome, read};

/// Samples that are compared.
const SAMPLES: u32 = 32;
/// Different orders of sums, carried through a network forward and backward; 1e-6 is usual.
const TOLERANCE: f64 = 1e-4;

/// One step of each kind, then samples: gradients and samples are compared.
pub fn run(executor: Executor) -> Vec<Outcome> {
    check(executor).unwrap_or_else(|error| vec![Outcome::failed("training steps", &error)])
}

fn check(executor: Executor) -> anyhow::Result<Vec<Outcome>> {
    let mut device = trainer(executor)?;
    let mut cpu = trainer(Executor::Cpu(CpuExecutor::new()))?;
    let mut outcomes = Vec::new();
    for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
        device.step(kind)?;
        cpu.step(kind)?;
        let store = format!("{}.grad", kind.network());
        let len = cpu.layout(kind.network()).len;
        let [got, want] = [&device, &cpu].map(|trainer| read(&trainer.executor, &store, len));
        outcomes.push(compare(format!("{kind:?} step: gradient"), &got?, &want?));
        // The next step starts from the same weights on both sides.
        for network in ["generator", "ratio"] {
            let weights = pollster::block_on(cpu.weights(network, "param"))?;
            device.executor.write(&format!("{network}.param"), 0, &weights)?;
            let average = pollster::block_on(cpu.weights(network, "ema"))?;
            device.executor.write(&format!("{network}.ema"), 0, &average)?;
        }
    }
    let latents: Vec<f32> = (0..SAMPLES).flat_map(|seed| latent(seed, 2)).collect();
    let (got, want) = (pollster::block_on(device.sample(&latents))?, pollster::block_on(cpu.sample(&latents))?);
    outcomes.push(compare("samples".to_owned(), &got, &want));
    Ok(outcomes)
}

fn compare(what: String, got: &[f32], want: &[f32]) -> Outcome {
    let want: Vec<f64> = want.iter().map(|x| f64::from(*x)).collect();
    Outcome::compare(what, got, &want, TOLERANCE)
}

fn trainer(executor: Executor) -> anyhow::Result<Trainer> {
    let config = Config { batch: 32, width: 16, blocks: 2, sigma_init: 1.0, r1: 0.1, ..Config::default() };
    let data = TrainingData::density(Density::Gaussians8, 1);
    let network = data.network(&config);
    network.validate()?;
    Ok(Trainer::new(executor, Setup { network, data: data.spec.clone(), config }, &data.words)?)
}
