//! What the executor promises besides right numbers.

use std::time::Duration;

use onestep_core::exec::gpu::{AdapterChoice, Choice, DeviceRequest, GpuExecutor, Limits, Tuning, adapters};
use onestep_core::exec::{ExecError, RunArgs};
use onestep_core::graph::{BinaryOp, Graph};
use onestep_core::plan::{Arena, ArenaKind, Body, Inst, Kernel, Launch, Plan, Program, Slot, View};
use onestep_tests::{EXACT, Side, compare, composed, values};
use pollster::block_on;

use crate::bodies::Writer;

const ARGS: RunArgs<'_> = RunArgs { scalars: &[], seed: 3, step: 0 };

fn own() -> GpuExecutor {
    let request = DeviceRequest { limits: Limits::Web, deterministic: true, ..DeviceRequest::default() };
    block_on(GpuExecutor::new(&request)).unwrap()
}

/// A plan that doubles `len` elements of the store `from` twice, through a scratch arena, into `to`.
fn quadruple(from: &str, to: &str, len: usize) -> Plan {
    let mut writer = Writer::new(&[len]);
    let x = writer.whole(0);
    let y = writer.bin(BinaryOp::Add, x, x);
    let body = writer.end(&[y]);
    let slot = |arena| Slot { arena, offset: 0, len };
    let launch = |from, to| Launch {
        kernel: Kernel::Pointwise { body: body.clone() },
        inputs: vec![slot(from)],
        outputs: vec![slot(to)],
        flops: 0,
        bytes: 0,
        label: "double".to_owned(),
    };
    let store = |name: &str| Arena { kind: ArenaKind::Store(name.to_owned()), len };
    Plan {
        name: "quadruple".to_owned(),
        arenas: vec![store(from), Arena { kind: ArenaKind::Scratch(0), len }, store(to)],
        launches: vec![launch(0, 1), launch(1, 2)],
        scalars: Vec::new(),
    }
}

fn read(gpu: &GpuExecutor, store: &str) -> Vec<f32> {
    block_on(gpu.read(store, 0, gpu.store_len(store).unwrap())).unwrap()
}

#[test]
fn plans_survive_growing_scratch_and_new_stores() {
    let mut gpu = own();
    let want = |x: &[f32]| x.iter().map(|x| 4.0 * x).collect::<Vec<_>>();
    let (small, large) = (values(1, 100), values(2, 5000));
    for (name, len) in [("a", 100), ("b", 100), ("c", 5000), ("d", 5000)] {
        gpu.create_store(name, len).unwrap();
    }
    gpu.write("a", 0, &small).unwrap();
    gpu.write("c", 0, &large).unwrap();
    let first = gpu.prepare(&quadruple("a", "b", 100)).unwrap();
    gpu.run(first, &ARGS).unwrap();
    assert_eq!(read(&gpu, "b"), want(&small));
    let second = gpu.prepare(&quadruple("c", "d", 5000)).unwrap();
    gpu.run(second, &ARGS).unwrap();
    assert_eq!(read(&gpu, "d"), want(&large));
    // The first plan's bind groups referred to a scratch buffer that is gone, and now to an old store.
    gpu.create_store("b", 100).unwrap();
    gpu.run(first, &ARGS).unwrap();
    assert_eq!(read(&gpu, "b"), want(&small));
    assert_eq!(gpu.pipeline_count(), 2, "one pipeline per size");
    gpu.create_store("b", 64).unwrap();
    assert!(matches!(gpu.run(first, &ARGS), Err(ExecError::StoreTooSmall { have: 64, want: 100, .. })));
    gpu.remove_store("b");
    assert!(matches!(gpu.run(first, &ARGS), Err(ExecError::NoStore { .. })));
    let bytes: u64 = gpu.memory().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(bytes, 4 * (100 + 3 * 5000));
}

#[test]
fn misuse_is_an_error_that_names_what_is_wrong() {
    let mut gpu = own();
    gpu.create_store("a", 10).unwrap();
    let error = gpu.prepare(&quadruple("a", "nowhere", 10)).unwrap_err();
    assert!(error.to_string().contains("`nowhere`"), "{error}");
    let error = gpu.write("a", 5, &[0.0; 6]).unwrap_err();
    assert!(matches!(error, ExecError::StoreTooSmall { have: 10, want: 11, .. }), "{error}");
    gpu.create_store("b", 10).unwrap();
    let plan = gpu.prepare(&quadruple("a", "b", 10)).unwrap();
    let error = gpu.run(plan, &RunArgs { scalars: &[1.0], ..ARGS }).unwrap_err();
    assert!(matches!(error, ExecError::Scalars { want: 0, got: 1, .. }), "{error}");
    let error = gpu.create_store("huge", 1 << 30).unwrap_err();
    assert!(matches!(error, ExecError::Limit { .. }), "{error}");
    assert!(error.to_string().contains("huge"), "{error}");
}

#[test]
fn an_operand_beyond_the_binding_limit_is_an_error_with_a_fix() {
    let mut gpu = own();
    // More than 128 MiB, less than the largest buffer.
    let len = (128 << 20) / 4 + 64;
    gpu.create_store("a", len).unwrap();
    gpu.create_store("b", len).unwrap();
    let error = gpu.prepare(&quadruple("a", "b", len)).unwrap_err();
    assert!(matches!(error, ExecError::Limit { limit: 134_217_728, .. }), "{error}");
    assert!(error.to_string().contains("smaller batch"), "{error}");
}

#[test]
fn a_lost_device_is_an_error_not_a_panic() {
    let mut gpu = own();
    gpu.create_store("a", 10).unwrap();
    gpu.create_store("b", 10).unwrap();
    let plan = gpu.prepare(&quadruple("a", "b", 10)).unwrap();
    gpu.gpu().device.destroy();
    let results = [gpu.run(plan, &ARGS), gpu.sync(), gpu.run(plan, &ARGS), block_on(gpu.read("a", 0, 10)).map(drop)];
    assert!(matches!(results[3], Err(ExecError::DeviceLost(_))), "{results:?}");
    assert!(matches!(gpu.prepare(&quadruple("a", "b", 10)), Err(ExecError::DeviceLost(_))));
}

/// What was sent between a loss and the next poll failed by "Buffer with 'run' label is invalid".
#[test]
fn what_fails_because_the_device_is_lost_says_so() {
    let mut gpu = own();
    gpu.gpu().device.destroy();
    let written = match gpu.create_store("a", 10) {
        Ok(()) => gpu.write("a", 0, &[1.0; 10]),
        error => error,
    };
    assert!(matches!(written, Err(ExecError::DeviceLost(_))), "{written:?}");
}

#[test]
fn adapters_are_chosen_by_number_and_by_name() {
    let all = block_on(adapters());
    assert!(!all.is_empty(), "install mesa-vulkan-drivers");
    let open = |adapter| {
        block_on(GpuExecutor::new(&DeviceRequest { adapter, deterministic: true, ..DeviceRequest::default() }))
    };
    assert_eq!(open(AdapterChoice::Index(0)).unwrap().adapter().name, all[0].name);
    let part = all[0].name[1..4].to_uppercase();
    assert_eq!(open(AdapterChoice::Name(part)).unwrap().adapter().name, all[0].name);
    let error = open(AdapterChoice::Name("no such thing".to_owned())).err().unwrap().to_string();
    assert!(error.contains("no such thing") && error.contains(&all[0].name), "{error}");
    assert!(open(AdapterChoice::Index(99)).is_err());
    assert_eq!(DeviceRequest::parse("gpu:2").adapter, AdapterChoice::Index(2));
    assert_eq!(DeviceRequest::parse("gpu").adapter, AdapterChoice::Auto);
    assert_eq!(DeviceRequest::parse("apple m2").adapter, AdapterChoice::Name("apple m2".to_owned()));
}

/// What a kernel without inputs writes, `len` numbers, in a store with so many more, which are 0.5 before.
fn made(kernel: Kernel, len: usize, behind: usize) -> Vec<f32> {
    let mut gpu = own();
    gpu.create_store("out", len + behind).unwrap();
    gpu.write("out", len, &vec![0.5; behind]).unwrap();
    let plan = Plan {
        name: "wide".to_owned(),
        arenas: vec![Arena { kind: ArenaKind::Store("out".to_owned()), len: len + behind }],
        launches: vec![Launch {
            kernel,
            inputs: Vec::new(),
            outputs: vec![Slot { arena: 0, offset: 0, len }],
            flops: 0,
            bytes: 0,
            label: "wide".to_owned(),
        }],
        scalars: Vec::new(),
    };
    let plan = gpu.prepare(&plan).unwrap();
    gpu.run(plan, &ARGS).unwrap();
    read(&gpu, "out")
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    // 64 invocations of 4 elements each, 65,535 times, and a few more.
    let len = 65_535 * 256 + 1024;
    let body = Body { dims: vec![len], insts: vec![Inst::Iota { view: View::contiguous(&[len]) }], results: vec![0] };
    let got = made(Kernel::Pointwise { body }, len, 0);
    assert!(got.iter().enumerate().all(|(i, v)| *v == i as f32));
}

/// Workgroups that folding leaves over wrote a number each behind the sums.
#[test]
fn sums_of_more_workgroups_than_one_dimension_holds() {
    // Workgroups of 32 or 64 sums each: an odd number of them, which neither two nor three rows hold.
    let (kept, behind) = (32 * 131_071, 64);
    let dims = vec![kept, 2];
    let body = Body { insts: vec![Inst::Iota { view: View::contiguous(&dims) }], dims, results: vec![0] };
    let got = made(Kernel::Reduce { body, reduced: vec![false, true] }, kept, behind);
    let wanted = |i: usize| if i < kept { (4 * i + 1) as f32 } else { 0.5 };
    let wrong = got.iter().enumerate().find(|(i, v)| **v != wanted(*i));
    assert!(wrong.is_none(), "{wrong:?}");
}

/// A small network with a loss, its gradient and a statistic, by the planner.
fn network() -> Plan {
    let graph = Graph::new();
    let x = graph.input("x", 0, &[4, 6, 6, 8]);
    let w = graph.input("w", 0, &[3, 3, 8, 12]);
    let y = (x * graph.scalar("gain")).normalize(&[1, 2], 1e-5).silu().conv2d(w);
    let y = y + graph.normal(7, &[4, 6, 6, 12]);
    let loss = y.softplus().mean_all();
    let gradients = graph.grad(loss, &[x, w]);
    Program::new("network", &graph)
        .output(loss, "loss", 0)
        .output(gradients[0], "d_x", 0)
        .output(gradients[1], "d_w", 0)
        .build()
        .unwrap()
}

const NETWORK: [(&str, usize); 5] =
    [("x", 4 * 6 * 6 * 8), ("w", 9 * 8 * 12), ("loss", 1), ("d_x", 4 * 6 * 6 * 8), ("d_w", 9 * 8 * 12)];

/// Runs [`network`] with `ONESTEP_CPU` as given, poisoned scratch, and returns its outputs.
fn run_network(on_cpu: &str) -> Vec<Vec<f32>> {
    let mut gpu = own();
    gpu.set_on_cpu(on_cpu);
    for (name, len) in NETWORK {
        gpu.create_store(name, len).unwrap();
    }
    gpu.write("x", 0, &values(11, NETWORK[0].1)).unwrap();
    gpu.write("w", 0, &values(12, NETWORK[1].1)).unwrap();
    let plan = gpu.prepare(&network()).unwrap();
    gpu.poison_scratch();
    gpu.run(plan, &RunArgs { scalars: &[1.5], seed: 9, step: 4 }).unwrap();
    NETWORK[2..].iter().map(|(name, _)| read(&gpu, name)).collect()
}

#[test]
fn a_planned_network_gives_the_same_bits_twice_and_the_twins_numbers() {
    let (once, again, twins) = (run_network(""), run_network(""), run_network("all"));
    for (j, (name, _)) in NETWORK[2..].iter().enumerate() {
        let gpu = Side { name: "gpu", values: &once[j] };
        compare(name, gpu, Side { name: "gpu again", values: &again[j] }, EXACT).unwrap();
        compare(name, gpu, Side { name: "twins", values: &twins[j] }, composed(9 * 12)).unwrap();
    }
    // Half of the kernels here, half there: the way to find a wrong one.
    let mixed = run_network("conv2d,reduce");
    for (j, (name, _)) in NETWORK[2..].iter().enumerate() {
        let (got, want) = (Side { name: "mixed", values: &mixed[j] }, Side { name: "twins", values: &twins[j] });
        compare(name, got, want, composed(9 * 12)).unwrap();
    }
}

/// A plan that is cut into many submits, timed or not, computes what it does in one.
#[test]
fn a_plan_in_parts_gives_the_same_bits() {
    let run = |secs: f64, submits: fn(usize, usize) -> bool| {
        let mut gpu = own();
        gpu.limit_submits(secs);
        for (name, len) in NETWORK {
            gpu.create_store(name, len).unwrap();
        }
        gpu.write("x", 0, &values(11, NETWORK[0].1)).unwrap();
        gpu.write("w", 0, &values(12, NETWORK[1].1)).unwrap();
        let plan = gpu.prepare(&network()).unwrap();
        let steps = gpu.dispatches(plan).count();
        let mut all = Vec::new();
        // Two runs that are timed, and one that is not.
        for _ in 0..3 {
            assert!(submits(gpu.submits(plan), steps), "{} submits of {steps} dispatches", gpu.submits(plan));
            gpu.poison_scratch();
            gpu.run(plan, &RunArgs { scalars: &[1.5], seed: 9, step: 4 }).unwrap();
            all.extend(NETWORK[2..].iter().map(|(name, _)| read(&gpu, name)));
        }
        all
    };
    let (whole, parts) = (run(1e9, |submits, _| submits == 1), run(0.0, |submits, steps| submits == steps));
    for (whole, parts) in whole.iter().zip(&parts) {
        compare("parts", Side { name: "parts", values: parts }, Side { name: "whole", values: whole }, EXACT).unwrap();
    }
}

#[test]
fn the_peak_is_measured_by_shaders_that_compute_it() {
    let mut gpu = own();
    let rates = gpu.rates().unwrap();
    assert!(rates.flop_per_sec.is_finite() && rates.flop_per_sec > 1e6, "{rates:?}");
    assert!(rates.bytes_per_sec.is_finite() && rates.bytes_per_sec > 1e6, "{rates:?}");
}

#[test]
fn a_profile_has_a_time_for_every_launch() {
    let mut gpu = own();
    for (name, len) in NETWORK {
        gpu.create_store(name, len).unwrap();
    }
    let plan = network();
    let id = gpu.prepare(&plan).unwrap();
    let times = block_on(gpu.profile(id, &RunArgs { scalars: &[1.5], seed: 9, step: 4 })).unwrap();
    assert_eq!(times.len(), plan.launches.len());
    assert!(times.iter().enumerate().all(|(i, t)| t.launch == i && t.secs >= 0.0));
    let total: f64 = times.iter().map(|t| t.secs).sum();
    assert!(total > 0.0 && total < 10.0, "{total} s");
    assert!(gpu.dispatches(id).count() >= plan.launches.len());
}

#[test]
fn measuring_names_tiles_and_leaves_nothing_behind() {
    let mut gpu = own();
    let names = gpu.measure(Duration::from_millis(1)).unwrap();
    assert!(!names.is_empty(), "the first candidate is measured in any case");
    assert!(names.values().all(|name| onestep_shaders::tile(name).is_some()), "{names:?}");
    assert!(!gpu.has_store("measure.in") && !gpu.has_store("measure.out"));
    // Plans that follow work, with what has been measured.
    gpu.create_store("a", 100).unwrap();
    gpu.create_store("b", 100).unwrap();
    gpu.write("a", 0, &values(1, 100)).unwrap();
    let tuning = Tuning { choice: Choice::Measured(names), ..gpu.tuning().clone() };
    gpu.set_tuning(tuning);
    let plan = gpu.prepare(&quadruple("a", "b", 100)).unwrap();
    gpu.run(plan, &ARGS).unwrap();
    assert_eq!(read(&gpu, "b"), values(1, 100).iter().map(|x| 4.0 * x).collect::<Vec<_>>());
}
