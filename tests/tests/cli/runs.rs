//! Runs that go on after damage, after a kill, to another future, or with other data.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use onestep_core::data::{Density, write_npy_f32};

use crate::{Run, command, folder, names, onestep, read_npy, run};

const SMALL: &str = "--device cpu -q --width 16 --batch 64 --snap 10 --tick 5";

/// A run of 40 steps with checkpoints at 20, 30 and 40, and what is given besides.
fn trained(folder: &TempDir, rest: &str) -> PathBuf {
    run(folder, &format!("train --preset gaussians --steps 40 {SMALL} {rest}")).ok();
    newest(folder)
}

fn newest(folder: &TempDir) -> PathBuf {
    folder.path().join("runs").join(names(&folder.path().join("runs")).pop().expect("there is a run"))
}

fn resume(folder: &TempDir, path: &Path, rest: &str) -> Run {
    onestep(folder, &[&["train", "-q", "--device", "cpu", "--resume", path.to_str().unwrap()], &*words(rest)].concat())
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Turns one bit of a file over, so many bytes before its end.
fn flip(path: &Path, before_end: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - before_end;
    bytes[at] ^= 0x04;
    std::fs::write(path, bytes).unwrap();
}

fn own_points(folder: &TempDir, name: &str, seed: u64, count: usize) {
    let points = Density::TwoMoons.sample(count, seed);
    write_npy_f32(folder.path().join(name), &[count, 2], points.as_flattened()).unwrap();
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A bit that had flipped in a checkpoint trained on, in silence: 40 of 40.
#[test]
fn a_flipped_bit_of_a_checkpoint_is_found_and_the_newest_whole_one_offered() {
    let folder = folder();
    let path = trained(&folder, "");
    let state = |step: u32| path.join(format!("checkpoints/state-{step:06}"));
    // The last tensor is the second moment of the ratio network's last layer.
    for (at, words) in [(1, "tensor `ratio."), (5000, "tensor `")] {
        flip(&state(40).join("state.safetensors"), at);
        resume(&folder, &path, "--steps 50").fails(
            2,
            &["state-000040/state.safetensors", words, "checksum", "the newest whole checkpoint is", "state-000030"],
        );
        flip(&state(40).join("state.safetensors"), at);
    }
    let text = std::fs::read_to_string(state(30).join("state.json")).unwrap();
    std::fs::write(state(30).join("state.json"), text.replacen("\"turns\": 30", "\"turns\": 31", 1)).unwrap();
    resume(&folder, &state(30), "").fails(2, &["state-000030/state.json", "checksum", "state-000040"]);
    resume(&folder, &path, "--steps 41").ok();
    for (bytes, what) in [("", "latest.json: is damaged"), ("{\"checkpoint\": \"state-000777\"}", "state-000777")] {
        std::fs::write(path.join("latest.json"), bytes).unwrap();
        resume(&folder, &path, "").fails(2, &[what, "the newest whole checkpoint is", "state-000041"]);
    }
}

/// A tensor of nothing that was added to a state, 1 kB on the disk, cost 6 GB of memory and was not noticed.
#[test]
fn a_state_with_a_tensor_that_its_run_does_not_have_is_refused_before_it_is_read() {
    let folder = folder();
    let path = trained(&folder, "");
    let state = path.join("checkpoints/state-000040/state.safetensors");
    let bytes = std::fs::read(&state).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Value = serde_json::from_slice(header).unwrap();
    let hole: usize = 3 << 30;
    header["hole"] = serde_json::json!({
        "dtype": "F32", "shape": [hole / 4], "data_offsets": [data.len(), data.len() + hole]
    });
    header["__metadata__"].as_object_mut().unwrap().remove("crc32");
    let header = header.to_string();
    let head = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
    std::fs::write(&state, &head).unwrap();
    std::fs::File::options().append(true).open(&state).unwrap().set_len((head.len() + hole) as u64).unwrap();
    resume(&folder, &path, "--steps 41").fails(2, &["state-000040/state.safetensors", "`hole`", "not part of"]);
}

/// 86 of 100 flipped bits in a snapshot changed its samples, in silence.
#[test]
fn a_flipped_bit_of_a_snapshot_is_found_and_its_tensor_named() {
    let folder = folder();
    let snapshot = trained(&folder, "").join("snapshots/generator-000040.safetensors");
    let sample = || run(&folder, &format!("sample -q --device cpu --model {} --out a.npy", snapshot.display()));
    sample().ok();
    flip(&snapshot, 1);
    sample().fails(2, &["generator-000040.safetensors", "tensor `", "is damaged", "use another copy"]);
    flip(&snapshot, 1);
    let text = std::fs::read(&snapshot).unwrap();
    let at = text.windows(12).position(|bytes| bytes == b"\"sigma_init\"").unwrap() + 14;
    let mut other = text.clone();
    other[at] ^= 0x02;
    std::fs::write(&snapshot, other).unwrap();
    sample().fails(2, &["generator-000040.safetensors", "its header is damaged"]);
    // A file of an earlier version has no checksums.
    let key = text.windows(8).position(|bytes| bytes == b"\"crc32\":").unwrap();
    let mut old = text;
    old[key + 1..key + 6].copy_from_slice(b"other");
    std::fs::write(&snapshot, old).unwrap();
    sample().ok();
}

/// Another `my.npy` of the same name was trained on, in silence, and one that had moved ended the run for good.
#[test]
fn data_that_changed_are_refused_and_data_that_moved_are_found_again() {
    let folder = folder();
    own_points(&folder, "my.npy", 1, 1000);
    let path = trained(&folder, "--data my.npy");
    let config = json(&path.join("config.json"));
    assert_eq!(config["config"]["data"], folder.path().join("my.npy").to_str().unwrap());
    assert_eq!((&config["data"]["rows"], config["data"]["sha256"].as_str().unwrap().len()), (&1000.into(), 64));

    // From another folder.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut child = command(&folder, &["train", "-q", "--device", "cpu", "--steps", "41", "--resume"]);
    Run::from(child.arg(&path).current_dir(elsewhere.path()).output().unwrap()).ok();

    own_points(&folder, "my.npy", 2, 1000);
    resume(&folder, &path, "--steps 50").fails(2, &["my.npy", "other content", "--data", "--transfer"]);
    own_points(&folder, "my.npy", 1, 100);
    resume(&folder, &path, "--steps 50").fails(2, &["my.npy", "100 of [2] instead of 1000 of [2]"]);
    std::fs::remove_file(folder.path().join("my.npy")).unwrap();
    resume(&folder, &path, "--steps 50").fails(2, &["my.npy", "say where they are now with --data"]);
    own_points(&folder, "moved.npy", 1, 1000);
    resume(&folder, &path, "--steps 42 --data moved.npy").ok();
    resume(&folder, &path, "--steps 43").ok();
    resume(&folder, &path, "--steps 44 --batch 32").fails(2, &["batch = 32", "this run has 64", "keeps its settings"]);
}

/// After going back, `sample` took the generator of the future that was given up, which also stayed the latest one.
#[test]
fn going_back_sets_the_later_future_aside() {
    let folder = folder();
    let path = trained(&folder, "");
    resume(&folder, &path.join("checkpoints/state-000020"), "--steps 25 --snap 5").ok();
    assert_eq!(json(&path.join("latest.json"))["checkpoint"], "state-000025");
    assert_eq!(names(&path.join("checkpoints")), ["state-000020", "state-000025"]);
    let snapshots = names(&path.join("snapshots"));
    assert_eq!(snapshots.iter().rfind(|name| name.starts_with("generator")).unwrap(), "generator-000025.safetensors");
    let log = std::fs::read_to_string(path.join("log.txt")).unwrap();
    assert!(log.contains("went back to step 20; what came later is now in"), "{log}");
    // What was set aside is a run, too.
    let aside = path.join("set-aside/00-from-000020");
    assert_eq!(names(&aside.join("checkpoints")), ["state-000030", "state-000040"]);
    assert!(aside.join("snapshots/generator-000040.safetensors").is_file());
    resume(&folder, &aside, "--steps 45").ok();
    assert!(aside.join("snapshots/generator-000045.safetensors").is_file());
}

/// What a kill leaves: parts of files that stayed for ever, and steps that were counted twice.
#[test]
fn leftovers_of_a_killed_program_are_swept_and_no_step_is_counted_twice() {
    let folder = folder();
    let path = trained(&folder, "");
    let at = |name: &str| path.join(name);
    std::fs::create_dir(at("checkpoints/.writing-000035")).unwrap();
    for name in ["checkpoints/.writing-000035/state.json", "samples/.fakes-000002.png.4294967295-3.tmp"] {
        std::fs::write(at(name), b"part").unwrap();
    }
    // A checkpoint that is not the latest yet, its snapshot, and lines after the last checkpoint.
    std::fs::rename(at("checkpoints/state-000020"), at("checkpoints/state-000050")).unwrap();
    std::fs::copy(at("snapshots/generator-000040.safetensors"), at("snapshots/generator-000050.safetensors")).unwrap();
    let lines = std::fs::read_to_string(at("stats.jsonl")).unwrap();
    std::fs::write(at("stats.jsonl"), format!("{lines}{{\"step\":45,\"Loss/ratio\":1.0}}\n{{\"step\":50,\"Lo"))
        .unwrap();
    resume(&folder, &path, "--steps 45 --snap 5").ok();
    assert_eq!(names(&at("checkpoints")), ["state-000030", "state-000040", "state-000045"]);
    assert!(!at("snapshots/generator-000050.safetensors").exists() && !at("set-aside").exists());
    assert!(names(&at("samples")).iter().all(|name| !name.starts_with('.')), "{:?}", names(&at("samples")));
    let lines = std::fs::read_to_string(at("stats.jsonl")).unwrap();
    let steps: Vec<u64> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [5, 10, 15, 20, 25, 30, 35, 40, 45]);
}

/// Of the newest run, killed before its first checkpoint, nothing was said: the one before it was "finished".
#[test]
fn a_newest_run_without_a_checkpoint_is_not_passed_over() {
    let folder = folder();
    trained(&folder, "");
    let next = folder.path().join("runs/00001-gaussians8-diffratio-b64");
    std::fs::create_dir_all(next.join("checkpoints")).unwrap();
    let latest = |rest: &str| run(&folder, &format!("train --resume latest --device cpu -q {rest}"));
    latest("").fails(2, &["00001-gaussians8", "before its first checkpoint", "runs/00000-gaussians8"]);
    std::fs::remove_dir_all(next).unwrap();
    // Runs are counted by number, also where it takes six digits.
    std::fs::create_dir(folder.path().join("runs/99999-x")).unwrap();
    trained(&folder, "");
    trained(&folder, "");
    let runs = names(&folder.path().join("runs"));
    assert!(runs.contains(&"100000-gaussians8-diffratio-b64".into()), "{runs:?}");
    assert!(runs.contains(&"100001-gaussians8-diffratio-b64".into()), "{runs:?}");
    latest("--steps 41").ok();
    let snapshots = names(&folder.path().join("runs/100001-gaussians8-diffratio-b64/snapshots"));
    assert!(snapshots.contains(&"generator-000041.safetensors".into()), "{snapshots:?}");
}

/// Past a million steps, names in the order of text kept the wrong checkpoints.
#[test]
fn the_last_checkpoints_are_kept_past_a_million_steps() {
    let folder = folder();
    let path = trained(&folder, "--keep-last 2");
    let checkpoints = path.join("checkpoints");
    for (from, to) in [("state-000030", "state-999990"), ("state-000040", "state-1000000")] {
        let text = std::fs::read_to_string(checkpoints.join(from).join("state.json")).unwrap();
        // As an earlier version wrote it, which knew no checksum.
        let text: String = text.lines().filter(|line| !line.contains("crc32")).flat_map(|line| [line, "\n"]).collect();
        let step = to.split('-').nth(1).unwrap().trim_start_matches('0');
        let text = ["turn", "turns"].iter().fold(text, |text, name| {
            text.replace(&format!("\"{name}\": {},", &from[10..]), &format!("\"{name}\": {step},"))
        });
        std::fs::rename(checkpoints.join(from), checkpoints.join(to)).unwrap();
        std::fs::write(checkpoints.join(to).join("state.json"), text).unwrap();
    }
    std::fs::write(path.join("latest.json"), r#"{"checkpoint": "state-1000000"}"#).unwrap();
    let output = resume(&folder, &path, "--steps 1000010");
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let kept = names(&checkpoints);
    assert!(kept.len() == 2 && kept.contains(&"state-1000000".into()), "{kept:?}");
}

/// "finished", and nothing else, for a run that had nothing to do.
#[test]
fn a_run_that_ends_without_a_step_says_why() {
    let folder = folder();
    let path = trained(&folder, "");
    let args = ["train", "--device", "cpu", "--resume", path.to_str().unwrap()];
    let said = |rest: &[&str]| onestep(&folder, &[&args[..], rest].concat()).stderr;
    let text = said(&[]);
    assert!(text.contains("nothing is left to do at step 40: steps is 40; raise it"), "{text}");
    let text = said(&["--minutes", "0.0001"]);
    assert!(text.contains("minutes is 0.0001"), "{text}");
}

/// The environment was ignored where a run went on.
#[test]
fn the_environment_changes_a_run_that_goes_on_and_is_written_down() {
    let folder = folder();
    let path = trained(&folder, "");
    let resumed = |variable: &str, value: &str, rest: &[&str]| {
        let args = [&["train", "-q", "--device", "cpu", "--resume", path.to_str().unwrap()], rest].concat();
        Run::from(command(&folder, &args).env(variable, value).output().unwrap())
    };
    resumed("ONESTEP_LR_CRITIC", "0.0125", &["--steps", "45"]).ok();
    let text = std::fs::read_to_string(path.join("config.json")).unwrap();
    assert!(text.contains("\"lr_critic\"") && text.contains("\"0.0125\""), "{text}");
    resumed("ONESTEP_STEPS", "90", &["--steps", "46"]).ok();
    assert!(path.join("snapshots/generator-000046.safetensors").is_file(), "a flag comes last");
    resumed("ONESTEP_BATCH", "32", &[]).fails(2, &["ONESTEP_BATCH = 32", "this run has 64"]);
}

#[test]
fn points_are_trained_drawn_measured_and_resumed() {
    let folder = folder();
    let tiny = "train --preset gaussians --device cpu --width 16 --blocks 1 --batch 64 --tick 10 -q --steps 30";
    let out = run(&folder, tiny).ok();
    assert!(out.contains("generator-000030.safetensors"), "{out}");
    let runs = folder.path().join("runs");
    let run_folder = runs.join(&names(&runs)[0]);
    for file in ["config.json", "latest.json", "stats.jsonl", "samples/reals.png", "checkpoints/state-000030"] {
        assert!(run_folder.join(file).exists(), "{file}");
    }
    let resume = |rest: &str| run(&folder, &format!("train --resume latest --device cpu -q {rest}"));
    resume("--batch 32").fails(2, &["keeps its settings"]);
    resume("--alpha 1").fails(2, &["alpha = 1", "no setting of diffratio"]);
    assert!(resume("--steps 40").ok().contains("generator-000040.safetensors"));

    let model = run_folder.display();
    run(&folder, &format!("sample --device cpu -q --model {model} --seeds 0-9 --out points.npy --grid points.png"))
        .ok();
    let (kind, shape, bytes) = read_npy(folder.path().join("points.npy"));
    assert_eq!((kind.as_str(), shape.as_str(), bytes.len()), ("<f4", "10, 2", 80));
    let out = run(&folder, &format!("eval --device cpu -q --model {model} --num 2000 --json")).ok();
    let report: Value = serde_json::from_str(&out).unwrap();
    let metrics = report["metrics"].as_array().unwrap();
    assert!(metrics.iter().any(|metric| metric["name"] == "kl_grid_2k"), "{report}");
    assert!(report["reference"].as_str().unwrap().contains("2000 fresh points of gaussians8"), "{report}");
    run(&folder, &format!("eval --device cpu --model {model} --metrics fid")).fails(2, &["fid_lenet"]);
    run(&folder, &format!("eval --device cpu --model {model} --metrics recall")).fails(2, &["kl_grid"]);

    // Any ending of a run keeps what an earlier one wrote.
    std::fs::write(run_folder.join("checkpoints/state-000040/state.safetensors"), b"damaged").unwrap();
    resume("--steps 50").fails(2, &["state.safetensors"]);
    assert!(run_folder.join("checkpoints/state-000030/state.safetensors").is_file());
}

#[test]
fn events_are_lines_of_json() {
    let folder = folder();
    let line = "train --preset rings --device cpu --width 16 --batch 64 --steps 20 --tick 5 --json --outdir there -q";
    let out = run(&folder, line).ok();
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "done"), "{out}");
    assert!(kinds.contains(&"statistics") && kinds.contains(&"saved"), "{out}");
}

/// Warnings in a file began with codes for colours.
#[test]
fn a_warning_in_a_file_has_no_colours() {
    let folder = folder();
    let small = "--device cpu -q --keep-last 1";
    run(&folder, &format!("train --preset gaussians --width 16 --batch 64 --steps 2 {small}")).ok();
    // Not a checkpoint: it can't be removed as one.
    let checkpoints = folder.path().join("runs").join(&names(&folder.path().join("runs"))[0]).join("checkpoints");
    std::fs::write(checkpoints.join("state-000000"), "").unwrap();
    let Run { stderr, .. } = run(&folder, &format!("train --resume latest --steps 3 {small}"));
    assert!(stderr.contains("WARN") && !stderr.contains('\u{1b}'), "{stderr:?}");
}

/// `train | head -3` ended in silence, with nothing saved and exit code 0.
#[test]
fn a_run_goes_on_without_its_reader() {
    let folder = folder();
    let closed = || std::io::pipe().unwrap().1;
    for (i, rest) in ["", "--json", "-q"].into_iter().enumerate() {
        let line = format!("train --preset gaussians --device cpu --width 16 --batch 64 --steps 20 --tick 5 {rest}");
        let mut child = command(&folder, &line.split_whitespace().collect::<Vec<_>>());
        let status = child.stdout(closed()).stderr(closed()).status().unwrap();
        let runs = names(&folder.path().join("runs"));
        let run_folder = folder.path().join("runs").join(&runs[i]);
        assert_eq!((status.code(), runs.len()), (Some(0), i + 1));
        assert!(run_folder.join("snapshots/generator-000020.safetensors").is_file(), "{rest}");
        assert!(std::fs::read_to_string(run_folder.join("log.txt")).unwrap().contains("\"done\""));
    }
    // An error keeps its exit code, too.
    let mut child = command(&folder, &["train", "--preset", "mnits"]);
    assert_eq!(child.stderr(closed()).status().unwrap().code(), Some(2));
}
