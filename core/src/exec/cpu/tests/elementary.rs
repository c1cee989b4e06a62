//! Accuracy of the elementary functions, and that NaN gets through.

use super::*;
use crate::exec::cpu::{math, simd};

/// Worst error of `op` over `xs`, in units of the last place of the true value (or of `floor`,
/// if the value is smaller than that).
fn worst_ulp(op: UnaryOp, xs: &[f32], floor: f64) -> f64 {
    let mut got = vec![0.0; xs.len()];
    math::unary(op, &mut got, xs);
    let mut worst = 0.0f64;
    for (&x, &y) in xs.iter().zip(&got) {
        let wanted = unary(op, f64::from(x));
        let size = wanted.abs().max(floor).max(f64::from(f32::MIN_POSITIVE));
        let ulp = f64::exp2(size.log2().floor() - 23.0);
        let error = (f64::from(y) - wanted).abs() / ulp;
        assert!(error.is_finite(), "{op:?}({x}) = {y}, wanted {wanted}");
        worst = worst.max(error);
    }
    worst
}

fn sweep(from: f32, to: f32) -> Vec<f32> {
    let n = 400_000;
    (0..=n).map(|i| from + (to - from) * (i as f32 / n as f32)).collect()
}

/// Every exponent, some mantissas.
fn all_positive() -> Vec<f32> {
    (0x0000_0001u32..0x7f80_0000).step_by(4099).map(f32::from_bits).collect()
}

#[test]
fn elementary_functions_are_accurate() {
    let tau = sweep(-7.0, 7.0);
    let cases = [
        (UnaryOp::Exp, sweep(-100.0, 100.0), 0.0, 1.5),
        (UnaryOp::Exp, sweep(-1.0, 1.0), 0.0, 1.5),
        (UnaryOp::Log, all_positive(), 0.0, 1.5),
        (UnaryOp::Log, sweep(0.5, 2.0), 0.0, 1.5),
        (UnaryOp::Sigmoid, sweep(-80.0, 80.0), 0.0, 3.0),
        (UnaryOp::Softplus, sweep(-80.0, 80.0), 0.0, 3.0),
        (UnaryOp::Softplus, sweep(-2.0, 2.0), 0.0, 3.0),
        // Near a zero crossing, f32 arguments leave no relative accuracy to ask for: one unit
        // in the last place of 1/16.
        (UnaryOp::Sin, tau.clone(), 0.0625, 2.0),
        (UnaryOp::Cos, tau, 0.0625, 2.0),
        (UnaryOp::Sin, sweep(-1e4, 1e4), 0.0625, 2.0),
        (UnaryOp::Cos, sweep(-1e4, 1e4), 0.0625, 2.0),
        (UnaryOp::Sqrt, all_positive(), 0.0, 0.51),
        (UnaryOp::Recip, sweep(0.01, 100.0), 0.0, 0.51),
        (UnaryOp::Floor, sweep(-9.0, 9.0), 0.0, 0.0),
        (UnaryOp::Sign, sweep(-1.0, 1.0), 0.0, 0.0),
        (UnaryOp::Abs, sweep(-1.0, 1.0), 0.0, 0.0),
        (UnaryOp::Neg, sweep(-1.0, 1.0), 0.0, 0.0),
    ];
    for (op, xs, floor, limit) in cases {
        let worst = worst_ulp(op, &xs, floor);
        println!("{op:?} on {} .. {}: {worst:.2} ulp", xs[0], xs[xs.len() - 1]);
        assert!(worst <= limit, "{op:?}: {worst} ulp > {limit}");
    }
}

#[test]
fn cosine_in_turns_is_accurate() {
    for u in sweep(0.0, 1.0) {
        let wanted = (std::f64::consts::TAU * f64::from(u)).cos();
        let error = (f64::from(math::cos_turns::<pulp::Scalar>(u)) - wanted).abs();
        assert!(error <= 1.3e-7, "cos_turns({u}): error {error:e}");
    }
}

#[test]
fn nan_goes_through_and_the_clamps_hold() {
    use UnaryOp::*;
    let one = |op, x: f32| {
        let mut y = [0.0];
        math::unary(op, &mut y, &[x]);
        y[0]
    };
    for op in [Neg, Exp, Log, Sqrt, Recip, Sigmoid, Softplus, Sin, Cos, Abs, Sign, Floor] {
        assert!(one(op, f32::NAN).is_nan(), "{op:?} swallows NaN");
    }
    for op in [BinaryOp::Max, BinaryOp::Min, BinaryOp::Add] {
        for (a, b) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            let mut y = [0.0];
            math::binary(op, &mut y, simd::Arg::Splat(a), simd::Arg::Splat(b));
            assert!(y[0].is_nan(), "{op:?} swallows NaN");
        }
    }
    assert!(one(Exp, f32::INFINITY).is_finite());
    assert!(one(Exp, -1000.0) > 0.0);
    assert!((one(Log, 0.0) + 87.498_23).abs() < 1e-4);
    assert!((one(Log, -5.0) + 87.498_23).abs() < 1e-4);
    assert_eq!(one(Log, f32::INFINITY), f32::INFINITY);
    assert_eq!(one(Sqrt, -4.0), 0.0);
    assert_eq!(one(Sign, 0.0), 0.0);
    assert_eq!(one(Softplus, 1e30), 1e30);
}
