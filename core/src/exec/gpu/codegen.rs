//! From a [`Body`] to WGSL functions.
//!
//! A function takes one or two linear indices (`i`; `row, col`; `o, r`) or, as a vector function,
//! those of four neighbours, and returns the body's results. Loads become index arithmetic: for each
//! view alone, neighbouring dimensions that it traverses in step are merged, so that a contiguous
//! load becomes `in0[i]` and a load by channel `in0[i % C]`; equal digits are computed once.
//!
//! Invariant: a generated function reads no element outside its view's bounds, because the GPU runs
//! without bounds checks. Arithmetic on indices wraps, so one comparison checks both ends.

use litemap::LiteMap;
use std::fmt::Write as _;

pub use super::space::Params;
use super::space::{Class, Digit, Space, Sum};
use crate::graph::{BinaryOp, Distribution, UnaryOp};
use crate::plan::{Body, Inst, View};

/// A function to generate.
#[derive(Clone, Debug)]
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its expression.
    pub body: &'a Body,
    /// Its indices.
    pub params: Params<'a>,
    /// Evaluate four neighbours at once; the last index is then a multiple of 4, and the innermost
    /// extent (all points, or `cols`) too.
    pub vector: bool,
    /// What it takes besides its indices.
    pub given: Given,
}

/// Values that a function gets from its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// None.
    Nothing,
    /// `acc`, the contraction's result.
    Acc,
    /// `sum0`, `sum1`, ..., so many.
    Sums(usize),
}

/// Functions of one kernel, and what they need around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Text of all functions.
    pub text: String,
    /// For each input that is loaded: whether it is read as `array<vec4<f32>>`.
    pub inputs: Vec<Option<bool>>,
    /// `lib/math.wgsl` is used.
    pub math: bool,
    /// `lib/random.wgsl` is used.
    pub random: bool,
    /// Highest scalar used, plus one.
    pub scalars: usize,
}

/// Generates the functions of a kernel with `inputs` inputs.
pub fn generate(functions: &[Function<'_>], inputs: usize) -> Code {
    let mut code = Code { inputs: vec![None; inputs], ..Code::default() };
    // An input is declared as vectors if nobody reads it otherwise.
    for function in functions {
        let space = Space::new(function.body, function.params);
        for (_, inst) in live(function.body) {
            if let Inst::Load { input, view } = inst {
                let vector = function.vector && space.classify(view) == Class::Strided(1);
                code.inputs[*input] = Some(code.inputs[*input].unwrap_or(true) && vector);
            }
        }
    }
    for function in functions {
        let text = Emitter::new(function, &mut code).function(function);
        code.text += &text;
    }
    code
}

/// A function `name(o, r)` that gives the number of a point of the iteration space `dims`.
pub fn point_number(name: &str, dims: &[usize], reduced: &[bool]) -> String {
    let body = Body::load(0, dims);
    let mut code = Code::default();
    let function =
        Function { name, body: &body, params: Params::KeptReduced(reduced), vector: false, given: Given::Nothing };
    let mut emitter = Emitter::new(&function, &mut code);
    let (index, _) = emitter.element(&View::contiguous(dims), 0);
    format!("fn {name}(o: u32, r: u32) -> u32 {{\n{}    return {index};\n}}\n\n", emitter.text)
}

/// A literal of exactly this value. The plan holds no others than finite ones.
fn literal(value: f32) -> String {
    format!("{value}f")
}

/// Instructions that the results depend on, with their numbers.
fn live(body: &Body) -> impl Iterator<Item = (usize, &Inst)> {
    let mut used = vec![false; body.insts.len()];
    for result in &body.results {
        used[*result] = true;
    }
    for (i, inst) in body.insts.iter().enumerate().rev() {
        if used[i] {
            match inst {
                Inst::Unary(_, a) => used[*a] = true,
                Inst::Binary(_, a, b) => {
                    used[*a] = true;
                    used[*b] = true;
                }
                _ => {}
            }
        }
    }
    body.insts.iter().enumerate().filter(move |(i, _)| used[*i])
}

/// Writes one function.
struct Emitter<'a, 'c> {
    space: Space<'a>,
    code: &'c mut Code,
    text: String,
    /// Names of the index expressions that exist already.
    names: LiteMap<String, String>,
}

impl<'a, 'c> Emitter<'a, 'c> {
    fn new(function: &Function<'a>, code: &'c mut Code) -> Self {
        let space = Space::new(function.body, function.params);
        let text = space.joined.clone().unwrap_or_default();
        Self { space, code, text, names: LiteMap::new() }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "    {line}");
    }

    /// A name for an index expression.
    fn named(&mut self, expr: String) -> String {
        if let Some(name) = self.names.get(&expr) {
            return name.clone();
        }
        let name = format!("d{}", self.names.len());
        self.line(&format!("let {name} = {expr};"));
        self.names.insert(expr, name.clone());
        name
    }

    /// Index of an element, and the condition under which it exists, `lane` neighbours further on.
    fn element(&mut self, view: &View, lane: usize) -> (String, Option<String>) {
        let bounds: Vec<_> = self.space.bounds(view).cloned().collect();
        let offsets: Vec<i64> =
            std::iter::once(view.index.offset).chain(bounds.iter().map(|(e, _)| e.offset)).collect();
        let mut forms: Vec<Sum> = offsets.iter().map(|offset| Sum::new(*offset)).collect();
        for g in 0..self.space.groups.len() {
            let group = self.space.groups[g].clone();
            let total: usize = group.dims.iter().map(|d| self.space.sizes[*d]).product();
            let index = if lane > 0 && g == self.space.inner {
                self.named(format!("{} + {lane}u", group.index))
            } else {
                group.index.to_owned()
            };
            for Digit { div, size, strides } in self.space.digits(&group, view) {
                if strides.iter().all(|s| *s == 0) {
                    continue;
                }
                let digit = match (div == 1, div * size == total) {
                    (true, true) => index.clone(),
                    (true, false) => self.named(format!("{index} % {size}u")),
                    (false, true) => self.named(format!("{index} / {div}u")),
                    (false, false) => self.named(format!("{index} / {div}u % {size}u")),
                };
                for (form, stride) in forms.iter_mut().zip(strides) {
                    form.add(&digit, stride);
                }
            }
        }
        let index = self.named_sum(&forms[0]);
        let conditions: Vec<String> =
            forms[1..].iter().zip(&bounds).map(|(form, (_, len))| format!("({}) < {len}u", form.text())).collect();
        (index, (!conditions.is_empty()).then(|| conditions.join(" && ")))
    }

    fn named_sum(&mut self, sum: &Sum) -> String {
        let text = sum.text();
        if text.contains(' ') { self.named(text) } else { text }
    }

    /// Defines `name` as `value`, or zero where `condition` fails.
    fn define(&mut self, name: &str, f: &str, value: &str, condition: Option<String>) {
        match condition {
            None => self.line(&format!("let {name} = {value};")),
            Some(condition) => {
                self.line(&format!("var {name} = {f}(0.0);"));
                self.line(&format!("if {condition} {{"));
                self.line(&format!("    {name} = {value};"));
                self.line("}");
            }
        }
    }

    /// Defines `name` as what `fetch` makes of the element `view`; `whole` makes four contiguous ones.
    fn leaf(
        &mut self,
        name: &str,
        view: &View,
        vector: bool,
        fetch: &dyn Fn(&str) -> String,
        whole: Option<&dyn Fn(&str) -> String>,
    ) {
        if self.space.is_empty(view) {
            self.line(&format!("let {name} = {}(0.0);", if vector { "vec4<f32>" } else { "f32" }));
            return;
        }
        if !vector {
            let (index, condition) = self.element(view, 0);
            self.define(name, "f32", &fetch(&index), condition);
            return;
        }
        match self.space.classify(view) {
            Class::Strided(0) => {
                let (index, condition) = self.element(view, 0);
                self.define(name, "vec4<f32>", &format!("vec4<f32>({})", fetch(&index)), condition);
            }
            Class::Strided(stride) => {
                let (index, condition) = self.element(view, 0);
                let value = match whole {
                    Some(whole) if stride == 1 => whole(&index),
                    _ => {
                        let at = |lane: i64| match stride * lane {
                            0 => fetch(&index),
                            step if step > 0 => fetch(&format!("{index} + {step}u")),
                            step => fetch(&format!("{index} - {}u", -step)),
                        };
                        format!("vec4<f32>({}, {}, {}, {})", at(0), at(1), at(2), at(3))
                    }
                };
                self.define(name, "vec4<f32>", &value, condition);
            }
            Class::Separate => {
                for lane in 0..4 {
                    let (index, condition) = self.element(view, lane);
                    self.define(&format!("{name}_{lane}"), "f32", &fetch(&index), condition);
                }
                self.line(&format!("let {name} = vec4<f32>({name}_0, {name}_1, {name}_2, {name}_3);"));
            }
        }
    }

    /// ` + 0` in a form that no compiler folds: a number below 2^32 - 1, divided by the next.
    ///
    /// Where a random number has the same element at every point, a counter of constants and uniforms alone would enter
    /// Threefry. Mesa's software driver then looks, from each use, for the uniforms that a value comes from, along every
    /// path through the rounds: there are 2^40.
    fn hidden_zero(&self) -> String {
        let index = self.space.groups[self.space.inner].index;
        format!(" + {index} / ({index} + 1u)")
    }

    fn function(mut self, function: &Function<'_>) -> String {
        let (w, f) = if function.vector { ("4", "vec4<f32>") } else { ("1", "f32") };
        for (i, inst) in live(function.body) {
            let name = format!("v{i}");
            match inst {
                Inst::Load { input, view } => {
                    let whole: Option<&dyn Fn(&str) -> String> = if self.code.inputs[*input] == Some(true) {
                        Some(&|index| format!("in{input}[({index}) / 4u]"))
                    } else {
                        None
                    };
                    self.leaf(&name, view, function.vector, &|index| format!("in{input}[{index}]"), whole);
                }
                Inst::Random { distribution, stream, per_step, view } => {
                    self.code.random = true;
                    let sample = match distribution {
                        Distribution::Normal => "random_normal",
                        Distribution::Uniform => "random_uniform",
                    };
                    let step = if *per_step { "run.step" } else { "0u" };
                    let zero = if self.space.is_constant(view) { self.hidden_zero() } else { String::new() };
                    let fetch = |index: &str| format!("{sample}({stream}u, {step}, {index}{zero})");
                    self.leaf(&name, view, function.vector, &fetch, None);
                }
                Inst::Iota { view } => self.leaf(&name, view, function.vector, &|index| format!("f32({index})"), None),
                Inst::Acc => self.line(&format!("let {name} = acc;")),
                Inst::Sum(j) => self.line(&format!("let {name} = sum{j};")),
                Inst::Const(value) => self.line(&format!("let {name} = {f}({});", literal(*value))),
                Inst::Scalar(s) => {
                    self.code.scalars = self.code.scalars.max(s + 1);
                    self.line(&format!("let {name} = {f}(run.scalars[{}][{}]);", s / 4, s % 4));
                }
                Inst::Unary(op, a) => {
                    let expr = self.unary(*op, &format!("v{a}"), w, f);
                    self.line(&format!("let {name} = {expr};"));
                }
                Inst::Binary(op, a, b) => {
                    let expr = binary(*op, &format!("v{a}"), &format!("v{b}"), f);
                    self.line(&format!("let {name} = {expr};"));
                }
            }
        }
        let indices = match function.params {
            Params::Flat => "i: u32",
            Params::RowCol { .. } => "row: u32, col: u32",
            Params::KeptReduced(_) => "o: u32, r: u32",
        };
        let given: String = match function.given {
            Given::Nothing => String::new(),
            Given::Acc => format!(", acc: {f}"),
            Given::Sums(n) => (0..n).map(|j| format!(", sum{j}: {f}")).collect::<Vec<_>>().concat(),
        };
        let name = function.name;
        let results: Vec<String> = function.body.results.iter().map(|r| format!("v{r}")).collect();
        let (declaration, returns, result) = if let [result] = &results[..] {
            (String::new(), f.to_owned(), result.clone())
        } else {
            let fields = (0..results.len()).map(|j| format!("    v{j}: {f},\n")).collect::<Vec<_>>().concat();
            (
                format!("struct Values_{name} {{\n{fields}}}\n\n"),
                format!("Values_{name}"),
                format!("Values_{name}({})", results.join(", ")),
            )
        };
        format!("{declaration}fn {name}({indices}{given}) -> {returns} {{\n{}    return {result};\n}}\n\n", self.text)
    }

    fn unary(&mut self, op: UnaryOp, a: &str, w: &str, f: &str) -> String {
        let library = match op {
            UnaryOp::Neg => return format!("-{a}"),
            UnaryOp::Sqrt => return format!("sqrt(max({a}, {f}(0.0)))"),
            UnaryOp::Recip => return format!("1.0 / {a}"),
            UnaryOp::Abs => return format!("abs({a})"),
            UnaryOp::Sign => return format!("sign({a})"),
            UnaryOp::Floor => return format!("floor({a})"),
            UnaryOp::Exp => "exp",
            UnaryOp::Log => "log",
            UnaryOp::Sigmoid => "sigmoid",
            UnaryOp::Softplus => "softplus",
            UnaryOp::Sin => "sin",
            UnaryOp::Cos => "cos",
        };
        self.code.math = true;
        format!("{library}_{w}({a})")
    }
}

fn binary(op: BinaryOp, a: &str, b: &str, f: &str) -> String {
    match op {
        BinaryOp::Add => format!("{a} + {b}"),
        BinaryOp::Sub => format!("{a} - {b}"),
        BinaryOp::Mul => format!("{a} * {b}"),
        BinaryOp::Div => format!("{a} / {b}"),
        BinaryOp::Max => format!("max({a}, {b})"),
        BinaryOp::Min => format!("min({a}, {b})"),
        BinaryOp::Less => format!("select({f}(0.0), {f}(1.0), {a} < {b})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Affine;

    fn text(body: &Body, params: Params<'_>, vector: bool) -> Code {
        generate(&[Function { name: "body", body, params, vector, given: Given::Nothing }], 2)
    }

    fn body(dims: &[usize], strides: &[i64], offset: i64, bounds: Vec<(Affine, usize)>) -> Body {
        let view = View { index: Affine { strides: strides.to_vec(), offset }, bounds };
        Body { dims: dims.to_vec(), insts: vec![Inst::Load { input: 1, view }], results: vec![0] }
    }

    #[test]
    fn a_contiguous_load_is_its_index() {
        let contiguous = Body::load(1, &[2, 3, 4, 8]);
        let code = text(&contiguous, Params::Flat, false);
        assert!(code.text.contains("let v0 = in1[i];"), "{}", code.text);
        let code = text(&contiguous, Params::Flat, true);
        assert!(code.text.contains("let v0 = in1[(i) / 4u];"), "{}", code.text);
        assert_eq!(code.inputs, [None, Some(true)]);
        let code = text(&contiguous, Params::RowCol { rows: 24, cols: 8 }, false);
        assert!(code.text.contains("row * 8u"), "{}", code.text);
        assert!(!code.text.contains('%'), "{}", code.text);
    }

    #[test]
    fn a_random_number_of_one_row_depends_on_the_point_for_the_compiler() {
        let at = |strides: &[i64]| {
            let view = View { index: Affine { strides: strides.to_vec(), offset: 1 }, bounds: Vec::new() };
            let random = Inst::Random { distribution: Distribution::Uniform, stream: 4, per_step: true, view };
            text(&Body { dims: vec![1, 8], insts: vec![random], results: vec![0] }, Params::Flat, false).text
        };
        let (same, other) = (at(&[8, 0]), at(&[8, 1]));
        assert!(same.contains("random_uniform(4u, run.step, 1u + i / (i + 1u))"), "{same}");
        assert!(other.contains("random_uniform(4u, run.step, d0)"), "{other}");
    }

    #[test]
    fn a_load_by_channel_takes_one_remainder() {
        let channel = body(&[2, 3, 4, 8], &[0, 0, 0, 1], 0, Vec::new());
        let code = text(&channel, Params::Flat, false);
        assert!(code.text.contains("let d0 = i % 8u;"), "{}", code.text);
        assert!(code.text.contains("let v0 = in1[d0];"), "{}", code.text);
        let code = text(&channel, Params::RowCol { rows: 24, cols: 8 }, true);
        assert!(code.text.contains("let v0 = in1[(col) / 4u];"), "{}", code.text);
    }

    #[test]
    fn a_bound_that_always_holds_is_dropped_and_one_that_never_holds_is_zero() {
        let bound = |offset, len| vec![(Affine { strides: vec![1, 0], offset }, len)];
        let code = text(&body(&[4, 4], &[4, 1], 0, bound(0, 4)), Params::Flat, false);
        assert!(code.text.contains("let v0 = in1[i];"), "{}", code.text);
        let code = text(&body(&[4, 4], &[4, 1], -4, bound(-1, 4)), Params::Flat, false);
        assert!(
            // Whichever name the row got: one comparison checks both ends.
            code.text.contains("- 1u) < 4u") || (code.text.contains("- 1u;") && code.text.contains("< 4u {")),
            "{}",
            code.text
        );
        let code = text(&body(&[4, 4], &[4, 1], -16, bound(-4, 4)), Params::Flat, false);
        assert!(code.text.contains("let v0 = f32(0.0);"), "{}", code.text);
    }

    #[test]
    fn unaligned_neighbours_are_read_one_by_one() {
        let code = text(&body(&[4, 8], &[9, 1], 0, Vec::new()), Params::Flat, true);
        assert_eq!(code.inputs, [None, Some(false)]);
        assert!(code.text.contains("vec4<f32>(v0_0, v0_1, v0_2, v0_3)"), "{}", code.text);
    }
}
