//! Generators of points in the plane: samples as dots, and where the generator takes a grid of latents.

use std::sync::Arc;

use eframe::egui::{Pos2, Rect, RichText, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};
use onestep_core::data::Density;

use super::desk::Desk;
use super::job::{Drawn, Facts, Form, LATTICE_POINTS, Latents, Samples, Slot, Task};
use super::widgets::{self, count, duration, number, reroll, seed, stage, status};
use super::{Request, Seeds};
use crate::gui::theme::Theme;

/// Most points: one batch of the network.
const MOST: usize = 4096;
/// Points of the data: as many as the eye can take in.
const DATA: usize = 2048;
/// Radius of a dot, in points of the screen.
const DOT: f32 = 1.6;

/// Points.
pub struct View {
    seeds: Seeds,
    show: [bool; 3],
    shown: Option<(Arc<Samples>, f64)>,
    lattice: Option<Arc<Samples>>,
    /// Points of the data, if it is a known density, with its name.
    data: Option<(String, Vec<[f32; 2]>)>,
}

impl Default for View {
    fn default() -> Self {
        let seeds = Seeds { first: 0, count: 1024 };
        Self { seeds, show: [true; 3], shown: None, lattice: None, data: None }
    }
}

impl View {
    /// Samples, or the mapped grid.
    pub fn take(&mut self, slot: Slot, drawn: Drawn) {
        if slot == Slot::Lattice {
            self.lattice = Some(drawn.samples);
        } else {
            self.shown = Some((drawn.samples, drawn.secs));
        }
    }

    /// The pictures of another model go.
    pub fn forget(&mut self) {
        (self.shown, self.lattice) = (None, None);
    }

    /// What a picture would be saved of.
    pub fn samples(&self) -> Option<&Arc<Samples>> {
        self.shown.as_ref().map(|(samples, _)| samples)
    }

    /// The controls and the plane.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        theme: &Theme,
        desk: &mut Desk,
        facts: &Facts,
        visible: f32,
    ) -> Option<Request> {
        let mut request = None;
        if self.data.as_ref().is_none_or(|(name, _)| *name != facts.dataset) {
            let points = Density::parse(&facts.dataset).map_or_else(|_| Vec::new(), |density| density.sample(DATA, 0));
            self.data = Some((facts.dataset.clone(), points));
        }
        let has_data = self.data.as_ref().is_some_and(|(_, points)| !points.is_empty());
        ui.horizontal_wrapped(|ui| {
            if reroll(ui, "Draw again", "The points of the seeds that follow") {
                self.seeds.first = self.seeds.first.wrapping_add(self.seeds.count as u32);
            }
            seed(ui, "First seed", &mut self.seeds.first);
            count(ui, "points", &mut self.seeds.count, MOST, "How many points to draw at once.");
            let [data, samples, lattice] = &mut self.show;
            if has_data {
                ui.checkbox(data, RichText::new("Data").color(theme.real))
                    .on_hover_text("Points of the data that the generator learned from.");
            }
            ui.checkbox(samples, RichText::new("Samples").color(theme.fake))
                .on_hover_text("Generated points, one evaluation each.");
            let tip = "Lines of a square grid of latents, from -2 to 2, where the generator takes them.";
            ui.checkbox(lattice, RichText::new("Latent grid").color(theme.fake)).on_hover_text(tip);
            if ui.button("Save picture…").on_hover_text("Write the generated points as a PNG file.").clicked() {
                request = Some(Request::SavePicture { suggested: format!("points-seed-{}.png", self.seeds.first) });
            }
        });
        let Seeds { first, count } = self.seeds;
        let draw = |latents| Task::Draw { latents, form: Form::Each };
        desk.want(Slot::Samples, draw(Latents::Seeds { first, count }));
        desk.want(Slot::Lattice, draw(Latents::Lattice));
        let line = self.shown.as_ref().map(|(samples, secs)| {
            let n = samples.values.len() / 2;
            format!("{} with 1 evaluation of the network each: {} together", number(n, "point"), duration(*secs))
        });
        status(ui, theme, &desk.states([Slot::Samples, Slot::Lattice]), line);
        let area = stage(ui, visible);
        let side = area.width().min(area.height());
        self.plane(ui, Rect::from_min_size(area.min, vec2(side, side)), theme, facts);
        request
    }

    fn plane(&self, ui: &mut Ui, rect: Rect, theme: &Theme, facts: &Facts) {
        let response = widgets::place(ui, rect, ("plane", 0), Sense::hover());
        let half = facts.range[0].abs().max(facts.range[1].abs());
        let n = self.samples().map_or(0, |samples| samples.values.len() / 2);
        let name = format!("{} in the plane, from -{half} to {half}", number(n, "generated point"));
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, 0.0, theme.canvas);
        let place = |[x, y]: [f32; 2]| -> Pos2 {
            let share = |v: f32| v / half * 0.5 + 0.5;
            pos2(rect.left() + share(x) * rect.width(), rect.bottom() - share(y) * rect.height())
        };
        let [data, samples, lattice] = self.show;
        if let (true, Some((_, points))) = (data, &self.data) {
            for point in points {
                painter.circle_filled(place(*point), DOT, theme.real.gamma_multiply(0.6));
            }
        }
        if let (true, Some(lattice)) = (lattice, &self.lattice) {
            let points: &[[f32; 2]] = lattice.values.as_chunks().0;
            for line in points.chunks(LATTICE_POINTS) {
                // Faint: where a generator folds its latents, many lines run over each other.
                let stroke = Stroke::new(1.0, theme.fake.gamma_multiply(0.4));
                painter.line(line.iter().map(|p| place(*p)).collect(), stroke);
            }
        }
        if let (true, Some((samples, _))) = (samples, &self.shown) {
            for point in samples.values.as_chunks().0 {
                painter.circle_filled(place(*point), DOT, theme.fake.gamma_multiply(0.8));
            }
        }
        painter.rect_stroke(rect, 0.0, ui.visuals().widgets.noninteractive.bg_stroke, StrokeKind::Inside);
    }
}
