//! SNOOPI's PG-SB (Nguyen et al. 2024, arXiv 2412.02687): `SwiftBrush` with guidance of a random weight, so that what the
//! student learns does not hang on one that was chosen.
//!
//! Of the paper, only notes were read. Whether a weight is drawn per batch or per sample is not in them; here it is per
//! sample. Its second half, NASA, takes away what a class is not inside cross-attention while samples are drawn: the
//! networks here have none.

use super::super::batch::Stream;
use super::super::recipe::{Method, Need, Subject, Update};
use super::super::step::Step;
use super::score::{self, generator_rates};
use super::swiftbrush;
use crate::graph::Var;
use crate::nets::per_sample;

/// Adapters and random guidance.
pub const METHOD: Method = Method {
    name: "snoopi",
    about: "As swiftbrush, and both denoisers are guided by the class with a weight that is drawn anew for every sample.",
    paper: "arXiv 2412.02687",
    knobs: &score::knobs::<14>(&["rank", "guidance_least"]),
    needs: &[Need::Teacher, Need::Classes],
    settings: |c| {
        (swiftbrush::METHOD.settings)(c);
        (c.guidance_least, c.guidance) = (1.0, 3.0);
    },
    recipe: |setup| swiftbrush::recipe(setup, GENERATOR, swiftbrush::PULL),
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by what the adapters change of the teacher, both guided with random weights",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| swiftbrush::generator(step, &swiftbrush::asked(step, guidance(step))),
};

/// A weight per sample, `[B, 1, ..]`, uniform from `guidance_least` to `guidance`.
fn guidance<'g>(step: &Step<'g>) -> Var<'g> {
    let [least, most] = ["guidance_least", "guidance"].map(|name| step.knob(name));
    per_sample(least + (most - least) * step.uniform(Stream::Step), step.real().rank())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::train::tests::{points, with_classes};

    #[test]
    fn weights_are_drawn_per_sample_between_the_two_settings() {
        let setup = with_classes(points(&METHOD));
        let (recipe, graph) = (setup.recipe(), Graph::new());
        let weight = guidance(&Step::trial(&setup, &recipe, &graph));
        let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
        feed.scalars.extend([("guidance_least".into(), 1.5), ("guidance".into(), 7.5)]);
        let mut weights = evaluate(&graph, &feed, &[weight]).remove(0);
        assert!(weights.iter().all(|weight| (1.5..=7.5).contains(weight)), "{weights:?}");
        weights.sort_by(f64::total_cmp);
        weights.dedup();
        assert_eq!(weights.len(), setup.config.batch, "one for each");
    }
}
