//! Data flow of a body: what is alive, who reads it last, which two instructions become one step.

use super::program::Src;
use crate::graph::BinaryOp;
use crate::plan::{Body, Inst};

/// Who reads what.
pub struct Flow {
    /// The last step that reads a value, `usize::MAX` if it is a result, `None` if it is dead.
    pub last_use: Vec<Option<usize>>,
    /// Number of readers, results included.
    uses: Vec<usize>,
    /// The earlier instruction that is computed within this step.
    pub absorbs: Vec<Option<usize>>,
    is_absorbed: Vec<bool>,
    is_work: Vec<bool>,
}

impl Flow {
    pub fn new(body: &Body, sources: &[Option<Src>]) -> Self {
        let n = body.insts.len();
        let mut flow = Self {
            last_use: vec![None; n],
            uses: vec![0; n],
            absorbs: vec![None; n],
            is_absorbed: vec![false; n],
            is_work: sources.iter().map(Option::is_none).collect(),
        };
        body.results.iter().for_each(|r| flow.uses[*r] += 1);
        for i in (0..n).rev().filter(|i| sources[*i].is_none()) {
            if flow.uses[i] > 0 {
                operands(&body.insts[i]).for_each(|o| flow.uses[o] += 1);
            }
        }
        for i in (0..n).filter(|i| flow.uses[*i] > 0 && sources[*i].is_none()) {
            let absorbable = |o: &usize| {
                sources[*o].is_none()
                    && flow.uses[*o] == 1
                    && !body.results.contains(o)
                    && flow.absorbs[*o].is_none()
                    && is_arithmetic(&body.insts[*o])
            };
            if is_arithmetic(&body.insts[i])
                && let Some(inner) = operands(&body.insts[i]).find(absorbable)
            {
                flow.absorbs[i] = Some(inner);
                flow.is_absorbed[inner] = true;
            }
        }
        for i in 0..n {
            if flow.is_step(i) {
                let reads: Vec<usize> = flow.reads(i, body).collect();
                for o in reads {
                    flow.last_use[o] = Some(i);
                }
            }
        }
        body.results.iter().for_each(|r| flow.last_use[*r] = Some(usize::MAX));
        flow
    }

    pub fn is_step(&self, i: usize) -> bool {
        self.is_work[i] && self.uses[i] > 0 && !self.is_absorbed[i]
    }

    /// Values that step `i` reads.
    pub fn reads(&self, i: usize, body: &Body) -> impl Iterator<Item = usize> {
        let inner = self.absorbs[i];
        let of_inner = inner.into_iter().flat_map(|inner| operands(&body.insts[inner]));
        operands(&body.insts[i]).filter(move |o| Some(*o) != inner).chain(of_inner)
    }

    /// The result that only step `i` has to do with.
    pub fn direct_result(&self, i: usize, body: &Body) -> Option<usize> {
        let result = body.results.iter().position(|r| *r == i)?;
        (self.uses[i] == 1).then_some(result)
    }
}

/// Values that an instruction reads.
fn operands(inst: &Inst) -> impl Iterator<Item = usize> + use<> {
    let (a, b) = match *inst {
        Inst::Unary(_, a) => (Some(a), None),
        Inst::Binary(_, a, b) => (Some(a), Some(b)),
        _ => (None, None),
    };
    a.into_iter().chain(b)
}

/// Whether it is one of those that [`Action::Pair`] knows.
fn is_arithmetic(inst: &Inst) -> bool {
    matches!(inst, Inst::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, ..))
}
