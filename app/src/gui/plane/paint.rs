//! Drawing on a square of the plane, in data units.

use eframe::egui::{Align2, Color32, FontId, Mesh, Painter, Pos2, Rect, Stroke, Vec2};
use onestep_core::nets::SIGMA_DATA;
use onestep_core::train::PathValues;

use crate::gui::theme::Theme;

/// Side of a point as a share of the canvas, and its least and greatest, in points of the screen.
const DOT: (f32, f32, f32) = (0.0055, 2.5, 6.0);
/// Arrows that are drawn at most.
const ARROWS: usize = 160;
/// Longest arrow, as a share of the canvas.
const LONGEST: f32 = 0.12;
/// Shortest arrow that can be seen, in points of the screen.
const SHORTEST: f32 = 0.5;

/// A canvas over the square `-half_width .. half_width`, `y` upwards.
pub struct Plane<'a> {
    painter: Painter,
    rect: Rect,
    half_width: f32,
    /// Colours.
    pub theme: &'a Theme,
}

impl<'a> Plane<'a> {
    /// A canvas, empty so far.
    pub fn new(painter: Painter, rect: Rect, half_width: f32, theme: &'a Theme) -> Self {
        Self { painter, rect, half_width, theme }
    }

    /// One colour all over.
    pub fn blank(&self) {
        self.painter.rect_filled(self.rect, 6.0, self.theme.canvas);
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

    /// The log density ratio on `side x side` cells, as colours all over; rows of `logits` go upwards. It fades where
    /// `support` is below 1.
    pub fn heat(&self, logits: &[f32], support: &[f32], side: usize) {
        self.painter.add(heat(logits, support, side, self.rect, self.theme));
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
        let (share, least, most) = DOT;
        let side = (share * self.rect.width()).clamp(least, most);
        for (i, point) in values.as_chunks::<2>().0.iter().take(count).enumerate() {
            let noise = noise(i);
            let at = self.to_screen([point[0] + noise[0], point[1] + noise[1]]);
            if self.rect.contains(at) {
                mesh.add_colored_rect(Rect::from_center_size(at, Vec2::splat(side)), color);
            }
        }
        self.painter.add(mesh);
    }

    /// The gradient at some of the points, from its values on a square of `side x side` cells; a slope of 1 is `scale`
    /// of the canvas long. Arrows fade where `support` is below 1.
    pub fn arrows(&self, values: &[f32], [slopes, support]: [&[f32]; 2], side: usize, scale: f32, color: Color32) {
        let slopes: &[[f32; 2]] = slopes.as_chunks().0;
        let points: &[[f32; 2]] = values.as_chunks().0;
        let cell = |x: f32| ((f32::midpoint(x / self.half_width, 1.0) * side as f32) as usize).min(side - 1);
        let inside = points.iter().filter(|p| p.iter().all(|x| x.abs() < self.half_width));
        for point in inside.take(ARROWS) {
            let at = cell(point[1]) * side + cell(point[0]);
            if let Some(by) = shown(slopes[at], scale * self.rect.width(), LONGEST * self.rect.width()) {
                self.painter.arrow(self.to_screen(*point), by, Stroke::new(1.2, color.gamma_multiply(support[at])));
            }
        }
    }

    /// Where points came from; a move of 1 is `scale` of the canvas long.
    pub fn trails(&self, before: &[f32], after: &[f32], scale: f32, color: Color32) {
        let pairs = before.as_chunks::<2>().0.iter().zip(after.as_chunks::<2>().0).take(ARROWS);
        for (from, to) in pairs {
            let moved = [to[0] - from[0], to[1] - from[1]];
            if let Some(by) = shown(moved, scale * self.rect.width(), LONGEST * self.rect.width()) {
                self.painter.arrow(self.to_screen(*to) - by, by, Stroke::new(1.5, color));
            }
        }
    }

    /// Paths from noise, a dot, to data, a larger one, beside the line of a jump from the same noise; where that misses the
    /// path's end, a line from one to the other.
    pub fn paths(&self, paths: &PathValues) {
        let Theme { real, fake, gradient, .. } = *self.theme;
        let (lines, jumps) = (lines(paths), paths.jumps.as_chunks::<2>().0);
        for (line, jump) in lines.iter().zip(jumps) {
            self.line(&[line[0], *jump], fake.gamma_multiply(0.45));
        }
        for line in &lines {
            self.line(line, real);
        }
        for (line, jump) in lines.iter().zip(jumps) {
            let [from, end] = [line[0], line[line.len() - 1]];
            self.painter.line_segment([*jump, end].map(|at| self.to_screen(at)), Stroke::new(2.0, gradient));
            for (at, radius, color) in [(from, 1.5, real), (end, 3.0, real), (*jump, 3.0, fake)] {
                self.painter.circle_filled(self.to_screen(at), radius, color);
            }
        }
    }

    /// What an arrow of this share of the canvas means, in the lower left corner.
    pub fn key(&self, length: f32, meaning: &str, color: Color32) {
        let from = self.rect.left_bottom() + Vec2::new(10.0, -12.0);
        let by = Vec2::new(length * self.rect.width(), 0.0);
        self.painter.arrow(from, by, Stroke::new(1.5, color));
        let words = if self.theme.dark { Color32::WHITE } else { Color32::BLACK };
        let at = from + by + Vec2::new(6.0, 0.0);
        self.painter.text(at, Align2::LEFT_CENTER, meaning, FontId::proportional(11.0), words);
    }
}

/// A direction of the plane as an arrow of the screen: `unit` points of it for a length of 1, and at most `longest`.
/// The unit is the same in every frame, so arrows shrink as what they show does. None if it is too short to be seen.
fn shown(by: [f32; 2], unit: f32, longest: f32) -> Option<Vec2> {
    let by = Vec2::new(by[0], -by[1]) * unit;
    let length = by.length();
    (length.is_finite() && length >= SHORTEST).then(|| by * (longest / length).min(1.0))
}

/// Paths as lines of the plane. States are scaled by `sd / (sd + sigma)`: a flow between data and noise of the data's
/// deviation `sd`, in whose units the path of an exact step is a straight line, and noise is where the data are.
fn lines(paths: &PathValues) -> Vec<Vec<[f32; 2]>> {
    let scales = paths.sigmas.iter().map(|sigma| SIGMA_DATA / (SIGMA_DATA + sigma));
    let mut lines = vec![Vec::new(); paths.jumps.len() / 2];
    for (states, scale) in paths.states.iter().zip(scales) {
        for (line, state) in lines.iter_mut().zip(states.as_chunks::<2>().0) {
            line.push(state.map(|x| x * scale));
        }
    }
    lines
}

/// A mesh with the colours of the cells at their centres; outside of the outermost centres nothing changes.
fn heat(logits: &[f32], support: &[f32], side: usize, rect: Rect, theme: &Theme) -> Mesh {
    // What is not supported would set the scale alone.
    let counts = |(logit, support): (&f32, &f32)| (*support >= 0.5 && logit.is_finite()).then(|| logit.abs());
    let mut magnitudes: Vec<f32> = logits.iter().zip(support).filter_map(counts).collect();
    magnitudes.sort_by(f32::total_cmp);
    let scale = magnitudes.get(magnitudes.len().saturating_sub(1) * 9 / 10).copied().unwrap_or(1.0).max(0.05);
    // Corners along a side: both ends, and the centres between them.
    let corners = side + 2;
    let cell = |corner: usize| corner.saturating_sub(1).min(side - 1);
    let place = |corner: usize| (corner as f32 - 0.5).clamp(0.0, side as f32) / side as f32;
    let mut mesh = Mesh::default();
    for (row, column) in (0..corners).flat_map(|row| (0..corners).map(move |column| (row, column))) {
        let at = Pos2::new(rect.left() + rect.width() * place(column), rect.bottom() - rect.height() * place(row));
        let cell = cell(row) * side + cell(column);
        mesh.colored_vertex(at, theme.heat((logits[cell] / scale).clamp(-1.0, 1.0) * support[cell]));
        if row > 0 && column > 0 {
            let here = (row * corners + column) as u32;
            let below = here - corners as u32;
            mesh.add_triangle(below - 1, below, here - 1);
            mesh.add_triangle(here - 1, below, here);
        }
    }
    mesh
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
    fn arrows_shrink_as_what_they_show_does() {
        let far = shown([0.3, 0.4], 40.0, 50.0).expect("it is seen");
        let near = shown([0.03, 0.04], 40.0, 50.0).expect("it is seen");
        assert!((far - Vec2::new(12.0, -16.0)).length() < 1e-4 && (near - 0.1 * far).length() < 1e-4, "{far} {near}");
        assert!((shown([30.0, 40.0], 40.0, 50.0).expect("it is seen").length() - 50.0).abs() < 1e-3);
        for gone in [[0.0, 0.0], [1e-9, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert_eq!(shown(gone, 40.0, 50.0), None);
        }
    }

    /// With D as the answer everywhere, the states are `D + sigma eps`: one step is exact.
    #[test]
    fn a_path_of_one_exact_step_is_a_straight_line_from_noise_of_the_datas_deviation() {
        let (sigmas, answer, eps) = (vec![80.0_f32, 2.0, 0.3, 0.0], [0.4_f32, -0.7], [1.5_f32, 0.25]);
        let state = |sigma: &f32| [0, 1].map(|i| answer[i] + sigma * eps[i]).to_vec();
        let states = sigmas.iter().map(state).collect();
        let paths = PathValues { sigmas, states, jumps: answer.to_vec(), straightness: 0.0, apart: 0.0 };
        let line = &lines(&paths)[0];
        assert_eq!((line.len(), line[3]), (4, answer));
        assert!((0..2).all(|i| (line[0][i] - SIGMA_DATA * eps[i]).abs() < 0.02), "{line:?}");
        let by = |to: usize| [0, 1].map(|i| line[to][i] - line[0][i]);
        for middle in [1, 2] {
            let [a, b] = [by(middle), by(3)];
            assert!((a[0] * b[1] - a[1] * b[0]).abs() < 1e-6 && a[0] * b[0] > 0.0, "{line:?}");
        }
    }

    #[test]
    fn rows_of_the_field_go_upwards() {
        let theme = theme();
        let rect = Rect::from_min_size(Pos2::ZERO, Vec2::splat(8.0));
        let mesh = heat(&[-1.0, -1.0, 1.0, 1.0], &[1.0; 4], 2, rect, &theme);
        assert_eq!((mesh.vertices.len(), mesh.indices.len()), (16, 3 * 2 * 9));
        let color = |at: [f32; 2]| mesh.vertices.iter().find(|v| v.pos == Pos2::from(at)).expect("a corner").color;
        assert_eq!((color([0.0, 0.0]), color([2.0, 2.0])), (theme.heat(1.0), theme.heat(1.0)));
        assert_eq!((color([8.0, 8.0]), color([6.0, 6.0])), (theme.heat(-1.0), theme.heat(-1.0)));
    }

    /// Untrained corners were the most saturated part of the picture.
    #[test]
    fn what_no_point_supports_has_no_colour_and_sets_no_scale() {
        let theme = theme();
        let rect = Rect::from_min_size(Pos2::ZERO, Vec2::splat(8.0));
        let mesh = heat(&[-900.0, -1.0, 1.0, 900.0], &[0.0, 1.0, 1.0, 0.0], 2, rect, &theme);
        let color = |at: [f32; 2]| mesh.vertices.iter().find(|v| v.pos == Pos2::from(at)).expect("a corner").color;
        assert_eq!((color([0.0, 8.0]), color([8.0, 0.0])), (theme.canvas, theme.canvas));
        assert_eq!((color([8.0, 8.0]), color([0.0, 0.0])), (theme.heat(-1.0), theme.heat(1.0)));
    }
}
