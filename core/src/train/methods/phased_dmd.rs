//! Phased DMD (Fan et al. 2025, arXiv 2510.27684): distribution matching in phases. A first expert takes noise down to a
//! level at which samples still have noise, a second goes on from there; each phase has a fake denoiser of its own, and of
//! samples that still have noise that one has to learn another target than the samples.
//!
//! Coefficients were read in notes on the paper and in the trainer of lightx2v, not in the paper. Both phases are trained
//! at once, as there; each is one step, so that none has to be cut short at random.

use super::super::batch::Stream;
use super::super::knobs::Config;
use super::super::net::Net;
use super::super::recipe::{Method, Need, Recipe, Subject, Update};
use super::super::step::{Setup, Step, Weights};
use super::score::{self, Denoised, generator_rates};
use super::{denoising_loss, dmd};
use crate::graph::Var;
use crate::nets::{Draw, Rule, denoising_weight, euler_step, per_sample};

/// Distribution matching in two phases.
pub const METHOD: Method = Method {
    name: "phased-dmd",
    about: "As dmd, in two steps by two experts, of which the first is matched to the data where they still have noise.",
    paper: "arXiv 2510.27684",
    knobs: &score::knobs::<14>(&["phase_sigma", "subinterval"]),
    needs: &[Need::Teacher],
    settings: |c| {
        let (points, sigma_init) = (c.warmup_steps == 0, c.sigma_init);
        (dmd::METHOD.settings)(c);
        // The first expert ends where the generators of other methods begin, and so may begin with noise alone.
        if points { c.phase_sigma = 0.5 } else { c.sigma_init = sigma_init }
    },
    recipe: |setup| {
        let story = score::story(
            "Two denoisers, copies of the teacher at first, learn to remove noise: one from samples, one, above the level \
             at which the second expert takes over, from what the first one hands it.",
            "What teacher and fake denoiser disagree on moves samples, and what is handed over, which is matched to the \
             data with noise of its level.",
        );
        let generator = setup.network.clone().experts(vec![setup.config.phase_sigma]);
        let fakes = ["fake", HIGH].map(|name| (name, setup.network.clone()));
        let recipe = score::recipe_apart(setup, &generator, &fakes, [FAKE, GENERATOR], &story);
        Recipe { draw: draw(setup), ..recipe }
    },
};

/// The fake denoiser of the first phase.
const HIGH: &str = "fake_high";

/// One step of Euler's method by each expert.
fn draw(setup: &Setup) -> Draw {
    Draw { rule: Rule::Euler, sigmas: vec![setup.config.sigma_init, setup.config.phase_sigma] }
}

/// What the two experts make of latents, as samples are drawn: of which nothing goes back from the second to the first.
struct Rolled<'g> {
    /// What the first takes for the data.
    clean: Var<'g>,
    /// What it hands over, with noise of `phase_sigma`.
    handed: Var<'g>,
    /// The sample.
    y: Var<'g>,
}

fn rolled<'g>(step: &Step<'g>, net: &Net<'g>) -> Rolled<'g> {
    let [first, second] = [0, 1].map(|k| step.graph().full(draw(step.setup()).sigmas[k], &[1]));
    let x = step.latent() * step.config().sigma_init;
    let handed = euler_step(|x, sigma| net.denoise(x, sigma), x, first, second);
    Rolled { clean: net.denoise(x, first), handed, y: net.denoise(handed.detach(), second) }
}

/// More noise on what is handed over.
struct Above<'g> {
    /// The level of all the noise, `[B]`: up to the highest (not just to where the first expert begins).
    sigma: Var<'g>,
    /// `[B, ..]`
    x_t: Var<'g>,
    /// What a denoiser has to learn, `[B, ..]`.
    target: Var<'g>,
    /// How much that counts, `[B]`.
    weight: Var<'g>,
}

impl<'g> Above<'g> {
    fn of(step: &Step<'g>, handed: Var<'g>) -> Self {
        /// The lowest level, in units of the one that noise is added to: nearer, nothing can be learned.
        const NEAREST: f32 = 1.001;
        let Config { phase_sigma, sigma_max, subinterval, .. } = *step.config();
        let lowest = (phase_sigma * NEAREST).min(sigma_max);
        let sigma = (step.sigma().1 * (sigma_max / lowest).ln() + lowest.ln()).exp();
        Self::at(sigma, handed, step.normal(Stream::FirstJump), phase_sigma, subinterval == 1)
    }

    /// Noise `eps` of deviation b on `handed`, `b^2 = sigma^2 - below^2`. The slope of the log density of `x_t` is the mean
    /// of `-eps / b`, so its denoiser is the mean of `x_t - sigma^2 eps / b`; it is not that of `handed`, for which the
    /// noise below would belong to the data.
    fn at(sigma: Var<'g>, handed: Var<'g>, eps: Var<'g>, below: f32, right: bool) -> Self {
        let variance = sigma.square() - below * below;
        let b = per_sample(variance.sqrt(), eps.rank());
        let x_t = handed + b * eps;
        let target = if right { x_t - per_sample(sigma.square(), eps.rank()) / b * eps } else { handed };
        // Near `below` the target grows with 1 / b; the paper bounds its weight likewise, by 10 / sigma^2.
        let bound = (variance * 10.0 / sigma.square()).min(sigma.graph().constant(1.0));
        Self { sigma, x_t, target, weight: denoising_weight(sigma) * bound }
    }
}

const FAKE: Update = Update {
    about: "one fake denoiser learns to remove noise from samples, another from what the first expert hands over",
    build: |step| {
        let Rolled { handed, y, .. } = rolled(step, &step.frozen("generator", Weights::Param));
        let (low, high) = (step.net("fake"), step.net(HIGH));
        let loss = denoising_loss(step, &low, y, step.sigma().0, Stream::NoiseFake);
        step.record("Loss/fake", loss);
        step.descend(&low, loss);
        let above = Above::of(step, handed);
        let error = (high.denoise(above.x_t, above.sigma) - above.target).square();
        let loss = (per_sample(above.weight, error.rank()) * error).mean_all();
        step.record("Loss/fake_high", loss);
        step.descend(&high, loss);
    },
    ..score::FAKE
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples, and what is handed over between the experts, move by the difference of two scores",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let Rolled { clean, handed, y } = rolled(step, &net);
        let low = Denoised::of(step, y);
        score::record_size(step, &low);
        let above = Above::of(step, handed);
        let high = Denoised::noised(clean, above.x_t, above.sigma, &score::asked(step, HIGH));
        step.record("Pull/high", high.difference().abs().mean_all());
        let loss = score::pulled(y, dmd::gradient(&low)) + score::pulled(handed, dmd::gradient(&high));
        step.descend(&net, loss);
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::testing::{assert_close, feed};
    use crate::nets::{Params, SIGMA_DATA};
    use crate::train::tests::points;

    /// Of Gaussian data in one dimension the best denoiser is linear in `x_t`, with the slope
    /// `v / (v + sigma^2)`. Signs of both samples and noise give their second moments exactly.
    #[test]
    fn the_denoiser_of_samples_with_noise_is_that_of_the_data_only_by_its_own_target() {
        let graph = Graph::new();
        let [z, eps] = ["z", "eps"].map(|store| graph.input(store, 0, &[4, 1]));
        let (variance, below, level) = (SIGMA_DATA * SIGMA_DATA, 0.75_f32, 1.25_f32);
        let handed = z * (variance + below * below).sqrt();
        let slope = |right| {
            let above = Above::at(graph.full(level, &[4]), handed, eps, below, right);
            (above.target * above.x_t).mean_all() / above.x_t.square().mean_all()
        };
        let stores = feed(&[("z", &[-1.0, -1.0, 1.0, 1.0]), ("eps", &[-1.0, 1.0, -1.0, 1.0])]);
        let out = evaluate(&graph, &stores, &[slope(true), slope(false)]);
        let [of_data, below, level] = [SIGMA_DATA, below, level].map(|x| f64::from(x).powi(2));
        assert_close(&out[0], &[of_data / (of_data + level)], 1e-6);
        assert_close(&out[1], &[(of_data + below) / (of_data + level)], 1e-6);
    }

    #[test]
    fn samples_are_rolled_out_as_they_are_drawn_and_each_expert_learns_its_own_step() {
        let setup = points(&METHOD);
        let (recipe, graph) = (setup.recipe(), Graph::new());
        let step = Step::look(&setup, &recipe, &graph);
        let net = step.net("generator");
        let rolled = rolled(&step, &net);
        let [first, second] = [0, 1].map(|k| graph.full(recipe.draw.sigmas[k], &[1]));
        let ask = |store: &str, x, sigma| setup.network.denoiser(&Params::new(&graph, store), x, sigma, None);
        let handed =
            euler_step(|x, sigma| ask("first", x, sigma), step.latent() * setup.config.sigma_init, first, second);
        let sample = ask("second", handed, second);
        let of = setup.network.generator_layout().len;
        let all: Vec<f64> = (0..2 * of).map(|i| 0.2 * (i as f64 * 0.7).sin()).collect();
        let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
        feed.stores.insert("first".into(), all[..of].to_vec());
        feed.stores.insert("second".into(), all[of..].to_vec());
        feed.stores.insert("generator.param".into(), all);
        let out = evaluate(&graph, &feed, &[rolled.handed, rolled.y, handed, sample]);
        assert_close(&out[0], &out[2], 1e-9);
        assert_close(&out[1], &out[3], 1e-9);
    }
}
