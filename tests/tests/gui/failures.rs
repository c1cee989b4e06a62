//! What goes wrong, and how a person gets on.

use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use onestep::gui::egui::ViewportCommand;
use onestep::gui::run::State;
use onestep::gui::window::Window;
use onestep_core::session::Start;
use onestep_core::train::{Config, Preset};

use super::harness::{
    ask_to_close, checkpoints, click, commands, drop_file, iterations, settle, small, start_small, state,
    type_character, until, window,
};

#[test]
fn bad_drops_are_told_of_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let files = tempfile::tempdir().unwrap();
    for (name, content) in [("cut.safetensors", "abc"), ("settings.toml", "batch = 0"), ("noise.bin", "no data set")] {
        let path = files.path().join(name);
        std::fs::write(&path, content).unwrap();
        let steps = iterations(state(&gui));
        drop_file(&mut gui, &path);
        let tells = |w: &Window| w.run.refused.as_ref().is_some_and(|m| m.contains(name) || m.contains("batch"));
        until(&mut gui, "the window says what is wrong", tells);
        click(&mut gui, "Dismiss");
        until(&mut gui, "the run goes on", |w| w.run.state == State::Playing && iterations(w) > steps);
    }
}

#[test]
fn a_lost_device_is_a_banner_and_the_run_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    state(&gui).lose_device();
    until(&mut gui, "the window knows", |w| matches!(&w.run.state, State::Failed(f) if f.device_lost));
    assert!(gui.query_by_label("The GPU was lost.").is_some());
    click(&mut gui, "Continue from the last checkpoint");
    until(&mut gui, "the run goes on", |w| w.run.state == State::Playing && w.run.view.is_some());
    assert!(state(&gui).run.opened.as_ref().is_some_and(|o| o.resumed_at > 0));
}

/// Once its banner was dismissed, nothing said that what is shown is dead, and it could not be gone on with.
#[test]
fn a_run_that_failed_says_so_for_as_long_as_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    state(&gui).lose_device();
    until(&mut gui, "the window knows", |w| matches!(&w.run.state, State::Failed(_)));
    click(&mut gui, "Dismiss");
    assert!(gui.query_by_label("The GPU was lost.").is_none(), "the banner is gone");
    let words = format!("The run failed. This is what it was at step {}.", iterations(state(&gui)));
    assert!(gui.query_by_label(&words).is_some() && gui.query_by_label("failed").is_some());
    click(&mut gui, "Continue");
    until(&mut gui, "the run goes on", |w| w.run.state == State::Playing && w.run.view.is_some());
    assert!(gui.query_by_label(&words).is_none());
}

#[test]
fn a_destroyed_gpu_is_a_banner_and_the_run_goes_on_on_the_processor() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = window(&folder, [1280.0, 800.0], "gpu");
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    state(&gui).lose_device();
    until(&mut gui, "the window knows", |w| matches!(&w.run.state, State::Failed(f) if f.device_lost));
    click(&mut gui, "Continue on the processor");
    until(&mut gui, "the run goes on", |w| w.run.state == State::Playing && w.run.view.is_some());
    assert!(state(&gui).run.opened.as_ref().is_some_and(|o| o.device.starts_with("cpu") && o.resumed_at > 0));
}

#[test]
fn a_run_goes_on_on_another_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = window(&folder, [1280.0, 800.0], "gpu");
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    click(&mut gui, "Machine");
    click(&mut gui, "Train on");
    click(&mut gui, "processor");
    until(&mut gui, "it is on the processor", |w| {
        w.run.opened.as_ref().is_some_and(|o| o.device.starts_with("cpu") && o.resumed_at >= 3) && w.run.is_open()
    });
    let there = iterations(state(&gui));
    until(&mut gui, "it goes on there", |w| iterations(w) > there);
}

#[test]
fn a_run_that_does_not_fit_on_the_device_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = window(&folder, [1280.0, 800.0], "gpu");
    let preset = Preset::find("mnist").expect("a preset").config();
    let config = Config { batch: 65_536, width: 64, ..preset };
    let start = Start::New { preset: "mnist".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    let told = |w: &Window| {
        w.run.refused.clone().or_else(|| match &w.run.state {
            State::Failed(failure) => Some(failure.message.clone()),
            _ => None,
        })
    };
    until(&mut gui, "the window says so", |w| told(w).is_some());
    let message = told(state(&gui)).unwrap_or_default();
    assert!(message.contains("needs") && message.contains("allows"), "{message}");
    click(&mut gui, "Dismiss");
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "another run trains", |w| iterations(w) >= 1);
}

/// It closed without a word, and what had been learned since the last checkpoint was gone.
#[test]
fn a_window_whose_run_cannot_be_saved_stays_open_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    type_character(&mut gui, ".");
    until(&mut gui, "a step is done", |w| iterations(w) == 1);
    settle(&mut gui);
    let checkpoints = checkpoints(state(&gui));
    std::fs::remove_dir_all(&checkpoints).unwrap();
    std::fs::write(&checkpoints, "in the way").unwrap();
    ask_to_close(&mut gui);
    gui.step();
    gui.get_by_label("Save and close").click();
    let start = Instant::now();
    while !matches!(state(&gui).run.state, State::Failed(_)) {
        assert!(start.elapsed() < Duration::from_mins(1), "it does not fail");
        gui.step();
        assert!(!commands(&gui).contains(&ViewportCommand::Close), "it closes");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    gui.step();
    assert!(!commands(&gui).contains(&ViewportCommand::Close), "it closes");
    assert!(gui.query_by_label("The run could not go on.").is_some());
    ask_to_close(&mut gui);
    assert!(!commands(&gui).contains(&ViewportCommand::CancelClose), "it can be closed then");
}
