//! The thread that draws, so that the window never waits.
//!
//! Invariant: a slot holds one task and one answer. A newer task takes the place of an older one that has not begun,
//! and makes one that has begun give up at its next chunk; a newer answer takes the place of one that nobody has
//! fetched. Dragging can't queue anything up.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use eframe::egui;

use super::bench::Bench;
use super::job::{Answer, Slot, Task};

/// A task that waits.
#[derive(Debug)]
struct Job {
    task: Task,
    /// Counts tasks, to tell answers to older ones.
    ticket: u64,
    /// Which model it is meant for.
    epoch: u64,
}

/// An answer that waits.
#[derive(Debug)]
pub struct Reply {
    /// Where the task stood.
    pub slot: Slot,
    /// Its number.
    pub ticket: u64,
    /// Which model gave it: models are counted from 1.
    pub epoch: u64,
    /// What came of it.
    pub answer: Answer,
}

#[derive(Default)]
struct Inbox {
    jobs: BTreeMap<Slot, Job>,
    /// Tasks so far.
    tickets: u64,
    /// Whether the thread is writing a file.
    writes: bool,
    quit: bool,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    bell: Condvar,
    outbox: Mutex<BTreeMap<Slot, Reply>>,
    /// Whom to wake when an answer has come.
    screen: OnceLock<egui::Context>,
}

/// Only a panic poisons a lock, and what these hold is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The window's end of the thread.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; it opens `device` with the first model.
    pub fn start(device: String) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = Some(std::thread::spawn(move || theirs.work(device)));
        Self { shared, thread }
    }

    /// The window to wake when something arrives; the first one stays.
    pub fn wake(&self, screen: &egui::Context) {
        self.shared.screen.get_or_init(|| screen.clone());
    }

    /// Asks for `task`, instead of what its slot asked for before; returns the task's number.
    pub fn ask(&self, slot: impl FnOnce(u64) -> Slot, task: Task, epoch: u64) -> u64 {
        let mut inbox = lock(&self.shared.inbox);
        inbox.tickets += 1;
        let ticket = inbox.tickets;
        inbox.jobs.insert(slot(ticket), Job { task, ticket, epoch });
        self.shared.bell.notify_one();
        ticket
    }

    /// What has arrived since the last call, at most one answer per slot.
    pub fn arrived(&self) -> Vec<Reply> {
        std::mem::take(&mut *lock(&self.shared.outbox)).into_values().collect()
    }

    /// The thread ends at its next chunk, and nobody waits for it; but files that were asked for are written first.
    pub fn end(&mut self) {
        let mut inbox = lock(&self.shared.inbox);
        inbox.quit = true;
        let writes = inbox.writes || inbox.jobs.keys().any(|slot| matches!(slot, Slot::Write(_)));
        drop(inbox);
        self.shared.bell.notify_one();
        if let Some(thread) = self.thread.take_if(|_| writes) {
            // A panic of that thread has been printed by then.
            let _ = thread.join();
        }
    }

    /// Whether the thread is still there: it ends before the window only by a panic.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn work(&self, device: String) {
        let mut bench = Bench::new(device);
        while let Some((slot, job)) = self.next() {
            let turn = Turn { shared: self, slot, ticket: job.ticket, epoch: bench.epoch() };
            match &job.task {
                Task::Open(_) | Task::SavePicture { .. } => {}
                _ if job.epoch == bench.epoch() => {}
                Task::ExportWeights(_) => {
                    turn.tell(Answer::Failed("another model was opened meanwhile; export again".into()));
                    continue;
                }
                // What was asked of another model is not worth drawing: the views ask again.
                _ => continue,
            }
            match bench.perform(&job.task, &turn) {
                Some(answer) => {
                    Turn { epoch: bench.epoch(), ..turn }.tell(answer);
                }
                // It gave way to something urgent, and begins anew unless its slot has something newer.
                None => {
                    lock(&self.inbox).jobs.entry(slot).or_insert(job);
                }
            }
        }
    }

    /// The most urgent task; when the window is gone, the next file to write, if there is one.
    fn next(&self) -> Option<(Slot, Job)> {
        let waits = |inbox: &mut Inbox| inbox.jobs.is_empty() && !inbox.quit;
        let mut inbox = self.bell.wait_while(lock(&self.inbox), waits).unwrap_or_else(PoisonError::into_inner);
        if inbox.quit {
            inbox.jobs.retain(|slot, _| matches!(slot, Slot::Write(_)));
        }
        let next = inbox.jobs.pop_first();
        inbox.writes = matches!(next, Some((Slot::Write(_), _)));
        next
    }
}

/// A task's view of the window while it is worked on.
pub struct Turn<'a> {
    shared: &'a Shared,
    slot: Slot,
    ticket: u64,
    epoch: u64,
}

impl Turn<'_> {
    /// Whether to give up: something newer or more urgent waits. Asked between chunks of work.
    pub fn is_over(&self) -> bool {
        let inbox = lock(&self.shared.inbox);
        inbox.quit || inbox.jobs.first_key_value().is_some_and(|(slot, _)| *slot <= self.slot)
    }

    /// Shows an answer; a later one replaces it.
    pub fn tell(&self, answer: Answer) {
        let Self { slot, ticket, epoch, .. } = *self;
        lock(&self.shared.outbox).insert(slot, Reply { slot, ticket, epoch, answer });
        if let Some(screen) = self.shared.screen.get() {
            screen.request_repaint();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_the_newest_task_and_the_urgent_go_first() {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: Arc::clone(&shared), thread: Some(std::thread::spawn(|| {})) };
        let ask = |slot, name: &str| worker.ask(|_| slot, Task::ExportWeights(name.into()), 1);
        let turn = |slot| Turn { shared: &shared, slot, ticket: 0, epoch: 1 };
        assert!(!turn(Slot::Nearest).is_over());
        ask(Slot::Samples, "old");
        let newest = ask(Slot::Samples, "new");
        assert!(turn(Slot::Nearest).is_over(), "something urgent waits");
        assert!(turn(Slot::Samples).is_over(), "something newer waits");
        assert!(!turn(Slot::Place).is_over(), "a finger does not wait for a batch");
        ask(Slot::Place, "finger");
        assert_eq!(shared.next().map(|(slot, _)| slot), Some(Slot::Place));
        let (_, job) = shared.next().expect("the samples");
        assert_eq!((job.ticket, job.task), (newest, Task::ExportWeights("new".into())));
        // Files are written one and all.
        worker.ask(Slot::Write, Task::ExportWeights("a".into()), 1);
        worker.ask(Slot::Write, Task::ExportWeights("b".into()), 1);
        assert_eq!(lock(&shared.inbox).jobs.len(), 2);
        ask(Slot::Samples, "nobody looks at them any more");
        drop(worker);
        for name in ["a", "b"] {
            assert_eq!(shared.next().map(|(_, job)| job.task), Some(Task::ExportWeights(name.into())));
        }
        assert!(shared.next().is_none(), "the thread ends with the window");
    }

    #[test]
    fn an_answer_takes_the_place_of_an_older_one() {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: Arc::clone(&shared), thread: Some(std::thread::spawn(|| {})) };
        for (ticket, text) in [(1, "old"), (2, "new")] {
            let turn = Turn { shared: &shared, slot: Slot::Best, ticket, epoch: 1 };
            turn.tell(Answer::Working(text.into()));
        }
        let arrived = worker.arrived();
        assert_eq!((arrived.len(), arrived[0].ticket), (1, 2));
        assert!(worker.arrived().is_empty());
    }
}
