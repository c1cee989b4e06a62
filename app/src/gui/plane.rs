//! The 2-D laboratory: data, samples and what the method shows, as layers over one plane.

mod drawing;
mod paint;

pub use drawing::Drawing;

use eframe::egui::{self, Key, Rect, Sense, Vec2};
use onestep_core::random::{normal, threefry2x32};
use onestep_core::train::{Layer, Moment, Sight};

use super::flow;
use super::run::Run;
use super::theme::Theme;
use super::training::FIELD;
use paint::Plane;

/// Points that are drawn of each kind: more would be a blot.
const POINTS: usize = 2000;
/// Length of an arrow, as a share of the canvas, along which the heights rise by 1 per sigma.
const ARROW: f32 = 0.09;
/// Length of a trail in slow motion, as a share of the canvas, and the move of a sample that is as long.
const TRAIL: (f32, f32) = (0.09, 0.005);

/// Which layers are shown.
#[expect(clippy::struct_excessive_bools, reason = "any combination of layers can be shown")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layers {
    /// Real points.
    pub data: bool,
    /// The generator's points.
    pub samples: bool,
    /// The heights of the method's field as colours.
    pub heights: bool,
    /// Its arrows: where the samples are moved.
    pub arrows: bool,
    /// The latent grid under the generator.
    pub map: bool,
    /// Both kinds of points with noise of the chosen level.
    pub noise: bool,
}

impl Default for Layers {
    fn default() -> Self {
        Self { data: true, samples: true, heights: true, arrows: true, map: false, noise: false }
    }
}

/// The laboratory's own state.
pub struct Laboratory {
    /// What is shown.
    pub layers: Layers,
    /// Noise level of the field and of the noised points.
    pub sigma: f32,
    /// A drawing that is being made.
    pub drawing: Option<Drawing>,
    /// Samples before the last step that moves them, for slow motion.
    before: Option<(u32, Vec<f32>)>,
}

impl Default for Laboratory {
    fn default() -> Self {
        Self { layers: Layers::default(), sigma: 0.1, drawing: None, before: None }
    }
}

/// What a person asks for in the laboratory.
pub enum Ask {
    /// Train on these points.
    Train(Vec<[f32; 2]>),
}

impl Laboratory {
    /// Remembers where the samples are, before a step in slow motion that moves them.
    pub fn remember(&mut self, run: &Run) {
        self.before = run.view.as_ref().and_then(|view| Some((view.counters.runs, view.samples.clone()?)));
    }

    /// The layers that are shown now: all that the moment of slow motion is about, else what was chosen; of a field only
    /// if the method shows one.
    fn shown(&self, run: &Run, moment: Option<Moment>) -> Layers {
        let has = |layer: Layer| moment.is_some_and(|moment| moment.layers.contains(&layer));
        let mut layers = match moment {
            None => self.layers,
            Some(_) => Layers {
                data: has(Layer::Data),
                samples: has(Layer::Samples),
                heights: has(Layer::Heights),
                arrows: has(Layer::Arrows),
                map: false,
                noise: has(Layer::Noise),
            },
        };
        if field(run).is_none() {
            (layers.heights, layers.arrows) = (false, false);
        }
        layers
    }

    /// What the field should be asked: its level, if a layer needs it.
    pub fn wanted(&self, run: &Run, moment: Option<Moment>) -> (Option<f32>, bool) {
        let layers = self.shown(run, moment);
        ((layers.heights || layers.arrows).then_some(self.sigma), layers.map)
    }

    /// The switches above the canvas.
    pub fn switches(&mut self, ui: &mut egui::Ui, run: &Run, theme: &Theme) {
        ui.horizontal_wrapped(|ui| {
            let layers = &mut self.layers;
            ui.checkbox(&mut layers.data, egui::RichText::new("Data").color(theme.real))
                .on_hover_text("Real points, which the samples should be like.");
            ui.checkbox(&mut layers.samples, egui::RichText::new("Samples").color(theme.fake))
                .on_hover_text("What the network makes of random latents.");
            if let Some(sight) = field(run) {
                ui.checkbox(&mut layers.heights, egui::RichText::new(sight.name).color(theme.ratio))
                    .on_hover_text(sight.about);
                ui.checkbox(&mut layers.arrows, egui::RichText::new("Gradient").color(theme.gradient))
                    .on_hover_text("Where each sample is moved.");
            }
            ui.checkbox(&mut layers.map, egui::RichText::new("Latent grid").color(theme.fake))
                .on_hover_text("How the generator bends a square grid of latents.");
            ui.checkbox(&mut layers.noise, egui::RichText::new("Noised").color(theme.ratio))
                .on_hover_text("Both kinds of points with noise of the level on the slider.");
            ui.separator();
            let (low, high) = run.opened.as_ref().map_or((0.01, 2.0), |o| (o.config.sigma_min, o.config.sigma_max));
            self.sigma = self.sigma.clamp(low, high);
            let label = ui.label("Noise level");
            ui.add(egui::Slider::new(&mut self.sigma, low..=high).logarithmic(true).max_decimals(3))
                .labelled_by(label.id)
                .on_hover_text(
                    "Of the noised points, and of what the method shows: it is something else at every level.",
                );
            if self.drawing.is_none() {
                let draw =
                    ui.button("Draw data").on_hover_text("Draw your own distribution with the mouse, and train on it.");
                if draw.clicked() {
                    self.drawing = Some(Drawing::default());
                }
            }
        });
    }

    /// The canvas.
    pub fn canvas(&mut self, ui: &mut egui::Ui, run: &Run, theme: &Theme, moment: Option<Moment>) -> Option<Ask> {
        let side = ui.available_size().min_elem().max(120.0);
        let left = (ui.available_width() - side) / 2.0;
        let mut ask = None;
        let beside = Rect::from_min_size(ui.cursor().min, Vec2::new(left, side));
        flow::show(ui, beside, run, theme, moment);
        ui.horizontal(|ui| {
            ui.add_space(left.max(0.0));
            let (response, painter) = ui.allocate_painter(Vec2::splat(side), Sense::click_and_drag());
            let half_width = run.opened.as_ref().map_or(1.25, |opened| opened.half_width);
            let plane = Plane::new(painter, response.rect, half_width, theme);
            if let Some(drawing) = &mut self.drawing {
                plane.blank();
                drawing.draw(&response, &plane);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Canvas, true, "Drawing area"));
            } else {
                self.paint(&plane, run, moment);
                let text = describe(run);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
            }
            ask = self.drawing_controls(ui, response.rect);
        });
        ask
    }

    /// The buttons over a drawing.
    fn drawing_controls(&mut self, ui: &mut egui::Ui, canvas: Rect) -> Option<Ask> {
        let drawing = self.drawing.as_mut()?;
        let area = egui::Area::new(egui::Id::unique("drawing controls"))
            .fixed_pos(canvas.left_top() + Vec2::splat(8.0))
            .order(egui::Order::Foreground);
        let (mut train, mut leave) = (false, ui.input(|input| input.key_pressed(Key::Escape)));
        area.show(ui.ctx(), |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.horizontal(|ui| {
                    let ready = ui.add_enabled(!drawing.is_empty(), egui::Button::new("Train on the drawing"));
                    train = ready.on_disabled_hover_text("Draw a line first.").clicked();
                    if ui.button("Clear").clicked() {
                        drawing.clear();
                    }
                    leave |= ui.button("Cancel").clicked();
                });
            });
        });
        let points = train.then(|| drawing.points());
        if train || leave {
            self.drawing = None;
        }
        points.map(Ask::Train)
    }

    fn paint(&mut self, plane: &Plane<'_>, run: &Run, moment: Option<Moment>) {
        let (Some(opened), Some(view)) = (&run.opened, &run.view) else { return plane.blank() };
        let layers = self.shown(run, moment);
        let theme = plane.theme;
        match &view.field {
            Some((field, _)) if layers.heights => plane.heat(&field.heights, FIELD),
            _ => plane.blank(),
        }
        let samples = view.samples.as_deref().unwrap_or_default();
        if let (true, Some(map)) = (layers.map, &view.map) {
            for line in &map.lines {
                plane.line(line, theme.fake.gamma_multiply(0.6));
            }
        }
        let noise = |stream: u32, level: f32| {
            move |i: usize| normal(threefry2x32([stream, 0], [0, i as u32])).map(|e| level * e)
        };
        let level = if layers.noise { self.sigma } else { 0.0 };
        if layers.data {
            plane.points(&opened.reals, POINTS, theme.real, noise(1, level));
        }
        if layers.samples {
            plane.points(samples, POINTS, theme.fake, noise(2, level));
        }
        if let (true, Some((field, sigma))) = (layers.arrows, &view.field) {
            // Per sigma, since the ratio of finely noised data is steep everywhere.
            plane.arrows(samples, &field.arrows, FIELD, ARROW * sigma, theme.gradient);
            plane.key(ARROW, "slope of 1 per sigma", theme.gradient);
        }
        if moment.and_then(|moment| moment.update).is_some_and(|update| opened.declared.moves(update))
            && let Some((runs, before)) = &self.before
            && view.counters.runs > *runs
        {
            let (length, moved) = TRAIL;
            plane.trails(before, samples, length / moved, theme.gradient);
            plane.key(length, &format!("moved by {moved}"), theme.gradient);
        }
    }
}

/// What the method shows over the plane.
fn field(run: &Run) -> Option<Sight> {
    run.opened.as_ref()?.declared.recipe.field()
}

/// The canvas in words.
fn describe(run: &Run) -> String {
    let Some(view) = &run.view else { return "The plane is empty until a run is open".into() };
    let Some(quality) = &view.quality else { return format!("The plane at step {}", view.step) };
    let modes = quality.modes.map_or(String::new(), |(reached, all)| format!(", {reached} of {all} modes reached"));
    format!("The plane at step {}: divergence {:.3}{modes}", view.step, quality.kl)
}
