//! A chart of curves by step.
//!
//! The view is ours, not the plot's: the range of steps is common to all charts, and must be known before
//! the columns of pixels are made. So each frame sets the bounds, and what the user did to them is
//! read off afterwards.

use std::collections::BTreeSet;

use eframe::egui::{self, Align2, Color32, Key, RichText, TextStyle, WidgetInfo, vec2};
use egui_plot::{FilledArea, HoverPosition, Line, LineStyle, Plot, PlotPoint, PlotPoints, PlotUi, Points, VLine};

use super::super::theme::Theme;
use super::Compared;
use super::axis::{log_marks, marks, short, steps, tick, with_margin, x_axis};
use super::definitions::Trace;
use super::history::Curves;
use super::marks::Mark;
use super::series::Column;

/// What a chart shows.
pub struct Lines<'a> {
    pub title: &'a str,
    pub traces: &'a [Trace],
    pub curves: &'a Curves,
    pub behind: Option<&'a Compared>,
    pub marks: &'a [Mark],
    /// First and last step of the view.
    pub x: [f64; 2],
    /// Least and greatest value of the view, if the user chose them.
    pub y: Option<[f64; 2]>,
    pub log: bool,
    /// Names of curves that are not drawn.
    pub hidden: &'a BTreeSet<String>,
    pub theme: &'a Theme,
}

/// What the user did to the view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// A curve that is to be hidden, or shown again.
    pub switched: Option<String>,
    /// The steps to show.
    pub x: Option<[f64; 2]>,
    /// The values to show.
    pub y: Option<[f64; 2]>,
    /// Everything again.
    pub reset: bool,
}

/// A curve as it is drawn.
struct Drawn {
    name: String,
    /// Its latest value.
    last: f64,
    color: Color32,
    columns: Vec<Column>,
    /// The same statistic of the other run.
    behind: Vec<Column>,
}

/// Points of the screen between values that are drawn as dots, too.
const APART: f64 = 6.0;
/// Strength of grid lines against that of text.
pub const GRID: f32 = 0.35;

impl Lines<'_> {
    /// Draws the chart into what is left of `ui`.
    pub fn show(&self, ui: &mut egui::Ui) -> Moved {
        let limit = (ui.available_width() * ui.pixels_per_point()).clamp(16.0, 16384.0) as usize;
        let mut drawn = self.columns(limit, ui.visuals().text_color());
        let switched = self.legend(ui, &drawn);
        drawn.retain(|curve| !self.hidden.contains(&curve.name));
        let [y0, y1] = self.y.unwrap_or_else(|| range(&drawn));
        let [x0, x1] = self.x;
        let per_point = (x1 - x0) / f64::from(ui.available_width().max(1.0));
        let marked = ui.visuals().weak_text_color();

        let mut plot = Plot::new("lines")
            .allow_scroll(false) // wheel and trackpad: see `navigate`
            .allow_zoom([true, false])
            .allow_drag([true, false])
            .show_y(false)
            .link_cursor(egui::Id::unique("onestep plots"), [true, false])
            .grid_color(ui.visuals().text_color().gamma_multiply(GRID))
            .x_grid_spacer(|input| marks(&input, 7.0)) // wide enough for a number of steps
            .custom_x_axes(vec![x_axis(steps)])
            .label_formatter(|hover| {
                let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) = hover;
                Some(self.at(position.x, 5.0 * per_point))
            });
        plot = if self.log {
            plot.y_grid_spacer(|input| log_marks(&input)).y_axis_formatter(|mark, _| short(10_f64.powf(mark.value)))
        } else {
            let plot = plot.y_grid_spacer(|input| marks(&input, 4.0)); // a little more than a line of text
            plot.y_axis_formatter(|mark, _| tick(mark.value, mark.step_size))
        };
        let shown = plot.show(ui, |plot| {
            plot.set_plot_bounds_x(x0..=x1);
            plot.set_plot_bounds_y(y0..=y1);
            self.draw_marks(plot, per_point, marked);
            for curve in &drawn {
                curve.draw(plot, per_point);
            }
        });

        let response = shown.response;
        let label = self.describe();
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, &label));
        if drawn.iter().all(Drawn::is_empty) {
            let font = TextStyle::Body.resolve(ui.style());
            ui.painter().text(response.rect.center(), Align2::CENTER_CENTER, "no values yet", font, marked);
        }
        if response.has_focus() {
            let stroke = ui.visuals().selection.stroke;
            ui.painter().rect_stroke(response.rect, 2.0, stroke, egui::StrokeKind::Inside);
        }
        let bounds = shown.transform.bounds();
        let changed = |now: [f64; 2], set: [f64; 2]| (now != set).then_some(now);
        let pointer = response.hover_pos().map(|position| shown.transform.value_from_position(position).x);
        let x = changed([bounds.min()[0], bounds.max()[0]], self.x);
        Moved {
            switched,
            x: x.or_else(|| navigate(ui, &response, pointer, self.x, per_point)),
            y: changed([bounds.min()[1], bounds.max()[1]], [y0, y1]),
            reset: response.double_clicked() || (response.has_focus() && ui.input(|i| i.key_pressed(Key::Home))),
        }
    }

    /// The names of the curves with their latest values, above the chart; the one that was switched on or off.
    fn legend(&self, ui: &mut egui::Ui, drawn: &[Drawn]) -> Option<String> {
        let mut switched = None;
        let there: Vec<&Drawn> = drawn.iter().filter(|curve| !curve.is_empty()).collect();
        ui.horizontal_wrapped(|ui| {
            for curve in &there {
                let value = if curve.columns.is_empty() { String::new() } else { format!(" {}", short(curve.last)) };
                let text = RichText::new(format!("{}{value}", curve.name)).small().color(curve.color);
                if there.len() == 1 {
                    ui.label(text);
                    continue;
                }
                let mut on = !self.hidden.contains(&curve.name);
                if ui.checkbox(&mut on, text).on_hover_text("Draw this curve.").changed() {
                    switched = Some(curve.name.clone());
                }
            }
        });
        switched
    }

    fn columns(&self, limit: usize, text: Color32) -> Vec<Drawn> {
        let of = |curves: &Curves, key: &String| {
            curves.get(key).map(|c| c.shown().columns(self.x, limit)).unwrap_or_default()
        };
        let drawn = |trace: &Trace| Drawn {
            name: trace.name.clone(),
            last: self.curves.get(&trace.key).and_then(|c| c.shown().last()).map_or(0.0, |(_, v)| self.value(v)),
            color: trace.color(self.theme, text),
            columns: of(self.curves, &trace.key),
            behind: self.behind.map(|other| of(&other.curves, &trace.key)).unwrap_or_default(),
        };
        self.traces.iter().map(drawn).collect()
    }

    /// The value at a height of the chart.
    fn value(&self, height: f64) -> f64 {
        if self.log { 10_f64.powf(height) } else { height }
    }

    /// Vertical lines where a setting changed, at most one per point of the screen.
    fn draw_marks(&self, plot: &mut PlotUi<'_>, per_point: f64, color: Color32) {
        let mut last = f64::NEG_INFINITY;
        for mark in self.marks {
            let step = mark.step as f64;
            if (self.x[0]..=self.x[1]).contains(&step) && step - last >= per_point {
                last = step;
                let style = LineStyle::Dotted { spacing: 4.0 };
                plot.vline(VLine::new("", step).id("mark").color(color).width(1.0).style(style));
            }
        }
    }

    /// All curves at a step, and the changes within `reach` of it.
    fn at(&self, x: f64, reach: f64) -> String {
        let margin = 0.01 * (self.x[1] - self.x[0]);
        let near = |curves: &Curves, key: &str| {
            let curve = curves.get(key)?;
            let [first, last] = curve.linear().extent()?;
            let (step, value, _) = curve.linear().nearest(x)?;
            let smooth = curve.shown().nearest(x).map_or(value, |(_, _, smooth)| self.value(smooth));
            ((first as f64 - margin)..=(last as f64 + margin)).contains(&x).then_some((step, value, smooth))
        };
        let values: Vec<_> =
            self.traces.iter().filter_map(|t| Some((t.name.as_str(), near(self.curves, &t.key)?))).collect();
        let distance = |step: u64| (step as f64 - x).abs();
        let closest = values.iter().map(|(_, (step, ..))| *step).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        let mut lines = vec![closest.map_or_else(|| format!("step {x:.0}"), |step| format!("step {step}"))];
        for (name, (step, value, smooth)) in values {
            let (value, smooth) = (short(value), short(smooth));
            let smoothed = if value == smooth { String::new() } else { format!(", smoothed {smooth}") };
            let elsewhere = if Some(step) == closest { String::new() } else { format!(" (step {step})") };
            lines.push(format!("{name}: {value}{smoothed}{elsewhere}"));
        }
        if let Some(other) = self.behind {
            let values = self.traces.iter().filter_map(|t| Some((t.name.as_str(), near(&other.curves, &t.key)?)));
            let line =
                |(name, (_, value, _)): (&str, (u64, f64, f64))| format!("{name}: {} in {}", short(value), other.name);
            lines.extend(values.map(line));
        }
        let marks = self.marks.iter().filter(|mark| (mark.step as f64 - x).abs() <= reach);
        lines.extend(marks.take(6).map(|mark| format!("step {}: {}", mark.step, mark.text)));
        lines.join("\n")
    }

    /// The chart in words: `Loss: ratio 1.23, generator 0.4 at step 500`.
    fn describe(&self) -> String {
        let values: Vec<_> = self
            .traces
            .iter()
            .filter_map(|t| Some((t.name.as_str(), self.curves.get(&t.key)?.shown().last()?)))
            .collect();
        let Some(newest) = values.iter().map(|(_, (step, _))| *step).max() else {
            return format!("{}: no values yet", self.title);
        };
        let ended = values.iter().filter(|(_, (step, _))| *step < newest);
        let ended = ended.map(|(name, (step, value))| format!("; {name} {} at step {step}", short(self.value(*value))));
        let current = values.iter().filter(|(_, (step, _))| *step == newest);
        let current: Vec<_> = current.map(|(name, (_, v))| format!("{name} {}", short(self.value(*v)))).collect();
        let other = self.behind.into_iter().flat_map(|other| {
            let last = |t: &Trace| Some((t.name.clone(), other.curves.get(&t.key)?.shown().last()?.1));
            let values = self.traces.iter().filter_map(last);
            values.map(|(name, value)| format!("; {name} {} in {}", short(self.value(value)), other.name))
        });
        let rest: String = ended.chain(other).collect();
        format!("{}: {} at step {newest}{rest}", self.title, current.join(", "))
    }
}

impl Drawn {
    fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.behind.is_empty()
    }

    fn draw(&self, plot: &mut PlotUi<'_>, per_point: f64) {
        let id = self.name.as_str();
        if !self.behind.is_empty() {
            let line = Line::new("", points(&self.behind)).id(id).allow_hover(false);
            plot.line(line.color(self.color.gamma_multiply(0.7)).width(1.0).style(LineStyle::dashed_dense()));
        }
        let [Some(first), Some(last)] = [self.columns.first(), self.columns.last()] else { return };
        if self.columns.iter().any(|column| column.min < column.max || column.min != column.smooth) {
            let [x, min, max] = [|c: &Column| c.step, |c: &Column| c.min, |c: &Column| c.max]
                .map(|part| self.columns.iter().map(part).collect::<Vec<f64>>());
            let band = FilledArea::new("", &x, &min, &max).id(id).allow_hover(false);
            // The edge shows where the band has no height: one value in a column.
            let edge = egui::Stroke::new(1.0, self.color.gamma_multiply(0.3));
            plot.add(band.fill_color(self.color.gamma_multiply(0.2)).stroke(edge));
        }
        if last.step - first.step >= (self.columns.len() - 1) as f64 * APART * per_point {
            let dots = Points::new("", points(&self.columns)).id(id).allow_hover(false);
            plot.points(dots.color(self.color).radius(2.0));
        }
        let line = Line::new("", points(&self.columns)).id(id);
        plot.line(line.allow_hover(false).color(self.color).width(1.75));
    }
}

fn points(columns: &[Column]) -> PlotPoints<'static> {
    PlotPoints::Owned(columns.iter().map(|column| PlotPoint::new(column.step, column.smooth)).collect())
}

/// The heights that a chart needs.
fn range(drawn: &[Drawn]) -> [f64; 2] {
    let own = drawn.iter().flat_map(|curve| &curve.columns).flat_map(|c| [c.min, c.max, c.smooth]);
    let behind = drawn.iter().flat_map(|curve| &curve.behind).map(|c| c.smooth);
    let [low, high] =
        own.chain(behind).fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
    if low <= high { with_margin([low, high]) } else { [0.0, 1.0] }
}

/// Wheel and trackpad over the chart, keys when it has the focus: the new range of steps, if any.
fn navigate(
    ui: &egui::Ui,
    response: &egui::Response,
    pointer: Option<f64>,
    [x0, x1]: [f64; 2],
    per_point: f64,
) -> Option<[f64; 2]> {
    /// Points of wheel that zoom by a factor of e.
    const WHEEL: f32 = 200.0;
    let zoom = |center: f64, factor: f64| Some([center + (x0 - center) / factor, center + (x1 - center) / factor]);
    let scroll = if response.contains_pointer() {
        // Taken away, so that nothing around the charts scrolls as well.
        ui.input_mut(|input| std::mem::take(&mut input.smooth_scroll_delta))
    } else {
        vec2(0.0, 0.0)
    };
    let center = pointer.unwrap_or(0.5 * (x0 + x1));
    if scroll.y != 0.0 {
        return zoom(center, f64::from((scroll.y / WHEEL).exp()));
    }
    if scroll.x != 0.0 {
        let by = -f64::from(scroll.x) * per_point;
        return Some([x0 + by, x1 + by]);
    }
    if response.has_focus() {
        let pressed = |keys: &[Key]| ui.input(|input| keys.iter().any(|key| input.key_pressed(*key)));
        if pressed(&[Key::Plus, Key::Equals]) {
            return zoom(x1, 1.5); // the newest stay
        }
        if pressed(&[Key::Minus]) {
            return zoom(x1, 1.0 / 1.5);
        }
    }
    None
}
