//! `conv2d`, without unrolling into columns: the tiles read neighbourhoods in place from the
//! bordered copy of [`super::image`]. With enough channels, 3 x 3 goes by [`super::winograd`].

use super::body::Program;
use super::image::{Border, Part, parts};
use super::kept::Kept;
use super::matmul::{Product, matmul};
use super::narrow::{Dots, is_narrow};
use super::par;
use super::tile::{Panels, Rows};
use super::winograd;
use crate::exec::RunArgs;
use crate::plan::{Body, ConvShape};

/// `outputs[j] = epilogue(X * W)`.
#[expect(clippy::too_many_arguments, reason = "what a launch has")]
pub fn conv2d(
    shape: ConvShape,
    flip: bool,
    prologue: &Body,
    epilogue: &Body,
    kept: Option<&mut Kept>,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    let ConvShape { b, h, w, ci, co, k } = shape;
    if k == 1 {
        let product = Product { batch: 1, m: b * h * w, n: co, k: ci, ta: false, tb: flip };
        return matmul(product, prologue, epilogue, kept, inputs, outputs, args);
    }
    let weights = Weights { shape, flip, way: Way::of(shape), panels: Panels::new(co) };
    let x = Program::new(prologue, inputs, args);
    let finish = Program::new(epilogue, inputs, args);
    let mut multiply_all = |packed: &[f32]| {
        let mut rest: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut **o).collect();
        let mut tasks = Vec::new();
        for part in parts(shape) {
            let border = weights.way.border(shape, part);
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
    };
    match kept {
        Some(kept) => multiply_all(kept.packed(weights.packed_len(), |packed| weights.pack(inputs[0], packed))),
        None => par::with_scratch(weights.packed_len(), |packed| {
            weights.pack(inputs[0], packed);
            multiply_all(packed);
        }),
    }
}

/// How a convolution, or the gradient of its weights, is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Each tap in turn, panels of output channels.
    Plain,
    /// Too few output channels for panels: a row of weights each.
    Narrow,
    /// By tiles of results.
    Winograd,
}

impl Way {
    /// The cheapest way for a shape.
    pub fn of(shape: ConvShape) -> Self {
        if is_narrow(shape.co, shape.k * shape.ci) {
            Self::Narrow
        } else if winograd::pays(shape) {
            Self::Winograd
        } else {
            Self::Plain
        }
    }

    /// The bordered copy that it reads.
    pub fn border(self, shape: ConvShape, part: Part) -> Border {
        if self == Self::Winograd { winograd::border(shape, part) } else { Border::new(shape, part) }
    }
}

/// The right operand, `[k * k * ci, co]`, packed in the way that it is read.
struct Weights {
    shape: ConvShape,
    flip: bool,
    way: Way,
    panels: Panels,
}

impl Weights {
    fn taps(&self) -> usize {
        self.shape.k * self.shape.k * self.shape.ci
    }

    fn packed_len(&self) -> usize {
        match self.way {
            Way::Plain => self.panels.packed_len(self.taps()),
            Way::Narrow => self.taps() * self.shape.co,
            Way::Winograd => winograd::packed_len(self.shape, &self.panels),
        }
    }

    fn pack(&self, stored: &[f32], packed: &mut [f32]) {
        let (ConvShape { ci, co, k, .. }, taps) = (self.shape, self.taps());
        // Weights of tap `t`: where they start, and how far apart those of its channels are.
        let start = |t: usize| {
            if self.flip { (k * k - 1 - t / ci) * ci * co + t % ci } else { t * co }
        };
        let step = if self.flip { ci } else { 1 };
        match self.way {
            Way::Plain => self.panels.pack(taps, stored, step, &start, packed),
            Way::Narrow => {
                for (o, row) in packed.chunks_exact_mut(taps).enumerate() {
                    row.iter_mut().enumerate().for_each(|(t, w)| *w = stored[start(t) + o * step]);
                }
            }
            Way::Winograd => winograd::pack(self.shape, &self.panels, self.flip, stored, packed),
        }
    }

    fn multiply(&self, packed: &[f32], border: Border, a: &[f32], out: &mut [f32]) {
        let ConvShape { ci, co, k, .. } = self.shape;
        let (bases, run_stride) = (&border.bases(), border.row());
        let (runs, run_len) = (k, k * ci);
        match self.way {
            Way::Plain => {
                for panel in self.panels.iter() {
                    let b = panel.of(packed, self.taps());
                    let out = &mut *out;
                    Rows { a, bases, runs, run_stride, run_len, panel, b, out, ld: co }.run();
                }
            }
            Way::Narrow => Dots { a, bases, runs, run_stride, run_len, b: packed, out }.run(),
            Way::Winograd => winograd::multiply(&self.panels, packed, border, a, out),
        }
    }
}
