//! Sums over dimensions: `reduce`, `reduce_map`, `moments`.
//!
//! Invariant: the order of addition depends on the shape and the tuning only.

use onestep_shaders::Variant;

use super::assemble::{Dispatch, Lowering, Parts, partials};
use super::codegen::{Function, Given, Params, point_number};
use crate::exec::ExecError;
use crate::plan::{Body, Inst, View};

/// Results whose partial sums are added in one dispatch: with as many outputs, all storage buffers that every device has.
const TOGETHER: usize = 4;

/// What a sum is over.
struct Extents {
    /// Sums.
    kept: usize,
    /// Terms of each.
    terms: usize,
    /// Neighbouring terms of a sum are neighbours in the innermost dimension.
    along_rows: bool,
}

impl Extents {
    fn new(body: &Body, reduced: &[bool]) -> Self {
        let product =
            |wanted: bool| body.dims.iter().zip(reduced).filter(|(_, r)| **r == wanted).map(|(n, _)| n).product();
        let along_rows = body.dims.iter().zip(reduced).rev().find(|(n, _)| **n != 1).is_some_and(|(_, r)| *r);
        Self { kept: product(false), terms: product(true), along_rows }
    }
}

fn function<'a>(name: &'a str, body: &'a Body, reduced: &'a [bool], given: Given) -> Function<'a> {
    Function { name, body, params: Params::KeptReduced(reduced), vector: false, given }
}

impl Lowering<'_> {
    /// One dispatch, or, for long sums with few results, one that leaves partial sums and one more for every
    /// [`TOGETHER`] results.
    pub fn reduce(&self, body: &Body, reduced: &[bool]) -> Result<Vec<Dispatch>, ExecError> {
        let Extents { kept, terms, along_rows } = Extents::new(body, reduced);
        let results = body.results.len();
        let (ox, ry, chunks) = self.tuning.rows(kept, terms, along_rows, true);
        let chunk = terms.div_ceil(chunks);
        let chunks = terms.div_ceil(chunk);
        let whole = chunks == 1;
        let sums = if whole { self.outputs() } else { partials(results, chunks * kept) };
        let mut dispatches = vec![self.assemble(Parts {
            kernel: "reduce",
            variant: Variant::Rows { ox, ry },
            functions: vec![function("body", body, reduced, Given::Nothing)],
            helpers: String::new(),
            reads: None,
            writes: sums.clone(),
            vector: false,
            values: vec![("results", results as u32)],
            constants: vec![("KEPT", kept as f64), ("REDUCED", terms as f64), ("CHUNK", chunk as f64)],
            groups: kept.div_ceil(ox as usize) * chunks,
        })?];
        if whole {
            return Ok(dispatches);
        }
        // The second half: plain sums over the chunks, in order.
        let dims = [chunks, kept];
        let (ox, ry, _) = self.tuning.rows(kept, chunks, false, false);
        for (sums, outputs) in sums.chunks(TOGETHER).zip(self.outputs().chunks(TOGETHER)) {
            let load = |input| Inst::Load { input, view: View::contiguous(&dims) };
            let results = sums.len();
            let body =
                Body { dims: dims.to_vec(), insts: (0..results).map(load).collect(), results: (0..results).collect() };
            dispatches.push(Lowering { inputs: sums.to_vec(), ..*self }.assemble(Parts {
                kernel: "reduce",
                variant: Variant::Rows { ox, ry },
                functions: vec![function("body", &body, &[true, false], Given::Nothing)],
                helpers: String::new(),
                reads: None,
                writes: outputs.to_vec(),
                vector: false,
                values: vec![("results", results as u32)],
                constants: vec![("KEPT", kept as f64), ("REDUCED", chunks as f64), ("CHUNK", chunks as f64)],
                groups: kept.div_ceil(ox as usize),
            })?);
        }
        Ok(dispatches)
    }

    /// Sums, and what is made of them, in one dispatch.
    pub fn reduce_map(&self, sums: &Body, reduced: &[bool], map: &Body) -> Result<Vec<Dispatch>, ExecError> {
        let Extents { kept, terms, along_rows } = Extents::new(sums, reduced);
        let (ox, ry, _) = self.tuning.rows(kept, terms, along_rows, false);
        let results = sums.results.len();
        Ok(vec![self.assemble(Parts {
            kernel: "reduce_map",
            variant: Variant::Rows { ox, ry },
            functions: vec![
                function("body", sums, reduced, Given::Nothing),
                function("map", map, reduced, Given::Sums(results)),
            ],
            helpers: point_number("point", &sums.dims, reduced),
            reads: None,
            writes: self.outputs(),
            vector: false,
            values: vec![("results", results as u32), ("outputs", map.results.len() as u32)],
            constants: vec![("KEPT", kept as f64), ("REDUCED", terms as f64)],
            groups: kept.div_ceil(ox as usize),
        })?])
    }

    /// Mean and reciprocal standard deviation.
    pub fn moments(&self, body: &Body, reduced: &[bool], eps: f32) -> Result<Vec<Dispatch>, ExecError> {
        let Extents { kept, terms, along_rows } = Extents::new(body, reduced);
        let (ox, ry, _) = self.tuning.rows(kept, terms, along_rows, false);
        Ok(vec![self.assemble(Parts {
            kernel: "moments",
            variant: Variant::Rows { ox, ry },
            functions: vec![function("body", body, reduced, Given::Nothing)],
            helpers: String::new(),
            reads: None,
            writes: self.outputs(),
            vector: false,
            values: Vec::new(),
            constants: vec![("KEPT", kept as f64), ("REDUCED", terms as f64), ("EPS", f64::from(eps))],
            groups: kept.div_ceil(ox as usize),
        })?])
    }
}
