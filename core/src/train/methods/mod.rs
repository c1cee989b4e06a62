//! The methods, one file each.

#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod boot;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod cd;
#[cfg(feature = "gallery")]
mod denoise;
mod diffratio;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod diffusion_gan;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod disback;
#[cfg(feature = "gallery")]
mod dmd;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod dmd2;
#[cfg(feature = "gallery")]
mod ect;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod f_distill;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod few;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod flash_dmd;
#[cfg(feature = "gallery")]
mod flow;
#[cfg(all(test, feature = "gallery"))]
mod gaussian;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod hipa;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod hyper_sd;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod instaflow;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod judge;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod mdt;
#[cfg(feature = "gallery")]
mod meanflow;
#[cfg(feature = "gallery")]
mod msd;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod phased_dmd;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod progressive;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod rcm;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod reader;
#[cfg(feature = "gallery")]
mod reflow;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod reward;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod sana_sprint;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod scm;
#[cfg(feature = "gallery")]
mod score;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod shortcut;
#[cfg(feature = "gallery")]
mod sid;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod sid_few;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod sida;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod smt;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod snoopi;
#[cfg(feature = "gallery")]
mod swiftbrush;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod swiftbrush_v2;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod tbcm;
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
mod twinflow;
#[cfg(feature = "gallery")]
mod vsd;

use super::batch::Stream;
use super::knobs::Config;
use super::net::Net;
use super::recipe::{Count, Handover, Method, Phase, Rates, Subject, Update};
#[cfg(feature = "gallery")]
use super::recipe::{Field, First, Head, Mode, Moment, Network, PathsOf, Recipe, See, Sight};
use super::step::Step;
#[cfg(feature = "gallery")]
use super::step::{Setup, Weights};
use crate::graph::Var;
use crate::model::ModelKind;
#[cfg(feature = "gallery")]
use crate::nets::{Draw, NetworkConfig};
use crate::nets::{denoising_weight, per_sample};

/// All methods, in the order in which they are offered; the page has those that fit into its bytes.
pub const METHODS: &[Method] = &[
    diffratio::METHOD,
    #[cfg(feature = "gallery")]
    vsd::METHOD,
    #[cfg(feature = "gallery")]
    dmd::METHOD,
    #[cfg(feature = "gallery")]
    sid::METHOD,
    #[cfg(feature = "gallery")]
    swiftbrush::METHOD,
    #[cfg(feature = "gallery")]
    msd::METHOD,
    #[cfg(feature = "gallery")]
    denoise::METHOD,
    #[cfg(feature = "gallery")]
    flow::METHOD,
    #[cfg(feature = "gallery")]
    reflow::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    instaflow::METHOD,
    #[cfg(feature = "gallery")]
    ect::METHOD,
    #[cfg(feature = "gallery")]
    meanflow::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    shortcut::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    progressive::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    cd::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    hyper_sd::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    hipa::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    scm::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    tbcm::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    rcm::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    sana_sprint::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    boot::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    mdt::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    twinflow::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    dmd2::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    sida::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    sid_few::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    f_distill::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    diffusion_gan::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    snoopi::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    disback::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    smt::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    phased_dmd::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    flash_dmd::METHOD,
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    swiftbrush_v2::METHOD,
];

/// Paths from noise to data beside one evaluation, on the same recipe; not on the page.
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
fn walked(mut recipe: Recipe, of: PathsOf) -> Recipe {
    recipe.sights.push(Sight {
        name: "Paths",
        about: "Blue: the way of some latents to data by many small steps of the denoiser, in units in which one exact step \
                would be a straight line. Orange: where one evaluation of the drawn network leads from the same latents. \
                Green: how far that is from the way's end. The numbers are in the line above the plane.",
        see: See::Paths(of),
    });
    recipe
}

#[cfg(all(feature = "gallery", target_arch = "wasm32"))]
fn walked(recipe: Recipe, _: PathsOf) -> Recipe {
    recipe
}

/// The one network, if it stays a denoiser of all levels.
#[cfg(feature = "gallery")]
const OWN: PathsOf = |_| Some("generator");

/// The network that is to become the teacher, and then the teacher.
#[cfg(feature = "gallery")]
const OF_TEACHER: PathsOf = |phase| phase.denoiser().or(Some("teacher"));

/// The recipe of a method with one network.
#[cfg(feature = "gallery")]
fn alone(net: NetworkConfig, phases: Vec<Phase>, inherit: Vec<Handover>, draw: Draw, story: &[Moment]) -> Recipe {
    let mode = Mode::Trained;
    Recipe {
        networks: vec![Network { name: "generator", net, head: Head::Denoise, first: First::Random(0), mode }],
        phases,
        inherit,
        draw,
        sights: vec![SCORE],
        story: story.to_vec(),
        plots: Vec::new(),
        alarms: Vec::new(),
    }
}

/// A phase of such a method, of one update.
#[cfg(feature = "gallery")]
fn phase(name: &'static str, length: &'static str, update: Update, then: Vec<Handover>) -> Phase {
    let turn = vec![(Count::Times(1), update)];
    let saves = vec![("generator", ModelKind::Generator)];
    Phase { name, length: Count::Knob(length), turn, saves, draw: None, then }
}

/// A method whose network is a denoiser from the warm-up first.
#[cfg(feature = "gallery")]
fn tuned(setup: &Setup, net: NetworkConfig, last: Phase, draw: Draw, story: &[Moment]) -> Recipe {
    let inherit = vec![Handover::Copy { from: "generator", to: "generator" }];
    let phases = warm_up(&setup.config, "generator", &inherit).into_iter().chain([last]).collect();
    alone(net, phases, inherit, draw, story)
}

/// A method with a frozen teacher, of which its network is a copy at first: the denoiser from the warm-up.
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
fn taught(setup: &Setup, net: NetworkConfig, phases: Vec<Phase>, draw: Draw, story: &[Moment]) -> Recipe {
    let teacher = Network {
        name: "teacher",
        net: net.clone(),
        head: Head::Denoise,
        first: First::From("generator"),
        mode: Mode::Frozen,
    };
    let phases = warm_up(&setup.config, "generator", &NEXT_TEACHER).into_iter().chain(phases).collect();
    let mut recipe = walked(alone(net, phases, NEXT_TEACHER.to_vec(), draw, story), OF_TEACHER);
    recipe.networks.push(teacher);
    recipe
}

/// A method that trains a low-rank adapter on a teacher, the denoiser from the warm-up, which stays as it is; `then` is what
/// follows when that is there.
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
fn adapted(setup: &Setup, then: Vec<Handover>, phases: Vec<Phase>, story: Vec<Moment>) -> Recipe {
    let network = |name, mode| Network {
        name,
        net: setup.network.clone(),
        head: Head::Denoise,
        // What adapters start as has no effect on the teacher.
        first: First::Random(0),
        mode,
    };
    let adapter = Mode::Adapter { of: "teacher", rank: setup.config.rank };
    // A copy to itself makes its average its weights.
    let inherit = [vec![Handover::Copy { from: "teacher", to: "teacher" }], then].concat();
    let recipe = Recipe {
        networks: vec![network("generator", adapter), network("teacher", Mode::Trained)],
        phases: warm_up(&setup.config, "teacher", &inherit).into_iter().chain(phases).collect(),
        inherit,
        draw: Draw::once(setup.config.sigma_init),
        sights: vec![SCORE],
        story,
        plots: Vec::new(),
        alarms: Vec::new(),
    };
    walked(recipe, OF_TEACHER)
}

/// The network becomes the teacher, and goes on from its own average with a new optimizer.
#[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
const NEXT_TEACHER: [Handover; 2] =
    [Handover::Copy { from: "generator", to: "teacher" }, Handover::Copy { from: "generator", to: "generator" }];

/// Settings for samples that start from noise alone, behind a phase that learns to remove it.
#[cfg(feature = "gallery")]
fn from_noise(config: &mut Config) {
    config.sigma_init = config.sigma_init.max(20.0);
    if config.warmup_steps == 0 {
        config.warmup_steps = 2000;
    }
}

/// What a denoiser knows of the data, over the plane.
#[cfg(feature = "gallery")]
const SCORE: Sight = Sight {
    name: "Score",
    about: "Where the network would move a noised point to remove its noise: arrows show the slope of the log density of \
            noised data, and the colour how far it moves.",
    see: See::Field(|step, x, sigma| {
        let move_by = step.frozen(step.recipe().drawn().name, Weights::Ema).denoise(x, sigma) - x;
        Field { height: lengths(move_by), arrow: move_by / sigma.square().reshape(&[1, 1]) }
    }),
};

/// Lengths `[N]` of the rows of `x [N, D]`.
#[cfg(feature = "gallery")]
fn lengths(x: Var<'_>) -> Var<'_> {
    (x.square().sum(&[1]) + 1e-12).sqrt().reshape(&[x.shape()[0]])
}

/// Weighted squared error of a denoiser at noise levels `sigma [B]` (Karras et al. 2022, equation 108), one number.
fn denoising_loss<'g>(step: &Step<'g>, net: &Net<'g>, clean: Var<'g>, sigma: Var<'g>, stream: Stream) -> Var<'g> {
    let denoised = net.denoise(step.noised(clean, sigma, stream), sigma);
    let weight = per_sample(denoising_weight(sigma), clean.rank());
    (weight * (denoised - clean).square()).mean_all()
}

/// The warm-up: the network `name`, with which the recipe begins, learns to remove noise. `None` if the settings leave
/// it out.
fn warm_up(config: &Config, name: &'static str, then: &[Handover]) -> Option<Phase> {
    let then = [&[Handover::Save(name, ModelKind::Denoiser)], then].concat();
    (config.warmup_steps > 0).then(|| Phase {
        name: "warm-up",
        length: Count::Knob("warmup_steps"),
        turn: vec![(Count::Times(1), WARM_UP)],
        saves: vec![(name, ModelKind::Denoiser)],
        draw: None,
        then,
    })
}

const WARM_UP: Update = Update {
    name: "warmup",
    about: "the generator's network learns to remove noise from real data",
    subject: Subject::Real,
    rates: |config| Rates { lr: config.lr_warmup, beta1: 0.9, beta2: 0.999, cools: false },
    build: |step| {
        let net = step.net(step.recipe().begins_with().name).dropping_labels();
        let real = step.real();
        let sigma = step.warmup_sigma();
        let loss = denoising_loss(step, &net, real, sigma, Stream::NoiseReal);
        step.record("Loss/warmup", loss);
        step.descend(&net, loss);
    },
};
