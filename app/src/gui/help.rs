//! The list of keys.

use eframe::egui;

const KEYS: &[(&str, &str)] = &[
    ("Space", "play or pause"),
    (".", "one step"),
    ("R", "reset: start the run anew; in Explore: draw again"),
    ("S", "save a checkpoint"),
    ("F", "show or hide the plots"),
    ("?", "this list"),
    ("Ctrl+Z, Ctrl+Y", "take a setting back, or set it again; of a drawing, take a stroke back"),
    ("Tab, Enter, arrows", "reach and use every control"),
    ("Ctrl and + or -", "larger or smaller"),
];

/// Shows the list.
pub fn show(context: &egui::Context, open: &mut bool) {
    egui::Window::new("Keys").open(open).resizable(false).collapsible(false).show(context, |ui| {
        egui::Grid::new("keys").num_columns(2).striped(true).show(ui, |ui| {
            for (key, meaning) in KEYS {
                ui.strong(*key);
                ui.label(*meaning);
                ui.end_row();
            }
        });
    });
}
