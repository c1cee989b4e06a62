//! `cargo xtask wasm-check`: does the engine build for browsers?
//!
//! The plain way is rustup's target `wasm32-unknown-unknown`. Where rustup can't download it, Debian
//! ships a compiler with the sources of the standard library, which cargo then builds itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{step, vulkan};

/// The target of browsers.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// Vector instructions, which every browser has learned by 2023.
pub const SIMD: &str = "-Ctarget-feature=+simd128";

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
    Toolchain::ensure()?.check()
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

    /// What is installed, after installing it if that is possible.
    pub fn ensure() -> Result<Self> {
        if let Some(toolchain) = Self::find() {
            return Ok(toolchain);
        }
        if step::run("rustup target add", Command::new("rustup").args(["target", "add", TARGET])).unwrap_or(false) {
            return Ok(Self::Plain);
        }
        if Path::new("/etc/debian_version").exists() {
            vulkan::install(&PACKAGES)?;
        }
        match Self::find() {
            Some(toolchain) => Ok(toolchain),
            None => bail!("no compiler for {TARGET} here: `rustup target add {TARGET}` installs it"),
        }
    }

    /// Where this toolchain builds.
    pub fn target_dir(self) -> PathBuf {
        match self {
            Self::Plain => step::target_dir(),
            // Of their own compiler version, these builds would throw out all others.
            Self::Debian => step::target_dir().join("wasm"),
        }
    }

    /// Runs cargo for browsers, with these flags for the compiler.
    pub fn build(self, args: &[&str], rustflags: &str) -> Result<bool> {
        let args = [args, &["--target", TARGET]].concat();
        // A panic ends the module in any case; without its words the module is a tenth smaller.
        let rustflags = match self {
            Self::Plain => rustflags.to_owned(),
            Self::Debian => format!("-Zunstable-options -Cpanic=immediate-abort {rustflags}"),
        };
        let mut command = match self {
            Self::Plain => step::cargo(&args),
            Self::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                // The standard library can only be built with unstable flags; here it is built small.
                command.args(&args).args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").current_dir(step::root());
                command.env("PATH", path_with_linker()?);
                command
            }
        };
        command.env("CARGO_TARGET_DIR", self.target_dir()).env("RUSTFLAGS", &rustflags);
        step::run(&format!("cargo {} ({})", args.join(" "), rustflags.trim()), &mut command)
    }

    /// Checks the engine without its native parts, and the page's crate.
    pub fn check(self) -> Result<bool> {
        self.build(&["check", "--package", "onestep-web", "--profile", "web"], SIMD)
    }
}

/// The search path, with the linker `rust-lld` that a toolchain by rustup brings along.
fn path_with_linker() -> Result<OsString> {
    let mut folders = Vec::new();
    if let Ok(run) = step::capture(step::cargo(&["--version"]).arg("--verbose"))
        && let Some(host) = run.stdout.lines().find_map(|line| line.strip_prefix("host: "))
        && let Ok(sysroot) = step::capture(Command::new("rustc").args(["--print", "sysroot"]))
    {
        folders.push(Path::new(sysroot.stdout.trim()).join("lib/rustlib").join(host).join("bin"));
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Ok(std::env::join_paths(folders)?)
}
