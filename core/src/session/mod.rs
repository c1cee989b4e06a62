//! A run from its first step to its last: one protocol for command line, window and page.
//!
//! The host owns the loop: it passes [`Command`]s to [`Session::handle`] and calls
//! [`Session::advance`] while that says so; [`Event`]s go to the sink that it gave. Nothing here
//! blocks or sleeps, so the same code runs on a thread and in a browser.
//!
//! Invariant: a checkpoint is taken between two iterations and holds all that the next one
//! depends on; it is there whole or not at all.

#[cfg(feature = "native")]
mod checkpoint;
mod error;
#[cfg(feature = "native")]
mod find;
#[cfg(feature = "native")]
mod folder;
#[cfg(feature = "native")]
mod group;
#[cfg(feature = "native")]
mod manage;
mod message;
mod picture;
#[cfg(feature = "native")]
mod request;
#[cfg(feature = "native")]
mod settings;
#[cfg(all(test, feature = "native"))]
mod tests;
#[cfg(feature = "native")]
mod tidy;
mod views;

pub use error::SessionError;
#[cfg(feature = "native")]
pub use folder::RunFolder;
pub use message::{Command, End, Event};
pub use picture::{scatter, to_bytes};
#[cfg(feature = "native")]
pub use request::{Request, Start};

use std::collections::VecDeque;
use std::time::Duration;

use crate::exec::Executor;
use crate::nets::latent;
#[cfg(feature = "native")]
use crate::train::Handover;
#[cfg(not(target_arch = "wasm32"))]
use crate::train::Paths;
use crate::train::{Averages, Counters, FieldOfView, RING, Setup, TrainError, Trainer, TrainingData, sample_batch};

/// What the host should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Call [`Session::advance`] again.
    Continue,
    /// Wait for a command.
    Wait,
    /// The run is over.
    End,
}

/// Time since some moment; the host's clock, since a browser has another one.
pub type Clock = Box<dyn Fn() -> Duration + Send>;

/// A run.
pub struct Session {
    trainer: Trainer,
    data: TrainingData,
    #[cfg(feature = "native")]
    folder: Option<RunFolder>,
    sink: Box<dyn FnMut(Event) + Send>,
    clock: Clock,
    /// Time that earlier parts of the run took.
    before: Duration,
    started: Duration,
    /// Since when it waits for a command. That time is not the run's.
    waits_since: Option<Duration>,
    /// What the clock of process 0 said when this iteration began, if several processes share the run.
    #[cfg(feature = "native")]
    agreed: Option<Duration>,
    averages: Averages,
    latents: Vec<f32>,
    paused: bool,
    stop: Option<End>,
    save_now: bool,
    sample_now: bool,
    /// Changes of settings that the run made when it was here before, and makes again.
    #[cfg(feature = "native")]
    to_come: VecDeque<settings::Change>,
    /// Changes that were made before the run was announced.
    untold: Vec<Event>,
    /// Single steps that were asked for and not done yet.
    singles: VecDeque<Single>,
    field: Option<FieldOfView>,
    #[cfg(not(target_arch = "wasm32"))]
    paths: Paths,
    announced: Option<&'static str>,
    progress: Progress,
    last_snapshot: Option<std::path::PathBuf>,
    /// Where the run was when the last checkpoint was taken.
    saved_at: Option<Counters>,
    /// Iteration of the last line of statistics. Updates that don't close a turn wait for the next one's line.
    told_at: u64,
}

/// A step that was asked for.
#[derive(PartialEq)]
enum Single {
    Update(String),
    Turn,
}

/// For the rate of progress events.
#[derive(Default)]
struct Progress {
    at: Duration,
    iterations: u64,
    rate: f64,
}

impl Session {
    /// A fresh run without files: for the page, for tests, and below [`Session::open`].
    pub fn new(
        executor: Executor,
        setup: Setup,
        data: TrainingData,
        sink: Box<dyn FnMut(Event) + Send>,
        clock: Clock,
    ) -> Result<Self, SessionError> {
        setup.config.validate()?;
        setup.network.validate()?;
        setup.recipe().networks.iter().try_for_each(|network| network.net.validate())?;
        data.check_classes(&setup.config)?;
        let width = setup.data.width();
        let latents = (0..sample_batch(&setup.data) as u32).flat_map(|seed| latent(seed, width)).collect();
        let mut trainer = Trainer::new(executor, setup, &data.words)?;
        trainer.set_labels(&data.labels).map_err(TrainError::from)?;
        let started = clock();
        Ok(Self {
            trainer,
            data,
            #[cfg(feature = "native")]
            folder: None,
            sink,
            clock,
            before: Duration::ZERO,
            started,
            waits_since: None,
            #[cfg(feature = "native")]
            agreed: None,
            averages: Averages::default(),
            latents,
            paused: false,
            stop: None,
            save_now: false,
            sample_now: false,
            #[cfg(feature = "native")]
            to_come: VecDeque::new(),
            untold: Vec::new(),
            singles: VecDeque::new(),
            field: None,
            #[cfg(not(target_arch = "wasm32"))]
            paths: Paths::default(),
            announced: None,
            progress: Progress::default(),
            last_snapshot: None,
            saved_at: None,
            told_at: 0,
        })
    }

    /// The run on its device.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// Takes a command.
    pub fn handle(&mut self, command: Command) {
        match command {
            Command::Play => self.paused = false,
            Command::Pause => {
                self.paused = true;
                self.singles.clear();
            }
            Command::Step(update) => self.singles.push_back(Single::Update(update)),
            // A key that is held down asks for more of them than a slow device makes.
            Command::Turn if self.singles.contains(&Single::Turn) => {}
            Command::Turn => self.singles.push_back(Single::Turn),
            Command::Sample => self.sample_now = true,
            Command::Save => self.save_now = true,
            Command::Stop => self.stop = Some(End::Stopped),
            Command::Discard => self.stop = Some(End::Discarded),
            #[cfg(feature = "native")]
            Command::Set { knob, value } => {
                let step = self.iterations();
                if let Err(error) = self.change(settings::Change { step, knob, value }) {
                    self.tell(Event::Warning { message: error.to_string() });
                }
            }
        }
    }

    /// Runs one iteration, or ends the run; a run that has ended can still be looked at, while its folder is free for
    /// others. If the numbers are not finite any more, that is an error, and the last
    /// checkpoint stays the last: networks that give such numbers are no good state, although an update with such a
    /// gradient changes no weights.
    pub async fn advance(&mut self) -> Result<Flow, SessionError> {
        let flow = self.advance_unguarded().await;
        #[cfg(feature = "native")]
        if let (Err(SessionError::Train(TrainError::NonFinite { .. })), Some(folder)) = (&flow, &self.folder)
            && let Ok(kept) = find::latest_checkpoint(folder.path())
        {
            let message = format!("the last good state is {}; --resume goes on from there", kept.display());
            self.tell(Event::Warning { message });
        }
        flow
    }

    async fn advance_unguarded(&mut self) -> Result<Flow, SessionError> {
        self.end_wait();
        if self.announced.is_none() {
            self.announce_start();
            #[cfg(feature = "native")]
            self.save_start().await?;
        }
        #[cfg(feature = "native")]
        {
            self.agree();
            self.make_changes();
        }
        if let Some(single) = self.singles.pop_front() {
            self.single(single).await?;
            self.statistics_if_any().await?;
            self.sample_now = true;
        } else if self.stop.is_none() && !self.paused && !self.finished() {
            self.iterate().await?;
        }
        self.collect().await?;
        let end = self.stop.or_else(|| self.finished().then_some(End::Finished));
        let due = self.due();
        if end.is_some_and(|end| end != End::Discarded) || due || self.save_now {
            self.statistics_if_any().await?;
            #[cfg(feature = "native")]
            self.trainer.average()?;
            self.snap(due || end.is_some()).await?;
            #[cfg(feature = "native")]
            self.share().await?;
        } else if std::mem::take(&mut self.sample_now) {
            let samples = self.samples().await?;
            self.tell(Event::Grid { step: self.iterations(), samples, path: None });
        }
        if let Some(end) = end {
            self.tell_progress(true);
            #[cfg(feature = "native")]
            if end == End::Finished && self.last_snapshot.is_none() && self.folder.is_some() {
                self.tell_nothing_left();
            }
            let snapshot = self.last_snapshot.clone();
            self.tell(Event::Done { end, snapshot });
            #[cfg(feature = "native")]
            if let Some(folder) = &self.folder {
                folder.release();
            }
            return Ok(Flow::End);
        }
        if self.paused && self.singles.is_empty() {
            self.waits_since = Some((self.clock)());
            return Ok(Flow::Wait);
        }
        Ok(Flow::Continue)
    }

    /// Moves what is measured from by the time that it has waited.
    fn end_wait(&mut self) {
        if let Some(since) = self.waits_since.take() {
            let waited = (self.clock)().saturating_sub(since);
            self.started += waited;
            self.progress.at += waited;
        }
    }

    /// The last snapshot that this session wrote.
    pub fn last_snapshot(&self) -> Option<&std::path::Path> {
        self.last_snapshot.as_deref()
    }

    /// Turns done, of all phases.
    pub fn iterations(&self) -> u64 {
        self.trainer.counters.turns
    }

    /// Images (or points) that the run has drawn for the generator's updates.
    pub fn images(&self) -> u64 {
        self.iterations() * self.trainer.config().batch as u64
    }

    /// Time that the run has taken, earlier parts included, without that in which it waited.
    pub fn elapsed(&self) -> Duration {
        self.before + self.now().saturating_sub(self.started)
    }

    fn now(&self) -> Duration {
        #[cfg(feature = "native")]
        if let Some(agreed) = self.agreed {
            return agreed;
        }
        self.waits_since.unwrap_or_else(|| (self.clock)())
    }

    fn finished(&self) -> bool {
        self.limit().is_some()
    }

    /// The setting that ends the run here.
    fn limit(&self) -> Option<&'static str> {
        let config = self.trainer.config();
        if config.minutes > 0.0 && self.elapsed().as_secs_f32() >= 60.0 * config.minutes {
            return Some("minutes");
        }
        if config.duration > 0 && self.images() >= config.duration * 1000 {
            return Some("duration");
        }
        (self.trainer.in_last_phase() && self.trainer.phase_is_over()).then_some("steps")
    }

    /// One turn.
    async fn iterate(&mut self) -> Result<(), SessionError> {
        // A phase may have no turns at all.
        self.end_phase().await?;
        let phase = self.trainer.phase().name;
        if self.announced != Some(phase) {
            self.announced = Some(phase);
            self.tell(Event::Phase { phase, step: self.iterations() });
        }
        self.trainer.turn()?;
        self.end_phase().await?;
        self.tell_progress(false);
        Ok(())
    }

    /// One step that was asked for.
    async fn single(&mut self, single: Single) -> Result<(), SessionError> {
        match single {
            Single::Turn => self.trainer.turn()?,
            Single::Update(name) if self.updates().contains(&&*name) => self.trainer.step(&name)?,
            Single::Update(name) => {
                let message = format!("the {} has no step `{name}`", self.trainer.phase().name);
                self.tell(Event::Warning { message });
            }
        }
        self.end_phase().await
    }

    /// Passes on what the next phase begins with, if this one has all its turns.
    async fn end_phase(&mut self) -> Result<(), SessionError> {
        while self.trainer.phase_is_over() && !self.trainer.in_last_phase() {
            self.hand_over().await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), SessionError> {
        for handover in self.trainer.phase().then.clone() {
            #[cfg(feature = "native")]
            if let (Handover::Save(network, kind), Some(folder)) = (&handover, &self.folder) {
                folder.save_model(&self.trainer, &self.data, network, *kind).await?;
            }
            self.trainer.hand_over(handover).await?;
        }
        self.trainer.next_phase();
        Ok(())
    }

    /// Reads statistics before their rings overflow, and passes them on at every tick.
    async fn collect(&mut self) -> Result<(), SessionError> {
        if self.trainer.unread_runs() >= RING / 2 {
            self.trainer.statistics(&mut self.averages).await?;
        }
        if self.iterations().is_multiple_of(self.trainer.config().tick) {
            self.statistics_if_any().await?;
        }
        Ok(())
    }

    async fn statistics_if_any(&mut self) -> Result<(), SessionError> {
        self.trainer.statistics(&mut self.averages).await?;
        self.tell_statistics();
        Ok(())
    }

    /// Whether a checkpoint is due after this iteration.
    fn due(&self) -> bool {
        let iterations = self.iterations();
        let saved_at = self.saved_at.as_ref().map(|saved| saved.turns);
        iterations > 0 && iterations.is_multiple_of(self.trainer.config().snap) && saved_at != Some(iterations)
    }

    /// Samples, checkpoint and snapshots.
    async fn snap(&mut self, with_samples: bool) -> Result<(), SessionError> {
        #[cfg(feature = "native")]
        let asked = self.save_now;
        self.save_now = false;
        let iterations = self.iterations();
        #[cfg(feature = "native")]
        let with_samples = with_samples && self.writes();
        if with_samples || std::mem::take(&mut self.sample_now) {
            let samples = self.samples().await?;
            #[cfg(feature = "native")]
            let path = match &self.folder {
                Some(folder) => Some(folder.save_grid(&self.data, &samples, iterations)?),
                None => None,
            };
            #[cfg(not(feature = "native"))]
            let path = None;
            self.tell(Event::Grid { step: iterations, samples, path });
        }
        // Updates that were made one by one are no turn, and yet something to save.
        #[cfg(feature = "native")]
        let is_new = self.saved_at.as_ref() != Some(&self.trainer.counters);
        #[cfg(feature = "native")]
        if let Some(folder) = &self.folder
            && (asked || is_new)
        {
            let state = if is_new {
                folder.save_checkpoint(&self.trainer, &self.data, self.elapsed()).await?
            } else {
                folder.checkpoint(iterations)
            };
            // A run that was gone on with has a checkpoint of this step, but no snapshot of its own.
            if is_new || self.last_snapshot.is_none() {
                self.last_snapshot = Some(folder.save_snapshots(&self.trainer, &self.data).await?);
            }
            if is_new {
                folder.finish_checkpoint(&state, self.trainer.config().keep_last)?;
            }
            // Who asks is told where it is, whether or not it was there before.
            self.tell(Event::Saved { path: state, snapshot: self.last_snapshot.clone() });
        }
        self.saved_at = Some(self.trainer.counters.clone());
        Ok(())
    }

    /// A new run can be gone on with from its first moment on, whatever happens before its first snapshot.
    #[cfg(feature = "native")]
    async fn save_start(&mut self) -> Result<(), SessionError> {
        if let Some(folder) = &self.folder
            && self.saved_at.is_none()
        {
            let state = folder.save_checkpoint(&self.trainer, &self.data, self.elapsed()).await?;
            folder.finish_checkpoint(&state, self.trainer.config().keep_last)?;
        }
        Ok(())
    }

    fn tell(&mut self, event: Event) {
        #[cfg(feature = "native")]
        if let Some(folder) = &mut self.folder {
            folder.log(&event);
        }
        (self.sink)(event);
    }

    fn announce_start(&mut self) {
        let trainer = &self.trainer;
        let parameters = |name: &'static str| (name, trainer.layout(name).parameters());
        let event = Event::Started {
            #[cfg(feature = "native")]
            folder: self.folder.as_ref().map(|f| f.path().to_owned()),
            #[cfg(not(feature = "native"))]
            folder: None,
            device: trainer.executor.name(),
            data: format!("{}, {} of {:?}", self.data.name, self.data.spec.rows, self.data.spec.shape),
            #[cfg(feature = "native")]
            transfer: self.folder.as_ref().and_then(RunFolder::transfer),
            #[cfg(not(feature = "native"))]
            transfer: None,
            networks: trainer.recipe().networks.iter().map(|network| parameters(network.name)).collect(),
            resumed_at: self.iterations(),
        };
        self.progress = Progress { at: (self.clock)(), iterations: self.iterations(), rate: 0.0 };
        let phase = trainer.phase().name;
        self.announced = Some(phase);
        self.tell(event);
        self.tell(Event::Phase { phase, step: self.iterations() });
        for event in std::mem::take(&mut self.untold) {
            self.tell(event);
        }
    }

    fn tell_statistics(&mut self) {
        if self.iterations() == self.told_at {
            return;
        }
        let mut values = self.averages.take();
        if values.is_empty() {
            return;
        }
        self.told_at = self.iterations();
        let elapsed = self.elapsed().as_secs_f64();
        values.insert("Progress/images".into(), self.images() as f64);
        values.insert("Timing/elapsed_secs".into(), elapsed);
        if self.progress.rate > 0.0 {
            values.insert("Timing/ms_per_step".into(), 1000.0 / self.progress.rate);
        }
        let bytes: u64 = self.trainer.executor.memory().iter().map(|(_, bytes)| bytes).sum();
        values.insert("Resources/device_bytes".into(), bytes as f64);
        self.tell(Event::Statistics { step: self.iterations(), values });
    }

    /// A progress event, unless the last one is younger than a quarter of a second.
    fn tell_progress(&mut self, always: bool) {
        const PERIOD: Duration = Duration::from_millis(250);
        let now = (self.clock)();
        let passed = now.saturating_sub(self.progress.at);
        if passed < PERIOD && !always {
            return;
        }
        let done = self.iterations() - self.progress.iterations;
        if passed > Duration::ZERO && done > 0 {
            let rate = done as f64 / passed.as_secs_f64();
            let old = self.progress.rate;
            self.progress.rate = if old == 0.0 { rate } else { 0.8 * old + 0.2 * rate };
        }
        self.progress.at = now;
        self.progress.iterations = self.iterations();
        let trainer = &self.trainer;
        let (phase, step, steps) = (trainer.phase().name, trainer.counters.turn, trainer.length());
        let (images, rate) = (self.images(), self.progress.rate);
        let elapsed_secs = self.elapsed().as_secs_f64();
        self.tell(Event::Progress { phase, step, steps, images, elapsed_secs, rate });
    }
}
