//! Score identity distillation in a few steps (Zhou et al. 2025, arXiv 2505.12674): one generator makes samples in K steps,
//! and what is matched to the data is the even mixture of what all of its steps give ([`few`]).
//!
//! Of the paper only the abstract was read; of its authors' code that of its successor, in which a batch has one step and
//! not all of them in equal parts. Loss and discriminator are those of sida. The rules of guidance are
//! [`GuidanceRule`]'s.

use super::super::guidance::GuidanceRule;
use super::super::net::Net;
use super::super::recipe::{Method, Need, Subject, Update};
use super::super::step::{Step, Weights};
use super::score::{self, generator_rates};
use super::{Mode, judge, sida};

/// Score identity distillation in a few steps.
pub const METHOD: Method = Method {
    name: "sid-few",
    about: "As sida, in several steps that are all matched to the data, with rules of guidance that spare diversity.",
    paper: "arXiv 2505.12674",
    knobs: &score::knobs::<18>(&["guidance_rule", "gan_weight", "gan_start", "few_steps", "backward", "alpha"]),
    needs: &[Need::Teacher],
    settings: |c| {
        (sida::METHOD.settings)(c);
        (c.few_steps, c.guidance_rule, c.guidance) = (4, GuidanceRule::ZeroCfg, 2.0);
    },
    recipe: |setup| {
        let story = judge::story(
            "What teacher and fake denoiser disagree on, each told of classes as the rule of guidance says. Samples move so \
             that the two agree at where they are, and to where the fake denoiser's features take them for data.",
        );
        let mut recipe = score::recipe(setup, Mode::Trained, GENERATOR, &story);
        judge::learn_with(setup, &mut recipe, FAKE);
        recipe
    },
};

const FAKE: Update = Update {
    about: "the fake denoiser learns to remove noise from samples of all steps, and half way through it to tell them from data",
    build: |step| sida::learn(step, &learning(step)),
    ..score::FAKE
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples of all steps move to where both denoisers agree, and to where they are taken for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| sida::follow(step, &asked(step)),
};

/// The fake denoiser as it learns. Where it is to be asked with guidance, a part of the samples keeps its class from it.
fn learning<'g>(step: &Step<'g>) -> Net<'g> {
    let fake = step.net("fake");
    match step.config().guidance_rule {
        GuidanceRule::Lsg => fake.dropping_labels().guided_as_set(),
        GuidanceRule::ZeroCfg => fake.untold(),
        GuidanceRule::AntiCfg => fake.dropping_labels(),
    }
}

/// Teacher and fake denoiser as the generator asks them.
fn asked<'g>(step: &Step<'g>) -> [Net<'g>; 2] {
    let [teacher, fake] = ["teacher", "fake"].map(|name| step.frozen(name, Weights::Param));
    match step.config().guidance_rule {
        GuidanceRule::Lsg => [teacher, fake].map(Net::guided_as_set),
        GuidanceRule::ZeroCfg => [teacher, fake.untold()],
        GuidanceRule::AntiCfg => [teacher, fake.guided_by(1.0 - step.knob("guidance"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::Params;
    use crate::nets::testing::assert_close;
    use crate::train::DataSpec;
    use crate::train::tests::{points, with_classes};

    /// Of each rule, the answers of the teacher, of the fake denoiser that learns and of the one that is asked are
    /// `D(x | 0) + w (D(x | c) - D(x | 0))` with the weights that the rule names.
    #[test]
    fn each_rule_weighs_the_class_as_it_says() {
        let g = 2.5;
        let rules = [
            (GuidanceRule::Lsg, [g, g, g]),
            (GuidanceRule::ZeroCfg, [1.0, 0.0, 0.0]),
            (GuidanceRule::AntiCfg, [1.0, 1.0, 1.0 - g]),
        ];
        for (rule, weights) in rules {
            let mut setup = with_classes(points(&METHOD));
            setup.config.guidance_rule = rule;
            let (recipe, graph) = (setup.recipe(), Graph::new());
            let step = Step::trial(&setup, &recipe, &graph);
            let (x, sigma) = (step.latent(), graph.full(0.7, &[1]));
            let [teacher, fake] = asked(&step);
            let answers = [teacher, learning(&step), fake].map(|net| net.denoise(x, sigma));
            let raw = |name: &str, labels| {
                setup.network.denoiser(&Params::new(&graph, &format!("{name}.param")), x, sigma, labels)
            };
            let both = ["teacher", "fake", "fake"].map(|name| [raw(name, None), raw(name, step.labels())]);
            let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
            for (phase, name) in ["teacher", "fake"].into_iter().enumerate() {
                let first = setup.network.generator_layout().initial(5).into_iter().enumerate();
                let weights = first.map(|(i, w)| f64::from(w) + 0.05 * (i as f64 * 0.7 + phase as f64).sin());
                feed.stores.insert(format!("{name}.param"), weights.collect());
            }
            feed.stores.insert(DataSpec::LABELS.into(), (0..50).map(|i| f64::from(i % 3)).collect());
            feed.scalars.extend([("guidance".into(), g), ("label_dropout".into(), 0.0)]);
            for ((answer, [untold, told]), weight) in answers.into_iter().zip(both).zip(weights) {
                let out = evaluate(&graph, &feed, &[answer, untold, told]);
                let wanted: Vec<f64> = out[1].iter().zip(&out[2]).map(|(u, t)| u + weight * (t - u)).collect();
                assert!(out[1].iter().zip(&out[2]).any(|(u, t)| (u - t).abs() > 0.01), "classes change nothing");
                assert_close(&out[0], &wanted, 1e-6);
            }
        }
    }
}
