//! Signals that end a run.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{folder, names, program};

/// Starts a program as if none of its signals had been ignored, which they are where `nohup` runs the tests.
pub const WITH_SIGNALS: &str =
    if cfg!(target_os = "linux") { "exec env --default-signal=HUP,INT,TERM" } else { "exec env" };

/// A run without an end.
struct Endless {
    folder: TempDir,
    child: Child,
}

impl Endless {
    /// Starts it behind these words of the shell.
    fn start(before: &str) -> Self {
        let folder = folder();
        let run = "train --preset gaussians --device cpu --width 16 --batch 64 --steps 100000000 --tick 10 --json";
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before} {} {run}", program().display())]).current_dir(folder.path());
        let child = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut run = Self { folder, child };
        run.trains_on();
        run
    }

    /// Waits until the run has written more statistics than there are.
    #[track_caller]
    fn trains_on(&mut self) {
        let lines = || {
            let runs = std::fs::read_dir(self.folder.path().join("runs")).ok()?;
            let file = runs.flatten().next()?.path().join("stats.jsonl");
            Some(std::fs::read_to_string(file).ok()?.lines().count())
        };
        let (start, before) = (Instant::now(), lines().unwrap_or(0));
        while lines().unwrap_or(0) <= before + 3 {
            assert!(self.child.try_wait().unwrap().is_none(), "the run has ended");
            assert!(start.elapsed() < Duration::from_mins(1), "training does not go on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends signals such as `-INT`, all at once.
    fn send(&self, signals: &[&str]) {
        let id = self.child.id();
        let lines: Vec<String> = signals.iter().map(|signal| format!("kill {signal} {id}")).collect();
        assert!(Command::new("sh").args(["-c", &lines.join(" && ")]).status().unwrap().success());
    }

    #[track_caller]
    fn ends_saved(mut self) {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let run_folder = self.folder.path().join("runs").join(&names(&self.folder.path().join("runs"))[0]);
        // That of the start, and that of the end.
        assert_eq!(names(&run_folder.join("checkpoints")).len(), 2);
        let latest = std::fs::read_to_string(run_folder.join("latest.json")).unwrap();
        assert!(!latest.contains("state-000000"), "{latest}");
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn the_first_interrupt_saves_and_ends_cleanly() {
    let run = Endless::start(WITH_SIGNALS);
    run.send(&["-INT"]);
    run.ends_saved();
}

/// A service that is stopped, a terminal that is closed: two signals in a row lost all since the last checkpoint.
#[test]
fn signals_that_come_together_save_as_one_does() {
    for signals in [["-TERM", "-HUP"], ["-HUP", "-HUP"]] {
        let run = Endless::start(WITH_SIGNALS);
        run.send(&signals);
        run.ends_saved();
    }
}

/// While many pictures were decoded, nothing but `kill -9` ended the program.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_while_data_are_decoded_ends_the_program_before_a_run_begins() {
    use onestep_core::data::Picture;

    let folder = folder();
    std::fs::create_dir(folder.path().join("large")).unwrap();
    let side = 3000;
    let picture = Picture { pixels: vec![7; side * side], width: side, height: side, channels: 1 };
    picture.save_png(folder.path().join("large/00.png")).unwrap();
    for i in 1..40 {
        std::fs::copy(folder.path().join("large/00.png"), folder.path().join(format!("large/{i:02}.png"))).unwrap();
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{WITH_SIGNALS} {} train --device cpu --data large --resize 8", program().display())]);
    let mut child = shell.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It listens before it loads.
    let listens = |id: u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
        u64::from_str_radix(caught, 16).unwrap() >> 14 & 1 == 1
    };
    while !listens(child.id()) {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(130) && said.contains("before anything has begun"), "{said}");
    assert!(!folder.path().join("runs").exists());
}

/// A run whose statistics had been deleted wrote them nowhere, and one whose log had been deleted was trained by a
/// second program, too.
#[test]
fn a_run_whose_files_were_deleted_writes_them_anew_and_stays_its_own() {
    let mut run = Endless::start(WITH_SIGNALS);
    let path = run.folder.path().join("runs").join(&names(&run.folder.path().join("runs"))[0]);
    std::fs::remove_file(path.join("stats.jsonl")).unwrap();
    run.trains_on();
    std::fs::remove_file(path.join("log.txt")).unwrap();
    let line = format!("train -q --device cpu --resume {}", path.display());
    crate::run(&run.folder, &line).fails(2, &["another program"]);
    run.send(&["-TERM"]);
    assert_eq!(run.child.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(path.join("log.txt")).unwrap();
    assert!(log.contains("done"), "{log}");
}

/// A run under `nohup` ended when its terminal closed.
#[test]
fn signals_that_are_ignored_at_the_start_stay_ignored() {
    let mut run = Endless::start("trap '' HUP INT; exec");
    run.send(&["-HUP", "-INT"]);
    run.trains_on();
    run.send(&["-TERM"]);
    run.ends_saved();
}
