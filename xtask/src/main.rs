//! `cargo xtask`: what developers and CI run, as one program, so that nobody needs a shell script.
//!
//! Each command is a module; [`step`] runs the programs that they start. Exit codes: 0 done,
//! 1 something failed, 2 wrong usage.

mod apis;
mod bench;
mod fault;
mod figures;
mod fixtures;
mod lint;
mod mpi;
mod mutate;
mod peers;
mod report;
mod runtime_dir;
mod soak;
mod step;
mod summary;
mod test;
mod vulkan;
mod wasm;
mod web;
mod window;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need (Debian), check style, run every test
    Test(test::Options),
    /// Check formatting and clippy's lints
    Lint,
    /// Check that the engine builds for browsers
    WasmCheck,
    /// Build the page into web/dist
    Web(web::Options),
    /// Measure, and write the figures into docs/benchmarks.md
    Bench(bench::Options),
    /// Measure the figures of docs/results.md once more, all or one section's
    Figures(figures::Options),
    /// Test one run in several processes, started by mpirun (installs MPICH on Debian)
    Mpi,
    /// Break every shader on purpose and see that a test notices
    Mutate(mutate::Options),
    /// Kill runs again and again, and see that they come to the same end
    Fault(fault::Options),
    /// Take pictures of the desktop trainer's views on a virtual display
    Screenshots(window::Options),
    /// Make the embedded data set again from the original files
    Fixtures(fixtures::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Lint => lint::run(),
        Task::WasmCheck => wasm::run(),
        Task::Web(options) => web::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Figures(options) => figures::run(&options),
        Task::Mpi => mpi::run(),
        Task::Mutate(options) => mutate::run(&options),
        Task::Fault(options) => fault::run(&options),
        Task::Screenshots(options) => window::run(&options),
        Task::Fixtures(options) => fixtures::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
