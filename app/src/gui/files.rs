//! What a path means to the window, and the runs that are there.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use onestep_core::model::{ModelFile, ModelKind};
use onestep_core::session::{RunFolder, Start};
use onestep_core::train::{KnobError, Overrides, Preset};

use crate::settings::{is_saved_run, layered, read_config, suitable};

/// What a dropped or chosen path is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A run to start or to go on with.
    Run(Box<Start>),
    /// A generator to explore.
    Model(PathBuf),
}

/// Decides by what is there, not by the name alone. Data are only looked at when they are loaded.
pub fn meaning(path: &Path) -> Result<Meaning, String> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let resume =
        |path: &Path| Ok(Meaning::Run(Box::new(Start::Resume { path: path.to_owned(), overrides: Box::default() })));
    if !path.exists() {
        return Err(format!("{}: is not there any more; choose another file", path.display()));
    }
    if path.is_dir() {
        let is_run = path.join("config.json").is_file() || path.join("state.json").is_file();
        return if is_run || !runs(path).is_empty() { resume(path) } else { Ok(new_run(path)) };
    }
    match ending.as_str() {
        "safetensors" => {
            let model = ModelFile::open(path).map_err(|e| e.to_string())?;
            match model.meta.kind {
                ModelKind::State => resume(path.parent().unwrap_or(path)),
                ModelKind::Generator => Ok(Meaning::Model(path.to_owned())),
                ModelKind::Denoiser | ModelKind::Ratio => Err(format!(
                    "{}: holds no generator; choose a file such as snapshots/generator-000500.safetensors",
                    path.display()
                )),
            }
        }
        "json" | "toml" => {
            let overrides = read_config(path).map_err(|e| format!("{e:#}"))?;
            let named = |error: KnobError| format!("{}: {error}", path.display());
            let meaning = configured(&overrides).map_err(named)?;
            // The file of a run names every setting there is.
            if let (false, Meaning::Run(start)) = (is_saved_run(path), &meaning)
                && let Start::New { config, .. } = &**start
            {
                config.method.get().check(&overrides).map_err(named)?;
            }
            Ok(meaning)
        }
        _ => Ok(new_run(path)),
    }
}

/// A run on these data, with the settings that suit them.
fn new_run(data: &Path) -> Meaning {
    let data = data.to_string_lossy().into_owned();
    let overrides = Overrides { data: Some(data), ..Overrides::default() };
    configured(&overrides).expect("a path is no setting that could be refused")
}

fn configured(overrides: &Overrides) -> Result<Meaning, KnobError> {
    let name = overrides.data.as_deref().and_then(suitable).unwrap_or("mnist");
    let preset = Preset::find(name).expect("presets that suit data exist");
    let config = layered(preset, std::slice::from_ref(overrides))?;
    Ok(Meaning::Run(Box::new(Start::New { preset: name.to_owned(), config: Box::new(config), transfer: None })))
}

/// A run on the disk that can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRun {
    /// Its folder.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Whether no program trains in it any more although it did not come to an end.
    pub interrupted: bool,
}

/// The runs of a folder that have a checkpoint, the newest first.
pub fn runs(folder: &Path) -> Vec<SavedRun> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut runs: Vec<SavedRun> = paths
        .filter(|path| path.join("latest.json").is_file())
        .filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some(SavedRun { interrupted: !ended(&path) && !RunFolder::is_busy(&path), name, path })
        })
        .collect();
    runs.sort_by(|a, b| b.name.cmp(&a.name));
    runs
}

/// Bytes at the end of a log that hold its last line.
const TAIL: i64 = 1 << 16;

/// Whether the last event of a run's log is its end.
fn ended(run: &Path) -> bool {
    let mut text = Vec::new();
    let read = std::fs::File::open(run.join("log.txt")).and_then(|mut file| {
        let length = file.metadata()?.len() as i64;
        file.seek(SeekFrom::End(-length.min(TAIL)))?;
        file.read_to_end(&mut text)
    });
    let last = text.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    let event = serde_json::from_slice::<serde_json::Value>(last).unwrap_or_default();
    read.is_ok() && event["event"] == "done"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(meaning(&at("absent")).unwrap_err().contains("absent"));
        std::fs::write(at("settings.toml"), "data = \"rings\"\nlr_ratio = 0.01\n").unwrap();
        let Meaning::Run(start) = meaning(&at("settings.toml")).unwrap() else { panic!("settings start a run") };
        let Start::New { preset, config, .. } = *start else { panic!("a new one") };
        assert_eq!((preset.as_str(), config.lr_critic, config.warmup_steps), ("rings", 0.01, 0));
        std::fs::write(at("wrong.toml"), "lr_ratio = -1\n").unwrap();
        assert!(meaning(&at("wrong.toml")).unwrap_err().contains("lr_critic"));
        // A method changes its preset, here as on the command line: without its warm-up, sid was refused.
        std::fs::write(at("sid.toml"), "data = \"gaussians\"\nmethod = \"sid\"\n").unwrap();
        let Meaning::Run(start) = meaning(&at("sid.toml")).unwrap() else { panic!("settings start a run") };
        let Start::New { config, .. } = *start else { panic!("a new one") };
        assert_eq!((config.method.get().name, config.warmup_steps), ("sid", 2000));
        std::fs::write(at("foreign.toml"), "method = \"flow\"\nalpha = 1.0\n").unwrap();
        assert!(meaning(&at("foreign.toml")).unwrap_err().contains("is no setting of flow"));
        std::fs::write(at("bad.safetensors"), "nothing").unwrap();
        assert!(meaning(&at("bad.safetensors")).unwrap_err().contains("bad.safetensors"));
        std::fs::create_dir(at("pictures")).unwrap();
        let Meaning::Run(start) = meaning(&at("pictures")).unwrap() else { panic!("data start a run") };
        assert!(matches!(*start, Start::New { .. }));
    }

    #[test]
    fn a_run_without_an_end_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        for (name, log) in
            [("00000-a", "{\"event\":\"done\"}\n"), ("00001-b", "{\"event\":\"done\"}\n{\"event\":\"saved\"}\n")]
        {
            let run = folder.path().join(name);
            std::fs::create_dir(&run).unwrap();
            std::fs::write(run.join("latest.json"), "{}").unwrap();
            std::fs::write(run.join("log.txt"), log).unwrap();
        }
        std::fs::create_dir(folder.path().join("00002-without-checkpoint")).unwrap();
        let found: Vec<(String, bool)> = runs(folder.path()).into_iter().map(|r| (r.name, r.interrupted)).collect();
        assert_eq!(found, [("00001-b".to_owned(), true), ("00000-a".to_owned(), false)]);
        // One that another program trains in is none of ours.
        let log = std::fs::File::open(folder.path().join("00001-b/log.txt")).unwrap();
        log.lock().unwrap();
        assert!(!runs(folder.path())[0].interrupted);
    }
}
