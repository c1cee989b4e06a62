//! Easy consistency tuning (Geng et al. 2024, arXiv 2406.14548): a denoiser is tuned until its outputs at two levels of
//! the same noise agree, and so one evaluation gives a sample.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Phase, Rates, Recipe, Subject, Update};
use super::super::step::{Setup, Step, Weights};
use super::{from_noise, phase, tuned, walked};
use crate::graph::Var;
use crate::nets::{Draw, per_sample};

/// Consistency tuning.
pub const METHOD: Method = Method {
    name: "ect",
    about: "A denoiser is tuned until it says the same at any two levels of one noise; then one evaluation is a sample.",
    paper: "arXiv 2406.14548",
    knobs: &["warmup_steps", "lr_warmup", "lr_generator", "label_dropout", "cooldown"],
    needs: &[],
    settings: from_noise,
    recipe,
};

/// Levels: ln t is normal (the published code: -1.1, 2).
const LEVELS: (f32, f32) = (-1.1, 2.0);
/// Stages over the phase, in each of which the two levels are half as far from each other.
const STAGES: f32 = 8.0;
/// How much farther low levels are (k of the published code; its b is 1).
const FARTHER: f32 = 8.0;
/// Lowest level at which a network is evaluated.
const LOWEST: f32 = 0.002;
/// Of the pseudo-Huber norm, per root of the data's dimension (Song and Dhariwal 2023, arXiv 2310.14189).
const HUBER: f32 = 0.000_54;

fn recipe(setup: &Setup) -> Recipe {
    let last = phase("tuning", "steps", TUNING, Vec::new());
    // What it is tuned to be has no paths.
    walked(tuned(setup, setup.network.clone(), last, Draw::once(setup.config.sigma_init), STORY), Phase::denoiser)
}

const TUNING: Update = Update {
    name: "tuning",
    about: "the network learns to say the same at two levels of one noise",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: tuning,
};

/// `E |D(x0 + t eps; t) - sg D(x0 + r eps; r)| / (t - r)`, the target x0 itself where r is 0.
fn tuning(step: &Step<'_>) {
    let net = step.net("generator");
    let (x0, rank) = (step.real(), step.real().rank());
    let eps = step.normal(Stream::NoiseReal);
    let (mean, deviation) = LEVELS;
    let highest = step.graph().constant(step.config().sigma_init);
    let lowest = step.graph().constant(LOWEST);
    let t = (step.levels() * deviation + mean).exp().max(lowest).min(highest);
    // r / t = 1 - (1 + k sigmoid(-b t)) / q^stage (the published code's, q = 2, b = 1), from diffusion to consistency.
    let stage = stage(step.progress());
    let apart = ((-t).sigmoid() * FARTHER + 1.0) * (stage * -std::f32::consts::LN_2).exp();
    let r = t * (1.0 - apart);
    let r = r * lowest.less(r);
    let frozen = step.frozen("generator", Weights::Param);
    let below = |x, r| frozen.denoise(x, lowest.max(r));
    let error = disagreement(|x, t| net.denoise(x, t), below, x0, eps, t, r);
    let axes: Vec<usize> = (1..rank).collect();
    let squares = error.square().sum(&axes).reshape(&[step.batch()]);
    let c = HUBER * (step.width() as f32).sqrt();
    let distance = (squares + c * c).sqrt() - c;
    let loss = (distance / (t - r)).mean_all();
    step.record("Loss/tuning", loss);
    step.record("Levels/apart", (r / t).mean_all());
    step.descend(&net, loss);
}

/// The stage, from 1 on, by how far the phase is; that is 1 in its last turn.
fn stage(progress: Var<'_>) -> Var<'_> {
    (progress * STAGES).floor().min(progress.graph().constant(STAGES - 1.0)) + 1.0
}

/// `D(x0 + t eps; t) - sg D(x0 + r eps; r)` of data and noise `[B, ..]` at the levels `t` and `r [B]`; where r is 0, the
/// second is x0 itself.
fn disagreement<'g>(
    at_t: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>,
    at_r: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>,
    x0: Var<'g>,
    eps: Var<'g>,
    t: Var<'g>,
    r: Var<'g>,
) -> Var<'g> {
    let rank = x0.rank();
    let noised = |level| x0 + per_sample(level, rank) * eps;
    let above = per_sample(x0.graph().constant(0.0).less(r), rank);
    let target = above * at_r(noised(r), r) + (1.0 - above) * x0;
    at_t(noised(t), t) - target.detach()
}

const STORY: &[Moment] = &[
    Moment {
        name: "Two levels",
        about: "A batch of real data gets one noise at two levels, which come closer to each other from stage to stage.",
        subject: Subject::Real,
        update: None,
        statistic: Some("Levels/apart"),
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Tuning",
        about: "What the network says at the higher level moves to what it says at the lower.",
        subject: Subject::Fake,
        update: Some("tuning"),
        statistic: Some("Loss/tuning"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, SIGNS, consistency, denoiser, gradient, stationary};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    fn levels(x0: Var<'_>, t: f32, r: f32) -> [Var<'_>; 2] {
        [t, r].map(|level| x0.graph().full(level, &[SIGNS.len()]))
    }

    #[test]
    fn the_last_turn_is_of_the_last_stage() {
        let graph = Graph::new();
        let stages = stage(graph.input("progress", 0, &[5]));
        let out = evaluate(&graph, &feed(&[("progress", &[0.0, 0.124, 0.125, 0.999, 1.0])]), &[stages]).remove(0);
        assert_eq!(out, [1.0, 1.0, 2.0, 8.0, 8.0]);
    }

    /// As the levels come closer to each other, diffusion becomes consistency.
    #[test]
    fn at_first_the_denoiser_is_where_training_stays() {
        stationary(DATA, |x0, eps| {
            let [t, r] = levels(x0, 0.75, 0.0);
            disagreement(denoiser, denoiser, x0, eps, t, r)
        });
    }

    /// With one noise for both levels the mean of the lower answer differs from the exact map's at the higher by the
    /// square of their distance. Divided by that, as in the loss, what is left of a slope at the exact map is the smaller,
    /// the closer the levels are.
    #[test]
    fn at_last_the_consistency_map_is_where_training_stays() {
        let off = |gap: f32| {
            let gradient = gradient(DATA, |x0, eps| {
                let [t, r] = levels(x0, 0.75, 0.75 - gap);
                disagreement(consistency, consistency, x0, eps, t, r)
            });
            gradient.iter().map(|g| g.abs()).fold(0.0, f64::max) / f64::from(gap)
        };
        let [far, near, nearest] = [0.2, 0.1, 0.05].map(off);
        assert!(far > 1e-3, "{far} proves nothing");
        for (wide, half) in [(far, near), (near, nearest)] {
            assert!((1.8..2.5).contains(&(wide / half)), "half the distance: {wide} became {half}");
        }
    }
}
