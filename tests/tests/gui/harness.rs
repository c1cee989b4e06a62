//! A window without a screen, its controls found by their labels.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use onestep::gui::egui::{self, Key, ViewportCommand};
use onestep::gui::window::{Options, Window};
use onestep_core::session::Start;
use onestep_core::train::{Config, Preset};
use tempfile::TempDir;

pub type Gui = Harness<'static, Option<Window>>;

/// A window of this size on a device, with runs in `folder`.
pub fn window(folder: &TempDir, size: [f32; 2], device: &'static str) -> Gui {
    window_in(folder.path().to_owned(), size, device)
}

/// The same, with runs in a folder of this path.
pub fn window_in(outdir: PathBuf, size: [f32; 2], device: &'static str) -> Gui {
    let app = move |ui: &mut egui::Ui, window: &mut Option<Window>| {
        let options = || Options {
            device: device.into(),
            outdir: outdir.clone(),
            adapters: Vec::new(),
            window_device: None,
            failure: None,
        };
        let window = window.get_or_insert_with(|| Window::new(ui.ctx(), options()).expect("a thread starts"));
        window.show(ui);
    };
    let mut gui = Harness::builder().with_size(size).build_ui_state(app, None);
    gui.step();
    gui
}

pub fn small(folder: &TempDir) -> Gui {
    window(folder, [1280.0, 800.0], "cpu")
}

pub fn state(gui: &Gui) -> &Window {
    gui.state().as_ref().expect("the first frame makes it")
}

/// Runs frames until something holds.
#[track_caller]
pub fn until(gui: &mut Gui, what: &str, holds: impl Fn(&Window) -> bool) {
    let start = Instant::now();
    while !holds(state(gui)) {
        let run = &state(gui).run;
        assert!(
            start.elapsed() < Duration::from_mins(2),
            "waited in vain until {what}: {:?}, {:?}",
            run.state,
            run.messages
        );
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    gui.step();
}

/// Clicks a control by its label.
#[track_caller]
pub fn click(gui: &mut Gui, label: &str) {
    gui.get_by_label(label).click();
    // Windows find their size and place within a few frames.
    gui.run_steps(4);
}

/// Waits until a paused run has come to rest: the step that was under way is done, and was seen.
pub fn settle(gui: &mut Gui) {
    let counters = |gui: &Gui| state(gui).run.view.as_ref().map(|view| view.counters.clone());
    let (mut last, mut same) = (counters(gui), 0);
    while same < 50 {
        gui.step();
        std::thread::park_timeout(Duration::from_millis(10));
        same = if counters(gui) == last { same + 1 } else { 0 };
        last = counters(gui);
    }
}

pub fn iterations(window: &Window) -> u64 {
    window.run.view.as_ref().map_or(0, |view| view.step)
}

/// A run of small networks, which a processor trains quickly even without optimisation.
pub fn start_small(gui: &mut Gui, steps: u64, play: bool) {
    let preset = Preset::find("gaussians").expect("a preset").config();
    let config = Config { batch: 128, width: 16, blocks: 2, critic_steps: 1, steps, snap: 20, tick: 5, ..preset };
    let start = Start::New { preset: "gaussians".into(), config: Box::new(config), transfer: None };
    let generation = state(gui).run.generation;
    gui.state_mut().as_mut().expect("a window").start(start, play);
    // A short one may be over before it is seen to be open.
    until(gui, "the run is there", |w| w.run.generation > generation && w.run.view.is_some());
}

/// Closes the window as its frame does.
pub fn ask_to_close(gui: &mut Gui) {
    let viewport = gui.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
    viewport.events.push(egui::ViewportEvent::Close);
    gui.step();
}

/// What the last frame asks of the system's window.
pub fn commands(gui: &Gui) -> Vec<ViewportCommand> {
    gui.output().viewport_output.values().flat_map(|v| v.commands.clone()).collect()
}

pub fn press(gui: &mut Gui, key: Key) {
    gui.key_press(key);
    gui.step();
    gui.step();
}

pub fn type_character(gui: &mut Gui, text: &str) {
    gui.event(egui::Event::Text(text.into()));
    gui.step();
    gui.step();
}

pub fn checkpoints(window: &Window) -> PathBuf {
    window.run.opened.as_ref().and_then(|o| o.folder.clone()).expect("a run's folder").join("checkpoints")
}

/// Step of the checkpoint that a run goes on from.
pub fn saved_step(run: &Path) -> u64 {
    let text = std::fs::read_to_string(run.join("latest.json")).unwrap();
    let (_, rest) = text.split_once("state-").expect("it names a checkpoint");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a step")
}

#[derive(Debug)]
pub struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}

pub fn drop_file(gui: &mut Gui, path: &Path) {
    gui.input_mut().dropped_files.push(Arc::new(Dropped(path.to_owned())));
    gui.step();
    gui.step();
}

/// A run of digits with networks that are smaller still.
pub fn start_digits(gui: &mut Gui, play: bool) {
    let preset = Preset::find("mnist").expect("a preset").config();
    let config = Config { batch: 4, width: 8, warmup_steps: 2, steps: 1_000_000, tick: 1, ..preset };
    let start = Start::New { preset: "mnist".into(), config: Box::new(config), transfer: None };
    gui.state_mut().as_mut().expect("a window").start(start, play);
    until(gui, "the run is open", |w| w.run.is_open() && w.run.view.is_some());
}

/// Types into the number of a setting, character by character.
pub fn type_number(gui: &mut Gui, knob: &str, text: &str) {
    gui.get_by_role_and_label(egui::Role::SpinButton, knob).focus();
    gui.run_steps(3);
    for character in text.chars() {
        type_character(gui, &character.to_string());
    }
}

/// Steps and values of a statistic, from a table of all that the plots show.
pub fn curve(gui: &Gui, folder: &TempDir, name: &str) -> Vec<(u64, f32)> {
    let path = folder.path().join("curves.csv");
    state(gui).run.charts.write_csv(&path).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|field| *field == name).unwrap_or_else(|| panic!("no {name}: {:?}", rows[0]));
    let values = rows[1..].iter().filter(|row| !row[column].is_empty());
    values.map(|row| (row[0].parse().expect("a step"), row[column].parse().expect("a number"))).collect()
}
