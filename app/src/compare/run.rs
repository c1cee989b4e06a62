//! One run of a comparison, and the warm-up that it may share with others.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use onestep_core::files::atomic_write;
use onestep_core::model::ModelKind;
use onestep_core::session::{Command, Flow, Request, Session, SessionError, Start};
use onestep_core::train::{COMMON, Config, Count, Handover, Preset, Setup, TrainError, TrainingData};
use serde::{Deserialize, Serialize};

use super::budget::{Budget, Costs};
use super::measure::{Point, Yardstick};
use super::report::Outcome;
use crate::device::{self, DeviceArgs};
use crate::interrupt;

/// One run of several.
pub struct Job {
    /// What it is called among them: a method, in a comparison.
    pub name: String,
    /// Its settings, but for lengths that a budget changes.
    pub config: Config,
}

impl Job {
    /// Where it writes.
    pub fn folder(&self, out: &Path) -> PathBuf {
        out.join("runs").join(format!("{}-{}", self.name, self.config.seed))
    }
}

/// What all runs have in common.
pub struct Runs<'a> {
    /// The folder of all.
    pub out: &'a Path,
    /// What each may spend.
    pub budget: Budget,
    pub device: &'a DeviceArgs,
    pub preset: &'static Preset,
    pub yardstick: &'a Yardstick,
    pub bar: &'a ProgressBar,
}

/// How a run came to its end.
enum Ended {
    Finished,
    Interrupted,
    Failed(String),
}

/// A part of a run that is done, as it is kept in a file beside it.
#[derive(Default, Serialize, Deserialize)]
struct Done {
    /// Seconds, measuring left out.
    secs: f64,
    points: Vec<Point>,
}

impl Done {
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self)?;
        Ok(atomic_write(path, |file| std::io::Write::write_all(file, text.as_bytes()))?)
    }
}

/// A warm-up that is trained: its denoiser's file, and the seconds that it took.
struct WarmUp {
    file: PathBuf,
    secs: f64,
}

impl Runs<'_> {
    /// Trains one run to its end and measures it on the way; `None` if it was interrupted. Progress counts in
    /// thousandths, on from `from`.
    pub fn train(&self, job: &Job, from: u64) -> anyhow::Result<Option<Outcome>> {
        let config = job.config.clone();
        let mut outcome = Outcome { method: job.name.clone(), seed: config.seed, ..Outcome::default() };
        let request = Request { start: self.begin(&config, None), outdir: None };
        if let Err(error) = request.config() {
            outcome.problem = Some(error.to_string());
            return Ok(Some(outcome));
        }
        let data = load(&config)?;
        let network = data.network(&config);
        network.validate()?;
        let mut setup = Setup { network, data: data.spec.clone(), config };
        let (costs, budget) = match self.budget {
            Budget::Operations(budget) => (Costs::operations(&setup)?, budget),
            Budget::Seconds(budget) => (Costs::seconds(&setup, &data, self.open()?)?, budget),
        };
        setup.config = costs.fit(&setup, budget)?;
        let recipe = setup.recipe();
        let turns: Vec<u64> = recipe.phases.iter().map(|phase| phase.length.of(&setup.config)).collect();
        outcome.evaluations = recipe.draw.evaluations();
        outcome.auxiliary_parameters =
            recipe.networks.iter().skip(1).map(|network| network.layout().parameters()).sum();
        outcome.turns = recipe.phases.iter().map(|phase| phase.name.to_owned()).zip(turns.iter().copied()).collect();
        outcome.tflop = Costs::operations(&setup)?.run(&setup) * 1e-12;
        let whole = costs.run(&setup);

        let warm_up = match self.warm_up(&setup)? {
            Some(Ok(warm_up)) => Some(warm_up),
            Some(Err(Ended::Interrupted)) => return Ok(None),
            Some(Err(Ended::Failed(problem))) => {
                outcome.problem = Some(format!("in the warm-up: {problem}"));
                return Ok(Some(outcome));
            }
            Some(Err(Ended::Finished)) | None => None,
        };
        // What the warm-up did counts, as turns, as compute and as time.
        let first = if warm_up.is_some() { turns[0] } else { 0 };
        let all: u64 = turns.iter().sum::<u64>() - first;
        let before = if first > 0 { whole - costs.run(&shorter(&setup)) } else { 0.0 };
        let spent = |step: u64| before + (whole - before) * step as f64 / all.max(1) as f64;
        setup.config.snap = all.div_ceil(self.yardstick.points(outcome.evaluations)).max(1);
        setup.config.keep_last = 1;
        setup.config.tick = setup.config.snap;

        let folder = job.folder(self.out);
        let curve = folder.join("curve.json");
        let mut done = Done::read(&curve).unwrap_or_default();
        let transfer = warm_up.as_ref().map(|warm_up| &*warm_up.file);
        let mut session = self.session(&folder, &curve, &setup, transfer)?;
        let bar = |step: u64| self.bar.set_position(from + 1000 * step / all.max(1));
        let snap = setup.config.snap;
        let ended = session.drive(all, |session, step| {
            bar(step);
            let due = step > 0 && (step.is_multiple_of(snap) || step >= all);
            if due && done.points.last().is_none_or(|last| last.step < first + step) {
                let values = session.untimed(|session| self.yardstick.measure(session))?;
                done.points.push(Point { step: first + step, spent: spent(step), values });
                done.secs = session.run.elapsed().as_secs_f64();
                done.write(&curve)?;
            }
            Ok(())
        })?;
        outcome.secs = done.secs + warm_up.map_or(0.0, |warm_up| warm_up.secs);
        outcome.points = done.points;
        outcome.device_bytes = session.run.trainer().executor.memory().iter().map(|(_, bytes)| bytes).sum();
        match ended {
            Ended::Interrupted => return Ok(None),
            Ended::Failed(problem) => outcome.problem = Some(problem),
            Ended::Finished => {}
        }
        Ok(Some(outcome))
    }

    /// Name of the device that runs train on.
    pub fn device(&self) -> anyhow::Result<String> {
        Ok(self.open()?.name())
    }

    fn open(&self) -> anyhow::Result<onestep_core::exec::Executor> {
        Ok(device::open_silently(self.device, true)?.0)
    }

    fn begin(&self, config: &Config, transfer: Option<&Path>) -> Start {
        let transfer = transfer.map(Path::to_owned);
        Start::New { preset: self.preset.name.to_owned(), config: Box::new(config.clone()), transfer }
    }

    /// The run in this folder, begun or gone on with. `record` is there as soon as there is something to go on with.
    fn session(&self, folder: &Path, record: &Path, setup: &Setup, transfer: Option<&Path>) -> anyhow::Result<Driven> {
        let goes_on = Done::read(record).is_some();
        let start = if goes_on {
            Start::Resume { path: folder.to_owned(), overrides: Box::default() }
        } else {
            // What a run left that was killed before its first record.
            let _ = std::fs::remove_dir_all(folder);
            self.begin(&setup.config, transfer)
        };
        let (clock, measuring) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let left_out = Arc::clone(&measuring);
        let time = move || clock.elapsed().saturating_sub(Duration::from_micros(left_out.load(Ordering::Relaxed)));
        let request = Request { start, outdir: Some(folder.to_owned()) };
        let run = Session::open(&request, self.open()?, load(&setup.config)?, Box::new(|_| ()), Box::new(time))?;
        if !goes_on {
            Done::default().write(record)?;
        }
        Ok(Driven { run, measuring })
    }

    /// The warm-up of this run, which all runs begin with that would train the same; trained once. `None` if the run has
    /// none that could be shared.
    fn warm_up(&self, setup: &Setup) -> anyhow::Result<Option<Result<WarmUp, Ended>>> {
        let recipe = setup.recipe();
        let Some(phase) = recipe.phases.first().filter(|phase| {
            let gives = |handover: &Handover| matches!(handover, Handover::Save(_, ModelKind::Denoiser));
            phase.length == Count::Knob("warmup_steps") && phase.then.iter().any(gives)
        }) else {
            return Ok(None);
        };
        let turns = phase.length.of(&setup.config);
        let folder = self.out.join("runs").join(format!("warm-up-{}", fingerprint(setup)));
        let record = folder.join("warm-up.json");
        let file = || -> anyhow::Result<PathBuf> {
            let run = only_folder(&folder)?;
            Ok(run.join(format!("snapshots/denoiser-{turns:06}.safetensors")))
        };
        if let Some(done) = Done::read(&record).filter(|done| done.secs > 0.0) {
            return Ok(Some(Ok(WarmUp { file: file()?, secs: done.secs })));
        }
        self.bar.set_message(format!("{} {}: warm-up", setup.config.method, setup.config.seed));
        let mut alone = setup.clone();
        (alone.config.snap, alone.config.tick, alone.config.keep_last) = (turns, turns, 1);
        let mut session = self.session(&folder, &record, &alone, None)?;
        Ok(Some(match session.drive(turns, |_, _| Ok(()))? {
            Ended::Finished => {
                let done = Done { secs: session.run.elapsed().as_secs_f64(), points: Vec::new() };
                done.write(&record)?;
                Ok(WarmUp { file: file()?, secs: done.secs })
            }
            other => Err(other),
        }))
    }
}

fn load(config: &Config) -> anyhow::Result<TrainingData> {
    Ok(TrainingData::load(config, &mut |_| std::ops::ControlFlow::Continue(()))?)
}

/// The same run without its warm-up.
fn shorter(setup: &Setup) -> Setup {
    let mut setup = setup.clone();
    setup.config.warmup_steps = 0;
    setup
}

/// What a warm-up's weights may depend on, as sixteen characters: the network, the update, and every setting that all
/// methods have, but for those that follow after it or only say what is written.
fn fingerprint(setup: &Setup) -> String {
    const NOT: [&str; 7] = ["method", "steps", "duration", "minutes", "tick", "snap", "keep_last"];
    let read = COMMON.iter().filter(|knob| !NOT.contains(knob)).chain(&["warmup_steps", "lr_warmup"]);
    let (recipe, mut hash) = (setup.recipe(), DefaultHasher::new());
    hash.write(format!("{:?}", recipe.begins_with().net).as_bytes());
    for (_, update) in recipe.phases.iter().take(1).flat_map(|phase| &phase.turn) {
        hash.write(update.name.as_bytes());
    }
    for knob in read {
        hash.write(format!("{knob} {}\n", setup.config.text_of(knob)).as_bytes());
    }
    format!("{:016x}", hash.finish())
}

/// The folder of the run in a folder for one run.
pub fn only_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    let run = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    run.ok_or_else(|| anyhow::anyhow!("{}: holds no run", folder.display()))
}

/// A session, and the time that was spent on measuring it.
struct Driven {
    run: Session,
    measuring: Arc<AtomicU64>,
}

impl Driven {
    /// Runs `turns` turns, or until an interrupt; `each` is called after every turn.
    fn drive(
        &mut self,
        turns: u64,
        mut each: impl FnMut(&mut Self, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ended> {
        loop {
            if interrupt::requested() || self.run.iterations() >= turns {
                self.run.handle(Command::Stop);
            }
            let flow = match pollster::block_on(self.run.advance()) {
                Ok(flow) => flow,
                Err(SessionError::Train(error @ TrainError::NonFinite { .. })) => {
                    return Ok(Ended::Failed(error.to_string()));
                }
                Err(error) => return Err(error.into()),
            };
            let step = self.run.iterations();
            each(self, step)?;
            if flow == Flow::End {
                return Ok(if step < turns { Ended::Interrupted } else { Ended::Finished });
            }
        }
    }

    /// Does something that is not on the run's clock.
    fn untimed<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> T {
        let start = Instant::now();
        let out = work(&mut self.run);
        let passed = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.measuring.fetch_add(passed, Ordering::Relaxed);
        out
    }
}
