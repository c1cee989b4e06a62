//! Settings: of the run that is open, and of the next one.

use egui_kittest::kittest::{NodeT, Queryable};
use onestep::gui::egui::{self, Key, Modifiers};
use onestep::gui::window::Window;
use onestep_core::session::{End, Start};
use onestep_core::train::{Config, Preset};

use super::harness::{Gui, click, iterations, press, small, start_small, state, type_number, until};

#[test]
fn a_knob_acts_and_can_be_undone_by_button_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let rate = |w: &Window| w.run.view.as_ref().map_or(0, |v| v.config.critic_steps);
    let before = rate(state(&gui));
    gui.get_by_role_and_label(egui::Role::SpinButton, "Critic updates").set_value_accesskit(3.0);
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
    click(&mut gui, "More settings of the next run");
    let fill = |gui: &mut Gui, knob: &str, text: &str| {
        gui.get_by_role_and_label(egui::Role::TextInput, knob).set_text_value_accesskit(text);
        gui.run_steps(3);
        let field = gui.get_by_role_and_label(egui::Role::TextInput, knob);
        field.value().expect("a text field has text")
    };
    // What is not a number yet stays as it is typed, and says what is wrong.
    assert_eq!(fill(&mut gui, "Batch", "12x"), "12x");
    assert!(gui.query_by_label_contains("batch = 12x").is_some());
    assert!(gui.get_by_label("Start with these settings").accesskit_node().is_disabled());
    // An emptied field is the preset's again.
    assert_eq!(fill(&mut gui, "Batch", ""), preset.batch.to_string());
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
fn a_change_of_a_setting_is_marked_in_the_plots() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "some steps are done", |w| iterations(w) >= 6);
    assert!(state(&gui).run.charts.marks().is_empty());
    gui.get_by_role_and_label(egui::Role::SpinButton, "Critic updates").set_value_accesskit(2.0);
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
fn half_of_a_typed_number_is_no_setting() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    until(&mut gui, "it is further than the first digit", |w| iterations(w) > 8);
    type_number(&mut gui, "Length", "8000");
    let typed = iterations(state(&gui));
    until(&mut gui, "it goes on meanwhile", |w| iterations(w) > typed + 2);
    assert!(state(&gui).run.charts.marks().is_empty(), "nothing was changed while it was typed");
    press(&mut gui, Key::Enter);
    until(&mut gui, "it counts once it is entered", |w| w.run.view.as_ref().is_some_and(|v| v.config.steps == 8000));

    type_number(&mut gui, "Critic's learning rate", "5e-4");
    press(&mut gui, Key::Tab);
    until(&mut gui, "or once the field is left", |w| w.run.view.as_ref().is_some_and(|v| v.config.lr_critic == 5e-4));
    let marks: Vec<&str> = state(&gui).run.charts.marks().into_iter().map(|(_, text)| text).collect();
    assert_eq!(marks, ["steps: 1000000 to 8000", "lr_critic: 0.002 to 0.0005"]);
}

/// A learning rate above 0.1, which the command line takes, became 0.1 without a word.
#[test]
fn a_number_counts_as_it_is_typed_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, false);
    let typed = |gui: &mut Gui, text: &str| {
        type_number(gui, "Generator's learning rate", text);
        press(gui, Key::Enter);
    };
    let rate = |w: &Window| w.run.view.as_ref().map_or(0.0, |v| v.config.lr_generator);
    for (text, value) in [("0.5", 0.5), ("1e-8", 1e-8)] {
        typed(&mut gui, text);
        until(&mut gui, "it counts as it was typed", |w| rate(w) == value);
    }
    typed(&mut gui, "3");
    until(&mut gui, "what is out of bounds is refused", |w| {
        w.run.messages.iter().any(|message| message.contains("lr_generator = 3: must be in 0..=1"))
    });
    assert_eq!(rate(state(&gui)), 1e-8);
    click(&mut gui, "Undo");
    until(&mut gui, "one step back", |w| rate(w) == 0.5);
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
    click(&mut gui, "More settings");
    for knob in ["Generator's learning rate", "Averaging of weights", "minutes", "Cooldown", "clip"] {
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
    let rail = gui.get_by_role_and_label(egui::Role::Slider, "Critic updates").rect();
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
    let rail = gui.get_by_role_and_label(egui::Role::Slider, "Critic updates").rect();
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
        gui.get_by_role_and_label(egui::Role::SpinButton, "Critic updates").set_value_accesskit(f64::from(value));
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

#[test]
fn a_setting_says_whether_it_is_the_default_and_goes_back_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut gui = small(&folder);
    start_small(&mut gui, 1_000_000, true);
    let rate = |w: &Window| w.run.view.as_ref().map_or(0.0, |v| v.config.lr_critic);
    assert!(gui.query_by_label_contains("Critic's learning rate back to").is_none(), "it is the default");
    type_number(&mut gui, "Critic's learning rate", "0.004");
    press(&mut gui, Key::Enter);
    until(&mut gui, "the session has the new value", |w| rate(w) == 0.004);
    click(&mut gui, "Critic's learning rate back to 0.002");
    until(&mut gui, "it is the default again", |w| rate(w) == 0.002);
    assert!(gui.query_by_label_contains("Critic's learning rate back to").is_none());
    click(&mut gui, "Undo");
    until(&mut gui, "that is a change, too", |w| rate(w) == 0.004);
}
