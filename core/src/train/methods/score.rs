//! What the methods have in common that follow the difference of two scores: a frozen teacher knows the noised data, a
//! second denoiser, the fake, learns the noised samples, and samples move by what the two disagree on.
//!
//! In the notation of all of them: `y = g(z)` is a sample, `x_t = y + sigma eps`, `D` a denoiser, and
//! `score = (D - x_t) / sigma^2`; so `D_teacher - D_fake` is sigma^2 times the difference of the scores, in units of the
//! data at every level.

use super::super::batch::Stream;
use super::super::knobs::Config;
use super::super::net::Net;
use super::super::recipe::{
    Count, Field, First, Handover, Head, Layer, Mode, Moment, Network, Phase, Rates, Recipe, See, Sight, Subject,
    Update,
};
use super::super::step::{Setup, Step, Weights};
use super::{OF_TEACHER, denoising_loss, lengths, walked, warm_up};
use crate::graph::Var;
use crate::model::ModelKind;
use crate::nets::{Draw, NetworkConfig, SIGMA_DATA, per_sample};

/// Settings that all of these methods read.
pub const KNOBS: [&str; 12] = [
    "warmup_steps",
    "lr_warmup",
    "lr_generator",
    "lr_critic",
    "critic_steps",
    "label_dropout",
    "guidance",
    "cooldown",
    "beta1",
    "beta2",
    "sigma_min",
    "sigma_max",
];

/// [`KNOBS`] and those of a method.
pub const fn knobs<const N: usize>(more: &[&'static str]) -> [&'static str; N] {
    assert!(N == KNOBS.len() + more.len());
    let mut all = [""; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < more.len() { more[i] } else { KNOBS[i - more.len()] };
        i += 1;
    }
    all
}

/// What all of these methods change of a preset. Points get a warm-up, since without a teacher there is nothing to
/// distil, and a learning rate of the generator. The generator, which begins as the teacher, begins at a level at which
/// that one's answers differ from latent to latent (2.5 in the published code of `SiD`); at 80 they are the data's mean.
pub fn settings(config: &mut Config, lr_of_points: f32) {
    if config.warmup_steps == 0 {
        config.warmup_steps = 2000;
        config.lr_generator = lr_of_points;
    }
    config.sigma_init = config.sigma_init.min(2.5);
}

/// The recipe: a generator that `update` moves, a teacher and a fake. A fake that is an adapter on the teacher starts as
/// the teacher by itself.
pub fn recipe(setup: &Setup, fake: Mode, update: Update, story: &[Moment]) -> Recipe {
    let network = |name, first, mode| Network { name, net: setup.network.clone(), head: Head::Denoise, first, mode };
    let (first, takers): (First, &[&'static str]) = match fake {
        Mode::Adapter { .. } => (First::Random(FAKE_SALT), &["teacher"]),
        Mode::Trained | Mode::Frozen => (First::From("generator"), &["teacher", "fake"]),
    };
    // The generator last: a copy to itself makes its average its weights, and its optimizer starts anew.
    let copy = |to| Handover::Copy { from: "generator", to };
    let inherit: Vec<Handover> = takers.iter().copied().chain(["generator"]).map(copy).collect();
    let distillation = Phase {
        name: "distillation",
        length: Count::Knob("steps"),
        turn: vec![(Count::Knob("critic_steps"), FAKE), (Count::Times(1), update)],
        saves: vec![("generator", ModelKind::Generator)],
        draw: None,
        then: Vec::new(),
    };
    let recipe = Recipe {
        networks: vec![
            network("generator", First::Random(0), Mode::Trained),
            network("teacher", First::From("generator"), Mode::Frozen),
            network("fake", first, fake),
        ],
        phases: warm_up(&setup.config, "generator", &inherit).into_iter().chain([distillation]).collect(),
        inherit,
        draw: Draw::once(setup.config.sigma_init),
        sights: vec![PULL],
        story: story.to_vec(),
        plots: Vec::new(),
        alarms: Vec::new(),
    };
    walked(recipe, OF_TEACHER)
}

/// The recipe of methods whose generator is of another form than the teacher, which so is the network that the warm-up
/// trains; there may be several fakes, each of a form of its own.
pub fn recipe_apart(
    setup: &Setup,
    generator: &NetworkConfig,
    fakes: &[(&'static str, NetworkConfig)],
    turn: [Update; 2],
    story: &[Moment],
) -> Recipe {
    let network = |name, net: &NetworkConfig| {
        let (head, first, mode) = (Head::Denoise, First::Random(0), Mode::Trained);
        Network { name, net: net.clone(), head, first, mode }
    };
    // The teacher last: a copy to itself makes its average its weights.
    let takers = std::iter::once("generator").chain(fakes.iter().map(|(name, _)| *name)).chain(["teacher"]);
    let inherit: Vec<Handover> = takers.map(|to| Handover::Copy { from: "teacher", to }).collect();
    let mut recipe = recipe(setup, Mode::Trained, turn[1], story);
    let mut last = recipe.phases.pop().expect("the distillation");
    last.turn[0].1 = turn[0];
    recipe.phases = warm_up(&setup.config, "teacher", &inherit).into_iter().chain([last]).collect();
    recipe.networks = vec![network("generator", generator), network("teacher", &setup.network)];
    recipe.networks.extend(fakes.iter().map(|(name, net)| network(name, net)));
    Recipe { inherit, ..recipe }
}

/// Seed of a fake's first weights that are not the generator's.
const FAKE_SALT: u32 = 0x4641_4B45;

/// The difference of the denoisers over the plane.
pub const PULL: Sight = Sight {
    name: "Pull",
    about: "Where the teacher would move a noised point, and the fake denoiser would not: arrows show the difference of \
            their scores, which samples follow, and the colour how far the two disagree.",
    see: See::Field(|step, x, sigma| {
        let denoised = |name| step.frozen(name, Weights::Param).denoise(x, sigma);
        let difference = denoised("teacher") - denoised("fake");
        Field { height: lengths(difference), arrow: difference / sigma.square().reshape(&[1, 1]) }
    }),
};

/// The fake denoiser follows the generator: the denoising loss of the warm-up on samples, at the noise levels at which
/// samples are pulled.
pub const FAKE: Update = Update {
    name: "fake",
    about: "the fake denoiser learns to remove noise from samples",
    subject: Subject::Critic,
    rates: |c| Rates { lr: c.lr_critic, beta1: c.beta1, beta2: c.beta2, cools: true },
    build: |step| learn(step, &step.net("fake")),
};

/// The fake denoiser `net` learns to remove noise from samples.
pub fn learn<'g>(step: &Step<'g>, net: &Net<'g>) {
    let y = step.frozen("generator", Weights::Param).generate(step.latent());
    let (sigma, _) = step.sigma();
    let loss = denoising_loss(step, net, y, sigma, Stream::NoiseFake);
    step.record("Loss/fake", loss);
    step.descend(net, loss);
}

/// Numbers of the generator's optimizer.
pub fn generator_rates(config: &Config) -> Rates {
    Rates { lr: config.lr_generator, beta1: config.beta1, beta2: config.beta2, cools: true }
}

/// Teacher and this fake denoiser as they are asked: the first guided by the setting `guidance`.
pub fn asked<'g>(step: &Step<'g>, fake: &str) -> [Net<'g>; 2] {
    let [teacher, fake] = ["teacher", fake].map(|name| step.frozen(name, Weights::Param));
    [teacher.guided_as_set(), fake]
}

/// Samples, and what both denoisers make of them when they are noised. Nothing is detached.
#[derive(Clone, Copy)]
pub struct Denoised<'g> {
    /// `y [B, ..]`
    pub y: Var<'g>,
    /// `[B]`
    pub sigma: Var<'g>,
    /// `D_teacher(x_t; sigma)`, shape of `y`.
    pub teacher: Var<'g>,
    /// `D_fake(x_t; sigma)`, shape of `y`.
    pub fake: Var<'g>,
}

impl<'g> Denoised<'g> {
    /// Noise on samples `y [B, ..]`, and both denoisers.
    pub fn of(step: &Step<'g>, y: Var<'g>) -> Self {
        Self::by(step, y, &asked(step, "fake"))
    }

    /// The same by these two, teacher and fake denoiser.
    pub fn by(step: &Step<'g>, y: Var<'g>, nets: &[Net<'g>; 2]) -> Self {
        let (sigma, _) = step.sigma();
        Self::noised(y, step.noised(y, sigma, Stream::NoiseFake), sigma, nets)
    }

    /// What both make of `x_t [B, ..]`, which is `y` with noise.
    pub fn noised(y: Var<'g>, x_t: Var<'g>, sigma: Var<'g>, [teacher, fake]: &[Net<'g>; 2]) -> Self {
        Self { y, sigma, teacher: teacher.denoise(x_t, sigma), fake: fake.denoise(x_t, sigma) }
    }

    /// `D_fake - D_teacher`, detached: samples move against it.
    pub fn difference(&self) -> Var<'g> {
        (self.fake - self.teacher).detach()
    }

    /// Size of the teacher's error, detached, `[B, 1, ..]`: its mean over a sample, `mean |y - D_teacher|`.
    pub fn error_of_sample(&self) -> Var<'g> {
        let rank = self.y.rank();
        let axes: Vec<usize> = (1..rank).collect();
        let mean = (self.y - self.teacher).abs().mean(&axes).reshape(&[self.y.shape()[0]]);
        per_sample(mean.max(self.y.graph().constant(1e-5)), rank).detach()
    }

    /// The same as far as it follows from the noise level: `sigma sd / sqrt(sigma^2 + sd^2)`, the deviation of the best
    /// linear denoiser's error. In one or two dimensions the error of a single sample is often near zero by chance, and
    /// a division by it gives gradients of heavy tails; with exact denoisers of Gaussians in one dimension, sid diverged
    /// by that.
    pub fn error_of_level(&self) -> Var<'g> {
        let sigma = self.sigma;
        per_sample(sigma * SIGMA_DATA / (sigma.square() + SIGMA_DATA * SIGMA_DATA).sqrt(), self.y.rank())
    }

    /// The first for images, the second for points of few numbers.
    pub fn error(&self) -> Var<'g> {
        let width = self.y.len() / self.y.shape()[0];
        if width < 16 { self.error_of_level() } else { self.error_of_sample() }
    }
}

/// Moves the samples `y` of the generator against `gradient`, in units of the data, as the loss
/// `mean (y - sg[y - gradient])^2 / 2` does (DMD, equation 7).
pub fn pull<'g>(step: &Step<'g>, generator: &Net<'g>, denoised: &Denoised<'g>, gradient: Var<'g>) {
    let y = denoised.y;
    record_size(step, denoised);
    step.pull(generator, y, gradient * (1.0 / y.len() as f32));
}

/// A number whose gradient moves the samples `y` as [`pull`] does, for a loss of several parts.
#[cfg(not(target_arch = "wasm32"))]
pub fn pulled<'g>(y: Var<'g>, gradient: Var<'g>) -> Var<'g> {
    (y * gradient.detach()).mean_all()
}

/// Reports how far samples are pulled, and the teacher's error beside it.
pub fn record_size<'g>(step: &Step<'g>, denoised: &Denoised<'g>) {
    step.record("Pull/size", denoised.difference().abs().mean_all());
    step.record("Pull/error", (denoised.y - denoised.teacher).detach().abs().mean_all());
}

/// A turn in pictures; only the title of the pull and what is said of it differ from method to method.
pub const fn story(fake: &'static str, pull: &'static str) -> [Moment; 4] {
    [
        Moment {
            name: "Samples",
            about: "A batch of samples, each made in one step from a random latent, gets noise of random levels.",
            subject: Subject::Fake,
            update: None,
            statistic: None,
            layers: &[Layer::Data, Layer::Samples, Layer::Noise],
        },
        Moment {
            name: "Fake",
            about: fake,
            subject: Subject::Critic,
            update: Some("fake"),
            statistic: Some("Loss/fake"),
            layers: &[Layer::Samples, Layer::Noise],
        },
        Moment {
            name: "Pull",
            about: pull,
            subject: Subject::Pull,
            update: None,
            statistic: Some("Pull/size"),
            layers: &[Layer::Samples, Layer::Heights, Layer::Arrows],
        },
        Moment {
            name: "Generator",
            about: "The generator's weights change so that its samples follow. (The moves are drawn larger than they are.)",
            subject: Subject::Fake,
            update: Some("generator"),
            statistic: None,
            layers: &[Layer::Data, Layer::Samples, Layer::Heights],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sid;
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};
    use crate::plan::ArenaKind;
    use crate::train::tests::points;
    use crate::train::{DataSpec, Method};

    /// Mean and deviation of the data.
    const DATA: [f64; 2] = [0.25, 0.5];
    const SIGMA: f64 = 0.75;

    /// `mean + v / (v + sigma^2) (x - mean)`: the exact denoiser of a Gaussian with `[mean, deviation]` in a store.
    fn exact<'g>(store: &str, x: Var<'g>) -> Var<'g> {
        let [mean, deviation] = [0, 1].map(|i| x.graph().input(store, i, &[1, 1]));
        let variance = deviation.square();
        mean + variance / (variance + (SIGMA * SIGMA) as f32) * (x - mean)
    }

    /// For a generator `y = mean + deviation z` in one dimension, with a fake denoiser that is exact but, as in a step,
    /// stays as it is: the difference of the denoisers, and the gradients by mean and deviation of the plain pull and of
    /// sid's losses with alpha 0.5 and 1.2.
    fn gradients(generator: [f64; 2]) -> [Vec<f64>; 4] {
        let graph = Graph::new();
        let [z, eps] = ["z", "eps"].map(|store| graph.input(store, 0, &[4, 1]));
        let parameters = [0, 1].map(|i| graph.input("generator", i, &[1, 1]));
        let y = parameters[0] + parameters[1] * z;
        let x_t = y + eps * SIGMA as f32;
        let sigma = graph.full(SIGMA as f32, &[4]);
        let denoised = Denoised { y, sigma, teacher: exact("data", x_t), fake: exact("fake", x_t) };
        let pull = graph.vjp(&[(y, denoised.difference() * 0.25)], &parameters);
        let [low, high] = [0.5, 1.2].map(|alpha| graph.grad(sid::loss(&denoised, graph.constant(alpha)), &parameters));
        // Both signs of both: exact for means of polynomials of the second degree.
        let stores: [(&str, &[f64]); 5] = [
            ("z", &[-1.0, -1.0, 1.0, 1.0]),
            ("eps", &[-1.0, 1.0, -1.0, 1.0]),
            ("data", &DATA),
            ("generator", &generator),
            ("fake", &generator),
        ];
        let wanted: Vec<Var<'_>> = [vec![denoised.difference()], pull, low, high].concat();
        let out = evaluate(&graph, &feed(&stores), &wanted);
        let pair = |i: usize| vec![out[i][0], out[i + 1][0]];
        [out[0].clone(), pair(1), pair(3), pair(5)]
    }

    #[test]
    fn a_generator_that_is_right_is_not_moved() {
        let [difference, gradients @ ..] = gradients(DATA);
        assert!(difference.iter().chain(gradients.iter().flatten()).all(|g| g.abs() < 1e-15));
    }

    #[test]
    fn the_pull_is_the_gradient_of_the_divergence_of_noised_samples_and_data() {
        let [mean, deviation] = [-0.5, 0.75];
        let [_, pull, ..] = gradients([mean, deviation]);
        // Of KL(N(mean, deviation^2 + sigma^2) || data with noise), times sigma^2.
        let noise = SIGMA * SIGMA;
        let [of_samples, of_data] = [deviation * deviation + noise, DATA[1] * DATA[1] + noise];
        let wanted = [(mean - DATA[0]) / of_data, deviation * (1.0 / of_data - 1.0 / of_samples)].map(|g| noise * g);
        assert_close(&pull, &wanted, 1e-12);
    }

    /// With the reader of real data away, methods without a discriminator run all the same once they have their teacher.
    #[test]
    fn only_discriminators_read_data_after_the_warm_up() {
        let reads = |name: &str| {
            let setup = points(Method::find(name).unwrap());
            let recipe = setup.recipe();
            let updates = recipe.phases[1..].iter().flat_map(|phase| &phase.turn);
            let plans = updates.map(|(_, update)| update.plan(&setup, &recipe).unwrap());
            plans.flat_map(|plan| plan.arenas).any(|arena| arena.kind == ArenaKind::Store(DataSpec::STORE.into()))
        };
        assert!(["vsd", "dmd", "sid", "swiftbrush", "disback", "phased-dmd"].into_iter().all(|name| !reads(name)));
        assert!(["dmd2", "sida", "f-distill", "sid-few", "flash-dmd"].into_iter().all(reads));
    }

    #[test]
    fn sid_descends_the_squared_difference_whatever_alpha_is() {
        // Of equal deviations, so that the denoisers differ by a constant, `b = sigma^2 / (v + sigma^2)` times the
        // difference of the means; half its square has the gradient b^2 (mean - DATA).
        let mean = 1.0;
        let [_, _, low, high] = gradients([mean, DATA[1]]);
        let noise = SIGMA * SIGMA;
        let total = DATA[1] * DATA[1] + noise;
        let error = SIGMA * f64::from(SIGMA_DATA) / (noise + f64::from(SIGMA_DATA).powi(2)).sqrt();
        let wanted = [(noise / total).powi(2) * (mean - DATA[0]) / error, 0.0];
        assert_close(&low, &wanted, 1e-6); // alpha is an f32
        assert_close(&high, &wanted, 1e-6);
    }
}
