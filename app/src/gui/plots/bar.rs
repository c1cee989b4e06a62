//! The controls above the charts.

use eframe::egui::containers::menu::{MenuButton, MenuConfig};
use eframe::egui::{self, Button, Label, PopupCloseBehavior, Rect, Slider, WidgetInfo};

use super::super::files::SavedRun;
use super::{Charts, Request};

/// Points of the screen that the controls need in one line; in less they are a menu.
const IN_A_LINE: f32 = 560.0;

impl Charts {
    /// Draws the controls; `fit` charts are shown at a time.
    pub(super) fn bar(&mut self, ui: &mut egui::Ui, fit: usize, others: &[SavedRun]) -> Option<Request> {
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            if ui.available_width() < IN_A_LINE {
                let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
                let (button, _) = MenuButton::new("Curves").config(config).ui(ui, |ui| {
                    request = self.tools(ui, others);
                    if request.is_some() {
                        ui.close();
                    }
                });
                button.on_hover_text("Smoothing, saving, and another run to compare with.");
            } else {
                request = self.tools(ui, others);
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

    /// Smoothing, saving, comparing.
    fn tools(&mut self, ui: &mut egui::Ui, others: &[SavedRun]) -> Option<Request> {
        let mut request = None;
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
        let tip = "Draws the curves of another run behind these, dashed";
        if others.is_empty() {
            if ui.button("Compare with a run").on_hover_text(tip).clicked() {
                request = Some(Request::ChooseComparison);
            }
            return request;
        }
        let menu = ui.menu_button("Compare with a run", |ui| {
            for run in others {
                if ui.button(&run.name).on_hover_text(run.describe()).clicked() {
                    request = Some(Request::Compare(run.path.clone()));
                    ui.close();
                }
            }
            if ui.button("Another run…").clicked() {
                request = Some(Request::ChooseComparison);
                ui.close();
            }
        });
        menu.response.on_hover_text(tip);
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
        let text = match fit {
            1 => format!("{last} of {}", self.shown.len()),
            _ => format!("{} to {last} of {}", self.first + 1, self.shown.len()),
        };
        ui.add(Label::new(text).extend());
    }
}
