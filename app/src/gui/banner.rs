//! What went wrong, and the button that helps.

use eframe::egui::{self, RichText};

use super::files::SavedRun;
use super::theme::{Theme, background, lerp};
use super::training::Failure;

/// What a person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on from the last checkpoint.
    Continue,
    /// The same, on the processor.
    OnProcessor,
    /// Not this run: show the next one.
    Next,
    /// Take the banner away.
    Dismiss,
}

fn banner(ui: &mut egui::Ui, id: &str, theme: &Theme, add: impl FnOnce(&mut egui::Ui)) {
    let fill = lerp(background(ui.visuals()), theme.alarm, 0.16);
    let frame = egui::Frame::new().fill(fill).inner_margin(8.0);
    egui::Panel::top(id).frame(frame).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            // Plain text is too faint on this colour.
            ui.visuals_mut().widgets.noninteractive.fg_stroke.color = ui.visuals().strong_text_color();
            add(ui);
        });
    });
}

/// Something that could not be opened or written; whether it may go away.
pub fn refused(ui: &mut egui::Ui, theme: &Theme, message: &str) -> bool {
    let mut dismissed = false;
    banner(ui, "refused", theme, |ui| {
        ui.label(RichText::new("That did not work.").strong().color(theme.alarm));
        ui.label(message);
        dismissed = ui.button("Dismiss").clicked();
    });
    dismissed
}

/// A run that failed.
pub fn failed(ui: &mut egui::Ui, theme: &Theme, failure: &Failure, device: &str) -> Option<Answer> {
    let mut answer = None;
    banner(ui, "failed", theme, |ui| {
        let title = if failure.device_lost { "The GPU was lost." } else { "The run could not go on." };
        ui.label(RichText::new(title).strong().color(theme.alarm));
        ui.label(&failure.message);
        let again = if failure.folder.is_some() { "Continue from the last checkpoint" } else { "Start again" };
        if ui.button(again).clicked() {
            answer = Some(Answer::Continue);
        }
        if failure.device_lost && device != "cpu" && ui.button("Continue on the processor").clicked() {
            answer = Some(Answer::OnProcessor);
        }
        if ui.button("Dismiss").clicked() {
            answer = Some(Answer::Dismiss);
        }
    });
    answer
}

/// A run that did not end; there are `others` like it.
pub fn interrupted(ui: &mut egui::Ui, theme: &Theme, run: &SavedRun, others: usize) -> Option<Answer> {
    let mut answer = None;
    banner(ui, "interrupted", theme, |ui| {
        ui.label(RichText::new("A run was interrupted.").strong().color(theme.alarm));
        ui.label(format!("{}: {}, {}.", run.name, run.describe(), run.age()));
        if ui.button("Continue from its checkpoint").clicked() {
            answer = Some(Answer::Continue);
        }
        if others > 0 && ui.button(format!("Another one ({others})")).clicked() {
            answer = Some(Answer::Next);
        }
        if ui.button("Not now").clicked() {
            answer = Some(Answer::Dismiss);
        }
    });
    answer
}
