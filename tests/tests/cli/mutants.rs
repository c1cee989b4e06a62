//! Thousands of damaged files of each kind that the program reads beside data (`core/src/data/damage_tests.rs` has
//! those): no panic, no wrong number, and every refusal names the file and the way out. `cargo xtask fault --mutants`
//! asks for more of them.

use std::path::{Path, PathBuf};

use onestep_core::model::ModelFile;
use onestep_core::random::threefry2x32;
use onestep_core::session::{Request, Start};
use onestep_core::train::Overrides;

use crate::crash::asked;
use crate::{folder, mlp, names, run, write_models};

/// Mutants of each kind of file.
fn trials(usual: u32) -> u32 {
    asked("FAULT_MUTANTS", usual)
}

/// Whether an error names the file and says what to do.
pub fn helps(error: &str, file: &str) -> bool {
    error.contains(file) && [";", "must be", "should be", "wanted"].iter().any(|words| error.contains(words))
}

/// A damaged copy: bits and bytes changed, parts cut off, left out or repeated.
fn mutant(whole: &[u8], stream: u32, trial: u32) -> Vec<u8> {
    let draw = |k: u32| threefry2x32([0xFA17, stream], [trial, k]);
    let mut bytes = whole.to_vec();
    for k in 0..=draw(0)[0] % 3 {
        let [place, value] = draw(1 + 2 * k);
        let [other, kind] = draw(2 + 2 * k);
        if bytes.is_empty() {
            break;
        }
        // Half of the changes where headers are.
        let range = if kind & 8 == 0 { bytes.len() } else { bytes.len().min(200) };
        let at = place as usize % range;
        let end = (at + 1 + other as usize % 40).min(bytes.len());
        match kind % 6 {
            0 => bytes[at] ^= 1 << (value % 8),
            1 => bytes[at] = value as u8,
            2 => bytes[at] = b"0123456789-+.eE{}[]\",: \n"[value as usize % 24],
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            _ => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn damaged_models_are_refused_by_name_and_every_flipped_bit_is_found() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    let path = folder.path().join("generator-000001.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let original = ModelFile::open(&path).unwrap();
    let judge = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        match ModelFile::open(&path) {
            // Only a file that says the same can be accepted: what changed is a space, or the name of the checksums.
            Ok(file) => assert!(file == original || bytes.len() < 16, "{what}: another model was accepted"),
            Err(error) => assert!(helps(&error.to_string(), "generator-000001.safetensors: "), "{what}: {error}"),
        }
    };
    for trial in 0..trials(3000) {
        judge(&mutant(&whole, 1, trial), &format!("mutant {trial}"));
    }
    let data = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    for at in (data..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, bytes).unwrap();
        let error = ModelFile::open(&path).expect_err("a flipped bit was accepted").to_string();
        assert!(error.contains("tensor `"), "byte {at}: {error}");
    }
}

/// A run's folder under damage: `Request::config` reads what a resumed run reads before its weights.
#[test]
fn damaged_files_of_a_run_are_refused_by_name() {
    let folder = folder();
    let line = "train --preset gaussians --device cpu -q --width 16 --batch 64 --steps 20 --snap 10";
    run(&folder, line).ok();
    let path = folder.path().join("runs").join(&names(&folder.path().join("runs"))[0]);
    let resume = |path: &Path| {
        let start = Start::Resume { path: path.to_owned(), overrides: Box::new(Overrides::default()) };
        Request { start, outdir: None }.config()
    };
    let wanted = resume(&path).unwrap();
    for (stream, name) in (2..).zip(["config.json", "latest.json", "checkpoints/state-000020/state.json"]) {
        let file: PathBuf = path.join(name);
        let whole = std::fs::read(&file).unwrap();
        for trial in 0..trials(500) {
            std::fs::write(&file, mutant(&whole, stream, trial)).unwrap();
            match resume(&path) {
                Ok(config) if name.ends_with("state.json") => assert_eq!(config, wanted, "{name}, mutant {trial}"),
                Ok(_) => {}
                Err(error) => {
                    let error = error.to_string();
                    assert!(helps(&error, path.to_str().unwrap()), "{name}, mutant {trial}: {error}");
                }
            }
        }
        std::fs::write(&file, whole).unwrap();
    }
}

#[test]
fn damaged_settings_are_refused_by_name() {
    let folder = folder();
    let toml = b"# settings\nbatch = 32\nlr_critic = 0.5\nmultipliers = [1, 2]\n";
    let json = br#"{"preset": "rings", "config": {"batch": 32, "lr_critic": 1e-3, "multipliers": [1, 2]}}"#;
    for (stream, name, whole) in [(5, "a.toml", &toml[..]), (6, "a.json", &json[..])] {
        for trial in 0..trials(60) {
            std::fs::write(folder.path().join(name), mutant(whole, stream, trial)).unwrap();
            let said = run(&folder, &format!("train --dry-run --json --config {name}"));
            match said.code {
                Some(0) => {}
                Some(2) => assert!(helps(&said.stderr, name), "{name}, mutant {trial}: {}", said.stderr),
                code => panic!("{name}, mutant {trial}: {code:?}, {}", said.stderr),
            }
        }
    }
}
