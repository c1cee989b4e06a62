//! The views' end of the worker: each view says every frame what it wants, and is asked for nothing twice.

use std::collections::BTreeMap;
use std::path::PathBuf;

use eframe::egui;

use super::job::{Answer, Slot, Task};
use super::worker::{Reply, Worker};

/// What became of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It is there, or nothing was asked for.
    Idle,
    /// It is being worked on; how far it is, if that is known.
    Busy(Option<String>),
    /// A person has to choose something first.
    Missing(String),
    /// It went wrong.
    Failed(String),
}

/// Wishes and their states.
pub struct Desk {
    worker: Worker,
    /// The model that is shown; 0 is none.
    epoch: u64,
    wishes: BTreeMap<Slot, (Task, u64, State)>,
}

impl Desk {
    /// For `device`, as `--device` takes it.
    pub fn new(device: String) -> Self {
        Self { worker: Worker::start(device), epoch: 0, wishes: BTreeMap::new() }
    }

    /// Opens a model; returns the number of the task.
    pub fn open(&self, path: PathBuf, screen: &egui::Context) -> u64 {
        self.worker.wake(screen);
        self.worker.ask(|_| Slot::Open, Task::Open(path), self.epoch)
    }

    /// Writes a file.
    pub fn write(&self, task: Task) {
        self.worker.ask(Slot::Write, task, self.epoch);
    }

    /// Ends the worker; what it has to tell, of files that it had yet to write, too.
    pub fn finish(mut self) -> Vec<Reply> {
        self.worker.end();
        self.worker.arrived()
    }

    /// Sees to it that the answer to `task` comes, once.
    pub fn want(&mut self, slot: Slot, task: Task) {
        if self.wishes.get(&slot).is_none_or(|(asked, ..)| *asked != task) {
            let ticket = self.worker.ask(|_| slot, task.clone(), self.epoch);
            self.wishes.insert(slot, (task, ticket, State::Busy(None)));
        }
    }

    /// Asks again for what a slot wanted last.
    pub fn again(&mut self, slot: Slot) {
        self.wishes.remove(&slot);
    }

    /// What became of a slot's wish.
    pub fn state(&self, slot: Slot) -> State {
        self.wishes.get(&slot).map_or(State::Idle, |(_, _, state)| state.clone())
    }

    /// What became of two wishes: the worse of it.
    pub fn states(&self, slots: [Slot; 2]) -> State {
        let rank = |state: &State| match state {
            State::Idle => 0,
            State::Busy(_) => 1,
            State::Missing(_) => 2,
            State::Failed(_) => 3,
        };
        let [a, b] = slots.map(|slot| self.state(slot));
        if rank(&b) > rank(&a) { b } else { a }
    }

    /// Whether the worker is still there.
    pub fn is_alive(&self) -> bool {
        self.worker.is_alive()
    }

    /// Answers for the model that is shown, and those about opening and writing.
    pub fn arrived(&mut self) -> Vec<Reply> {
        let replies = self.worker.arrived();
        // A new model first: what comes with it is its own.
        for reply in &replies {
            if let Answer::Opened(_) = reply.answer {
                self.epoch = reply.epoch;
                self.wishes.clear();
            }
        }
        let current = |reply: &Reply| matches!(reply.slot, Slot::Open | Slot::Write(_)) || reply.epoch == self.epoch;
        let replies: Vec<Reply> = replies.into_iter().filter(current).collect();
        for reply in &replies {
            // Answers to older wishes are shown on the way to the newest, but do not end it.
            if let Some((_, ticket, state)) = self.wishes.get_mut(&reply.slot)
                && *ticket == reply.ticket
            {
                *state = match &reply.answer {
                    Answer::Working(text) => State::Busy(Some(text.clone())),
                    Answer::Missing(text) => State::Missing(text.clone()),
                    Answer::Failed(text) => State::Failed(text.clone()),
                    _ => State::Idle,
                };
            }
        }
        replies
    }
}
