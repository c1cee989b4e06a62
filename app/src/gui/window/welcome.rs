//! The first sight: presets, a drawing, recent runs.

use eframe::egui;
use onestep_core::data::{Density, write_npy_f32};
use onestep_core::session::Start;
use onestep_core::train::{Config, PRESETS, Preset};

use super::{Window, manage};
use crate::gui::files::Fate;
use crate::gui::plane;

/// Presets beside each other.
const PER_ROW: usize = 3;

impl Window {
    pub(super) fn welcome(&mut self, ui: &mut egui::Ui) {
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.add_space(24.0);
            ui.vertical_centered(|ui| {
                ui.heading("Watch a generator learn to make images in one step");
                let (planar, images): (Vec<&Preset>, _) =
                    PRESETS.iter().partition(|preset| Density::parse(&preset.config().data).is_ok());
                for (title, presets) in [("Points in the plane, learned within minutes:", planar), ("Images:", images)]
                {
                    ui.add_space(8.0);
                    ui.label(title);
                    for row in presets.chunks(PER_ROW) {
                        let (size, gap) = (egui::vec2(150.0, 26.0), ui.spacing().item_spacing.x);
                        let width = row.len() as f32 * (size.x + gap) - gap;
                        ui.allocate_ui(egui::vec2(width, size.y), |ui| {
                            ui.horizontal(|ui| {
                                for Preset { name, about, .. } in row {
                                    let button = egui::Button::new(egui::RichText::new(*name).strong()).min_size(size);
                                    if ui.add(button).on_hover_text(*about).clicked() {
                                        self.start_preset(name, true);
                                    }
                                }
                            });
                        });
                    }
                }
                ui.add_space(8.0);
                if ui
                    .button("Draw data")
                    .on_hover_text("Draw a distribution with the mouse, and train on it.")
                    .clicked()
                {
                    self.laboratory.drawing = Some(plane::Drawing::default());
                }
                ui.label("or drop a folder of images, a data set, a run or a model onto this window.");
                ui.add_space(16.0);
                self.recent(ui);
            });
        });
    }

    /// Runs that can be looked at or gone on with.
    fn recent(&mut self, ui: &mut egui::Ui) {
        if self.saved.is_empty() {
            return;
        }
        let (mut chosen, mut asked) = (None, None);
        ui.strong("Recent runs");
        ui.with_layout(egui::Layout::top_down(egui::Align::Min), |ui| {
            let width = 720.0_f32.min(ui.available_width());
            ui.add_space(4.0);
            ui.horizontal(|ui| {
                ui.add_space((ui.available_width() - width) / 2.0);
                egui::Grid::new("recent").num_columns(6).striped(true).show(ui, |ui| {
                    for run in self.saved.iter().take(8) {
                        let mut button = |ui: &mut egui::Ui, word: &str, tip: &str, play: bool| {
                            let button = ui.button(word).on_hover_text(tip);
                            let name = format!("{word} {}", run.name);
                            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
                            if button.clicked() {
                                chosen = Some((run.path.clone(), play));
                            }
                        };
                        button(ui, "Look", "Open it, and train no further for now.", false);
                        if run.fate == Fate::Finished {
                            ui.label("");
                        } else {
                            button(ui, "Continue", "Go on from its last checkpoint.", true);
                        }
                        ui.label(&run.name);
                        ui.label(format!("{}, {}", run.describe(), run.age()));
                        ui.label(run.quality.as_deref().unwrap_or_default());
                        asked = manage::menu(ui, run).or(asked.take());
                        ui.end_row();
                    }
                });
            });
        });
        self.manage = asked.or(self.manage.take());
        if let Some((path, play)) = chosen {
            self.start(Start::Resume { path, overrides: Box::default() }, play);
        }
    }

    /// Trains on points of a person's own, which are kept in a file so that the run can be gone on with. Returns whether
    /// they could be kept.
    pub(super) fn train_on(&mut self, points: &[[f32; 2]]) -> bool {
        let folder = self.run.outdir.join("drawings");
        // The first free name: an older run may still need its drawing.
        let mut paths = (0..).map(|number| folder.join(format!("drawing-{number:03}.npy")));
        let path = paths.find(|path| !path.exists()).expect("numbers do not end");
        let written = std::fs::create_dir_all(&folder)
            .map_err(|e| format!("{}: {e}; choose another --outdir", folder.display()))
            .and_then(|()| write_npy_f32(&path, &[points.len(), 2], points.as_flattened()).map_err(|e| e.to_string()));
        let kept = written.is_ok();
        match written {
            Err(message) => self.run.refuse(message),
            Ok(()) => {
                let preset = Preset::find(crate::settings::OWN_POINTS).map(Preset::config).unwrap_or_default();
                let config = Config { data: path.to_string_lossy().into_owned(), ..preset };
                let preset = crate::settings::OWN_POINTS.to_owned();
                self.start(Start::New { preset, config: Box::new(config), transfer: None }, true);
            }
        }
        kept
    }
}
