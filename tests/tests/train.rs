//! Training as a whole: a step on the GPU against the same on the CPU, a run in WGSL that learns,
//! a resumed run that equals an uninterrupted one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onestep_core::data::{Density, write_npy_f32};
use onestep_core::eval::energy::energy_distance;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{DeviceRequest, GpuExecutor, Limits};
use onestep_core::model::ModelFile;
use onestep_core::nets::{MlpConfig, NetworkConfig, UnetConfig, cycle, latent};
use onestep_core::random::threefry2x32;
use onestep_core::session::{Command, End, Event, Flow, Request, Session, SessionError, Start};
use onestep_core::train::{
    Config, DataSpec, METHODS, Method, MethodName, Need, Overrides, Setup, Trainer, TrainingData,
};
use onestep_tests::{Side, Tolerance, compare};
use pollster::block_on;

/// A whole update: forward and backward through two networks, in other orders of summation.
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

/// Grey images 8 pixels high, of so many classes (0: none).
fn images(width: usize, classes: usize) -> (Setup, Vec<u32>) {
    let width_of = (width != 8).then_some(width);
    let network = NetworkConfig::Unet(UnetConfig { width: width_of, label_dim: classes, ..UnetConfig::tiny() });
    let data = DataSpec { shape: vec![8, width, 1], rows: 40, bytes: true, classes };
    let words = (0..data.store_len() as u32).map(|i| i.wrapping_mul(0x9E37_79B9)).collect();
    (Setup { network, data, config: Config { batch: 4, warmup_steps: 0, ..Config::default() } }, words)
}

/// Gradients of every update of a method, each run once.
fn gradients(executor: Executor, method: MethodName, width: usize, classes: usize) -> Vec<(String, Vec<f32>)> {
    let (mut setup, data) = images(width, classes);
    setup.config.method = method;
    let mut trainer = Trainer::new(executor, setup, &data).unwrap();
    trainer.set_labels(&cycle(40, classes)).unwrap();
    // Weights away from the zeros that some layers start with, and another way for each network, so that every gradient
    // counts.
    let away = |name: &'static str| {
        let mut weights = block_on(trainer.weights(name, "param")).unwrap();
        let phase = name.bytes().map(f32::from).sum::<f32>();
        weights.iter_mut().enumerate().for_each(|(i, w)| *w += 0.05 * (i as f32 * 0.7 + phase).sin());
        (name, weights)
    };
    let weights: Vec<_> = trainer.recipe().networks.iter().map(|network| away(network.name)).collect();
    let mut stores = Vec::new();
    for update in trainer.recipe().updates() {
        // Each from the same weights: of a slope that is nothing but rounding, Adam makes a whole step.
        for (name, weights) in &weights {
            trainer.set_weights(name, weights).unwrap();
        }
        let declared = update.declared(&trainer.setup, trainer.recipe());
        // As after other steps: of an accuracy up to a half diffratio makes nothing.
        for (store, len) in declared.remembered {
            let values: Vec<f32> = (0..len).map(|i| 0.75 + 0.2 * (i as f32 * 0.37).sin()).collect();
            trainer.executor.write(store, 0, &values).unwrap();
        }
        trainer.step(update.name).unwrap();
        for network in declared.updated {
            let len = trainer.layout(network).len;
            let values = block_on(trainer.executor.read(&format!("{network}.grad"), 0, len)).unwrap();
            stores.push((format!("{method}, {}: {network}.grad", update.name), values));
        }
    }
    stores
}

/// Devices that compile at once. A software driver compiles each device's shaders on one core, and a step takes no time
/// beside that; more would crowd a real card.
const DEVICES: usize = 4;

#[test]
fn every_update_in_wgsl_matches_the_cpu_executor() {
    // Images that are no squares, squares, and images with classes.
    let first = [(&METHODS[0], 12, 0), (&METHODS[0], 8, 0)];
    let cases = Mutex::new(first.into_iter().chain(METHODS.iter().map(|method| (method, 8, 3))));
    let next = || cases.lock().unwrap().next();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(DEVICES);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((method, width, classes)) = next() {
                    updates_match(method, width, classes);
                }
            });
        }
    });
}

fn updates_match(method: &'static Method, width: usize, classes: usize) {
    println!("{}", method.name);
    let run = |executor| gradients(executor, method.into(), width, classes);
    let (ours, theirs) = (run(gpu()), run(cpu()));
    assert!(!ours.is_empty(), "{} trains nothing", method.name);
    for ((name, got), (_, want)) in ours.iter().zip(&theirs) {
        compare(name, Side { name: "gpu", values: got }, Side { name: "cpu", values: want }, STEP).unwrap();
        assert!(want.iter().any(|g| g.abs() > 1e-4), "{name} is all but zero: the comparison proves nothing");
    }
}

/// Distance of samples from a density after so many iterations.
fn distance_after(executor: Executor, iterations: usize) -> f64 {
    let density = Density::Gaussians8;
    let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 32, depth: 2, label_dim: 0, two_times: false });
    let data = TrainingData::density(density, 1);
    let config = Config {
        batch: 128,
        warmup_steps: 0,
        sigma_init: 1.0,
        sigma_max: 5.0,
        lr_generator: 2e-3,
        lr_critic: 4e-3,
        ema: 0.9,
        ..Config::default()
    };
    let setup = Setup { network, data: data.spec.clone(), config };
    let mut trainer = Trainer::new(executor, setup, &data.words).unwrap();
    for _ in 0..iterations {
        trainer.step("ratio").unwrap();
        trainer.step("generator").unwrap();
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
    open_on(cpu(), start, data, outdir, events).unwrap()
}

fn open_on(
    executor: Executor,
    start: Start,
    data: TrainingData,
    outdir: &Path,
    events: &Arc<Mutex<Vec<Event>>>,
) -> Result<Session, SessionError> {
    let request = Request { start, outdir: Some(outdir.to_owned()) };
    let sink = Arc::clone(events);
    let sink = Box::new(move |event| sink.lock().unwrap().push(event));
    let start = std::time::Instant::now();
    Session::open(&request, executor, data, sink, Box::new(move || start.elapsed().max(Duration::from_nanos(1))))
}

fn short(steps: u64) -> Config {
    let data = "gaussians".to_owned();
    let small = Config { batch: 32, width: 8, blocks: 1, ..Config::default() };
    // Rates that don't depend on where the run ends: the same steps, whether 9 or 20 are to come.
    Config { data, warmup_steps: 6, steps, cooldown: 0.0, snap: 5, tick: 4, ..small }
}

/// Explore and `onestep sample` cut off what was beyond 1, and pictures of the run what was beyond 2.
#[test]
fn the_model_of_points_says_how_far_they_reach() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("far.npy");
    // The far one is not among those that stand for the rest, or hardly.
    let mut points = vec![0.5; 2 * 20_000];
    points[30_001] = -7.0;
    write_npy_f32(&file, &[20_000, 2], &points).unwrap();
    let config = Config { data: file.display().to_string(), warmup_steps: 0, ..short(2) };
    let start = Start::New { preset: String::new(), config: Box::new(config.clone()), transfer: None };
    let snapshot = finish(open(start, load(&config), folder.path(), &Arc::default()), false);
    let [low, high] = ModelFile::open(snapshot).unwrap().meta.data_range;
    assert!(-8.0 < low && low < -7.0 && high == -low, "{low} to {high}");
}

/// Everything that a checkpoint and a snapshot hold, bit for bit, of every method; stopped in each phase.
#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    for method in METHODS {
        let folder = tempfile::tempdir().unwrap();
        let events = Arc::default();
        let classes = u32::from(method.needs.contains(&Need::Classes));
        let lengths = Config { reflow_steps: 5, sharpen_steps: 5, round_steps: 1, degrade_steps: 1, ..short(14) };
        let config = Config { method: method.into(), classes, levels: 33, ..lengths };
        let start = || Start::New { preset: String::new(), config: Box::new(config.clone()), transfer: None };
        let whole = finish(open(start(), load(&config), &folder.path().join("whole"), &events), false);
        let parts = folder.path().join("parts");
        let mut session = open(start(), load(&config), &parts, &events);
        for stop in [3, 8, 13] {
            while session.iterations() < stop {
                assert_eq!(block_on(session.advance()).unwrap(), Flow::Continue);
            }
            session.handle(Command::Stop);
            finish(session, false);
            session = open(resume(&parts, Overrides::default()), load(&config), &parts, &events);
            assert_eq!(session.iterations(), stop, "{}", method.name);
        }
        let resumed = finish(session, true);
        assert_ne!(whole, resumed);
        assert!(
            std::fs::read(&whole).unwrap() == std::fs::read(&resumed).unwrap(),
            "{}: snapshots differ",
            method.name
        );
        let state = |outdir: &str| last_state(&only_run(&folder.path().join(outdir)));
        assert!(state("whole") == state("parts"), "{}: states differ", method.name);
        let ended = |e: &Event| matches!(e, Event::Done { end: End::Finished, .. });
        assert_eq!(events.lock().unwrap().iter().filter(|e| ended(e)).count(), 2);
    }
}

/// A device that is lost between steps, within one, or while a checkpoint is read back. `cargo xtask fault --losses`
/// asks for more of them.
#[test]
fn a_run_whose_device_is_lost_goes_on_to_the_same_end() {
    let losses: u32 = std::env::var("FAULT_LOSSES").map_or(3, |text| text.parse().expect("a number"));
    let start = || Start::New { preset: String::new(), config: Box::new(short(60)), transfer: None };
    let opened = |start, outdir: &Path| open_on(gpu(), start, load(&short(60)), outdir, &Arc::default());
    let folder = tempfile::tempdir().unwrap();
    finish(opened(start(), &folder.path().join("whole")).unwrap(), false);
    let wanted = last_state(&only_run(&folder.path().join("whole")));
    let (mut early, mut late) = (0, 0);
    for loss in 0..losses {
        let outdir = folder.path().join(format!("{loss}"));
        let mut session = opened(start(), &outdir).unwrap();
        let Executor::Gpu(executor) = session.executor() else { panic!("it trains on a GPU") };
        let device = executor.gpu().device.clone();
        let [turn, wait] = threefry2x32([loss, 0], [0, 0]);
        let (turn, wait) = (u64::from(turn % 60), Duration::from_micros(u64::from(wait % 10_000)));
        let mut other = None;
        let error = loop {
            // From then on within some milliseconds, in which there are some turns.
            if other.is_none() && session.iterations() >= turn {
                let device = device.clone();
                other = Some(std::thread::spawn(move || {
                    std::thread::sleep(wait);
                    device.destroy();
                }));
            }
            match block_on(session.advance()) {
                Ok(Flow::End) => break None,
                Ok(_) => {}
                Err(error) => break Some(error),
            }
        };
        other.expect("the run comes to that turn").join().unwrap();
        let Some(error) = error else {
            late += 1;
            continue;
        };
        assert!(error.is_device_lost(), "loss {loss}, {wait:?} after turn {turn}: {error:?}");
        drop(session);
        match opened(resume(&outdir, Overrides::default()), &outdir) {
            Ok(session) => {
                finish(session, false);
                assert!(
                    last_state(&only_run(&outdir)) == wanted,
                    "loss {loss}, {wait:?} after turn {turn}: another end"
                );
            }
            Err(error) => {
                early += 1;
                assert!(error.to_string().contains("no run with a checkpoint"), "loss {loss}: {error}");
            }
        }
    }
    println!("{losses} devices lost: {early} before the first checkpoint, {late} after the end");
}

/// What the last checkpoint of a run holds, bit for bit.
fn last_state(run: &Path) -> Vec<u8> {
    let states = run.join("checkpoints").read_dir().unwrap().flatten().map(|entry| entry.path());
    std::fs::read(states.max().expect("there is a checkpoint").join("state.safetensors")).unwrap()
}

fn only_run(outdir: &Path) -> PathBuf {
    outdir.read_dir().unwrap().next().expect("there is a run").unwrap().path()
}

fn set(session: &mut Session, knob: &str, value: &str) {
    session.handle(Command::Set { knob: knob.to_owned(), value: value.to_owned() });
}

/// Goes on to an iteration, turning knobs on the way from `first` on.
fn advance_to(session: &mut Session, first: u64, iteration: u64) {
    while session.iterations() < iteration {
        match session.iterations() {
            at if at < first => {}
            8 => set(session, "lr_critic", "0.0123"),
            12 => set(session, "divergence", "js"),
            14 => set(session, "divergence", "reverse-kl"),
            _ => {}
        }
        assert_eq!(block_on(session.advance()).unwrap(), Flow::Continue);
    }
}

fn resume(path: &Path, overrides: Overrides) -> Start {
    Start::Resume { path: path.to_owned(), overrides: Box::new(overrides) }
}

#[test]
fn settings_that_were_changed_survive_a_stop_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::default();
    let new = || Start::New { preset: String::new(), config: Box::new(short(20)), transfer: None };
    let begin = |name: &str| open(new(), load(&short(20)), &folder.path().join(name), &events);
    let mut whole = begin("whole");
    advance_to(&mut whole, 0, 16);
    finish(whole, false);
    let wanted = last_state(&only_run(&folder.path().join("whole")));
    // Stopped after one change, or killed: at 9 with a change since the checkpoint at 5, at 13 with one before the
    // checkpoint at 10 and one after it.
    for (name, at, stops) in [("stopped", 9, true), ("killed early", 9, false), ("killed late", 13, false)] {
        let mut session = begin(name);
        advance_to(&mut session, 0, at);
        if stops {
            session.handle(Command::Stop);
            finish(session, false);
        } else {
            drop(session);
        }
        let run = only_run(&folder.path().join(name));
        events.lock().unwrap().clear();
        let mut session = open(resume(&run, Overrides::default()), load(&short(20)), &run, &events);
        advance_to(&mut session, at, 16);
        assert_eq!(session.trainer().config().lr_critic, 0.0123, "{name}");
        finish(session, false);
        assert!(last_state(&run) == wanted, "{name}: another state than that of the run that was never stopped");
        let told = |e: &&Event| matches!(e, Event::Changed { knob, .. } if knob == "lr_critic");
        let told = events.lock().unwrap().iter().filter(told).count();
        assert_eq!(told, usize::from(name == "killed early"), "{name}: a change is told where it is made");
        let text = std::fs::read_to_string(run.join("config.json")).unwrap();
        assert_eq!(text.matches(r#""step""#).count(), 3, "{name}: {text}");
    }
}

#[test]
fn settings_that_a_resume_changes_survive_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::default();
    let new = |steps| Start::New { preset: String::new(), config: Box::new(short(steps)), transfer: None };
    let go_on = || Overrides {
        steps: Some(20),
        lr_critic: Some(2e-3),
        divergence: Some("js".parse().unwrap()),
        ..Overrides::default()
    };
    let mut states = Vec::new();
    for killed in [false, true] {
        let outdir = folder.path().join(format!("killed {killed}"));
        finish(open(new(4), load(&short(4)), &outdir, &events), false);
        events.lock().unwrap().clear();
        let mut session = open(resume(&outdir, go_on()), load(&short(4)), &outdir, &events);
        if killed {
            while session.iterations() < 13 {
                block_on(session.advance()).unwrap();
            }
            drop(session);
            session = open(resume(&only_run(&outdir), Overrides::default()), load(&short(4)), &outdir, &events);
        }
        assert_eq!(session.trainer().config().steps, 20);
        finish(session, false);
        states.push(last_state(&only_run(&outdir)));
        let told = |e: &&Event| matches!(e, Event::Changed { knob, .. } if knob == "divergence");
        assert!(events.lock().unwrap().iter().any(|e| told(&e)), "a change by a flag leaves its mark");
    }
    assert!(states[0] == states[1], "the killed run went on with other settings");
}

#[test]
fn a_run_that_goes_back_to_an_older_checkpoint_has_another_future() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::default();
    let start = Start::New { preset: String::new(), config: Box::new(short(20)), transfer: None };
    let mut session = open(start, load(&short(20)), folder.path(), &events);
    // A change at 8, after the checkpoint at 5; another one at 12, after the last checkpoint.
    advance_to(&mut session, 0, 13);
    drop(session);
    let run = only_run(folder.path());
    let back = resume(&run.join("checkpoints/state-000005"), Overrides::default());
    let mut session = open(back, load(&short(20)), folder.path(), &events);
    // Up to a checkpoint of the new future, and on from there as anybody would.
    advance_to(&mut session, 100, 11);
    assert_eq!(session.trainer().config().lr_critic, short(20).lr_critic);
    drop(session);
    let mut session = open(resume(&run, Overrides::default()), load(&short(20)), folder.path(), &events);
    advance_to(&mut session, 100, 14);
    let config = session.trainer().config();
    assert_eq!((config.lr_critic, config.divergence), (short(20).lr_critic, short(20).divergence));
}

#[test]
fn a_run_that_goes_back_to_its_newest_checkpoint_has_another_future() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::default();
    let start = Start::New { preset: String::new(), config: Box::new(short(20)), transfer: None };
    let mut session = open(start, load(&short(20)), folder.path(), &events);
    advance_to(&mut session, 100, 5);
    // The checkpoint at 5 is there; then changes at the same step, and at 8.
    set(&mut session, "lr_critic", "0.5");
    advance_to(&mut session, 0, 9);
    drop(session);
    let run = only_run(folder.path());
    let gone_on = open(resume(&run, Overrides::default()), load(&short(20)), folder.path(), &events);
    assert_eq!((gone_on.iterations(), gone_on.trainer().config().lr_critic), (5, 0.5), "what was done is done again");
    drop(gone_on);
    let back = resume(&run.join("checkpoints/state-000005"), Overrides::default());
    let mut back = open(back, load(&short(20)), folder.path(), &events);
    advance_to(&mut back, 100, 11);
    assert_eq!(back.trainer().config().lr_critic, short(20).lr_critic);
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
    for network in ["generator", "ratio"] {
        let weights = block_on(session.trainer().weights(network, "param")).unwrap();
        assert!(weights.iter().all(|w| w.is_finite()), "a bad gradient changed the {network}");
    }
    assert!(only_run(folder.path()).join("latest.json").is_file(), "no checkpoint was kept");
}

#[test]
fn a_run_whose_rates_are_too_high_can_go_on_with_lower_ones() {
    let folder = tempfile::tempdir().unwrap();
    let fast = Config { lr_critic: 1.0, lr_generator: 1.0, clip: 0.0, batch: 8, steps: 3000, ..Config::default() };
    let config = Config { data: "gaussians".into(), warmup_steps: 0, width: 64, blocks: 3, ..fast };
    let start = Start::New { preset: String::new(), config: Box::new(config.clone()), transfer: None };
    let events = Arc::default();
    let mut session = open(start, load(&config), folder.path(), &events);
    let error = loop {
        match block_on(session.advance()) {
            Ok(flow) => assert_eq!(flow, Flow::Continue, "it did not diverge"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("lower the learning rate"), "{error}");
    let names = |e: &Event| matches!(e, Event::Warning { message } if message.contains("checkpoints/state-000000"));
    assert!(events.lock().unwrap().iter().any(names), "nobody was told what is left");
    drop(session);
    let calm = Overrides {
        lr_critic: Some(1e-5),
        lr_generator: Some(1e-5),
        clip: Some(1.0),
        steps: Some(200),
        ..Overrides::default()
    };
    finish(open(resume(folder.path(), calm), load(&config), folder.path(), &Arc::default()), false);
}

#[test]
fn a_transferred_run_that_is_stopped_at_once_goes_on_without_a_warm_up() {
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::default();
    let new = |transfer| Start::New { preset: String::new(), config: Box::new(short(6)), transfer };
    let weights = finish(open(new(None), load(&short(6)), &folder.path().join("first"), &events), false);
    let whole = open(new(Some(weights.clone())), load(&short(6)), &folder.path().join("whole"), &events);
    let wanted = std::fs::read(finish(whole, false)).unwrap();
    let parts = folder.path().join("parts");
    let mut session = open(new(Some(weights.clone())), load(&short(6)), &parts, &events);
    session.handle(Command::Stop);
    finish(session, false);
    let text = std::fs::read_to_string(only_run(&parts).join("config.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(saved["config"]["warmup_steps"], 0);
    assert_eq!(saved["transfer"]["file"], weights.canonicalize().unwrap().to_str().unwrap());
    assert_eq!(saved["transfer"]["sha256"].as_str().unwrap().len(), 64);
    let log = std::fs::read_to_string(only_run(&parts).join("log.txt")).unwrap();
    assert!(log.contains("first/"), "the log does not name the file: {log}");
    let resumed = finish(open(resume(&parts, Overrides::default()), load(&short(6)), &parts, &events), false);
    assert!(std::fs::read(resumed).unwrap() == wanted, "it did not go on as what it was");
}
