//! A plan in parts, each submitted on its own: drivers reset a graphics card that one submit keeps for about two seconds,
//! and a desktop that is drawn by the same card stands still until it ends.
//!
//! Invariant: each part takes at most the limit, by the newest that is known of its dispatches, unless it is one dispatch.
//! At first that is a guess for a slow card; the first runs of a plan that the guess cuts are timed, part by part.

use std::ops::Range;

/// Seconds that a part may take.
pub const LIMIT: f64 = 0.1;
/// Runs that are timed: the first one may have to compile.
const TIMED: usize = 2;
/// What the slowest graphics card does at least, in operations and bytes per second.
const SLOW: [f64; 2] = [50e9, 10e9];

/// Where the dispatches of a plan are cut.
#[derive(Debug)]
pub struct Parts {
    limit: f64,
    /// Seconds of each dispatch.
    secs: Vec<f64>,
    ranges: Vec<Range<usize>>,
    runs: usize,
}

impl Parts {
    /// Parts of dispatches with so many operations and bytes.
    pub fn guess(work: impl Iterator<Item = (u64, u64)>, limit: f64) -> Self {
        let [flops, bytes] = SLOW;
        let secs: Vec<f64> = work.map(|(f, b)| (f as f64 / flops).max(b as f64 / bytes)).collect();
        Self { limit, ranges: cut(&secs, limit), secs, runs: 0 }
    }

    /// The parts, in order.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Whether the next run should be timed.
    pub fn unknown(&self) -> bool {
        self.runs < TIMED && self.ranges.len() > 1
    }

    /// Learns how long each part took.
    pub fn learn(&mut self, took: &[f64]) {
        for (part, took) in self.ranges.iter().zip(took) {
            let guessed: f64 = self.secs[part.clone()].iter().sum();
            self.secs[part.clone()].iter_mut().for_each(|secs| *secs *= took / guessed.max(1e-9));
        }
        self.ranges = cut(&self.secs, self.limit);
        self.runs += 1;
    }
}

/// Ranges with sums of at most `limit`, or of one element.
fn cut(secs: &[f64], limit: f64) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut sum) = (Vec::new(), 0, 0.0);
    for (i, secs) in secs.iter().enumerate() {
        if i > start && sum + secs > limit {
            parts.push(start..i);
            (start, sum) = (i, 0.0);
        }
        sum += secs;
    }
    parts.push(start..secs.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_long_as_allowed() {
        assert_eq!(cut(&[3.0, 3.0, 3.0, 9.0, 1.0, 1.0], 6.5), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(cut(&[1.0, 1.0], 6.0), vec![0..2]);
        assert_eq!(cut(&[], 6.0), vec![0..0]);
    }

    #[test]
    fn what_was_timed_replaces_the_guess() {
        // Ten dispatches, guessed at 0.04 s each.
        let mut parts = Parts::guess([(2_000_000_000, 0); 10].into_iter(), 0.1);
        assert_eq!(parts.ranges().len(), 5);
        assert!(parts.unknown());
        // Ten times as fast, but for the last part.
        parts.learn(&[0.008, 0.008, 0.008, 0.008, 0.16]);
        assert_eq!(parts.ranges(), [0..8, 8..9, 9..10]);
        parts.learn(&[0.03, 0.01, 0.01]);
        assert_eq!(parts.ranges(), vec![0..10]);
        assert!(!parts.unknown(), "one part needs no time");
    }
}
