//! `conv2d`, without unrolling into columns: the tiles read neighbourhoods in place from the
//! bordered copy of [`super::image`].

use super::body::Program;
use super::image::{Border, parts};
use super::matmul::{Product, matmul};
use super::narrow::{Dots, is_narrow};
use super::par;
use super::tile::{Panels, Rows};
use crate::exec::RunArgs;
use crate::plan::{Body, ConvShape};

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
    let weights = Weights { shape, flip, narrow: is_narrow(co, k * ci), panels: Panels::new(co) };
    let x = Program::new(prologue, inputs, args);
    let finish = Program::new(epilogue, inputs, args);
    par::with_scratch(weights.packed_len(), |packed| {
        weights.pack(inputs[0], packed);
        let packed = &*packed;
        let mut rest: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut **o).collect();
        let mut tasks = Vec::new();
        for part in parts(shape) {
            let border = Border::new(shape, part);
            let outs: Vec<&mut [f32]> = rest
                .iter_mut()
                .map(|rest| rest.split_off_mut(..border.pixels() * co).expect("one per pixel"))
                .collect();
            tasks.push((border, outs));
        }
        let work = x.work() + finish.work() + b * h * w * k * k * ci * co / 16;
        par::each(work, tasks, |(border, mut outs)| {
            let multiply = |out: &mut [f32]| {
                par::with_scratch(border.len(), |bordered| {
                    border.fill(&mut x.eval(), x.as_input(), bordered);
                    weights.multiply(packed, border, bordered, out);
                });
            };
            if epilogue.is_plain_acc() {
                multiply(outs[0]);
            } else {
                let len = border.pixels() * co;
                par::with_scratch(len, |acc| {
                    multiply(acc);
                    finish.eval().store(border.first_pixel() * co, len, acc, &mut outs);
                });
            }
        });
    });
}

/// The right operand, `[k * k * ci, co]`, packed in one of two ways.
struct Weights {
    shape: ConvShape,
    flip: bool,
    /// A row per output channel instead of panels.
    narrow: bool,
    panels: Panels,
}

impl Weights {
    fn taps(&self) -> usize {
        self.shape.k * self.shape.k * self.shape.ci
    }

    fn packed_len(&self) -> usize {
        if self.narrow { self.taps() * self.shape.co } else { self.panels.packed_len(self.taps()) }
    }

    fn pack(&self, stored: &[f32], packed: &mut [f32]) {
        let (ConvShape { ci, co, k, .. }, taps) = (self.shape, self.taps());
        // Weights of tap `t`: where they start, and how far apart those of its channels are.
        let start = |t: usize| {
            if self.flip { (k * k - 1 - t / ci) * ci * co + t % ci } else { t * co }
        };
        let step = if self.flip { ci } else { 1 };
        if self.narrow {
            for (o, row) in packed.chunks_exact_mut(taps).enumerate() {
                row.iter_mut().enumerate().for_each(|(t, w)| *w = stored[start(t) + o * step]);
            }
        } else {
            self.panels.pack(taps, stored, step, start, packed);
        }
    }

    fn multiply(&self, packed: &[f32], border: Border, a: &[f32], out: &mut [f32]) {
        let ConvShape { ci, co, k, .. } = self.shape;
        let (bases, run_stride) = (&border.bases(), border.row());
        let (runs, run_len) = (k, k * ci);
        if self.narrow {
            Dots { a, bases, runs, run_stride, run_len, b: packed, out }.run();
            return;
        }
        for panel in self.panels.iter() {
            let b = panel.of(packed, self.taps());
            let out = &mut *out;
            Rows { a, bases, runs, run_stride, run_len, panel, b, out, ld: co }.run();
        }
    }
}
