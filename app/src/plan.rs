//! `onestep plan`: what a run will launch, as tables. Needs no device.

use onestep_core::plan::Plan;
use onestep_core::train::method::{Setup, StepKind, store_len};
use onestep_core::train::{Config, sample_batch};
use serde::Serialize;

use crate::output::{bytes, print, print_json};
use crate::settings::{SettingsArgs, setup_without_download};

/// Arguments of `onestep plan`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Only the plan of this kind of step.
    #[arg(long, value_enum, value_name = "KIND")]
    step: Option<Step>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Plans of a run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// Denoising, before the distillation.
    Warmup,
    /// An update of the ratio network.
    Ratio,
    /// An update of the generator.
    Generator,
    /// A batch of samples.
    Sample,
}

/// Prints the plans.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (setup, _) = setup_without_download(args.settings.resolve()?)?;
    let plans: Vec<(Step, Plan)> = match args.step {
        Some(step) => vec![(step, plan(&setup, step)?)],
        None => plans(&setup)?,
    };
    if args.json {
        return print_report(&setup, &plans);
    }
    for (_, plan) in &plans {
        print(format_args!("{plan}\n"))?;
    }
    if args.step.is_none() {
        print(summary(&setup, &plans))?;
    }
    Ok(())
}

/// Prints the plans as JSON.
pub fn print_report(setup: &Setup, plans: &[(Step, Plan)]) -> anyhow::Result<()> {
    print_json(&report(setup, plans))
}

/// Every plan that the run needs.
pub fn plans(setup: &Setup) -> anyhow::Result<Vec<(Step, Plan)>> {
    let warmup = (setup.config.warmup_steps > 0).then_some(Step::Warmup);
    let steps = warmup.into_iter().chain([Step::Ratio, Step::Generator, Step::Sample]);
    steps.map(|step| Ok((step, plan(setup, step)?))).collect()
}

fn plan(setup: &Setup, step: Step) -> anyhow::Result<Plan> {
    let kind = match step {
        Step::Warmup => StepKind::Warmup,
        Step::Ratio => StepKind::Ratio,
        Step::Generator => StepKind::Generator,
        Step::Sample => return Ok(setup.sampler("grid", "generator.ema", sample_batch(&setup.data))?),
    };
    Ok(setup.plan(kind)?)
}

/// How often the run makes this step, if its number of steps is what ends it.
fn times(config: &Config, step: Step) -> u64 {
    match step {
        Step::Warmup => config.warmup_steps,
        Step::Ratio => config.steps * u64::from(config.ratio_steps),
        Step::Generator => config.steps,
        Step::Sample => (config.warmup_steps + config.steps) / config.snap,
    }
}

/// Bytes of what outlives a step: data, parameters, gradients, moments, averages.
fn store_bytes(setup: &Setup) -> u64 {
    let layouts = [setup.network.generator_layout(), setup.network.ratio_layout()];
    let networks: usize = layouts.iter().map(|layout| 5 * store_len(layout.len)).sum();
    4 * (setup.data.store_len() + networks) as u64
}

/// The run in a few lines.
pub fn summary(setup: &Setup, plans: &[(Step, Plan)]) -> String {
    let [generator, ratio] =
        [setup.network.generator_layout(), setup.network.ratio_layout()].map(|layout| layout.parameters());
    let mut lines = vec![format!(
        "{:<16} {:>8} {:>10} {:>10} {:>12} {:>10}",
        "plan", "launches", "GFLOP", "MB moved", "MB scratch", "runs"
    )];
    let mut total = 0.0;
    for (step, plan) in plans {
        let times = times(&setup.config, *step);
        total += plan.flops() as f64 * times as f64;
        lines.push(format!(
            "{:<16} {:>8} {:>10.3} {:>10.1} {:>12.1} {:>10}",
            plan.name,
            plan.launches.len(),
            plan.flops() as f64 * 1e-9,
            plan.bytes() as f64 * 1e-6,
            plan.scratch_bytes() as f64 * 1e-6,
            times,
        ));
    }
    let scratch = plans.iter().map(|(_, plan)| plan.scratch_bytes()).max().unwrap_or(0);
    lines.push(format!(
        "whole run: {:.4} PFLOP; memory: {} that stay, {} scratch",
        total * 1e-15,
        bytes(store_bytes(setup)),
        bytes(scratch)
    ));
    lines.push(format!(
        "generator: {generator} parameters; ratio network: {ratio}; data: {} of shape {:?}, batch {}",
        setup.data.rows, setup.data.shape, setup.config.batch
    ));
    lines.join("\n")
}

#[derive(Serialize)]
struct Report<'a> {
    config: &'a Config,
    generator_parameters: usize,
    ratio_parameters: usize,
    store_bytes: u64,
    plans: Vec<PlanReport<'a>>,
}

#[derive(Serialize)]
struct PlanReport<'a> {
    name: &'a str,
    flops: u64,
    bytes: u64,
    scratch_bytes: u64,
    runs: u64,
    launches: Vec<LaunchReport<'a>>,
}

#[derive(Serialize)]
struct LaunchReport<'a> {
    kernel: &'static str,
    fused: &'static str,
    shape: String,
    flops: u64,
    bytes: u64,
    output: String,
    label: &'a str,
}

fn report<'a>(setup: &'a Setup, plans: &'a [(Step, Plan)]) -> Report<'a> {
    let plan = |(step, plan): &'a (Step, Plan)| PlanReport {
        name: &plan.name,
        flops: plan.flops(),
        bytes: plan.bytes(),
        scratch_bytes: plan.scratch_bytes(),
        runs: times(&setup.config, *step),
        launches: plan
            .launches
            .iter()
            .map(|launch| LaunchReport {
                kernel: launch.kernel.name(),
                fused: launch.fused(),
                shape: launch.shapes(),
                flops: launch.flops,
                bytes: launch.bytes,
                output: plan.arena_name(&launch.outputs[0]),
                label: &launch.label,
            })
            .collect(),
    };
    Report {
        config: &setup.config,
        generator_parameters: setup.network.generator_layout().parameters(),
        ratio_parameters: setup.network.ratio_layout().parameters(),
        store_bytes: store_bytes(setup),
        plans: plans.iter().map(plan).collect(),
    }
}
