//! `cargo xtask lint`: formatting and clippy, warnings as errors.

use anyhow::{Result, bail};

use crate::step;

/// Runs both checks, the second also if the first fails.
pub fn run() -> Result<bool> {
    let failures = failures()?;
    for name in &failures {
        println!("failed: {name}");
    }
    Ok(failures.is_empty())
}

/// Names of the checks that fail.
pub fn failures() -> Result<Vec<&'static str>> {
    ensure_components()?;
    let mut failures = Vec::new();
    if !step::run("cargo fmt --all --check", &mut step::cargo(&["fmt", "--all", "--check"]))? {
        failures.push("cargo fmt --all --check (to repair: cargo fmt --all)");
    }
    let clippy = "cargo clippy --workspace --all-targets --release -- -D warnings";
    let args: Vec<&str> = clippy.split(' ').skip(1).collect();
    if !step::run(clippy, &mut step::cargo(&args))? {
        failures.push(clippy);
    }
    Ok(failures)
}

/// A minimal toolchain lacks both tools; rustup adds them where it can.
fn ensure_components() -> Result<()> {
    let there = |tool: &str| step::capture(&mut step::cargo(&[tool, "--version"])).is_ok_and(|run| run.ok);
    if there("fmt") && there("clippy") {
        return Ok(());
    }
    step::heading("rustup component add rustfmt clippy");
    if !step::works("rustup", &["component", "add", "rustfmt", "clippy"]) {
        bail!(
            "rustfmt or clippy is missing; install them (rustup component add rustfmt clippy) or leave the checks \
             out (cargo xtask test --skip-lint)"
        );
    }
    Ok(())
}
