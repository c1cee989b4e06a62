//! Disks that fail, and power that goes: whatever a run had told to be saved is there, and it goes on to the same end.
//!
//! `cargo xtask fault --disk` tries every call of a run; by itself this tries some.

mod model;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tempfile::TempDir;

use self::model::{Disk, Loss, Tree};
use self::record::{Call, Deed, can_watch, failing, record};
use crate::crash::{asked, content, has_checkpoint, only_run};
use crate::mutants::helps;
use crate::{folder, names, run};

const LINE: &str = "train -q --preset gaussians --device cpu --deterministic --width 16 --batch 32 --steps 30 --snap 10 \
                    --tick 5 --keep-last 2";
const GO_ON: &str = "train -q --device cpu --deterministic --resume latest";

/// Of so many calls, one is tried.
fn every() -> usize {
    asked("FAULT_EVERY", 25) as usize
}

/// What the run comes to that nothing happens to.
fn undisturbed() -> BTreeMap<String, Vec<u8>> {
    let folder = folder();
    run(&folder, LINE).ok();
    content(&only_run(&folder).unwrap())
}

/// Goes on with the run in a folder: it comes to its end, and leaves nothing but that, whatever became of its
/// statistics if none are wanted. A run that `may_be_lost` may have no checkpoint yet, and says so.
fn goes_on(folder: &TempDir, wanted: &BTreeMap<String, Vec<u8>>, may_be_lost: bool, what: &str) {
    let said = run(folder, GO_ON);
    if may_be_lost && said.code == Some(2) {
        assert!(helps(&said.stderr, "runs"), "{what}: {}", said.stderr);
        return;
    }
    assert_eq!(said.code, Some(0), "{what}: {}", said.stderr);
    let run = only_run(folder).unwrap();
    let mut got = content(&run);
    let is_line = |name: &String| name.starts_with("stats.jsonl");
    got.retain(|name, _| !is_line(name) || wanted.keys().any(is_line));
    // One that was about to be removed may stay.
    got.retain(|name, _| !name.starts_with("checkpoints/") || wanted.contains_key(name));
    assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{what}: other files");
    for (name, bytes) in wanted {
        assert!(got[name] == *bytes, "{what}: {name} is another one");
    }
    for part in [&run, &run.join("checkpoints"), &run.join("samples"), &run.join("snapshots")] {
        assert!(names(part).iter().all(|name| !name.starts_with('.')), "{what}: {:?}", names(part));
    }
}

/// Cuts the power after calls of a program; how many different disks that left.
fn cut_power(mut disk: Disk, calls: &[Call], mut has_begun: bool, wanted: &BTreeMap<String, Vec<u8>>) -> usize {
    const LOSSES: [Loss; 6] = [Loss::Nothing, Loss::Everything, Loss::Bytes, Loss::Zeros, Loss::Some(1), Loss::Some(2)];
    let is_outdir = |path: &Path| path.ends_with("runs");
    let mut seen: BTreeSet<Tree> = BTreeSet::new();
    let mut is_named = false;
    for (i, call) in calls.iter().enumerate() {
        disk.apply(&call.deed);
        // From here on, the run is there.
        is_named |= matches!(&call.deed, Deed::Rename(_, to) if to.ends_with("latest.json"));
        has_begun |= is_named && matches!(&call.deed, Deed::Sync(path) if path.parent().is_some_and(is_outdir));
        if !i.is_multiple_of(every()) {
            continue;
        }
        for loss in LOSSES {
            let tree = disk.after(loss);
            if seen.insert(tree.clone()) {
                let folder = folder();
                model::write(&tree, folder.path());
                goes_on(
                    &folder,
                    wanted,
                    !has_begun,
                    &format!("call {i}, {}, loss of {loss:?}", call.deed.path().display()),
                );
            }
        }
    }
    assert!(has_begun, "the run has a checkpoint");
    seen.len()
}

#[test]
fn a_run_survives_that_the_power_goes_at_any_moment() {
    if !can_watch() {
        return;
    }
    let wanted = undisturbed();
    let begin = folder();
    let empty = Disk::of(begin.path());
    let calls = record(&begin, LINE);
    let disks = cut_power(empty.clone(), &calls, false, &wanted);
    // One that was killed goes on, and the power goes again.
    let mut killed = empty;
    calls[..calls.len() * 3 / 4].iter().for_each(|call| killed.apply(&call.deed));
    let again = folder();
    model::write(&killed.after(Loss::Nothing), again.path());
    let killed = Disk::of(again.path());
    let more = record(&again, GO_ON);
    let others = cut_power(killed, &more, true, &wanted);
    println!("{} and {} calls, {disks} and {others} disks: all went on to the same end", calls.len(), more.len());
}

#[test]
fn a_run_on_a_failing_disk_says_so_and_goes_on_where_there_is_a_better_one() {
    if !can_watch() {
        return;
    }
    let wanted = undisturbed();
    let mut states = wanted.clone();
    states.retain(|name, _| !name.starts_with("stats.jsonl"));
    let calls = record(&folder(), LINE);
    let mut tried = 0;
    for call in calls.iter().step_by(every()) {
        let error = match &call.name[..] {
            "write" => "ENOSPC",
            "mkdir" | "openat" => "EROFS",
            _ => "EIO",
        };
        for for_good in [false, true] {
            let folder = folder();
            let said = failing(&folder, LINE, &call.name, error, call.number, for_good);
            let path = call.deed.path().display();
            let what = format!("{} {} ({path}), for good: {for_good}", call.name, call.number);
            let last = said.stderr.lines().last().unwrap_or_default();
            match said.code {
                Some(0) => {}
                // Nor can it write to the pipe that is read here.
                Some(1 | 2) if call.name == "write" && for_good => {}
                Some(1 | 2) => assert!(last.starts_with("error: ") && helps(last, "runs"), "{what}: {}", said.stderr),
                code => panic!("{what}: {code:?}, {}", said.stderr),
            }
            tried += 1;
            if only_run(&folder).is_some_and(|run| has_checkpoint(&run)) {
                // A line of statistics that could not be written is lost, and no reason to end a run.
                let is_line = call.deed.path().ends_with("stats.jsonl");
                goes_on(&folder, if is_line { &states } else { &wanted }, false, &what);
            } else {
                run(&folder, GO_ON).fails(2, &["runs"]);
            }
        }
    }
    println!("{} calls, {tried} failures", calls.len());
}
