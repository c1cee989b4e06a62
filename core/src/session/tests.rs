//! A session, command by command, by a clock that stands until it is moved.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pollster::block_on;

use super::checkpoint::State;
use super::settings::RunSettings;
use super::{Command, Event, Flow, RunFolder, Session};
use crate::exec::Executor;
use crate::exec::cpu::CpuExecutor;
use crate::train::{Config, Setup, TrainingData};

/// A small run.
struct Small {
    session: Session,
    millis: Arc<AtomicU64>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Small {
    fn new(config: Config) -> Self {
        let config = Config { data: "gaussians".into(), batch: 32, width: 8, blocks: 1, warmup_steps: 0, ..config };
        let data = TrainingData::load(&config, &mut |_| ControlFlow::Continue(())).unwrap();
        let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
        let (millis, events) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (clock, sink) = (Arc::clone(&millis), Arc::clone(&events));
        let clock = Box::new(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
        let sink = Box::new(move |event| sink.lock().unwrap().push(event));
        let session = Session::new(Executor::Cpu(CpuExecutor::new()), setup, data, sink, clock).unwrap();
        Self { session, millis, events }
    }

    /// The same with a folder in `outdir`.
    fn in_folder(outdir: &Path) -> Self {
        let mut run = Self::new(Config { snap: 2, ..Config::default() });
        let settings = RunSettings {
            preset: String::new(),
            config: run.session.trainer.config().clone(),
            data: None,
            transfer: None,
            changes: Vec::new(),
        };
        run.session.folder = Some(RunFolder::create(outdir, "gaussians", settings).unwrap());
        run
    }

    /// Checkpoints that were told of.
    fn saved(&self) -> Vec<PathBuf> {
        let of = |event: &Event| if let Event::Saved { path, .. } = event { Some(path.clone()) } else { None };
        self.events.lock().unwrap().iter().filter_map(of).collect()
    }

    /// Moves the clock, and makes an iteration.
    fn advance(&mut self, millis: u64) -> Flow {
        self.millis.fetch_add(millis, Ordering::Relaxed);
        block_on(self.session.advance()).unwrap()
    }

    /// Steps per second, each time that they were told of.
    fn rates(&self) -> Vec<f64> {
        let of = |event: &Event| if let Event::Progress { rate, .. } = event { Some(*rate) } else { None };
        self.events.lock().unwrap().iter().filter_map(of).collect()
    }
}

/// It was finished as soon as it went on after an hour, and seemed to have been slow.
#[test]
fn the_time_of_a_pause_is_not_the_run_s() {
    let mut run = Small::new(Config { minutes: 1.0, steps: 1_000_000, ..Config::default() });
    for _ in 0..10 {
        assert_eq!(run.advance(100), Flow::Continue);
    }
    run.session.handle(Command::Pause);
    assert_eq!(run.advance(0), Flow::Wait);
    run.millis.fetch_add(3_600_000, Ordering::Relaxed);
    assert_eq!(run.session.elapsed(), Duration::from_secs(1));
    run.session.handle(Command::Play);
    for _ in 0..10 {
        assert_eq!(run.advance(100), Flow::Continue);
    }
    // The first of them began when the clock had moved: it still waited then.
    assert_eq!(run.session.elapsed(), Duration::from_millis(1900));
    let rates = run.rates();
    assert!(rates.len() > 4 && rates.iter().all(|rate| *rate > 9.9), "{rates:?} steps per second");
    assert_eq!(run.advance(60_000), Flow::End);
}

/// Only whole turns counted: the run was said to be saved, and they were gone.
#[test]
fn updates_that_were_made_one_by_one_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Small::in_folder(folder.path());
    for _ in 0..2 {
        run.advance(0);
    }
    run.session.handle(Command::Pause);
    assert_eq!(run.advance(0), Flow::Wait);
    assert_eq!(run.saved().len(), 1, "that of turn 2");
    for _ in 0..3 {
        run.session.handle(Command::Step("ratio".to_owned()));
        run.advance(0);
    }
    assert_eq!(run.saved().len(), 1, "single updates are not saved by themselves");
    run.session.handle(Command::Stop);
    assert_eq!(run.advance(0), Flow::End);
    let [first, last] = &run.saved()[..] else { panic!("{:?}", run.saved()) };
    assert_eq!(first, last, "both are of turn 2");
    let saved = State::read(last).unwrap().counters(run.session.trainer.recipe(), 0).unwrap();
    assert_eq!((saved.turns, &saved), (2, &run.session.trainer.counters));
}

/// Dozens of turns were made after the key had been let go, and Pause did not end them.
#[test]
fn turns_that_were_asked_for_at_once_are_one_and_a_pause_ends_them() {
    let mut run = Small::new(Config::default());
    run.session.handle(Command::Pause);
    assert_eq!(run.advance(0), Flow::Wait);
    (0..50).for_each(|_| run.session.handle(Command::Turn));
    assert_eq!(run.advance(0), Flow::Wait);
    assert_eq!(run.session.iterations(), 1);
    (0..5).for_each(|_| run.session.handle(Command::Step("ratio".to_owned())));
    assert_eq!(run.advance(0), Flow::Continue);
    run.session.handle(Command::Pause);
    let before = run.session.trainer.counters.clone();
    assert_eq!(run.advance(0), Flow::Wait);
    assert_eq!(run.session.trainer.counters, before);
}

/// The updates that were timed had trained: what came after them depended on the button.
#[test]
fn timing_the_kernels_leaves_the_run_as_it_was() {
    let end = |timed: bool| {
        let mut run = Small::new(Config { tick: 2, ..Config::default() });
        run.advance(0);
        for update in run.session.updates() {
            for _ in 0..if timed { 3 } else { 0 } {
                assert!(!block_on(run.session.profile(update)).unwrap().is_empty());
            }
        }
        run.advance(0);
        let trainer = &run.session.trainer;
        let store = |(store, len): (String, usize)| block_on(trainer.executor.read(&store, 0, len)).unwrap();
        let bits: Vec<Vec<u32>> =
            trainer.state().into_iter().map(|of| store(of).into_iter().map(f32::to_bits).collect()).collect();
        let told = run.events.lock().unwrap().iter().find_map(|event| match event {
            Event::Statistics { step, values } => Some((*step, values.get("Loss/ratio").copied())),
            _ => None,
        });
        (trainer.counters.clone(), bits, told)
    };
    let [timed, not] = [end(true), end(false)];
    assert!(timed.2.is_some_and(|(step, loss)| step == 2 && loss.is_some()), "{:?}", timed.2);
    assert!(timed == not, "counters {:?} and {:?}, told {:?} and {:?}", timed.0, not.0, timed.2, not.2);
}
