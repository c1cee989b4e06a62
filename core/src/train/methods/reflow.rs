//! Reflow and distillation (Liu et al. 2022, arXiv 2209.03003): a flow is trained again on the pairs of noise and sample
//! that it makes itself, which straightens its paths; then one step of it is distilled.

use super::super::knobs::Config;
use super::super::recipe::{Handover, Layer, Method, Moment, PathsOf, Phase, Rates, Recipe, Subject, Update};
use super::super::step::{Setup, Step};
use super::flow::{STEPS, velocity_loss};
use super::{alone, from_noise, phase, walked};
use crate::nets::Draw;

/// Flow, reflow, distillation.
pub const METHOD: Method = Method {
    name: "reflow",
    about: "A flow is trained again on its own pairs of noise and sample, which straightens it; then one step is distilled.",
    paper: "arXiv 2209.03003",
    knobs: &["warmup_steps", "reflow_steps", "pairs", "lr_warmup", "lr_generator", "cooldown"],
    needs: &[],
    settings: of_pairs,
    recipe,
};

/// Stores of the pairs: noises, and what the flow made of them.
pub(super) const PAIRS: [&str; 2] = ["pairs.latent", "pairs.sample"];

/// The network, until it is one step.
pub(super) const OF_FLOW: PathsOf = |phase| (phase.turn[0].1 != DISTILLATION).then_some("generator");

/// Of points, which have no warm-up by default, more pairs than of images, which the store must hold. The published code
/// takes a million of images.
pub(super) fn of_pairs(config: &mut Config) {
    if config.warmup_steps == 0 {
        config.pairs = 65_536;
    }
    from_noise(config);
}

/// The pairs are drawn, by as many steps as a flow's samples.
pub(super) fn collect(setup: &Setup, guided: bool) -> Handover {
    Handover::Collect {
        draw: Draw::euler(STEPS, setup.config.sigma_init),
        into: PAIRS,
        rows: setup.config.pairs,
        guided,
    }
}

/// A phase in which samples are those of a flow.
pub(super) fn of_flow(setup: &Setup, phase: Phase) -> Phase {
    Phase { draw: Some(Draw::euler(STEPS, setup.config.sigma_init)), ..phase }
}

fn recipe(setup: &Setup) -> Recipe {
    let collect = collect(setup, false);
    let anew = Handover::Copy { from: "generator", to: "generator" };
    let phases = vec![
        of_flow(setup, phase("flow", "warmup_steps", FLOW, vec![collect.clone(), anew.clone()])),
        of_flow(setup, phase("reflow", "reflow_steps", REFLOW, vec![collect, anew])),
        phase("distillation", "steps", DISTILLATION, Vec::new()),
    ];
    walked(alone(setup.network.clone(), phases, Vec::new(), Draw::once(setup.config.sigma_init), &STORY), OF_FLOW)
}

const FLOW: Update = Update {
    name: "flow",
    about: "the network learns the velocity between noise and real data",
    subject: Subject::Real,
    rates: |c| Rates { lr: c.lr_warmup, beta1: 0.9, beta2: 0.999, cools: false },
    build: |step| {
        let net = step.net("generator");
        let loss = velocity_loss(step, &net, step.real(), step.latent());
        step.record("Loss/flow", loss);
        step.descend(&net, loss);
    },
};

pub(super) const REFLOW: Update = Update {
    name: "reflow",
    about: "the network learns the velocity between the noises and the samples that it made of them",
    subject: Subject::Critic,
    rates: |c| Rates { lr: c.lr_warmup, beta1: 0.9, beta2: 0.999, cools: true },
    build: |step| {
        let [eps, sample] = pairs(step);
        let net = step.net("generator");
        let loss = velocity_loss(step, &net, sample, eps);
        step.record("Loss/reflow", loss);
        step.descend(&net, loss);
    },
};

pub(super) const DISTILLATION: Update = Update {
    name: "distillation",
    about: "one evaluation learns what the straightened flow makes of a noise",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: 0.9, beta2: 0.999, cools: true },
    // Only at the first time, with the squared distance (section 3.2).
    build: |step| {
        let [eps, sample] = pairs(step);
        let net = step.net("generator");
        let loss = (net.generate(eps) - sample).square().mean_all();
        step.record("Loss/distillation", loss);
        step.descend(&net, loss);
    },
};

fn pairs<'g>(step: &Step<'g>) -> [crate::graph::Var<'g>; 2] {
    step.collected(PAIRS, step.config().pairs)
}

/// The last two are also those of [`instaflow`](super::instaflow), the last that of [`hipa`](super::hipa).
pub(super) const STORY: [Moment; 3] = [
    Moment {
        name: "Flow",
        about: "The network learns the velocity of straight lines from any noise to any point of the data.",
        subject: Subject::Real,
        update: Some("flow"),
        statistic: Some("Loss/flow"),
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Reflow",
        about: "It learns the lines from noises to the samples that it makes of them. Those lines cross less, so paths become straight.",
        subject: Subject::Critic,
        update: Some("reflow"),
        statistic: Some("Loss/reflow"),
        layers: &[Layer::Data, Layer::Samples],
    },
    Moment {
        name: "Distillation",
        about: "One evaluation learns where the path of a noise ends.",
        subject: Subject::Fake,
        update: Some("distillation"),
        statistic: Some("Loss/distillation"),
        layers: &[Layer::Data, Layer::Samples],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Executor;
    use crate::exec::cpu::CpuExecutor;
    use crate::train::Trainer;
    use crate::train::tests::{points, turns};

    /// They were the same each time, and in every run: a flow was trained again, and distilled, on a few noises that it
    /// had learned by heart.
    #[test]
    fn pairs_have_new_noise_in_each_phase_and_run() {
        let latents = |seed: u32| {
            let mut setup = points(&METHOD);
            let config = &mut setup.config;
            (config.seed, config.warmup_steps, config.reflow_steps, config.steps) = (seed, 1, 1, 1);
            let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
            let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &rows).unwrap();
            [2, 1].map(|count| {
                turns(&mut trainer, count);
                pollster::block_on(trainer.executor.read(PAIRS[0], 0, 8)).unwrap()
            })
        };
        let [first, second] = latents(1);
        let [of_another_run, _] = latents(2);
        assert!(first != second && first != of_another_run && second != of_another_run);
        assert!(latents(1) == [first, second], "a run can be done again");
    }

    /// They were drawn in one step, which a flow can't: the data's mean, through two phases of three.
    #[test]
    fn samples_of_a_flow_are_drawn_as_a_flow() {
        let mut setup = points(&METHOD);
        let config = &mut setup.config;
        (config.warmup_steps, config.reflow_steps, config.steps) = (1, 1, 2);
        let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &rows).unwrap();
        let mut samples = Vec::new();
        for evaluations in [STEPS, STEPS, 1] {
            turns(&mut trainer, 1);
            assert_eq!(trainer.drawing().evaluations(), evaluations, "{}", trainer.phase().name);
            samples.push(pollster::block_on(trainer.sample(&[0.5, -0.5])).unwrap());
        }
        assert!(samples[0] != samples[2] && samples[1] != samples[2], "{samples:?}");
    }
}
