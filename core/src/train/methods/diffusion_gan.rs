//! Diffusion-GAN (Wang et al. 2022, arXiv 2206.02262): a generator against a discriminator that sees data and samples with
//! noise, and is told its level; how much noise there is follows how sure the discriminator is. There is no teacher.
//!
//! The schedule was read in the authors' code, not in the paper.

use super::super::batch::Stream;
use super::super::knobs::Config;
use super::super::recipe::{
    Count, Field, First, Head, Layer, Method, Mode, Moment, Network, Phase, Plot, Recipe, See, Sight, Subject, Update,
};
use super::super::step::{Setup, Step, Weights};
use super::judge;
use super::score::generator_rates;
use crate::graph::Var;
use crate::model::ModelKind;
use crate::nets::Draw;

/// A GAN with noise.
pub const METHOD: Method = Method {
    name: "diffusion-gan",
    about: "A generator against a discriminator that sees data and samples through noise, more of it the surer it is.",
    paper: "arXiv 2206.02262",
    knobs: &[
        "lr_generator",
        "lr_critic",
        "critic_steps",
        "told_target",
        "label_dropout",
        "cooldown",
        "beta1",
        "beta2",
        "sigma_min",
        "sigma_max",
    ],
    needs: &[],
    settings: |c| c.critic_steps = 1,
    recipe,
};

/// Store of the share of the noise levels, from the lowest up, that are in use.
const REACH: &str = "discriminator.reach";
/// Images that the discriminator sees while this share goes all the way.
const WAY: f32 = 100_000.0;

fn recipe(setup: &Setup) -> Recipe {
    let network = |name, head, first| Network { name, net: setup.network.clone(), head, first, mode: Mode::Trained };
    let only = Phase {
        name: "training",
        length: Count::Knob("steps"),
        turn: vec![(Count::Knob("critic_steps"), DISCRIMINATOR), (Count::Times(1), GENERATOR)],
        saves: vec![("generator", ModelKind::Generator)],
        draw: None,
        then: Vec::new(),
    };
    Recipe {
        networks: vec![
            network("generator", Head::Denoise, First::Random(0)),
            network("discriminator", Head::Logit, First::Random(0x4449_5343)),
        ],
        phases: vec![only],
        inherit: Vec::new(),
        draw: Draw::once(setup.config.sigma_init),
        sights: vec![Sight {
            name: "Logit",
            about: "What the discriminator says: where it is high, it takes points for data; arrows show its slope.",
            see: See::Field(|step, x, sigma| {
                let height = step.frozen("discriminator", Weights::Param).logit(x, sigma);
                Field { height, arrow: step.graph().grad(height.sum_all(), &[x])[0] }
            }),
        }],
        story: STORY.to_vec(),
        plots: vec![Plot {
            title: "Noise",
            about: "Which share of the noise levels is in use: it grows while the discriminator is surer than it should be.",
            log: false,
            curves: &[("Noise/reach", "reach", Subject::Critic)],
        }],
        alarms: Vec::new(),
    }
}

/// Noise levels `[B]`: the lowest for half of the samples, for the others up to the reach, a level the more often the
/// higher it is (its position among them is the root of a uniform number).
fn levels<'g>(step: &Step<'g>, reach: Var<'g>) -> Var<'g> {
    let Config { sigma_min, sigma_max, .. } = *step.config();
    let noised = step.graph().constant(0.5).less(step.uniform(Stream::SigmaKind));
    (noised * step.stratified().sqrt() * reach * (sigma_max / sigma_min).ln()).exp() * sigma_min
}

/// The discriminator's update.
pub const DISCRIMINATOR: Update = Update {
    name: "discriminator",
    about: "the discriminator learns to tell noised data from noised samples",
    subject: Subject::Critic,
    rates: |c| super::Rates { lr: c.lr_critic, ..generator_rates(c) },
    build: |step| {
        let net = step.net("discriminator").dropping_labels();
        let fake = step.frozen("generator", Weights::Param).generate(step.latent());
        let reach = step.recall(REACH, &[1]);
        let sigma = levels(step, reach);
        let [real, fake] = [(step.real(), Stream::NoiseReal), (fake, Stream::NoiseFake)]
            .map(|(x, stream)| net.logit(step.noised(x, sigma, stream), sigma));
        let loss = judge::told(step, [real, fake]);
        let sure = step.over_batch(real.sign().sum_all()) * (1.0 / step.config().batch as f32);
        let reach =
            step.remember(REACH, &[1], |reach| next(reach, sure, step.knob("told_target"), step.config().batch));
        step.record("Noise/reach", reach.mean_all());
        step.descend(&net, loss);
    },
};

/// The next reach: a small step up if the discriminator is `sure`r than its `target`, else down, within 0 and 1. `sure` is
/// the mean sign of its logit on data: the share that it takes for data, less the rest.
fn next<'g>(reach: Var<'g>, sure: Var<'g>, target: Var<'g>, batch: usize) -> Var<'g> {
    (reach + (sure - target).sign() * (batch as f32 / WAY)).clamp(0.0, 1.0)
}

/// The generator's update.
pub const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move to where the discriminator takes them for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let sigma = levels(step, step.recall(REACH, &[1]));
        let x_t = step.noised(net.generate(step.latent()), sigma, Stream::NoiseFake);
        let loss = (-step.frozen("discriminator", Weights::Param).logit(x_t, sigma)).softplus().mean_all();
        step.record("Loss/generator", loss);
        step.descend(&net, loss);
    },
};

const STORY: &[Moment] = &[
    Moment {
        name: "Noise",
        about: "A batch of data and a batch of samples, each made in one step from a random latent, get noise of the same \
                levels.",
        subject: Subject::Real,
        update: None,
        statistic: Some("Noise/reach"),
        layers: &[Layer::Data, Layer::Samples, Layer::Noise],
    },
    Moment {
        name: "Discriminator",
        about: "The discriminator, which is told the level, learns to tell one from the other; if it is surer than it should \
                be, noise grows.",
        subject: Subject::Critic,
        update: Some("discriminator"),
        statistic: Some("Told/accuracy"),
        layers: &[Layer::Data, Layer::Samples, Layer::Noise, Layer::Heights],
    },
    Moment {
        name: "Generator",
        about: "The generator's weights change so that the discriminator takes its noised samples for data.",
        subject: Subject::Fake,
        update: Some("generator"),
        statistic: Some("Loss/generator"),
        layers: &[Layer::Data, Layer::Samples, Layer::Heights, Layer::Arrows],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    #[test]
    fn noise_grows_while_the_discriminator_is_too_sure_and_stays_within_its_bounds() {
        let graph = Graph::new();
        let [reach, sure, target] = ["reach", "sure", "target"].map(|store| graph.input(store, 0, &[1]));
        let new = next(reach, sure, target, 1000);
        let after = |before: f64, sure: f64| {
            let feed = feed(&[("reach", &[before]), ("sure", &[sure]), ("target", &[0.6])]);
            evaluate(&graph, &feed, &[new])[0][0]
        };
        // 1,000 of 100,000 images.
        for (before, sure, wanted) in [(0.5, 0.7, 0.51), (0.5, 0.5, 0.49), (0.995, 1.0, 1.0), (0.005, -1.0, 0.0)] {
            assert!((after(before, sure) - wanted).abs() < 1e-6, "{before}, {sure}");
        }
    }

    #[test]
    fn half_of_the_levels_are_the_lowest_and_the_others_rise_with_their_density() {
        let (rows, lo, hi) = (4096, 0.02_f32, 20.0_f32);
        let mut setup = crate::train::tests::points(super::super::Method::find("diffusion-gan").unwrap());
        (setup.config.batch, setup.config.sigma_min, setup.config.sigma_max) = (rows, lo, hi);
        let (recipe, graph) = (setup.recipe(), Graph::new());
        let step = Step::look(&setup, &recipe, &graph);
        let sigma = levels(&step, graph.constant(0.5));
        let place = |sigma: f64| (sigma / f64::from(lo)).ln() / f64::from(hi / lo).ln();
        let mut places: Vec<f64> = evaluate(&graph, &feed(&[]), &[sigma])[0].iter().map(|s| place(*s)).collect();
        places.sort_by(f64::total_cmp);
        let noised: Vec<f64> = places.into_iter().filter(|place| *place > 1e-6).collect();
        let share = noised.len() as f64 / rows as f64;
        assert!((share - 0.5).abs() < 0.04, "{share} have noise");
        // Up to half of the way, with density in proportion to the place: the median is at the root of a half.
        assert!(noised.last().is_some_and(|last| (0.49..0.501).contains(last)), "{:?}", noised.last());
        let median = noised[noised.len() / 2] / 0.5;
        assert!((median - 0.5_f64.sqrt()).abs() < 0.03, "{median}");
    }
}
