//! Expressions that exercise every way in which a body reads its operands.

#![allow(clippy::cast_possible_wrap, reason = "the shapes are small")]

use onestep_core::graph::{BinaryOp, UnaryOp};
use onestep_core::plan::{Affine, Body, Inst, View};
use onestep_tests::values;

use crate::case::product;

pub const SHAPES: [[usize; 4]; 5] = [[1, 1, 1, 3], [2, 3, 5, 7], [1, 1, 1, 1], [3, 5, 4, 8], [16, 14, 14, 32]];

/// Writes bodies.
pub struct Writer {
    pub body: Body,
}

impl Writer {
    pub fn new(dims: &[usize]) -> Self {
        Self { body: Body { dims: dims.to_vec(), insts: Vec::new(), results: Vec::new() } }
    }

    pub fn push(&mut self, inst: Inst) -> usize {
        self.body.insts.push(inst);
        self.body.insts.len() - 1
    }

    pub fn load(&mut self, input: usize, view: View) -> usize {
        self.push(Inst::Load { input, view })
    }

    pub fn whole(&mut self, input: usize) -> usize {
        let view = View::contiguous(&self.body.dims);
        self.load(input, view)
    }

    pub fn un(&mut self, op: UnaryOp, a: usize) -> usize {
        self.push(Inst::Unary(op, a))
    }

    pub fn bin(&mut self, op: BinaryOp, a: usize, b: usize) -> usize {
        self.push(Inst::Binary(op, a, b))
    }

    pub fn end(mut self, results: &[usize]) -> Body {
        self.body.results = results.to_vec();
        self.body
    }
}

pub fn view(strides: &[i64], offset: i64) -> View {
    View { index: Affine { strides: strides.to_vec(), offset }, bounds: Vec::new() }
}

pub fn along(rank: usize, dim: usize, stride: i64, offset: i64) -> Affine {
    let mut strides = vec![0; rank];
    strides[dim] = stride;
    Affine { strides, offset }
}

/// Broadcasts, permutations, slices, flips and padding of `shape` in one body, and the inputs it reads:
/// seven, or six without `flipped`.
pub fn views(shape: [usize; 4], flipped: bool) -> (Body, Vec<Vec<f32>>) {
    let [b, h, w, c] = shape.map(|n| n as i64);
    let mut writer = Writer::new(&shape);
    let whole = writer.whole(0);
    let channel = writer.load(1, view(&[0, 0, 0, 1], 0));
    let sample = writer.load(2, view(&[1, 0, 0, 0], 0));
    let permuted = writer.load(3, view(&[h, 1, b * h, b * h * w], 0));
    // A padded image: one pixel of zeros around an image that is two smaller (or nothing at all).
    let (ph, pw) = ((h - 2).max(0), (w - 2).max(0));
    let mut padded = view(&[ph * pw * c, pw * c, c, 1], -(pw * c) - c);
    padded.bounds = vec![(along(4, 1, 1, -1), ph as usize), (along(4, 2, 1, -1), pw as usize)];
    let padded = writer.load(4, padded);
    // Channels shifted by one: padding along the innermost dimension.
    let mut shifted = view(&[h * w * c, w * c, c, 1], -1);
    shifted.bounds = vec![(along(4, 3, 1, -1), (c - 1) as usize)];
    let shifted = writer.load(0, shifted);
    let strided = writer.load(5, view(&[h * w * c * 2, w * c * 2, c * 2, 2], 1));
    let mut terms = vec![channel, sample, permuted, padded, shifted, strided];
    let n = (b * h * w * c) as usize;
    let mut lens = vec![n, c as usize, b as usize, n, ((b * ph * pw * c) as usize).max(1), 2 * n];
    if flipped {
        terms.push(writer.load(6, view(&[h * w * c, w * c, -c, 1], (w - 1) * c)));
        lens.push(n);
    }
    let mut sum = whole;
    for v in terms {
        let square = writer.bin(BinaryOp::Mul, v, v);
        let term = writer.bin(BinaryOp::Add, v, square);
        sum = writer.bin(BinaryOp::Sub, term, sum);
    }
    (writer.end(&[sum]), (20..).zip(lens).map(|(seed, len)| values(seed, len)).collect())
}

/// Prologue over `[rows.., cols]`: silu(x * gain[col] + bias[row group]), x from input `first`.
pub fn prologue(dims: &[usize], first: usize) -> (Body, Vec<Vec<f32>>) {
    let (rank, cols) = (dims.len(), dims[dims.len() - 1]);
    let mut writer = Writer::new(dims);
    let x = writer.whole(first);
    let mut gain = vec![0; rank];
    gain[rank - 1] = 1;
    let gain = writer.load(first + 1, view(&gain, 0));
    let mut bias = vec![0; rank];
    bias[0] = 1;
    let bias = writer.load(first + 2, view(&bias, 0));
    let y = writer.bin(BinaryOp::Mul, x, gain);
    let y = writer.bin(BinaryOp::Add, y, bias);
    let s = writer.un(UnaryOp::Sigmoid, y);
    let y = writer.bin(BinaryOp::Mul, y, s);
    let inputs = vec![values(41, product(dims)), values(42, cols), values(43, dims[0])];
    (writer.end(&[y]), inputs)
}

/// Epilogue over `dims`: scalar * (acc + bias[last]) + skip, skip and bias from inputs `first ..`.
pub fn epilogue(dims: &[usize], first: usize) -> (Body, Vec<Vec<f32>>) {
    let (rank, cols) = (dims.len(), dims[dims.len() - 1]);
    let mut writer = Writer::new(dims);
    let acc = writer.push(Inst::Acc);
    let mut bias = vec![0; rank];
    bias[rank - 1] = 1;
    let bias = writer.load(first, view(&bias, 0));
    let skip = writer.whole(first + 1);
    let s = writer.push(Inst::Scalar(1));
    let y = writer.bin(BinaryOp::Add, acc, bias);
    let y = writer.bin(BinaryOp::Mul, y, s);
    let y = writer.bin(BinaryOp::Add, y, skip);
    (writer.end(&[y]), vec![values(51, cols), values(52, product(dims))])
}
