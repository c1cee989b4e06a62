//! Elementary functions as branch-free f32 polynomials, so that loops over them vectorise.
//!
//! A call to libm costs 10 to 20 ns an element and stops the vectoriser; these cost under one.
//! Each is within a few units in the last place of the true value (the tests measure it), and
//! NaN comes out where NaN goes in, so that a diverging run is found. Selections are written
//! `if x < lo { lo } else { x }` because `f32::max` would swallow NaN. Polynomials are Taylor
//! series: after range reduction they are short, and their error bound is the next term. `S` is
//! the instruction set, for the sake of its fused multiply-add.

use crate::op::{BinaryOp, UnaryOp};
use crate::simd::{Arg, fma, map1, map2, map3};
use crate::vectorised;
use pulp::Simd;
use std::f32::consts::{FRAC_2_PI, FRAC_PI_2, LOG2_E};

/// 1.5 * 2^23: adding it rounds a small float to an integer, held in the sum's low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the upper one has 9 bits, so that its product with an exponent is exact.
const LN_2_HI: f32 = 0.693_359_4;
/// `ln 2 - LN_2_HI`.
const LN_2_LO: f32 = -2.121_944_4e-4;

/// The larger of `x` and `lo`; NaN stays.
#[inline(always)]
fn at_least(x: f32, lo: f32) -> f32 {
    if x < lo { lo } else { x }
}

/// `c[0] + c[1] x + c[2] x^2 + ...`
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    for i in (0..N - 1).rev() {
        sum = fma::<S>(sum, x, c[i]);
    }
    sum
}

/// `e^x` with `x` clamped to [-87, 88].
#[inline(always)]
pub fn exp<S: Simd>(x: f32) -> f32 {
    let x = at_least(x, -87.0);
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = fma::<S>(x, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<S>(n, -LN_2_LO, fma::<S>(n, -LN_2_HI, x));
    // |r| <= ln 2 / 2; the term of degree 8 is below 6e-9.
    let tail = [0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];
    let p = fma::<S>(polynomial::<S, 6>(r, tail) * r, r, r) + 1.0;
    // The low bits of `shifted` are n; those of ROUND above them fall off at the shift.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    p * scale
}

/// Natural logarithm of `max(x, 1e-38)`.
#[inline(always)]
pub fn log<S: Simd>(x: f32) -> f32 {
    let clamped = at_least(x, 1e-38);
    // 1e-38 is subnormal; scaling by 2^24 makes every argument normal.
    let tiny = clamped < 1e-36;
    let scaled = if tiny { clamped * 16_777_216.0 } else { clamped };
    let base = if tiny { -24.0 } else { 0.0 };
    // x = 2^e * m with m in [sqrt(1/2), sqrt(2)).
    let bits = scaled.to_bits();
    let e = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e << 23) as u32));
    let e = e as f32 + base;
    // ln(1 + f) = 2 atanh(s) with s = f / (2 + f), written so that f itself is not rounded:
    // 2 s = f - s f and s f = f^2 / 2 - s f^2 / 2. |s| < 0.172; the next term is below 2e-9.
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let series = z * polynomial::<S, 4>(z, [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0]);
    let half = 0.5 * f * f;
    let low = half - fma::<S>(s, half + series, e * LN_2_LO);
    let y = fma::<S>(e, LN_2_HI, f - low);
    // Infinity and NaN have no mantissa to speak of: they come out as they went in.
    if x <= f32::MAX { y } else { x }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<S: Simd>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<S>(-x))
}

/// `log(1 + e^x)`.
#[inline(always)]
pub fn softplus<S: Simd>(x: f32) -> f32 {
    let t = exp::<S>(-x.abs());
    // ln(1 + t) = 2 atanh(t / (2 + t)); the argument is at most 1/3, the next term 3e-9.
    let s = t / (2.0 + t);
    let z = s * s;
    let tail = [2. / 3., 2. / 5., 2. / 7., 2. / 9., 2. / 11., 2. / 13., 2. / 15.];
    at_least(x, 0.0) + fma::<S>(s * z, polynomial::<S, 7>(z, tail), 2.0 * s)
}

/// `sin(r + quadrant * pi / 2)` for `r` in [-pi/4, pi/4].
#[inline(always)]
fn sin_of_reduced<S: Simd>(r: f32, quadrant: u32) -> f32 {
    let z = r * r;
    let sine = [-1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0];
    let sin = fma::<S>(r * z, polynomial::<S, 4>(z, sine), r);
    let cosine = [1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0, -1.0 / 3_628_800.0];
    let cos = fma::<S>(z * z, polynomial::<S, 4>(z, cosine), fma::<S>(-0.5, z, 1.0));
    let y = if quadrant & 1 == 0 { sin } else { cos };
    f32::from_bits(y.to_bits() ^ ((quadrant & 2) << 30))
}

/// `sin(x + quarter_turns * pi / 2)`; accurate for |x| up to 10^4.
#[inline(always)]
fn sin_rotated<S: Simd>(x: f32, quarter_turns: u32) -> f32 {
    let shifted = fma::<S>(x, FRAC_2_PI, ROUND);
    let n = shifted - ROUND;
    // In f64 the product n * pi/2 is exact enough for any |x| up to 10^4 and beyond.
    let r = (f64::from(x) - f64::from(n) * std::f64::consts::FRAC_PI_2) as f32;
    sin_of_reduced::<S>(r, shifted.to_bits().wrapping_add(quarter_turns))
}

/// `cos(2 pi u)` for u in [0, 1]; the reduction is exact in turns.
#[inline(always)]
pub fn cos_turns<S: Simd>(u: f32) -> f32 {
    let shifted = fma::<S>(4.0, u, ROUND);
    let n = shifted - ROUND;
    let r = fma::<S>(4.0, u, -n) * FRAC_PI_2;
    sin_of_reduced::<S>(r, shifted.to_bits().wrapping_add(1))
}

/// -1, 0 or 1.
#[inline(always)]
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// The larger; NaN if either is.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The smaller; NaN if either is.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

vectorised! {
    /// `dst = op(a)`, element by element.
    pub fn unary(op: UnaryOp, dst: &mut [f32], a: &[f32]) {
        match op {
            UnaryOp::Neg => map1(dst, a, |x| -x),
            UnaryOp::Exp => map1(dst, a, exp::<S>),
            UnaryOp::Log => map1(dst, a, log::<S>),
            UnaryOp::Sqrt => map1(dst, a, |x| at_least(x, 0.0).sqrt()),
            UnaryOp::Recip => map1(dst, a, |x| 1.0 / x),
            UnaryOp::Sigmoid => map1(dst, a, sigmoid::<S>),
            UnaryOp::Softplus => map1(dst, a, softplus::<S>),
            UnaryOp::Sin => map1(dst, a, |x| sin_rotated::<S>(x, 0)),
            UnaryOp::Cos => map1(dst, a, |x| sin_rotated::<S>(x, 1)),
            UnaryOp::Abs => map1(dst, a, f32::abs),
            UnaryOp::Sign => map1(dst, a, sign),
            UnaryOp::Floor => map1(dst, a, f32::floor),
        }
    }

    /// `dst = op(a, b)`, element by element.
    pub fn binary(op: BinaryOp, dst: &mut [f32], a: Arg<'_>, b: Arg<'_>) {
        match op {
            BinaryOp::Add => zip(dst, a, b, |x, y| x + y),
            BinaryOp::Sub => zip(dst, a, b, |x, y| x - y),
            BinaryOp::Mul => zip(dst, a, b, |x, y| x * y),
            BinaryOp::Div => zip(dst, a, b, |x, y| x / y),
            BinaryOp::Max => zip(dst, a, b, larger),
            BinaryOp::Min => zip(dst, a, b, smaller),
            BinaryOp::Less => zip(dst, a, b, |x, y| if x < y { 1.0 } else { 0.0 }),
        }
    }
}

vectorised! {
    /// `dst = (a first b) second c`, or `c second (a first b)` if `swapped`; the operators are
    /// additions, subtractions and products. One loop saves a trip through the cache.
    pub fn pair(
        first: BinaryOp,
        second: BinaryOp,
        swapped: bool,
        dst: &mut [f32],
        a: &[f32],
        b: &[f32],
        c: &[f32],
    ) {
        match first {
            BinaryOp::Add => pair_with(second, swapped, dst, a, b, c, |x, y| x + y),
            BinaryOp::Sub => pair_with(second, swapped, dst, a, b, c, |x, y| x - y),
            BinaryOp::Mul => pair_with(second, swapped, dst, a, b, c, |x, y| x * y),
            other => unreachable!("{other:?} is not paired"),
        }
    }
}

/// [`pair`] with its first operator.
#[inline(always)]
fn pair_with(
    second: BinaryOp,
    swapped: bool,
    dst: &mut [f32],
    a: &[f32],
    b: &[f32],
    c: &[f32],
    f: impl Fn(f32, f32) -> f32,
) {
    match (second, swapped) {
        (BinaryOp::Add, _) => map3(dst, a, b, c, |x, y, z| f(x, y) + z),
        (BinaryOp::Mul, _) => map3(dst, a, b, c, |x, y, z| f(x, y) * z),
        (BinaryOp::Sub, false) => map3(dst, a, b, c, |x, y, z| f(x, y) - z),
        (BinaryOp::Sub, true) => map3(dst, a, b, c, |x, y, z| z - f(x, y)),
        (other, _) => unreachable!("{other:?} is not paired"),
    }
}

/// `dst[i] = f(a[i], b[i])` for slices and repeated numbers.
#[inline(always)]
fn zip(dst: &mut [f32], a: Arg, b: Arg, f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (Arg::Slice(a), Arg::Slice(b)) => map2(dst, a, b, f),
        (Arg::Slice(a), Arg::Splat(y)) => map1(dst, a, |x| f(x, y)),
        (Arg::Splat(x), Arg::Slice(b)) => map1(dst, b, |y| f(x, y)),
        (Arg::Splat(x), Arg::Splat(y)) => dst.fill(f(x, y)),
    }
}
