//! `onestep plan`: what a run will launch, as tables. Needs no device.

use anyhow::Context;
use onestep_core::graph::Graph;
use onestep_core::nets::sampler;
use onestep_core::plan::Plan;
use onestep_core::train::{Config, Recipe, Setup, sample_batch, store_len};
use serde::Serialize;

use crate::exit::bad_input;
use crate::output::{bytes, print, print_json};
use crate::settings::{SettingsArgs, setup_without_download};

/// Arguments of `onestep plan`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Only the plan of this update (the method's own names, such as `generator`), or of `sample`.
    #[arg(long, value_name = "UPDATE")]
    step: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// A plan of a run.
pub struct Planned {
    plan: Plan,
    /// How often the run makes this step, if its number of steps is what ends it.
    runs: u64,
}

/// Name of the plan that draws samples.
const SAMPLE: &str = "sample";

/// Prints the plans.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (setup, _) = setup_without_download(args.settings.resolve()?, args.settings.config.as_deref())?;
    let plans = match &args.step {
        Some(step) => vec![one(&setup, step)?],
        None => plans(&setup)?,
    };
    if args.json {
        return print_report(&setup, &plans);
    }
    for Planned { plan, .. } in &plans {
        print(format_args!("{plan}\n"))?;
    }
    if args.step.is_none() {
        print(summary(&setup, &plans))?;
    }
    Ok(())
}

/// Prints the plans as JSON.
pub fn print_report(setup: &Setup, plans: &[Planned]) -> anyhow::Result<()> {
    print_json(&report(setup, plans))
}

/// Every plan that the run needs.
pub fn plans(setup: &Setup) -> anyhow::Result<Vec<Planned>> {
    let recipe = setup.recipe();
    let names = recipe.updates().into_iter().map(|update| update.name).chain([SAMPLE]);
    names.map(|name| plan(setup, &recipe, name)).collect()
}

fn one(setup: &Setup, name: &str) -> anyhow::Result<Planned> {
    let recipe = setup.recipe();
    if name != SAMPLE && recipe.update(name).is_none() {
        let known: Vec<&str> = recipe.updates().iter().map(|update| update.name).chain([SAMPLE]).collect();
        return Err(bad_input!("--step {name}: {} has no such step; it has {}", setup.config.method, known.join(", ")));
    }
    plan(setup, &recipe, name)
}

fn plan(setup: &Setup, recipe: &Recipe, name: &str) -> anyhow::Result<Planned> {
    let plan = if name == SAMPLE {
        let network = recipe.drawn();
        let params = format!("{}.{}", network.name, network.best());
        let batch = sample_batch(&setup.data);
        sampler(&Graph::new(), &network.net, setup.config.sigma_init, "grid", &params, batch).build()?
    } else {
        recipe.update(name).context("no such step")?.plan(setup, recipe)?
    };
    Ok(Planned { plan, runs: runs(&setup.config, recipe, name) })
}

/// How often the run makes this step, if its number of steps is what ends it.
fn runs(config: &Config, recipe: &Recipe, name: &str) -> u64 {
    let turns = recipe.phases.iter().map(|phase| phase.length.of(config));
    if name == SAMPLE {
        return turns.sum::<u64>() / config.snap;
    }
    let each = recipe.phases.iter().map(|phase| {
        let in_turn = phase.turn.iter().filter(|(_, update)| update.name == name);
        in_turn.map(|(count, _)| count.of(config)).sum::<u64>()
    });
    turns.zip(each).map(|(turns, each)| turns * each).sum()
}

/// Bytes of what outlives a step: data, and the stores of the networks.
fn store_bytes(setup: &Setup, recipe: &Recipe) -> u64 {
    let of = |network: &onestep_core::train::Network| network.stores().len() * store_len(network.layout().len);
    4 * (setup.data.store_len() + recipe.networks.iter().map(of).sum::<usize>()) as u64
}

/// The run in a few lines.
pub fn summary(setup: &Setup, plans: &[Planned]) -> String {
    let recipe = setup.recipe();
    let mut lines = vec![format!(
        "{:<16} {:>8} {:>10} {:>10} {:>12} {:>10}",
        "plan", "launches", "GFLOP", "MB moved", "MB scratch", "runs"
    )];
    let mut total = 0.0;
    for Planned { plan, runs } in plans {
        total += plan.flops() as f64 * *runs as f64;
        lines.push(format!(
            "{:<16} {:>8} {:>10.3} {:>10.1} {:>12.1} {:>10}",
            plan.name,
            plan.launches.len(),
            plan.flops() as f64 * 1e-9,
            plan.bytes() as f64 * 1e-6,
            plan.scratch_bytes() as f64 * 1e-6,
            runs,
        ));
    }
    let scratch = plans.iter().map(|planned| planned.plan.scratch_bytes()).max().unwrap_or(0);
    lines.push(format!(
        "whole run: {:.4} PFLOP; memory: {} that stay, {} scratch",
        total * 1e-15,
        bytes(store_bytes(setup, &recipe)),
        bytes(scratch)
    ));
    let networks: Vec<String> = recipe
        .networks
        .iter()
        .map(|network| format!("{}: {} parameters", network.name, network.layout().parameters()))
        .collect();
    lines.push(format!(
        "{}; data: {} of shape {:?}, batch {}",
        networks.join("; "),
        setup.data.rows,
        setup.data.shape,
        setup.config.batch
    ));
    lines.join("\n")
}

#[derive(Serialize)]
struct Report<'a> {
    config: &'a Config,
    networks: Vec<NetworkReport>,
    store_bytes: u64,
    plans: Vec<PlanReport<'a>>,
}

#[derive(Serialize)]
struct NetworkReport {
    name: &'static str,
    parameters: usize,
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

fn report<'a>(setup: &'a Setup, plans: &'a [Planned]) -> Report<'a> {
    let recipe = setup.recipe();
    let plan = |Planned { plan, runs }: &'a Planned| PlanReport {
        name: &plan.name,
        flops: plan.flops(),
        bytes: plan.bytes(),
        scratch_bytes: plan.scratch_bytes(),
        runs: *runs,
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
        networks: recipe
            .networks
            .iter()
            .map(|network| NetworkReport { name: network.name, parameters: network.layout().parameters() })
            .collect(),
        store_bytes: store_bytes(setup, &recipe),
        plans: plans.iter().map(plan).collect(),
    }
}
