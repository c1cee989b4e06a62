//! Progressive distillation (Salimans and Ho 2022, arXiv 2202.00512): a student learns to do in one step what its teacher
//! does in two, and becomes the teacher of the next, until one step is left.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Need, Phase, Rates, Recipe, Subject, Update};
use super::super::step::{Setup, Step, Weights};
use super::{NEXT_TEACHER, SCORE, from_noise, phase, taught, walked};
use crate::graph::Var;
use crate::nets::{Draw, Rule, SIGMA_DATA, denoising_weight, euler_step, per_sample};

/// Halving the steps.
pub const METHOD: Method = Method {
    name: "progressive",
    about: "A student learns two steps of its teacher in one and becomes the next teacher, until one step is left.",
    paper: "arXiv 2202.00512",
    knobs: &["warmup_steps", "round_steps", "halvings", "lr_warmup", "lr_generator", "label_dropout", "cooldown"],
    needs: &[Need::Teacher],
    settings: from_noise,
    recipe,
};

/// Names of the rounds, by how many come after them.
const ROUNDS: [&str; 8] = [
    "to 1 step",
    "to 2 steps",
    "to 4 steps",
    "to 8 steps",
    "to 16 steps",
    "to 32 steps",
    "to 64 steps",
    "to 128 steps",
];

fn recipe(setup: &Setup) -> Recipe {
    let round = |left: usize| Phase {
        draw: Some(steps_of(1 << left, setup.config.sigma_init)),
        ..phase(ROUNDS[left], "round_steps", HALVING, NEXT_TEACHER.to_vec())
    };
    let before = (1..setup.config.halvings as usize).rev().map(round);
    let rounds: Vec<Phase> = before.chain([phase(ROUNDS[0], "steps", HALVING, Vec::new())]).collect();
    let recipe = taught(setup, setup.network.clone(), rounds, Draw::once(setup.config.sigma_init), STORY);
    // After the first round, a teacher knows the levels of its own steps alone.
    walked(Recipe { sights: vec![SCORE], ..recipe }, Phase::denoiser)
}

/// The steps of a student.
fn steps_of(count: usize, highest: f32) -> Draw {
    let angle = |number: usize| number as f32 / count as f32 * (highest / SIGMA_DATA).atan();
    Draw { rule: Rule::Euler, sigmas: (1..=count).rev().map(|number| SIGMA_DATA * angle(number).tan()).collect() }
}

const HALVING: Update = Update {
    name: "halving",
    about: "the student learns two steps of its teacher in one",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: halving,
};

/// Algorithm 2 with the weight "SNR + 1" (section 4), at the levels where the student's steps begin.
fn halving(step: &Step<'_>) {
    let net = step.net("generator");
    let teacher = step.frozen("teacher", Weights::Param);
    let x0 = step.real();
    // One step is left where no phase comes after this one; before it there were twice as many.
    let steps = ((step.phases_left() * std::f32::consts::LN_2).exp() + 0.5).floor();
    let number = (step.stratified() * steps).floor() + 1.0;
    let highest = step.config().sigma_init;
    let [sigma, middle, next] = [0.0, 0.5, 1.0].map(|part| level((number - part) / steps, highest));
    let x = step.noised(x0, sigma, Stream::NoiseReal);
    let target = two_steps_in_one(|x, sigma| teacher.denoise(x, sigma), x, [sigma, middle, next]).detach();
    let weight = per_sample(denoising_weight(sigma), x0.rank());
    let loss = (weight * (net.denoise(x, sigma) - target).square()).mean_all();
    step.record("Loss/halving", loss);
    step.record("Steps/student", steps);
    step.descend(&net, loss);
}

/// The noise level that is so far from 0 to the highest: of the paper's cosine schedule, `sd tan(share atan(highest / sd))`.
fn level(share: Var<'_>, highest: f32) -> Var<'_> {
    let angle = share * (highest / SIGMA_DATA).atan();
    angle.sin() / angle.cos() * SIGMA_DATA
}

/// What a denoiser has to say at the first of three levels, so that one of its steps from there to the last ends where two
/// of the teacher's end, by way of the middle: `(x'' - s'' / s x) / (1 - s'' / s)` (appendix G).
fn two_steps_in_one<'g>(
    teacher: impl Fn(Var<'g>, Var<'g>) -> Var<'g>,
    x: Var<'g>,
    [sigma, middle, next]: [Var<'g>; 3],
) -> Var<'g> {
    let there = euler_step(&teacher, x, sigma, middle);
    let there = euler_step(&teacher, there, middle, next);
    let left = per_sample(next / sigma, x.rank());
    (there - left * x) / (1.0 - left)
}

const STORY: &[Moment] = &[
    Moment {
        name: "Two steps",
        about: "A batch of real data gets noise of the levels between which samples are to step. The teacher walks on from \
                there in two steps.",
        subject: Subject::Real,
        update: None,
        statistic: Some("Steps/student"),
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Halving",
        about: "The student learns to arrive there in one. At the end of a round it becomes the teacher, and the number of \
                steps is halved.",
        subject: Subject::Fake,
        update: Some("halving"),
        statistic: Some("Loss/halving"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, denoiser};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};

    #[test]
    fn levels_of_half_as_many_steps_are_every_other_of_them() {
        let graph = Graph::new();
        let of = |steps: usize| level(graph.iota(steps + 1) * (1.0 / steps as f32), 20.0);
        let out = evaluate(&graph, &feed(&[]), &[of(8), of(4)]);
        let every_other: Vec<f64> = out[0].iter().step_by(2).copied().collect();
        assert_close(&out[1], &every_other, 1e-5);
        assert!(out[0][0] == 0.0 && (out[0][8] / 20.0 - 1.0).abs() < 1e-5, "{:?}", out[0]);
        assert!(out[0].windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// One step with the target ends where two of a Gaussian's exact denoiser end: each multiplies the distance from the
    /// mean by `(v + s s') / (v + s^2)`.
    #[test]
    fn one_step_with_the_target_ends_where_two_of_the_teacher_end() {
        let graph = Graph::new();
        let x = graph.input("x", 0, &[3, 1]);
        let levels: [[f64; 3]; 3] = [[4.0, 1.5, 0.5], [0.8, 0.3, 0.1], [0.5, 0.2, 0.0]];
        let store = |i: usize| graph.input(["sigma", "middle", "next"][i], 0, &[3]);
        let all = [store(0), store(1), store(2)];
        let target = two_steps_in_one(denoiser, x, all);
        let arrived = euler_step(|_, _| target, x, all[0], all[2]);
        let place = [3.0, -0.4, 0.1];
        let column = |i: usize| levels.map(|row| row[i]);
        let stores: [(&str, &[f64]); 5] =
            [("x", &place), ("model", &DATA), ("sigma", &column(0)), ("middle", &column(1)), ("next", &column(2))];
        let out = evaluate(&graph, &feed(&stores), &[arrived]);
        let variance = DATA[1] * DATA[1];
        let factor = |s: f64, next: f64| (variance + s * next) / (variance + s * s);
        let wanted: Vec<f64> = place
            .iter()
            .zip(levels)
            .map(|(x, [s, middle, next])| DATA[0] + (x - DATA[0]) * factor(s, middle) * factor(middle, next))
            .collect();
        assert_close(&out[0], &wanted, 1e-12);
    }

    #[test]
    fn students_draw_in_the_steps_that_they_learn() {
        let draw = steps_of(4, 20.0);
        let graph = Graph::new();
        let wanted = evaluate(&graph, &feed(&[]), &[level((graph.iota(4) * -1.0 + 4.0) * 0.25, 20.0)]);
        let sigmas: Vec<f64> = draw.sigmas.iter().map(|sigma| f64::from(*sigma)).collect();
        assert_close(&sigmas, &wanted[0], 1e-4);
        assert!(draw.is_valid() && steps_of(128, 20.0).is_valid());
    }
}
