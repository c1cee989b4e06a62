//! The operator set: small, and closed under differentiation.

pub use onestep_kernels::op::{BinaryOp, Distribution, UnaryOp};

/// Where a leaf lives: a range of a named store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Name of the store, such as `generator.param`.
    pub store: String,
    /// First element; a multiple of [`crate::plan::SLOT_ALIGN`].
    pub offset: usize,
}

/// What a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Content of a store.
    Input(Place),
    /// A number, shape `[]`.
    Const(f32),
    /// A number that the host passes at each run, shape `[]`.
    Scalar(String),
    /// Counter-based random numbers: key (seed, stream), counter (step, element).
    Random {
        /// Which distribution.
        distribution: Distribution,
        /// Second word of the key; different streams are independent.
        stream: u32,
        /// Whether the numbers change from step to step.
        per_step: bool,
        /// Number of the first element: a tensor may be the later part of a longer one.
        first: usize,
    },
    /// 0, 1, 2, ... in row-major order.
    Iota,
    /// The same value, a constant to differentiation.
    Detach,
    /// One pointwise function.
    Unary(UnaryOp),
    /// Two operands of the same shape.
    Binary(BinaryOp),
    /// The same elements in row-major order under another shape.
    Reshape,
    /// Axis `i` of the result is axis `perm[i]` of the operand.
    Permute(Vec<usize>),
    /// Axes of size 1 repeated to the node's shape.
    Broadcast,
    /// `start .. start + len` of one axis, `len` from the node's shape.
    Slice {
        /// Which axis.
        axis: usize,
        /// First kept position.
        start: usize,
    },
    /// Zeros before and after along one axis.
    Pad {
        /// Which axis.
        axis: usize,
        /// Zeros in front; those behind follow from the node's shape.
        before: usize,
    },
    /// Sum over the axes that are `true`; they stay, with size 1.
    Sum(Vec<bool>),
    /// Mean and reciprocal standard deviation over the axes that are `true`: the operand's shape
    /// with those at 1, and a last axis of 2 (mean, rstd). Population variance plus `eps`.
    Moments {
        /// Axes that are averaged.
        axes: Vec<bool>,
        /// Bits of eps.
        eps: f32,
    },
    /// Batched product of `[G, M, K]` and `[G, K, N]`, each stored transposed if flagged.
    MatMul {
        /// First operand is `[G, K, M]`.
        ta: bool,
        /// Second operand is `[G, N, K]`.
        tb: bool,
    },
    /// `x [B, H, W, Ci]`, `w [k, k, Ci, Co]` to `[B, H, W, Co]`; stride 1, zero padding k / 2.
    Conv2d,
    /// `d_y [B, H, W, Co]`, `w [k, k, Ci, Co]` to `d_x [B, H, W, Ci]`.
    Conv2dGradInput,
    /// `x [B, H, W, Ci]`, `d_y [B, H, W, Co]` to `d_w [k, k, Ci, Co]`.
    Conv2dGradWeight,
    /// Softmax over the last axis.
    Softmax,
    /// `table [N, E]`, `index [B]` to `[B, E]`.
    Gather,
    /// `d [B, E]`, `index [B]` to `[N, E]`.
    ScatterAdd,
    /// Bytes `[N, E]` of a store, `index [B]` to `[B, E]`, values 0 to 255.
    GatherBytes {
        /// Rows of the table.
        rows: usize,
    },
}

impl Op {
    /// Whether both compute the same from the same operands; zero and its negative are two constants.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Const(a), Self::Const(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }
}
