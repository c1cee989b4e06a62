//! Every kernel in every variant on a GPU, against its twin on the CPU.

use onestep_core::exec::RunArgs;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::exec::gpu::{Choice, GpuExecutor, Tuning};
use onestep_core::graph::{BinaryOp, Distribution, UnaryOp};
use onestep_core::plan::{
    AdamScalars, Affine, Arena, ArenaKind, Body, ConvShape, Inst, Kernel, Launch, Plan, SLOT_ALIGN, Slot, View,
};
use onestep_shaders::TILES;
use onestep_tests::{ELEMENTWISE, EXACT, POISON, Side, Tolerance, compare, gpu, reduction, values};
use pollster::block_on;

const SCALARS: [f32; 9] = [0.5, -1.25, 3.0, 0.9, 0.999, 1e-8, 0.1, 0.01, 2.0];
const SEED: u32 = 0x1234_5678;
const STEP: u32 = 41;

/// One launch with its operands.
struct Case {
    what: String,
    kernel: Kernel,
    inputs: Vec<Vec<f32>>,
    outputs: Vec<Vec<f32>>,
}

impl Case {
    fn new(what: impl Into<String>, kernel: Kernel, inputs: Vec<Vec<f32>>, outputs: &[usize]) -> Self {
        Self { what: what.into(), kernel, inputs, outputs: outputs.iter().map(|len| vec![POISON; *len]).collect() }
    }

    /// A plan of that launch; inputs lie in the store `in`, outputs in `out`.
    fn plan(&self) -> Plan {
        let slots = |arena: usize, arrays: &[Vec<f32>]| {
            let mut offset = 0;
            let mut slots = Vec::new();
            for array in arrays {
                slots.push(Slot { arena, offset, len: array.len() });
                offset += array.len().next_multiple_of(SLOT_ALIGN);
            }
            (slots, offset.max(1))
        };
        let (inputs, in_len) = slots(0, &self.inputs);
        let (outputs, out_len) = slots(1, &self.outputs);
        let arena = |name: &str, len| Arena { kind: ArenaKind::Store(name.to_owned()), len };
        Plan {
            name: self.what.clone(),
            arenas: vec![arena("in", in_len), arena("out", out_len)],
            launches: vec![Launch {
                kernel: self.kernel.clone(),
                inputs,
                outputs,
                flops: 0,
                bytes: 0,
                label: self.what.clone(),
            }],
            scalars: (0..SCALARS.len()).map(|i| format!("s{i}")).collect(),
        }
    }

    fn on_cpu(&self) -> Vec<Vec<f32>> {
        let plan = self.plan();
        let launch = &plan.launches[0];
        let mut cpu = CpuExecutor::new();
        cpu.create_store("in", plan.arenas[0].len);
        cpu.create_store("out", plan.arenas[1].len);
        for (slot, array) in launch.inputs.iter().zip(&self.inputs) {
            cpu.write("in", slot.offset, array).unwrap();
        }
        for (slot, array) in launch.outputs.iter().zip(&self.outputs) {
            cpu.write("out", slot.offset, array).unwrap();
        }
        let id = cpu.prepare(&plan).unwrap();
        cpu.run(id, &RunArgs { scalars: &SCALARS, seed: SEED, step: STEP }).unwrap();
        launch.outputs.iter().map(|slot| block_on(cpu.read("out", slot.offset, slot.len)).unwrap()).collect()
    }

    fn on_gpu(&self, gpu: &mut GpuExecutor) -> Vec<Vec<f32>> {
        let plan = self.plan();
        let launch = &plan.launches[0];
        gpu.create_store("in", plan.arenas[0].len).unwrap();
        gpu.create_store("out", plan.arenas[1].len).unwrap();
        for (slot, array) in launch.inputs.iter().zip(&self.inputs) {
            gpu.write("in", slot.offset, array).unwrap();
        }
        for (slot, array) in launch.outputs.iter().zip(&self.outputs) {
            gpu.write("out", slot.offset, array).unwrap();
        }
        let id = gpu.prepare(&plan).unwrap_or_else(|e| panic!("{}: {e}", self.what));
        gpu.poison_scratch();
        gpu.run(id, &RunArgs { scalars: &SCALARS, seed: SEED, step: STEP })
            .unwrap_or_else(|e| panic!("{}: {e}", self.what));
        launch.outputs.iter().map(|slot| block_on(gpu.read("out", slot.offset, slot.len)).unwrap()).collect()
    }

    /// Runs the case under each tuning and compares; collects what differs.
    fn check(&self, tunings: &[(String, Tuning)], tolerance: Tolerance, failures: &mut Vec<String>) {
        let want = self.on_cpu();
        let mut gpu = gpu();
        for (name, tuning) in tunings {
            gpu.set_tuning(tuning.clone());
            let got = self.on_gpu(&mut gpu);
            assert!(!want.is_empty());
            for (j, (got, want)) in got.iter().zip(&want).enumerate() {
                let what = format!("{} [{name}] output {j} on {}", self.what, gpu.adapter().name);
                let (got, want) = (Side { name: "gpu", values: got }, Side { name: "twin", values: want });
                failures.extend(compare(&what, got, want, tolerance).err());
            }
        }
    }
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The fixed tables for software and for hardware; `split` cuts long sums.
fn tables() -> Vec<(String, Tuning)> {
    [(true, true), (false, true), (false, false)]
        .map(|(software, split)| {
            (format!("software {software}, split {split}"), Tuning { software, choice: Choice::Table, split })
        })
        .to_vec()
}

/// Every tile, whole and split.
fn tiles() -> Vec<(String, Tuning)> {
    let of = |tile: &onestep_shaders::Tile, split| {
        (format!("{} split {split}", tile.name), Tuning { software: false, choice: Choice::Forced(*tile), split })
    };
    TILES
        .iter()
        .flat_map(|tile| [of(tile, false), of(tile, true)])
        .filter(|(_, t)| !t.split || matches!(&t.choice, Choice::Forced(t) if t.shared))
        .collect()
}

fn product(dims: &[usize]) -> usize {
    dims.iter().product()
}

/// Writes bodies.
struct Writer {
    body: Body,
}

impl Writer {
    fn new(dims: &[usize]) -> Self {
        Self { body: Body { dims: dims.to_vec(), insts: Vec::new(), results: Vec::new() } }
    }

    fn push(&mut self, inst: Inst) -> usize {
        self.body.insts.push(inst);
        self.body.insts.len() - 1
    }

    fn load(&mut self, input: usize, view: View) -> usize {
        self.push(Inst::Load { input, view })
    }

    fn whole(&mut self, input: usize) -> usize {
        let view = View::contiguous(&self.body.dims);
        self.load(input, view)
    }

    fn un(&mut self, op: UnaryOp, a: usize) -> usize {
        self.push(Inst::Unary(op, a))
    }

    fn bin(&mut self, op: BinaryOp, a: usize, b: usize) -> usize {
        self.push(Inst::Binary(op, a, b))
    }

    fn end(mut self, results: &[usize]) -> Body {
        self.body.results = results.to_vec();
        self.body
    }
}

fn view(strides: &[i64], offset: i64) -> View {
    View { index: Affine { strides: strides.to_vec(), offset }, bounds: Vec::new() }
}

fn along(rank: usize, dim: usize, stride: i64, offset: i64) -> Affine {
    let mut strides = vec![0; rank];
    strides[dim] = stride;
    Affine { strides, offset }
}

const SHAPES: [[usize; 4]; 5] = [[1, 1, 1, 3], [2, 3, 5, 7], [1, 1, 1, 1], [3, 5, 4, 8], [16, 14, 14, 32]];

#[test]
fn pointwise_functions_match_the_twin() {
    use UnaryOp::{Abs, Cos, Exp, Floor, Log, Neg, Recip, Sigmoid, Sign, Sin, Softplus, Sqrt};
    let mut failures = Vec::new();
    for shape in SHAPES {
        let len = product(&shape);
        // The argument's scale reaches the clamps and the range reductions.
        for (op, scale, shift) in [
            (Neg, 3.0, 0.0),
            (Exp, 5.0, 0.0),
            (Exp, 85.0, 0.0),
            (Exp, 1e4, 0.0),
            (Log, 10.0, 10.0),
            (Log, 1e-3, 1.0),
            (Log, 1e-37, 0.0),
            (Sqrt, 4.0, 3.0),
            (Recip, 1.0, 2.0),
            (Sigmoid, 30.0, 0.0),
            (Softplus, 30.0, 0.0),
            (Softplus, 1e5, 0.0),
            (Sin, 3.0, 0.0),
            (Sin, 1e4, 0.0),
            (Cos, 3.0, 0.0),
            (Cos, 1e4, 0.0),
            (Abs, 2.0, 0.0),
            (Sign, 2.0, 0.0),
            (Floor, 9.0, 0.0),
        ] {
            let mut writer = Writer::new(&shape);
            let x = writer.whole(0);
            let y = writer.un(op, x);
            let input = values(7, len).into_iter().map(|v| v * scale + shift).collect();
            let case = Case::new(
                format!("{op:?} at scale {scale} on {shape:?}"),
                Kernel::Pointwise { body: writer.end(&[y]) },
                vec![input],
                &[len],
            );
            case.check(&tables()[..1], ELEMENTWISE, &mut failures);
        }
    }
    report(&failures);
}

#[test]
fn pointwise_operators_match_the_twin() {
    use BinaryOp::{Add, Div, Less, Max, Min, Mul, Sub};
    let mut failures = Vec::new();
    for shape in SHAPES {
        let len = product(&shape);
        for op in [Add, Sub, Mul, Div, Max, Min, Less] {
            let mut writer = Writer::new(&shape);
            let (a, b) = (writer.whole(0), writer.whole(1));
            let s = writer.push(Inst::Scalar(5));
            let c = writer.push(Inst::Const(-2.5e-3));
            let y = writer.bin(op, a, b);
            let t = writer.bin(Mul, s, c);
            let z = writer.bin(Add, y, t);
            let body = writer.end(&[y, z]);
            let divisor = values(3, len).into_iter().map(|v| v + 1.5 * v.signum()).collect();
            let case = Case::new(
                format!("{op:?} on {shape:?}"),
                Kernel::Pointwise { body },
                vec![values(2, len), divisor],
                &[len, len],
            );
            case.check(&tables()[..1], ELEMENTWISE, &mut failures);
        }
    }
    report(&failures);
}

/// Broadcasts, permutations, slices, flips and padding of `shape` in one body, and the inputs it reads:
/// seven, or six without `flipped`.
fn views(shape: [usize; 4], flipped: bool) -> (Body, Vec<Vec<f32>>) {
    let [b, h, w, c] = shape.map(|n| n as i64);
    let mut writer = Writer::new(&shape);
    let whole = writer.whole(0);
    let channel = writer.load(1, view(&[0, 0, 0, 1], 0));
    let sample = writer.load(2, view(&[1, 0, 0, 0], 0));
    let permuted = writer.load(3, view(&[h, 1, b * h, b * h * w], 0));
    // A padded image: one pixel of zeros around an image that is two smaller (or nothing at all).
    let (ph, pw) = ((h - 2).max(0), (w - 2).max(0));
    let mut padded = view(&[ph * pw * c, pw * c, c, 1], -(pw * c) - c);
    padded.bounds = vec![(along(4, 1, 1, -1), ph as usize), (along(4, 2, 1, -1), pw as usize)];
    let padded = writer.load(4, padded);
    // Channels shifted by one: padding along the innermost dimension.
    let mut shifted = view(&[h * w * c, w * c, c, 1], -1);
    shifted.bounds = vec![(along(4, 3, 1, -1), (c - 1) as usize)];
    let shifted = writer.load(0, shifted);
    let strided = writer.load(5, view(&[h * w * c * 2, w * c * 2, c * 2, 2], 1));
    let mut terms = vec![channel, sample, permuted, padded, shifted, strided];
    let n = (b * h * w * c) as usize;
    let mut lens = vec![n, c as usize, b as usize, n, ((b * ph * pw * c) as usize).max(1), 2 * n];
    if flipped {
        terms.push(writer.load(6, view(&[h * w * c, w * c, -c, 1], (w - 1) * c)));
        lens.push(n);
    }
    let mut sum = whole;
    for v in terms {
        let square = writer.bin(BinaryOp::Mul, v, v);
        let term = writer.bin(BinaryOp::Add, v, square);
        sum = writer.bin(BinaryOp::Sub, term, sum);
    }
    (writer.end(&[sum]), (20..).zip(lens).map(|(seed, len)| values(seed, len)).collect())
}

#[test]
fn pointwise_views_match_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        let (body, inputs) = views(shape, true);
        let len = product(&shape);
        Case::new(format!("views of {shape:?}"), Kernel::Pointwise { body }, inputs, &[len]).check(
            &tables()[..1],
            ELEMENTWISE,
            &mut failures,
        );
    }
    report(&failures);
}

/// A body of one sample per element, seen through `view`.
fn sample(shape: [usize; 4], distribution: Distribution, per_step: bool, view: View) -> Body {
    let mut writer = Writer::new(&shape);
    let x = writer.push(Inst::Random { distribution, stream: 0xdead_beef, per_step, view });
    writer.end(&[x])
}

#[test]
fn random_numbers_match_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        let len = product(&shape);
        let mut bounded =
            view(&[(shape[1] * shape[2] * shape[3]) as i64, (shape[2] * shape[3]) as i64, shape[3] as i64, 1], -1);
        bounded.bounds = vec![(along(4, 3, 1, -1), shape[3])];
        for (name, view) in
            [("whole", View::contiguous(&shape)), ("per sample", view(&[1, 0, 0, 0], 5)), ("bounded", bounded)]
        {
            for (distribution, per_step, tolerance) in [
                (Distribution::Uniform, true, EXACT),
                (Distribution::Uniform, false, EXACT),
                (Distribution::Normal, true, ELEMENTWISE),
            ] {
                let body = sample(shape, distribution, per_step, view.clone());
                let what = format!("{name} {distribution:?} on {shape:?}");
                Case::new(what, Kernel::Pointwise { body }, vec![], &[len]).check(
                    &tables()[..1],
                    tolerance,
                    &mut failures,
                );
            }
            let mut writer = Writer::new(&shape);
            let x = writer.push(Inst::Iota { view });
            let body = writer.end(&[x]);
            Case::new(format!("{name} iota on {shape:?}"), Kernel::Pointwise { body }, vec![], &[len]).check(
                &tables()[..1],
                EXACT,
                &mut failures,
            );
        }
    }
    report(&failures);
}

const REDUCED: [[bool; 4]; 6] = [
    [true, true, true, true],
    [true, true, true, false],
    [false, true, true, false],
    [false, false, false, true],
    [false, true, false, true],
    [true, false, false, false],
];

#[test]
fn reduce_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        for reduced in REDUCED {
            let kept: usize = shape.iter().zip(reduced).filter(|(_, r)| !r).map(|(n, _)| n).product();
            let terms = product(&shape) / kept;
            let (mut body, inputs) = views(shape, false);
            let x = body.insts.len();
            body.insts.push(Inst::Unary(UnaryOp::Softplus, body.results[0]));
            body.results = vec![x, 0];
            let what = format!("reduce {reduced:?} of {shape:?}");
            Case::new(what, Kernel::Reduce { body, reduced: reduced.to_vec() }, inputs, &[kept, kept]).check(
                &tables(),
                reduction(terms),
                &mut failures,
            );
        }
    }
    report(&failures);
}

#[test]
fn moments_match_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        for reduced in REDUCED {
            let kept: usize = shape.iter().zip(reduced).filter(|(_, r)| !r).map(|(n, _)| n).product();
            let terms = product(&shape) / kept;
            let (body, inputs) = views(shape, true);
            let what = format!("moments {reduced:?} of {shape:?}");
            let kernel = Kernel::Moments { body, reduced: reduced.to_vec(), eps: 1e-2 };
            Case::new(what, kernel, inputs, &[2 * kept]).check(&tables(), reduction(4 * terms), &mut failures);
        }
    }
    report(&failures);
}

/// Prologue over `[rows.., cols]`: silu(x * gain[col] + bias[row group]), x from input `first`.
fn prologue(dims: &[usize], first: usize) -> (Body, Vec<Vec<f32>>) {
    let (rank, cols) = (dims.len(), dims[dims.len() - 1]);
    let mut writer = Writer::new(dims);
    let x = writer.whole(first);
    let mut gain = vec![0; rank];
    gain[rank - 1] = 1;
    let gain = writer.load(first + 1, view(&gain, 0));
    let mut bias = vec![0; rank];
    bias[0] = 1;
    let bias = writer.load(first + 2, view(&bias, 0));
    let y = writer.bin(BinaryOp::Mul, x, gain);
    let y = writer.bin(BinaryOp::Add, y, bias);
    let s = writer.un(UnaryOp::Sigmoid, y);
    let y = writer.bin(BinaryOp::Mul, y, s);
    let inputs = vec![values(41, product(dims)), values(42, cols), values(43, dims[0])];
    (writer.end(&[y]), inputs)
}

/// Epilogue over `dims`: scalar * (acc + bias[last]) + skip, skip and bias from inputs `first ..`.
fn epilogue(dims: &[usize], first: usize) -> (Body, Vec<Vec<f32>>) {
    let (rank, cols) = (dims.len(), dims[dims.len() - 1]);
    let mut writer = Writer::new(dims);
    let acc = writer.push(Inst::Acc);
    let mut bias = vec![0; rank];
    bias[rank - 1] = 1;
    let bias = writer.load(first, view(&bias, 0));
    let skip = writer.whole(first + 1);
    let s = writer.push(Inst::Scalar(1));
    let y = writer.bin(BinaryOp::Add, acc, bias);
    let y = writer.bin(BinaryOp::Mul, y, s);
    let y = writer.bin(BinaryOp::Add, y, skip);
    (writer.end(&[y]), vec![values(51, cols), values(52, product(dims))])
}

#[test]
fn matmul_matches_the_twin() {
    let mut failures = Vec::new();
    for (batch, m, n, k) in
        [(1, 1, 1, 1), (2, 3, 5, 7), (1, 33, 12, 20), (3, 8, 4, 6), (1, 70, 130, 261), (2, 64, 68, 512)]
    {
        for transposed in 0..4 {
            let (ta, tb) = (transposed & 1 == 1, transposed & 2 == 2);
            let a = if ta { [batch, k, m] } else { [batch, m, k] };
            let out = batch * m * n;
            let what = format!("matmul batch {batch}, {m} x {n} x {k}, ta {ta}, tb {tb}");
            let b = values(31, batch * k * n);
            let plain = Kernel::MatMul {
                batch,
                m,
                n,
                k,
                ta,
                tb,
                prologue: Body::load(1, &a),
                epilogue: Body::acc(&[batch, m, n]),
            };
            Case::new(format!("plain {what}"), plain, vec![b.clone(), values(32, product(&a))], &[out]).check(
                &tiles(),
                reduction(k),
                &mut failures,
            );

            let (prologue, more) = prologue(&a, 1);
            let (epilogue, last) = epilogue(&[batch, m, n], 4);
            let fused = Kernel::MatMul { batch, m, n, k, ta, tb, prologue, epilogue };
            let inputs = [vec![b], more, last].concat();
            Case::new(format!("fused {what}"), fused, inputs, &[out]).check(&tiles(), reduction(k), &mut failures);
        }
    }
    report(&failures);
}

const CONVS: [ConvShape; 6] = [
    ConvShape { b: 1, h: 1, w: 1, ci: 1, co: 1, k: 3 },
    ConvShape { b: 2, h: 3, w: 5, ci: 3, co: 7, k: 3 },
    ConvShape { b: 3, h: 7, w: 5, ci: 8, co: 4, k: 1 },
    ConvShape { b: 2, h: 5, w: 4, ci: 5, co: 6, k: 1 },
    ConvShape { b: 2, h: 8, w: 9, ci: 20, co: 36, k: 3 },
    ConvShape { b: 8, h: 14, w: 14, ci: 32, co: 32, k: 3 },
];

#[test]
fn conv2d_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in CONVS {
        let ConvShape { b, h, w, ci, co, k } = shape;
        for flip in [false, true] {
            let weights = values(61, k * k * ci * co);
            let out = b * h * w * co;
            let what = format!("conv2d {shape:?}, flip {flip}");
            let x = [b, h, w, ci];
            let plain =
                Kernel::Conv2d { shape, flip, prologue: Body::load(1, &x), epilogue: Body::acc(&[b, h, w, co]) };
            Case::new(format!("plain {what}"), plain, vec![weights.clone(), values(62, product(&x))], &[out]).check(
                &tiles(),
                reduction(k * k * ci),
                &mut failures,
            );

            let (prologue, more) = prologue(&x, 1);
            let (epilogue, last) = epilogue(&[b, h, w, co], 4);
            let fused = Kernel::Conv2d { shape, flip, prologue, epilogue };
            let inputs = [vec![weights], more, last].concat();
            Case::new(format!("fused {what}"), fused, inputs, &[out]).check(
                &tiles(),
                reduction(k * k * ci),
                &mut failures,
            );
        }
    }
    report(&failures);
}

#[test]
fn conv2d_grad_weight_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in CONVS {
        let ConvShape { b, h, w, ci, co, k } = shape;
        let out = k * k * ci * co;
        let (x, d) = ([b, h, w, ci], [b, h, w, co]);
        let plain = Kernel::Conv2dGradWeight { shape, prologue: Body::load(0, &x), prologue_d: Body::load(1, &d) };
        let inputs = vec![values(71, product(&x)), values(72, product(&d))];
        Case::new(format!("plain conv2d_grad_weight {shape:?}"), plain, inputs, &[out]).check(
            &tiles(),
            reduction(b * h * w),
            &mut failures,
        );

        let (prologue_x, inputs_x) = prologue(&x, 0);
        let (prologue_d, inputs_d) = prologue(&d, 3);
        let fused = Kernel::Conv2dGradWeight { shape, prologue: prologue_x, prologue_d };
        Case::new(format!("fused conv2d_grad_weight {shape:?}"), fused, [inputs_x, inputs_d].concat(), &[out]).check(
            &tiles(),
            reduction(b * h * w),
            &mut failures,
        );
    }
    report(&failures);
}

#[test]
fn contractions_accept_refined_and_straddling_dims() {
    // Dimensions finer than the kernel's own, and a prologue whose dimensions don't split at a row.
    let mut failures = Vec::new();
    let (m, n, k) = (24, 16, 40);
    let refined = Kernel::MatMul {
        batch: 1,
        m,
        n,
        k,
        ta: false,
        tb: false,
        prologue: Body::load(1, &[4, 6, 5, 8]),
        epilogue: Body::acc(&[2, 12, 4, 4]),
    };
    let straddling = Kernel::MatMul {
        batch: 1,
        m,
        n,
        k,
        ta: false,
        tb: false,
        prologue: Body::load(1, &[12, 80]),
        epilogue: Body::acc(&[m * n]),
    };
    for (what, kernel) in [("refined", refined), ("straddling", straddling)] {
        Case::new(what, kernel, vec![values(81, k * n), values(82, m * k)], &[m * n]).check(
            &tiles(),
            reduction(k),
            &mut failures,
        );
    }
    report(&failures);
}

#[test]
fn softmax_matches_the_twin() {
    let mut failures = Vec::new();
    for (rows, cols) in [(1, 1), (3, 2), (5, 7), (70, 10), (9, 300), (130, 257)] {
        let input = values(91, rows * cols).into_iter().map(|v| 20.0 * v).collect();
        Case::new(format!("softmax {rows} x {cols}"), Kernel::Softmax { rows, cols }, vec![input], &[rows * cols])
            .check(&tables(), reduction(4 * cols), &mut failures);
    }
    report(&failures);
}

#[test]
fn gathers_match_the_twin() {
    let mut failures = Vec::new();
    for (rows, width, table) in [(1, 1, 1), (5, 3, 4), (67, 130, 11), (256, 784, 100)] {
        // Some indices lie outside the table, and some between integers.
        let index: Vec<f32> = values(101, rows).into_iter().map(|v| (v + 0.9) * table as f32 * 0.6).collect();
        let shape = format!("{rows} rows of {width} from {table}");
        let gather = Kernel::Gather { rows, width, table };
        Case::new(format!("gather {shape}"), gather, vec![values(102, table * width), index.clone()], &[rows * width])
            .check(&tables()[..1], EXACT, &mut failures);
        let scatter = Kernel::ScatterAdd { rows, width, table };
        Case::new(
            format!("scatter_add {shape}"),
            scatter,
            vec![values(103, rows * width), index.clone()],
            &[table * width],
        )
        .check(&tables()[..1], reduction(rows), &mut failures);
        let words = (table * width).div_ceil(4);
        // The top bits are cleared lest the words be NaN, which hosts may change.
        let bytes = (0..words as u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9) & 0x3fff_ffff)).collect();
        let kernel = Kernel::GatherBytes { rows, width, table };
        Case::new(format!("gather_bytes {shape}"), kernel, vec![bytes, index], &[rows * width]).check(
            &tables()[..1],
            EXACT,
            &mut failures,
        );
    }
    report(&failures);
}

fn adam(len: usize, norm_sq: f32, clip: usize) -> Case {
    let scalars = AdamScalars { lr: 7, beta1: 3, beta2: 4, eps: 5, correction1: 6, correction2: 7, ema_decay: 4, clip };
    let positive = |seed| values(seed, len).into_iter().map(|v| v * v).collect::<Vec<_>>();
    let mut case = Case::new(
        format!("adam of {len}, norm_sq {norm_sq}, clip {}", SCALARS[clip]),
        Kernel::Adam { len, scalars },
        vec![values(111, len), vec![norm_sq]],
        &[],
    );
    case.outputs = vec![values(112, len), values(113, len), positive(114), values(115, len)];
    case
}

#[test]
fn adam_matches_the_twin() {
    let mut failures = Vec::new();
    for len in [1, 7, 64, 1000] {
        // Clipping at work, idle, and off.
        for (norm_sq, clip) in [(1e4, 8), (1e-4, 8), (1e4, 1), (0.0, 8)] {
            adam(len, norm_sq, clip).check(&tables()[..1], ELEMENTWISE, &mut failures);
        }
        for norm_sq in [f32::NAN, f32::INFINITY, -f32::NAN] {
            let case = adam(len, norm_sq, 8);
            case.check(&tables()[..1], EXACT, &mut failures);
            assert_eq!(case.on_gpu(&mut gpu()), case.outputs, "adam moved on a norm of {norm_sq}");
        }
    }
    report(&failures);
}

#[test]
fn record_matches_the_twin() {
    let mut failures = Vec::new();
    for (ring, width) in [(1, 1), (10, 3), (64, 7)] {
        let mut case = Case::new(
            format!("record {width} in {ring}"),
            Kernel::Record { ring },
            (0..width as u32).map(|i| values(i, 1)).collect(),
            &[],
        );
        case.outputs = vec![values(121, ring * width)];
        case.check(&tables()[..1], EXACT, &mut failures);
    }
    report(&failures);
}
