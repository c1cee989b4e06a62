//! Microsoft's shader compiler for DirectX 12, DXC, as a library for Linux that a Python package brings along
//! (`tests/apis/dxc.cpp` calls it).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::{Accepted, Verdict, answers, ask_for_new, prepare};
use crate::step;

/// The package, and its version.
const PACKAGE: [&str; 2] = ["compushady", "0.17.5"];
/// Where it keeps the library.
const LIBRARY: &str = "libdxcompiler_x86_64.so.3.7";
/// What the library calls itself.
const SONAME: &str = "libdxcompiler.so.3.7";

/// Judges the HLSL.
pub fn judge(folder: &Path) -> Result<Verdict> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Verdict::Missing("DXC is taken from a package for Linux on x86-64".to_owned()));
    }
    for (program, package) in [("pip", "python3-pip"), ("c++", "g++")] {
        if !step::works(program, &["--version"]) {
            return Ok(Verdict::Missing(format!("DXC needs `{program}` (Debian: {package})")));
        }
    }
    let tool = folder.join("dxc");
    let program = tool.join("dxc");
    if !program.exists() || !tool.join(SONAME).exists() {
        fetch(&tool)?;
    }
    prepare(
        Command::new("c++")
            .args(["-std=c++17", "-O1", "-w", "-I"])
            .arg(&tool)
            .arg(step::root().join("tests/apis/dxc.cpp"))
            .arg(tool.join(SONAME))
            .args(["-Wl,-rpath,$ORIGIN", "-o"])
            .arg(&program),
    )?;
    refuses_nonsense(&program, &tool)?;
    let accepted = Accepted::by(folder, &PACKAGE.join("-"))?;
    ask_for_new(&folder.join("hlsl"), accepted, |files| ask(&program, files))
}

/// Downloads the package, and takes library and headers out of it.
fn fetch(tool: &Path) -> Result<()> {
    fs::create_dir_all(tool)?;
    let [name, version] = PACKAGE;
    let archive = format!("{name}-{version}.tar.gz");
    let pip = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", "."];
    prepare(Command::new("pip").args(pip).arg(format!("{name}=={version}")).current_dir(tool))?;
    let inside = format!("{name}-{version}/{name}/backends");
    let wanted = [LIBRARY, "dxcapi.h", "WinAdapter.h"].map(|file| format!("{inside}/{file}"));
    prepare(Command::new("tar").args(["xzf", &archive, "--strip-components=3"]).args(wanted).current_dir(tool))?;
    fs::rename(tool.join(LIBRARY), tool.join(SONAME))?;
    Ok(fs::remove_file(tool.join(archive))?)
}

fn refuses_nonsense(program: &Path, tool: &Path) -> Result<()> {
    let wrong = tool.join("wrong.hlsl");
    fs::write(&wrong, "[numthreads(1, 1, 1)] void main() { nothing = 1; }")?;
    match ask(program, &[wrong])?.len() {
        1 => Ok(()),
        _ => bail!("DXC takes what is no HLSL"),
    }
}

/// Which of these files are refused, and why.
fn ask(program: &Path, files: &[PathBuf]) -> Result<Vec<(PathBuf, String)>> {
    let mut refused = Vec::new();
    // As many as a command line takes.
    for part in files.chunks(200) {
        refused.extend(answers(part, Command::new(program).args(part))?);
    }
    Ok(refused)
}
