//! `onestep claim`: what the paper of a method says of it, tried in miniature.
//!
//! The arms of a claim are runs like those of a comparison, in folders of their own. What is measured of them is kept
//! in `claim.json`; whether the claim held follows from that and from its checks.

mod claims;
mod page;
mod record;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use onestep_core::data::Picture;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::model::{ModelFile, ModelMeta, merge};
use onestep_core::nets::{Draw, Rule};
use onestep_core::sampling::{Generator, straightness};
use onestep_core::train::{Config, Method, Overrides, Preset, Setup, TrainingData};

use crate::compare::{Budget, Job, Runs, Yardstick, only_folder, samples, small};
use crate::device::DeviceArgs;
use crate::download::with_bar;
use crate::draw::open_model;
use crate::exit::bad_input;
use crate::interrupt;
use crate::output::{note, print, progress, show_as};
use crate::plot::register_font;
use crate::range::in_range;
use claims::{Arm, Claim, FINE, FINE_OFF, PARAMETERS, SECONDS, STRAIGHT, TEACHER};
use record::{Record, Row, Run};

/// Arguments of `onestep claim`.
#[derive(clap::Args)]
pub struct Args {
    /// Which claim, by the name of its method [default: lists them].
    name: Option<String>,
    /// Runs of each arm, with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = in_range::<u32>(1..=100))]
    seeds: u32,
    /// One seed and a quarter of the compute: a first look in a few minutes.
    #[arg(long, conflicts_with_all = ["seeds", "docs"])]
    quick: bool,
    /// Folder for the results; it is made [default: claims/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the claim in this folder.
    #[arg(long)]
    resume: bool,
    /// Also put the result into this folder of documents, and make its page claims.md anew; without a name, only the page.
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Heun's levels of the path whose end is the teacher's answer.
const PATH: usize = 18;

/// Images that are measured: a claim is to take minutes.
const IMAGES: usize = 1000;

/// Rings of frequencies, of which the last is the finest.
const RINGS: usize = 4;

/// Tries a claim.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let Some(name) = &args.name else {
        return match &args.docs {
            Some(docs) => page::write(docs),
            None => claims::all()
                .into_iter()
                .try_for_each(|claim| print(format_args!("{:<14} {}", claim.method, claim.says))),
        };
    };
    let known = || claims::all().iter().map(|claim| claim.method).collect::<Vec<_>>().join(", ");
    let claim = claims::find(name).ok_or_else(|| bad_input!("{name}: there is no such claim; known: {}", known()))?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("claims").join(name));
    let mut record = begin(args, claim, &out)?;
    interrupt::install(false)?;
    register_font();
    let preset = crate::settings::suitable(claim.data).unwrap_or("mnist");
    let preset = Preset::find(preset).expect("presets of data exist");
    let first = config(claim, &claim.arms[0], preset, 1)?;
    let data = with_bar(quiet, |on_progress| TrainingData::load(&first, on_progress))?;
    interrupt::begin();
    let yardstick = Yardstick::new(&data, &first, quiet)?.brief(IMAGES);
    std::fs::create_dir_all(out.join("runs"))
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", out.display()))?;
    let seeds = record.seeds;
    let jobs: Vec<(u32, &Arm)> = (1..=seeds).flat_map(|seed| claim.arms.iter().map(move |arm| (seed, arm))).collect();
    let bar = progress(quiet, jobs.len() as u64 * 1000, "");
    show_as(&bar, "{wide_bar} {percent} % {msg}, {eta} left");
    let budget = record.budget.parse().map_err(|problem: String| anyhow::anyhow!(problem))?;
    let runs = Runs { out: &out, budget, device: &args.device, preset, yardstick: &yardstick, bar: &bar };
    record.device = runs.device()?;
    let mut pictures: Vec<(String, Picture)> = Vec::new();
    for (number, &(seed, arm)) in jobs.iter().enumerate() {
        bar.set_message(format!("{} with seed {seed}, {} of {}", arm.name, number + 1, jobs.len()));
        bar.reset_eta();
        let config = config(claim, arm, preset, seed)?;
        let job = |name: &str| Job { name: name.replace(' ', "-"), config: config.clone() };
        // Its own run, or those that it merges.
        let runs_of = arm.merges.map_or(vec![arm.name], Vec::from);
        let folders: Vec<PathBuf> = runs_of.into_iter().map(|name| job(name).folder(&out)).collect();
        let mut drawn = None;
        if record.run(arm.name, seed).is_none() {
            let mut run = Run { arm: arm.name.to_owned(), seed, ..Run::default() };
            if let Some(parts) = arm.merges {
                run.problem = parts.into_iter().find_map(|part| record.run(part, seed)?.problem.clone());
            } else {
                let Some(outcome) = runs.train(&job(arm.name), number as u64 * 1000)? else {
                    bar.finish_and_clear();
                    return Err(anyhow::anyhow!("interrupted; the same command with --resume goes on"));
                };
                (run.turns, run.secs, run.problem) = (outcome.turns, outcome.secs, outcome.problem);
            }
            if run.problem.is_none() {
                run.rows = drawn.insert(Drawn::of(arm, &folders, &yardstick)?).rows(&yardstick)?;
                if data.spec.bytes {
                    let spent = [(PARAMETERS, trained(config.clone(), &data) as f64), (SECONDS, run.secs)];
                    run.rows[0].values.extend(spent.map(|(name, value)| (name.to_owned(), value)));
                }
            }
            record.runs.push(run);
            record.write(&out.join("claim.json"))?;
        }
        let failed = record.run(arm.name, seed).is_some_and(|run| run.problem.is_some());
        if seed == 1 && !failed {
            let drawn = drawn.map_or_else(|| Drawn::of(arm, &folders, &yardstick), Ok)?;
            pictures.extend(drawn.pictures()?);
        }
        bar.set_position((number as u64 + 1) * 1000);
    }
    bar.finish_and_clear();
    samples(&pictures, &out.join("samples.png"))?;
    finish(args, claim, &record, &out, quiet)
}

/// Says what came out, and puts it where it belongs.
fn finish(args: &Args, claim: &Claim, record: &Record, out: &Path, quiet: bool) -> anyhow::Result<()> {
    let lines: Vec<String> = record.outcomes(claim).iter().map(record::Outcome::line).collect();
    let verdict = if record.held(claim) { "held" } else { "did not hold" };
    let text =
        format!("{}\n{}\n\n{}: {verdict}.", record.table(claim), lines.join("\n"), claim.says.trim_end_matches('.'));
    let path = out.join("table.md");
    std::fs::write(&path, &text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    if let Some(docs) = &args.docs {
        let folder = docs.join(page::FOLDER);
        std::fs::create_dir_all(&folder)
            .map_err(|error| bad_input!("--docs {}: cannot be made: {error}", docs.display()))?;
        record.write(&folder.join(format!("{}.json", claim.method)))?;
        std::fs::copy(out.join("samples.png"), folder.join(format!("{}.png", claim.method)))?;
        page::write(docs)?;
    }
    note(quiet, format_args!("wrote {}", out.display()));
    print(text)
}

/// The record so far: none, or that of the folder. Nothing is written.
fn begin(args: &Args, claim: &Claim, out: &Path) -> anyhow::Result<Record> {
    let (seeds, budget) = if args.quick { (1, quarter(claim.budget)) } else { (args.seeds, claim.budget.to_owned()) };
    if args.resume {
        let record = Record::read(&out.join("claim.json"))?;
        if (&*record.claim, record.seeds, &record.budget) != (claim.method, seeds, &budget) {
            return Err(bad_input!(
                "{}: holds the claim of {} with {} seeds at {} each; --resume goes on with the same",
                out.display(),
                record.claim,
                record.seeds,
                record.budget
            ));
        }
        return Ok(record);
    }
    if out.exists() {
        return Err(bad_input!("--out {}: is there already; add --resume, or choose another folder", out.display()));
    }
    let command = format!("onestep claim {}{}", claim.method, if args.quick { " --quick" } else { "" });
    let command = if seeds == 3 || args.quick { command } else { format!("{command} --seeds {seeds}") };
    let (claim, data) = (claim.method.to_owned(), claim.data.to_owned());
    Ok(Record { claim, command, data, budget, seeds, ..Record::default() })
}

/// A quarter of a budget in operations.
fn quarter(budget: &str) -> String {
    match budget.parse() {
        Ok(Budget::Operations(operations)) => format!("{}GFLOP", operations * 0.25e-9),
        _ => budget.to_owned(),
    }
}

/// The settings of a run, but for lengths that its budget changes.
fn config(claim: &Claim, arm: &Arm, preset: &Preset, seed: u32) -> anyhow::Result<Config> {
    let method = Method::find(arm.method).ok_or_else(|| anyhow::anyhow!("there is no method {}", arm.method))?;
    let mut overrides = Overrides {
        method: Some(method.into()),
        data: Some(claim.data.to_owned()),
        seed: Some(seed),
        classes: Some(0),
        ..Overrides::default()
    };
    for (knob, value) in arm.settings {
        overrides.set(knob, value)?;
    }
    Ok(preset.config_with(&[overrides]))
}

/// How many parameters the last phase of a run trains.
fn trained(config: Config, data: &TrainingData) -> usize {
    let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
    let recipe = setup.recipe();
    let updates = recipe.phases.last().into_iter().flat_map(|phase| &phase.turn);
    let updated: Vec<&str> = updates.flat_map(|(_, update)| update.declared(&setup, &recipe).updated).collect();
    let networks = recipe.networks.iter().filter(|network| updated.contains(&network.name));
    networks.map(|network| network.layout().parameters()).sum()
}

/// Samples that were drawn in one way.
struct Way {
    name: String,
    evaluations: usize,
    samples: Vec<f32>,
    /// Of the paths, if samples go along them.
    straightness: Option<f64>,
}

/// Samples of a run in every way that is asked for, all from the same latents.
struct Drawn {
    rows: Vec<Way>,
    /// Where the teacher's paths end, if there is a teacher.
    ends: Option<Vec<f32>>,
    meta: ModelMeta,
}

impl Drawn {
    /// Of one run in a folder of its own, or of the merge of two.
    fn of(arm: &Arm, folders: &[PathBuf], yardstick: &Yardstick) -> anyhow::Result<Self> {
        let runs = folders.iter().map(|folder| only_folder(folder)).collect::<anyhow::Result<Vec<_>>>()?;
        let models = runs.iter().map(|run| open_model(run)).collect::<anyhow::Result<Vec<_>>>()?;
        let own = match &models[..] {
            [first, second] => merge(first, second, 0.5)?,
            _ => models[0].clone(),
        };
        let teacher = teacher_of(&runs[0])?.map(|file| open_model(&file)).transpose()?;
        let latents = yardstick.latents(own.meta.data_shape.iter().product());
        let classes = yardstick.classes();
        let draw = |model: &ModelFile, draw: Draw| {
            let mut model = model.clone();
            model.meta.draw = Some(draw);
            let mut executor = Executor::Cpu(CpuExecutor::new());
            let mut generator = Generator::new(&mut executor, &model, &[Generator::usual_batch(&model.meta)])?;
            anyhow::Ok(pollster::block_on(generator.draw_classes(&mut executor, &latents, &classes))?)
        };
        let sigma = own.meta.sigma_init;
        let as_saved = own.meta.draw();
        let flow = if arm.flow.is_empty() { None } else { Some(open_model(&last_denoiser(&runs[0])?)?) };
        let ways = std::iter::once(as_saved.clone()).chain(arm.steps.iter().map(|n| as_saved.with_levels(*n)));
        let mut ways: Vec<_> = ways.map(|way| (&own, way)).collect();
        for (model, steps) in [(&flow, arm.flow), (&teacher, arm.teacher)] {
            ways.extend(model.iter().flat_map(|model| steps.iter().map(move |n| (model, Draw::euler(*n, sigma)))));
        }
        let row = |(name, (model, way)): (String, (&ModelFile, Draw))| {
            let straightness = (way.rule == Rule::Euler).then(|| {
                let mut executor = Executor::Cpu(CpuExecutor::new());
                pollster::block_on(straightness(&mut executor, model, &latents, &classes))
            });
            let (evaluations, straightness) = (way.evaluations(), straightness.transpose()?);
            Ok(Way { name, evaluations, samples: draw(model, way)?, straightness })
        };
        let rows: anyhow::Result<Vec<Way>> = arm.rows().into_iter().zip(ways).map(row).collect();
        let ends = teacher.as_ref().map(|teacher| draw(teacher, Draw::heun(PATH, sigma))).transpose()?;
        Ok(Self { rows: rows?, ends, meta: own.meta })
    }

    fn rows(&self, yardstick: &Yardstick) -> anyhow::Result<Vec<Row>> {
        let row = |way: &Way| {
            let mut values: BTreeMap<String, f64> =
                yardstick.names().into_iter().zip(yardstick.values(&way.samples)?).collect();
            let from_teacher = self.ends.as_ref().map(|ends| root_mean_square(&way.samples, ends));
            let fine = yardstick.fineness(&way.samples, RINGS)?;
            let off = fine.map(|fine| fine.max(1e-6).ln().abs());
            let more = [(TEACHER, from_teacher), (STRAIGHT, way.straightness), (FINE, fine), (FINE_OFF, off)];
            values.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            Ok(Row { name: way.name.clone(), evaluations: way.evaluations, values })
        };
        self.rows.iter().map(row).collect()
    }

    fn pictures(&self) -> anyhow::Result<Vec<(String, Picture)>> {
        let width: usize = self.meta.data_shape.iter().product();
        let shown = width * if self.meta.data_shape.len() == 3 { 64 } else { 4096 };
        self.rows.iter().map(|way| Ok((way.name.clone(), small(&way.samples[..shown], &self.meta)?))).collect()
    }
}

fn root_mean_square(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / a.len() as f64).sqrt()
}

/// The file of the last denoiser that a run saved.
fn last_denoiser(run: &Path) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(run.join("snapshots"))?.flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("denoiser-"));
    files.filter(named).max().ok_or_else(|| anyhow::anyhow!("{}: holds no denoiser", run.display()))
}

/// The file of the denoiser that a run began with.
fn teacher_of(run: &Path) -> anyhow::Result<Option<PathBuf>> {
    let text = std::fs::read_to_string(run.join("config.json"))?;
    let settings: serde_json::Value = serde_json::from_str(&text)?;
    Ok(settings["transfer"]["file"].as_str().map(PathBuf::from))
}
