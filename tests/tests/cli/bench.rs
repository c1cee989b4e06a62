//! `onestep bench --report`: a file that a person can send.

use serde_json::Value;

use super::{folder, names, run};

#[test]
fn a_report_has_the_device_its_peak_and_every_step() {
    let folder = folder();
    let small = "--preset gaussians --batch 32 --width 8 --blocks 1 --repeat 1";
    let printed = run(&folder, &format!("bench -q --device cpu {small} --report mine.json")).ok();
    assert!(printed.contains("multiply-adds in registers"), "{printed}");
    let text = std::fs::read_to_string(folder.path().join("mine.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["format"], "onestep bench report 1");
    assert_eq!(report["machine"]["system"], std::env::consts::OS);
    assert!(report["machine"]["device"].as_str().unwrap().starts_with("cpu"), "{text}");
    assert!(report["machine"]["gpu"].is_null());
    for rate in ["gflop_per_sec", "gb_per_sec"] {
        assert!(report["peak"][rate].as_f64().unwrap() > 0.01, "{text}");
    }
    let steps = report["presets"]["gaussians"]["steps"].as_array().unwrap();
    let steps: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps, ["ratio step", "generator step"]);
    let kernel = &report["presets"]["gaussians"]["steps"][1]["kernels"][0];
    assert!(["ms", "gflop_per_sec", "gb_per_sec", "roofline"].iter().all(|key| kernel[key].is_number()), "{kernel}");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_is_timed() {
    let folder = folder();
    run(&folder, "bench -q --device cpu --report nowhere/mine.json").fails(2, &["nowhere"]);
    assert!(names(folder.path()).is_empty());
}
