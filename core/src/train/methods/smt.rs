//! Score of mixture training (Jayashankar, Ryu and Wornell 2025, arXiv 2502.09609): one denoiser learns mixtures of noised
//! data and noised samples, for every share of data in the mixture, and samples follow what the shares differ by. There is
//! no teacher.
//!
//! The text was read; its discriminator, which is said to help at the beginning, is left out. The authors' code multiplies
//! by the weight by which the text divides; this is the text's.

use super::super::batch::Stream;
use super::super::recipe::{
    Count, Field, First, Handover, Head, Method, Mode, Network, Phase, Recipe, See, Sight, Subject, Update,
};
use super::super::step::{Setup, Step, Weights};
use super::score::{self, Denoised, generator_rates};
use super::{Rates, lengths, warm_up};
use crate::graph::Var;
use crate::model::ModelKind;
use crate::nets::{Draw, denoising_weight, per_sample};

/// Scores of mixtures.
pub const METHOD: Method = Method {
    name: "smt",
    about: "One denoiser learns mixtures of data and samples of every share, and samples follow their difference; no teacher.",
    paper: "arXiv 2502.09609",
    knobs: &[
        "warmup_steps",
        "lr_warmup",
        "lr_generator",
        "lr_critic",
        "critic_steps",
        "label_dropout",
        "mixture_share",
        "cooldown",
        "beta1",
        "beta2",
        "sigma_min",
        "sigma_max",
    ],
    needs: &[],
    settings: |c| {
        // Five as in the authors' script for CIFAR-10; the level as where a generator begins as a teacher.
        c.critic_steps = 5;
        c.sigma_init = c.sigma_init.min(2.5);
    },
    recipe,
};

/// Seed of the mixtures' denoiser.
const MIXTURE_SALT: u32 = 0x4D49_5854;

fn recipe(setup: &Setup) -> Recipe {
    let network = |name, net, first| Network { name, net, head: Head::Denoise, first, mode: Mode::Trained };
    // A warmed-up denoiser becomes the generator alone (section 3.5): of mixtures nothing is known yet.
    let inherit = vec![Handover::Copy { from: "generator", to: "generator" }];
    let training = Phase {
        name: "training",
        length: Count::Knob("steps"),
        turn: vec![(Count::Knob("critic_steps"), MIXTURE), (Count::Times(1), GENERATOR)],
        saves: vec![("generator", ModelKind::Generator)],
        draw: None,
        then: Vec::new(),
    };
    let mut story = score::story(
        "One denoiser, which is told how much of a mixture is data, learns to remove noise from data and samples alike.",
        "What the denoiser says of samples alone and of a mixture with data differs by a move towards the data, the surer \
         the more of them are in it.",
    );
    (story[1].name, story[1].update, story[1].statistic) = ("Mixture", Some("mixture"), Some("Loss/mixture"));
    Recipe {
        networks: vec![
            network("generator", setup.network.clone(), First::Random(0)),
            network("mixture", setup.network.clone().with_two_times(), First::Random(MIXTURE_SALT)),
        ],
        phases: warm_up(&setup.config, "generator", &inherit).into_iter().chain([training]).collect(),
        inherit,
        draw: Draw::once(setup.config.sigma_init),
        sights: vec![PULL],
        story: story.to_vec(),
        plots: Vec::new(),
        alarms: Vec::new(),
    }
}

/// What data alone and samples alone differ by.
const PULL: Sight = Sight {
    name: "Pull",
    about: "Where data would move a noised point, and samples would not: arrows show the difference of their scores, and \
            the colour how far the two disagree.",
    see: See::Field(|step, x, sigma| {
        let net = step.frozen("mixture", Weights::Param);
        let [none, all] = [0.0, 1.0].map(|share| net.denoise_mixed(x, sigma, step.graph().full(share, &[1])));
        Field { height: lengths(all - none), arrow: (all - none) / sigma.square().reshape(&[1, 1]) }
    }),
};

/// Equation 8 for denoisers (appendix C.1): data count as much as their share, samples for the rest.
const MIXTURE: Update = Update {
    name: "mixture",
    about: "a denoiser learns mixtures of data and samples",
    subject: Subject::Critic,
    rates: |c| Rates { lr: c.lr_critic, ..generator_rates(c) },
    build: |step| {
        let net = step.net("mixture");
        let y = step.frozen("generator", Weights::Param).generate(step.latent());
        let (sigma, _) = step.sigma();
        let share = learned(step.uniform(Stream::Level));
        let parts = [(step.real(), share, Stream::NoiseReal), (y, 1.0 - share, Stream::NoiseFake)];
        let loss = parts.map(|(clean, counts, stream)| {
            let denoised = net.denoise_mixed(step.noised(clean, sigma, stream), sigma, share);
            let weight = per_sample(denoising_weight(sigma) * counts, clean.rank());
            (weight * (denoised - clean).square()).mean_all()
        });
        let loss = loss[0] + loss[1];
        step.record("Loss/mixture", loss);
        step.descend(&net, loss);
    },
};

/// Shares of data `[B]` that are learned, of numbers in 0 to 1: none for a quarter of them, since every move asks for
/// that, and else any (section 3.5).
fn learned(u: Var<'_>) -> Var<'_> {
    (u * (4.0 / 3.0) - 1.0 / 3.0).max(u.graph().constant(0.0))
}

/// Shares of data `[B]` that samples are compared with, of numbers in 0 to 1: thousandths, of which none is 0; `only` this
/// one if that is not 0.
fn followed<'g>(u: Var<'g>, only: Var<'g>) -> Var<'g> {
    let any = ((u * 1000.0).floor() + 1.0) * 1e-3;
    any + only.sign() * (only - any)
}

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by what mixtures with more and less data differ by",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

fn generator(step: &Step<'_>) {
    let net = step.net("generator");
    let y = net.generate(step.latent());
    let (sigma, _) = step.sigma();
    let x_t = step.noised(y, sigma, Stream::NoiseFake);
    let share = followed(step.uniform(Stream::Level), step.knob("mixture_share"));
    let mixture = step.frozen("mixture", Weights::Param);
    let mixed = |share| mixture.denoise_mixed(x_t, sigma, share);
    let [none, all] = [0.0, 1.0].map(|share| mixed(step.graph().full(share, &[1])));
    let denoised = Denoised { y, sigma, teacher: all, fake: none };
    score::pull(step, &net, &denoised, gradient(&denoised, mixed(share)));
}

/// Equation 9: `(D_0 - D_a) |D_0 - D_1| / |D_0 - D_a| / mean |y - D_1|`, norms over a sample. `(D_0 - D_a) / a` is sigma^2
/// times the slope of the skew Jensen-Shannon divergence (proposition 3.1); the weight makes it as large for every share a
/// as for 1, where it is that of dmd; of points the error is that of the level, as in sid.
///
/// A part of less than a ten-thousandth of the data's unit is rounding more than direction, and is not made larger.
fn gradient<'g>(denoised: &Denoised<'g>, mixed: Var<'g>) -> Var<'g> {
    let (whole, part) = (denoised.difference(), (denoised.fake - mixed).detach());
    let rank = whole.rank();
    let axes: Vec<usize> = (1..rank).collect();
    let size = |x: Var<'g>| per_sample((x.square().mean(&axes) + 1e-8).sqrt(), rank);
    part * (size(whole) / size(part)) / denoised.error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};

    /// Log density of a Gaussian, and its slope.
    fn gaussian(x: f64, mean: f64, variance: f64) -> (f64, f64) {
        let log = -0.5 * ((x - mean).powi(2) / variance + (2.0 * std::f64::consts::PI * variance).ln());
        (log, (mean - x) / variance)
    }

    /// Places of a sum over the line.
    fn line() -> impl Iterator<Item = f64> {
        (-400..=400).map(|i| f64::from(i) * 0.02)
    }

    /// Section 3.1 for noised samples of this mean and noised data: `KL(q | m) / a + KL(p | m) / (1 - a)` with
    /// `m = a p + (1 - a) q`, as a sum.
    fn divergence(mean: f64, share: f64) -> f64 {
        line()
            .map(|x| {
                let ((q, _), (p, _)) = (gaussian(x, mean, SAMPLES), gaussian(x, 0.0, DATA));
                let mixed = (share * p.exp() + (1.0 - share) * q.exp()).ln();
                0.02 * (q.exp() * (q - mixed) / share + p.exp() * (p - mixed) / (1.0 - share))
            })
            .sum()
    }

    /// Variances, noise included.
    const DATA: f64 = 0.8;
    const SAMPLES: f64 = 0.6;
    const SIGMA: f64 = 0.5;

    /// Noised samples in one dimension, with denoisers of mixtures that are exact: what they move by, less the weight, is
    /// the slope of the divergence by their mean, which is got here by finite differences.
    #[test]
    fn samples_descend_the_skew_divergence_of_every_share() {
        let mean = 0.7;
        let places: Vec<f64> = line().collect();
        let score = |x: f64, share: f64| {
            let ((q, of_samples), (p, of_data)) = (gaussian(x, mean, SAMPLES), gaussian(x, 0.0, DATA));
            let (p, q) = (share * p.exp(), (1.0 - share) * q.exp());
            (p * of_data + q * of_samples) / (p + q)
        };
        let denoiser =
            |share: f64| -> Vec<f64> { places.iter().map(|&x| x + SIGMA * SIGMA * score(x, share)).collect() };
        let error = SIGMA * 0.5 / (SIGMA * SIGMA + 0.25).sqrt();
        for share in [0.1, 0.5, 0.9] {
            let graph = Graph::new();
            let [y, fake, mixed, teacher] =
                ["y", "none", "mixed", "all"].map(|store| graph.input(store, 0, &[places.len(), 1]));
            let denoised = Denoised { y, sigma: graph.full(SIGMA as f32, &[places.len()]), teacher, fake };
            let moves = gradient(&denoised, mixed);
            let (none, some, all) = (denoiser(0.0), denoiser(share), denoiser(1.0));
            let stores = feed(&[("y", &places), ("none", &none), ("mixed", &some), ("all", &all)]);
            let got = evaluate(&graph, &stores, &[moves]).remove(0);
            let slope: f64 = (0..places.len())
                .map(|i| {
                    let x = places[i];
                    let whole = SIGMA * SIGMA * (score(x, 0.0) - score(x, 1.0));
                    let part = SIGMA * SIGMA * (score(x, 0.0) - score(x, share));
                    let weight = share * whole.abs() / part.abs().max(1e-9) / error;
                    0.02 * gaussian(x, mean, SAMPLES).0.exp() * got[i] / weight
                })
                .sum();
            let wanted = (divergence(mean + 1e-4, share) - divergence(mean - 1e-4, share)) / 2e-4;
            assert_close(&[slope / (SIGMA * SIGMA)], &[wanted], 1e-3);
        }
    }

    #[test]
    fn shares_are_those_of_the_paper() {
        let graph = Graph::new();
        let (u, only) = (graph.input("u", 0, &[5]), graph.input("only", 0, &[1]));
        let numbers = [0.0, 0.2, 0.25, 0.625, 0.9999];
        let shares = |only_this: f64| {
            let stores = feed(&[("u", &numbers), ("only", &[only_this])]);
            evaluate(&graph, &stores, &[learned(u), followed(u, only)])
        };
        let out = shares(0.0);
        assert_close(&out[0], &[0.0, 0.0, 0.0, 0.5, 0.99987], 1e-4);
        assert_close(&out[1], &[0.001, 0.201, 0.251, 0.626, 1.0], 1e-5);
        assert_close(&shares(0.5)[1], &[0.5; 5], 1e-5);
    }
}
