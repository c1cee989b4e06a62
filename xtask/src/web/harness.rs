//! What the tests and the benchmark of the page need before a browser starts: programs, packages,
//! models to compare with, and a command that runs scripts of `tests/web` with all that named.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{step, vulkan};

/// Where Debian puts its browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Where the scripts and their packages are.
pub fn folder() -> PathBuf {
    step::root().join("tests/web")
}

/// Installs what scripts import; the lock file names exact versions with their hashes.
pub fn install_packages() -> Result<bool> {
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder());
    step::run("npm ci", &mut install)
}

/// Builds the program to compare with: of the whole workspace, as the tests did, or every dependency whose features
/// differ would be compiled once more.
pub fn build_program() -> Result<bool> {
    let args = ["build", "--release", "--workspace", "--bin", "onestep"];
    step::run("the program to compare with", &mut step::cargo(&args))
}

/// The program that [`build_program`] builds.
pub fn program() -> PathBuf {
    step::target_dir().join("release").join(format!("onestep{}", std::env::consts::EXE_SUFFIX))
}

/// Generators, latents and samples for comparison with other runtimes, in a folder of their own.
pub fn onnx_cases() -> Result<Option<PathBuf>> {
    let folder = step::target_dir().join("onnx-cases");
    std::fs::create_dir_all(&folder)?;
    let Some(mut cases) = step::example("onnx_cases")? else { return Ok(None) };
    let written = step::run("generators, latents and samples", cases.arg(&folder))?;
    Ok(written.then_some(folder))
}

/// Node.js in the folder of the scripts, with the names of browser and program, and of the folder for pictures.
pub fn node(args: &[&str]) -> Command {
    let mut command = Command::new("node");
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    command.args(args).current_dir(folder());
    command.env("CHROMIUM", browser).env("ONESTEP", program()).env("ONESTEP_ROOT", step::root());
    command.env("PICTURES", step::target_dir().join("screenshots"));
    command
}

/// Node.js and a browser: installed on Debian, named elsewhere.
pub fn ensure_programs() -> Result<()> {
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
