//! Dispatches around generated functions: declarations, bindings, limits.
//!
//! Invariant: a dispatch binds the inputs that its functions load, in the order of their numbers, then
//! what it declares besides, then its outputs; the uniform is at binding 0, if there is one.

use std::fmt::Write as _;

use onestep_shaders::{Generated, Variant, source};

use super::codegen::{Code, Function, Given, Params, generate};
use super::variant::Tuning;
use crate::exec::ExecError;
use crate::plan::{Body, Inst, Launch, MAX_BINDINGS, SLOT_ALIGN, Slot};

/// A buffer range that a dispatch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A slot of the plan.
    Slot(Slot),
    /// Part of one of the executor's own buffers, which no launch leaves anything in.
    Temporary {
        /// Which buffer; a dispatch may read one and write another.
        buffer: Temporary,
        /// First element; a multiple of [`SLOT_ALIGN`].
        offset: usize,
        /// Number of elements.
        len: usize,
    },
}

/// The executor's own buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporary {
    /// Operands of contractions that are computed beforehand.
    Operands,
    /// Partial sums.
    Sums,
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

/// A kernel with generated functions, before it is expanded.
pub struct Parts<'a> {
    /// Name in the registry.
    pub kernel: &'a str,
    /// Division of work.
    pub variant: Variant,
    /// Functions that the kernel calls.
    pub functions: Vec<Function<'a>>,
    /// Further functions.
    pub helpers: String,
    /// A further input that the kernel's own text reads: its name, and what it is.
    pub reads: Option<(&'a str, Operand)>,
    /// Outputs, `out0 ..`.
    pub writes: Vec<Operand>,
    /// Outputs and the further input are declared as `array<vec4<f32>>`.
    pub vector: bool,
    /// What the template asks for.
    pub values: Vec<(&'static str, u32)>,
    /// Values of `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Workgroups.
    pub groups: usize,
}

/// The lowering of one launch.
pub struct Lowering<'a> {
    /// The launch.
    pub launch: &'a Launch,
    /// How variants are chosen.
    pub tuning: &'a Tuning,
    /// What the inputs' numbers mean: the launch's, then computed ones.
    pub inputs: Vec<Operand>,
}

impl<'a> Lowering<'a> {
    /// Begins with the launch's own inputs.
    pub fn new(launch: &'a Launch, tuning: &'a Tuning) -> Self {
        Self { launch, tuning, inputs: launch.inputs.iter().copied().map(Operand::Slot).collect() }
    }

    /// The launch's outputs.
    pub fn outputs(&self) -> Vec<Operand> {
        self.launch.outputs.iter().copied().map(Operand::Slot).collect()
    }

    /// The only dispatch of a launch whose kernel declares its own bindings.
    pub fn fixed(
        &self,
        variant: Variant,
        generated: &Generated,
        constants: Vec<(&'static str, f64)>,
        groups: usize,
    ) -> Result<Vec<Dispatch>, ExecError> {
        let operands = (self.inputs.clone(), self.outputs());
        Ok(vec![self.expand(self.launch.kernel.name(), variant, generated, constants, operands, groups)?])
    }

    /// A dispatch around generated functions.
    pub fn assemble(&self, parts: Parts<'_>) -> Result<Dispatch, ExecError> {
        let Parts { kernel, variant, functions, helpers, reads: further, writes, vector, values, constants, groups } =
            parts;
        for inst in functions.iter().flat_map(|f| &f.body.insts) {
            if let Inst::Const(value) = inst
                && !value.is_finite()
            {
                let label = &self.launch.label;
                return Err(ExecError::Gpu(format!(
                    "launch `{label}` has the constant {value}; WGSL has no such number"
                )));
            }
        }
        let Code { text, inputs, math, random, scalars } = generate(&functions, self.inputs.len());
        let mut bindings = String::new();
        let mut binding = 0;
        let mut declare = |access: &str, name: &str, vector: bool| {
            binding += 1;
            let element = if vector { "vec4<f32>" } else { "f32" };
            let _ =
                writeln!(bindings, "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;");
        };
        let mut reads = Vec::new();
        for (i, (used, operand)) in inputs.iter().zip(&self.inputs).enumerate() {
            if let Some(vector) = used {
                declare("read", &format!("in{i}"), *vector);
                reads.push(*operand);
            }
        }
        if let Some((name, operand)) = further {
            declare("read", name, vector);
            reads.push(operand);
        }
        for j in 0..writes.len() {
            declare("read_write", &format!("out{j}"), vector);
        }
        let generated = Generated {
            run: random || scalars > 0,
            scalars: (scalars.div_ceil(4) as u32).max(1),
            math: math || random,
            random,
            bindings,
            functions: text + &helpers,
            values: values.into_iter().collect(),
        };
        self.expand(kernel, variant, &generated, constants, (reads, writes), groups)
    }

    /// `outputs[j][i] = body.results[j](i)`.
    pub fn pointwise(&self, body: &Body, writes: Vec<Operand>) -> Result<Dispatch, ExecError> {
        let points = body.points();
        let vector = points.is_multiple_of(4);
        let items = if vector { points / 4 } else { points };
        self.assemble(Parts {
            kernel: "pointwise",
            variant: Variant::Items,
            functions: vec![Function { name: "body", body, params: Params::Flat, vector, given: Given::Nothing }],
            helpers: String::new(),
            reads: None,
            writes,
            vector,
            values: vec![("vector", u32::from(vector)), ("results", body.results.len() as u32)],
            constants: vec![("POINTS", points as f64)],
            groups: items.div_ceil(64),
        })
    }

    fn expand(
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
                what: format!("launch `{label}` (buffers)"),
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
}

/// `count` arrays of `len` partial sums, each aligned.
pub fn partials(count: usize, len: usize) -> Vec<Operand> {
    let offset = |j| j * len.next_multiple_of(SLOT_ALIGN);
    (0..count).map(|j| Operand::Temporary { buffer: Temporary::Sums, offset: offset(j), len }).collect()
}
