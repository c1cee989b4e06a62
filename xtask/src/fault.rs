//! `cargo xtask fault`: kills runs of every method again and again, and compares what they come to with runs that were
//! never killed (`tests/tests/cli/crash.rs`); damages files of every kind (`mutants.rs` beside it, and
//! `core/src/data/damage_tests.rs`); lets every call that a run makes to its disk fail, or be the last one
//! (`disk` beside it); takes devices away (`tests/tests/train.rs`). The test command has a short form of each. A long run
//! is another matter (`soak.rs` here).

use anyhow::Result;

use crate::runtime_dir::RuntimeDir;
use crate::{soak, step};

#[derive(clap::Args)]
pub struct Options {
    /// Kills that leave a run to go on with, at most three of each run [default: 100, if nothing else is asked for]
    #[arg(long)]
    kills: Option<u32>,
    /// When they come
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Where the runs train that are killed, such as cpu or gpu:0
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Damaged files of each of 16 kinds
    #[arg(long)]
    mutants: Option<u32>,
    /// Devices that are lost at any moment of a run (the first GPU, or software Vulkan)
    #[arg(long)]
    losses: Option<u32>,
    /// Minutes of training, of which time and memory must stay flat; for a machine that does nothing else
    #[arg(long)]
    soak: Option<u32>,
    /// Let each call of a run to its disk fail, and let the power go after each
    #[arg(long)]
    disk: bool,
}

/// Builds, and does what is asked for.
pub fn run(options: &Options) -> Result<bool> {
    // Tests of another package use the program, and do not build it.
    let program = ["build", "--release", "--workspace", "--bin", "onestep"];
    let mut passed = step::run("the program", &mut step::cargo(&program))?;
    let others = [options.mutants, options.losses, options.soak].iter().any(Option::is_some) || options.disk;
    let otherwise = (!others).then_some(100);
    if let Some(kills) = options.kills.or(otherwise) {
        let title = format!("{kills} kills on {}", options.device);
        let set =
            [("KILLS", kills.to_string()), ("SEED", options.seed.to_string()), ("DEVICE", options.device.clone())];
        passed &= tests(&title, &["--test", "cli"], "killed_again_and_again", &set)?;
    }
    if let Some(mutants) = options.mutants {
        let set = [("MUTANTS", mutants.to_string())];
        passed &= tests("damaged data", &["--lib"], "damaged_ones_never_panic", &set)?;
        passed &= tests("damaged models, runs and settings", &["--test", "cli"], "mutants::damaged", &set)?;
    }
    if let Some(losses) = options.losses {
        let set = [("LOSSES", losses.to_string())];
        passed &= tests("lost devices", &["--test", "train"], "device_is_lost", &set)?;
    }
    if options.disk {
        passed &= tests("failing disks", &["--test", "cli"], "disk::", &[("EVERY", "1".to_owned())])?;
    }
    if let Some(minutes) = options.soak {
        passed &= soak::run(minutes, &options.device)?;
    }
    Ok(passed)
}

/// Runs the tests of this name, with variables that are called `FAULT_` and so on.
fn tests(title: &str, which: &[&str], name: &str, variables: &[(&str, String)]) -> Result<bool> {
    let args = [&["test", "--release", "--workspace"], which, &[name, "--", "--nocapture"]].concat();
    let mut command = step::cargo(&args);
    RuntimeDir::ensure()?.pass_on(&mut command);
    command.envs(variables.iter().map(|(name, value)| (format!("FAULT_{name}"), value)));
    step::run(title, &mut command)
}
