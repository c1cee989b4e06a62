//! Training steps of a tiny network on a GPU, against the same steps on the CPU executor.
//!
//! The network is one for points: [`super::cases`] has checked the convolutions, and software that
//! imitates a GPU takes minutes to compile the hundreds of kernels of a U-Net's steps.

use onestep_core::data::Density;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::nets::latent;
use onestep_core::train::{Config, METHODS, Method, MethodName, Setup, Trainer, TrainingData};

use super::{Outcome, read};

/// Samples that are compared.
const SAMPLES: u32 = 32;
/// Different orders of sums, carried through a network forward and backward; 1e-6 is usual.
const TOLERANCE: f64 = 1e-4;

/// Every update of every method once, then samples: gradients and samples are compared.
pub fn run(mut executor: Executor) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for method in METHODS {
        match check(executor, method, &mut outcomes) {
            Ok(given_back) => executor = given_back,
            Err(error) => {
                outcomes.push(Outcome::failed(format!("training steps of {}", method.name), &error));
                return outcomes;
            }
        }
    }
    outcomes
}

fn check(executor: Executor, method: &'static Method, outcomes: &mut Vec<Outcome>) -> anyhow::Result<Executor> {
    let mut device = trainer(executor, method)?;
    let mut cpu = trainer(Executor::Cpu(CpuExecutor::new()), method)?;
    for update in cpu.recipe().updates() {
        device.step(update.name)?;
        cpu.step(update.name)?;
        for network in update.declared(&cpu.setup, cpu.recipe()).updated {
            let store = format!("{network}.grad");
            let len = cpu.layout(network).len;
            let [got, want] = [&device, &cpu].map(|trainer| read(&trainer.executor, &store, len));
            let what = format!("{}, {} step: gradient of {network}", method.name, update.name);
            outcomes.push(compare(what, &got?, &want?));
        }
        // The next step starts from the same weights on both sides.
        for network in &cpu.recipe().networks {
            for store in network.state() {
                let weights = pollster::block_on(cpu.weights(network.name, store))?;
                device.executor.write(&format!("{}.{store}", network.name), 0, &weights)?;
            }
        }
    }
    let latents: Vec<f32> = (0..SAMPLES).flat_map(|seed| latent(seed, 2)).collect();
    let (got, want) = (pollster::block_on(device.sample(&latents))?, pollster::block_on(cpu.sample(&latents))?);
    outcomes.push(compare(format!("{}, samples", method.name), &got, &want));
    Ok(device.executor)
}

fn compare(what: String, got: &[f32], want: &[f32]) -> Outcome {
    let want: Vec<f64> = want.iter().map(|x| f64::from(*x)).collect();
    Outcome::compare(what, got, &want, TOLERANCE)
}

fn trainer(executor: Executor, method: &'static Method) -> anyhow::Result<Trainer> {
    let method = MethodName::from(method);
    let config = Config { method, batch: 32, width: 16, blocks: 2, sigma_init: 1.0, r1: 0.1, ..Config::default() };
    let data = TrainingData::density(Density::Gaussians8, 1);
    let network = data.network(&config);
    network.validate()?;
    Ok(Trainer::new(executor, Setup { network, data: data.spec.clone(), config }, &data.words)?)
}
