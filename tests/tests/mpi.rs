//! One run in several processes on this machine, started by `mpirun`: `cargo xtask mpi` builds the program with MPI and
//! runs these tests.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use onestep_core::model::ModelFile;
use tempfile::TempDir;

/// A run of two phases on points.
const TRAIN: &str = "train --data gaussians --device cpu --batch 48 --width 16 --blocks 2 --warmup-steps 40 --steps 60 \
                     --snap 50 --tick 20 --json";

/// Weights of two runs of 100 steps, relative to the largest number of a tensor. Largest measured: 2.7e-6.
const ROUNDING: f32 = 1e-4;

/// The program that `cargo xtask mpi` has built.
fn program() -> String {
    std::env::var("ONESTEP_MPI_PROGRAM").expect("these tests are run by `cargo xtask mpi`")
}

/// `mpirun` with these arguments, in which `onestep` stands for the program.
fn mpirun(folder: &TempDir, line: &str) -> Command {
    let mut command = Command::new("mpirun");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ONESTEP_")) {
        command.env_remove(name);
    }
    let program = program();
    let words = line.split_whitespace().map(|word| if word == "onestep" { &program } else { word });
    command.args(words).current_dir(folder.path()).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("mpirun starts")
}

#[track_caller]
fn ok(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{:?}: {}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Exit code 2, and exactly one line, which has these words.
#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: "), "not one error line: {stderr}");
    for word in words {
        assert!(lines[0].contains(word), "`{word}` is missing: {stderr}");
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The largest difference between the last states of two runs, relative to the largest number of the tensor.
fn distance(a: &Path, b: &Path) -> f32 {
    let state = |folder: &Path| {
        let run = std::fs::read_dir(folder.join("runs")).unwrap().next().expect("a run").unwrap().path();
        ModelFile::open(run.join("checkpoints/state-000100/state.safetensors")).unwrap()
    };
    let (a, b) = (state(a), state(b));
    let mut worst = 0.0_f32;
    for (name, a) in &a.tensors {
        let b = &b.tensors[name];
        let scale = a.values.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
        let off = a.values.iter().zip(&b.values).fold(0.0_f32, |most, (x, y)| most.max((x - y).abs())) / scale;
        assert!(off.is_finite(), "{name}");
        worst = worst.max(off);
    }
    worst
}

#[test]
fn two_or_three_processes_train_as_one() {
    let alone = folder();
    ok(&output(&mut mpirun(&alone, &format!("-n 1 onestep {TRAIN}"))));
    for line in ["-n 2 onestep {}", "-n 3 onestep {}", "-n 2 onestep {} --accumulate 2", "-n 2 onestep {} --shares 2,1"]
    {
        let folder = folder();
        let said = ok(&output(&mut mpirun(&folder, &line.replace("{}", TRAIN))));
        assert_eq!(said.matches("\"started\"").count(), 1, "one process speaks: {said}");
        assert_eq!(std::fs::read_dir(folder.path().join("runs")).unwrap().count(), 1, "one process writes");
        let off = distance(alone.path(), folder.path());
        println!("{line}: {off:e}");
        assert!(off <= ROUNDING, "{line}: {off}");
    }
}

#[test]
fn a_run_goes_on_with_any_number_of_processes() {
    let (alone, parts) = (folder(), folder());
    ok(&output(&mut mpirun(&alone, &format!("-n 1 onestep {TRAIN}"))));
    // By images: learning rates fall as the number of steps says, which stays. 1,000 images are 21 steps.
    ok(&output(&mut mpirun(&parts, &format!("-n 2 onestep {TRAIN} --duration 2"))));
    ok(&output(&mut mpirun(&parts, "-n 3 onestep train --resume latest --device cpu --duration 4")));
    ok(&output(&mut mpirun(&parts, "-n 1 onestep train --resume latest --device cpu --duration 0")));
    let off = distance(alone.path(), parts.path());
    println!("resumed: {off:e}");
    assert!(off <= ROUNDING, "{off}");
}

#[test]
fn processes_that_train_apart_end_with_one_model() {
    let folder = folder();
    ok(&output(&mut mpirun(&folder, &format!("-n 2 onestep {TRAIN} --sync-every 7 --duration 2"))));
    ok(&output(&mut mpirun(&folder, "-n 3 onestep train --resume latest --device cpu --duration 0 --sync-every 10")));
    let run = std::fs::read_dir(folder.path().join("runs")).unwrap().next().expect("a run").unwrap().path();
    assert!(run.join("checkpoints/state-000100/state.safetensors").exists());
}

#[test]
fn processes_that_differ_are_refused() {
    let folder = folder();
    let refuse = |line: &str, words: &[&str]| refused(&output(&mut mpirun(&folder, line)), words);
    refuse(&format!("-n 5 onestep {TRAIN}"), &["batch", "48", "5 processes"]);
    refuse(&format!("-n 2 onestep {TRAIN} --shares 2,1,1"), &["--shares 2,1,1", "has started 2"]);
    refuse("-n 2 onestep train --bach 48", &["--bach"]);
    let other = TRAIN.replace("48", "96");
    refuse(&format!("-n 1 onestep {TRAIN} : -n 1 onestep {other}"), &["batch = 96", "process 1", "48"]);
    refuse(&format!("-n 1 onestep {TRAIN} --sync-every 5 : -n 1 onestep {TRAIN}"), &["process 1", "--sync-every"]);
    refuse(&format!("-n 1 onestep {TRAIN} --sync-every 5"), &["--sync-every 5", "mpirun"]);
    // The same program, but for a byte that is not read.
    let copy = folder.path().join("other");
    let mut bytes = std::fs::read(program()).unwrap();
    bytes.push(0);
    std::fs::write(&copy, bytes).unwrap();
    std::fs::set_permissions(&copy, std::fs::metadata(program()).unwrap().permissions()).unwrap();
    let copy = copy.display();
    refuse(&format!("-n 1 onestep {TRAIN} : -n 1 {copy} {TRAIN}"), &["process 1", "another build"]);
    // Files of one name in two folders.
    for (name, first) in [("one", 0.0_f32), ("two", 0.25)] {
        let values: Vec<f32> = (0..200).map(|i| first + (i as f32 * 0.7).sin()).collect();
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let file = folder.path().join(name).join("points.npy");
        onestep_core::data::write_npy_f32(&file, &[100, 2], &values).unwrap();
    }
    let points = TRAIN.replace("gaussians", "points.npy");
    let line = format!("-n 1 -wdir one onestep {points} : -n 1 -wdir two onestep {points}");
    refuse(&line, &["process 1", "other data"]);
    assert!(!folder.path().join("runs").exists(), "what is refused leaves no folder");
}

#[test]
fn a_process_that_dies_ends_the_job() {
    let folder = folder();
    let line = format!("-n 2 onestep {} --steps 1000000 --quiet", TRAIN.replace("--steps 60", ""));
    let line = line.replace("--json", "");
    let mut child = mpirun(&folder, &line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let second = loop {
        assert!(child.try_wait().unwrap().is_none(), "the job has ended by itself");
        let trains = |run: &std::fs::DirEntry| {
            std::fs::metadata(run.path().join("stats.jsonl")).is_ok_and(|file| file.len() > 0)
        };
        let runs = std::fs::read_dir(folder.path().join("runs")).into_iter().flatten().flatten();
        if runs.filter(trains).count() > 0 {
            break process_of_rank(folder.path(), 1).expect("the second process");
        }
        std::thread::yield_now();
    };
    assert!(Command::new("kill").args(["-9", &second]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "the job went on with one process");
    assert!(process_of_rank(folder.path(), 0).is_none(), "the other process is still there");
}

/// The process of this rank that works in a folder.
fn process_of_rank(folder: &Path, rank: usize) -> Option<String> {
    let wanted = format!("PMI_RANK={rank}");
    std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).find_map(|process| {
        let works_there = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        let environment = std::fs::read(process.join("environ")).ok()?;
        let is_it = environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
        (works_there && is_it).then(|| process.file_name().unwrap_or_default().to_string_lossy().into_owned())
    })
}
