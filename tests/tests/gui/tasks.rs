//! What a class does with the window, each task by the labels that it reads.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui_kittest::kittest::{NodeT, Queryable};
use onestep::gui::egui::{self, Key};
use onestep::gui::window::Window;
use onestep_core::session::{End, Start};
use onestep_core::train::{Config, Preset};

use super::harness::{
    Gui, checkpoints, click, curve, iterations, press, saved_step, small, start_small, state, type_number, until,
};

/// Starts a run of small networks that keeps all its checkpoints.
fn start(gui: &mut Gui, change: impl Fn(&mut Config)) {
    let preset = Preset::find("gaussians").expect("a preset").config();
    let mut config = Config {
        batch: 128,
        width: 32,
        blocks: 2,
        critic_steps: 1,
        steps: 1_000_000,
        snap: 20,
        keep_last: 30,
        tick: 5,
        ..preset
    };
    change(&mut config);
    let generation = state(gui).run.generation;
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, true);
    until(gui, "the run is open", |w| w.run.generation > generation && w.run.is_open() && w.run.view.is_some());
}

fn opened(window: &Window) -> &Config {
    &window.run.opened.as_ref().expect("a run").config
}

/// The run's folder.
fn folder_of(gui: &Gui) -> PathBuf {
    checkpoints(state(gui)).parent().expect("the run's folder").to_owned()
}

#[test]
fn the_same_run_starts_again_with_another_rate() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    // It does not save itself meanwhile.
    start(&mut gui, |config| (config.seed, config.snap) = (7, 1_000_000));
    until(&mut gui, "some steps are done", |w| iterations(w) >= 6);
    let first = folder_of(&gui);
    let begun = opened(state(&gui)).clone();

    // What was changed while it went on.
    type_number(&mut gui, "Generator's learning rate", "0.01");
    press(&mut gui, Key::Enter);
    until(&mut gui, "the session has it", |w| w.run.view.as_ref().is_some_and(|v| v.config.lr_generator == 0.01));
    let (generation, steps) = (state(&gui).run.generation, iterations(state(&gui)));
    click(&mut gui, "Start again with these");
    until(&mut gui, "it begins anew", |w| w.run.generation > generation && iterations(w) >= 1);
    let second = state(&gui).run.opened.clone().expect("a run");
    assert_eq!((second.resumed_at, second.preset.as_deref()), (0, Some("gaussians")));
    assert_eq!(second.config, Config { lr_generator: 0.01, ..begun.clone() });
    assert!(saved_step(&first) >= steps && second.folder.as_ref() != Some(&first), "the first one stays");

    // What is typed for the next run.
    click(&mut gui, "Next run");
    let field = |gui: &mut Gui, name: &str, text: &str| {
        gui.get_by_role_and_label(egui::Role::TextInput, name).set_text_value_accesskit(text);
        gui.run_steps(3);
    };
    field(&mut gui, "Length", "777");
    field(&mut gui, "Generator's learning rate", "0.003");
    let generation = state(&gui).run.generation;
    click(&mut gui, "Start with these settings");
    until(&mut gui, "it begins anew", |w| w.run.generation > generation && iterations(w) >= 1);
    assert_eq!(*opened(state(&gui)), Config { lr_generator: 0.003, steps: 777, ..begun });
}

/// Every file below a folder, with what is in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![(path.clone(), std::fs::read(path).unwrap())] })
        .collect();
    found.sort();
    found
}

#[test]
fn a_run_that_collapsed_goes_back_to_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start(&mut gui, |_| ());
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    let other = folder_of(&gui);
    start(&mut gui, |config| config.snap = 100);
    let before = files(&other);
    let run = folder_of(&gui);
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
    type_number(&mut gui, "Critic's learning rate", "1");
    press(&mut gui, Key::Enter);
    until(&mut gui, "it collapses", |w| w.run.alarm().is_some());
    let collapsed = state(&gui).run.generation;
    click(&mut gui, "Pause");
    click(&mut gui, "Rewind");
    click(&mut gui, "To step 100");
    until(&mut gui, "it went back", |w| w.run.generation > collapsed && w.run.view.is_some());
    let back = state(&gui).run.opened.clone().expect("a run");
    assert_eq!((back.resumed_at, back.config.lr_critic, back.folder.as_deref()), (100, 0.002, Some(run.as_path())));
    assert!(state(&gui).run.alarm().is_none(), "the numbers of the collapse are gone");
    let curve = curve(&gui, &folder, "Loss/ratio");
    assert!(curve.last().is_some_and(|(step, _)| *step <= 100), "{curve:?}");
    click(&mut gui, "Play");
    until(&mut gui, "it goes on", |w| iterations(w) > 140);
    assert!(state(&gui).run.alarm().is_none());
    assert_eq!(opened(state(&gui)).lr_critic, 0.002, "the change was made again");
    assert!(files(&other) == before, "the other run has other files");
}

/// A checkpoint that was saved between press and release moved the list: the menu closed, and nothing was done.
#[test]
fn checkpoints_stay_where_they_are_while_the_menu_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start(&mut gui, |_| ());
    until(&mut gui, "there is a checkpoint", |w| w.run.saved_at >= Some(20));
    click(&mut gui, "Rewind");
    let place = |gui: &Gui| gui.get_by_label("To step 20").rect();
    let (before, saved) = (place(&gui), state(&gui).run.saved_at);
    until(&mut gui, "another checkpoint is there", |w| w.run.saved_at > saved);
    gui.run_steps(4);
    assert_eq!(place(&gui), before);
    let generation = state(&gui).run.generation;
    click(&mut gui, "To step 20");
    until(&mut gui, "it went back", |w| w.run.generation > generation && w.run.view.is_some());
    assert_eq!(state(&gui).run.opened.as_ref().map(|opened| opened.resumed_at), Some(20));
    until(&mut gui, "another checkpoint is there", |w| w.run.saved_at > Some(20));
    let newest = state(&gui).run.saved_at.expect("it was saved");
    click(&mut gui, "Rewind");
    assert!(gui.query_by_label(&format!("To step {newest}")).is_some(), "it is listed when the menu is opened again");
}

#[test]
fn a_run_that_has_ended_can_be_rewound() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start(&mut gui, |config| config.steps = 45);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    assert_eq!(state(&gui).run.checkpoints().iter().map(|(step, _)| *step).collect::<Vec<_>>(), [45, 40, 20, 0]);
    click(&mut gui, "Rewind");
    click(&mut gui, "To step 40");
    until(&mut gui, "it went back", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at == 40));
    click(&mut gui, "Play");
    until(&mut gui, "it comes to its end again", |w| w.ended(End::Finished));
}

#[test]
fn the_divergences_of_two_runs_lie_over_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start(&mut gui, |_| ());
    until(&mut gui, "its divergence was measured", |w| w.run.charts.latest("Quality/kl_grid").is_some());
    click(&mut gui, "Stop");
    until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
    let first = folder_of(&gui).file_name().expect("a name").to_string_lossy().into_owned();
    start(&mut gui, |config| config.seed = 7);
    click(&mut gui, "Curves");
    click(&mut gui, "Compare with a run");
    click(&mut gui, &first);
    assert!(gui.query_by_label(&format!("dashed: {first}")).is_some());
    let label = |gui: &Gui| {
        let chart = gui.get_by_label_contains("Quality: ");
        chart.accesskit_node().label().expect("a name")
    };
    until(&mut gui, "its divergence was measured, too", |w| w.run.charts.latest("Quality/kl_grid").is_some());
    let words = label(&gui);
    assert_eq!(words.matches("KL on a grid").count(), 2, "{words}");
    assert!(words.contains(&format!("in {first}")), "{words}");
}

#[test]
fn a_drawing_of_three_strokes_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    click(&mut gui, "Draw data");
    let area = gui.get_by_label("Drawing area").rect();
    let at = |x: f32, y: f32| area.center() + egui::vec2(x, -y) * area.width() / 2.0;
    let strokes = [[[-0.6, 0.5], [-0.4, 0.5]], [[0.4, 0.5], [0.6, 0.5]], [[-0.5, -0.5], [0.5, -0.5]]];
    for [[x0, y0], [x1, y1]] in strokes {
        gui.drag_at(at(x0, y0));
        gui.step();
        gui.hover_at(at(x1, y1));
        gui.step();
        gui.drop_at(at(x1, y1));
        gui.step();
    }
    click(&mut gui, "Train on the drawing");
    until(&mut gui, "it trains", |w| iterations(w) >= 1);
    let run = state(&gui).run.opened.clone().expect("a run");
    assert_eq!(run.data, "drawing-000");
    let scale = 1.25;
    for [[x0, y0], [x1, y1]] in strokes {
        let middle = [f32::midpoint(x0, x1) * scale, f32::midpoint(y0, y1) * scale];
        let near = run.reals.as_chunks::<2>().0.iter().filter(|p| (p[0] - middle[0]).hypot(p[1] - middle[1]) < 0.15);
        assert!(near.count() > 50, "no stroke at {middle:?}");
    }
    // The next run has the drawing, too, and not the data of some preset.
    click(&mut gui, "Next run");
    let data = gui.get_by_role_and_label(egui::Role::TextInput, "Data").value().expect("a text field has text");
    assert!(data.ends_with("drawing-000.npy"), "{data}");
}

#[test]
fn a_finished_run_is_explored() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 6, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    let name = folder_of(&gui).file_name().expect("a name").to_string_lossy().into_owned();
    drop(gui);

    let mut gui = small(&folder);
    assert!(gui.query_by_label_contains("finished at step 6").is_some());
    click(&mut gui, &format!("Look {name}"));
    until(&mut gui, "it is there", |w| w.ended(End::Finished) && w.run.view.is_some());
    // The stage is alive: what the method shows follows the slider, and layers are drawn.
    gui.get_by_role_and_label(egui::Role::SpinButton, "Noise level").set_value_accesskit(1.5);
    gui.run_steps(2);
    let level = |w: &Window| w.run.view.as_ref().and_then(|view| view.field.as_ref()).map(|(_, sigma)| *sigma);
    until(&mut gui, "the ratio is that of the level", |w| level(w) == Some(1.5));
    click(&mut gui, "Latent grid");
    until(&mut gui, "the grid is there", |w| w.run.view.as_ref().is_some_and(|view| view.map.is_some()));
    assert!(state(&gui).ended(End::Finished) && iterations(state(&gui)) == 6, "it was only looked at");

    click(&mut gui, "Explore");
    click(&mut gui, "Take the run's generator");
    let start = Instant::now();
    while gui.query_by_label_contains("generated points in the plane").is_none()
        || gui.query_by_label_contains("1024 points with 1 evaluation").is_none()
    {
        assert!(start.elapsed() < Duration::from_mins(1), "the generator did not draw");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A run that has ended kept its folder locked, or its stage was dead.
#[test]
fn a_run_that_is_only_looked_at_leaves_its_folder_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 6, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    assert!(!onestep_core::session::RunFolder::is_busy(&folder_of(&gui)));
    click(&mut gui, "Train longer");
    until(&mut gui, "it goes on", |w| w.run.opened.as_ref().is_some_and(|o| o.resumed_at == 6));
}

/// Only the newest run was offered, without a word of how far it was.
#[test]
fn every_interrupted_run_is_offered_with_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let mut runs = Vec::new();
    for _ in 0..2 {
        start_small(&mut gui, 1_000_000, true);
        until(&mut gui, "there is a checkpoint", |w| w.run.saved_at.is_some());
        click(&mut gui, "Stop");
        until(&mut gui, "the run has ended", |w| w.ended(End::Stopped));
        runs.push(folder_of(&gui));
    }
    start_small(&mut gui, 3, true);
    until(&mut gui, "it comes to its end", |w| w.ended(End::Finished));
    drop(gui);
    for run in &runs {
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
        let cut: Vec<&str> = log.lines().filter(|line| !line.contains("\"done\"")).collect();
        std::fs::write(run.join("log.txt"), cut.join("\n")).unwrap();
    }
    let gui = small(&folder);
    assert!(gui.query_by_label("A run was interrupted.").is_some());
    let name = runs[1].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(gui.query_by_label_contains(&format!("{name}: interrupted at step")).is_some());
    let mut gui = gui;
    click(&mut gui, "Another one (1)");
    let name = runs[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(gui.query_by_label_contains(&format!("{name}: interrupted at step")).is_some());
    click(&mut gui, "Continue from its checkpoint");
    until(&mut gui, "the run is open", |w| w.run.opened.as_ref().is_some_and(|o| o.folder.as_ref() == Some(&runs[0])));
}
