//! Every shader of the project, as the compilers of other systems see it, without owning them: naga writes it for Metal,
//! DirectX 12 and Vulkan, and Chrome's, Microsoft's and Khronos' tools judge it. `cargo xtask test every_shader` does it.
//!
//! A tool that can't be had here is left out, which one line says. What a tool has accepted is not asked again
//! ([`Accepted`]): it is slow, and a change touches few shaders. Everything lies in the target folder.

mod accepted;
mod dxc;
mod spirv;
mod tint;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step;
use crate::summary::Summary;
use accepted::Accepted;

/// What the checks are called where tests are chosen by name.
const TESTS: [&str; 4] =
    ["naga_writes_every_shader", "tint_takes_every_shader", "dxc_takes_every_shader", "spirv_val_takes_every_shader"];

/// Whether a check here has this in its name.
pub fn has_test(filter: &str) -> bool {
    TESTS.iter().any(|test| test.contains(filter))
}

/// What a tool says.
enum Verdict {
    /// It looked at so many shaders, and refuses these: one line each.
    Judged(usize, Vec<String>),
    /// It can't be had: why.
    Missing(String),
}

/// Asks a tool about what lies in a folder.
type Judge = fn(&Path) -> Result<Verdict>;

/// Writes all shaders, and asks every tool.
pub fn test(filter: Option<&str>) -> Result<Summary> {
    let folder = step::target_dir().join("apis");
    let mut summary = Summary::default();
    if !write(&folder)? {
        summary.failed = 1;
        return Ok(summary);
    }
    summary.passed = 1;
    let tools: [(&str, Judge); 3] = [(TESTS[1], tint::judge), (TESTS[2], dxc::judge), (TESTS[3], spirv::judge)];
    for (test, judge) in tools.into_iter().filter(|(test, _)| filter.is_none_or(|filter| test.contains(filter))) {
        step::heading(test);
        // A download that fails, for example: no reason to fail the tests of the code.
        match judge(&folder).unwrap_or_else(|error| Verdict::Missing(format!("{error:#}"))) {
            Verdict::Judged(count, refused) if refused.is_empty() && count > 0 => {
                println!("{count} shaders, none refused");
                summary.passed += 1;
            }
            Verdict::Judged(count, refused) => {
                refused.iter().take(20).for_each(|line| println!("{line}"));
                println!("{count} shaders, {} refused", refused.len());
                summary.failed += 1;
            }
            Verdict::Missing(why) => {
                println!("not checked: {}", why.replace('\n', " "));
                summary.skipped += 1;
            }
        }
    }
    Ok(summary)
}

/// Writes WGSL, MSL, HLSL and SPIR-V into folders of these names.
fn write(folder: &Path) -> Result<bool> {
    same_naga()?;
    let Some(mut shaders) = step::example("shaders")? else { return Ok(false) };
    let mut apis =
        step::cargo(&["run", "--release", "--quiet", "--locked", "--manifest-path", "tests/apis/Cargo.toml"]);
    apis.arg("--target-dir").arg(step::target_dir()).arg("--").arg(folder);
    Ok(step::run("every shader of every plan", shaders.arg(folder.join("wgsl")))? && step::run(TESTS[0], &mut apis)?)
}

/// The writers are checked only if they are those of the program.
fn same_naga() -> Result<()> {
    let version = |lock: &str| -> Result<String> {
        let path = step::root().join(lock);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let version = text.split("name = \"naga\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
        version.map(str::to_owned).with_context(|| format!("{lock} names no naga"))
    };
    let (ours, theirs) = (version("Cargo.lock")?, version("tests/apis/Cargo.lock")?);
    if ours != theirs {
        bail!(
            "wgpu translates with naga {ours}, tests/apis with {theirs}: change the version in tests/apis/Cargo.toml"
        );
    }
    Ok(())
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Asks a tool about the files of a folder that it has not accepted before: `ask` gets a part of them, on a thread of its
/// own, and says why it refuses which.
fn ask_for_new(
    folder: &Path,
    mut accepted: Accepted,
    ask: impl Fn(&[PathBuf]) -> Result<Vec<(PathBuf, String)>> + Sync,
) -> Result<Verdict> {
    let all = files(folder)?;
    let new: Vec<PathBuf> = accepted.unknown(&all)?;
    println!("{} of {} shaders have changed since they were accepted", new.len(), all.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let answers: Vec<Result<Vec<(PathBuf, String)>>> = std::thread::scope(|scope| {
        let parts: Vec<_> =
            new.chunks(new.len().div_ceil(threads).max(1)).map(|part| scope.spawn(|| ask(part))).collect();
        parts.into_iter().map(|part| part.join().expect("asking does not panic")).collect()
    });
    let refused: Vec<(PathBuf, String)> = answers.into_iter().collect::<Result<Vec<_>>>()?.concat();
    accepted.add(new.iter().filter(|file| refused.iter().all(|(wrong, _)| wrong != *file)))?;
    let line = |(file, why): &(PathBuf, String)| format!("{}: {why}", file.file_name().unwrap_or_default().display());
    Ok(Verdict::Judged(all.len(), refused.iter().map(line).collect()))
}

/// Runs a host that says of each file, in order and on a line of its own, `ok FILE` or `refused FILE: why`.
fn answers(files: &[PathBuf], command: &mut Command) -> Result<Vec<(PathBuf, String)>> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let mut refused = Vec::new();
    for file in files {
        match lines.next() {
            Some(line) if line.starts_with("ok ") => {}
            Some(line) => refused.push((file.clone(), line.split_once(": ").map_or(line, |(_, why)| why).to_owned())),
            // What died at one shader has not seen the others.
            None => {
                let why = String::from_utf8_lossy(&output.stderr);
                refused.push((file.clone(), format!("the compiler died: {}", why.lines().next().unwrap_or_default())));
            }
        }
    }
    Ok(refused)
}

/// Runs a command that prepares a tool; what it printed is the error.
fn prepare(command: &mut Command) -> Result<()> {
    let run = step::capture(command)?;
    let last = run.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    if run.ok { Ok(()) } else { bail!("{}: {last}", command.get_program().display()) }
}
