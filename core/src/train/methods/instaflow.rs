//! `InstaFlow` (Liu et al. 2023, arXiv 2309.06380): reflow of a teacher that is told classes and guided by them, then
//! distillation. Of the paper the abstract was read, of its recipe the authors' repository; the training code is not public.
//!
//! The first flow is the denoiser of the warm-up or of a file, whose path is that of a flow (see [`flow`](super::flow)).
//! Its pairs are guided, and those of the flows after it are not, because these have learned the guided paths. The paper's
//! distance in the distillation, LPIPS, is a network for photographs; here it is the square.

use super::super::recipe::{Handover, Layer, Method, Moment, Need, Phase, Recipe, Subject};
use super::super::step::Setup;
use super::reflow::{self, DISTILLATION, OF_FLOW, REFLOW, collect};
use super::{alone, phase, walked, warm_up};
use crate::model::ModelKind;
use crate::nets::Draw;

/// Reflow and distillation of a teacher.
pub const METHOD: Method = Method {
    name: "instaflow",
    about: "A copy of a guided teacher is trained again on its pairs of noise and sample, until its paths are straight; then one step is distilled.",
    paper: "arXiv 2309.06380",
    knobs: &[
        "warmup_steps",
        "reflows",
        "reflow_steps",
        "pairs",
        "lr_warmup",
        "lr_generator",
        "label_dropout",
        "guidance",
        "cooldown",
    ],
    needs: &[Need::Teacher],
    settings: reflow::of_pairs,
    recipe,
};

/// Names of the phases that train a flow again.
const ROUNDS: [&str; 3] = ["reflow", "second reflow", "third reflow"];

fn recipe(setup: &Setup) -> Recipe {
    let anew = Handover::Copy { from: "generator", to: "generator" };
    let inherit = vec![collect(setup, true), anew.clone()];
    let straighter = Handover::Save("generator", ModelKind::Denoiser);
    let then = vec![straighter, collect(setup, false), anew];
    let rounds = ROUNDS.iter().take(setup.config.reflows as usize);
    let rounds = rounds.map(|name| reflow::of_flow(setup, phase(name, "reflow_steps", REFLOW, then.clone())));
    let last = phase("distillation", "steps", DISTILLATION, Vec::new());
    let phases: Vec<Phase> =
        warm_up(&setup.config, "generator", &inherit).into_iter().chain(rounds).chain([last]).collect();
    let [_, again, distilled] = reflow::STORY;
    let story = if setup.config.reflows > 0 { vec![PAIRS, again, distilled] } else { vec![PAIRS, distilled] };
    walked(alone(setup.network.clone(), phases, inherit, Draw::once(setup.config.sigma_init), &story), OF_FLOW)
}

const PAIRS: Moment = Moment {
    name: "Pairs",
    about: "Noises, and the samples that the teacher made of them in many steps, each of a class and guided to it.",
    subject: Subject::Real,
    update: None,
    statistic: None,
    layers: &[Layer::Data, Layer::Samples],
};

#[cfg(test)]
mod tests {
    use super::super::super::tests::{points, turns, with_classes};
    use super::*;
    use crate::exec::Executor;
    use crate::exec::cpu::CpuExecutor;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};
    use crate::nets::{Params, euler_step, last_step};
    use crate::train::Trainer;

    /// The pairs of the teacher are those of the guided path, one evaluation at a time by the reference; those of the flow
    /// after it are of its plain path.
    #[test]
    fn the_teachers_pairs_are_guided_and_those_of_a_flow_are_not() {
        let mut setup = with_classes(points(&METHOD));
        (setup.config.warmup_steps, setup.config.reflow_steps, setup.config.guidance) = (20, 20, 2.5);
        let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup.clone(), &rows).unwrap();
        trainer.set_labels(&(0..50).map(|i| i % 3).collect::<Vec<_>>()).unwrap();
        for (guidance, left) in [(2.5, 20), (1.0, 19)] {
            turns(&mut trainer, left);
            let weights: Vec<f64> = read(&trainer, "generator.ema", setup.network.generator_layout().len);
            turns(&mut trainer, 1);
            let [latents, samples] = ["pairs.latent", "pairs.sample"].map(|store| read(&trainer, store, 6));
            assert_close(&samples, &walked(&setup, &weights, &latents, guidance), 2e-4);
            let other = walked(&setup, &weights, &latents, 1.75);
            assert!(samples.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-3), "guidance changes nothing");
        }
    }

    fn read(trainer: &Trainer, store: &str, len: usize) -> Vec<f64> {
        let values = pollster::block_on(trainer.executor.read(store, 0, len)).unwrap();
        values.into_iter().map(f64::from).collect()
    }

    /// Samples of three latents, of the classes in turn.
    fn walked(setup: &Setup, weights: &[f64], latents: &[f64], guidance: f32) -> Vec<f64> {
        let graph = Graph::new();
        let params = Params::new(&graph, "weights");
        let one_hot = graph.input("labels", 0, &[3, 3]);
        let denoise = |x, sigma| {
            let [told, untold] = [Some(one_hot), None].map(|labels| setup.network.denoiser(&params, x, sigma, labels));
            untold + (told - untold) * guidance
        };
        let levels = Draw::euler(super::super::flow::STEPS, setup.config.sigma_init).sigmas;
        let level = |i: usize| graph.constant(levels[i]);
        let mut x = graph.input("latent", 0, &[3, 2]) * levels[0];
        for i in 1..levels.len() {
            x = euler_step(denoise, x, level(i - 1), level(i));
        }
        let sample = last_step(denoise, x, level(levels.len() - 1));
        let labels = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        evaluate(&graph, &feed(&[("weights", weights), ("latent", latents), ("labels", &labels)]), &[sample]).remove(0)
    }
}
