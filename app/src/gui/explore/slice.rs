//! A plane of latents between four seeds, under a finger.

use std::sync::Arc;

use eframe::egui::{
    Color32, Context, EventFilter, Key, Pos2, Rect, Role, Sense, Stroke, StrokeKind, TextureHandle, Ui, WidgetInfo,
    pos2, vec2,
};

use super::Request;
use super::desk::Desk;
use super::job::{Drawn, Form, Latents, Samples, Slot, Task};
use super::widgets::{GAP, duration, paint, picture, place, reroll, seed, share, stage, status, upload};
use crate::gui::theme::Theme;

/// Most pictures along a side of the map.
const SIDE: usize = 6;
/// Side of the map's texture, in pixels: every device takes one of this size.
const MAP_PIXELS: usize = 2048;
/// How far an arrow key goes, and how far with Shift.
const STEPS: [f32; 2] = [0.02, 0.1];

/// A place on the plane.
pub struct View {
    seed: u32,
    place: [f32; 2],
    secs: f64,
    large: Vec<TextureHandle>,
    map: Vec<TextureHandle>,
    mapped: Option<Arc<Samples>>,
    /// Pictures along a side of the map.
    side: usize,
}

impl Default for View {
    fn default() -> Self {
        let (large, map) = (Vec::new(), Vec::new());
        Self { seed: 0, place: [0.5; 2], secs: 0.0, large, map, mapped: None, side: SIDE }
    }
}

/// The map's pictures stand at the centres of its cells, and so does the place under the finger: from a share of the
/// side to a coordinate of the plane.
fn to_place(share: f32, side: usize) -> f32 {
    let place = (share * side as f32 - 0.5) / (side - 1) as f32;
    (place.clamp(0.0, 1.0) * 100.0).round() / 100.0
}

/// The way back.
fn to_share(place: f32, side: usize) -> f32 {
    (place * (side - 1) as f32 + 0.5) / side as f32
}

impl View {
    /// A sample under the finger, or the whole map.
    pub fn take(&mut self, ctx: &Context, slot: Slot, drawn: Drawn) {
        if slot == Slot::Map {
            upload(&mut self.map, ctx, drawn.images);
            self.mapped = Some(drawn.samples);
        } else {
            upload(&mut self.large, ctx, drawn.images);
            self.secs = drawn.secs;
        }
    }

    /// The pictures of another model go.
    pub fn forget(&mut self) {
        self.mapped = None;
        self.large.clear();
        self.map.clear();
    }

    /// What a picture would be saved of.
    pub fn samples(&self) -> Option<&Arc<Samples>> {
        self.mapped.as_ref()
    }

    /// The controls, the sample and the plane.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        theme: &Theme,
        desk: &mut Desk,
        shape: [usize; 3],
        visible: f32,
    ) -> Option<Request> {
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            if reroll(ui, "Four other corners", "The plane between the four seeds that follow") {
                self.seed = self.seed.wrapping_add(4);
            }
            seed(ui, "First corner's seed", &mut self.seed);
            let [across, down] = &mut self.place;
            share(ui, "across", across, "Where on the plane, from its left to its right side.");
            share(ui, "down", down, "Where on the plane, from its top to its bottom.");
            let tip = "Write the pictures all over the plane as one PNG file.";
            if ui.button("Save picture…").on_hover_text(tip).clicked() {
                request = Some(Request::SavePicture { suggested: format!("plane-seed-{}.png", self.seed) });
            }
        });
        self.side = (MAP_PIXELS / shape[0].max(shape[1])).clamp(2, SIDE);
        let latents = |places| Latents::Plane { seed: self.seed, places };
        desk.want(Slot::Place, Task::Draw { latents: latents(vec![self.place]), form: Form::Each });
        let at = |i: usize| i as f32 / (self.side - 1) as f32;
        let places = (0..self.side * self.side).map(|i| [at(i % self.side), at(i / self.side)]).collect();
        desk.want(Slot::Map, Task::Draw { latents: latents(places), form: Form::Rows(self.side) });
        let line = (!self.large.is_empty()).then(|| {
            format!(
                "Four seeds are the corners of a square of noise: drag across it, or use the arrow keys. Each place is \
                 1 evaluation away from its sample: {}.",
                duration(self.secs)
            )
        });
        status(ui, theme, &desk.states([Slot::Place, Slot::Map]), line);

        let area = stage(ui, visible);
        let side = area.height().min((area.width() - GAP) / 2.0);
        let square = Rect::from_min_size(area.min, vec2(side, side));
        if let Some(large) = self.large.first() {
            let [across, down] = self.place;
            let name = format!("The sample at {:.0} % across and {:.0} % down", 100.0 * across, 100.0 * down);
            picture(ui, square, large.id(), ("large", 0), &name);
        }
        self.pad(ui, square.translate(vec2(side + GAP, 0.0)), theme);
        request
    }

    /// The plane: a faint map with a handle.
    fn pad(&mut self, ui: &mut Ui, rect: Rect, theme: &Theme) {
        let mut response = place(ui, rect, ("pad", 0), Sense::click_and_drag());
        let before = self.place;
        if let Some(Pos2 { x, y }) = response.interact_pointer_pos() {
            response.request_focus();
            let shares = [(x - rect.left()) / rect.width(), (y - rect.top()) / rect.height()];
            self.place = shares.map(|share| to_place(share, self.side));
        }
        if response.has_focus() {
            let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
            if response.gained_focus() {
                // The arrows stay here from the second frame on.
                ui.ctx().request_repaint();
            }
            ui.input(|input| {
                let step = STEPS[usize::from(input.modifiers.shift)];
                let keys = [
                    (Key::ArrowLeft, 0, -1.0),
                    (Key::ArrowRight, 0, 1.0),
                    (Key::ArrowUp, 1, -1.0),
                    (Key::ArrowDown, 1, 1.0),
                ];
                for (key, axis, sign) in keys {
                    let place = self.place[axis] + sign * step * input.num_presses(key) as f32;
                    self.place[axis] = (place.clamp(0.0, 1.0) * 100.0).round() / 100.0;
                }
            });
        }
        if self.place != before {
            response.mark_changed();
        }
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "Plane of latents between four seeds"));

        let painter = ui.painter();
        painter.rect_filled(rect, 0.0, theme.canvas);
        if let Some(map) = self.map.first() {
            paint(ui, rect, map.id(), Color32::from_white_alpha(110));
        }
        let frame = if response.has_focus() { theme.gradient } else { ui.visuals().widgets.inactive.fg_stroke.color };
        painter.rect_stroke(rect, 0.0, Stroke::new(1.5, frame), StrokeKind::Inside);
        let [x, y] = self.place.map(|place| to_share(place, self.side));
        let handle = pos2(rect.left() + x * rect.width(), rect.top() + y * rect.height());
        painter.circle(handle, 8.0, theme.fake, Stroke::new(2.0, theme.canvas));
        response.on_hover_text("Drag, or use the arrow keys (with Shift: larger steps).");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handle_stands_on_the_pictures_of_the_map() {
        for side in [2, 6] {
            for place in [0.0, 0.25, 0.5, 1.0] {
                assert_eq!(to_place(to_share(place, side), side), place, "{place} of {side}");
            }
            assert_eq!([to_place(-3.0, side), to_place(7.0, side)], [0.0, 1.0]);
        }
        assert_eq!(to_share(0.0, 6), 0.5 / 6.0, "the centre of the first cell");
    }
}
