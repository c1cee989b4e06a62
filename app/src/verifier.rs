//! The ratio network as a judge of samples: best-of-N.
//!
//! `score(x) = mean over i of l(x + sigma_i eps_i, sigma_i)`, the smallest noise levels first. Noise
//! and levels are fixed, so that the score of a sample depends on that sample alone.

use std::path::{Path, PathBuf};

use onestep_core::exec::{Executor, PlanId, RunArgs};
use onestep_core::graph::Graph;
use onestep_core::model::{ModelFile, ModelKind};
use onestep_core::nets::Params;
use onestep_core::plan::{Program, SLOT_ALIGN};
use onestep_core::train::latent;

use crate::exit::bad_input;

/// Noise levels: from the smallest at which the ratio network is trained (`sigma_min` of the presets
/// for images) by factors of two, where details still show through the noise.
const SIGMAS: [f32; 4] = [0.05, 0.1, 0.2, 0.4];
/// Seeds of the noise, one per level: the golden ratio's bits, far from the seeds that people type.
const NOISE_SEED: u32 = 0x9E37_79B9;

const PARAMETERS: &str = "verifier.param";
const SAMPLES: &str = "verifier.sample";
const NOISE: &str = "verifier.noise";
const SCORES: &str = "verifier.score";

/// A ratio network on a device.
pub struct Verifier {
    plan: PlanId,
    rows: usize,
    width: usize,
}

/// The ratio snapshot for a generator: the file that was given, or its neighbour of the same step.
pub fn open_ratio(given: Option<&Path>, generator: &ModelFile) -> anyhow::Result<ModelFile> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => sibling(Path::new(&generator.name)),
    };
    if given.is_none() && !path.is_file() {
        return Err(bad_input!(
            "--best-of needs a ratio network, but there is no {}; give --ratio FILE",
            path.display()
        ));
    }
    let ratio = ModelFile::open(&path)?;
    if ratio.meta.kind != ModelKind::Ratio {
        return Err(bad_input!("{}: is not a ratio network; give a file like ratio-000500.safetensors", ratio.name));
    }
    let (wanted, got) = (&generator.meta.data_shape, &ratio.meta.data_shape);
    if wanted != got {
        return Err(bad_input!(
            "{}: judges data of shape {got:?}, the generator makes {wanted:?}; take both files from one run",
            ratio.name
        ));
    }
    ratio.own_parameters()?;
    Ok(ratio)
}

/// `ratio-000500.safetensors` beside `generator-000500.safetensors`.
fn sibling(generator: &Path) -> PathBuf {
    let name = generator.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix("generator-").map_or_else(|| format!("ratio-{name}"), |rest| format!("ratio-{rest}"));
    generator.with_file_name(name)
}

impl Verifier {
    /// Puts a ratio network on a device that judges up to `rows` samples at a time.
    pub fn new(executor: &mut Executor, model: &ModelFile, rows: usize) -> anyhow::Result<Self> {
        let shape = &model.meta.data_shape;
        let width: usize = shape.iter().product();
        let parameters = model.own_parameters()?;
        executor.create_store(PARAMETERS, parameters.len().max(SLOT_ALIGN))?;
        executor.write(PARAMETERS, 0, &parameters)?;
        let stride = width.next_multiple_of(SLOT_ALIGN);
        executor.create_store(NOISE, stride * SIGMAS.len())?;
        for i in 0..SIGMAS.len() {
            let noise: Vec<f32> = latent(NOISE_SEED.wrapping_add(i as u32), width).collect();
            executor.write(NOISE, i * stride, &noise)?;
        }
        executor.create_store(SAMPLES, (rows * width).next_multiple_of(SLOT_ALIGN))?;
        executor.create_store(SCORES, rows.next_multiple_of(SLOT_ALIGN))?;

        let graph = Graph::new();
        let params = Params::new(&graph, PARAMETERS);
        let batch = |n: usize| std::iter::once(n).chain(shape.iter().copied()).collect::<Vec<_>>();
        let samples = graph.input(SAMPLES, 0, &batch(rows));
        let logit = |(i, sigma): (usize, &f32)| {
            let noise = graph.input(NOISE, i * stride, &batch(1));
            model.meta.network.ratio(&params, samples + noise * *sigma, graph.full(*sigma, &[1]))
        };
        let sum = SIGMAS.iter().enumerate().map(logit).reduce(|a, b| a + b).expect("there are noise levels");
        let mean = sum * (1.0 / SIGMAS.len() as f32);
        let plan = Program::new("verifier", &graph).output(mean, SCORES, 0).build()?;
        Ok(Self { plan: executor.prepare(&plan)?, rows, width })
    }

    /// The scores of samples: higher is closer to the data.
    pub fn scores(&self, executor: &mut Executor, samples: &[f32]) -> anyhow::Result<Vec<f32>> {
        let count = samples.len() / self.width;
        assert!(count <= self.rows, "callers cut samples into batches");
        let mut padded = samples.to_vec();
        padded.resize(self.rows * self.width, 0.0);
        executor.write(SAMPLES, 0, &padded)?;
        executor.run(self.plan, &RunArgs { scalars: &[], seed: 0, step: 0 })?;
        Ok(pollster::block_on(executor.read(SCORES, 0, count))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_snapshots_lie_beside_their_generator() {
        let of = |name: &str| sibling(Path::new(name)).display().to_string();
        assert_eq!(of("runs/a/snapshots/generator-000500.safetensors"), "runs/a/snapshots/ratio-000500.safetensors");
        assert_eq!(of("mnist.safetensors"), "ratio-mnist.safetensors");
    }
}
