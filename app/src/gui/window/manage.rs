//! Runs in the list: another name for one, or its end, after a question.

use eframe::egui::{self, Key};
use onestep_core::session::RunFolder;

use super::Window;
use crate::gui::files::{self, SavedRun};

/// What is asked about a run.
pub(super) struct Manage {
    run: SavedRun,
    /// The name that is typed; nothing if the run is to be deleted.
    name: Option<String>,
    fresh: bool,
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Stay,
    Do,
}

/// The menu of a run in the list.
pub(super) fn menu(ui: &mut egui::Ui, run: &SavedRun) -> Option<Manage> {
    let mut asked = None;
    let ask = |name| Some(Manage { run: run.clone(), name, fresh: true });
    let menu = ui.menu_button("More", |ui| {
        let busy = run.fate == files::Fate::Busy;
        for (word, name) in [("Rename…", Some(given_name(&run.name))), ("Delete…", None)] {
            let button = ui.add_enabled(!busy, egui::Button::new(word));
            if button.on_disabled_hover_text("It trains in another window or program.").clicked() {
                asked = ask(name);
                ui.close();
            }
        }
    });
    let name = format!("More for {}", run.name);
    menu.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    asked
}

/// What a person may change of the name of a run: all but its number.
fn given_name(name: &str) -> String {
    name.split_once('-').map_or(name, |(_, rest)| rest).to_owned()
}

impl Manage {
    fn show(&mut self, context: &egui::Context) -> Option<Answer> {
        let mut answer = None;
        let Self { run, name, fresh } = self;
        let modal = egui::Modal::new(egui::Id::unique("manage")).show(context, |ui| {
            ui.set_width(420.0);
            let (word, ready) = match name {
                Some(name) => {
                    ui.heading(format!("Another name for {}", run.name));
                    let label = ui.label("Name, behind its number");
                    let edit = ui.add(egui::TextEdit::singleline(name).desired_width(f32::INFINITY));
                    let edit = edit.labelled_by(label.id);
                    if std::mem::take(fresh) {
                        edit.request_focus();
                    }
                    if edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
                        answer = Some(Answer::Do);
                    }
                    ("Rename", !name.trim().is_empty())
                }
                None => {
                    ui.heading(format!("Delete {}?", run.name));
                    ui.label(format!("It is {}, {}.", run.describe(), run.age()));
                    ui.label("Its checkpoints, snapshots, pictures and statistics go for good.");
                    ("Delete for good", true)
                }
            };
            ui.horizontal(|ui| {
                if ui.add_enabled(ready, egui::Button::new(word)).clicked() {
                    answer = Some(Answer::Do);
                }
                if ui.button("Leave it").clicked() {
                    answer = Some(Answer::Stay);
                }
            });
        });
        answer.or(modal.should_close().then_some(Answer::Stay))
    }
}

impl Window {
    /// Asks what is to become of a run, and does it.
    pub(super) fn manage(&mut self, context: &egui::Context) {
        let Some(manage) = &mut self.manage else { return };
        let Some(answer) = manage.show(context) else { return };
        let Some(Manage { run, name, .. }) = self.manage.take() else { return };
        if answer == Answer::Stay {
            return;
        }
        let done = match &name {
            Some(name) => RunFolder::rename(&run.path, name).map(|path| format!("renamed to {}", path.display())),
            None => RunFolder::delete(&run.path).map(|()| format!("deleted {}", run.path.display())),
        };
        match done {
            Ok(message) => self.run.messages.push(message),
            Err(error) => self.run.refuse(error.to_string()),
        }
        self.saved = files::runs(&self.run.outdir);
        self.interrupted.retain(|other| other.path != run.path);
    }
}
