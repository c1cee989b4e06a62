//! The losses, each as a program over one graph: warm-up, ratio step, generator step.
//!
//! This file reads like the algorithm box of DiffRatio (arXiv 2502.08005). A program leaves the
//! gradients of one network in its `.grad` store, updates it, and records statistics.

use super::batch::{DataSpec, Stream, add_noise, log_uniform_sigma, noise, warmup_sigma};
use super::knobs::Config;
use crate::graph::{Graph, Var, concat};
use crate::nets::{NetworkConfig, Params, denoising_weight, per_sample};
use crate::plan::{Adam, Plan, PlanError, Program};

/// Everything that the programs of a run have in common.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The networks.
    pub network: NetworkConfig,
    /// The data.
    pub data: DataSpec,
    /// The settings.
    pub config: Config,
}

/// Name of the generator's stores (`generator.param`, ...); the warm-up trains it as a denoiser.
pub const GENERATOR: &str = "generator";
/// Name of the ratio network's stores.
pub const RATIO: &str = "ratio";
/// Store of the running mean squares of the generator's gradient, one per bin of noise levels.
pub const GRAD_SQUARES: &str = "generator.grad_squares";
/// Store of the ratio network's accuracy by noise level: `[2, BINS]`, accuracy and its weight.
pub const ACCURACY: &str = "ratio.accuracy";
/// Bins of noise levels, equal in the logarithm.
pub const BINS: usize = 16;
/// Share of a step in the running means by bin.
const BIN_RATE: f32 = 0.05;
/// Rows of a statistics ring.
pub const RING: usize = 256;

/// A kind of step: which network it updates, and what it records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// Denoising of real data by the generator's network.
    Warmup,
    /// Telling noised data from noised samples.
    Ratio,
    /// Moving samples up the log density ratio.
    Generator,
}

impl StepKind {
    /// Which network it updates.
    pub fn network(self) -> &'static str {
        match self {
            Self::Warmup | Self::Generator => GENERATOR,
            Self::Ratio => RATIO,
        }
    }

    /// Store of its statistics: rows of [`StepKind::statistics`], a ring of [`RING`].
    pub fn ring(self) -> &'static str {
        match self {
            Self::Warmup => "stats.warmup",
            Self::Ratio => "stats.ratio",
            Self::Generator => "stats.generator",
        }
    }

    /// Names of the recorded numbers. The last is the squared norm of the gradient.
    pub fn statistics(self) -> &'static [&'static str] {
        match self {
            Self::Warmup => &["Loss/warmup", "Grad/warmup"],
            Self::Ratio => &["Loss/ratio", "Ratio/accuracy", "Ratio/logit_real", "Ratio/logit_fake", "Grad/ratio"],
            Self::Generator => &["Loss/generator", "Ratio/pull", "Grad/generator"],
        }
    }
}

/// Elements of a network's stores.
pub fn store_len(layout_len: usize) -> usize {
    layout_len.next_multiple_of(Adam::ROW)
}

impl Setup {
    /// The plan of a kind of step.
    pub fn plan(&self, kind: StepKind) -> Result<Plan, PlanError> {
        self.program(kind, &Graph::new()).build()
    }

    /// What a kind of step computes and leaves behind.
    pub fn program<'g>(&self, kind: StepKind, graph: &'g Graph) -> Program<'g> {
        match kind {
            StepKind::Warmup => self.warmup(graph),
            StepKind::Ratio => self.ratio_step(graph),
            StepKind::Generator => self.generator_step(graph),
        }
    }

    /// The plan that turns `{prefix}.latent` into `{prefix}.sample`, `batch` at a time.
    pub fn sampler(&self, prefix: &str, params: &str, batch: usize) -> Result<Plan, PlanError> {
        let graph = Graph::new();
        sampler(&graph, &self.network, self.config.sigma_init, prefix, params, batch).build()
    }

    /// Weighted squared error of the denoiser (Karras et al. 2022, equation 108).
    fn warmup<'g>(&self, graph: &'g Graph) -> Program<'g> {
        let params = Params::new(graph, "generator.param");
        let real = self.data.real(graph, self.config.batch);
        let sigma = warmup_sigma(graph, self.config.batch);
        let x_t = add_noise(real, sigma, Stream::NoiseReal);
        let denoised = graph.scope("denoiser", || self.network.denoiser(&params, x_t, sigma));
        let weight = per_sample(denoising_weight(sigma), real.rank());
        let loss = (weight * (denoised - real).square()).mean_all();
        Self::update(Program::new("warm-up step", graph), StepKind::Warmup, &params, loss, &[loss])
    }

    /// The generator's samples, from latents of this step.
    fn fake<'g>(&self, graph: &'g Graph, params: &Params<'g>) -> Var<'g> {
        let shape = self.data.batch_shape(self.config.batch);
        let latent = noise(graph, Stream::Latent, &shape);
        graph.scope("generator", || self.network.generator(params, latent, self.config.sigma_init))
    }

    /// Logistic loss on balanced batches of noised data and noised samples at the same noise
    /// levels. At its minimum the logit is the log density ratio at every level.
    fn ratio_step<'g>(&self, graph: &'g Graph) -> Program<'g> {
        let Config { batch, sigma_min, sigma_max, r1, .. } = self.config;
        let params = Params::new(graph, "ratio.param");
        let real = self.data.real(graph, batch);
        let fake = self.fake(graph, &Params::new(graph, "generator.param"));
        let (sigma, u) = log_uniform_sigma(graph, batch, sigma_min, sigma_max);
        let noised_real = add_noise(real, sigma, Stream::NoiseReal);
        let noised_fake = add_noise(fake, sigma, Stream::NoiseFake);
        let both = concat(&[noised_real, noised_fake], 0);
        let logit = graph.scope("ratio", || self.network.ratio(&params, both, concat(&[sigma, sigma], 0)));
        let (on_real, on_fake) = (logit.slice(0, 0..batch), logit.slice(0, batch..2 * batch));
        let mut loss = (-on_real).softplus().mean_all() + on_fake.softplus().mean_all();
        if r1 > 0.0 {
            // R1 (Mescheder et al. 2018): the squared slope of the logit at real data.
            let slope = graph.grad(on_real.sum_all(), &[both])[0].slice(0, 0..batch);
            loss = loss + slope.square().sum_all() * (0.5 * r1 / batch as f32);
        }
        let zero = graph.constant(0.0);
        let right = (zero.less(on_real) + on_fake.less(zero)) * 0.5;
        let program = Program::new("ratio step", graph).output(accuracy_by_bin(right, u), ACCURACY, 0);
        let statistics = [loss, right.mean_all(), on_real.mean_all(), on_fake.mean_all()];
        Self::update(program, StepKind::Ratio, &params, loss, &statistics)
    }

    /// `E phi(l(g(z) + sigma eps, sigma))` with weight sigma^2, ratio network frozen.
    fn generator_step<'g>(&self, graph: &'g Graph) -> Program<'g> {
        let Config { batch, sigma_min, sigma_max, divergence, .. } = self.config;
        let params = Params::new(graph, "generator.param");
        let fake = self.fake(graph, &params);
        let (sigma, u) = log_uniform_sigma(graph, batch, sigma_min, sigma_max);
        let x_t = add_noise(fake, sigma, Stream::NoiseFake);
        let frozen = Params::new(graph, "ratio.param");
        let logit = graph.scope("ratio", || self.network.ratio(&frozen, x_t, sigma));
        let descent = -divergence.weight(logit);
        let d_x = graph.vjp(&[(logit, descent)], &[x_t])[0];
        // sigma^2 grad l = D_data - D_generator: every level in units of the data.
        let d_x = d_x * per_sample(sigma.square(), fake.rank());
        let (d_x, squares, pull) = normalize_by_bin(d_x, u);
        let scale = 1.0 / batch as f32 / (self.data.width() as f32).sqrt();
        let loss = divergence.phi(logit).mean_all();
        let program = Program::new("generator step", graph).output(squares, GRAD_SQUARES, 0);
        let variables: Vec<Var<'g>> = params.all().into_iter().map(|(_, v)| v).collect();
        let grads = graph.vjp(&[(fake, d_x * scale)], &variables);
        Self::finish(program, StepKind::Generator, &params, &grads, &[loss, pull])
    }

    fn update<'g>(
        program: Program<'g>,
        kind: StepKind,
        params: &Params<'g>,
        loss: Var<'g>,
        statistics: &[Var<'g>],
    ) -> Program<'g> {
        let variables: Vec<Var<'g>> = params.all().into_iter().map(|(_, v)| v).collect();
        let grads = loss.graph().grad(loss, &variables);
        Self::finish(program, kind, params, &grads, statistics)
    }

    /// Gradients to the store of their network, one optimizer launch, one row of statistics.
    fn finish<'g>(
        mut program: Program<'g>,
        kind: StepKind,
        params: &Params<'g>,
        grads: &[Var<'g>],
        statistics: &[Var<'g>],
    ) -> Program<'g> {
        let store = format!("{}.grad", kind.network());
        for ((offset, _), grad) in params.all().iter().zip(grads) {
            program = program.output(*grad, &store, *offset);
        }
        program.adam(kind.network(), store_len(params.layout().len)).record(kind.ring(), RING, statistics)
    }
}

/// One-step samples of the network in `params`: see [`Setup::sampler`].
pub fn sampler<'g>(
    graph: &'g Graph,
    network: &NetworkConfig,
    sigma_init: f32,
    prefix: &str,
    params: &str,
    batch: usize,
) -> Program<'g> {
    let shape: Vec<usize> = std::iter::once(batch).chain(network.data_shape()).collect();
    let latent = graph.input(&format!("{prefix}.latent"), 0, &shape);
    let sample = network.generator(&Params::new(graph, params), latent, sigma_init);
    Program::new("sample", graph).output(sample, &format!("{prefix}.sample"), 0)
}

/// `[BINS, B]`: 1 where sample b's noise level is in bin k. `u [B]` is in 0 to 1.
fn bin_indicator(u: Var<'_>) -> Var<'_> {
    let batch = u.len();
    let graph = u.graph();
    let last = graph.constant(BINS as f32 - 1.0);
    let bin = (u * BINS as f32).floor().min(last).reshape(&[1, batch]);
    let k = graph.iota(BINS).reshape(&[BINS, 1]);
    1.0 - (bin - k).abs().sign()
}

/// Running mean per bin of `value [B]`: `[BINS, 1]`. A bin without a sample
/// keeps its `old`; one that is still 0 takes the first mean as it comes.
fn running_mean<'g>(value: Var<'g>, indicator: Var<'g>, old: Var<'g>) -> Var<'g> {
    let graph = value.graph();
    let count = indicator.sum(&[1]);
    let mean = (indicator * value.reshape(&[1, value.len()])).sum(&[1]) / count.max(graph.constant(1.0));
    let seen = count.min(graph.constant(1.0));
    let fresh = 1.0 - old.abs().sign();
    let rate = seen * (fresh + (1.0 - fresh) * BIN_RATE);
    old + rate * (mean - old)
}

/// Divides each sample's gradient by the running root mean square of its bin of noise levels, all
/// detached: DMD's divisor needs a teacher, which there is not. Returns the gradient, the new mean
/// squares `[BINS, 1]`, and the mean square before division.
fn normalize_by_bin<'g>(d_x: Var<'g>, u: Var<'g>) -> (Var<'g>, Var<'g>, Var<'g>) {
    let graph = u.graph();
    let shape = d_x.shape();
    let batch = shape[0];
    let axes: Vec<usize> = (1..shape.len()).collect();
    let squares = d_x.square().mean(&axes).reshape(&[batch]);
    let indicator = bin_indicator(u);
    let old = graph.input(GRAD_SQUARES, 0, &[BINS, 1]);
    let new = running_mean(squares, indicator, old);
    let own = (indicator * new).sum(&[0]).reshape(&[batch]);
    let divisor = (own + 1e-12).sqrt();
    (d_x / per_sample(divisor, shape.len()), new, squares.mean_all())
}

/// Running accuracy of the ratio network by bin of noise levels, `[BINS, 1]`.
fn accuracy_by_bin<'g>(right: Var<'g>, u: Var<'g>) -> Var<'g> {
    let old = u.graph().input(ACCURACY, 0, &[BINS, 1]);
    running_mean(right, bin_indicator(u), old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::RunArgs;
    use crate::exec::cpu::CpuExecutor;
    use crate::graph::Op;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::{MlpConfig, UnetConfig};
    use crate::plan::ArenaKind;

    fn points() -> Setup {
        let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2 });
        let data = DataSpec { shape: vec![2], rows: 50, bytes: false };
        Setup { network, data, config: Config { batch: 8, ..Config::default() } }
    }

    fn images() -> Setup {
        let network = NetworkConfig::Unet(UnetConfig::tiny());
        let data = DataSpec { shape: vec![8, 8, 1], rows: 20, bytes: true };
        Setup { network, data, config: Config { batch: 3, ..Config::default() } }
    }

    fn wide_images() -> Setup {
        let network = NetworkConfig::Unet(UnetConfig { width: Some(12), ..UnetConfig::tiny() });
        let data = DataSpec { shape: vec![8, 12, 1], rows: 20, bytes: true };
        Setup { network, data, ..images() }
    }

    /// Runs the plan of a step on the CPU executor and its graph by f64 loops, and compares what
    /// each leaves behind.
    fn plan_matches_reference(setup: &Setup, kind: StepKind) {
        let graph = Graph::new();
        let program = setup.program(kind, &graph);
        let plan = program.build().unwrap();
        let mut executor = CpuExecutor::new();
        executor.poison = true;
        let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
        let layouts =
            [("generator.param", setup.network.generator_layout()), ("ratio.param", setup.network.ratio_layout())];
        for arena in &plan.arenas {
            let ArenaKind::Store(name) = &arena.kind else { continue };
            executor.create_store(name, arena.len).unwrap();
            let mut values = vec![0.0_f32; arena.len];
            if let Some((_, layout)) = layouts.iter().find(|(n, _)| n == name) {
                // Away from the zeros that some layers start with.
                for (i, (value, first)) in values.iter_mut().zip(layout.initial(5)).enumerate() {
                    *value = first + 0.05 * (i as f32 * 0.7).sin();
                }
            } else if name == DataSpec::STORE && !setup.data.bytes {
                values.iter_mut().enumerate().for_each(|(i, v)| *v = (i as f32 * 0.37).sin());
            }
            executor.write(name, 0, &values).unwrap();
            feed.stores.insert(name.clone(), values.iter().map(|v| f64::from(*v)).collect());
        }
        if setup.data.bytes {
            let bytes: Vec<u8> = (0..setup.data.rows * setup.data.width()).map(|i| (i * 37 % 251) as u8).collect();
            let words: Vec<u32> = bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
            if plan.arenas.iter().any(|a| a.kind == ArenaKind::Store(DataSpec::STORE.into())) {
                executor.write_words(DataSpec::STORE, 0, &words).unwrap();
            }
            feed.stores.insert(DataSpec::STORE.into(), bytes.iter().map(|b| f64::from(*b)).collect());
        }
        let scalars = vec![0.5; plan.scalars.len()];
        let id = executor.prepare(&plan).unwrap();
        executor.run(id, &RunArgs { scalars: &scalars, seed: 7, step: 3 }).unwrap();
        let (vars, places): (Vec<_>, Vec<_>) = program.outputs().unzip();
        let wanted = evaluate(&graph, &feed, &vars);
        let mut compared = 0;
        for ((place, wanted), var) in places.iter().zip(&wanted).zip(&vars) {
            let got = pollster::block_on(executor.read(&place.store, place.offset, wanted.len())).unwrap();
            let scale = wanted.iter().fold(0.0_f64, |m, w| m.max(w.abs())).max(1e-3);
            for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
                let error = (f64::from(*g) - w).abs() / scale;
                assert!(error <= 2e-3, "{kind:?} {} element {i}: plan {g}, reference {w}", var.node().label);
            }
            compared += usize::from(wanted.iter().any(|w| w.abs() > 1e-6));
        }
        assert!(compared * 2 > places.len(), "most outputs are zero: the comparison proves nothing");
        assert!(graph.nodes().iter().any(|n| matches!(n.op, Op::Random { .. })));
    }

    #[test]
    fn plans_of_points_match_the_reference() {
        for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
            plan_matches_reference(&points(), kind);
        }
    }

    #[test]
    fn plans_of_images_match_the_reference() {
        for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
            plan_matches_reference(&images(), kind);
        }
    }

    /// A set of images of 8 x 12 ended the program with a panic.
    #[test]
    fn plans_of_images_that_are_no_squares_match_the_reference() {
        for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
            plan_matches_reference(&wide_images(), kind);
        }
    }

    #[test]
    fn plans_with_second_derivatives_match_the_reference() {
        for mut setup in [points(), images(), wide_images()] {
            setup.config.r1 = 0.3;
            plan_matches_reference(&setup, StepKind::Ratio);
        }
    }

    #[test]
    fn a_bin_that_saw_nothing_keeps_its_mean() {
        let graph = Graph::new();
        let u = graph.input("u", 0, &[3]);
        let old = graph.input("old", 0, &[BINS, 1]);
        let new = running_mean(graph.input("v", 0, &[3]), bin_indicator(u), old);
        let mut feed = Feed::default();
        feed.stores.insert("u".into(), vec![0.01, 0.02, 0.99]);
        feed.stores.insert("v".into(), vec![2.0, 4.0, 5.0]);
        let mut before = vec![7.0; BINS];
        before[0] = 0.0;
        feed.stores.insert("old".into(), before);
        let after = evaluate(&graph, &feed, &[new]).remove(0);
        assert!((after[0] - 3.0).abs() < 1e-9, "an empty bin takes the first mean");
        assert!((after[1] - 7.0).abs() < 1e-9, "a bin without a sample keeps its mean");
        assert!((after[BINS - 1] - (7.0 - 2.0 * f64::from(BIN_RATE))).abs() < 1e-6);
    }
}
