//! `cargo xtask test`: everything that has to hold, in one command.
//!
//! A failure does not stop what comes after it: one run shows all that is wrong.

use std::path::Path;

use anyhow::Result;

use crate::runtime_dir::RuntimeDir;
use crate::step;
use crate::summary::Summary;
use crate::{apis, lint, vulkan, wasm, web, window};

#[derive(clap::Args)]
pub struct Options {
    /// Leave out formatting, clippy and the check for browsers
    #[arg(long)]
    skip_lint: bool,
    /// Leave out the tests of the page in a browser
    #[arg(long)]
    skip_web: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Passed on to the test programs
    #[arg(last = true)]
    args: Vec<String>,
}

/// The program by which tests see what a run does to its disk; without it they say that they were left out.
fn ensure_strace() -> Result<()> {
    if Path::new("/etc/debian_version").exists() && !step::works("strace", &["--version"]) {
        vulkan::install(&["strace"])?;
    }
    Ok(())
}

/// Installs, checks, tests; prints one line with the number of tests at the end.
pub fn run(options: &Options) -> Result<bool> {
    vulkan::ensure()?;
    ensure_strace()?;
    let mut failures: Vec<&str> = Vec::new();
    if !options.skip_lint {
        failures.extend(lint::failures()?);
        let toolchains = wasm::Toolchain::installed();
        if toolchains.is_empty() {
            println!("\nnot checked for browsers: no wasm32 target here (cargo xtask wasm-check says more)");
        }
        if !wasm::check(&toolchains)? {
            failures.push("cargo xtask wasm-check");
        }
    }
    let mut summary = test(options)?;
    if summary.failed > 0 {
        failures.push("cargo test");
    }
    // Only by name: what has not been accepted before takes many minutes (CONTRIBUTING.md).
    if options.filter.as_deref().is_some_and(apis::has_test) {
        let elsewhere = apis::test(options.filter.as_deref())?;
        if elsewhere.failed > 0 {
            failures.push("shaders under other APIs (xtask/src/apis)");
        }
        summary.add(elsewhere);
    }
    if !options.skip_web && options.filter.as_deref().is_none_or(web::has_test) {
        let page = web::test(options.filter.as_deref())?;
        if page.failed > 0 {
            failures.push("the page in a browser, or ONNX files in another runtime (tests/web)");
        }
        summary.add(page);
    }
    let in_window = window::test(options.filter.as_deref())?;
    if in_window.failed > 0 {
        failures.push("the desktop trainer in a real window (xtask/src/window/test.rs)");
    }
    summary.add(in_window);
    println!();
    if summary == Summary::default() {
        println!("no test ran: none has that name");
    }
    for name in &failures {
        println!("failed: {name}");
    }
    println!("{summary}");
    Ok(failures.is_empty() && summary.passed > 0)
}

fn test(options: &Options) -> Result<Summary> {
    // Also after a failure: the counts at the end are those of all tests.
    let mut args = vec!["test", "--release", "--workspace", "--no-fail-fast"];
    args.extend(options.filter.as_deref());
    if !options.args.is_empty() {
        args.push("--");
        args.extend(options.args.iter().map(String::as_str));
    }
    let mut summary = Summary::default();
    let runtime_dir = RuntimeDir::ensure()?;
    let mut command = step::cargo(&args);
    runtime_dir.pass_on(&mut command);
    let passed =
        step::run_lines(&format!("cargo {}", args.join(" ")), &mut command, &mut |line| summary.add_line(line))?;
    if !passed && summary.failed == 0 {
        // Something did not build, or a test program died without a report.
        summary.failed = 1;
    }
    Ok(summary)
}
