//! `onestep claim`.

use crate::{folder, names, run};

#[test]
fn claims_are_listed() {
    let folder = folder();
    let list = run(&folder, "claim").ok();
    assert!(list.lines().any(|line| line.starts_with("cd ")) && list.contains("teacher"), "{list}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn claims_that_cannot_be_tried_are_one_line_and_leave_nothing() {
    let folder = folder();
    let refused = |line: &str, words: &[&str]| run(&folder, line).fails(2, words);
    refused("claim cdd", &["cdd", "no such claim", "known", "cd"]);
    refused("claim cd --resume --out there", &["there/claim.json"]);
    refused("claim cd --seeds 0", &["seeds"]);
    refused("claim cd --quick --docs docs", &["--quick"]);
    assert_eq!(names(folder.path()), [""; 0]);
    std::fs::create_dir(folder.path().join("there")).unwrap();
    refused("claim cd --out there", &["--out there", "--resume", "another folder"]);
    assert_eq!(names(&folder.path().join("there")), [""; 0]);
}
