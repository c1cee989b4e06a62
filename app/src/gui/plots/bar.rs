//! The controls above the charts.

use eframe::egui::{self, Button, Rect, Slider, WidgetInfo};

use super::{Charts, Request};

impl Charts {
    /// Draws the controls; `fit` charts fit side by side.
    pub(super) fn bar(&mut self, ui: &mut egui::Ui, fit: usize) -> Option<Request> {
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            let slider = Slider::new(&mut self.smoothing, 0.0..=0.99).text("Smoothing").fixed_decimals(2);
            ui.add(slider).on_hover_text("Weight of the past in the lines; the bands are what was measured.");
            let any = !self.curves.is_empty();
            let csv = ui.add_enabled(any, Button::new("Save CSV"));
            if csv.on_hover_text("All statistics of this run as a table").clicked() {
                request = Some(Request::SaveCsv);
            }
            if ui.button("Save picture").on_hover_text("The charts as they are now, as a PNG").clicked() {
                request = Some(Request::SavePng(Rect::NOTHING)); // their place is not known yet
            }
            let compare = ui.button("Compare with a run");
            if compare.on_hover_text("Draws the curves of another run behind these, dashed").clicked() {
                request = Some(Request::ChooseComparison);
            }
            if let Some(name) = self.compared().map(str::to_owned) {
                if ui.button("Stop comparing").clicked() {
                    self.stop_comparing();
                }
                ui.label(format!("dashed: {name}"));
            }
            let zoomed = self.view.is_some() || self.panels.iter().any(|panel| panel.y.is_some());
            if zoomed && ui.button("Show all").on_hover_text("All steps, following the newest (double click)").clicked()
            {
                self.follow();
            }
            if fit < self.shown.len() {
                self.pager(ui, fit);
            }
            if self.damaged() > 0 {
                let lines = if self.damaged() == 1 { "line" } else { "lines" };
                ui.weak(format!("{} damaged {lines} of stats.jsonl left out", self.damaged()));
            }
        });
        request
    }

    /// The way to charts that do not fit.
    fn pager(&mut self, ui: &mut egui::Ui, fit: usize) {
        let mut arrow = |enabled: bool, text: &str, label: &str| {
            let response = ui.add_enabled(enabled, Button::new(text));
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, enabled, label));
            response.on_hover_text(label).clicked()
        };
        if arrow(self.first > 0, "<", "Previous charts") {
            self.first -= fit.min(self.first);
        }
        if arrow(self.first + fit < self.shown.len(), ">", "Next charts") {
            self.first = (self.first + fit).min(self.shown.len() - fit);
        }
        let last = self.first + fit;
        ui.label(match fit {
            1 => format!("{last} of {}", self.shown.len()),
            _ => format!("{} to {last} of {}", self.first + 1, self.shown.len()),
        });
    }
}
