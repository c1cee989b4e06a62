//! What a method shows by noise level.
//!
//! Bars stand on the number that is the goal: where there is no bar, it is reached.

use eframe::egui::{self, Align2, RichText, TextStyle, WidgetInfo};
use egui_plot::{Bar, BarChart, HLine, HoverPosition, LineStyle, Plot, PlotPoint, Text};

use super::super::theme::Theme;
use super::axis::{log_marks, marks, short, tick, x_axis};
use super::definitions::Goal;
use super::lines::GRID;

/// Numbers by noise level.
#[derive(Debug, Default)]
pub struct Levels {
    /// By bin; nothing where none is measured.
    bins: Vec<Option<f64>>,
    /// log10 of the first and the last noise level.
    sigma: [f64; 2],
}

impl Levels {
    /// Bins of `by_level` are equal in log sigma. 0 and NaN mean not measured yet.
    pub fn new(by_level: &[f32], sigma: [f32; 2]) -> Self {
        let sigma = sigma.map(|s| f64::from(s).log10());
        if !(sigma[0].is_finite() && sigma[1].is_finite() && sigma[0] < sigma[1]) {
            return Self::default();
        }
        let measured = |value: &f32| (*value != 0.0 && value.is_finite()).then_some(f64::from(*value));
        Self { bins: by_level.iter().map(measured).collect(), sigma }
    }

    fn width(&self) -> f64 {
        (self.sigma[1] - self.sigma[0]) / self.bins.len() as f64
    }

    fn bars(&self, ideal: f64, theme: &Theme) -> Vec<Bar> {
        let width = self.width();
        let bar = |(i, value): (usize, &Option<f64>)| {
            let bar = Bar::new(self.sigma[0] + (i as f64 + 0.5) * width, (*value)? - ideal);
            let stroke = egui::Stroke::new(1.0, theme.ratio);
            Some(bar.base_offset(ideal).width(0.92 * width).fill(theme.ratio.gamma_multiply(0.45)).stroke(stroke))
        };
        self.bins.iter().enumerate().filter_map(bar).collect()
    }

    /// The bin at a noise level, in words.
    fn at(&self, x: f64) -> Option<String> {
        let i = ((x - self.sigma[0]) / self.width()).floor();
        let value = self.bins.get((i >= 0.0).then_some(i as usize)?)?;
        let [low, high] = [i, i + 1.0].map(|i| short(10_f64.powf(self.sigma[0] + i * self.width())));
        let value = match value {
            Some(value) => short(*value),
            None => "not measured yet".into(),
        };
        Some(format!("sigma {low} to {high}: {value}"))
    }

    /// The chart in words.
    fn describe(&self, title: &str, goal: &Goal) -> String {
        let measured: Vec<f64> = self.bins.iter().copied().flatten().collect();
        let least = measured.iter().copied().fold(f64::INFINITY, f64::min);
        let most = measured.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = measured.iter().sum::<f64>() / measured.len() as f64;
        if measured.is_empty() {
            return format!("{title}: no values yet");
        }
        let Goal { ideal, means, .. } = goal;
        format!("{title}: mean {}, {} to {}; at {} {means}", short(mean), short(least), short(most), short(*ideal))
    }

    /// Draws the chart into what is left of `ui`. With an `alarm`, the numbers say nothing of the samples.
    pub fn show(&self, ui: &mut egui::Ui, title: &str, goal: &Goal, alarm: Option<&str>, theme: &Theme) {
        let bars = self.bars(goal.ideal, theme);
        let weak = ui.visuals().weak_text_color();
        let least = self.bins.iter().flatten().fold(goal.ideal, |least, value| least.min(*value));
        let most = self.bins.iter().flatten().fold(goal.ideal, |most, value| most.max(*value));
        let [x0, x1] = if bars.is_empty() { [-2.0, 2.0] } else { self.sigma };
        let plot = Plot::new("levels")
            .allow_scroll(false)
            .allow_zoom(false)
            .allow_drag(false)
            .allow_boxed_zoom(false)
            .allow_axis_zoom_drag(false)
            .show_y(false)
            .grid_color(ui.visuals().text_color().gamma_multiply(GRID))
            .x_grid_spacer(|input| log_marks(&input))
            .y_grid_spacer(|input| marks(&input, 4.0))
            .custom_x_axes(vec![x_axis(|exponent| short(10_f64.powf(exponent)))])
            .y_axis_formatter(|mark, _| tick(mark.value, mark.step_size))
            .label_formatter(|hover| {
                let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
                alarm.map(str::to_owned).or_else(|| self.at(position.x))
            });
        let shown = plot.show(ui, |plot| {
            plot.set_plot_bounds_x(x0..=x1);
            let room = (most - goal.ideal).max(goal.ideal.abs()).max(1e-6);
            plot.set_plot_bounds_y(least - 0.24 * room..=goal.ideal + 1.04 * room); // with room for the words
            let line = HLine::new("", goal.ideal).color(weak).width(1.0);
            plot.hline(line.style(LineStyle::dashed_dense()));
            // In two lines, which the narrowest chart has room for.
            let (words, color) = match alarm {
                Some(alarm) => (alarm.replacen(": ", ":\n", 1), theme.alarm),
                None => (goal.means.to_owned(), weak),
            };
            // Off the edge, which would cut the last letter.
            let at = PlotPoint::new(x1 - 0.02 * (x1 - x0), goal.ideal);
            let words = Text::new("", at, RichText::new(words).small());
            plot.text(words.color(color).anchor(Align2::RIGHT_TOP));
            plot.bar_chart(BarChart::new("", bars).color(theme.ratio).allow_hover(false));
        });
        let label = alarm.map_or_else(|| self.describe(title, goal), |alarm| format!("{title}: {alarm}"));
        shown.response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, &label));
        if self.bins.iter().all(Option::is_none) {
            let font = TextStyle::Body.resolve(ui.style());
            ui.painter().text(shown.response.rect.center(), Align2::CENTER_CENTER, "no values yet", font, weak);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: Goal = Goal { ideal: 0.5, means: "even", mean: "" };

    #[test]
    fn bins_are_told_by_noise_level() {
        let mut by_level = [0.75_f32; 16];
        by_level[0] = f32::NAN;
        by_level[1] = 0.0;
        let accuracy = Levels::new(&by_level, [0.01, 100.0]);
        assert_eq!(accuracy.at(-2.0 + 0.1).as_deref(), Some("sigma 0.01 to 0.0178: not measured yet"));
        assert_eq!(accuracy.at(1.9).as_deref(), Some("sigma 56.2 to 100: 0.75"));
        assert_eq!((accuracy.at(-2.1), accuracy.at(2.1)), (None, None));
        assert!(accuracy.describe("Accuracy", &GOAL).starts_with("Accuracy: mean 0.75, 0.75 to 0.75; at 0.5 even"));
    }

    #[test]
    fn what_is_no_measurement_is_no_chart() {
        for (by_level, sigma) in [(vec![], [0.1, 1.0]), (vec![0.5], [0.0, 1.0]), (vec![f32::INFINITY], [0.1, 1.0])] {
            let accuracy = Levels::new(&by_level, sigma);
            assert_eq!(accuracy.describe("Accuracy", &GOAL), "Accuracy: no values yet");
            assert_eq!(accuracy.at(0.5).filter(|text| !text.contains("not measured")), None);
        }
    }
}
