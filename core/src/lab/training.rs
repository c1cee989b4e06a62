//! What the laboratory trains: one network each time, by the project's trainer, on points that are drawn on the device.

use rayon::prelude::*;

use super::mixture::{BUMPS, Mixture};
use crate::exec::Executor;
use crate::graph::Var;
use crate::nets::{Draw, MlpConfig, NetworkConfig, Params, SIGMA_DATA, denoising_weight, per_sample};
use crate::train::{
    Averages, Config, Count, DataSpec, First, Head, Method, Mode, Net, Network, Phase, RING, Rates, Recipe, Setup,
    Step, Stream, Subject, TrainError, Trainer, Update,
};

/// What a network learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A denoiser: to remove noise from data, as a teacher does.
    OfData,
    /// A denoiser: to remove noise from samples, as a fake does.
    OfSamples,
    /// A ratio network: to tell noised data from noised samples.
    Ratio,
    /// The same with the logit scaled by noise level: `l = sd / sqrt(sigma^2 + sd^2) F`, as large noise leaves so much of it
    /// ([`scale`]).
    Scaled,
    /// For comparison, a ratio network whose slope is shown the exact difference of the scores.
    Shown,
}

impl Kind {
    /// What it gives.
    pub fn head(self) -> Head {
        match self {
            Self::OfData | Self::OfSamples => Head::Denoise,
            Self::Ratio | Self::Scaled | Self::Shown => Head::Logit,
        }
    }

    fn method(self) -> &'static Method {
        match self {
            Self::OfData => &OF_DATA,
            Self::OfSamples => &OF_SAMPLES,
            Self::Ratio => &RATIO,
            Self::Scaled => &SCALED,
            Self::Shown => &SHOWN,
        }
    }
}

/// One training.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// What is learned.
    pub kind: Kind,
    /// Data.
    pub data: &'a Mixture,
    /// Samples.
    pub student: &'a Mixture,
    /// Steps, batch, width, blocks, seed, noise levels and the optimizer's numbers.
    pub config: Config,
}

/// What came of it.
pub struct Trained {
    /// What it learned.
    pub kind: Kind,
    /// Averaged weights.
    pub weights: Vec<f32>,
    /// The network.
    pub network: NetworkConfig,
}

const fn method(name: &'static str, recipe: fn(&Setup) -> Recipe) -> Method {
    Method { name, about: "", paper: "arXiv 2502.08005", knobs: &[], needs: &[], settings: |_| {}, recipe }
}

static OF_DATA: Method = method("lab-denoiser-of-data", |setup| recipe(setup, Head::Denoise, of_data));
static OF_SAMPLES: Method = method("lab-denoiser-of-samples", |setup| recipe(setup, Head::Denoise, of_samples));
static RATIO: Method = method("lab-ratio", |setup| recipe(setup, Head::Logit, ratio_of_both));
static SCALED: Method = method("lab-ratio-scaled", |setup| recipe(setup, Head::Logit, scaled));
static SHOWN: Method = method("lab-ratio-shown", |setup| recipe(setup, Head::Logit, shown));

/// The one network of a training, and its one update.
const NET: &str = "net";

fn recipe(setup: &Setup, head: Head, build: for<'g> fn(&Step<'g>)) -> Recipe {
    let update = Update {
        name: NET,
        about: "",
        subject: Subject::Critic,
        rates: |c| Rates { lr: c.lr_critic, beta1: c.beta1, beta2: c.beta2, cools: true },
        build,
    };
    Recipe {
        networks: vec![Network {
            name: NET,
            net: setup.network.clone(),
            head,
            first: First::Random(0),
            mode: Mode::Trained,
        }],
        phases: vec![Phase {
            name: "training",
            length: Count::Knob("steps"),
            turn: vec![(Count::Times(1), update)],
            saves: Vec::new(),
            draw: None,
            then: Vec::new(),
        }],
        inherit: Vec::new(),
        draw: Draw::once(setup.config.sigma_init),
        sights: Vec::new(),
        story: Vec::new(),
        plots: Vec::new(),
        alarms: Vec::new(),
    }
}

/// Rows of the data store that describe one mixture, and how many: its means, then its deviations.
const ROWS: usize = 2 * BUMPS;

fn table<'g>(step: &Step<'g>) -> Var<'g> {
    step.graph().input(DataSpec::STORE, 0, &[2 * ROWS, step.width()])
}

/// Points `[B, D]` of the mixture that begins in row `first`.
fn points<'g>(step: &Step<'g>, first: usize, bump: Stream, place: Stream) -> Var<'g> {
    let bump = (step.uniform(bump) * BUMPS as f32).floor() + first as f32;
    table(step).gather(bump) + table(step).gather(bump + BUMPS as f32) * step.normal(place)
}

fn real<'g>(step: &Step<'g>) -> Var<'g> {
    points(step, 0, Stream::Index, Stream::Place)
}

fn fake<'g>(step: &Step<'g>) -> Var<'g> {
    points(step, ROWS, Stream::Class, Stream::Latent)
}

fn of_data(step: &Step<'_>) {
    denoise(step, real(step), Stream::NoiseReal);
}

fn of_samples(step: &Step<'_>) {
    denoise(step, fake(step), Stream::NoiseFake);
}

/// The denoising loss of the warm-up and of fakes, at the ratio network's noise levels.
fn denoise<'g>(step: &Step<'g>, clean: Var<'g>, noise: Stream) {
    let net = step.net(NET);
    let (sigma, _) = step.sigma();
    let denoised = net.denoise(step.noised(clean, sigma, noise), sigma);
    let loss = (per_sample(denoising_weight(sigma), 2) * (denoised - clean).square()).mean_all();
    step.record("Loss/denoise", loss);
    step.descend(&net, loss);
}

fn ratio_of_both(step: &Step<'_>) {
    logistic(step, Net::logit);
}

fn scaled(step: &Step<'_>) {
    logistic(step, |net, x, sigma| net.logit(x, sigma) * scale(sigma));
}

/// The logistic loss of `diffratio`.
fn logistic<'g>(step: &Step<'g>, logit: fn(&Net<'g>, Var<'g>, Var<'g>) -> Var<'g>) {
    let net = step.net(NET);
    let (sigma, _) = step.sigma();
    let on_real = logit(&net, step.noised(real(step), sigma, Stream::NoiseReal), sigma);
    let on_fake = logit(&net, step.noised(fake(step), sigma, Stream::NoiseFake), sigma);
    let loss = (-on_real).softplus().mean_all() + on_fake.softplus().mean_all();
    step.record("Loss/ratio", loss);
    step.descend(&net, loss);
}

/// How the size of a log density ratio falls with the noise level, up to a factor: at levels far above the data's
/// deviation, a distance `d` of two means makes `l = d u / sigma` of `u = x / sigma`, which is what a network sees.
fn scale(sigma: Var<'_>) -> Var<'_> {
    (sigma.square() + SIGMA_DATA * SIGMA_DATA).sqrt().recip() * SIGMA_DATA
}

/// The squared error of the slope at noised samples, weighted as in the denoising loss.
fn shown(step: &Step<'_>) {
    let net = step.net(NET);
    let (sigma, _) = step.sigma();
    let x = step.noised(fake(step), sigma, Stream::NoiseFake);
    let slope = step.graph().grad(net.logit(x, sigma).sum_all(), &[x])[0] * per_sample(sigma.square(), 2);
    let wanted = exact_denoiser(step, 0, x, sigma) - exact_denoiser(step, ROWS, x, sigma);
    let loss = (per_sample(denoising_weight(sigma), 2) * (slope - wanted).square()).mean_all();
    step.record("Loss/shown", loss);
    step.descend(&net, loss);
}

/// The exact denoiser of the mixture that begins in row `first`, on the graph: [`Mixture::denoise`].
fn exact_denoiser<'g>(step: &Step<'g>, first: usize, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
    let [batch, dim] = x.shape()[..] else { unreachable!("points have two axes") };
    let rows = |from: usize| table(step).slice(0, from..from + BUMPS).reshape(&[1, BUMPS, dim]);
    let (mean, variance) = (rows(first), rows(first + BUMPS).square());
    let noised = variance + per_sample(sigma.square(), 3);
    let away = x.reshape(&[batch, 1, dim]) - mean;
    let log = (away.square() / noised + noised.log()).sum(&[2]) * -0.5;
    let part = log.reshape(&[batch, BUMPS]).softmax().reshape(&[batch, BUMPS, 1]);
    (part * (mean + variance / noised * away)).sum(&[1]).reshape(&[batch, dim])
}

impl Task<'_> {
    fn setup(&self) -> Setup {
        let dim = self.data.dim();
        let config = Config { method: self.kind.method().into(), ..self.config.clone() };
        let (width, depth) = (config.width, config.blocks);
        let network = NetworkConfig::Mlp(MlpConfig { dim, width, depth, label_dim: 0, two_times: false });
        let data = DataSpec { shape: vec![dim], rows: 2 * ROWS, bytes: false, classes: 0 };
        Setup { network, data, config }
    }

    /// Parameters of its network.
    pub fn parameters(&self) -> usize {
        self.setup().recipe().drawn().layout().parameters()
    }

    /// Operations of a step.
    pub fn operations(&self) -> Result<u64, TrainError> {
        let setup = self.setup();
        let recipe = setup.recipe();
        let update = recipe.update(NET).expect("the recipe has it");
        Ok(update.plan(&setup, &recipe)?.flops())
    }

    /// Trains; `None` if `stop`, which is told the steps that are done, said to leave it.
    fn train(&self, executor: Executor, stop: impl Fn(u64) -> bool) -> Result<Option<Trained>, TrainError> {
        let setup = self.setup();
        let network = setup.network.clone();
        let words: Vec<u32> = self.data.table().chain(self.student.table()).map(f32::to_bits).collect();
        let mut trainer = Trainer::new(executor, setup, &words)?;
        let mut averages = Averages::default();
        while !trainer.phase_is_over() {
            trainer.turn()?;
            if trainer.counters.turn.is_multiple_of(RING as u64 / 2) || trainer.phase_is_over() {
                pollster::block_on(trainer.statistics(&mut averages))?;
                if stop(trainer.counters.turn) {
                    return Ok(None);
                }
            }
        }
        let weights = pollster::block_on(trainer.best_weights(NET))?;
        Ok(Some(Trained { kind: self.kind, weights, network }))
    }

    /// Trains several at once, a thread each: networks of this size leave a second thread little to do. `open` gives each
    /// its device; `stop` is told which task has done how many steps. `None` if it said to leave them.
    pub fn train_all<E: From<TrainError> + Send>(
        tasks: &[&Self],
        open: impl Fn() -> Result<Executor, E> + Sync,
        stop: impl Fn(usize, u64) -> bool + Sync,
    ) -> Result<Option<Vec<Trained>>, E> {
        let train = |(number, task): (usize, &&Self)| Ok(task.train(open()?, |turn| stop(number, turn))?);
        tasks.par_iter().enumerate().map(train).collect()
    }
}

/// What a trained network says of points `x [n, D]` at one level `sigma [1]`, weights in a store: `D(x; sigma)`; or
/// `sigma^2 grad l(x, sigma)`, which estimates a difference of two denoisers, and `l [n]`.
pub(super) fn answer<'g>(
    kind: Kind,
    network: &NetworkConfig,
    params: &Params<'g>,
    x: Var<'g>,
    sigma: Var<'g>,
) -> (Var<'g>, Option<Var<'g>>) {
    if kind.head() == Head::Denoise {
        return (network.denoiser(params, x, sigma, None), None);
    }
    let logit = network.ratio(params, x, sigma, None);
    let logit = if kind == Kind::Scaled { logit * scale(sigma) } else { logit };
    (x.graph().grad(logit.sum_all(), &[x])[0] * sigma.square().reshape(&[1, 1]), Some(logit))
}

#[cfg(test)]
mod tests {
    use super::super::Distance;
    use super::super::probe::{Gradient, Probe};
    use super::*;
    use crate::exec::cpu::CpuExecutor;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};

    fn executor() -> Executor {
        Executor::Cpu(CpuExecutor::new())
    }

    #[test]
    fn the_exact_denoiser_on_the_graph_is_that_of_the_mixture() {
        let data = Mixture::data(8, 1);
        let student = data.moved(Distance::Medium, 1);
        let config = Config { batch: 4, ..Config::default() };
        let setup = Task { kind: Kind::Shown, data: &data, student: &student, config }.setup();
        let recipe = setup.recipe();
        let graph = Graph::new();
        let sigmas = [0.02, 0.3, 1.0, 10.0];
        let points = student.draw(4, 1).points;
        let mut feed = Feed::default();
        feed.stores.insert("x".into(), points.clone());
        feed.stores.insert("sigma".into(), sigmas.to_vec());
        feed.stores.insert(DataSpec::STORE.into(), data.table().chain(student.table()).map(f64::from).collect());
        let (x, sigma) = (graph.input("x", 0, &[4, 8]), graph.input("sigma", 0, &[4]));
        let step = Step::look(&setup, &recipe, &graph);
        let out = [0, ROWS].map(|first| exact_denoiser(&step, first, x, sigma));
        for (got, mixture) in evaluate(&graph, &feed, &out).iter().zip([&data, &student]) {
            let wanted = points.chunks(8).zip(sigmas).flat_map(|(x, sigma)| mixture.denoise(x, sigma));
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - wanted).abs() < 1e-12, "{got}, not {wanted}");
            }
        }
    }

    /// Networks that have learned for a moment know more than nothing, and each is asked the question that it learned.
    #[test]
    fn every_kind_learns_the_difference() {
        let data = Mixture::data(2, 1);
        let student = data.moved(Distance::Medium, 1);
        let config = Config {
            batch: 128,
            width: 32,
            blocks: 2,
            steps: 1000,
            lr_critic: 5e-3,
            beta1: 0.9,
            ema: 0.98,
            sigma_min: 0.1,
            sigma_max: 0.5,
            ..Config::default()
        };
        let probe = Probe::new(&data, &student, &[0.2], 512, 1);
        let ask = |kind| {
            let task = Task { kind, data: &data, student: &student, config: config.clone() };
            let trained = Task::train_all(&[&task], || Ok::<_, TrainError>(executor()), |_, _| false);
            probe.ask(executor(), &trained.unwrap().expect("nothing stopped it")[0]).unwrap().fields.remove(0)
        };
        let wanted: Vec<f64> = probe.exact()[0].iter().map(|x| f64::from(*x)).collect();
        let error = |got: &[f32]| Gradient::of(&got.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), &wanted).error;
        for kind in [Kind::Ratio, Kind::Scaled, Kind::Shown] {
            let error = error(&ask(kind));
            // Of a network that says nothing it is 1.
            assert!(error < 0.5, "{kind:?}: {error}");
        }
        let [of_data, of_samples] = [Kind::OfData, Kind::OfSamples].map(ask);
        let between: Vec<f32> = of_data.iter().zip(&of_samples).map(|(a, b)| a - b).collect();
        assert!(error(&between) < 0.5, "two denoisers: {}", error(&between));
    }
}
