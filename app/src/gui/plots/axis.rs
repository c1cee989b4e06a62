//! Numbers on axes: ranges, tick marks of a logarithmic scale, and short spellings.

use egui_plot::{AxisHints, GridInput, GridMark};

/// `low` to `high` with room around, also where all values are one.
pub fn with_margin([low, high]: [f64; 2]) -> [f64; 2] {
    // Below this share of the values the digits of an f64 are no longer worth an axis.
    let least = 1e-6 * low.abs().max(high.abs());
    let extent = high - low;
    let pad = if extent > least {
        0.06 * extent
    } else if least > 0.0 {
        0.1 * low.abs().max(high.abs())
    } else {
        1.0
    };
    [low - pad, high + pad]
}

/// Marks of an axis at round numbers, `spacing` times the least distance of grid lines apart or a little more.
pub fn marks(input: &GridInput, spacing: f64) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    let step_size = round_step(spacing * input.base_step_size);
    if !(step_size.is_finite() && step_size > 0.0) {
        return Vec::new();
    }
    let marks = (low / step_size).ceil() as i64..=(high / step_size).floor() as i64;
    // The bound is for ranges so far from 0 that a step is less than their precision.
    marks.take(1000).map(|i| GridMark { value: i as f64 * step_size, step_size }).collect()
}

/// Marks of an axis of logarithms: decades with 2 to 9 between, or, within less than a decade, round numbers.
pub fn log_marks(input: &GridInput) -> Vec<GridMark> {
    let (low, high) = input.bounds;
    let extent = high - low;
    if !(extent > 1e-9 && low.abs() < 300.0 && high.abs() < 300.0) {
        return Vec::new();
    }
    if extent < 1.0 {
        let (from, to) = (10_f64.powf(low), 10_f64.powf(high));
        let step = round_step((to - from) / 5.0);
        let marks = (from / step).ceil() as i64..=(to / step).floor() as i64;
        let mark = |value: f64| GridMark { value: value.log10(), step_size: ((value + step) / value).log10() };
        return marks.filter(|i| *i > 0).map(|i| mark(i as f64 * step)).collect();
    }
    let stride = (extent / 8.0).ceil() as usize;
    let mut marks = Vec::new();
    for decade in (low.floor() as i32..=high.ceil() as i32).filter(|d| d.rem_euclid(stride as i32) == 0) {
        marks.push(GridMark { value: f64::from(decade), step_size: stride as f64 });
        for digit in (2..=9).filter(|_| stride == 1) {
            let digit = f64::from(digit);
            marks.push(GridMark { value: f64::from(decade) + digit.log10(), step_size: (1.0 + 1.0 / digit).log10() });
        }
    }
    marks.retain(|mark| (low..=high).contains(&mark.value)); // the axis would write beyond its ends
    marks
}

/// The least of 1, 2 and 5 times a power of ten that is `least` or more.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// A horizontal axis for a narrow chart: four decades must fit, and no number is cut off at the right edge.
pub fn x_axis(spell: impl Fn(f64) -> String + 'static) -> AxisHints<'static> {
    AxisHints::new_x().label_spacing(30.0..=40.0).formatter(move |mark, range| {
        let place = (mark.value - range.start()) / (range.end() - range.start());
        if place < 0.94 { spell(mark.value) } else { String::new() }
    })
}

/// A number with three digits that count.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.2e}");
        return text.replace(".00e", "e").replace("0e", "e");
    }
    let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
    trimmed(&format!("{value:.decimals$}"))
}

/// A tick's number, as exact as the distance to the next one asks for.
pub fn tick(value: f64, distance: f64) -> String {
    if value.abs() >= 1e5 || (value != 0.0 && distance < 1e-4) {
        return short(value);
    }
    let decimals = (-distance.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// A number of steps on an axis: 500, 1.5k, 20k, 3M.
pub fn steps(value: f64) -> String {
    let (scale, unit) = match value.abs() {
        size if size >= 1e6 => (1e-6, "M"),
        size if size >= 1e4 => (1e-3, "k"),
        _ => (1.0, ""),
    };
    format!("{}{unit}", trimmed(&format!("{:.3}", value * scale)))
}

/// Without zeros behind the point.
fn trimmed(text: &str) -> String {
    if !text.contains('.') {
        return text.into();
    }
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let spelled = [1.2345, 0.4, 12.345, 123456.0, 0.0, -0.05, 1e-7, 2.5e9, 1.0, 999.9].map(short);
        assert_eq!(spelled, ["1.23", "0.4", "12.3", "123456", "0", "-0.05", "1e-7", "2.5e9", "1", "1000"]);
        assert_eq!([500.0, 1500.0, 20_000.0, 2.5e6].map(steps), ["500", "1500", "20k", "2.5M"]);
        assert_eq!([tick(0.5, 0.1), tick(20.0, 10.0), tick(1.25, 0.05)], ["0.5", "20", "1.25"]);
    }

    #[test]
    fn a_range_is_never_empty() {
        for range in [[0.0, 0.0], [3.0, 3.0], [-1e30, -1e30], [1e-30, 1e-30], [0.1, 0.7], [1e9, 1e9 + 1e-6]] {
            let [low, high] = with_margin(range);
            assert!(low < range[0] && high > range[1], "{range:?} became {low} to {high}");
        }
    }

    #[test]
    fn marks_of_decades_and_within_one() {
        let marks = |low, high| log_marks(&GridInput { bounds: (low, high), base_step_size: 0.01 });
        let wide = marks(-1.2, 2.1);
        assert!([-1.0, 0.0, 1.0, 2.0].iter().all(|v| wide.iter().any(|m| m.value == *v)));
        assert!(wide.iter().any(|m| (m.value - 5.0_f64.log10()).abs() < 1e-12));
        // 1.12 to 1.26: round numbers, not round logarithms.
        let narrow: Vec<f64> = marks(0.05, 0.1).iter().map(|m| 10_f64.powf(m.value)).collect();
        assert!(narrow.len() >= 2 && narrow.iter().all(|v| (v * 20.0 - (v * 20.0).round()).abs() < 1e-9), "{narrow:?}");
        assert!(marks(-400.0, 4000.0).is_empty());
        assert!(marks(-150.0, 150.0).len() < 20);
        assert!(marks(0.3, 0.3 + 1e-14).len() < 20);
    }

    #[test]
    fn marks_stand_at_round_numbers() {
        let values = |bounds, base_step_size| -> Vec<f64> {
            marks(&GridInput { bounds, base_step_size }, 10.0).iter().map(|mark| mark.value).collect()
        };
        assert_eq!(values((50.0, 5000.0), 90.0), [1000.0, 2000.0, 3000.0, 4000.0, 5000.0]);
        assert_eq!(values((-0.6, 0.6), 0.05), [-0.5, 0.0, 0.5]);
        assert!(values((1e300, 2e300), 1e-300).len() <= 1000);
        assert!(values((0.0, 1.0), 0.0).is_empty() && values((0.0, 1.0), f64::INFINITY).is_empty());
    }
}
