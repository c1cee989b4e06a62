//! `cargo xtask wasm-check`: does the engine build for browsers?
//!
//! The plain way is rustup's target `wasm32-unknown-unknown`. Where rustup can't download it, Debian
//! ships a compiler with the sources of the standard library, which cargo then builds itself. Where both
//! are there, tests take both, since they differ in what a visitor loads.

use std::ffi::OsString;
use std::fmt;
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
    check(&Toolchain::ensure()?)
}

/// Checks with each of these, also after a failure.
pub fn check(toolchains: &[Toolchain]) -> Result<bool> {
    let mut all = true;
    for toolchain in toolchains {
        all &= toolchain.check()?;
    }
    Ok(all)
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "the prebuilt standard library of rustup's target",
            Self::Debian => "a standard library from source, by Debian's compiler",
        })
    }
}

impl Toolchain {
    /// What is installed; the plain way first.
    pub fn installed() -> Vec<Self> {
        [Self::Plain, Self::Debian].into_iter().filter(|toolchain| toolchain.is_installed()).collect()
    }

    fn is_installed(self) -> bool {
        let library = |compiler: &str, part: &str| {
            let sysroot = step::capture(Command::new(compiler).args(["--print", "sysroot"]));
            sysroot.is_ok_and(|run| run.ok && Path::new(run.stdout.trim()).join("lib/rustlib").join(part).exists())
        };
        match self {
            Self::Plain => library("rustc", TARGET),
            Self::Debian => Path::new("/usr/bin/cargo").exists() && library("/usr/bin/rustc", "src/rust/library/std"),
        }
    }

    /// What is installed, one at least, after installing it if that is possible.
    pub fn ensure() -> Result<Vec<Self>> {
        let installed = Self::installed();
        if !installed.is_empty() {
            return Ok(installed);
        }
        if step::run("rustup target add", Command::new("rustup").args(["target", "add", TARGET])).unwrap_or(false) {
            return Ok(vec![Self::Plain]);
        }
        if Path::new("/etc/debian_version").exists() {
            vulkan::install(&PACKAGES)?;
        }
        let installed = Self::installed();
        if installed.is_empty() {
            bail!("no compiler for {TARGET} here: `rustup target add {TARGET}` installs it");
        }
        Ok(installed)
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
