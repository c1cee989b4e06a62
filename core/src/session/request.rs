//! How a session starts: a new run, a resumed one, or one that begins with given weights.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, State};
use super::find::{find_checkpoint, is_checkpoint, offer, wrong};
use super::settings::{Change, Pinned, RunSettings, Transfer, place_of};
use super::{Clock, Event, RunFolder, Session, SessionError};
use crate::exec::Executor;
use crate::model::{ModelFile, ModelKind};
use crate::nets::Rule;
use crate::train::{Config, Group, Knob, KnobError, Need, Overrides, Setup, TrainingData};

/// Where a run starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// Random weights, or those of a generator's or denoiser's file (which replaces the warm-up).
    New {
        /// Preset's name, for the record.
        preset: String,
        /// The settings.
        config: Box<Config>,
        /// Weights to start from.
        transfer: Option<PathBuf>,
    },
    /// The last checkpoint of a run's folder (or of the newest run in a folder of runs), from where all that was
    /// changed after it is changed again; or a checkpoint's own folder, from where another future begins.
    Resume {
        /// The folder.
        path: PathBuf,
        /// Changes of live settings.
        overrides: Box<Overrides>,
    },
}

/// A run to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Where it starts from.
    pub start: Start,
    /// Folder of runs; `None` writes no files (a new run only).
    pub outdir: Option<PathBuf>,
}

impl Request {
    /// The settings that the session will have: what a dry run prints.
    pub fn config(&self) -> Result<Config, SessionError> {
        let config = match &self.start {
            Start::New { config, transfer, .. } => {
                let mut config = (**config).clone();
                config.data = place_of(&config.data);
                if transfer.is_some() {
                    config.warmup_steps = 0;
                } else if config.method.get().needs.contains(&Need::Teacher) && config.warmup_steps == 0 {
                    let problem =
                        format!("{} needs a teacher: set a warm-up, or give its file with --transfer", config.method);
                    return Err(KnobError { knob: "warmup_steps".to_owned(), value: "0".to_owned(), problem }.into());
                }
                if config.method.get().needs.contains(&Need::Classes) && config.classes == 0 {
                    let problem = format!("{} needs classes: add --classes, with data that have some", config.method);
                    return Err(KnobError { knob: "classes".to_owned(), value: "0".to_owned(), problem }.into());
                }
                config
            }
            Start::Resume { path, overrides } => Resumption::find(path, overrides)?.config()?,
        };
        config.validate()?;
        Ok(config)
    }
}

/// A run that is about to go on.
struct Resumption {
    run: PathBuf,
    checkpoint: PathBuf,
    /// Steps done.
    step: u64,
    /// The settings with which the checkpoint was taken.
    saved: Config,
    /// `config.json`, with the changes that were made before this step.
    settings: RunSettings,
    /// Changes that the run made at this step or later, and is to make again.
    to_come: Vec<Change>,
    /// What is changed now.
    wanted: Vec<Change>,
    /// Whether it goes back to a checkpoint that was named itself, and so to another future.
    rewinds: bool,
}

impl Resumption {
    fn find(path: &Path, overrides: &Overrides) -> Result<Self, SessionError> {
        let (run, checkpoint) = find_checkpoint(path)?;
        let mut settings = RunSettings::read(&run)?;
        let state = State::read(&checkpoint).map_err(|error| offer(&run, error))?;
        let step = state.step();
        let begin = settings.changes.partition_point(|change| change.step < step);
        let mut to_come = settings.changes.split_off(begin);
        // A run is gone on with; a checkpoint, also the newest one, is gone back to.
        let rewinds = is_checkpoint(path);
        let mut overrides = overrides.clone();
        if let Some(place) = overrides.data.take() {
            settings.move_data(&place)?;
        }
        let mut saved = state.config.unwrap_or_else(|| settings.config.clone());
        saved.data.clone_from(&settings.config.data);
        if rewinds {
            // Of the changes at its own step, the checkpoint has those that were made before it was taken.
            let in_it = |change: &Change| {
                let mut changed = saved.clone();
                changed.set_live(&change.knob, &change.value).is_ok() && changed == saved
            };
            to_come.retain(|change| change.step == step && in_it(change));
        }
        saved.method.get().check(&overrides)?;
        let mut changed = saved.clone();
        for change in to_come.iter().filter(|change| change.step == step) {
            changed.set_live(&change.knob, &change.value)?;
        }
        let before = changed.clone();
        changed.apply(&overrides);
        changed.check_of_classes(&overrides)?;
        changed.validate()?;
        let named = overrides.names();
        let mut wanted = Vec::new();
        for knob in named.iter().filter(|knob| before.text_of(knob) != changed.text_of(knob)) {
            let (has, value) = (before.text_of(knob), changed.text_of(knob));
            if Knob::find(knob).is_some_and(|knob| !knob.is_live()) {
                let problem = format!(
                    "this run has {has}, and a resumed run keeps its settings; only live ones (such as --steps or \
                     --lr-critic) can change"
                );
                return Err(KnobError { knob: (*knob).to_owned(), value, problem }.into());
            }
            wanted.push(Change { step, knob: (*knob).to_owned(), value });
        }
        to_come.retain(|change| change.step == step || !named.contains(&&*change.knob));
        Ok(Self { run, checkpoint, step, saved, settings, to_come, wanted, rewinds })
    }

    /// The settings with which it goes on.
    fn config(&self) -> Result<Config, SessionError> {
        let mut config = self.saved.clone();
        let due = self.to_come.iter().filter(|change| change.step <= self.step);
        for change in due.chain(&self.wanted) {
            config.set_live(&change.knob, &change.value)?;
        }
        Ok(config)
    }
}

impl Session {
    /// Starts a run with files. `data` must be what [`Request::config`] names.
    pub fn open(
        request: &Request,
        executor: Executor,
        data: TrainingData,
        sink: Box<dyn FnMut(Event) + Send>,
        clock: Clock,
    ) -> Result<Self, SessionError> {
        Self::open_in(None, request, executor, data, sink, clock)
    }

    /// As [`Session::open`], as the first of several processes, with the slots of each batch that it computes:
    /// [`Session::meet`] comes next.
    pub fn open_in(
        group: Option<(Box<dyn Group>, Range<usize>)>,
        request: &Request,
        executor: Executor,
        data: TrainingData,
        sink: Box<dyn FnMut(Event) + Send>,
        clock: Clock,
    ) -> Result<Self, SessionError> {
        let config = request.config()?;
        let network = data.network(&config);
        network.validate()?;
        let setup = Setup { network, data: data.spec.clone(), config };
        match &request.start {
            Start::New { preset, transfer, .. } => {
                let weights = transfer.as_ref().map(|path| read_weights(path, &setup)).transpose()?;
                let mut session = Self::new(executor, setup, data, sink, clock)?;
                if let Some((group, slots)) = group {
                    session.join(group, slots);
                }
                if let Some(weights) = weights {
                    pollster::block_on(session.trainer.begin_with(&weights))?;
                }
                // What does not fit leaves no folder behind.
                session.trainer.prepare_ahead()?;
                if let Some(outdir) = &request.outdir {
                    let settings = RunSettings {
                        preset: preset.clone(),
                        config: session.trainer.config().clone(),
                        data: Pinned::of(&session.data),
                        transfer: transfer.as_deref().map(Transfer::of).transpose()?,
                        changes: Vec::new(),
                    };
                    let folder = RunFolder::create(outdir, &session.data.name, settings)?;
                    folder.save_reals(&session.data)?;
                    session.folder = Some(folder);
                }
                Ok(session)
            }
            Start::Resume { path, overrides } => {
                let mut found = Resumption::find(path, overrides)?;
                found.settings.pin(&data).map_err(|problem| wrong(&found.run, problem))?;
                let mut session = Self::new(executor, Setup { config: found.saved, ..setup }, data, sink, clock)?;
                if let Some((group, slots)) = group {
                    session.join(group, slots);
                }
                session.before = checkpoint::load(&found.checkpoint, &mut session.trainer)
                    .map_err(|error| offer(&found.run, error))?;
                session.saved_at = Some(session.trainer.counters.clone());
                session.told_at = session.iterations();
                let mut folder = RunFolder::open(&found.run, found.settings)?;
                let step = session.iterations();
                if let Some(aside) = folder.go_on(&found.checkpoint, step, found.rewinds)? {
                    let message = format!("went back to step {step}; what came later is now in {}", aside.display());
                    session.untold.push(Event::Warning { message });
                }
                // The old future must not come back when the new one is gone on with, and data may have moved.
                folder.save_changes(&found.to_come)?;
                session.folder = Some(folder);
                session.to_come = found.to_come.into();
                session.make_changes();
                for change in found.wanted {
                    session.change(change)?;
                }
                Ok(session)
            }
        }
    }
}

impl Session {
    /// Why a run that goes on ends without a step.
    pub(super) fn tell_nothing_left(&mut self) {
        let Some(limit) = self.limit() else { return };
        let (step, value) = (self.iterations(), self.trainer.config().text_of(limit));
        let message = format!("nothing is left to do at step {step}: {limit} is {value}; raise it to go on");
        self.tell(Event::Warning { message });
    }
}

/// Weights of a generator or denoiser for the network that a warm-up would train.
fn read_weights(path: &Path, setup: &Setup) -> Result<Vec<f32>, SessionError> {
    let model = ModelFile::open(path)?;
    if !matches!(model.meta.kind, ModelKind::Generator | ModelKind::Denoiser) {
        return Err(wrong(path, "holds neither a generator nor a denoiser; choose such a snapshot"));
    }
    let method = setup.config.method.get();
    if method.needs.contains(&Need::Teacher) && model.meta.draw().rule == Rule::Jump {
        let problem = format!(
            "is a generator of one step or a few, and {} needs a teacher, which removes noise of every level; choose a \
             denoiser-* snapshot, or a generator-* of --method denoise",
            method.name
        );
        return Err(wrong(path, problem));
    }
    let wanted = setup.recipe().begins_with().net.clone();
    let layout = wanted.generator_layout();
    if wanted != model.meta.network && wanted == model.meta.network.clone().with_two_times() {
        // What a denoiser has no weights for begins as it would without one.
        let mut weights = layout.initial(setup.config.seed);
        let from = model.meta.network.generator_layout();
        layout.transfer(&mut weights, &from, &model.parameters("", &from)?);
        return Ok(weights);
    }
    Ok(model.parameters("", &layout)?)
}
