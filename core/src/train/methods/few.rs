//! Generators of a few steps: each step but the first begins with what the one before it gave, and new noise of a lower
//! level on that, as [`Rule::Jump`](crate::nets::Rule) draws. A batch has samples of all steps in equal parts: what is
//! matched to the data is the mixture of all.

use super::super::batch::Stream;
use super::super::net::Net;
use super::super::step::{Step, Weights};
use crate::graph::Var;
use crate::nets::{Draw, per_sample};

/// How samples of `few_steps` steps are drawn.
pub fn draw(config: &super::Config) -> Draw {
    Draw::jumps(config.few_steps as usize, config.sigma_init)
}

/// The noise of each step but the first.
const JUMPS: [Stream; 3] = [Stream::FirstJump, Stream::SecondJump, Stream::ThirdJump];

/// Samples of `net`, which is the generator: for each a step is drawn, and `net` makes only that one. The steps before it
/// are made by the same weights without a gradient (backward simulation, DMD2, section 4.4); with the setting `backward`
/// at 0 it begins with noised data instead, which is not what it will be given.
pub fn samples<'g>(step: &Step<'g>, net: &Net<'g>) -> Var<'g> {
    if step.config().few_steps == 1 {
        return net.generate(step.latent());
    }
    let (x, sigma) = begin(step);
    net.denoise(x, sigma)
}

/// Where the step that is drawn for each sample begins, and its noise level: `[B, ..]` and `[B]`.
pub fn begin<'g>(step: &Step<'g>) -> (Var<'g>, Var<'g>) {
    let levels = draw(step.config()).sigmas;
    let generator = step.frozen("generator", Weights::Param);
    let number = (step.uniform(Stream::Step) * levels.len() as f32).floor();
    let (mut x, mut sigma) = (step.latent() * levels[0], step.graph().full(levels[0], &[step.batch()]));
    let mut y = generator.generate(step.latent());
    for (k, &level) in levels.iter().enumerate().skip(1) {
        let before = if step.config().backward == 1 { y } else { step.real() };
        let there = before + step.normal(JUMPS[k - 1]) * level;
        let chosen = 1.0 - (number - k as f32).abs().sign();
        x = x + per_sample(chosen, x.rank()) * (there - x);
        sigma = sigma + chosen * (level - sigma);
        y = generator.denoise(there, step.graph().full(level, &[1]));
    }
    (x.detach(), sigma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::train::tests::points;
    use crate::train::{DataSpec, Method, Setup};

    fn values(setup: &Setup, graph: &Graph, wanted: &[Var<'_>]) -> Vec<Vec<f64>> {
        let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
        let first = setup.network.generator_layout().initial(5).into_iter().enumerate();
        let weights = first.map(|(i, w)| f64::from(w) + 0.05 * (i as f64 * 0.7).sin());
        feed.stores.insert("generator.param".into(), weights.collect());
        feed.stores.insert(DataSpec::STORE.into(), (0..100).map(|i| 100.0 + f64::from(i)).collect());
        evaluate(graph, &feed, wanted)
    }

    /// The steps are those of the sampler: level by level, each sample's beginning is a latent, or new noise on what the
    /// step before makes of the beginning that it had there.
    #[test]
    fn every_step_begins_where_the_one_before_ends_or_with_noised_data() {
        let mut setup = points(Method::find("dmd2").unwrap());
        (setup.config.few_steps, setup.config.sigma_init, setup.config.batch) = (3, 2.0, 96);
        for backward in [1, 0] {
            setup.config.backward = backward;
            let (recipe, graph) = (setup.recipe(), Graph::new());
            assert_eq!(recipe.draw.sigmas, [2.0, 1.0, 0.5]);
            let step = Step::look(&setup, &recipe, &graph);
            let (x, sigma) = begin(&step);
            let net = step.frozen("generator", Weights::Param);
            let [z, first, second] = [Stream::Latent, JUMPS[0], JUMPS[1]].map(|stream| step.normal(stream));
            let at = |x, level: f32| net.denoise(x, graph.full(level, &[1]));
            let start = z * 2.0;
            let [one, two] = if backward == 1 {
                let one = at(start, 2.0) + first;
                [one, at(one, 1.0) + second * 0.5]
            } else {
                [step.real() + first, step.real() + second * 0.5]
            };
            let out = values(&setup, &graph, &[x, sigma, start, one, two]);
            let mut seen = [0; 3];
            for (row, level) in out[1].iter().enumerate() {
                let k =
                    [2.0, 1.0, 0.5].iter().position(|known| (known - level).abs() < 1e-6).expect("a level of the draw");
                seen[k] += 1;
                let error = (0..2).map(|i| (out[0][2 * row + i] - out[2 + k][2 * row + i]).abs()).fold(0.0, f64::max);
                assert!(error < 1e-9, "row {row} of step {k}: off by {error}");
            }
            assert!(seen.iter().all(|count| *count > 15), "steps in equal parts: {seen:?}");
        }
    }
}
