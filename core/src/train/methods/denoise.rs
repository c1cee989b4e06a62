//! Diffusion as it is (EDM, Karras et al. 2022, arXiv 2206.00364): a network learns to remove noise at every level, and
//! a sample takes many evaluations. The yardstick of all that draw in one.

use super::super::batch::Stream;
use super::super::recipe::{Layer, Method, Moment, Rates, Subject, Update};
use super::{OWN, alone, denoising_loss, phase, walked};
use crate::nets::Draw;

/// A denoiser, and Heun's method in 18 levels.
pub const METHOD: Method = Method {
    name: "denoise",
    about: "A network learns to remove noise at every level; a sample is walked from noise to data in 35 evaluations.",
    paper: "arXiv 2206.00364",
    knobs: &["lr_warmup", "label_dropout", "cooldown"],
    needs: &[],
    settings: |c| {
        c.sigma_init = c.sigma_init.max(20.0);
        // Samples are of a class; only a teacher that is to be guided has to know all classes together.
        c.label_dropout = 0.0;
    },
    recipe: |setup| {
        let training = vec![phase("training", "steps", UPDATE, Vec::new())];
        walked(alone(setup.network.clone(), training, Vec::new(), Draw::heun(18, setup.config.sigma_init), STORY), OWN)
    },
};

const UPDATE: Update = Update {
    name: "denoiser",
    about: "the network learns to remove noise from real data",
    subject: Subject::Real,
    rates: |c| Rates { lr: c.lr_warmup, beta1: 0.9, beta2: 0.999, cools: true },
    build: |step| {
        let net = step.drawn().dropping_labels();
        let sigma = step.warmup_sigma();
        let loss = denoising_loss(step, &net, step.real(), sigma, Stream::NoiseReal);
        step.record("Loss/denoiser", loss);
        step.descend(&net, loss);
    },
};

const STORY: &[Moment] = &[
    Moment {
        name: "Noise",
        about: "A batch of real data gets noise, each point at a level of its own.",
        subject: Subject::Real,
        update: None,
        statistic: None,
        layers: &[Layer::Data, Layer::Noise],
    },
    Moment {
        name: "Denoiser",
        about: "The network's weights change so that it gives the data back.",
        subject: Subject::Fake,
        update: Some("denoiser"),
        statistic: Some("Loss/denoiser"),
        layers: &[Layer::Data, Layer::Samples],
    },
];
