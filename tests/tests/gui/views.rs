//! What the views show, and what their controls do.

use std::path::Path;
use std::time::{Duration, Instant};

use egui_kittest::kittest::{By, NodeT, Queryable};
use onestep::gui::egui::{self, Key, Modifiers};
use onestep::gui::run::State;
use onestep::gui::window::{Tab, Window};
use onestep_core::data::write_npy_u8;
use onestep_core::session::{End, Start};
use onestep_core::train::{Config, Method, Preset};

use super::controls::{ROLES, name};
use super::harness::{
    Gui, checkpoints, click, drop_file, iterations, press, settle, small, start_digits, start_small, state,
    type_character, until, window, window_in,
};

#[test]
fn keys_do_what_the_list_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    assert_eq!(state(&gui).run.state, State::Paused);
    type_character(&mut gui, ".");
    until(&mut gui, "one step is done", |w| iterations(w) == 1);
    // It waits, and would save itself at step 20 only.
    press(&mut gui, Key::S);
    until(&mut gui, "it is saved", |w| w.run.saved_at == Some(1));
    press(&mut gui, Key::Space);
    until(&mut gui, "it plays", |w| w.run.state == State::Playing && iterations(w) > 1);
    let has_plots = |gui: &Gui| gui.query_by_label("Curves").is_some();
    assert!(has_plots(&gui));
    press(&mut gui, Key::F);
    assert!(!has_plots(&gui), "the plots are hidden");
    press(&mut gui, Key::F);
    assert!(has_plots(&gui), "they are back");
    press(&mut gui, Key::Space);
    until(&mut gui, "it waits", |w| w.run.state == State::Paused);
    settle(&mut gui);
    let generation = state(&gui).run.generation;
    press(&mut gui, Key::R);
    until(&mut gui, "it begins anew", |w| w.run.generation > generation && iterations(w) == 0);
    type_character(&mut gui, "?");
    assert!(gui.query_by_label("play or pause").is_some(), "the list of keys");
}

/// It ended the run, began another one, and left Explore.
#[test]
fn the_key_that_draws_again_leaves_the_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let generation = state(&gui).run.generation;
    drop_file(&mut gui, Path::new("../assets/web/mnist-generator.safetensors"));
    let drawn = |gui: &mut Gui, label: &str| {
        let start = Instant::now();
        while gui.query_by_label(label).is_none() {
            assert!(start.elapsed() < Duration::from_mins(1), "there is no `{label}`");
            gui.step();
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    drawn(&mut gui, "Sample of seed 0");
    press(&mut gui, Key::R);
    drawn(&mut gui, "Sample of seed 16");
    let steps = iterations(state(&gui));
    until(&mut gui, "the run goes on", |w| w.run.state == State::Playing && iterations(w) > steps);
    assert_eq!((state(&gui).run.generation, state(&gui).tab), (generation, Tab::Explore));
}

#[test]
fn the_tour_starts_a_run_and_waits_for_each_deed() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = window(&folder, [1024.0, 640.0], "cpu");
    click(&mut gui, "Tour");
    let waits = |gui: &Gui| gui.get_by_label("Next").accesskit_node().is_disabled();
    assert!(waits(&gui), "no run is open");
    press(&mut gui, Key::ArrowRight);
    assert!(gui.query_by_label_contains("1 of 6").is_some(), "the key does not pass by it either");
    press(&mut gui, Key::Enter);
    until(&mut gui, "a run is open", |w| w.run.is_open() && w.run.view.is_some());
    // A smaller one, to be sooner there.
    start_small(&mut gui, 1_000_000, true);
    press(&mut gui, Key::Enter);
    assert!(gui.query_by_label_contains("2 of 6").is_some());
    let steps = iterations(state(&gui));
    assert!(waits(&gui), "it is at step {steps}");
    until(&mut gui, "the steps are made", |w| iterations(w) >= steps + 100);
    click(&mut gui, "Next");
    assert!(waits(&gui));
    click(&mut gui, "Slow motion");
    press(&mut gui, Key::ArrowRight);
    assert!(waits(&gui));
    gui.get_by_role_and_label(egui::Role::SpinButton, "Critic updates").set_value_accesskit(3.0);
    gui.run_steps(3);
    click(&mut gui, "Next");
    assert!(waits(&gui));
    press(&mut gui, Key::ArrowLeft);
    assert!(gui.query_by_label_contains("4 of 6").is_some());
    press(&mut gui, Key::ArrowRight);
    let generation = state(&gui).run.generation;
    click(&mut gui, "Rewind");
    let listed = gui.get_all_by_label_contains("To step ").filter_map(|node| node.accesskit_node().label());
    // The newest, since a run that goes on removes the oldest ones.
    let newest = listed.max_by_key(|label| label.rsplit(' ').next().and_then(|step| step.parse::<u64>().ok()));
    click(&mut gui, &newest.expect("a checkpoint"));
    until(&mut gui, "it went back", |w| w.run.generation > generation);
    click(&mut gui, "Next");
    click(&mut gui, "Finish");
    assert!(!state(&gui).tour.is_on());
}

/// It told of a ratio network that the warm-up does not have.
#[test]
fn slow_motion_waits_for_the_phase_that_has_a_story() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    let config = Config { batch: 128, width: 16, blocks: 2, warmup_steps: 3, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    settle(&mut gui);
    assert!(gui.get_by_label("Slow motion").accesskit_node().is_disabled(), "this is the warm-up");
    for step in 1..=3 {
        click(&mut gui, "Step");
        until(&mut gui, "one step more", |w| iterations(w) == step);
    }
    click(&mut gui, "Slow motion");
    assert!(gui.query_by_label_contains("A batch of real data").is_some());
    let data = gui.get_by_role_and_label(egui::Role::CheckBox, "Data");
    assert!(data.accesskit_node().is_disabled(), "slow motion chooses what is shown");
}

/// Each update that was asked for had a line of its own.
#[test]
fn a_step_made_in_parts_is_one_line_of_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    let config = Config { batch: 128, width: 16, blocks: 2, critic_steps: 3, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    // "Step" is a whole turn, not one of its updates.
    click(&mut gui, "Step");
    until(&mut gui, "a turn is done", |w| iterations(w) == 1);
    let updates = state(&gui).run.view.as_ref().map(|view| view.counters.updates.values().copied().sum::<u64>());
    assert_eq!(updates, Some(3 + 1));
    click(&mut gui, "Slow motion");
    until(&mut gui, "two turns are done", |w| iterations(w) >= 2);
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    let run = checkpoints(state(&gui)).parent().expect("the run's folder").to_owned();
    let text = std::fs::read_to_string(run.join("stats.jsonl")).unwrap();
    let lines = text.lines().filter(|line| line.contains("Loss/ratio"));
    let steps: Vec<&str> = lines.map(|line| line.split([':', ',']).nth(1).expect("a step")).collect();
    assert_eq!(steps[..2], ["1", "2"], "{text}");
    assert!(steps.windows(2).all(|pair| pair[0] != pair[1]), "{steps:?}");
}

#[test]
fn the_plane_takes_the_space_that_there_is() {
    let folder = tempfile::tempdir().unwrap();
    // It had 424 points of 1280 x 800.
    for (size, least) in [([1280.0, 800.0], 550.0), ([1024.0, 640.0], 450.0), ([1920.0, 1080.0], 840.0)] {
        let mut gui = window(&folder, size, "cpu");
        start_small(&mut gui, 1_000_000, false);
        gui.run_steps(4);
        let side = gui.get_by_label_contains("The plane at step").rect().width();
        assert!(side >= least, "{size:?}: {side}");
    }
}

/// The slider for the noise level was cut at the edge of the smallest window.
#[test]
fn the_noise_level_fits_the_smallest_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = window(&folder, [800.0, 600.0], "cpu");
    start_small(&mut gui, 1_000_000, false);
    gui.run_steps(4);
    let rects = gui.get_all_by_label("Noise level").map(|node| node.rect()).collect::<Vec<_>>();
    assert!(rects.iter().all(|rect| rect.right() < 800.0 && rect.left() > 0.0), "{rects:?}");
}

/// The pager took two lines, and a long path pushed the messages out.
#[test]
fn what_says_how_many_and_what_happened_fits_the_smallest_window() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a-folder-of-runs-with-a-long-name".repeat(4));
    let mut gui = window_in(deep, [800.0, 600.0], "cpu");
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "there is a checkpoint and a curve", |w| {
        w.run.saved_at.is_some() && w.run.charts.latest("Loss/ratio").is_some()
    });
    let line = gui.get_by_label("Save").rect().height();
    let is_pager = |text: &str| text.contains(" of ") && text.starts_with(|c: char| c.is_ascii_digit());
    let is_news = |text: &str| text.starts_with("saved ");
    for is in [&is_pager as &dyn Fn(&str) -> bool, &is_news] {
        let named = gui.get_all_by(|node| node.value().is_some_and(|text| is(&text)));
        let rects: Vec<_> = named.map(|node| node.rect()).collect();
        assert!(!rects.is_empty() && rects.iter().all(|r| r.right() <= 800.0 && r.width() > 20.0), "{rects:?}");
        assert!(rects.iter().all(|r| r.height() < 1.5 * line), "{rects:?}");
    }
    // A name of data that was cut: `checkerboarc`.
    click(&mut gui, "Next run");
    let field = gui.get_by_role_and_label(egui::Role::TextInput, "Data").rect();
    assert!(field.width() > 100.0, "{field:?}");
}

/// The line at the bottom went on telling of it.
#[test]
fn an_error_is_forgotten_when_something_else_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    drop_file(&mut gui, Path::new("../assets/web/absent.safetensors"));
    let told = |w: &Window| w.run.messages.iter().any(|message| message.contains("there is no such file"));
    until(&mut gui, "the window says what is wrong", told);
    drop_file(&mut gui, Path::new("../assets/web/mnist-generator.safetensors"));
    assert!(!told(state(&gui)) && state(&gui).run.refused.is_none());
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
            // Each has a part that scrolls.
            let found = beyond(&gui, [size[0], f32::INFINITY]);
            assert!(found.is_empty(), "{tab} at {size:?}: {found:?}");
        }
        gui.get_by_role_and_label(egui::Role::CheckBox, "Settings").click();
        gui.run_steps(4);
        let found = beyond(&gui, size);
        assert!(found.is_empty(), "without the settings, where nothing scrolls, at {size:?}: {found:?}");
        until(&mut gui, "it goes on", |w| iterations(w) > 3);
    }
}

/// Controls that reach beyond a window of this size.
fn beyond(gui: &Gui, [width, height]: [f32; 2]) -> Vec<(String, egui::Rect)> {
    // Rounding to pixels may add a half.
    let window = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::pos2(width, height)).expand(0.5);
    let found = gui.query_all(By::new().predicate(|node| ROLES.contains(&node.role())));
    let named = found.map(|node| (name(&node.accesskit_node()), node.rect()));
    named.filter(|(_, rect)| !window.contains_rect(*rect)).collect()
}

#[test]
fn paths_are_drawn_where_a_network_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let offered = |gui: &Gui| gui.query_by_role_and_label(egui::Role::CheckBox, "Paths").is_some();
    start_small(&mut gui, 1_000_000, false);
    gui.run_steps(4);
    assert!(!offered(&gui), "there is no denoiser in diffratio");
    let method = Method::find("ect").expect("a method");
    let mut config = Preset::find("gaussians").expect("a preset").config();
    (method.settings)(&mut config);
    let config = Config { method: method.into(), batch: 128, width: 16, blocks: 2, warmup_steps: 2, ..config };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    let generation = state(&gui).run.generation;
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.generation > generation && w.run.view.is_some());
    gui.run_steps(4);
    assert!(offered(&gui) && gui.query_by_label_contains("Straightness of paths").is_none(), "they are not asked for");
    assert!(state(&gui).run.view.as_ref().is_some_and(|view| view.paths.is_none()), "nor walked along");
    click(&mut gui, "Paths");
    until(&mut gui, "there are paths", |w| w.run.view.as_ref().is_some_and(|view| view.paths.is_some()));
    for label in ["48 paths", "Straightness of paths: ", "Jump to path's end: "] {
        assert!(gui.query_by_label_contains(label).is_some(), "{label}");
    }
    for step in 1..=3 {
        click(&mut gui, "Step");
        until(&mut gui, "one step more", |w| iterations(w) == step);
    }
    until(&mut gui, "there are none", |w| w.run.view.as_ref().is_some_and(|view| view.paths.is_none()));
    assert!(!offered(&gui), "what it is tuned to be is no denoiser");
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

/// A spinner turned for ever.
#[test]
fn the_nearest_images_are_looked_for_again_when_another_run_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_digits(&mut gui, false);
    click(&mut gui, "Nearest training images");
    until(&mut gui, "the neighbours are there", |w| w.run.nearest.is_some());
    let generation = state(&gui).run.generation;
    click(&mut gui, "Reset");
    until(&mut gui, "it begins anew", |w| w.run.generation > generation);
    until(&mut gui, "its neighbours are there", |w| w.run.nearest.is_some());
    state(&gui).lose_device();
    until(&mut gui, "the run has failed", |w| matches!(w.run.state, State::Failed(_)));
    click(&mut gui, "Nearest training images");
    until(&mut gui, "it says why there are none", |w| w.run.no_nearest.is_some());
    assert!(gui.query_by_label_contains("There are none: the run has failed").is_some());
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
    let config = Config { data, classes: 0, batch: 4, width: 8, warmup_steps: 1, steps: 4, ..preset };
    let start = Start::New { preset: "mnist".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    until(&mut gui, "the run has ended", |w| matches!(w.run.state, State::Ended(_)));
    gui.run_steps(4);
    assert!(gui.query_by_label_contains("Samples of the generator at step").is_some());
    click(&mut gui, "Nearest training images");
    gui.run_steps(4);
}

/// Draws a line from the middle of the plane.
fn draw_line(gui: &mut Gui) {
    let area = gui.get_by_label("Drawing area").rect();
    gui.drag_at(area.center());
    gui.step();
    gui.hover_at(area.center() + egui::vec2(80.0, 40.0));
    gui.step();
    gui.drop_at(area.center() + egui::vec2(80.0, 40.0));
    gui.step();
}

#[test]
fn a_drawing_that_cannot_be_kept_is_still_there() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("drawings");
    std::fs::write(&place, "no folder").unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Draw data");
    draw_line(&mut gui);
    click(&mut gui, "Train on the drawing");
    assert!(state(&gui).run.refused.is_some(), "the window says what is wrong");
    std::fs::remove_file(&place).unwrap();
    click(&mut gui, "Train on the drawing");
    until(&mut gui, "it trains", |w| w.run.opened.as_ref().is_some_and(|o| o.data == "drawing-000"));
    assert!(gui.query_by_label("Drawing area").is_none());
}

#[test]
fn escape_that_closes_something_else_leaves_the_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Draw data");
    draw_line(&mut gui);
    for (opens, inside) in [("Open…", "Open file"), ("New run", "pinwheel"), ("Tour", "Leave the tour")] {
        click(&mut gui, opens);
        assert!(gui.query_by_label(inside).is_some(), "{opens} is open");
        press(&mut gui, Key::Escape);
        gui.run_steps(4);
        assert!(gui.query_by_label(inside).is_none(), "{opens} is closed");
        assert!(gui.query_by_label("Drawing area").is_some(), "{opens}");
    }
    press(&mut gui, Key::Escape);
    assert!(gui.query_by_label("Drawing area").is_none());
}

#[test]
fn undo_takes_back_a_stroke_while_one_draws_and_shift_never_undoes() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    gui.get_by_role_and_label(egui::Role::SpinButton, "Critic updates").set_value_accesskit(3.0);
    gui.step();
    until(&mut gui, "the session has it", |w| w.run.view.as_ref().is_some_and(|v| v.config.critic_steps == 3));
    let set = |gui: &Gui| state(gui).run.opened.as_ref().expect("a run").config.critic_steps;
    let shortcut = |gui: &mut Gui, modifiers, key| {
        gui.key_press_modifiers(modifiers, key);
        gui.run_steps(2);
    };
    let shift = Modifiers::COMMAND | Modifiers::SHIFT;
    shortcut(&mut gui, shift, Key::Z);
    assert_eq!(set(&gui), 3, "there is nothing to do again");
    click(&mut gui, "Draw data");
    draw_line(&mut gui);
    let ready = |gui: &Gui| !gui.get_by_label("Train on the drawing").accesskit_node().is_disabled();
    assert!(ready(&gui));
    shortcut(&mut gui, Modifiers::COMMAND, Key::Z);
    assert!(!ready(&gui), "the stroke is gone");
    assert_eq!(set(&gui), 3, "the setting is not");
    click(&mut gui, "Cancel");
    shortcut(&mut gui, Modifiers::COMMAND, Key::Z);
    assert_eq!(set(&gui), 1);
    shortcut(&mut gui, shift, Key::Z);
    assert_eq!(set(&gui), 3, "it does again what was taken back");
}

#[test]
fn a_drawing_becomes_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Draw data");
    draw_line(&mut gui);
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
fn the_generator_of_a_run_that_is_over_can_be_explored() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Explore");
    assert!(gui.get_by_label("Take the run's generator").accesskit_node().is_disabled(), "there is no run yet");
    start_small(&mut gui, 6, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    click(&mut gui, "Explore");
    click(&mut gui, "Take the run's generator");
    until_label(&mut gui, "generator-000006.safetensors");
}

/// Runs frames until something has this label.
#[track_caller]
fn until_label(gui: &mut Gui, label: &str) {
    let start = Instant::now();
    while gui.query_by_label(label).is_none() {
        assert!(start.elapsed() < Duration::from_mins(1), "there is no {label}");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Nothing was opened, and nothing was said.
#[test]
fn the_generator_of_a_run_that_was_just_saved_can_be_explored() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    for times in 1..=2 {
        press(&mut gui, Key::S);
        until(&mut gui, "it says that it is saved", |w| {
            w.run.messages.iter().filter(|message| message.starts_with("saved ")).count() == times
        });
    }
    click(&mut gui, "Explore");
    click(&mut gui, "Take the run's generator");
    until_label(&mut gui, "generator-000000.safetensors");
}

#[test]
fn what_a_warm_up_draws_from_can_be_explored() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let preset = Preset::find("gaussians").expect("a preset").config();
    let config = Config { batch: 128, width: 16, blocks: 2, warmup_steps: 3, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, false);
    until(&mut gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
    click(&mut gui, "Explore");
    click(&mut gui, "Take the run's generator");
    until_label(&mut gui, "denoiser-000000.safetensors");
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
