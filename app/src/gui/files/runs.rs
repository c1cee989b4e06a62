//! The runs of a folder: how far each one is, and how it ended.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use onestep_core::files::{self, read_small};
use onestep_core::session::RunFolder;
use serde_json::Value;

/// How a run ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It came to its end.
    Finished,
    /// A person ended it.
    Stopped,
    /// It broke off: no program trains in it any more, and its log has no end.
    Interrupted,
    /// Some program trains in it now.
    Busy,
}

/// A run on the disk that can be gone on with.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRun {
    /// Its folder.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// How it ended.
    pub fate: Fate,
    /// Step of its last checkpoint.
    pub step: u64,
    /// The last step that it told of.
    pub reached: u64,
    /// What its data are called.
    pub data: String,
    /// The last distance from its samples to the data, in words.
    pub quality: Option<String>,
    /// When its last checkpoint was written.
    pub saved: Option<SystemTime>,
}

impl SavedRun {
    /// What the run is, in words.
    pub fn describe(&self) -> String {
        let Self { step, reached, .. } = self;
        match self.fate {
            Fate::Finished => format!("finished at step {step}"),
            Fate::Stopped => format!("stopped at step {step}"),
            Fate::Busy => "trains in another window or program".to_owned(),
            Fate::Interrupted if reached > step => {
                format!("interrupted at step {reached}; saved at step {step}, so {} steps are lost", reached - step)
            }
            Fate::Interrupted => format!("interrupted at step {step}, where it was saved"),
        }
    }

    /// How long ago it was saved, in words.
    pub fn age(&self) -> String {
        let age = self.saved.and_then(|saved| saved.elapsed().ok()).unwrap_or(Duration::ZERO);
        match age.as_secs() / 60 {
            0 => "just now".to_owned(),
            minutes @ 1..60 => format!("{minutes} min ago"),
            minutes @ 60..2880 => format!("{} h ago", minutes / 60),
            minutes => format!("{} days ago", minutes / 1440),
        }
    }
}

/// The runs of a folder that have a checkpoint, the newest first.
pub fn runs(folder: &Path) -> Vec<SavedRun> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut runs: Vec<SavedRun> = entries.flatten().filter_map(|entry| look(entry.path())).collect();
    // The names of later runs have larger numbers, of which those from 100000 on are longer.
    let number = |run: &SavedRun| run.name.split('-').next().and_then(|number| number.parse::<u64>().ok());
    runs.sort_by(|a, b| (number(b), &b.name).cmp(&(number(a), &a.name)));
    runs
}

fn look(path: PathBuf) -> Option<SavedRun> {
    if !RunFolder::can_go_on(&path) {
        return None;
    }
    // A run that was killed before it named its checkpoint goes on from it all the same.
    let latest = path.join("latest.json");
    let newest = RunFolder::checkpoints(&path).into_iter().next();
    let step = json(&latest)["checkpoint"].as_str().and_then(step_of);
    let step = step.or(newest.as_ref().map(|(step, _)| *step)).unwrap_or(0);
    let written = latest.metadata().or_else(|error| newest.map_or(Err(error), |(_, path)| path.metadata()));
    let saved = written.ok().and_then(|file| file.modified().ok());
    let name = path.file_name()?.to_string_lossy().into_owned();
    let data = json(&path.join("config.json"))["config"]["data"].as_str().unwrap_or_default().to_owned();
    let data = Path::new(&data).file_stem().map_or(data.clone(), |stem| stem.to_string_lossy().into_owned());
    let fate = match last_lines(&path.join("log.txt")).first() {
        _ if RunFolder::is_busy(&path) => Fate::Busy,
        Some(last) if last["event"] == "done" && last["end"] == "finished" => Fate::Finished,
        Some(last) if last["event"] == "done" => Fate::Stopped,
        _ => Fate::Interrupted,
    };
    let statistics = last_lines(&path.join("stats.jsonl"));
    let reached = statistics.iter().find_map(|line| line["step"].as_u64()).unwrap_or(0).max(step);
    let value = |name: &str| statistics.iter().find_map(|line| line[name].as_f64());
    let kl = || value("Quality/kl_grid").map(|kl| format!("KL {kl:.3}"));
    let quality = kl().or_else(|| value("Quality/fid_lenet").map(|fid| format!("FID (LeNet) {fid:.1}")));
    Some(SavedRun { path, name, fate, step, reached, data, quality, saved })
}

/// The step of a checkpoint of this name.
fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("state-")?.parse().ok()
}

/// The preset that a run began with.
pub fn preset_of(run: &Path) -> Option<String> {
    json(&run.join("config.json"))["preset"].as_str().map(str::to_owned)
}

fn json(path: &Path) -> Value {
    read_small(path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Bytes at the end of a file of lines that are read.
const TAIL: i64 = 1 << 16;

/// The last lines of JSON in a file, the last one first; nulls where a line is damaged.
fn last_lines(file: &Path) -> Vec<Value> {
    let mut text = Vec::new();
    let read = files::open(file).and_then(|mut file| {
        let length = file.metadata()?.len() as i64;
        file.seek(SeekFrom::End(-length.min(TAIL)))?;
        file.read_to_end(&mut text)
    });
    if read.is_err() {
        return Vec::new();
    }
    let lines = text.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run as its program left it.
    fn run(outdir: &Path, name: &str, log: &str) -> PathBuf {
        let run = outdir.join(name);
        std::fs::create_dir_all(run.join("checkpoints")).unwrap();
        std::fs::write(run.join("latest.json"), r#"{"checkpoint": "state-000500"}"#).unwrap();
        std::fs::write(run.join("config.json"), r#"{"preset": "rings", "config": {"data": "/here/rings.npy"}}"#)
            .unwrap();
        std::fs::write(run.join("log.txt"), log).unwrap();
        run
    }

    #[test]
    fn a_run_without_an_end_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let finished = "{\"event\":\"done\",\"end\":\"finished\"}\n";
        run(folder.path(), "00000-a", finished);
        let broken = run(folder.path(), "00001-b", &format!("{finished}{{\"event\":\"saved\"}}\n"));
        run(folder.path(), "00002-c", "{\"event\":\"done\",\"end\":\"stopped\"}\n");
        run(folder.path(), "00004-d", &format!("{finished}{{\"event\":\"sav"));
        std::fs::create_dir(folder.path().join("00003-without-checkpoint")).unwrap();
        // One that was killed before it named its only checkpoint was offered by the command line alone.
        let unnamed = run(folder.path(), "00007-g", "");
        std::fs::remove_file(unnamed.join("latest.json")).unwrap();
        std::fs::create_dir(unnamed.join("checkpoints/state-000040")).unwrap();
        assert_eq!(look(unnamed.clone()).map(|run| (run.fate, run.step)), Some((Fate::Interrupted, 40)));
        std::fs::rename(&unnamed, folder.path().join(".deleted-00007-g")).unwrap();
        // A pipe in the place of a file of another run was waited for, and the window never opened.
        #[cfg(unix)]
        for (name, file) in [("00005-e", "latest.json"), ("00006-f", "log.txt")] {
            let pipe = run(folder.path(), name, "").join(file);
            std::fs::remove_file(&pipe).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            let seen = look(folder.path().join(name)).map(|run| run.fate);
            assert_eq!(seen, Some(Fate::Interrupted), "{file}");
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
        let fates = || runs(folder.path()).into_iter().map(|r| r.fate).collect::<Vec<_>>();
        assert_eq!(fates(), [Fate::Interrupted, Fate::Stopped, Fate::Interrupted, Fate::Finished]);
        // One that another program trains in is none of ours.
        let log = std::fs::File::open(broken.join("log.txt")).unwrap();
        log.lock().unwrap();
        assert_eq!(fates()[2], Fate::Busy);
    }

    /// Run 100000 stood behind 99999, as text.
    #[test]
    fn the_run_of_the_largest_number_is_in_front() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["99999-a", "100000-a", "a-copy"] {
            run(folder.path(), name, "");
        }
        let names: Vec<String> = runs(folder.path()).into_iter().map(|run| run.name).collect();
        assert_eq!(names, ["100000-a", "99999-a", "a-copy"]);
    }

    #[test]
    fn a_run_says_what_is_lost_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let broken = run(folder.path(), "00000-a", "{\"event\":\"saved\"}\n");
        let statistics = "{\"step\":700,\"Quality/kl_grid\":0.25}\n{\"step\":720,\"Loss/ratio\":1}\n{\"step\":7";
        std::fs::write(broken.join("stats.jsonl"), statistics).unwrap();
        let found = runs(folder.path()).remove(0);
        let words = "interrupted at step 720; saved at step 500, so 220 steps are lost";
        assert_eq!((found.describe().as_str(), found.data.as_str()), (words, "rings"));
        assert_eq!((found.quality.as_deref(), found.age().as_str()), (Some("KL 0.250"), "just now"));
        assert_eq!(preset_of(&broken).as_deref(), Some("rings"));
    }
}
