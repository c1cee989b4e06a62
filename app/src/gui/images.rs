//! Image training: the grid of fixed latents as it learns, with real images beside it.
//!
//! If training is on the window's device, the newest grid is drawn from the buffer that the sampling
//! plan writes ([`super::live`]); otherwise, and for older steps, from values that were read back.

use eframe::egui::{self, Color32, ColorImage, Rect, Sense, TextureHandle, TextureOptions, Vec2};

use super::live;
use super::run::Run;
use super::theme::Theme;
use super::training::Order;

/// Height of the line above a grid: that of the buttons on the right.
const TITLE: f32 = 24.0;
/// Images in a row of a grid.
pub const COLUMNS: usize = 8;

/// What stands beside the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Beside {
    /// Real images.
    #[default]
    Reals,
    /// For each sample the nearest training image.
    Nearest,
}

/// The view's own state.
#[derive(Default)]
pub struct Images {
    /// Generation and step of the run that is looked at; nothing for the newest.
    at: Option<(u64, u64)>,
    beside: Beside,
    samples: Option<(u64, usize, TextureHandle)>,
    reals: Option<(u64, TextureHandle)>,
    /// The nearest images of a run and a step.
    nearest: Option<(u64, u64, TextureHandle)>,
    /// The run whose nearest images were asked for.
    asked: Option<u64>,
}

impl Images {
    /// Shows samples, scrubber and real images.
    pub fn show(&mut self, ui: &mut egui::Ui, run: &mut Run, theme: &Theme) {
        let Some(shape) = run.opened.as_ref().and_then(|opened| <[usize; 3]>::try_from(&opened.shape[..]).ok()) else {
            return;
        };
        self.scrubber(ui, run);
        let gap = 16.0;
        let caption = 44.0;
        let height = (ui.available_height() - caption).max(80.0);
        let side = height.min((ui.available_width() - gap) / 2.0).max(80.0);
        ui.horizontal_top(|ui| {
            ui.add_space(((ui.available_width() - 2.0 * side - gap) / 2.0).max(0.0));
            ui.vertical(|ui| {
                let shown = self.shown_step(run);
                ui.horizontal(|ui| {
                    ui.set_min_height(TITLE);
                    ui.colored_label(theme.fake, format!("Samples, one step each (step {shown})"));
                });
                self.samples(ui, run, shape, side, theme);
            });
            ui.add_space(gap - ui.spacing().item_spacing.x);
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    ui.set_min_height(TITLE);
                    ui.selectable_value(&mut self.beside, Beside::Reals, "Real images")
                        .on_hover_text("Some of the training images.");
                    let nearest = ui.selectable_value(&mut self.beside, Beside::Nearest, "Nearest training images");
                    let nearest =
                        nearest.on_hover_text("For each sample the training image closest to it: is it memorised?");
                    // Another run has others.
                    let missing = self.beside == Beside::Nearest && self.asked != Some(run.generation);
                    if nearest.clicked() || missing {
                        self.asked = Some(run.generation);
                        (run.nearest, run.no_nearest) = (None, None);
                        run.training().order(Order::Nearest);
                    }
                });
                self.others(ui, run, shape, side, theme);
            });
        });
    }

    /// Position in the history: of the step that is looked at, or of the one before if that is not kept any more.
    fn position(&self, run: &Run) -> Option<usize> {
        let (_, step) = self.at.filter(|(generation, _)| *generation == run.generation)?;
        let later = run.history.partition_point(|snapshot| snapshot.step <= step);
        (!run.history.is_empty()).then(|| later.saturating_sub(1))
    }

    fn shown_step(&self, run: &Run) -> u64 {
        match self.position(run) {
            Some(at) => run.history.get(at).map_or(0, |snapshot| snapshot.step),
            None => run.view.as_ref().map_or(0, |view| view.step),
        }
    }

    /// Goes through the grids that were kept.
    fn scrubber(&mut self, ui: &mut egui::Ui, run: &Run) {
        let newest = run.history.len();
        let shown = self.position(run);
        ui.horizontal(|ui| {
            let label = ui.label("History");
            let mut at = shown.unwrap_or(newest);
            ui.spacing_mut().slider_width = (ui.available_width() - 220.0).clamp(80.0, 600.0);
            let slider = egui::Slider::new(&mut at, 0..=newest).show_value(false);
            let response = ui.add_enabled(newest > 0, slider).labelled_by(label.id);
            if response.on_hover_text("Grids of earlier steps; the right end is live.").changed() {
                self.at = run.history.get(at).map(|snapshot| (run.generation, snapshot.step));
            }
            if self.position(run).is_some() {
                if ui.button("Back to live").clicked() {
                    self.at = None;
                }
            } else {
                ui.label("live");
            }
        });
    }

    fn samples(&mut self, ui: &mut egui::Ui, run: &Run, shape: [usize; 3], side: f32, theme: &Theme) {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
        let text = format!("Samples of the generator at step {}", self.shown_step(run));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
        ui.painter().rect_filled(rect, 2.0, theme.canvas);
        let at = self.position(run);
        let live = at.is_none();
        if let (true, Some(buffer)) = (live, run.opened.as_ref().and_then(|opened| opened.shared.clone())) {
            // As many rows as columns, so the picture has the images' proportions.
            let rect = fit(rect, Vec2::new(shape[1] as f32, shape[0] as f32));
            ui.painter().add(live::grid(rect, buffer, shape, COLUMNS));
            return;
        }
        let values = match at {
            Some(at) => run.history.get(at).map(|snapshot| (snapshot.step, &snapshot.samples)),
            None => run.view.as_ref().and_then(|view| Some((view.step, view.samples.as_ref()?))),
        };
        let Some((step, values)) = values else { return };
        let key = (run.generation << 40 | step, at.unwrap_or(usize::MAX));
        if self.samples.as_ref().is_none_or(|(a, b, _)| (*a, *b) != key) {
            let image = grid(values, shape);
            let texture = ui.ctx().load_texture("samples", image, TextureOptions::NEAREST);
            self.samples = Some((key.0, key.1, texture));
        }
        if let Some((.., texture)) = &self.samples {
            picture(ui, texture, rect);
        }
    }

    fn others(&mut self, ui: &mut egui::Ui, run: &Run, shape: [usize; 3], side: f32, theme: &Theme) {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
        ui.painter().rect_filled(rect, 2.0, theme.canvas);
        let Some(opened) = &run.opened else { return };
        match self.beside {
            Beside::Reals => {
                let text = format!("Real images of {}", opened.data);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
                if self.reals.as_ref().is_none_or(|(generation, _)| *generation != run.generation) {
                    let texture = ui.ctx().load_texture("reals", grid(&opened.reals, shape), TextureOptions::NEAREST);
                    self.reals = Some((run.generation, texture));
                }
                if let Some((_, texture)) = &self.reals {
                    picture(ui, texture, rect);
                }
            }
            Beside::Nearest => {
                if let Some(message) = &run.no_nearest {
                    ui.put(rect, egui::Label::new(format!("There are none: {message}")).wrap());
                    return;
                }
                let Some(nearest) = &run.nearest else {
                    ui.put(rect, egui::Spinner::new());
                    return;
                };
                let step = nearest.step;
                let text = match nearest.copies {
                    0 => format!("Nearest training images at step {step}: no sample is a copy"),
                    copies => format!("Nearest training images at step {step}: {copies} samples are copies"),
                };
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
                response.on_hover_text(text);
                let key = (run.generation, step);
                if self.nearest.as_ref().is_none_or(|(generation, step, _)| (*generation, *step) != key) {
                    let image = grid(&nearest.images, shape);
                    let texture = ui.ctx().load_texture("nearest", image, TextureOptions::NEAREST);
                    self.nearest = Some((key.0, key.1, texture));
                }
                if let Some((.., texture)) = &self.nearest {
                    picture(ui, texture, rect);
                }
            }
        }
    }
}

/// The largest rectangle of these proportions, from the upper left of `rect`.
fn fit(rect: Rect, size: Vec2) -> Rect {
    let scale = (rect.width() / size.x).min(rect.height() / size.y);
    Rect::from_min_size(rect.min, size * scale)
}

fn picture(ui: &egui::Ui, texture: &TextureHandle, rect: Rect) {
    let rect = fit(rect, texture.size_vec2());
    let uv = Rect::from_min_max(egui::Pos2::ZERO, egui::Pos2::new(1.0, 1.0));
    ui.painter().image(texture.id(), rect, uv, Color32::WHITE);
}

/// Images `[n, h, w, c]`, values -1 to 1, in rows of [`COLUMNS`].
fn grid(values: &[f32], [height, width, channels]: [usize; 3]) -> ColorImage {
    let bytes = onestep_core::session::to_bytes(values);
    let count = bytes.len() / (height * width * channels);
    let rows = count.div_ceil(COLUMNS);
    let mut image = ColorImage::filled([COLUMNS * width, rows * height], Color32::TRANSPARENT);
    for (i, tile) in bytes.chunks_exact(height * width * channels).enumerate() {
        let (left, top) = (i % COLUMNS * width, i / COLUMNS * height);
        for (j, pixel) in tile.chunks_exact(channels).enumerate() {
            let color = if let [r, g, b] = *pixel { Color32::from_rgb(r, g, b) } else { Color32::from_gray(pixel[0]) };
            image.pixels[(top + j / width) * COLUMNS * width + left + j % width] = color;
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::super::run::Snapshot;
    use super::super::training::Training;
    use super::*;

    #[test]
    fn tiles_are_where_they_belong() {
        let mut values = vec![-1.0; 9 * 2 * 3];
        // Second row and column of the ninth image.
        values[8 * 6 + 4] = 1.0;
        let image = grid(&values, [2, 3, 1]);
        assert_eq!(image.size, [COLUMNS * 3, 4]);
        let white: Vec<usize> = (0..image.pixels.len()).filter(|i| image.pixels[*i] == Color32::WHITE).collect();
        assert_eq!(white, [3 * COLUMNS * 3 + 1]);
        assert_eq!(image.pixels.last(), Some(&Color32::TRANSPARENT), "there is no sixteenth image");
    }

    /// It was remembered by its place, at which another one was as soon as the history was thinned out.
    #[test]
    fn the_picture_that_is_looked_at_stays_when_the_history_is_thinned_out() {
        let training = Training::new(&egui::Context::default()).unwrap();
        let mut run = Run::new(training, "cpu".into(), "runs".into());
        let keep = |run: &mut Run, steps: &[u64]| {
            run.history = steps.iter().map(|step| Snapshot { step: *step, samples: Vec::new() }).collect();
        };
        keep(&mut run, &[0, 10, 20, 30, 40]);
        let images = Images { at: Some((0, 20)), ..Images::default() };
        assert_eq!((images.position(&run), images.shown_step(&run)), (Some(2), 20));
        keep(&mut run, &[0, 20, 40, 50]);
        assert_eq!((images.position(&run), images.shown_step(&run)), (Some(1), 20));
        keep(&mut run, &[0, 40]);
        assert_eq!(images.shown_step(&run), 0, "the one before");
        run.generation = 1;
        assert_eq!(images.position(&run), None, "another run");
    }
}
