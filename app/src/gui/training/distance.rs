//! How far images are from the data, live: the Fréchet distance on the features of the built-in classifier.
//!
//! It is measured in slices, one between two iterations, so that nobody waits for it; the generator's moving
//! average hardly changes meanwhile.

use onestep_core::eval::frechet::{FeatureStats, frechet_distance};
use onestep_core::eval::images::random_order;
use onestep_core::eval::lenet::{Lenet, LenetError, LoadedLenet};
use onestep_core::exec::Executor;
use onestep_core::exec::cpu::CpuExecutor;
use onestep_core::nets::latent;
use onestep_core::session::{Session, SessionError, to_bytes};
use onestep_core::train::TrainingData;

/// Real images of the reference.
const REAL: usize = 5_000;
/// Samples behind a value: fewer would leave the covariance of the features to chance.
const SAMPLES: u32 = 1_024;
/// Samples of a slice, one run of the sampler.
const SLICE: u32 = 64;

/// Measures the samples of a run on digits.
pub struct Distance {
    /// The classifier is small, and the run's own device busy.
    executor: Executor,
    lenet: LoadedLenet,
    reference: FeatureStats,
    /// Features of the samples that were drawn for the next value.
    features: Vec<f32>,
    drawn: u32,
    /// Step from which on the next value is measured.
    due: u64,
}

impl Distance {
    /// For images that the classifier knows; none for others.
    pub fn new(data: &TrainingData) -> Result<Option<Self>, LenetError> {
        if !data.spec.bytes || Lenet::check_shape(&data.spec.shape).is_err() {
            return Ok(None);
        }
        let bytes: Vec<u8> = data.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let width = data.spec.width();
        let chosen = random_order(data.spec.rows).into_iter().take(REAL);
        let real: Vec<u8> = chosen.flat_map(|row| &bytes[row * width..][..width]).copied().collect();
        let mut executor = Executor::Cpu(CpuExecutor::new());
        let lenet = Lenet::embedded()?.load(&mut executor)?;
        let reference = pollster::block_on(lenet.run(&mut executor, "training images", &real))?;
        let reference = statistics(&reference.features, real.len() / width)?;
        Ok(Some(Self { executor, lenet, reference, features: Vec::new(), drawn: 0, due: 0 }))
    }

    /// Whether there is a slice to measure: a value is due once per snapshot of the last phase.
    pub fn is_due(&self, session: &Session) -> bool {
        session.iterations() >= self.due && session.trainer().in_last_phase()
    }

    /// One slice. The value comes with the last.
    pub async fn slice(&mut self, session: &mut Session) -> Result<Option<f64>, SessionError> {
        let width = session.data().spec.width();
        let latents: Vec<f32> = (self.drawn..self.drawn + SLICE).flat_map(|seed| latent(seed, width)).collect();
        let samples = session.map(&latents).await?;
        self.drawn += SLICE;
        let judged = self.judge(&samples).await;
        if self.drawn == SAMPLES {
            (self.drawn, self.due) = (0, session.iterations() + session.trainer().config().snap);
            self.features.clear();
        }
        Ok(judged.unwrap_or_else(|error| {
            tracing::warn!("the quality of samples is not measured any more: {error}");
            self.due = u64::MAX;
            None
        }))
    }

    /// Adds samples; the distance, if they were the last.
    async fn judge(&mut self, samples: &[f32]) -> Result<Option<f64>, LenetError> {
        let images = to_bytes(samples);
        self.features.extend(self.lenet.run(&mut self.executor, "samples", &images).await?.features);
        if self.drawn < SAMPLES {
            return Ok(None);
        }
        let generated = statistics(&self.features, SAMPLES as usize)?;
        Ok(Some(frechet_distance(&self.reference, &generated)?))
    }
}

fn statistics(features: &[f32], rows: usize) -> Result<FeatureStats, LenetError> {
    Ok(FeatureStats::from_features(features, rows, features.len() / rows)?)
}
