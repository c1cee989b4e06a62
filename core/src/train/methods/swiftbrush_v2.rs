//! `SwiftBrush` v2 (Dao et al. 2024, arXiv 2408.14176): `SwiftBrush` from a student that is sharp already, whose samples
//! are also aligned to what was asked for, but only until that is told well enough, and less and less.
//!
//! Read in notes on the paper. There the student begins as a published one-step model, here a phase of diffusion-gan's
//! updates sharpens it; CLIP is a small network that learns to read classes in that phase. The paper aligns a student of
//! low-rank adapters, here all weights learn. Merging two students is `onestep merge`.

use super::super::recipe::{Count, First, Handover, Head, Method, Mode, Need, Network, Phase, Recipe, Subject, Update};
use super::super::step::{Setup, Weights};
use super::score::{self, Denoised, generator_rates};
use super::{diffusion_gan, reader, swiftbrush};
use crate::graph::Var;
use crate::model::ModelKind;

/// Score distillation by adapters of a sharper student, with clamped alignment.
pub const METHOD: Method = Method {
    name: "swiftbrush-v2",
    about: "As swiftbrush, from a student that a discriminator has sharpened; samples whose class is unclear are moved to it.",
    paper: "arXiv 2408.14176",
    knobs: &score::knobs::<18>(&["rank", "sharpen_steps", "told_target", "align_weight", "align_tau", "align_fade"]),
    needs: &[Need::Teacher, Need::Classes],
    settings: |c| {
        // Per sample, where the pull is a mean over its numbers: two instead of thousands.
        c.align_weight = if c.warmup_steps == 0 { 0.1 } else { 1e-3 };
        (swiftbrush::METHOD.settings)(c);
    },
    recipe,
};

fn recipe(setup: &Setup) -> Recipe {
    let pull = "Samples move by what the adapters change of the teacher, and those whose class is not read clearly to where it is.";
    let mut recipe = swiftbrush::recipe(setup, GENERATOR, pull);
    let net = setup.network.clone();
    let (head, first, mode) = (Head::Logit, First::Random(0x5348_5250), Mode::Trained);
    recipe.networks.extend([Network { name: "discriminator", net, head, first, mode }, reader::network(setup)]);
    let sharpen = Update { name: "sharpen", ..diffusion_gan::GENERATOR };
    let sharpening = Phase {
        name: "sharpening",
        length: Count::Knob("sharpen_steps"),
        turn: vec![
            (Count::Knob("critic_steps"), diffusion_gan::DISCRIMINATOR),
            (Count::Times(1), sharpen),
            (Count::Times(1), reader::UPDATE),
        ],
        saves: vec![("generator", ModelKind::Generator)],
        draw: None,
        then: vec![Handover::Copy { from: "generator", to: "generator" }],
    };
    recipe.phases.insert(recipe.phases.len() - 1, sharpening);
    recipe
}

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move by what the adapters change of the teacher, and to their class where it is unclear",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let denoised = Denoised::by(step, net.generate(step.latent()), &swiftbrush::as_set(step));
        score::record_size(step, &denoised);
        let classes = step.setup().network.classes() as f32;
        let read = step.frozen(reader::NAME, Weights::Ema).logit(denoised.y, reader::unnoised(step)) - classes.ln();
        step.record("Read/samples", read.mean_all());
        let price = lack(read, step.knob("align_tau")).mean_all();
        step.record("Loss/align", price);
        let weight = step.knob("align_weight") * (1.0 - step.knob("align_fade") * step.progress());
        step.descend(&net, score::pulled(denoised.y, swiftbrush::gradient(&denoised)) + price * weight);
    },
};

/// What samples cost whose class has the logarithmic probability `read [B]`: `max(0, ln tau - read)`.
fn lack<'g>(read: Var<'g>, tau: Var<'g>) -> Var<'g> {
    (tau.log() - read).max(read.graph().constant(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};

    /// Of one dimension and a reader that says `a y`: the slope is `-a / B` below `ln tau`, and nothing above.
    #[test]
    fn only_samples_whose_class_is_unclear_are_moved_to_it() {
        let graph = Graph::new();
        let y = graph.input("y", 0, &[4, 1]);
        let (a, tau) = (1.5, 0.5_f32);
        let price = lack((y * a).reshape(&[4]), graph.constant(tau)).mean_all();
        let slope = graph.grad(price, &[y])[0];
        let at = [-3.0, -0.5, -0.4, 1.0];
        let out = evaluate(&graph, &feed(&[("y", &at)]), &[slope, price]);
        let a = f64::from(a);
        let below = |y: f64| f64::from(tau).ln() - a * y;
        assert!(at.iter().filter(|y| below(**y) > 0.0).count() == 2, "both kinds are there");
        let slopes: Vec<f64> = at.iter().map(|y| if below(*y) > 0.0 { -a / 4.0 } else { 0.0 }).collect();
        assert_close(&out[0], &slopes, 1e-9);
        assert_close(&out[1], &[at.iter().map(|y| below(*y).max(0.0)).sum::<f64>() / 4.0], 1e-6);
    }
}
