//! The state of a run on its device: stores, plans, counters; one call is one step.
//!
//! Invariant: everything that the next step depends on is in the networks' stores, in those that
//! [`Trainer::running_means`] names, and in [`Counters`], so that a saved run goes on with the same
//! bits as one that was never interrupted.

use litemap::LiteMap;

use serde::{Deserialize, Serialize};

use super::batch::DataSpec;
use super::knobs::Config;
use super::method::{ACCURACY, BINS, GENERATOR, GRAD_SQUARES, RATIO, RING, Setup, StepKind, store_len};
use super::statistics::Averages;
use crate::exec::{ExecError, Executor, LaunchTime, PlanId, RunArgs};
use crate::nets::ParamLayout;
use crate::plan::{Plan, PlanError, SLOT_ALIGN};

/// Images per run of the sampling plan.
const SAMPLE_BATCH: usize = 64;
/// The same for points, of which a picture needs many: each read waits for the device once.
const SAMPLE_POINTS: usize = 4096;

/// Store of the samples that were drawn last.
pub const SAMPLES: &str = "grid.sample";

/// Samples per run of the sampling plan for these data.
pub fn sample_batch(data: &DataSpec) -> usize {
    if data.bytes { SAMPLE_BATCH } else { SAMPLE_POINTS }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Plans run: the first word of every per-step random counter.
    pub runs: u32,
    /// Warm-up steps.
    pub warmup: u64,
    /// Ratio updates.
    pub ratio: u64,
    /// Generator updates of the distillation.
    pub generator: u64,
    /// Generator updates since its optimizer state began anew.
    pub generator_updates: u64,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The device.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Loss or gradient is not a number any more.
    #[error("{statistic} became {value} at {network} update {update}{cause}; lower the learning rate or set --clip")]
    NonFinite {
        /// Which statistic showed it.
        statistic: &'static str,
        /// NaN or infinity.
        value: f32,
        /// Which network.
        network: &'static str,
        /// Its update.
        update: u64,
        /// The first bad tensor, if it was found.
        cause: String,
    },
}

/// A run on a device.
pub struct Trainer {
    /// The device.
    pub executor: Executor,
    /// Networks, data and settings.
    pub setup: Setup,
    /// How far it is.
    pub counters: Counters,
    generator: ParamLayout,
    ratio: ParamLayout,
    plans: LiteMap<StepKind, (PlanId, Plan)>,
    sampler: Option<(PlanId, Plan)>,
    /// Runs whose statistics have not been taken yet, by kind of step.
    recorded: LiteMap<StepKind, Vec<u32>>,
}

impl Trainer {
    /// Makes stores on the device and gives the networks their first weights.
    pub fn new(mut executor: Executor, setup: Setup, data: &[u32]) -> Result<Self, TrainError> {
        let generator = setup.network.generator_layout();
        let ratio = setup.network.ratio_layout();
        executor.create_store(DataSpec::STORE, setup.data.store_len().next_multiple_of(SLOT_ALIGN))?;
        executor.write_words(DataSpec::STORE, 0, data)?;
        for (network, layout) in [(GENERATOR, &generator), (RATIO, &ratio)] {
            for store in ["param", "grad", "m", "v", "ema"] {
                executor.create_store(&format!("{network}.{store}"), store_len(layout.len))?;
            }
        }
        executor.create_store(GRAD_SQUARES, SLOT_ALIGN.max(BINS))?;
        executor.create_store(ACCURACY, SLOT_ALIGN.max(BINS))?;
        for kind in [StepKind::Warmup, StepKind::Ratio, StepKind::Generator] {
            executor.create_store(kind.ring(), RING * kind.statistics().len())?;
        }
        let batch = sample_batch(&setup.data) * setup.data.width();
        executor.create_store("grid.latent", batch)?;
        executor.create_store(SAMPLES, batch)?;
        let mut trainer = Self {
            executor,
            setup,
            counters: Counters::default(),
            generator,
            ratio,
            plans: LiteMap::new(),
            sampler: None,
            recorded: LiteMap::new(),
        };
        let seed = trainer.setup.config.seed;
        let first = trainer.generator.initial(seed);
        trainer.set_weights(GENERATOR, &first)?;
        let first = trainer.ratio.initial(seed ^ 0x5241_5449);
        trainer.set_weights(RATIO, &first)?;
        Ok(trainer)
    }

    /// Names, shapes and places of a network's parameters.
    pub fn layout(&self, network: &str) -> &ParamLayout {
        if network == RATIO { &self.ratio } else { &self.generator }
    }

    /// Weights and their average, `values` in the layout of the network; its optimizer starts anew.
    pub fn set_weights(&mut self, network: &str, values: &[f32]) -> Result<(), ExecError> {
        let zeros = vec![0.0; store_len(self.layout(network).len)];
        for (store, content) in [("param", values), ("ema", values), ("m", &zeros), ("v", &zeros)] {
            self.executor.write(&format!("{network}.{store}"), 0, content)?;
        }
        if network == GENERATOR {
            self.counters.generator_updates = 0;
        } else {
            self.counters.ratio = 0;
        }
        Ok(())
    }

    /// A store of a network in the length of its layout: `param`, `ema`, `m` or `v`.
    pub async fn weights(&self, network: &str, store: &str) -> Result<Vec<f32>, ExecError> {
        self.executor.read(&format!("{network}.{store}"), 0, self.layout(network).len).await
    }

    /// Whether the next step belongs to the warm-up.
    pub fn in_warmup(&self) -> bool {
        self.counters.warmup < self.setup.config.warmup_steps && self.counters.generator == 0
    }

    /// From denoiser to one-step generator: the averaged warm-up weights become the generator's and
    /// initialise the encoder of the ratio network.
    pub async fn begin_distillation(&mut self) -> Result<Vec<f32>, TrainError> {
        let denoiser = self.weights(GENERATOR, "ema").await?;
        self.set_weights(GENERATOR, &denoiser)?;
        let mut ratio = self.weights(RATIO, "param").await?;
        self.ratio.transfer(&mut ratio, &self.generator, &denoiser);
        self.set_weights(RATIO, &ratio)?;
        Ok(denoiser)
    }

    /// The plan of a kind of step, made when it is first needed.
    pub fn prepare(&mut self, kind: StepKind) -> Result<PlanId, TrainError> {
        if let Some((id, _)) = self.plans.get(&kind) {
            return Ok(*id);
        }
        let plan = self.setup.plan(kind)?;
        let id = self.executor.prepare(&plan)?;
        self.plans.insert(kind, (id, plan));
        Ok(id)
    }

    /// Prepares the next step, and on the processor all that follow, so that what does not fit on the device is known
    /// before the run begins. A graphics card would compile kernels for each of them, and the first step would wait.
    pub fn prepare_ahead(&mut self) -> Result<(), TrainError> {
        let kinds = [StepKind::Warmup, StepKind::Ratio, StepKind::Generator];
        let kinds = &kinds[usize::from(!self.in_warmup())..];
        let kinds = if self.executor.is_cpu() { kinds } else { &kinds[..1] };
        kinds.iter().try_for_each(|kind| self.prepare(*kind).map(drop))
    }

    /// The plan that a kind of step runs, if it has run.
    pub fn plan(&self, kind: StepKind) -> Option<&Plan> {
        self.plans.get(&kind).map(|(_, plan)| plan)
    }

    /// Runs one step.
    pub fn step(&mut self, kind: StepKind) -> Result<(), TrainError> {
        let id = self.prepare(kind)?;
        let scalars = self.advance(kind);
        let args = RunArgs { scalars: &scalars, seed: self.setup.config.seed, step: self.counters.runs };
        Ok(self.executor.run(id, &args)?)
    }

    /// Runs one step and times each launch.
    pub async fn profile(&mut self, kind: StepKind) -> Result<Vec<LaunchTime>, TrainError> {
        let id = self.prepare(kind)?;
        let scalars = self.advance(kind);
        let args = RunArgs { scalars: &scalars, seed: self.setup.config.seed, step: self.counters.runs };
        Ok(self.executor.profile(id, &args).await?)
    }

    /// Counts a step that is about to run, and returns its scalars.
    fn advance(&mut self, kind: StepKind) -> Vec<f32> {
        let counters = &mut self.counters;
        counters.runs = counters.runs.wrapping_add(1);
        self.recorded.entry(kind).or_default().push(counters.runs);
        match kind {
            StepKind::Warmup => counters.warmup += 1,
            StepKind::Ratio => counters.ratio += 1,
            StepKind::Generator => counters.generator += 1,
        }
        if kind != StepKind::Ratio {
            counters.generator_updates += 1;
        }
        let update = if kind == StepKind::Ratio { counters.ratio } else { counters.generator_updates };
        self.scalars(kind, update)
    }

    fn scalars(&self, kind: StepKind, update: u64) -> Vec<f32> {
        let config = &self.setup.config;
        let warmup = kind == StepKind::Warmup;
        let (beta1, beta2) = if warmup { (0.9, 0.999) } else { (config.beta1, config.beta2) };
        let correction = |beta: f32| (1.0 - f64::from(beta).powi(i32::try_from(update).unwrap_or(i32::MAX))) as f32;
        let plan = &self.plans[&kind].1;
        let decay = if warmup { 1.0 } else { self.cooldown() };
        let value = |name: &String| match name.rsplit_once('.').map_or("", |(_, scalar)| scalar) {
            "lr" if warmup => config.lr_warmup,
            "lr" if kind == StepKind::Ratio => config.lr_ratio * decay,
            "lr" => config.lr_generator * decay,
            "beta1" => beta1,
            "beta2" => beta2,
            "eps" => 1e-8,
            "correction1" => correction(beta1),
            "correction2" => correction(beta2),
            // A young average follows its network, or it would remember the random start.
            "ema_decay" => config.ema.min(update as f32 / (update as f32 + 9.0)),
            "clip" => config.clip,
            other => unreachable!("no program has a scalar `{other}`"),
        };
        plan.scalars.iter().map(value).collect()
    }

    /// What is left of the learning rates at this generator step, 1 to 0.
    fn cooldown(&self) -> f32 {
        let Config { steps, cooldown, .. } = self.setup.config;
        let left = steps.saturating_sub(self.counters.generator.saturating_sub(1)) as f32;
        (left / (cooldown * steps as f32).max(1.0)).min(1.0)
    }

    /// Takes the statistics of the rows that were recorded since the last call, and checks them.
    ///
    /// Call it at least every [`RING`] steps, or older rows are lost (not their check: weights stop
    /// changing at the first gradient that is not finite).
    pub async fn statistics(&mut self, averages: &mut Averages) -> Result<(), TrainError> {
        let mut recorded = std::mem::take(&mut self.recorded).into_tuple_vec();
        recorded.sort_by_key(|(_, runs)| runs.first().copied());
        for (kind, mut runs) in recorded {
            // Rows are numbered by runs of any kind; older ones have been written over.
            let last = self.counters.runs;
            runs.retain(|run| last - run < RING as u32);
            let ring = self.executor.read(kind.ring(), 0, RING * kind.statistics().len()).await?;
            if let Some((statistic, value)) = averages.add(kind, &ring, &runs) {
                let (network, update) = (kind.network(), self.updates(kind));
                let cause = self.first_bad(kind);
                return Err(TrainError::NonFinite { statistic, value, network, update, cause });
            }
        }
        Ok(())
    }

    fn updates(&self, kind: StepKind) -> u64 {
        match kind {
            StepKind::Warmup => self.counters.warmup,
            StepKind::Ratio => self.counters.ratio,
            StepKind::Generator => self.counters.generator,
        }
    }

    /// Runs the step once more, launch by launch, to name the first tensor that is not finite.
    fn first_bad(&mut self, kind: StepKind) -> String {
        let Ok(id) = self.prepare(kind) else { return String::new() };
        let scalars = self.scalars(kind, 1);
        let args = RunArgs { scalars: &scalars, seed: self.setup.config.seed, step: self.counters.runs };
        let Executor::Cpu(cpu) = &mut self.executor else { return String::new() };
        match cpu.first_non_finite(id, &args) {
            Ok(Some((launch, label))) => format!(" (first in launch {launch}, `{label}`)"),
            _ => String::new(),
        }
    }

    /// Rebuilds plans after a setting changed that is part of them.
    pub fn forget_plans(&mut self) {
        self.plans.clear();
    }

    /// One-step samples of the averaged generator for latents `[n, ..]`, `n` at most
    /// [`sample_batch`]: `[n, ..]`.
    pub async fn sample(&mut self, latents: &[f32]) -> Result<Vec<f32>, TrainError> {
        self.draw(latents)?;
        Ok(self.executor.read(SAMPLES, 0, latents.len()).await?)
    }

    /// As [`Trainer::sample`]; the samples stay on the device, in the store [`SAMPLES`].
    pub fn draw(&mut self, latents: &[f32]) -> Result<(), TrainError> {
        if self.sampler.is_none() {
            let plan = self.setup.sampler("grid", "generator.ema", sample_batch(&self.setup.data))?;
            self.sampler = Some((self.executor.prepare(&plan)?, plan));
        }
        let (id, _) = self.sampler.as_ref().expect("made above");
        self.executor.write("grid.latent", 0, latents)?;
        Ok(self.executor.run(*id, &RunArgs { scalars: &[], seed: 0, step: 0 })?)
    }

    /// Stores besides the networks' that the next step reads, with their lengths.
    pub fn running_means() -> [(&'static str, usize); 2] {
        [(GRAD_SQUARES, BINS), (ACCURACY, BINS)]
    }

    /// Runs whose statistics have not been taken.
    pub fn unread_runs(&self) -> usize {
        let first = self.recorded.values().filter_map(|runs| runs.first()).min();
        first.map_or(0, |first| (self.counters.runs - first) as usize + 1)
    }

    /// Accuracy of the ratio network by bin of noise levels, from small to large.
    pub async fn accuracy_by_bin(&self) -> Result<Vec<f32>, ExecError> {
        self.executor.read(ACCURACY, 0, BINS).await
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.setup.config
    }
}

/// The latent of a seed: standard normal, `width` numbers that depend on the seed alone.
pub fn latent(seed: u32, width: usize) -> impl Iterator<Item = f32> {
    /// Keeps latents of samples apart from the random numbers of training.
    const STREAM: u32 = 0x4C41_5445;
    (0..width as u32).map(move |i| crate::random::normal(crate::random::threefry2x32([seed, STREAM], [0, i]))[0])
}
