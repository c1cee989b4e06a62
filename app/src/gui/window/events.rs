//! Keys, drops, and what closing does.

use eframe::egui::{self, Key, Modifiers, ViewportCommand};
use onestep_core::session::Command;

use super::{Closing, Tab, Window};
use crate::gui::dialogs::Confirm;
use crate::gui::run::State;

impl Window {
    pub(super) fn keys(&mut self, ui: &egui::Ui) {
        // Letters belong to a text field that has the focus, and Space to a button that has it.
        let asks = self.path_dialog.is_some() || self.confirm.is_some() || self.manage.is_some();
        // Escape has taken the focus from a text field by now.
        let typed_before = std::mem::replace(&mut self.typing, ui.ctx().text_edit_focused());
        if ui.ctx().text_edit_focused() || asks {
            return;
        }
        let focused = ui.ctx().memory(egui::Memory::focused).is_some();
        let pressed = |key| ui.input(|input| input.key_pressed(key) && input.modifiers.is_none());
        let typed = |text: &str| ui.input(|i| i.events.iter().any(|e| matches!(e, egui::Event::Text(t) if t == text)));
        if pressed(Key::Space) && !focused {
            self.run.toggle();
        }
        if typed(".") {
            self.run.step(Command::Turn);
        }
        // In Explore it draws the next seeds.
        if pressed(Key::R) && self.tab == Tab::Training {
            self.reset();
        }
        if pressed(Key::S) {
            self.run.training().tell(Command::Save);
        }
        if pressed(Key::F) {
            self.plots = !self.plots;
        }
        if typed("?") {
            self.help = !self.help;
        }
        // What is open over the drawing is closed by Escape, and no more.
        let over = typed_before || self.tour.is_on() || egui::Popup::is_any_open(ui.ctx());
        let draws = self.tab == Tab::Training && self.laboratory.drawing.is_some();
        if draws && !over && pressed(Key::Escape) {
            self.laboratory.drawing = None;
        }
        // An extra Shift is no difference to `consume_key`: this comes first.
        let shift = ui.input_mut(|input| input.consume_key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z));
        let undo = ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Z));
        let redo = shift || ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Y));
        if let (true, Some(drawing)) = (draws, &mut self.laboratory.drawing) {
            // A stroke that is being made is not complete yet.
            if undo && !ui.input(|input| input.pointer.any_down()) {
                drawing.undo();
            }
        } else if undo {
            self.run.undo();
        } else if redo {
            self.run.redo();
        }
    }

    pub(super) fn drops(&mut self, context: &egui::Context) {
        let dropped = context.input(|input| input.raw.dropped_files.clone());
        // One at a time: the first decides.
        if let Some(path) = dropped.into_iter().map(|file| file.path().to_owned()).next() {
            self.open_path(&path, context);
        }
    }

    /// Closes without a question: the program was told to end. The training thread saves the run when the window is
    /// gone, and the program waits for it.
    pub fn leave(&mut self, context: &egui::Context) {
        self.closing = Closing::AtOnce;
        context.send_viewport_cmd(ViewportCommand::Close);
    }

    /// A run that is open is saved before the window goes, or the person decides otherwise.
    pub(super) fn close(&mut self, context: &egui::Context) {
        if self.closing == Closing::AtOnce {
            return;
        }
        if self.closing == Closing::WhenEnded && matches!(self.run.state, State::Failed(_)) {
            // It was not saved, which a person has to know.
            self.closing = Closing::Stays;
        }
        if self.closing == Closing::WhenEnded && !self.run.is_open() {
            context.send_viewport_cmd(ViewportCommand::Close);
            return;
        }
        if context.input(|input| input.viewport().close_requested()) && self.run.is_open() {
            context.send_viewport_cmd(ViewportCommand::CancelClose);
            if self.closing == Closing::Stays {
                self.confirm = Some(Confirm::Close);
                if context.input(|input| input.viewport().minimized == Some(true)) {
                    // Nobody sees the question otherwise.
                    context.send_viewport_cmd(ViewportCommand::Minimized(false));
                }
            }
        }
        if let State::Failed(failure) = &self.run.state
            && failure.device_lost
            && self.run.opened.as_ref().is_some_and(|opened| opened.on_window)
            && self.lost.is_none()
        {
            // The window draws with that device: a new one needs a new window.
            self.lost = Some(failure.clone());
            context.send_viewport_cmd(ViewportCommand::Close);
        }
    }
}
