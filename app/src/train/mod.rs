//! `onestep train`: runs a session on this thread and shows what it tells.
//!
//! Ctrl-C is a command like any other: the session saves and ends. What goes wrong before the first
//! step is the request's fault (exit code 2), what goes wrong later is a failure (1); either way the
//! checkpoints that are there stay whole.

mod report;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use onestep_core::data::DataError;
use onestep_core::session::{Command, Event, Flow, Request, Session, SessionError, Start};
use onestep_core::train::{Config, Setup, TrainError, TrainingData, deal};

use crate::device::{self, DeviceArgs};
use crate::download::with_bar;
use crate::exit::{Told, bad_input};
use crate::interrupt;
use crate::output::print;
use crate::plan;
use crate::range::in_range;
use crate::ranks::{self, Ranks, together};
use crate::settings::{SettingsArgs, impossible, setup_without_download};
use report::Reporter;

/// Arguments of `onestep train`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Folder of runs; each run makes a numbered folder in it.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    outdir: PathBuf,
    /// Go on with a run: `latest` in --outdir, a run's folder, or a checkpoint's. It keeps its settings; environment and
    /// flags may change those that may change while training, and say where its data are now.
    #[arg(long, value_name = "latest|PATH", conflicts_with_all = ["preset", "config", "transfer"])]
    resume: Option<PathBuf>,
    /// Start from the weights of a generator or denoiser of the same network, without a warm-up.
    #[arg(long, value_name = "FILE")]
    transfer: Option<PathBuf>,
    /// With several processes (mpirun): how much of each batch each of them takes, such as 2,1 for a machine that is
    /// twice as fast as another [default: equal shares].
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = in_range::<usize>(1..=65_536))]
    shares: Option<Vec<usize>>,
    /// With several processes on a slow network: each trains by itself for so many turns, then their weights are averaged;
    /// by default they add up gradients in every update, which gives the result of one process.
    #[arg(long, value_name = "TURNS", value_parser = in_range::<u64>(1..=1_000_000))]
    sync_every: Option<u64>,
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

/// Trains.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let mut ranks = ranks::join()?;
    match &mut ranks {
        Some(ranks) => {
            ranks.same_program()?;
            ranks.same_sync(args.sync_every)?;
        }
        None => crate::start_threads()?,
    }
    let leads = ranks.as_ref().is_none_or(Ranks::leads);
    let request = together(&mut ranks, request(args))?;
    let config = together(&mut ranks, own_config(args, &request, leads))?;
    let config = match (&mut ranks, config) {
        (Some(ranks), config) => ranks.same_config(config.as_ref())?,
        (None, config) => config.expect("a process of its own leads"),
    };
    if args.dry_run {
        return if leads { dry_run(config, args) } else { Ok(()) };
    }
    let processes = ranks.as_ref().map_or(1, Ranks::size);
    let slots = together(&mut ranks, slots(args, &config, processes))?;
    interrupt::install(quiet)?;
    let (executor, choice) = together(&mut ranks, device::open_silently(&args.device, quiet))?;
    let data = with_bar(quiet, |on_progress| TrainingData::load(&config, on_progress));
    let data = together(&mut ranks, data.map_err(|error| no_data(args, error)))?;
    interrupt::begin();
    let start = Instant::now();
    let clock = Box::new(move || start.elapsed());
    let mut session = match &mut ranks {
        Some(ranks) => {
            ranks.same_data(&data)?;
            let part = slots[ranks.rank()].clone();
            let group = ranks.group();
            let session = if leads {
                let sink = report(&config, quiet, args.json);
                Session::open_in(group.map(|group| (group, part)), &request, executor, data, sink, clock)
            } else {
                let setup = Setup { network: data.network(&config), data: data.spec.clone(), config };
                Session::new(executor, setup, data, Box::new(|_| ()), clock).map(|mut session| {
                    if let Some(group) = group {
                        session.join(group, part);
                    }
                    session
                })
            };
            let mut session = ranks.together(session.map_err(|error| start_error(args, error)))?;
            session.sync_every(args.sync_every.unwrap_or(0));
            let met = pollster::block_on(session.meet()).map_err(|error| start_error(args, error));
            ranks.together(met)?;
            session
        }
        None => {
            let sink = report(&config, quiet, args.json);
            Session::open(&request, executor, data, sink, clock).map_err(|error| start_error(args, error))?
        }
    };
    device::announce(&session.trainer().executor, &choice, quiet);
    let mut stopping = false;
    loop {
        if interrupt::requested() && !stopping {
            stopping = true;
            session.handle(Command::Stop);
        }
        // From here on it is no longer the request that is wrong.
        match pollster::block_on(session.advance()) {
            Ok(Flow::End) => return Ok(()),
            Ok(Flow::Continue) => {}
            // Nobody pauses this session.
            Ok(Flow::Wait) => session.handle(Command::Play),
            Err(error) => return Err(failed(ranks.as_ref(), &error)),
        }
    }
}

/// What ends a run that had begun.
fn failed(ranks: Option<&Ranks>, error: &SessionError) -> anyhow::Error {
    let told = if error.is_device_lost() {
        let fix = "--resume latest goes on from the last checkpoint, with --device cpu if it happens again";
        anyhow::anyhow!("{error}; {fix}")
    } else {
        anyhow::anyhow!("{error}")
    };
    match (ranks, error) {
        (None, _) => told,
        // All processes see the same numbers, and this at the same step.
        (Some(ranks), SessionError::Train(TrainError::NonFinite { .. })) => {
            if ranks.leads() {
                told
            } else {
                Told(1).into()
            }
        }
        // The others would wait for this one.
        (Some(ranks), _) => ranks.abort(&told),
    }
}

/// Shows what a session tells.
fn report(config: &Config, quiet: bool, json: bool) -> Box<dyn FnMut(Event) + Send> {
    let mut reporter = Reporter::new(config, quiet, json);
    Box::new(move |event| reporter.show(&event))
}

/// The settings as far as this process knows them: of a run that goes on, only the first needs to have the folder.
fn own_config(args: &Args, request: &Request, leads: bool) -> anyhow::Result<Option<Config>> {
    if !leads && matches!(request.start, Start::Resume { .. }) {
        return Ok(None);
    }
    request.config().map(Some).map_err(|error| match error {
        SessionError::Knob(error) => args.settings.refused(error).into(),
        other => start_error(args, other),
    })
}

/// The slots of each process.
fn slots(args: &Args, config: &Config, processes: usize) -> anyhow::Result<Vec<Range<usize>>> {
    if let (Some(turns), 1) = (args.sync_every, processes) {
        return Err(bad_input!(
            "--sync-every {turns}: there is nobody to exchange weights with; start several by mpirun"
        ));
    }
    let shares = args.shares.clone().unwrap_or_else(|| vec![1; processes]);
    if shares.len() != processes {
        let shares: Vec<String> = shares.iter().map(ToString::to_string).collect();
        let shares = shares.join(",");
        return Err(bad_input!("--shares {shares}: give one number for each process; mpirun has started {processes}"));
    }
    Ok(deal(config, &shares)?)
}

fn request(args: &Args) -> anyhow::Result<Request> {
    let outdir = Some(args.outdir.clone());
    let start = if let Some(path) = &args.resume {
        let path = if path.as_os_str() == "latest" { args.outdir.clone() } else { path.clone() };
        Start::Resume { path, overrides: Box::new(args.settings.changes()?) }
    } else {
        let (preset, config) = args.settings.resolve_named()?;
        let transfer = args.transfer.clone();
        Start::New { preset: preset.to_owned(), config: Box::new(config), transfer }
    };
    Ok(Request { start, outdir })
}

fn dry_run(config: Config, args: &Args) -> anyhow::Result<()> {
    let (setup, _) = setup_without_download(config, args.settings.config.as_deref())?;
    let plans = plan::plans(&setup)?;
    if args.json {
        return plan::print_report(&setup, &plans);
    }
    print(serde_json::to_string_pretty(&setup.config)?)?;
    print(plan::summary(&setup, &plans))
}

/// What ends a run whose data can't be read.
fn no_data(args: &Args, error: DataError) -> anyhow::Error {
    match error {
        DataError::NotFound { .. } if args.resume.is_some() => {
            bad_input!("{error}; if the run's data have been moved, say where they are now with --data")
        }
        error => error.into(),
    }
}

/// Before the first step everything but trouble with the device is a wrong request.
fn start_error(args: &Args, error: SessionError) -> anyhow::Error {
    match error {
        SessionError::Train(error) => error.into(),
        SessionError::Network(error) => impossible(args.settings.config.as_deref(), &error),
        other => bad_input!("{other}"),
    }
}

#[cfg(test)]
mod tests {
    use onestep_core::exec::ExecError;

    use super::*;

    #[test]
    fn a_lost_device_says_how_to_go_on() {
        let message = failed(None, &ExecError::DeviceLost("gone".into()).into()).to_string();
        assert!(message.contains("gone") && message.contains("--resume latest") && message.contains("--device cpu"));
    }
}
