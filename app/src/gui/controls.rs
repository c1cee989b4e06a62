//! The bar at the top: what runs, how far it is, and the buttons that move it.

use std::path::PathBuf;

use eframe::egui::util::IdTypeMap;
use eframe::egui::{self, Button, ProgressBar, RichText};
use onestep_core::session::{Command, End};
use onestep_core::train::{PRESETS, Preset};

use super::run::{Run, State};

/// What a person asks for in the bar.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Start this preset.
    Preset(&'static str),
    /// Start the same run anew.
    Reset,
    /// Slow motion, on or off.
    Slow,
    /// Write a checkpoint now.
    Save,
    /// Go on with the run that has ended.
    Continue,
    /// Go back to this checkpoint.
    Rewind(PathBuf),
    /// Save and end.
    Stop,
    /// End without saving.
    Discard,
    /// Choose a file: data, a run, a model, settings.
    Open,
    /// The tour.
    Tour,
    /// The list of keys.
    Help,
}

/// Shows the bar.
pub fn show(ui: &mut egui::Ui, run: &mut Run, slow: bool) -> Option<Ask> {
    let mut ask = None;
    ui.horizontal_wrapped(|ui| {
        ui.menu_button("New run", |ui| {
            if let Some(preset) = presets(ui) {
                ask = Some(Ask::Preset(preset));
                ui.close();
            }
        })
        .response
        .on_hover_text("Start a preset; the run that is open is saved first.");
        if ui
            .button("Open…")
            .on_hover_text("A data set, a run, a model or settings. Dropping a file does the same.")
            .clicked()
        {
            ask = Some(Ask::Open);
        }
        ui.separator();
        transport(ui, run, slow, &mut ask);
        ui.separator();
        progress(ui, run);
        if run.busy.is_none() && run.continuation().is_some() {
            let (word, tip) = if run.state == State::Ended(End::Finished) {
                ("Train longer", "Go on from the end: twice as many steps, or twice the other limit that ended it. The learning rates rise again and cool down once more.")
            } else {
                ("Continue", "Go on from the last checkpoint.")
            };
            if ui.button(word).on_hover_text(tip).clicked() {
                ask = Some(Ask::Continue);
            }
        }
    });
    ask
}

/// What explains the window.
pub fn explanations(ui: &mut egui::Ui) -> Option<Ask> {
    let mut ask = None;
    if ui.button("?").on_hover_text("Keys (?)").clicked() {
        ask = Some(Ask::Help);
    }
    if ui.button("Tour").on_hover_text("Six short steps through this window.").clicked() {
        ask = Some(Ask::Tour);
    }
    ask
}

/// One button per preset; the one that was clicked.
pub fn presets(ui: &mut egui::Ui) -> Option<&'static str> {
    let mut chosen = None;
    for Preset { name, about, .. } in PRESETS {
        if ui.button(*name).on_hover_text(*about).clicked() {
            chosen = Some(*name);
        }
    }
    chosen
}

fn transport(ui: &mut egui::Ui, run: &mut Run, slow: bool, ask: &mut Option<Ask>) {
    let open = run.is_open() && run.state != State::Stopping;
    let playing = run.state == State::Playing;
    let text = if playing { "Pause" } else { "Play" };
    let play = ui.add_enabled(open, Button::new(RichText::new(text).strong()).min_size(egui::vec2(72.0, 0.0)));
    if play.on_hover_text("Train, or wait after the current step (Space).").clicked() {
        run.toggle();
        // The new word is in this frame already: where software draws, the next one is long in coming.
        ui.ctx().request_discard("play or pause");
    }
    let updates = run.phase().map(|phase| phase.turn.clone()).unwrap_or_default();
    let turn: Vec<&str> = updates.iter().map(|(_, update)| update.name).collect();
    let step = ui.add_enabled(open, Button::new("Step"));
    if step.on_hover_text(format!("One turn ({}), then wait ( . ).", turn.join(", "))).clicked() {
        run.step(Command::Turn);
    }
    let told = !super::slow::story(run).is_empty();
    let slow = ui.add_enabled(open && told, Button::selectable(slow, "Slow motion"));
    let slow = slow.on_disabled_hover_text("There is no story of a step of this phase.");
    if slow.on_hover_text("Walk through the moments of a step.").clicked() {
        *ask = Some(Ask::Slow);
    }
    ui.separator();
    if ui
        .add_enabled(run.can_start_again(), Button::new("Reset"))
        .on_hover_text("Save this run, and start it anew from the first step, with the settings of its start (R).")
        .clicked()
    {
        *ask = Some(Ask::Reset);
    }
    rewind(ui, run, ask);
    ui.separator();
    if ui.add_enabled(open, Button::new("Save")).on_hover_text("Write a checkpoint and a snapshot now (S).").clicked() {
        *ask = Some(Ask::Save);
    }
    if ui
        .add_enabled(open, Button::new("Stop"))
        .on_hover_text("Save and end the run; it can be gone on with.")
        .clicked()
    {
        *ask = Some(Ask::Stop);
    }
    ui.menu_button("More", |ui| {
        let discard = ui.add_enabled(open, Button::new("Discard"));
        if discard.on_hover_text("End the run without saving.").clicked() {
            *ask = Some(Ask::Discard);
            ui.close();
        }
    });
}

/// The checkpoints that the run can go back to, in a menu.
fn rewind(ui: &mut egui::Ui, run: &Run, ask: &mut Option<Ask>) {
    let there = run.state != State::Stopping && run.opened.as_ref().is_some_and(|opened| opened.folder.is_some());
    let listed = egui::Id::unique("listed checkpoints");
    ui.add_enabled_ui(there, |ui| {
        let menu = ui.menu_button("Rewind", |ui| {
            // What a person points at stays where it is: checkpoints that come are listed when the menu is opened again.
            let of_menu = |data: &mut IdTypeMap| data.get_temp_mut_or_insert_with(listed, || run.checkpoints()).clone();
            let mut checkpoints: Vec<(u64, PathBuf)> = ui.data_mut(of_menu);
            checkpoints.retain(|(_, path)| path.exists());
            if checkpoints.is_empty() {
                ui.label("There is no checkpoint yet.");
            }
            egui::ScrollArea::vertical().max_height(480.0).show(ui, |ui| {
                for (step, path) in checkpoints {
                    let button = ui.button(format!("To step {step}"));
                    if button.on_hover_text("With the weights and the settings of that step.").clicked() {
                        *ask = Some(Ask::Rewind(path));
                        ui.close();
                    }
                }
            });
        });
        if menu.inner.is_none() {
            ui.data_mut(|data| data.remove::<Vec<(u64, PathBuf)>>(listed));
        }
        menu.response.on_hover_text("Go back to a checkpoint of this run. What came after it is made anew.");
    });
}

fn progress(ui: &mut egui::Ui, run: &Run) {
    if let Some(busy) = &run.busy {
        match busy.share {
            Some(share) => drop(ui.add(ProgressBar::new(share).desired_width(150.0))),
            None => drop(ui.spinner()),
        }
        if busy.download && ui.button("Cancel").on_hover_text("Give up the run that waits for this.").clicked() {
            run.training().cancel();
        }
        ui.label(format!("{} …", busy.text));
        return;
    }
    let text = match &run.state {
        State::Empty => "no run".to_owned(),
        State::Stopping => "saving …".to_owned(),
        State::Ended(End::Finished) => "finished".to_owned(),
        State::Ended(End::Stopped) => "stopped and saved".to_owned(),
        State::Ended(End::Discarded) => "discarded".to_owned(),
        State::Failed(_) => "failed".to_owned(),
        State::Playing | State::Paused => {
            let Some(view) = &run.view else { return };
            let (step, steps) = (view.counters.turn, view.length);
            let name = run.phase().map_or("", |phase| phase.name);
            let share = step as f32 / steps.max(1) as f32;
            let rate = run.progress.map_or(0.0, |p| p.rate);
            let left = left(steps.saturating_sub(step), rate, run.state == State::Playing);
            let bar = ProgressBar::new(share).desired_width(150.0).text(format!("{name} {step} / {steps}"));
            ui.add(bar).on_hover_text(&left);
            // In a narrow window these words would take a second line.
            if ui.available_size_before_wrap().x < 150.0 {
                return;
            }
            left
        }
    };
    ui.label(text);
}

/// Time that is left of a phase, in words.
fn left(steps: u64, rate: f64, playing: bool) -> String {
    if !playing {
        return "paused".to_owned();
    }
    if rate <= 0.0 {
        return String::new();
    }
    let secs = steps as f64 / rate;
    let rate = if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
    let time = match secs {
        ..60.0 => format!("{secs:.0} s"),
        ..3600.0 => format!("{:.0} min", secs / 60.0),
        _ => format!("{:.1} h", secs / 3600.0),
    };
    format!("{rate} steps/s, {time} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_told_in_words() {
        assert_eq!(left(100, 50.0, true), "50 steps/s, 2 s left");
        assert_eq!(left(6000, 2.5, true), "2.5 steps/s, 40 min left");
        assert_eq!(left(100, 0.0, true), "");
        assert_eq!(left(100, 50.0, false), "paused");
    }
}
