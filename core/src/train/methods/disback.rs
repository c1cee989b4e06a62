//! `DisBack` (arXiv 2408.15991): distillation back along the path on which a teacher was led to the student. First the
//! fake denoiser, a copy of the teacher, learns the samples of the generator before that is trained, and what it becomes
//! on the way is kept; then samples follow what was kept, the last first, so that the denoisers never differ by much.
//!
//! The loss is that of vsd. How many are kept, and for how long each is followed, was not found for small images.

use super::super::recipe::{Count, First, Handover, Head, Method, Mode, Need, Network, Phase, Recipe};
use super::super::step::Setup;
use super::{score, vsd};

/// Back along the path of degradation.
pub const METHOD: Method = Method {
    name: "disback",
    about: "As vsd; the teacher is led step by step to the untrained generator's samples, and these follow it back.",
    paper: "arXiv 2408.15991",
    knobs: &score::knobs::<14>(&["degrade_steps", "round_steps"]),
    needs: &[Need::Teacher],
    settings: |c| {
        score::settings(c, 1e-3);
        (c.degrade_steps, c.round_steps) = (100, 200);
    },
    recipe,
};

/// What is kept on the way there, in order.
const KEPT: [&str; 3] = ["kept1", "kept2", "kept3"];
/// Names of the parts of the way there, and of the way back but for the last.
const THERE: [&str; 4] = ["degradation 1", "degradation 2", "degradation 3", "degradation 4"];
const BACK: [&str; 3] = ["back 1", "back 2", "back 3"];

fn recipe(setup: &Setup) -> Recipe {
    let story = score::story(
        "A second denoiser, which was led from the teacher to the untrained generator's samples, goes on to learn samples.",
        "What the fake denoiser and one that was kept on its way disagree on: it points back along the way, to the data in \
         the end.",
    );
    let mut recipe = score::recipe(setup, Mode::Trained, vsd::GENERATOR, &story);
    let copy = |from, to| Handover::Copy { from, to };
    let kept = KEPT.into_iter().chain(["original"]).map(|name| Network {
        name,
        net: setup.network.clone(),
        head: Head::Denoise,
        first: First::From("generator"),
        mode: Mode::Frozen,
    });
    recipe.networks.extend(kept);
    recipe.inherit.insert(0, copy("generator", "original"));
    if let [warm_up, _] = &mut recipe.phases[..] {
        warm_up.then.insert(1, copy("generator", "original"));
    }
    let last = recipe.phases.pop().expect("the distillation");
    let there = THERE.into_iter().enumerate().map(|(i, name)| {
        // At the end of the way, the way back begins with what was kept last.
        let then = KEPT.get(i).map_or(copy(KEPT[2], "teacher"), |&kept| copy("fake", kept));
        let turn = vec![(Count::Times(1), score::FAKE)];
        Phase { name, length: Count::Knob("degrade_steps"), turn, then: vec![then], ..last.clone() }
    });
    let back = BACK.into_iter().zip([KEPT[1], KEPT[0], "original"]).map(|(name, next)| Phase {
        name,
        length: Count::Knob("round_steps"),
        then: vec![copy(next, "teacher")],
        ..last.clone()
    });
    let way: Vec<Phase> = there.chain(back).collect();
    recipe.phases.extend(way);
    recipe.phases.push(last);
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Executor;
    use crate::exec::cpu::CpuExecutor;
    use crate::train::Trainer;
    use crate::train::tests::{points, turns};

    #[test]
    fn samples_follow_what_was_kept_from_the_last_to_the_teacher_itself() {
        let mut setup = points(&METHOD);
        let config = &mut setup.config;
        (config.warmup_steps, config.degrade_steps, config.round_steps, config.steps) = (2, 2, 2, 2);
        let rows: Vec<u32> = (0..100).map(|i| (i as f32 * 0.37).sin().to_bits()).collect();
        let mut trainer = Trainer::new(Executor::Cpu(CpuExecutor::new()), setup, &rows).unwrap();
        let read = |trainer: &Trainer, name, store| pollster::block_on(trainer.weights(name, store)).unwrap();
        turns(&mut trainer, 2);
        let (mut way, mut followed) = (vec![read(&trainer, "generator", "ema")], Vec::new());
        for phase in 1..trainer.recipe().phases.len() {
            turns(&mut trainer, 1);
            assert_eq!(trainer.counters.phase, phase);
            if phase > THERE.len() {
                followed.push(read(&trainer, "teacher", "param"));
            }
            turns(&mut trainer, 1);
            if phase < THERE.len() {
                way.push(read(&trainer, "fake", "ema"));
            }
        }
        way.reverse();
        assert!(way.windows(2).all(|pair| pair[0] != pair[1]), "nothing was learned on the way");
        assert!(way == followed, "samples followed something else");
    }
}
