//! The settings: those that may change while the run goes on, and those of the next run.
//!
//! Everything comes from the table of knobs; how they are called and what their sliders cover is this window's own.

mod next;
mod words;

use eframe::egui::{self, DragValue, Slider, WidgetInfo};
use onestep_core::session::Start;
use onestep_core::train::{Config, Divergence, KNOBS, Knob, Preset};

use self::next::Next;
use self::words::in_front;
use super::run::{Run, State};

/// The panel's own state.
#[derive(Default)]
pub struct Panel {
    next: Next,
}

impl Panel {
    /// Shows the panel; what it returns is to be started.
    pub fn show(&mut self, ui: &mut egui::Ui, run: &mut Run) -> Option<Start> {
        ui.horizontal(|ui| {
            ui.heading("Settings");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let redo = run.redo_text();
                let button = ui.add_enabled(redo.is_some(), egui::Button::new("Redo"));
                if button.on_hover_text(redo.unwrap_or_default()).clicked() {
                    run.redo();
                }
                let undo = run.undo_text();
                let button = ui.add_enabled(undo.is_some(), egui::Button::new("Undo"));
                if button.on_hover_text(undo.unwrap_or_default()).clicked() {
                    run.undo();
                }
            });
        });
        let is_new = self.next.follow(run);
        let mut start = None;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            live(ui, run);
            start = again(ui, run);
            ui.add_space(8.0);
            // A run that begins needs the room for its own settings.
            let next =
                egui::CollapsingHeader::new("Next run").default_open(!run.is_open()).open(is_new.then_some(false));
            let next = next.show(ui, |ui| self.next.show(ui, run));
            start = start.take().or(next.body_returned.flatten());
        });
        start
    }
}

/// The live settings of the run.
fn live(ui: &mut egui::Ui, run: &mut Run) {
    let Some((config, preset)) = run.opened.as_ref().map(|opened| (opened.config.clone(), opened.preset.clone()))
    else {
        ui.label("Start a run, and its knobs are here. They act while it goes on.");
        return;
    };
    let method = config.method.get();
    let usual = preset.and_then(|name| Preset::find(&name)).map_or_else(Config::default, |p| p.config_for(method));
    let shown = KNOBS.iter().filter(|knob| knob.is_live() && words::acts(knob.name, method, &config));
    let (first, rest) = in_front(shown.collect());
    ui.add_enabled_ui(run.is_open(), |ui| {
        for knob in first {
            let before = config.text_of(knob.name);
            row(ui, knob, |ui, label| {
                let edit = edit(ui, knob, &config, &before, label);
                make(edit.or_reset(ui, knob, &usual, &before), knob, before, run);
            });
        }
    });
    egui::CollapsingHeader::new("More settings").show(ui, |ui| {
        ui.add_enabled_ui(run.is_open(), |ui| {
            for title in words::GROUPS {
                let knobs: Vec<_> = rest.iter().filter(|knob| words::group(knob) == title).collect();
                if knobs.is_empty() {
                    continue;
                }
                ui.strong(title);
                egui::Grid::new(title).num_columns(3).min_col_width(20.0).show(ui, |ui| {
                    for knob in knobs {
                        let before = config.text_of(knob.name);
                        let label = ui.label(words::name(knob)).on_hover_text(words::help(knob));
                        let edit = edit(ui, knob, &config, &before, &label);
                        make(edit.or_reset(ui, knob, &usual, &before), knob, before, run);
                        ui.end_row();
                    }
                });
            }
        });
    });
}

/// The same run from its first step, with the settings that are shown.
fn again(ui: &mut egui::Ui, run: &Run) -> Option<Start> {
    let config = run.opened.as_ref()?.config.clone();
    ui.add_space(4.0);
    let tip = "The same run from step 0, with the settings above as they are now. This run is saved, and stays.";
    let ready = run.busy.is_none() && run.state != State::Stopping;
    let button = ui.add_enabled(ready, egui::Button::new("Start again with these")).on_hover_text(tip);
    button.clicked().then(|| run.start_with(config)).flatten()
}

/// A setting in plain words with its unit, and its control below.
fn row(ui: &mut egui::Ui, knob: &Knob, control: impl FnOnce(&mut egui::Ui, &egui::Response)) {
    let label = ui.horizontal(|ui| {
        let label = ui.label(words::name(knob)).on_hover_text(words::help(knob));
        ui.weak(words::unit(knob));
        label
    });
    ui.horizontal(|ui| control(ui, &label.inner));
}

/// A mark where a setting has its usual value, else a button that gives it that one again; whether it was clicked.
fn reset(ui: &mut egui::Ui, knob: &Knob, usual: &str, is_usual: bool) -> bool {
    if is_usual {
        ui.weak("default").on_hover_text(usual);
        return false;
    }
    let button = ui.small_button("Reset").on_hover_text(format!("Back to {usual}, the default"));
    let name = format!("{} back to {usual}", words::name(knob));
    button.widget_info(|| WidgetInfo::labeled(egui::Role::Button, ui.is_enabled(), &name));
    button.clicked()
}

/// What was done to a setting in a frame.
#[derive(Default)]
struct Edit {
    /// Its new value as text, if it was changed.
    after: Option<String>,
    /// Whether a drag began.
    began: bool,
    /// Whether a drag ended.
    ended: bool,
}

impl Edit {
    /// With the mark of the default behind it, or the way back there.
    fn or_reset(mut self, ui: &mut egui::Ui, knob: &Knob, usual: &Config, before: &str) -> Self {
        let usual = usual.text_of(knob.name);
        if reset(ui, knob, &usual, usual == before) {
            self.after = Some(usual);
        }
        self
    }
}

/// Tells the run what was done.
fn make(edit: Edit, knob: &Knob, before: String, run: &mut Run) {
    if edit.began {
        run.hold(knob.name, &before);
    }
    if let Some(after) = edit.after {
        run.set(knob.name, before, &after);
    }
    if edit.ended {
        run.release();
    }
}

/// The control of a setting.
fn edit(ui: &mut egui::Ui, knob: &Knob, config: &Config, before: &str, label: &egui::Response) -> Edit {
    if knob.name == "divergence" {
        let mut chosen = config.divergence;
        egui::ComboBox::from_id_salt(knob.name)
            .selected_text(chosen.to_string())
            .show_ui(ui, |ui| {
                for divergence in Divergence::ALL {
                    ui.selectable_value(&mut chosen, *divergence, divergence.to_string());
                }
            })
            .response
            .labelled_by(label.id)
            .on_hover_text(words::help(knob));
        return Edit { after: (chosen != config.divergence).then(|| chosen.to_string()), ..Edit::default() };
    }
    let (Some((low, high)), Ok(mut value)) = (knob.range, before.parse::<f64>()) else { return Edit::default() };
    // A number that may have a fraction has its point even without one.
    let whole = before.parse::<u64>().is_ok();
    // A field counts as it is read when it is left, so it shows every digit; and half of a number is another number, so
    // it counts no sooner.
    let digits = |value: f64, _| (value as f32).to_string();
    let response = if let Some((from, to, logarithmic)) = words::handy(knob) {
        ui.spacing_mut().slider_width = 80.0;
        let mut slider =
            Slider::new(&mut value, from..=to).logarithmic(logarithmic).clamping(egui::SliderClamping::Never);
        if logarithmic {
            slider = slider.custom_formatter(|value, _| format!("{:e}", value as f32)).smallest_positive(from);
        } else if whole {
            slider = slider.integer();
        } else {
            slider = slider.max_decimals(6).custom_formatter(digits);
        }
        ui.add(slider.update_while_editing(false))
    } else {
        let speed = (value.abs() * 0.01).max(if whole { 1.0 } else { 0.01 });
        let drag = DragValue::new(&mut value).speed(speed).update_while_editing(false);
        ui.add(if whole { drag.fixed_decimals(0) } else { drag.max_decimals(3).custom_formatter(digits) })
    };
    let response = response.labelled_by(label.id).on_hover_text(words::help(knob));
    // What was typed counts as it is: the session refuses what is out of bounds, and says so.
    let value = if response.dragged() { value.clamp(low, high) } else { value };
    let text = if whole { format!("{value:.0}") } else { format!("{}", value as f32) };
    let after = (response.changed() && text != before).then_some(text);
    Edit { after, began: response.drag_started(), ended: response.drag_stopped() }
}
