//! The `onestep` program from outside: exit codes, one-line errors, files.
//!
//! Everything runs on the CPU executor with tiny networks. `cargo test --workspace` builds the program.

mod bench;
mod claim;
#[cfg(unix)]
mod compare;
mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod extremes;
mod flags;
mod inputs;
mod lab;
mod merge;
mod models;
mod mutants;
mod runs;
#[cfg(unix)]
mod signals;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use onestep_core::model::{ModelFile, ModelKind, ModelMeta, Storage};
use onestep_core::nets::{MlpConfig, NetworkConfig, UnetConfig};
use onestep_tests::values;
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
