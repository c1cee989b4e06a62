//! What is computed element by element. The graph has the same operators.

/// Pointwise functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-x`
    Neg,
    /// `e^x`; the argument is clamped to [-87, 88] so that the result is finite.
    Exp,
    /// Natural logarithm of `max(x, 1e-38)`.
    Log,
    /// Square root of `max(x, 0)`.
    Sqrt,
    /// `1 / x`
    Recip,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `log(1 + e^x)`, stable for any x.
    Softplus,
    /// Sine, accurate for |x| up to 10^4.
    Sin,
    /// Cosine, accurate for |x| up to 10^4.
    Cos,
    /// `|x|`
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// Largest integer that is not above x.
    Floor,
}

/// Pointwise functions of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// 1 if `a < b`, else 0.
    Less,
}

/// Distribution of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Standard normal.
    Normal,
    /// Uniform in (0, 1).
    Uniform,
}
