//! Minimum, maximum and sum of any stretch of a growing list, without a look at every value.
//!
//! Level 0 summarises blocks of [`FAN`] values, each level above blocks of [`FAN`] summaries below.
//! Invariant: a level holds complete blocks only, so appending never changes what is there, and cutting
//! the end off is a matter of lengths.

use std::ops::Range;

/// Values in a block. 16 keeps the levels at two bytes per value; a query looks at 32 entries of each.
const FAN: usize = 16;

/// What a stretch of values comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their sum.
    pub sum: f64,
    /// How many.
    pub count: usize,
}

impl Summary {
    /// Of no values.
    const EMPTY: Self = Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, count: 0 };

    fn of(value: f64) -> Self {
        Self { min: value, max: value, sum: value, count: 1 }
    }

    fn and(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
            count: self.count + other.count,
        }
    }

    /// The mean; NaN of no values.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// A growing list and its summaries.
#[derive(Clone, Debug, Default)]
pub struct Pyramid {
    values: Vec<f64>,
    levels: Vec<Vec<Summary>>,
}

impl Pyramid {
    /// The values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Appends a value; O(1) on average.
    pub fn push(&mut self, value: f64) {
        self.values.push(value);
        let mut len = self.values.len();
        let mut level = 0;
        while len.is_multiple_of(FAN) {
            let block = len - FAN..len;
            let summary = match level {
                0 => self.values[block].iter().map(|v| Summary::of(*v)).fold(Summary::EMPTY, Summary::and),
                _ => self.levels[level - 1][block].iter().copied().fold(Summary::EMPTY, Summary::and),
            };
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(summary);
            len = self.levels[level].len();
            level += 1;
        }
    }

    /// Keeps the first `len` values.
    pub fn truncate(&mut self, mut len: usize) {
        self.values.truncate(len);
        for level in &mut self.levels {
            len /= FAN;
            level.truncate(len);
        }
        self.levels.retain(|level| !level.is_empty());
    }

    /// The summary of a stretch, which must lie within the list; O(log n).
    pub fn summary(&self, range: Range<usize>) -> Summary {
        let (mut start, mut end) = (range.start, range.end.max(range.start));
        let mut result = Summary::EMPTY;
        for level in 0.. {
            let (first, last) = (start.div_ceil(FAN), end / FAN);
            let whole = if first < last { first * FAN..last * FAN } else { end..end };
            for i in (start..whole.start).chain(whole.end..end) {
                result = result.and(match level {
                    0 => Summary::of(self.values[i]),
                    _ => self.levels[level - 1][i],
                });
            }
            if whole.is_empty() {
                break;
            }
            (start, end) = (first, last);
        }
        result
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Numbers that look random and are the same each time.
    pub struct Numbers(pub u64);

    impl Numbers {
        pub fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((self.0 >> 33) as usize) % limit
        }
    }

    /// The oracle: a plain loop.
    fn plain(values: &[f64]) -> (f64, f64, f64) {
        let (mut min, mut max, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        for value in values {
            min = f64::min(min, *value);
            max = f64::max(max, *value);
            sum += value;
        }
        (min, max, sum)
    }

    fn compare(pyramid: &Pyramid, values: &[f64], range: Range<usize>) {
        let got = pyramid.summary(range.clone());
        let (min, max, sum) = plain(&values[range.clone()]);
        assert_eq!((got.min, got.max, got.count), (min, max, range.len()), "{range:?} of {}", values.len());
        // Whole numbers: sums are exact in any order.
        assert_eq!(got.sum, sum, "{range:?} of {}", values.len());
    }

    #[test]
    fn every_window_of_short_lists_matches_a_plain_loop() {
        let mut pyramid = Pyramid::default();
        let mut values = Vec::new();
        for n in 0..70 {
            for start in 0..=n {
                for end in start..=n {
                    compare(&pyramid, &values, start..end);
                }
            }
            let value = ((n * 37 % 101) as f64) - 50.0;
            pyramid.push(value);
            values.push(value);
        }
    }

    #[test]
    fn windows_match_a_plain_loop_while_values_come_and_go() {
        let mut numbers = Numbers(7);
        let mut pyramid = Pyramid::default();
        let mut values: Vec<f64> = Vec::new();
        while values.len() < 10_000 {
            for _ in 0..=numbers.below(40) {
                let value = numbers.below(2_000_001) as f64 - 1e6;
                pyramid.push(value);
                values.push(value);
            }
            if numbers.below(9) == 0 {
                let len = values.len() - numbers.below(values.len().min(60));
                pyramid.truncate(len);
                values.truncate(len);
            }
            let start = numbers.below(values.len() + 1);
            let end = start + numbers.below(values.len() - start + 1);
            compare(&pyramid, &values, start..end);
            compare(&pyramid, &values, 0..values.len());
        }
        pyramid.truncate(0);
        assert_eq!(pyramid.summary(0..0), Summary::EMPTY);
        assert!(pyramid.levels.is_empty());
    }
}
