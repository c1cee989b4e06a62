//! The values of one statistic by step, as one wants to draw them: by pixel column, smoothed, logarithmic.
//!
//! Invariant: steps rise strictly and values are finite. A value at an earlier step than the last replaces
//! what came after, because that is what a run resumed from an earlier checkpoint does.

use super::pyramid::Pyramid;

/// A stretch of steps that shares a column of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// The middle of its steps.
    pub step: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The mean of the smoothed values.
    pub smooth: f64,
}

/// Whether a step and a value can be drawn. NaN and infinities can't; numbers past the range of f32 did not
/// come from a GPU, and their sums could overflow; f64 can't tell steps past 2^53 apart.
fn usable(step: u64, value: f64) -> bool {
    (value as f32).is_finite() && step <= 1 << f64::MANTISSA_DIGITS
}

/// Values by step and their moving average.
#[derive(Clone, Debug, Default)]
pub struct Series {
    steps: Vec<u64>,
    raw: Pyramid,
    smooth: Pyramid,
    /// Weight of the past in the moving average, 0 to below 1.
    smoothing: f64,
}

impl Series {
    /// Appends a value; O(1) on average. One that is not [`usable`] is skipped.
    pub fn push(&mut self, step: u64, value: f64) {
        if !usable(step, value) {
            return;
        }
        self.cut(step);
        self.steps.push(step);
        self.smooth.push(self.smoothed(value));
        self.raw.push(value);
    }

    /// Removes what is at `step` or later.
    pub fn cut(&mut self, step: u64) {
        if self.steps.last().is_some_and(|last| *last >= step) {
            let len = self.steps.partition_point(|s| *s < step);
            self.steps.truncate(len);
            self.raw.truncate(len);
            self.smooth.truncate(len);
        }
    }

    /// The next moving average. Started at 0 and divided by the weight it has seen, so that
    /// the first values count in full (Adam's bias correction).
    fn smoothed(&self, value: f64) -> f64 {
        let seen = self.smooth.values().len() as i32;
        let past = self.smooth.values().last().map_or(0.0, |last| last * (1.0 - self.smoothing.powi(seen)));
        let weight = 1.0 - self.smoothing.powi(seen.saturating_add(1));
        (self.smoothing * past + (1.0 - self.smoothing) * value) / weight
    }

    /// Sets the weight of the past; O(n) if it changed.
    pub fn set_smoothing(&mut self, smoothing: f64) {
        if smoothing == self.smoothing {
            return;
        }
        self.smoothing = smoothing;
        self.smooth.truncate(0);
        for i in 0..self.raw.values().len() {
            self.smooth.push(self.smoothed(self.raw.values()[i]));
        }
    }

    /// The first and the last step.
    pub fn extent(&self) -> Option<[u64; 2]> {
        Some([*self.steps.first()?, *self.steps.last()?])
    }

    /// Steps and values.
    pub fn iter(&self) -> impl Iterator<Item = (u64, f64)> + '_ {
        self.steps.iter().copied().zip(self.raw.values().iter().copied())
    }

    /// Step, value and smoothed value of the point next to `step`.
    pub fn nearest(&self, step: f64) -> Option<(u64, f64, f64)> {
        let after = self.steps.partition_point(|s| (*s as f64) < step);
        let distance = |i: usize| self.steps.get(i).map_or(f64::INFINITY, |s| (*s as f64 - step).abs());
        let i = if after > 0 && distance(after - 1) <= distance(after) { after - 1 } else { after };
        Some((*self.steps.get(i)?, self.raw.values()[i], self.smooth.values()[i]))
    }

    /// The last step and its smoothed value.
    pub fn last(&self) -> Option<(u64, f64)> {
        Some((*self.steps.last()?, *self.smooth.values().last()?))
    }

    /// The columns that cover `from` to `to` and one point on either side, so that lines reach the edges;
    /// `limit` of them and a few. A column is 2^k steps wide and starts at a multiple of that: as a run
    /// grows, columns stay what they were until they all double, and nothing flickers. O(limit log n).
    pub fn columns(&self, [from, to]: [f64; 2], limit: usize) -> Vec<Column> {
        let first = self.steps.partition_point(|s| (*s as f64) < from).saturating_sub(1);
        let last = (self.steps.partition_point(|s| (*s as f64) <= to) + 1).min(self.steps.len());
        let per_column = ((to - from) / limit.max(1) as f64).max(1.0);
        let shift = (per_column.log2().ceil() as u32).min(63);
        let mut start = self.steps.get(first).map_or(0, |f| self.steps.partition_point(|s| s >> shift < f >> shift));
        let mut columns = Vec::new();
        while start < last {
            let column = self.steps[start] >> shift;
            let end = start + self.steps[start..].partition_point(|s| s >> shift == column);
            let raw = self.raw.summary(start..end);
            let smooth = self.smooth.summary(start..end).mean();
            let step = 0.5 * (self.steps[start] as f64 + self.steps[end - 1] as f64);
            columns.push(Column { step, min: raw.min, max: raw.max, smooth });
            start = end;
        }
        columns
    }
}

/// A statistic on a linear scale and, once somebody asked for it, on a logarithmic one.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    linear: Series,
    /// log10 of the positive values: its own series, so that means and extremes are those of the
    /// logarithm and values that have none are simply not there.
    log: Option<Series>,
}

impl Curve {
    /// Appends a value; O(1) on average. One that is not [`usable`] is skipped.
    pub fn push(&mut self, step: u64, value: f64) {
        self.linear.push(step, value);
        if let Some(log) = self.log.as_mut().filter(|_| usable(step, value)) {
            push_log(log, step, value);
        }
    }

    /// Removes what is at `step` or later.
    pub fn cut(&mut self, step: u64) {
        self.linear.cut(step);
        self.log.iter_mut().for_each(|log| log.cut(step));
    }

    /// Gets the scale and the smoothing ready that are drawn next; O(n) when they change.
    pub fn prepare(&mut self, log: bool, smoothing: f64) {
        self.linear.set_smoothing(smoothing);
        if !log {
            self.log = None;
            return;
        }
        let series = self.log.get_or_insert_with(|| {
            let mut series = Series { smoothing, ..Series::default() };
            self.linear.iter().for_each(|(step, value)| push_log(&mut series, step, value));
            series
        });
        series.set_smoothing(smoothing);
    }

    /// The values.
    pub fn linear(&self) -> &Series {
        &self.linear
    }

    /// What [`Curve::prepare`] made ready: the values or their logarithms.
    pub fn shown(&self) -> &Series {
        self.log.as_ref().unwrap_or(&self.linear)
    }
}

fn push_log(log: &mut Series, step: u64, value: f64) {
    if value > 0.0 {
        log.push(step, value.log10());
    } else {
        log.cut(step); // it takes the place of what an abandoned branch had there
    }
}

#[cfg(test)]
mod tests {
    use super::super::pyramid::tests::Numbers;
    use super::*;

    fn series(values: &[(u64, f64)]) -> Series {
        let mut series = Series::default();
        for (step, value) in values {
            series.push(*step, *value);
        }
        series
    }

    #[test]
    fn numbers_that_are_none_are_skipped() {
        let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
        let mut values: Vec<(u64, f64)> = wrong.iter().zip(10..).map(|(v, s)| (s, *v)).collect();
        values.insert(2, (12, 3.0));
        let mut curve = Curve::default();
        curve.prepare(true, 0.5);
        for (step, value) in values {
            curve.push(step, value);
        }
        assert_eq!(curve.linear().iter().collect::<Vec<_>>(), [(12, 3.0)]);
        assert_eq!(curve.shown().iter().collect::<Vec<_>>(), [(12, 3.0_f64.log10())]);
    }

    #[test]
    fn an_earlier_step_replaces_what_came_after() {
        let mut series = series(&[(1, 1.0), (5, 5.0), (9, 9.0), (5, 50.0)]);
        assert_eq!(series.iter().collect::<Vec<_>>(), [(1, 1.0), (5, 50.0)]);
        series.push(0, 7.0);
        assert_eq!(series.iter().collect::<Vec<_>>(), [(0, 7.0)]);
    }

    #[test]
    fn smoothing_is_the_weighted_mean_of_the_past() {
        let mut smooth = series(&[(1, 4.0), (2, 8.0), (3, -2.0)]);
        assert_eq!(smooth.last(), Some((3, -2.0)), "without smoothing");
        smooth.set_smoothing(0.5);
        smooth.push(4, 6.0);
        let wanted = (6.0 + 0.5 * -2.0 + 0.25 * 8.0 + 0.125 * 4.0) / 1.875;
        let (_, got) = smooth.last().unwrap();
        assert!((got - wanted).abs() < 1e-12, "got {got}, wanted {wanted}");
        // A change of the weight and appending under that weight come to the same.
        let mut later = series(&[(1, 4.0), (2, 8.0), (3, -2.0), (4, 6.0)]);
        later.set_smoothing(0.5);
        assert!((later.last().unwrap().1 - wanted).abs() < 1e-12);
    }

    /// The oracle of [`Series::columns`]: groups every value, then keeps what touches the range.
    fn plain(values: &[(u64, f64)], [from, to]: [f64; 2], limit: usize) -> Vec<Column> {
        let mut width = 1;
        while (to - from) / width as f64 > limit as f64 {
            width *= 2;
        }
        let mut groups: Vec<(u64, Vec<(u64, f64)>)> = Vec::new();
        for (step, value) in values {
            match groups.last_mut() {
                Some((group, list)) if *group == step / width => list.push((*step, *value)),
                _ => groups.push((step / width, vec![(*step, *value)])),
            }
        }
        let last_before = values.iter().map(|v| v.0).rfind(|s| (*s as f64) < from).unwrap_or(0);
        let first_after = values.iter().map(|v| v.0).find(|s| (*s as f64) > to).unwrap_or(u64::MAX);
        groups.retain(|(_, list)| list.iter().any(|(s, _)| (last_before..=first_after).contains(s)));
        let column = |list: &Vec<(u64, f64)>| Column {
            step: 0.5 * (list[0].0 as f64 + list[list.len() - 1].0 as f64),
            min: list.iter().map(|v| v.1).fold(f64::INFINITY, f64::min),
            max: list.iter().map(|v| v.1).fold(f64::NEG_INFINITY, f64::max),
            smooth: list.iter().map(|v| v.1).sum::<f64>() / list.len() as f64,
        };
        groups.iter().map(|(_, list)| column(list)).collect()
    }

    #[test]
    fn columns_match_a_plain_loop() {
        let mut numbers = Numbers(3);
        for n in [1_usize, 2, 17, 999, 10_000] {
            let mut step = 0;
            let mut values: Vec<(u64, f64)> = Vec::new();
            for _ in 0..n {
                step += 1 + numbers.below(30) as u64;
                values.push((step, numbers.below(1001) as f64));
            }
            let series = series(&values);
            for limit in [1, 7, 300] {
                for _ in 0..20 {
                    let from = numbers.below(step as usize + 1) as f64;
                    let range = [from, from + 1.0 + numbers.below(step as usize + 1) as f64];
                    let columns = series.columns(range, limit);
                    assert_eq!(columns, plain(&values, range, limit), "{n} values, {range:?}, {limit} columns");
                    assert!(columns.len() <= limit + 4, "{} columns where {limit} fit", columns.len());
                }
            }
        }
    }

    #[test]
    fn few_points_are_their_own_columns() {
        let columns = series(&[(10, 1.0), (20, 3.0), (30, 2.0)]).columns([10.0, 30.0], 100);
        assert_eq!(
            columns.iter().map(|c| (c.step, c.min)).collect::<Vec<_>>(),
            [(10.0, 1.0), (20.0, 3.0), (30.0, 2.0)]
        );
    }

    #[test]
    fn logarithms_are_of_positive_values_and_follow_appends() {
        let mut curve = Curve::default();
        for (step, value) in [(1, 100.0), (2, 0.0), (3, -5.0), (4, 0.01)] {
            curve.push(step, value);
        }
        curve.prepare(true, 0.0);
        curve.push(5, 1.0);
        curve.push(6, -1.0);
        assert_eq!(curve.shown().iter().collect::<Vec<_>>(), [(1, 2.0), (4, -2.0), (5, 0.0)]);
        curve.push(4, -1.0);
        assert_eq!(curve.shown().iter().collect::<Vec<_>>(), [(1, 2.0)]);
        curve.prepare(false, 0.0);
        assert_eq!(curve.shown().iter().count(), 4);
    }

    #[test]
    fn the_nearest_point_is_found() {
        let series = series(&[(10, 1.0), (20, 2.0)]);
        assert_eq!(series.nearest(-5.0).unwrap().0, 10);
        assert_eq!(series.nearest(14.0).unwrap().0, 10);
        assert_eq!(series.nearest(16.0).unwrap().0, 20);
        assert_eq!(series.nearest(1e9).unwrap().0, 20);
        assert!(Series::default().nearest(1.0).is_none());
    }
}
