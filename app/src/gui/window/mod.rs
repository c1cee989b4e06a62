//! The window: where its parts are, and what keys, drops and closing do.
//!
//! Parts draw from [`Run`] and answer with what a person asked for; here it is done. Invariant:
//! closing, opening or losing anything never loses a run that has a checkpoint.

mod events;
mod manage;
mod paths;
mod read_outs;
mod welcome;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use eframe::egui;
use onestep_core::exec::gpu::AdapterSummary;
use onestep_core::session::{Command, End, Start};
use onestep_core::train::Preset;

use super::dialogs::{Answer, Confirm, Confirmed, PathDialog, Purpose};
use super::explore::Explore;
use super::files::{self, Fate, SavedRun};
use super::images::Images;
use super::knobs::Panel;
use super::machine::{self, Machine};
use super::plane::{self, Laboratory};
use super::run::{Run, State};
use super::shared::WindowDevice;
use super::slow::SlowMotion;
use super::theme::{self, Theme};
use super::tour::{self, Part, Tour};
use super::training::{Failure, Training, Wish};
use super::{banner, controls, help};

/// Shortest time between two views if software fills the pixels: it does so on the cores that train, and
/// not in the time of a frame. `cargo xtask bench window` measures what that leaves of the speed.
const SOFTWARE_PERIOD_SECS: f32 = 0.9;

/// What the middle shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// The run.
    #[default]
    Training,
    /// A finished generator.
    Explore,
    /// Device, memory and kernels.
    Machine,
}

/// Whether the window closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// It stays.
    Stays,
    /// As soon as the run has ended.
    WhenEnded,
    /// At once: the run is saved after that.
    AtOnce,
}

/// What a window starts with.
pub struct Options {
    /// Text as for `--device`.
    pub device: String,
    /// Folder of runs.
    pub outdir: PathBuf,
    /// The machine's adapters.
    pub adapters: Vec<AdapterSummary>,
    /// The window's own device, if it can be trained on.
    pub window_device: Option<WindowDevice>,
    /// A failure that the last window ended with.
    pub failure: Option<Failure>,
}

/// The whole window.
#[expect(clippy::struct_excessive_bools, reason = "any combination of parts can be shown")]
pub struct Window {
    /// The run.
    pub run: Run,
    /// What the middle shows.
    pub tab: Tab,
    /// The guided tour.
    pub tour: Tour,
    laboratory: Laboratory,
    images: Images,
    explore: Explore,
    panel: Panel,
    machine: Machine,
    slow: SlowMotion,
    help: bool,
    plots: bool,
    settings: bool,
    path_dialog: Option<PathDialog>,
    confirm: Option<Confirm>,
    /// The run that a question is asked about.
    manage: Option<manage::Manage>,
    /// Runs on the disk, as of the last look.
    saved: Vec<SavedRun>,
    /// Runs that did not end, the newest first: offered until one is taken, or none is wanted.
    interrupted: Vec<SavedRun>,
    /// The device that the window draws with.
    own_device: Option<WindowDevice>,
    closing: Closing,
    /// Messages of work that ends later.
    news: (Sender<String>, Receiver<String>),
    plots_rect: Option<egui::Rect>,
    /// Whether a text field had the focus in the last frame.
    typing: bool,
    /// Set when the window has to be made anew, because its device is gone.
    pub lost: Option<Failure>,
}

impl Window {
    /// A window in this context.
    pub fn new(context: &egui::Context, options: Options) -> std::io::Result<Self> {
        let Options { device, outdir, adapters, window_device, failure } = options;
        theme::install(context);
        let training = Training::new(context)?;
        let saved = files::runs(&outdir);
        let broken = saved.iter().filter(|run| run.fate == Fate::Interrupted && failure.is_none());
        let interrupted = broken.cloned().collect();
        let mut run = Run::new(training, device.clone(), outdir);
        if let Some(failure) = failure {
            run.state = State::Failed(failure);
        }
        Ok(Self {
            run,
            tab: Tab::default(),
            tour: Tour::default(),
            laboratory: Laboratory::default(),
            images: Images::default(),
            explore: Explore::new(device),
            panel: Panel::default(),
            machine: Machine::new(adapters),
            slow: SlowMotion::default(),
            help: false,
            plots: true,
            settings: true,
            path_dialog: None,
            confirm: None,
            manage: None,
            saved,
            interrupted,
            own_device: window_device,
            closing: Closing::Stays,
            news: channel(),
            plots_rect: None,
            typing: false,
            lost: None,
        })
    }

    /// Starts a run; what runs is saved and ended first. One that is starting is not disturbed: a second click is none.
    pub fn start(&mut self, start: Start, play: bool) {
        if self.run.is_starting() {
            self.run.messages.push("a run is starting; wait until it is there".into());
            return;
        }
        let planned = match &start {
            Start::New { config, .. } => config.data.clone(),
            Start::Resume { .. } => String::new(),
        };
        let shared = self.own_device.as_ref().and_then(|device| device.for_training(&self.run.device, &planned));
        self.run.open(start, shared, play);
        self.saved = files::runs(&self.run.outdir);
        self.interrupted.clear();
        self.tab = Tab::Training;
    }

    /// Starts a preset.
    pub fn start_preset(&mut self, name: &str, play: bool) {
        if let Some(preset) = Preset::find(name) {
            self.start(Run::start_of(preset), play);
        }
    }

    /// Draws everything, and does what was asked for. Call it once a frame.
    pub fn show(&mut self, ui: &mut egui::Ui) {
        let theme = Theme::of(ui);
        let context = ui.ctx().clone();
        self.logic(&context);
        self.slow.update(&mut self.run, &mut self.laboratory, &context);
        self.keys(ui);
        self.drops(&context);
        self.run.messages.extend(self.news.1.try_iter());

        let bar = egui::Panel::top("bar").show(ui, |ui| {
            let asked = controls::show(ui, &mut self.run, self.slow.is_on());
            if let Some(ask) = asked {
                self.obey(&ask, &context);
            }
        });
        self.tour.place(Part::Bar, bar.response.rect);
        self.banners(ui, &theme);
        self.status(ui);
        if self.settings && self.tab == Tab::Training {
            let settings = egui::Panel::left("settings").default_size(262.0).size_range(220.0..=420.0).show(ui, |ui| {
                if let Some(start) = self.panel.show(ui, &mut self.run) {
                    self.start(start, true);
                }
            });
            self.tour.place(Part::Settings, settings.response.rect);
        }
        if self.plots && self.tab == Tab::Training && self.run.opened.is_some() {
            let plots = if self.run.is_planar() {
                // The plane is a square: what is beside it is the plots'.
                let width = (ui.available_width() * 0.24).clamp(236.0, 560.0);
                egui::Panel::right("plots beside").resizable(true).default_size(width)
            } else {
                let height = (context.content_rect().height() * 0.3).clamp(150.0, 360.0);
                egui::Panel::bottom("plots below").resizable(true).default_size(height)
            };
            let plots = plots.show(ui, |ui| self.charts(ui, &theme));
            self.plots_rect = Some(plots.response.rect);
            self.tour.place(Part::Plots, plots.response.rect);
        }
        egui::CentralPanel::default().show(ui, |ui| {
            ui.horizontal(|ui| {
                for (tab, name, tip) in [
                    (Tab::Training, "Training", "The run, live."),
                    (Tab::Explore, "Explore", "Draw from a finished generator."),
                    (Tab::Machine, "Machine", "Device, memory and kernels."),
                ] {
                    ui.selectable_value(&mut self.tab, tab, name).on_hover_text(tip);
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if let Some(ask) = controls::explanations(ui) {
                        self.obey(&ask, &context);
                    }
                    read_outs::looks(ui);
                    ui.checkbox(&mut self.plots, "Plots").on_hover_text("Show the plots (F hides them).");
                    ui.checkbox(&mut self.settings, "Settings").on_hover_text("Show the settings at the left.");
                });
            });
            let stage = ui.available_rect_before_wrap();
            self.tour.place(Part::Stage, stage);
            match self.tab {
                Tab::Training => self.stage(ui, &theme),
                Tab::Explore => self.exploration(ui, &theme),
                Tab::Machine => {
                    if let Some(machine::Ask::Device(device)) = self.machine.show(ui, &mut self.run, &theme) {
                        self.change_device(device, ui.ctx());
                    }
                }
            }
        });
        self.windows(&context);
        if let Some(tour::Ask::Run) = self.tour.show(ui, &theme, &self.run, self.slow.is_on()) {
            self.start_preset(tour::PRESET, true);
        }
        self.wish();
    }

    /// What goes on while the window is hidden, too: a hidden window has no frames.
    pub fn logic(&mut self, context: &egui::Context) {
        self.run.update();
        self.machine.update(&mut self.run, context);
        if let Some((start, play)) = self.run.take_follow_up() {
            self.start(start, play);
        }
        self.close(context);
    }

    /// The time that the last frame took, for the read-out and for the pace of views.
    pub fn frame_took(&mut self, secs: f32) {
        let old = self.machine.frame_secs;
        self.machine.frame_secs = if old == 0.0 { secs } else { 0.9 * old + 0.1 * secs };
    }

    /// The run as it is, or how to begin.
    fn stage(&mut self, ui: &mut egui::Ui, theme: &Theme) {
        let moment = self.slow.moment(&self.run);
        if self.run.opened.is_none() && self.laboratory.drawing.is_none() {
            self.welcome(ui);
            return;
        }
        self.slow.show(ui, &mut self.run, theme);
        read_outs::alarm(ui, &self.run, theme);
        read_outs::last_moment(ui, &self.run, theme);
        if self.run.is_planar() || self.laboratory.drawing.is_some() {
            self.laboratory.switches(ui, &self.run, theme, moment);
            ui.horizontal_wrapped(|ui| {
                self.laboratory.level(ui, &self.run);
                read_outs::numbers(ui, &self.run);
            });
            if let Some(plane::Ask::Train(points)) = self.laboratory.canvas(ui, &self.run, theme, moment)
                && self.train_on(&points)
            {
                self.laboratory.drawing = None;
            }
        } else {
            self.images.show(ui, &mut self.run, theme);
        }
    }

    fn exploration(&mut self, ui: &mut egui::Ui, theme: &Theme) {
        ui.horizontal(|ui| {
            let snapshot = self.run.snapshot.clone();
            let live = self.run.is_open();
            // The run that is over has its last one, or, if it was gone on with and ended at once, a folder of them.
            let folder = || self.run.opened.as_ref().and_then(|opened| opened.folder.clone());
            let last = if live { None } else { snapshot.clone().or_else(folder) };
            let tip = if live {
                "Saves a snapshot of the generator as it is now, and opens it."
            } else {
                "Opens the last snapshot of the generator."
            };
            let take = ui.add_enabled(live || last.is_some(), egui::Button::new("Take the run's generator"));
            if take.on_hover_text(tip).clicked() {
                match last {
                    Some(path) => self.explore.open(&path, ui.ctx()),
                    None => {
                        self.run.training().tell(Command::Save);
                        self.run.explore_next = true;
                    }
                }
            }
            if let (true, Some(snapshot)) = (std::mem::take(&mut self.run.explore_now), snapshot) {
                self.explore.open(&snapshot, ui.ctx());
            }
        });
        if let Some(request) = self.explore.show(ui, theme) {
            self.serve_explore(request);
        }
    }

    fn obey(&mut self, ask: &controls::Ask, context: &egui::Context) {
        match ask {
            controls::Ask::Preset(name) => self.start_preset(name, true),
            controls::Ask::Reset => self.reset(),
            controls::Ask::Slow => {
                let now = context.input(|input| input.time);
                self.slow.toggle(&mut self.run, now);
            }
            controls::Ask::Save => self.run.training().tell(Command::Save),
            controls::Ask::Continue => {
                if let Some(start) = self.run.continuation() {
                    self.start(start, true);
                }
            }
            controls::Ask::Rewind(path) => {
                let play = self.run.state == State::Playing;
                self.start(Start::Resume { path: path.clone(), overrides: Box::default() }, play);
            }
            controls::Ask::Stop => self.run.end(true),
            controls::Ask::Discard => self.confirm = Some(Confirm::Discard),
            controls::Ask::Open => self.path_dialog = Some(PathDialog::new(Purpose::Open, &self.run.outdir)),
            controls::Ask::Tour => self.begin_tour(),
            controls::Ask::Help => self.help = !self.help,
        }
    }

    /// Begins the tour, with all that it speaks of in sight.
    pub fn begin_tour(&mut self) {
        (self.tab, self.settings, self.plots) = (Tab::Training, true, true);
        self.tour.start();
    }

    fn reset(&mut self) {
        if let Some(start) = self.run.start_again() {
            let play = self.run.state == State::Playing;
            self.start(start, play);
        }
    }

    /// Goes on with the run on another device.
    fn change_device(&mut self, device: String, context: &egui::Context) {
        self.run.device.clone_from(&device);
        self.explore.change_device(device, context);
        let folder = self.run.opened.as_ref().and_then(|opened| opened.folder.clone());
        if let (true, Some(path)) = (self.run.is_open(), folder) {
            let play = self.run.state == State::Playing;
            self.run.follow_up = Some((Start::Resume { path, overrides: Box::default() }, play));
            self.run.end(true);
        }
    }

    fn banners(&mut self, ui: &mut egui::Ui, theme: &Theme) {
        if let Some(run) = self.interrupted.first() {
            match banner::interrupted(ui, theme, run, self.interrupted.len() - 1) {
                Some(banner::Answer::Continue) => {
                    let path = run.path.clone();
                    self.start(Start::Resume { path, overrides: Box::default() }, true);
                }
                Some(banner::Answer::Next) => drop(self.interrupted.remove(0)),
                Some(banner::Answer::Dismiss | banner::Answer::OnProcessor) => self.interrupted.clear(),
                None => {}
            }
        }
        if let Some(message) = &self.run.refused
            && banner::refused(ui, theme, message)
        {
            self.run.refused = None;
        }
        if let (State::Failed(failure), false) = (self.run.state.clone(), self.run.failure_read) {
            let answer = banner::failed(ui, theme, &failure, &self.run.device);
            if matches!(answer, Some(banner::Answer::OnProcessor)) {
                self.run.device = "cpu".into();
                self.own_device = None;
            }
            match answer {
                Some(banner::Answer::Continue | banner::Answer::OnProcessor) => match failure.folder {
                    Some(path) => self.start(Start::Resume { path, overrides: Box::default() }, true),
                    None => self.reset(),
                },
                Some(banner::Answer::Next | banner::Answer::Dismiss) => self.run.failure_read = true,
                None => {}
            }
        }
    }

    fn windows(&mut self, context: &egui::Context) {
        if self.help {
            help::show(context, &mut self.help);
        }
        if let Some(dialog) = &mut self.path_dialog {
            match dialog.show(context) {
                None => {}
                Some(Answer::Cancel) => self.path_dialog = None,
                Some(Answer::Path(path)) => {
                    let purpose = dialog.purpose;
                    self.path_dialog = None;
                    self.use_path(purpose, &path, context);
                }
            }
        }
        self.manage(context);
        if let Some(confirm) = self.confirm {
            match confirm.show(context) {
                None => {}
                Some(Confirmed::Stay) => self.confirm = None,
                Some(Confirmed::Save) => {
                    self.confirm = None;
                    self.closing = Closing::WhenEnded;
                    self.run.training().cancel();
                    self.run.end(true);
                }
                Some(Confirmed::Discard) => {
                    if self.confirm.take() == Some(Confirm::Close) {
                        self.closing = Closing::WhenEnded;
                        self.run.training().cancel();
                    }
                    self.run.end(false);
                }
            }
        }
    }

    /// Tells the training thread what is looked at.
    fn wish(&mut self) {
        let planar = self.run.is_planar();
        let seen = planar.then(|| self.laboratory.shown(&self.run, self.slow.moment(&self.run)));
        let on_window = self.run.opened.as_ref().is_some_and(|opened| opened.shared.is_some());
        self.run.training().wish(Wish {
            field: seen.filter(|layers| layers.heights || layers.arrows).map(|_| self.laboratory.sigma),
            map: seen.is_some_and(|layers| layers.map),
            paths: seen.is_some_and(|layers| layers.paths),
            share: self.machine.share(),
            read_back: !on_window || self.run.wants_history(),
            frame_secs: self.machine.frame_secs,
            period_secs: if self.own_device.as_ref().is_some_and(WindowDevice::is_software) {
                SOFTWARE_PERIOD_SECS
            } else {
                Wish::default().period_secs
            },
        });
    }

    /// Destroys the device of the run, as a driver's reset would: for tests.
    pub fn lose_device(&self) {
        self.run.training().order(super::training::Order::Lose);
    }

    /// Whether the run ended in this way: for tests.
    pub fn ended(&self, end: End) -> bool {
        self.run.state == State::Ended(end)
    }
}
