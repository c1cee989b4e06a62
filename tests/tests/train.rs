//! Training as a whole: a step on the GPU against the same on the CPU, a run in WGSL that learns,
//! a resumed run that equals an uninterrupted one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onestep_core::data::Density;
use onestep_core::eval::energy::energy_distance;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{DeviceRequest, GpuExecutor, Limits};
use onestep_core::nets::{MlpConfig, NetworkConfig, UnetConfig};
use onestep_core::session::{Command, End, Event, Flow, Request, Session, Start};
use onestep_core::train::method::{GENERATOR, RATIO, Setup};
use onestep_core::train::{Config, DataSpec, Overrides, StepKind, Trainer, TrainingData, latent};
use onestep_tests::{Side, Tolerance, compare};
use pollster::block_on;

/// Two whole steps: forward and backward through two networks, in other orders of summation. A bound
/// that holds on llvmpipe; how much room it leaves has not been measured.
const STEP: Tolerance = Tolerance { name: "step", relative: 0.0, of_largest: 5e-4 };

fn cpu() -> Executor {
    let mut executor = CpuExecutor::new();
    executor.poison = true;
    Executor::Cpu(executor)
}

fn gpu() -> Executor {
    let request = DeviceRequest { limits: Limits::Web, deterministic: true, ..DeviceRequest::default() };
    Executor::Gpu(Box::new(
        block_on(GpuExecutor::new(&request)).expect("a Vulkan driver; `cargo xtask test` installs one"),
    ))
}

fn images() -> (Setup, Vec<u32>) {
    let network = NetworkConfig::Unet(UnetConfig::tiny());
    let data = DataSpec { shape: vec![8, 8, 1], rows: 40, bytes: true };
    let words = (0..data.store_len() as u32).map(|i| i.wrapping_mul(0x9E37_79B9)).collect();
    (Setup { network, data, config: Config { batch: 4, warmup_steps: 0, ..Config::default() } }, words)
}

/// Stores of both networks after a ratio step and a generator step.
fn after_one_iteration(executor: Executor) -> Vec<(String, Vec<f32>)> {
    let (setup, data) = images();
    let mut trainer = Trainer::new(executor, setup, &data).unwrap();
    let mut stores = Vec::new();
    for (network, kind) in [(RATIO, StepKind::Ratio), (GENERATOR, StepKind::Generator)] {
        // Weights away from the zeros that some layers start with, so that every gradient counts.
        let mut weights = block_on(trainer.weights(network, "param")).unwrap();
        weights.iter_mut().enumerate().for_each(|(i, w)| *w += 0.05 * (i as f32 * 0.7).sin());
        trainer.set_weights(network, &weights).unwrap();
        trainer.step(kind).unwrap();
        let len = trainer.layout(network).len;
        stores.push((
            format!("{network}.grad"),
            block_on(trainer.executor.read(&format!("{network}.grad"), 0, len)).unwrap(),
        ));
    }
    stores
}

#[test]
fn an_iteration_in_wgsl_matches_the_cpu_executor() {
    let (ours, theirs) = (after_one_iteration(gpu()), after_one_iteration(cpu()));
    for ((name, got), (_, want)) in ours.iter().zip(&theirs) {
        compare(name, Side { name: "gpu", values: got }, Side { name: "cpu", values: want }, STEP).unwrap();
        assert!(want.iter().any(|g| g.abs() > 1e-4), "{name} is all but zero: the comparison proves nothing");
    }
}

/// Distance of samples from a density after so many iterations.
fn distance_after(executor: Executor, iterations: usize) -> f64 {
    let density = Density::Gaussians8;
    let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 32, depth: 2 });
    let data = TrainingData::density(density, 1);
    let config = Config {
        batch: 128,
        warmup_steps: 0,
        sigma_init: 1.0,
        sigma_max: 5.0,
        lr_generator: 2e-3,
        lr_ratio: 4e-3,
        ema: 0.9,
        ..Config::default()
    };
    let setup = Setup { network, data: data.spec.clone(), config };
    let mut trainer = Trainer::new(executor, setup, &data.words).unwrap();
    for _ in 0..iterations {
        trainer.step(StepKind::Ratio).unwrap();
        trainer.step(StepKind::Generator).unwrap();
    }
    let mut samples = Vec::new();
    for batch in 0..32 {
        let latents: Vec<f32> = (64 * batch..64 * (batch + 1)).flat_map(|seed| latent(seed, 2)).collect();
        samples.extend(block_on(trainer.sample(&latents)).unwrap().chunks(2).map(|p| [p[0], p[1]]).collect::<Vec<_>>());
    }
    energy_distance(&density.sample(2048, 9), &samples, 2048).unwrap()
}

#[test]
fn training_in_wgsl_brings_samples_closer_to_the_data() {
    let (before, after) = (distance_after(gpu(), 0), distance_after(gpu(), 200));
    assert!(after < 0.3 * before, "energy distance {before} before, {after} after 200 iterations");
}

/// Runs a session to its end and returns the snapshot.
fn finish(mut session: Session, pause_once: bool) -> PathBuf {
    if pause_once {
        session.handle(Command::Pause);
        assert_eq!(block_on(session.advance()).unwrap(), Flow::Wait);
        session.handle(Command::Play);
    }
    while block_on(session.advance()).unwrap() != Flow::End {}
    session.last_snapshot().expect("a run with a folder leaves a snapshot").to_owned()
}

fn load(config: &Config) -> TrainingData {
    TrainingData::load(config, &mut |_| std::ops::ControlFlow::Continue(())).unwrap()
}

fn open(start: Start, data: TrainingData, outdir: &Path, events: &Arc<Mutex<Vec<Event>>>) -> Session {
    let request = Request { start, outdir: Some(outdir.to_owned()) };
    let sink = Arc::clone(events);
    let sink = Box::new(move |event| sink.lock().unwrap().push(event));
    let start = std::time::Instant::now();
    Session::open(&request, cpu(), data, sink, Box::new(move || start.elapsed().max(Duration::from_nanos(1)))).unwrap()
}

fn short(steps: u64) -> Config {
    let data = "gaussians".to_owned();
    let small = Config { batch: 32, width: 8, blocks: 1, ..Config::default() };
    // Rates that don't depend on where the run ends: the same steps, whether 9 or 20 are to come.
    Config { data, warmup_steps: 6, steps, cooldown: 0.0, snap: 5, tick: 4, ..small }
}

/// Everything that a checkpoint and a snapshot hold, bit for bit.
#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::default();
    let new = |steps| Start::New { preset: String::new(), config: Box::new(short(steps)), transfer: None };
    let whole = finish(open(new(20), load(&short(20)), &folder.path().join("whole"), &events), false);
    let parts = folder.path().join("parts");
    finish(open(new(9), load(&short(9)), &parts, &events), true);
    let overrides = Overrides { steps: Some(20), ..Overrides::default() };
    let resume = Start::Resume { path: parts.clone(), overrides: Box::new(overrides) };
    let resumed = finish(open(resume, load(&short(20)), &parts, &events), false);
    assert_ne!(whole, resumed);
    assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&resumed).unwrap(), "snapshots differ");
    let state = |snapshot: &Path| {
        let run = snapshot.parent().unwrap().parent().unwrap();
        std::fs::read(run.join("checkpoints/state-000026/state.safetensors")).unwrap()
    };
    assert_eq!(state(&whole), state(&resumed), "states differ");
    let ended = |e: &Event| matches!(e, Event::Done { end: End::Finished, .. });
    assert_eq!(events.lock().unwrap().iter().filter(|e| ended(e)).count(), 3);
}

#[test]
fn a_run_that_diverges_names_the_statistic_and_keeps_its_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::New { preset: String::new(), config: Box::new(short(2000)), transfer: None };
    // Whatever the networks do, a loss on such data is not a number.
    let mut data = load(&short(2000));
    data.words.fill(f32::INFINITY.to_bits());
    let mut session = open(start, data, folder.path(), &Arc::default());
    let error = loop {
        match block_on(session.advance()) {
            Ok(flow) => assert_eq!(flow, Flow::Continue, "the run ended as if nothing had happened"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("became") && error.contains("first in launch"), "{error}");
    for network in [GENERATOR, RATIO] {
        let weights = block_on(session.trainer().weights(network, "param")).unwrap();
        assert!(weights.iter().all(|w| w.is_finite()), "a bad gradient changed the {network}");
    }
    let state = folder.path().read_dir().unwrap().flatten().next().unwrap().path().join("latest.json");
    assert!(state.is_file(), "no checkpoint was kept");
}
