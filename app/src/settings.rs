//! The settings of a run from all their sources, in one order: default, preset, config file,
//! environment (`ONESTEP_LR_CRITIC=1e-3`), flag. Later ones win.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use onestep_core::data::{Density, Official, load_points};
use onestep_core::nets::ConfigError;
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

    /// What the environment and flags change of the settings of a run that goes on.
    pub fn changes(&self) -> Result<Overrides, KnobError> {
        Ok(self.overrides.clone().over(from_environment(|name| std::env::var_os(name))?))
    }

    /// An error of a setting that a run which goes on refuses, with the variable that it comes from.
    pub fn refused(&self, error: KnobError) -> KnobError {
        let variable = variable(&error.knob);
        let is_flag = self.overrides.names().contains(&&error.knob[..]);
        if is_flag || std::env::var_os(&variable).is_none() { error } else { KnobError { knob: variable, ..error } }
    }

    /// Whether flags ask for any of them.
    pub fn are_given(&self) -> bool {
        self.preset.is_some() || self.config.is_some() || self.overrides != Overrides::default()
    }

    /// The preset's name and the settings, checked.
    pub fn resolve_named(&self) -> anyhow::Result<(&'static str, Config)> {
        let file = self.config.as_deref().map(read_saved).transpose()?.unwrap_or_default();
        let environment = from_environment(|name| std::env::var_os(name))?;
        let layers = [file.config, environment, self.overrides.clone()];
        let preset = self.preset(file.preset.as_deref(), &layers)?;
        let config = layered(preset, &layers).map_err(|error| self.where_from(error, &layers))?;
        // The file of a run names every setting there is.
        for layer in layers.iter().skip(usize::from(file.is_run)) {
            let checked = config.method.get().check(layer).and_then(|()| config.check_of_classes(layer));
            checked.map_err(|error| self.where_from(error, &layers))?;
        }
        Ok((preset.name, config))
    }

    /// An error of a setting, with the file or the variable that it comes from.
    fn where_from(&self, error: KnobError, layers: &[Overrides; 3]) -> anyhow::Error {
        let names = |layer: &Overrides| layer.names().contains(&&error.knob[..]);
        match (layers.iter().rposition(names), &self.config) {
            (Some(0), Some(file)) => bad_input!("{}: {error}", file.display()),
            (Some(1), _) => KnobError { knob: variable(&error.knob), ..error }.into(),
            _ => error.into(),
        }
    }

    /// The preset that was asked for; without one, that which suits the data.
    fn preset(&self, of_file: Option<&str>, layers: &[Overrides]) -> anyhow::Result<&'static Preset> {
        let name = self.preset.as_deref().or(of_file).unwrap_or_else(|| {
            let data = layers.iter().rev().find_map(|layer| layer.data.as_deref());
            data.and_then(suitable).unwrap_or("mnist")
        });
        let flag = match (&self.preset, &self.config) {
            (None, Some(file)) => format!("{}: preset", file.display()),
            _ => "--preset".to_owned(),
        };
        Preset::find(name)
            .ok_or_else(|| bad_input!("{flag} {name}: there is no such preset; choose one of {}", preset_names()))
    }
}

/// A preset as the method that the layers choose changes it, and the layers over it, the last on top.
pub fn layered(preset: &Preset, layers: &[Overrides]) -> Result<Config, KnobError> {
    let config = preset.config_with(layers);
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

/// What a file of settings holds.
#[derive(Default, Deserialize)]
struct Saved {
    /// Of a run, if it began with one.
    preset: Option<String>,
    config: Overrides,
    /// Whether it is the `config.json` of a run, or written like one.
    #[serde(skip)]
    is_run: bool,
}

/// The settings in a file; its ending says which format it is, JSON if there is none.
pub fn read_config(path: &Path) -> anyhow::Result<Overrides> {
    Ok(read_saved(path)?.config)
}

fn read_saved(path: &Path) -> anyhow::Result<Saved> {
    let name = path.display();
    let fail = |got: std::io::Error| bad_input!("{name}: cannot be read: {got}; check the path of --config");
    let mut text = String::new();
    let file = onestep_core::files::open(path).map_err(fail)?;
    let length = file.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text).map_err(fail)?;
    if length as u64 > MAX_CONFIG_BYTES {
        return Err(bad_input!("{name}: is longer than any file of settings; check the path of --config"));
    }
    let is_run = || serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value["config"].is_object());
    let is_toml = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    let alone = |config| Saved { config, ..Saved::default() };
    let result = if is_toml {
        toml::from_str(&text).map(alone).map_err(|e| (line_of(&text, e.span()), e.message().to_owned()))
    } else if is_run() {
        serde_json::from_str(&text).map(|saved| Saved { is_run: true, ..saved }).map_err(|e| (e.line(), e.to_string()))
    } else {
        serde_json::from_str(&text).map(alone).map_err(|e| (e.line(), e.to_string()))
    };
    let mut saved: Saved = result.map_err(|(line, message)| {
        // The parsers list every setting there is.
        let message = message.split(", expected one of").next().unwrap_or_default();
        let format = if is_toml { "TOML" } else { "JSON" };
        bad_input!("{name}, line {line}: {message}; wanted {format} with settings of `onestep train --help`")
    })?;
    // A run that began in the window with no preset has none.
    saved.preset = saved.preset.filter(|preset| !preset.is_empty());
    Ok(saved)
}

/// Whether a file holds the settings of a run as onestep wrote them.
pub fn is_saved_run(path: &Path) -> bool {
    read_saved(path).is_ok_and(|saved| saved.is_run)
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

/// Says which variables have no effect, such as one with a typing error, also to who asked for quiet: otherwise a run
/// would go on for hours with other settings than were meant.
pub fn tell_of_environment() {
    let names = std::env::vars_os().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
    for name in without_effect(names) {
        note(
            false,
            format_args!("warning: {name} has no effect: there is no such setting; `onestep train --help` lists them"),
        );
    }
}

fn without_effect(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let is_setting = |name: &str| {
        let of = |knob: &Knob| [Some(knob.name), knob.old_name].iter().flatten().any(|n| variable(n) == name);
        KNOBS.iter().any(of)
    };
    let names = names.filter_map(|name| name.into_string().ok());
    let mut all: Vec<String> = names
        .filter(|name| name.strip_prefix("ONESTEP_").is_some_and(|rest| !OTHER_VARIABLES.contains(&rest)))
        .filter(|name| !is_setting(name))
        .collect();
    all.sort_unstable();
    all
}

/// Networks and shapes of a run, whose settings may be from a file. Data that would have to be downloaded are not: their
/// shape is known.
pub fn setup_without_download(config: Config, file: Option<&Path>) -> anyhow::Result<(Setup, TrainingData)> {
    let data = match Official::parse(&config.data) {
        Some(set) => official(set, &config),
        None => TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(()))?,
    };
    data.check_classes(&config)?;
    let network = data.network(&config);
    network.validate().map_err(|error| impossible(file, &error))?;
    Ok((Setup { network, data: data.spec.clone(), config }, data))
}

/// An error of settings, perhaps from a file, that give no network.
pub fn impossible(file: Option<&Path>, error: &ConfigError) -> anyhow::Error {
    let file = file.map(|file| format!("{}: ", file.display())).unwrap_or_default();
    bad_input!("{file}the settings give a network that cannot be built: {error}")
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

    /// `--guidance 3` trained without guidance, and without a word.
    #[test]
    fn settings_of_classes_are_refused_without_classes() {
        let of = |preset: &str, settings: &[(&str, &str)]| {
            let mut overrides = Overrides { method: Some("dmd".parse().unwrap()), ..Overrides::default() };
            settings.iter().try_for_each(|(knob, value)| overrides.set(knob, value))?;
            args(Some(preset), overrides).resolve()
        };
        let error = of("gaussians", &[("guidance", "3")]).unwrap_err().to_string();
        assert!(error.starts_with("guidance = 3") && error.contains("--classes"), "{error}");
        assert!(of("gaussians", &[("label_dropout", "0.2")]).is_err());
        assert!(of("mnist", &[("classes", "0"), ("guidance", "3")]).is_err());
        of("mnist", &[("guidance", "3")]).unwrap();
        of("gaussians", &[("classes", "1"), ("guidance", "3")]).unwrap();
        // The file of a run names every setting there is.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let config = of("gaussians", &[]).unwrap();
        std::fs::write(&path, serde_json::json!({ "config": config }).to_string()).unwrap();
        let again = SettingsArgs { preset: None, config: Some(path), overrides: Overrides::default() };
        assert_eq!(again.resolve().unwrap(), config);
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
        assert_eq!(without_effect(names.iter().map(OsString::from)), ["ONESTEP_DEVICE", "ONESTEP_STEP"]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line_of("a\nb\nc", Some(4..5)), 3);
        assert_eq!(line_of("a", None), 1);
    }
}
