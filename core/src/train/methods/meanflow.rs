//! `MeanFlow` (Geng et al. 2025, arXiv 2505.13447): a network learns the mean velocity of a flow between two times, and one
//! step with it crosses the whole way.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Rates, Recipe, Subject, Update};
use super::super::step::{Setup, Step};
use super::{OWN, phase, tuned, walked};
use crate::graph::Var;
use crate::nets::{Draw, Rule, per_sample};

/// Mean velocities.
pub const METHOD: Method = Method {
    name: "meanflow",
    about: "A network learns the mean velocity between any two times of a flow; one step with it goes from noise to data.",
    paper: "arXiv 2505.13447",
    knobs: &["warmup_steps", "lr_warmup", "lr_generator", "label_dropout", "cooldown"],
    needs: &[],
    // From random weights: of points, a warm-up costs more than it brings. A preset of images has one.
    settings: |c| c.sigma_init = c.sigma_init.max(20.0),
    recipe,
};

/// Lowest time.
const FIRST_TIME: f32 = 0.002;
/// Share of samples whose two times are one, where the velocity itself is learned.
const SAME: f32 = 0.25;
/// Power and offset of the weight `1 / (error^2 + c)^p` (as in the published settings for CIFAR-10).
const WEIGHT: (f32, f32) = (0.75, 1e-3);

fn recipe(setup: &Setup) -> Recipe {
    let last = phase("training", "steps", MEAN, Vec::new());
    let draw = Draw { rule: Rule::Euler, sigmas: vec![setup.config.sigma_init] };
    walked(tuned(setup, setup.network.clone().with_two_times(), last, draw, STORY), OWN)
}

const MEAN: Update = Update {
    name: "mean",
    about: "the network learns the mean velocity between two times",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: mean,
};

/// The mean square of [`mean_velocity_error`], weighted.
///
/// The paper draws both times log-normally. Here t is uniform up to the time that samples start from, and r uniform
/// below it: a step over the whole way is learned as often as any other.
fn mean(step: &Step<'_>) {
    let net = step.net("generator");
    let (x0, eps) = (step.real(), step.normal(Stream::NoiseReal));
    let (graph, batch, rank) = (step.graph(), step.batch(), x0.rank());
    let last = step.config().sigma_init / (1.0 + step.config().sigma_init);
    let t = step.stratified() * (last - FIRST_TIME) + FIRST_TIME;
    let differ = graph.constant(SAME).less(step.uniform(Stream::SigmaKind));
    let gap = t * step.uniform(Stream::Level) * differ;
    let axes: Vec<usize> = (1..rank).collect();
    let error = mean_velocity_error(|y, t, gap| net.velocity(y, t, gap), x0, eps, t, gap);
    let squares = error.square().sum(&axes).reshape(&[batch]);
    let (power, offset) = WEIGHT;
    let weight = ((squares.detach() + offset).log() * -power).exp();
    let loss = (weight * squares).mean_all();
    step.record("Loss/mean", loss);
    step.record("Velocity/error", squares.mean_all() * (1.0 / step.width() as f32));
    step.descend(&net, loss);
}

/// `u(y, r, t) - sg(v - (t - r) du/dt)` (equations 10 and 11) on the line from `x0` to `eps`, both `[B, ..]`, at times
/// `t [B]` with `gap = t - r`. The total derivative along the line, `v du/dy + du/dt` with r at rest, is a
/// Jacobian-vector product.
fn mean_velocity_error<'g>(
    u: impl FnOnce(Var<'g>, Var<'g>, Var<'g>) -> Var<'g>,
    x0: Var<'g>,
    eps: Var<'g>,
    t: Var<'g>,
    gap: Var<'g>,
) -> Var<'g> {
    let (graph, rank) = (x0.graph(), x0.rank());
    let y = (1.0 - per_sample(t, rank)) * x0 + per_sample(t, rank) * eps;
    let v = eps - x0;
    let u = u(y, t, gap);
    let one = graph.full(1.0, &t.shape());
    let slope = graph.jvp(u, &[(y, v), (t, one), (gap, one)]);
    u - (v - per_sample(gap, rank) * slope).detach()
}

const STORY: &[Moment] = &[
    Moment {
        name: "Lines",
        about: "Every point of a batch is joined with a random noise by a straight line, and stands somewhere on it.",
        subject: Subject::Real,
        update: None,
        statistic: None,
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Mean velocity",
        about: "The network learns the mean velocity from there to a lower time: the velocity at the place, less what it changes on the way.",
        subject: Subject::Fake,
        update: Some("mean"),
        statistic: Some("Velocity/error"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, mean_velocity, stationary, variable};
    use super::*;
    use crate::train::{Method, Preset};

    #[test]
    fn points_need_no_warm_up_and_images_keep_theirs() {
        let method = Method::find("meanflow").unwrap();
        let phases = |preset: &str| {
            let config = Preset::find(preset).unwrap().config_for(method);
            (config.sigma_init, config.warmup_steps)
        };
        assert_eq!(phases("two-moons"), (20.0, 0));
        assert!(phases("mnist").0 >= 20.0 && phases("mnist").1 > 0);
    }

    #[test]
    fn the_exact_mean_velocity_is_where_training_stays() {
        for (t, gap) in [(0.9, 0.6), (0.6, 0.59), (0.4, 0.05)] {
            stationary(DATA, |x0, eps| {
                let [t, gap] = [t, gap].map(|time| variable(x0.graph(), time));
                mean_velocity_error(mean_velocity, x0, eps, t, gap)
            });
        }
    }
}
