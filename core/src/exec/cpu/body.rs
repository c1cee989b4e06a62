//! Evaluates a [`Body`] in blocks: each instruction is a tight loop over [`BLOCK`] points whose
//! operands lie in the first-level cache.
//!
//! A [`Program`] is a body made ready for one launch: dead instructions dropped, what is the same
//! at every point computed once, values placed in few registers (a block each), loads classified
//! by how they step. An [`Eval`] is one thread's registers. Invariant: the value at a point does
//! not depend on how the points are cut into blocks.

use super::simd::Arg;
use super::view::Walk;
use super::{math, rng};
use crate::exec::RunArgs;
use crate::graph::{BinaryOp, Distribution, UnaryOp};
use crate::plan::{Body, Inst};

/// Points per block: a dozen registers of 2 KiB fit the first-level cache.
pub const BLOCK: usize = 512;

/// Where a value is.
#[derive(Clone, Copy, Debug)]
enum Src {
    /// The same everywhere.
    Splat(f32),
    /// In a register.
    Reg(usize),
    /// Point `i` is element `i + shift` of an input.
    Input { input: usize, shift: usize },
    /// The contraction's result.
    Acc,
}

/// What one step does.
#[derive(Clone, Debug)]
enum Action {
    Load { input: usize, walk: Walk },
    /// A load whose elements recur; `memo` numbers its memory in [`Eval`].
    Recurring { input: usize, walk: Walk, period: usize, repeats: usize, memo: usize },
    Random { distribution: Distribution, key: [u32; 2], step: u32, walk: Walk },
    Iota { walk: Walk },
    Unary(UnaryOp, Src),
    Binary(BinaryOp, Src, Src),
}

/// An action and the register that it fills.
#[derive(Clone, Debug)]
struct Step {
    action: Action,
    reg: usize,
    /// Result that may be written straight to memory, because nothing else reads it.
    result: Option<usize>,
}

/// A body made ready for one launch.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    inputs: &'a [&'a [f32]],
    steps: Vec<Step>,
    results: Vec<Src>,
    regs: usize,
    memos: usize,
    points: usize,
}

/// A recurring load's memory.
#[derive(Clone, Debug, Default)]
struct Memo {
    /// Which repetition it holds, plus one.
    owner: usize,
    values: Vec<f32>,
}

/// One thread's registers.
#[derive(Debug)]
pub struct Eval<'p> {
    program: &'p Program<'p>,
    regs: Vec<Vec<f32>>,
    memos: Vec<Memo>,
    elements: Vec<u32>,
}

impl<'a> Program<'a> {
    /// Prepares `body` for a launch on `inputs`.
    pub fn new(body: &Body, inputs: &'a [&'a [f32]], args: &RunArgs) -> Self {
        let mut program = Self {
            inputs,
            steps: Vec::new(),
            results: Vec::new(),
            regs: 0,
            memos: 0,
            points: body.points(),
        };
        let last_use = last_uses(body);
        let mut values: Vec<Src> = Vec::with_capacity(body.insts.len());
        let mut free: Vec<usize> = Vec::new();
        for (i, inst) in body.insts.iter().enumerate() {
            // Never used: any value will do.
            let Some(last) = last_use[i] else {
                values.push(Src::Splat(0.0));
                continue;
            };
            let source = match program.place(inst, body, &values, args) {
                Ok(source) => source,
                Err(action) => {
                    let reg = free.pop().unwrap_or_else(|| {
                        program.regs += 1;
                        program.regs - 1
                    });
                    let mut named = (0..body.results.len()).filter(|r| body.results[*r] == i);
                    let result = match (named.next(), named.next()) {
                        (Some(r), None) if last == i => Some(r),
                        _ => None,
                    };
                    program.steps.push(Step { action, reg, result });
                    Src::Reg(reg)
                }
            };
            values.push(source);
            // Freed after the destination is chosen: no step writes what it reads.
            for operand in operands(inst) {
                if let (Src::Reg(reg), Some(last)) = (values[operand], last_use[operand])
                    && last == i
                    && !body.results.contains(&operand)
                    && !free.contains(&reg)
                {
                    free.push(reg);
                }
            }
        }
        program.results = body.results.iter().map(|r| values[*r]).collect();
        program
    }

    /// Where the value of `inst` is without any work per block, or the work.
    fn place(
        &mut self,
        inst: &Inst,
        body: &Body,
        values: &[Src],
        args: &RunArgs,
    ) -> Result<Src, Action> {
        match *inst {
            Inst::Acc => Ok(Src::Acc),
            Inst::Const(value) => Ok(Src::Splat(value)),
            Inst::Scalar(index) => Ok(Src::Splat(args.scalars[index])),
            Inst::Load { input, ref view } => {
                let walk = Walk::new(view, &body.dims);
                if let Some(element) = walk.as_constant() {
                    Ok(Src::Splat(self.inputs[input][element]))
                } else if let Some(shift) = walk.as_shift() {
                    Ok(Src::Input { input, shift })
                } else if let Some((period, repeats)) = walk.as_periodic() {
                    self.memos += 1;
                    Err(Action::Recurring { input, walk, period, repeats, memo: self.memos - 1 })
                } else {
                    Err(Action::Load { input, walk })
                }
            }
            Inst::Random { distribution, stream, per_step, ref view } => {
                let walk = Walk::new(view, &body.dims);
                let step = if per_step { args.step } else { 0 };
                Err(Action::Random { distribution, key: [args.seed, stream], step, walk })
            }
            Inst::Iota { ref view } => Err(Action::Iota { walk: Walk::new(view, &body.dims) }),
            Inst::Unary(op, a) => match values[a] {
                Src::Splat(x) => {
                    let mut y = [0.0];
                    math::unary(op, &mut y, &[x]);
                    Ok(Src::Splat(y[0]))
                }
                a => Err(Action::Unary(op, a)),
            },
            Inst::Binary(op, a, b) => match (values[a], values[b]) {
                (Src::Splat(x), Src::Splat(y)) => {
                    let mut z = [0.0];
                    math::binary(op, &mut z, Arg::Splat(x), Arg::Splat(y));
                    Ok(Src::Splat(z[0]))
                }
                (a, b) => Err(Action::Binary(op, a, b)),
            },
        }
    }

    /// `Some(elements)` if result 0 only reads an input as it lies.
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

    /// Rough cost in nanoseconds per point and thread, for the decision to use threads.
    pub fn work(&self) -> usize {
        let cost: usize = self
            .steps
            .iter()
            .map(|step| match step.action {
                Action::Random { .. } => 8,
                Action::Unary(..) => 2,
                _ => 1,
            })
            .sum();
        self.points * (cost + 1).div_ceil(2)
    }

    /// Registers for one thread.
    pub fn eval(&self) -> Eval<'_> {
        Eval {
            program: self,
            regs: vec![vec![0.0; BLOCK]; self.regs],
            memos: vec![Memo::default(); self.memos],
            elements: Vec::new(),
        }
    }
}

impl Eval<'_> {
    /// Writes results `start .. start + len` to `outs`, one slice of `len` per result; `acc` are
    /// the contraction's results at these points (empty if the body has no `Acc`).
    pub fn store(&mut self, start: usize, len: usize, acc: &[f32], outs: &mut [&mut [f32]]) {
        let mut at = 0;
        while at < len {
            let n = BLOCK.min(len - at);
            let acc = if acc.is_empty() { acc } else { &acc[at..at + n] };
            self.steps(start + at, n, acc, Some((outs, at)));
            for (j, out) in outs.iter_mut().enumerate() {
                if self.program.steps.iter().any(|step| step.result == Some(j)) {
                    continue;
                }
                match self.arg(self.program.results[j], start + at, n, acc) {
                    Arg::Slice(values) => out[at..at + n].copy_from_slice(values),
                    Arg::Splat(value) => out[at..at + n].fill(value),
                }
            }
            at += n;
        }
    }

    /// Computes at most [`BLOCK`] points; then [`Eval::result`] has them.
    pub fn block(&mut self, start: usize, len: usize) {
        self.steps(start, len, &[], None);
    }

    /// Result `j` of the block `start .. start + len` that was computed last.
    pub fn result(&self, j: usize, start: usize, len: usize) -> Arg<'_> {
        self.arg(self.program.results[j], start, len, &[])
    }

    fn arg<'s>(&'s self, source: Src, start: usize, len: usize, acc: &'s [f32]) -> Arg<'s> {
        match source {
            Src::Splat(value) => Arg::Splat(value),
            Src::Reg(reg) => Arg::Slice(&self.regs[reg][..len]),
            Src::Input { input, shift } => {
                Arg::Slice(&self.program.inputs[input][start + shift..][..len])
            }
            Src::Acc => Arg::Slice(acc),
        }
    }

    fn steps(
        &mut self,
        start: usize,
        len: usize,
        acc: &[f32],
        mut outs: Option<(&mut [&mut [f32]], usize)>,
    ) {
        let program = self.program;
        for step in &program.steps {
            // Taken out, so that the operands can be read from the other registers.
            let mut reg = std::mem::take(&mut self.regs[step.reg]);
            let dst = match (&mut outs, step.result) {
                (Some((outs, at)), Some(j)) => &mut outs[j][*at..*at + len],
                _ => &mut reg[..len],
            };
            self.step(&step.action, start, acc, dst);
            self.regs[step.reg] = reg;
        }
    }

    fn step(&mut self, action: &Action, start: usize, acc: &[f32], dst: &mut [f32]) {
        let (program, len) = (self.program, dst.len());
        match action {
            Action::Load { input, walk } => load(walk, program.inputs[*input], start, dst),
            Action::Recurring { input, walk, period, repeats, memo } => {
                let memo = &mut self.memos[*memo];
                memo.load(walk, program.inputs[*input], *period, *repeats, start, dst);
            }
            Action::Random { distribution, key, step, walk } => {
                let elements = &mut self.elements;
                elements.resize(len, 0);
                walk.runs(start, len, |at, n, run| match run {
                    None => elements[at..at + n].fill(0),
                    Some(run) => {
                        for (e, x) in elements[at..at + n].iter_mut().zip(run.elements(n)) {
                            *e = x as u32;
                        }
                    }
                });
                rng::fill(*distribution, *key, *step, elements, dst);
                clear_outside(walk, start, dst);
            }
            Action::Iota { walk } => walk.runs(start, len, |at, n, run| match run {
                None => dst[at..at + n].fill(0.0),
                Some(run) => {
                    for (d, x) in dst[at..at + n].iter_mut().zip(run.elements(n)) {
                        *d = x as f32;
                    }
                }
            }),
            Action::Unary(op, a) => {
                let Arg::Slice(a) = self.arg(*a, start, len, acc) else {
                    unreachable!("unary functions of constants are folded")
                };
                math::unary(*op, dst, a);
            }
            Action::Binary(op, a, b) => {
                let (a, b) = (self.arg(*a, start, len, acc), self.arg(*b, start, len, acc));
                math::binary(*op, dst, a, b);
            }
        }
    }
}

impl Memo {
    /// Loads through the memory of the last repetition.
    fn load(
        &mut self,
        walk: &Walk,
        src: &[f32],
        period: usize,
        repeats: usize,
        start: usize,
        dst: &mut [f32],
    ) {
        let whole = period * repeats;
        let mut at = 0;
        while at < dst.len() {
            let (owner, inside) = ((start + at) / whole, (start + at) % whole);
            let n = (whole - inside).min(dst.len() - at);
            if self.owner != owner + 1 {
                // One period and a block: any stretch of a block then lies in one piece.
                self.values.resize(whole.min(period + BLOCK), 0.0);
                load(walk, src, owner * whole, &mut self.values[..period]);
                let mut filled = period;
                while filled < self.values.len() {
                    let more = filled.min(self.values.len() - filled);
                    self.values.copy_within(..more, filled);
                    filled += more;
                }
                self.owner = owner + 1;
            }
            dst[at..at + n].copy_from_slice(&self.values[inside % period..][..n]);
            at += n;
        }
    }
}

/// `dst[i]` = the element of point `start + i`.
fn load(walk: &Walk, src: &[f32], start: usize, dst: &mut [f32]) {
    walk.runs(start, dst.len(), |at, n, run| {
        let dst = &mut dst[at..at + n];
        match run {
            None => dst.fill(0.0),
            Some(run) => match run.step {
                0 => dst.fill(src[run.first as usize]),
                1 => copy(dst, &src[run.first as usize..][..n]),
                2.. => {
                    let from = src[run.first as usize..].iter().step_by(run.step as usize);
                    dst.iter_mut().zip(from).for_each(|(d, x)| *d = *x);
                }
                _ => {
                    for (d, element) in dst.iter_mut().zip(run.elements(n)) {
                        *d = src[element as usize];
                    }
                }
            },
        }
    });
}

/// A copy without the call into memcpy where the run is short.
#[inline(always)]
fn copy(dst: &mut [f32], src: &[f32]) {
    if dst.len() >= 16 {
        dst.copy_from_slice(src);
    } else {
        for (d, x) in dst.iter_mut().zip(src) {
            *d = *x;
        }
    }
}

/// Zeros where the view is out of bounds.
fn clear_outside(walk: &Walk, start: usize, dst: &mut [f32]) {
    if walk.is_bounded() {
        walk.runs(start, dst.len(), |at, n, run| {
            if run.is_none() {
                dst[at..at + n].fill(0.0);
            }
        });
    }
}

/// Values that an instruction reads.
fn operands(inst: &Inst) -> impl Iterator<Item = usize> {
    let (a, b) = match *inst {
        Inst::Unary(_, a) => (Some(a), None),
        Inst::Binary(_, a, b) => (Some(a), Some(b)),
        _ => (None, None),
    };
    a.into_iter().chain(b)
}

/// For each instruction the last one that reads it (itself if only the results do), `None` if dead.
fn last_uses(body: &Body) -> Vec<Option<usize>> {
    let mut last = vec![None; body.insts.len()];
    for &r in &body.results {
        last[r] = Some(r);
    }
    for i in (0..body.insts.len()).rev() {
        if last[i].is_some() {
            for operand in operands(&body.insts[i]) {
                let known: Option<usize> = last[operand];
                last[operand] = Some(known.map_or(i, |k| k.max(i)));
            }
        }
    }
    last
}
