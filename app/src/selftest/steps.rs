//! Whole training steps of a tiny U-Net on a GPU, against the same steps on the CPU executor.

use onestep_core::data::Dataset;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::train::method::{Setup, StepKind};
use onestep_core::train::{Config, Multipliers, Trainer, TrainingData, latent};

use super::{Outcome, read};

/// Side of the images.
const SIDE: usize = 8;
/// Images of the data set, and samples that are compared.
const IMAGES: usize = 32;
/// Different orders of sums, carried through a network forward and backward.
const TOLERANCE: f64 = 5e-4;

/// One step of each kind, then samples: gradients and samples are compared.
pub fn run(executor: Executor) -> Vec<Outcome> {
    check(executor).unwrap_or_else(|error| vec![Outcome::failed("training steps", format!("{error:#}"))])
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
    let latents: Vec<f32> = (0..IMAGES as u32).flat_map(|seed| latent(seed, SIDE * SIDE)).collect();
    let (got, want) = (pollster::block_on(device.sample(&latents))?, pollster::block_on(cpu.sample(&latents))?);
    outcomes.push(compare("samples".to_owned(), &got, &want));
    Ok(outcomes)
}

fn compare(what: String, got: &[f32], want: &[f32]) -> Outcome {
    let want: Vec<f64> = want.iter().map(|x| f64::from(*x)).collect();
    Outcome::compare(what, got, &want, TOLERANCE)
}

fn trainer(executor: Executor) -> anyhow::Result<Trainer> {
    let config = Config {
        batch: 8,
        width: 8,
        multipliers: Multipliers(vec![1, 2]),
        attention: 2,
        r1: 0.1,
        ..Config::default()
    };
    let pixels = super::values(20, IMAGES * SIDE * SIDE).into_iter().map(|x| (127.5 + 127.5 * x) as u8).collect();
    let data = TrainingData::images(&Dataset::new("selftest", pixels, [IMAGES, SIDE, SIDE, 1])?);
    let network = data.network(&config);
    network.validate()?;
    Ok(Trainer::new(executor, Setup { network, data: data.spec.clone(), config }, &data.words)?)
}
