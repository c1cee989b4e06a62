//! The training thread: hosts a session, so that the window never waits for a step.
//!
//! The window sends [`Order`]s and reads [`Report`]s, both without waiting; what changes many times a
//! second goes through latest-value slots ([`Wish`] there, [`View`] back), so that neither side can
//! fall behind the other. All training is done by the session; here is only its host. Invariant: a
//! session that fails leaves the thread alive, and its last checkpoint on the disk.

mod distance;
mod host;
mod look;
mod quality;
mod screen;

pub use look::{FIELD, LatentMap, View, Wish};
pub use quality::Quality;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use eframe::egui;
use onestep_core::data::Density;
use onestep_core::exec::gpu::Gpu;
use onestep_core::session::{Command, Event, Request};
use onestep_core::train::{Config, Recipe, Statistic, Update};
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};

use crate::bench::KernelTime;

/// What the thread is asked to do.
pub enum Order {
    /// End what runs, saving it, and start this.
    Open(Box<Opening>),
    /// Pass a command on to the session.
    Tell(Command),
    /// Time the kernels of each update.
    Profile,
    /// Look again: the wish has changed.
    Look,
    /// Find the training images nearest to the samples.
    Nearest,
    /// Destroy the GPU device, as a driver's reset would: for tests.
    Lose,
}

/// A run to be started.
pub struct Opening {
    /// What to run.
    pub request: Request,
    /// Text as for `--device`.
    pub device: String,
    /// The window's device, if that is the one to train on.
    pub shared: Option<Gpu>,
    /// Whether it starts at once.
    pub play: bool,
}

/// What the thread tells.
pub enum Report {
    /// Something that takes a while, such as loading data; `None` when it is over.
    Busy(Option<Busy>),
    /// A run is open.
    Opened(Box<Opened>),
    /// What the session tells.
    Event(Event),
    /// A run could not be opened; one that is open goes on, if the request itself was wrong.
    Refused(String),
    /// The run failed.
    Failed(Failure),
    /// Times by kernel of each update.
    Profile(Vec<Profile>),
    /// For each sample the nearest training image, or why there are none.
    Nearest(Result<Nearest, String>),
}

/// What is being done, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Busy {
    /// In words.
    pub text: String,
    /// Done of it, 0 to 1, if that is known.
    pub share: Option<f32>,
    /// Whether it is a download, which can be cancelled.
    pub download: bool,
}

impl Busy {
    fn report(text: impl Into<String>) -> Report {
        Report::Busy(Some(Self { text: text.into(), share: None, download: false }))
    }
}

/// What a method declares, and what building its updates told.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The method's recipe for this run.
    pub recipe: Recipe,
    /// Each update, what it records, and whether it moves the samples: it trains what they are drawn from.
    pub updates: Vec<(Update, Vec<Statistic>, bool)>,
}

impl Declared {
    /// Whether an update moves the samples.
    pub fn moves(&self, update: &str) -> bool {
        self.updates.iter().any(|(other, _, moves)| other.name == update && *moves)
    }
}

/// What the window needs to know about an open run.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The settings.
    pub config: Config,
    /// What its method declares.
    pub declared: Declared,
    /// The preset's name, if it is known.
    pub preset: Option<String>,
    /// Name of the data.
    pub data: String,
    /// The density behind 2-D data.
    pub density: Option<Density>,
    /// Shape of a sample.
    pub shape: Vec<usize>,
    /// Some real points or images.
    pub reals: Vec<f32>,
    /// Half the side of the square that 2-D data are shown on.
    pub half_width: f32,
    /// Where the run writes.
    pub folder: Option<PathBuf>,
    /// The device's name.
    pub device: String,
    /// Whether it trains on the window's device.
    pub on_window: bool,
    /// A buffer with the samples, if the run is on the window's device.
    pub shared: Option<eframe::wgpu::Buffer>,
    /// Steps that were done before.
    pub resumed_at: u64,
    /// Whether it started at once.
    pub play: bool,
}

/// Why a run ended before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// In plain words.
    pub message: String,
    /// Whether the device is gone.
    pub device_lost: bool,
    /// A run whose last checkpoint can be gone on with.
    pub folder: Option<PathBuf>,
}

/// Kernels of an update.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name of the update.
    pub update: &'static str,
    /// Its kernels, the slowest first.
    pub kernels: Vec<KernelTime>,
}

/// The training images nearest to the samples, in the samples' order.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// Step of the samples.
    pub step: u64,
    /// The images, values from -1 to 1.
    pub images: Vec<f32>,
    /// How many samples count as copies.
    pub copies: usize,
}

/// A value of which only the latest counts.
pub struct Slot<T>(Mutex<Option<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Slot<T> {
    /// Replaces what nobody has taken.
    pub fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Takes the value, if there is a new one.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What both threads hold.
struct Shared {
    wish: Mutex<Wish>,
    view: Slot<View>,
    context: egui::Context,
    /// Whether the run that was asked for is not wanted any more: its download ends.
    cancelled: AtomicBool,
}

/// Below normal on every system: the scale goes from 0 to 99, and macOS counts normal threads as 31.
const PRIORITY: u8 = 25;

/// Lets the window go first where both want the processor. Threads that this one starts, such as those of the CPU
/// executor or of a software GPU, inherit that on Linux; nothing is slower as long as nobody else wants the processor.
fn stand_back() {
    let priority = ThreadPriorityValue::try_from(PRIORITY).expect("it is on the scale");
    if let Err(error) = set_current_thread_priority(ThreadPriority::Crossplatform(priority)) {
        tracing::debug!("training keeps the window's priority: {error}");
    }
}

/// The window's end.
pub struct Training {
    orders: Option<Sender<Order>>,
    reports: Receiver<Report>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Training {
    /// Starts the thread; it wakes this window when there is news.
    pub fn new(context: &egui::Context) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            wish: Mutex::default(),
            view: Slot::default(),
            context: context.clone(),
            cancelled: AtomicBool::new(false),
        });
        let (orders, inbox) = channel();
        let (outbox, reports) = channel();
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("training".into()).spawn(move || {
            stand_back();
            host::serve(&inbox, &host::Link { outbox, shared: its });
        })?;
        Ok(Self { orders: Some(orders), reports, shared, thread: Some(thread) })
    }

    /// Sends an order.
    pub fn order(&self, order: Order) {
        if matches!(order, Order::Open(_)) {
            self.shared.cancelled.store(false, Ordering::Relaxed);
        }
        if let Some(orders) = &self.orders {
            // The thread ends only when this sender is dropped.
            let _ = orders.send(order);
        }
    }

    /// Ends the download for the run that was asked for.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Passes a command on to the session.
    pub fn tell(&self, command: Command) {
        self.order(Order::Tell(command));
    }

    /// The next report, if there is one.
    pub fn report(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// The newest view, if there is one that was not taken.
    pub fn view(&self) -> Option<View> {
        self.shared.view.take()
    }

    /// Says what should be looked at from now on.
    pub fn wish(&self, wish: Wish) {
        let mut current = self.shared.wish.lock().unwrap_or_else(PoisonError::into_inner);
        // The budget is read when the next view is due; only what is seen asks for one.
        let seen = |wish: &Wish| (wish.field, wish.map, wish.paths);
        let look = seen(&current) != seen(&wish);
        *current = wish;
        drop(current);
        if look {
            self.order(Order::Look);
        }
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        self.cancel();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed by then.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use onestep_core::session::Start;

    use super::*;

    /// The run seemed to be open for ever, and the window could not be closed.
    #[test]
    fn a_panic_ends_the_run_and_another_one_can_be_opened() {
        let context = egui::Context::default();
        let panicked = AtomicBool::new(false);
        context.set_request_repaint_callback(move |_| {
            assert!(panicked.swap(true, Ordering::Relaxed), "on purpose");
        });
        let training = Training::new(&context).unwrap();
        let open = || {
            let config = Config { data: "gaussians".into(), batch: 32, width: 8, blocks: 1, ..Config::default() };
            let start = Start::New { preset: String::new(), config: Box::new(config), transfer: None };
            let request = Request { start, outdir: None };
            training.order(Order::Open(Box::new(Opening { request, device: "cpu".into(), shared: None, play: false })));
        };
        let wait = |is_it: fn(&Report) -> bool| {
            while !is_it(&training.reports.recv().expect("the thread is there")) {}
        };
        open();
        wait(|report| matches!(report, Report::Failed(failure) if failure.message.contains("bug")));
        open();
        wait(|report| matches!(report, Report::Opened(_)));
    }
}
