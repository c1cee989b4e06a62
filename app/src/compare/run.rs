//! One run of a comparison, and the warm-up that it may share with others.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::ProgressBar;
use onestep_core::files::atomic_write;
use onestep_core::model::ModelKind;
use onestep_core::session::{Command, Flow, Request, Session, SessionError, Start};
use onestep_core::train::{COMMON, Config, Count, Handover, Phase, Preset, Recipe, Setup, TrainError, TrainingData};
use serde::{Deserialize, Serialize};

use super::budget::{Budget, Costs, Fitted};
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

/// What a run is to be, and the part of it that is done, as it is kept in a file beside it.
#[derive(Default, Serialize, Deserialize)]
struct Done {
    /// What it was fitted to; a warm-up has its length from the run that it was trained for.
    fitted: Option<Fitted>,
    /// Whether there is a run to go on with.
    begun: bool,
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
        let folder = job.folder(self.out);
        let curve = folder.join("curve.json");
        let mut done = Done::read(&curve).unwrap_or_default();
        // Kept before anything is trained: the warm-up, too, is gone on with.
        let fitted = if let Some(fitted) = done.fitted.clone() {
            fitted
        } else {
            let fitted = self.fit(&setup, &data)?;
            std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
            done.fitted = Some(fitted.clone());
            done.write(&curve)?;
            fitted
        };
        fitted.apply(&mut setup.config)?;
        let recipe = setup.recipe();
        let turns: Vec<u64> = recipe.phases.iter().map(|phase| phase.length.of(&setup.config)).collect();
        outcome.evaluations = recipe.draw.evaluations();
        outcome.auxiliary_parameters =
            recipe.networks.iter().skip(1).map(|network| network.layout().parameters()).sum();
        outcome.turns = recipe.phases.iter().map(|phase| phase.name.to_owned()).zip(turns.iter().copied()).collect();
        outcome.tflop = Costs::operations(&setup)?.run(&setup) * 1e-12;

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
        setup.config.snap = all.div_ceil(self.yardstick.points(outcome.evaluations)).max(1);
        setup.config.keep_last = 1;
        setup.config.tick = setup.config.snap;

        let transfer = warm_up.as_ref().map(|warm_up| &*warm_up.file);
        let mut session = self.session(&folder, &curve, &mut done, &setup, transfer)?;
        let bar = |step: u64| self.bar.set_position(from + 1000 * step / all.max(1));
        let snap = setup.config.snap;
        let ended = session.drive(all, |session, step| {
            bar(step);
            let due = step > 0 && (step.is_multiple_of(snap) || step >= all);
            if due && done.points.last().is_none_or(|last| last.step < first + step) {
                let values = session.untimed(|session| self.yardstick.measure(session))?;
                done.points.push(Point { step: first + step, spent: fitted.spent(first + step), values });
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

    /// What the budget allows this run, at what its updates cost now.
    fn fit(&self, setup: &Setup, data: &TrainingData) -> anyhow::Result<Fitted> {
        let (costs, budget) = match self.budget {
            Budget::Operations(budget) => (Costs::operations(setup)?, budget),
            Budget::Seconds(budget) => (Costs::seconds(setup, data, self.open()?)?, budget),
        };
        let setup = Setup { config: costs.fit(setup, budget)?, ..setup.clone() };
        Ok(Fitted::new(&setup, &costs))
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

    /// The run in this folder, begun or gone on with. `record` says so as soon as there is something to go on with.
    fn session(
        &self,
        folder: &Path,
        record: &Path,
        done: &mut Done,
        setup: &Setup,
        transfer: Option<&Path>,
    ) -> anyhow::Result<Driven> {
        let start = if done.begun {
            Start::Resume { path: folder.to_owned(), overrides: Box::default() }
        } else {
            // What a run left that was killed before its record said that it had begun.
            for left in folders(folder).into_iter().flatten() {
                let _ = std::fs::remove_dir_all(left);
            }
            self.begin(&setup.config, transfer)
        };
        let (clock, measuring) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let left_out = Arc::clone(&measuring);
        let time = move || clock.elapsed().saturating_sub(Duration::from_micros(left_out.load(Ordering::Relaxed)));
        let request = Request { start, outdir: Some(folder.to_owned()) };
        let run = Session::open(&request, self.open()?, load(&setup.config)?, Box::new(|_| ()), Box::new(time))?;
        if !done.begun {
            done.begun = true;
            done.write(record)?;
        }
        Ok(Driven { run, measuring })
    }

    /// The warm-up of this run, which all runs begin with that would train the same; trained once. `None` if the run has
    /// none that could be shared.
    fn warm_up(&self, setup: &Setup) -> anyhow::Result<Option<Result<WarmUp, Ended>>> {
        let recipe = setup.recipe();
        let Some(phase) = shared(&recipe) else { return Ok(None) };
        let turns = phase.length.of(&setup.config);
        let folder = self.out.join("runs").join(format!("warm-up-{}", fingerprint(setup)));
        let record = folder.join("warm-up.json");
        let file = || -> anyhow::Result<PathBuf> {
            let run = only_folder(&folder)?;
            Ok(run.join(format!("snapshots/denoiser-{turns:06}.safetensors")))
        };
        let mut done = Done::read(&record).unwrap_or_default();
        if done.secs > 0.0 {
            return Ok(Some(Ok(WarmUp { file: file()?, secs: done.secs })));
        }
        self.bar.set_message(format!("{} {}: warm-up", setup.config.method, setup.config.seed));
        let mut alone = setup.clone();
        (alone.config.snap, alone.config.tick, alone.config.keep_last) = (turns, turns, 1);
        let mut session = self.session(&folder, &record, &mut done, &alone, None)?;
        Ok(Some(match session.drive(turns, |_, _| Ok(()))? {
            Ended::Finished => {
                done.secs = session.run.elapsed().as_secs_f64();
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

/// The warm-up that a run may have in common with others, if it begins with one.
fn shared(recipe: &Recipe) -> Option<&Phase> {
    let gives = |handover: &Handover| matches!(handover, Handover::Save(_, ModelKind::Denoiser));
    let is_shared = |phase: &&Phase| phase.length == Count::Knob("warmup_steps") && phase.then.iter().any(gives);
    recipe.phases.first().filter(is_shared)
}

/// What a warm-up's weights may depend on, as sixteen characters: the network, the update, its own settings, and every
/// setting that all methods have, but for those that follow after it or only say what is written.
fn fingerprint(setup: &Setup) -> String {
    const NOT: [&str; 7] = ["method", "steps", "duration", "minutes", "tick", "snap", "keep_last"];
    let read = COMMON.iter().filter(|knob| !NOT.contains(knob)).chain(&["warmup_steps", "lr_warmup", "label_dropout"]);
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
    let run = folders(folder)?.next();
    run.ok_or_else(|| anyhow::anyhow!("{}: holds no run", folder.display()))
}

/// The folders in a folder.
fn folders(folder: &Path) -> std::io::Result<impl Iterator<Item = PathBuf>> {
    Ok(std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()))
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
                return Ok(if step >= turns {
                    Ended::Finished
                } else if interrupt::requested() {
                    Ended::Interrupted
                } else {
                    Ended::Failed(format!("ended after {step} of {turns} turns"))
                });
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

#[cfg(test)]
mod tests {
    use onestep_core::train::Method;

    use super::super::budget::PhaseCost;
    use super::*;
    use crate::device::LimitsArg;

    fn preset() -> &'static Preset {
        Preset::find("gaussians").expect("a preset")
    }

    /// A small network on points in the plane.
    fn config(method: &str, change: fn(&mut Config)) -> Config {
        let method = Method::find(method).expect("a method");
        let mut config = Config { seed: 1, width: 16, batch: 64, ..preset().config_for(method) };
        change(&mut config);
        config
    }

    fn train(out: &Path, budget: Budget, config: Config) -> Outcome {
        let device = DeviceArgs { device: "cpu".to_owned(), limits: LimitsArg::Adapter, deterministic: true };
        let yardstick = Yardstick::new(&load(&config).unwrap(), &config, true).unwrap();
        let bar = ProgressBar::hidden();
        let runs = Runs { out, budget, device: &device, preset: preset(), yardstick: &yardstick, bar: &bar };
        let job = Job { name: config.method.to_string(), config };
        runs.train(&job, 0).unwrap().expect("nobody interrupts it")
    }

    /// A run that went on was timed anew, and so had another end, or none, and another warm-up than it was begun with.
    #[test]
    fn a_run_that_goes_on_is_the_one_that_was_begun() {
        let out = tempfile::tempdir().unwrap();
        let runs = out.path().join("runs");
        std::fs::create_dir_all(runs.join("vsd-1")).unwrap();
        // As if it had been interrupted in its warm-up, on a device that was as slow as that.
        let lengths = [("warmup_steps".to_owned(), 3), ("steps".to_owned(), 2)].into();
        let phases = [3, 2].map(|turns| PhaseCost { turns, each: 1.0, then: 0.0 }).to_vec();
        let fitted = Some(Fitted { lengths, phases });
        Done { fitted, ..Done::default() }.write(&runs.join("vsd-1/curve.json")).unwrap();
        let outcome = train(out.path(), Budget::Seconds(0.2), config("vsd", |_| ()));
        assert_eq!(outcome.problem, None);
        assert_eq!(outcome.turns, [("warm-up".to_owned(), 3), ("distillation".to_owned(), 2)]);
        let spent = |outcome: &Outcome| -> Vec<(u64, f64)> {
            outcome.points.iter().map(|point| (point.step, point.spent)).collect()
        };
        assert_eq!(spent(&outcome), [(4, 4.0), (5, 5.0)]);
        // As if it had been killed before its outcome was written down.
        let again = train(out.path(), Budget::Seconds(0.2), config("vsd", |_| ()));
        assert_eq!((&again.turns, spent(&again)), (&outcome.turns, spent(&outcome)));
        assert_eq!(folders(&runs).unwrap().count(), 2, "one run, one warm-up");
    }

    /// Such a run called itself interrupted, whenever it was gone on with.
    #[test]
    fn a_run_that_ends_too_early_says_so() {
        let out = tempfile::tempdir().unwrap();
        // A thousand points are 16 batches.
        let outcome = train(out.path(), Budget::Operations(1e9), config("denoise", |config| config.duration = 1));
        let problem = outcome.problem.expect("a problem");
        assert!(problem.starts_with("ended after 16 of "), "{problem}");
    }

    #[test]
    fn warm_ups_that_would_be_the_same_are_shared() {
        let data = TrainingData::points("two", &[[0.5, 0.0], [-0.5, 0.0]]);
        let of = |method: &str, change: fn(&mut Config)| {
            let config = config(method, change);
            fingerprint(&Setup { network: data.network(&config), data: data.spec.clone(), config })
        };
        let first = of("vsd", |_| ());
        assert_eq!(of("dmd", |_| ()), first);
        assert_eq!(of("vsd", |config| config.steps = 7), first);
        assert_ne!(of("vsd", |config| config.warmup_steps = 7), first);
        assert_ne!(of("vsd", |config| config.label_dropout = 0.5), first);
    }
}
