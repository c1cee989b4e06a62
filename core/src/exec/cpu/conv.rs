//! `conv2d` and `conv2d_grad_weight`, without unrolling into columns.
//!
//! A task evaluates its part of X once into a buffer with a border of zeros. There the
//! neighbourhood of a pixel is `k` contiguous stretches of `k * ci` numbers, which the tiles of
//! [`super::tile`] read in place. Invariant: the partition depends on the shape alone.

use super::body::{Eval, Program};
use super::matmul::{Product, matmul, sum_in_order};
use super::tile::{Columns, Panels, Rows};
use super::{par, simd};
use crate::exec::RunArgs;
use crate::plan::{Body, ConvShape};

/// Pixels per task that make the tiles' remainders and the hand-over small.
const TASK_PIXELS: usize = 256;

/// A task's rows: `rows` rows from row `y` of image `image`, or `images` whole images.
#[derive(Clone, Copy, Debug)]
struct Part {
    image: usize,
    images: usize,
    y: usize,
    rows: usize,
}

/// The bordered copy of X that a part needs.
#[derive(Clone, Copy, Debug)]
struct Border {
    shape: ConvShape,
    part: Part,
    /// `k / 2`.
    edge: usize,
}

impl Border {
    fn new(shape: ConvShape, part: Part) -> Self {
        Self { shape, part, edge: shape.k / 2 }
    }

    /// Elements of a bordered row.
    fn row(&self) -> usize {
        (self.shape.w + 2 * self.edge) * self.shape.ci
    }

    /// Elements of a bordered image.
    fn image(&self) -> usize {
        (self.part.rows + 2 * self.edge) * self.row()
    }

    fn len(&self) -> usize {
        self.part.images * self.image()
    }

    /// Evaluates X into `bordered`.
    fn fill(&self, x: &mut Eval, stored: Option<&[f32]>, bordered: &mut [f32]) {
        let ConvShape { h, w, ci, .. } = self.shape;
        let Part { image, images, y, rows } = self.part;
        let (line, edge, width) = (w * ci, self.edge, self.edge * ci);
        let (from, to) = (y.saturating_sub(edge), (y + rows + edge).min(h));
        for (i, bordered) in bordered.chunks_exact_mut(self.image()).enumerate().take(images) {
            let (start, len) = (((image + i) * h + from) * line, (to - from) * line);
            let mut place = |values: &[f32]| {
                for (r, dst) in bordered.chunks_exact_mut(self.row()).enumerate() {
                    let source = (y + r).checked_sub(edge).filter(|row| *row < h);
                    let Some(row) = source else {
                        dst.fill(0.0);
                        continue;
                    };
                    dst[..width].fill(0.0);
                    dst[width..width + line].copy_from_slice(&values[(row - from) * line..][..line]);
                    dst[width + line..].fill(0.0);
                }
            };
            match stored {
                Some(stored) => place(&stored[start..start + len]),
                None => par::with_scratch(len, |values| {
                    x.store(start, len, &[], &mut [&mut *values]);
                    place(values);
                }),
            }
        }
    }

    /// Where the neighbourhood of each pixel starts.
    fn bases(&self) -> Vec<usize> {
        let mut bases = Vec::with_capacity(self.part.images * self.part.rows * self.shape.w);
        for image in 0..self.part.images {
            for row in 0..self.part.rows {
                let start = image * self.image() + row * self.row();
                bases.extend((0..self.shape.w).map(|column| start + column * self.shape.ci));
            }
        }
        bases
    }
}

/// Cuts the batch into parts of about [`TASK_PIXELS`] pixels; single images are cut into strips
/// only where there are few, because strips evaluate their neighbours' rows again.
fn parts(shape: ConvShape) -> Vec<Part> {
    let ConvShape { b, h, w, .. } = shape;
    if b < 8 && h * w > 2 * TASK_PIXELS {
        let strip = TASK_PIXELS.div_ceil(w);
        let strips = move |image| {
            let rows = move |y| strip.min(h - y);
            (0..h).step_by(strip).map(move |y| Part { image, images: 1, y, rows: rows(y) })
        };
        (0..b).flat_map(strips).collect()
    } else {
        let images = TASK_PIXELS.div_ceil(h * w).min(b.div_ceil(8)).max(1);
        let whole = |image| Part { image, images: images.min(b - image), y: 0, rows: h };
        (0..b).step_by(images).map(whole).collect()
    }
}

/// `outputs[j] = epilogue(X * W)`.
pub fn conv2d(
    shape: ConvShape,
    flip: bool,
    prologue: &Body,
    epilogue: &Body,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    let ConvShape { b, h, w, ci, co, k } = shape;
    if k == 1 {
        let product = Product { batch: 1, m: b * h * w, n: co, k: ci, ta: false, tb: flip };
        return matmul(product, prologue, epilogue, inputs, outputs, args);
    }
    let taps = k * k * ci;
    let panels = Panels::new(co);
    let x = Program::new(prologue, inputs, args);
    let finish = Program::new(epilogue, inputs, args);
    par::with_scratch(panels.packed_len(taps), |weights| {
        if flip {
            let row = |t: usize| (k * k - 1 - t / ci) * ci * co + t % ci;
            panels.pack(taps, inputs[0], ci, row, weights);
        } else {
            panels.pack(taps, inputs[0], 1, |t| t * co, weights);
        }
        let weights = &*weights;
        let mut rest: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut **o).collect();
        let mut tasks = Vec::new();
        let mut start = 0;
        for part in parts(shape) {
            let len = part.images * part.rows * w * co;
            let outs: Vec<&mut [f32]> = rest
                .iter_mut()
                .map(|rest| rest.split_off_mut(..len).expect("outputs hold every pixel"))
                .collect();
            tasks.push((part, start, len, outs));
            start += len;
        }
        let work = x.work() + finish.work() + b * h * w * taps * co / 16;
        par::each(work, tasks, |(part, start, len, mut outs)| {
            let border = Border::new(shape, part);
            let multiply = |out: &mut [f32]| {
                par::with_scratch(border.len(), |bordered| {
                    border.fill(&mut x.eval(), x.as_input(), bordered);
                    let (bases, run_stride) = (&border.bases(), border.row());
                    for panel in panels.iter() {
                        let (a, b) = (&*bordered, panel.of(weights, taps));
                        let (runs, run_len, ld) = (k, k * ci, co);
                        let out = &mut *out;
                        simd::run(Rows { a, bases, runs, run_stride, run_len, panel, b, out, ld });
                    }
                });
            };
            if epilogue.is_plain_acc() {
                multiply(outs[0]);
            } else {
                par::with_scratch(len, |acc| {
                    multiply(acc);
                    finish.eval().store(start, len, acc, &mut outs);
                });
            }
        });
    });
}

/// Chunks of the batch whose sums are formed separately: enough to share out, few enough that
/// adding them up costs little.
const CHUNKS: usize = 16;

/// `outputs[0][dy, dx, ci, co] = sum over pixels of X * D`.
pub fn conv2d_grad_weight(
    shape: ConvShape,
    prologue: &Body,
    prologue_d: &Body,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    let ConvShape { b, h, w, ci, co, k } = shape;
    let x = Program::new(prologue, inputs, args);
    let d = Program::new(prologue_d, inputs, args);
    let panels = Panels::new(co);
    let len = k * k * ci * co;
    let parts = parts(shape);
    let per_chunk = parts.len().div_ceil(CHUNKS);
    let chunks: Vec<&[Part]> = parts.chunks(per_chunk).collect();
    par::with_scratch(chunks.len() * len, |partial| {
        let tasks = chunks.into_iter().zip(partial.chunks_mut(len)).collect();
        let work = x.work() + d.work() + b * h * w * len / 16;
        par::each(work, tasks, |(parts, sums): (&[Part], &mut [f32])| {
            sums.fill(0.0);
            let (mut x_eval, mut d_eval) = (x.eval(), d.eval());
            for &part in parts {
                let border = Border::new(shape, part);
                let pixels = part.images * part.rows * w;
                let start = (part.image * h + part.y) * w * co;
                par::with_scratch(border.len(), |bordered| {
                    border.fill(&mut x_eval, x.as_input(), bordered);
                    par::with_scratch(panels.packed_len(pixels), |packed| {
                        let mut pack = |d: &[f32]| panels.pack(pixels, d, 1, |i| i * co, packed);
                        match d.as_input() {
                            Some(stored) => pack(&stored[start..][..pixels * co]),
                            None => par::with_scratch(pixels * co, |values| {
                                d_eval.store(start, pixels * co, &[], &mut [&mut *values]);
                                pack(values);
                            }),
                        }
                        accumulate(border, bordered, &panels, packed, sums);
                    });
                });
            }
        });
        sum_in_order(partial, len);
        outputs[0].copy_from_slice(&partial[..len]);
    });
}

/// `sums += X^T D` over the pixels of one part.
fn accumulate(border: Border, a: &[f32], panels: &Panels, packed: &[f32], sums: &mut [f32]) {
    let ConvShape { w, ci, co, k, .. } = border.shape;
    let Part { images, rows, .. } = border.part;
    let pixels = images * rows * w;
    let m = k * ci;
    for (dy, sums) in sums.chunks_exact_mut(m * co).enumerate() {
        for panel in panels.iter() {
            for image in 0..images {
                let b = panel.rows_of(packed, pixels, image * rows * w, rows * w);
                let base = image * border.image() + dy * border.row();
                let (runs, run_stride, run_len, step) = (rows, border.row(), w, ci);
                let (out, ld) = (&mut *sums, co);
                simd::run(Columns {
                    a, base, m, runs, run_stride, run_len, step, panel, b, out, ld,
                });
            }
        }
    }
}
