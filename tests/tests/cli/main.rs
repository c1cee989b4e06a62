//! The `onestep` program from outside: exit codes, one-line errors, files.
//!
//! Everything runs on the CPU executor with tiny networks. `cargo test --workspace` builds the program.

mod bench;
mod claim;
#[cfg(unix)]
mod compare;
mod crash;
mod inputs;
mod lab;
mod merge;
mod mutants;
mod runs;
#[cfg(unix)]
mod signals;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use onestep_core::data::{Picture, write_npy_u8};
use onestep_core::model::{ModelFile, ModelKind, ModelMeta, Storage};
use onestep_core::nets::{MlpConfig, NetworkConfig, UnetConfig};
use onestep_tests::values;
use serde_json::Value;
use tempfile::TempDir;

/// The program beside the folder of test programs.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let path = folder.join(format!("onestep{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing; `cargo test --workspace` builds it", path.display());
    path
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    // Settings of the person who runs the tests must not reach the program.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ONESTEP_")) {
        command.env_remove(name);
    }
    // Software Vulkan complains on stderr if this is not set.
    command.env("XDG_RUNTIME_DIR", folder.path()).current_dir(folder.path()).args(args).stdin(Stdio::null());
    command
}

/// What the program did, with everything it said in the message if that is not what was wanted.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Run {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Exactly one line on stderr, which starts with `error:` and has all of these words.
    #[track_caller]
    fn fails(self, code: i32, words: &[&str]) {
        let Self { code: got, stdout, stderr } = self;
        assert_eq!(got, Some(code), "stdout: {stdout}\nstderr: {stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: "), "not one error line: {stderr}");
        for word in words {
            assert!(lines[0].contains(word), "`{word}` is missing: {stderr}");
        }
    }
}

fn onestep(folder: &TempDir, args: &[&str]) -> Run {
    command(folder, args).output().expect("the program starts").into()
}

/// Runs a line of arguments without spaces inside.
fn run(folder: &TempDir, line: &str) -> Run {
    onestep(folder, &line.split_whitespace().collect::<Vec<_>>())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn unet() -> NetworkConfig {
    NetworkConfig::Unet(UnetConfig { attn_resolutions: Vec::new(), attn_middle: false, ..UnetConfig::tiny() })
}

fn mlp() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 0, two_times: false })
}

/// A generator and its ratio network with random weights, for which every pixel depends on every weight.
fn write_models(folder: &TempDir, network: &NetworkConfig, dataset: &str) {
    for (name, kind, layout) in [
        ("generator-000001.safetensors", ModelKind::Generator, network.generator_layout()),
        ("ratio-000001.safetensors", ModelKind::Ratio, network.ratio_layout()),
    ] {
        let weights: Vec<f32> = values(3, layout.len).iter().map(|x| 0.3 * x).collect();
        let mut meta = ModelMeta::new(kind, network.clone());
        meta.sigma_init = 1.0;
        dataset.clone_into(&mut meta.dataset);
        ModelFile::new(meta, &layout, &weights).save(folder.path().join(name), Storage::F32).unwrap();
    }
}

/// Shape (as it is written) and content of a `.npy` file.
fn read_npy(path: PathBuf) -> (String, String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes[..6], *b"\x93NUMPY");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..end].to_vec()).unwrap();
    let between = |start: &str, end: &str| header.split(start).nth(1).unwrap().split(end).next().unwrap().to_owned();
    (between("'descr': '", "'"), between("'shape': (", ")"), bytes[end..].to_vec())
}

const SAMPLE: &str = "sample --device cpu --model generator-000001.safetensors";

#[test]
fn several_processes_of_a_program_without_mpi_are_refused_by_the_first() {
    let folder = folder();
    let start = |rank: &str| {
        let mut command = command(&folder, &["train", "--data", "gaussians", "--device", "cpu"]);
        Run::from(command.env("PMI_SIZE", "2").env("PMI_RANK", rank).output().expect("the program starts"))
    };
    start("0").fails(2, &["without MPI", "--features mpi"]);
    let second = start("1");
    assert_eq!((second.code, &second.stderr[..]), (Some(2), ""), "one line is enough");
    assert!(names(folder.path()).is_empty(), "no process trains by itself");
}

#[test]
fn slices_that_do_not_fit_are_refused() {
    run(&folder(), "train --batch 64 --accumulate 3").fails(2, &["batch = 64", "3 slices"]);
}

#[test]
fn wrong_flags_and_settings_are_one_line_and_code_2() {
    let folder = folder();
    for (line, words) in [
        ("train --preset mnits", &["mnits", "gaussians", "mnist"][..]),
        ("train --bach 64", &["--bach", "--batch"]),
        ("train --batch many", &["many", "--batch"]),
        ("train --batch 0", &["batch", "2..=65536"]),
        ("train --batch 99999999999999999999", &["--batch"]),
        ("train --lr-critic nan", &["lr_critic", "NaN"]),
        ("train --lr-critic -1", &["lr_critic", "0..=1"]),
        ("train --sigma-min 30", &["sigma_min", "sigma_max"]),
        ("train --divergence kl", &["kl", "--divergence"]),
        ("train --method vsd2", &["vsd2", "diffratio"]),
        ("train --multipliers 1,x", &["1,x", "1,2,4"]),
        ("train --multipliers 1,1,1,1 --dry-run", &["resolution", "--resize 16"]),
        ("train --data no/such/folder", &["no/such/folder", "mnist-10k"]),
        ("train --config absent.toml", &["absent.toml"]),
        ("train --preset gaussians --device gpu:99", &["gpu:99", "--device cpu"]),
        ("train --preset gaussians --device NoSuchCard", &["NoSuchCard", "--device cpu"]),
        ("train --preset gaussians --device cpu --outdir /proc/onestep -q", &["/proc/onestep"]),
        ("train --resume absent --device cpu", &["absent"]),
        ("train --resume latest --transfer x", &["--resume", "--transfer"]),
        ("plan --step sideways", &["sideways", "generator"]),
        ("sample --model absent.safetensors --out a.npy", &["absent.safetensors"]),
        ("nonsense", &["nonsense"]),
    ] {
        run(&folder, line).fails(2, words);
    }
    assert_eq!(names(folder.path()), [""; 0], "nothing is left behind");
}

#[test]
fn config_files_and_environment_are_layers_with_named_errors() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.toml", "batch = 32\nlr_ratio = 0.5\nmultipliers = [1, 2]\n");
    let config = |args: &[&str], variables: &[(&str, &str)]| -> Run {
        let line = [&["train", "--preset", "gaussians", "--dry-run", "--json"], args].concat();
        command(&folder, &line).envs(variables.iter().copied()).output().unwrap().into()
    };
    let setting = |run: Run, name: &str| serde_json::from_str::<Value>(&run.ok()).unwrap()["config"][name].clone();
    assert_eq!(setting(config(&[], &[]), "batch"), 512);
    assert_eq!(setting(config(&["--config", "a.toml"], &[]), "batch"), 32);
    let variable = [("ONESTEP_BATCH", "48")];
    assert_eq!(setting(config(&["--config", "a.toml"], &variable), "batch"), 48);
    assert_eq!(setting(config(&["--config", "a.toml", "--batch", "16"], &variable), "batch"), 16);
    assert_eq!(setting(config(&["--config", "a.toml"], &variable), "lr_critic"), 0.5, "by its old name");
    assert_eq!(setting(config(&["--ratio-steps", "3"], &[]), "critic_steps"), 3, "an old name of a flag");

    write("typo.toml", "batch = 32\nbach = 3\n");
    config(&["--config", "typo.toml"], &[]).fails(2, &["typo.toml", "line 2", "bach"]);
    write("typo.json", "{\n\"bach\": 3}");
    config(&["--config", "typo.json"], &[]).fails(2, &["typo.json", "line 2", "bach"]);
    #[cfg(unix)]
    config(&["--config", "/dev/zero"], &[]).fails(2, &["/dev/zero", "device or pipe"]);
    let mistyped = config(&[], &[("ONESTEP_STEP", "100")]);
    assert!(mistyped.stderr.contains("ONESTEP_STEP has no effect: there is no such setting"), "{}", mistyped.stderr);
    write("nan.toml", "lr_critic = nan");
    config(&["--config", "nan.toml"], &[]).fails(2, &["lr_critic", "NaN"]);
    config(&[], &[("ONESTEP_BATCH", "many")]).fails(2, &["ONESTEP_BATCH", "many"]);
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
fn bad_model_files_are_refused_by_name() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    let at = |name: &str| folder.path().join(name);
    let good = std::fs::read(at("generator-000001.safetensors")).unwrap();
    std::fs::write(at("cut.safetensors"), &good[..good.len() - 9]).unwrap();
    let format = good.windows(9).position(|bytes| bytes == b"onestep/1").unwrap();
    let mut newer = good.clone();
    newer[format + 8] = b'2';
    std::fs::write(at("newer.safetensors"), newer).unwrap();
    let wide = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 32, depth: 2, label_dim: 0, two_times: false });
    let mixed = ModelFile::open(at("generator-000001.safetensors")).unwrap();
    let mixed = ModelFile { meta: ModelMeta::new(ModelKind::Generator, wide), ..mixed };
    mixed.save(at("mixed.safetensors"), Storage::F32).unwrap();
    std::fs::write(at("foreign.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
    // It has no end.
    #[cfg(unix)]
    run(&folder, "sample --model /dev/zero --out a.npy").fails(2, &["/dev/zero", "a device or pipe"]);
    std::fs::write(at("zip.safetensors"), b"PK\x03\x04 and more").unwrap();
    for (file, words) in [
        ("cut.safetensors", &["cut.safetensors", "cut off"][..]),
        ("foreign.safetensors", &["foreign.safetensors", "not written by onestep"]),
        ("zip.safetensors", &["zip.safetensors", "zip"]),
        ("newer.safetensors", &["newer.safetensors", "onestep/2", "newer onestep"]),
        ("mixed.safetensors", &["mixed.safetensors", "should have shape"]),
        ("ratio-000001.safetensors", &["ratio-000001.safetensors", "not a generator"]),
    ] {
        run(&folder, &format!("sample --model {file} --out a.npy")).fails(2, words);
        assert!(!at("a.npy").exists());
    }
    for (rest, words) in [
        ("", &["--out"][..]),
        ("--out a.jpg", &[".jpg", ".npy"]),
        ("--out some-folder", &[".npy"]),
        ("--out no/such/a.npy", &["no/such", "create the folder"]),
        ("--out a.npy --grid a.txt", &["a.txt", ".png"]),
        ("--out a.npy --seeds 9-3", &["9-3", "3-9"]),
        ("--out a.npy --seeds 0-4294967295", &["seeds"]),
        ("--out a.npy --best-of 0", &["--best-of"]),
        ("--out a.npy --best-of 1000 --seeds 4294968", &["4294968", "4294966"]),
        ("--out a.npy --best-of 2 --ratio generator-000001.safetensors", &["not a ratio network"]),
    ] {
        run(&folder, &format!("{SAMPLE} -q {rest}")).fails(2, words);
    }
    std::fs::remove_file(at("ratio-000001.safetensors")).unwrap();
    run(&folder, &format!("{SAMPLE} -q --out a.npy --best-of 2")).fails(2, &["ratio-000001", "--ratio"]);
}

#[test]
fn classes_are_asked_for_by_number() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    run(&folder, &format!("{SAMPLE} -q --out a.npy --class 3")).fails(2, &["--class 3", "has no classes"]);
    write_models(
        &folder,
        &NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: 8, two_times: false }),
        "gaussians8",
    );
    for (class, words) in [("8", &["--class 8", "0 to 7"][..]), ("cat", &["`cat`", "0-9"]), ("2-12", &["--class 8"])] {
        run(&folder, &format!("{SAMPLE} -q --out a.npy --class {class}")).fails(2, words);
        assert!(!folder.path().join("a.npy").exists());
    }
    let drawn = |rest: &str| {
        run(&folder, &format!("{SAMPLE} -q --out a.npy {rest}")).ok();
        read_npy(folder.path().join("a.npy")).2
    };
    let (all, turn) = (drawn("--seeds 0-9"), drawn("--seeds 0-9 --class 0-7"));
    assert!(all == turn, "without the flag all classes come in turn");
    let alone = drawn("--seeds 9 --class 1");
    assert_eq!(alone, all[9 * 8..], "a sample depends on its seed and its class alone");
    assert_ne!(alone, drawn("--seeds 9 --class 2"));
    let best = drawn("--seeds 0-9 --class 1 --best-of 2");
    assert_eq!(best.len(), all.len());
    let report = run(&folder, "eval --device cpu -q --json --model generator-000001.safetensors --num 100").ok();
    assert!(report.contains("class_accuracy_100"), "{report}");
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

#[test]
fn generators_are_exported_and_other_models_refused_as_onnx() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let export =
        |model: &str, rest: &str| run(&folder, &format!("export -q --model {model}-000001.safetensors {rest}"));
    export("generator", "--out half.safetensors").ok();
    export("generator", "--format onnx --out generator.onnx").ok();
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(size("half.safetensors") < size("generator-000001.safetensors") * 6 / 10);
    let onnx = std::fs::read(folder.path().join("generator.onnx")).unwrap();
    let has = |text: &str| onnx.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("InstanceNormalization") && has("latent") && has("mnist-10k"));
    export("ratio", "--format onnx --out ratio.onnx").fails(2, &["ratio-000001", "only generators"]);
    export("generator", "--format onnx --out missing/generator.onnx").fails(2, &["missing"]);
    assert!(!folder.path().join("ratio.onnx").exists());
}

#[test]
fn an_image_depends_on_its_seed_alone() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let draw = |rest: &str, name: &str| {
        run(&folder, &format!("{SAMPLE} -q {rest} --out {name}")).ok();
        read_npy(folder.path().join(name))
    };
    let (kind, shape, all) = draw("--seeds 0-149", "all.npy");
    assert_eq!((kind.as_str(), shape.as_str(), all.len()), ("|u1", "150, 8, 8, 1", 150 * 64));
    assert_ne!(all[..64], all[64..128], "different seeds, different images");
    for batch in [1, 7, 1000] {
        let other = draw(&format!("--seeds 0-149 --batch {batch}"), "batch.npy");
        assert!(other.2 == all, "batches of {batch} give other bytes");
    }
    let (_, shape, some) = draw("--seeds 149,5,64-66", "some.npy");
    assert_eq!(shape, "5, 8, 8, 1");
    let wanted: Vec<u8> = [149, 5, 64, 65, 66].iter().flat_map(|seed| &all[seed * 64..][..64]).copied().collect();
    assert!(some == wanted, "a subset of seeds gives other bytes");

    run(&folder, &format!("{SAMPLE} -q --seeds 5,12 --out pngs --grid grid.png")).ok();
    assert_eq!(names(&folder.path().join("pngs")), ["000005.png", "000012.png"]);
    assert!(names(folder.path()).iter().all(|name| std::path::Path::new(name).extension().is_none_or(|e| e != "tmp")));
}

#[test]
fn best_of_keeps_what_the_ratio_network_prefers() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    let out = run(&folder, &format!("{SAMPLE} -q --seeds 3-6 --best-of 50 --json --out best.npy")).ok();
    let scores = serde_json::from_str::<Value>(&out).unwrap()["best_of"].clone();
    let number = |name: &str| scores[name].as_f64().unwrap();
    assert!(number("mean_score_kept") > number("mean_score"), "{scores}");
    run(&folder, &format!("{SAMPLE} -q --seeds 200-249 --out candidates.npy")).ok();
    let [best, candidates] = ["best.npy", "candidates.npy"].map(|name| read_npy(folder.path().join(name)).2);
    // Seed 4 chooses among the seeds 4 * 50 to 4 * 50 + 49.
    assert!(candidates.chunks(64).any(|image| *image == best[64..128]));
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

#[cfg(unix)]
#[test]
fn a_full_disk_fails_in_one_line_and_leaves_nothing() {
    let folder = folder();
    write_models(&folder, &unet(), "mnist-10k");
    // No file may grow beyond a few blocks, and the signal about it is ignored: what a full disk looks like.
    let script =
        format!("ulimit -f 8; trap '' XFSZ; exec {} {SAMPLE} -q --seeds 0-999 --out a.npy", program().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path());
    let before = names(folder.path());
    Run::from(shell.output().unwrap()).fails(1, &["a.npy"]);
    assert_eq!(names(folder.path()), before);
}

#[test]
fn devices_and_plans_are_listed_without_a_run() {
    let folder = folder();
    let devices: Value = serde_json::from_str(&run(&folder, "devices --json").ok()).unwrap();
    assert!(devices["cpu"]["threads"].as_u64().unwrap() > 0 && devices["gpus"].is_array(), "{devices}");
    let auto = devices["auto"].as_str().unwrap();
    assert!(run(&folder, "devices").ok().contains(&format!("auto   {auto} (")));

    let plans: Value = serde_json::from_str(&run(&folder, "plan --preset mnist --json").ok()).unwrap();
    let plans = plans["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 4);
    for plan in plans {
        let launches = plan["launches"].as_array().unwrap();
        let flops: u64 = launches.iter().map(|launch| launch["flops"].as_u64().unwrap()).sum();
        assert!(flops > 0 && plan["flops"].as_u64() == Some(flops), "{}", plan["name"]);
    }
    let table = run(&folder, "plan --preset gaussians --step sample").ok();
    assert!(table.contains("matmul") && table.contains("GFLOP"), "{table}");
    // A data set that is not here is not fetched for its shape.
    run(&folder, "plan --preset cifar10 --step sample").ok();
}

#[test]
fn selftest_passes_on_the_processor() {
    let out = run(&folder(), "selftest --device cpu -q --json").ok();
    let report: Value = serde_json::from_str(&out).unwrap();
    let checks = report["checks"].as_array().unwrap();
    assert!(report["passed"] == true && checks.len() > 15, "{report}");
    for kernel in ["pointwise", "conv2d_grad_weight", "softmax", "adam", "record"] {
        let found = checks.iter().any(|check| check["name"].as_str().unwrap().starts_with(kernel));
        assert!(found, "{kernel} is not checked");
    }
}
