//! `cargo xtask fault`: kills runs of every method again and again, and compares what they come to with runs that were
//! never killed (`tests/tests/cli/crash.rs`; the test command has a short form of it).

use anyhow::Result;

use crate::runtime_dir::RuntimeDir;
use crate::step;

#[derive(clap::Args)]
pub struct Options {
    /// Kills in all, three of each run
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// When they come
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Where the runs train, such as cpu or gpu:0
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// Builds, kills, compares.
pub fn run(options: &Options) -> Result<bool> {
    let args = ["test", "--release", "--workspace", "--test", "cli", "killed_again_and_again", "--", "--nocapture"];
    let mut command = step::cargo(&args);
    RuntimeDir::ensure()?.pass_on(&mut command);
    command.env("FAULT_KILLS", options.kills.to_string()).env("FAULT_SEED", options.seed.to_string());
    command.env("FAULT_DEVICE", &options.device);
    step::run(&format!("{} kills on {}", options.kills, options.device), &mut command)
}
