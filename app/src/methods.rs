//! `onestep methods`: what can be trained, and what it needs.

use onestep_core::plan::ArenaKind;
use onestep_core::train::{DataSpec, METHODS, Method, Need, Preset, Setup};
use serde::Serialize;

use crate::output::{print, print_json};
use crate::settings::setup_without_download;

/// Arguments of `onestep methods`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    paper: &'static str,
    /// Whether it needs a teacher: a warm-up, or a file.
    teacher: bool,
    /// Whether it needs classes.
    classes: bool,
    /// Whether its last phase reads data.
    data: bool,
    /// Of the network, per sample.
    evaluations: usize,
    networks: Vec<&'static str>,
    settings: &'static [&'static str],
}

/// Prints the list.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let rows = METHODS.iter().map(row).collect::<anyhow::Result<Vec<Row>>>()?;
    if args.json {
        return print_json(&rows);
    }
    print(format_args!("{:<14} {:<24} {:<8} {:<5} {:<11}", "method", "paper", "teacher", "data", "evaluations"))?;
    let yes = |is: bool| if is { "yes" } else { "no" };
    for row in &rows {
        let (teacher, data) = (yes(row.teacher), yes(row.data));
        print(format_args!("{:<14} {:<24} {teacher:<8} {data:<5} {:<11}", row.name, row.paper, row.evaluations))?;
        print(format_args!("               {}", row.about))?;
    }
    Ok(())
}

fn row(method: &'static Method) -> anyhow::Result<Row> {
    let preset = Preset::find("gaussians").unwrap_or(&onestep_core::train::PRESETS[0]);
    let (setup, _) = setup_without_download(preset.config_for(method), None)?;
    let recipe = setup.recipe();
    Ok(Row {
        name: method.name,
        about: method.about,
        paper: method.paper,
        teacher: method.needs.contains(&Need::Teacher),
        classes: method.needs.contains(&Need::Classes),
        data: reads_data(&setup)?,
        evaluations: recipe.draw.evaluations(),
        networks: recipe.networks.iter().map(|network| network.name).collect(),
        settings: method.knobs,
    })
}

fn reads_data(setup: &Setup) -> anyhow::Result<bool> {
    let recipe = setup.recipe();
    let data = ArenaKind::Store(DataSpec::STORE.to_owned());
    for (_, update) in recipe.phases.iter().rev().take(1).flat_map(|phase| &phase.turn) {
        if update.plan(setup, &recipe)?.arenas.iter().any(|arena| arena.kind == data) {
            return Ok(true);
        }
    }
    Ok(false)
}
