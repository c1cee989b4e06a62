//! Constructors of nodes: leaves on [`Graph`], everything else on [`Var`].
//!
//! Binary operators broadcast as NumPy does. Every constructor checks its operands and reports
//! the first mistake through [`Graph::check`].

use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use super::{BinaryOp, Distribution, Graph, Op, Place, UnaryOp, Var};

impl Graph {
    /// The content of `store` from element `offset` on, with this shape.
    pub fn input(&self, store: &str, offset: usize, shape: &[usize]) -> Var<'_> {
        let place = Place { store: store.to_owned(), offset };
        self.intern(Op::Input(place), vec![], shape.to_vec())
    }

    /// A number, shape `[]`.
    pub fn constant(&self, value: f32) -> Var<'_> {
        self.intern(Op::Const(value), vec![], vec![])
    }

    /// A number that the host passes at each run, shape `[]`.
    pub fn scalar(&self, name: &str) -> Var<'_> {
        self.intern(Op::Scalar(name.to_owned()), vec![], vec![])
    }

    /// Standard normal numbers that change at every step.
    pub fn normal(&self, stream: u32, shape: &[usize]) -> Var<'_> {
        self.random(Distribution::Normal, stream, 0, shape)
    }

    /// Uniform numbers in (0, 1) that change at every step.
    pub fn uniform(&self, stream: u32, shape: &[usize]) -> Var<'_> {
        self.random(Distribution::Uniform, stream, 0, shape)
    }

    /// Random numbers that change at every step, from element `first` of their stream on.
    pub fn random(&self, distribution: Distribution, stream: u32, first: usize, shape: &[usize]) -> Var<'_> {
        self.intern(Op::Random { distribution, stream, per_step: true, first }, vec![], shape.to_vec())
    }

    /// 0, 1, 2, ... n - 1, shape `[n]`.
    pub fn iota(&self, n: usize) -> Var<'_> {
        self.intern(Op::Iota, vec![], vec![n])
    }

    /// The value everywhere.
    pub fn full(&self, value: f32, shape: &[usize]) -> Var<'_> {
        self.constant(value).broadcast(shape)
    }
}

/// Joins along `axis`; the other axes must agree.
pub fn concat<'g>(parts: &[Var<'g>], axis: usize) -> Var<'g> {
    let graph = parts[0].graph;
    let total: usize = parts.iter().map(|p| p.shape().get(axis).copied().unwrap_or(0)).sum();
    let mut sum: Option<Var<'g>> = None;
    let mut start = 0;
    for part in parts {
        let shape = part.shape();
        let first = parts[0].shape();
        let fits = shape.len() == first.len() && (0..shape.len()).all(|a| a == axis || shape[a] == first[a]);
        if !fits || axis >= shape.len() {
            return graph.fail("concat", "part", format!("like {first:?} except along axis {axis}"), shape);
        }
        let padded = part.pad(axis, start, total - start - shape[axis]);
        start += shape[axis];
        sum = Some(sum.map_or(padded, |s| s + padded));
    }
    sum.expect("parts is not empty: its first element was read above")
}

/// The shape to which two operands broadcast.
fn common_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], d: usize| if d + s.len() < rank { 1 } else { s[d + s.len() - rank] };
    (0..rank)
        .map(|d| match (size(a, d), size(b, d)) {
            (x, y) if x == y || y == 1 => Some(x),
            (1, y) => Some(y),
            _ => None,
        })
        .collect()
}

impl Var<'_> {
    fn unary(self, op: UnaryOp) -> Self {
        self.graph.simplified(Op::Unary(op), vec![self.id], self.shape())
    }

    fn binary(self, op: BinaryOp, other: Self) -> Self {
        let (a, b) = (self.shape(), other.shape());
        let Some(shape) = common_shape(&a, &b) else {
            return self.graph.fail("binary operator", "second operand", format!("broadcastable with {a:?}"), b);
        };
        let (x, y) = (self.broadcast(&shape), other.broadcast(&shape));
        self.graph.simplified(Op::Binary(op), vec![x.id, y.id], shape)
    }

    /// `e^x`
    pub fn exp(self) -> Self {
        self.unary(UnaryOp::Exp)
    }
    /// Natural logarithm.
    pub fn log(self) -> Self {
        self.unary(UnaryOp::Log)
    }
    /// Square root.
    pub fn sqrt(self) -> Self {
        self.unary(UnaryOp::Sqrt)
    }
    /// `1 / x`
    pub fn recip(self) -> Self {
        self.unary(UnaryOp::Recip)
    }
    /// `1 / (1 + e^-x)`
    pub fn sigmoid(self) -> Self {
        self.unary(UnaryOp::Sigmoid)
    }
    /// `log(1 + e^x)`
    pub fn softplus(self) -> Self {
        self.unary(UnaryOp::Softplus)
    }
    /// Sine.
    pub fn sin(self) -> Self {
        self.unary(UnaryOp::Sin)
    }
    /// Cosine.
    pub fn cos(self) -> Self {
        self.unary(UnaryOp::Cos)
    }
    /// `|x|`
    pub fn abs(self) -> Self {
        self.unary(UnaryOp::Abs)
    }
    /// -1, 0 or 1.
    pub fn sign(self) -> Self {
        self.unary(UnaryOp::Sign)
    }
    /// Largest integer that is not above x.
    pub fn floor(self) -> Self {
        self.unary(UnaryOp::Floor)
    }
    /// `x * sigmoid(x)`
    pub fn silu(self) -> Self {
        self * self.sigmoid()
    }
    /// `x * x`
    pub fn square(self) -> Self {
        self * self
    }
    /// The larger of two.
    pub fn max(self, other: Self) -> Self {
        self.binary(BinaryOp::Max, other)
    }
    /// The smaller of two.
    pub fn min(self, other: Self) -> Self {
        self.binary(BinaryOp::Min, other)
    }
    /// 1 where `self < other`, else 0.
    pub fn less(self, other: Self) -> Self {
        self.binary(BinaryOp::Less, other)
    }
    /// Clamped to `lo ..= hi`.
    pub fn clamp(self, lo: f32, hi: f32) -> Self {
        self.max(self.graph.constant(lo)).min(self.graph.constant(hi))
    }
    /// The same value, a constant to differentiation.
    pub fn detach(self) -> Self {
        self.graph.simplified(Op::Detach, vec![self.id], self.shape())
    }

    /// The same elements in row-major order under another shape.
    pub fn reshape(self, shape: &[usize]) -> Self {
        if shape.iter().product::<usize>() != self.len() {
            return self.graph.fail(
                "reshape",
                "operand",
                format!("of {} elements", shape.iter().product::<usize>()),
                self.shape(),
            );
        }
        self.graph.simplified(Op::Reshape, vec![self.id], shape.to_vec())
    }

    /// Axis `i` of the result is axis `perm[i]` of this.
    pub fn permute(self, perm: &[usize]) -> Self {
        let shape = self.shape();
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if sorted != (0..shape.len()).collect::<Vec<_>>() {
            return self.graph.fail("permute", "operand", format!("of rank {}", perm.len()), shape);
        }
        let to = perm.iter().map(|&p| shape[p]).collect();
        self.graph.simplified(Op::Permute(perm.to_vec()), vec![self.id], to)
    }

    /// Repeated along axes of size 1 (and new leading axes) to `shape`.
    pub fn broadcast(self, shape: &[usize]) -> Self {
        let from = self.shape();
        if common_shape(&from, shape).as_deref() != Some(shape) {
            return self.graph.fail("broadcast", "operand", format!("broadcastable to {shape:?}"), from);
        }
        let mut full = vec![1; shape.len() - from.len()];
        full.extend(&from);
        let x = self.reshape(&full);
        self.graph.simplified(Op::Broadcast, vec![x.id], shape.to_vec())
    }

    /// Positions `range` of one axis.
    pub fn slice(self, axis: usize, range: Range<usize>) -> Self {
        let mut shape = self.shape();
        if axis >= shape.len() || range.end > shape[axis] || range.start > range.end {
            return self.graph.fail("slice", "operand", format!("with axis {axis} of at least {}", range.end), shape);
        }
        shape[axis] = range.len();
        self.graph.simplified(Op::Slice { axis, start: range.start }, vec![self.id], shape)
    }

    /// Zeros before and after along one axis.
    pub fn pad(self, axis: usize, before: usize, after: usize) -> Self {
        let mut shape = self.shape();
        if axis >= shape.len() {
            return self.graph.fail("pad", "operand", format!("with an axis {axis}"), shape);
        }
        shape[axis] += before + after;
        self.graph.simplified(Op::Pad { axis, before }, vec![self.id], shape)
    }

    /// Sum over `axes`, which stay with size 1.
    pub fn sum(self, axes: &[usize]) -> Self {
        let mut shape = self.shape();
        if axes.iter().any(|&a| a >= shape.len()) {
            return self.graph.fail("sum", "operand", format!("with axes {axes:?}"), shape);
        }
        let flags: Vec<bool> = (0..shape.len()).map(|a| axes.contains(&a)).collect();
        for &axis in axes {
            shape[axis] = 1;
        }
        self.graph.simplified(Op::Sum(flags), vec![self.id], shape)
    }

    /// Mean over `axes`, which stay with size 1.
    pub fn mean(self, axes: &[usize]) -> Self {
        let shape = self.shape();
        let count: usize = axes.iter().filter_map(|&a| shape.get(a)).product();
        // Scaled first, so that a sum that is an output needs no launch after it.
        (self * (1.0 / count as f32)).sum(axes)
    }

    /// Sum of all elements, shape `[]`.
    pub fn sum_all(self) -> Self {
        self.sum(&(0..self.rank()).collect::<Vec<_>>()).reshape(&[])
    }

    /// Mean of all elements, shape `[]`.
    pub fn mean_all(self) -> Self {
        (self * (1.0 / self.len() as f32)).sum_all()
    }

    /// Mean and `1 / sqrt(variance + eps)` over `axes`: see [`Op::Moments`].
    pub fn moments(self, axes: &[usize], eps: f32) -> Self {
        let mut shape = self.shape();
        if axes.iter().any(|&a| a >= shape.len()) {
            return self.graph.fail("moments", "operand", format!("with axes {axes:?}"), shape);
        }
        let flags = (0..shape.len()).map(|a| axes.contains(&a)).collect();
        for &axis in axes {
            shape[axis] = 1;
        }
        shape.push(2);
        self.graph.simplified(Op::Moments { axes: flags, eps }, vec![self.id], shape)
    }

    /// `(x - mean) * rstd` over `axes`, gradient included.
    pub fn normalize(self, axes: &[usize], eps: f32) -> Self {
        let moments = self.moments(axes, eps);
        let last = moments.rank() - 1;
        let kept = &moments.shape()[..last];
        let mean = moments.slice(last, 0..1).reshape(kept);
        let rstd = moments.slice(last, 1..2).reshape(kept);
        (self - mean) * rstd
    }

    /// Matrix product of `[M, K]` and `[K, N]`, or batched of `[G, M, K]` and `[G, K, N]`.
    pub fn matmul(self, other: Self) -> Self {
        self.matmul_with(other, false, false)
    }

    /// Matrix product with operands that may be stored transposed (last two axes).
    pub fn matmul_with(self, other: Self, ta: bool, tb: bool) -> Self {
        let (a, b) = (self.shape(), other.shape());
        if a.len() == 2 && b.len() == 2 {
            let x = self.reshape(&[1, a[0], a[1]]);
            let y = other.reshape(&[1, b[0], b[1]]);
            let product = x.matmul_with(y, ta, tb);
            let shape = product.shape();
            return if shape.len() == 3 { product.reshape(&shape[1..]) } else { product };
        }
        if a.len() != 3 {
            return self.graph.fail("matmul", "first operand", "of rank 2 or 3 like the second".into(), a);
        }
        let (m, k) = if ta { (a[2], a[1]) } else { (a[1], a[2]) };
        let n = match b[..] {
            [g, x, y] if g == a[0] && (if tb { y } else { x }) == k => {
                if tb {
                    x
                } else {
                    y
                }
            }
            _ => return self.graph.fail("matmul", "second operand", format!("batch {}, contracted size {k}", a[0]), b),
        };
        self.graph.simplified(Op::MatMul { ta, tb }, vec![self.id, other.id], vec![a[0], m, n])
    }

    /// Convolution with `w [k, k, Ci, Co]`, stride 1, zero padding: see [`Op::Conv2d`].
    pub fn conv2d(self, w: Self) -> Self {
        let (x, k) = (self.shape(), w.shape());
        if x.len() != 4 {
            return self.graph.fail("conv2d", "image", "[B, H, W, C]".into(), x);
        }
        if k.len() != 4 || k[0] != k[1] || k[0] % 2 == 0 || k[2] != x[3] {
            return self.graph.fail("conv2d", "weight", format!("[k, k, {}, Co] with odd k", x[3]), k);
        }
        self.graph.simplified(Op::Conv2d, vec![self.id, w.id], vec![x[0], x[1], x[2], k[3]])
    }

    /// Input gradient of a convolution with `w`; this is `d_y`.
    pub(super) fn conv2d_grad_input(self, w: Self) -> Self {
        let (d, k) = (self.shape(), w.shape());
        self.graph.simplified(Op::Conv2dGradInput, vec![self.id, w.id], vec![d[0], d[1], d[2], k[2]])
    }

    /// Weight gradient of a convolution of this with a `k x k` kernel.
    pub(super) fn conv2d_grad_weight(self, d_y: Self, k: usize) -> Self {
        let shape = vec![k, k, self.shape()[3], d_y.shape()[3]];
        self.graph.simplified(Op::Conv2dGradWeight, vec![self.id, d_y.id], shape)
    }

    /// Softmax over the last axis.
    pub fn softmax(self) -> Self {
        self.graph.simplified(Op::Softmax, vec![self.id], self.shape())
    }

    /// Rows `index [B]` of this table `[N, E]`.
    pub fn gather(self, index: Self) -> Self {
        match (&self.shape()[..], &index.shape()[..]) {
            ([_, width], [rows]) => self.graph.simplified(Op::Gather, vec![self.id, index.id], vec![*rows, *width]),
            _ => self.graph.fail("gather", "table and index", "[N, E] and [B]".into(), self.shape()),
        }
    }

    /// Adjoint of [`Var::gather`] for a table of `n` rows.
    pub(crate) fn scatter_add(self, index: Self, n: usize) -> Self {
        let width = self.shape()[1];
        self.graph.simplified(Op::ScatterAdd, vec![self.id, index.id], vec![n, width])
    }

    /// Rows `index [B]` of a store of bytes with `rows` rows of `width`, values 0 to 255. This is the store.
    pub fn gather_bytes(self, index: Self, rows: usize, width: usize) -> Self {
        let shape = vec![index.len(), width];
        self.graph.simplified(Op::GatherBytes { rows }, vec![self.id, index.id], shape)
    }

    /// Nearest-neighbour upsampling of `[B, H, W, C]` by two.
    pub fn upsample2(self) -> Self {
        let [b, h, w, c] = self.shape()[..] else {
            return self.graph.fail("upsample2", "image", "[B, H, W, C]".into(), self.shape());
        };
        self.reshape(&[b, h, 1, w, 1, c]).broadcast(&[b, h, 2, w, 2, c]).reshape(&[b, 2 * h, 2 * w, c])
    }

    /// Mean over 2 x 2 pixels of `[B, H, W, C]`.
    pub fn downsample2(self) -> Self {
        let [b, h, w, c] = self.shape()[..] else {
            return self.graph.fail("downsample2", "image", "[B, H, W, C]".into(), self.shape());
        };
        if h % 2 + w % 2 != 0 {
            return self.graph.fail("downsample2", "image", "of even height and width".into(), self.shape());
        }
        self.reshape(&[b, h / 2, 2, w / 2, 2, c]).mean(&[2, 4]).reshape(&[b, h / 2, w / 2, c])
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $op:ident),*) => {$(
        impl<'g> $trait for Var<'g> {
            type Output = Var<'g>;
            fn $method(self, other: Self) -> Self {
                self.binary(BinaryOp::$op, other)
            }
        }
        impl<'g> $trait<f32> for Var<'g> {
            type Output = Var<'g>;
            fn $method(self, other: f32) -> Self {
                self.binary(BinaryOp::$op, self.graph.constant(other))
            }
        }
        impl<'g> $trait<Var<'g>> for f32 {
            type Output = Var<'g>;
            fn $method(self, other: Var<'g>) -> Var<'g> {
                other.graph.constant(self).binary(BinaryOp::$op, other)
            }
        }
    )*};
}
arithmetic!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl Neg for Var<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(UnaryOp::Neg)
    }
}
