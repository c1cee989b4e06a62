//! Changes of live settings: what was set, taken back, and set again.

use onestep_core::session::Command;

use super::Run;

/// A change of a setting, for undo.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) knob: String,
    before: String,
    pub(super) after: String,
}

/// A drag that changes a setting again and again, which is one change.
pub(super) struct Drag {
    pub(super) change: Change,
    /// Whether the mouse is still down.
    pub(super) held: bool,
    /// The value that the session has told of last.
    told: String,
}

impl Run {
    /// Changes a live setting; it can be undone.
    pub fn set(&mut self, knob: &str, before: String, after: &str) {
        if before == after || !self.is_open() {
            return;
        }
        let after = self.apply(knob, after);
        if before == after {
            return; // it was refused
        }
        if let Some(drag) = self.drag.as_mut().filter(|drag| drag.held && drag.change.knob == knob) {
            drag.change.after = after;
            return;
        }
        self.undone.clear();
        // A key that is held down is one change.
        let going_on = self.is_changing(knob);
        match self.changes.last_mut() {
            Some(last) if last.knob == knob && going_on => last.after = after,
            _ => self.changes.push(Change { knob: knob.to_owned(), before, after }),
        }
    }

    /// A setting is being dragged from this value: its changes are one until [`Run::release`].
    pub fn hold(&mut self, knob: &str, value: &str) {
        let change = Change { knob: knob.to_owned(), before: value.to_owned(), after: value.to_owned() };
        self.drag = Some(Drag { change, held: true, told: value.to_owned() });
    }

    /// The drag is over.
    pub fn release(&mut self) {
        let Some(drag) = &mut self.drag else { return };
        drag.held = false;
        if drag.change.before != drag.change.after {
            self.undone.clear();
            self.changes.push(drag.change.clone());
        }
        self.drag.take_if(|drag| drag.told == drag.change.after);
    }

    /// Whether the last change is still being made: the view does not show its value yet.
    fn is_changing(&self, knob: &str) -> bool {
        let Some(last) = self.changes.last() else { return false };
        self.view.as_ref().is_some_and(|view| view.config.text_of(knob) != last.after)
    }

    /// Tells the session, and returns the value as it is spelled there.
    fn apply(&mut self, knob: &str, value: &str) -> String {
        self.training.tell(Command::Set { knob: knob.to_owned(), value: value.to_owned() });
        let Some(opened) = &mut self.opened else { return value.to_owned() };
        // What is refused stays as it is here, too; a warning says why.
        let _ = opened.config.set_live(knob, value);
        opened.config.text_of(knob)
    }

    /// What undo would take back, in words; nothing once the run is over.
    pub fn undo_text(&self) -> Option<String> {
        self.changes.last().filter(|_| self.is_open()).map(|c| format!("{} back to {}", c.knob, c.before))
    }

    /// What redo would do again, in words.
    pub fn redo_text(&self) -> Option<String> {
        self.undone.last().filter(|_| self.is_open()).map(|c| format!("{} to {}", c.knob, c.after))
    }

    /// Takes back the last change of a setting.
    pub fn undo(&mut self) {
        if self.is_open()
            && let Some(change) = self.changes.pop()
        {
            self.apply(&change.knob, &change.before);
            self.undone.push(change);
        }
    }

    /// Does again what was taken back.
    pub fn redo(&mut self) {
        if self.is_open()
            && let Some(change) = self.undone.pop()
        {
            self.apply(&change.knob, &change.after);
            self.changes.push(change);
        }
    }

    /// Whether a change that the session tells of goes on with the one before, as a part of the same drag.
    pub(super) fn drag_goes_on(&mut self, knob: &str, after: &str) -> bool {
        let Some(drag) = self.drag.as_mut().filter(|drag| drag.change.knob == knob) else { return false };
        let goes_on = drag.told != drag.change.before;
        after.clone_into(&mut drag.told);
        self.drag.take_if(|drag| !drag.held && drag.told == drag.change.after);
        goes_on
    }
}
