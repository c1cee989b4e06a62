//! Flash-DMD (Chen et al. 2025, arXiv 2511.20549): distribution matching in a few steps of which each learns from one loss
//! only. Steps of high noise follow the difference of the scores, steps of low noise a discriminator that sees samples
//! without noise; and the fake denoiser, which has no part in that, is drawn towards the generator's weights.
//!
//! Read in notes on the paper. Its discriminator is heads on a large frozen image encoder, here a small network of its own.
//! Rewards ([`reward`]) come in a second stage there, here from the beginning, if at all.

use super::super::batch::Stream;
use super::super::recipe::{Count, First, Head, Method, Mode, Need, Network, Recipe, Subject, Update};
use super::super::step::{Setup, Step, Weights};
use super::score::{self, Denoised, generator_rates};
use super::{denoising_loss, dmd, dmd2, few, judge, reader, reward};
use crate::graph::Var;
use crate::nets::per_sample;

/// Distribution matching where noise is high, a discriminator where it is low.
pub const METHOD: Method = Method {
    name: "flash-dmd",
    about: "As dmd2 in a few steps, but the scores move only the first of them, and a discriminator only the last.",
    paper: "arXiv 2511.20549",
    knobs: &score::knobs::<20>(&[
        "gan_weight",
        "gan_start",
        "few_steps",
        "backward",
        "fake_near",
        "score_weight",
        "reward_weight",
        "reward_beta",
    ]),
    needs: &[Need::Teacher],
    settings: |c| {
        dmd2::settings(c);
        (c.few_steps, c.critic_steps) = (2, 2);
    },
    recipe,
};

const DISCRIMINATOR: &str = "discriminator";

fn recipe(setup: &Setup) -> Recipe {
    let mut story = score::story(
        "The fake denoiser learns to remove noise from samples, and a discriminator to tell those of the last steps from data.",
        "What teacher and fake denoiser disagree on moves samples of the first steps; those of the last follow the \
         discriminator alone.",
    );
    story[1].statistic = Some("Told/accuracy");
    let mut recipe = score::recipe(setup, Mode::Trained, GENERATOR, &story);
    recipe.networks.push(Network {
        name: DISCRIMINATOR,
        net: setup.network.clone(),
        head: Head::Logit,
        first: First::Random(0x464C_4153),
        mode: Mode::Trained,
    });
    judge::learn_with(setup, &mut recipe, FAKE);
    if reward::wanted(&setup.config) {
        recipe.networks.push(reader::network(setup));
        recipe.phases.last_mut().expect("the distillation").turn.insert(0, (Count::Times(1), reward::READ));
    }
    recipe
}

/// 1 for samples of the latter half of the steps, by the levels `[B]` at which they begin; a single step is the last.
fn low<'g>(step: &Step<'g>, begun: Var<'g>) -> Var<'g> {
    let levels = few::draw(step.config()).sigmas;
    // Between the levels, so that rounding decides nothing.
    let bound = match levels.len() / 2 {
        0 => levels[0] * 2.0,
        half => (levels[half - 1] * levels[half]).sqrt(),
    };
    begun.less(step.graph().constant(bound))
}

const FAKE: Update = Update {
    about: "the fake denoiser learns to remove noise from samples, and a discriminator to tell those of the last steps from data",
    build: |step| {
        let (net, judge) = (step.net("fake"), step.net(DISCRIMINATOR));
        let (x, begun) = few::begin(step);
        let y = step.frozen("generator", Weights::Param).denoise(x, begun);
        let loss = denoising_loss(step, &net, y, step.sigma().0, Stream::NoiseFake);
        step.record("Loss/fake", loss);
        step.descend(&net, loss);
        let logits = [step.real(), y].map(|x| judge.logit(x, reader::unnoised(step)));
        // As much of the data as there are samples of these steps; on average 1.
        let steps = step.config().few_steps;
        let counts = low(step, begun) * (steps as f32 / (steps - steps / 2) as f32);
        step.descend(&judge, judge::told_where(step, logits, counts));
    },
    ..score::FAKE
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples of high noise move by the difference of two scores, those of low noise to where they are taken for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let (x, begun) = few::begin(step);
        let denoised = Denoised::of(step, net.denoise(x, begun));
        score::record_size(step, &denoised);
        let logit = step.frozen(DISCRIMINATOR, Weights::Param).logit(denoised.y, reader::unnoised(step));
        let price = judge::price(step, logit);
        let mut paid = loss(&denoised, step.knob("score_weight"), price, low(step, begun));
        if reward::wanted(step.config()) {
            paid = paid + reward::loss(step, x, begun, denoised.y);
        }
        step.descend(&net, paid);
        step.draw_near("fake", "generator", step.knob("fake_near"));
    },
};

/// The pull of dmd, times `weight`, for samples that are not `low`; what the others cost for them.
fn loss<'g>(denoised: &Denoised<'g>, weight: Var<'g>, price: Var<'g>, low: Var<'g>) -> Var<'g> {
    let high = per_sample((1.0 - low) * weight, denoised.y.rank());
    score::pulled(denoised.y, high * dmd::gradient(denoised)) + (low * price).mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::testing::{assert_close, feed, values};
    use crate::train::tests::points;

    /// Of one dimension and a discriminator whose logit is `a y`: dmd's pull where noise is high, else the slope of
    /// `softplus(-a y)`; never both.
    #[test]
    fn every_sample_follows_one_loss() {
        let graph = Graph::new();
        let [y, teacher, fake] = ["y", "teacher", "fake"].map(|store| graph.input(store, 0, &[4, 1]));
        let low = graph.input("low", 0, &[4]);
        let denoised = Denoised { y, sigma: graph.full(0.5, &[4]), teacher, fake };
        let a = 1.5;
        let slope = graph.grad(loss(&denoised, graph.constant(1.0), (y * -a).reshape(&[4]).softplus(), low), &[y])[0];
        let (stores, is_low) = ([values(1, 4), values(2, 4), values(3, 4)], [0.0, 1.0, 1.0, 0.0]);
        let feed = feed(&[("y", &stores[0]), ("teacher", &stores[1]), ("fake", &stores[2]), ("low", &is_low)]);
        let got = evaluate(&graph, &feed, &[slope]).remove(0);
        let wanted = (0..4).map(|i| {
            let [y, teacher, fake] = [0, 1, 2].map(|store| stores[store][i]);
            let told = -f64::from(a) / (1.0 + (f64::from(a) * y).exp());
            (if is_low[i] == 1.0 { told } else { (fake - teacher) / (y - teacher).abs() }) / 4.0
        });
        assert_close(&got, &wanted.collect::<Vec<_>>(), 1e-6);
    }

    #[test]
    fn the_latter_half_of_the_steps_is_low() {
        let mut setup = points(&METHOD);
        setup.config.sigma_init = 2.0;
        let halves: [&[f64]; 4] = [&[1.0], &[0.0, 1.0], &[0.0, 1.0, 1.0], &[0.0, 0.0, 1.0, 1.0]];
        for (steps, wanted) in (1..).zip(halves) {
            setup.config.few_steps = steps;
            let (recipe, graph) = (setup.recipe(), Graph::new());
            let step = Step::look(&setup, &recipe, &graph);
            let levels: Vec<f64> = recipe.draw.sigmas.iter().map(|sigma| f64::from(*sigma)).collect();
            let low = low(&step, graph.input("begun", 0, &[levels.len()]));
            assert_eq!(evaluate(&graph, &feed(&[("begun", &levels)]), &[low])[0], wanted);
        }
    }

    #[test]
    fn the_fake_denoiser_is_drawn_towards_the_generator() {
        let setup = points(&METHOD);
        let (recipe, graph) = (setup.recipe(), Graph::new());
        let (program, _) = Step::write(&GENERATOR, &setup, &recipe, &graph);
        let (drawn, place) = program.outputs().find(|(_, place)| place.store == "fake.param").expect("it is drawn");
        assert_eq!(place.offset, 0);
        let [fake, generator] = [3, 4].map(|seed| values(seed, drawn.len()));
        let mut feed = Feed::default();
        feed.scalars.insert("fake_near".into(), 0.25);
        feed.stores.insert("fake.param".into(), fake.clone());
        feed.stores.insert("generator.param".into(), generator.clone());
        let wanted: Vec<f64> = fake.iter().zip(&generator).map(|(f, g)| 0.75 * f + 0.25 * g).collect();
        assert_close(&evaluate(&graph, &feed, &[drawn])[0], &wanted, 1e-9);
    }
}
