//! The runs in the list of the first sight.

use std::path::PathBuf;

use egui_kittest::kittest::Queryable;
use onestep::gui::egui;
use onestep_core::session::End;
use tempfile::TempDir;

use super::harness::{Gui, checkpoints, click, iterations, small, start_small, state, until};

/// A folder with a run that was stopped.
fn stopped() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    (folder, run)
}

/// What the window says that it did not do.
fn refused(gui: &Gui) -> String {
    assert!(gui.query_by_label("That did not work.").is_some());
    state(gui).run.refused.clone().unwrap_or_default()
}

/// Dozens of runs were called `gaussians8-diffratio-b512`, and nothing in the window could tell them apart.
#[test]
fn a_run_in_the_list_gets_another_name_and_goes_on() {
    let (folder, run) = stopped();
    let mut gui = small(&folder);
    click(&mut gui, "More for 00000-gaussians8-diffratio-b128");
    click(&mut gui, "Rename…");
    let field = |gui: &Gui, text: &str| {
        gui.get_by_role_and_label(egui::Role::TextInput, "Name, behind its number").set_text_value_accesskit(text);
    };
    field(&gui, "..");
    gui.run_steps(3);
    click(&mut gui, "Rename");
    assert!(refused(&gui).contains("is no name for a run") && run.exists());
    click(&mut gui, "More for 00000-gaussians8-diffratio-b128");
    click(&mut gui, "Rename…");
    field(&gui, "half the rate");
    gui.run_steps(3);
    click(&mut gui, "Rename");
    assert!(!run.exists() && run.with_file_name("00000-half-the-rate").is_dir());
    click(&mut gui, "Continue 00000-half-the-rate");
    until(&mut gui, "it goes on", |w| w.run.opened.as_ref().is_some_and(|o| iterations(w) > o.resumed_at));
}

#[test]
fn a_run_is_deleted_only_after_a_question() {
    let (folder, run) = stopped();
    let mut gui = small(&folder);
    let ask = |gui: &mut Gui| {
        click(gui, "More for 00000-gaussians8-diffratio-b128");
        click(gui, "Delete…");
        assert!(gui.query_by_label("Delete 00000-gaussians8-diffratio-b128?").is_some());
    };
    ask(&mut gui);
    click(&mut gui, "Leave it");
    assert!(run.join("latest.json").is_file());
    // Another program begins to train in it while the question is open.
    ask(&mut gui);
    let log = std::fs::File::open(run.join("log.txt")).unwrap();
    log.lock().unwrap();
    click(&mut gui, "Delete for good");
    assert!(refused(&gui).contains("another program is training"), "{}", refused(&gui));
    assert!(run.join("latest.json").is_file());
    drop(log);
    click(&mut gui, "Dismiss");
    drop(gui);
    let mut gui = small(&folder);
    ask(&mut gui);
    click(&mut gui, "Delete for good");
    assert!(!run.exists());
    assert!(gui.query_by_label("More for 00000-gaussians8-diffratio-b128").is_none());
}
