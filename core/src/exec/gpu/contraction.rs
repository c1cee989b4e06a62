//! Contractions as products of two matrices, and their dispatches.
//!
//! Invariant: each operand is an expression over stored rows and columns; the kernels in `shaders/`
//! read it as such and know nothing of its dimensions.

use onestep_shaders::{Tile, Variant};

use super::assemble::{Dispatch, Lowering, Operand, Parts, Temporary, partials};
use super::codegen::{Function, Given, Params};
use super::variant::Problem;
use crate::exec::ExecError;
use crate::plan::{Body, Kernel, SLOT_ALIGN};

impl Lowering<'_> {
    /// One dispatch; before it one for each operand that is computed beforehand, and after it one
    /// for the epilogue if k is split (or the epilogue better kept apart).
    pub fn contraction(&mut self) -> Result<Vec<Dispatch>, ExecError> {
        let mut contraction = Contraction::new(&self.launch.kernel);
        let tile = self.tuning.tile(&contraction.problem);
        let mut dispatches = self.compute_operands(&mut contraction, &tile)?;
        let Contraction { problem, a, b, out_rows, epilogue, mut values, mut constants } = contraction;

        // Chunks of whole steps through workgroup memory.
        let step = (tile.tk as usize).max(4);
        let chunk = problem.k.div_ceil(self.tuning.splits(&problem, &tile)).next_multiple_of(step);
        let splits = problem.k.div_ceil(chunk);
        let apart = splits > 1 || self.tuning.epilogue_apart(&epilogue);

        let vector_out = problem.n.is_multiple_of(4);
        let plain = Body::acc(&[out_rows, problem.n]);
        let finish = |body| Function {
            name: "epilogue",
            body,
            params: Params::RowCol { rows: out_rows, cols: problem.n },
            vector: vector_out,
            given: Given::Acc,
        };
        let sums = if apart { partials(1, splits * out_rows * problem.n) } else { self.outputs() };
        let flags = [("vector_a", a.vector()), ("vector_b", b.vector()), ("vector_out", vector_out)];
        values.extend(flags.map(|(name, flag)| (name, u32::from(flag))));
        if splits > 1 {
            constants.extend([("SPLITS", splits as f64), ("CHUNK", chunk as f64)]);
        }
        let tiles = problem.tiles(&tile);
        dispatches.push(self.assemble(Parts {
            kernel: problem.kernel,
            variant: Variant::Tile(tile),
            functions: vec![
                a.function(["a", "a4"]),
                b.function(["b", "b4"]),
                finish(if apart { &plain } else { &epilogue }),
            ],
            helpers: String::new(),
            reads: None,
            writes: sums.clone(),
            vector: vector_out,
            values,
            constants,
            groups: if tile.shared { tiles * splits } else { tiles.div_ceil(tile.tx as usize) },
        })?);
        if apart {
            let items = out_rows * problem.n / if vector_out { 4 } else { 1 };
            dispatches.push(self.assemble(Parts {
                kernel: "split_sum",
                variant: Variant::Items,
                functions: vec![finish(&epilogue)],
                helpers: String::new(),
                reads: Some(("partial", sums[0])),
                writes: self.outputs(),
                vector: vector_out,
                values: vec![("vector_out", u32::from(vector_out))],
                constants: vec![("ROWS", out_rows as f64), ("N", problem.n as f64), ("SPLITS", splits as f64)],
                groups: items.div_ceil(64),
            })?);
        }
        Ok(dispatches)
    }

    /// Computes operands beforehand that the product would compute many times over.
    fn compute_operands(&mut self, contraction: &mut Contraction, tile: &Tile) -> Result<Vec<Dispatch>, ExecError> {
        let mut dispatches = Vec::new();
        let mut offset = 0;
        let Contraction { problem, a, b, .. } = contraction;
        let (tile_m, tile_n) = tile.extent();
        for (operand, uses) in [(a, problem.taps * problem.n.div_ceil(tile_n)), (b, problem.m.div_ceil(tile_m))] {
            let len = operand.rows * operand.cols;
            if !self.tuning.operand_apart(&operand.body, uses, offset + len) {
                continue;
            }
            let place = Operand::Temporary { buffer: Temporary::Operands, offset, len };
            dispatches.push(self.pointwise(&operand.body, vec![place])?);
            operand.body = Body::load(self.inputs.len(), &[operand.rows, operand.cols]);
            self.inputs.push(place);
            offset += len.next_multiple_of(SLOT_ALIGN);
        }
        Ok(dispatches)
    }
}

/// An operand as it is stored: an expression over rows and columns.
struct Matrix {
    body: Body,
    rows: usize,
    cols: usize,
}

impl Matrix {
    fn new(body: Body, rows: usize, cols: usize) -> Self {
        Self { body, rows, cols }
    }

    /// Whether rows divide into fours.
    fn vector(&self) -> bool {
        self.cols.is_multiple_of(4)
    }

    /// Its function, by its name for one element or for four.
    fn function<'a>(&'a self, names: [&'a str; 2]) -> Function<'a> {
        let Self { body, rows, cols } = self;
        let name = names[usize::from(self.vector())];
        let params = Params::RowCol { rows: *rows, cols: *cols };
        Function { name, body, params, vector: self.vector(), given: Given::Nothing }
    }
}

/// A contraction as a product of two matrices, each an expression over stored rows and columns.
struct Contraction {
    problem: Problem,
    a: Matrix,
    b: Matrix,
    out_rows: usize,
    epilogue: Body,
    values: Vec<(&'static str, u32)>,
    constants: Vec<(&'static str, f64)>,
}

impl Contraction {
    fn new(kernel: &Kernel) -> Self {
        match kernel {
            Kernel::MatMul { batch, m, n, k, ta, tb, prologue, epilogue } => {
                let (a_rows, a_cols) = if *ta { (*k, *m) } else { (*m, *k) };
                let (b_rows, b_cols) = if *tb { (*n, *k) } else { (*k, *n) };
                Self {
                    problem: Problem {
                        kernel: "matmul",
                        taps: 1,
                        batch: *batch,
                        m: *m,
                        n: *n,
                        k: k.next_multiple_of(4),
                    },
                    a: Matrix::new(prologue.clone(), batch * a_rows, a_cols),
                    b: Matrix::new(Body::load(0, &[batch * b_rows, b_cols]), batch * b_rows, b_cols),
                    out_rows: batch * m,
                    epilogue: epilogue.clone(),
                    values: vec![
                        ("a_along_k", u32::from(!ta)),
                        ("b_along_k", u32::from(*tb)),
                        ("k_tail", u32::from(k % 4 != 0)),
                    ],
                    constants: vec![("BATCH", *batch as f64), ("M", *m as f64), ("N", *n as f64), ("K", *k as f64)],
                }
            }
            Kernel::Conv2d { shape, flip, prologue, epilogue } => {
                let s = shape;
                let (rows, taps) = (s.b * s.h * s.w, s.k * s.k);
                let (b_rows, b_cols) = if *flip { (taps * s.co, s.ci) } else { (taps * s.ci, s.co) };
                Self {
                    problem: Problem {
                        kernel: "conv2d",
                        taps,
                        batch: 1,
                        m: rows,
                        n: s.co,
                        k: taps * s.ci.next_multiple_of(4),
                    },
                    a: Matrix::new(prologue.clone(), rows, s.ci),
                    b: Matrix::new(Body::load(0, &[b_rows, b_cols]), b_rows, b_cols),
                    out_rows: rows,
                    epilogue: epilogue.clone(),
                    values: vec![
                        ("a_along_k", 1),
                        ("b_along_k", u32::from(*flip)),
                        ("k_tail", u32::from(s.ci % 4 != 0)),
                        ("size", s.k as u32),
                    ],
                    constants: vec![
                        ("ROWS", rows as f64),
                        ("H", s.h as f64),
                        ("W", s.w as f64),
                        ("CI", s.ci as f64),
                        ("N", s.co as f64),
                    ],
                }
            }
            Kernel::Conv2dGradWeight { shape, prologue, prologue_d } => {
                let s = shape;
                let (pixels, taps) = (s.b * s.h * s.w, s.k * s.k);
                let out_rows = taps * s.ci;
                let m = taps * s.ci.next_multiple_of(4);
                Self {
                    problem: Problem {
                        kernel: "conv2d_grad_weight",
                        taps,
                        batch: 1,
                        m,
                        n: s.co,
                        k: pixels.next_multiple_of(4),
                    },
                    a: Matrix::new(prologue.clone(), pixels, s.ci),
                    b: Matrix::new(prologue_d.clone(), pixels, s.co),
                    out_rows,
                    epilogue: Body::acc(&[out_rows, s.co]),
                    values: vec![
                        ("a_along_k", 0),
                        ("b_along_k", 0),
                        ("k_tail", u32::from(pixels % 4 != 0)),
                        ("size", s.k as u32),
                    ],
                    constants: vec![
                        ("PIXELS", pixels as f64),
                        ("H", s.h as f64),
                        ("W", s.w as f64),
                        ("CI", s.ci as f64),
                        ("N", s.co as f64),
                    ],
                }
            }
            _ => unreachable!("only contractions come here"),
        }
    }
}
