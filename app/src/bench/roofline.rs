//! What the device can do at most, measured, and how close each kernel comes.
//!
//! The roofline of a launch is the time of its operations at the peak rate or of its bytes at the peak
//! bandwidth, whichever is longer (Williams, Waterman, Patterson 2009).

use onestep_core::exec::{Executor, LaunchTime};
use onestep_core::plan::Plan;
use serde::Serialize;

/// Rates that no launch exceeds, but for operands that come from a cache.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Peak {
    /// Of multiply-adds in registers, two operations each.
    pub gflop_per_sec: f64,
    /// Of a stream that reads and writes 128 MiB each.
    pub gb_per_sec: f64,
}

impl Peak {
    /// Measures both.
    pub fn measure(executor: &mut Executor) -> anyhow::Result<Self> {
        let rates = executor.rates()?;
        Ok(Self { gflop_per_sec: rates.flop_per_sec * 1e-9, gb_per_sec: rates.bytes_per_sec * 1e-9 })
    }

    /// Seconds that work takes at least.
    pub fn secs(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 * 1e-9 / self.gflop_per_sec).max(bytes as f64 * 1e-9 / self.gb_per_sec)
    }
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
