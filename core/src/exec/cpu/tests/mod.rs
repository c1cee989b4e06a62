//! Every twin against a plain f64 loop that is written from the contract in `plan/ir.rs` alone,
//! on a tiny, an odd and a larger shape; determinism; the executor's own promises.
//!
//! Here: the loop that evaluates a body at one point, the comparison, and bodies to test with.

mod contractions;
mod elementary;
mod executor;
mod points;
mod small;
mod sums;

use super::run_launch;
use crate::exec::RunArgs;
use crate::graph::{BinaryOp, Distribution, UnaryOp};
use crate::plan::{Affine, Body, Inst, Kernel, Launch, View};
use crate::random::threefry2x32;

/// Scalars of every test, by index.
const SCALARS: [f32; 3] = [0.75, -1.5, 2.0];

fn args() -> RunArgs<'static> {
    RunArgs { scalars: &SCALARS, seed: 42, step: 7 }
}

/// `len` reproducible numbers of about unit size.
fn noise(len: usize, stream: u32) -> Vec<f32> {
    let draw = |i| threefry2x32([99, stream], [0, i])[0] as f32 / u32::MAX as f32;
    (0..len as u32).map(|i| 2.0 * draw(i) - 1.0).collect()
}

/// For one f32 chain of `n` terms of unit size: `n` roundings at 6e-8 of partial sums that grow as
/// `sqrt(n)` add up to `n * 6e-8` in standard deviations. Measured: a third of this.
fn reduction(n: usize) -> f64 {
    1e-7 * (n as f64).max(20.0)
}

/// For a convolution of `n` terms that may go by Winograd's tiles, whose transforms round, too. Measured: half of this.
fn convolution(n: usize) -> f64 {
    2.0 * reduction(n)
}

/// For `n` terms in f32 chains of 32 whose sums are added in f64. Measured: a third of this.
fn blocked_reduction(n: usize) -> f64 {
    2e-6 * (n as f64 / 32.0).sqrt().max(1.0)
}

/// For single functions and short chains of them.
const ELEMENTWISE: f64 = 2e-6;

/// Fails unless `|got - wanted| <= tolerance * max(1, |wanted|)` everywhere.
fn assert_close(what: &str, got: &[f32], wanted: &[f64], tolerance: f64) {
    assert!(!got.is_empty(), "{what}: nothing to compare");
    assert_eq!(got.len(), wanted.len(), "{what}: lengths");
    let mut worst = (0.0, 0);
    for (i, (&g, &w)) in got.iter().zip(wanted).enumerate() {
        let error = (f64::from(g) - w).abs() / w.abs().max(1.0);
        assert!(w.is_finite() && g.is_finite(), "{what}: [{i}] got {g}, wanted {w}");
        if error > worst.0 {
            worst = (error, i);
        }
    }
    let (error, i) = worst;
    assert!(
        error <= tolerance,
        "{what}: worst error {error:.3e} > {tolerance:.3e} at [{i}]: got {}, wanted {}",
        got[i],
        wanted[i],
    );
}

/// Every point of `dims`, in row-major order.
fn each_point(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..dims.iter().product()).map(|i| {
        let mut rest: usize = i;
        let mut point = vec![0; dims.len()];
        for d in (0..dims.len()).rev() {
            point[d] = rest % dims[d];
            rest /= dims[d];
        }
        point
    })
}

/// All results of a body at a point.
fn at(body: &Body, inputs: &[&[f32]], acc: f64, point: &[usize]) -> Vec<f64> {
    let args = args();
    let mut values: Vec<f64> = Vec::new();
    for inst in &body.insts {
        let value = match inst {
            Inst::Load { input, view } => view.at(point).map_or(0.0, |e| f64::from(inputs[*input][e])),
            Inst::Acc => acc,
            Inst::Sum(_) => unreachable!("a launch with sums is tested through its parts"),
            Inst::Const(value) => f64::from(*value),
            Inst::Scalar(index) => f64::from(args.scalars[*index]),
            Inst::Random { distribution, stream, per_step, view } => {
                let step = if *per_step { args.step } else { 0 };
                let bits = |e: usize| threefry2x32([args.seed, *stream], [step, e as u32]);
                view.at(point).map_or(0.0, |e| sample(*distribution, bits(e)))
            }
            Inst::Iota { view } => view.at(point).map_or(0.0, |e| e as f64),
            Inst::Unary(op, a) => unary(*op, values[*a]),
            Inst::Binary(op, a, b) => binary(*op, values[*a], values[*b]),
        };
        values.push(value);
    }
    body.results.iter().map(|r| values[*r]).collect()
}

/// All points of result `j`.
fn all(body: &Body, inputs: &[&[f32]], j: usize) -> Vec<f64> {
    each_point(&body.dims).map(|point| at(body, inputs, 0.0, &point)[j]).collect()
}

fn sample(distribution: Distribution, bits: [u32; 2]) -> f64 {
    let unit = |b: u32| f64::from((b >> 9) as f32 + 0.5) / f64::from(1 << 23);
    match distribution {
        Distribution::Uniform => unit(bits[0]),
        Distribution::Normal => (-2.0 * unit(bits[0]).ln()).sqrt() * (std::f64::consts::TAU * unit(bits[1])).cos(),
    }
}

fn unary(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Exp => x.clamp(-87.0, 88.0).exp(),
        UnaryOp::Log => x.max(1e-38).ln(),
        UnaryOp::Sqrt => x.max(0.0).sqrt(),
        UnaryOp::Recip => 1.0 / x,
        UnaryOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        UnaryOp::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sign => f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
        UnaryOp::Floor => x.floor(),
    }
}

fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Max => a.max(b),
        BinaryOp::Min => a.min(b),
        BinaryOp::Less => f64::from(u8::from(a < b)),
    }
}

/// Runs one kernel on outputs of the given lengths, which start as poison.
fn run(kernel: Kernel, inputs: &[&[f32]], lens: &[usize]) -> Vec<Vec<f32>> {
    let launch = Launch { kernel, inputs: Vec::new(), outputs: Vec::new(), flops: 0, bytes: 0, label: "test".into() };
    let mut outputs: Vec<Vec<f32>> = lens.iter().map(|len| vec![-12345.0; *len]).collect();
    let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
    run_launch(&launch, inputs, &mut slices, &args());
    outputs
}

/// Fails unless pools of 1, 2 and 3 threads give the same bits.
fn assert_deterministic(kernel: &Kernel, inputs: &[&[f32]], lens: &[usize]) {
    let bits = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let outputs = pool.install(|| run(kernel.clone(), inputs, lens));
        outputs.iter().flatten().map(|x| x.to_bits()).collect::<Vec<u32>>()
    };
    let one = bits(1);
    assert!(!one.is_empty());
    assert!(one == bits(2) && one == bits(3), "{} depends on the threads", kernel.name());
}

fn view(strides: &[i64], offset: i64) -> View {
    View { index: Affine { strides: strides.to_vec(), offset }, bounds: Vec::new() }
}

fn load(input: usize, view: View) -> Inst {
    Inst::Load { input, view }
}

/// `silu((x - mean) * rstd * gamma + beta)` over `[b, pixels, groups, channels / groups]`:
/// inputs `first ..`: x, moments `[b, groups, 2]`, gamma, beta.
fn norm_silu(first: usize, b: usize, pixels: usize, groups: usize, channels: usize) -> Body {
    let per = (channels / groups) as i64;
    let g = groups as i64;
    let dims = vec![b, pixels, groups, channels / groups];
    let insts = vec![
        load(first, View::contiguous(&dims)),
        load(first + 1, view(&[2 * g, 0, 2, 0], 0)),
        load(first + 1, view(&[2 * g, 0, 2, 0], 1)),
        load(first + 2, view(&[0, 0, per, 1], 0)),
        load(first + 3, view(&[0, 0, per, 1], 0)),
        Inst::Binary(BinaryOp::Sub, 0, 1),
        Inst::Binary(BinaryOp::Mul, 5, 2),
        Inst::Binary(BinaryOp::Mul, 6, 3),
        Inst::Binary(BinaryOp::Add, 7, 4),
        Inst::Unary(UnaryOp::Sigmoid, 8),
        Inst::Binary(BinaryOp::Mul, 8, 9),
    ];
    Body { dims, insts, results: vec![10] }
}

/// `acc + bias[c] + scalar * residual` over `[outer, c]`; the inputs are `bias` and `residual`.
fn bias_residual(bias: usize, residual: usize, outer: usize, c: usize) -> Body {
    let dims = vec![outer, c];
    let insts = vec![
        Inst::Acc,
        load(bias, view(&[0, 1], 0)),
        load(residual, View::contiguous(&dims)),
        Inst::Scalar(1),
        Inst::Binary(BinaryOp::Mul, 2, 3),
        Inst::Binary(BinaryOp::Add, 0, 1),
        Inst::Binary(BinaryOp::Add, 5, 4),
    ];
    Body { dims, insts, results: vec![6] }
}
