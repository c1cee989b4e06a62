//! Which steps and values are seen: the newest ones too, until the user zooms or drags.

use super::Charts;
use super::history::Curves;
use super::lines::Moved;

impl Charts {
    /// What the user did in chart `index`.
    pub(super) fn apply(&mut self, moved: Moved, index: usize) {
        if let Some(name) = moved.switched {
            let hidden = &mut self.panels[index].hidden;
            if !hidden.remove(&name) {
                hidden.insert(name);
            }
        }
        if moved.reset {
            self.follow();
            return;
        }
        if let Some(y) = moved.y {
            self.panels[index].y = Some(y);
        }
        if let Some([x0, x1]) = moved.x {
            // Neither less than a step nor so much that the run is a dot, and never away from it.
            let [first, last] = self.extent();
            let width = (x1 - x0).clamp(2.0, 10.0 * (last - first));
            let center = (0.5 * (x0 + x1)).clamp(first, last);
            self.view = Some([center - 0.5 * width, center + 0.5 * width]);
        }
    }

    /// Shows everything, also what is to come.
    pub(super) fn follow(&mut self) {
        self.view = None;
        self.panels.iter_mut().for_each(|panel| panel.y = None);
    }

    /// The steps to show.
    pub(super) fn steps(&self) -> [f64; 2] {
        self.view.unwrap_or_else(|| self.extent())
    }

    /// The steps that there are: of this run; before its first, of the other one.
    pub(super) fn extent(&self) -> [f64; 2] {
        let of = |curves: &Curves| {
            let extents = curves.values().filter_map(|curve| curve.linear().extent());
            extents.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])
        };
        let other = || self.compared.as_ref().and_then(|other| of(&other.curves));
        let [first, last] = of(&self.curves).or_else(other).unwrap_or([0, 1]).map(|step| step as f64);
        if last - first >= 2.0 { [first, last] } else { [first - 1.0, first + 1.0] }
    }
}
