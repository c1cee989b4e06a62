//! The page in a real browser: `tests/web`, driven by Playwright.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::{dist, make, serve};
use crate::summary::Summary;
use crate::{step, vulkan};

/// Where Debian puts its browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Where the tests are.
const FOLDER: &str = "tests/web";
/// All of them.
const TESTS: &str = "page.test.mjs";

/// Whether a test of the page has this in its name: building the page for none takes minutes.
pub fn has_test(filter: &str) -> bool {
    let tests = std::fs::read_to_string(step::root().join(FOLDER).join(TESTS)).unwrap_or_default();
    tests.lines().any(|line| line.trim_start().starts_with("test(") && line.contains(filter))
}

/// Builds the page and runs its tests; only those whose name contains `filter`.
pub fn test(filter: Option<&str>) -> Result<Summary> {
    ensure_programs()?;
    let failed = Summary { failed: 1, ..Summary::default() };
    if !make(false)?
        || !step::run("the program to compare with", &mut step::cargo(&["build", "--release", "--package", "onestep"]))?
    {
        return Ok(failed);
    }
    let folder = step::root().join(FOLDER);
    // The lock file names exact versions with their hashes.
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
    if !step::run("npm ci", &mut install)? {
        return Ok(failed);
    }
    let shaders = step::target_dir().join("shaders.txt");
    let mut sources =
        step::cargo(&["run", "--release", "--quiet", "--package", "onestep-shaders", "--example", "sources", "--"]);
    if !step::run("the text of every kernel", sources.arg(&shaders))? {
        return Ok(failed);
    }
    let server = serve::Server::start(&dist::folder(), 0)?;
    let mut command = Command::new("node");
    command.args(["--test", "--test-concurrency=1", "--test-reporter=tap"]);
    if let Some(filter) = filter {
        command.arg(format!("--test-name-pattern={filter}"));
    }
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    let program = step::target_dir().join("release").join(format!("onestep{}", std::env::consts::EXE_SUFFIX));
    command.arg(TESTS).current_dir(&folder);
    command.env("PAGE_URL", server.url()).env("CHROMIUM", browser).env("ONESTEP", program);
    command.env("ONESTEP_ROOT", step::root()).env("SHADERS", shaders);
    let mut summary = Summary::default();
    let passed = step::run_lines("the page in Chromium", &mut command, &mut |line| summary.add_tap_line(line))?;
    if !passed && summary.failed == 0 {
        summary.failed = 1;
    }
    Ok(summary)
}

/// Node.js and a browser: installed on Debian, named elsewhere.
fn ensure_programs() -> Result<()> {
    let chromium = std::env::var_os("CHROMIUM").is_some() || Path::new(CHROMIUM).exists();
    let mut missing = Vec::new();
    if !chromium {
        missing.push("chromium");
    }
    if !step::works("node", &["--version"]) {
        missing.push("nodejs");
    }
    if !step::works("npm", &["--version"]) {
        missing.push("npm");
    }
    if missing.is_empty() {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() {
        return vulkan::install(&missing);
    }
    bail!(
        "the tests of the page need Chromium and Node.js; install {} (CHROMIUM names the browser's program), or leave \
         them out: cargo xtask test --skip-web",
        missing.join(", ")
    )
}
