//! `HiPA` (Zhang and Hooi 2023, arXiv 2311.18158): a low-rank adapter on a frozen teacher, the only weights that are trained,
//! draws in one step what the teacher does in many; its loss asks for high frequencies, which one step lacks.
//!
//! The abstract and summaries of the paper were read. They name a perceptual loss, Fourier components and edges; formulas,
//! weights and rank were not found. Here the target is the end of the teacher's path from the same noise, the perceptual
//! loss is the square of pixels, frequencies are those of the cosine transform, edges are Sobel's. Points have none of
//! these, and only the square.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use super::super::recipe::{Handover, Layer, Method, Moment, Need, Rates, Subject, Update};
use super::super::step::Step;
use super::flow::STEPS;
use super::reflow::{self, PAIRS};
use super::{adapted, from_noise, phase};
use crate::graph::{Graph, Var};
use crate::nets::Draw;

/// An adapter for one step, by a loss of high frequencies.
pub const METHOD: Method = Method {
    name: "hipa",
    about: "An adapter on the teacher learns to draw in one step the samples of its path; of images, high frequencies and edges count more.",
    paper: "arXiv 2311.18158",
    knobs: &[
        "warmup_steps",
        "pairs",
        "rank",
        "high_weight",
        "edge_weight",
        "lr_warmup",
        "lr_generator",
        "label_dropout",
        "guidance",
        "cooldown",
    ],
    needs: &[Need::Teacher],
    settings: |c| {
        from_noise(c);
        // Adapters begin without effect, and have to change all that the teacher says of noise alone.
        c.lr_generator = c.lr_generator.max(2e-3);
    },
    recipe: |setup| {
        let draw = Draw::euler(STEPS, setup.config.sigma_init);
        let collect = Handover::Collect { draw, into: PAIRS, rows: setup.config.pairs, guided: true };
        let last = phase("distillation", "steps", UPDATE, Vec::new());
        adapted(setup, vec![collect], vec![last], vec![COLLECTED, reflow::STORY[2]])
    },
};

/// Where high frequencies begin, as a share of the highest along an axis.
const HIGH: f32 = 0.5;

const UPDATE: Update = Update {
    name: "distillation",
    about: "one step of the teacher with its adapter learns what the teacher makes of a noise in many",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    build: |step| {
        // First, because the pairs' classes become those of the step.
        let [eps, sample] = step.collected(PAIRS, step.config().pairs);
        let net = step.net("generator");
        let error = net.generate(eps) - sample;
        let loss = error.square().mean_all();
        step.record("Loss/distillation", loss);
        step.descend(&net, loss + details(step, error));
    },
};

/// What is added to the loss of images `error [B, H, W, C]`; of points, nothing.
fn details<'g>(step: &Step<'g>, error: Var<'g>) -> Var<'g> {
    let [b, h, w, c] = error.shape()[..] else { return step.graph().constant(0.0) };
    let planes = error.permute(&[0, 3, 1, 2]).reshape(&[b * c, h, w]);
    let (high, edges) = (high_frequencies(planes).mean_all(), edges(planes).mean_all());
    step.record("Loss/high", high);
    step.record("Loss/edges", edges);
    step.knob("high_weight") * high + step.knob("edge_weight") * edges
}

/// Sizes of the high frequencies of `x [N, H, W]`, zero in the place of the others: `M |C x C^T|`, `[N, W, H]`.
fn high_frequencies(x: Var<'_>) -> Var<'_> {
    let (graph, shape) = (x.graph(), x.shape());
    let share = |n: usize| graph.iota(n) * (1.0 / n as f32);
    let radius =
        share(shape[2]).square().reshape(&[1, shape[2], 1]) + share(shape[1]).square().reshape(&[1, 1, shape[1]]);
    // A little less, so that rounding has no say at the bound.
    let low = radius.less(graph.constant(HIGH * HIGH - 1e-4));
    (1.0 - low) * between(cosines(graph, shape[1]), x, cosines(graph, shape[2])).abs()
}

/// Sizes of the slopes of `x [N, H, W]` along both axes, each smoothed along the other (Sobel), added; beyond the border
/// all is zero. `[N, W, H]`.
fn edges(x: Var<'_>) -> Var<'_> {
    let (graph, shape) = (x.graph(), x.shape());
    // By the distance of places: 1/4, 1/2, 1/4 smooths, -1/2, 0, 1/2 is the slope.
    let distance = |n: usize| graph.iota(n).reshape(&[1, n]) - graph.iota(n).reshape(&[n, 1]);
    let smooth = |n: usize| (0.5 - distance(n).abs() * 0.25).max(graph.constant(0.0));
    let slope = |n: usize| distance(n) * 0.5 * distance(n).abs().less(graph.constant(1.5));
    let [h, w] = [shape[1], shape[2]];
    between(smooth(h), x, slope(w)).abs() + between(slope(h), x, smooth(w)).abs()
}

/// `left x right^T` of each of the matrices `x [N, H, W]`, with rows and columns exchanged: `[N, W, H]`.
fn between<'g>(left: Var<'g>, x: Var<'g>, right: Var<'g>) -> Var<'g> {
    let [n, h, w] = [0, 1, 2].map(|axis| x.shape()[axis]);
    let rows = x.reshape(&[n * h, w]).matmul_with(right, false, true);
    let columns = rows.reshape(&[n, h, w]).permute(&[0, 2, 1]).reshape(&[n * w, h]);
    columns.matmul_with(left, false, true).reshape(&[n, w, h])
}

/// The orthonormal cosine transform (of type II) of `n` numbers as a matrix `C [n, n]`, a row per frequency:
/// `sqrt(2 / n) cos(pi k (i + 1/2) / n)`, the first row divided by `sqrt(2)`.
fn cosines(graph: &Graph, n: usize) -> Var<'_> {
    let (k, i) = (graph.iota(n).reshape(&[n, 1]), graph.iota(n).reshape(&[1, n]));
    let first = k.less(graph.constant(0.5));
    let size = (1.0 - first * (1.0 - FRAC_1_SQRT_2)) * (2.0 / n as f32).sqrt();
    (k * (i + 0.5) * (PI / n as f32)).cos() * size
}

const COLLECTED: Moment = Moment {
    name: "Pairs",
    about: "Noises, and the samples that the teacher made of them in many steps. The teacher stays as it is.",
    subject: Subject::Real,
    update: None,
    statistic: None,
    layers: &[Layer::Data, Layer::Samples],
};

#[cfg(test)]
mod tests {
    use super::super::super::tests::{images, points, turns, with_classes};
    use super::*;
    use crate::exec::Executor;
    use crate::exec::cpu::CpuExecutor;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, check_gradient, feed, values};
    use crate::plan::ArenaKind;
    use crate::train::{DataSpec, Setup, Trainer};

    /// Constants and sums of frequencies are of 32 bits.
    const ROUNDING: f64 = 1e-5;

    /// An orthonormal row's product with itself is 1, and with another 0.
    #[test]
    fn the_cosine_transform_keeps_lengths() {
        for n in [1, 2, 7, 28] {
            let graph = Graph::new();
            let c = cosines(&graph, n);
            let out = evaluate(&graph, &feed(&[]), &[c.matmul_with(c, false, true)]).remove(0);
            let identity: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
            assert_close(&out, &identity, ROUNDING);
        }
    }

    /// By the definition, with four loops, of images that are no squares.
    #[test]
    fn high_frequencies_are_those_of_a_plain_cosine_transform() {
        let ([n, h, w], graph) = ([2, 6, 10], Graph::new());
        let x = values(1, n * h * w);
        let out = evaluate(&graph, &feed(&[("x", &x)]), &[high_frequencies(graph.input("x", 0, &[n, h, w]))]).remove(0);
        let wave = |n: usize, k: usize, i: usize| {
            let size = if k == 0 { 1.0 / n as f64 } else { 2.0 / n as f64 };
            size.sqrt() * (std::f64::consts::PI * k as f64 * (i as f64 + 0.5) / n as f64).cos()
        };
        let mut wanted = Vec::new();
        for image in x.chunks(h * w) {
            for l in 0..w {
                for k in 0..h {
                    let term = |at: usize| image[at] * wave(h, k, at / w) * wave(w, l, at % w);
                    let is_high = (k as f64 / h as f64).hypot(l as f64 / w as f64) >= f64::from(HIGH);
                    wanted.push(if is_high { (0..h * w).map(term).sum::<f64>().abs() } else { 0.0 });
                }
            }
        }
        assert!(wanted.iter().filter(|size| **size == 0.0).count() >= n * 6, "the lowest are left out");
        assert_close(&out, &wanted, ROUNDING);
    }

    #[test]
    fn edges_are_those_of_sobels_masks() {
        let ([h, w], graph) = ([5_usize, 4_usize], Graph::new());
        let x = values(2, h * w);
        let out = evaluate(&graph, &feed(&[("x", &x)]), &[edges(graph.input("x", 0, &[1, h, w]))]).remove(0);
        let at = |i: usize, j: usize, di: usize, dj: usize| {
            // One place further than the neighbour, so that none is below zero.
            let (i, j) = (i + di, j + dj);
            let inside = (1..=h).contains(&i) && (1..=w).contains(&j);
            if inside { x[(i - 1) * w + j - 1] } else { 0.0 }
        };
        let mut wanted = Vec::new();
        for j in 0..w {
            for i in 0..h {
                let side = |d: usize| at(i, j, 0, d) + 2.0 * at(i, j, 1, d) + at(i, j, 2, d);
                let above = |d: usize| at(i, j, d, 0) + 2.0 * at(i, j, d, 1) + at(i, j, d, 2);
                wanted.push(((side(2) - side(0)) / 8.0).abs() + ((above(2) - above(0)) / 8.0).abs());
            }
        }
        assert_close(&out, &wanted, 1e-12);
    }

    #[test]
    fn their_gradients_are_those_of_finite_differences() {
        let (shape, graph) = ([2, 4, 5], Graph::new());
        let x = graph.input("x", 0, &shape);
        let feed = feed(&[("x", &values(3, x.len()))]);
        for loss in [high_frequencies(x).mean_all(), edges(x).mean_all()] {
            check_gradient(&graph, &feed, loss, &[("x", 0, x)], 40);
        }
    }

    /// Of points there is only the square.
    #[test]
    fn only_images_have_frequencies() {
        let records = |setup: Setup| UPDATE.declared(&setup, &setup.recipe()).statistics.len();
        assert_eq!([records(points(&METHOD)), records(images(&METHOD))], [2, 4]);
    }

    /// Nor their labels: each pair has the class with which the teacher made it.
    #[test]
    fn behind_the_warm_up_no_data_are_read() {
        let setup = with_classes(images(&METHOD));
        let plan = UPDATE.plan(&setup, &setup.recipe()).unwrap();
        let reads = |store: &str| plan.arenas.iter().any(|arena| arena.kind == ArenaKind::Store(store.into()));
        assert_eq!([PAIRS[0], PAIRS[1], DataSpec::STORE, DataSpec::LABELS].map(reads), [true, true, false, false]);
    }

    /// The pairs are the teacher's, and nothing but the adapter is trained on them.
    #[test]
    fn the_teacher_stays_as_it_is() {
        let mut setup = points(&METHOD);
        (setup.config.warmup_steps, setup.config.pairs) = (3, 64);
        let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &rows).unwrap();
        let read = |trainer: &Trainer, name| pollster::block_on(trainer.whole_weights(name)).unwrap().1;
        turns(&mut trainer, 3);
        let before = read(&trainer, "teacher");
        assert!(read(&trainer, "generator") == before, "the adapter begins as the teacher");
        turns(&mut trainer, 4);
        assert!(trainer.in_last_phase() && read(&trainer, "teacher") == before);
        assert!(read(&trainer, "generator") != before, "the adapter has learned nothing");
        let samples = pollster::block_on(trainer.executor.read(PAIRS[1], 0, 128)).unwrap();
        assert!(samples.iter().all(|x| x.is_finite() && x.abs() > 0.0), "no sample is missing");
    }
}
