//! Every control of every view: each has a name, and whatever it does, the window and its runs survive it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use egui_kittest::kittest::{AccessKitNode as Node, By, NodeT, Queryable};
use onestep::gui::egui::Role;
use onestep::gui::window::Tab;
use tempfile::TempDir;

use super::harness::{Gui, click, drop_file, iterations, small, start_digits, start_small, until};

/// Controls, as accessibility tools tell them apart.
pub const ROLES: [Role; 11] = [
    Role::Button,
    Role::CheckBox,
    Role::ComboBox,
    Role::DisclosureTriangle,
    Role::Link,
    Role::MultilineTextInput,
    Role::RadioButton,
    Role::Slider,
    Role::SpinButton,
    Role::Switch,
    Role::TextInput,
];

/// Not pressed here: these download, leave what is looked at, or wait for the system's dialogs.
const LEFT_OUT: [&str; 14] = [
    "mnist",
    "mnist-small",
    "fashion-mnist",
    "cifar10",
    "checkerboard",
    "two-moons",
    "swiss-roll",
    "pinwheel",
    "rings",
    "Start with these settings",
    "To step",
    "Take the run's generator",
    "Browse…",
    "Browse folders…",
];
/// These close when something in them was chosen, and are opened again for the rest.
const MENUS: [&str; 4] = ["New run", "More", "Curves", "Train on"];
/// As long as nothing new appears, this is waited for it.
const PATIENCE: Duration = Duration::from_millis(700);

/// A control that was found.
type Control = (String, String);

fn controls(gui: &Gui) -> Vec<Control> {
    let is_control = By::new().predicate(|node| ROLES.contains(&node.role()) && !node.is_disabled());
    let nodes = gui.query_all(is_control);
    nodes.map(|node| (format!("{:?}", node.accesskit_node().role()), name(&node.accesskit_node()))).collect()
}

/// Its name; a curve's without the value that stands behind it.
pub fn name(node: &Node<'_>) -> String {
    let labels = node.labelled_by().filter_map(|label| label.label().or_else(|| label.value()));
    let name = node.label().filter(|label| !label.is_empty()).unwrap_or_else(|| labels.collect::<Vec<_>>().join(" "));
    // Every checkpoint has one.
    if name.starts_with("To step ") {
        return "To step".to_owned();
    }
    match name.rsplit_once(' ') {
        Some((curve, value)) if node.role() == Role::CheckBox && value.parse::<f64>().is_ok() => curve.to_owned(),
        _ => name,
    }
}

fn find<'a>(gui: &'a Gui, control: &Control) -> Option<egui_kittest::Node<'a>> {
    let (role, wanted) = control.clone();
    let is_it =
        move |node: &Node<'_>| !node.is_disabled() && format!("{:?}", node.role()) == role && name(node) == wanted;
    gui.query_all(By::new().predicate(is_it)).next()
}

/// Does to a control what a person can do.
fn drive(gui: &mut Gui, control: &Control, folder: &TempDir) {
    let node = find(gui, control).expect("it was there in this frame");
    let folds =
        node.accesskit_node().role() == Role::DisclosureTriangle || ["Plots", "Settings"].contains(&control.1.as_str());
    match node.accesskit_node().role() {
        Role::SpinButton | Role::Slider => node.increment_accesskit(),
        // Saved there, and not in the folder of these tests.
        Role::TextInput if control.1 == "Path" => {
            node.set_text_value_accesskit(&folder.path().join("chosen").display().to_string());
        }
        Role::TextInput | Role::MultilineTextInput => {
            let before = node.value().unwrap_or_default();
            node.set_text_value_accesskit("2");
            gui.run_steps(2);
            if let Some(node) = find(gui, control) {
                node.set_text_value_accesskit(&before);
            }
        }
        // What was open is to stay so.
        _ if folds => {
            let before = controls(gui).len();
            node.click_accesskit();
            gui.run_steps(4);
            if let Some(node) = find(gui, control).filter(|_| controls(gui).len() < before) {
                node.click_accesskit();
            }
        }
        _ => node.click_accesskit(),
    }
    gui.run_steps(4);
}

/// Drives every control of a view, also those that appear on the way; what was driven. A run that ended on the way
/// begins anew.
fn drive_all(gui: &mut Gui, tab: Tab, folder: &TempDir, begin: impl Fn(&mut Gui)) -> BTreeSet<Control> {
    let mut driven = BTreeSet::new();
    let mut newest = Instant::now();
    let mut menus = MENUS.into_iter().cycle();
    while newest.elapsed() < PATIENCE {
        let window = gui.state_mut().as_mut().expect("a window");
        window.tab = tab;
        if !window.run.is_open() && window.run.busy.is_none() {
            begin(gui);
        }
        gui.step();
        let there = controls(gui);
        for (role, name) in &there {
            assert!(!name.is_empty(), "a {role} has no name; the others are {there:?}");
        }
        let fresh = |control: &&Control| !driven.contains(*control) && !LEFT_OUT.contains(&control.1.as_str());
        let menu = menus.next();
        if let Some(next) = there.iter().find(fresh) {
            drive(gui, next, folder);
            driven.insert(next.clone());
            newest = Instant::now();
        } else if let Some(menu) = there.iter().find(|(_, name)| menu == Some(name)) {
            drive(gui, menu, folder);
        } else {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    driven
}

#[track_caller]
fn assert_driven(driven: &BTreeSet<Control>, names: &[&str]) {
    for name in names {
        assert!(driven.iter().any(|(_, other)| other == name), "`{name}` was not found; there were {driven:?}");
    }
}

/// Whatever was done to it, the window can train.
fn assert_usable(gui: &mut Gui) {
    until(gui, "nothing is under way", |w| w.run.busy.is_none());
    start_small(gui, 1_000_000, true);
    until(gui, "it trains", |w| iterations(w) >= 3);
}

#[test]
fn every_control_of_an_empty_window_has_a_name_and_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let driven = drive_all(&mut gui, Tab::Training, &folder, |_| {});
    assert_driven(&driven, &["gaussians", "Open…", "Draw data", "Tour", "Looks", "Next run"]);
    assert_usable(&mut gui);
}

/// Of a run that begins the panel closes, so what is in it is looked at here.
#[test]
fn every_setting_of_the_next_run_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let before = controls(&gui).len();
    click(&mut gui, "More settings of the next run");
    let there = controls(&gui);
    assert!(there.len() > before + 15, "{there:?}");
    assert!(there.iter().all(|(_, name)| !name.is_empty()), "{there:?}");
    let names =
        ["Begin with", "Method", "Data", "Seed", "Generator's learning rate", "Divergence", "sigma max", "tick"];
    assert_driven(&there.into_iter().collect(), &names);
}

#[test]
fn every_control_of_points_has_a_name_and_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let driven = drive_all(&mut gui, Tab::Training, &folder, |gui| start_small(gui, 1_000_000, true));
    let bar = ["Pause", "Step", "Slow motion", "Reset", "Rewind", "Save", "Stop", "More", "Discard"];
    assert_driven(&driven, &bar);
    assert_driven(&driven, &["Data", "Samples", "Ratio", "Gradient", "Latent grid", "Noised", "Noise level"]);
    assert_driven(&driven, &["Generator's learning rate", "Divergence", "Critic updates", "Length", "Cooldown"]);
    assert_driven(&driven, &["More settings", "beta2", "Averaging of weights", "Undo", "Start again with these"]);
    assert_driven(&driven, &["Smoothing", "Save CSV", "Save picture", "Compare with a run", "Logarithmic"]);
    assert_driven(&driven, &["Light", "Dark", "150 %", "End without saving", "Next charts", "Next run"]);
    assert_usable(&mut gui);
}

#[test]
fn every_control_of_digits_has_a_name_and_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    // First of all: a preset that is clicked on the way leaves the digits, for good.
    start_digits(&mut gui, true);
    gui.run_steps(4);
    click(&mut gui, "Nearest training images");
    let driven = drive_all(&mut gui, Tab::Training, &folder, |gui| start_digits(gui, true));
    assert_driven(&driven, &["Pause", "Save picture"]);
    assert_usable(&mut gui);
}

#[test]
fn every_control_of_the_machine_has_a_name_and_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let driven = drive_all(&mut gui, Tab::Machine, &folder, |gui| start_small(gui, 1_000_000, true));
    assert_driven(&driven, &["Train on", "Share of the device", "Pause on battery", "Time the kernels", "processor"]);
    assert_usable(&mut gui);
}

#[test]
fn every_control_of_the_explorer_has_a_name_and_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let model = Path::new("../assets/web/mnist-generator.safetensors");
    drop_file(&mut gui, model);
    let driven = drive_all(&mut gui, Tab::Explore, &folder, |gui| start_small(gui, 1_000_000, true));
    assert_driven(&driven, &["Samples", "Latent plane", "Interpolation", "Best of N"]);
    assert_driven(&driven, &["Is it memorised?", "First seed", "Save picture…", "Export weights…", "Open model…"]);
    assert_usable(&mut gui);
}

#[test]
fn every_control_of_a_run_s_own_generator_has_a_name_and_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    let begin = |gui: &mut Gui| start_small(gui, 1_000_000, true);
    begin(&mut gui);
    gui.state_mut().as_mut().expect("a window").tab = Tab::Explore;
    gui.step();
    click(&mut gui, "Take the run's generator");
    let start = Instant::now();
    while gui.query_by_label("Draw again").is_none() {
        assert!(start.elapsed() < Duration::from_mins(1), "the generator was not opened");
        gui.step();
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let driven = drive_all(&mut gui, Tab::Explore, &folder, begin);
    assert_driven(&driven, &["Draw again", "points"]);
    assert_usable(&mut gui);
}
