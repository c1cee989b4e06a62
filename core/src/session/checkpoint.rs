//! Checkpoints: `state.safetensors` with every store that the next step reads, `state.json` with
//! the counters.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SessionError;
use super::folder::{RunFolder, meta};
use crate::files::{FileError, atomic_write, read_small, sync_folder};
use crate::model::checksums::of_bytes;
use crate::model::{ModelFile, ModelKind, Storage};
use crate::nets::{LayoutError, Tensor};
use crate::train::{Config, Counters, CountersV1, Recipe, Trainer, TrainingData};

/// Version of the checkpoint's content. Version 1 had the counters of the one method that there was.
const VERSION: u32 = 2;

/// What is not a tensor. Its file begins with a checksum of the rest.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    counters: serde_json::Value,
    elapsed_secs: f64,
    /// The settings at this step; older checkpoints have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
}

impl State {
    /// Reads `state.json` in a checkpoint's folder.
    pub fn read(checkpoint: &Path) -> Result<Self, SessionError> {
        let file = checkpoint.join("state.json");
        let wrong = |problem| SessionError::Folder { path: file.display().to_string(), problem };
        let fix = "resume an earlier checkpoint";
        let text = read_small(&file).map_err(|e| wrong(format!("{e}; {fix}")))?;
        if !is_as_written(&text) {
            return Err(wrong(format!("is damaged: it is not what its checksum says; {fix}")));
        }
        let state: Self = serde_json::from_str(&text).map_err(|e| wrong(format!("is damaged: {e}; {fix}")))?;
        if !(1..=VERSION).contains(&state.version) {
            let problem =
                format!("has version {}, this program reads {VERSION}; use the program that wrote it", state.version);
            return Err(wrong(problem));
        }
        Ok(state)
    }

    /// How far the run is.
    pub fn counters(&self, recipe: &Recipe, warmup_steps: u64) -> Result<Counters, serde_json::Error> {
        if self.version > 1 {
            return Counters::deserialize(&self.counters);
        }
        Ok(Counters::from_v1(CountersV1::deserialize(&self.counters)?, recipe, warmup_steps))
    }

    /// Turns done, of all phases.
    pub fn step(&self) -> u64 {
        let number = |name: &str| self.counters[name].as_u64().unwrap_or(0);
        if self.version > 1 { number("turns") } else { number("warmup") + number("generator") }
    }
}

impl RunFolder {
    /// Where the checkpoint of a step is.
    pub(super) fn checkpoint(&self, step: u64) -> PathBuf {
        self.path().join(format!("checkpoints/state-{step:06}"))
    }

    /// Writes `checkpoints/state-000500` beside its final name, then renames it.
    pub(super) async fn save_checkpoint(
        &self,
        trainer: &Trainer,
        data: &TrainingData,
        elapsed: Duration,
    ) -> Result<PathBuf, SessionError> {
        let step = trainer.counters.turns;
        let folder = self.path().join("checkpoints");
        let path = self.checkpoint(step);
        let temporary = folder.join(format!(".writing-{step:06}"));
        let io = |action| move |error| FileError::new(&folder, action, error);
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir(&temporary).map_err(io("create a folder"))?;
        let written = write_state(&temporary, trainer, data, elapsed).await;
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        // One of the same step goes when the new one is there.
        let aside = path.with_file_name(format!(".writing-state-{step:06}"));
        let replaces = path.exists();
        if replaces {
            let _ = fs::remove_dir_all(&aside);
            fs::rename(&path, &aside).map_err(|e| FileError::new(&path, "replace the folder", e))?;
        }
        fs::rename(&temporary, &path).map_err(|e| FileError::new(&path, "rename the folder", e))?;
        if replaces {
            let _ = fs::remove_dir_all(&aside);
        }
        // Before `latest.json` names it, and before an older one goes.
        sync_folder(&self.path().join("checkpoints"));
        Ok(path)
    }
}

async fn write_state(
    folder: &Path,
    trainer: &Trainer,
    data: &TrainingData,
    elapsed: Duration,
) -> Result<(), SessionError> {
    let drawn = trainer.recipe().drawn().name;
    let mut model = ModelFile::new(
        meta(trainer, data, drawn, ModelKind::State),
        trainer.layout(drawn),
        &vec![0.0; trainer.layout(drawn).len],
    );
    model.tensors.clear();
    for network in &trainer.recipe().networks {
        for store in network.state() {
            let values = trainer.weights(network.name, store).await?;
            model.tensors.extend(trainer.layout(network.name).to_tensors(&prefix(network.name, store), &values));
        }
    }
    for (name, len) in trainer.remembered() {
        let values = trainer.executor.read(name, 0, len).await?;
        model.tensors.insert(name.to_owned(), Tensor { shape: vec![len], values });
    }
    model.save(folder.join("state.safetensors"), Storage::F32)?;
    let config = Some(trainer.config().clone());
    let counters = serde_json::to_value(&trainer.counters).expect("numbers have a JSON form");
    let state = State { version: VERSION, counters, elapsed_secs: elapsed.as_secs_f64(), config };
    let text = sealed(&serde_json::to_string_pretty(&state).expect("numbers have a JSON form"));
    Ok(atomic_write(folder.join("state.json"), |file| file.write_all(text.as_bytes()))?)
}

/// What is in front of the checksum of all that comes behind it.
const SEAL: [&str; 2] = ["{\n  \"crc32\": \"", "\",\n"];

/// An object of JSON on several lines with a checksum as its first entry.
fn sealed(text: &str) -> String {
    let rest = format!("{}\n", text.trim_start_matches("{\n"));
    format!("{}{}{}{rest}", SEAL[0], of_bytes(rest.as_bytes()), SEAL[1])
}

/// Whether a text is as it was written, as far as it says so: those of earlier versions have no checksum.
fn is_as_written(text: &str) -> bool {
    let seal = text.strip_prefix(SEAL[0]).and_then(|rest| rest.split_once(SEAL[1]));
    seal.is_none_or(|(sum, rest)| sum == of_bytes(rest.as_bytes()))
}

fn prefix(network: &str, store: &str) -> String {
    format!("{network}.{store}.")
}

/// Puts a checkpoint's state into a trainer of the same run; returns the time it had taken.
pub(super) fn load(path: &Path, trainer: &mut Trainer) -> Result<Duration, SessionError> {
    let state = State::read(path)?;
    let wrong = |problem: String| SessionError::Folder { path: path.display().to_string(), problem };
    let counters = state.counters(trainer.recipe(), trainer.config().warmup_steps);
    let counters = counters.map_err(|e| wrong(format!("state.json is damaged ({e}); resume an earlier checkpoint")))?;
    if counters.phase >= trainer.recipe().phases.len() {
        return Err(wrong(
            "state.json names a phase that this method does not have; resume an earlier checkpoint".into(),
        ));
    }
    let model = ModelFile::open_state(path.join("state.safetensors"), |tensors| belongs(trainer, tensors))?;
    if model.meta.kind != ModelKind::State {
        return Err(wrong("state.safetensors is not a checkpoint; choose one written by onestep".into()));
    }
    // Everything is read before anything is written.
    let mut stores: Vec<(String, Vec<f32>)> = Vec::new();
    for network in &trainer.recipe().networks {
        for store in network.state() {
            let values = model.parameters(&prefix(network.name, store), trainer.layout(network.name))?;
            stores.push((format!("{}.{store}", network.name), values));
        }
    }
    let mut rest = model.tensors;
    for (name, _) in trainer.remembered() {
        stores.extend(rest.remove(name).map(|tensor| (name.to_owned(), tensor.values)));
    }
    for (name, values) in stores {
        trainer.executor.write(&name, 0, &values)?;
    }
    trainer.counters = counters;
    Ok(Duration::try_from_secs_f64(state.elapsed_secs).unwrap_or_default())
}

/// Whether tensors of these names and shapes are the state of a trainer, and nothing besides.
fn belongs(trainer: &Trainer, tensors: &[(&str, &[usize])]) -> Result<(), LayoutError> {
    let mut others = tensors.to_vec();
    for network in &trainer.recipe().networks {
        for store in network.state() {
            let prefix = prefix(network.name, store);
            trainer.layout(network.name).check(&prefix, others.iter().copied())?;
            others.retain(|(name, _)| !name.starts_with(&prefix));
        }
    }
    for (name, len) in trainer.remembered() {
        let named = others.iter().position(|other| other.0 == name).map(|place| others.swap_remove(place));
        match named {
            Some((_, [got])) if *got == len => {}
            Some((_, got)) => {
                return Err(LayoutError::Shape { name: name.to_owned(), wanted: vec![len], got: got.to_vec() });
            }
            None => return Err(LayoutError::Missing { name: name.to_owned(), wanted: vec![len] }),
        }
    }
    match others.first() {
        Some((name, got)) => Err(LayoutError::Unknown { name: (*name).to_owned(), got: got.to_vec() }),
        None => Ok(()),
    }
}
