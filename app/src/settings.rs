//! The settings of a run from all their sources, in one order: default, preset, config file,
//! environment (`ONESTEP_LR_CRITIC=1e-3`), flag. Later ones win.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use onestep_core::data::{Density, Official, load_points};
use onestep_core::train::{Config, DataSpec, KNOBS, Knob, KnobError, Overrides, PRESETS, Preset, Setup, TrainingData};
use serde::Deserialize;

use crate::exit::bad_input;
use crate::output::note;

/// Where settings come from.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Settings of the run")]
pub struct SettingsArgs {
    #[arg(long, value_name = "NAME", help = preset_help())]
    pub preset: Option<String>,
    /// A TOML or JSON file of settings, such as the `config.json` of a run.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
}

fn preset_help() -> String {
    format!("A named set of settings: {} [default: the one that fits --data, else mnist]", preset_names())
}

fn preset_names() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

/// Largest config file: a thousand times what all settings take.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

impl SettingsArgs {
    /// The settings, checked.
    pub fn resolve(&self) -> anyhow::Result<Config> {
        Ok(self.resolve_named()?.1)
    }

    /// Whether flags ask for any of them.
    pub fn are_given(&self) -> bool {
        self.preset.is_some() || self.config.is_some() || self.overrides != Overrides::default()
    }

    /// The preset's name and the settings, checked.
    pub fn resolve_named(&self) -> anyhow::Result<(&'static str, Config)> {
        let file = self.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
        let layers = [file, from_environment(|name| std::env::var_os(name))?, self.overrides.clone()];
        let preset = self.preset(&layers)?;
        let config = layered(preset, &layers)?;
        // The file of a run names every setting there is.
        let whole = self.config.as_deref().is_some_and(is_saved_run);
        for layer in layers.iter().skip(usize::from(whole)) {
            config.method.get().check(layer).map_err(|error| bad_input!("{error}"))?;
        }
        Ok((preset.name, config))
    }

    /// The preset that was asked for; without one, that which suits the data.
    fn preset(&self, layers: &[Overrides]) -> anyhow::Result<&'static Preset> {
        let name = self.preset.as_deref().unwrap_or_else(|| {
            let data = layers.iter().rev().find_map(|layer| layer.data.as_deref());
            data.and_then(suitable).unwrap_or("mnist")
        });
        Preset::find(name)
            .ok_or_else(|| bad_input!("--preset {name}: there is no such preset; choose one of {}", preset_names()))
    }
}

/// A preset as the method that the layers choose changes it, and the layers over it, the last on top.
pub fn layered(preset: &Preset, layers: &[Overrides]) -> Result<Config, KnobError> {
    let chosen = layers.iter().rev().find_map(|layer| layer.method);
    let mut config = preset.config_for(chosen.unwrap_or(preset.config().method).get());
    for layer in layers {
        config.apply(layer);
    }
    config.validate()?;
    Ok(config)
}

/// The preset for points of a person's own.
pub const OWN_POINTS: &str = "two-moons";

/// The preset made for these data.
pub fn suitable(data: &str) -> Option<&'static str> {
    let Ok(density) = Density::parse(data) else {
        // Points of a person's own: like the moons, a shape without separate modes.
        let points = load_points(Path::new(data)).is_ok_and(|points| points.is_some());
        return points.then_some(OWN_POINTS);
    };
    let made_for = |preset: &&Preset| Density::parse(&preset.config().data).is_ok_and(|d| d == density);
    PRESETS.iter().find(made_for).map(|preset| preset.name)
}

/// What a run's `config.json` holds.
#[derive(Deserialize)]
struct SavedRun {
    config: Overrides,
}

/// The settings in a file; its ending says which format it is, JSON if there is none.
pub fn read_config(path: &Path) -> anyhow::Result<Overrides> {
    let name = path.display();
    let fail = |got: std::io::Error| bad_input!("{name}: cannot be read: {got}; check the path of --config");
    // Not by its length: a device has none, and no end either.
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    let length = file.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text).map_err(fail)?;
    if length as u64 > MAX_CONFIG_BYTES {
        return Err(bad_input!("{name}: is longer than any file of settings; check the path of --config"));
    }
    let saved = || serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value["config"].is_object());
    let is_toml = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    let result = if is_toml {
        toml::from_str(&text).map_err(|e| (line_of(&text, e.span()), e.message().to_owned()))
    } else if saved() {
        serde_json::from_str(&text).map(|saved: SavedRun| saved.config).map_err(|e| (e.line(), e.to_string()))
    } else {
        serde_json::from_str(&text).map_err(|e| (e.line(), e.to_string()))
    };
    result.map_err(|(line, message)| {
        // The parsers list every setting there is.
        let message = message.split(", expected one of").next().unwrap_or_default();
        let format = if is_toml { "TOML" } else { "JSON" };
        bad_input!("{name}, line {line}: {message}; wanted {format} with settings of `onestep train --help`")
    })
}

/// Whether a file holds the settings of a run as onestep wrote them.
pub fn is_saved_run(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value["config"].is_object())
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    text[..start].matches('\n').count() + 1
}

/// The settings in `ONESTEP_<NAME>`; an empty one counts as absent.
fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Overrides, KnobError> {
    let mut overrides = Overrides::default();
    for knob in KNOBS {
        let given = |name: &str| {
            let variable = variable(name);
            Some((get(&variable).filter(|value| !value.is_empty())?, variable))
        };
        if let Some((value, variable)) = given(knob.name).or_else(|| given(knob.old_name?)) {
            // What is not UTF-8 is no setting's value either, and is refused as such.
            overrides
                .set(knob.name, &value.to_string_lossy())
                .map_err(|error| KnobError { knob: variable, ..error })?;
        }
    }
    Ok(overrides)
}

fn variable(knob: &str) -> String {
    format!("ONESTEP_{}", knob.to_uppercase())
}

/// What variables such as `ONESTEP_CACHE` are called that are no settings of a run.
const OTHER_VARIABLES: [&str; 6] = ["CACHE", "CPU", "DATA_URL", "LOG", "SHADER_DIR", "SIMD"];

/// Says which variables have no effect: a typing error, or any setting where a run is resumed.
pub fn tell_of_environment(quiet: bool, resumes: bool) {
    let names = std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    for (name, why) in without_effect(names, resumes) {
        note(quiet, format_args!("warning: {name} has no effect: {why}"));
    }
}

fn without_effect(names: impl Iterator<Item = OsString>, resumes: bool) -> Vec<(String, &'static str)> {
    let names = names.filter_map(|name| name.into_string().ok());
    let mut all: Vec<(String, &str)> = names
        .filter_map(|name| {
            let rest = name.strip_prefix("ONESTEP_")?;
            let names_setting =
                |knob: &Knob| [Some(knob.name), knob.old_name].iter().flatten().any(|n| variable(n) == name);
            let why = if KNOBS.iter().any(names_setting) {
                resumes.then_some("a resumed run keeps its settings; use a flag")?
            } else if OTHER_VARIABLES.contains(&rest) {
                return None;
            } else {
                "there is no such setting; `onestep train --help` lists them"
            };
            Some((name, why))
        })
        .collect();
    all.sort_unstable();
    all
}

/// Networks and shapes of a run. Data that would have to be downloaded are not: their shape is known.
pub fn setup_without_download(config: Config) -> anyhow::Result<(Setup, TrainingData)> {
    let data = match Official::parse(&config.data) {
        Some(set) => official(set, &config),
        None => TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(()))?,
    };
    data.check_classes(&config)?;
    let network = data.network(&config);
    network.validate().context("the settings give a network that cannot be built")?;
    Ok((Setup { network, data: data.spec.clone(), config }, data))
}

/// An official data set's shape, with black images.
fn official(set: Official, config: &Config) -> TrainingData {
    let (side, channels, rows) = match set {
        Official::Mnist | Official::FashionMnist => (28, 1, 60_000),
        Official::Cifar10 => (32, 3, 50_000),
    };
    let side = if config.resize > 0 { config.resize } else { side };
    let spec = DataSpec { shape: vec![side, side, channels], rows, bytes: true, classes: 10 };
    TrainingData {
        words: vec![0; spec.store_len()],
        labels: vec![0; rows],
        spec,
        name: set.name().to_owned(),
        license: set.license().to_owned(),
        density: None,
        first: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(preset: Option<&str>, overrides: Overrides) -> SettingsArgs {
        SettingsArgs { preset: preset.map(str::to_owned), config: None, overrides }
    }

    #[test]
    fn unknown_presets_are_answered_with_the_list() {
        let error = args(Some("mnits"), Overrides::default()).resolve().unwrap_err().to_string();
        assert!(error.contains("mnits") && error.contains("gaussians"), "{error}");
    }

    #[test]
    fn a_density_brings_its_preset() {
        let overrides = Overrides { data: Some("moons".into()), ..Overrides::default() };
        let config = args(None, overrides).resolve().unwrap();
        assert_eq!((config.data.as_str(), config.warmup_steps), ("moons", 0));
        assert_eq!(args(None, Overrides::default()).resolve().unwrap().data, "mnist-10k");
    }

    #[test]
    fn settings_of_another_method_are_refused_by_name() {
        let of = |method: &str, knob: &str, value: &str| {
            let mut overrides = Overrides::default();
            overrides.set("method", method)?;
            overrides.set(knob, value)?;
            args(Some("gaussians"), overrides).resolve()
        };
        let error = of("flow", "divergence", "js").unwrap_err().to_string();
        assert!(error.starts_with("divergence = js: is no setting of flow") && error.contains("cooldown"), "{error}");
        assert_eq!(of("ect", "warmup_steps", "77").unwrap().warmup_steps, 77, "a person's settings come last");
        assert!(of("ect", "batch", "16").unwrap().warmup_steps > 0, "a method changes a preset");
        assert!(of("gan", "batch", "16").is_err());
    }

    #[test]
    fn environment_is_read_by_name() {
        let one = |name: &'static str, value: &'static str| {
            from_environment(move |variable| (variable == name).then(|| value.into()))
        };
        assert_eq!(one("ONESTEP_LR_CRITIC", "0.25").unwrap().lr_critic, Some(0.25));
        assert_eq!(one("ONESTEP_LR_RATIO", "0.25").unwrap().lr_critic, Some(0.25), "an old name");
        assert_eq!(one("ONESTEP_LR_CRITIC", "").unwrap(), Overrides::default());
        let error = one("ONESTEP_BATCH", "many").unwrap_err().to_string();
        assert!(error.starts_with("ONESTEP_BATCH = many"), "{error}");
    }

    /// `ONESTEP_STEP=100` trained for 4,000 steps without a word.
    #[test]
    fn variables_without_effect_are_told_of() {
        let names = ["ONESTEP_STEP", "ONESTEP_RATIO_STEPS", "ONESTEP_LOG", "ONESTEP", "HOME", "ONESTEP_DEVICE"];
        let told = |resumes| -> Vec<String> {
            without_effect(names.iter().map(OsString::from), resumes).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(told(false), ["ONESTEP_DEVICE", "ONESTEP_STEP"]);
        assert_eq!(told(true), ["ONESTEP_DEVICE", "ONESTEP_RATIO_STEPS", "ONESTEP_STEP"]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line_of("a\nb\nc", Some(4..5)), 3);
        assert_eq!(line_of("a", None), 1);
    }
}
