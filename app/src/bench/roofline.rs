//! What the device can do at most, measured, and how close each kernel comes.
//!
//! The roofline of a launch is the time of its operations at the peak rate or of its bytes at the peak
//! bandwidth, whichever is longer (Williams, Waterman, Patterson 2009).

use std::time::Instant;

use onestep_core::exec::{Executor, LaunchTime, RunArgs};
use onestep_core::graph::{Graph, Var};
use onestep_core::plan::{Plan, Program};
use serde::Serialize;

/// Sizes m, n, k of the matrix products of which the fastest counts: large ones fill a GPU; others stay in a
/// processor's cache, or are narrow like the layers of a small network.
const PRODUCTS: [[usize; 3]; 4] = [[1024, 1024, 1024], [512, 512, 512], [256, 256, 256], [16_384, 64, 64]];
/// Elements that are copied: 64 MB, more than any cache, and half of what a browser lets a kernel bind.
const ELEMENTS: usize = 16 << 20;
/// Timed runs; the best counts.
const RUNS: usize = 5;

/// Rates that no launch should exceed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Peak {
    /// Of matrix products, best of four sizes and five runs.
    pub gflop_per_sec: f64,
    /// Of a pointwise kernel that reads and writes 64 MB, best of five.
    pub gb_per_sec: f64,
}

impl Peak {
    /// Measures both.
    pub fn measure(executor: &mut Executor) -> anyhow::Result<Self> {
        let mut gflop_per_sec = 0.0_f64;
        for [m, n, k] in PRODUCTS {
            let graph = Graph::new();
            let product = graph.input("peak.a", 0, &[m, k]).matmul(graph.input("peak.b", 0, &[k, n]));
            let (plan, secs) = best(executor, &graph, product)?;
            gflop_per_sec = gflop_per_sec.max(plan.flops() as f64 * 1e-9 / secs);
        }
        let graph = Graph::new();
        let copy = graph.input("peak.a", 0, &[ELEMENTS]) + 1.0;
        let (plan, secs) = best(executor, &graph, copy)?;
        let gb_per_sec = plan.bytes() as f64 * 1e-9 / secs;
        for store in ["peak.a", "peak.b", "peak.out"] {
            executor.remove_store(store);
        }
        Ok(Self { gflop_per_sec, gb_per_sec })
    }

    /// Seconds that work takes at least.
    pub fn secs(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 * 1e-9 / self.gflop_per_sec).max(bytes as f64 * 1e-9 / self.gb_per_sec)
    }
}

/// The plan that computes `wanted`, and the seconds of its fastest run.
fn best<'g>(executor: &mut Executor, graph: &'g Graph, wanted: Var<'g>) -> anyhow::Result<(Plan, f64)> {
    let len = graph.nodes().iter().map(|node| node.shape.iter().product()).max().unwrap_or(0);
    let plan = Program::new("peak", graph).output(wanted, "peak.out", 0).build()?;
    for store in ["peak.a", "peak.b", "peak.out"] {
        // Ones, not zeros: multiplying nothing can be faster than multiplying.
        executor.create_store(store, len)?;
        executor.write(store, 0, &vec![1.0; len])?;
    }
    let id = executor.prepare(&plan)?;
    let mut best = f64::INFINITY;
    for run in 0..=RUNS {
        executor.sync()?;
        let start = Instant::now();
        executor.run(id, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
        executor.sync()?;
        if run > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok((plan, best))
}

/// The launches of one kernel within a step.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTime {
    pub kernel: &'static str,
    pub launches: usize,
    pub ms: f64,
    pub gflop_per_sec: f64,
    pub gb_per_sec: f64,
    /// Share of the time that the launches would take at the peak.
    pub roofline: f64,
}

/// Times by kernel, the slowest first.
pub fn by_kernel(plan: &Plan, times: &[LaunchTime], peak: &Peak) -> Vec<KernelTime> {
    let mut kernels: Vec<(&'static str, usize, f64, u64, u64, f64)> = Vec::new();
    for time in times {
        let launch = &plan.launches[time.launch];
        let name = launch.kernel.name();
        let place = kernels.iter().position(|kernel| kernel.0 == name).unwrap_or_else(|| {
            kernels.push((name, 0, 0.0, 0, 0, 0.0));
            kernels.len() - 1
        });
        let (_, count, secs, flops, bytes, ideal) = &mut kernels[place];
        *count += 1;
        *secs += time.secs;
        *flops += launch.flops;
        *bytes += launch.bytes;
        *ideal += peak.secs(launch.flops, launch.bytes);
    }
    kernels.sort_by(|a, b| b.2.total_cmp(&a.2));
    let rate = |amount: u64, secs: f64| if secs > 0.0 { amount as f64 * 1e-9 / secs } else { 0.0 };
    let finish = |(kernel, launches, secs, flops, bytes, ideal): (_, _, f64, _, _, f64)| KernelTime {
        kernel,
        launches,
        ms: secs * 1e3,
        gflop_per_sec: rate(flops, secs),
        gb_per_sec: rate(bytes, secs),
        roofline: if secs > 0.0 { ideal / secs } else { 0.0 },
    };
    kernels.into_iter().map(finish).collect()
}
