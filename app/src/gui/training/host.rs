//! The thread itself: orders in, one iteration after the other, views out.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use onestep_core::data::Progress;
use onestep_core::eval::Rows;
use onestep_core::eval::nearest::nearest;
use onestep_core::exec::gpu::GpuExecutor;
use onestep_core::exec::{ExecError, Executor};
use onestep_core::session::{Command, Event, Flow, RunFolder, Session, SessionError, Start};
use onestep_core::train::{Trainer, TrainingData, Update};

use super::distance::Distance;
use super::look::look;
use super::quality::{Judge, Quality};
use super::screen::Screen;
use super::{Busy, Declared, Failure, Nearest, Opened, Opening, Order, Profile, Report, Shared, Wish};
use crate::bench::{Peak, by_kernel};
use crate::device;
use crate::gui::files::preset_of;
use crate::output::bytes;

/// The thread's end of the connection.
#[derive(Clone)]
pub struct Link {
    /// Reports to the window.
    pub outbox: Sender<Report>,
    /// What both threads hold.
    pub shared: Arc<Shared>,
}

impl Link {
    fn report(&self, report: Report) {
        // Nobody reads any more once the window is closed.
        let _ = self.outbox.send(report);
        self.shared.context.request_repaint();
    }

    fn wish(&self) -> Wish {
        *self.shared.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longest that a GPU's queue may run ahead of this thread: a command waits that long.
const AHEAD: Duration = Duration::from_millis(30);
/// Share of the time that looking may take.
const LOOKING: f32 = 0.08;
/// Shortest time between two views of a run that waits.
const VIEW_PERIOD: Duration = Duration::from_millis(33);

/// Runs of each update that are timed.
const TIMED_STEPS: usize = 3;

/// A session and what belongs to it.
struct Run {
    session: Session,
    data_images: Option<Images>,
    judge: Option<Judge>,
    distance: Option<Distance>,
    /// What the window draws of it, if both are on one device.
    screen: Option<Screen>,
    half_width: f32,
    peak: Option<Peak>,
    /// Step at which the quality was last added to the statistics.
    noted: Option<u64>,
    /// Whether there is something to do without an order.
    moving: bool,
    /// Whether it is over, and only looked at.
    ended: bool,
    /// Whether the window has not seen the present state.
    changed: bool,
    /// Earliest time of the next view.
    next_view: Instant,
    synced: Instant,
    /// Until when the device is left to others.
    rest_until: Instant,
}

/// Training images as they are in the data store, for the nearest-neighbour check.
struct Images {
    words: Vec<u32>,
    width: usize,
}

/// Serves orders until the window's end is dropped. A panic ends the run as any other failure does.
pub fn serve(inbox: &Receiver<Order>, link: &Link) {
    let mut run: Option<Run> = None;
    while catch_unwind(AssertUnwindSafe(|| serve_until_closed(inbox, &mut run, link))).is_err() {
        let error = anyhow::anyhow!("a bug ended the run: please report it, with what the terminal says");
        fail(&mut run, &error, link);
    }
}

fn serve_until_closed(inbox: &Receiver<Order>, run: &mut Option<Run>, link: &Link) {
    loop {
        match next(inbox, run.as_ref()) {
            Ok(Some(order)) => match take(order, run, link) {
                Ok(()) => continue,
                Err(error) => fail(run, &error, link),
            },
            Ok(None) => {}
            Err(()) => break,
        }
        if let Some(current) = run
            && let Err(error) = current.advance(link)
        {
            fail(run, &error.into(), link);
        }
    }
    // The window is gone: what it did not discard is kept.
    if let Some(mut current) = run.take()
        && let Err(error) = current.end(Command::Stop)
    {
        tracing::error!("the run could not be saved: {error}");
    }
}

/// The next order: waits for one if there is nothing else to do. An error means that the window is gone.
fn next(inbox: &Receiver<Order>, run: Option<&Run>) -> Result<Option<Order>, ()> {
    let wait = match run {
        Some(run) if run.moving => run.rest_until,
        Some(run) if run.changed => run.next_view,
        _ => return inbox.recv().map(Some).map_err(|_| ()),
    };
    match inbox.recv_timeout(wait.saturating_duration_since(Instant::now())) {
        Ok(order) => Ok(Some(order)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(()),
    }
}

fn fail(run: &mut Option<Run>, error: &anyhow::Error, link: &Link) {
    let folder = run.take().and_then(|run| run.session.folder().map(Path::to_owned));
    // A run without a checkpoint has nothing to go on with.
    let folder = folder.filter(|folder| RunFolder::can_go_on(folder));
    let message = crate::exit::one_line(&format!("{error:#}"));
    link.report(Report::Busy(None));
    link.report(Report::Failed(Failure { message, device_lost: device_lost(error), folder }));
}

/// Whether a device that is gone is behind an error.
fn device_lost(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref::<SessionError>() {
        Some(error) => error.is_device_lost(),
        None => matches!(cause.downcast_ref(), Some(ExecError::DeviceLost(_))),
    })
}

fn take(order: Order, run: &mut Option<Run>, link: &Link) -> anyhow::Result<()> {
    match order {
        Order::Open(opening) => {
            // Whatever is wrong with the request is found while the old run is still there.
            let data = match load(&opening, link) {
                Ok(data) => data,
                Err(error) => {
                    refuse(&error, link);
                    return Ok(());
                }
            };
            if let Some(old) = run {
                // Who goes back in a run leaves the future from there on. Saving its last moment could remove the very
                // checkpoint that is wanted.
                let rewinds = match (&opening.request.start, old.session.folder()) {
                    (Start::Resume { path, .. }, Some(folder)) => is_within(path, &folder.join("checkpoints")),
                    _ => false,
                };
                old.end(if rewinds { Command::Discard } else { Command::Stop })?;
                *run = None;
            }
            match open(*opening, data, link) {
                // From here on the window shows it: what goes wrong is a failure of this run.
                Ok(opened) => run.insert(opened).begin(link)?,
                Err(error) => refuse(&error, link),
            }
        }
        Order::Tell(command) => {
            if let Some(run) = run.as_mut().filter(|run| !run.ended) {
                run.tell(command);
            }
        }
        Order::Look => {
            if let Some(run) = run {
                run.changed = true;
                run.next_view = run.next_view.min(Instant::now() + VIEW_PERIOD);
            }
        }
        Order::Profile => {
            if let Some(run) = run {
                link.report(Busy::report("timing the kernels"));
                match run.profile() {
                    Ok(profiles) => {
                        link.report(Report::Profile(profiles));
                        link.report(Report::Busy(None));
                    }
                    Err(error) if device_lost(&error) => return Err(error),
                    Err(error) => refuse(&error, link),
                }
            }
        }
        Order::Nearest => {
            let found = match run {
                Some(run) => run.nearest().map_err(|error| crate::exit::one_line(&format!("{error:#}"))),
                None => Err("the run has failed; go on with it first".to_owned()),
            };
            if let Some(found) = found.transpose() {
                link.report(Report::Nearest(found));
            }
        }
        Order::Lose => {
            if let Some(Run { session, moving, .. }) = run {
                match session.executor() {
                    Executor::Gpu(gpu) => gpu.gpu().device.destroy(),
                    Executor::Cpu(_) => return Err(ExecError::DeviceLost("destroyed on request".into()).into()),
                }
                *moving = true;
            }
        }
    }
    Ok(())
}

/// Whether a path leads into a folder, however each of them is written.
fn is_within(path: &Path, folder: &Path) -> bool {
    let whole = [path, folder].map(Path::canonicalize);
    matches!(whole, [Ok(path), Ok(folder)] if path.starts_with(&folder))
}

/// Says why something was not done; whatever runs goes on.
fn refuse(error: &anyhow::Error, link: &Link) {
    link.report(Report::Busy(None));
    link.report(Report::Refused(crate::exit::one_line(&format!("{error:#}"))));
}

/// Loads the data that a request names.
fn load(opening: &Opening, link: &Link) -> anyhow::Result<TrainingData> {
    let config = opening.request.config()?;
    link.report(Busy::report(format!("loading {}", config.data)));
    let mut on_progress = |progress: Progress| {
        let share = progress.done_bytes as f32 / progress.total_bytes.max(1) as f32;
        let [done, total] = [progress.done_bytes, progress.total_bytes].map(bytes);
        let text = format!("downloading {}: {done} of {total}", progress.file);
        link.report(Report::Busy(Some(Busy { text, share: Some(share), download: true })));
        if link.shared.cancelled.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let data = TrainingData::load(&config, &mut on_progress)?;
    data.network(&config).validate()?;
    Ok(data)
}

/// Opens device and session.
fn open(opening: Opening, data: TrainingData, link: &Link) -> anyhow::Result<Run> {
    let Opening { request, device: text, shared, play } = opening;
    link.report(Busy::report("opening the device"));
    let on_window = shared.is_some();
    let executor = match shared {
        Some(gpu) => Executor::Gpu(Box::new(GpuExecutor::from_gpu(gpu, false)?)),
        None => device::open_named(&text)?,
    };
    // At least that of a drawing.
    let half_width = data.half_width().max(1.25);
    let judge = Judge::new(&data, half_width);
    let distance = Distance::new(&data).unwrap_or_else(|error| {
        tracing::warn!("the quality of samples will not be measured: {error}");
        None
    });
    let images = data.spec.bytes.then(|| Images { words: data.words.clone(), width: data.spec.width() });
    let (events, context) = (link.outbox.clone(), link.shared.context.clone());
    let sink = move |event| {
        // Numbers wait for the next view; what changes the run's state does not.
        let urgent = !matches!(event, Event::Progress { .. } | Event::Statistics { .. });
        let _ = events.send(Report::Event(event));
        if urgent {
            context.request_repaint();
        }
    };
    let start = Instant::now();
    let mut session = Session::open(&request, executor, data, Box::new(sink), Box::new(move || start.elapsed()))?;
    session.handle(if play { Command::Play } else { Command::Pause });
    let screen = if on_window { Screen::new(session.executor()) } else { None };
    let data = session.data();
    let opened = Opened {
        preset: match &request.start {
            Start::New { preset, .. } => Some(preset.clone()),
            Start::Resume { .. } => session.folder().and_then(preset_of),
        },
        data: data.name.clone(),
        density: data.density,
        shape: data.spec.shape.clone(),
        reals: data.first.clone(),
        half_width,
        folder: session.folder().map(Path::to_owned),
        device: session.trainer().executor.name(),
        on_window,
        shared: screen.as_ref().map(Screen::buffer),
        resumed_at: session.iterations(),
        play,
        config: session.trainer().config().clone(),
        declared: declared(session.trainer()),
    };
    // A view of the run before is none of this one.
    drop(link.shared.view.take());
    link.report(Report::Opened(Box::new(opened)));
    let now = Instant::now();
    Ok(Run {
        session,
        data_images: images,
        judge,
        distance,
        screen,
        half_width,
        peak: None,
        noted: None,
        moving: true,
        ended: false,
        changed: true,
        next_view: now,
        synced: now,
        rest_until: now,
    })
}

fn declared(trainer: &Trainer) -> Declared {
    let recipe = trainer.recipe().clone();
    let drawn = recipe.drawn().name;
    let of = |update: Update| {
        let declared = update.declared(&trainer.setup, &recipe);
        (update, declared.statistics, declared.updated.contains(&drawn))
    };
    Declared { updates: recipe.updates().into_iter().map(of).collect(), recipe }
}

impl Run {
    /// Compiles what the run needs, which takes a while on a GPU, and shows its first samples.
    fn begin(&mut self, link: &Link) -> Result<(), SessionError> {
        let updates = self.session.updates();
        for (number, name) in (1..).zip(&updates) {
            let text = format!("preparing the {name} step, {number} of {}", updates.len());
            link.report(Busy::report(&text));
            if let Executor::Gpu(gpu) = self.session.executor() {
                let link = link.clone();
                gpu.watch(Some(Box::new(move |done, all| {
                    let text = format!("{text}: kernel {done} of {all}");
                    let share = Some(done as f32 / all.max(1) as f32);
                    link.report(Report::Busy(Some(Busy { text, share, download: false })));
                })));
            }
            self.session.prepare(name)?;
        }
        if let Executor::Gpu(gpu) = self.session.executor() {
            gpu.watch(None);
        }
        link.report(Busy::report("drawing the first samples"));
        self.show(link)?;
        link.report(Report::Busy(None));
        Ok(())
    }

    fn tell(&mut self, command: Command) {
        let now = Instant::now();
        if matches!(command, Command::Step(_) | Command::Turn) {
            self.next_view = now;
        }
        self.session.handle(command);
        self.moving = true;
    }

    /// Ends the run, unless it has ended.
    fn end(&mut self, command: Command) -> Result<(), SessionError> {
        self.session.handle(command);
        while !self.ended {
            self.ended = pollster::block_on(self.session.advance())? == Flow::End;
        }
        Ok(())
    }

    /// One iteration, and a view if it is time. A run that is over can still be looked at.
    fn advance(&mut self, link: &Link) -> Result<(), SessionError> {
        let wish = link.wish();
        if self.moving && Instant::now() >= self.rest_until {
            let start = Instant::now();
            let flow = pollster::block_on(self.session.advance())?;
            self.moving = flow == Flow::Continue;
            self.changed = true;
            self.ended = flow == Flow::End;
            if self.ended {
                return self.show(link);
            }
            self.measure()?;
            let limited = wish.share < 1.0;
            if limited || self.synced.elapsed() > AHEAD {
                self.session.trainer().executor.sync()?;
                self.synced = Instant::now();
            }
            if limited {
                // The device is left to others for as long as the share asks after this much work.
                let rest = start.elapsed().mul_f32((1.0 - wish.share) / wish.share.max(0.05));
                self.rest_until = Instant::now() + rest;
            }
        }
        if self.changed && Instant::now() >= self.next_view {
            self.show(link)?;
        }
        Ok(())
    }

    /// A slice of the distance to the data, if it is time.
    fn measure(&mut self) -> Result<(), SessionError> {
        let Some(distance) = self.distance.as_mut().filter(|distance| distance.is_due(&self.session)) else {
            return Ok(());
        };
        if let Some(value) = pollster::block_on(distance.slice(&mut self.session))? {
            self.session.measured([("Quality/fid_lenet".to_owned(), value)].into_iter().collect());
        }
        Ok(())
    }

    /// Puts a view where the window finds it, and decides when the next one comes.
    fn show(&mut self, link: &Link) -> Result<(), SessionError> {
        let wish = link.wish();
        let start = Instant::now();
        let view = pollster::block_on(look(&mut self.session, &wish, self.half_width, self.judge.as_ref()))?;
        if let Some(screen) = &self.screen {
            screen.update(self.session.executor());
        }
        if let Some(quality) = &view.quality {
            self.note(quality);
        }
        link.shared.view.put(view);
        // Without a delay, egui would draw two frames.
        link.shared.context.request_repaint_after(Duration::from_millis(1));
        let took = start.elapsed();
        let cost = took + Duration::from_secs_f32(wish.frame_secs.clamp(0.0, 1.0));
        let floor = Duration::from_secs_f32(wish.period_secs);
        let pause = if self.moving { cost.div_f32(LOOKING).max(floor) } else { VIEW_PERIOD };
        // A second is still live; the first view compiles and would postpone the second one for long.
        self.next_view = Instant::now() + pause.clamp(VIEW_PERIOD, Duration::from_secs(1));
        self.changed = false;
        Ok(())
    }

    /// Adds the quality of points to the run's statistics: once per tick, and when the run has come to rest.
    fn note(&mut self, quality: &Quality) {
        let (step, tick) = (self.session.iterations(), self.session.trainer().config().tick);
        let due = |noted: u64| step != noted && (!self.moving || step / tick != noted / tick);
        if !self.noted.is_none_or(due) {
            return;
        }
        self.noted = Some(step);
        let modes = quality.modes.map(|(reached, _)| ("Quality/modes".to_owned(), reached as f64));
        self.session.measured([("Quality/kl_grid".to_owned(), quality.kl)].into_iter().chain(modes).collect());
    }

    /// Times the kernels of each update of this phase.
    fn profile(&mut self) -> anyhow::Result<Vec<Profile>> {
        let peak = match self.peak {
            Some(peak) => peak,
            None => *self.peak.insert(Peak::measure(self.session.executor())?),
        };
        let mut profiles = Vec::new();
        for update in self.session.updates() {
            // The best of some steps: what else wants the processor makes a launch slower, never faster.
            let mut times = pollster::block_on(self.session.profile(update))?;
            for _ in 1..TIMED_STEPS {
                let again = pollster::block_on(self.session.profile(update))?;
                times.iter_mut().zip(again).for_each(|(best, time)| best.secs = best.secs.min(time.secs));
            }
            let plan = self.session.trainer().plan(update).expect("a plan that has just run");
            profiles.push(Profile { update, kernels: by_kernel(plan, &times, &peak) });
        }
        Ok(profiles)
    }

    /// For each sample the nearest training image; nothing for points.
    fn nearest(&mut self) -> anyhow::Result<Option<Nearest>> {
        let Some(images) = &self.data_images else { return Ok(None) };
        let samples = pollster::block_on(self.session.samples())?;
        let width = images.width;
        let bytes = images.words.iter().flat_map(|word| word.to_le_bytes());
        let rows = self.session.data().spec.rows;
        let train: Vec<f32> = bytes.take(rows * width).map(|b| f32::from(b) / 127.5 - 1.0).collect();
        let train = Rows::new("training images", &train, rows, width)?;
        let generated = Rows::new("samples", &samples, samples.len() / width, width)?;
        let found = nearest(&train, &generated)?;
        let images = found.iter().flat_map(|n| train.row(n.index).iter().copied()).collect();
        let step = self.session.iterations();
        Ok(Some(Nearest { step, images, copies: found.iter().filter(|n| n.is_copy()).count() }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, mpsc};

    use onestep_core::session::Request;
    use onestep_core::train::{Config, Counters, Preset};

    use super::super::{Slot, View};
    use super::*;

    fn link() -> (Link, mpsc::Receiver<Report>) {
        let (outbox, reports) = channel();
        let shared = Arc::new(Shared {
            wish: Mutex::default(),
            view: Slot::default(),
            context: eframe::egui::Context::default(),
            cancelled: AtomicBool::new(false),
        });
        (Link { outbox, shared }, reports)
    }

    /// Its settings became those of the new run, and its grid went into the history.
    #[test]
    fn the_last_view_of_a_run_is_not_shown_with_the_next_one() {
        let (link, reports) = link();
        link.shared.view.put(View {
            step: 500,
            counters: Counters::default(),
            length: 1000,
            config: Config::default(),
            samples: None,
            field: None,
            map: None,
            paths: None,
            levels: Vec::new(),
            quality: None,
            memory: Vec::new(),
        });
        let preset = Preset::find("gaussians").expect("a preset");
        let config = Config { batch: 16, width: 8, blocks: 1, ..preset.config() };
        let start = Start::New { preset: preset.name.into(), config: Box::new(config), transfer: None };
        let request = Request { start, outdir: None };
        let opening = Opening { request, device: "cpu".into(), shared: None, play: false };
        let data = load(&opening, &link).unwrap();
        open(opening, data, &link).unwrap();
        assert!(reports.try_iter().any(|report| matches!(report, Report::Opened(_))));
        assert!(link.shared.view.take().is_none());
    }

    #[test]
    fn a_checkpoint_is_of_its_run_however_the_path_is_written() {
        let [relative, whole] = [Path::new("src/gui"), &std::path::absolute("src").unwrap()];
        assert!(is_within(relative, whole) && is_within(&whole.join("gui"), Path::new("src")));
        assert!(is_within(&whole.join("gui/../gui"), Path::new("src/../src")));
        assert!(!is_within(whole, Path::new("src/gui")) && !is_within(Path::new("absent"), Path::new("absent")));
    }
}
