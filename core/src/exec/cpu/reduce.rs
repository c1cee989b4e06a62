//! `reduce`: sums over some dimensions of a body.
//!
//! A [`Layout`] sees the iteration space as `[groups, rows, columns]`. Rows are added up column
//! by column, which vectorises, and the columns are folded into the outputs at the end. How the
//! work is cut depends on which of the three is large. Invariant: the order of additions depends
//! on shapes alone.

use super::body::{BLOCK, Eval, Program};
use super::par;
use super::simd::Arg;
use super::sums::{Layout, Sums};
use crate::exec::RunArgs;
use crate::plan::Body;
use onestep_kernels::sums;

/// More columns than this are split between tasks.
const MAX_COLUMNS: usize = 8192;
/// Points per task.
const TASK: usize = 16 * 1024;

/// `outputs[j][o] = sum over r of body.results[j](o, r)`.
pub fn reduce(body: &Body, reduced: &[bool], inputs: &[&[f32]], outputs: &mut [&mut [f32]], args: &RunArgs) {
    let program = Program::new(body, inputs, args);
    let layout = Layout::new(&body.dims, reduced);
    if layout.columns > MAX_COLUMNS {
        by_columns(&program, &layout, outputs);
    } else if layout.columns == 1 && layout.rows <= BLOCK {
        short_rows(&program, &layout, outputs);
    } else if layout.points() <= 2 * TASK {
        by_groups(&program, &layout, outputs);
    } else {
        by_rows(&program, &layout, outputs);
    }
}

/// Adds the points `start .. start + len` of all results, the first of which is in column 0.
fn accumulate(eval: &mut Eval, start: usize, len: usize, sums: &mut [Sums]) {
    let mut at = 0;
    while at < len {
        let n = BLOCK.min(len - at);
        eval.block(start + at, n);
        for (j, sums) in sums.iter_mut().enumerate() {
            sums.add(at, eval.result(j, start + at, n), n);
        }
        at += n;
    }
}

/// Groups that are one short row each: a block holds several.
fn short_rows(program: &Program, layout: &Layout, outputs: &mut [&mut [f32]]) {
    let rows = layout.rows;
    let sizes = vec![TASK.div_ceil(rows); outputs.len()];
    par::each(program.work(), par::chunks(outputs, &sizes), |(task, mut outs)| {
        let mut eval = program.eval();
        let (groups, of_block) = (outs[0].len(), BLOCK / rows);
        for first in (0..groups).step_by(of_block) {
            let count = of_block.min(groups - first);
            let (start, len) = ((task * sizes[0] + first) * rows, count * rows);
            eval.block(start, len);
            for (j, out) in outs.iter_mut().enumerate() {
                let out = &mut out[first..first + count];
                match eval.result(j, start, len) {
                    Arg::Slice(values) => sums::rows(rows, values, out),
                    Arg::Splat(value) => out.fill(value * rows as f32),
                }
            }
        }
    });
}

/// Small groups: each task does some.
fn by_groups(program: &Program, layout: &Layout, outputs: &mut [&mut [f32]]) {
    let groups = TASK.div_ceil(layout.points());
    let sizes = vec![groups * layout.outputs; outputs.len()];
    par::each(program.work(), par::chunks(outputs, &sizes), |(task, mut outs)| {
        let mut eval = program.eval();
        let mut sums: Vec<Sums> = outs.iter().map(|_| Sums::new(layout.width())).collect();
        let mut folded = vec![0.0; layout.outputs];
        for g in 0..outs[0].len() / layout.outputs {
            let start = (task * groups + g) * layout.points();
            accumulate(&mut eval, start, layout.points(), &mut sums);
            for (out, sums) in outs.iter_mut().zip(&mut sums) {
                folded.fill(0.0);
                sums.fold(layout, &mut folded);
                narrow(&folded, &mut out[g * layout.outputs..][..layout.outputs]);
            }
        }
    });
}

/// Large groups of few columns: each task does some rows of one, and their sums are added in order.
fn by_rows(program: &Program, layout: &Layout, outputs: &mut [&mut [f32]]) {
    let width = layout.width();
    // A multiple of the width, so that every task starts at column 0. At most 64 tasks a group.
    let piece = TASK.max(layout.points().div_ceil(64)).next_multiple_of(width);
    let pieces = layout.points().div_ceil(piece);
    let results = outputs.len();
    let mut partial = vec![0.0; layout.groups * pieces * results * layout.outputs];
    let tasks = partial.chunks_mut(results * layout.outputs).enumerate().collect();
    par::each(program.work(), tasks, |(task, folded): (usize, &mut [f64])| {
        let (g, first) = (task / pieces, task % pieces * piece);
        let mut sums: Vec<Sums> = (0..results).map(|_| Sums::new(width)).collect();
        let len = piece.min(layout.points() - first);
        accumulate(&mut program.eval(), g * layout.points() + first, len, &mut sums);
        for (sums, folded) in sums.iter_mut().zip(folded.chunks_mut(layout.outputs)) {
            sums.fold(layout, folded);
        }
    });
    for (g, of_group) in partial.chunks(pieces * results * layout.outputs).enumerate() {
        let mut total = vec![0.0; results * layout.outputs];
        for piece in of_group.chunks(total.len()) {
            total.iter_mut().zip(piece).for_each(|(t, p)| *t += p);
        }
        for (out, total) in outputs.iter_mut().zip(total.chunks(layout.outputs)) {
            narrow(total, &mut out[g * layout.outputs..][..layout.outputs]);
        }
    }
}

/// Many columns: each task does some of them, over all rows.
fn by_columns(program: &Program, layout: &Layout, outputs: &mut [&mut [f32]]) {
    /// Columns per task: a few blocks.
    const COLUMNS: usize = 2048;
    let unit = layout.unit();
    let units = (COLUMNS / unit.columns).max(1);
    let per_group = (layout.columns / unit.columns).div_ceil(units);
    let mut tasks = Vec::new();
    for output in outputs.iter_mut() {
        for (g, of_group) in output.chunks_mut(layout.outputs).enumerate() {
            for (c, chunk) in of_group.chunks_mut(units * unit.outputs).enumerate() {
                let at = g * per_group + c;
                if tasks.len() <= at {
                    tasks.push((g, c, Vec::new()));
                }
                tasks[at].2.push(chunk);
            }
        }
    }
    par::each(program.work(), tasks, |(g, c, mut outs): (usize, usize, Vec<&mut [f32]>)| {
        let width = outs[0].len() / unit.outputs * unit.columns;
        let first = c * units * unit.columns;
        let mut sums: Vec<Sums> = outs.iter().map(|_| Sums::new(width)).collect();
        let mut eval = program.eval();
        for row in 0..layout.rows {
            let start = g * layout.points() + row * layout.columns + first;
            accumulate(&mut eval, start, width, &mut sums);
        }
        let mut folded = vec![0.0; outs[0].len()];
        for (out, sums) in outs.iter_mut().zip(&mut sums) {
            folded.fill(0.0);
            sums.fold(&unit, &mut folded);
            narrow(&folded, out);
        }
    });
}

fn narrow(from: &[f64], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t = *f as f32);
}
