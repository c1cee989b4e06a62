//! The machine in words, and tables for `docs/benchmarks.md`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step;

/// Today, as in 2026-11-22.
pub fn today() -> Result<String> {
    Ok(step::capture(Command::new("date").args(["-u", "+%F"]))?.stdout.trim().to_owned())
}

/// Cores and their name.
pub fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores ({})", model.unwrap_or(std::env::consts::ARCH))
}

/// Programs that wanted the processor in the last minute, on average.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Writes `text` into `docs/benchmarks.md`, between the marks of that name.
pub fn write(name: &str, text: &str) -> Result<()> {
    let path = step::root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&path)?;
    let (before, rest) = old.split_once(&format!("<!-- {name}: begin -->")).context("the first mark")?;
    let (_, after) = rest.split_once(&format!("<!-- {name}: end -->")).context("the second mark")?;
    let new = format!("{before}<!-- {name}: begin -->\n\n{text}\n<!-- {name}: end -->{after}");
    fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))
}
