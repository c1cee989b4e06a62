//! A run from its start to its end: begun, saved, gone on with, ended.

use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use onestep::gui::egui::{self, Key, ViewportCommand};
use onestep::gui::run::State;
use onestep::gui::window::Window;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::session::{End, Flow, Request, Session, Start};
use onestep_core::train::{Config, Divergence, Preset, TrainingData};

use super::harness::{
    ask_to_close, checkpoints, click, commands, curve, drop_file, iterations, press, saved_step, settle, small,
    start_small, state, type_character, type_number, until, window_in,
};

#[test]
fn a_preset_trains_from_one_click_and_the_knobs_act_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "gaussians");
    until(&mut gui, "there is a quality", |w| w.run.view.as_ref().is_some_and(|v| v.quality.is_some()));
    let kl = |w: &Window| w.run.view.as_ref().and_then(|v| v.quality.as_ref()).map_or(f64::NAN, |q| q.kl);
    let first = kl(state(&gui));
    assert!(first > 0.5, "untrained samples are far from the data, not {first}");
    click(&mut gui, "Pause");
    until(&mut gui, "it waits", |w| w.run.state == State::Paused);
    settle(&mut gui);

    click(&mut gui, "Slow motion");
    let before = state(&gui).run.view.as_ref().expect("a view").counters.clone();
    // Its first moment computes nothing, and lasts until the button is pressed.
    gui.get_by_role_and_label(egui::Role::Slider, "Seconds per moment").set_value_accesskit(6.0);
    gui.run_steps(2);
    click(&mut gui, "Ratio step");
    until(&mut gui, "one ratio update more", |w| {
        w.run.view.as_ref().is_some_and(|v| v.counters.of("ratio") == before.of("ratio") + 1)
    });
    click(&mut gui, "Generator step");
    until(&mut gui, "one generator update more", |w| {
        w.run.view.as_ref().is_some_and(|v| v.counters.of("generator") == before.of("generator") + 1)
    });
    // Its clock stands still until it is set going again: many moments later, no step has come between.
    gui.run_steps(100);
    settle(&mut gui);
    let counters = |w: &Window| w.run.view.as_ref().expect("a view").counters.clone();
    let made = ["ratio", "generator"].map(|update| counters(state(&gui)).of(update) - before.of(update));
    assert_eq!(made, [1, 1], "steps by hand, and no others");
    click(&mut gui, "By itself");
    until(&mut gui, "it makes steps again", |w| counters(w).of("ratio") > before.of("ratio") + 1);

    gui.get_by_label("Play").click();
    until(&mut gui, "the samples are closer", |w| kl(w) < 0.6 * first);
    assert!(iterations(state(&gui)) > 0);
}

/// The first of them was loaded, saved at its first step, and left in the list.
#[test]
fn a_double_click_on_a_preset_starts_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    for _ in 0..2 {
        // What a click does; the second may come within a frame.
        gui.state_mut().as_mut().expect("a window").start_preset("gaussians", true);
    }
    until(&mut gui, "some steps are done", |w| w.run.state == State::Playing && iterations(w) >= 3);
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    assert_eq!(state(&gui).run.generation, 1);
    let runs = folder.path().read_dir().unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(runs.count(), 1);
}

#[test]
fn save_and_open_again_goes_on_at_the_same_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 25);
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    let saved = state(&gui).run.saved_at.expect("a checkpoint");
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    assert!(run.join("latest.json").is_file());
    drop(gui);

    let mut gui = small(&folder);
    assert!(gui.query_by_label("A run was interrupted.").is_none(), "it was stopped, not interrupted");
    click(&mut gui, "Open…");
    gui.get_by_role_and_label(egui::Role::TextInput, "Path").set_text_value_accesskit(&run.display().to_string());
    gui.step();
    click(&mut gui, "Open file");
    until(&mut gui, "the run is open", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at == saved));
    until(&mut gui, "it goes on", |w| iterations(w) > saved);
    // Reset means the first step, also of a run that was gone on with.
    click(&mut gui, "Reset");
    until(&mut gui, "it begins anew", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at == 0));
}

#[test]
fn another_preset_saves_the_run_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    for step in 1..=3 {
        type_character(&mut gui, ".");
        until(&mut gui, "one step more", |w| iterations(w) == step);
    }
    let first = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    assert_eq!(saved_step(&first), 0);
    click(&mut gui, "New run");
    click(&mut gui, "rings");
    until(&mut gui, "the other run is open", |w| {
        w.run.opened.as_ref().is_some_and(|o| o.data == "rings") && w.run.view.is_some()
    });
    assert_eq!(saved_step(&first), 3, "the first run was saved");
}

#[test]
fn closing_asks_and_saves() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    ask_to_close(&mut gui);
    assert!(commands(&gui).contains(&ViewportCommand::CancelClose));
    gui.step();
    click(&mut gui, "Go on");
    assert_eq!(state(&gui).run.state, State::Playing);
    ask_to_close(&mut gui);
    gui.step();
    gui.get_by_label("Save and close").click();
    let start = Instant::now();
    while !commands(&gui).contains(&ViewportCommand::Close) {
        assert!(start.elapsed() < Duration::from_mins(1), "the window does not close");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(state(&gui).ended(End::Stopped));
    settle(&mut gui);
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    assert_eq!(saved_step(&run), iterations(state(&gui)), "its last step was saved");
}

#[test]
fn a_killed_run_is_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    let saved = state(&gui).run.saved_at;
    // What a crash leaves: a log that does not end with the end.
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    drop(gui);
    let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
    let cut: Vec<&str> = log.lines().filter(|line| !line.contains("\"done\"")).collect();
    std::fs::write(run.join("log.txt"), cut.join("\n")).unwrap();
    // One that came before its first checkpoint had a name: only the command line went on from it.
    std::fs::remove_file(run.join("latest.json")).unwrap();

    let mut gui = small(&folder);
    click(&mut gui, "Continue from its checkpoint");
    until(&mut gui, "the run is open", |w| w.run.opened.as_ref().is_some_and(|o| Some(o.resumed_at) >= saved));
}

#[test]
fn a_run_that_is_over_can_be_trained_longer() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 6, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    click(&mut gui, "Train longer");
    until(&mut gui, "it goes on", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at == 6 && o.config.steps == 12));
    until(&mut gui, "it comes to its end again", |w| w.ended(End::Finished) && iterations(w) == 12);
}

/// Its steps were doubled, and it was over again at once.
#[test]
fn a_run_that_ended_by_its_images_can_be_trained_longer() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    // Of 128 points a step, 1000 are drawn after 8 steps.
    let config = Config { batch: 128, width: 16, blocks: 2, critic_steps: 1, duration: 1, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished) && iterations(w) == 8);
    click(&mut gui, "Train longer");
    until(&mut gui, "it comes to its end again", |w| w.ended(End::Finished) && iterations(w) == 16);
}

/// Its steps were forgotten: to stop it and to continue was to be finished at once.
#[test]
fn a_run_that_is_trained_longer_and_stopped_goes_on_to_its_new_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 400, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    click(&mut gui, "Train longer");
    until(&mut gui, "it goes on", |w| w.run.is_open() && w.run.opened.as_ref().is_some_and(|o| o.resumed_at == 400));
    click(&mut gui, "Stop");
    until(&mut gui, "it is stopped", |w| w.ended(End::Stopped));
    assert!(iterations(state(&gui)) < 800);
    click(&mut gui, "Continue");
    until(&mut gui, "it comes to its new end", |w| w.ended(End::Finished) && iterations(w) == 800);
}

/// What the window changed is in the checkpoint, and in all that comes after it: the bits are those of a run that had
/// these settings from its start, and was never stopped.
#[test]
fn a_run_that_was_changed_and_trained_longer_equals_one_that_began_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    let tiny = Config { batch: 128, width: 16, blocks: 2, critic_steps: 1, tick: 5, cooldown: 0.0, ..preset };
    let config = Config { steps: 6, ..tiny.clone() };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    type_number(&mut gui, "Critic's learning rate", "0.004");
    press(&mut gui, Key::Enter);
    click(&mut gui, "Divergence");
    click(&mut gui, "js");
    until(&mut gui, "both are set", |w| {
        let config = w.run.view.as_ref().map(|view| (view.config.lr_critic, view.config.divergence.name()));
        config == Some((0.004, "js"))
    });
    click(&mut gui, "Play");
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    click(&mut gui, "Train longer");
    until(&mut gui, "it comes to its end again", |w| w.ended(End::Finished) && iterations(w) == 12);
    let changed = std::fs::read(checkpoints(state(&gui)).join("state-000012/state.safetensors")).unwrap();

    let config = Config { steps: 12, lr_critic: 0.004, divergence: Divergence::Js, ..tiny };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config.clone()), transfer: None };
    let request = Request { start, outdir: Some(folder.path().join("whole")) };
    let data = TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    let executor = Executor::Cpu(CpuExecutor::new());
    let mut session = Session::open(&request, executor, data, Box::new(|_| ()), Box::new(|| Duration::ZERO)).unwrap();
    while pollster::block_on(session.advance()).unwrap() != Flow::End {}
    let whole = session.folder().expect("it has one").join("checkpoints/state-000012/state.safetensors");
    assert!(changed == std::fs::read(whole).unwrap(), "the run in the window has other weights");
}

#[test]
fn a_run_is_discarded_only_when_that_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    assert!(gui.query_by_label("Discard").is_none(), "it does not lie beside Stop");
    click(&mut gui, "More");
    click(&mut gui, "Discard");
    click(&mut gui, "Go on");
    assert!(state(&gui).run.is_open());
    click(&mut gui, "More");
    click(&mut gui, "Discard");
    click(&mut gui, "End without saving");
    until(&mut gui, "it has ended", |w| w.ended(End::Discarded));
    assert!(checkpoints(state(&gui)).read_dir().unwrap().count() > 0, "what was saved before stays");
}

#[test]
fn the_quality_of_a_run_survives_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 25);
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    let saved = state(&gui).run.saved_at.expect("a checkpoint");
    until(&mut gui, "its end was looked at", |w| iterations(w) == saved);
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    let before = curve(&gui, &folder, "Quality/kl_grid");
    assert!(before.len() >= 2 && before.last().is_some_and(|(step, _)| *step == saved), "{before:?}, {saved}");
    drop(gui);

    let mut gui = small(&folder);
    drop_file(&mut gui, &run);
    until(&mut gui, "the run is open again", |w| w.run.is_open() && w.run.view.is_some());
    let after = curve(&gui, &folder, "Quality/kl_grid");
    assert_eq!(after[..before.len()], before);
    // Another run can be compared with it.
    start_small(&mut gui, 1_000_000, false);
    gui.state_mut().as_mut().expect("a window").run.charts.compare(&run).unwrap();
    gui.run_steps(2);
    assert!(gui.query_by_label_contains("Quality: KL on a grid").is_some());
}

#[test]
fn a_program_that_is_told_to_end_asks_nothing_and_saves() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    let context = gui.ctx.clone();
    gui.state_mut().as_mut().expect("a window").leave(&context);
    gui.step();
    assert!(commands(&gui).contains(&ViewportCommand::Close));
    ask_to_close(&mut gui);
    assert!(!commands(&gui).contains(&ViewportCommand::CancelClose));
    assert!(gui.query_by_label("A run is open").is_none(), "nobody is there to answer");
    drop(gui);
    assert!(saved_step(&run) >= 3, "from its first step on there is a checkpoint");
    let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.lines().last().is_some_and(|line| line.contains("\"stopped\"")), "{log}");
}

/// The folder of runs was relative and the dropped path was not: the run saved its end, which removed that checkpoint.
#[test]
fn a_checkpoint_of_the_open_run_that_is_dropped_stays_there() {
    let folder = tempfile::tempdir().unwrap();
    let outdir = folder.path().join("runs");
    std::fs::create_dir(&outdir).unwrap();
    let mut gui = window_in(outdir.join("../runs"), [1280.0, 800.0], "cpu");
    let preset = Preset::find("gaussians").expect("a preset").config();
    let config = Config { batch: 128, width: 16, blocks: 2, keep_last: 1, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    click(&mut gui, "Step");
    until(&mut gui, "one step is done", |w| iterations(w) == 1);
    press(&mut gui, Key::S);
    until(&mut gui, "it is saved", |w| w.run.saved_at == Some(1));
    click(&mut gui, "Step");
    until(&mut gui, "two steps are done", |w| iterations(w) == 2);
    let checkpoint = checkpoints(state(&gui)).join("state-000001").canonicalize().unwrap();
    drop_file(&mut gui, &checkpoint);
    until(&mut gui, "it went back", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at == 1) && w.run.is_open());
    assert!(checkpoint.is_dir());
}

/// Reset of a run that was gone on with began from random weights.
#[test]
fn a_resumed_run_begins_anew_with_the_weights_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 3, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished) && w.run.snapshot.is_some());
    let weights = state(&gui).run.snapshot.clone().expect("a snapshot").canonicalize().unwrap();
    let opened = state(&gui).run.opened.clone().expect("a run");
    let (preset, config, generation) = ("gaussians".to_owned(), Box::new(opened.config), state(&gui).run.generation);
    let start = Start::New { preset, config, transfer: Some(weights.clone()) };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    until(&mut gui, "the next one, too", |w| w.run.generation > generation && w.ended(End::Finished));
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    let generation = state(&gui).run.generation;
    drop_file(&mut gui, &run);
    until(&mut gui, "it is open again", |w| w.run.generation > generation && w.ended(End::Finished));
    let Some(Start::New { transfer, .. }) = state(&gui).run.start_again() else { panic!("it can begin anew") };
    assert_eq!(transfer, Some(weights));
}

/// Nothing went on while it was minimised: it closed, or did what was to follow, when it was looked at again.
#[test]
fn a_hidden_window_closes_when_its_run_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    ask_to_close(&mut gui);
    gui.step();
    gui.get_by_label("Save and close").click();
    until(&mut gui, "it is told to end", |w| !matches!(w.run.state, State::Playing));
    // From here on there are no frames.
    let (context, start) = (gui.ctx.clone(), Instant::now());
    let mut closes = false;
    while !closes {
        assert!(start.elapsed() < Duration::from_mins(1), "the window does not close");
        let window = gui.state_mut().as_mut().expect("a window");
        let output = context.run_logic(&egui::RawInput::default(), |context| window.logic(context));
        closes = output.viewport_commands.values().flatten().any(|command| *command == ViewportCommand::Close);
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(state(&gui).ended(End::Stopped));
}
