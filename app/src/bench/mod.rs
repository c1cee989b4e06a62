//! `onestep bench`: milliseconds per step, images per second, and how far each kernel is from what the
//! device can do.
//!
//! The peak is measured in the same run ([`roofline`]), by multiply-adds in registers and a stream through memory, so a
//! share of it is a share of what this very device can do; it is no vendor's number. [`report`] is the file that a person
//! with a graphics card can send.

mod report;
mod roofline;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use onestep_core::exec::{Executor, LaunchTime};
use onestep_core::nets::latent;
use onestep_core::plan::Plan;
use onestep_core::train::{Preset, Setup, Trainer, TrainingData, sample_batch};
use serde::Serialize;

use crate::device::{self, DeviceArgs};
use crate::memory;
use crate::output::{bytes, note, print, print_json};
use crate::pictures::check_writable;
use crate::range::in_range;
use crate::settings::{SettingsArgs, setup_without_download};
pub use roofline::{KernelTime, Peak, by_kernel};

/// Arguments of `onestep bench`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Timed runs of each kind of step; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = in_range::<u32>(1..=10_000))]
    repeat: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Also write a file to send: the device, its own peak, and steps of the presets `mnist`, `cifar10` and `gaussians`,
    /// or of the one that is asked for.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs before the timed ones: they compile, fill caches and wake the clock.
const WARM_UP: usize = 2;
/// Profiled runs; the median of each launch counts.
const PROFILES: usize = 3;

/// Seconds after which a kind of step is not repeated any more.
const PATIENCE: f64 = 20.0;

/// What a run of some settings takes.
#[derive(Serialize)]
struct Report {
    device: String,
    peak: Peak,
    batch: usize,
    /// Of each network.
    parameters: BTreeMap<&'static str, usize>,
    /// The most memory that the process had, bytes, where the system tells it. A card's own memory is not in it.
    memory: Option<u64>,
    steps: Vec<StepReport>,
    sampling: Sampling,
}

/// One kind of step.
#[derive(Serialize)]
struct StepReport {
    name: String,
    ms: f64,
    /// Images (or points) of the batch per second.
    images_per_sec: f64,
    launches: usize,
    gflop: f64,
    gflop_per_sec: f64,
    /// Share of the time that the launches would take at the peak.
    roofline: f64,
    kernels: Vec<KernelTime>,
}

#[derive(Serialize)]
struct Sampling {
    batch: usize,
    ms: f64,
    images_per_sec: f64,
}

/// Times and prints.
pub fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if let Some(path) = &args.report {
        check_writable(path)?;
    }
    let runs = if args.report.is_some() && !args.settings.are_given() {
        let presets = report::PRESETS.iter().filter_map(|name| Preset::find(name));
        presets.map(|preset| (preset.name, preset.config())).collect()
    } else {
        vec![args.settings.resolve_named()?]
    };
    let mut executor = device::open(&args.device, quiet)?;
    note(quiet, "measuring the device's peak");
    let peak = Peak::measure(&mut executor)?;
    let machine = report::Machine::of(&executor);
    let mut timed = Vec::new();
    for (preset, config) in runs {
        let (setup, data) = setup_without_download(config, args.settings.config.as_deref())?;
        let (report, free) = time(executor, setup, &data, args.repeat as usize, peak, quiet)?;
        executor = free;
        if args.json {
            print_json(&report)?;
        } else {
            print_tables(preset, &report)?;
        }
        timed.push((preset, report));
    }
    args.report.as_ref().map_or(Ok(()), |path| report::write(path, &machine, peak, &timed))
}

/// Times the steps of a run, and gives the device back.
fn time(
    executor: Executor,
    setup: Setup,
    data: &TrainingData,
    repeat: usize,
    peak: Peak,
    quiet: bool,
) -> anyhow::Result<(Report, Executor)> {
    memory::forget_peak();
    let (batch, width) = (setup.config.batch, setup.data.width());
    let mut trainer = Trainer::new(executor, setup, &data.words)?;
    trainer.set_labels(&data.labels)?;
    let mut steps = Vec::new();
    for update in trainer.recipe().updates() {
        note(quiet, format_args!("timing the {} step", update.name));
        steps.push(step(&mut trainer, update.name, repeat, &peak)?);
    }
    note(quiet, "timing a batch of samples");
    let drawn = sample_batch(&trainer.setup.data);
    let latents: Vec<f32> = (0..drawn as u32).flat_map(|seed| latent(seed, width)).collect();
    let secs = timed(repeat, || {
        pollster::block_on(trainer.sample(&latents))?;
        Ok(())
    })?;
    let sampling = Sampling { batch: drawn, ms: secs * 1e3, images_per_sec: drawn as f64 / secs };
    let networks = &trainer.recipe().networks;
    let report = Report {
        device: trainer.executor.name(),
        peak,
        batch,
        parameters: networks.iter().map(|network| (network.name, network.layout().parameters())).collect(),
        memory: memory::peak(),
        steps,
        sampling,
    };
    Ok((report, trainer.executor))
}

fn step(trainer: &mut Trainer, update: &str, repeat: usize, peak: &Peak) -> anyhow::Result<StepReport> {
    let secs = timed(repeat, || {
        trainer.step(update)?;
        Ok(trainer.executor.sync()?)
    })?;
    let mut profiles = Vec::new();
    for _ in 0..if secs < PATIENCE / PROFILES as f64 { PROFILES } else { 1 } {
        profiles.push(pollster::block_on(trainer.profile(update))?);
    }
    let Some(plan) = trainer.plan(update) else { anyhow::bail!("a step has run without a plan") };
    let batch = trainer.config().batch as f64;
    Ok(StepReport {
        name: plan.name.clone(),
        ms: secs * 1e3,
        images_per_sec: batch / secs,
        launches: plan.launches.len(),
        gflop: plan.flops() as f64 * 1e-9,
        gflop_per_sec: plan.flops() as f64 * 1e-9 / secs,
        roofline: ideal_secs(plan, peak) / secs,
        kernels: by_kernel(plan, &median_times(&profiles), peak),
    })
}

fn ideal_secs(plan: &Plan, peak: &Peak) -> f64 {
    plan.launches.iter().map(|launch| peak.secs(launch.flops, launch.bytes)).sum()
}

/// The median time of each launch over several profiles.
fn median_times(profiles: &[Vec<LaunchTime>]) -> Vec<LaunchTime> {
    let each = |(i, time): (usize, &LaunchTime)| LaunchTime {
        launch: time.launch,
        secs: median(profiles.iter().map(|profile| profile[i].secs).collect()),
    };
    profiles[0].iter().enumerate().map(each).collect()
}

/// Median seconds of `job` after a few runs that don't count; of fewer than `repeat` if they take long.
fn timed(repeat: usize, mut job: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let began = Instant::now();
    for run in 0..WARM_UP {
        if run == 0 || began.elapsed().as_secs_f64() < PATIENCE {
            job()?;
        }
    }
    let (mut times, began) = (Vec::new(), Instant::now());
    while times.is_empty() || (times.len() < repeat && began.elapsed().as_secs_f64() < PATIENCE) {
        let start = Instant::now();
        job()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

fn print_tables(preset: &str, report: &Report) -> anyhow::Result<()> {
    let Peak { gflop_per_sec, gb_per_sec } = report.peak;
    print(format_args!(
        "{}, preset {preset}: {gflop_per_sec:.1} GFLOP/s (multiply-adds in registers), {gb_per_sec:.1} GB/s (a stream), \
         measured now",
        report.device
    ))?;
    for step in &report.steps {
        print(format_args!(
            "\n{}: {:.2} ms, {:.1}/s (batch {}), {} launches, {:.3} GFLOP, {:.1} GFLOP/s, {:.0} % of the roofline",
            step.name,
            step.ms,
            step.images_per_sec,
            report.batch,
            step.launches,
            step.gflop,
            step.gflop_per_sec,
            step.roofline * 100.0
        ))?;
        print(format_args!(
            "  {:<20} {:>8} {:>10} {:>7} {:>10} {:>10} {:>9}",
            "kernel", "launches", "ms", "share", "GFLOP/s", "GB/s", "roofline"
        ))?;
        let total: f64 = step.kernels.iter().map(|kernel| kernel.ms).sum();
        for kernel in &step.kernels {
            print(format_args!(
                "  {:<20} {:>8} {:>10.3} {:>6.1}% {:>10.1} {:>10.1} {:>8.0}%",
                kernel.kernel,
                kernel.launches,
                kernel.ms,
                kernel.ms / total * 100.0,
                kernel.gflop_per_sec,
                kernel.gb_per_sec,
                kernel.roofline * 100.0
            ))?;
        }
    }
    print("\nroofline: share of the peak; above 100 % where operands come from a cache instead of memory")?;
    let Sampling { batch, ms, images_per_sec } = report.sampling;
    print(format_args!(
        "sampling: {ms:.2} ms for {batch}, {images_per_sec:.1}/s, with the way to and from the device"
    ))?;
    report.memory.map_or(Ok(()), |most| print(format_args!("memory of the process: {} at most", bytes(most))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(super::median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
