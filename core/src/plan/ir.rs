//! The plan itself: a list of launches over slots of a few arenas, as plain data.
//!
//! Both executors run exactly this. Invariant: within one launch, no output slot shares its
//! arena with an input slot, because WebGPU tracks hazards per buffer and refuses a buffer
//! that is bound for reading and for writing in one dispatch. (The optimizer updates in place:
//! its slots are all outputs.)

use crate::graph::{BinaryOp, Distribution, UnaryOp};

/// Slots start at multiples of this many elements, so that each can be bound on its own
/// (WebGPU's `minStorageBufferOffsetAlignment` is 256 bytes).
pub const SLOT_ALIGN: usize = 64;

/// Storage buffers that one launch may bind: WebGPU's default limit per shader stage.
pub const MAX_BINDINGS: usize = 8;

/// A range of an arena, in elements of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Index into [`Plan::arenas`].
    pub arena: usize,
    /// First element; a multiple of [`SLOT_ALIGN`].
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
}

/// One buffer that a plan uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arena {
    /// Who owns it.
    pub kind: ArenaKind,
    /// Elements that this plan needs in it.
    pub len: usize,
}

/// Owner of an arena.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ArenaKind {
    /// Temporary values; its content means nothing between runs. Plans share scratch arena `i`.
    Scratch(usize),
    /// A named buffer that outlives the plan: parameters, gradients, moments, data, statistics.
    Store(String),
}

/// Launches in order, and the memory they use.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// For people: `generator step`, `sample 64`.
    pub name: String,
    /// Buffers, indexed by [`Slot::arena`].
    pub arenas: Vec<Arena>,
    /// In execution order.
    pub launches: Vec<Launch>,
    /// Names of the run-time scalars, in the order in which a run passes their values.
    pub scalars: Vec<String>,
}

/// One kernel launch.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What is computed, with every size that is fixed for the plan.
    pub kernel: Kernel,
    /// Read-only operands, in the order that `kernel` documents.
    pub inputs: Vec<Slot>,
    /// Written operands (read and written by the optimizer).
    pub outputs: Vec<Slot>,
    /// Floating-point operations, a multiply-add counting two.
    pub flops: u64,
    /// Bytes read and written if every operand moves once.
    pub bytes: u64,
    /// Where in the model it comes from, such as `generator.enc.14x14_block0.conv0`.
    pub label: String,
}

/// Sizes of a 2-D convolution, stride 1, zero padding `k / 2`, NHWC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Batch.
    pub b: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// Channels in, the contracted ones.
    pub ci: usize,
    /// Channels out.
    pub co: usize,
    /// Kernel size, 1 or 3.
    pub k: usize,
}

/// What a launch computes. `inputs` and `outputs` below are those of the [`Launch`].
#[derive(Clone, Debug)]
pub enum Kernel {
    /// `outputs[j][i] = body.results[j](i)` for every `i` in `body.dims`.
    Pointwise {
        /// The expression.
        body: Body,
    },
    /// `outputs[j][o] = sum over r of body.results[j](o, r)`.
    ///
    /// `body.dims` are in row-major order of the summed tensor; `reduced[d]` says that
    /// dimension `d` is summed. Outputs are contiguous over the kept dimensions, in order.
    Reduce {
        /// The summed expression.
        body: Body,
        /// One flag per dimension of `body`.
        reduced: Vec<bool>,
    },
    /// Sums, and an expression that uses them: `s_j(o) = sum over r of sums.results[j](o, r)`, then
    /// `outputs[i][p] = map.results[i](p)` for every point, where [`Inst::Sum`] `j` is `s_j` at the
    /// point's kept coordinates. This is the gradient of a normalisation in one launch.
    ReduceMap {
        /// The summed expression.
        sums: Body,
        /// One flag per dimension of both bodies.
        reduced: Vec<bool>,
        /// What is written; its dims are those of `sums`.
        map: Body,
    },
    /// Mean and `1 / sqrt(variance + eps)` over the reduced dimensions:
    /// `outputs[0][2 * o] = mean`, `outputs[0][2 * o + 1] = rstd`. Population variance, two passes.
    Moments {
        /// The normalised expression (one result).
        body: Body,
        /// One flag per dimension of `body`.
        reduced: Vec<bool>,
        /// Added to the variance.
        eps: f32,
    },
    /// `outputs[0][g, i, j] = epilogue(sum over p of A[g, i, p] * B[g, p, j])`.
    ///
    /// A is `prologue`, an expression over its stored order: `[batch, m, k]`, or `[batch, k, m]`
    /// if `ta`. B is `inputs[0]`, stored `[batch, k, n]`, or `[batch, n, k]` if `tb`.
    MatMul {
        /// Independent products.
        batch: usize,
        /// Rows of A.
        m: usize,
        /// Columns of B.
        n: usize,
        /// Contracted size.
        k: usize,
        /// A is stored transposed.
        ta: bool,
        /// B is stored transposed.
        tb: bool,
        /// Expression for A.
        prologue: Body,
        /// Applied to the product; dims are a refinement of `[batch, m, n]`.
        epilogue: Body,
    },
    /// `outputs[0][b, y, x, co] = epilogue(sum over dy, dx, ci of
    /// X[b, y + dy - k/2, x + dx - k/2, ci] * W[dy, dx, ci, co])`; out-of-image X is zero
    /// (also if the prologue maps zero to something else).
    ///
    /// X is `prologue` over `[b, h, w, ci]`. W is `inputs[0]`, stored `[k, k, ci, co]`. With
    /// `flip`, the weights are those of the forward convolution whose input gradient this is:
    /// stored `[k, k, co, ci]`, and read as `W[k-1-dy, k-1-dx, co, ci]`.
    Conv2d {
        /// Sizes.
        shape: ConvShape,
        /// Input gradient of the convolution with these weights.
        flip: bool,
        /// Expression for X.
        prologue: Body,
        /// Applied to the sum; dims are a refinement of `[b, h, w, co]`.
        epilogue: Body,
    },
    /// `outputs[0][dy, dx, ci, co] = sum over b, y, x of
    /// X[b, y + dy - k/2, x + dx - k/2, ci] * D[b, y, x, co]`.
    Conv2dGradWeight {
        /// Sizes of the forward convolution.
        shape: ConvShape,
        /// Expression for X over `[b, h, w, ci]`.
        prologue: Body,
        /// Expression for D over `[b, h, w, co]`.
        prologue_d: Body,
    },
    /// `outputs[0][i, :] = softmax(inputs[0][i, :])`, rows of `cols`.
    Softmax {
        /// Rows.
        rows: usize,
        /// Row length.
        cols: usize,
    },
    /// `outputs[0][i, :] = inputs[0][index(i), :]` with `index = u32(inputs[1][i])`, clamped to the table.
    Gather {
        /// Gathered rows.
        rows: usize,
        /// Row length.
        width: usize,
        /// Rows of the table.
        table: usize,
    },
    /// Adjoint of `Gather`: `outputs[0][t, :] = sum over i with index(i) = t of inputs[0][i, :]`,
    /// `index = u32(inputs[1][i])`, in ascending `i`.
    ScatterAdd {
        /// Scattered rows.
        rows: usize,
        /// Row length.
        width: usize,
        /// Rows of the output.
        table: usize,
    },
    /// `outputs[0][i, e] = f32(byte e of row index(i) of inputs[0])`; rows of `width` bytes, packed
    /// four to a word, little end first, rows not padded; `index = u32(inputs[1][i])`, clamped to the table.
    GatherBytes {
        /// Gathered rows.
        rows: usize,
        /// Bytes per row.
        width: usize,
        /// Rows in the table.
        table: usize,
    },
    /// Adam with clipping by global norm, bias correction and EMA, in place, one element each:
    /// `inputs = [grad, norm_sq]` (`norm_sq` has one element: the sum of squares of `grad`),
    /// `outputs = [param, m, v, ema]`, all of `len` elements.
    ///
    /// With the scalars below: `scale = min(1, clip / sqrt(norm_sq))` if `clip > 0`, else 1;
    /// `g = grad * scale; m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g * g;
    /// param -= lr * (m / c1) / (sqrt(v / c2) + eps); ema += (1 - decay) * (param - ema)`.
    /// If `norm_sq` is not finite (tested by its bits), nothing is changed.
    Adam {
        /// Elements.
        len: usize,
        /// Indices into [`Plan::scalars`].
        scalars: AdamScalars,
    },
    /// Ring of statistics: `outputs[0][(step mod ring) * width + i] = inputs[i][0]`, one per input
    /// (at most seven); `step` is the run's step.
    Record {
        /// Rows of the ring.
        ring: usize,
    },
}

/// Where [`Kernel::Adam`] finds its run-time numbers: indices into [`Plan::scalars`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdamScalars {
    /// Learning rate.
    pub lr: usize,
    /// First moment's decay, b1.
    pub beta1: usize,
    /// Second moment's decay, b2.
    pub beta2: usize,
    /// Added to the root of the second moment.
    pub eps: usize,
    /// Bias correction c1 = 1 - b1^t, computed on the host in f64.
    pub correction1: usize,
    /// Bias correction c2 = 1 - b2^t.
    pub correction2: usize,
    /// Decay of the exponential moving average.
    pub ema_decay: usize,
    /// Largest gradient norm; 0 or less: no clipping.
    pub clip: usize,
}

/// A pointwise expression over an iteration space: straight-line code in single-assignment form.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Iteration space, row-major. Its product is the number of points.
    pub dims: Vec<usize>,
    /// Instruction `i` defines value `i`; operands refer to earlier values.
    pub insts: Vec<Inst>,
    /// Values that leave the body.
    pub results: Vec<usize>,
}

/// One instruction of a [`Body`].
#[derive(Clone, Debug, PartialEq)]
pub enum Inst {
    /// Element `view` of the launch's input `input`; 0 where the view is out of bounds.
    Load {
        /// Index into [`Launch::inputs`].
        input: usize,
        /// Which element.
        view: View,
    },
    /// The contraction's result at this point; only in epilogues.
    Acc,
    /// A sum of the same launch, at the kept coordinates of this point; only in [`Kernel::ReduceMap`].
    Sum(usize),
    /// A literal.
    Const(f32),
    /// A run-time scalar, by index into [`Plan::scalars`].
    Scalar(usize),
    /// Counter-based random number: key (seed, stream), counter (step, element `view`).
    /// 0 where the view is out of bounds.
    Random {
        /// Normal or uniform.
        distribution: Distribution,
        /// Second word of the key.
        stream: u32,
        /// First counter word is the run's step if true, else 0.
        per_step: bool,
        /// Which element.
        view: View,
    },
    /// The element number `view` itself, as f32. 0 where the view is out of bounds.
    Iota {
        /// Which element.
        view: View,
    },
    /// `op(a)`.
    Unary(UnaryOp, usize),
    /// `op(a, b)`.
    Binary(BinaryOp, usize, usize),
}

/// An affine map from a point of the iteration space to an integer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Affine {
    /// One coefficient per iteration dimension.
    pub strides: Vec<i64>,
    /// Constant term.
    pub offset: i64,
}

/// Which element of an operand a point of the iteration space reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Element number.
    pub index: Affine,
    /// The element exists where `0 <= expr < len` for every entry; elsewhere the value is 0.
    pub bounds: Vec<(Affine, usize)>,
}

impl Affine {
    /// Value at a point.
    pub fn at(&self, point: &[usize]) -> i64 {
        self.offset + self.strides.iter().zip(point).map(|(s, p)| s * *p as i64).sum::<i64>()
    }
}

impl View {
    /// The element number at a point, if it is in bounds.
    pub fn at(&self, point: &[usize]) -> Option<usize> {
        let inside = self.bounds.iter().all(|(e, len)| (0..*len as i64).contains(&e.at(point)));
        inside.then(|| self.index.at(point) as usize)
    }

    /// The row-major view of `dims` onto itself.
    pub fn contiguous(dims: &[usize]) -> Self {
        let mut strides = vec![1; dims.len()];
        for d in (1..dims.len()).rev() {
            strides[d - 1] = strides[d] * dims[d] as i64;
        }
        Self { index: Affine { strides, offset: 0 }, bounds: Vec::new() }
    }

    /// The view, over `dims`, of a value that has only the dimensions that are not `reduced`.
    pub fn kept(dims: &[usize], reduced: &[bool]) -> Self {
        let mut strides = vec![0; dims.len()];
        let mut stride = 1;
        for d in (0..dims.len()).rev().filter(|&d| !reduced[d]) {
            strides[d] = stride;
            stride *= dims[d] as i64;
        }
        Self { index: Affine { strides, offset: 0 }, bounds: Vec::new() }
    }

    /// Whether it reads element `i` at the `i`-th point of `dims`.
    pub fn is_contiguous(&self, dims: &[usize]) -> bool {
        let full = Self::contiguous(dims);
        self.bounds.is_empty()
            && self.index.offset == 0
            && (0..dims.len()).all(|d| dims[d] == 1 || self.index.strides[d] == full.index.strides[d])
    }
}

impl Body {
    /// The body that loads input `input` as it lies.
    pub fn load(input: usize, dims: &[usize]) -> Self {
        let view = View::contiguous(dims);
        Self { dims: dims.to_vec(), insts: vec![Inst::Load { input, view }], results: vec![0] }
    }

    /// The epilogue that stores the contraction's result.
    pub fn acc(dims: &[usize]) -> Self {
        Self { dims: dims.to_vec(), insts: vec![Inst::Acc], results: vec![0] }
    }

    /// Number of points.
    pub fn points(&self) -> usize {
        self.dims.iter().product()
    }

    /// `Some(input)` if the body only loads that input as it lies.
    pub fn as_plain_load(&self) -> Option<usize> {
        match (&self.insts[..], &self.results[..]) {
            ([Inst::Load { input, view }], [0]) if view.is_contiguous(&self.dims) => Some(*input),
            _ => None,
        }
    }

    /// Whether it is [`Body::acc`].
    pub fn is_plain_acc(&self) -> bool {
        matches!((&self.insts[..], &self.results[..]), ([Inst::Acc], [0]))
    }
}

impl Kernel {
    /// The kernel's name: its WGSL file, its twin and its key in `ONESTEP_CPU`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pointwise { .. } => "pointwise",
            Self::Reduce { .. } => "reduce",
            Self::ReduceMap { .. } => "reduce_map",
            Self::Moments { .. } => "moments",
            Self::MatMul { .. } => "matmul",
            Self::Conv2d { .. } => "conv2d",
            Self::Conv2dGradWeight { .. } => "conv2d_grad_weight",
            Self::Softmax { .. } => "softmax",
            Self::Gather { .. } => "gather",
            Self::ScatterAdd { .. } => "scatter_add",
            Self::GatherBytes { .. } => "gather_bytes",
            Self::Adam { .. } => "adam",
            Self::Record { .. } => "record",
        }
    }
}
