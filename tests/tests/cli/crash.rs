//! Killed again and again, half of the times inside a write, a run comes to the same end, bit for bit.
//!
//! `cargo xtask fault` asks for more kills, of every method, on the device that it is told; by itself this is short.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use onestep_core::random::threefry2x32;
use onestep_core::train::{METHODS, Method, Need};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Run, command, folder, names};

/// Kills of one run.
const KILLS_PER_RUN: u32 = 3;

/// What `cargo xtask fault` asks for.
pub fn asked(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn line(method: &Method, device: &str) -> String {
    let classes = if method.needs.contains(&Need::Classes) { "--classes" } else { "" };
    let teacher = if method.needs.contains(&Need::Teacher) { "--warmup-steps 60" } else { "" };
    format!(
        "train -q --preset gaussians --method {} --device {device} --deterministic --width 16 --batch 32 --steps 120 \
         --snap 10 --tick 5 --keep-last 100 {classes} {teacher}",
        method.name
    )
}

/// A program in the folder, which has not ended yet.
fn start(folder: &TempDir, line: &str) -> std::process::Child {
    let words: Vec<&str> = line.split_whitespace().collect();
    command(folder, &words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

pub fn only_run(folder: &TempDir) -> Option<PathBuf> {
    let runs = folder.path().join("runs");
    std::fs::read_dir(runs).ok()?.next()?.ok().map(|entry| entry.path())
}

/// Whether a run has a checkpoint under its final name.
pub fn has_checkpoint(run: &Path) -> bool {
    let is_named = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("state-");
    std::fs::read_dir(run.join("checkpoints")).is_ok_and(|entries| entries.flatten().any(is_named))
}

/// Whether something is being written in the run's folder.
fn writes(folder: &TempDir) -> bool {
    let Some(run) = only_run(folder) else { return false };
    let parts = ["checkpoints", "samples", "snapshots"].map(|part| run.join(part));
    let hidden = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    parts.iter().any(|part| std::fs::read_dir(part).is_ok_and(|entries| entries.flatten().any(hidden)))
}

/// Everything that a run leaves and that does not tell of time or memory, by its name in the run's folder.
pub fn content(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for part in ["samples", "snapshots", "checkpoints"] {
        for name in names(&run.join(part)) {
            let path = run.join(part).join(&name);
            let file = if path.is_dir() { path.join("state.safetensors") } else { path };
            all.insert(format!("{part}/{name}"), std::fs::read(file).unwrap());
        }
    }
    let text = std::fs::read_to_string(run.join("stats.jsonl")).unwrap();
    for (i, line) in text.lines().enumerate() {
        let Value::Object(mut values) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        values.retain(|name, _| !name.starts_with("Timing/") && !name.starts_with("Resources/"));
        all.insert(format!("stats.jsonl, line {i}"), serde_json::to_vec(&values).unwrap());
    }
    all
}

/// What became of kills.
#[derive(Default)]
struct Counts {
    /// They left a run that can be gone on with.
    resumable: u32,
    /// Of those: inside a write.
    inside: u32,
    /// Before its first checkpoint.
    early: u32,
    /// After its end.
    late: u32,
}

/// Runs to the end under kills, every other one of which waits for a write.
fn killed(folder: &TempDir, line: &str, usual: Duration, key: [u32; 2], counts: &mut Counts) {
    let mut resumes = false;
    for kill in 0..KILLS_PER_RUN {
        let go_on = format!("{} --resume latest", device_of(line));
        let mut child = start(folder, if resumes { &go_on } else { line });
        let [wait, _] = threefry2x32(key, [kill, 0]);
        // A part of the run each, or the last ones would come too late.
        std::thread::sleep(usual.mul_f64(f64::from(wait) / f64::from(u32::MAX)) / KILLS_PER_RUN);
        let begin = Instant::now();
        let waits = (key[1] * KILLS_PER_RUN + kill) % 2 == 1;
        while waits && !writes(folder) && begin.elapsed() < usual && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let inside = writes(folder);
        if child.try_wait().unwrap().is_some() {
            counts.late += 1;
            break;
        }
        let _ = child.kill();
        child.wait().unwrap();
        // Killed before its first checkpoint it is no run that could go on, and says so.
        resumes = only_run(folder).is_some_and(|run| has_checkpoint(&run));
        if resumes {
            counts.resumable += 1;
            counts.inside += u32::from(inside);
        } else {
            counts.early += 1;
            if only_run(folder).is_some() {
                let refused = Run::from(start(folder, &go_on).wait_with_output().unwrap());
                refused.fails(2, &["no run with a checkpoint"]);
            }
            let _ = std::fs::remove_dir_all(folder.path().join("runs"));
        }
    }
    let last = if resumes { format!("{} --resume latest", device_of(line)) } else { line.to_owned() };
    Run::from(start(folder, &last).wait_with_output().unwrap()).ok();
}

/// The words of a line that a resumed run takes, too.
fn device_of(line: &str) -> String {
    let device = line.split("--device ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    format!("train -q --device {device} --deterministic")
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_one_that_never_was() {
    let (kills, seed) = (asked("FAULT_KILLS", 6), asked("FAULT_SEED", 1));
    let device = std::env::var("FAULT_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let mut counts = Counts::default();
    let mut references: BTreeMap<&str, (BTreeMap<String, Vec<u8>>, Duration)> = BTreeMap::new();
    let mut trials = 0..;
    while counts.resumable < kills {
        let trial = trials.next().expect("numbers do not end");
        let method = &METHODS[trial as usize % METHODS.len()];
        let line = line(method, &device);
        let (wanted, usual) = references.entry(method.name).or_insert_with(|| {
            let (folder, begin) = (folder(), Instant::now());
            Run::from(start(&folder, &line).wait_with_output().unwrap()).ok();
            (content(&only_run(&folder).unwrap()), begin.elapsed())
        });
        let folder = folder();
        killed(&folder, &line, *usual, [seed, trial], &mut counts);
        println!("{}: {} kills so far that left a run to go on with", method.name, counts.resumable);
        let got = content(&only_run(&folder).unwrap());
        let of = |all: &BTreeMap<String, Vec<u8>>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(of(&got), of(wanted), "{}, trial {trial}: other files", method.name);
        for (name, bytes) in wanted.iter() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
            let (got, wanted) = (&got[name], bytes);
            let what = format!("{}, trial {trial}: {name} differs from that of the run never killed", method.name);
            assert!(got == wanted, "{what}:\n{}\n{}", text(got), text(wanted));
        }
    }
    let Counts { resumable, inside, early, late } = counts;
    println!(
        "{} runs of {} methods on {device}: {resumable} kills that left a run to go on with, {inside} of them inside a \
         write; {early} before the first checkpoint, {late} after the end; all equal bit for bit",
        trials.start,
        references.len()
    );
}
