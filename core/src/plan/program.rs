//! What a run has to leave behind: outputs in stores, optimizer updates, statistics.

use super::PlanError;
use super::fuse::fuse;
use super::ir::{AdamScalars, MAX_BINDINGS, Plan, SLOT_ALIGN};
use super::place::place;
use super::schedule::schedule;
use crate::graph::{Graph, Op, Place, Var};

/// A graph and the values that leave it.
pub struct Program<'g> {
    pub(super) name: String,
    pub(super) graph: &'g Graph,
    pub(super) outputs: Vec<(usize, Place)>,
    pub(super) adam: Vec<Adam>,
    pub(super) record: Option<Record>,
}

/// An optimizer update of one network after the gradients are there.
///
/// Works on the stores `{network}.grad`, `.param`, `.m`, `.v` and `.ema`, all of `len` elements
/// (a multiple of [`Adam::ROW`]). Takes the scalars `{network}.lr`, `.beta1`, `.beta2`, `.eps`,
/// `.correction1`, `.correction2`, `.ema_decay` and `.clip`.
#[derive(Clone, Debug)]
pub struct Adam {
    /// Prefix of the stores and scalars.
    pub network: String,
    /// Elements.
    pub len: usize,
}

impl Adam {
    /// The gradient's norm is summed in rows of this many elements.
    pub const ROW: usize = 1024;

    const SCALARS: [&str; 8] = ["lr", "beta1", "beta2", "eps", "correction1", "correction2", "ema_decay", "clip"];

    fn scalar_names(&self) -> impl Iterator<Item = String> + '_ {
        Self::SCALARS.iter().map(|s| format!("{}.{s}", self.network))
    }

    /// Where the scalars are in `names`.
    pub(super) fn scalars(&self, names: &[String]) -> AdamScalars {
        let at = |i: usize| {
            let name = format!("{}.{}", self.network, Self::SCALARS[i]);
            names.iter().position(|n| *n == name).expect("scalars are collected first")
        };
        AdamScalars {
            lr: at(0),
            beta1: at(1),
            beta2: at(2),
            eps: at(3),
            correction1: at(4),
            correction2: at(5),
            ema_decay: at(6),
            clip: at(7),
        }
    }
}

/// A row of statistics per run.
pub(super) struct Record {
    pub store: String,
    pub ring: usize,
    pub values: Vec<usize>,
}

impl<'g> Program<'g> {
    /// An empty program over `graph`.
    pub fn new(name: &str, graph: &'g Graph) -> Self {
        Self { name: name.to_owned(), graph, outputs: Vec::new(), adam: Vec::new(), record: None }
    }

    /// Leaves `value` in `store`, from element `offset` (a multiple of [`SLOT_ALIGN`]) on.
    /// Reads of that store within the program see what was there before the run.
    #[must_use]
    pub fn output(mut self, value: Var<'g>, store: &str, offset: usize) -> Self {
        self.outputs.push((value.id(), Place { store: store.to_owned(), offset }));
        self
    }

    /// Updates a network when everything else is done.
    #[must_use]
    pub fn adam(mut self, network: &str, len: usize) -> Self {
        self.adam.push(Adam { network: network.to_owned(), len });
        self
    }

    /// Writes one row of `store` per run: the given values (one element each), then the squared
    /// gradient norm of each updated network. Row `step mod ring`.
    #[must_use]
    pub fn record(mut self, store: &str, ring: usize, values: &[Var<'g>]) -> Self {
        self.record = Some(Record { store: store.to_owned(), ring, values: values.iter().map(|v| v.id()).collect() });
        self
    }

    /// The values that leave the program, and where to.
    pub fn outputs(&self) -> impl Iterator<Item = (Var<'g>, &Place)> {
        self.outputs.iter().map(|(id, place)| (self.graph.var(*id), place))
    }

    /// Makes the plan.
    pub fn build(&self) -> Result<Plan, PlanError> {
        self.graph.check()?;
        for (_, place) in &self.outputs {
            if place.offset % SLOT_ALIGN != 0 {
                let problem = "the offset must be a multiple of 64";
                return Err(PlanError::Output { store: place.store.clone(), offset: place.offset, problem });
            }
        }
        if let Some(record) = &self.record {
            let (got, limit) = (record.values.len() + self.adam.len(), MAX_BINDINGS - 1);
            if got > limit {
                return Err(PlanError::TooManyStatistics { program: self.name.clone(), got, limit });
            }
        }
        // Every failed attempt names more values that have to be in memory.
        let mut extra = Vec::new();
        loop {
            match self.attempt(&extra)? {
                Ok(plan) => return Ok(plan),
                Err(missing) => {
                    assert!(missing.iter().all(|id| !extra.contains(id)), "storing {missing:?} twice does not help");
                    extra.extend(missing);
                }
            }
        }
    }

    fn attempt(&self, extra: &[usize]) -> Result<Result<Plan, Vec<usize>>, PlanError> {
        let nodes = self.graph.nodes();
        let recorded = self.record.iter().flat_map(|r| r.values.iter().copied());
        let wanted: Vec<usize> = self.outputs.iter().map(|(id, _)| *id).chain(recorded).collect();
        let fusion = fuse(&nodes, &wanted, extra)?;
        let scalars = self.scalars(&fusion.live);
        Ok(schedule(&nodes, &fusion, &scalars)?.map(|drafts| place(self, &nodes, drafts, scalars)))
    }

    fn scalars(&self, live: &[bool]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let nodes = self.graph.nodes();
        let used = nodes.iter().zip(live).filter(|(_, live)| **live).filter_map(|(node, _)| match &node.op {
            Op::Scalar(name) => Some(name.clone()),
            _ => None,
        });
        for name in used.chain(self.adam.iter().flat_map(Adam::scalar_names)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_statistics_than_a_launch_can_bind_are_refused() {
        let graph = Graph::new();
        let x = graph.input("x", 0, &[8]);
        let values: Vec<_> = (0..8).map(|i| x.slice(0, i..i + 1)).collect();
        let plan = |count: usize| Program::new("fake step", &graph).record("stats", 4, &values[..count]).build();
        assert!(plan(7).is_ok());
        let error = plan(8).unwrap_err().to_string();
        assert_eq!(error, "the fake step records 8 statistics, gradient norms included, a launch can bind 7");
    }
}
