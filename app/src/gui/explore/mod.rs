//! What one can do with a trained generator: draw, walk through its latents, choose, and check for copies.
//!
//! A thread of its own draws ([`worker`], [`bench`]); the views say what they want and show what has come ([`desk`]).
//! File dialogs belong to the host: [`Explore::show`] returns what is asked for, the host calls back with a path.
//!
//! Invariant: showing a frame never waits, and a file that can't be opened leaves the model before it in place.

mod bench;
mod best;
mod desk;
mod header;
mod job;
mod judge;
mod line;
mod memory;
mod nearest;
mod points;
mod samples;
mod slice;
#[cfg(test)]
mod tests;
mod widgets;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{Button, Context, ScrollArea, Ui};

use self::desk::Desk;
use self::job::{Answer, Facts, Slot, Task};
use super::theme::Theme;

/// What only the host can do: ask a person for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A generator or a run's folder; then [`Explore::open`].
    OpenModel,
    /// A name for a PNG file; then [`Explore::save_picture`].
    SavePicture {
        /// A file name to begin with.
        suggested: String,
    },
    /// A name for a safetensors file; then [`Explore::export_weights`].
    ExportWeights {
        /// A file name to begin with.
        suggested: String,
    },
    /// A ratio network; then [`Explore::choose_ratio`].
    ChooseRatio,
    /// A folder or file of training images; then [`Explore::choose_data`].
    ChooseData,
}

/// Which samples: those of the seeds `first ..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seeds {
    first: u32,
    count: usize,
}

impl Seeds {
    /// Most samples at a time.
    const MOST: usize = 64;

    /// The controls of a choice of seeds; `next` is the name of the button that goes on to those that follow.
    fn controls(&mut self, ui: &mut Ui, next: &str, tip: &str) {
        if widgets::reroll(ui, next, "The samples of the seeds that follow") {
            self.first = self.first.wrapping_add(self.count as u32);
        }
        widgets::seed(ui, "First seed", &mut self.first);
        widgets::count(ui, "samples", &mut self.count, Self::MOST, tip);
    }
}

/// What is shown of a generator of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tab {
    Samples,
    Slice,
    Line,
    Best,
    Nearest,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Samples, "Samples", "Draw samples, each with one evaluation of the network."),
        (Self::Slice, "Latent plane", "Walk through the noise between four seeds."),
        (Self::Line, "Interpolation", "Go straight from one seed to another."),
        (Self::Best, "Best of N", "Draw several candidates and keep the one that the ratio network prefers."),
        (Self::Nearest, "Is it memorised?", "Look for the training images that are closest to samples."),
    ];
}

/// The view of a generator.
pub struct Explore {
    desk: Desk,
    facts: Option<Facts>,
    /// Number of the task that opens a model, the model's name and path.
    opening: Option<(u64, String, PathBuf)>,
    /// The model that is open.
    path: Option<PathBuf>,
    error: Option<String>,
    notice: Option<String>,
    tab: Tab,
    seeds: Seeds,
    samples: samples::View,
    slice: slice::View,
    line: line::View,
    best: best::View,
    nearest: nearest::View,
    points: points::View,
}

impl Explore {
    /// Nothing is open yet; models will run on `device`, as `--device` takes it.
    pub fn new(device: String) -> Self {
        Self {
            desk: Desk::new(device),
            facts: None,
            opening: None,
            path: None,
            error: None,
            notice: None,
            tab: Tab::Samples,
            seeds: Seeds { first: 0, count: 16 },
            samples: samples::View::default(),
            slice: slice::View::default(),
            line: line::View::default(),
            best: best::View::default(),
            nearest: nearest::View::default(),
            points: points::View::default(),
        }
    }

    /// Opens a generator, or the newest one of a run's folder. What is wrong with it shows in the view, and the model
    /// before it stays.
    pub fn open(&mut self, model: &Path, ctx: &Context) {
        let name = model.file_name().unwrap_or(model.as_os_str()).to_string_lossy().into_owned();
        let ticket = self.desk.open(model.to_path_buf(), ctx);
        self.opening = Some((ticket, name, model.to_path_buf()));
        (self.error, self.notice) = (None, None);
    }

    /// Goes on on another device, with all that was chosen. Waits for files that are being written.
    pub fn change_device(&mut self, device: String, ctx: &Context) {
        let path = self.opening.take().map(|(.., path)| path).or_else(|| self.path.clone());
        let before = std::mem::replace(&mut self.desk, Desk::new(device));
        if let Some(path) = path {
            self.open(&path, ctx);
        }
        for reply in before.finish() {
            if matches!(reply.slot, Slot::Write(_)) {
                self.wrote(reply.answer);
            }
        }
    }

    /// File name of the model that is open.
    pub fn model(&self) -> Option<&str> {
        self.facts.as_ref().map(|facts| facts.name.as_str())
    }

    /// Writes what the view shows as a PNG file.
    pub fn save_picture(&mut self, path: PathBuf) {
        let samples = match (self.facts.as_ref().map_or(0, |facts| facts.shape.len()), self.tab) {
            (1, _) => self.points.samples(),
            (_, Tab::Samples) => self.samples.samples(),
            (_, Tab::Slice) => self.slice.samples(),
            (_, Tab::Line) => self.line.samples(),
            (_, Tab::Best) => self.best.samples(),
            (_, Tab::Nearest) => self.nearest.samples(),
        };
        match samples {
            Some(samples) => {
                (self.error, self.notice) = (None, None);
                self.desk.write(Task::SavePicture { samples: Arc::clone(samples), path });
            }
            None => self.error = Some("there is no picture yet; save it when it is drawn".into()),
        }
    }

    /// Writes the generator with 16-bit weights, as `onestep export` does.
    pub fn export_weights(&mut self, path: PathBuf) {
        (self.error, self.notice) = (None, None);
        self.desk.write(Task::ExportWeights(path));
    }

    /// Judges candidates with this ratio network from now on.
    pub fn choose_ratio(&mut self, path: PathBuf) {
        self.best.choose(path, &mut self.desk);
    }

    /// Compares samples with these training images from now on.
    pub fn choose_data(&mut self, path: PathBuf) {
        self.nearest.choose(path, &mut self.desk);
    }

    /// The view; returns what the host is to ask for.
    pub fn show(&mut self, ui: &mut Ui, theme: &Theme) -> Option<Request> {
        self.receive(ui.ctx());
        let mut request = self.header(ui, theme);
        let Some(facts) = &self.facts else { return request };
        let is_image = facts.shape.len() == 3;
        if is_image {
            ui.horizontal_wrapped(|ui| {
                for (tab, name, tip) in Tab::ALL {
                    if ui.add(Button::selectable(self.tab == tab, name)).on_hover_text(tip).clicked() {
                        self.tab = tab;
                    }
                }
            });
        }
        ui.separator();
        let visible = ui.available_height();
        let Self { desk, facts: Some(facts), tab, seeds, samples, slice, line, best, nearest, points, .. } = self
        else {
            return request;
        };
        let scroll = ScrollArea::vertical().id_salt(("explore", is_image, *tab)).auto_shrink(false);
        let inner = scroll.show(ui, |ui| match (facts.shape.as_slice(), *tab) {
            ([2], _) => points.show(ui, theme, desk, facts, visible),
            (&[height, width, channels], Tab::Slice) => slice.show(ui, theme, desk, [height, width, channels], visible),
            ([_, _, _], Tab::Samples) => samples.show(ui, theme, desk, seeds, visible),
            ([_, _, _], Tab::Line) => line.show(ui, theme, desk, visible),
            ([_, _, _], Tab::Best) => best.show(ui, theme, desk, visible),
            ([_, _, _], Tab::Nearest) => nearest.show(ui, theme, desk, seeds, visible),
            (shape, _) => {
                ui.label(format!(
                    "This generator makes points of {shape:?} numbers, which have no picture. `onestep sample --out \
                     points.npy` writes them."
                ));
                None
            }
        });
        request = request.or(inner.inner);
        request
    }

    /// Takes what the worker has sent.
    fn receive(&mut self, ctx: &Context) {
        for reply in self.desk.arrived() {
            match (reply.slot, reply.answer) {
                (Slot::Open, answer) => {
                    let opening = self.opening.take_if(|(ticket, ..)| *ticket == reply.ticket);
                    match answer {
                        Answer::Opened(facts) => {
                            let path = opening.map(|(.., path)| path);
                            let same = self.path == path;
                            self.path = path;
                            self.replace(facts, same);
                        }
                        Answer::Failed(error) => self.error = Some(error),
                        _ => {}
                    }
                }
                (Slot::Write(_), answer) => self.wrote(answer),
                (slot @ (Slot::Place | Slot::Map), Answer::Drawn(drawn)) => self.slice.take(ctx, slot, drawn),
                (slot @ (Slot::Between | Slot::Strip), Answer::Drawn(drawn)) => self.line.take(ctx, slot, drawn),
                (slot, Answer::Drawn(drawn)) if drawn.samples.shape.len() == 1 => self.points.take(slot, drawn),
                (_, Answer::Drawn(drawn)) => self.samples.take(ctx, drawn),
                (_, Answer::Ranked(ranked)) => self.best.take(ctx, ranked),
                (_, Answer::Compared(compared)) => self.nearest.take(ctx, compared),
                _ => {}
            }
        }
        if !self.desk.is_alive() {
            let text = "the drawing thread has ended, which is a bug: please report it, and start the program again";
            self.error = Some(text.into());
        }
    }

    /// What came of writing a file.
    fn wrote(&mut self, answer: Answer) {
        match answer {
            Answer::Wrote(path) => self.notice = Some(format!("Wrote {}", path.display())),
            Answer::Failed(error) => self.error = Some(error),
            _ => {}
        }
    }

    /// Another model, or the same one again: the pictures go, the seeds and places stay, so that snapshots can be
    /// compared.
    fn replace(&mut self, facts: Facts, same: bool) {
        let same_data = self.facts.as_ref().is_some_and(|before| before.dataset == facts.dataset);
        self.error = None;
        self.facts = Some(facts);
        self.samples.forget();
        self.slice.forget();
        self.line.forget();
        self.best.forget(same);
        self.nearest.forget(same_data);
        self.points.forget();
    }
}
