//! A [`Body`] made ready for one launch.
//!
//! What is the same at every point is computed here, once; loads are classified by how they step;
//! pairs of additions and products become one step; values get few registers, because a register
//! is a block of points and all of them together should stay in the first-level cache.
//! [`super::body`] runs the result. Invariant: no step writes a register that it reads.

use super::body::{BLOCK, Eval};
use super::flow::Flow;
use super::math;
use super::simd::Arg;
use super::view::Walk;
use crate::exec::RunArgs;
use crate::graph::{BinaryOp, Distribution, UnaryOp};
use crate::plan::{Body, Inst};

/// Where a value is.
#[derive(Clone, Copy, Debug)]
pub enum Src {
    /// The same everywhere.
    Splat(f32),
    /// The same everywhere, as a block: index into [`Program::constants`].
    Repeated(usize),
    /// In a register.
    Reg(usize),
    /// In the memory of a recurring load; in the register where a block straddles its repetitions.
    Memo { memo: usize, reg: usize },
    /// Point `i` is element `i + shift` of an input.
    Input { input: usize, shift: usize },
    /// The contraction's result.
    Acc,
}

/// What one step does.
#[derive(Clone, Debug)]
pub enum Action {
    Load {
        input: usize,
        walk: Walk,
    },
    /// A load through [`Program::memos`].
    Recurring {
        input: usize,
        walk: Walk,
        memo: usize,
    },
    Random {
        distribution: Distribution,
        key: [u32; 2],
        step: u32,
        walk: Walk,
    },
    Iota {
        walk: Walk,
    },
    Unary(UnaryOp, Src),
    Binary(BinaryOp, Src, Src),
    /// `(a op b) op c`, or `c op (a op b)` if `swapped`; no operand is a [`Src::Splat`].
    Pair {
        first: BinaryOp,
        second: BinaryOp,
        operands: [Src; 3],
        swapped: bool,
    },
}

/// An action and the register that it fills.
#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    pub reg: usize,
    /// Result that may be written straight to memory, because nothing else reads it.
    pub result: Option<usize>,
}

/// Points `i` and `i + period` have the same element, for `whole` points.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence {
    pub period: usize,
    pub whole: usize,
}

/// A body made ready for one launch.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    pub inputs: &'a [&'a [f32]],
    pub steps: Vec<Step>,
    pub results: Vec<Src>,
    pub regs: usize,
    pub constants: Vec<Vec<f32>>,
    pub memos: Vec<Recurrence>,
    points: usize,
}

impl<'a> Program<'a> {
    /// Prepares `body` for a launch on `inputs`.
    pub fn new(body: &Body, inputs: &'a [&'a [f32]], args: &RunArgs) -> Self {
        let mut program = Self {
            inputs,
            steps: Vec::new(),
            results: Vec::new(),
            regs: 0,
            constants: Vec::new(),
            memos: Vec::new(),
            points: body.points(),
        };
        let mut sources: Vec<Option<Src>> = Vec::with_capacity(body.insts.len());
        let mut walks: Vec<Option<Walk>> = Vec::with_capacity(body.insts.len());
        for inst in &body.insts {
            let walk = view_of(inst).map(|view| Walk::new(view, &body.dims));
            sources.push(program.without_work(inst, walk.as_ref(), &sources, args));
            walks.push(walk);
        }
        let flow = Flow::new(body, &sources);
        let mut free: Vec<usize> = Vec::new();
        for (i, inst) in body.insts.iter().enumerate() {
            if !flow.is_step(i) {
                continue;
            }
            let reg = free.pop().unwrap_or_else(|| {
                program.regs += 1;
                program.regs - 1
            });
            let action = program.action(inst, walks[i].take(), flow.absorbs[i], &sources, body, args);
            sources[i] = Some(match action {
                Action::Recurring { memo, .. } => Src::Memo { memo, reg },
                _ => Src::Reg(reg),
            });
            program.steps.push(Step { action, reg, result: flow.direct_result(i, body) });
            // Freed after the destination is chosen, so that no step writes what it reads.
            for operand in flow.reads(i, body) {
                if let Some(Src::Reg(reg) | Src::Memo { reg, .. }) = sources[operand]
                    && flow.last_use[operand] == Some(i)
                    && !free.contains(&reg)
                {
                    free.push(reg);
                }
            }
        }
        let result = |r: &usize| sources[*r].expect("results are live");
        program.results = body.results.iter().map(result).collect();
        program
    }

    /// Where the value of `inst` is, if it takes no work per block.
    fn without_work(&self, inst: &Inst, walk: Option<&Walk>, sources: &[Option<Src>], args: &RunArgs) -> Option<Src> {
        let splat = |i: usize| match sources[i] {
            Some(Src::Splat(x)) => Some(x),
            _ => None,
        };
        match *inst {
            Inst::Acc => Some(Src::Acc),
            Inst::Sum(_) => unreachable!("sums are loads by the time a body is compiled"),
            Inst::Const(value) => Some(Src::Splat(value)),
            Inst::Scalar(index) => Some(Src::Splat(args.scalars[index])),
            Inst::Load { input, .. } => {
                let walk = walk?;
                let splat = walk.as_constant().map(|e| Src::Splat(self.inputs[input][e]));
                splat.or(walk.as_shift().map(|shift| Src::Input { input, shift }))
            }
            Inst::Random { .. } | Inst::Iota { .. } => None,
            Inst::Unary(op, a) => {
                let mut y = [0.0];
                math::unary(op, &mut y, &[splat(a)?]);
                Some(Src::Splat(y[0]))
            }
            Inst::Binary(op, a, b) => {
                let mut y = [0.0];
                math::binary(op, &mut y, Arg::Splat(splat(a)?), Arg::Splat(splat(b)?));
                Some(Src::Splat(y[0]))
            }
        }
    }

    /// The step of an instruction that takes work, together with one that it absorbs.
    fn action(
        &mut self,
        inst: &Inst,
        walk: Option<Walk>,
        absorbed: Option<usize>,
        sources: &[Option<Src>],
        body: &Body,
        args: &RunArgs,
    ) -> Action {
        let source = |i: usize| sources[i].expect("operands come before their use");
        let walk = walk.filter(|_| absorbed.is_none());
        match (inst.clone(), walk) {
            (Inst::Load { input, .. }, Some(walk)) => match walk.as_periodic() {
                Some((period, repeats)) => {
                    self.memos.push(Recurrence { period, whole: period * repeats });
                    Action::Recurring { input, walk, memo: self.memos.len() - 1 }
                }
                None => Action::Load { input, walk },
            },
            (Inst::Random { distribution, stream, per_step, .. }, Some(walk)) => {
                let step = if per_step { args.step } else { 0 };
                Action::Random { distribution, key: [args.seed, stream], step, walk }
            }
            (Inst::Iota { .. }, Some(walk)) => Action::Iota { walk },
            (Inst::Unary(op, a), _) => Action::Unary(op, source(a)),
            (Inst::Binary(second, a, b), _) => {
                let Some(inner) = absorbed else {
                    return Action::Binary(second, source(a), source(b));
                };
                let Inst::Binary(first, x, y) = body.insts[inner] else {
                    unreachable!("only binary instructions are absorbed")
                };
                let swapped = b == inner;
                let operands = [x, y, if swapped { a } else { b }];
                let operands = operands.map(|i| self.as_block(source(i)));
                Action::Pair { first, second, operands, swapped }
            }
            (other, _) => unreachable!("{other:?} takes no work"),
        }
    }

    /// A splat as a block of it.
    fn as_block(&mut self, source: Src) -> Src {
        match source {
            Src::Splat(value) => {
                self.constants.push(vec![value; BLOCK]);
                Src::Repeated(self.constants.len() - 1)
            }
            other => other,
        }
    }

    /// The input itself if result 0 only reads one as it lies.
    pub fn as_input(&self) -> Option<&'a [f32]> {
        match self.results[0] {
            Src::Input { input, shift } => Some(&self.inputs[input][shift..][..self.points]),
            _ => None,
        }
    }

    /// Number of points.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Rough cost in nanoseconds on one thread, for the decision to use several.
    pub fn work(&self) -> usize {
        let cost = |step: &Step| match step.action {
            Action::Random { .. } | Action::Unary(..) => 4,
            _ => 1,
        };
        self.points * (4 + self.steps.iter().map(cost).sum::<usize>()) / 8
    }

    /// Registers for one thread.
    pub fn eval(&self) -> Eval<'_> {
        Eval::new(self)
    }
}

fn view_of(inst: &Inst) -> Option<&crate::plan::View> {
    match inst {
        Inst::Load { view, .. } | Inst::Random { view, .. } | Inst::Iota { view } => Some(view),
        _ => None,
    }
}
