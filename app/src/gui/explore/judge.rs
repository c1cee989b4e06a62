//! Best of N on the worker: candidates drawn and ranked in chunks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use onestep_core::exec::Executor;
use onestep_core::model::ModelFile;
use onestep_core::sampling::{Generator, Verifier};

use super::bench::images;
use super::job::{Answer, Form, Ranked, Samples};
use super::worker::Turn;
use crate::verifier::{open_ratio, sibling};

/// Candidates that are drawn and judged at a time.
const CHUNK: usize = 16;

/// A ratio network, once it has been asked for.
#[derive(Default)]
pub struct Judge {
    /// With the file that it is from.
    loaded: Option<(PathBuf, Verifier)>,
}

impl Judge {
    /// Ranks the candidates of a seed; nothing if it gave way to another task.
    pub fn best(
        &mut self,
        file: &ModelFile,
        executor: &mut Executor,
        generator: &mut Generator,
        (seed, candidates): (u32, u32),
        ratio: Option<&Path>,
        turn: &Turn<'_>,
    ) -> anyhow::Result<Option<Answer>> {
        let path = ratio.map_or_else(|| sibling(Path::new(&file.name)), Path::to_path_buf);
        if ratio.is_none() && !path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Ok(Some(Answer::Missing(format!(
                "There is no {name} beside this generator. Training writes both into the folder snapshots: keep them \
                 together, or choose the ratio network's file."
            ))));
        }
        let chunk = CHUNK.min(generator.rows());
        let verifier = match &mut self.loaded {
            Some((from, verifier)) if *from == path => verifier,
            loaded => {
                let model = open_ratio(Some(&path), file)?;
                let verifier = Verifier::new(executor, &model, chunk)?;
                &mut loaded.insert((path, verifier)).1
            }
        };
        generator.prepare(executor, chunk)?;

        let start = Instant::now();
        // As `onestep sample --best-of` counts them, all of the class of the seed.
        let classes = generator.meta().network.classes_of(&[seed]);
        let seeds: Vec<u32> = (0..candidates).map(|j| seed.wrapping_mul(candidates).wrapping_add(j)).collect();
        let (mut values, mut scores) = (Vec::new(), Vec::new());
        for seeds in seeds.chunks(chunk) {
            if turn.is_over() {
                return Ok(None);
            }
            let drawn = pollster::block_on(generator.draw_seeds_of(executor, seeds, &classes))?;
            scores.extend(pollster::block_on(verifier.scores_of(executor, &drawn, &classes))?);
            values.extend(drawn);
        }
        let secs = start.elapsed().as_secs_f64();

        let mut order: Vec<usize> = (0..seeds.len()).collect();
        // Stable: of equal ones the first, as in the command.
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let width = generator.width();
        let sorted = order.iter().flat_map(|i| &values[i * width..][..width]).copied().collect();
        let samples = Arc::new(Samples::new(sorted, file));
        Ok(Some(Answer::Ranked(Ranked {
            seeds: order.iter().map(|i| seeds[*i]).collect(),
            scores: order.iter().map(|i| scores[*i]).collect(),
            images: images(&samples, Form::Each)?,
            samples,
            secs,
        })))
    }
}
