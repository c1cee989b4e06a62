//! Hyper-SD (Ren et al. 2024, arXiv 2404.13686): consistency within segments of the teacher's path, first of many, in the
//! end of one; then score distillation in one step. All that is trained is one low-rank adapter on the teacher.
//!
//! The abstract and articles on the paper were read, not the paper, and its training code is not public: levels, sampler
//! and optimizer are those of this project. Left out are the adversarial loss and the feedback of people or classifiers.

use super::super::batch::Stream;
use super::super::knobs::Config;
use super::super::net::Net;
use super::super::recipe::{
    Count, First, Handover, Layer, Method, Moment, Need, Network, Phase, Rates, Recipe, Subject, Update,
};
use super::super::step::{Setup, Step, Weights};
use super::score::{self, Denoised, FAKE};
use super::{adapted, cd, dmd, from_noise};
use crate::graph::Var;
use crate::model::ModelKind;
use crate::nets::{Draw, euler_step, per_sample};

/// Segments, then scores, by adapters.
pub const METHOD: Method = Method {
    name: "hyper-sd",
    about: "An adapter on the teacher learns consistency in 8, 4, 2 and 1 segments of its path, then also one step by scores.",
    paper: "arXiv 2404.13686",
    knobs: &score::knobs::<18>(&["levels", "halvings", "round_steps", "rank", "score_phase", "score_weight"]),
    needs: &[Need::Teacher],
    settings: |c| {
        from_noise(c);
        // Of 32 steps, so that each segment has as many. The average is the target, as in cd.
        (c.levels, c.ema) = (33, 0.95);
    },
    recipe,
};

/// Names of the phases, by how many come after them.
const ROUNDS: [&str; 8] = [
    "1 segment",
    "2 segments",
    "4 segments",
    "8 segments",
    "16 segments",
    "32 segments",
    "64 segments",
    "128 segments",
];

fn recipe(setup: &Setup) -> Recipe {
    let config = &setup.config;
    let copy = |name| Handover::Copy { from: name, to: name };
    let round = |left: usize, length, turn, then| {
        let saves = vec![("generator", ModelKind::Generator)];
        // A step for each segment.
        let draw = (left > 0).then(|| Draw::euler(1 << left, config.sigma_init));
        Phase { name: ROUNDS[left], length: Count::Knob(length), turn, saves, draw, then }
    };
    let segments = (Count::Times(1), SEGMENTS);
    let before = (1..config.halvings as usize).rev();
    let before = before.map(|left| round(left, "round_steps", vec![segments], vec![copy("generator")]));
    let scores = config.score_phase == 1;
    let turn =
        if scores { vec![(Count::Knob("critic_steps"), FAKE), (Count::Times(1), ONE_STEP)] } else { vec![segments] };
    let phases = before.chain([round(0, "steps", turn, Vec::new())]).collect();
    let story = if scores { STORY.to_vec() } else { vec![STORY[0], Moment { update: Some("segments"), ..STORY[1] }] };
    let mut recipe = adapted(setup, Vec::new(), phases, story);
    if scores {
        let fake = Network { name: "fake", first: First::Random(0x4641_4B45), ..recipe.networks[0].clone() };
        recipe.networks.push(fake);
        recipe.sights[0] = score::PULL;
    }
    recipe
}

fn rates(c: &Config) -> Rates {
    Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true }
}

const SEGMENTS: Update = Update {
    name: "segments",
    about: "the adapter learns to say the same at both ends of a teacher's step about where its segment ends",
    subject: Subject::Fake,
    rates,
    build: |step| {
        let net = step.net("generator");
        let loss = consistency(step, &net);
        step.descend(&net, loss);
    },
};

const ONE_STEP: Update = Update {
    name: "generator",
    about: "the same over the whole path, and samples of one step move by the difference of two scores",
    subject: Subject::Fake,
    rates,
    build: |step| {
        let net = step.net("generator");
        let denoised = Denoised::of(step, net.generate(step.latent()));
        score::record_size(step, &denoised);
        let pulled = score::pulled(denoised.y, dmd::gradient(&denoised));
        step.descend(&net, consistency(step, &net) + step.knob("score_weight") * pulled);
    },
};

/// Levels are evenly spaced in a flow's time, as segments are.
fn consistency<'g>(step: &Step<'g>, net: &Net<'g>) -> Var<'g> {
    let [target, teacher] =
        [("generator", Weights::Ema), ("teacher", Weights::Ema)].map(|(name, weights)| step.frozen(name, weights));
    let steps = step.config().levels as f32 - 1.0;
    // One is left where no phase comes after this one; before it there were twice as many.
    let segments = ((step.phases_left() * std::f32::consts::LN_2).exp() + 0.5).floor();
    let number = (step.stratified() * steps).floor() + 1.0;
    let bottom = segment((number - 1.0) / steps, segments);
    let highest = step.config().sigma_init;
    let [sigma, next] = [number / steps, (number - 1.0) / steps].map(|share| level(share, highest));
    let x = step.noised(step.real(), sigma, Stream::NoiseReal);
    let error = inconsistency(
        |x, sigma| net.denoise(x, sigma),
        |x, sigma| target.denoise(x, sigma),
        |x, sigma| teacher.guided(x, sigma),
        x,
        [sigma, next, level(bottom, highest)],
    );
    let loss = error.square().mean_all();
    step.record("Loss/consistency", loss);
    step.record("Segments/number", segments);
    loss
}

/// The lower end of the segment in which a share of the way from 0 to the highest level lies, of so many.
fn segment<'g>(share: Var<'g>, segments: Var<'g>) -> Var<'g> {
    // Shares are multiples of a number of steps, and may be rounded down.
    (share * segments + 1e-3).floor() / segments
}

/// The noise level at this share of a flow's time.
fn level(share: Var<'_>, highest: f32) -> Var<'_> {
    let time = share * (highest / (1.0 + highest));
    time / (1.0 - time)
}

/// Where a step of Euler's method ends that goes from `x` at `sigma` to `bottom` with this denoiser's answer, less where
/// that of the target ends from one step of the teacher on, at `next`; at the segment's end, the step itself.
fn inconsistency<'g>(
    net: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    target: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    teacher: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    x: Var<'g>,
    [sigma, next, bottom]: [Var<'g>; 3],
) -> Var<'g> {
    /// Lowest level at which the target is asked; it is not heard there.
    const LOWEST: f32 = 0.002;
    let there = euler_step(teacher, x, sigma, next).detach();
    let inside = per_sample((bottom * 1.01 + 1e-6).less(next), x.rank());
    let said = euler_step(target, there, next.max(x.graph().constant(LOWEST)), bottom);
    euler_step(net, x, sigma, bottom) - (inside * said + (1.0 - inside) * there).detach()
}

const STORY: &[Moment] = &[
    cd::STORY[0],
    Moment {
        name: "Segments",
        about: "Where a step with the network's answer to the end of the segment leads moves to where it leads after the \
                teacher's step.",
        subject: Subject::Fake,
        update: None,
        statistic: Some("Segments/number"),
        layers: &[Layer::Data, Layer::Samples],
    },
    Moment {
        name: "Fake",
        about: "Other adapters on the teacher learn to remove noise from samples of one step.",
        subject: Subject::Critic,
        update: Some("fake"),
        statistic: Some("Loss/fake"),
        layers: &[Layer::Samples, Layer::Noise],
    },
    Moment {
        name: "Scores",
        about: "Besides, samples of one step move by what the teacher and the fake denoiser disagree on.",
        subject: Subject::Pull,
        update: Some("generator"),
        statistic: Some("Pull/size"),
        layers: &[Layer::Samples, Layer::Heights, Layer::Arrows],
    },
];

#[cfg(test)]
mod tests {
    use super::super::super::tests::{points, turns};
    use super::super::gaussian::{DATA, consistency as to_the_end, denoiser};
    use super::*;
    use crate::exec::Executor;
    use crate::exec::cpu::CpuExecutor;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::Draw;
    use crate::nets::testing::{assert_close, feed};
    use crate::train::Trainer;

    #[test]
    fn segments_end_where_samplers_of_as_many_steps_stop() {
        let graph = Graph::new();
        let share = graph.iota(32) * (1.0 / 32.0);
        let bottoms: Vec<Var<'_>> =
            [8.0, 4.0, 2.0, 1.0].map(|k| level(segment(share, graph.constant(k)), 20.0)).to_vec();
        let out = evaluate(&graph, &feed(&[]), &bottoms);
        for (bottoms, k) in out.iter().zip([8, 4, 2, 1]) {
            let mut stops: Vec<f64> = Draw::euler(k, 20.0).sigmas.into_iter().map(f64::from).skip(1).collect();
            stops.push(0.0);
            stops.reverse();
            let wanted: Vec<f64> = (0..32).map(|i| stops[i * k / 32]).collect();
            assert_close(bottoms, &wanted, 1e-4);
        }
    }

    /// What a denoiser has to say at `sigma` for a step to `bottom` to end where a Gaussian's path does: the path is
    /// `mean + sqrt(v + sigma^2) z`.
    fn exact<'g>(x: Var<'g>, sigma: Var<'g>, bottom: Var<'g>) -> Var<'g> {
        let end = to_the_end(x, sigma);
        let [mean, deviation] = [0, 1].map(|i| x.graph().input("model", i, &[1, 1]));
        let there = mean + (end - mean) * (deviation.square() + per_sample(bottom, 2).square()).sqrt() / deviation;
        let left = per_sample(bottom / sigma, 2);
        // At the segment's end nothing is left to say.
        (there - left * x) / (1.0 - left).max(x.graph().constant(1e-6))
    }

    /// At the exact function of a Gaussian, with the exact denoiser as the teacher, what is left is the error of Euler's
    /// step, of second order; inside a segment, at its end, and at the end of the last.
    #[test]
    fn the_exact_function_is_consistent_in_every_segment() {
        let left = |sigma: f64, next: f64, bottom: f64| {
            let graph = Graph::new();
            let [x, s, n, b] = ["x", "sigma", "next", "bottom"].map(|store| graph.input(store, 0, &[2]));
            let said = |x, sigma| exact(x, sigma, b);
            let error = inconsistency(said, said, denoiser, x.reshape(&[2, 1]), [s, n, b]);
            let stores: [(&str, &[f64]); 5] = [
                ("x", &[1.5, -0.7]),
                ("sigma", &[sigma; 2]),
                ("next", &[next; 2]),
                ("bottom", &[bottom; 2]),
                ("model", &DATA),
            ];
            let out = evaluate(&graph, &feed(&stores), &[error]).remove(0);
            assert!(out.iter().all(|x| x.is_finite()), "{out:?} from {sigma} to {bottom}");
            out.into_iter().fold(0.0_f64, |most, x| most.max(x.abs()))
        };
        for bottom in [0.0, 0.3] {
            let [far, near] = [left(0.8, 0.6, bottom), left(0.8, 0.7, bottom)];
            assert!(far > 1e-3 && near < far / 3.0, "a step of half the size: {far} became {near}");
        }
        let [far, near] = [left(0.8, 0.7, 0.7), left(0.8, 0.75, 0.75)];
        assert!(far > 1e-4 && near < far / 3.0, "{far} became {near}");
        assert!(left(0.02, 0.0, 0.0) < 1e-3);
    }

    /// Nothing but adapters is trained after the warm-up, and what is drawn is the teacher with them.
    #[test]
    fn the_teacher_stays_as_it_is_and_draws_with_the_adapter() {
        let mut setup = points(&METHOD);
        (setup.config.warmup_steps, setup.config.round_steps) = (3, 2);
        let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &rows).unwrap();
        let read = |trainer: &Trainer, name| pollster::block_on(trainer.whole_weights(name)).unwrap().1;
        turns(&mut trainer, 3);
        let before = read(&trainer, "teacher");
        assert!(read(&trainer, "generator") == before, "the adapter begins as the teacher");
        turns(&mut trainer, 8);
        assert!(trainer.in_last_phase() && read(&trainer, "teacher") == before);
        assert!(read(&trainer, "generator") != before, "the adapter has learned nothing");
        let weights = read(&trainer, "generator");
        let drawn = pollster::block_on(trainer.sample(&[0.5, -0.5])).unwrap();
        let graph = Graph::new();
        let net = &trainer.setup.network;
        let sample = net.generator(
            &crate::nets::Params::new(&graph, "w"),
            graph.input("z", 0, &[1, 2]),
            trainer.setup.config.sigma_init,
            None,
        );
        let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
        let out = evaluate(&graph, &feed(&[("w", &weights), ("z", &[0.5, -0.5])]), &[sample]);
        assert_close(&drawn.into_iter().map(f64::from).collect::<Vec<_>>(), &out[0], 1e-3);
    }
}
