//! Which run and which checkpoint a path means, and what is left if that one is damaged.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::SessionError;
use super::checkpoint::State;
use super::folder::read_json;
use crate::model::ModelFile;

#[derive(Deserialize)]
struct Latest {
    checkpoint: String,
}

pub(super) fn wrong(path: &Path, problem: impl Into<String>) -> SessionError {
    SessionError::Folder { path: path.display().to_string(), problem: problem.into() }
}

/// The number that the name of a run's folder begins with.
pub(super) fn number_of_run(path: &Path) -> Option<u64> {
    let (number, _) = path.file_name()?.to_str()?.split_once('-')?;
    if number.len() < 5 { None } else { number.parse().ok() }
}

/// What the name of a deleted run's folder begins with, until all of it is gone.
pub(super) const DELETED: &str = ".deleted-";

/// Whether a folder is what is left of a run that was deleted.
pub(super) fn is_deleted(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DELETED))
}

/// What is in a folder; nothing if it can't be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The checkpoints of a run that have their final names, with their steps, the last one first.
pub(super) fn checkpoints(run: &Path) -> Vec<(u64, PathBuf)> {
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("state-")?.parse().ok();
    let found = entries(&run.join("checkpoints")).into_iter();
    let mut found: Vec<(u64, PathBuf)> = found.filter_map(|path| Some((step(&path)?, path))).collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// Whether there is something that a run can go on from: a checkpoint, or a file that names one.
pub(super) fn can_go_on(run: &Path) -> bool {
    run.join("latest.json").exists() || !checkpoints(run).is_empty()
}

/// Whether a path leads to a checkpoint itself, not to a run that has some.
pub(super) fn is_checkpoint(path: &Path) -> bool {
    path.join("state.json").is_file()
}

/// The run folder and checkpoint folder that `path` means.
pub(super) fn find_checkpoint(path: &Path) -> Result<(PathBuf, PathBuf), SessionError> {
    let fix = "choose the folder of a run, such as runs/00000-mnist-diffratio-b64";
    if is_checkpoint(path) {
        let run_of = |path: &Path| path.parent()?.parent().map(Path::to_owned);
        // From within a run's folder, the path does not name it.
        if let Some(run) = run_of(path).filter(|run| !run.as_os_str().is_empty()) {
            return Ok((run, path.to_owned()));
        }
        let path = std::path::absolute(path).map_err(|e| wrong(path, format!("{e}; {fix}")))?;
        return Ok((run_of(&path).ok_or_else(|| wrong(&path, fix))?, path));
    }
    let run = if path.join("config.json").is_file() { path.to_owned() } else { newest_run(path, fix)? };
    let checkpoint = latest_checkpoint(&run)?;
    Ok((run, checkpoint))
}

/// The run that was begun last in a folder of runs.
fn newest_run(path: &Path, fix: &str) -> Result<PathBuf, SessionError> {
    fs::read_dir(path).map_err(|e| wrong(path, format!("{e}; {fix}")))?;
    let mut runs: Vec<PathBuf> = entries(path)
        .into_iter()
        .filter(|run| run.is_dir() && (number_of_run(run).is_some() || run.join("config.json").is_file()))
        .filter(|run| !is_deleted(run))
        .collect();
    runs.sort_by_key(|run| (number_of_run(run), run.clone()));
    match (runs.last(), runs.iter().rfind(|run| can_go_on(run))) {
        (Some(newest), Some(other)) if newest != other => Err(wrong(
            newest,
            format!(
                "this newest run ended before its first checkpoint; start it anew, or go on with the one before: {}",
                other.display()
            ),
        )),
        (_, Some(newest)) => Ok(newest.clone()),
        _ => Err(wrong(path, format!("holds no run with a checkpoint; {fix}"))),
    }
}

/// The checkpoint that `latest.json` names; the newest one, if that file is not there: a run that is killed after its
/// first checkpoint may lack it for a moment.
pub(super) fn latest_checkpoint(run: &Path) -> Result<PathBuf, SessionError> {
    let file = run.join("latest.json");
    if !file.exists() {
        let newest = checkpoints(run).into_iter().next().map(|(_, path)| path);
        return newest.ok_or_else(|| wrong(run, "has no complete checkpoint yet; start it anew"));
    }
    let latest: Latest = read_json(&file, "choose a checkpoint's folder instead").map_err(|e| offer(run, e))?;
    if latest.checkpoint.contains(['/', '\\']) {
        return Err(offer(run, wrong(&file, "names a folder elsewhere; choose a checkpoint's folder instead")));
    }
    Ok(run.join("checkpoints").join(latest.checkpoint))
}

/// An error of a damaged checkpoint, with the one to go on from instead.
pub(super) fn offer(run: &Path, error: SessionError) -> SessionError {
    let is_whole = |path: &PathBuf| {
        State::read(path).is_ok() && ModelFile::open_state(path.join("state.safetensors"), |_| Ok(())).is_ok()
    };
    let left = match checkpoints(run).into_iter().map(|(_, path)| path).find(is_whole) {
        Some(path) => format!("the newest whole checkpoint is {}", path.display()),
        None => {
            "no checkpoint of this run is whole: start anew, perhaps with --transfer and one of its snapshots".into()
        }
    };
    SessionError::Checkpoint { error: Box::new(error), left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_listed_by_step() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state-000500", "state-1000000", "state-000000", ".writing-000600", "other"] {
            fs::create_dir_all(folder.path().join("checkpoints").join(name)).unwrap();
        }
        let steps: Vec<u64> = checkpoints(folder.path()).into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [1_000_000, 500, 0]);
    }

    /// What is left of a deletion that broke off is neither gone on with nor in the way.
    #[test]
    fn what_is_left_of_a_deleted_run_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["00001-a", ".deleted-00002-b"] {
            let run = folder.path().join(name);
            fs::create_dir_all(run.join("checkpoints/state-000020")).unwrap();
            fs::write(run.join("config.json"), "{}").unwrap();
        }
        let (run, checkpoint) = find_checkpoint(folder.path()).unwrap();
        assert_eq!(checkpoint, run.join("checkpoints/state-000020"));
        assert!(run.ends_with("00001-a") && is_deleted(&folder.path().join(".deleted-00002-b")));
    }
}
