//! Numbers and words around the middle, and how everything looks.

use eframe::egui;
use onestep_core::eval::planar::LIVE_BINS;

use super::Window;
use crate::gui::run::{Run, State};
use crate::gui::theme::{Theme, background, lerp};

impl Window {
    /// The newest message, the device and the memory.
    pub(super) fn status(&mut self, ui: &mut egui::Ui) {
        egui::Panel::bottom("status").show(ui, |ui| {
            ui.horizontal(|ui| {
                if let Some(opened) = &self.run.opened {
                    ui.label(&opened.device);
                    ui.separator();
                    if let Some(folder) = &opened.folder {
                        // The whole path would leave no room for messages, and so would a long name.
                        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
                        let mut short: String = name.chars().take(40).collect();
                        if short.len() < name.len() {
                            short.push('…');
                        }
                        ui.label(short).on_hover_text(folder.display().to_string());
                        ui.separator();
                    }
                }
                if let Some(message) = self.run.messages.last() {
                    let all = self.run.messages.join("\n");
                    ui.add(egui::Label::new(message).truncate()).on_hover_text(all);
                }
            });
        });
    }
}

/// Colours and size of everything.
pub(super) fn looks(ui: &mut egui::Ui) {
    ui.menu_button("Looks", |ui| {
        let mut theme = ui.ctx().options(|options| options.theme_preference);
        for (value, name) in [
            (egui::ThemePreference::System, "As the system"),
            (egui::ThemePreference::Light, "Light"),
            (egui::ThemePreference::Dark, "Dark"),
        ] {
            ui.radio_value(&mut theme, value, name);
        }
        ui.ctx().set_theme(theme);
        ui.separator();
        let mut zoom = ui.ctx().zoom_factor();
        ui.label("Scale");
        // Sizes that a person can tell apart, chosen by click: a slider would move away under the pointer.
        ui.horizontal(|ui| {
            for factor in [0.8, 1.0, 1.25, 1.5, 2.0] {
                ui.selectable_value(&mut zoom, factor, format!("{:.0} %", 100.0 * factor));
            }
        });
        ui.ctx().set_zoom_factor(zoom);
    });
}

/// A warning while the method says that the run has failed: what looks like convergence is none.
pub(super) fn alarm(ui: &mut egui::Ui, run: &Run, theme: &Theme) {
    if let Some(alarm) = run.alarm() {
        warning(ui, theme, alarm.about, alarm.advice);
    }
}

/// Of a run that failed, that its last moment is what there is to see.
pub(super) fn last_moment(ui: &mut egui::Ui, run: &Run, theme: &Theme) {
    if let State::Failed(failure) = &run.state {
        let step = run.view.as_ref().map_or(0, |view| view.step);
        warning(ui, theme, &format!("The run failed. This is what it was at step {step}."), &failure.message);
    }
}

fn warning(ui: &mut egui::Ui, theme: &Theme, words: &str, tip: &str) {
    let fill = lerp(background(ui.visuals()), theme.alarm, 0.16);
    egui::Frame::new().fill(fill).corner_radius(4.0).inner_margin(4.0).show(ui, |ui| {
        ui.label(egui::RichText::new(words).strong().color(theme.alarm)).on_hover_text(tip);
    });
}

/// Divergence, modes and updates, in the line above the canvas.
pub(super) fn numbers(ui: &mut egui::Ui, run: &Run) {
    let Some(view) = &run.view else { return };
    if let Some(quality) = &view.quality {
        ui.separator();
        ui.label(format!("Divergence (grid KL): {:.3} nats", quality.kl)).on_hover_text(format!(
            "Of the data from the samples, on {LIVE_BINS} x {LIVE_BINS} cells; a perfect generator shows {:.3}.",
            quality.floor
        ));
        if let Some((reached, all)) = quality.modes {
            ui.separator();
            ui.label(format!("Modes: {reached} of {all}"));
        }
    }
    if let Some(paths) = &view.paths {
        ui.separator();
        ui.label(format!("Straightness of paths: {:.3}", paths.straightness))
            .on_hover_text("How much their velocity changes, squared: at 0 one step of Euler's method is exact.");
        ui.separator();
        ui.label(format!("Jump to path's end: {:.3}", paths.apart)).on_hover_text(
            "From the same noise, root mean square, in units of the data. A method that learns where paths end brings it \
             to 0; one that matches distributions alone may lead a noise elsewhere.",
        );
    }
    ui.separator();
    let counts = view.counters.updates.iter().map(|(update, count)| format!("{count} {update}"));
    let text = format!("updates: {}", counts.collect::<Vec<_>>().join(", "));
    ui.add(egui::Label::new(&text).truncate()).on_hover_text(&text);
}
