//! Questions: which file, and what should become of a run.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use eframe::egui::{self, Key};

/// What a path is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Data, a run, a model or settings.
    Open,
    /// A run to compare with.
    Compare,
    /// The plots as numbers.
    Csv,
    /// The plots as a picture.
    PlotPicture,
    /// A generator to explore.
    ExploreModel,
    /// The samples of the explored generator as a picture.
    ExplorePicture,
    /// The explored generator as 16-bit weights.
    ExploreWeights,
    /// The ratio network that judges the explored generator's samples.
    ExploreRatio,
    /// Training images for the nearest-neighbour check.
    ExploreData,
}

impl Purpose {
    fn title(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Compare => "Compare with a run",
            Self::Csv => "Save the plots as CSV",
            Self::PlotPicture => "Save the plots as a picture",
            Self::ExploreModel => "Open a generator",
            Self::ExplorePicture => "Save the samples",
            Self::ExploreWeights => "Export 16-bit weights",
            Self::ExploreRatio => "Choose the ratio network",
            Self::ExploreData => "Choose the training images",
        }
    }

    fn saves(self) -> bool {
        matches!(self, Self::Csv | Self::PlotPicture | Self::ExplorePicture | Self::ExploreWeights)
    }

    /// Whether it may be a folder as well as a file.
    fn takes_folder(self) -> bool {
        matches!(self, Self::Open | Self::ExploreModel | Self::ExploreData)
    }

    fn wants_folder(self) -> bool {
        self == Self::Compare
    }
}

/// What a person answered.
pub enum Answer {
    /// This path.
    Path(PathBuf),
    /// None.
    Cancel,
}

/// Asks for a path: typed, or chosen in the system's dialog, which not every desktop has.
pub struct PathDialog {
    /// What it is for.
    pub purpose: Purpose,
    text: String,
    /// The system's dialog, and since when it is open.
    chosen: Option<(Receiver<Option<PathBuf>>, Instant)>,
    /// Whether the system has no dialog.
    missing: bool,
    fresh: bool,
}

/// A dialog that is closed sooner than a person could do it was never there.
const SEEN: Duration = Duration::from_millis(400);

impl PathDialog {
    /// Asks, with a path to begin with.
    pub fn new(purpose: Purpose, start: &Path) -> Self {
        Self { purpose, text: start.display().to_string(), chosen: None, missing: false, fresh: true }
    }

    /// Shows the question.
    pub fn show(&mut self, context: &egui::Context) -> Option<Answer> {
        if let Some((chosen, since)) = &self.chosen
            && let Ok(answer) = chosen.try_recv()
        {
            if let Some(path) = answer {
                return Some(Answer::Path(path));
            }
            self.missing = since.elapsed() < SEEN;
            self.chosen = None;
        }
        let mut answer = None;
        let modal = egui::Modal::new(egui::Id::unique("path")).show(context, |ui| {
            ui.set_width(460.0);
            ui.heading(self.purpose.title());
            let label = ui.label("Path");
            let edit = ui.add(egui::TextEdit::singleline(&mut self.text).desired_width(f32::INFINITY));
            let edit = edit.labelled_by(label.id);
            if std::mem::take(&mut self.fresh) {
                edit.request_focus();
            }
            let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            ui.horizontal(|ui| {
                let word = if self.purpose.saves() { "Save file" } else { "Open file" };
                let ready = !self.text.trim().is_empty();
                if ui.add_enabled(ready, egui::Button::new(word)).clicked() || (entered && ready) {
                    answer = Some(Answer::Path(PathBuf::from(self.text.trim())));
                }
                if ui.button("Browse…").clicked() {
                    self.browse(context);
                }
                if self.purpose.takes_folder() && ui.button("Browse folders…").clicked() {
                    self.browse_folders(context);
                }
                if ui.button("Cancel").clicked() {
                    answer = Some(Answer::Cancel);
                }
            });
            if self.missing {
                ui.label("The system has no dialog for files: type the path, or drop the file onto the window.");
            }
        });
        if modal.should_close() {
            answer = answer.or(Some(Answer::Cancel));
        }
        answer
    }

    /// Opens the system's dialog; its answer comes when there is one.
    fn browse(&mut self, context: &egui::Context) {
        if self.purpose.wants_folder() {
            self.browse_folders(context);
            return;
        }
        let start = PathBuf::from(self.text.trim());
        let dialog = rfd::AsyncFileDialog::new().set_title(self.purpose.title());
        let dialog = match start.parent() {
            Some(parent) if parent.is_dir() => dialog.set_directory(parent),
            _ => dialog,
        };
        if self.purpose.saves() {
            let name = start.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.wait(context, dialog.set_file_name(name).save_file());
        } else {
            self.wait(context, dialog.pick_file());
        }
    }

    fn browse_folders(&mut self, context: &egui::Context) {
        self.wait(context, rfd::AsyncFileDialog::new().set_title(self.purpose.title()).pick_folder());
    }

    /// The dialog is made on this thread, as some systems want it, and waited for on another.
    fn wait(
        &mut self,
        context: &egui::Context,
        dialog: impl Future<Output = Option<rfd::FileHandle>> + Send + 'static,
    ) {
        let (sender, receiver) = channel();
        let context = context.clone();
        std::thread::spawn(move || {
            let path = pollster::block_on(dialog).map(|file| file.path().to_owned());
            let _ = sender.send(path);
            context.request_repaint();
        });
        self.chosen = Some((receiver, Instant::now()));
    }
}

/// What is to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// Ending a run without saving it.
    Discard,
    /// Closing the window while a run is open.
    Close,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// Nothing happens.
    Stay,
    /// Save, then close.
    Save,
    /// End without saving.
    Discard,
}

impl Confirm {
    /// Shows the question.
    pub fn show(self, context: &egui::Context) -> Option<Confirmed> {
        let mut answer = None;
        let modal = egui::Modal::new(egui::Id::unique("confirm")).show(context, |ui| {
            ui.set_width(360.0);
            match self {
                Self::Close => {
                    ui.heading("A run is open");
                    ui.label("What it has learned since the last checkpoint is lost unless it is saved.");
                }
                Self::Discard => {
                    ui.heading("End without saving?");
                    ui.label(
                        "What the run has learned since its last checkpoint is lost. Checkpoints stay on the disk.",
                    );
                }
            }
            ui.horizontal(|ui| {
                if self == Self::Close && ui.button("Save and close").clicked() {
                    answer = Some(Confirmed::Save);
                }
                let word = if self == Self::Close { "Close without saving" } else { "End without saving" };
                if ui.button(word).clicked() {
                    answer = Some(Confirmed::Discard);
                }
                if ui.button("Go on").clicked() {
                    answer = Some(Confirmed::Stay);
                }
            });
        });
        answer.or(modal.should_close().then_some(Confirmed::Stay))
    }
}
