//! Drawing from a generator snapshot: seeds in, numbers out.
//!
//! Invariant: sample i depends on its seed alone. The network always runs a batch of one size, which
//! follows from the model, and the rest of the last batch is filled up: kernels may cut their sums by
//! the size of a batch, and other sizes could give other bits.

use std::path::{Path, PathBuf};

use onestep_core::exec::{Executor, PlanId, RunArgs};
use onestep_core::graph::Graph;
use onestep_core::model::{ModelFile, ModelKind};
use onestep_core::plan::SLOT_ALIGN;
use onestep_core::train::latent;
use onestep_core::train::method::sampler;

use crate::exit::bad_input;

/// Images per run of the network: enough to fill small devices.
const IMAGES: usize = 64;
/// The same for networks of more than [`LARGE`] parameters, whose images take long on a processor.
const IMAGES_LARGE: usize = 8;
/// Parameters of a large network.
const LARGE: usize = 10_000_000;
/// Points per run of the network.
const POINTS: usize = 4096;

/// Stores of the sampler.
const PARAMETERS: &str = "sample.param";

/// A generator on a device.
pub struct Generator {
    plan: PlanId,
    /// Samples per run.
    rows: usize,
    /// Numbers per sample.
    width: usize,
}

/// Reads a generator snapshot: a file, or the newest one of a run's folder.
pub fn open_model(path: &Path) -> anyhow::Result<ModelFile> {
    let file = if path.is_dir() { newest_snapshot(path)? } else { path.to_path_buf() };
    let model = ModelFile::open(&file)?;
    let is = match model.meta.kind {
        ModelKind::Generator => {
            // Weights that do not fit are the file's fault: say so before a device is opened.
            model.own_parameters()?;
            return Ok(model);
        }
        ModelKind::Denoiser => "a denoiser from a warm-up",
        ModelKind::Ratio => "a ratio network",
        ModelKind::State => "the state of a run",
    };
    Err(bad_input!("{}: is {is}, not a generator; give a file like snapshots/generator-000500.safetensors", model.name))
}

fn newest_snapshot(folder: &Path) -> anyhow::Result<PathBuf> {
    let inner = folder.join("snapshots");
    let inner = if inner.is_dir() { inner } else { folder.to_path_buf() };
    let fail = |got| bad_input!("{}: cannot be read: {got}; give a snapshot file", inner.display());
    let is_snapshot = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("generator-") && name.ends_with(".safetensors")
    };
    let paths = std::fs::read_dir(&inner).map_err(fail)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    // Numbers are padded with zeros; a longer name is a larger number.
    let newest = paths.filter(is_snapshot).max_by_key(|path| (path.as_os_str().len(), path.clone()));
    newest.ok_or_else(|| bad_input!("{}: holds no generator-*.safetensors; give a snapshot file", inner.display()))
}

impl Generator {
    /// Puts a generator on a device.
    pub fn new(executor: &mut Executor, model: &ModelFile) -> anyhow::Result<Self> {
        let network = &model.meta.network;
        let parameters = model.own_parameters()?;
        let width: usize = model.meta.data_shape.iter().product();
        let rows = match &model.meta.data_shape[..] {
            [_, _, _] if network.generator_layout().parameters() > LARGE => IMAGES_LARGE,
            [_, _, _] => IMAGES,
            _ => POINTS,
        };
        executor.create_store(PARAMETERS, parameters.len().max(SLOT_ALIGN))?;
        executor.write(PARAMETERS, 0, &parameters)?;
        for store in ["sample.latent", "sample.sample"] {
            executor.create_store(store, (rows * width).next_multiple_of(SLOT_ALIGN))?;
        }
        let graph = Graph::new();
        let plan = sampler(&graph, network, model.meta.sigma_init, "sample", PARAMETERS, rows).build()?;
        Ok(Self { plan: executor.prepare(&plan)?, rows, width })
    }

    /// Samples per run of the network.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The samples of at most [`Generator::rows`] seeds, one after the other.
    pub fn draw(&self, executor: &mut Executor, seeds: &[u32]) -> anyhow::Result<Vec<f32>> {
        assert!(seeds.len() <= self.rows, "callers cut seeds into batches");
        let mut latents: Vec<f32> = seeds.iter().flat_map(|seed| latent(*seed, self.width)).collect();
        latents.resize(self.rows * self.width, 0.0);
        executor.write("sample.latent", 0, &latents)?;
        executor.run(self.plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
        let samples = pollster::block_on(executor.read("sample.sample", 0, seeds.len() * self.width))?;
        match samples.iter().position(|x| !x.is_finite()) {
            Some(i) => anyhow::bail!("seed {} gives {}; the model has diverged", seeds[i / self.width], samples[i]),
            None => Ok(samples),
        }
    }

    /// The samples of any number of seeds.
    pub fn draw_all(&self, executor: &mut Executor, seeds: &[u32]) -> anyhow::Result<Vec<f32>> {
        let mut samples = Vec::with_capacity(seeds.len() * self.width);
        for seeds in seeds.chunks(self.rows) {
            samples.extend(self.draw(executor, seeds)?);
        }
        Ok(samples)
    }
}
