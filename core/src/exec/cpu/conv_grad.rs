//! `conv2d_grad_weight`: products over all pixels, in chunks of the batch whose sums are added in
//! order.

use super::body::Program;
use super::conv::Way;
use super::image::{Border, Part, parts};
use super::matmul::sum_in_order;
use super::narrow::outer;
use super::par;
use super::tile::{Columns, Panels};
use super::winograd;
use crate::exec::RunArgs;
use crate::plan::{Body, ConvShape};

/// Chunks of the batch: enough to share out, few enough that adding them up costs little.
const CHUNKS: usize = 16;
/// Elements that the chunks' sums may take together.
const MAX_SUMS: usize = 16 << 20;

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
    let product = PixelProduct { panels: Panels::new(co), way: Way::of(shape) };
    let len = k * k * ci * co;
    let parts = parts(shape);
    let count = (MAX_SUMS / len).clamp(2, CHUNKS);
    let chunks: Vec<&[Part]> = parts.chunks(parts.len().div_ceil(count)).collect();
    par::with_scratch(chunks.len() * len, |partial| {
        let tasks = chunks.into_iter().zip(partial.chunks_mut(len)).collect();
        let work = x.work() + d.work() + b * h * w * len / 16;
        par::each(work, tasks, |(parts, sums): (&[Part], &mut [f32])| {
            let (mut x_eval, mut d_eval) = (x.eval(), d.eval());
            let mut add_all = |sums: &mut [f32]| {
                for (i, &part) in parts.iter().enumerate() {
                    let add = i > 0;
                    let border = product.way.border(shape, part);
                    let (start, len) = (border.first_pixel() * co, border.pixels() * co);
                    par::with_scratch(border.len(), |bordered| {
                        border.fill(&mut x_eval, x.as_input(), bordered);
                        match d.as_input() {
                            Some(d) => product.sum(border, bordered, &d[start..start + len], sums, add),
                            None => par::with_scratch(len, |values| {
                                d_eval.store(start, len, &[], &mut [&mut *values]);
                                product.sum(border, bordered, values, sums, add);
                            }),
                        }
                    });
                }
            };
            if product.way == Way::Winograd {
                par::with_scratch(winograd::sums_len(shape), |at_points| {
                    add_all(at_points);
                    winograd::finish(at_points, sums);
                });
            } else {
                add_all(sums);
            }
        });
        sum_in_order(partial, len);
        outputs[0].copy_from_slice(&partial[..len]);
    });
}

/// How to multiply a part's X by its D.
struct PixelProduct {
    panels: Panels,
    way: Way,
}

impl PixelProduct {
    /// `sums = X^T D` over the pixels of one part, or `sums += X^T D` if `add`.
    fn sum(&self, border: Border, a: &[f32], d: &[f32], sums: &mut [f32], add: bool) {
        match self.way {
            Way::Plain => self.sum_plain(border, a, d, sums, add),
            Way::Narrow => sum_narrow(border, a, d, sums, add),
            Way::Winograd => winograd::sum(&self.panels, border, a, d, sums, add),
        }
    }

    /// [`PixelProduct::sum`], each row of taps in turn.
    fn sum_plain(&self, border: Border, a: &[f32], d: &[f32], sums: &mut [f32], add: bool) {
        let ConvShape { w, ci, co, k, .. } = border.shape;
        let Part { images, rows, .. } = border.part;
        let (m, pixels) = (k * ci, border.pixels());
        par::with_scratch(self.panels.packed_len(pixels), |packed| {
            self.panels.pack(pixels, d, 1, &|i| i * co, packed);
            for (dy, sums) in sums.chunks_exact_mut(m * co).enumerate() {
                for panel in self.panels.iter() {
                    let b = panel.of(packed, pixels);
                    let (base, groups, group_stride) = (dy * border.row(), images, border.image());
                    let (runs, run_stride, run_len, step) = (rows, border.row(), w, ci);
                    let (out, ld) = (&mut *sums, co);
                    Columns {
                        a,
                        base,
                        groups,
                        group_stride,
                        m,
                        runs,
                        run_stride,
                        run_len,
                        step,
                        panel,
                        b,
                        out,
                        ld,
                        add,
                    }
                    .run();
                }
            }
        });
    }
}

/// [`PixelProduct::sum`], one output channel at a time.
fn sum_narrow(border: Border, a: &[f32], d: &[f32], sums: &mut [f32], add: bool) {
    let ConvShape { w, ci, co, k, .. } = border.shape;
    let Part { images, rows, .. } = border.part;
    let m = k * ci;
    par::with_scratch(k * m, |of_channel| {
        for o in 0..co {
            of_channel.fill(0.0);
            for line in 0..images * rows {
                let base = line / rows * border.image() + line % rows * border.row();
                let d = &d[line * w * co..][..w * co];
                outer(&a[base..], border.row(), ci, &d[o..], co, m, of_channel);
            }
            let sums = sums[o..].iter_mut().step_by(co);
            sums.zip(&*of_channel).for_each(|(sum, x)| *sum = if add { *sum + x } else { *x });
        }
    });
}
