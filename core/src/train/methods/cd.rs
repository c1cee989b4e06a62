//! Consistency distillation (Song et al. 2023, arXiv 2303.01469): the network says the same at both ends of each step that a
//! teacher takes, and so at its path's end what it says at its beginning.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Need, Rates, Subject, Update};
use super::super::step::Weights;
use super::{from_noise, phase, taught};
use crate::graph::Var;
use crate::nets::{Draw, heun_step, per_sample};

/// Consistency in discrete levels.
pub const METHOD: Method = Method {
    name: "cd",
    about: "The network learns to say the same at both ends of every step of a teacher's path; then one evaluation jumps to its end.",
    paper: "arXiv 2303.01469",
    knobs: &["warmup_steps", "levels", "lr_warmup", "lr_generator", "label_dropout", "guidance", "cooldown"],
    needs: &[Need::Teacher],
    settings: |c| {
        from_noise(c);
        // One average serves as target and for samples; a target that lags by more passes on nothing.
        c.ema = 0.95;
    },
    recipe: |setup| {
        let last = phase("distillation", "steps", UPDATE, Vec::new());
        taught(setup, setup.network.clone(), vec![last], Draw::once(setup.config.sigma_init), STORY)
    },
};

/// Lowest level, where the answer is the state itself; power of the schedule.
const LOWEST: f32 = 0.002;
const RHO: f32 = 7.0;

const UPDATE: Update = Update {
    name: "consistency",
    about: "the network learns to say the same at both ends of a teacher's step",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: |step| {
        let [net, target] = [step.net("generator"), step.frozen("generator", Weights::Ema)];
        let teacher = step.frozen("teacher", Weights::Param);
        let steps = step.config().levels as f32 - 1.0;
        let number = (step.stratified() * steps).floor();
        let [sigma, next] =
            [number, number + 1.0].map(|number| level(number * (1.0 / steps), step.config().sigma_init));
        let x = step.noised(step.real(), sigma, Stream::NoiseReal);
        let error = inconsistency(
            |x, sigma| net.denoise(x, sigma),
            |x, sigma| target.denoise(x, sigma),
            |x, sigma| teacher.guided(x, sigma),
            x,
            [sigma, next],
        );
        let loss = error.square().mean_all();
        step.record("Loss/consistency", loss);
        step.descend(&net, loss);
    },
};

/// The level so far down from the highest: evenly spaced after the power `1 / rho` (equation 5 of Karras et al. 2022).
fn level(share: Var<'_>, highest: f32) -> Var<'_> {
    let [high, low] = [highest, LOWEST].map(|level| level.powf(1.0 / RHO));
    ((share * (low - high) + high).log() * RHO).exp()
}

/// `f(x; sigma) - sg f-(x'; next)` with x' where one step of Heun's method leads with the teacher (algorithm 2). At the
/// lowest level f- is x' itself; the paper has that in the network's form.
fn inconsistency<'g>(
    net: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>,
    target: impl FnOnce(Var<'g>, Var<'g>) -> Var<'g>,
    teacher: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    x: Var<'g>,
    [sigma, next]: [Var<'g>; 2],
) -> Var<'g> {
    let there = heun_step(teacher, x, sigma, next).detach();
    let inside = per_sample(x.graph().constant(1.01 * LOWEST).less(next), x.rank());
    let said = inside * target(there, next) + (1.0 - inside) * there;
    net(x, sigma) - said.detach()
}

pub(super) const STORY: &[Moment] = &[
    Moment {
        name: "A step",
        about: "A batch of real data gets noise of random levels. From there the teacher takes one step to the level below.",
        subject: Subject::Real,
        update: None,
        statistic: None,
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Consistency",
        about: "What the network says before the step moves to what its average says after it.",
        subject: Subject::Fake,
        update: Some("consistency"),
        statistic: Some("Loss/consistency"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, consistency, denoiser};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::karras_sigmas;
    use crate::nets::testing::{assert_close, feed};

    #[test]
    fn levels_are_those_of_karras() {
        let graph = Graph::new();
        let out = evaluate(&graph, &feed(&[]), &[level(graph.iota(18) * (1.0 / 17.0), 80.0)]);
        let wanted: Vec<f64> = karras_sigmas(18, LOWEST, 80.0, RHO)[..18].iter().map(|s| f64::from(*s)).collect();
        assert_close(&out[0], &wanted, 1e-3);
    }

    /// At the exact map of a Gaussian, with the exact denoiser as the teacher, what is left is the error of Heun's step,
    /// which is of third order; at the lowest level it is the map's distance from the identity.
    #[test]
    fn the_exact_map_is_consistent_along_the_teachers_path() {
        let left = |sigma: f64, next: f64| {
            let graph = Graph::new();
            let [x, sigma_of, next_of] = ["x", "sigma", "next"].map(|store| graph.input(store, 0, &[2]));
            let error = inconsistency(consistency, consistency, denoiser, x.reshape(&[2, 1]), [sigma_of, next_of]);
            let stores: [(&str, &[f64]); 4] =
                [("x", &[1.5, -0.7]), ("sigma", &[sigma; 2]), ("next", &[next; 2]), ("model", &DATA)];
            let out = evaluate(&graph, &feed(&stores), &[error]);
            out[0].iter().fold(0.0_f64, |most, x| most.max(x.abs()))
        };
        // Of half the size: a tenth here; with Euler's step, a fifth.
        let [far, near] = [left(0.8, 0.6), left(0.8, 0.7)];
        assert!(far > 1e-3 && near < far / 8.0, "a step of half the size: {far} became {near}");
        assert!(left(0.004, f64::from(LOWEST)) < 1e-4);
        assert!(left(0.8, f64::from(LOWEST)) > 0.05, "so far in one step proves nothing");
    }
}
