//! Means of what the steps record, between two lines of statistics.

use litemap::LiteMap;

use super::step::{RING, Statistic};

/// Running sums by name.
#[derive(Clone, Debug, Default)]
pub struct Averages {
    sums: LiteMap<String, (f64, u64)>,
}

impl Averages {
    /// Adds the rows of a ring that the given runs wrote; returns the first value that is not finite.
    pub(super) fn add(&mut self, names: &[Statistic], ring: &[f32], runs: &[u32]) -> Option<(String, f32)> {
        let mut bad = None;
        for run in runs {
            let row = &ring[*run as usize % RING * names.len()..][..names.len()];
            for (Statistic { name, squared }, &value) in names.iter().zip(row) {
                if !value.is_finite() {
                    bad = bad.or_else(|| Some((name.clone(), value)));
                }
                let value = if *squared { f64::from(value).sqrt() } else { f64::from(value) };
                let (sum, count) = self.sums.entry(name.clone()).or_default();
                *sum += value;
                *count += 1;
            }
        }
        bad
    }

    /// The means since the last call, by name.
    pub fn take(&mut self) -> LiteMap<String, f64> {
        std::mem::take(&mut self.sums).into_iter().map(|(name, (sum, count))| (name, sum / count as f64)).collect()
    }
}
