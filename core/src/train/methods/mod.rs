//! The methods, one file each.

mod diffratio;

use super::batch::{Stream, warmup_sigma};
use super::knobs::Config;
use super::recipe::{Count, Handover, Method, Phase, Rates, Subject, Update};
use super::step::{Net, Step};
use crate::graph::Var;
use crate::model::ModelKind;
use crate::nets::{denoising_weight, per_sample};

/// All methods, in the order in which they are offered.
pub const METHODS: &[Method] = &[diffratio::METHOD];

/// Weighted squared error of a denoiser at noise levels `sigma [B]` (Karras et al. 2022, equation 108), one number.
fn denoising_loss<'g>(step: &Step<'g>, net: &Net<'g>, clean: Var<'g>, sigma: Var<'g>, stream: Stream) -> Var<'g> {
    let denoised = net.denoise(step.noised(clean, sigma, stream), sigma);
    let weight = per_sample(denoising_weight(sigma), clean.rank());
    (weight * (denoised - clean).square()).mean_all()
}

/// The warm-up: the network `name`, the first of the recipe, learns to remove noise. `None` if the settings leave it
/// out.
fn warm_up(config: &Config, name: &'static str, then: &[Handover]) -> Option<Phase> {
    let then = [&[Handover::Save(name, ModelKind::Denoiser)], then].concat();
    (config.warmup_steps > 0).then(|| Phase {
        name: "warm-up",
        length: Count::Knob("warmup_steps"),
        turn: vec![(Count::Times(1), WARM_UP)],
        saves: vec![(name, ModelKind::Denoiser)],
        then,
    })
}

const WARM_UP: Update = Update {
    name: "warmup",
    about: "the generator's network learns to remove noise from real data",
    subject: Subject::Real,
    rates: |config| Rates { lr: config.lr_warmup, beta1: 0.9, beta2: 0.999, cools: false },
    build: |step| {
        let net = step.drawn().dropping_labels();
        let real = step.real();
        let sigma = warmup_sigma(step.graph(), step.batch());
        let loss = denoising_loss(step, &net, real, sigma, Stream::NoiseReal);
        step.record("Loss/warmup", loss);
        step.descend(&net, loss);
    },
};
