//! How fast the contractions are on this adapter, per variant:
//! `cargo run --release -p onestep-tests --example gpu_speed`.

use std::time::Instant;

use onestep_core::exec::RunArgs;
use onestep_core::exec::gpu::{Choice, GpuExecutor, Tuning};
use onestep_core::plan::{Arena, ArenaKind, Body, ConvShape, Kernel, Launch, Plan, Slot};
use onestep_shaders::TILES;
use onestep_tests::{gpu, values};

/// Runs `kernel` repeatedly and returns seconds per run.
fn seconds(gpu: &mut GpuExecutor, kernel: &Kernel, inputs: [usize; 2], output: usize) -> f64 {
    let second = inputs[0].next_multiple_of(64);
    let len = second + inputs[1];
    gpu.create_store("in", len).unwrap();
    gpu.create_store("out", output).unwrap();
    gpu.write("in", 0, &values(1, len)).unwrap();
    let arena = |name: &str, len| Arena { kind: ArenaKind::Store(name.to_owned()), len };
    let slot = |offset, len| Slot { arena: 0, offset, len };
    let plan = Plan {
        name: "speed".to_owned(),
        arenas: vec![arena("in", len), arena("out", output)],
        launches: vec![Launch {
            kernel: kernel.clone(),
            inputs: vec![slot(0, inputs[0]), slot(second, inputs[1])],
            outputs: vec![Slot { arena: 1, offset: 0, len: output }],
            flops: 0,
            bytes: 0,
            label: "speed".to_owned(),
        }],
        scalars: Vec::new(),
    };
    let id = gpu.prepare(&plan).unwrap();
    let args = RunArgs { scalars: &[], seed: 0, step: 0 };
    gpu.run(id, &args).unwrap();
    gpu.sync().unwrap();
    let start = Instant::now();
    let mut runs = 0;
    while runs < 3 || start.elapsed().as_secs_f64() < 0.5 {
        gpu.run(id, &args).unwrap();
        gpu.sync().unwrap();
        runs += 1;
    }
    start.elapsed().as_secs_f64() / f64::from(runs)
}

fn main() {
    let shape = ConvShape { b: 64, h: 14, w: 14, ci: 32, co: 32, k: 3 };
    let (x, y, w) = ([64, 14, 14, 32], 64 * 14 * 14 * 32, 9 * 32 * 32);
    let conv = |flip| Kernel::Conv2d { shape, flip, prologue: Body::load(1, &x), epilogue: Body::acc(&x) };
    let grad = Kernel::Conv2dGradWeight { shape, prologue: Body::load(0, &x), prologue_d: Body::load(1, &x) };
    let conv_flops = 2.0 * (y * 9 * 32) as f64;
    let (m, n, k) = (256, 128, 128);
    let product = |m, n, k, tb| Kernel::MatMul {
        batch: 1,
        m,
        n,
        k,
        ta: false,
        tb,
        prologue: Body::load(1, &[m, k]),
        epilogue: Body::acc(&[m, n]),
    };
    let cases = [
        ("conv2d 3x3 [64,14,14,32]->32", conv(false), [w, y], y, conv_flops),
        ("same, input gradient", conv(true), [w, y], y, conv_flops),
        ("same, weight gradient", grad, [y, y], w, conv_flops),
        ("matmul 256x128x128", product(m, n, k, false), [k * n, m * k], m * n, 2.0 * (m * n * k) as f64),
        ("same, B transposed", product(m, n, k, true), [k * n, m * k], m * n, 2.0 * (m * n * k) as f64),
        (
            "matmul 1024x1024x512",
            product(1024, 1024, 512, false),
            [512 * 1024, 1024 * 512],
            1024 * 1024,
            1024.0 * 1024.0 * 1024.0,
        ),
    ];
    let mut gpu = gpu();
    println!("{}, GFLOP/s", gpu.adapter().name);
    for (name, kernel, inputs, output, flops) in cases {
        print!("{name:32}");
        for tile in TILES {
            let tuning = Tuning { choice: Choice::Forced(*tile), ..gpu.tuning().clone() };
            gpu.set_tuning(tuning);
            let secs = seconds(&mut gpu, &kernel, inputs, output);
            print!("  {} {:.1}", tile.name, flops / secs * 1e-9);
        }
        println!();
    }
}
