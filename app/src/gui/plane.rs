//! The 2-D laboratory: data, samples and what the method shows, as layers over one plane.

mod density;
mod drawing;
mod paint;

pub use drawing::Drawing;

use eframe::egui::{self, Rect, Sense, Vec2};
use onestep_core::random::{normal, threefry2x32};
use onestep_core::train::{Layer, Moment, Sight};

use super::flow;
use super::run::Run;
use super::slow::story;
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
    /// The method's paths from noise to data.
    pub paths: bool,
}

impl Default for Layers {
    fn default() -> Self {
        Self { data: true, samples: true, heights: true, arrows: true, map: false, noise: false, paths: false }
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
    /// Train on these points; the drawing stays until that is begun.
    Train(Vec<[f32; 2]>),
}

impl Laboratory {
    /// Remembers where the samples are, before a step in slow motion that moves them.
    pub fn remember(&mut self, run: &Run) {
        self.before = run.view.as_ref().and_then(|view| Some((view.counters.runs, view.samples.clone()?)));
    }

    /// The layers that are shown now: all that the moment of slow motion is about, else what was chosen; of a field only
    /// if the method shows one, and of paths if it shows them in this phase.
    pub fn shown(&self, run: &Run, moment: Option<Moment>) -> Layers {
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
                paths: false,
            },
        };
        layers.paths &= paths(run).is_some();
        if field(run).is_none() {
            (layers.heights, layers.arrows) = (false, false);
        }
        layers
    }

    /// The switches above the canvas. Slow motion chooses what is shown: they tell, and wait.
    pub fn switches(&mut self, ui: &mut egui::Ui, run: &Run, theme: &Theme, moment: Option<Moment>) {
        ui.horizontal_wrapped(|ui| {
            let mut layers = if moment.is_some() { self.shown(run, moment) } else { self.layers };
            let switch = |ui: &mut egui::Ui, on: &mut bool, name: &str, color: egui::Color32, tip: &str| {
                let text = egui::RichText::new(name).color(color);
                let response = ui.add_enabled(moment.is_none(), egui::Checkbox::new(on, text));
                response.on_hover_text(tip).on_disabled_hover_text("Slow motion chooses what is shown.");
            };
            switch(ui, &mut layers.data, "Data", theme.real, "Real points, which the samples should be like.");
            switch(ui, &mut layers.samples, "Samples", theme.fake, "What the network makes of random latents.");
            if let Some(sight) = field(run) {
                switch(ui, &mut layers.heights, sight.name, theme.ratio, sight.about);
                let tip = "Where each sample is moved.";
                switch(ui, &mut layers.arrows, "Gradient", theme.gradient, tip);
            }
            let tip = "How the generator bends a square grid of latents.";
            switch(ui, &mut layers.map, "Latent grid", theme.fake, tip);
            let tip = "Both kinds of points with noise of the level on the slider.";
            switch(ui, &mut layers.noise, "Noised", theme.ratio, tip);
            if let Some(sight) = paths(run) {
                switch(ui, &mut layers.paths, sight.name, theme.real, sight.about);
            }
            if moment.is_none() {
                self.layers = layers;
            }
            if self.drawing.is_none() {
                let draw =
                    ui.button("Draw data").on_hover_text("Draw your own distribution with the mouse, and train on it.");
                if draw.clicked() {
                    self.drawing = Some(Drawing::default());
                }
            }
        });
    }

    /// The noise level.
    pub fn level(&mut self, ui: &mut egui::Ui, run: &Run) {
        let (low, high) = run.opened.as_ref().map_or((0.01, 2.0), |o| (o.config.sigma_min, o.config.sigma_max));
        self.sigma = self.sigma.clamp(low, high);
        let label = ui.label("Noise level");
        ui.add(egui::Slider::new(&mut self.sigma, low..=high).logarithmic(true).max_decimals(3))
            .labelled_by(label.id)
            .on_hover_text("Of the noised points, and of what the method shows: it is something else at every level.");
    }

    /// The canvas.
    pub fn canvas(&mut self, ui: &mut egui::Ui, run: &Run, theme: &Theme, moment: Option<Moment>) -> Option<Ask> {
        let (left, side) = places(ui.available_size(), self.drawing.is_none() && !story(run).is_empty());
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
        let (mut train, mut leave) = (false, false);
        area.show(ui.ctx(), |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.horizontal(|ui| {
                    let ready = ui.add_enabled(!drawing.is_empty(), egui::Button::new("Train on the drawing"));
                    train = ready.on_disabled_hover_text("Draw a line first.").clicked();
                    if ui.button("Clear").clicked() {
                        drawing.clear();
                    }
                    leave = ui.button("Cancel").clicked();
                });
            });
        });
        let points = train.then(|| drawing.points());
        if leave {
            self.drawing = None;
        }
        points.map(Ask::Train)
    }

    fn paint(&mut self, plane: &Plane<'_>, run: &Run, moment: Option<Moment>) {
        let (Some(opened), Some(view)) = (&run.opened, &run.view) else { return plane.blank() };
        let layers = self.shown(run, moment);
        let theme = plane.theme;
        let samples = view.samples.as_deref().unwrap_or_default();
        let field = view.field.as_ref().filter(|_| layers.heights || layers.arrows).map(|(field, sigma)| {
            (field, *sigma, density::support([&opened.reals, samples], FIELD, opened.half_width, *sigma))
        });
        match &field {
            Some((field, _, support)) if layers.heights => plane.heat(&field.heights, support, FIELD),
            _ => plane.blank(),
        }
        if let (true, Some(map)) = (layers.map, &view.map) {
            for line in &map.lines {
                plane.line(line, theme.fake.gamma_multiply(0.6));
            }
        }
        let noise = |stream: u32, level: f32| {
            move |i: usize| normal(threefry2x32([stream, 0], [0, i as u32])).map(|e| level * e)
        };
        let level = if layers.noise { self.sigma } else { 0.0 };
        // Behind the paths, points are where they belong and no more.
        let [real, fake] =
            [theme.real, theme.fake].map(|color| if layers.paths { color.gamma_multiply(0.3) } else { color });
        if layers.data {
            plane.points(&opened.reals, POINTS, real, noise(1, level));
        }
        if layers.samples {
            plane.points(samples, POINTS, fake, noise(2, level));
        }
        if let (true, Some((field, sigma, support))) = (layers.arrows, &field) {
            // Per sigma, since the ratio of finely noised data is steep everywhere.
            plane.arrows(samples, [&field.arrows, support], FIELD, ARROW * sigma, theme.gradient);
            plane.key(ARROW, "slope of 1 per sigma", theme.gradient);
        }
        if let (true, Some(paths)) = (layers.paths, &view.paths) {
            plane.paths(paths);
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

/// Room at the left of the canvas, and its side: as large as the space, but that a diagram is to have its place unless
/// it would take too much.
fn places(space: Vec2, diagram: bool) -> (f32, f32) {
    let whole = space.min_elem().max(120.0);
    let smaller = space.x - flow::LEAST.x;
    let side = if diagram && smaller >= 0.75 * whole { whole.min(smaller) } else { whole };
    let free = (space.x - side).max(0.0);
    let taken = if diagram && free >= flow::LEAST.x { free.min(flow::WIDEST) } else { 0.0 };
    (f32::midpoint(free, taken), side)
}

/// What the method shows over the plane.
fn field(run: &Run) -> Option<Sight> {
    run.opened.as_ref()?.declared.recipe.field()
}

/// The paths that the method shows over the plane in the run's phase.
fn paths(run: &Run) -> Option<Sight> {
    let recipe = &run.opened.as_ref()?.declared.recipe;
    recipe.paths(run.phase()?).map(|(sight, _)| sight)
}

/// The canvas in words.
fn describe(run: &Run) -> String {
    let Some(view) = &run.view else { return "The plane is empty until a run is open".into() };
    let paths = view.paths.as_ref().map_or(String::new(), |paths| format!(", {} paths", paths.jumps.len() / 2));
    let Some(quality) = &view.quality else { return format!("The plane at step {}{paths}", view.step) };
    let modes = quality.modes.map_or(String::new(), |(reached, all)| format!(", {reached} of {all} modes reached"));
    format!("The plane at step {}: divergence {:.3}{modes}{paths}", view.step, quality.kl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_is_as_large_as_the_space_and_the_diagram_has_its_place() {
        assert_eq!(places(Vec2::new(300.0, 700.0), true), (0.0, 300.0), "no room beside it");
        assert_eq!(places(Vec2::new(520.0, 500.0), true), (10.0, 500.0), "the diagram would take too much");
        assert_eq!(places(Vec2::new(760.0, 660.0), true), (flow::LEAST.x, 570.0));
        assert_eq!(places(Vec2::new(1200.0, 800.0), true), (350.0, 800.0), "both in the middle");
        assert_eq!(places(Vec2::new(760.0, 660.0), false), (50.0, 660.0), "nothing is told");
    }
}
