//! `matmul`: batched products, split by rows of the result, or by the contracted size where the
//! result is small and the sum long (gradients of weights).

use super::body::Program;
use super::kept::Kept;
use super::narrow::outer;
use super::tile::{Columns, Panels, Rows};
use super::{par, pointwise, simd};
use crate::exec::RunArgs;
use crate::plan::Body;

/// Sizes and layouts of a product, as in [`crate::plan::Kernel::MatMul`].
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Independent products.
    pub batch: usize,
    /// Rows of A.
    pub m: usize,
    /// Columns of B.
    pub n: usize,
    /// Contracted size.
    pub k: usize,
    /// A is stored transposed.
    pub ta: bool,
    /// B is stored transposed.
    pub tb: bool,
}

/// Contracted indices per task where the sum is split.
const SPLIT: usize = 1024;

/// `outputs[j] = epilogue(A B)`.
pub fn matmul(
    product: Product,
    prologue: &Body,
    epilogue: &Body,
    kept: Option<&mut Kept>,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    let Product { batch, m, n, k, tb, .. } = product;
    let a = Program::new(prologue, inputs, args);
    if batch == 1 && m <= 4 && !tb {
        return with_stored(&a, |a| {
            par::with_scratch(m * n, |sums| {
                few_rows(product, a, inputs[0], sums);
                finish(epilogue, inputs, args, 0, sums, outputs);
            });
        });
    }
    let panels = Panels::new(n);
    let (step, row) = if tb { (k, 1) } else { (1, n) };
    let pack = |packed: &mut [f32]| {
        let parts = packed.chunks_mut(panels.packed_len(k)).enumerate().collect();
        par::each(batch * k * n / 4, parts, |(g, packed): (usize, &mut [f32])| {
            panels.pack(k, &inputs[0][g * k * n..], step, &|i| i * row, packed);
        });
    };
    let mut multiply_all = |packed: &[f32]| {
        let right = Right { panels: &panels, packed };
        // Splitting pays where there are too few rows to share out.
        let short = batch * m.div_ceil(32) < 8;
        if short && k >= 2 * SPLIT {
            split(product, &a, &right, |g, sums| {
                finish(epilogue, inputs, args, g * m * n, sums, outputs);
            });
        } else {
            by_rows(product, &a, &right, epilogue, inputs, outputs, args);
        }
    };
    let len = batch * panels.packed_len(k);
    match kept {
        Some(kept) => multiply_all(kept.packed(len, pack)),
        None => par::with_scratch(len, |packed| {
            pack(packed);
            multiply_all(packed);
        }),
    }
}

/// The packed right operands, one after the other.
struct Right<'a> {
    panels: &'a Panels,
    packed: &'a [f32],
}

/// Some rows of A as they are stored.
#[derive(Clone, Copy)]
struct Left<'a> {
    a: &'a [f32],
    /// Where the first row starts.
    base: usize,
    /// Distance between rows, or between contracted indices if A is stored transposed.
    stride: usize,
}

/// `out = A B` for `rows` rows of A and the contracted indices `first .. first + len` of product `g`.
fn multiply(
    product: Product,
    left: Left,
    right: &Right,
    g: usize,
    rows: usize,
    (first, run_len): (usize, usize),
    out: &mut [f32],
) {
    let Product { n: ld, k, ta, .. } = product;
    let Left { a, base, stride } = left;
    let packed = &right.packed[g * right.panels.packed_len(k)..];
    let bases: Vec<usize> = (0..rows).map(|i| base + i * stride).collect();
    for panel in right.panels.iter() {
        let b = panel.rows_of(packed, k, first, run_len);
        let (panel, out, bases, runs, run_stride) = (panel, &mut *out, &bases, 1, 0);
        if ta {
            let (m, step, groups, group_stride, add) = (rows, stride, 1, 0, false);
            Columns { a, base, groups, group_stride, m, runs, run_stride, run_len, step, panel, b, out, ld, add }.run();
        } else {
            Rows { a, bases, runs, run_stride, run_len, panel, b, out, ld }.run();
        }
    }
}

/// A as it is stored: the input itself, or evaluated into scratch memory.
fn with_stored<R>(a: &Program, job: impl FnOnce(&[f32]) -> R) -> R {
    match a.as_input() {
        Some(stored) => job(stored),
        None => par::with_scratch(a.points(), |scratch| {
            pointwise::evaluate(a, &mut [&mut *scratch]);
            job(scratch)
        }),
    }
}

/// So few rows that packing B would cost more than using it.
fn few_rows(product: Product, a: &[f32], b: &[f32], sums: &mut [f32]) {
    let Product { m, n, k, ta, .. } = product;
    let step = if ta { m } else { 1 };
    for (i, sums) in sums.chunks_exact_mut(n).enumerate() {
        sums.fill(0.0);
        let a = &a[if ta { i } else { i * k }..];
        outer(b, 0, n, &a[..=(k - 1) * step], step, n, sums);
    }
}

/// Tasks of a few rows of one product each.
fn by_rows(
    product: Product,
    x: &Program,
    right: &Right,
    epilogue: &Body,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    let Product { batch, m, n, k, ta, .. } = product;
    let epilogue_program = Program::new(epilogue, inputs, args);
    let plain = epilogue.is_plain_acc();
    // The rows of A and of the result that a task touches should stay in the second-level cache, and threads should get
    // equally many.
    let most = (48 * 1024 / (n + k)).clamp(12, 192);
    let rows = (batch * m).div_ceil((batch * m).div_ceil(most).next_multiple_of(8)).next_multiple_of(12).min(m);
    let mut rest: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut **o).collect();
    let mut tasks = Vec::new();
    for g in 0..batch {
        for first in (0..m).step_by(rows) {
            let count = rows.min(m - first);
            let outs: Vec<&mut [f32]> =
                rest.iter_mut().map(|rest| rest.split_off_mut(..count * n).expect("outputs hold every row")).collect();
            tasks.push((g, first, count, outs));
        }
    }
    let run = |stored: Option<&[f32]>| {
        let work = x.work() + epilogue_program.work() + batch * m * n * k / 16;
        par::each(work, tasks, |(g, first, count, mut outs)| {
            let fill = |out: &mut [f32]| {
                let multiply = |left: Left, out: &mut [f32]| multiply(product, left, right, g, count, (0, k), out);
                match stored {
                    Some(a) if ta => multiply(Left { a, base: g * m * k + first, stride: m }, out),
                    Some(a) => multiply(Left { a, base: (g * m + first) * k, stride: k }, out),
                    None => par::with_scratch(count * k, |a| {
                        x.eval().store((g * m + first) * k, count * k, &[], &mut [&mut *a]);
                        multiply(Left { a, base: 0, stride: k }, out);
                    }),
                }
            };
            if plain {
                fill(outs[0]);
            } else {
                par::with_scratch(count * n, |acc| {
                    fill(acc);
                    let start = (g * m + first) * n;
                    epilogue_program.eval().store(start, count * n, acc, &mut outs);
                });
            }
        });
    };
    if ta {
        with_stored(x, |stored| run(Some(stored)));
    } else {
        run(x.as_input());
    }
}

/// Tasks of [`SPLIT`] contracted indices each; calls `done(g, sums)` once per product.
fn split(product: Product, a: &Program, right: &Right, mut done: impl FnMut(usize, &[f32])) {
    let Product { batch, m, n, k, ta, .. } = product;
    with_stored(a, |stored| {
        let pieces = k.div_ceil(SPLIT);
        par::with_scratch(pieces * m * n, |partial| {
            for g in 0..batch {
                let tasks = partial.chunks_mut(m * n).enumerate().collect();
                par::each(m * n * k / 16, tasks, |(piece, out): (usize, &mut [f32])| {
                    let first = piece * SPLIT;
                    let start = g * m * k + if ta { first * m } else { first };
                    let left = Left { a: stored, base: start, stride: if ta { m } else { k } };
                    multiply(product, left, right, g, m, (first, SPLIT.min(k - first)), out);
                });
                sum_in_order(partial, m * n);
                done(g, &partial[..m * n]);
            }
        });
    });
}

/// Adds all chunks of `len` to the first, in ascending order.
pub fn sum_in_order(partial: &mut [f32], len: usize) {
    /// Elements per task.
    const TASK: usize = 4096;
    let work = partial.len();
    let (first, rest) = partial.split_at_mut(len);
    let rest = &*rest;
    let tasks = first.chunks_mut(TASK).enumerate().collect();
    par::each(work, tasks, |(i, sums): (usize, &mut [f32])| {
        for chunk in rest.chunks(len) {
            simd::add(sums, &chunk[i * TASK..]);
        }
    });
}

/// Applies the epilogue to a whole product that starts at point `start`.
fn finish(epilogue: &Body, inputs: &[&[f32]], args: &RunArgs, start: usize, acc: &[f32], outputs: &mut [&mut [f32]]) {
    let mut outs: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[start..start + acc.len()]).collect();
    Program::new(epilogue, inputs, args).eval().store(start, acc.len(), acc, &mut outs);
}
