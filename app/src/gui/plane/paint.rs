//! Drawing on a square of the plane, in data units.

use eframe::egui::{Align2, Color32, ColorImage, FontId, Mesh, Painter, Pos2, Rect, Stroke, TextureId, Vec2};

use crate::gui::theme::Theme;

/// Side of a point, in points of the screen.
const DOT: f32 = 3.0;
/// Arrows that are drawn at most.
const ARROWS: usize = 160;
/// Length of the longest arrow, as a share of the canvas.
const ARROW: f32 = 0.09;

/// A canvas over the square `-half_width .. half_width`, `y` upwards.
pub struct Plane<'a> {
    painter: Painter,
    rect: Rect,
    half_width: f32,
    /// Colours.
    pub theme: &'a Theme,
}

impl<'a> Plane<'a> {
    /// A canvas with its background.
    pub fn new(painter: Painter, rect: Rect, half_width: f32, theme: &'a Theme) -> Self {
        painter.rect_filled(rect, 6.0, theme.canvas);
        Self { painter, rect, half_width, theme }
    }

    fn to_screen(&self, [x, y]: [f32; 2]) -> Pos2 {
        let scale = self.rect.width() / (2.0 * self.half_width);
        self.rect.center() + Vec2::new(x * scale, -y * scale)
    }

    /// Where a place on the screen is in the plane, within the canvas.
    pub fn to_data(&self, at: Pos2) -> [f32; 2] {
        let scale = 2.0 * self.half_width / self.rect.width();
        let from_centre = (self.rect.clamp(at) - self.rect.center()) * scale;
        [from_centre.x, -from_centre.y]
    }

    /// Words in the middle of the upper edge.
    pub fn hint(&self, text: &str) {
        let color = if self.theme.dark { Color32::GRAY } else { Color32::DARK_GRAY };
        let at = self.rect.center_bottom() - Vec2::new(0.0, 8.0);
        self.painter.text(at, Align2::CENTER_BOTTOM, text, FontId::proportional(14.0), color);
    }

    /// A stroke of a drawing.
    pub fn stroke(&self, vertices: &[[f32; 2]]) {
        let points: Vec<Pos2> = vertices.iter().map(|v| self.to_screen(*v)).collect();
        match points[..] {
            [point] => drop(self.painter.circle_filled(point, 4.0, self.theme.real)),
            _ => drop(self.painter.line(points, Stroke::new(6.0, self.theme.real))),
        }
    }

    /// A picture over the whole canvas.
    pub fn texture(&self, texture: TextureId) {
        let uv = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        self.painter.image(texture, self.rect, uv, Color32::WHITE);
    }

    /// A thin line.
    pub fn line(&self, vertices: &[[f32; 2]], color: Color32) {
        if vertices.iter().flatten().all(|x| x.is_finite()) {
            let points = vertices.iter().map(|v| self.to_screen(*v)).collect();
            self.painter.line(points, Stroke::new(1.0, color));
        }
    }

    /// Up to `count` points `x, y, x, y, ..`, each moved by its noise.
    pub fn points(&self, values: &[f32], count: usize, color: Color32, noise: impl Fn(usize) -> [f32; 2]) {
        // One mesh of squares: thousands of circles would take longer to tessellate than a step takes.
        let mut mesh = Mesh::default();
        let color = color.gamma_multiply(0.8);
        for (i, point) in values.as_chunks::<2>().0.iter().take(count).enumerate() {
            let noise = noise(i);
            let at = self.to_screen([point[0] + noise[0], point[1] + noise[1]]);
            if self.rect.contains(at) {
                mesh.add_colored_rect(Rect::from_center_size(at, Vec2::splat(DOT)), color);
            }
        }
        self.painter.add(mesh);
    }

    /// The gradient at some of the points, from its values on a square of `side x side` cells.
    pub fn arrows(&self, values: &[f32], slopes: &[f32], side: usize, color: Color32) {
        let slopes: &[[f32; 2]] = slopes.as_chunks().0;
        let points: &[[f32; 2]] = values.as_chunks().0;
        let cell = |x: f32| ((f32::midpoint(x / self.half_width, 1.0) * side as f32) as usize).min(side - 1);
        let arrows: Vec<([f32; 2], [f32; 2])> = points
            .iter()
            .filter(|p| p.iter().all(|x| x.abs() < self.half_width))
            .take(ARROWS)
            .map(|p| (*p, slopes[cell(p[1]) * side + cell(p[0])]))
            .collect();
        // One scale for all, set by the longest but a few: a single steep place must not hide the others.
        let mut lengths: Vec<f32> = arrows.iter().map(|(_, s)| s[0].hypot(s[1])).collect();
        lengths.sort_by(f32::total_cmp);
        let Some(&longest) = lengths.get(lengths.len().saturating_sub(1) * 19 / 20) else { return };
        if !(longest > 0.0 && longest.is_finite()) {
            return;
        }
        for (point, slope) in arrows {
            let by = Vec2::new(slope[0], -slope[1]) * (self.rect.width() * ARROW / longest);
            let by = if by.length() > 1.5 * ARROW * self.rect.width() {
                by.normalized() * ARROW * self.rect.width()
            } else {
                by
            };
            self.painter.arrow(self.to_screen(point), by, Stroke::new(1.2, color));
        }
    }

    /// Where points came from, drawn larger than it is so that the largest move is `longest` of the canvas.
    pub fn trails(&self, before: &[f32], after: &[f32], longest: f32, color: Color32) {
        let pairs = before.as_chunks::<2>().0.iter().zip(after.as_chunks::<2>().0).take(ARROWS);
        let moved: Vec<([f32; 2], [f32; 2])> = pairs.map(|(a, b)| (*b, [b[0] - a[0], b[1] - a[1]])).collect();
        let largest = moved.iter().map(|(_, by)| by[0].hypot(by[1])).fold(0.0, f32::max);
        if !(largest > 0.0 && largest.is_finite()) {
            return;
        }
        let scale = longest * self.rect.width() / largest;
        for (end, by) in moved {
            let end = self.to_screen(end);
            let by = Vec2::new(by[0], -by[1]) * scale;
            self.painter.arrow(end - by, by, Stroke::new(1.5, color));
        }
    }
}

/// The log density ratio as a picture; rows of `logits` go upwards.
pub fn heat(logits: &[f32], side: usize, theme: &Theme) -> ColorImage {
    let mut magnitudes: Vec<f32> = logits.iter().map(|l| l.abs()).filter(|l| l.is_finite()).collect();
    magnitudes.sort_by(f32::total_cmp);
    // The far corners are never trained on and would set the scale alone.
    let scale = magnitudes.get(magnitudes.len().saturating_sub(1) * 9 / 10).copied().unwrap_or(1.0).max(0.05);
    let pixels = (0..side * side).map(|i| {
        let (row, column) = (side - 1 - i / side, i % side);
        theme.heat(logits[row * side + column] / scale)
    });
    ColorImage::new([side, side], pixels.collect())
}

#[cfg(test)]
mod tests {
    use eframe::egui;

    use super::*;

    fn theme() -> Theme {
        let mut theme = None;
        let context = egui::Context::default();
        context.run_ui(egui::RawInput::default(), |ui| theme = Some(Theme::of(ui))).textures_delta.clear();
        theme.expect("one frame was run")
    }

    #[test]
    fn the_upper_row_of_the_picture_is_the_last_row_of_the_field() {
        let theme = theme();
        let image = heat(&[-1.0, -1.0, 1.0, 1.0], 2, &theme);
        assert_eq!(image.pixels[0], theme.heat(1.0));
        assert_eq!(image.pixels[3], theme.heat(-1.0));
    }
}
