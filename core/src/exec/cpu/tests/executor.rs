//! The executor's promises: stores, checks, poison, the search for the first NaN.

use super::*;
use crate::exec::ExecError;
use crate::exec::cpu::CpuExecutor;
use crate::graph::Graph;
use crate::plan::{Arena, ArenaKind, Plan, Program, Slot};

fn launch(label: &str, body: Body, inputs: &[usize], outputs: &[(usize, usize)]) -> Launch {
    let len = body.points();
    Launch {
        kernel: Kernel::Pointwise { body },
        inputs: inputs.iter().map(|arena| Slot { arena: *arena, offset: 0, len }).collect(),
        outputs: outputs.iter().map(|(arena, offset)| Slot { arena: *arena, offset: *offset, len }).collect(),
        flops: 0,
        bytes: 0,
        label: label.into(),
    }
}

fn op(op: UnaryOp, n: usize) -> Body {
    let insts = vec![load(0, View::contiguous(&[n])), Inst::Unary(op, 0)];
    Body { dims: vec![n], insts, results: vec![1] }
}

/// `y = 1 / -x`, through scratch memory.
fn plan(n: usize) -> Plan {
    let arena = |kind, len| Arena { kind, len };
    Plan {
        name: "test".into(),
        arenas: vec![
            arena(ArenaKind::Store("x".into()), n),
            arena(ArenaKind::Scratch(0), 2 * n),
            arena(ArenaKind::Store("y".into()), n),
        ],
        launches: vec![
            launch("neg", op(UnaryOp::Neg, n), &[0], &[(1, 0)]),
            launch("recip", op(UnaryOp::Recip, n), &[1], &[(2, 0)]),
        ],
        scalars: Vec::new(),
    }
}

fn no_scalars() -> RunArgs<'static> {
    RunArgs { scalars: &[], seed: 0, step: 0 }
}

#[test]
fn a_plan_runs_through_stores_and_scratch() {
    let mut cpu = CpuExecutor::new();
    cpu.poison = true;
    cpu.create_store("x", 4).unwrap();
    cpu.create_store("y", 4).unwrap();
    cpu.write("x", 1, &[2.0, 4.0, -8.0]).unwrap();
    cpu.write("x", 0, &[1.0]).unwrap();
    let id = cpu.prepare(&plan(4)).unwrap();
    cpu.run(id, &no_scalars()).unwrap();
    let y = pollster::block_on(cpu.read("y", 0, 4)).unwrap();
    assert_eq!(y, [-1.0, -0.5, -0.25, 0.125]);
    assert_eq!(cpu.profile(id, &no_scalars()).unwrap().len(), 2);
    let sizes = [("scratch 0", 32), ("x", 16), ("y", 16)].map(|(n, b)| (n.to_owned(), b));
    assert_eq!(cpu.memory(), sizes);
}

#[test]
fn the_first_non_finite_launch_is_named() {
    let mut cpu = CpuExecutor::new();
    cpu.create_store("x", 4).unwrap();
    cpu.create_store("y", 4).unwrap();
    let id = cpu.prepare(&plan(4)).unwrap();
    let found = cpu.first_non_finite(id, &no_scalars()).unwrap();
    assert_eq!(found, Some((1, "recip".into())));
    cpu.write("x", 0, &[1.0; 4]).unwrap();
    assert_eq!(cpu.first_non_finite(id, &no_scalars()).unwrap(), None);
}

#[test]
fn missing_and_small_stores_are_refused() {
    let mut cpu = CpuExecutor::new();
    cpu.create_store("x", 4).unwrap();
    assert!(matches!(cpu.prepare(&plan(4)), Err(ExecError::NoStore { name }) if name == "y"));
    cpu.create_store("y", 3).unwrap();
    let refused = cpu.prepare(&plan(4));
    assert!(matches!(refused, Err(ExecError::StoreTooSmall { have: 3, want: 4, .. })));
    cpu.create_store("y", 4).unwrap();
    let id = cpu.prepare(&plan(4)).unwrap();
    let refused = cpu.run(id, &args());
    assert!(matches!(refused, Err(ExecError::Scalars { want: 0, got: 3, .. })));
    cpu.remove_store("y");
    assert!(!cpu.has_store("y") && cpu.store_len("x") == Some(4));
    assert!(matches!(cpu.run(id, &no_scalars()), Err(ExecError::NoStore { .. })));
    assert!(cpu.write("x", 2, &[0.0; 3]).is_err());
    assert!(pollster::block_on(cpu.read("x", 4, 1)).is_err());
}

#[test]
fn words_keep_their_bits() {
    let mut cpu = CpuExecutor::new();
    cpu.create_store("x", 3).unwrap();
    // A signalling NaN, a subnormal, all ones.
    let words = [0x7f80_0001, 0x0000_0001, 0xffff_ffff];
    cpu.write_words("x", 0, &words).unwrap();
    assert_eq!(pollster::block_on(cpu.read_words("x", 0, 3)).unwrap(), words);
}

#[test]
fn outputs_may_share_an_arena() {
    let body = Body {
        dims: vec![64],
        insts: vec![load(0, View::contiguous(&[64])), Inst::Unary(UnaryOp::Neg, 0)],
        results: vec![1, 0],
    };
    let plan = Plan {
        name: "shared".into(),
        arenas: vec![
            Arena { kind: ArenaKind::Store("x".into()), len: 64 },
            Arena { kind: ArenaKind::Store("y".into()), len: 192 },
        ],
        // The first result lies behind the second.
        launches: vec![launch("both", body, &[0], &[(1, 128), (1, 0)])],
        scalars: Vec::new(),
    };
    let mut cpu = CpuExecutor::new();
    cpu.create_store("x", 64).unwrap();
    cpu.create_store("y", 192).unwrap();
    cpu.write("x", 0, &[3.0; 64]).unwrap();
    let id = cpu.prepare(&plan).unwrap();
    cpu.run(id, &no_scalars()).unwrap();
    let y = pollster::block_on(cpu.read("y", 0, 192)).unwrap();
    assert!(y[..64] == [3.0; 64] && y[64..128] == [0.0; 64] && y[128..] == [-3.0; 64]);
}

#[test]
#[should_panic(expected = "reads what it writes")]
fn a_launch_that_reads_what_it_writes_is_refused() {
    let mut cpu = CpuExecutor::new();
    cpu.create_store("x", 4).unwrap();
    cpu.create_store("y", 4).unwrap();
    let mut plan = plan(4);
    plan.launches[0].outputs[0].arena = 0;
    let _ = cpu.prepare(&plan);
}

#[test]
fn memory_that_the_machine_has_not_is_refused_by_name() {
    let mut cpu = CpuExecutor::new();
    let text = cpu.create_store("huge", 1 << 44).unwrap_err().to_string();
    assert!(text.starts_with("the store `huge` (bytes) needs 70368744177664") && text.contains("--batch"), "{text}");
    assert!(!cpu.has_store("huge"));
}

/// `--method dmd` on images ended in a panic: a launch that computes its own sums tried to load them from memory, where
/// they are not, as soon as it saw them under another shape.
#[test]
fn a_launch_knows_its_own_sums_under_another_shape() {
    let graph = Graph::new();
    let x = graph.input("x", 0, &[64, 8]);
    let size = x.abs().mean(&[1]).reshape(&[64]).max(graph.constant(1e-5)).reshape(&[64, 1]);
    let plan = Program::new("test", &graph).output(x / size, "y", 0).build().unwrap();
    let kernels: Vec<&str> = plan.launches.iter().map(|launch| launch.kernel.name()).collect();
    assert_eq!(kernels, ["reduce_map"]);
    let values: Vec<f32> = (0..512).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut cpu = CpuExecutor::new();
    cpu.create_store("x", 512).unwrap();
    cpu.create_store("y", 512).unwrap();
    cpu.write("x", 0, &values).unwrap();
    let id = cpu.prepare(&plan).unwrap();
    cpu.run(id, &no_scalars()).unwrap();
    let got = pollster::block_on(cpu.read("y", 0, 512)).unwrap();
    for (row, got) in values.chunks(8).zip(got.chunks(8)) {
        let size = row.iter().map(|x| f64::from(x.abs())).sum::<f64>() / 8.0;
        for (x, got) in row.iter().zip(got) {
            let want = f64::from(*x) / size;
            assert!((f64::from(*got) - want).abs() <= 1e-6 * want.abs().max(1e-3), "{got} instead of {want}");
        }
    }
}

/// What comes out of a convolution whose packed weights the executor keeps, and what a new executor makes of the same.
#[test]
fn kept_weights_are_packed_anew_when_their_store_is_written() {
    // Enough channels for Winograd's way, a last one without a panel of its own, and a product of matrices; few enough
    // pixels to be kept.
    const SHAPES: [([usize; 4], usize); 3] = [([1, 12, 12, 24], 3), ([1, 5, 7, 3], 3), ([2, 5, 7, 24], 1)];
    for (shape, k) in SHAPES {
        let channels = shape[3];
        let (pixels, weights): (usize, usize) = (shape.iter().product(), k * k * channels * channels);
        let convolve = Graph::new();
        let w = convolve.input("w", 0, &[k, k, channels, channels]);
        let result = convolve.input("x", 0, &shape).conv2d(w);
        let convolve = Program::new("convolve", &convolve).output(result, "y", 0).build().unwrap();
        let double = Graph::new();
        let doubled = double.input("v", 0, &[weights]) * 2.0;
        let double = Program::new("double", &double).output(doubled, "w", 0).build().unwrap();
        let begin = |v: &[f32]| {
            let mut cpu = CpuExecutor::new();
            for (store, len) in [("x", pixels), ("y", pixels), ("w", weights), ("v", weights)] {
                cpu.create_store(store, len).unwrap();
            }
            cpu.write("x", 0, &(0..pixels).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>()).unwrap();
            cpu.write("v", 0, v).unwrap();
            let plans = [&convolve, &double].map(|plan| cpu.prepare(plan).unwrap());
            (cpu, plans)
        };
        let result = |cpu: &mut CpuExecutor, plan| {
            cpu.run(plan, &no_scalars()).unwrap();
            pollster::block_on(cpu.read("y", 0, pixels)).unwrap()
        };
        let first: Vec<f32> = (0..weights).map(|i| (i as f32 * 0.11).cos()).collect();
        let (mut cpu, [convolves, doubles]) = begin(&first);
        let expected = |w: &[f32]| {
            let (mut cpu, [convolves, _]) = begin(&first);
            cpu.write("w", 0, w).unwrap();
            result(&mut cpu, convolves)
        };
        cpu.write("w", 0, &first).unwrap();
        assert_eq!(result(&mut cpu, convolves), expected(&first));
        assert_eq!(result(&mut cpu, convolves), expected(&first), "kept");
        let one_less = &first[..1].iter().map(|x| x - 1.0).collect::<Vec<_>>();
        cpu.write("w", 0, one_less).unwrap();
        assert_eq!(result(&mut cpu, convolves), expected(&[one_less, &first[1..]].concat()), "written by the host");
        cpu.run(doubles, &no_scalars()).unwrap();
        let doubled: Vec<f32> = first.iter().map(|x| 2.0 * x).collect();
        assert_eq!(result(&mut cpu, convolves), expected(&doubled), "written by a plan");
        cpu.create_store("w", weights).unwrap();
        assert!(result(&mut cpu, convolves).iter().all(|y| *y == 0.0), "made anew, of zeros");
    }
}
