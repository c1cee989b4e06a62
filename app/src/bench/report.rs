//! The file of `onestep bench --report`: what a device is, what it can do at most, and what it does. `docs/gpus.md` collects
//! them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use onestep_core::exec::Executor;
use onestep_core::exec::gpu::Choice;
use onestep_core::files::atomic_write;
use serde::Serialize;

use super::{Peak, Report};
use crate::devices::{instruction_sets, kind_name};

/// What is timed if no settings are given: of the others, each is as large as one of these.
pub const PRESETS: [&str; 3] = ["mnist", "cifar10", "gaussians"];

/// Changes when a field changes its meaning.
const FORMAT: &str = "onestep bench report 1";

/// What computes.
#[derive(Serialize)]
pub struct Machine {
    system: &'static str,
    architecture: &'static str,
    threads: usize,
    instruction_sets: Vec<&'static str>,
    device: String,
    /// Nothing where the processor computes.
    gpu: Option<Gpu>,
}

#[derive(Serialize)]
struct Gpu {
    adapter: String,
    backend: String,
    kind: &'static str,
    driver: String,
    vendor_id: u32,
    device_id: u32,
    subgroup: [u32; 2],
    timestamps: bool,
    limits: BTreeMap<&'static str, u64>,
    features: Vec<&'static str>,
    /// Tiles of contractions by kernel and class of sizes; empty if they were taken from the fixed table.
    measured_tiles: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct File<'a> {
    format: &'static str,
    version: &'static str,
    /// Of the sources that the program was built from, if they are still there; with a `+` if they were changed.
    commit: Option<String>,
    machine: &'a Machine,
    peak: Peak,
    presets: BTreeMap<&'a str, &'a Report>,
}

impl Machine {
    /// The one with this executor.
    pub fn of(executor: &Executor) -> Self {
        let gpu = match executor {
            Executor::Cpu(_) => None,
            Executor::Gpu(gpu) => {
                let (adapter, details) = (gpu.adapter().clone(), gpu.gpu().details.clone());
                let measured_tiles = match &gpu.tuning().choice {
                    Choice::Measured(names) => names.iter().map(|(key, tile)| (key.clone(), tile.clone())).collect(),
                    Choice::Table | Choice::Forced(_) => BTreeMap::new(),
                };
                Some(Gpu {
                    adapter: adapter.name,
                    backend: adapter.backend,
                    kind: kind_name(adapter.kind),
                    driver: adapter.driver,
                    vendor_id: details.ids[0],
                    device_id: details.ids[1],
                    subgroup: details.subgroup,
                    timestamps: adapter.timestamps,
                    limits: details.limits.into(),
                    features: details.features,
                    measured_tiles,
                })
            }
        };
        Self {
            system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            instruction_sets: instruction_sets(),
            device: executor.name(),
            gpu,
        }
    }
}

/// Writes the file.
pub fn write(path: &Path, machine: &Machine, peak: Peak, timed: &[(&'static str, Report)]) -> anyhow::Result<()> {
    let presets = timed.iter().map(|(name, report)| (*name, report)).collect();
    let file = File { format: FORMAT, version: env!("CARGO_PKG_VERSION"), commit: commit(), machine, peak, presets };
    let text = serde_json::to_string_pretty(&file)?;
    Ok(atomic_write(path, |file| writeln!(file, "{text}"))?)
}

/// The commit of the sources, where they are a clone.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let run = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
        run.status.success().then(|| String::from_utf8_lossy(&run.stdout).trim().to_owned())
    };
    let changed = !git(&["status", "--porcelain"])?.is_empty();
    Some(git(&["rev-parse", "--short=12", "HEAD"])? + if changed { "+" } else { "" })
}
