//! The top of the view: which model, what is wrong, what there is to do with the model as a whole.

use eframe::egui::Ui;

use super::job::Facts;
use super::{Explore, Request};
use crate::gui::theme::Theme;

impl Explore {
    /// The model, what is wrong, and what there is to do with the model as a whole.
    pub(super) fn header(&self, ui: &mut Ui, theme: &Theme) -> Option<Request> {
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            let tip = "Open a generator (snapshots/generator-*.safetensors), or a run's folder for its newest one.";
            if ui.button("Open model…").on_hover_text(tip).clicked() {
                request = Some(Request::OpenModel);
            }
            let (Some(facts), Some(name)) = (&self.facts, self.model()) else { return };
            let tip = "Write this generator with 16-bit weights: half the size, for the web page.";
            if ui.button("Export weights…").on_hover_text(tip).clicked() {
                let suggested = format!("{}-f16.safetensors", stem(name));
                request = Some(Request::ExportWeights { suggested });
            }
            ui.strong(name);
            ui.weak(describe(facts));
        });
        if let Some((_, name, _)) = &self.opening {
            ui.weak(format!("Opening {name}"));
        } else if self.facts.is_none() {
            ui.label("Open a generator to draw from it. Training writes one into the folder snapshots now and then.");
        }
        if let Some(error) = &self.error {
            ui.colored_label(theme.alarm, error);
        }
        if let Some(notice) = &self.notice {
            ui.label(notice);
        }
        request
    }
}

/// Facts as one line.
fn describe(facts: &Facts) -> String {
    let shape = match facts.shape[..] {
        [height, width, 1] => format!("{width} x {height}, gray"),
        [height, width, _] => format!("{width} x {height}, colour"),
        _ => format!("points of {} numbers", facts.shape[0]),
    };
    let mut parts = vec![shape, format!("step {}", facts.step), format!("{} parameters", thousands(facts.parameters))];
    if !facts.dataset.is_empty() {
        parts.push(format!("learned from {}", facts.dataset));
    }
    if !facts.license.is_empty() {
        parts.push(format!("licence: {}", facts.license));
    }
    parts.push(facts.device.clone());
    parts.join(" · ")
}

/// `1,234,567`
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

/// Without `.safetensors`, for names of other files.
fn stem(name: &str) -> &str {
    name.strip_suffix(".safetensors").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_one_line() {
        let facts = Facts {
            name: "generator-000500.safetensors".into(),
            shape: vec![28, 28, 1],
            range: [-1.0, 1.0],
            dataset: "mnist-10k".into(),
            license: String::new(),
            step: 500,
            parameters: 1_345_001,
            device: "cpu (2 threads)".into(),
        };
        let line = "28 x 28, gray · step 500 · 1,345,001 parameters · learned from mnist-10k · cpu (2 threads)";
        assert_eq!(describe(&facts), line);
        assert_eq!(
            describe(&Facts { shape: vec![2], ..facts.clone() }).split(" · ").next(),
            Some("points of 2 numbers")
        );
        assert_eq!(stem(&facts.name), "generator-000500");
        assert_eq!([5, 1000, 100_200].map(thousands), ["5", "1,000", "100,200"]);
    }
}
