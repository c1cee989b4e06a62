//! `onestep compare`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::signals::WITH_SIGNALS;
use crate::{Run, command, folder, names, program, run};

/// Two methods that begin with the same warm-up.
const TWO: &str = "compare --methods vsd,dmd --data gaussians --seeds 1 --budget 60GFLOP --width 16 --batch 64 \
                   --device cpu --deterministic -q";

fn results(folder: &TempDir, out: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.path().join(out).join("results.json")).unwrap()).unwrap()
}

/// Waits until a run has been measured, and another has not.
fn wait_for(curve: &Path) {
    let start = Instant::now();
    while !std::fs::read_to_string(curve).is_ok_and(|text| text.contains("spent")) {
        assert!(start.elapsed() < Duration::from_mins(2), "{} does not come", curve.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn values_of_a_setting_are_compared() {
    let folder = folder();
    let line = "compare --data gaussians --seeds 1 --budget 5GFLOP --width 16 --batch 64 --device cpu -q --out c";
    let table = run(&folder, &format!("{line} --vary sigma-max=2,0.5")).ok();
    assert!(table.contains("| sigma_max=2 | 1 |") && table.contains("| sigma_max=0.5 | 1 |"), "{table}");
    let runs = results(&folder, "c")["runs"].clone();
    assert_ne!(runs[0]["points"], runs[1]["points"], "both trained alike");
    let again = run(&folder, &format!("{line} --resume --vary sigma-max=2,1"));
    again.fails(2, &["--vary sigma_max=2,0.5", "--vary sigma_max=2,1"]);
    let other = run(&folder, "compare --data gaussians --out d --methods diffratio,vsd --vary r1=0,1");
    other.fails(2, &["--vary r1", "vsd does not read"]);
    assert!(!folder.path().join("d").exists());
}

#[test]
fn a_comparison_that_is_interrupted_goes_on_to_the_same_numbers() {
    let folder = folder();
    run(&folder, &format!("{TWO} --out whole")).ok();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{WITH_SIGNALS} {} {TWO} --out parts", program().display())]);
    shell.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = shell.spawn().unwrap();
    wait_for(&folder.path().join("parts/runs/dmd-1/curve.json"));
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let ended = Run::from(child.wait_with_output().unwrap());
    assert!(ended.code == Some(1) && ended.stderr.contains("--resume goes on"), "{}", ended.stderr);
    let first = results(&folder, "parts");
    assert_eq!(first["runs"].as_array().unwrap().len(), 1, "the second run was finished: nothing was interrupted");
    // As if the device were faster now: more turns would fit. The run that goes on is the one that was begun.
    let file = folder.path().join("parts/results.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("0.06 TFLOP"), "{text}");
    std::fs::write(&file, text.replace("0.06 TFLOP", "0.09 TFLOP")).unwrap();
    let two = TWO.replace("60GFLOP", "90GFLOP");
    let on = run(&folder, &format!("{} --out parts --resume", two.replace(" -q", "")));
    assert!(on.stderr.contains("2 of 2: dmd with seed 1: kl_grid_20k "), "{}", on.stderr);
    let table = on.ok();
    assert!(table.contains("| vsd | 1 |") && table.contains("| dmd | 1 |"), "{table}");
    let [whole, parts] = ["whole", "parts"].map(|out| results(&folder, out));
    for (whole, parts) in whole["runs"].as_array().unwrap().iter().zip(parts["runs"].as_array().unwrap()) {
        for what in ["method", "points", "turns", "tflop"] {
            assert_eq!(whole[what], parts[what]);
        }
        assert_eq!((whole["points"].as_array().unwrap().len(), &whole["turns"][0][0]), (8, &"warm-up".into()));
    }
    let runs = names(&folder.path().join("parts/runs"));
    let shared = runs.iter().filter(|name| name.starts_with("warm-up-")).count();
    assert_eq!((runs.len(), shared), (3, 1), "one warm-up for both: {runs:?}");
    let other = run(&folder, &format!("{two} --out parts --resume --lr-generator 1e-4"));
    other.fails(2, &["parts", "--width 16", "goes on with the same settings", "--lr-generator 0.0001"]);
    for file in ["table.md", "samples.png", "curves.png", "curves.svg"] {
        assert!(folder.path().join("parts").join(file).is_file(), "{file}");
    }
}

#[test]
fn comparisons_that_cannot_be_are_one_line_and_leave_nothing() {
    let folder = folder();
    let refused = |line: &str, words: &[&str]| run(&folder, line).fails(2, words);
    refused("compare --methods vsd,dmdd", &["--methods dmdd", "known", "diffratio"]);
    refused("compare --methods vsd,vsd", &["vsd is named twice"]);
    refused("compare --resume --out there", &["there", "--resume wants the folder of a comparison"]);
    refused("compare --data a-name", &["a-name"]);
    refused("compare --methods vsd --lr-generator 7", &["lr_generator"]);
    refused("compare --methods denoise,flow --alpha 1", &["alpha", "none of the methods"]);
    refused("compare --methods msd,dmd", &["msd", "--classes"]);
    // What would be overwritten without a word.
    refused("compare --method vsd", &["--method:", "--methods LIST"]);
    refused("compare --seed 7", &["--seed:", "--seeds N"]);
    refused("compare --steps 100", &["--steps:", "--budget"]);
    for limit in ["--minutes 1", "--duration 1"] {
        refused(&format!("compare {limit}"), &["a run ends when its --budget is spent"]);
    }
    for flag in ["--snap", "--tick", "--keep-last"] {
        refused(&format!("compare {flag} 10"), &[flag, "leave it out"]);
    }
    refused("compare --vary steps=100,2000", &["--vary", "steps: follow from --budget"]);
    refused("compare --methods dmd --guidance 3", &["guidance = 3", "--classes"]);
    refused("compare --methods dmd --vary guidance=1,3", &["guidance = ", "--classes"]);
    refused("compare --sigma-max 3 --vary sigma-max=2,1", &["--sigma-max:", "--vary has the values"]);
    assert_eq!(names(folder.path()), [""; 0]);
    std::fs::create_dir(folder.path().join("there")).unwrap();
    refused("compare --out there", &["--out there", "--resume", "another folder"]);
    assert_eq!(names(&folder.path().join("there")), [""; 0]);
}

/// They were neither read nor told of.
#[test]
fn variables_are_settings_of_a_comparison_too() {
    let folder = folder();
    let with = |variable: &str, value: &str, line: &str| -> Run {
        let args: Vec<&str> = line.split_whitespace().collect();
        command(&folder, &args).env(variable, value).output().expect("the program starts").into()
    };
    with("ONESTEP_BATCH", "many", "compare").fails(2, &["ONESTEP_BATCH = many"]);
    with("ONESTEP_STEPS", "100", "compare").fails(2, &["ONESTEP_STEPS: follow from --budget"]);
    with("ONESTEP_ALPHA", "1", "compare --methods denoise,flow").fails(2, &["ONESTEP_ALPHA: none of the methods"]);
    let told = with("ONESTEP_WIDHT", "16", "compare --seed 7").stderr;
    assert!(told.contains("ONESTEP_WIDHT has no effect"), "{told}");
    assert_eq!(names(folder.path()), [""; 0]);
    let line = "compare --methods diffratio --data gaussians --seeds 1 --budget 1GFLOP --batch 64";
    with("ONESTEP_WIDTH", "16", &format!("{line} --device cpu -q --out c")).ok();
    let results = results(&folder, "c");
    assert_eq!(results["settings"], serde_json::json!(["--preset gaussians", "--batch 64", "--width 16"]));
}

/// Such a comparison ended with an error, after it had loaded its data.
#[test]
fn images_of_any_size_are_compared() {
    let folder = folder();
    let line = "compare --data mnist-10k --resize 8 --methods diffratio --seeds 1 --budget 4GFLOP --width 8 --batch 16";
    let table = run(&folder, &format!("{line} --device cpu -q --out c")).ok();
    assert!(table.contains("| energy_pixels_5k |") && table.contains("| diffratio | 1 |"), "{table}");
    let results = results(&folder, "c");
    let points = results["runs"][0]["points"].as_array().unwrap();
    assert!(points.len() > 1 && points.iter().all(|point| point["values"][0].is_f64()), "{points:?}");
    for file in ["samples.png", "curves.png"] {
        assert!(folder.path().join("c").join(file).is_file(), "{file}");
    }
}
