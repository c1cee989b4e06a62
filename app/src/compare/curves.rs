//! Quality against what was spent, a curve per method, as a drawing.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::Results;
use crate::plot::Drawing;

/// The curves of a comparison.
pub struct Curves<'a> {
    pub results: &'a Results,
    /// Methods, with what was spent, mean, least and most at each point.
    pub lines: Vec<(&'a str, Vec<[f64; 4]>)>,
}

/// Room for the methods' names on the right, at least, and for a letter; and for each of them, in pixels.
const NAMES: u32 = 150;
const LETTER: u32 = 8;
const NAME: i32 = 18;
/// Of so many methods, the range over seeds is drawn behind each mean; of more it would hide the others.
const WITH_RANGES: usize = 8;

impl Curves<'_> {
    /// Pixels that so many methods need.
    pub fn size(methods: usize) -> (u32, u32) {
        (960, 560.max(110 + NAME as u32 * methods as u32))
    }

    /// How wide the names are.
    fn names(&self) -> u32 {
        let letters = self.lines.iter().map(|(name, _)| name.len() as u32).max().unwrap_or(0);
        NAMES.max(LETTER * letters + 12)
    }
}

/// A colour for each of any number: hues by the golden angle, in turn dark and light.
fn color(number: usize) -> RGBAColor {
    let hue = (number as f64 * 0.381_966).fract();
    HSLColor(hue, 0.85, if number.is_multiple_of(2) { 0.34 } else { 0.5 }).to_rgba()
}

/// Heights at which names stand that belong to `ends`, which ascend: as near as they can without touching, within
/// `range`.
fn spread(ends: &[i32], range: [i32; 2]) -> Vec<i32> {
    let mut places: Vec<i32> = Vec::with_capacity(ends.len());
    for &end in ends {
        places.push(places.last().map_or(end, |last| end.max(last + NAME)).max(range[0]));
    }
    let mut lowest = range[1];
    for place in places.iter_mut().rev() {
        *place = (*place).min(lowest);
        lowest = *place - NAME;
    }
    places
}

impl Drawing for Curves<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let Self { results, lines } = self;
        let names = self.names();
        let (scale, unit) = if results.unit == "operations" { (1e-12, "TFLOP") } else { (1.0, "seconds") };
        let all = || lines.iter().flat_map(|(_, band)| band);
        let least = |i: usize| all().map(|point| point[i]).fold(f64::INFINITY, f64::min);
        let most = |i: usize| all().map(|point| point[i]).fold(0.0, f64::max);
        let x = (0.95 * least(0) * scale)..(1.02 * most(0) * scale);
        let y = (0.8 * least(2))..(1.25 * most(3));
        area.fill(&WHITE)?;
        let (width, height) = area.dim_in_pixel();
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{}, {} each", results.data, results.budget), ("sans-serif", 20))
            .margin(12)
            .margin_right(12 + names)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y.log_scale())?;
        let metric = results.metrics.first().map_or("", String::as_str);
        // A mark such as 0.6 is not just that in binary.
        let mark = |y: &f64| format!("{}", (y * 1e6).round() / 1e6);
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(unit).y_desc(metric).y_label_formatter(&mark).light_line_style(WHITE).draw()?;
        let mut ends = Vec::new();
        for (number, (method, band)) in lines.iter().enumerate() {
            let color = color(number);
            let edge = |i: usize| band.iter().map(move |point| (point[0] * scale, point[i]));
            if lines.len() <= WITH_RANGES {
                let outline: Vec<(f64, f64)> = edge(2).chain(edge(3).collect::<Vec<_>>().into_iter().rev()).collect();
                chart.draw_series([Polygon::new(outline, color.mix(0.15))])?;
            }
            chart.draw_series(LineSeries::new(edge(1), color.stroke_width(2)))?;
            ends.extend(edge(1).next_back().map(|end| (chart.backend_coord(&end), *method, color)));
        }
        ends.sort_by_key(|((_, y), ..)| *y);
        let heights: Vec<i32> = ends.iter().map(|((_, y), ..)| *y).collect();
        let left = (width - names) as i32;
        for (((x, y), method, color), place) in ends.into_iter().zip(spread(&heights, [40, height as i32 - 20])) {
            area.draw(&PathElement::new([(x, y), (left - 8, place), (left, place)], color.mix(0.7)))?;
            area.draw(&Text::new(method, (left + 4, place - 9), ("sans-serif", 15).into_font().color(&color)))?;
        }
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_curves_ends_and_do_not_touch() {
        assert_eq!(spread(&[100, 200, 300], [40, 540]), [100, 200, 300]);
        assert_eq!(spread(&[100, 101, 102, 300], [40, 540]), [100, 118, 136, 300]);
        assert_eq!(spread(&[10, 530, 539, 545], [40, 540]), [40, 504, 522, 540]);
    }
}
