//! What the views share: controls with names and tooltips, pictures that can be clicked, room for them.
//!
//! Invariant: whatever is painted here has a name for screen readers, and whatever can be clicked can be reached with
//! the Tab key.

use eframe::egui::{
    self, Align2, Color32, ColorImage, Context, DragValue, Key, Modifiers, Rect, Response, Role, Sense, Slider, Stroke,
    StrokeKind, TextStyle, TextureHandle, TextureId, TextureOptions, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::desk::State;
use crate::gui::theme::Theme;

/// Between pictures, in points.
pub const GAP: f32 = 6.0;
/// Smallest side of a picture, in points: what is smaller scrolls.
const SMALLEST: f32 = 28.0;
/// Smallest height of a view's pictures, in points.
const SMALLEST_STAGE: f32 = 200.0;

/// A button for the next seeds, which the key R presses, too.
pub fn reroll(ui: &mut Ui, text: &str, tip: &str) -> bool {
    let clicked = ui.button(text).on_hover_text(format!("{tip} (key R)")).clicked();
    clicked || (!ui.ctx().text_edit_focused() && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::R)))
}

/// A seed.
pub fn seed(ui: &mut Ui, name: &str, value: &mut u32) {
    let label = ui.label(name);
    // Slow, so that single seeds can be hit by dragging.
    ui.add(DragValue::new(value).range(0..=u32::MAX).speed(0.05))
        .labelled_by(label.id)
        .on_hover_text("The same seed always gives the same sample, on every device.");
}

/// A slider over whole numbers.
pub fn count(ui: &mut Ui, name: &str, value: &mut usize, most: usize, tip: &str) {
    ui.add(Slider::new(value, 1..=most).logarithmic(most > 64).text(name)).on_hover_text(tip);
}

/// A slider from 0 to 1.
pub fn share(ui: &mut Ui, name: &str, value: &mut f32, tip: &str) {
    ui.add(Slider::new(value, 0.0..=1.0).step_by(0.01).fixed_decimals(2).text(name)).on_hover_text(tip);
}

/// A line about what is shown, or about why it is not. It is always there, so that nothing jumps while a finger drags.
pub fn status(ui: &mut Ui, theme: &Theme, state: &State, shown: Option<String>) {
    match state {
        State::Failed(text) => ui.colored_label(theme.alarm, text),
        State::Missing(text) | State::Busy(Some(text)) => ui.label(text),
        State::Busy(None) | State::Idle => ui.label(shown.unwrap_or_else(|| "Drawing".into())),
    };
}

/// Room for a view's pictures: the rest of what is visible of the page.
pub fn stage(ui: &mut Ui, visible: f32) -> Rect {
    let above = ui.cursor().top() - ui.min_rect().top();
    // A little less, so that rounding makes no scroll bar.
    let height = (visible - above - 4.0).max(SMALLEST_STAGE);
    let size = vec2(ui.available_width(), height);
    ui.allocate_space(size).1
}

/// Where pictures stand in rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    columns: usize,
    /// Size of a picture, in points.
    pub cell: Vec2,
    caption: f32,
    origin: egui::Pos2,
}

impl Rows {
    /// The largest `count` pictures of `width x height` pixels that fit into `area`, each with room for a caption.
    pub fn fit(ui: &Ui, area: Rect, count: usize, [width, height]: [usize; 2], caption: f32) -> Self {
        let image = vec2(width as f32, height as f32);
        let scale_of = |columns: usize| {
            let rows = count.div_ceil(columns);
            let free = |length: f32, n: usize| (length + GAP) / n as f32 - GAP;
            (free(area.width(), columns) / image.x).min((free(area.height(), rows) - caption) / image.y)
        };
        let columns = (1..=count.max(1)).max_by(|a, b| scale_of(*a).total_cmp(&scale_of(*b))).unwrap_or(1);
        let scale = scale_of(columns).max(SMALLEST / image.x.min(image.y));
        Self { columns, cell: image * whole(scale, ui.pixels_per_point()), caption, origin: area.min }
    }

    /// Place of a picture.
    pub fn place(&self, index: usize) -> Rect {
        let (column, row) = (index % self.columns, index / self.columns);
        let step = self.cell + vec2(GAP, GAP + self.caption);
        Rect::from_min_size(self.origin + vec2(column as f32, row as f32) * step, self.cell)
    }
}

/// A scale that makes image pixels whole numbers of screen pixels, if they are not smaller than those.
fn whole(scale: f32, pixels_per_point: f32) -> f32 {
    let pixels = scale * pixels_per_point;
    if pixels < 1.0 { scale } else { pixels.floor() / pixels_per_point }
}

/// The largest place in `area` for a picture of `width x height` pixels, at its top.
pub fn fit_one(ui: &Ui, area: Rect, [width, height]: [usize; 2]) -> Rect {
    let image = vec2(width as f32, height as f32);
    let scale = (area.width() / image.x).min(area.height() / image.y).max(SMALLEST / image.x);
    Rect::from_min_size(area.min, image * whole(scale, ui.pixels_per_point()))
}

/// Something that is painted at a place of its own. Its id does not depend on what else is on the page, so that a
/// status line that comes and goes takes neither focus nor finger away.
pub fn place(ui: &mut Ui, rect: Rect, salt: (&str, usize), sense: Sense) -> Response {
    ui.expand_to_include_rect(rect);
    ui.interact(rect, ui.make_persistent_id(salt), sense)
}

/// A picture.
pub fn picture(ui: &mut Ui, rect: Rect, texture: TextureId, salt: (&str, usize), name: &str) -> Response {
    let response = place(ui, rect, salt, Sense::hover());
    paint(ui, rect, texture, Color32::WHITE);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
    response
}

/// A picture that can be clicked, with a ring around it if it has a colour for one.
pub fn tile(ui: &mut Ui, rect: Rect, texture: TextureId, index: usize, name: &str, ring: Option<Color32>) -> Response {
    let response = place(ui, rect, ("tile", index), Sense::click());
    paint(ui, rect, texture, Color32::WHITE);
    let selected = ring.is_some();
    let visuals = ui.style().interact(&response);
    let focus = (response.hovered() || response.has_focus()).then_some(visuals.fg_stroke.color);
    if let Some(color) = focus.or(ring) {
        ui.painter().rect_stroke(rect, 1.0, Stroke::new(2.0, color), StrokeKind::Outside);
    }
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, name));
    response
}

/// All of a texture.
pub fn paint(ui: &Ui, rect: Rect, texture: TextureId, tint: Color32) {
    ui.painter().image(texture, rect, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), tint);
}

/// Height of a caption, in points.
pub fn caption_height(ui: &Ui) -> f32 {
    ui.text_style_height(&TextStyle::Body) + 2.0
}

/// A line under a picture, in small letters if it is narrow; the picture's name says the same.
pub fn caption(ui: &Ui, below: Rect, text: &str, color: Color32) {
    let layout = |style: TextStyle| ui.painter().layout_no_wrap(text.to_owned(), style.resolve(ui.style()), color);
    let mut galley = layout(TextStyle::Body);
    if galley.size().x > below.width() {
        galley = layout(TextStyle::Small);
    }
    let place = Align2::CENTER_TOP.anchor_size(below.center_bottom() + vec2(0.0, 1.0), galley.size());
    ui.painter().galley(place.min, galley, color);
}

/// Puts images into textures, old ones first.
pub fn upload(textures: &mut Vec<TextureHandle>, ctx: &Context, images: Vec<ColorImage>) {
    textures.truncate(images.len());
    for (i, image) in images.into_iter().enumerate() {
        match textures.get_mut(i) {
            Some(texture) => texture.set(image, TextureOptions::NEAREST),
            None => textures.push(ctx.load_texture("explore", image, TextureOptions::NEAREST)),
        }
    }
}

/// A time, as people read it.
pub fn duration(secs: f64) -> String {
    let ms = secs * 1e3;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        ..10_000.0 => format!("{ms:.0} ms"),
        _ => format!("{secs:.1} s"),
    }
}

/// `1 sample`, `2 samples`.
pub fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_and_their_pixels_are_whole() {
        egui_kittest::Harness::new_ui(|ui| {
            let area = Rect::from_min_size(pos2(10.0, 20.0), vec2(600.0, 300.0));
            for count in [1, 2, 7, 16, 64] {
                let rows = Rows::fit(ui, area, count, [28, 28], 0.0);
                assert_eq!(rows.cell.x % 28.0, 0.0, "{count}");
                assert!(area.contains_rect(rows.place(count - 1)), "{count}: {:?}", rows.place(count - 1));
                assert_eq!(rows.place(0).min, area.min);
            }
            // What is too much for the area keeps its size, and scrolls.
            let rows = Rows::fit(ui, area, 5000, [28, 28], 12.0);
            assert_eq!(rows.cell, vec2(28.0, 28.0));
        });
    }

    #[test]
    fn times_are_short() {
        assert_eq!([0.0012, 0.12, 12.0].map(duration), ["1.2 ms", "120 ms", "12.0 s"]);
        assert_eq!([1, 2].map(|n| number(n, "sample")), ["1 sample", "2 samples"]);
    }
}
