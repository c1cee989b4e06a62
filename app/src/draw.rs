//! Drawing from a generator snapshot: files and seeds in, numbers out.
//!
//! What is drawn, and in which batches, is `onestep_core::sampling`; here are the paths, and the
//! errors in the words of the command line.

use std::path::{Path, PathBuf};

use onestep_core::exec::Executor;
use onestep_core::model::{ModelFile, ModelKind};
use onestep_core::sampling::{Generator, SamplingError};

use crate::exit::bad_input;

/// Reads a generator snapshot: a file, or the newest one of a run's folder.
pub fn open_model(path: &Path) -> anyhow::Result<ModelFile> {
    let model = ModelFile::open(snapshot(path)?)?;
    let is = match model.meta.kind {
        ModelKind::Generator | ModelKind::Denoiser => {
            // Weights that do not fit are the file's fault: say so before a device is opened.
            model.own_parameters()?;
            return Ok(model);
        }
        ModelKind::Ratio => "a ratio network",
        ModelKind::State => "the state of a run",
    };
    Err(bad_input!("{}: is {is}, not a generator; give a file like snapshots/generator-000500.safetensors", model.name))
}

/// Draws in so many levels instead of those that the file says.
pub fn set_steps(model: &mut ModelFile, steps: Option<u32>) -> anyhow::Result<()> {
    if let Some(steps) = steps {
        let draw = model.meta.draw().with_levels(steps as usize);
        if !draw.is_valid() {
            let (name, sigma) = (&model.name, draw.sigmas[0]);
            return Err(bad_input!("--steps {steps}: from noise of {sigma}, {name} draws in one step alone"));
        }
        model.meta.draw = Some(draw);
    }
    Ok(())
}

/// A file, or the newest generator of a run's folder.
pub fn snapshot(path: &Path) -> anyhow::Result<PathBuf> {
    if path.is_dir() { newest_snapshot(path) } else { Ok(path.to_path_buf()) }
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

/// Puts a generator on a device, ready to draw.
pub fn open_generator(executor: &mut Executor, model: &ModelFile) -> anyhow::Result<Generator> {
    let rows = Generator::usual_batch(&model.meta);
    let mut generator = Generator::new(executor, model, &[rows])?;
    generator.prepare(executor, rows)?;
    Ok(generator)
}

/// The samples of any number of seeds, one after the other. `classes` has that of each for a model with classes, and
/// nothing for another.
pub fn draw(
    generator: &mut Generator,
    executor: &mut Executor,
    seeds: &[u32],
    classes: &[u32],
) -> anyhow::Result<Vec<f32>> {
    let mut samples = Vec::with_capacity(seeds.len() * generator.width());
    let mut classes = classes.iter().copied();
    for seeds in seeds.chunks(generator.rows()) {
        let classes: Vec<u32> = classes.by_ref().take(seeds.len()).collect();
        match pollster::block_on(generator.draw_seeds_of(executor, seeds, &classes)) {
            Ok(drawn) => samples.extend(drawn),
            Err(SamplingError::NotFinite { index, value }) => {
                anyhow::bail!("seed {} gives {value}; the model has diverged: take an earlier snapshot", seeds[index])
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(samples)
}
