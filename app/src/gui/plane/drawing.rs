//! A distribution drawn with the mouse.

use eframe::egui;
use onestep_core::data::cloud;

use super::paint::Plane;

/// Distance between two vertices of a stroke, in data units: a fast hand leaves no gaps.
const SPACING: f32 = 0.02;

/// Strokes, as vertices in data units.
#[derive(Default)]
pub struct Drawing {
    strokes: Vec<Vec<[f32; 2]>>,
}

impl Drawing {
    /// Whether there is nothing to train on.
    pub fn is_empty(&self) -> bool {
        self.strokes.is_empty()
    }

    /// Takes all strokes away.
    pub fn clear(&mut self) {
        self.strokes.clear();
    }

    /// Takes the last stroke away.
    pub fn undo(&mut self) {
        self.strokes.pop();
    }

    /// A vertex; `new` begins a stroke.
    pub fn add(&mut self, point: [f32; 2], new: bool) {
        let Some(stroke) = self.strokes.last_mut().filter(|_| !new) else {
            self.strokes.push(vec![point]);
            return;
        };
        let last = *stroke.last().expect("a stroke begins with a vertex");
        let [dx, dy] = [point[0] - last[0], point[1] - last[1]];
        let parts = (dx.hypot(dy) / SPACING).ceil() as usize;
        stroke.extend((1..=parts).map(|i| [0, 1].map(|a| last[a] + [dx, dy][a] * i as f32 / parts as f32)));
    }

    /// A cloud of points along the strokes.
    pub fn points(&self) -> Vec<[f32; 2]> {
        let vertices: Vec<f32> = self.strokes.iter().flatten().flatten().copied().collect();
        cloud(&vertices, 1)
    }

    /// Takes the pointer's movement, and paints the strokes.
    pub fn draw(&mut self, response: &egui::Response, plane: &Plane<'_>) {
        if let Some(at) = response.interact_pointer_pos() {
            // The pointer may have moved on since the button went down, which is where the stroke begins.
            let (pressed, origin) = response.ctx.input(|i| (i.pointer.any_pressed(), i.pointer.press_origin()));
            if pressed {
                self.add(plane.to_data(origin.unwrap_or(at)), true);
            }
            self.add(plane.to_data(at), false);
        }
        plane.hint("Draw here with the mouse");
        for stroke in &self.strokes {
            plane.stroke(stroke);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strokes_have_no_gaps_and_stay_apart() {
        let mut drawing = Drawing::default();
        assert!(drawing.is_empty() && drawing.points().is_empty());
        drawing.add([0.0, 0.0], true);
        drawing.add([0.5, 0.0], false);
        drawing.add([-1.0, 1.0], true);
        assert_eq!(drawing.strokes.len(), 2);
        for pair in drawing.strokes[0].windows(2) {
            assert!((pair[1][0] - pair[0][0]).abs() < 1.1 * SPACING, "{pair:?}");
        }
        assert!(drawing.points().iter().flatten().all(|x| x.is_finite()));
        drawing.undo();
        assert_eq!(drawing.strokes.len(), 1);
        drawing.clear();
        assert!(drawing.is_empty());
    }
}
