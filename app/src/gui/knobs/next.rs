//! Settings of the next run: all of them, typed freely over those of a preset or of the run that is shown.

use std::collections::BTreeMap;

use eframe::egui;
use onestep_core::session::Start;
use onestep_core::train::{Config, Divergence, KNOBS, Knob, METHODS, Method, Overrides, PRESETS, Preset};

use super::super::run::Run;
use super::{in_front, reset, row, words};

/// Whose settings the next run begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// A preset's.
    Preset(&'static str),
    /// Those that the run which is shown has now.
    Run,
}

impl Base {
    fn name(self) -> &'static str {
        match self {
            Self::Preset(name) => name,
            Self::Run => "as this run",
        }
    }
}

/// The next run.
pub struct Next {
    base: Base,
    method: &'static Method,
    /// The run that was shown last: a new one becomes what the next run begins with.
    generation: u64,
    /// What was typed in place of the base's values, right or wrong, by setting.
    typed: BTreeMap<&'static str, String>,
}

impl Default for Next {
    fn default() -> Self {
        Self { base: Base::Preset("gaussians"), method: &METHODS[0], generation: 0, typed: BTreeMap::new() }
    }
}

impl Next {
    /// Takes the run that has been opened since; whether there is one.
    pub fn follow(&mut self, run: &Run) -> bool {
        let is_new = run.generation != self.generation;
        if let (true, Some(opened)) = (is_new, &run.opened) {
            self.generation = run.generation;
            self.begin_with(Base::Run);
            self.method = opened.config.method.get();
        }
        is_new
    }

    fn begin_with(&mut self, base: Base) {
        self.base = base;
        self.typed.clear();
    }

    /// The settings that it begins with.
    fn config(&self, run: &Run) -> Option<Config> {
        let name = match self.base {
            Base::Preset(name) => name,
            Base::Run => {
                let mut config = run.opened.as_ref()?.config.clone();
                if config.method.get().name != self.method.name {
                    config.method = self.method.into();
                    (self.method.settings)(&mut config);
                }
                return Some(config);
            }
        };
        let preset = Preset::find(name)?;
        let with = |names: &[&str]| {
            let mut over = Overrides { method: Some(self.method.into()), ..Overrides::default() };
            for (name, text) in self.typed.iter().filter(|(name, _)| names.contains(name)) {
                // What can't be read is said beside the button.
                let _ = over.set(name, text.trim());
            }
            preset.config_with(&[over])
        };
        // Data and classes change what else is usual, and stay beside what was typed themselves.
        let (data, classes) = (with(&[]).data, with(&["data"]).classes);
        Some(Config { data, classes, ..with(&["data", "classes"]) })
    }

    /// Shows the settings; what it returns is to be started.
    pub fn show(&mut self, ui: &mut egui::Ui, run: &Run) -> Option<Start> {
        self.choices(ui, run);
        let config = self.config(run)?;
        // In front: below all settings it would be out of sight.
        let start = self.start(ui, run, config.clone());
        let method = self.method;
        let shown = KNOBS.iter().filter(|knob| knob.name != "method" && method.reads(knob.name));
        let (acting, idle) = shown.partition(|knob| words::acts(knob.name, method, &config));
        let (first, mut rest) = front(acting);
        rest.extend::<Vec<_>>(idle);
        for knob in first {
            row(ui, knob, |ui, label| self.edit(ui, knob, &config, label));
        }
        egui::CollapsingHeader::new("More settings of the next run").show(ui, |ui| {
            for title in words::GROUPS {
                let knobs: Vec<_> = rest.iter().filter(|knob| words::group(knob) == title).collect();
                if knobs.is_empty() {
                    continue;
                }
                ui.strong(title);
                egui::Grid::new(("next", title)).num_columns(3).show(ui, |ui| {
                    for knob in knobs {
                        let label = ui.label(words::name(knob)).on_hover_text(words::help(knob));
                        self.edit(ui, knob, &config, &label);
                        ui.end_row();
                    }
                });
            }
        });
        start
    }

    /// The button that starts it, or what is wrong.
    fn start(&self, ui: &mut egui::Ui, run: &Run, mut config: Config) -> Option<Start> {
        let mut changes = Overrides::default();
        let set = self.typed.iter().try_for_each(|(name, text)| changes.set(name, text.trim()));
        config.apply(&changes);
        let problem = set.and_then(|()| config.validate()).err();
        let button = ui.add_enabled(problem.is_none(), egui::Button::new("Start with these settings"));
        let button = button.on_hover_text("A new run, from its first step; the run that is open is saved first.");
        if let Some(problem) = &problem {
            ui.colored_label(ui.visuals().error_fg_color, problem.to_string());
        }
        if !button.clicked() {
            return None;
        }
        match self.base {
            Base::Preset(name) => {
                Some(Start::New { preset: name.to_owned(), config: Box::new(config), transfer: None })
            }
            Base::Run => run.start_with(config),
        }
    }

    /// Whose settings, and which method.
    fn choices(&mut self, ui: &mut egui::Ui, run: &Run) {
        let mut base = self.base;
        egui::Grid::new("next choices").num_columns(2).show(ui, |ui| {
            let label = ui.label("Begin with");
            egui::ComboBox::from_id_salt("next base")
                .selected_text(base.name())
                .show_ui(ui, |ui| {
                    if run.opened.is_some() {
                        ui.selectable_value(&mut base, Base::Run, Base::Run.name())
                            .on_hover_text("The data and the settings of the run that is shown, as they are now.");
                    }
                    for preset in PRESETS {
                        ui.selectable_value(&mut base, Base::Preset(preset.name), preset.name)
                            .on_hover_text(preset.about);
                    }
                })
                .response
                .labelled_by(label.id);
            ui.end_row();
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
            ui.end_row();
            if method.name != self.method.name {
                self.method = method;
                self.typed.retain(|name, _| method.reads(name));
            }
        });
        if base != self.base {
            self.begin_with(base);
        }
    }

    /// One setting, and the way back to the base's value.
    fn edit(&mut self, ui: &mut egui::Ui, knob: &'static Knob, config: &Config, label: &egui::Response) {
        let usual = config.text_of(knob.name);
        let mut text = self.typed.get(knob.name).unwrap_or(&usual).clone();
        if knob.name == "divergence" {
            egui::ComboBox::from_id_salt("next divergence")
                .selected_text(&text)
                .show_ui(ui, |ui| {
                    for divergence in Divergence::ALL {
                        ui.selectable_value(&mut text, divergence.to_string(), divergence.to_string());
                    }
                })
                .response
                .labelled_by(label.id)
                .on_hover_text(words::help(knob));
            if text == usual {
                self.typed.remove(knob.name);
            } else {
                self.typed.insert(knob.name, text);
            }
        } else {
            // A path, or the name of a density, is longer than a number.
            let width = if knob.name == "data" { 150.0 } else { 76.0 };
            let edit = ui.add(egui::TextEdit::singleline(&mut text).desired_width(width));
            let edit = edit.labelled_by(label.id).on_hover_text(format!("{text}\n{}", words::help(knob)));
            if edit.changed() {
                self.typed.insert(knob.name, text);
            } else if !edit.has_focus() && (text.trim().is_empty() || text == usual) {
                // An emptied field means the base's value.
                self.typed.remove(knob.name);
            }
        }
        if reset(ui, knob, &usual, !self.typed.contains_key(knob.name)) {
            self.typed.remove(knob.name);
        }
    }
}

/// Those that stand in front: with data and seed, which only a new run can have.
fn front(knobs: Vec<&'static Knob>) -> (Vec<&'static Knob>, Vec<&'static Knob>) {
    let (own, knobs): (Vec<_>, Vec<_>) = knobs.into_iter().partition(|knob| ["data", "seed"].contains(&knob.name));
    let (first, rest) = in_front(knobs);
    (own.into_iter().chain(first).collect(), rest)
}
