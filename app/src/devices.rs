//! `onestep devices`: what there is to compute on.

use onestep_core::exec::gpu::{AdapterKind, AdapterSummary, adapters};
use onestep_core::exec::{Executor, cpu::CpuExecutor};
use serde::Serialize;

use crate::device::{choose_auto, named_in_environment};
use crate::output::{bytes, print, print_json};

/// Arguments of `onestep devices`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    gpus: Vec<Gpu>,
    cpu: Cpu,
    auto: String,
    why: String,
}

#[derive(Serialize)]
struct Gpu {
    device: String,
    name: String,
    backend: String,
    kind: &'static str,
    driver: String,
    max_binding_bytes: u64,
    max_buffer_bytes: u64,
    timestamps: bool,
}

#[derive(Serialize)]
struct Cpu {
    device: &'static str,
    name: String,
    threads: usize,
    instruction_sets: Vec<&'static str>,
}

/// Lists the devices.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let report = report(&pollster::block_on(adapters()));
    if args.json { print_json(&report) } else { print_table(&report) }
}

fn report(adapters: &[AdapterSummary]) -> Report {
    let choice = choose_auto(adapters, named_in_environment());
    let gpu = |(index, adapter): (usize, &AdapterSummary)| Gpu {
        device: format!("gpu:{index}"),
        name: adapter.name.clone(),
        backend: adapter.backend.clone(),
        kind: kind_name(adapter.kind),
        driver: adapter.driver.clone(),
        max_binding_bytes: adapter.max_binding_bytes,
        max_buffer_bytes: adapter.max_buffer_bytes,
        timestamps: adapter.timestamps,
    };
    Report {
        gpus: adapters.iter().enumerate().map(gpu).collect(),
        cpu: Cpu {
            device: "cpu",
            name: Executor::Cpu(CpuExecutor::new()).name(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            instruction_sets: instruction_sets(),
        },
        auto: choice.gpu.unwrap_or_else(|| "cpu".to_owned()),
        why: choice.why,
    }
}

fn print_table(report: &Report) -> anyhow::Result<()> {
    for gpu in &report.gpus {
        print(format_args!("{:<6} {} ({}, {})", gpu.device, gpu.name, gpu.backend, gpu.kind))?;
        print(format_args!("       driver: {}", gpu.driver))?;
        print(format_args!(
            "       largest binding {}, largest buffer {}; kernels are timed {}",
            bytes(gpu.max_binding_bytes),
            bytes(gpu.max_buffer_bytes),
            if gpu.timestamps { "by timestamps" } else { "by waiting, there are no timestamps" },
        ))?;
    }
    if report.gpus.is_empty() {
        print("no GPU (on Linux, `vulkaninfo` should list one)")?;
    }
    print(format_args!("{:<6} {}", "cpu", report.cpu.name))?;
    print(format_args!("       instruction sets: {}", report.cpu.instruction_sets.join(", ")))?;
    print(format_args!("auto   {} ({})", report.auto, report.why))
}

/// A kind of adapter in a word.
pub fn kind_name(kind: AdapterKind) -> &'static str {
    match kind {
        AdapterKind::Discrete => "discrete",
        AdapterKind::Integrated => "integrated",
        AdapterKind::Virtual => "virtual",
        AdapterKind::Software => "software",
        AdapterKind::Other => "other",
    }
}

/// Vector instructions that the CPU executor may use, the widest last.
pub fn instruction_sets() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let sets = [
            ("sse2", true),
            ("avx", std::arch::is_x86_feature_detected!("avx")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ];
        sets.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(target_arch = "aarch64")]
    return vec!["neon"];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return vec!["none that this program knows of"];
}
