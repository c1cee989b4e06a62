//! What a path means to the window, and the runs that are there.

mod runs;

pub use runs::{Fate, SavedRun, preset_of, runs};

use std::path::{Path, PathBuf};

use onestep_core::model::{ModelFile, ModelKind};
use onestep_core::session::Start;
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
        return Err(format!("{}: there is no such file or folder; choose another one", path.display()));
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
                config.check_of_classes(&overrides).map_err(named)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(meaning(&at("absent")).unwrap_err().contains("absent"));
        std::fs::write(at("settings.toml"), "data = \"rings\"\nlr_critic = 0.01\n").unwrap();
        let Meaning::Run(start) = meaning(&at("settings.toml")).unwrap() else { panic!("settings start a run") };
        let Start::New { preset, config, .. } = *start else { panic!("a new one") };
        assert_eq!((preset.as_str(), config.lr_critic, config.warmup_steps), ("rings", 0.01, 0));
        std::fs::write(at("wrong.toml"), "lr_critic = -1\n").unwrap();
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
}
