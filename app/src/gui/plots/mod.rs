//! Charts of a run: what its method records, quality, speed.
//!
//! [`Charts`] takes what a session tells and draws as many charts side by side as fit. All of them show the same
//! steps. [`pyramid`] makes that cheap for any number of points: a frame costs the columns of pixels
//! times a logarithm. File dialogs are the host's: [`Charts::show`] returns a [`Request`].

mod axis;
mod bar;
mod definitions;
mod export;
mod history;
mod levels;
mod lines;
mod marks;
mod pyramid;
mod series;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use eframe::egui::{self, Rect, UiBuilder, vec2};
use onestep_core::files::FileError;
use onestep_core::train::Alarm;

pub use self::axis::short;
use self::definitions::{Chart, Kind};
use self::history::Curves;
use self::levels::Levels;
use self::lines::Lines;
use self::marks::Mark;
use super::files::SavedRun;
use super::theme::Theme;
use super::training::Declared;

/// What the host is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Ask for a file, then call [`Charts::write_csv`].
    SaveCsv,
    /// Take a screenshot and ask for a file, then call [`Charts::save_picture`] with this part of the window (in points).
    SavePng(Rect),
    /// Ask for a run's folder, then call [`Charts::compare`].
    ChooseComparison,
    /// Call [`Charts::compare`] with this folder.
    Compare(PathBuf),
}

/// Another run.
struct Compared {
    name: String,
    curves: Curves,
}

/// How the user wants a chart.
struct Panel {
    log: bool,
    /// Least and greatest value, if they were chosen.
    y: Option<[f64; 2]>,
    /// Names of the curves that are not drawn.
    hidden: BTreeSet<String>,
}

/// The charts of a run.
pub struct Charts {
    curves: Curves,
    levels: Levels,
    /// What there is to see.
    shown: Vec<Chart>,
    /// How the method says that a run has failed.
    alarms: Vec<Alarm>,
    /// In the order of steps.
    marks: Vec<Mark>,
    compared: Option<Compared>,
    /// Damaged lines in the files that were read.
    damaged: usize,
    /// First and last step of the view, unless it follows the newest.
    view: Option<[f64; 2]>,
    smoothing: f64,
    /// One per chart.
    panels: Vec<Panel>,
    /// The leftmost chart.
    first: usize,
}

impl Default for Charts {
    fn default() -> Self {
        Self {
            curves: Curves::new(),
            levels: Levels::default(),
            shown: Vec::new(),
            alarms: Vec::new(),
            marks: Vec::new(),
            compared: None,
            damaged: 0,
            view: None,
            smoothing: 0.6,
            panels: Vec::new(),
            first: 0,
        }
    }
}

/// Points that a chart needs to be readable.
const LEAST_WIDTH: f32 = 220.0;
/// As above; a panel with less shows a part of its charts.
const LEAST_HEIGHT: f32 = 90.0;
/// A panel that is higher than two of these has charts below each other.
const ROW_HEIGHT: f32 = 150.0;

impl Charts {
    /// Without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the values of a step. Each curve that has values at this step or later loses those:
    /// a run that was resumed from an earlier checkpoint tells those steps anew.
    pub fn add(&mut self, step: u64, values: &BTreeMap<String, f64>) {
        history::push(&mut self.curves, step, values.iter().map(|(name, value)| (name, *value)));
    }

    /// Forgets the run, and takes what another one's method declares.
    pub fn declare(&mut self, declared: &Declared) {
        self.clear();
        let charts = definitions::charts(declared);
        if charts != self.shown {
            let panel = |chart: &Chart| Panel {
                log: matches!(chart.kind, Kind::Lines { log: true, .. }),
                y: None,
                hidden: BTreeSet::new(),
            };
            self.panels = charts.iter().map(panel).collect();
            self.shown = charts;
        }
        self.alarms.clone_from(&declared.recipe.alarms);
    }

    /// Sets the numbers by noise level, in bins that are equal in log sigma; 0 and NaN mean not measured yet.
    pub fn set_levels(&mut self, by_level: &[f32], sigma: [f32; 2]) {
        self.levels = Levels::new(by_level, sigma);
    }

    /// A phase of the run begins at this step.
    pub fn phase(&mut self, step: u64, name: &str) {
        marks::insert(&mut self.marks, Mark::phase(step, name));
    }

    /// A setting changed at this step, after so many seconds of the run; `goes_on` with its last change if both are
    /// parts of one drag.
    pub fn change(&mut self, step: u64, secs: f64, knob: &str, values: [&str; 2], goes_on: bool) {
        marks::change(&mut self.marks, step, secs, knob, values, goes_on);
    }

    /// Steps at which something changed, and what.
    pub fn marks(&self) -> Vec<(u64, &str)> {
        self.marks.iter().map(|mark| (mark.step, mark.text.as_str())).collect()
    }

    /// Forgets the run, but not the other run nor what the user chose.
    pub fn clear(&mut self) {
        self.curves.clear();
        self.levels = Levels::default();
        self.marks.clear();
        self.damaged = 0;
        self.view = None;
        self.panels.iter_mut().for_each(|panel| panel.y = None);
    }

    /// Starts with what a run's folder says up to a step, at which the run goes on; call it before the first
    /// [`Charts::add`] of a resumed run. Replaces the curves. An incomplete last line is skipped, other damaged lines are
    /// as well, and counted.
    pub fn load(&mut self, run: &Path, until: u64) -> Result<(), String> {
        let history = history::read(run)?;
        self.clear();
        self.curves = history.curves;
        // What came after that was left, and is made anew.
        self.curves.values_mut().for_each(|curve| curve.cut(until.saturating_add(1)));
        self.damaged = history.damaged;
        self.marks = marks::read(run);
        self.marks.retain(|mark| mark.step <= until);
        Ok(())
    }

    /// The last value of a statistic, not smoothed.
    pub fn latest(&self, name: &str) -> Option<f64> {
        Some(self.curves.get(name)?.linear().nearest(f64::INFINITY)?.1)
    }

    /// What the method says that the last line of statistics means, if it means that the run has failed.
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarms.iter().copied().find(|alarm| (alarm.rings)(&|name| self.latest(name)))
    }

    /// Damaged lines that [`Charts::load`] skipped; the user sees the number as well.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Draws another run behind this one.
    pub fn compare(&mut self, run: &Path) -> Result<(), String> {
        let curves = history::read(run)?.curves;
        if curves.is_empty() {
            let fix = "choose a run that has taken some steps";
            return Err(format!(
                "{}: wanted curves to compare with, got none; {fix}",
                run.join("stats.jsonl").display()
            ));
        }
        // The folder may have been given as `.`.
        let full = std::path::absolute(run).unwrap_or_else(|_| run.into());
        let name = full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned();
        self.compared = Some(Compared { name, curves });
        Ok(())
    }

    /// The name of the run that is drawn behind this one.
    pub fn compared(&self) -> Option<&str> {
        self.compared.as_ref().map(|other| other.name.as_str())
    }

    /// Removes the other run.
    pub fn stop_comparing(&mut self) {
        self.compared = None;
    }

    /// Writes this run's curves as a table.
    pub fn write_csv(&self, path: &Path) -> Result<(), FileError> {
        export::write_csv(&self.curves, path)
    }

    /// Writes the part of a screenshot in `rect` (in points) as a PNG.
    pub fn save_picture(
        path: &Path,
        screenshot: &egui::ColorImage,
        rect: Rect,
        pixels_per_point: f32,
    ) -> Result<(), FileError> {
        export::save_picture(path, screenshot, rect, pixels_per_point)
    }

    /// Draws the controls and the charts into what is left of `ui`; `others` are runs to compare with.
    pub fn show(&mut self, ui: &mut egui::Ui, theme: &Theme, others: &[SavedRun]) -> Option<Request> {
        let gap = ui.spacing().item_spacing;
        let fitting = |space: f32, gap: f32, least: f32| (((space + gap) / (least + gap)).floor() as usize).max(1);
        let columns = fitting(ui.available_width(), gap.x, LEAST_WIDTH).min(self.shown.len());
        let rows = match ui.available_height() {
            height if height.is_finite() => fitting(height - ui.spacing().interact_size.y, gap.y, ROW_HEIGHT),
            _ => 1,
        };
        let rows = rows.min(self.shown.len().div_ceil(columns.max(1)));
        let fit = (columns * rows).min(self.shown.len());
        self.first = self.first.min(self.shown.len() - fit);
        let mut request = self.bar(ui, fit, others);

        let space = ui.available_size();
        let height = if space.y.is_finite() { space.y.max(LEAST_HEIGHT) } else { 3.0 * LEAST_HEIGHT };
        let (whole, _) = ui.allocate_exact_size(vec2(space.x, height), egui::Sense::hover());
        let pitch = (whole.size() + gap) / vec2(columns.max(1) as f32, rows.max(1) as f32);
        for place in 0..fit {
            let corner = whole.min + pitch * vec2((place % columns) as f32, (place / columns) as f32);
            let rect = Rect::from_min_size(corner, pitch - gap);
            let chart = self.first + place;
            let builder = UiBuilder::new().id_salt(("chart", chart)).max_rect(rect);
            let mut ui = ui.new_child(builder.layout(egui::Layout::top_down(egui::Align::Min)));
            ui.set_clip_rect(rect.intersect(ui.clip_rect()));
            self.show_chart(&mut ui, chart, theme);
        }
        if let Some(Request::SavePng(rect)) = &mut request {
            *rect = whole;
        }
        request
    }

    fn show_chart(&mut self, ui: &mut egui::Ui, index: usize, theme: &Theme) {
        // Room for the plot even if the theme's text is large.
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.visuals_mut().extreme_bg_color = theme.canvas;
        let chart = self.shown[index].clone();
        ui.horizontal(|ui| {
            ui.add(egui::Label::new(egui::RichText::new(&chart.title).strong()).truncate()).on_hover_text(&chart.help);
            if let Kind::Lines { .. } = chart.kind {
                let panel = &mut self.panels[index];
                let log = ui.checkbox(&mut panel.log, egui::RichText::new("Logarithmic").small());
                if log
                    .on_hover_text("The vertical axis counts powers of ten; values of 0 and less are left out.")
                    .changed()
                {
                    panel.y = None;
                }
            }
        });
        let (traces, instead) = match &chart.kind {
            Kind::Lines { traces, instead, .. } => (traces, instead),
            Kind::Levels(goal) => {
                let alarm = self.alarm().map(|alarm| alarm.about);
                return self.levels.show(ui, &chart.title, goal, alarm, theme);
            }
        };
        let other = |key: &String| self.compared.as_ref().is_some_and(|other| other.curves.contains_key(key));
        let any = traces.iter().any(|trace| self.curves.contains_key(&trace.key) || other(&trace.key));
        let traces = if any || instead.is_empty() { traces } else { instead };
        let x = self.steps();
        let panel = &self.panels[index];
        for trace in traces {
            let curves = self.curves.get_mut(&trace.key).into_iter();
            let others = self.compared.as_mut().and_then(|other| other.curves.get_mut(&trace.key));
            curves.chain(others).for_each(|curve| curve.prepare(panel.log, self.smoothing));
        }
        let lines = Lines {
            title: &chart.title,
            traces,
            curves: &self.curves,
            behind: self.compared.as_ref(),
            marks: &self.marks,
            x,
            y: panel.y,
            log: panel.log,
            hidden: &panel.hidden,
            theme,
        };
        let moved = lines.show(ui);
        self.apply(moved, index);
    }
}

#[cfg(test)]
mod tests;
