//! Throughput of the CPU executor's kernels, beside the `gemm` crate on a product of the same
//! size, in one run: absolute figures of a shared machine mean little.
//!
//! `cargo run --release -p onestep-core --example cpu_throughput [conv | matmul | streams]`

#![allow(clippy::cast_possible_wrap, reason = "sizes are far below 2^31")]

use onestep_core::exec::RunArgs;
use onestep_core::exec::cpu::run_launch;
use onestep_core::graph::{BinaryOp, Distribution, UnaryOp};
use onestep_core::plan::{Affine, Body, ConvShape, Inst, Kernel, Launch, View};
use std::time::Instant;

const ARGS: RunArgs = RunArgs { scalars: &[], seed: 1, step: 1 };

/// Fastest of some calls, in seconds.
fn fastest(mut job: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        job();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn time(kernel: Kernel, inputs: &[&[f32]], lens: &[usize]) -> f64 {
    let (inputs_slots, outputs_slots) = (Vec::new(), Vec::new());
    let (flops, bytes, label) = (0, 0, String::new());
    let launch = Launch { kernel, inputs: inputs_slots, outputs: outputs_slots, flops, bytes, label };
    let mut outputs: Vec<Vec<f32>> = lens.iter().map(|len| vec![0.0; *len]).collect();
    fastest(|| {
        let mut slices: Vec<&mut [f32]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
        run_launch(&launch, inputs, &mut slices, &ARGS);
    })
}

/// The `gemm` crate on `[m, k] x [k, n]`, blocks of rows shared out by rayon.
#[allow(unsafe_code, reason = "the crate's only interface takes pointers")]
fn peer(m: usize, n: usize, k: usize) -> f64 {
    use rayon::prelude::*;
    let (a, b, mut c) = (vec![1.0f32; m * k], vec![1.0f32; k * n], vec![0.0f32; m * n]);
    let rows = m.div_ceil(16);
    fastest(|| {
        let blocks = c.par_chunks_mut(rows * n).zip(a.par_chunks(rows * k));
        blocks.for_each(|(c, a)| {
            let (rows, n_, k_) = (a.len() / k, n as isize, k as isize);
            let parallelism = gemm::Parallelism::None;
            // SAFETY: the three slices hold rows x n, rows x k and k x n elements.
            unsafe {
                gemm::gemm(
                    rows,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    n_,
                    false,
                    a.as_ptr(),
                    1,
                    k_,
                    b.as_ptr(),
                    1,
                    n_,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
        });
    })
}

fn view(strides: &[i64], offset: i64) -> View {
    View { index: Affine { strides: strides.to_vec(), offset }, bounds: Vec::new() }
}

/// `silu((x - mean) * rstd * gamma + beta)`; inputs x, moments, gamma, beta from `first`.
fn norm_silu(first: usize, b: usize, pixels: usize, groups: usize, channels: usize) -> Body {
    let (per, g) = ((channels / groups) as i64, groups as i64);
    let dims = vec![b, pixels, groups, channels / groups];
    let load = |input, view| Inst::Load { input: first + input, view };
    let insts = vec![
        load(0, View::contiguous(&dims)),
        load(1, view(&[2 * g, 0, 2, 0], 0)),
        load(1, view(&[2 * g, 0, 2, 0], 1)),
        load(2, view(&[0, 0, per, 1], 0)),
        load(3, view(&[0, 0, per, 1], 0)),
        Inst::Binary(BinaryOp::Sub, 0, 1),
        Inst::Binary(BinaryOp::Mul, 5, 2),
        Inst::Binary(BinaryOp::Mul, 6, 3),
        Inst::Binary(BinaryOp::Add, 7, 4),
        Inst::Unary(UnaryOp::Sigmoid, 8),
        Inst::Binary(BinaryOp::Mul, 8, 9),
    ];
    Body { dims, insts, results: vec![10] }
}

fn convolutions() {
    println!("GFLOP/s               gemm   conv  +norm   flip  grad_w");
    for (b, h, ci, co) in [
        (64, 28, 1, 16),
        (64, 28, 16, 16),
        (64, 28, 16, 1),
        (64, 14, 32, 32),
        (64, 7, 64, 64),
        (8, 32, 128, 128),
        (1, 28, 16, 16),
    ] {
        let shape = ConvShape { b, h, w: h, ci, co, k: 3 };
        let pixels = b * h * h;
        let (x, d, w) = (vec![0.5; pixels * ci], vec![0.5; pixels * co], vec![0.1; 9 * ci * co]);
        let groups = 4.min(ci);
        let (moments, affine) = (vec![0.3; b * groups * 2], vec![0.2; ci]);
        let inputs: [&[f32]; 5] = [&w, &x, &moments, &affine, &affine];
        let flops = 2.0 * (pixels * 9 * ci * co) as f64;
        let (x_dims, d_dims) = ([b, h, h, ci], [b, h, h, co]);
        let conv = |flip, prologue| {
            let epilogue = Body::acc(&d_dims);
            let kernel = Kernel::Conv2d { shape, flip, prologue, epilogue };
            flops / time(kernel, &inputs, &[d.len()]) / 1e9
        };
        let kernel =
            Kernel::Conv2dGradWeight { shape, prologue: Body::load(0, &x_dims), prologue_d: Body::load(1, &d_dims) };
        let grad = flops / time(kernel, &[&x, &d], &[w.len()]) / 1e9;
        let gemm = flops / peer(pixels, co, 9 * ci) / 1e9;
        let plain = conv(false, Body::load(1, &x_dims));
        let norm = conv(false, norm_silu(1, b, h * h, groups, ci));
        let flip = conv(true, Body::load(1, &x_dims));
        let name = format!("[{b},{h},{h},{ci}]->{co}");
        println!("{name:<20} {gemm:6.1} {plain:6.1} {norm:6.1} {flip:6.1}  {grad:6.1}");
    }
}

fn products() {
    println!("\nGFLOP/s               gemm matmul");
    for (m, n, k, ta) in [
        (512, 512, 512, false),
        (4096, 128, 128, false),
        (256, 256, 64, false),
        (128, 128, 12544, true),
        (128, 128, 12544, false),
        (1, 256, 256, false),
    ] {
        let (a, b) = (vec![0.5; m * k], vec![0.1; k * n]);
        let dims = if ta { [1, k, m] } else { [1, m, k] };
        let (prologue, epilogue) = (Body::load(1, &dims), Body::acc(&[1, m, n]));
        let kernel = Kernel::MatMul { batch: 1, m, n, k, ta, tb: false, prologue, epilogue };
        let flops = 2.0 * (m * n * k) as f64;
        let own = flops / time(kernel, &[&b, &a], &[m * n]) / 1e9;
        let gemm = flops / peer(m, n, k) / 1e9;
        println!("{:<20} {gemm:6.1} {own:6.1}", format!("{m}x{n}x{k} ta={ta}"));
    }
}

/// Prints GB/s if every operand moved once, and billions of points per second.
fn streams() {
    println!("\n                       GB/s  Gpoints/s");
    let (b, pixels, c) = (64, 784, 32);
    let n = b * pixels * c;
    let (x, moments, affine) = (vec![0.5; n], vec![0.3; b * 16], vec![0.2; c]);
    let dims = [b, pixels, 8, c / 8];
    let show = |name: &str, kernel: Kernel, inputs: &[&[f32]], lens: &[usize], streams: usize| {
        let secs = time(kernel, inputs, lens);
        let (bytes, points) = (4.0 * (streams * n) as f64, n as f64);
        println!("{name:<20} {:6.1} {:10.2}", bytes / secs / 1e9, points / secs / 1e9);
    };
    let affine_inputs: [&[f32]; 4] = [&x, &moments, &affine, &affine];
    let body = Body::load(0, &[n]);
    show("copy", Kernel::Pointwise { body }, &[&x], &[n], 2);
    let body = norm_silu(0, b, pixels, 8, c);
    show("norm_silu", Kernel::Pointwise { body }, &affine_inputs, &[n], 2);
    for distribution in [Distribution::Uniform, Distribution::Normal] {
        let view = View::contiguous(&[n]);
        let insts = vec![Inst::Random { distribution, stream: 1, per_step: true, view }];
        let body = Body { dims: vec![n], insts, results: vec![0] };
        show(&format!("{distribution:?}"), Kernel::Pointwise { body }, &[], &[n], 1);
    }
    let moments = |body, reduced| Kernel::Moments { body, reduced, eps: 1e-5 };
    let group_norm = vec![false, true, false, true];
    show("moments", moments(Body::load(0, &dims), group_norm), &[&x], &[b * 16], 1);
    let reduce = |reduced| Kernel::Reduce { body: Body::load(0, &dims), reduced };
    show("sum of all", reduce(vec![true; 4]), &[&x], &[1], 1);
    show("sum of columns", reduce(vec![true, true, false, false]), &[&x], &[c], 1);
    show("sum of rows of 32", reduce(vec![false, false, true, true]), &[&x], &[b * pixels], 1);
    show("softmax 784", Kernel::Softmax { rows: b * c, cols: pixels }, &[&x], &[n], 2);
}

fn main() {
    println!("{} threads", rayon::current_num_threads());
    let only = std::env::args().nth(1);
    let sections: [(&str, fn()); 3] = [("conv", convolutions), ("matmul", products), ("streams", streams)];
    for (_, section) in sections.iter().filter(|(name, _)| only.as_deref().is_none_or(|o| o == *name)) {
        section();
    }
}
