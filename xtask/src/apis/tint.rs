//! Chrome's shader compiler, Tint, in Dawn's package for Node.js (`tests/apis/tint.mjs`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Accepted, Verdict, answers, ask_for_new, prepare};
use crate::step;

/// Judges the WGSL.
pub fn judge(folder: &Path) -> Result<Verdict> {
    if !step::works("npm", &["--version"]) || !step::works("node", &["--version"]) {
        return Ok(Verdict::Missing("Tint comes by npm and runs in Node.js, which are not installed".to_owned()));
    }
    let tool = folder.join("tint");
    install(&tool)?;
    let accepted = Accepted::by(folder, &format!("tint-{}", version(&tool)?))?;
    ask_for_new(&folder.join("wgsl"), accepted, |files| {
        answers(files, Command::new("node").arg(tool.join("tint.mjs")).stdin(list(folder, files)?))
    })
}

/// The files' names, to be read.
fn list(folder: &Path, files: &[PathBuf]) -> Result<File> {
    let first = files.first().and_then(|file| file.file_stem()).unwrap_or_default();
    let path = folder.join(format!("tint/{}.txt", first.display()));
    let lines: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    fs::write(&path, lines.join("\n"))?;
    Ok(File::open(path)?)
}

/// Of the package.
fn version(tool: &Path) -> Result<String> {
    let text = fs::read_to_string(tool.join("node_modules/webgpu/package.json"))?;
    let package: serde_json::Value = serde_json::from_str(&text)?;
    Ok(package["version"].as_str().unwrap_or_default().to_owned())
}

/// Copies the script beside its packages, which are fetched when their lock file has changed.
fn install(tool: &Path) -> Result<()> {
    let source = step::root().join("tests/apis");
    let lock = "package-lock.json";
    let installed = tool.join("node_modules/webgpu/package.json").exists()
        && fs::read(tool.join(lock)).ok() == fs::read(source.join(lock)).ok();
    fs::create_dir_all(tool)?;
    for file in ["tint.mjs", "package.json", lock] {
        fs::copy(source.join(file), tool.join(file))?;
    }
    if !installed {
        prepare(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(tool))?;
    }
    Ok(())
}
