//! Data and files of a person's own: what is measured of them, what is said of them, and how much memory they take.

use std::path::Path;

use onestep_core::data::{Density, Picture, write_npy_f32, write_npy_u8};
use onestep_core::model::ModelFile;
use onestep_tests::values;
use serde_json::Value;
use tempfile::TempDir;

use crate::{folder, mlp, names, read_npy, run, unet, write_models};

fn report(text: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(text).unwrap();
    report["metrics"].as_array().unwrap().iter().map(|metric| metric["name"].as_str().unwrap().to_owned()).collect()
}

/// A short run on a thousand points in a file of this name.
fn train_on_own(folder: &TempDir, name: &str) -> String {
    let points = Density::TwoMoons.sample(1000, 1);
    write_npy_f32(folder.path().join(name), &[1000, 2], points.as_flattened()).unwrap();
    run(folder, &format!("train --data {name} --device cpu -q --width 16 --batch 64 --steps 20")).ok();
    format!("runs/{}", names(&folder.path().join("runs"))[0])
}

/// What is measured of its samples.
const OF_OWN: [&str; 3] = ["kl_grid_500", "kl_grid_floor_500", "energy_distance_500"];

/// "choose one of gaussians8...", whatever was given.
#[test]
fn a_run_on_own_points_is_measured_against_them() {
    let folder = folder();
    let (model, wanted) = (train_on_own(&folder, "my.npy"), OF_OWN);
    assert_eq!(report(&run(&folder, &format!("eval --device cpu -q --json --model {model}")).ok()), wanted);
    // A file of the model alone knows no place.
    let alone = folder.path().join("alone.safetensors");
    std::fs::copy(folder.path().join(format!("{model}/snapshots/generator-000020.safetensors")), &alone).unwrap();
    let line = "eval --device cpu -q --json --model alone.safetensors";
    run(&folder, line).fails(2, &["alone.safetensors", "only the name `my`", "--data"]);
    assert_eq!(report(&run(&folder, &format!("{line} --data my.npy")).ok()), wanted);
    // Of more samples than there are points, the floor is that of as many as there are.
    let many = ["kl_grid_900", "kl_grid_floor_500", "energy_distance_900"];
    assert_eq!(report(&run(&folder, &format!("{line} --data my.npy --num 900")).ok()), many);
    let few = ["kl_grid_100", "kl_grid_floor_100", "energy_distance_100"];
    assert_eq!(report(&run(&folder, &format!("{line} --data my.npy --num 100")).ok()), few);
    run(&folder, &format!("{line} --data my.npy --metrics modes-reached")).fails(2, &["modes_reached", "kl_grid"]);
    run(&folder, &format!("{line} --data mine.npy")).fails(2, &["mine.npy", "an N x 2 .npy file", "rings"]);
}

/// A file of that name was taken for the built-in density.
#[test]
fn own_points_that_are_called_like_a_density_are_measured_against_themselves() {
    let folder = folder();
    let model = train_on_own(&folder, "rings.npy");
    assert_eq!(report(&run(&folder, &format!("eval --device cpu -q --json --model {model}")).ok()), OF_OWN);
}

/// "lenet features are made for grey images", without a metric that had been asked for.
#[test]
fn images_that_the_classifier_does_not_know_are_measured_by_their_pixels() {
    let folder = folder();
    write_models(&folder, &unet(), "two");
    let model = ModelFile::open(folder.path().join("generator-000001.safetensors")).unwrap();
    let [height, width, channels] = model.meta.data_shape[..] else { panic!("images") };
    let bytes: Vec<u8> = values(1, 40 * height * width * channels).iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
    write_npy_u8(folder.path().join("two.npy"), &[40, height, width, channels], &bytes).unwrap();
    let line = "eval --device cpu -q --json --model generator-000001.safetensors --num 12";
    let names = report(&run(&folder, &format!("{line} --data two.npy")).ok());
    assert_eq!(names, ["energy_pixels_12", "copies_12", "energy_pixels_floor_20"]);
    let rare = run(&folder, &format!("{line} --data two.npy --metrics corners,power-nyquist,power-fine")).ok();
    let kinds = ["corners", "power_nyquist", "power_fine"];
    let named = |count: &str| kinds.map(|kind| format!("{kind}_{count}"));
    assert_eq!(report(&rare), [named("12"), named("floor_20")].concat());
    run(&folder, line).fails(2, &["generator-000001.safetensors", "only the name `two`", "--data"]);
    run(&folder, &format!("{line} --data two.npy --metrics fid-lenet")).fails(2, &["fid_lenet", "energy_pixels"]);
}

/// A model's tensor of 3 GB that no network has was read, twice, before it was refused.
#[test]
fn what_does_not_belong_to_the_network_is_refused_before_it_is_read() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    let at = |name: &str| folder.path().join(name);
    let good = std::fs::read(at("generator-000001.safetensors")).unwrap();
    let length = u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let data = good.len() - 8 - length;
    let more = 3_000_000_000_usize;
    let header = std::str::from_utf8(&good[8..8 + length]).unwrap().trim_end();
    let extra =
        format!(",\"zzz\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{data},{}]}}}}", more / 4, data + more);
    let header = format!("{}{extra}", &header[..header.len() - 1]);
    // A hole in the file: it takes no place on the disk.
    let bomb = |header: &str| {
        let start = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &good[8 + length..]].concat();
        std::fs::write(at("bomb.safetensors"), start).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(at("bomb.safetensors")).unwrap();
        file.set_len((8 + header.len() + data + more) as u64).unwrap();
    };
    let line = "sample -q --device cpu --out a.npy --model bomb.safetensors";
    bomb(&header);
    run(&folder, line).fails(2, &["bomb.safetensors", "tensor `zzz` of shape [750000000] is not part"]);
    // Tensors of the state of a run may have any name, but nobody draws from it.
    let state = header.replace("\"kind\":\"generator\"", "\"kind\":\"state\"").replace("crc32", "crc33");
    bomb(&state);
    run(&folder, line).fails(2, &["bomb.safetensors", "is the state of a run"]);
}

/// Names in archives and model files cleared the screen.
#[test]
fn names_in_files_give_no_commands_to_the_terminal() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8\u{1b}[2J\u{9b}31m");
    let line = "eval --device cpu --num 100 --data gaussians --model generator-000001.safetensors";
    let said = run(&folder, line);
    assert!(said.stderr.contains("gaussians8\\u001b[2J\\u009b31m"), "{:?}", said.stderr);
    let name = "a\u{1b}]0;title\u{7}.npy";
    std::fs::write(folder.path().join(name), b"no array").unwrap();
    let said = crate::onestep(&folder, &["train", "-q", "--device", "cpu", "--data", name]);
    said.fails(2, &["a\\u001b]0;title\\u0007.npy"]);
}

/// A pipe that nobody writes to held the program for ever.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_file_of_settings_and_no_model() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    run(&folder, "train --dry-run --config pipe").fails(2, &["pipe", "device or pipe", "--config"]);
    for line in ["sample --out a.npy --model pipe", "train --preset gaussians --transfer pipe --device cpu"] {
        run(&folder, line).fails(2, &["pipe", "is a device or pipe"]);
    }
}

/// A pipe or a device in the place of a run's own file was waited for, or read, for ever.
#[cfg(unix)]
#[test]
fn what_is_no_file_among_those_of_a_run_ends_with_a_line() {
    let folder = folder();
    run(&folder, "train --preset gaussians --device cpu -q --width 16 --batch 32 --steps 20 --snap 10").ok();
    let path = folder.path().join("runs").join(&names(&folder.path().join("runs"))[0]);
    let resume = format!("train --resume {} --device cpu -q --steps 30", path.display());
    for file in ["latest.json", "log.txt", "stats.jsonl", "checkpoints/state-000020/state.json"] {
        let (whole, aside) = (path.join(file), folder.path().join("aside"));
        std::fs::rename(&whole, &aside).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&whole).status().unwrap().success());
        run(&folder, &resume).fails(2, &[file, "device or pipe"]);
        std::fs::remove_file(&whole).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &whole).unwrap();
        run(&folder, &resume).fails(2, &[file, "device or pipe"]);
        std::fs::remove_file(&whole).unwrap();
        std::fs::rename(&aside, &whole).unwrap();
    }
    run(&folder, &resume).ok();
}

#[test]
fn a_checkpoint_is_found_from_within_its_run_and_without_its_name() {
    let folder = folder();
    run(&folder, "train --preset gaussians --device cpu -q --width 16 --batch 32 --steps 20 --snap 10").ok();
    let path = folder.path().join("runs").join(&names(&folder.path().join("runs"))[0]);
    let ways = [("checkpoints", "state-000010"), (".", "checkpoints/state-000010")];
    for (number, (within, name)) in ways.into_iter().enumerate() {
        let line = format!("train --resume {name} --device cpu -q");
        let args: Vec<&str> = line.split(' ').collect();
        let mut command = crate::command(&folder, &args);
        let said = command.current_dir(path.join(within)).output().unwrap();
        assert!(said.status.success(), "{within}: {}", String::from_utf8_lossy(&said.stderr));
        // What came later was deleted, because the path was not the checkpoint's own.
        let aside = path.join("set-aside").join(format!("{number:02}-from-000010"));
        assert!(aside.join("checkpoints/state-000020").is_dir(), "{within}: {:?}", names(&path));
    }
    std::fs::remove_file(path.join("latest.json")).unwrap();
    run(&folder, "train --resume latest --device cpu --steps 25").ok();
    assert!(path.join("checkpoints/state-000025").is_dir(), "{:?}", names(&path.join("checkpoints")));
}

/// It knows the highest noise level alone, and what it answered elsewhere was taken for a score.
#[test]
fn a_one_step_generator_is_no_teacher() {
    let folder = folder();
    let small = "train --preset gaussians --device cpu -q --width 16 --batch 32 --steps 10";
    run(&folder, small).ok();
    let path = folder.path().join("runs").join(&names(&folder.path().join("runs"))[0]);
    let generator = path.join("snapshots/generator-000010.safetensors");
    let with = |method: &str| run(&folder, &format!("{small} --method {method} --transfer {}", generator.display()));
    with("dmd").fails(2, &["generator-000010.safetensors", "dmd needs a teacher", "denoiser-*"]);
    assert_eq!(names(&folder.path().join("runs")).len(), 1);
    with("diffratio").ok();
}

#[test]
fn messages_name_the_file_and_the_way_out() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let plan = |line: &str| run(&folder, &format!("plan {line}"));
    write("a.toml", "lr_ratio = 3");
    plan("--config a.toml").fails(2, &["a.toml: lr_critic = 3", "0..=1"]);
    plan("--config a.toml --lr-critic 4").fails(2, &["error: lr_critic = 4"]);
    run(&folder, "train --steps=-5").fails(2, &["-5", "--steps", "wanted a number in 0..=1000000000"]);
    run(&folder, "train --seed=-5").fails(2, &["-5", "--seed", "wanted a whole number in 0..=4294967295"]);
    plan("--data missing_folder").fails(2, &["missing_folder", "cifar10", "gaussians8", "rings"]);
    // Settings under a preset's name, written as a run writes them.
    write("b.json", r#"{"preset": "rings", "config": {"batch": 32}}"#);
    let out = run(&folder, "train --dry-run --json --config b.json").ok();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["config"]["data"], &report["config"]["batch"]), (&"rings".into(), &32.into()));
    write("c.json", r#"{"preset": "ring", "config": {"batch": 32}}"#);
    plan("--config c.json").fails(2, &["preset ring", "rings"]);

    let numbers = |name: &str, shape: &[usize]| {
        write_npy_f32(folder.path().join(name), shape, &vec![0.5; shape.iter().product()]).unwrap();
    };
    numbers("one.npy", &[1, 2]);
    plan("--data one.npy").fails(2, &["one.npy", "got 1 point; save two points or more"]);
    numbers("three.npy", &[9, 3]);
    plan("--data three.npy").fails(2, &["three.npy", "points (N x 2, float32)", "3 columns", "x[:, :2]"]);
}

/// `export --model RUN`: "Is a directory; check the path and the permissions".
#[test]
fn a_run_is_exported_by_its_newest_generator() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("run/snapshots")).unwrap();
    write_models(&folder, &mlp(), "gaussians8");
    std::fs::rename(at("generator-000001.safetensors"), at("run/snapshots/generator-000001.safetensors")).unwrap();
    run(&folder, "export -q --model run --out a.safetensors").ok();
    assert!(ModelFile::open(at("a.safetensors")).is_ok());
    std::fs::create_dir(at("empty")).unwrap();
    run(&folder, "export -q --model empty --out b.safetensors").fails(2, &["empty", "no generator"]);
    assert!(!Path::new(&at("b.safetensors")).exists());
}

#[test]
fn bad_data_are_refused_by_name() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("cut.idx"), [0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3]).unwrap();
    std::fs::write(at("text.npy"), "not an array").unwrap();
    std::fs::create_dir(at("mixed")).unwrap();
    for (name, side) in [("a.png", 8), ("b.png", 9)] {
        let picture = Picture { pixels: vec![7; side * side], width: side, height: side, channels: 1 };
        picture.save_png(at("mixed").join(name)).unwrap();
    }
    std::fs::create_dir(at("empty")).unwrap();
    for (data, words) in [
        ("cut.idx", &["cut.idx", "7072"][..]),
        ("text.npy", &["text.npy"]),
        ("mixed", &["b.png", "8x8", "9x9", "--resize"]),
        ("empty", &["empty"]),
    ] {
        run(&folder, &format!("train -q --device cpu --data {data}")).fails(2, words);
    }
    assert!(!at("runs").exists(), "no run folder for a run that never began");
}

/// Such images ended every command with a panic, and left the folder of a run behind.
#[test]
fn images_that_are_no_squares_are_trained_or_refused_in_one_line() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for (name, width) in [("wide.npy", 12), ("odd.npy", 10)] {
        let bytes: Vec<u8> = values(1, 20 * 8 * width).iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
        write_npy_u8(at(name), &[20, 8, width, 1], &bytes).unwrap();
    }
    let before = names(folder.path());
    for line in ["plan", "bench --device cpu", "train --device cpu", "train --dry-run"] {
        run(&folder, &format!("{line} -q --data odd.npy")).fails(2, &["width", "got 10", "--resize 8"]);
    }
    assert_eq!(names(folder.path()), before, "nothing is left behind");

    let small = "-q --data wide.npy --width 8 --batch 4 --attention 2 --warmup-steps 1 --steps 1";
    for line in ["plan", "bench --repeat 1 --device cpu", "train --dry-run", "train --device cpu"] {
        run(&folder, &format!("{line} {small}")).ok();
    }
    run(&folder, "train --resume latest --device cpu -q --steps 2").ok();
    let model = format!("--model runs/{}", names(&at("runs"))[0]);
    run(&folder, &format!("sample --device cpu -q {model} --seeds 0-2 --out some.npy --grid grid.png")).ok();
    assert_eq!(read_npy(at("some.npy")).1, "3, 8, 12, 1");
    run(&folder, &format!("eval --device cpu -q {model} --data wide.npy --num 4 --metrics copies")).ok();
    let snapshot = at("runs").join(&names(&at("runs"))[0]).join("snapshots/generator-000003.safetensors");
    run(&folder, &format!("export -q --format onnx --model {} --out wide.onnx", snapshot.display())).ok();
}

/// The first step failed, behind the folder of a run that had not begun.
#[test]
fn a_batch_that_does_not_fit_leaves_no_folder() {
    let folder = folder();
    write_npy_u8(folder.path().join("a.npy"), &[2, 8, 8, 1], &[9; 128]).unwrap();
    // 687 GB.
    let line = "train -q --device cpu --data a.npy --resize 512 --batch 65536 --width 4";
    run(&folder, line).fails(2, &["warmup step", "lower --batch"]);
    assert_eq!(names(folder.path()), ["a.npy"]);
}

#[test]
fn data_without_labels_have_no_classes() {
    let folder = folder();
    write_npy_u8(folder.path().join("a.npy"), &[4, 8, 8, 1], &[9; 256]).unwrap();
    for line in ["train -q --device cpu --data a.npy --classes", "plan --data a.npy --classes 1"] {
        run(&folder, line).fails(2, &["classes = 1", "no labels", "one folder per class"]);
    }
    assert_eq!(names(folder.path()), ["a.npy"]);
}
