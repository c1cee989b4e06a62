//! Errors by noise level, a panel per student.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::record::{Cell, Record, Run, Way};
use super::ways::is_compared;
use crate::plot::{self, Drawing};

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The error of the difference of the scores.
    Field,
    /// The error of the generator's gradient.
    Gradient,
}

impl What {
    pub const ALL: [Self; 2] = [Self::Field, Self::Gradient];

    /// Name of the picture's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Gradient => "gradient",
        }
    }

    fn of(self, run: &Run, level: usize) -> f64 {
        match self {
            Self::Field => run.field[level],
            Self::Gradient => run.levels[level].error,
        }
    }
}

/// Colours of the ways, in their order: warm for denoisers, cold for ratios.
pub const COLORS: [RGBColor; 6] = [
    RGBColor(190, 30, 45),
    RGBColor(240, 150, 60),
    RGBColor(25, 60, 150),
    RGBColor(90, 170, 230),
    RGBColor(30, 140, 90),
    RGBColor(120, 120, 120),
];

/// Pixels of a panel, and of the strip of names above all.
const PANEL: (u32, u32) = (340, 250);
const STRIP: u32 = 86;

/// Writes one picture in both forms.
pub fn save(record: &Record, what: What, folder: &Path, name: &str) -> anyhow::Result<()> {
    let columns = record.settings.distances.len() as u32;
    let size = ((columns * PANEL.0).max(720), STRIP + record.settings.dims.len() as u32 * PANEL.1);
    plot::save(&Panels { record, what }, folder, name, size)
}

struct Panels<'a> {
    record: &'a Record,
    what: What,
}

impl Drawing for Panels<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        area.fill(&WHITE)?;
        let (strip, rest) = area.split_vertically(STRIP);
        self.names(&strip)?;
        let settings = &self.record.settings;
        let panels = rest.split_evenly((settings.dims.len(), settings.distances.len()));
        let places = settings.dims.iter().flat_map(|dim| settings.distances.iter().map(move |d| (*dim, *d)));
        for (panel, (dim, distance)) in panels.iter().zip(places) {
            if let Some(cell) = self.record.cell(dim, distance) {
                self.panel(cell, panel)?;
            }
        }
        area.present()
    }
}

/// The ways that are compared, by the number of their colour.
fn compared(cell: &Cell) -> impl Iterator<Item = (usize, &Way)> {
    cell.ways.iter().enumerate().filter(|(_, way)| is_compared(&way.name))
}

impl Panels<'_> {
    fn names<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        /// Names in a row, room for each, and between rows.
        const ROW: usize = 2;
        const ROOM: usize = 360;
        const LINE: usize = 22;
        for (place, (number, way)) in self.record.cells.iter().take(1).flat_map(compared).enumerate() {
            let (x, y) = ((place % ROW * ROOM + 14) as i32, (place / ROW * LINE + 20) as i32);
            let color = COLORS[number].to_rgba();
            area.draw(&PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3)))?;
            area.draw(&Text::new(way.name.clone(), (x + 26, y - 8), ("sans-serif", 15)))?;
        }
        Ok(())
    }

    fn panel<B: DrawingBackend>(
        &self,
        cell: &Cell,
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        /// Errors that are drawn: below, nobody asks which is less, and above, both are useless.
        const RANGE: (f64, f64) = (1e-3, 1e3);
        let levels = &self.record.levels;
        let (first, last) = (f64::from(levels[0]), f64::from(levels[levels.len() - 1]));
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{} dimensions, {}", cell.dim, cell.distance), ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(48)
            .build_cartesian_2d((first..last).log_scale(), (RANGE.0..RANGE.1).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("sigma")
            .y_desc(format!("error of the {}", self.what.name()))
            .y_label_formatter(&|y| format!("{y}"))
            .light_line_style(WHITE)
            .draw()?;
        chart.draw_series(LineSeries::new([(first, 1.0), (last, 1.0)], BLACK.mix(0.5)))?;
        for (number, way) in compared(cell) {
            let color = COLORS[number].to_rgba();
            let at = |fold: fn(&[f64]) -> f64| -> Vec<(f64, f64)> {
                let of = |level: usize| way.runs.iter().map(|run| self.what.of(run, level)).collect::<Vec<_>>();
                let point =
                    |(level, sigma): (usize, &f32)| (f64::from(*sigma), fold(&of(level)).clamp(RANGE.0, RANGE.1));
                levels.iter().enumerate().map(point).collect()
            };
            let low = at(|values| values.iter().copied().fold(f64::INFINITY, f64::min));
            let high = at(|values| values.iter().copied().fold(0.0, f64::max));
            let outline: Vec<(f64, f64)> = low.into_iter().chain(high.into_iter().rev()).collect();
            chart.draw_series([Polygon::new(outline, color.mix(0.15))])?;
            let mean = at(|values| values.iter().sum::<f64>() / values.len().max(1) as f64);
            chart.draw_series(LineSeries::new(mean, color.stroke_width(2)))?;
        }
        Ok(())
    }
}
