//! Contractions as products of two matrices, and their dispatches.
//!
//! Invariant: each operand is an expression over stored rows and columns; the kernels in `shaders/`
//! read it as such and know nothing of its dimensions.

use onestep_shaders::Variant;

use super::codegen::{Function, Params};
use super::lower::{Dispatch, Lowering, partials};
use super::variant::Problem;
use crate::exec::ExecError;
use crate::plan::{Body, Kernel, MAX_BINDINGS};

impl Lowering<'_> {
    /// One dispatch, or two if k is split.
    pub fn contraction(&self) -> Result<Vec<Dispatch>, ExecError> {
        let contraction = Contraction::new(&self.launch.kernel);
        let Contraction { problem, a, b, epilogue, .. } = &contraction;
        let tile = self.tuning.tile(problem);
        let vector_out = problem.n.is_multiple_of(4);
        let rows = contraction.out_rows;
        let out = |name, body| Function {
            name,
            body,
            params: Params::RowCol { rows, cols: problem.n },
            vector: vector_out,
            acc: true,
        };
        let operand = |names: [&'static str; 2], (body, rows, cols): &(Body, usize, usize)| {
            let vector = cols.is_multiple_of(4);
            (names[usize::from(vector)], *rows, *cols, vector, body.clone())
        };
        let operands = [operand(["a", "a4"], a), operand(["b", "b4"], b)];
        let mut functions: Vec<Function<'_>> = operands
            .iter()
            .map(|(name, rows, cols, vector, body)| Function {
                name,
                body,
                params: Params::RowCol { rows: *rows, cols: *cols },
                vector: *vector,
                acc: false,
            })
            .collect();

        let splits = if self.launch.inputs.len() + 2 > MAX_BINDINGS { 1 } else { self.tuning.splits(problem, &tile) };
        // Chunks of whole steps through workgroup memory.
        let step = (tile.tk as usize).max(4);
        let chunk = problem.k.div_ceil(splits).next_multiple_of(step);
        let splits = problem.k.div_ceil(chunk);

        let plain = Body::acc(&[rows, problem.n]);
        functions.push(out("epilogue", if splits > 1 { &plain } else { epilogue }));
        let mut values = contraction.values.clone();
        values.extend([
            ("vector_a", u32::from(operands[0].3)),
            ("vector_b", u32::from(operands[1].3)),
            ("vector_out", u32::from(vector_out)),
        ]);
        let generated = self.generated(&functions, 1, vector_out, &values)?;
        let mut constants = contraction.constants.clone();
        if splits > 1 {
            constants.extend([("SPLITS", splits as f64), ("CHUNK", chunk as f64)]);
        }
        let tiles = problem.tiles(&tile);
        let groups = if tile.shared { tiles * splits } else { tiles.div_ceil(tile.tx as usize) };
        let kernel = self.launch.kernel.name();
        if splits == 1 {
            return self.single(Variant::Tile(tile), &generated, constants, groups);
        }
        let partial = partials(1, splits * rows * problem.n);
        let first =
            self.dispatch(kernel, Variant::Tile(tile), &generated, constants, (self.reads(), partial.clone()), groups)?;

        let values = [("vector_out", u32::from(vector_out)), ("partial_binding", self.launch.inputs.len() as u32 + 1)];
        let generated = self.generated(&[out("epilogue", epilogue)], 1, vector_out, &values)?;
        let constants = vec![("ROWS", rows as f64), ("N", problem.n as f64), ("SPLITS", splits as f64)];
        let items = rows * problem.n / if vector_out { 4 } else { 1 };
        let reads = self.reads().into_iter().chain(partial).collect();
        let second = self.dispatch(
            "split_sum",
            Variant::Items,
            &generated,
            constants,
            (reads, self.writes()),
            items.div_ceil(64),
        )?;
        Ok(vec![first, second])
    }
}

/// A contraction as a product of two matrices, each an expression over stored rows and columns.
struct Contraction {
    problem: Problem,
    /// Expression, rows, columns.
    a: (Body, usize, usize),
    b: (Body, usize, usize),
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
                    problem: Problem { kernel: "matmul", batch: *batch, m: *m, n: *n, k: k.next_multiple_of(4) },
                    a: (prologue.clone(), batch * a_rows, a_cols),
                    b: (Body::load(0, &[batch * b_rows, b_cols]), batch * b_rows, b_cols),
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
                        batch: 1,
                        m: rows,
                        n: s.co,
                        k: taps * s.ci.next_multiple_of(4),
                    },
                    a: (prologue.clone(), rows, s.ci),
                    b: (Body::load(0, &[b_rows, b_cols]), b_rows, b_cols),
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
                        batch: 1,
                        m,
                        n: s.co,
                        k: pixels.next_multiple_of(4),
                    },
                    a: (prologue.clone(), pixels, s.ci),
                    b: (prologue_d.clone(), pixels, s.co),
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
