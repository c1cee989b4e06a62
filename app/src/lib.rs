//! The `onestep` command: trains, samples and measures one-step generators.
//!
//! One module per command; [`settings`] resolves the knobs of a run, [`device`] chooses where it
//! runs, [`exit`] turns errors into one line and an exit code. Invariant: everything that a person
//! can get wrong ends in `error: ...`, one line, never in a panic.

mod bench;
mod claim;
mod compare;
mod device;
mod devices;
mod download;
mod draw;
mod eval;
mod exit;
mod export;
#[cfg(feature = "gui")]
pub mod gui;
mod interrupt;
mod lab;
mod memory;
mod merge;
mod methods;
mod output;
mod pictures;
mod plan;
mod plot;
mod range;
mod ranks;
mod sample;
mod seeds;
mod selftest;
mod settings;
mod train;
mod verifier;

use std::error::Error as _;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains one-step diffusion generators, samples from them and measures them, on any GPU or none.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print results and errors only.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Train a one-step generator: `onestep train --preset mnist`.
    Train(Box<train::Args>),
    /// Draw images (or points) from a generator snapshot, each in one step.
    Sample(sample::Args),
    /// Measure how close a generator's samples are to the data.
    Eval(eval::Args),
    /// Write a model in another form: 16-bit weights for the web page, or ONNX for other runtimes.
    Export(export::Args),
    /// Make one model of two by interpolating their weights.
    Merge(merge::Args),
    /// Show what a run will launch, kernel by kernel, without running it.
    Plan(Box<plan::Args>),
    /// Train several methods at equal compute, and put them side by side.
    Compare(Box<compare::Args>),
    /// Try what a method's paper says of it, in miniature: trains, measures, and says whether it held.
    Claim(claim::Args),
    /// Measure what networks learn where the truth is known exactly.
    Lab(lab::Args),
    /// List the methods that can be trained, and what each needs.
    Methods(methods::Args),
    /// List GPUs and the CPU executor, and say which one `auto` picks.
    Devices(devices::Args),
    /// Check every kernel on a device against an independent computation.
    Selftest(selftest::Args),
    /// Time training steps and sampling, kernel by kernel, against the device's peak.
    Bench(Box<bench::Args>),
    /// Open the desktop trainer, to watch distillation live.
    #[cfg(feature = "gui")]
    Gui(gui::Args),
}

/// The program.
pub fn main() -> ExitCode {
    quiet_vulkan();
    start_log();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Of several processes that are called alike, one says it.
        Err(error) if error.use_stderr() && ranks::follows() => return exit::failure(&exit::Told(2).into()),
        Err(error) => return exit::usage(&error),
    };
    let quiet = cli.quiet || ranks::follows();
    if matches!(&cli.command, Command::Train(_) | Command::Plan(_) | Command::Bench(_)) && !ranks::follows() {
        settings::tell_of_environment();
    }
    // A run of several processes shares a machine's threads among them.
    let threads = if matches!(&cli.command, Command::Train(_)) { Ok(()) } else { start_threads() };
    let result = threads.and_then(|()| match &cli.command {
        Command::Train(args) => train::run(args, quiet),
        Command::Sample(args) => sample::run(args, cli.quiet),
        Command::Eval(args) => eval::run(args, cli.quiet),
        Command::Export(args) => export::run(args, cli.quiet),
        Command::Merge(args) => merge::run(args, cli.quiet),
        Command::Plan(args) => plan::run(args),
        Command::Compare(args) => compare::run(args, cli.quiet),
        Command::Claim(args) => claim::run(args, cli.quiet),
        Command::Lab(args) => lab::run(args, cli.quiet),
        Command::Methods(args) => methods::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Selftest(args) => selftest::run(args, cli.quiet),
        Command::Bench(args) => bench::run(args, cli.quiet),
        #[cfg(feature = "gui")]
        Command::Gui(args) => gui::run(args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failure(&error),
    }
}

/// Starts the threads that all kernels share. The first kernel would panic where they can't be had.
pub(crate) fn start_threads() -> anyhow::Result<()> {
    match rayon::ThreadPoolBuilder::new().build_global() {
        // An error without a source only says that they are there.
        Err(error) if error.source().is_some() => Err(no_thread(error)),
        _ => Ok(()),
    }
}

/// The system gave no thread.
pub(crate) fn no_thread(error: impl std::error::Error) -> anyhow::Error {
    anyhow::anyhow!("a thread could not be started: {error}; allow more memory or processes (ulimit -v, ulimit -u)")
}

/// Without this variable, as over ssh or in a container, software Vulkan prints `error: XDG_RUNTIME_DIR is invalid`
/// though all is well.
#[allow(unsafe_code, reason = "there is no other way to tell a library; no thread has been started yet")]
fn quiet_vulkan() {
    let name = "XDG_RUNTIME_DIR";
    if cfg!(target_os = "linux") && std::env::var_os(name).is_none_or(|dir| dir.is_empty()) {
        // SAFETY: this is the first that the program does, on its only thread.
        unsafe { std::env::set_var(name, std::env::temp_dir()) };
    }
}

/// Logs go to stderr; `ONESTEP_LOG=debug` shows more of them.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ONESTEP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    // A line that can't be written is lost; telling of it would end the program where nobody reads stderr.
    let log = log.log_internal_errors(false);
    // In a file, colours are noise.
    if std::io::stderr().is_terminal() { log.init() } else { log.with_ansi(false).init() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
