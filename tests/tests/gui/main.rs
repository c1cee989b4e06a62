//! The desktop trainer, driven by the labels of its controls as a person or a screen reader would.
//!
//! Real sessions train on the CPU executor (one test on a GPU); nothing is drawn on a screen.

mod controls;
mod harness;

use std::time::{Duration, Instant};

use egui_kittest::kittest::{NodeT, Queryable};
use onestep::gui::egui::{self, Key, Modifiers, ViewportCommand};
use onestep::gui::run::State;
use onestep::gui::window::Window;
use onestep_core::data::write_npy_u8;
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::session::{End, Flow, Request, Session, Start};
use onestep_core::train::{Config, Divergence, Preset, TrainingData};
use tempfile::TempDir;

use harness::{
    Gui, checkpoints, click, drop_file, iterations, press, settle, small, start_digits, start_small, state,
    type_character, until, window,
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

    let before = state(&gui).run.view.as_ref().expect("a view").counters.clone();
    click(&mut gui, "Ratio step");
    until(&mut gui, "one ratio update more", |w| {
        w.run.view.as_ref().is_some_and(|v| v.counters.of("ratio") == before.of("ratio") + 1)
    });
    click(&mut gui, "Generator step");
    until(&mut gui, "one generator update more", |w| {
        w.run.view.as_ref().is_some_and(|v| v.counters.of("generator") == before.of("generator") + 1)
    });

    gui.get_by_label("Play").click();
    until(&mut gui, "the samples are closer", |w| kl(w) < 0.6 * first);
    assert!(iterations(state(&gui)) > 0);
}

#[test]
fn a_knob_acts_and_can_be_undone_by_button_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let rate = |w: &Window| w.run.view.as_ref().map_or(0, |v| v.config.critic_steps);
    let before = rate(state(&gui));
    gui.get_by_role_and_label(egui::Role::SpinButton, "critic steps").set_value_accesskit(3.0);
    gui.step();
    until(&mut gui, "the session has the new value", |w| rate(w) == 3);
    click(&mut gui, "Undo");
    until(&mut gui, "the session has the old value", |w| rate(w) == before);
    click(&mut gui, "Redo");
    until(&mut gui, "the session has the new value again", |w| rate(w) == 3);
    gui.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    until(&mut gui, "the key takes it back, too", |w| rate(w) == before);
}

#[test]
fn settings_of_the_next_run_are_typed_freely() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    let fill = |gui: &mut Gui, knob: &str, text: &str| {
        gui.get_by_role_and_label(egui::Role::TextInput, knob).set_text_value_accesskit(text);
        gui.run_steps(3);
        let field = gui.get_by_role_and_label(egui::Role::TextInput, knob);
        field.value().expect("a text field has text")
    };
    // What is not a number yet stays as it is typed, and says what is wrong.
    assert_eq!(fill(&mut gui, "batch", "12x"), "12x");
    assert!(gui.query_by_label_contains("batch = 12x").is_some());
    assert!(gui.get_by_label("Start with these settings").accesskit_node().is_disabled());
    // An emptied field is the preset's again.
    assert_eq!(fill(&mut gui, "batch", ""), preset.batch.to_string());
    assert_eq!(fill(&mut gui, "sigma max", "0."), "0.");
    assert!(gui.query_by_label_contains("sigma_max = 0").is_some());
    assert_eq!(fill(&mut gui, "sigma max", "3.5"), "3.5");
    assert_eq!(fill(&mut gui, "width", "16"), "16");
    click(&mut gui, "Start with these settings");
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    let config = &state(&gui).run.opened.as_ref().expect("it is open").config;
    assert_eq!((config.batch, config.sigma_max, config.width), (preset.batch, 3.5, 16));
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
fn another_preset_saves_the_run_that_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    let first = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    click(&mut gui, "New run");
    click(&mut gui, "rings");
    until(&mut gui, "the other run is open", |w| {
        w.run.opened.as_ref().is_some_and(|o| o.data == "rings") && w.run.view.is_some()
    });
    assert!(first.join("latest.json").is_file(), "the first run was saved");
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
fn closing_asks_and_saves() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 3);
    let commands = |gui: &Gui| -> Vec<ViewportCommand> {
        gui.output().viewport_output.values().flat_map(|v| v.commands.clone()).collect()
    };
    let ask = |gui: &mut Gui| {
        let viewport = gui.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        viewport.events.push(egui::ViewportEvent::Close);
        gui.step();
    };
    ask(&mut gui);
    assert!(commands(&gui).contains(&ViewportCommand::CancelClose));
    gui.step();
    click(&mut gui, "Go on");
    assert_eq!(state(&gui).run.state, State::Playing);
    ask(&mut gui);
    gui.step();
    gui.get_by_label("Save and close").click();
    let start = Instant::now();
    while !commands(&gui).contains(&ViewportCommand::Close) {
        assert!(start.elapsed() < Duration::from_mins(1), "the window does not close");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(state(&gui).ended(End::Stopped));
    assert!(checkpoints(state(&gui)).parent().is_some_and(|run| run.join("latest.json").is_file()));
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

    let mut gui = small(&folder);
    click(&mut gui, "Continue where it stopped");
    until(&mut gui, "the run is open", |w| w.run.opened.as_ref().is_some_and(|o| Some(o.resumed_at) >= saved));
}

#[test]
fn keys_do_what_the_list_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    assert_eq!(state(&gui).run.state, State::Paused);
    type_character(&mut gui, ".");
    until(&mut gui, "one step is done", |w| iterations(w) == 1);
    press(&mut gui, Key::Space);
    until(&mut gui, "it plays", |w| w.run.state == State::Playing && iterations(w) > 1);
    press(&mut gui, Key::S);
    until(&mut gui, "it is saved", |w| w.run.saved_at.is_some());
    press(&mut gui, Key::Space);
    until(&mut gui, "it waits", |w| w.run.state == State::Paused);
    settle(&mut gui);
    let generation = state(&gui).run.generation;
    press(&mut gui, Key::R);
    until(&mut gui, "it begins anew", |w| w.run.generation > generation && iterations(w) == 0);
    type_character(&mut gui, "?");
    assert!(gui.query_by_label("play or pause").is_some(), "the list of keys");
}

#[test]
fn the_tour_has_six_steps_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = window(&folder, [1024.0, 640.0], "cpu");
    click(&mut gui, "Tour");
    for _ in 0..5 {
        click(&mut gui, "Next");
    }
    click(&mut gui, "Finish");
    assert!(!state(&gui).tour.is_on());
}

#[test]
fn slow_motion_walks_through_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    click(&mut gui, "Slow motion");
    assert!(gui.query_by_label_contains("A batch of real data").is_some());
    // A frame of the harness is a quarter of a second for the program.
    until(&mut gui, "a generator step was made", |w| iterations(w) >= 1);
    let counters = state(&gui).run.view.as_ref().expect("a view").counters.clone();
    assert!(counters.of("ratio") >= 1);
    let generator = format!("Generator: {} updates", counters.of("generator"));
    assert!(gui.query_by_label(&generator).is_some(), "the diagram beside the plane counts them");
    click(&mut gui, "Slow motion");
    assert_eq!(state(&gui).run.state, State::Paused);
}

#[test]
fn every_view_fits_small_and_large_windows() {
    for size in [[800.0, 520.0], [1024.0, 640.0], [3840.0, 2160.0]] {
        let folder = tempfile::tempdir().unwrap();
        let mut gui = window(&folder, size, "cpu");
        start_small(&mut gui, 1_000_000, true);
        for layer in ["Latent grid", "Noised", "Gradient"] {
            click(&mut gui, layer);
        }
        for tab in ["Explore", "Machine", "Training"] {
            click(&mut gui, tab);
        }
        until(&mut gui, "it goes on", |w| iterations(w) > 3);
    }
}

#[test]
fn the_kernels_are_timed_while_a_run_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    click(&mut gui, "Machine");
    click(&mut gui, "Time the kernels");
    until(&mut gui, "there are times", |w| w.run.profiles.len() == 2);
    assert!(state(&gui).run.profiles.iter().all(|p| p.kernels.iter().any(|k| k.kernel == "matmul" && k.ms > 0.0)));
    assert!(gui.query_all_by_label("matmul").count() >= 1);
}

#[test]
fn digits_have_a_grid_a_history_and_nearest_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_digits(&mut gui, false);
    for step in 1..=4 {
        click(&mut gui, "Step");
        until(&mut gui, "one step more", |w| iterations(w) == step);
    }
    assert!(gui.query_by_label_contains("Samples of the generator at step 4").is_some());
    assert!(gui.query_by_label_contains("Real images of").is_some());
    click(&mut gui, "Nearest training images");
    until(&mut gui, "the neighbours are there", |w| w.run.nearest.is_some());
    assert!(gui.query_by_label_contains("Nearest training images at step").is_some());
    assert_eq!(state(&gui).run.nearest.as_ref().map(|n| n.images.len()), Some(64 * 28 * 28));
    click(&mut gui, "Play");
    let start = Instant::now();
    while gui.query_by_label_contains("Quality: FID (LeNet)").is_none() {
        assert!(start.elapsed() < Duration::from_mins(2), "the distance to the data was not measured");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    let kept = std::fs::read_to_string(run.join("stats.jsonl")).unwrap();
    assert!(kept.contains("Quality/fid_lenet"), "it is in the run's statistics");
}

/// Images that are no squares ended the window with a panic.
#[test]
fn images_that_are_no_squares_are_trained_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("wide.npy");
    write_npy_u8(&data, &[20, 8, 12, 1], &(0..20 * 96).map(|i| (i * 37 % 251) as u8).collect::<Vec<u8>>()).unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("mnist").expect("a preset").config();
    let data = data.display().to_string();
    let config = Config { data, batch: 4, width: 8, warmup_steps: 1, steps: 4, ..preset };
    let start = Start::New { preset: "mnist".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    until(&mut gui, "the run has ended", |w| matches!(w.run.state, State::Ended(_)));
    gui.run_steps(4);
    assert!(gui.query_by_label_contains("Samples of the generator at step").is_some());
    click(&mut gui, "Nearest training images");
    gui.run_steps(4);
}

#[test]
fn a_drawing_becomes_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Draw data");
    let area = gui.get_by_label("Drawing area").rect();
    gui.drag_at(area.center());
    gui.step();
    gui.hover_at(area.center() + egui::vec2(80.0, 40.0));
    gui.step();
    gui.drop_at(area.center() + egui::vec2(80.0, 40.0));
    gui.step();
    click(&mut gui, "Train on the drawing");
    until(&mut gui, "it trains", |w| w.run.opened.as_ref().is_some_and(|o| o.data == "drawing-000"));
    until(&mut gui, "it goes on", |w| iterations(w) >= 1);
    let reals = &state(&gui).run.opened.as_ref().expect("open").reals;
    assert!(reals.iter().any(|x| *x > 0.1), "the points are where the line was drawn");
    // Neither a dot at each end only, nor a gap before the first move.
    let end = reals.chunks(2).map(|p| p[0]).fold(0.0, f32::max);
    for part in [0.25, 0.5, 0.75] {
        let there = reals.chunks(2).filter(|p| (p[0] - part * end).abs() < 0.1 * end).count();
        assert!(there > reals.len() / 2 / 20, "{there} points at {part} of the line");
    }
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
    type_number(&mut gui, "lr critic", "0.004");
    press(&mut gui, Key::Enter);
    click(&mut gui, "divergence");
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
    click(&mut gui, "Discard");
    click(&mut gui, "Go on");
    assert!(state(&gui).run.is_open());
    click(&mut gui, "Discard");
    click(&mut gui, "End without saving");
    until(&mut gui, "it has ended", |w| w.ended(End::Discarded));
    assert!(checkpoints(state(&gui)).read_dir().unwrap().count() > 0, "what was saved before stays");
}

#[test]
fn a_change_of_a_setting_is_marked_in_the_plots() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 6);
    assert!(state(&gui).run.charts.marks().is_empty());
    gui.get_by_role_and_label(egui::Role::SpinButton, "critic steps").set_value_accesskit(2.0);
    until(&mut gui, "the session has the new value", |w| {
        w.run.view.as_ref().is_some_and(|v| v.config.critic_steps == 2)
    });
    let marks = state(&gui).run.charts.marks();
    assert!(marks.len() == 1 && marks[0].0 >= 6, "{marks:?}");
    assert_eq!(marks[0].1, "critic_steps: 1 to 2");
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    click(&mut gui, "Continue");
    until(&mut gui, "it goes on", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at > 0) && w.run.is_open());
    assert_eq!(state(&gui).run.charts.marks().len(), 1, "the mark is there as before");
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

/// Types into the number of a setting, character by character.
fn type_number(gui: &mut Gui, knob: &str, text: &str) {
    gui.get_by_role_and_label(egui::Role::SpinButton, knob).focus();
    gui.run_steps(3);
    for character in text.chars() {
        type_character(gui, &character.to_string());
    }
}

#[test]
fn half_of_a_typed_number_is_no_setting() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "it is further than the first digit", |w| iterations(w) > 8);
    type_number(&mut gui, "steps", "8000");
    let typed = iterations(state(&gui));
    until(&mut gui, "it goes on meanwhile", |w| iterations(w) > typed + 2);
    assert!(state(&gui).run.charts.marks().is_empty(), "nothing was changed while it was typed");
    press(&mut gui, Key::Enter);
    until(&mut gui, "it counts once it is entered", |w| w.run.view.as_ref().is_some_and(|v| v.config.steps == 8000));

    type_number(&mut gui, "lr critic", "5e-4");
    press(&mut gui, Key::Tab);
    until(&mut gui, "or once the field is left", |w| w.run.view.as_ref().is_some_and(|v| v.config.lr_critic == 5e-4));
    let marks: Vec<&str> = state(&gui).run.charts.marks().into_iter().map(|(_, text)| text).collect();
    assert_eq!(marks, ["steps: 1000000 to 8000", "lr_critic: 0.002 to 0.0005"]);
}

#[test]
fn a_field_that_is_only_visited_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    let (lr_generator, ema, minutes) = (1.25e-3, 0.999_85, 1000.0625);
    let config = Config { batch: 16, width: 8, blocks: 1, lr_generator, ema, minutes, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config.clone()), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    for knob in ["lr generator", "ema", "minutes", "cooldown", "clip"] {
        type_number(&mut gui, knob, "");
        press(&mut gui, Key::Enter);
        gui.run_steps(2);
    }
    assert_eq!(state(&gui).run.opened.as_ref().expect("open").config, config);
    assert!(gui.get_by_label("Undo").accesskit_node().is_disabled());
}

#[test]
fn a_drag_acts_at_once_and_is_one_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let now = |w: &Window| w.run.view.as_ref().map_or(0, |v| v.config.critic_steps);
    let rail = gui.get_by_role_and_label(egui::Role::Slider, "critic steps").rect();
    let at = |share: f32| rail.lerp_inside(egui::vec2(share, 0.5));
    gui.drag_at(at(0.02));
    gui.step();
    let mut last = 1;
    for share in [0.2, 0.4, 0.6] {
        gui.hover_at(at(share));
        gui.step();
        until(&mut gui, "the session has the value under the mouse", |w| now(w) > last);
        last = now(state(&gui));
    }
    gui.drop_at(at(0.6));
    gui.run_steps(2);
    let marks = state(&gui).run.charts.marks();
    assert_eq!(marks.len(), 1, "{marks:?}");
    assert_eq!(marks[0].1, format!("critic_steps: 1 to {last}"));
    click(&mut gui, "Undo");
    until(&mut gui, "one undo takes all of it back", |w| now(w) == 1);
    assert!(gui.get_by_label("Undo").accesskit_node().is_disabled());
    click(&mut gui, "Redo");
    until(&mut gui, "one redo does it again", |w| now(w) == last);
}

#[test]
fn a_drag_that_ends_where_it_began_is_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let now = |w: &Window| w.run.view.as_ref().map_or(0, |v| v.config.critic_steps);
    let rail = gui.get_by_role_and_label(egui::Role::Slider, "critic steps").rect();
    let at = |share: f32| rail.lerp_inside(egui::vec2(share, 0.5));
    gui.drag_at(at(0.02));
    gui.step();
    gui.hover_at(at(0.5));
    gui.step();
    until(&mut gui, "the session has the value under the mouse", |w| now(w) > 1);
    gui.hover_at(at(0.02));
    gui.step();
    gui.drop_at(at(0.02));
    gui.step();
    until(&mut gui, "the session has the old value", |w| now(w) == 1);
    assert!(gui.get_by_label("Undo").accesskit_node().is_disabled());
    assert!(state(&gui).run.charts.marks().is_empty());
}

#[test]
fn undo_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let shown = |gui: &Gui| state(gui).run.opened.as_ref().expect("open").config.critic_steps;
    for value in [3, 5] {
        gui.get_by_role_and_label(egui::Role::SpinButton, "critic steps").set_value_accesskit(f64::from(value));
        let there = |w: &Window| w.run.view.as_ref().is_some_and(|v| v.config.critic_steps == value);
        until(&mut gui, "the session has the new value", there);
    }
    click(&mut gui, "Undo");
    until(&mut gui, "one is taken back", |w| w.run.view.as_ref().is_some_and(|v| v.config.critic_steps == 3));
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    for button in ["Undo", "Redo"] {
        assert!(gui.get_by_label(button).accesskit_node().is_disabled(), "{button}");
    }
    for key in [Key::Z, Key::Y] {
        gui.key_press_modifiers(Modifiers::COMMAND, key);
        gui.run_steps(2);
        assert_eq!(shown(&gui), 3, "the run ended with this");
    }
}

/// Steps and values of a statistic, from a table of all that the plots show.
fn curve(gui: &Gui, folder: &TempDir, name: &str) -> Vec<(u64, f32)> {
    let path = folder.path().join("curves.csv");
    state(gui).run.charts.write_csv(&path).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|field| *field == name).unwrap_or_else(|| panic!("no {name}: {:?}", rows[0]));
    let values = rows[1..].iter().filter(|row| !row[column].is_empty());
    values.map(|row| (row[0].parse().expect("a step"), row[column].parse().expect("a number"))).collect()
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
    let commands = |gui: &Gui| -> Vec<ViewportCommand> {
        gui.output().viewport_output.values().flat_map(|v| v.commands.clone()).collect()
    };
    assert!(commands(&gui).contains(&ViewportCommand::Close));
    gui.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default().events.push(egui::ViewportEvent::Close);
    gui.step();
    assert!(!commands(&gui).contains(&ViewportCommand::CancelClose));
    assert!(gui.query_by_label("A run is open").is_none(), "nobody is there to answer");
    drop(gui);
    assert!(run.join("latest.json").is_file());
    let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.lines().last().is_some_and(|line| line.contains("\"stopped\"")), "{log}");
}

#[test]
fn the_generator_of_a_run_that_is_over_can_be_explored() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Explore");
    assert!(gui.get_by_label("Take the run's generator").accesskit_node().is_disabled(), "there is no run yet");
    start_small(&mut gui, 6, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    click(&mut gui, "Explore");
    click(&mut gui, "Take the run's generator");
    let start = Instant::now();
    while gui.query_by_label("generator-000006.safetensors").is_none() {
        assert!(start.elapsed() < Duration::from_mins(1), "the generator was not opened");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_collapsed_ratio_network_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    // A rate that throws the network so far that no input makes a difference any more.
    let config = Config { batch: 128, width: 32, blocks: 2, critic_steps: 1, lr_critic: 1.0, tick: 5, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    until(&mut gui, "it collapses", |w| w.run.charts.alarm().is_some());
    click(&mut gui, "Pause");
    let words = "collapsed: the ratio network gives the same answer everywhere";
    assert!(gui.query_by_label(words).is_some(), "a warning");
    assert!(gui.query_by_label(&format!("Ratio accuracy by noise level: {words}")).is_some(), "the chart");
    assert!(gui.query_by_label("Ratio: collapsed").is_some(), "the diagram");
    assert!(gui.query_by_label_contains("Ratio: accuracy").is_none());

    let collapsed = state(&gui).run.generation;
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "another run has statistics", |w| {
        w.run.generation > collapsed && w.run.charts.latest("Ratio/pull").is_some()
    });
    assert!(gui.query_by_label_contains("collapsed").is_none());
    assert!(gui.query_by_label_contains("Ratio: accuracy").is_some());
}
