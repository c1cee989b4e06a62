//! Rewards for the steps of a generator: of two next states of one sample, which differ in their noise, it learns to make
//! the one more probable of which a reader is surer that it shows its class. This is direct preference optimisation
//! (Rafailov et al. 2023, arXiv 2305.18290) of a sampler whose steps add noise.

use super::super::batch::Stream;
use super::super::knobs::Config;
use super::super::recipe::Update;
use super::super::step::{Step, Weights};
use super::{few, reader};
use crate::graph::Var;
use crate::nets::per_sample;

/// Whether there are rewards.
pub fn wanted(config: &Config) -> bool {
    config.reward_weight > 0.0
}

/// The lowest level, and its ratio to the one before it, which is that of all neighbours.
fn last(config: &Config) -> (f32, f32) {
    let levels = few::draw(config).sigmas;
    let [.., before, last] = levels[..] else { panic!("rewards need a step that another one follows") };
    (last, last / before)
}

/// The reader's update at the noise levels of next states.
pub const READ: Update = Update {
    build: |step| {
        let (last, ratio) = last(step.config());
        let above = (step.uniform(Stream::Step) * (step.config().few_steps - 1) as f32).floor();
        let sigma = (above * -ratio.ln()).exp() * last;
        reader::learn(step, step.noised(step.real(), sigma, Stream::NoiseReal), sigma);
    },
    ..reader::UPDATE
};

/// What the generator pays for samples `y [B, ..]`, which it made of `x [B, ..]` at the noise levels `begun [B]`, that make
/// the worse of two next states the more probable one; nothing for those of the last step. The reference is the teacher,
/// as which the generator began.
pub fn loss<'g>(step: &Step<'g>, x: Var<'g>, begun: Var<'g>, y: Var<'g>) -> Var<'g> {
    let (last, ratio) = last(step.config());
    let next = begun * ratio;
    let [reference, reader] =
        [("teacher", Weights::Param), (reader::NAME, Weights::Ema)].map(|(n, w)| step.frozen(n, w));
    let noise = [Stream::FirstChoice, Stream::SecondChoice].map(|stream| step.normal(stream));
    let read = noise.map(|eps| reader.logit((y + per_sample(next, y.rank()) * eps).detach(), next));
    let better = (read[0] - read[1]).sign().detach();
    let apart = per_sample(better * next, y.rank()) * (noise[0] - noise[1]);
    let price = dispreference(y - reference.denoise(x, begun).detach(), apart, next, step.knob("reward_beta"));
    // Between the levels, so that rounding decides nothing.
    let followed = step.graph().constant(last * ratio.powf(-0.5)).less(begun);
    let steps = step.config().few_steps as f32;
    step.record("Read/next", (followed * read[0]).mean_all() * (steps / (steps - 1.0)));
    (followed * price).mean_all() * step.knob("reward_weight")
}

/// `-ln sigmoid(beta H) [B]`. H is by how much the log probability of the better of two next states, less that of the worse,
/// exceeds the same of the reference. Both have normal noise of deviation `next [B]`, on samples that differ by `moved
/// [B, ..]`; with better and worse `apart [B, ..]`, `H = apart . moved / next^2`.
fn dispreference<'g>(moved: Var<'g>, apart: Var<'g>, next: Var<'g>, beta: Var<'g>) -> Var<'g> {
    let axes: Vec<usize> = (1..moved.rank()).collect();
    let h = (apart * moved).sum(&axes).reshape(&next.shape()) / next.square();
    (-(h * beta)).softplus()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed, values};

    #[test]
    fn preferences_are_those_of_the_probabilities_of_next_states() {
        let graph = Graph::new();
        let [y, reference, better, worse] =
            ["y", "reference", "better", "worse"].map(|store| graph.input(store, 0, &[3, 2]));
        let next = graph.input("next", 0, &[3]);
        let price = dispreference(y - reference, better - worse, next, graph.constant(0.25));
        let stores = [1, 2, 3, 4].map(|seed| values(seed, 6));
        let deviations = [0.5_f64, 1.0, 2.0];
        let names = ["y", "reference", "better", "worse"];
        let mut all: Vec<(&str, &[f64])> = names.iter().copied().zip(stores.iter().map(Vec::as_slice)).collect();
        all.push(("next", &deviations));
        let got = evaluate(&graph, &feed(&all), &[price]).remove(0);
        let wanted = deviations.iter().enumerate().map(|(i, deviation)| {
            let ln_p = |state: usize, mean: usize| {
                let square = |k: usize| (stores[state][2 * i + k] - stores[mean][2 * i + k]).powi(2);
                -(square(0) + square(1)) / (2.0 * deviation * deviation)
            };
            let h: f64 = (ln_p(2, 0) - ln_p(2, 1)) - (ln_p(3, 0) - ln_p(3, 1));
            (1.0 + (-0.25 * h).exp()).ln()
        });
        assert_close(&got, &wanted.collect::<Vec<_>>(), 1e-9);
    }
}
