//! From a [`Body`] to WGSL functions.
//!
//! A function takes one or two linear indices (`i`; `row, col`; `o, r`) or, as a vector function,
//! those of four neighbours, and returns the body's results. Loads become index arithmetic: for each
//! view alone, neighbouring dimensions that it traverses in step are merged, so that a contiguous
//! load becomes `in0[i]` and a load by channel `in0[i % C]`; equal digits are computed once.
//!
//! Invariant: a generated function reads no element outside its view's bounds, because the GPU runs
//! without bounds checks. Arithmetic on indices wraps, so one comparison checks both ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::graph::{BinaryOp, Distribution, UnaryOp};
use crate::plan::{Affine, Body, Inst, View};

/// The indices that a function takes.
#[derive(Clone, Copy, Debug)]
pub enum Params<'a> {
    /// `i`: position in the iteration space.
    Flat,
    /// `row, col` of the iteration space as a matrix.
    RowCol {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// `o, r`: position among the kept dimensions, and among the reduced ones (flagged).
    KeptReduced(&'a [bool]),
}

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
    /// Takes the contraction's result as `acc`.
    pub acc: bool,
}

/// Functions of one kernel, and what they need around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Text of all functions.
    pub text: String,
    /// Inputs that are read as `array<vec4<f32>>`.
    pub vector_inputs: Vec<bool>,
    /// `lib/math.wgsl` is used.
    pub math: bool,
    /// `lib/random.wgsl` is used.
    pub random: bool,
    /// Highest scalar used, plus one.
    pub scalars: usize,
}

/// Generates the functions of a kernel with `inputs` inputs.
pub fn generate(functions: &[Function<'_>], inputs: usize) -> Code {
    let mut code = Code { vector_inputs: vec![true; inputs], ..Code::default() };
    let mut loaded = vec![false; inputs];
    // An input is declared as vectors if nobody reads it otherwise.
    for function in functions {
        let space = Space::new(function);
        for (_, inst) in live(function.body) {
            if let Inst::Load { input, view } = inst {
                loaded[*input] = true;
                code.vector_inputs[*input] &= function.vector && space.classify(view) == Class::Strided(1);
            }
        }
    }
    for (vector, loaded) in code.vector_inputs.iter_mut().zip(loaded) {
        *vector &= loaded;
    }
    for function in functions {
        let text = Emitter::new(function, &mut code).function(function);
        code.text += &text;
    }
    code
}

/// A literal of exactly this value. The plan holds no others than finite ones.
fn literal(value: f32) -> String {
    format!("{value:e}f")
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

/// Dimensions that one linear index runs over.
#[derive(Clone, Debug)]
struct Group {
    index: &'static str,
    dims: Vec<usize>,
}

/// Part of a linear index: `index / div % size`, and what a step of it adds to each form of a view.
#[derive(Clone, Debug)]
struct Digit {
    div: usize,
    size: usize,
    /// Of the index, then of each bound.
    strides: Vec<i64>,
}

/// What a vector function finds at the four neighbours of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Elements this far apart; at 1, starting at a multiple of 4. 0: the same one.
    Strided(i64),
    /// Neighbours that differ in more than one digit or bound.
    Separate,
}

/// The iteration space of a function.
struct Space<'a> {
    sizes: &'a [usize],
    groups: Vec<Group>,
    /// Group whose index advances from neighbour to neighbour.
    inner: usize,
    /// How `i` follows from `row` and `col`, if the dimensions don't split between them.
    joined: Option<String>,
}

impl<'a> Space<'a> {
    fn new(function: &Function<'a>) -> Self {
        let sizes = &function.body.dims[..];
        let all = |keep: &dyn Fn(usize) -> bool| (0..sizes.len()).filter(|d| keep(*d)).collect::<Vec<_>>();
        let (groups, joined) = match function.params {
            Params::Flat => (vec![Group { index: "i", dims: all(&|_| true) }], None),
            Params::KeptReduced(reduced) => (
                vec![
                    Group { index: "o", dims: all(&|d| !reduced[d]) },
                    Group { index: "r", dims: all(&|d| reduced[d]) },
                ],
                None,
            ),
            Params::RowCol { rows, cols } => {
                debug_assert_eq!(rows * cols, function.body.points());
                match (0..=sizes.len()).find(|s| sizes[..*s].iter().product::<usize>() == rows) {
                    Some(split) => (
                        vec![
                            Group { index: "row", dims: all(&|d| d < split) },
                            Group { index: "col", dims: all(&|d| d >= split) },
                        ],
                        None,
                    ),
                    None => (
                        vec![Group { index: "i", dims: all(&|_| true) }],
                        Some(format!("    let i = row * {cols}u + col;\n")),
                    ),
                }
            }
        };
        Self { sizes, inner: groups.len() - 1, groups, joined }
    }

    /// Digits of a group, innermost first, after merging what the view traverses in step.
    fn digits(&self, group: &Group, view: &View) -> Vec<Digit> {
        let strides = |d: usize| -> Vec<i64> {
            std::iter::once(&view.index).chain(self.bounds(view).map(|(e, _)| e)).map(|form| form.strides[d]).collect()
        };
        let mut digits: Vec<Digit> = Vec::new();
        let mut div = 1;
        for d in group.dims.iter().rev().copied().filter(|d| self.sizes[*d] != 1) {
            let strides = strides(d);
            let size = self.sizes[d];
            match digits.last_mut() {
                Some(last)
                    if last.strides.iter().zip(&strides).all(|(inner, outer)| *outer == inner * last.size as i64) =>
                {
                    last.size *= size
                }
                _ => digits.push(Digit { div, size, strides }),
            }
            div *= size;
        }
        digits
    }

    /// Smallest and largest value of a form in this space.
    fn reach(&self, form: &Affine) -> (i64, i64) {
        let part = |wanted: fn(i64) -> bool| -> i64 {
            form.strides.iter().zip(self.sizes).filter(|(s, _)| wanted(**s)).map(|(s, n)| s * (*n as i64 - 1)).sum()
        };
        (form.offset + part(|s| s < 0), form.offset + part(|s| s > 0))
    }

    /// The bounds that some point violates.
    fn bounds<'v>(&self, view: &'v View) -> impl Iterator<Item = &'v (Affine, usize)> + use<'v, '_, 'a> {
        view.bounds.iter().filter(|(form, len)| {
            let (low, high) = self.reach(form);
            low < 0 || high >= *len as i64
        })
    }

    /// Whether no point is in bounds.
    fn is_empty(&self, view: &View) -> bool {
        view.bounds.iter().any(|(form, len)| {
            let (low, high) = self.reach(form);
            high < 0 || low >= *len as i64
        })
    }

    fn classify(&self, view: &View) -> Class {
        let mut others = Vec::new();
        let mut class = Class::Strided(0);
        for (g, group) in self.groups.iter().enumerate() {
            let mut digits = self.digits(group, view);
            if g == self.inner && !digits.is_empty() {
                let inner = digits.remove(0);
                let bounded = inner.strides[1..].iter().any(|s| *s != 0);
                class = if inner.size % 4 != 0 || bounded { Class::Separate } else { Class::Strided(inner.strides[0]) };
            }
            others.extend(digits.iter().map(|digit| digit.strides[0]));
        }
        others.push(view.index.offset);
        match class {
            // Contiguous, but not from multiples of 4.
            Class::Strided(1) if others.iter().any(|s| s % 4 != 0) => Class::Separate,
            class => class,
        }
    }
}

/// Writes one function.
struct Emitter<'a, 'c> {
    space: Space<'a>,
    code: &'c mut Code,
    text: String,
    /// Names of the index expressions that exist already.
    names: BTreeMap<String, String>,
}

impl<'a, 'c> Emitter<'a, 'c> {
    fn new(function: &Function<'a>, code: &'c mut Code) -> Self {
        let space = Space::new(function);
        let text = space.joined.clone().unwrap_or_default();
        Self { space, code, text, names: BTreeMap::new() }
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

    fn function(mut self, function: &Function<'_>) -> String {
        let (w, f) = if function.vector { ("4", "vec4<f32>") } else { ("1", "f32") };
        for (i, inst) in live(function.body) {
            let name = format!("v{i}");
            match inst {
                Inst::Load { input, view } => {
                    let whole: Option<&dyn Fn(&str) -> String> = if self.code.vector_inputs[*input] {
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
                    self.leaf(
                        &name,
                        view,
                        function.vector,
                        &|index| format!("{sample}({stream}u, {step}, {index})"),
                        None,
                    );
                }
                Inst::Iota { view } => self.leaf(&name, view, function.vector, &|index| format!("f32({index})"), None),
                Inst::Acc => self.line(&format!("let {name} = acc;")),
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
                    self.line(&format!("let {name} = {};", binary(*op, &format!("v{a}"), &format!("v{b}"), f)))
                }
            }
        }
        let indices = match function.params {
            Params::Flat => "i: u32",
            Params::RowCol { .. } => "row: u32, col: u32",
            Params::KeptReduced(_) => "o: u32, r: u32",
        };
        let acc = if function.acc { format!(", acc: {f}") } else { String::new() };
        let name = function.name;
        let results: Vec<String> = function.body.results.iter().map(|r| format!("v{r}")).collect();
        let (declaration, returns, result) = if let [result] = &results[..] {
            (String::new(), f.to_owned(), result.clone())
        } else {
            let fields: String = (0..results.len()).map(|j| format!("    v{j}: {f},\n")).collect();
            (
                format!("struct Values_{name} {{\n{fields}}}\n\n"),
                format!("Values_{name}"),
                format!("Values_{name}({})", results.join(", ")),
            )
        };
        format!("{declaration}fn {name}({indices}{acc}) -> {returns} {{\n{}    return {result};\n}}\n\n", self.text)
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

/// A sum of index terms, in wrapping arithmetic: positive terms first, so that nothing constant
/// underflows while the shader is compiled.
struct Sum {
    plus: Vec<String>,
    minus: Vec<String>,
    offset: i64,
}

impl Sum {
    fn new(offset: i64) -> Self {
        Self { plus: Vec::new(), minus: Vec::new(), offset }
    }

    fn add(&mut self, digit: &str, stride: i64) {
        let term = match stride.unsigned_abs() {
            0 => return,
            1 => digit.to_owned(),
            s => format!("{digit} * {s}u"),
        };
        if stride > 0 { self.plus.push(term) } else { self.minus.push(term) }
    }

    fn text(&self) -> String {
        if self.plus.is_empty() && self.minus.is_empty() {
            return format!("{}u", self.offset as u32);
        }
        let mut plus = self.plus.clone();
        let mut minus = self.minus.clone();
        match self.offset {
            0 => {}
            o if o > 0 => plus.push(format!("{o}u")),
            o => minus.push(format!("{}u", -o)),
        }
        if plus.is_empty() {
            plus.push("0u".to_owned());
        }
        minus.into_iter().fold(plus.join(" + "), |sum, term| sum + " - " + &term)
    }
}
