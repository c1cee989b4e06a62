//! `cargo xtask figures`: what was measured for `docs/results.md`, once more.

use std::process::Command;

use anyhow::{Result, bail};

use crate::step;

#[derive(clap::Args)]
pub struct Options {
    /// Only the figures of this name
    name: Option<String>,
    /// Go on with what was interrupted
    #[arg(long)]
    resume: bool,
}

/// What makes each section's figures: arguments of `onestep`, but for where results go, and whether an interrupted run goes
/// on.
const FIGURES: &[(&str, &[&str], bool)] = &[
    ("bias", &["lab", "bias", "--dims", "2,8"], true),
    ("divergences", &["lab", "divergences", "--device", "cpu"], false),
    ("judge", &["lab", "judge", "--model", "assets/web/mnist-generator.safetensors", "--device", "cpu"], false),
];

pub fn run(options: &Options) -> Result<bool> {
    let wanted = |name: &str| options.name.as_deref().is_none_or(|only| only == name);
    if !FIGURES.iter().any(|(name, ..)| wanted(name)) {
        let known: Vec<&str> = FIGURES.iter().map(|(name, ..)| *name).collect();
        bail!("there are no figures of that name; known: {}", known.join(", "));
    }
    if !step::run("build onestep", &mut step::cargo(&["build", "--release", "--workspace", "--bin", "onestep"]))? {
        return Ok(false);
    }
    for (name, arguments, goes_on) in FIGURES.iter().filter(|(name, ..)| wanted(name)) {
        let out = step::target_dir().join("figures").join(name);
        let mut command = Command::new(step::target_dir().join("release/onestep"));
        command.current_dir(step::root()).args(*arguments).args(["--docs", "docs", "--out"]).arg(&out);
        if options.resume && *goes_on && out.exists() {
            command.arg("--resume");
        } else if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        if !step::run(name, &mut command)? {
            return Ok(false);
        }
    }
    Ok(true)
}
