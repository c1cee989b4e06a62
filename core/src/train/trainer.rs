//! The state of a run on its device: stores, plans, counters; one call is one update.
//!
//! Invariant: everything that the next update depends on is in the stores of the networks
//! ([`Network::state`](super::Network::state)), in those that [`Trainer::remembered`] names, and in [`Counters`], so that
//! a saved run goes on with the same bits as one that was never interrupted.

mod shared;
mod weights;

use std::ops::Range;

use super::batch::DataSpec;
use super::bins::BINS;
use super::counters::Counters;
use super::cut::{Stage, cut};
use super::group::Group;
use super::knobs::Config;
use super::recipe::{First, Network, Phase, Recipe, Update};
use super::statistics::Averages;
use super::step::{Declared, RING, Setup, ring, store_len};
use crate::exec::{ExecError, Executor, LaunchTime, PlanId, RunArgs};
use crate::nets::{Draw, ParamLayout, cycle};
use crate::plan::{Plan, PlanError, SLOT_ALIGN};
use crate::sampling::{SamplingError, Walk};

/// Images per run of the sampling plan.
const SAMPLE_BATCH: usize = 64;
/// The same for points, of which a picture needs many: each read waits for the device once.
const SAMPLE_POINTS: usize = 4096;

/// The scalar that says how far a phase is, 0 to 1.
pub(super) const PROGRESS: &str = "progress";

/// The scalar that says how many phases come after this one.
pub(super) const LEFT: &str = "left";

/// Prefix of the stores that samples are drawn in.
const GRID: &str = "grid";

/// Store of the samples that were drawn last.
pub const SAMPLES: &str = "grid.sample";

/// Classes as a store holds them.
pub(super) fn numbers(classes: &[u32]) -> Vec<f32> {
    classes.iter().map(|class| *class as f32).collect()
}

/// Samples per run of the sampling plan for these data.
pub fn sample_batch(data: &DataSpec) -> usize {
    if data.bytes { SAMPLE_BATCH } else { SAMPLE_POINTS }
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
    /// Drawing samples.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// Loss or gradient is not a number any more.
    #[error("{statistic} became {value} at {name} update {update}{cause}; lower the learning rate or set --clip")]
    NonFinite {
        /// Which statistic showed it.
        statistic: String,
        /// NaN or infinity.
        value: f32,
        /// Which update.
        name: &'static str,
        /// The how manieth.
        update: u64,
        /// The first bad tensor, if it was found.
        cause: String,
    },
}

/// An update of a run, and its plans once it has run.
struct Running {
    update: Update,
    declared: Declared,
    prepared: Option<Prepared>,
    /// Runs whose statistics have not been taken yet.
    recorded: Vec<u32>,
}

/// The plans of an update on the device.
struct Prepared {
    /// With the names of the scalars that each takes.
    plans: Vec<(PlanId, Vec<String>)>,
    stages: Vec<Stage>,
    /// All launches, in order.
    whole: Plan,
}

impl Prepared {
    /// The plans in the order in which they run.
    fn runs(&self) -> impl Iterator<Item = &(PlanId, Vec<String>)> {
        self.stages.iter().filter_map(|stage| match stage {
            Stage::Run(plan) => Some(&self.plans[*plan]),
            Stage::Sum(_) => None,
        })
    }
}

/// A run on a device.
pub struct Trainer {
    /// The device.
    pub executor: Executor,
    /// Data and settings.
    pub setup: Setup,
    /// How far it is.
    pub counters: Counters,
    recipe: Recipe,
    /// In the order of the recipe's networks.
    layouts: Vec<ParamLayout>,
    updates: Vec<Running>,
    /// The slots of each batch that are computed here.
    slots: Range<usize>,
    /// Those who compute the others.
    group: Option<Box<dyn Group>>,
    /// Turns from one mean of the processes' weights to the next; 0: gradients are summed in every update instead.
    sync_every: u64,
    /// How samples are drawn, and from which weights, once they have been.
    walk: Option<((String, Draw), Walk)>,
}

impl Trainer {
    /// Makes stores on the device and gives the networks their first weights.
    pub fn new(mut executor: Executor, setup: Setup, data: &[u32]) -> Result<Self, TrainError> {
        let recipe = setup.recipe();
        let layouts: Vec<ParamLayout> = recipe.networks.iter().map(Network::layout).collect();
        executor.create_store(DataSpec::STORE, setup.data.store_len().next_multiple_of(SLOT_ALIGN))?;
        executor.write_words(DataSpec::STORE, 0, data)?;
        let classes = setup.network.classes();
        if classes > 0 {
            executor.create_store(DataSpec::LABELS, setup.data.rows.next_multiple_of(SLOT_ALIGN))?;
            let rows = sample_batch(&setup.data);
            executor.create_store("grid.class", rows)?;
            executor.write("grid.class", 0, &numbers(&cycle(rows, classes)))?;
        }
        for (network, layout) in recipe.networks.iter().zip(&layouts) {
            for store in network.stores() {
                executor.create_store(&format!("{}.{store}", network.name), store_len(layout.len))?;
            }
        }
        let mut updates = Vec::new();
        for update in recipe.updates() {
            let declared = update.declared(&setup, &recipe);
            for &(store, len) in &declared.remembered {
                if executor.store_len(store).is_none() {
                    executor.create_store(store, len.next_multiple_of(SLOT_ALIGN))?;
                }
            }
            executor.create_store(&ring(update.name), RING * declared.statistics.len())?;
            updates.push(Running { update, declared, prepared: None, recorded: Vec::new() });
        }
        let batch = sample_batch(&setup.data) * setup.data.width();
        executor.create_store("grid.latent", batch)?;
        executor.create_store(SAMPLES, batch)?;
        let (counters, slots) = (Counters::default(), 0..setup.config.batch);
        let mut trainer =
            Self { executor, setup, counters, recipe, layouts, updates, slots, group: None, sync_every: 0, walk: None };
        trainer.set_labels(&[])?;
        for network in trainer.recipe.networks.clone() {
            let mut first = network.first;
            // A copy of a copy is one of the original.
            while let First::From(other) = first {
                first = trainer.recipe.network(other).expect("recipes copy from networks that they have").first;
            }
            let First::Random(salt) = first else { unreachable!("the loop ends with one") };
            let values = trainer.layout(network.name).initial(trainer.setup.config.seed ^ salt);
            trainer.set_weights(network.name, &values)?;
        }
        Ok(trainer)
    }

    /// The class of each row of the data, for networks with classes; rows without one have none. Networks without
    /// classes don't mind.
    pub fn set_labels(&mut self, labels: &[u32]) -> Result<(), ExecError> {
        if self.setup.network.classes() == 0 {
            return Ok(());
        }
        let mut classes = numbers(labels);
        classes.resize(self.setup.data.rows, -1.0);
        self.executor.write(DataSpec::LABELS, 0, &classes)
    }

    /// What the run consists of.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The network that samples are drawn from in this phase.
    pub fn drawn(&self) -> &Network {
        let saved = self.phase().saves.first().and_then(|(name, _)| self.recipe.network(name));
        saved.unwrap_or(self.recipe.drawn())
    }

    /// How samples are drawn of it now.
    pub fn drawing(&self) -> &Draw {
        self.phase().draw.as_ref().unwrap_or(&self.recipe.draw)
    }

    /// The phase that it is in.
    pub fn phase(&self) -> &Phase {
        &self.recipe.phases[self.counters.phase]
    }

    /// Turns of this phase in all.
    pub fn length(&self) -> u64 {
        self.phase().length.of(&self.setup.config)
    }

    /// Whether this phase has all its turns.
    pub fn phase_is_over(&self) -> bool {
        self.counters.turn >= self.length()
    }

    /// Whether no phase comes after this one.
    pub fn in_last_phase(&self) -> bool {
        self.counters.phase + 1 >= self.recipe.phases.len()
    }

    /// Goes over to the next phase.
    pub fn next_phase(&mut self) {
        self.counters.phase += 1;
        self.counters.turn = 0;
    }

    fn find(&self, update: &str) -> usize {
        let at = self.updates.iter().position(|running| running.update.name == update);
        at.unwrap_or_else(|| panic!("the run has no update `{update}`"))
    }

    /// Makes the plans of an update, if it has none yet.
    ///
    /// # Panics
    /// If the run has no update of that name, as all functions that take one.
    pub fn prepare(&mut self, update: &str) -> Result<(), TrainError> {
        let at = self.find(update);
        if self.updates[at].prepared.is_some() {
            return Ok(());
        }
        let update = self.updates[at].update;
        let cut = cut(&update, &self.setup, &self.recipe, &self.slots)?;
        for (store, len) in &cut.stores {
            // Updates of one network share what they add to its gradient.
            if self.executor.store_len(store).is_none_or(|there| there < *len) {
                self.executor.create_store(store, *len)?;
            }
        }
        let mut plans = Vec::new();
        for plan in &cut.plans {
            plans.push((self.executor.prepare(plan)?, plan.scalars.clone()));
        }
        self.updates[at].prepared = Some(Prepared { whole: cut.joined(&update), plans, stages: cut.stages });
        Ok(())
    }

    /// Prepares the next update, and on the processor all of the phases to come, so that what does not fit on the
    /// device is known before the run begins. A graphics card would compile kernels for each of them, and the first
    /// update would wait.
    pub fn prepare_ahead(&mut self) -> Result<(), TrainError> {
        let to_come = self.recipe.phases[self.counters.phase..].iter().flat_map(|phase| &phase.turn);
        let names = to_come.map(|(_, update)| update.name);
        let names: Vec<_> = names.take(if self.executor.is_cpu() { usize::MAX } else { 1 }).collect();
        names.into_iter().try_for_each(|name| self.prepare(name))
    }

    /// All that an update launches here, once it is prepared.
    pub fn plan(&self, update: &str) -> Option<&Plan> {
        self.updates[self.find(update)].prepared.as_ref().map(|prepared| &prepared.whole)
    }

    /// Runs an update.
    pub fn step(&mut self, update: &str) -> Result<(), TrainError> {
        self.prepare(update)?;
        let turns = self.counters.turns;
        self.advance(update);
        let at = self.find(update);
        let prepared = self.updates[at].prepared.as_ref().expect("made above");
        let (seed, step) = (self.setup.config.seed, self.counters.runs);
        // What the whole batch has of samples for each that is computed here.
        let whole = self.setup.config.batch as f32 / self.slots.len() as f32;
        for stage in &prepared.stages {
            match stage {
                Stage::Run(plan) => {
                    let (id, names) = &prepared.plans[*plan];
                    let scalars = self.scalars(at, names);
                    self.executor.run(*id, &RunArgs { scalars: &scalars, seed, step })?;
                }
                // Nor does the page share a run.
                Stage::Sum(_) if cfg!(target_arch = "wasm32") => {}
                Stage::Sum(stores) => {
                    let Some(group) = &mut self.group else { continue };
                    for (store, len) in stores {
                        let mut values = pollster::block_on(self.executor.read(store, 0, *len))?;
                        match self.sync_every {
                            0 => group.sum(&mut values),
                            _ => values.iter_mut().for_each(|x| *x *= whole),
                        }
                        self.executor.write(store, 0, &values)?;
                    }
                }
            }
        }
        // A phase hands its weights over.
        let turn_is_over = self.counters.turns > turns;
        let meets = || self.phase_is_over() || self.counters.turns.is_multiple_of(self.sync_every);
        if cfg!(not(target_arch = "wasm32")) && turn_is_over && meets() {
            self.average()?;
        }
        Ok(())
    }

    /// Runs one turn of this phase.
    pub fn turn(&mut self) -> Result<(), TrainError> {
        for (count, update) in self.phase().turn.clone() {
            for _ in 0..count.of(&self.setup.config) {
                self.step(update.name)?;
            }
        }
        Ok(())
    }

    /// Runs an update and times each launch of [`Trainer::plan`]. Not of a run that several processes share.
    pub async fn profile(&mut self, update: &str) -> Result<Vec<LaunchTime>, TrainError> {
        self.prepare(update)?;
        self.advance(update);
        let at = self.find(update);
        let prepared = self.updates[at].prepared.as_ref().expect("made above");
        let (seed, step) = (self.setup.config.seed, self.counters.runs);
        let mut all: Vec<LaunchTime> = Vec::new();
        for (id, names) in prepared.runs() {
            let scalars = self.scalars(at, names);
            let times = self.executor.profile(*id, &RunArgs { scalars: &scalars, seed, step }).await?;
            let before = all.len();
            all.extend(times.into_iter().map(|time| LaunchTime { launch: before + time.launch, ..time }));
        }
        Ok(all)
    }

    /// As [`Trainer::profile`], and then puts back all that a later update depends on.
    pub async fn profile_aside(&mut self, update: &str) -> Result<Vec<LaunchTime>, TrainError> {
        let counters = self.counters.clone();
        let mut stores = Vec::new();
        for (store, len) in self.state() {
            let values = self.executor.read(&store, 0, len).await?;
            stores.push((store, values));
        }
        let times = self.profile(update).await?;
        for (store, values) in stores {
            self.executor.write(&store, 0, &values)?;
        }
        // Its statistics are of no step.
        let at = self.find(update);
        self.updates[at].recorded.pop();
        self.counters = counters;
        Ok(times)
    }

    /// Counts an update that is about to run. The last update of a turn closes it.
    fn advance(&mut self, name: &str) {
        let closes = self.phase().turn.last().is_some_and(|(_, last)| last.name == name);
        let at = self.find(name);
        let counters = &mut self.counters;
        counters.runs = counters.runs.wrapping_add(1);
        self.updates[at].recorded.push(counters.runs);
        counters.count(name);
        for network in &self.updates[at].declared.updated {
            counters.count_adam(network);
        }
        if closes {
            counters.turn += 1;
            counters.turns += 1;
        }
    }

    /// The scalars of these names, for a plan of an update.
    fn scalars(&self, at: usize, names: &[String]) -> Vec<f32> {
        let config = &self.setup.config;
        let rates = (self.updates[at].update.rates)(config);
        let decay = if rates.cools { self.cooldown() } else { 1.0 };
        let correction = |beta: f32, t: u64| (1.0 - f64::from(beta).powi(i32::try_from(t).unwrap_or(i32::MAX))) as f32;
        let of_optimizer = |network: &str, scalar: &str| {
            let t = self.counters.adam(network).max(1);
            match scalar {
                "lr" => rates.lr * decay,
                "beta1" => rates.beta1,
                "beta2" => rates.beta2,
                "eps" => 1e-8,
                "correction1" => correction(rates.beta1, t),
                "correction2" => correction(rates.beta2, t),
                // A young average follows its network, or it would remember the random start.
                "ema_decay" => config.ema.min(t as f32 / (t as f32 + 9.0)),
                "clip" => config.clip,
                other => unreachable!("optimizers have no scalar `{other}`"),
            }
        };
        let value = |name: &String| match name.rsplit_once('.') {
            Some((network, scalar)) => of_optimizer(network, scalar),
            None if name == PROGRESS => (self.counters.turn as f32 / self.length().max(1) as f32).min(1.0),
            None if name == LEFT => (self.recipe.phases.len() - 1 - self.counters.phase) as f32,
            None => config.number(name).expect("a step takes only settings that are numbers") as f32,
        };
        names.iter().map(value).collect()
    }

    /// What is left of the learning rates at this turn, 1 to 0.
    fn cooldown(&self) -> f32 {
        let length = self.length();
        let left = length.saturating_sub(self.counters.turn.saturating_sub(1)) as f32;
        (left / (self.setup.config.cooldown * length as f32).max(1.0)).min(1.0)
    }

    /// Takes the statistics of the rows that were recorded since the last call, and checks them.
    ///
    /// Call it at least every [`RING`] updates, or older rows are lost (not their check: weights stop
    /// changing at the first gradient that is not finite).
    pub async fn statistics(&mut self, averages: &mut Averages) -> Result<(), TrainError> {
        let mut order: Vec<usize> =
            (0..self.updates.len()).filter(|at| !self.updates[*at].recorded.is_empty()).collect();
        order.sort_by_key(|at| self.updates[*at].recorded.first().copied());
        for at in order {
            let mut runs = std::mem::take(&mut self.updates[at].recorded);
            // Rows are numbered by runs of any update; older ones have been written over.
            let last = self.counters.runs;
            runs.retain(|run| last - run < RING as u32);
            let Running { update, declared, .. } = &self.updates[at];
            let name = update.name;
            let rows = self.executor.read(&ring(name), 0, RING * declared.statistics.len()).await?;
            if let Some((statistic, value)) = averages.add(&declared.statistics, &rows, &runs) {
                let update = self.counters.of(name);
                let cause = self.first_bad(name);
                return Err(TrainError::NonFinite { statistic, value, name, update, cause });
            }
        }
        Ok(())
    }

    /// Runs an update once more, launch by launch, to name the first tensor that is not finite.
    fn first_bad(&mut self, update: &str) -> String {
        let at = self.find(update);
        let Some(prepared) = &self.updates[at].prepared else { return String::new() };
        let runs: Vec<_> = prepared.runs().map(|(id, names)| (*id, self.scalars(at, names))).collect();
        let Executor::Cpu(cpu) = &mut self.executor else { return String::new() };
        for (id, scalars) in runs {
            let args = RunArgs { scalars: &scalars, seed: self.setup.config.seed, step: self.counters.runs };
            if let Ok(Some((launch, label))) = cpu.first_non_finite(id, &args) {
                return format!(" (first in launch {launch}, `{label}`)");
            }
        }
        String::new()
    }

    /// Makes plans anew after a setting changed that is part of them.
    pub fn forget_plans(&mut self) {
        for running in &mut self.updates {
            for (id, _) in running.prepared.take().into_iter().flat_map(|prepared| prepared.plans) {
                self.executor.release(id);
            }
        }
    }

    /// Samples of the averaged generator for latents `[n, ..]`, `n` at most
    /// [`sample_batch`]: `[n, ..]`. With K classes, row i has class i mod K.
    pub async fn sample(&mut self, latents: &[f32]) -> Result<Vec<f32>, TrainError> {
        self.draw(latents)?;
        Ok(self.executor.read(SAMPLES, 0, latents.len()).await?)
    }

    /// As [`Trainer::sample`]; the samples stay on the device, in the store [`SAMPLES`].
    pub fn draw(&mut self, latents: &[f32]) -> Result<(), TrainError> {
        let params = self.drawn_store()?;
        let of = (params, self.drawing().clone());
        if let Some((_, walk)) = self.walk.take_if(|(made, _)| *made != of) {
            walk.release(&mut self.executor);
        }
        if self.walk.is_none() {
            let (net, draw) = (self.drawn().net.clone(), of.1.clone());
            let walk = Walk::new(&mut self.executor, &net, draw, GRID, &of.0, sample_batch(&self.setup.data))?;
            self.walk = Some((of, walk));
        }
        let (_, walk) = self.walk.as_ref().expect("made above");
        Ok(walk.draw(&mut self.executor, latents)?)
    }

    /// Stores besides the networks' that a later update reads, with their lengths.
    pub fn remembered(&self) -> Vec<(&'static str, usize)> {
        let mut stores: Vec<(&'static str, usize)> = Vec::new();
        for store in self.updates.iter().flat_map(|running| &running.declared.remembered) {
            if !stores.contains(store) {
                stores.push(*store);
            }
        }
        stores
    }

    /// Every store that a later update reads, but for the data, with the number of elements that matter.
    pub fn state(&self) -> Vec<(String, usize)> {
        let of = |(network, layout): (&Network, &ParamLayout)| {
            network.state().iter().map(|store| (format!("{}.{store}", network.name), layout.len)).collect::<Vec<_>>()
        };
        let networks = self.recipe.networks.iter().zip(&self.layouts).flat_map(of);
        networks.chain(self.remembered().into_iter().map(|(name, len)| (name.to_owned(), len))).collect()
    }

    /// The numbers by bin of noise levels that the method shows, from small to large; empty if it shows none, or not
    /// yet.
    pub async fn levels(&self) -> Result<Vec<f32>, ExecError> {
        match self.recipe.levels() {
            Some((store, _)) if self.in_last_phase() => self.executor.read(store, 0, BINS).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Runs whose statistics have not been taken.
    pub fn unread_runs(&self) -> usize {
        let first = self.updates.iter().filter_map(|running| running.recorded.first()).min();
        first.map_or(0, |first| (self.counters.runs - first) as usize + 1)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.setup.config
    }
}
