//! The settings: those that may change while the run goes on, and those of the next run.
//!
//! Everything comes from the table of knobs; only the sliders' handy ranges are this window's own.

use std::collections::BTreeMap;

use eframe::egui::{self, DragValue, Slider};
use onestep_core::session::Start;
use onestep_core::train::{
    COMMON, Config, Divergence, KNOBS, Knob, METHODS, Method, OF_CLASSES, Overrides, PRESETS, Preset,
};

use super::run::Run;

/// Groups of live settings, in the order of the panel.
const GROUPS: [&str; 4] = ["Learning rates", "Method", "Optimizer", "Length and files"];

/// The group of a live setting.
fn group(knob: &Knob) -> &'static str {
    match knob.name {
        "beta1" | "beta2" | "ema" | "clip" => "Optimizer",
        name if name.starts_with("lr_") || name == "cooldown" => "Learning rates",
        name if COMMON.contains(&name) => "Length and files",
        _ => "Method",
    }
}

/// What a slider covers, within the bounds of the table; on a logarithmic scale or not.
fn handy(knob: &Knob) -> Option<(f64, f64, bool)> {
    match (knob.name, knob.range?) {
        (name, _) if name.starts_with("lr_") => Some((1e-6, 1e-1, true)),
        ("beta2" | "ema", _) => Some((0.9, 0.9999, false)),
        ("cooldown" | "beta1", _) => Some((0.0, 1.0, false)),
        // A few times, or a share.
        (_, (low, high)) => (high <= 100.0).then_some((low, high.min(10.0), false)),
    }
}

/// The panel's own state.
pub struct Panel {
    /// Preset of the next run.
    preset: &'static str,
    /// Method of the next run.
    method: &'static Method,
    /// Preset of the run that was shown last: a new one becomes that of the next run.
    of_run: Option<&'static str>,
    /// What was typed for the next run in place of the preset's values, right or wrong, by setting.
    typed: BTreeMap<&'static str, String>,
}

impl Default for Panel {
    fn default() -> Self {
        Self { preset: "gaussians", method: &METHODS[0], of_run: None, typed: BTreeMap::new() }
    }
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
        let mut start = None;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            live(ui, run);
            ui.add_space(8.0);
            egui::CollapsingHeader::new("Next run").default_open(!run.is_open()).show(ui, |ui| {
                start = self.next_run(ui, run);
            });
        });
        start
    }

    /// Settings that are fixed for a run, for the next one.
    fn next_run(&mut self, ui: &mut egui::Ui, run: &Run) -> Option<Start> {
        let mut chosen = self.preset;
        let of_run = run.opened.as_ref().and_then(|opened| preset_named(opened.preset.as_deref()?));
        if of_run != self.of_run {
            self.of_run = of_run;
            chosen = of_run.unwrap_or(chosen);
        }
        let label = ui.label("Preset");
        egui::ComboBox::from_id_salt("next preset")
            .selected_text(chosen)
            .show_ui(ui, |ui| {
                for preset in PRESETS {
                    ui.selectable_value(&mut chosen, preset.name, preset.name).on_hover_text(preset.about);
                }
            })
            .response
            .labelled_by(label.id);
        if chosen != self.preset {
            self.preset = chosen;
            self.typed.clear();
        }
        let label = ui.label("Method");
        let mut method = self.method;
        egui::ComboBox::from_id_salt("next method")
            .selected_text(method.name)
            .show_ui(ui, |ui| {
                for other in METHODS {
                    let tip = format!("{} ({})", other.about, other.paper);
                    if ui.selectable_label(other.name == method.name, other.name).on_hover_text(tip).clicked() {
                        method = other;
                    }
                }
            })
            .response
            .labelled_by(label.id)
            .on_hover_text(method.about);
        if method.name != self.method.name {
            self.method = method;
            self.typed.retain(|name, _| method.reads(name));
        }
        let mut config = Preset::find(self.preset)?.config_for(method);
        egui::Grid::new("next").num_columns(2).striped(true).show(ui, |ui| {
            let is_shown = |knob: &&Knob| !knob.is_live() && knob.name != "method" && method.reads(knob.name);
            for knob in KNOBS.iter().filter(is_shown) {
                let label = ui.label(knob.name.replace('_', " ")).on_hover_text(knob.help);
                let usual = config.text_of(knob.name);
                let mut text = self.typed.get(knob.name).unwrap_or(&usual).clone();
                let edit = ui.add(egui::TextEdit::singleline(&mut text).desired_width(90.0));
                let edit = edit.labelled_by(label.id).on_hover_text(format!("{} Preset: {usual}.", knob.help));
                if edit.changed() {
                    self.typed.insert(knob.name, text);
                } else if !edit.has_focus() && (text.trim().is_empty() || text == usual) {
                    // An emptied field means the preset's value.
                    self.typed.remove(knob.name);
                }
                ui.end_row();
            }
        });
        let mut changes = Overrides::default();
        let set = self.typed.iter().try_for_each(|(name, text)| changes.set(name, text.trim()));
        config.apply(&changes);
        let problem = set.and_then(|()| config.validate()).err();
        if let Some(problem) = &problem {
            ui.colored_label(ui.visuals().error_fg_color, problem.to_string());
        }
        let button = ui.add_enabled(problem.is_none(), egui::Button::new("Start with these settings"));
        let start = Start::New { preset: self.preset.to_owned(), config: Box::new(config), transfer: None };
        button.clicked().then_some(start)
    }
}

fn preset_named(name: &str) -> Option<&'static str> {
    Preset::find(name).map(|preset| preset.name)
}

/// The live settings of the run.
fn live(ui: &mut egui::Ui, run: &mut Run) {
    let Some(config) = run.opened.as_ref().map(|opened| opened.config.clone()) else {
        ui.label("Start a run, and its knobs are here. They act while it goes on.");
        return;
    };
    let enabled = run.is_open();
    let method = config.method.get();
    let acts = |name: &str| method.reads(name) && (config.classes > 0 || !OF_CLASSES.contains(&name));
    for title in GROUPS {
        let is_shown = |knob: &&Knob| knob.is_live() && group(knob) == title && acts(knob.name);
        let knobs: Vec<&Knob> = KNOBS.iter().filter(is_shown).collect();
        if knobs.is_empty() {
            continue;
        }
        ui.add_space(4.0);
        ui.strong(title);
        ui.add_enabled_ui(enabled, |ui| {
            egui::Grid::new(title).num_columns(2).min_col_width(84.0).show(ui, |ui| {
                for knob in knobs {
                    let before = config.text_of(knob.name);
                    let edit = edit(ui, knob, &config, &before);
                    if edit.began {
                        run.hold(knob.name, &before);
                    }
                    if let Some(after) = edit.after {
                        run.set(knob.name, before, &after);
                    }
                    if edit.ended {
                        run.release();
                    }
                    ui.end_row();
                }
            });
        });
    }
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

/// One setting.
fn edit(ui: &mut egui::Ui, knob: &Knob, config: &Config, before: &str) -> Edit {
    let label = ui.label(knob.name.replace('_', " ")).on_hover_text(knob.help);
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
            .on_hover_text(knob.help);
        return Edit { after: (chosen != config.divergence).then(|| chosen.to_string()), ..Edit::default() };
    }
    let (Some((low, high)), Ok(mut value)) = (knob.range, before.parse::<f64>()) else { return Edit::default() };
    // A number that may have a fraction has its point even without one.
    let whole = before.parse::<u64>().is_ok();
    // A field counts as it is read when it is left, so it shows every digit; and half of a number is another number, so
    // it counts no sooner.
    let digits = |value: f64, _| (value as f32).to_string();
    let response = if let Some((from, to, logarithmic)) = handy(knob) {
        ui.spacing_mut().slider_width = 80.0;
        let mut slider =
            Slider::new(&mut value, from..=to).logarithmic(logarithmic).clamping(egui::SliderClamping::Edits);
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
        let drag = DragValue::new(&mut value).range(low..=high).speed(speed).update_while_editing(false);
        ui.add(if whole { drag.fixed_decimals(0) } else { drag.max_decimals(3).custom_formatter(digits) })
    };
    let response = response.labelled_by(label.id).on_hover_text(knob.help);
    let value = value.clamp(low, high);
    let text = if whole { format!("{value:.0}") } else { format!("{}", value as f32) };
    let after = (response.changed() && text != before).then_some(text);
    Edit { after, began: response.drag_started(), ended: response.drag_stopped() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_live_setting_is_in_a_group_that_is_shown() {
        assert!(KNOBS.iter().filter(|knob| knob.is_live()).all(|knob| GROUPS.contains(&group(knob))));
    }

    #[test]
    fn handy_ranges_are_within_the_bounds() {
        for knob in KNOBS {
            if let Some((from, to, _)) = handy(knob) {
                let (low, high) = knob.range.expect("a number");
                assert!(low <= from && to <= high.max(1.0), "{}: {from}..{to}", knob.name);
            }
        }
    }
}
