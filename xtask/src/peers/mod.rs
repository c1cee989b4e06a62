//! `cargo xtask bench peers`: the presets in onestep and in other frameworks, on one machine in one run.
//!
//! First an oracle: who does not compute what onestep computes is left out. Then contestants take turns: each waits
//! in a process of its own until it is asked to do a piece of work. `peers/README.md` has the protocol.

mod contestant;
mod figures;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{report, step, vulkan, web};
use contestant::{ALL, Contestant, Running, Side, Tools};
use figures::Figures;

/// Presets and what is measured of each.
pub const WORKS: [(&str, &[&str]); 2] = [
    ("mnist", &["iteration", "warmup", "memory", "sample 1", "sample 64", "sample 256"]),
    ("gaussians", &["iteration"]),
];

/// A contestant that needs more seconds for one run of a piece of work is asked for it only once.
const PATIENCE: f64 = 5.0;

#[derive(clap::Args)]
pub struct Options {
    /// Measure only contestants whose name contains this, beside onestep, and write nothing down
    filter: Option<String>,
    /// How often each contestant is asked for each piece of work
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// The Python that has what peers/torch/requirements.txt lists
    #[arg(long, env = "PEERS_PYTHON", default_value = "python3")]
    python: PathBuf,
}

/// Builds, compares, measures.
pub fn bench(options: &Options) -> Result<bool> {
    let wanted = |contestant: &Contestant| {
        contestant.side == Side::Onestep || options.filter.as_deref().is_none_or(|text| contestant.name.contains(text))
    };
    let mut contestants: Vec<Contestant> = ALL.iter().copied().filter(wanted).collect();
    if contestants.iter().all(|contestant| contestant.side == Side::Onestep) {
        bail!("nobody to compare with; there are: {}", ALL.iter().map(|c| c.name).collect::<Vec<_>>().join("; "));
    }
    vulkan::ensure()?;
    let cases = step::target_dir().join("bench-peers");
    let tools = Tools::new(&cases, options.python.clone());
    let mut figures = Figures::new(options.rounds)?;
    if !build(&cases)? || !build_peers(&tools, &contestants)? {
        return Ok(false);
    }
    let without_python = |contestant: &Contestant| matches!(contestant.side, Side::Torch | Side::Onnx);
    if contestants.iter().any(without_python) && !tools.has_torch() {
        let program = tools.python.display();
        figures.note(&format!(
            "PyTorch and onnxruntime are left out: {program} has no torch (pip install -r \
             peers/torch/requirements.txt; --python names another one)."
        ));
        contestants.retain(|contestant| !without_python(contestant));
    }
    judge(&mut contestants, &tools, &mut figures)?;
    for (preset, works) in WORKS {
        measure(&contestants, &tools, preset, works, &mut figures)?;
    }
    first_pictures(&contestants, &tools, &mut figures)?;
    let text = figures.text();
    println!("\n{text}");
    if options.filter.is_none() {
        figures.save()?;
        report::write("bench peers", &text)?;
    }
    Ok(true)
}

/// onestep's side, and the cases.
fn build(cases: &Path) -> Result<bool> {
    std::fs::create_dir_all(cases)?;
    let Some(mut peer) = step::example("peer")? else { return Ok(false) };
    Ok(web::build_program()? && step::run("cases for all", peer.arg("cases").arg(cases))?)
}

fn build_peers(tools: &Tools, contestants: &[Contestant]) -> Result<bool> {
    let manifest = step::root().join("peers/Cargo.toml");
    if !manifest.exists() || !contestants.iter().any(|c| c.side == Side::Burn) {
        return Ok(true);
    }
    let mut command = step::cargo(&["build", "--release", "--locked", "--manifest-path"]);
    step::run("peers in Rust", command.arg(manifest).arg("--target-dir").arg(&tools.peers))
}

/// Leaves out all of a side that does not compute what onestep computes, or does not run at all.
fn judge(contestants: &mut Vec<Contestant>, tools: &Tools, figures: &mut Figures) -> Result<()> {
    let mut failed: Vec<Contestant> = Vec::new();
    for contestant in contestants.iter() {
        let Some(mut command) = contestant.oracle(tools) else { continue };
        let title = format!("{} beside onestep: outputs, losses, gradients", contestant.name);
        if !step::run(&title, &mut command)? {
            figures.note(&format!("{} is left out: it does not compute what onestep computes.", contestant.name));
            failed.push(*contestant);
        }
    }
    let is_out =
        |c: &Contestant| failed.iter().any(|f| f.name == c.name || (f.side == Side::Torch && c.side == f.side));
    contestants.retain(|contestant| !is_out(contestant));
    Ok(())
}

/// Asks in turns.
fn measure(
    contestants: &[Contestant],
    tools: &Tools,
    preset: &str,
    works: &[&str],
    figures: &mut Figures,
) -> Result<()> {
    let mut running: Vec<(&Contestant, Running)> = Vec::new();
    for contestant in contestants.iter().filter(|c| works.iter().any(|work| c.does(preset, work))) {
        if let Some(process) = forgive(contestant, contestant.start(tools, preset), figures)? {
            figures.versions(contestant.name, &process.versions);
            running.push((contestant, process));
        }
    }
    for work in works {
        step::heading(&format!("{preset}, {work}"));
        let rounds = if *work == "memory" { 1 } else { figures.rounds };
        for round in 0..rounds {
            let mut left = Vec::new();
            for (contestant, mut process) in running {
                let slow = round > 0 && figures.last(contestant.name, preset, work).is_some_and(|s| s > PATIENCE);
                if !slow && contestant.does(preset, work) {
                    let Some(answer) = forgive(contestant, process.ask(work), figures)? else { continue };
                    println!("{}: {answer:.5}", contestant.name);
                    figures.add(contestant.name, preset, work, answer);
                }
                left.push((contestant, process));
            }
            running = left;
        }
    }
    Ok(())
}

/// Goes on without a contestant that fails, unless it is onestep.
fn forgive<T>(contestant: &Contestant, result: Result<T>, figures: &mut Figures) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if contestant.side == Side::Onestep => Err(error),
        Err(error) => {
            figures.note(&format!("{} has given up: {error:#}.", contestant.name));
            Ok(None)
        }
    }
}

/// From the start of a program to a picture in a file, for those that a person would draw with.
fn first_pictures(contestants: &[Contestant], tools: &Tools, figures: &mut Figures) -> Result<()> {
    step::heading("start to first picture");
    let model = tools.cases.join("mnist.generator.safetensors");
    for _ in 0..figures.rounds {
        for contestant in contestants {
            let mut command = match contestant.name {
                "onestep, processor" => {
                    let mut command = std::process::Command::new(web::program());
                    command.args(["sample", "--quiet", "--device", "cpu", "--seeds", "0", "--model"]).arg(&model);
                    command.arg("--out").arg(tools.cases.join("first.png"));
                    command
                }
                "PyTorch, eager" | "onnxruntime" => {
                    let mut command = tools.script("first.py");
                    command.arg(&tools.cases).arg(if contestant.side == Side::Torch { "torch" } else { "onnx" });
                    command.arg(tools.cases.join("first.npy"));
                    command
                }
                _ => continue,
            };
            let start = Instant::now();
            if !command.stdout(Stdio::null()).status()?.success() {
                bail!("{} draws no picture", contestant.name);
            }
            figures.add(contestant.name, "mnist", "first picture", start.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
