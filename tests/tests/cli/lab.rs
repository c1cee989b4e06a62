//! `onestep lab`.

use serde_json::Value;
use tempfile::TempDir;

use crate::{folder, names, run};

/// Two students in the plane, with networks that learn next to nothing.
const TINY: &str = "lab bias --quick --dims 2 --distances near,far --width 4 --batch 8 --device cpu -q";

fn results(folder: &TempDir, out: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.path().join(out).join("results.json")).unwrap()).unwrap()
}

/// Without the time that it took.
fn timeless(mut results: Value) -> Value {
    for cell in results["cells"].as_array_mut().unwrap() {
        cell["secs"] = 0.into();
    }
    results
}

#[test]
fn the_bias_laboratory_measures_every_way_and_goes_on_where_it_was() {
    let folder = folder();
    let table = run(&folder, &format!("{TINY} --out whole")).ok();
    for row in
        ["| 2 | near | two denoisers |", "| 2 | far | ratio, equal FLOP |", "| 2 | far | ratio, equal parameters |"]
    {
        assert!(table.contains(row), "{table}");
    }
    let files = ["field.png", "field.svg", "gradient.png", "gradient.svg", "results.json", "table.md"];
    assert_eq!(names(&folder.path().join("whole")), files);
    let whole = results(&folder, "whole");
    for cell in whole["cells"].as_array().unwrap() {
        let ways = cell["ways"].as_array().unwrap();
        let [denoisers, equal_flop, equal_parameters] = [0, 2, 3].map(|i| &ways[i]);
        let number = |way: &Value, what: &str| way[what].as_f64().unwrap();
        let ratio_of = |what, way| number(way, what) / number(denoisers, what);
        // As near as whole steps and whole widths come.
        assert!((ratio_of("gflop", equal_flop) - 1.0).abs() < 0.02, "{ways:?}");
        assert!((ratio_of("parameters", equal_parameters) - 1.0).abs() < 0.15, "{ways:?}");
        for run in ways.iter().flat_map(|way| way["runs"].as_array().unwrap()) {
            let field = run["field"].as_array().unwrap();
            assert!(field.len() == 8 && field.iter().all(|error| error.as_f64().is_some_and(|x| x > 0.0)), "{run}");
        }
    }
    let mut parts = whole.clone();
    parts["cells"].as_array_mut().unwrap().pop();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/results.json"), parts.to_string()).unwrap();
    run(&folder, &format!("{TINY} --out parts --resume")).ok();
    assert_eq!(timeless(results(&folder, "parts")), timeless(whole));
    run(&folder, &format!("{TINY} --out parts")).fails(2, &["--out parts", "--resume", "another folder"]);
    let other = TINY.replace("--batch 8", "--batch 16");
    run(&folder, &format!("{other} --out parts --resume")).fails(2, &["parts", "--batch 8", "--batch 16"]);
}

#[test]
fn experiments_that_cannot_be_made_are_one_line_and_leave_nothing() {
    let folder = folder();
    let refused = |line: &str, words: &[&str]| run(&folder, line).fails(2, words);
    refused("lab bias --dims 0", &["dims", "0"]);
    refused("lab bias --dims 2,2", &["--dims", "2 is named twice"]);
    refused("lab bias --distances close", &["close", "near, medium, far"]);
    refused("lab bias --distances far,far", &["--distances", "far is named twice"]);
    refused("lab bias --seeds 0", &["seeds"]);
    refused("lab bias --quick --steps 50", &["--quick", "--steps"]);
    refused("lab bias --resume --out there", &["there", "results.json"]);
    refused("lab bias --docs there", &["there", "results.md"]);
    refused("lab bais", &["bais"]);
    assert_eq!(names(folder.path()), [""; 0]);
}
