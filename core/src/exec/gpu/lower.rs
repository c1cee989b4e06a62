//! From a launch to dispatches: WGSL, constants, buffers, workgroups.
//!
//! Most launches become one dispatch; long sums with few outputs become two, with partial sums in
//! a buffer of the executor's own. Invariant: a dispatch binds its inputs, then its outputs, in
//! the order of the bindings in the WGSL, after the uniform at binding 0 if it has one.

use std::collections::BTreeMap;

use onestep_shaders::{Generated, Variant, source};

use super::codegen::{Code, Function, Params, generate, point_number};
use super::variant::Tuning;
use crate::exec::ExecError;
use crate::plan::{Body, Inst, Kernel, Launch, MAX_BINDINGS, SLOT_ALIGN, Slot};

/// A buffer range that a dispatch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A slot of the plan.
    Slot(Slot),
    /// Elements of the executor's buffer of partial sums.
    Partial {
        /// First element; a multiple of [`SLOT_ALIGN`].
        offset: usize,
        /// Number of elements.
        len: usize,
    },
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Complete WGSL.
    pub source: String,
    /// Values of its `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Binding 0 is the run's uniform.
    pub uniform: bool,
    /// Bindings for reading.
    pub reads: Vec<Operand>,
    /// Bindings for writing.
    pub writes: Vec<Operand>,
    /// Workgroups.
    pub groups: usize,
    /// Kernel and variant, for profiles.
    pub name: String,
}

/// Dispatches of a launch.
pub fn lower(launch: &Launch, tuning: &Tuning) -> Result<Vec<Dispatch>, ExecError> {
    let lowering = Lowering { launch, tuning };
    match &launch.kernel {
        Kernel::Pointwise { body } => lowering.pointwise(body),
        Kernel::Reduce { body, reduced } => lowering.reduce(body, reduced),
        Kernel::ReduceMap { sums, reduced, map } => lowering.reduce_map(sums, reduced, map),
        Kernel::Moments { body, reduced, eps } => lowering.moments(body, reduced, *eps),
        Kernel::MatMul { .. } | Kernel::Conv2d { .. } | Kernel::Conv2dGradWeight { .. } => lowering.contraction(),
        Kernel::Softmax { rows, cols } => {
            let (ox, ry, _) = tuning.rows(*rows, *cols, true, false);
            let generated = Generated { math: true, ..Generated::default() };
            let constants = vec![("ROWS", *rows as f64), ("COLS", *cols as f64)];
            lowering.single(Variant::Rows { ox, ry }, &generated, constants, rows.div_ceil(ox as usize))
        }
        Kernel::Gather { rows, width, table } | Kernel::GatherBytes { rows, width, table } => {
            lowering.table(*rows, *width, *table, rows * width)
        }
        Kernel::ScatterAdd { rows, width, table } => lowering.table(*rows, *width, *table, table * width),
        Kernel::Adam { len, scalars } => {
            let vector = len % 4 == 0;
            let items = if vector { len / 4 } else { *len };
            let s = scalars;
            let places = [s.lr, s.beta1, s.beta2, s.eps, s.correction1, s.correction2, s.ema_decay, s.clip];
            let names = ["LR", "BETA1", "BETA2", "ADAM_EPS", "CORRECTION1", "CORRECTION2", "EMA_DECAY", "CLIP"];
            let mut constants = vec![("ITEMS", items as f64)];
            constants.extend(names.into_iter().zip(places.map(|p| p as f64)));
            let highest = places.into_iter().max().unwrap_or(0);
            let generated = Generated {
                run: true,
                scalars: highest as u32 / 4 + 1,
                values: BTreeMap::from([("vector", u32::from(vector))]),
                ..Generated::default()
            };
            lowering.single(Variant::Items, &generated, constants, items.div_ceil(64))
        }
        Kernel::Record { ring } => {
            let values = BTreeMap::from([("inputs", launch.inputs.len() as u32)]);
            let generated = Generated { run: true, scalars: 1, values, ..Generated::default() };
            lowering.single(Variant::Items, &generated, vec![("RING", *ring as f64)], 1)
        }
    }
}

/// Partial sums that a dispatch leaves behind: `count` arrays of `chunks * len`, each aligned.
pub fn partials(count: usize, len: usize) -> Vec<Operand> {
    (0..count).map(|j| Operand::Partial { offset: j * len.next_multiple_of(SLOT_ALIGN), len }).collect()
}

/// The lowering of one launch.
pub struct Lowering<'a> {
    /// The launch.
    pub launch: &'a Launch,
    /// How variants are chosen.
    pub tuning: &'a Tuning,
}

impl Lowering<'_> {
    /// The launch's inputs.
    pub fn reads(&self) -> Vec<Operand> {
        self.launch.inputs.iter().copied().map(Operand::Slot).collect()
    }

    /// The launch's outputs.
    pub fn writes(&self) -> Vec<Operand> {
        self.launch.outputs.iter().copied().map(Operand::Slot).collect()
    }

    /// A dispatch of `kernel` on `reads` and `writes`.
    pub fn dispatch(
        &self,
        kernel: &str,
        variant: Variant,
        generated: &Generated,
        constants: Vec<(&'static str, f64)>,
        (reads, writes): (Vec<Operand>, Vec<Operand>),
        groups: usize,
    ) -> Result<Dispatch, ExecError> {
        let label = &self.launch.label;
        if reads.len() + writes.len() > MAX_BINDINGS {
            return Err(ExecError::Limit {
                what: format!("launch `{label}`"),
                need: (reads.len() + writes.len()) as u64,
                limit: MAX_BINDINGS as u64,
                fix: "the planner has to store an operand first".to_owned(),
            });
        }
        let source =
            source(kernel, variant, generated).map_err(|e| ExecError::Gpu(format!("launch `{label}`: {e}")))?;
        let name = format!("{kernel}.{}", variant.name());
        Ok(Dispatch { source, constants, uniform: generated.run, reads, writes, groups, name })
    }

    /// The only dispatch of a launch, on its own slots.
    pub fn single(
        &self,
        variant: Variant,
        generated: &Generated,
        constants: Vec<(&'static str, f64)>,
        groups: usize,
    ) -> Result<Vec<Dispatch>, ExecError> {
        Ok(vec![self.dispatch(
            self.launch.kernel.name(),
            variant,
            generated,
            constants,
            (self.reads(), self.writes()),
            groups,
        )?])
    }

    fn table(&self, rows: usize, width: usize, table: usize, items: usize) -> Result<Vec<Dispatch>, ExecError> {
        let constants = vec![("ROWS", rows as f64), ("WIDTH", width as f64), ("TABLE", table as f64)];
        self.single(Variant::Items, &Generated::default(), constants, items.div_ceil(64))
    }

    /// Generates `functions`, and declares the launch's inputs, then `outputs`.
    pub fn generated(
        &self,
        functions: &[Function<'_>],
        outputs: usize,
        vector_out: bool,
        values: &[(&'static str, u32)],
    ) -> Result<Generated, ExecError> {
        for inst in functions.iter().flat_map(|f| &f.body.insts) {
            if let Inst::Const(value) = inst
                && !value.is_finite()
            {
                return Err(ExecError::Gpu(format!(
                    "launch `{}` has the constant {value}; WGSL has no such number",
                    self.launch.label
                )));
            }
        }
        let Code { text, vector_inputs, math, random, scalars } = generate(functions, self.launch.inputs.len());
        let element = |vector: bool| if vector { "vec4<f32>" } else { "f32" };
        let mut bindings = String::new();
        for (i, vector) in vector_inputs.iter().enumerate() {
            bindings +=
                &format!("@group(0) @binding({}) var<storage, read> in{i}: array<{}>;\n", i + 1, element(*vector));
        }
        // A split contraction reads its partial sums between the inputs and the outputs.
        let first = vector_inputs.len() + 1 + values.iter().filter(|(name, _)| *name == "partial_binding").count();
        for j in 0..outputs {
            bindings += &format!(
                "@group(0) @binding({}) var<storage, read_write> out{j}: array<{}>;\n",
                first + j,
                element(vector_out)
            );
        }
        Ok(Generated {
            run: random || scalars > 0,
            scalars: (scalars.div_ceil(4) as u32).max(1),
            math: math || random,
            random,
            bindings,
            functions: text,
            values: values.iter().copied().collect(),
        })
    }

    fn pointwise(&self, body: &Body) -> Result<Vec<Dispatch>, ExecError> {
        let points = body.points();
        let vector = points.is_multiple_of(4);
        let function = Function { name: "body", body, params: Params::Flat, vector, acc: false };
        let values = [("vector", u32::from(vector)), ("results", body.results.len() as u32)];
        let generated = self.generated(&[function], body.results.len(), vector, &values)?;
        let items = if vector { points / 4 } else { points };
        self.single(Variant::Items, &generated, vec![("POINTS", points as f64)], items.div_ceil(64))
    }

    fn reduce(&self, body: &Body, reduced: &[bool]) -> Result<Vec<Dispatch>, ExecError> {
        let (kept, terms, along_rows) = extents(body, reduced);
        let results = body.results.len();
        let (ox, ry, chunks) = self.tuning.rows(kept, terms, along_rows, true);
        let chunk = terms.div_ceil(chunks);
        let chunks = terms.div_ceil(chunk);
        let function = Function { name: "body", body, params: Params::KeptReduced(reduced), vector: false, acc: false };
        let generated = self.generated(&[function], results, false, &[("results", results as u32)])?;
        let constants = |terms: usize, chunk: usize| {
            vec![("KEPT", kept as f64), ("REDUCED", terms as f64), ("CHUNK", chunk as f64)]
        };
        let groups = kept.div_ceil(ox as usize) * chunks;
        let variant = Variant::Rows { ox, ry };
        if chunks == 1 {
            return self.single(variant, &generated, constants(terms, terms), groups);
        }
        let sums = partials(results, chunks * kept);
        let mut dispatches = vec![self.dispatch(
            "reduce",
            variant,
            &generated,
            constants(terms, chunk),
            (self.reads(), sums.clone()),
            groups,
        )?];
        // The second half: plain sums over the chunks, in order.
        let body = Body::load(0, &[chunks, kept]);
        let second = Lowering {
            launch: &Launch { inputs: vec![self.launch.outputs[0]], ..self.launch.clone() },
            tuning: self.tuning,
        };
        let function = Function {
            name: "body",
            body: &body,
            params: Params::KeptReduced(&[true, false]),
            vector: false,
            acc: false,
        };
        let generated = second.generated(&[function], 1, false, &[("results", 1)])?;
        let (ox, ry, _) = self.tuning.rows(kept, chunks, false, false);
        for (sum, output) in sums.into_iter().zip(self.writes()) {
            let operands = (vec![sum], vec![output]);
            let groups = kept.div_ceil(ox as usize);
            dispatches.push(self.dispatch(
                "reduce",
                Variant::Rows { ox, ry },
                &generated,
                constants(chunks, chunks),
                operands,
                groups,
            )?);
        }
        Ok(dispatches)
    }

    fn reduce_map(&self, sums: &Body, reduced: &[bool], map: &Body) -> Result<Vec<Dispatch>, ExecError> {
        let (kept, terms, along_rows) = extents(sums, reduced);
        let (ox, ry, _) = self.tuning.rows(kept, terms, along_rows, false);
        let function = |name, body| Function { name, body, params: Params::KeptReduced(reduced), vector: false, acc: false };
        let results = sums.results.len();
        let functions = [function("body", sums), function("map", map)];
        let mut generated = self.generated(&functions, 1, false, &[("results", results as u32)])?;
        let sums_text: String = (0..results).map(|j| format!("var<private> sum{j}: f32;\n")).collect();
        generated.functions = sums_text + &generated.functions + &point_number("point", &sums.dims, reduced);
        let constants = vec![("KEPT", kept as f64), ("REDUCED", terms as f64)];
        self.single(Variant::Rows { ox, ry }, &generated, constants, kept.div_ceil(ox as usize))
    }

    fn moments(&self, body: &Body, reduced: &[bool], eps: f32) -> Result<Vec<Dispatch>, ExecError> {
        let (kept, terms, along_rows) = extents(body, reduced);
        let (ox, ry, _) = self.tuning.rows(kept, terms, along_rows, false);
        let function = Function { name: "body", body, params: Params::KeptReduced(reduced), vector: false, acc: false };
        let generated = self.generated(&[function], 1, false, &[])?;
        let constants = vec![("KEPT", kept as f64), ("REDUCED", terms as f64), ("EPS", f64::from(eps))];
        self.single(Variant::Rows { ox, ry }, &generated, constants, kept.div_ceil(ox as usize))
    }
}

/// Kept outputs, terms of each sum, and whether the innermost dimension is summed.
fn extents(body: &Body, reduced: &[bool]) -> (usize, usize, bool) {
    let product = |wanted: bool| body.dims.iter().zip(reduced).filter(|(_, r)| **r == wanted).map(|(n, _)| n).product();
    let inner = body.dims.iter().zip(reduced).rev().find(|(n, _)| **n != 1).is_some_and(|(_, r)| *r);
    (product(false), product(true), inner)
}
