//! `cargo xtask wasm-check`: does the engine build for browsers?
//!
//! The plain way is rustup's target `wasm32-unknown-unknown`. Where rustup can't download it, Debian
//! ships a compiler with the sources of the standard library, which cargo then builds itself.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{step, vulkan};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for the web, and the sources of its standard library.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// What can build for browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The compiler at hand has the target.
    Plain,
    /// Debian's compiler, which builds the standard library first.
    Debian,
}

/// Checks, after installing a toolchain if there is none.
pub fn run() -> Result<bool> {
    if let Some(toolchain) = Toolchain::find() {
        return toolchain.check();
    }
    if step::run("rustup target add", Command::new("rustup").args(["target", "add", TARGET])).unwrap_or(false) {
        return Toolchain::Plain.check();
    }
    if Path::new("/etc/debian_version").exists() {
        vulkan::install(&PACKAGES)?;
    }
    match Toolchain::find() {
        Some(toolchain) => toolchain.check(),
        None => bail!("no compiler for {TARGET} here: `rustup target add {TARGET}` installs it"),
    }
}

impl Toolchain {
    /// What is installed; the plain way first.
    pub fn find() -> Option<Self> {
        let library = |compiler: &str, part: &str| {
            let sysroot = step::capture(Command::new(compiler).args(["--print", "sysroot"]));
            sysroot.is_ok_and(|run| run.ok && Path::new(run.stdout.trim()).join("lib/rustlib").join(part).exists())
        };
        if library("rustc", TARGET) {
            Some(Self::Plain)
        } else if Path::new("/usr/bin/cargo").exists() && library("/usr/bin/rustc", "src/rust/library/std") {
            Some(Self::Debian)
        } else {
            None
        }
    }

    /// Checks the engine without its native parts.
    pub fn check(self) -> Result<bool> {
        let args = ["check", "--package", "onestep-core", "--no-default-features", "--target", TARGET];
        let mut command = match self {
            Self::Plain => step::cargo(&args),
            Self::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                // The standard library can only be built with unstable flags.
                command.args(args).arg("-Zbuild-std=std,panic_abort").current_dir(step::root());
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                // Of their own compiler version, these builds would throw out all others.
                command.env("CARGO_TARGET_DIR", step::target_dir().join("wasm"));
                command
            }
        };
        step::run(&format!("cargo {}", args.join(" ")), &mut command)
    }
}
