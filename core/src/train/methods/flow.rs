//! Rectified flow (Liu et al. 2022, arXiv 2209.03003): a network learns the velocity of the straight lines between
//! noise and data.
//!
//! With the time `t = sigma / (1 + sigma)` and `y = (1 - t) x0 + t eps`, the state `y / (1 - t)` is EDM's
//! `x0 + sigma eps`, the velocity is `v = (y - D) / t`, and Euler's method in `t` is Euler's method in `sigma`: so the
//! network stays a denoiser, here as everywhere.

use super::super::net::Net;
use super::super::recipe::{Layer, Method, Moment, Rates, Subject, Update};
use super::super::step::Step;
use super::{OWN, alone, phase, walked};
use crate::graph::Var;
use crate::nets::{Draw, per_sample};

/// A flow, and Euler's method in 20 steps.
pub const METHOD: Method = Method {
    name: "flow",
    about: "A network learns the velocity of straight lines from noise to data; Euler's method follows it in 20 steps.",
    paper: "arXiv 2209.03003",
    knobs: &["lr_warmup", "label_dropout", "cooldown"],
    needs: &[],
    settings: |c| {
        c.sigma_init = c.sigma_init.max(20.0);
        // As of `denoise`: only a teacher that is to be guided has to know all classes together.
        c.label_dropout = 0.0;
    },
    recipe: |setup| {
        let training = vec![phase("training", "steps", UPDATE, Vec::new())];
        walked(
            alone(setup.network.clone(), training, Vec::new(), Draw::euler(STEPS, setup.config.sigma_init), STORY),
            OWN,
        )
    },
};

/// Steps of Euler's method: as many as the published code takes where it collects pairs.
pub(super) const STEPS: usize = 20;
/// Lowest time: below, noise is finer than an eighth of a grey level.
const FIRST_TIME: f32 = 0.002;

const UPDATE: Update = Update {
    name: "flow",
    about: "the network learns the velocity between noise and real data",
    subject: Subject::Real,
    rates: |c| Rates { lr: c.lr_warmup, beta1: 0.9, beta2: 0.999, cools: true },
    build: |step| {
        let net = step.drawn().dropping_labels();
        let loss = velocity_loss(step, &net, step.real(), step.latent());
        step.record("Loss/flow", loss);
        step.descend(&net, loss);
    },
};

/// `E |v(y, t) - (eps - x0)|^2` (equation 1) at times `t` uniform up to that of the first noise level, one in each of B
/// equal intervals.
pub(super) fn velocity_loss<'g>(step: &Step<'g>, net: &Net<'g>, x0: Var<'g>, eps: Var<'g>) -> Var<'g> {
    let last = step.config().sigma_init / (1.0 + step.config().sigma_init);
    let t = step.stratified() * (last - FIRST_TIME) + FIRST_TIME;
    velocity_error(|x, sigma| net.denoise(x, sigma), x0, eps, t).square().mean_all()
}

/// `v(y, t) - (eps - x0)` of the line from `x0` to `eps`, both `[B, ..]`, at the times `t [B]`: the error of the denoiser
/// by `t`, with the sign of the velocity's.
pub(super) fn velocity_error<'g>(
    denoiser: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>,
    x0: Var<'g>,
    eps: Var<'g>,
    t: Var<'g>,
) -> Var<'g> {
    let sigma = t / (1.0 - t);
    let denoised = denoiser(x0 + per_sample(sigma, x0.rank()) * eps, sigma);
    (x0 - denoised) / per_sample(t, x0.rank())
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
        name: "Flow",
        about: "The network learns in which direction the lines go that pass a place. Where lines cross, it learns their mean.",
        subject: Subject::Fake,
        update: Some("flow"),
        statistic: Some("Loss/flow"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, SIGNS, denoiser, stationary};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    #[test]
    fn the_exact_denoiser_is_where_training_stays() {
        for t in [0.1, 0.5, 0.9] {
            stationary(DATA, |x0, eps| velocity_error(denoiser, x0, eps, x0.graph().full(t, &[SIGNS.len()])));
        }
    }

    /// The sample on the line that passes `x = x0 + sigma eps` where `x0 = mean + deviation eps`.
    fn on_line<'g>(x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        let [mean, deviation] = DATA.map(|x| x as f32);
        mean + deviation / (deviation + per_sample(sigma, 2)) * (x - mean)
    }

    /// Reflow: the noises and samples of a Gaussian's flow, `x0 = mean + deviation eps`, are joined by lines that do not
    /// cross. Their velocity is a function of the place, so that no error is left at any time, and one step of Euler's
    /// method from the first level gives the sample.
    #[test]
    fn pairs_that_a_flow_has_made_are_learned_without_error() {
        let [mean, deviation] = DATA.map(|x| x as f32);
        let graph = Graph::new();
        let eps = graph.input("eps", 0, &[4, 1]);
        let x0 = eps * deviation + mean;
        let errors = [0.1, 0.5, 0.95].map(|t| velocity_error(on_line, x0, eps, graph.full(t, &[4])));
        let sigma = graph.full(20.0, &[4]);
        // From the first level to 0, Euler's method gives the denoiser's answer.
        let one_step = on_line(x0 + eps * 20.0, sigma) - x0;
        let out =
            evaluate(&graph, &feed(&[("eps", &[-1.5, -0.2, 0.4, 2.0])]), &[errors.to_vec(), vec![one_step]].concat());
        assert!(out.iter().flatten().all(|error| error.abs() < 1e-5), "{out:?}");
    }
}
