//! `onestep lab`.

use serde_json::Value;
use tempfile::TempDir;

use crate::{folder, mlp, names, run, write_models};

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

/// Of the most candidates, the same samples are kept as by `eval --best-of` and `--resample`.
#[test]
fn a_choice_is_judged_as_eval_judges_it() {
    let folder = folder();
    write_models(&folder, &mlp(), "gaussians8");
    let model = "--model generator-000001.safetensors --device cpu -q --num 200 --metrics kl-grid,energy-distance";
    run(&folder, &format!("lab judge {model} --candidates 4,1,2 --out judge")).ok();
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    let record: Value = serde_json::from_str(&read("judge/lab-judge.json")).unwrap();
    let rows: Vec<_> = record["runs"].as_array().unwrap().iter().collect();
    let named = |row: &&Value| (row["way"].as_str().unwrap().to_owned(), row["candidates"].as_u64().unwrap());
    let wanted = [("best", 1), ("best", 2), ("best", 4), ("resample", 2), ("resample", 4)];
    assert_eq!(rows.iter().map(named).collect::<Vec<_>>(), wanted.map(|(way, count)| (way.to_owned(), count)));
    for (row, flags) in [(2, "--best-of 4"), (4, "--resample 4")] {
        let report: Value = serde_json::from_str(&run(&folder, &format!("eval {model} --json {flags}")).ok()).unwrap();
        let metrics = report["metrics"].as_array().unwrap().iter();
        let values: Vec<f64> = metrics.map(|metric| metric["value"].as_f64().unwrap()).collect();
        let found: Vec<f64> = rows[row]["values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!(found, values, "{flags}");
    }
    let table = read("judge/lab-judge.md");
    assert!(table.contains("| best of 4 | ") && table.contains("--candidates 1,2,4"), "{table}");
    assert!(read("judge/lab-judge.svg").contains("kl_grid") && folder.path().join("judge/lab-judge.png").is_file());
    run(&folder, &format!("lab judge {model} --candidates 0 --out judge")).fails(2, &["--candidates", "0"]);
    run(&folder, &format!("lab judge {model} --ratio there --out judge")).fails(2, &["there"]);
    std::fs::remove_file(folder.path().join("ratio-000001.safetensors")).unwrap();
    run(&folder, &format!("lab judge {model} --out judge")).fails(2, &["ratio-000001", "--ratio"]);
}
