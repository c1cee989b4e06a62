//! `SwiftBrush` (Nguyen and Tran 2023, arXiv 2312.05239): variational score distillation in which the denoiser of the
//! samples is the teacher itself with low-rank adapters, so that it costs only theirs.
//!
//! Both denoisers are guided by the class with the same weight, the setting `guidance`. Without classes there is nothing to
//! guide by, and the weight has no effect.

use super::super::net::Net;
use super::super::recipe::{Method, Mode, Need, Recipe, Subject, Update};
use super::super::step::{Setup, Step, Weights};
use super::score::{self, Denoised, generator_rates, pull};
use crate::graph::Var;
use crate::nets::{SIGMA_DATA, per_sample};

/// Variational score distillation by adapters.
pub const METHOD: Method = Method {
    name: "swiftbrush",
    about: "As vsd; the denoiser of the samples is the teacher with low-rank adapters, the only weights it has of its own.",
    paper: "arXiv 2312.05239",
    knobs: &score::knobs::<13>(&["rank"]),
    needs: &[Need::Teacher],
    settings: |c| score::settings(c, 2e-3),
    recipe: |setup| recipe(setup, GENERATOR, PULL),
};

/// The story of the pull.
pub const PULL: &str = "The teacher and the teacher with adapters are asked for the same noised samples. Their difference \
                        points to where data are more likely.";

/// The recipe with adapters as the fake denoiser and this update of the generator, of which the story says `pull`.
pub fn recipe(setup: &Setup, generator: Update, pull: &'static str) -> Recipe {
    let story = score::story(
        "Low-rank adapters on the frozen teacher, without effect at first, learn to remove noise from samples.",
        pull,
    );
    let adapter = Mode::Adapter { of: "teacher", rank: setup.config.rank };
    let mut recipe = score::recipe(setup, adapter, generator, &story);
    recipe.phases.last_mut().expect("the distillation").turn[0].1 = FAKE;
    recipe
}

/// It is to be guided, so that a part of the samples keeps its class from it.
const FAKE: Update = Update { build: |step| score::learn(step, &step.net("fake").dropping_labels()), ..score::FAKE };

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by what the adapters change of the teacher",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| generator(step, &as_set(step)),
};

/// Algorithm 1. The difference of both noise predictions has weight `sigma^2` at deviation `sigma` of a process that
/// keeps the variance; in units of the data that is `sigma sd / (sigma^2 + sd^2)` times the difference of both denoisers.
/// Noise levels are uniform in the logarithm; the paper's are uniform in time, without two per cent at both ends. The
/// paper moves the generator first and the adapters after it, on the same sample.
pub fn generator<'g>(step: &Step<'g>, asked: &[Net<'g>; 2]) {
    let net = step.net("generator");
    let denoised = Denoised::by(step, net.generate(step.latent()), asked);
    pull(step, &net, &denoised, gradient(&denoised));
}

/// What samples move against.
pub fn gradient<'g>(denoised: &Denoised<'g>) -> Var<'g> {
    let sigma = denoised.sigma;
    let weight = sigma * SIGMA_DATA / (sigma.square() + SIGMA_DATA * SIGMA_DATA);
    denoised.difference() * per_sample(weight, denoised.y.rank())
}

/// Teacher and adapters, guided alike with the guidance that is set.
pub fn as_set<'g>(step: &Step<'g>) -> [Net<'g>; 2] {
    ["teacher", "fake"].map(|name| step.frozen(name, Weights::Param).guided_as_set())
}

/// The same with the weight `guidance`, one number or one per sample `[B, 1, ..]`.
pub fn asked<'g>(step: &Step<'g>, guidance: Var<'g>) -> [Net<'g>; 2] {
    ["teacher", "fake"].map(|name| step.frozen(name, Weights::Param).guided_by(guidance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::testing::assert_close;
    use crate::train::DataSpec;
    use crate::train::tests::{points, with_classes};

    /// With the weight 0 it is as if neither had been told the class, with 1 both were just told it.
    #[test]
    fn both_denoisers_are_guided() {
        let setup = with_classes(points(&METHOD));
        let (recipe, graph) = (setup.recipe(), Graph::new());
        let step = Step::trial(&setup, &recipe, &graph);
        let (x, sigma) = (step.latent(), graph.full(0.7, &[1]));
        let told = |weight: f32| asked(&step, graph.constant(weight)).map(|net| net.denoise(x, sigma));
        let plain = || ["teacher", "fake"].map(|name| step.frozen(name, Weights::Param));
        let ([teacher, fake], mut feed) = (plain(), Feed { seed: 7, step: 3, ..Feed::default() });
        let wanted = [plain().map(Net::untold), [teacher, fake]].map(|nets| nets.map(|net| net.denoise(x, sigma)));
        for name in ["teacher", "fake"] {
            let network = recipe.network(name).unwrap();
            let first = network.layout().initial(5).into_iter().enumerate();
            let weights = first.map(|(i, w)| f64::from(w) + 0.05 * (i as f64 * 0.7).sin());
            feed.stores.insert(format!("{name}.param"), weights.collect());
        }
        feed.stores.insert(DataSpec::LABELS.into(), (0..50).map(|i| f64::from(i % 3)).collect());
        let out = evaluate(&graph, &feed, &[told(0.0), told(1.0), wanted[0], wanted[1]].concat());
        for i in 0..4 {
            assert_close(&out[i], &out[i + 4], 1e-5);
        }
        for of_one in [[0, 2], [1, 3]] {
            let change = out[of_one[0]].iter().zip(&out[of_one[1]]).map(|(a, b)| (a - b).abs());
            assert!(change.fold(0.0, f64::max) > 0.01, "classes change nothing");
        }
    }
}
