//! Evaluates a [`Program`] in blocks: each step is a tight loop over [`BLOCK`] points whose
//! operands lie in the first-level cache.
//!
//! Invariant: the value at a point does not depend on how the points are cut into blocks.

pub use super::program::Program;
use super::program::{Action, Recurrence, Src};
use super::simd::Arg;
use super::view::Walk;
use super::{math, rng};

/// Points per block: a dozen registers of 2 KiB fit the first-level cache.
pub const BLOCK: usize = 512;

/// One thread's registers.
#[derive(Debug)]
pub struct Eval<'p> {
    program: &'p Program<'p>,
    regs: Vec<Vec<f32>>,
    memos: Vec<Memo>,
    elements: Vec<u32>,
}

impl<'p> Eval<'p> {
    /// Registers for a program.
    pub fn new(program: &'p Program<'p>) -> Self {
        Self {
            program,
            regs: vec![vec![0.0; BLOCK]; program.regs],
            memos: program.memos.iter().map(|r| Memo::new(*r)).collect(),
            elements: Vec::new(),
        }
    }

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
            _ => Arg::Slice(self.slice(source, start, len, acc)),
        }
    }

    fn slice<'s>(&'s self, source: Src, start: usize, len: usize, acc: &'s [f32]) -> &'s [f32] {
        match source {
            Src::Splat(_) => unreachable!("pairs and unary functions read blocks"),
            Src::Repeated(constant) => &self.program.constants[constant][..len],
            Src::Reg(reg) => &self.regs[reg][..len],
            Src::Memo { memo, reg } => match self.memos[memo].whole_block(start, len) {
                Some(values) => values,
                None => &self.regs[reg][..len],
            },
            Src::Input { input, shift } => &self.program.inputs[input][start + shift..][..len],
            Src::Acc => acc,
        }
    }

    fn steps(&mut self, start: usize, len: usize, acc: &[f32], mut outs: Option<(&mut [&mut [f32]], usize)>) {
        let program = self.program;
        for step in &program.steps {
            // Taken out, so that the operands can be read from the other registers.
            let mut reg = std::mem::take(&mut self.regs[step.reg]);
            let dst = match (&mut outs, step.result) {
                (Some((outs, at)), Some(j)) => &mut outs[j][*at..*at + len],
                _ => &mut reg[..len],
            };
            self.step(&step.action, start, acc, dst, step.result.is_some());
            self.regs[step.reg] = reg;
        }
    }

    fn step(&mut self, action: &Action, start: usize, acc: &[f32], dst: &mut [f32], is_result: bool) {
        let (program, len) = (self.program, dst.len());
        match action {
            Action::Load { input, walk } => load(walk, program.inputs[*input], start, dst),
            Action::Recurring { input, walk, memo } => {
                let memo = &mut self.memos[*memo];
                memo.load(walk, program.inputs[*input], start, dst, is_result);
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
            Action::Unary(op, a) => math::unary(*op, dst, self.slice(*a, start, len, acc)),
            Action::Binary(op, a, b) => {
                let (a, b) = (self.arg(*a, start, len, acc), self.arg(*b, start, len, acc));
                math::binary(*op, dst, a, b);
            }
            Action::Pair { first, second, operands, swapped } => {
                let [a, b, c] = operands.map(|source| self.slice(source, start, len, acc));
                math::pair(*first, *second, *swapped, dst, a, b, c);
            }
        }
    }
}

/// A recurring load's memory: one period and a block, so that any block lies in one piece.
#[derive(Clone, Debug)]
struct Memo {
    recurrence: Recurrence,
    /// Which repetition it holds.
    owner: Option<usize>,
    values: Vec<f32>,
}

impl Memo {
    fn new(recurrence: Recurrence) -> Self {
        Self { recurrence, owner: None, values: Vec::new() }
    }

    /// The points `start .. start + len`, if they lie in one repetition.
    fn whole_block(&self, start: usize, len: usize) -> Option<&[f32]> {
        let Recurrence { period, whole } = self.recurrence;
        let inside = start % whole;
        (inside + len <= whole).then(|| &self.values[inside % period..][..len])
    }

    /// Makes [`Memo::whole_block`] ready; fills `dst` if that has to be, or where the block is
    /// in several pieces.
    fn load(&mut self, walk: &Walk, src: &[f32], start: usize, dst: &mut [f32], fill: bool) {
        let Recurrence { period, whole } = self.recurrence;
        let fill = fill || start % whole + dst.len() > whole;
        let mut at = 0;
        while at < dst.len() {
            let (owner, inside) = ((start + at) / whole, (start + at) % whole);
            let n = (whole - inside).min(dst.len() - at);
            if self.owner != Some(owner) {
                self.values.resize(whole.min(period + BLOCK), 0.0);
                load(walk, src, owner * whole, &mut self.values[..period]);
                let mut filled = period;
                while filled < self.values.len() {
                    let more = filled.min(self.values.len() - filled);
                    self.values.copy_within(..more, filled);
                    filled += more;
                }
                self.owner = Some(owner);
            }
            if fill {
                dst[at..at + n].copy_from_slice(&self.values[inside % period..][..n]);
            }
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
