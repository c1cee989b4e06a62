//! Runs as a person keeps them in order: which can be gone on with, another name, or an end.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::is_locked;
use super::{RunFolder, SessionError};
use crate::files::{FileError, open, sync_folder};
use crate::session::find::{DELETED, can_go_on, checkpoints, entries, is_deleted, number_of_run, wrong};

/// Longest name behind a run's number, in bytes.
const LONGEST: usize = 80;

impl RunFolder {
    /// Gives the folder of a run another name behind its number, by which runs are in order; returns where it is now.
    pub fn rename(run: &Path, name: &str) -> Result<PathBuf, SessionError> {
        let _held = hold(run)?;
        let is_plain = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
        let name: String = name.trim().chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        if !name.contains(char::is_alphanumeric) || name.len() > LONGEST {
            let problem = format!("`{name}` is no name for a run; take letters and digits, at most {LONGEST} bytes");
            return Err(wrong(run, problem));
        }
        let number = number_of_run(run).map(|number| format!("{number:05}-")).unwrap_or_default();
        let target = run.with_file_name(format!("{number}{name}"));
        if target.exists() {
            return Err(wrong(&target, "is there already; choose another name"));
        }
        fs::rename(run, &target).map_err(|e| FileError::new(&target, "rename the folder", e))?;
        target.parent().into_iter().for_each(sync_folder);
        Ok(target)
    }

    /// Removes a run with all that it has written.
    pub fn delete(run: &Path) -> Result<(), SessionError> {
        let _held = hold(run)?;
        let fail = |e| FileError::new(run, "remove the run", e);
        let Some((outdir, name)) = run.parent().zip(run.file_name()) else {
            return Err(wrong(run, "has no name of its own; choose it by its name in the folder of runs"));
        };
        sweep_deleted(outdir);
        // Under this name it is no run any more: if the removal breaks off, the next run or deletion sweeps the rest.
        let gone = outdir.join(format!("{DELETED}{}", name.to_string_lossy()));
        fs::rename(run, &gone).map_err(fail)?;
        sync_folder(outdir);
        match fs::remove_dir_all(&gone) {
            // Another program may have swept it meanwhile.
            Err(error) if gone.exists() => Err(fail(error).into()),
            _ => Ok(()),
        }
    }

    /// The checkpoints of a run, with their steps, the last one first; none where no run is.
    pub fn checkpoints(run: &Path) -> Vec<(u64, PathBuf)> {
        checkpoints(run)
    }

    /// Whether a folder is a run's that `--resume` goes on with, as far as names tell: it has a checkpoint, or a file
    /// that names one.
    pub fn can_go_on(run: &Path) -> bool {
        !is_deleted(run) && can_go_on(run)
    }
}

/// Removes what is left of deletions that broke off.
pub(super) fn sweep_deleted(outdir: &Path) {
    for left in entries(outdir).into_iter().filter(|path| is_deleted(path)) {
        let _ = fs::remove_dir_all(left);
    }
}

/// Makes sure that the folder is a run's, and that no program trains in it as long as what is returned is held. Where
/// folders can't be opened, a program that begins at this very moment is not kept out.
fn hold(run: &Path) -> Result<Option<fs::File>, SessionError> {
    if !run.join("config.json").is_file() {
        return Err(wrong(run, "is no folder of a run; choose one with a config.json"));
    }
    let folder = fs::File::open(run).ok();
    let log = open(&run.join("log.txt")).ok();
    if folder.iter().chain(&log).any(is_locked) {
        return Err(wrong(run, "another program is training in this folder; wait until it ends"));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(outdir: &Path, name: &str) -> PathBuf {
        let run = outdir.join(name);
        fs::create_dir_all(run.join("checkpoints/state-000010")).unwrap();
        for file in ["config.json", "latest.json", "log.txt"] {
            fs::write(run.join(file), "{}").unwrap();
        }
        run
    }

    #[test]
    fn a_run_gets_another_name_behind_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path(), "00003-rings-flow-b64");
        let second = run(folder.path(), "00004-b");
        let named = RunFolder::rename(&first, " half the rate/../x ").unwrap();
        assert_eq!(named, folder.path().join("00003-half-the-rate-..-x"));
        assert!(named.join("checkpoints/state-000010").is_dir() && !first.exists());
        for (name, words) in [("", "no name"), ("..", "no name"), (&"x".repeat(81), "at most 80")] {
            let error = RunFolder::rename(&named, name).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("00003-half"), "{error}");
        }
        let taken = run(folder.path(), "00003-b");
        let error = RunFolder::rename(&named, "b").unwrap_err().to_string();
        assert!(error.contains("00003-b: is there already") && taken.exists() && second.exists(), "{error}");
    }

    #[test]
    fn a_run_that_trains_is_neither_deleted_nor_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path(), "00000-a");
        let log = fs::File::open(run.join("log.txt")).unwrap();
        log.lock().unwrap();
        for error in [RunFolder::delete(&run).unwrap_err(), RunFolder::rename(&run, "b").unwrap_err()] {
            assert!(error.to_string().contains("another program is training"), "{error}");
        }
        drop(log);
        RunFolder::delete(&run).unwrap();
        assert!(!run.exists() && folder.path().exists());
        assert_eq!(entries(folder.path()), [] as [PathBuf; 0], "nothing of it is left");
        // Whatever else lies there is not this program's to remove.
        let error = RunFolder::delete(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no folder of a run") && folder.path().exists(), "{error}");
    }
}
