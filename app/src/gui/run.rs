//! What the window knows of the run: it grows with the training thread's reports, and is all that the
//! panels draw from.
//!
//! Invariant: nothing here decides what is trained; every change goes to the session as a command.

mod changes;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use onestep_core::session::{Command, End, Event, Request, RunFolder, Start};
use onestep_core::train::{Alarm, Config, Overrides, Phase, Preset};

use self::changes::{Change, Drag};
use super::plots::Charts;
use super::training::{Busy, Failure, Nearest, Opened, Opening, Order, Profile, Report, Training, View};
use crate::settings::read_config;

/// Bytes of the grids that are kept for the scrubber: 500 of 64 images of 28 x 28, 7 of 128 x 128 in colour.
const HISTORY: usize = 100_000_000;
/// How often samples are kept while the run goes on.
const HISTORY_PERIOD: Duration = Duration::from_secs(2);

/// Messages that are kept: as many as a tooltip can show.
const MESSAGES: usize = 20;

/// What a run is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing is open.
    Empty,
    /// It goes on.
    Playing,
    /// It waits.
    Paused,
    /// It is being saved before it ends.
    Stopping,
    /// It is over.
    Ended(End),
    /// It could not go on.
    Failed(Failure),
}

/// How far the run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Where.
    pub phase: &'static str,
    /// Steps done of this phase.
    pub step: u64,
    /// Steps of this phase in all.
    pub steps: u64,
    /// Images, or points, that the run has drawn.
    pub images: u64,
    /// Seconds that the run has taken.
    pub elapsed_secs: f64,
    /// Steps per second, lately.
    pub rate: f64,
}

/// Samples at some step.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Steps done.
    pub step: u64,
    /// `[n, ..shape]`.
    pub samples: Vec<f32>,
}

/// The run that the window shows.
pub struct Run {
    training: Training,
    /// The device text as for `--device`.
    pub device: String,
    /// Folder of runs.
    pub outdir: PathBuf,
    /// What is open, or was last.
    pub opened: Option<Opened>,
    /// What it is doing.
    pub state: State,
    /// What takes a while just now.
    pub busy: Option<Busy>,
    /// The newest view.
    pub view: Option<View>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// The plots.
    pub charts: Charts,
    /// Samples kept for the scrubber, old to new.
    pub history: VecDeque<Snapshot>,
    kept: Instant,
    /// Why something could not be opened.
    pub refused: Option<String>,
    /// Whether a person has read that the run failed.
    pub failure_read: bool,
    /// Warnings and news, the newest last.
    pub messages: Vec<String>,
    /// The newest snapshot on the disk of what samples are drawn from.
    pub snapshot: Option<PathBuf>,
    /// Step of the last checkpoint.
    pub saved_at: Option<u64>,
    /// Times by kernel.
    pub profiles: Vec<Profile>,
    /// Nearest training images.
    pub nearest: Option<Nearest>,
    /// Why they could not be found.
    pub no_nearest: Option<String>,
    /// A run that is to be opened when this one has ended.
    pub follow_up: Option<(Start, bool)>,
    /// Whether the next snapshot is wanted for exploring.
    pub explore_next: bool,
    /// Whether that snapshot is there.
    pub explore_now: bool,
    changes: Vec<Change>,
    undone: Vec<Change>,
    /// The phase that the session has told of last.
    heard: Option<&'static str>,
    /// The last drag of a setting, until its mark is complete.
    drag: Option<Drag>,
    /// The start that was asked for, until it is there.
    asked: Option<Start>,
    last_start: Option<Start>,
    /// The file that the run took its first weights from, as it has told.
    transfer: Option<PathBuf>,
    /// Counts openings, so that panels can tell that what they remember belongs to another run.
    pub generation: u64,
}

impl Run {
    /// Nothing is open yet.
    pub fn new(training: Training, device: String, outdir: PathBuf) -> Self {
        Self {
            training,
            device,
            outdir,
            opened: None,
            state: State::Empty,
            busy: None,
            view: None,
            progress: None,
            charts: Charts::new(),
            history: VecDeque::new(),
            kept: Instant::now(),
            refused: None,
            failure_read: false,
            messages: Vec::new(),
            snapshot: None,
            saved_at: None,
            profiles: Vec::new(),
            nearest: None,
            no_nearest: None,
            follow_up: None,
            explore_next: false,
            explore_now: false,
            changes: Vec::new(),
            undone: Vec::new(),
            heard: None,
            drag: None,
            asked: None,
            last_start: None,
            transfer: None,
            generation: 0,
        }
    }

    /// The connection to the training thread.
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// Whether a session is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Playing | State::Paused | State::Stopping)
    }

    /// The run that was to follow, once the present one has ended.
    pub fn take_follow_up(&mut self) -> Option<(Start, bool)> {
        if self.is_open() || self.is_starting() { None } else { self.follow_up.take() }
    }

    /// Whether a run was asked for that is not there yet.
    pub fn is_starting(&self) -> bool {
        self.asked.is_some() && self.busy.is_some()
    }

    /// Whether the data are points in the plane.
    pub fn is_planar(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.shape == [2])
    }

    /// Starts a run; what runs is saved and ended first.
    pub fn open(&mut self, start: Start, shared: Option<onestep_core::exec::gpu::Gpu>, play: bool) {
        let outdir = matches!(start, Start::New { .. }).then(|| self.outdir.clone());
        let request = Request { start: start.clone(), outdir };
        self.asked = Some(start);
        self.busy = Some(Busy { text: "starting".into(), share: None, download: false });
        let opening = Opening { request, device: self.device.clone(), shared, play };
        self.training.order(Order::Open(Box::new(opening)));
    }

    /// How a preset starts.
    pub fn start_of(preset: &Preset) -> Start {
        Start::New { preset: preset.name.to_owned(), config: Box::new(preset.config()), transfer: None }
    }

    /// How the run that is shown begins anew, from its first step, with the settings of its start.
    pub fn start_again(&self) -> Option<Start> {
        match self.last_start.as_ref()? {
            Start::Resume { .. } => {
                let opened = self.opened.as_ref()?;
                let mut config = opened.config.clone();
                // A run's own file has all settings that it began with.
                if let Some(folder) = &opened.folder
                    && let Ok(begun) = read_config(&folder.join("config.json"))
                {
                    config.apply(&begun);
                }
                self.start_with(config)
            }
            start @ Start::New { .. } => Some(start.clone()),
        }
    }

    /// Whether there is a run to begin anew.
    pub fn can_start_again(&self) -> bool {
        match &self.last_start {
            None => false,
            Some(Start::Resume { .. }) => self.opened.is_some(),
            Some(Start::New { .. }) => true,
        }
    }

    /// How the run that is shown begins anew with other settings.
    pub fn start_with(&self, config: Config) -> Option<Start> {
        let transfer = match self.last_start.as_ref()? {
            Start::New { transfer, .. } => transfer.clone(),
            Start::Resume { .. } => self.transfer.clone(),
        };
        let preset = self.opened.as_ref()?.preset.clone().unwrap_or_default();
        Some(Start::New { preset, config: Box::new(config), transfer })
    }

    /// The checkpoints of the run that is shown, with their steps, the newest first.
    pub fn checkpoints(&self) -> Vec<(u64, PathBuf)> {
        let folder = self.opened.as_ref().and_then(|opened| opened.folder.as_deref());
        folder.map(RunFolder::checkpoints).unwrap_or_default()
    }

    /// Goes on.
    pub fn play(&mut self) {
        if self.state == State::Paused {
            self.state = State::Playing;
            self.training.tell(Command::Play);
        }
    }

    /// Waits after the current step.
    pub fn pause(&mut self) {
        if self.state == State::Playing {
            self.state = State::Paused;
            self.training.tell(Command::Pause);
        }
    }

    /// Plays or pauses.
    pub fn toggle(&mut self) {
        tracing::debug!("play or pause at {:?}", self.state);
        if self.state == State::Playing { self.pause() } else { self.play() }
    }

    /// Makes some of the run's steps, while it waits: one update, or a turn of all.
    pub fn step(&mut self, command: Command) {
        if self.is_open() {
            self.pause();
            self.training.tell(command);
        }
    }

    /// The phase that the run is in.
    pub fn phase(&self) -> Option<&Phase> {
        self.opened.as_ref()?.declared.recipe.phases.get(self.view.as_ref()?.counters.phase)
    }

    /// What the method says that the run's numbers mean, if they mean that it has failed.
    pub fn alarm(&self) -> Option<Alarm> {
        self.charts.alarm()
    }

    /// Saves and ends, or ends without saving.
    pub fn end(&mut self, save: bool) {
        if self.is_open() {
            self.state = State::Stopping;
            self.training.tell(if save { Command::Stop } else { Command::Discard });
        }
    }

    /// Takes what the training thread has told. Call it once a frame.
    pub fn update(&mut self) {
        // A long run saves itself thousands of times, and says so.
        self.messages.drain(..self.messages.len().saturating_sub(MESSAGES));
        while let Some(report) = self.training.report() {
            match report {
                Report::Busy(what) => self.busy = what,
                Report::Opened(opened) => self.begin(*opened),
                Report::Event(event) => self.hear(event),
                Report::Refused(message) => self.refuse(message),
                Report::Failed(failure) => {
                    self.busy = None;
                    self.failure_read = false;
                    self.state = State::Failed(failure);
                }
                Report::Profile(profiles) => self.profiles = profiles,
                Report::Nearest(Ok(nearest)) => self.nearest = Some(nearest),
                Report::Nearest(Err(message)) => self.no_nearest = Some(message),
            }
        }
        if let Some(view) = self.training.view() {
            self.see(view);
        }
    }

    /// Something could not be opened.
    pub fn refuse(&mut self, message: String) {
        self.messages.push(message.clone());
        self.refused = Some(message);
    }

    /// Something was opened: what was refused before is of no interest any more.
    pub fn forget_refusal(&mut self) {
        if let Some(refused) = self.refused.take() {
            self.messages.retain(|message| *message != refused);
        }
    }

    /// How the run that has ended or failed can be gone on with: longer, if it came to its end.
    pub fn continuation(&self) -> Option<Start> {
        let mut overrides = Overrides::default();
        let path = match &self.state {
            State::Failed(failure) => failure.folder.clone()?,
            State::Ended(end) => {
                let opened = self.opened.as_ref()?;
                if let (End::Finished, Some(progress)) = (end, &self.progress) {
                    overrides = longer(&opened.config, progress);
                }
                opened.folder.clone().filter(|folder| RunFolder::can_go_on(folder))?
            }
            _ => return None,
        };
        Some(Start::Resume { path, overrides: Box::new(overrides) })
    }

    fn begin(&mut self, opened: Opened) {
        self.refused = None;
        self.last_start = self.asked.take().or(self.last_start.take());
        self.transfer = None;
        self.generation += 1;
        self.state = if opened.play { State::Playing } else { State::Paused };
        self.view = None;
        self.progress = None;
        self.charts.declare(&opened.declared);
        self.history.clear();
        self.messages.clear();
        self.profiles.clear();
        (self.nearest, self.no_nearest) = (None, None);
        self.changes.clear();
        self.undone.clear();
        self.heard = None;
        self.drag = None;
        self.snapshot = None;
        (self.explore_next, self.explore_now) = (false, false);
        self.saved_at = (opened.resumed_at > 0).then_some(opened.resumed_at);
        if opened.resumed_at > 0
            && let Some(folder) = &opened.folder
            && let Err(error) = self.charts.load(folder, opened.resumed_at)
        {
            self.messages.push(error);
        }
        self.opened = Some(opened);
    }

    fn see(&mut self, view: View) {
        self.charts.set_levels(&view.levels, [view.config.sigma_min, view.config.sigma_max]);
        if let Some(samples) = &view.samples {
            let newer = self.history.back().is_none_or(|last| last.step < view.step);
            if newer && self.wants_history() {
                self.keep(view.step, samples.clone());
            }
        }
        if let Some(opened) = &mut self.opened {
            opened.config = view.config.clone();
            // The view may be older than the last move of the mouse.
            if let Some(drag) = self.drag.as_ref().filter(|drag| drag.held) {
                let _ = opened.config.set_live(&drag.change.knob, &drag.change.after);
            }
        }
        self.view = Some(view);
    }

    /// Whether it is time to keep samples for the scrubber.
    pub fn wants_history(&self) -> bool {
        self.kept.elapsed() >= HISTORY_PERIOD || self.history.is_empty()
    }

    /// Keeps samples for the scrubber; when it is full, every other one goes.
    fn keep(&mut self, step: u64, samples: Vec<f32>) {
        // All grids of a run have one size.
        let bytes = size_of_val(samples.as_slice());
        while self.history.len() > 1 && (self.history.len() + 1) * bytes > HISTORY {
            let mut odd = false;
            self.history.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.history.push_back(Snapshot { step, samples });
        self.kept = Instant::now();
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Progress { phase, step, steps, images, elapsed_secs, rate } => {
                self.progress = Some(Progress { phase, step, steps, images, elapsed_secs, rate });
            }
            Event::Statistics { step, values } => self.charts.add(step, &values.into_iter().collect()),
            Event::Grid { step, samples, .. } => {
                if self.history.back().is_none_or(|last| last.step < step) {
                    self.keep(step, samples);
                }
            }
            Event::Saved { path, snapshot } => {
                self.snapshot = snapshot.or(self.snapshot.take());
                self.explore_now |= std::mem::take(&mut self.explore_next);
                self.saved_at = path.file_name().and_then(|n| n.to_str()?.strip_prefix("state-")?.parse().ok());
                self.messages.push(format!("saved {}", path.display()));
            }
            Event::Warning { message } => self.messages.push(message),
            Event::Done { end, snapshot } => {
                self.snapshot = snapshot.or(self.snapshot.take());
                self.state = State::Ended(end);
            }
            Event::Phase { phase, step } => {
                // A run that goes on says first where it is.
                if self.heard.replace(phase).is_some_and(|before| before != phase) {
                    self.charts.phase(step, phase);
                }
            }
            Event::Changed { step, elapsed_secs, knob, before, after } => {
                let goes_on = self.drag_goes_on(&knob, &after);
                self.charts.change(step, elapsed_secs, &knob, [&before, &after], goes_on);
            }
            Event::Started { transfer, .. } => self.transfer = transfer,
        }
    }
}

/// Twice each limit that a run has come to, or twice what it has done, if that is more.
fn longer(config: &Config, progress: &Progress) -> Overrides {
    let mut overrides = Overrides::default();
    let secs = progress.elapsed_secs as f32;
    if config.minutes > 0.0 && secs >= 60.0 * config.minutes {
        overrides.minutes = Some(2.0 * config.minutes.max(secs / 60.0));
    }
    if config.duration > 0 && progress.images >= 1000 * config.duration {
        overrides.duration = Some(2 * config.duration.max(progress.images / 1000));
    }
    if progress.step >= progress.steps {
        overrides.steps = Some(progress.step.max(config.steps).saturating_mul(2).max(1));
    }
    overrides
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There were 500 of them, whatever the size.
    #[test]
    fn grids_of_large_images_take_no_more_memory_than_small_ones() {
        let training = Training::new(&eframe::egui::Context::default()).unwrap();
        let mut run = Run::new(training, "cpu".into(), PathBuf::new());
        let grid = vec![0.0; 64 * 128 * 128 * 3];
        for step in 0..20 {
            run.keep(step, grid.clone());
            assert!(run.history.len() * size_of_val(grid.as_slice()) <= HISTORY);
        }
        let steps: Vec<u64> = run.history.iter().map(|snapshot| snapshot.step).collect();
        assert!(steps.len() > 3 && steps[0] == 0 && steps.is_sorted(), "{steps:?}");
        assert_eq!(steps.last(), Some(&19));
    }

    /// Only its steps were doubled: a run that another limit had ended was over again at once.
    #[test]
    fn a_run_is_trained_longer_than_what_ended_it() {
        let after = |config: &Config, step: u64, elapsed_secs: f64| {
            let (steps, images) = (config.steps, step * config.batch as u64);
            let longer =
                longer(config, &Progress { phase: "distillation", step, steps, images, elapsed_secs, rate: 1.0 });
            (longer.steps, longer.duration, longer.minutes)
        };
        let config = Config { steps: 100, batch: 50, ..Config::default() };
        assert_eq!(after(&config, 100, 90.0), (Some(200), None, None));
        assert_eq!(after(&config, 500, 90.0), (Some(1000), None, None), "its length was lowered behind where it is");
        assert_eq!(after(&Config { minutes: 1.0, ..config.clone() }, 70, 90.0), (None, None, Some(3.0)));
        assert_eq!(after(&Config { duration: 3, ..config.clone() }, 61, 90.0), (None, Some(6), None));
        assert_eq!(after(&Config { duration: 5, minutes: 2.0, ..config }, 100, 90.0), (Some(200), Some(10), None));
    }
}
