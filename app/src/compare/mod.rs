//! `onestep compare`: methods side by side at equal compute.
//!
//! Every run is a run like any other, in a folder of its own, so that an interrupted comparison goes on where it was:
//! what is finished stands in `results.json`, what is not goes on from its last checkpoint.

mod budget;
mod measure;
mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use onestep_core::data::Picture;
use onestep_core::nets::cycle;
use onestep_core::session::{Command, Flow, Request, Session, SessionError, Start};
use onestep_core::train::{Config, METHODS, Method, Overrides, Preset, Setup, TrainError, TrainingData};

use crate::device::{self, DeviceArgs};
use crate::download::with_bar;
use crate::exit::bad_input;
use crate::interrupt;
use crate::output::{note, print, progress};
use crate::pictures::{grid, points, to_bytes};
use crate::settings::suitable;
use budget::{Budget, Costs};
use measure::{Point, Yardstick};
use report::{Outcome, Results};

/// Arguments of `onestep compare`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Which methods, with commas [default: all that fit the data].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    methods: Vec<String>,
    /// Runs of each method, with the seeds 1 to N.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    seeds: u32,
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

/// How often a run is measured.
const POINTS: u64 = 8;

/// One run of the comparison.
struct Job {
    method: &'static Method,
    seed: u32,
}

/// Compares.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let methods = methods(args)?;
    let base = args.overrides.data.clone().unwrap_or_else(|| "two-moons".to_owned());
    let preset = args.preset.as_deref().or_else(|| suitable(&base)).unwrap_or("mnist");
    let preset = Preset::find(preset).ok_or_else(|| bad_input!("--preset {preset}: there is no such preset"))?;
    let first = config(args, preset, methods[0], &base, 1);
    first.validate()?;
    let mut results = begin(args, &base)?;
    interrupt::install()?;
    report::register_font();
    let data = with_bar(quiet, |on_progress| TrainingData::load(&first, on_progress))?;
    let yardstick = Yardstick::new(&data, &base, quiet)?;
    results.metrics = yardstick.names();
    let jobs: Vec<Job> =
        (1..=args.seeds).flat_map(|seed| methods.iter().map(move |method| Job { method, seed })).collect();
    let bar = progress(quiet, jobs.len() as u64 * 1000, "per mille");
    let mut pictures: Vec<(String, Picture)> = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        let known = results.runs.iter().any(|run| run.method == job.method.name && run.seed == job.seed);
        if !known {
            bar.set_message(job.method.name);
            let from = number as u64 * 1000;
            let Some(outcome) = train(args, preset, &base, job, &yardstick, &mut results, &bar, from)? else {
                bar.finish_and_clear();
                results.save(&args.out)?;
                return Err(anyhow::anyhow!("interrupted; the same command with --resume goes on"));
            };
            results.runs.push(outcome);
            results.save(&args.out)?;
        }
        bar.set_position((number as u64 + 1) * 1000);
        if job.seed == 1
            && let Ok(picture) = picture(&args.out, job, &data)
        {
            pictures.push((job.method.name.to_owned(), picture));
        }
    }
    bar.finish_and_clear();
    report::samples(&pictures, &args.out.join("samples.png"))?;
    results.save(&args.out)?;
    note(quiet, format_args!("wrote {}", args.out.display()));
    print(results.table())
}

/// The methods that were named, or all.
fn methods(args: &Args) -> anyhow::Result<Vec<&'static Method>> {
    if args.methods.is_empty() {
        return Ok(METHODS.iter().collect());
    }
    let mut found: Vec<&'static Method> = Vec::new();
    for name in &args.methods {
        let known = || METHODS.iter().map(|method| method.name).collect::<Vec<_>>().join(", ");
        let method = Method::find(name)
            .ok_or_else(|| bad_input!("--methods {name}: there is no such method; known: {}", known()))?;
        if found.iter().any(|other| other.name == method.name) {
            return Err(bad_input!("--methods: {name} is named twice"));
        }
        found.push(method);
    }
    Ok(found)
}

/// The settings of a run, but for its lengths.
fn config(args: &Args, preset: &Preset, method: &'static Method, data: &str, seed: u32) -> Config {
    let mut config = preset.config_for(method);
    let mut overrides = args.overrides.clone();
    overrides.keep(|knob| method.reads(knob));
    config.apply(&overrides);
    config.method = method.into();
    data.clone_into(&mut config.data);
    config.seed = seed;
    config
}

/// The results so far: none, or those of the folder.
fn begin(args: &Args, data: &str) -> anyhow::Result<Results> {
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
        return Ok(results);
    }
    if args.out.exists() {
        return Err(bad_input!(
            "--out {}: is there already; add --resume, or choose another folder",
            args.out.display()
        ));
    }
    std::fs::create_dir_all(args.out.join("runs"))
        .map_err(|error| bad_input!("--out {}: cannot be made: {error}", args.out.display()))?;
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let unit = if matches!(args.budget, Budget::Operations(_)) { "operations" } else { "seconds" };
    let results = Results {
        command: format!("onestep {command}"),
        data: data.to_owned(),
        budget: words(args.budget),
        unit: unit.to_owned(),
        ..Results::default()
    };
    results.save(&args.out)?;
    Ok(results)
}

fn words(budget: Budget) -> String {
    match budget {
        Budget::Operations(operations) => format!("{} TFLOP", operations * 1e-12),
        Budget::Seconds(secs) => format!("{secs} s"),
    }
}

/// Trains one run to its end and measures it on the way; `None` if it was interrupted.
#[expect(clippy::too_many_arguments, reason = "they are the comparison")]
fn train(
    args: &Args,
    preset: &Preset,
    data_name: &str,
    job: &Job,
    yardstick: &Yardstick,
    results: &mut Results,
    bar: &ProgressBar,
    from: u64,
) -> anyhow::Result<Option<Outcome>> {
    let mut outcome = Outcome {
        method: job.method.name.to_owned(),
        seed: job.seed,
        problem: None,
        points: Vec::new(),
        evaluations: 0,
        auxiliary_parameters: 0,
        device_bytes: 0,
        turns: Vec::new(),
        tflop: 0.0,
        secs: 0.0,
    };
    let config = config(args, preset, job.method, data_name, job.seed);
    let folder = args.out.join("runs").join(format!("{}-{}", job.method.name, job.seed));
    let start = Start::New { preset: preset.name.to_owned(), config: Box::new(config.clone()), transfer: None };
    let request = Request { start, outdir: Some(folder.clone()) };
    if let Err(error) = request.config() {
        outcome.problem = Some(error.to_string());
        return Ok(Some(outcome));
    }
    let data = TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(()))?;
    let network = data.network(&config);
    network.validate()?;
    let mut setup = Setup { network, data: data.spec.clone(), config };
    let (costs, budget) = match args.budget {
        Budget::Operations(budget) => (Costs::operations(&setup)?, budget),
        Budget::Seconds(budget) => {
            (Costs::seconds(&setup, &data, device::open_silently(&args.device, true)?.0)?, budget)
        }
    };
    setup.config = costs.fit(&setup, budget)?;
    let recipe = setup.recipe();
    let turns: Vec<u64> = recipe.phases.iter().map(|phase| phase.length.of(&setup.config)).collect();
    let all: u64 = turns.iter().sum();
    setup.config.snap = all.div_ceil(POINTS).max(1);
    setup.config.keep_last = 1;
    setup.config.tick = setup.config.snap;
    outcome.evaluations = recipe.draw.evaluations();
    outcome.auxiliary_parameters = recipe.networks.iter().skip(1).map(|network| network.layout().parameters()).sum();
    outcome.turns = recipe.phases.iter().map(|phase| phase.name.to_owned()).zip(turns).collect();
    let operations = Costs::operations(&setup)?;
    outcome.tflop = operations.run(&setup) * 1e-12;

    let curve = folder.join("curve.json");
    let goes_on =
        std::fs::read_to_string(&curve).ok().and_then(|text| serde_json::from_str::<(f64, Vec<Point>)>(&text).ok());
    let start = if let Some((secs, points)) = goes_on {
        (outcome.secs, outcome.points) = (secs, points);
        Start::Resume { path: folder.clone(), overrides: Box::default() }
    } else {
        let _ = std::fs::remove_dir_all(&folder);
        Start::New { preset: preset.name.to_owned(), config: Box::new(setup.config.clone()), transfer: None }
    };
    let (executor, _) = device::open_silently(&args.device, true)?;
    results.device = executor.name();
    let clock = Instant::now();
    let request = Request { start, outdir: Some(folder) };
    let mut session = Session::open(&request, executor, data, Box::new(|_| ()), Box::new(move || clock.elapsed()))?;
    let mut measuring = Duration::ZERO;
    let before = outcome.secs;
    let spent = |step: u64| costs.run(&setup) * step as f64 / all.max(1) as f64;
    loop {
        if interrupt::requested() {
            session.handle(Command::Stop);
        }
        let flow = match pollster::block_on(session.advance()) {
            Ok(flow) => flow,
            Err(SessionError::Train(error @ TrainError::NonFinite { .. })) => {
                outcome.problem = Some(error.to_string());
                return Ok(Some(outcome));
            }
            Err(error) => return Err(error.into()),
        };
        let step = session.iterations();
        bar.set_position(from + 1000 * step / all.max(1));
        if interrupt::requested() && flow == Flow::End && step < all {
            return Ok(None);
        }
        let due = step > 0 && (step.is_multiple_of(setup.config.snap) || step >= all);
        if due && outcome.points.last().is_none_or(|last| last.step < step) {
            let start = Instant::now();
            let values = yardstick.measure(&mut session)?;
            outcome.points.push(Point { step, spent: spent(step), values });
            measuring += start.elapsed();
            outcome.secs = before + clock.elapsed().saturating_sub(measuring).as_secs_f64();
            let text = serde_json::to_string(&(outcome.secs, &outcome.points))?;
            onestep_core::files::atomic_write(&curve, |file| std::io::Write::write_all(file, text.as_bytes()))?;
        }
        if flow == Flow::End {
            outcome.device_bytes = session.trainer().executor.memory().iter().map(|(_, bytes)| bytes).sum();
            return Ok(Some(outcome));
        }
    }
}

/// The samples of a run's end.
fn picture(out: &Path, job: &Job, data: &TrainingData) -> anyhow::Result<Picture> {
    let folder = out.join("runs").join(format!("{}-{}", job.method.name, job.seed));
    let run = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    let run = run.ok_or_else(|| anyhow::anyhow!("{}: holds no run", folder.display()))?;
    let model = crate::draw::open_model(&run)?;
    let mut executor = onestep_core::exec::Executor::Cpu(onestep_core::exec::cpu::CpuExecutor::new());
    let mut generator = crate::draw::open_generator(&mut executor, &model)?;
    let count = if data.spec.bytes { 64 } else { 4096 };
    let known = model.meta.network.classes();
    let classes = if known > 0 { cycle(count as usize, known) } else { Vec::new() };
    let samples = crate::draw::draw(&mut generator, &mut executor, &(0..count).collect::<Vec<u32>>(), &classes)?;
    match model.meta.data_shape[..] {
        [height, width, channels] => {
            let picture = grid(&to_bytes(&samples, model.meta.data_range), [height, width, channels])?;
            Ok(shrink(&picture))
        }
        _ => Ok(shrink(&points(&samples, model.meta.data_range))),
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
