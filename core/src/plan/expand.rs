//! From a part of a graph to a [`Body`]: every value becomes straight-line code over one
//! iteration space, and every reshape, permute, broadcast, slice and pad an index map.
//!
//! An axis of a node is described by a [`Coord`], an affine form of the iteration dimensions.
//! A reshape may have to split a dimension (channels into groups and channels per group); the
//! expansion then starts again over the finer space. What can't be described this way is stored
//! by a launch of its own: the expansion fails with [`Failure::Store`], and planning starts
//! again with that node in memory.

use litemap::LiteMap;

use super::fuse::resolve;
use super::ir::{Affine, Body, Inst, View};
use crate::graph::{BinaryOp, Node, Op, UnaryOp};

/// Why an expansion has to be tried again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// This node must live in memory.
    Store(usize),
}

/// An affine form of the iteration dimensions: one coefficient each, and a constant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Coord {
    coefficients: Vec<i64>,
    offset: i64,
}

impl Coord {
    fn zero(rank: usize) -> Self {
        Self { coefficients: vec![0; rank], offset: 0 }
    }

    fn add(&mut self, other: &Self, factor: i64) {
        self.offset += other.offset * factor;
        for (a, b) in self.coefficients.iter_mut().zip(&other.coefficients) {
            *a += b * factor;
        }
    }

    fn affine(&self) -> Affine {
        Affine { strides: self.coefficients.clone(), offset: self.offset }
    }
}

/// Ranges in which a point must lie for the value to exist: `0 <= coord < len`.
type Bounds = Vec<(Coord, usize)>;

/// What the expansion knows about the rest of the plan.
pub(super) struct Context<'a> {
    pub nodes: &'a [Node],
    /// Whether a node's value is in memory.
    pub stored: &'a [bool],
    /// Names of the run-time scalars, in order.
    pub scalars: &'a [String],
}

/// Values that the kernel itself has, at which expansion stops.
#[derive(Clone, Copy)]
pub(super) enum Own<'a> {
    /// None.
    Nothing,
    /// The result of this contraction.
    Contraction(usize),
    /// These sums, over the axes that are flagged.
    Sums(&'a [usize]),
}

enum Stop {
    Split { dim: usize, inner: usize },
    Fail(Failure),
}

/// A body, and its iteration space's reduced flags after refinement.
pub(super) struct Expanded {
    pub body: Body,
    pub reduced: Vec<bool>,
}

/// Expands `results` (nodes of equal shape) over the iteration space of that shape, with
/// `reduced` flags per axis. Loaded nodes are appended to `inputs`.
///
/// `roots_expand` says that the results themselves are computed even if they are marked stored.
pub(super) fn expand(
    context: &Context<'_>,
    results: &[usize],
    reduced: &[bool],
    own: Own<'_>,
    roots_expand: bool,
    inputs: &mut Vec<usize>,
) -> Result<Expanded, Failure> {
    let shape = &context.nodes[results[0]].shape;
    let (mut dims, mut reduced) = (shape.clone(), reduced.to_vec());
    // For each axis of the results, the dimensions that it was split into.
    let mut parts: Vec<usize> = vec![1; shape.len()];
    if dims.is_empty() {
        (dims, reduced) = (vec![1], vec![false]);
    }
    loop {
        let mut known = inputs.clone();
        let mut expander = Expander {
            context,
            own,
            reduced: &reduced,
            dims: &dims,
            insts: Vec::new(),
            memo: LiteMap::new(),
            inputs: &mut known,
        };
        let coords = axis_coords(&dims, &parts);
        let outcome: Result<Vec<usize>, Stop> = results
            .iter()
            .map(|&id| {
                if roots_expand {
                    expander.compute(id, &coords, &Vec::new())
                } else {
                    expander.value(id, &coords, &Vec::new())
                }
            })
            .collect();
        match outcome {
            Ok(values) => {
                let insts = expander.insts;
                *inputs = known;
                return Ok(Expanded { body: Body { dims, insts, results: values }, reduced });
            }
            Err(Stop::Fail(failure)) => return Err(failure),
            Err(Stop::Split { dim, inner }) => {
                let axis = axis_of(&parts, dim);
                parts[axis] += 1;
                let outer = dims[dim] / inner;
                dims.splice(dim..=dim, [outer, inner]);
                reduced.insert(dim, reduced[dim]);
            }
        }
    }
}

fn axis_of(parts: &[usize], dim: usize) -> usize {
    let mut end = 0;
    parts
        .iter()
        .position(|n| {
            end += n;
            dim < end
        })
        .expect("every dimension belongs to an axis")
}

/// The coordinate of each axis when its dimensions are `parts` consecutive ones.
fn axis_coords(dims: &[usize], parts: &[usize]) -> Vec<Coord> {
    let mut start = 0;
    parts
        .iter()
        .map(|&n| {
            let mut coord = Coord::zero(dims.len());
            let mut stride = 1;
            for d in (start..start + n).rev() {
                coord.coefficients[d] = stride;
                stride *= dims[d] as i64;
            }
            start += n;
            coord
        })
        .collect()
}

struct Expander<'a, 'b> {
    context: &'a Context<'a>,
    own: Own<'b>,
    reduced: &'b [bool],
    dims: &'b [usize],
    insts: Vec<Inst>,
    memo: LiteMap<(usize, Vec<Coord>, Bounds), usize>,
    inputs: &'b mut Vec<usize>,
}

impl Expander<'_, '_> {
    /// The value of node `id` at `coords`, from memory if it is there.
    fn value(&mut self, id: usize, coords: &[Coord], bounds: &Bounds) -> Result<usize, Stop> {
        // Under another shape, a value in memory is still the same memory.
        let base = resolve(self.context.nodes, id);
        match self.own {
            Own::Contraction(root) if root == id => return Ok(self.push(Inst::Acc)),
            Own::Sums(sums) => {
                if let Some(j) = sums.iter().position(|&s| s == base) {
                    // Any other element of the sums is not there yet.
                    return if self.view(id, coords, bounds) == View::kept(self.dims, self.reduced) {
                        Ok(self.push(Inst::Sum(j)))
                    } else {
                        Err(Stop::Fail(Failure::Store(id)))
                    };
                }
            }
            _ => {}
        }
        if self.context.stored[base] {
            let input = self.inputs.iter().position(|&n| n == base).unwrap_or_else(|| {
                self.inputs.push(base);
                self.inputs.len() - 1
            });
            let view = self.view(id, coords, bounds);
            return Ok(self.push(Inst::Load { input, view }));
        }
        self.compute(id, coords, bounds)
    }

    /// The value of node `id` at `coords`, computed here.
    fn compute(&mut self, id: usize, coords: &[Coord], bounds: &Bounds) -> Result<usize, Stop> {
        let key = (id, coords.to_vec(), bounds.clone());
        if let Some(&value) = self.memo.get(&key) {
            return Ok(value);
        }
        let value = self.compute_new(id, coords, bounds)?;
        self.memo.insert(key, value);
        Ok(value)
    }

    fn compute_new(&mut self, id: usize, coords: &[Coord], bounds: &Bounds) -> Result<usize, Stop> {
        let nodes = self.context.nodes;
        let node = &nodes[id];
        let operand = |i: usize| node.inputs[i];
        let below = |i: usize| &nodes[node.inputs[i]].shape;
        match &node.op {
            Op::Const(value) => Ok(self.push(Inst::Const(*value))),
            Op::Scalar(name) => {
                let index = self.context.scalars.iter().position(|s| s == name).expect("scalars are collected first");
                Ok(self.push(Inst::Scalar(index)))
            }
            Op::Random { distribution, stream, per_step, first } => {
                let mut view = self.view(id, coords, bounds);
                view.index.offset += *first as i64;
                let (distribution, stream, per_step) = (*distribution, *stream, *per_step);
                Ok(self.push(Inst::Random { distribution, stream, per_step, view }))
            }
            Op::Iota => {
                let view = self.view(id, coords, bounds);
                Ok(self.push(Inst::Iota { view }))
            }
            Op::Detach => self.value(operand(0), coords, bounds),
            Op::Unary(op) => {
                let x = self.value(operand(0), coords, bounds)?;
                Ok(self.push(Inst::Unary(*op, x)))
            }
            Op::Binary(op) => {
                let a = self.value(operand(0), coords, bounds)?;
                let b = self.value(operand(1), coords, bounds)?;
                Ok(self.push(Inst::Binary(*op, a, b)))
            }
            Op::Permute(perm) => {
                let mut moved = vec![Coord::zero(self.dims.len()); perm.len()];
                for (i, &axis) in perm.iter().enumerate() {
                    moved[axis] = coords[i].clone();
                }
                self.value(operand(0), &moved, bounds)
            }
            Op::Broadcast => {
                let one = |a: usize| below(0)[a] == 1 && node.shape[a] != 1;
                let zero = Coord::zero(self.dims.len());
                let repeated: Vec<Coord> =
                    coords.iter().enumerate().map(|(a, c)| if one(a) { zero.clone() } else { c.clone() }).collect();
                self.value(operand(0), &repeated, bounds)
            }
            Op::Slice { axis, start } => {
                let mut moved = coords.to_vec();
                moved[*axis].offset += *start as i64;
                self.value(operand(0), &moved, bounds)
            }
            Op::Pad { axis, before } => {
                let mut moved = coords.to_vec();
                moved[*axis].offset -= *before as i64;
                let mut bounds = bounds.clone();
                bounds.push((moved[*axis].clone(), below(0)[*axis]));
                let inner = self.value(operand(0), &moved, &bounds)?;
                if self.zero_outside(operand(0)) {
                    return Ok(inner);
                }
                if self.may_blow_up(operand(0)) {
                    return Err(Stop::Fail(Failure::Store(operand(0))));
                }
                // Loads are 0 out of bounds, a function of them need not be: multiply by an indicator.
                let one = Affine { strides: vec![0; self.dims.len()], offset: 1 };
                let view = View { index: one, bounds: bounds.iter().map(|(c, n)| (c.affine(), *n)).collect() };
                let inside = self.push(Inst::Iota { view });
                Ok(self.push(Inst::Binary(BinaryOp::Mul, inner, inside)))
            }
            Op::Reshape => {
                let moved = self.reshape(operand(0), &node.shape, below(0), coords)?;
                self.value(operand(0), &moved, bounds)
            }
            Op::Input(_)
            | Op::Sum(_)
            | Op::Moments { .. }
            | Op::MatMul { .. }
            | Op::Conv2d
            | Op::Conv2dGradInput
            | Op::Conv2dGradWeight
            | Op::Softmax
            | Op::Gather
            | Op::ScatterAdd
            | Op::GatherBytes { .. } => unreachable!("{:?} is always in memory", node.op),
        }
    }

    /// Whether a node's expression is 0 wherever its bounds fail.
    fn zero_outside(&self, id: usize) -> bool {
        let node = &self.context.nodes[id];
        if self.context.stored[id] {
            return true;
        }
        match node.op {
            Op::Random { .. } | Op::Iota | Op::Pad { .. } => true,
            Op::Reshape | Op::Permute(_) | Op::Broadcast | Op::Slice { .. } | Op::Detach => {
                self.zero_outside(node.inputs[0])
            }
            Op::Binary(BinaryOp::Mul) => node.inputs.iter().any(|&i| self.zero_outside(i)) && !self.may_blow_up(id),
            Op::Binary(BinaryOp::Add | BinaryOp::Sub) => node.inputs.iter().all(|&i| self.zero_outside(i)),
            _ => false,
        }
    }

    /// Whether a node's expression may be infinite where its loads are 0.
    fn may_blow_up(&self, id: usize) -> bool {
        let node = &self.context.nodes[id];
        !self.context.stored[id]
            && (matches!(node.op, Op::Unary(UnaryOp::Recip) | Op::Binary(BinaryOp::Div))
                || node.inputs.iter().any(|&i| self.may_blow_up(i)))
    }

    /// Element number of a stored node at `coords`.
    fn view(&self, id: usize, coords: &[Coord], bounds: &Bounds) -> View {
        let mut index = Coord::zero(self.dims.len());
        let mut stride = 1;
        for (coord, &size) in coords.iter().zip(&self.context.nodes[id].shape).rev() {
            index.add(coord, stride);
            stride *= size as i64;
        }
        View { index: index.affine(), bounds: bounds.iter().map(|(c, n)| (c.affine(), *n)).collect() }
    }

    fn push(&mut self, inst: Inst) -> usize {
        if let Some(known) = self.insts.iter().position(|i| *i == inst) {
            return known;
        }
        self.insts.push(inst);
        self.insts.len() - 1
    }

    /// Coordinates of the axes of `from` that hold what `coords` address in `to`.
    ///
    /// The two shapes are cut into the shortest runs of axes with equal products; a run of one
    /// axis passes through, others are joined to a number and split into the digits of `from`.
    fn reshape(&self, operand: usize, to: &[usize], from: &[usize], coords: &[Coord]) -> Result<Vec<Coord>, Stop> {
        let mut out = Vec::with_capacity(from.len());
        let (mut i, mut j) = (0, 0);
        while i < to.len() || j < from.len() {
            let (i0, j0) = (i, j);
            let (mut a, mut b) = (1, 1);
            loop {
                if a == b && (i > i0 || j > j0) {
                    break;
                }
                if a <= b && i < to.len() {
                    a *= to[i];
                    i += 1;
                } else if j < from.len() {
                    b *= from[j];
                    j += 1;
                } else {
                    a *= to[i];
                    i += 1;
                }
            }
            // Trailing axes of size 1 belong to this run.
            while i < to.len() && to[i] == 1 {
                i += 1;
            }
            while j < from.len() && from[j] == 1 {
                j += 1;
            }
            let mut number = Coord::zero(self.dims.len());
            let mut stride = 1;
            for (coord, &size) in coords[i0..i].iter().zip(&to[i0..i]).rev() {
                number.add(coord, stride);
                stride *= size as i64;
            }
            self.split(operand, number, &from[j0..j], &mut out)?;
        }
        Ok(out)
    }

    /// Splits `number`, below the product of `sizes`, into digits.
    fn split(&self, operand: usize, number: Coord, sizes: &[usize], out: &mut Vec<Coord>) -> Result<(), Stop> {
        let wide: Vec<usize> = (0..sizes.len()).filter(|&d| sizes[d] != 1).collect();
        let mut digits = vec![Coord::zero(self.dims.len()); sizes.len()];
        if let [only] = wide[..] {
            digits[only] = number;
            out.extend(digits);
            return Ok(());
        }
        let give_up = || Err(Stop::Fail(Failure::Store(operand)));
        // Digit `d` counts units of `units[d]`.
        let mut units = vec![1_i64; sizes.len()];
        for d in (1..sizes.len()).rev() {
            units[d - 1] = units[d] * sizes[d] as i64;
        }
        if number.offset < 0 {
            return give_up();
        }
        let mut rest = number.offset;
        for &d in &wide {
            digits[d].offset = rest / units[d];
            rest %= units[d];
        }
        for (dim, &coefficient) in number.coefficients.iter().enumerate() {
            if coefficient == 0 || self.dims[dim] == 1 {
                continue;
            }
            let Some(&d) = wide.iter().find(|&&d| coefficient >= units[d]) else { return give_up() };
            if coefficient < 0 || coefficient % units[d] != 0 {
                return give_up();
            }
            let reach = coefficient * (self.dims[dim] as i64 - 1);
            let span = units[d] * sizes[d] as i64;
            if reach >= span {
                // The dimension runs over into the next digit: cut it where it does.
                let inner = span / coefficient;
                let cuts = span % coefficient == 0 && inner > 1 && self.dims[dim] as i64 % inner == 0;
                return if cuts { Err(Stop::Split { dim, inner: inner as usize }) } else { give_up() };
            }
            digits[d].coefficients[dim] += coefficient / units[d];
        }
        for &d in &wide {
            let reach: i64 = digits[d].coefficients.iter().zip(self.dims).map(|(c, &n)| c * (n as i64 - 1)).sum();
            if digits[d].offset + reach >= sizes[d] as i64 {
                return give_up();
            }
        }
        out.extend(digits);
        Ok(())
    }
}
