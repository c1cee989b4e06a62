//! One of several candidates for each sample, by the ratio network's score: best-of-N, and resampling.

use super::{Generator, SamplingError, Verifier};
use crate::exec::Executor;
use crate::random::{threefry2x32, uniform};

/// Which of the candidates is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The one with the highest score; of equal ones the first.
    Best,
    /// One at random, in proportion to the exponential of its score: sampling importance resampling (Rubin 1987). With
    /// the exact log density ratio for a score, samples come nearer to the data's distribution the more candidates there
    /// are; the best of them are ever more alike.
    Resample,
}

/// First word of the key of resampling's random numbers: the square root of 2's bits, far from the seeds that people type.
const RESAMPLE_SEED: u32 = 0x6A09_E667;

impl Choice {
    /// What the candidate of `seed` is ranked by: the highest is kept.
    pub fn rank(self, score: f32, seed: u32) -> f32 {
        match self {
            Self::Best => score,
            // The highest of scores with Gumbel noise is a draw in proportion to their exponentials.
            Self::Resample => {
                let [bits, _] = threefry2x32([RESAMPLE_SEED, 0], [seed, 0]);
                score - (-uniform(bits).ln()).ln()
            }
        }
    }
}

/// Draws several candidates per sample and keeps one.
pub struct Chooser<'a> {
    /// Draws the candidates.
    pub generator: &'a mut Generator,
    /// Judges them.
    pub verifier: &'a Verifier,
    /// Candidates per sample.
    pub candidates: u32,
    /// Which of them is kept.
    pub choice: Choice,
    /// Candidates at a time.
    pub batch: usize,
}

/// What was kept, and what it was chosen from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// One candidate of each seed.
    pub samples: Vec<f32>,
    /// Sum of the scores of all candidates.
    pub sum: f64,
    /// Sum of the scores of those that were kept.
    pub sum_kept: f64,
}

impl Chooser<'_> {
    /// For each seed s one of the candidates with the seeds s N .. s N + N - 1. The candidates of each seed are of one of
    /// these classes, which come in turn. `advance` hears how many candidates have been judged since its last call.
    pub async fn draw(
        &mut self,
        executor: &mut Executor,
        seeds: &[u32],
        classes: &[u32],
        advance: &dyn Fn(u64),
    ) -> Result<Kept, SamplingError> {
        let n = self.candidates;
        let mut all = seeds.iter().flat_map(|seed| (0..n).map(move |j| seed.wrapping_mul(n).wrapping_add(j)));
        // The class of each candidate, in order; none for a model without classes.
        let mut each = classes.iter().cycle().flat_map(|class| (0..n).map(move |_| *class));
        let mut best: Option<(f32, f32, Vec<f32>)> = None;
        let mut kept = Kept::default();
        let mut done = 0_u64;
        loop {
            let chunk: Vec<u32> = all.by_ref().take(self.batch).collect();
            if chunk.is_empty() {
                return Ok(kept);
            }
            let classes: Vec<u32> = each.by_ref().take(chunk.len()).collect();
            let drawn = self.generator.draw_seeds_of(executor, &chunk, &classes).await?;
            let scores = self.verifier.scores_of(executor, &drawn, &classes).await?;
            let samples = drawn.chunks_exact(self.generator.width());
            for ((score, sample), seed) in scores.into_iter().zip(samples).zip(chunk.iter().copied()) {
                kept.sum += f64::from(score);
                let rank = self.choice.rank(score, seed);
                if best.as_ref().is_none_or(|(top, ..)| rank > *top) {
                    best = Some((rank, score, sample.to_vec()));
                }
                done += 1;
                if done.is_multiple_of(u64::from(n))
                    && let Some((_, score, sample)) = best.take()
                {
                    kept.sum_kept += f64::from(score);
                    kept.samples.extend(sample);
                }
            }
            advance(chunk.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_draws_in_proportion_to_the_exponential_of_scores() {
        let weights = [1.0_f32, 2.0, 5.0];
        let mut counts = [0_u32; 3];
        for group in 0..20_000_u32 {
            let rank = |j: u32| Choice::Resample.rank(weights[j as usize].ln(), 3 * group + j);
            let kept = (0..3).max_by(|a, b| rank(*a).total_cmp(&rank(*b))).unwrap();
            counts[kept as usize] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let (share, wanted) = (f64::from(*count) / 20_000.0, f64::from(weight) / 8.0);
            // Five standard deviations.
            assert!((share - wanted).abs() < 0.018, "{share} instead of {wanted}");
        }
    }

    #[test]
    fn the_best_is_kept_whatever_its_seed() {
        assert!((0..100).all(|seed| Choice::Best.rank(1.5, seed).to_bits() == 1.5_f32.to_bits()));
    }
}
