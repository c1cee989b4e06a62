//! `onestep compare`: methods side by side at equal compute.
//!
//! Every run is a run like any other, in a folder of its own, so that an interrupted comparison goes on where it was:
//! what is finished stands in `results.json`, what is not goes on from its last checkpoint.

mod budget;
mod curves;
mod measure;
mod report;
mod run;
mod vary;

pub use budget::Budget;
pub use measure::Yardstick;
pub use report::{mean_and_range, samples, spread};
pub use run::{Job, Runs, only_folder};

use std::path::{Path, PathBuf};

use onestep_core::data::Picture;
use onestep_core::model::ModelMeta;
use onestep_core::nets::cycle;
use onestep_core::train::{Config, METHODS, Method, Need, Overrides, Preset, TrainingData};

use crate::device::DeviceArgs;
use crate::download::with_bar;
use crate::exit::bad_input;
use crate::interrupt;
use crate::output::{note, print, progress, show_as};
use crate::pictures::{grid, points, to_bytes};
use crate::plot::register_font;
use crate::range::in_range;
use crate::settings::{SettingsArgs, suitable, tell_of_environment};
use report::Results;
use vary::{Vary, not_taken};

/// Arguments of `onestep compare`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true, mut_args(shown))]
pub struct Args {
    /// Which methods, with commas [default: all that fit the data; with --vary the first].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    methods: Vec<String>,
    /// Runs of each method, with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = in_range::<u32>(1..=100))]
    seeds: u32,
    /// Compare values of a setting, too: each method runs with each of them, such as `sigma_max=20,5,1`.
    #[arg(long, value_name = "NAME=LIST")]
    vary: Option<Vary>,
    /// What each run may spend, all its phases and networks together: 5TFLOP, 800GFLOP, 2min or 90s. A teacher's warm-up
    /// takes at most 40 % of it.
    #[arg(long, value_name = "BUDGET", default_value = "2min")]
    budget: Budget,
    /// A named set of settings [default: the one that fits --data].
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Folder for the results; it is made.
    #[arg(long, value_name = "DIR", default_value = "comparison")]
    out: PathBuf,
    /// Go on with the comparison in this folder.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// Help leaves out what is not taken.
fn shown(arg: clap::Arg) -> clap::Arg {
    let hidden = not_taken(arg.get_id().as_str()).is_some();
    arg.hide(hidden)
}

/// Compares.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    tell_of_environment();
    let set = set(args)?;
    let base = set.data.clone().unwrap_or_else(|| "two-moons".to_owned());
    let preset = args.preset.as_deref().or_else(|| suitable(&base)).unwrap_or("mnist");
    let preset = Preset::find(preset).ok_or_else(|| bad_input!("--preset {preset}: there is no such preset"))?;
    let methods = methods(args, config(&set, preset, &METHODS[0], &base, 1).classes > 0)?;
    if let Some(name) = set.names().into_iter().find(|name| !methods.iter().any(|method| method.reads(name))) {
        let name = origin(args, name);
        return Err(bad_input!("{name}: none of the methods reads this setting; leave it out"));
    }
    let first = config(&set, preset, methods[0], &base, 1);
    first.validate()?;
    first.check_of_classes(&set)?;
    let jobs = jobs(args, &methods, &|method, seed| config(&set, preset, method, &base, seed))?;
    let mut results = begin(args, &base, settings(args, preset, &set))?;
    interrupt::install(false)?;
    register_font();
    let data = with_bar(quiet, |on_progress| TrainingData::load(&first, on_progress))?;
    interrupt::begin();
    let yardstick = Yardstick::new(&data, &first, quiet)?;
    if args.resume && results.metrics != yardstick.names() {
        let before = results.metrics.join(", ");
        return Err(bad_input!(
            "{}: has measured {before}; --resume goes on with the same settings",
            args.out.display()
        ));
    }
    results.metrics = yardstick.names();
    std::fs::create_dir_all(args.out.join("runs"))
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", args.out.display()))?;
    results.save(&args.out)?;
    let bar = progress(quiet, jobs.len() as u64 * 1000, "");
    show_as(&bar, "{wide_bar} {percent} % {msg}, {eta} left");
    let (out, budget, device) = (&*args.out, args.budget, &args.device);
    let runs = Runs { out, budget, device, preset, yardstick: &yardstick, bar: &bar };
    results.device = runs.device()?;
    let mut pictures: Vec<(String, Picture)> = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        let seed = job.config.seed;
        let known = results.runs.iter().any(|run| run.method == job.name && run.seed == seed);
        if !known {
            bar.set_message(format!("{} with seed {seed}, {} of {}", job.name, number + 1, jobs.len()));
            bar.reset_eta();
            let from = number as u64 * 1000;
            let Some(outcome) = runs.train(job, from)? else {
                bar.finish_and_clear();
                results.save(&args.out)?;
                return Err(anyhow::anyhow!("interrupted; the same command with --resume goes on"));
            };
            let line = outcome.line(&results.metrics);
            bar.suspend(|| note(quiet, format_args!("{} of {}: {line}", number + 1, jobs.len())));
            results.runs.push(outcome);
            results.save(&args.out)?;
        }
        bar.set_position((number as u64 + 1) * 1000);
        if seed == 1
            && let Ok(picture) = picture(&args.out, job, &data)
        {
            pictures.push((job.name.clone(), picture));
        }
    }
    bar.finish_and_clear();
    report::samples(&pictures, &args.out.join("samples.png"))?;
    results.save(&args.out)?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    print(results.table())
}

/// The settings that flags and the environment give, of those that a comparison takes.
fn set(args: &Args) -> anyhow::Result<Overrides> {
    let flags = args.overrides.clone();
    let set = SettingsArgs { preset: None, config: None, overrides: flags }.changes()?;
    for name in set.names() {
        if let Some(why) = not_taken(name) {
            return Err(bad_input!("{}: {why}", origin(args, name)));
        }
        if args.vary.as_ref().is_some_and(|vary| vary.varies(name)) {
            return Err(bad_input!("{}: --vary has the values of this setting; leave it out", origin(args, name)));
        }
    }
    Ok(set)
}

/// What gives a setting: its flag or, without that, its variable.
fn origin(args: &Args, name: &str) -> String {
    if args.overrides.names().contains(&name) {
        format!("--{}", name.replace('_', "-"))
    } else {
        format!("ONESTEP_{}", name.to_uppercase())
    }
}

/// The methods that were named, or all that fit. `told`: whether networks are told classes.
fn methods(args: &Args, told: bool) -> anyhow::Result<Vec<&'static Method>> {
    let fits = |method: &Method| told || !method.needs.contains(&Need::Classes);
    if args.methods.is_empty() && args.vary.is_some() {
        return Ok(vec![&METHODS[0]]);
    }
    if args.methods.is_empty() {
        return Ok(METHODS.iter().filter(|method| fits(method)).collect());
    }
    let mut found: Vec<&'static Method> = Vec::new();
    for name in &args.methods {
        let known = || METHODS.iter().map(|method| method.name).collect::<Vec<_>>().join(", ");
        let method = Method::find(name)
            .ok_or_else(|| bad_input!("--methods {name}: there is no such method; known: {}", known()))?;
        if found.iter().any(|other| other.name == method.name) {
            return Err(bad_input!("--methods: {name} is named twice"));
        }
        if !fits(method) {
            return Err(bad_input!(
                "--methods {name}: it needs classes; add --classes, which tells them to all methods"
            ));
        }
        found.push(method);
    }
    Ok(found)
}

/// All runs, seed by seed.
fn jobs(
    args: &Args,
    methods: &[&'static Method],
    config: &dyn Fn(&'static Method, u32) -> Config,
) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for seed in 1..=args.seeds {
        for method in methods {
            let config = config(method, seed);
            let Some(vary) = &args.vary else {
                jobs.push(Job { name: method.name.to_owned(), config });
                continue;
            };
            // The setting is in the name, and the method where there are others.
            let named = |name| if methods.len() > 1 { format!("{} {name}", method.name) } else { name };
            jobs.extend(vary.of(method, &config)?.into_iter().map(|(name, config)| Job { name: named(name), config }));
        }
    }
    Ok(jobs)
}

/// The settings of a run, but for its lengths.
fn config(set: &Overrides, preset: &Preset, method: &'static Method, data: &str, seed: u32) -> Config {
    let mut overrides = set.clone();
    overrides.keep(|knob| method.reads(knob));
    let own = Overrides { method: Some(method.into()), data: Some(data.to_owned()), seed: Some(seed), ..overrides };
    preset.config_with(&[own])
}

/// What was set besides the data, as the flags that would set it.
fn settings(args: &Args, preset: &Preset, set: &Overrides) -> Vec<String> {
    let mut values = Config::default();
    values.apply(set);
    let names = set.names().into_iter().filter(|name| *name != "data");
    let flag = |name: &str| format!("--{} {}", name.replace('_', "-"), values.text_of(name));
    let vary = args.vary.iter().map(|vary| format!("--vary {vary}"));
    std::iter::once(format!("--preset {}", preset.name)).chain(names.map(flag)).chain(vary).collect()
}

/// The results so far: none, or those of the folder. Nothing is written.
fn begin(args: &Args, data: &str, settings: Vec<String>) -> anyhow::Result<Results> {
    let file = args.out.join("results.json");
    if args.resume {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| bad_input!("{}: {error}; --resume wants the folder of a comparison", file.display()))?;
        let results: Results = serde_json::from_str(&text)
            .map_err(|error| bad_input!("{}: is damaged: {error}; start anew in another --out", file.display()))?;
        if results.budget != words(args.budget) || results.data != data {
            return Err(bad_input!(
                "{}: holds a comparison on {} at {} each; --resume goes on with the same --data and --budget",
                args.out.display(),
                results.data,
                results.budget
            ));
        }
        // Results from before settings were kept have none.
        if !results.settings.is_empty() && results.settings != settings {
            return Err(bad_input!(
                "{}: holds a comparison with {}; --resume goes on with the same settings, not with {}",
                args.out.display(),
                results.settings.join(" "),
                settings.join(" ")
            ));
        }
        return Ok(Results { settings, ..results });
    }
    if args.out.exists() {
        return Err(bad_input!(
            "--out {}: is there already; add --resume, or choose another folder",
            args.out.display()
        ));
    }
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let unit = if matches!(args.budget, Budget::Operations(_)) { "operations" } else { "seconds" };
    Ok(Results {
        command: format!("onestep {command}"),
        data: data.to_owned(),
        budget: words(args.budget),
        settings,
        unit: unit.to_owned(),
        ..Results::default()
    })
}

fn words(budget: Budget) -> String {
    match budget {
        Budget::Operations(operations) => format!("{} TFLOP", (operations * 1e-9).round() / 1000.0),
        Budget::Seconds(secs) => format!("{secs} s"),
    }
}

/// The samples of a run's end.
fn picture(out: &Path, job: &Job, data: &TrainingData) -> anyhow::Result<Picture> {
    let model = crate::draw::open_model(&only_folder(&job.folder(out))?)?;
    let mut executor = onestep_core::exec::Executor::Cpu(onestep_core::exec::cpu::CpuExecutor::new());
    let mut generator = crate::draw::open_generator(&mut executor, &model)?;
    let count = if data.spec.bytes { 64 } else { 4096 };
    let known = model.meta.network.classes();
    let classes = if known > 0 { cycle(count as usize, known) } else { Vec::new() };
    let samples = crate::draw::draw(&mut generator, &mut executor, &(0..count).collect::<Vec<u32>>(), &classes)?;
    small(&samples, &model.meta)
}

/// A picture of samples that has room beside others.
pub fn small(samples: &[f32], meta: &ModelMeta) -> anyhow::Result<Picture> {
    match meta.data_shape[..] {
        [height, width, channels] => {
            let picture = grid(&to_bytes(samples, meta.data_range), [height, width, channels])?;
            Ok(shrink(&picture))
        }
        _ => Ok(shrink(&points(samples, meta.data_range))),
    }
}

/// Half as wide and high, if it is large.
fn shrink(picture: &Picture) -> Picture {
    if picture.width < 400 {
        return picture.clone();
    }
    let (width, height, channels) = (picture.width / 2, picture.height / 2, picture.channels);
    let mut pixels = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                let at = |dy: usize, dx: usize| {
                    u32::from(picture.pixels[((2 * y + dy) * picture.width + 2 * x + dx) * channels + channel])
                };
                pixels.push(((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4) as u8);
            }
        }
    }
    Picture { pixels, width, height, channels }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    /// One that the first method does not read was written down with its default.
    #[test]
    fn settings_are_written_down_as_they_were_set() {
        let args = Cli::parse_from(["compare", "--methods", "denoise,sid", "--alpha", "2.5", "--data", "rings"]).args;
        let preset = Preset::find("rings").expect("a preset");
        assert_eq!(settings(&args, preset, &args.overrides), ["--preset rings", "--alpha 2.5"]);
    }

    #[test]
    fn help_has_the_settings_that_are_taken() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("--warmup-steps") && help.contains("--seeds"), "{help}");
        for flag in ["--seed <", "--method <", "--steps <", "--keep-last <"] {
            assert!(!help.contains(flag), "{flag}: {help}");
        }
    }
}
