//! f-distill (Xu et al. 2025, arXiv 2502.15681): distribution matching of any f-divergence. It is the pull of reverse KL
//! with a weight for each sample, a function h of the density ratio r of data and samples, which the discriminator knows.
//!
//! Written after NVIDIA's published code and the abstract; the paper was not read whole. There the bins of noise levels
//! are equal in the level, so that small levels share one; here they are equal in its logarithm.

use super::super::bins::{bin_indicator, mean_by_bin};
use super::super::divergence::{LOGIT, RATIO};
use super::super::recipe::{Method, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, generator_rates};
use super::{dmd, dmd2, judge};
use crate::graph::Var;
use crate::nets::per_sample;
use crate::train::Divergence;

/// Distribution matching of any f-divergence.
pub const METHOD: Method = Method {
    name: "f-distill",
    about: "As dmd2, each sample's pull weighed by the density ratio that the head knows: another divergence is reduced.",
    paper: "arXiv 2502.15681",
    knobs: &score::knobs::<17>(&["gan_weight", "gan_start", "few_steps", "backward", "divergence"]),
    needs: &[Need::Teacher],
    settings: |c| {
        dmd2::settings(c);
        c.divergence = Divergence::Js;
    },
    recipe: |setup| {
        let story = judge::story(
            "What teacher and fake denoiser disagree on moves samples, each by a weight: a function of how much more likely \
             data are there than samples.",
        );
        judge::recipe(setup, GENERATOR, &story)
    },
};

/// Store of the running mean density ratio, one per bin of noise levels.
const RATIOS: &str = "generator.ratios";

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by the difference of two scores, weighed by the density ratio, and to where they are taken for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// DMD2's step with the weight `h(r)`, relative to its mean over the batch. The ratio is relative to its running mean at
/// each noise level.
fn generator(step: &Step<'_>) {
    let (net, denoised, logit) = judge::asked(step);
    let ratio = ratio(logit);
    let (_, u) = step.sigma();
    let indicator = bin_indicator(u);
    let means = mean_by_bin(step, RATIOS, ratio, indicator);
    let own = (indicator * means).sum(&[0]).reshape(&[step.batch()]);
    let weight = step.kept(weight(step.config().divergence, ratio, own));
    let mean = step.over_batch(weight.sum_all()) * (1.0 / step.config().batch as f32);
    step.record("Ratio/mean", ratio.mean_all());
    let pull = step.kept(dmd::gradient(&denoised)) * per_sample(weight / mean, denoised.y.rank());
    step.descend(&net, score::pulled(denoised.y, pull) + judge::price(step, logit).mean_all());
}

/// The density ratio of data and samples `[B]`, detached, by a logit.
fn ratio(logit: Var<'_>) -> Var<'_> {
    logit.detach().clamp(-LOGIT, LOGIT).exp().clamp(RATIO.0, RATIO.1)
}

/// `h` of a ratio relative to a mean of it.
fn weight<'g>(divergence: Divergence, ratio: Var<'g>, mean: Var<'g>) -> Var<'g> {
    divergence.weight((ratio / mean).log())
}

#[cfg(test)]
mod tests {
    use super::super::gaussian::DATA;
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};

    /// Of samples that are a Gaussian of the data's deviation, noised: with the exact ratio as the weight, the mean pull
    /// is the slope of the divergence by their mean, here by differences of its integral. With weight 1 it is that of
    /// reverse KL.
    #[test]
    fn the_weighted_pull_descends_each_divergence() {
        let normal = |x: f64, mean: f64, deviation: f64| {
            (-0.5 * ((x - mean) / deviation).powi(2)).exp() / (deviation * (2.0 * std::f64::consts::PI).sqrt())
        };
        let [mean, deviation] = DATA;
        let grid: Vec<f64> = (0..4000).map(|i| -6.0 + 0.003 * f64::from(i)).collect();
        let p = |x: f64| normal(x, mean, deviation);
        // f of D_f = integral of q f(p / q).
        let f = |divergence: Divergence, r: f64| match divergence {
            Divergence::ReverseKl => -r.ln(),
            Divergence::ForwardKl => r * r.ln(),
            _ => r * r.ln() - (r + 1.0) * f64::midpoint(r, 1.0).ln(),
        };
        let at = 0.45;
        for divergence in [Divergence::ReverseKl, Divergence::ForwardKl, Divergence::Js] {
            let value = |m: f64| -> f64 {
                grid.iter()
                    .map(|x| (normal(*x, m, deviation), p(*x)))
                    .map(|(q, p)| q * f(divergence, p / q) * 0.003)
                    .sum()
            };
            let wanted = (value(at + 1e-4) - value(at - 1e-4)) / 2e-4;
            // Samples at the grid's places count as their density.
            let graph = Graph::new();
            let logit = graph.input("logit", 0, &[grid.len()]);
            let h = weight(divergence, ratio(logit), graph.constant(1.0));
            let logits: Vec<f64> = grid.iter().map(|x| (p(*x) / normal(*x, at, deviation)).ln()).collect();
            let h = evaluate(&graph, &feed(&[("logit", &logits)]), &[h]).remove(0);
            // The difference of the scores is the same everywhere.
            let pull = (at - mean) / (deviation * deviation);
            let got: f64 = grid.iter().zip(&h).map(|(x, h)| normal(*x, at, deviation) * h * pull * 0.003).sum();
            // Bounds of the ratio hardly matter so near to the data.
            assert_close(&[got], &[wanted], 2e-3);
        }
    }
}
