//! How a session starts: a new run, a resumed one, or one that begins with given weights.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Clock, Event, RunFolder, Session, SessionError, checkpoint};
use crate::exec::Executor;
use crate::model::{ModelFile, ModelKind};
use crate::train::method::{GENERATOR, Setup};
use crate::train::{Config, Overrides, TrainingData};

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
    /// The last checkpoint of a run's folder (or of the newest run in a folder of runs), or a
    /// checkpoint's own folder.
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

#[derive(Deserialize)]
struct SavedConfig {
    config: Config,
}

#[derive(Deserialize)]
struct Latest {
    checkpoint: String,
}

fn wrong(path: &Path, problem: impl Into<String>) -> SessionError {
    SessionError::Folder { path: path.display().to_string(), problem: problem.into() }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path, fix: &str) -> Result<T, SessionError> {
    let text = fs::read_to_string(path).map_err(|e| wrong(path, format!("{e}; {fix}")))?;
    serde_json::from_str(&text).map_err(|e| wrong(path, format!("is damaged: {e}; {fix}")))
}

/// The run folder and checkpoint folder that `path` means.
fn find_checkpoint(path: &Path) -> Result<(PathBuf, PathBuf), SessionError> {
    let fix = "choose the folder of a run, such as runs/00000-mnist-diffratio-b64";
    if path.join("state.json").is_file() {
        let run = path.parent().and_then(Path::parent).ok_or_else(|| wrong(path, fix))?;
        return Ok((run.to_owned(), path.to_owned()));
    }
    let mut run = path.to_owned();
    if !run.join("config.json").is_file() {
        let entries = fs::read_dir(path).map_err(|e| wrong(path, format!("{e}; {fix}")))?;
        let mut runs: Vec<PathBuf> =
            entries.flatten().map(|e| e.path()).filter(|p| p.join("latest.json").is_file()).collect();
        runs.sort();
        run = runs.pop().ok_or_else(|| wrong(path, format!("holds no run with a checkpoint; {fix}")))?;
    }
    let latest: Latest = read_json(&run.join("latest.json"), "the run has no complete checkpoint yet; start it anew")?;
    if latest.checkpoint.contains(['/', '\\']) {
        return Err(wrong(&run.join("latest.json"), "names a folder elsewhere; choose a checkpoint's folder instead"));
    }
    let checkpoint = run.join("checkpoints").join(latest.checkpoint);
    Ok((run, checkpoint))
}

impl Request {
    /// The settings that the session will have: what a dry run prints.
    pub fn config(&self) -> Result<Config, SessionError> {
        let config = match &self.start {
            Start::New { config, transfer, .. } => {
                let mut config = (**config).clone();
                if transfer.is_some() {
                    config.warmup_steps = 0;
                }
                config
            }
            Start::Resume { path, overrides } => {
                let (run, _) = find_checkpoint(path)?;
                let saved: SavedConfig = read_json(&run.join("config.json"), "choose another run")?;
                let mut config = saved.config.clone();
                config.apply(overrides);
                if config.clone().with_live_of(&saved.config) != saved.config {
                    return Err(wrong(
                        &run,
                        "a resumed run keeps its settings; only live ones (such as --steps or --lr-ratio) can change",
                    ));
                }
                config
            }
        };
        config.validate()?;
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
        let config = request.config()?;
        let network = data.network(&config);
        network.validate()?;
        let setup = Setup { network, data: data.spec.clone(), config };
        let transfer = match &request.start {
            Start::New { transfer: Some(path), .. } => Some(read_weights(path, &setup)?),
            _ => None,
        };
        let mut session = Self::new(executor, setup, data, sink, clock)?;
        match &request.start {
            Start::New { preset, config, .. } => {
                if let Some(weights) = transfer {
                    session.trainer.set_weights(GENERATOR, &weights)?;
                    pollster::block_on(session.trainer.begin_distillation())?;
                }
                if let Some(outdir) = &request.outdir {
                    let folder = RunFolder::create(outdir, &session.data.name, config, preset)?;
                    folder.save_reals(&session.data)?;
                    session.folder = Some(folder);
                }
            }
            Start::Resume { path, .. } => {
                let (run, checkpoint) = find_checkpoint(path)?;
                session.before = checkpoint::load(&checkpoint, &mut session.trainer)?;
                session.saved_at = Some(session.iterations());
                session.folder = Some(RunFolder::open(&run)?);
            }
        }
        Ok(session)
    }
}

/// Weights of a generator or denoiser for this network.
fn read_weights(path: &Path, setup: &Setup) -> Result<Vec<f32>, SessionError> {
    let model = ModelFile::open(path)?;
    if !matches!(model.meta.kind, ModelKind::Generator | ModelKind::Denoiser) {
        return Err(wrong(path, "holds neither a generator nor a denoiser; choose such a snapshot"));
    }
    Ok(model.parameters("", &setup.network.generator_layout())?)
}
