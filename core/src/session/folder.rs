//! The folder of a run: settings, log, statistics, pictures, checkpoints, snapshots.
//!
//! Invariant: every file is written under a temporary name and renamed; `latest.json` names a
//! checkpoint only when that is complete on the disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::SessionError;
use super::find::{checkpoints, number_of_run};
use super::manage::sweep_deleted;
use super::message::Event;
use super::picture::{scatter, to_bytes};
use super::settings::{Change, RunSettings};
use super::tidy::{PARTS, forget_later, point_at, set_aside_later, sweep_run};
use crate::data::save_grid;
use crate::files::{FileError, atomic_write, make_folders, no_file, open, read_small, sync_folder};
use crate::model::{ModelFile, ModelKind, ModelMeta, Storage};
use crate::train::{Trainer, TrainingData};

/// A run's folder.
pub struct RunFolder {
    path: PathBuf,
    /// Its `config.json`, as far as the run is.
    pub(super) settings: RunSettings,
    log: Lines,
    statistics: Lines,
    /// Held as long as the run goes on.
    folder: Option<fs::File>,
}

/// A file of lines; if somebody removes it, another one begins.
struct Lines {
    path: PathBuf,
    file: fs::File,
}

impl Lines {
    fn open(path: PathBuf) -> Result<Self, FileError> {
        // A pipe that nobody reads is never open.
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(FileError::new(&path, "open the file", no_file()));
        }
        let opened = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|e| FileError::new(&path, "open the file", e))?;
        Ok(Self { path, file })
    }

    /// Adds a line, whole or not at all; a failure to do so must not end a run.
    fn add(&mut self, line: impl std::fmt::Display) {
        if !self.path.exists()
            && let Ok(another) = Self::open(self.path.clone())
        {
            tracing::warn!("{}: is gone; another one begins here", self.path.display());
            let _ = another.file.try_lock();
            self.file = another.file;
        }
        let length = self.file.metadata().map(|metadata| metadata.len());
        if let Err(error) = self.file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!("{}: {error}; a line is lost", self.path.display());
            // A part of it would spoil the next one, too.
            let _ = length.and_then(|length| self.file.set_len(length));
        }
    }

    /// Flushes to the disk what was added.
    fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!("{}: {error}; its last lines may be lost", self.path.display());
        }
    }
}

/// Whether a file or folder is locked by another program. A file system without locks says so by another error, and
/// does without.
pub(super) fn is_locked(file: &fs::File) -> bool {
    matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

/// Pixels of a picture of points.
const SCATTER: usize = 256;

impl RunFolder {
    /// Makes `outdir/00003-mnist-diffratio-b64`, numbered after those that are there.
    pub(super) fn create(outdir: &Path, data: &str, settings: RunSettings) -> Result<Self, SessionError> {
        let config = &settings.config;
        make_folders(outdir).map_err(|e| FileError::new(outdir, "create the folder", e))?;
        sweep_deleted(outdir);
        let entries = fs::read_dir(outdir).map_err(|e| FileError::new(outdir, "list the folder", e))?;
        let numbers = entries.flatten().filter_map(|entry| number_of_run(&entry.path()));
        let name: String = data.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
        let first = numbers.max().map_or(0, |n| n + 1);
        // Another program may begin a run at this moment.
        let path = (first..)
            .map(|number| outdir.join(format!("{number:05}-{name}-{}-b{}", config.method, config.batch)))
            .find_map(|path| match fs::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                Err(error) => Some(Err(FileError::new(&path, "create the folder", error))),
                Ok(()) => Some(Ok(path)),
            })
            .expect("numbers do not end")?;
        sync_folder(outdir);
        for part in PARTS {
            let part = path.join(part);
            fs::create_dir(&part).map_err(|e| FileError::new(&part, "create the folder", e))?;
        }
        settings.write(&path)?;
        Self::open(&path, settings)
    }

    /// An existing run's folder.
    pub(super) fn open(path: &Path, settings: RunSettings) -> Result<Self, SessionError> {
        // Two programs that train in one folder would write over each other's checkpoints. The folder is locked, where
        // that can be opened, since a log can be removed, and then the log. A log that was removed is not made again by
        // a program that has to leave: the other one would miss that it is gone.
        let busy = || {
            let problem = "another program is training in this folder; wait until it ends".to_owned();
            SessionError::Folder { path: path.display().to_string(), problem }
        };
        let folder = fs::File::open(path).ok();
        if folder.as_ref().is_some_and(is_locked) {
            return Err(busy());
        }
        let log = Lines::open(path.join("log.txt"))?;
        if is_locked(&log.file) {
            return Err(busy());
        }
        sweep_run(path);
        let statistics = Lines::open(path.join("stats.jsonl"))?;
        Ok(Self { path: path.to_owned(), settings, log, statistics, folder })
    }

    /// Goes on from a checkpoint. What the run wrote later is written anew or, if it goes back to another future, set
    /// aside, in a folder that is returned.
    pub(super) fn go_on(&mut self, from: &Path, step: u64, rewinds: bool) -> Result<Option<PathBuf>, SessionError> {
        let aside = if rewinds {
            let aside = set_aside_later(&self.path, step, &RunSettings::read(&self.path)?)?;
            point_at(&self.path, from)?;
            aside
        } else {
            forget_later(&self.path, step)?;
            None
        };
        self.statistics = Lines::open(self.path.join("stats.jsonl"))?;
        Ok(aside)
    }

    /// Writes down the changes that were made, and `to_come`: those that a resumed run has yet to make again.
    pub(super) fn save_changes<'a>(&self, to_come: impl IntoIterator<Item = &'a Change>) -> Result<(), SessionError> {
        let mut settings = self.settings.clone();
        settings.changes.extend(to_come.into_iter().cloned());
        settings.write(&self.path)
    }

    /// Lets other programs train in the folder: this run has ended.
    pub(super) fn release(&self) {
        // A file system without locks has none to give back.
        for file in std::iter::once(&self.log.file).chain(&self.folder) {
            let _ = file.unlock();
        }
    }

    /// Whether some program is training in the folder.
    pub fn is_busy(path: &Path) -> bool {
        let files = [fs::File::open(path), open(&path.join("log.txt"))];
        files.iter().flatten().any(is_locked)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the run's first weights came from.
    pub(super) fn transfer(&self) -> Option<PathBuf> {
        self.settings.transfer.as_ref().map(|transfer| PathBuf::from(&transfer.file))
    }

    /// Adds an event to the log; a failure to log must not end a run.
    pub(super) fn log(&mut self, event: &Event) {
        let line = match event {
            Event::Progress { .. } => return,
            Event::Statistics { step, values } => {
                let mut line = serde_json::json!({ "step": step });
                for (name, value) in values {
                    line[name] = (*value).into();
                }
                self.statistics.add(line);
                return;
            }
            other => serde_json::to_string(other).unwrap_or_default(),
        };
        self.log.add(line);
    }

    /// The picture of real data.
    pub(super) fn save_reals(&self, data: &TrainingData) -> Result<(), SessionError> {
        picture(&self.path.join("samples/reals.png"), data, &data.first)
    }

    /// The picture of samples after so many turns.
    pub(super) fn save_grid(&self, data: &TrainingData, samples: &[f32], turns: u64) -> Result<PathBuf, SessionError> {
        let path = self.path.join(format!("samples/fakes-{turns:06}.png"));
        picture(&path, data, samples)?;
        Ok(path)
    }

    /// A network's best weights as `snapshots/KIND-STEP`; returns the file. Names of networks that are not of their
    /// kind's name are in front, as in `fake-denoiser-000500`.
    pub(super) async fn save_model(
        &self,
        trainer: &Trainer,
        data: &TrainingData,
        network: &str,
        kind: ModelKind,
    ) -> Result<PathBuf, SessionError> {
        let drawn = trainer.drawn().name == network;
        let name = if drawn || network == kind.name() { kind.name().to_owned() } else { format!("{network}-{kind}") };
        let path = self.path.join(format!("snapshots/{name}-{:06}.safetensors", trainer.counters.turns));
        let (layout, weights) = trainer.whole_weights(network).await?;
        ModelFile::new(meta(trainer, data, network, kind), &layout, &weights).save(&path, Storage::F32)?;
        Ok(path)
    }

    /// What this phase saves; returns the file of the network that is drawn from.
    pub(super) async fn save_snapshots(&self, trainer: &Trainer, data: &TrainingData) -> Result<PathBuf, SessionError> {
        let mut drawn = None;
        for &(network, kind) in &trainer.phase().saves {
            let file = self.save_model(trainer, data, network, kind).await?;
            drawn.get_or_insert(file);
        }
        Ok(drawn.expect("every phase saves the network that is drawn from, first"))
    }

    /// Points `latest.json` at a complete checkpoint, once all that is told of it is on the disk, and removes the oldest
    /// ones.
    pub(super) fn finish_checkpoint(&self, state: &Path, keep: usize) -> Result<(), SessionError> {
        self.log.sync();
        self.statistics.sync();
        point_at(&self.path, state)?;
        for (_, old) in checkpoints(&self.path).into_iter().skip(keep.max(1)).filter(|(_, old)| old != state) {
            // What is left of it if this breaks off has a name that is swept.
            let name = old.file_name().unwrap_or_default().to_string_lossy();
            let aside = old.with_file_name(format!(".writing-{name}"));
            if let Err(error) = fs::rename(&old, &aside).and_then(|()| fs::remove_dir_all(&aside)) {
                tracing::warn!("{}: {error}", old.display());
            }
        }
        Ok(())
    }
}

/// Metadata of a file of this run that holds a network of this name.
pub(super) fn meta(trainer: &Trainer, data: &TrainingData, network: &str, kind: ModelKind) -> ModelMeta {
    let network = trainer.recipe().network(network).unwrap_or(trainer.recipe().drawn());
    let mut meta = ModelMeta::new(kind, network.net.clone());
    meta.sigma_init = trainer.config().sigma_init;
    let draw = trainer.drawing();
    meta.draw = (kind == ModelKind::Generator && *draw != meta.draw()).then(|| draw.clone());
    meta.step = trainer.counters.turns;
    meta.seed = trainer.config().seed;
    meta.dataset.clone_from(&data.name);
    meta.license.clone_from(&data.license);
    if !data.spec.bytes {
        meta.data_range = [-data.half_width(), data.half_width()];
    }
    meta
}

/// Images as a grid, points as a scatter plot.
fn picture(path: &Path, data: &TrainingData, values: &[f32]) -> Result<(), SessionError> {
    match data.spec.shape[..] {
        [height, width, channels] => {
            let n = values.len() / (height * width * channels);
            let scale = (56 / height.max(width)).max(1);
            save_grid(path, &to_bytes(values), [n, height, width, channels], 8, scale)?;
        }
        _ => {
            save_grid(path, &scatter(values, data.half_width(), SCATTER), [1, SCATTER, SCATTER, 1], 1, 2)?;
        }
    }
    Ok(())
}

/// What a file of JSON holds; `fix` is what to do if it can't be read.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, fix: &str) -> Result<T, SessionError> {
    let wrong = |problem| SessionError::Folder { path: path.display().to_string(), problem };
    let text = read_small(path).map_err(|e| wrong(format!("{e}; {fix}")))?;
    serde_json::from_str(&text).map_err(|e| wrong(format!("is damaged: {e}; {fix}")))
}

pub(super) fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), SessionError> {
    let text = serde_json::to_string_pretty(value).expect("JSON values have a text form");
    Ok(atomic_write(path, |file| writeln!(file, "{text}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Config;

    /// All but one of them ended with "File exists".
    #[test]
    fn programs_that_begin_a_run_at_once_get_folders_of_their_own() {
        let outdir = tempfile::tempdir().unwrap();
        let barrier = std::sync::Barrier::new(8);
        let begin = || {
            let settings = RunSettings {
                preset: String::new(),
                config: Config::default(),
                data: None,
                transfer: None,
                changes: Vec::new(),
            };
            barrier.wait();
            RunFolder::create(outdir.path(), "rings", settings).map(|folder| folder.path).unwrap()
        };
        let mut paths: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 8);
        assert!(paths.iter().all(|path| path.join("config.json").is_file()));
    }
}
