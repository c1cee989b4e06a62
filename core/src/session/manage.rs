//! Runs as a person keeps them in order: another name, or an end.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::is_locked;
use super::{RunFolder, SessionError};
use crate::files::{FileError, open, sync_folder};
use crate::session::find::{number_of_run, wrong};

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
        let fail = |path: &Path, e| FileError::new(path, "remove the run", e);
        // If this breaks off, no window offers what is left.
        let latest = run.join("latest.json");
        if latest.exists() {
            fs::remove_file(&latest).map_err(|e| fail(&latest, e))?;
        }
        fs::remove_dir_all(run).map_err(|e| fail(run, e))?;
        Ok(())
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
        // Whatever else lies there is not this program's to remove.
        let error = RunFolder::delete(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no folder of a run") && folder.path().exists(), "{error}");
    }
}
