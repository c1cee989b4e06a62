//! Which samples of a batch a program computes.
//!
//! A sample is a slot of the batch, and its random numbers are counted by its slot. So it does not matter who draws it:
//! a batch that is cut into slices, for one process after the other or for several at once, has the same samples.

use std::ops::Range;

use super::knobs::{Config, KnobError};
use super::recipe::Need;
use crate::graph::{Distribution, Graph, Var};

/// Consecutive samples of a batch: all of them, or a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The first.
    pub first: usize,
    /// How many.
    pub len: usize,
    /// Samples of the whole batch.
    pub whole: usize,
}

impl Slots {
    /// A whole batch.
    pub fn all(batch: usize) -> Self {
        Self { first: 0, len: batch, whole: batch }
    }

    /// These of a batch.
    pub fn of(range: &Range<usize>, batch: usize) -> Self {
        Self { first: range.start, len: range.len(), whole: batch }
    }

    /// Whether it is a whole batch.
    pub fn is_all(self) -> bool {
        self.len == self.whole
    }

    /// What part of the batch they are.
    pub fn share(self) -> f32 {
        self.len as f32 / self.whole as f32
    }

    /// Numbers of the slots, `[len]`.
    pub(super) fn numbers(self, graph: &Graph) -> Var<'_> {
        graph.iota(self.len) + self.first as f32
    }

    /// The random numbers of these slots, `[len, ..]`, each slot's of the shape `rest`.
    pub(super) fn random<'g>(
        self,
        graph: &'g Graph,
        distribution: Distribution,
        stream: u32,
        rest: &[usize],
    ) -> Var<'g> {
        let each: usize = rest.iter().product();
        graph.random(distribution, stream, self.first * each, &[&[self.len][..], rest].concat())
    }
}

/// The slots of each of several processes, which take `shares` of a batch of these settings, and cut theirs into
/// `accumulate` slices each.
pub fn deal(config: &Config, shares: &[usize]) -> Result<Vec<Range<usize>>, KnobError> {
    let refuse = |knob: &str, value: String, problem: String| Err(KnobError { knob: knob.to_owned(), value, problem });
    let (batch, slices, total) = (config.batch, config.accumulate, shares.iter().sum::<usize>());
    if config.method.get().needs.contains(&Need::WholeBatch) && (slices > 1 || shares.len() > 1) {
        let problem = "needs its batch in one piece: no other process, and accumulate = 1".to_owned();
        return refuse("method", config.method.to_string(), problem);
    }
    // Students take turns row by row, so a slice has to begin with the first.
    let turn = if config.method.get().reads("students") { config.students } else { 1 };
    let mut next = 0;
    let mut all = Vec::new();
    for share in shares {
        let len = batch * share / total;
        if *share == 0 || !(batch * share).is_multiple_of(total * slices * turn) {
            let who = match shares.len() {
                1 => String::new(),
                n => format!(" among {n} processes"),
            };
            let each = match (slices, shares.len()) {
                (1, _) => String::new(),
                (n, 1) => format!(" in {n} slices"),
                (n, _) => format!(" in {n} slices each"),
            };
            let students = if turn > 1 { format!(", each for {turn} students") } else { String::new() };
            let problem = format!("cannot be dealt out{who}{each}{students}: choose a batch or a number that fits");
            return refuse("batch", batch.to_string(), problem);
        }
        all.push(next..next + len);
        next += len;
    }
    Ok(all)
}

/// The slices of these slots, of equal length.
pub(super) fn slices(slots: &Range<usize>, count: usize) -> Vec<Range<usize>> {
    let len = slots.len() / count;
    (0..count).map(|i| slots.start + i * len..slots.start + (i + 1) * len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::{Feed, evaluate};

    #[test]
    fn slices_draw_what_their_slots_of_the_batch_would_draw() {
        let graph = Graph::new();
        let draw = |slots: Slots| {
            let normal = slots.random(&graph, Distribution::Normal, 3, &[2, 5]);
            let uniform = slots.random(&graph, Distribution::Uniform, 4, &[]);
            [normal, uniform, slots.numbers(&graph)]
        };
        let feed = Feed { seed: 7, step: 9, ..Feed::default() };
        let whole = evaluate(&graph, &feed, &draw(Slots::all(6)));
        let parts = [0..1, 1..4, 4..6].map(|range| evaluate(&graph, &feed, &draw(Slots::of(&range, 6))));
        for (i, whole) in whole.iter().enumerate() {
            let joined: Vec<f64> = parts.iter().flat_map(|part| part[i].clone()).collect();
            assert_eq!(&joined, whole);
        }
    }

    #[test]
    fn batches_are_dealt_out_by_shares_or_refused() {
        let mut config = Config { batch: 12, ..Config::default() };
        assert_eq!(deal(&config, &[1]).unwrap()[0], 0..12);
        assert_eq!(deal(&config, &[2, 1]).unwrap(), [0..8, 8..12]);
        assert_eq!(slices(&(8..12), 2), [8..10, 10..12]);
        config.accumulate = 2;
        assert_eq!(deal(&config, &[1, 1, 1]).unwrap(), [0..4, 4..8, 8..12]);
        let error = deal(&config, &[1; 4]).unwrap_err().to_string();
        assert!(error.starts_with("batch = 12: cannot be dealt out among 4 processes in 2 slices each"), "{error}");
        assert!(deal(&config, &[1, 0]).is_err());
        config.method = "shortcut".parse().unwrap();
        let error = deal(&config, &[1]).unwrap_err().to_string();
        assert!(error.starts_with("method = shortcut: needs its batch in one piece"), "{error}");
        config.accumulate = 1;
        assert_eq!(deal(&config, &[1]).unwrap()[0], 0..12);
    }
}
