//! `onestep train`: runs a session on this thread and shows what it tells.
//!
//! Ctrl-C is a command like any other: the session saves and ends. What goes wrong before the first
//! step is the request's fault (exit code 2), what goes wrong later is a failure (1); either way the
//! checkpoints that are there stay whole.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use onestep_core::session::{Command, Flow, Request, Session, SessionError, Start};
use onestep_core::train::{Config, TrainingData};

use crate::device::{self, DeviceArgs};
use crate::download::with_bar;
use crate::exit::bad_input;
use crate::interrupt;
use crate::output::print;
use crate::plan;
use crate::settings::{SettingsArgs, setup_without_download};
use report::Reporter;

/// Arguments of `onestep train`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Folder of runs; each run makes a numbered folder in it.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    outdir: PathBuf,
    /// Go on with a run: `latest` in --outdir, a run's folder, or a checkpoint's. It keeps its settings; flags
    /// may change those that may change while training.
    #[arg(long, value_name = "latest|PATH", conflicts_with_all = ["preset", "config", "transfer"])]
    resume: Option<PathBuf>,
    /// Start from the weights of a generator or denoiser of the same network, without a warm-up.
    #[arg(long, value_name = "FILE")]
    transfer: Option<PathBuf>,
    /// Print the settings and what the run will launch, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Print events as lines of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Args {
    /// Whether an earlier run goes on.
    pub fn resumes(&self) -> bool {
        self.resume.is_some()
    }
}

/// Trains.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let request = request(args)?;
    let config = request.config().map_err(start_error)?;
    if args.dry_run {
        return dry_run(config, args.json);
    }
    interrupt::install()?;
    let (executor, choice) = device::open_silently(&args.device, quiet)?;
    let data = with_bar(quiet, |on_progress| TrainingData::load(&config, on_progress))?;
    let mut reporter = Reporter::new(&config, quiet, args.json);
    let sink = Box::new(move |event| reporter.show(&event));
    let start = Instant::now();
    let clock = Box::new(move || start.elapsed());
    let mut session = Session::open(&request, executor, data, sink, clock).map_err(start_error)?;
    device::announce(&session.trainer().executor, &choice, quiet);
    let mut stopping = false;
    loop {
        if interrupt::requested() && !stopping {
            stopping = true;
            session.handle(Command::Stop);
        }
        // From here on it is no longer the request that is wrong.
        match pollster::block_on(session.advance()).map_err(|error| anyhow::anyhow!("{error}"))? {
            Flow::End => return Ok(()),
            Flow::Continue => {}
            // Nobody pauses this session.
            Flow::Wait => session.handle(Command::Play),
        }
    }
}

fn request(args: &Args) -> anyhow::Result<Request> {
    let outdir = Some(args.outdir.clone());
    let start = if let Some(path) = &args.resume {
        let path = if path.as_os_str() == "latest" { args.outdir.clone() } else { path.clone() };
        Start::Resume { path, overrides: Box::new(args.settings.overrides.clone()) }
    } else {
        let (preset, config) = args.settings.resolve_named()?;
        let transfer = args.transfer.clone();
        Start::New { preset: preset.to_owned(), config: Box::new(config), transfer }
    };
    Ok(Request { start, outdir })
}

fn dry_run(config: Config, json: bool) -> anyhow::Result<()> {
    let (setup, _) = setup_without_download(config)?;
    let plans = plan::plans(&setup)?;
    if json {
        return plan::print_report(&setup, &plans);
    }
    print(serde_json::to_string_pretty(&setup.config)?)?;
    print(plan::summary(&setup, &plans))
}

/// Before the first step everything but trouble with the device is a wrong request.
fn start_error(error: SessionError) -> anyhow::Error {
    match error {
        SessionError::Train(error) => error.into(),
        other => bad_input!("{other}"),
    }
}
