//! What an earlier program left in a run's folder: temporary files of one that was killed, and a future that the run
//! has gone back from.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::SessionError;
use super::find::{checkpoints, entries};
use super::folder::write_json;
use super::settings::RunSettings;
use crate::files::{FileError, atomic_write, sweep};

/// Folders in a run's folder.
pub(super) const PARTS: [&str; 3] = ["samples", "checkpoints", "snapshots"];

/// Removes what a program that was killed was writing. Nobody else may be training in the folder.
pub(super) fn sweep_run(run: &Path) {
    for part in PARTS {
        sweep(&run.join(part));
    }
    sweep(run);
    for path in entries(&run.join("checkpoints")) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".writing-")) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// What a run wrote later than at a step, relative to its folder.
fn later(run: &Path, step: u64) -> Vec<PathBuf> {
    let is_later = |path: &Path| {
        // As a run names its files, and a person rarely does.
        let (_, digits) = path.file_stem()?.to_str()?.rsplit_once('-')?;
        let number: u64 = digits.parse().ok().filter(|_| digits.len() >= 6)?;
        Some(number > step)
    };
    let inside = PARTS.iter().flat_map(|part| entries(&run.join(part)));
    let mut found: Vec<PathBuf> = inside
        .filter(|path| is_later(path) == Some(true))
        .filter_map(|path| path.strip_prefix(run).ok().map(Path::to_owned))
        .collect();
    found.sort();
    found
}

/// Removes what a run wrote after a step to which it comes again: a checkpoint that `latest.json` does not name yet,
/// its snapshots, lines of statistics.
pub(super) fn forget_later(run: &Path, step: u64) -> Result<(), SessionError> {
    for path in later(run, step).into_iter().map(|path| run.join(path)) {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| FileError::new(&path, "remove the file", e))?;
    }
    cut_statistics(run, step)
}

/// Moves what a run wrote after a step that it goes back to into a folder of its own, which is a run as well; returns
/// that folder.
pub(super) fn set_aside_later(run: &Path, step: u64, settings: &RunSettings) -> Result<Option<PathBuf>, SessionError> {
    let found = later(run, step);
    if found.is_empty() {
        cut_statistics(run, step)?;
        return Ok(None);
    }
    let numbered = |i: u32| run.join(format!("set-aside/{i:02}-from-{step:06}"));
    let aside = (0..u32::MAX).map(numbered).find(|path| !path.exists()).expect("there are more numbers than folders");
    for part in PARTS {
        fs::create_dir_all(aside.join(part)).map_err(|e| FileError::new(&aside, "create the folder", e))?;
    }
    settings.write(&aside)?;
    let lines = run.join("stats.jsonl");
    if lines.exists() {
        fs::copy(&lines, aside.join("stats.jsonl")).map_err(|e| FileError::new(&aside, "copy the statistics", e))?;
    }
    for path in &found {
        fs::rename(run.join(path), aside.join(path)).map_err(|e| FileError::new(&aside.join(path), "move here", e))?;
    }
    if let Some((_, last)) = checkpoints(&aside).first() {
        point_at(&aside, last)?;
    }
    cut_statistics(run, step)?;
    Ok(Some(aside))
}

/// Points `latest.json` at a complete checkpoint.
pub(super) fn point_at(run: &Path, checkpoint: &Path) -> Result<(), SessionError> {
    let name = checkpoint.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    write_json(&run.join("latest.json"), &serde_json::json!({ "checkpoint": name }))
}

/// Leaves the lines of statistics up to a step; one that a killed program wrote a part of goes, too.
fn cut_statistics(run: &Path, step: u64) -> Result<(), SessionError> {
    let path = run.join("stats.jsonl");
    if !path.is_file() {
        return Ok(());
    }
    let Ok(bytes) = fs::read(&path) else { return Ok(()) };
    // What a failing disk left need not be text.
    let text = String::from_utf8_lossy(&bytes);
    let stays = |line: &&str| {
        let line: Result<serde_json::Value, _> = serde_json::from_str(line);
        line.is_ok_and(|line| line["step"].as_u64().is_some_and(|at| at <= step))
    };
    let kept: String = text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
    if kept.as_bytes() != bytes {
        atomic_write(&path, |file| file.write_all(kept.as_bytes()))?;
    }
    Ok(())
}
