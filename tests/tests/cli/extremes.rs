//! Numbers at the edges of f32, and memory at its end: a run trains on, or says in a line why not, and can be gone on
//! with.

use onestep_core::data::write_npy_f32;
use onestep_core::model::{ModelFile, Storage};
use onestep_core::random::threefry2x32;

use crate::{Run, folder, names, onestep, run, write_models};

/// Numbers that are finite and rarely seen: subnormal, the smallest normal one, negative zero, large ones.
const ODD: [f32; 6] = [1e-40, f32::MIN_POSITIVE, -0.0, 1e20, -1e30, f32::MAX];

const SMALL: &str = "--device cpu -q --width 16 --batch 32 --snap 10 --tick 5";

/// The program either did it, or said in one line what is wrong, with the name of what it is about.
#[track_caller]
fn done_or_told(run: Run, name: &str) -> bool {
    match run.code {
        Some(0) => true,
        Some(code @ (1 | 2)) => {
            run.fails(code, &[name]);
            false
        }
        code => panic!("{name}: {code:?}\n{}", run.stderr),
    }
}

#[test]
fn odd_numbers_in_data_are_trained_on_or_refused_by_name() {
    let folder = folder();
    let mut trained = 0;
    for (i, odd) in ODD.into_iter().chain([f32::NAN, f32::INFINITY]).enumerate() {
        for (kind, share) in [("one", 100), ("all", 1)] {
            let values: Vec<f32> =
                (0..400).map(|i| if i % share == 7 % share { odd } else { 0.01 * i as f32 }).collect();
            let name = format!("{kind}-{i}.npy");
            write_npy_f32(folder.path().join(&name), &[200, 2], &values).unwrap();
            let line = format!("train --data {name} --warmup-steps 0 --steps 10 {SMALL}");
            let small = odd.abs() < 1.0;
            assert_eq!(done_or_told(run(&folder, &line), &name), small, "{name}: {odd}");
            trained += usize::from(small);
        }
    }
    assert_eq!(names(&folder.path().join("runs")).len(), trained, "what was refused left no folder");
}

/// Saves a model with another number at some place of a tensor.
fn save_with(whole: &ModelFile, tensor: &str, odd: f32, key: [u32; 2], path: &std::path::Path) {
    let mut model = whole.clone();
    let values = &mut model.tensors.get_mut(tensor).unwrap().values;
    let [at, _] = threefry2x32(key, [0, 0]);
    let at = at as usize % values.len();
    values[at] = odd;
    model.save(path, Storage::F32).unwrap();
}

#[test]
fn odd_numbers_in_weights_are_drawn_with_or_refused_by_name() {
    let folder = folder();
    write_models(&folder, &crate::mlp(), "gaussians");
    let path = folder.path().join("generator-000001.safetensors");
    let whole = ModelFile::open(&path).unwrap();
    for (i, odd) in ODD.into_iter().enumerate() {
        for (j, name) in whole.tensors.keys().enumerate() {
            save_with(&whole, name, odd, [i as u32, j as u32], &path);
            let line = "sample -q --device cpu --model generator-000001.safetensors --out points.npy";
            done_or_told(run(&folder, line), "generator-000001.safetensors");
        }
    }
}

/// Tensors all over a run's state, weights and moments alike, with one odd number each.
#[test]
fn odd_numbers_in_a_state_are_trained_on_or_told_of_and_the_one_before_goes_on() {
    let folder = folder();
    run(&folder, &format!("train --preset gaussians --steps 20 --keep-last 9 {SMALL}")).ok();
    let path = folder.path().join("runs").join(&names(&folder.path().join("runs"))[0]);
    let state = path.join("checkpoints/state-000020/state.safetensors");
    let whole = ModelFile::open_state(&state, |_| Ok(())).unwrap();
    let (mut done, mut told) = (0, 0);
    for (i, odd) in ODD.into_iter().enumerate() {
        // About seven of them for each number, others for the next one.
        let step = 1 + whole.tensors.len() / 7;
        for (j, name) in whole.tensors.keys().enumerate().skip(i % step).step_by(step) {
            save_with(&whole, name, odd, [i as u32, j as u32], &state);
            let go_on = |from: &std::path::Path, steps: &str| {
                onestep(
                    &folder,
                    &["train", "-q", "--device", "cpu", "--resume", from.to_str().unwrap(), "--steps", steps],
                )
            };
            let copy = folder.path().join("copy");
            let _ = std::fs::remove_dir_all(&copy);
            copy_folder(&path, &copy);
            let run = go_on(&copy, "30");
            match run.code {
                Some(0) => done += 1,
                Some(1) => {
                    told += 1;
                    assert!(run.stderr.contains("became"), "{odd} in {name}: {}", run.stderr);
                    assert!(!run.stderr.contains("panicked"), "{odd} in {name}: {}", run.stderr);
                }
                code => panic!("{odd} in {name}: {code:?}\n{}", run.stderr),
            }
            go_on(&copy.join("checkpoints/state-000010"), "30").ok();
        }
    }
    assert!(done > 0 && told > 0, "{done} trained on, {told} told of");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// With ever more memory, from what the program needs to begin with: it ends at ever later moments.
#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_memory_ends_goes_on_with_more_to_the_same_end() {
    use crate::crash::{content, has_checkpoint, only_run};

    let line = "train --preset gaussians --warmup-steps 0 --deterministic --steps 40 --width 64 --batch 256 --snap 10 \
                --tick 5 --keep-last 9 -q --device cpu";
    let limited = |folder: &tempfile::TempDir, kib: u32, line: &str| -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        let command = crate::command(folder, &[]);
        let mut limited = std::process::Command::new("sh");
        limited.arg("-c").arg(format!("ulimit -v {kib}; exec \"$0\" \"$@\"")).arg(command.get_program()).args(words);
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        // Memory by the number of processors would make this another test on each machine.
        limited.env("RAYON_NUM_THREADS", "2").current_dir(folder.path());
        limited.output().expect("there is a shell").into()
    };
    let undisturbed = folder();
    run(&undisturbed, line).ok();
    let wanted = content(&only_run(&undisturbed).unwrap());
    let least = (20_000..).step_by(1_000).find(|kib| limited(&undisturbed, *kib, "--version").code == Some(0)).unwrap();
    let (mut refused, mut ended) = (0, 0);
    for kib in (least..least + 400_000).step_by(1_500) {
        let folder = folder();
        let run = limited(&folder, kib, line);
        let done = run.code == Some(0);
        match run.code {
            Some(0) => {}
            Some(code @ (1 | 2)) => {
                refused += 1;
                run.fails(code, &["memory"]);
            }
            // The system's allocator ends a program that does not ask whether there is memory.
            None => {
                ended += 1;
                assert!(run.stderr.contains("memory allocation of"), "{kib} KiB: {}", run.stderr);
            }
            code => panic!("{kib} KiB: {code:?}\n{}", run.stderr),
        }
        if !done && only_run(&folder).is_some_and(|run| has_checkpoint(&run)) {
            crate::run(&folder, "train -q --device cpu --deterministic --resume latest").ok();
        }
        if let Some(path) = only_run(&folder).filter(|run| has_checkpoint(run)) {
            assert!(content(&path) == wanted, "{kib} KiB: another end");
        }
        if done {
            println!("{refused} refused, {ended} ended, between {least} and {kib} KiB");
            assert!(refused > 0 && ended > 0, "{refused} refused, {ended} ended");
            return;
        }
    }
    panic!("no run came to its end");
}
