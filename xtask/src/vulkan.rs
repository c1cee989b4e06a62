//! A Vulkan driver that needs no GPU, so that shaders run on any machine.
//!
//! On Debian and its relatives the packages are installed; elsewhere this says what is missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step;

/// The loader, and Mesa's software driver lavapipe.
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// Folders in which the Vulkan loader looks for drivers.
const DRIVER_FOLDERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

/// Makes sure that shaders can run, or says what is missing.
pub fn ensure() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("shaders run on this system's own graphics driver");
        return Ok(());
    }
    if chosen_by_environment() || (has_driver() && has_loader()) {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() && step::works("apt-get", &["--version"]) {
        return install(&PACKAGES);
    }
    println!(
        "no software Vulkan driver found; the tests of the shaders need one: install Mesa's lavapipe and the \
         Vulkan loader (Fedora: mesa-vulkan-drivers vulkan-loader; Arch: vulkan-swrast vulkan-icd-loader)"
    );
    Ok(())
}

/// Whether a package is installed on Debian.
pub fn is_installed(package: &str) -> bool {
    let query = step::capture(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]));
    query.is_ok_and(|query| query.stdout == "installed")
}

/// Installs packages on Debian.
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    step::heading(&format!("installing {names}"));
    apt(&["update", "-qq"])?;
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(packages);
    apt(&args).with_context(|| format!("install them yourself: apt-get install {names}"))
}

fn apt(args: &[&str]) -> Result<()> {
    let mut command = if is_root()? {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    let status =
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive").status().context("cannot start apt-get")?;
    if !status.success() {
        bail!("`apt-get {}` failed", args.join(" "));
    }
    Ok(())
}

fn is_root() -> Result<bool> {
    Ok(step::capture(Command::new("id").arg("-u"))?.stdout.trim() == "0")
}

/// Whether the user has named a driver.
fn chosen_by_environment() -> bool {
    ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

fn has_driver() -> bool {
    DRIVER_FOLDERS.iter().any(|folder| has_file(Path::new(folder), "lvp_icd"))
}

/// The loader lies in a folder by architecture on Debian, in /usr/lib64 or /usr/lib elsewhere.
fn has_loader() -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders = folders.filter(|path| path.is_dir());
    let here = |folder: &Path| has_file(folder, "libvulkan.so.1");
    here(Path::new("/usr/lib64")) || here(Path::new("/usr/lib")) || folders.any(|folder| here(&folder))
}

/// Whether a folder has a file whose name starts like this.
fn has_file(folder: &Path, start: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(start))
}
