//! Paths: what is opened, and where pictures, tables and weights go.

use std::path::Path;

use eframe::egui;

use super::{Tab, Window};
use crate::gui::dialogs::{PathDialog, Purpose};
use crate::gui::files::{self, Meaning, SavedRun};
use crate::gui::theme::Theme;
use crate::gui::{explore, plots};

impl Window {
    /// Opens a path: data, a run, a model or settings.
    pub fn open_path(&mut self, path: &Path, context: &egui::Context) {
        match files::meaning(path) {
            Ok(Meaning::Run(start)) => self.start(*start, true),
            Ok(Meaning::Model(model)) => {
                self.run.forget_refusal();
                self.explore.open(&model, context);
                self.tab = Tab::Explore;
            }
            Err(message) => self.run.refuse(message),
        }
    }

    pub(super) fn charts(&mut self, ui: &mut egui::Ui, theme: &Theme) {
        let shown = self.run.opened.as_ref().and_then(|opened| opened.folder.as_ref());
        let others: Vec<SavedRun> = self.saved.iter().filter(|run| Some(&run.path) != shown).cloned().collect();
        match self.run.charts.show(ui, theme, &others) {
            None => {}
            Some(plots::Request::SaveCsv) => {
                self.ask_path(Purpose::Csv, "plots.csv");
            }
            Some(plots::Request::SavePng(rect)) => {
                self.plots_rect = Some(rect);
                self.ask_path(Purpose::PlotPicture, "plots.png");
            }
            Some(plots::Request::ChooseComparison) => {
                self.path_dialog = Some(PathDialog::new(Purpose::Compare, &self.run.outdir));
            }
            Some(plots::Request::Compare(path)) => self.use_path(Purpose::Compare, &path, ui.ctx()),
        }
    }

    /// Asks for a path in the run's folder.
    pub(super) fn ask_path(&mut self, purpose: Purpose, name: &str) {
        let folder = self.run.opened.as_ref().and_then(|opened| opened.folder.clone());
        let folder = folder.unwrap_or_else(|| self.run.outdir.clone());
        self.path_dialog = Some(PathDialog::new(purpose, &folder.join(name)));
    }

    pub(super) fn use_path(&mut self, purpose: Purpose, path: &Path, context: &egui::Context) {
        let result = match purpose {
            Purpose::Open => {
                self.open_path(path, context);
                Ok(())
            }
            Purpose::Csv => self.run.charts.write_csv(path).map_err(|e| e.to_string()),
            Purpose::Compare => self.run.charts.compare(path),
            Purpose::PlotPicture => {
                self.save_plots(path, context);
                Ok(())
            }
            Purpose::ExploreModel => {
                self.explore.open(path, context);
                Ok(())
            }
            other => {
                self.explore_path(other, path);
                Ok(())
            }
        };
        if let Err(message) = result {
            self.run.refuse(message);
        } else if matches!(purpose, Purpose::Csv) {
            self.run.messages.push(format!("saved {}", path.display()));
        }
    }

    /// Saves the plots as they are on the screen; the picture comes with the next frame.
    pub(super) fn save_plots(&self, path: &Path, context: &egui::Context) {
        let Some(rect) = self.plots_rect else { return };
        let (path, scale) = (path.to_owned(), context.pixels_per_point());
        let (news, wake) = (self.news.0.clone(), context.clone());
        context.request_screenshot(move |image| {
            let saved = plots::Charts::save_picture(&path, &image, rect, scale);
            let text = saved.map_or_else(|e| e.to_string(), |()| format!("saved {}", path.display()));
            let _ = news.send(text);
            wake.request_repaint();
        });
    }

    pub(super) fn serve_explore(&mut self, request: explore::Request) {
        match request {
            explore::Request::OpenModel => {
                self.path_dialog = Some(PathDialog::new(Purpose::ExploreModel, &self.run.outdir));
            }
            explore::Request::SavePicture { suggested } => self.ask_path(Purpose::ExplorePicture, &suggested),
            explore::Request::ExportWeights { suggested } => self.ask_path(Purpose::ExploreWeights, &suggested),
            explore::Request::ChooseRatio => self.ask_path(Purpose::ExploreRatio, ""),
            explore::Request::ChooseData => self.ask_path(Purpose::ExploreData, ""),
        }
    }

    /// What comes of it shows in the explorer's own view.
    pub(super) fn explore_path(&mut self, purpose: Purpose, path: &Path) {
        match purpose {
            Purpose::ExplorePicture => self.explore.save_picture(path.to_owned()),
            Purpose::ExploreWeights => self.explore.export_weights(path.to_owned()),
            Purpose::ExploreRatio => self.explore.choose_ratio(path.to_owned()),
            Purpose::ExploreData => self.explore.choose_data(path.to_owned()),
            Purpose::Open | Purpose::Compare | Purpose::Csv | Purpose::PlotPicture | Purpose::ExploreModel => {}
        }
    }
}
