//! One update while it is written down; afterwards it tells everything that it touched.

use std::cell::RefCell;

use super::batch::{DataSpec, Stream, log_uniform_sigma, noise, stratified, uniform, warmup_sigma};
use super::cut::{Passes, check_close};
use super::knobs::Config;
use super::net::Net;
use super::recipe::{Mode, Recipe, Update};
use super::slots::Slots;
use super::trainer::{LEFT, PROGRESS, sample_batch};
use crate::graph::{Graph, Var};
#[cfg(feature = "gallery")]
use crate::nets::StudentsConfig;
use crate::nets::{NetworkConfig, Params, one_hot, per_sample};
use crate::plan::{Adam, Program};

/// Rows of a statistics ring.
pub const RING: usize = 256;

/// Everything that the programs of a run have in common.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The network that samples are drawn from.
    pub network: NetworkConfig,
    /// The data.
    pub data: DataSpec,
    /// The settings.
    pub config: Config,
}

impl Setup {
    /// Whether guidance makes a difference, so that a network has to be asked twice.
    pub fn guides(&self) -> bool {
        self.network.classes() > 0 && (self.config.guidance - 1.0).abs() > 0.0
    }

    /// What the method makes of these settings.
    pub fn recipe(&self) -> Recipe {
        (self.config.method.get().recipe)(self)
    }
}

/// Elements of a network's stores.
pub fn store_len(layout_len: usize) -> usize {
    layout_len.next_multiple_of(Adam::ROW)
}

/// Name of a step that is no update.
const LOOK: &str = "look";

/// Which weights of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Those that are trained.
    Param,
    /// Their moving average.
    Ema,
}

/// A number that an update records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistic {
    /// Such as `Loss/ratio`.
    pub name: String,
    /// It is recorded as its square.
    pub squared: bool,
}

/// What an update touches.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Stores of its own that outlive it, with their lengths: what it remembers from run to run.
    pub remembered: Vec<(&'static str, usize)>,
    /// Networks that it updates.
    pub updated: Vec<&'static str>,
    /// What it records, in the order of the ring's rows.
    pub statistics: Vec<Statistic>,
}

/// What a program does of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// What a slice of the batch adds to its sums.
    Slice,
    /// What is done with these sums: the optimizer's step, statistics, what is remembered.
    Close,
}

/// One update while it is written.
pub struct Step<'g> {
    graph: &'g Graph,
    setup: &'g Setup,
    recipe: &'g Recipe,
    update: &'static str,
    part: Part,
    slots: Slots,
    program: RefCell<Option<Program<'g>>>,
    passes: RefCell<Passes<'g>>,
    declared: RefCell<Declared>,
    recorded: RefCell<Vec<Var<'g>>>,
    /// Labels of the batch, if they are not those of [`Step::real`].
    own_labels: RefCell<Option<Var<'g>>>,
}

impl<'g> Step<'g> {
    /// Writes an update on a graph: what it computes and leaves behind, and what it touches.
    pub fn write(update: &Update, setup: &'g Setup, recipe: &'g Recipe, graph: &'g Graph) -> (Program<'g>, Declared) {
        let step = Self::new(update.name, setup, recipe, graph);
        step.program.replace(Some(Program::new(&format!("{} step", update.name), graph)));
        (update.build)(&step);
        step.finish()
    }

    /// Writes what a slice of the batch adds to the sums of each pass.
    pub(super) fn write_slice(
        update: &Update,
        setup: &'g Setup,
        recipe: &'g Recipe,
        graph: &'g Graph,
        slots: Slots,
    ) -> Passes<'g> {
        let step = Self { part: Part::Slice, slots, ..Self::new(update.name, setup, recipe, graph) };
        (update.build)(&step);
        step.passes.into_inner()
    }

    /// Writes what is done when all slices, of which `slots` are one, have been summed.
    pub(super) fn write_close(
        update: &Update,
        setup: &'g Setup,
        recipe: &'g Recipe,
        graph: &'g Graph,
        slots: Slots,
    ) -> Program<'g> {
        let step = Self { part: Part::Close, slots, ..Self::new(update.name, setup, recipe, graph) };
        step.program.replace(Some(Program::new(&format!("{} update", update.name), graph)));
        (update.build)(&step);
        let recorded = step.recorded.borrow().clone();
        let (program, _) = step.finish();
        check_close(&program.outputs().map(|(value, _)| value).chain(recorded).collect::<Vec<_>>(), update.name);
        program
    }

    /// A step that only looks: what networks say, on the graph.
    pub(crate) fn look(setup: &'g Setup, recipe: &'g Recipe, graph: &'g Graph) -> Self {
        Self::new(LOOK, setup, recipe, graph)
    }

    /// A step that leaves nothing behind, but has its batch: for tests.
    #[cfg(test)]
    pub(crate) fn trial(setup: &'g Setup, recipe: &'g Recipe, graph: &'g Graph) -> Self {
        Self::new("trial", setup, recipe, graph)
    }

    fn new(update: &'static str, setup: &'g Setup, recipe: &'g Recipe, graph: &'g Graph) -> Self {
        Self {
            graph,
            setup,
            recipe,
            update,
            part: Part::Whole,
            slots: Slots::all(setup.config.batch),
            program: RefCell::default(),
            passes: RefCell::default(),
            declared: RefCell::default(),
            recorded: RefCell::default(),
            own_labels: RefCell::default(),
        }
    }

    fn finish(self) -> (Program<'g>, Declared) {
        let mut declared = self.declared.into_inner();
        let mut program = self.program.into_inner().expect("it is only away while it grows");
        for name in &declared.updated {
            let network = self.recipe.network(name).expect("it was found before");
            program = program.adam(name, store_len(network.layout().len));
            let name = if declared.updated.len() == 1 { self.update } else { name };
            declared.statistics.push(Statistic { name: format!("Grad/{name}"), squared: true });
        }
        (program.record(&ring(self.update), RING, &self.recorded.into_inner()), declared)
    }

    fn grow(&self, add: impl FnOnce(Program<'g>) -> Program<'g>) {
        let program = self.program.take().expect("it is only away while it grows");
        self.program.replace(Some(add(program)));
    }

    /// The graph, for constants.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The method's recipe.
    pub fn recipe(&self) -> &'g Recipe {
        self.recipe
    }

    /// Data, network and settings.
    pub fn setup(&self) -> &'g Setup {
        self.setup
    }

    /// The settings.
    pub fn config(&self) -> &'g Config {
        &self.setup.config
    }

    /// Samples that this program computes: the batch, or a slice of it. What leaves an update is a mean over them
    /// ([`Step::descend`], [`Step::pull`], [`Step::record`]), so that means of slices add up to that of the batch; what
    /// is no mean goes through [`Step::over_batch`].
    pub fn batch(&self) -> usize {
        self.slots.len
    }

    /// What of the update is written; the page never cuts a batch, which tells its compiler what to leave out.
    fn part(&self) -> Part {
        if cfg!(target_arch = "wasm32") { Part::Whole } else { self.part }
    }

    /// A sum over the whole batch, of which `part` is the sum over the samples of this program. What is made of it is
    /// computed when all slices are there.
    pub fn over_batch(&self, part: Var<'g>) -> Var<'g> {
        if self.part() == Part::Whole {
            return part;
        }
        let place = self.passes.borrow_mut().sum(part, self.update);
        self.graph.input(&place.store, place.offset, &part.shape())
    }

    /// The same numbers `x [B, ..]`, written down until the sums over the batch are known, so that they need not be
    /// computed a second time.
    pub fn kept(&self, x: Var<'g>) -> Var<'g> {
        if self.part() == Part::Whole {
            return x;
        }
        let (shape, slot) = (x.shape(), self.slots.numbers(self.graph));
        let rows = x.reshape(&[shape[0], x.len() / shape[0]]).scatter_add(slot, self.slots.whole);
        let place = self.passes.borrow_mut().keep(rows, self.update);
        self.graph.input(&place.store, place.offset, &rows.shape()).gather(slot).reshape(&shape)
    }

    /// What a mean over the samples of this program is of the mean over the batch.
    fn shared(&self, mean: Var<'g>) -> Var<'g> {
        mean * self.slots.share()
    }

    /// Numbers per sample.
    pub fn width(&self) -> usize {
        self.setup.data.width()
    }

    /// Whether samples are images, with numbers from -1 to 1.
    pub fn draws_images(&self) -> bool {
        self.setup.data.bytes
    }

    /// A batch of real data `[B, ..]`, drawn with replacement.
    pub fn real(&self) -> Var<'g> {
        self.setup.data.real(self.graph, self.slots)
    }

    /// One-hot labels `[B, K]` of [`Step::real`] (of [`Step::collected`] or [`Step::divide`], once that was called), and so
    /// the classes that samples of this step are to have. `None` for networks without classes, and where a step only
    /// looks.
    pub fn labels(&self) -> Option<Var<'g>> {
        if self.setup.network.classes() == 0 || self.update == LOOK {
            return None;
        }
        let own = *self.own_labels.borrow();
        Some(own.unwrap_or_else(|| self.setup.data.labels(self.graph, self.slots)))
    }

    /// Divides the batch among students, who take turns row by row and are then asked for their own rows only: the labels
    /// of the step become classes of each row's student, drawn without regard to the data.
    #[cfg(feature = "gallery")]
    pub fn divide(&self, students: &StudentsConfig) {
        self.own_labels.replace(Some(students.labels(self.uniform(Stream::Class))));
    }

    /// Standard normal latents `[B, ..]`.
    pub fn latent(&self) -> Var<'g> {
        self.normal(Stream::Latent)
    }

    /// Noise levels `[B]`, uniform in the logarithm from `sigma_min` to `sigma_max`, one in each of B equal
    /// intervals, and the numbers in 0 to 1 behind them.
    pub fn sigma(&self) -> (Var<'g>, Var<'g>) {
        let Config { sigma_min, sigma_max, .. } = *self.config();
        log_uniform_sigma(self.graph, self.slots, sigma_min, sigma_max)
    }

    /// Noise levels of a warm-up `[B]`.
    pub fn warmup_sigma(&self) -> Var<'g> {
        warmup_sigma(self.graph, self.slots)
    }

    /// Numbers in 0 to 1 `[B]`, one in each of B equal intervals.
    pub fn stratified(&self) -> Var<'g> {
        stratified(self.graph, self.slots)
    }

    /// Standard normal numbers `[B]`, for noise levels.
    pub fn levels(&self) -> Var<'g> {
        noise(self.graph, Stream::SigmaNormal, self.slots, &[])
    }

    /// As [`Step::levels`], independent of these.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn other_levels(&self) -> Var<'g> {
        noise(self.graph, Stream::Level, self.slots, &[])
    }

    /// Uniform numbers in 0 to 1 `[B]`.
    pub fn uniform(&self, stream: Stream) -> Var<'g> {
        uniform(self.graph, stream, self.slots)
    }

    /// Standard normal numbers `[B, ..]`.
    pub fn normal(&self, stream: Stream) -> Var<'g> {
        noise(self.graph, stream, self.slots, &self.setup.data.shape)
    }

    /// A batch of what a [`Handover::Collect`](super::recipe::Handover::Collect) collected in `rows` rows of these
    /// stores, drawn with replacement: latents and their samples `[B, ..]`.
    pub fn collected(&self, stores: [&'static str; 2], rows: usize) -> [Var<'g>; 2] {
        let index = (self.uniform(Stream::Index) * rows as f32).floor();
        let classes = self.setup.network.classes();
        if classes > 0 {
            // Samples are drawn in batches, in each of which the classes come in turn.
            let class = modulo(modulo(index, sample_batch(&self.setup.data)), classes);
            self.own_labels.replace(Some(one_hot(class, classes)));
        }
        stores.map(|store| {
            self.declared.borrow_mut().remembered.push((store, rows * self.width()));
            let table = self.graph.input(store, 0, &[rows, self.width()]);
            table.gather(index).reshape(&self.setup.data.batch_shape(self.batch()))
        })
    }

    /// `x + sigma eps` for `x [B, ..]` and `sigma [B]`.
    pub fn noised(&self, x: Var<'g>, sigma: Var<'g>, stream: Stream) -> Var<'g> {
        x + per_sample(sigma, x.rank()) * self.normal(stream)
    }

    /// A network that this update trains.
    pub fn net(&self, name: &str) -> Net<'g> {
        let net = self.frozen(name, Weights::Param);
        assert_ne!(net.network.mode, Mode::Frozen, "`{name}` is frozen");
        net
    }

    /// The network that samples are drawn from, to be trained.
    pub fn drawn(&self) -> Net<'g> {
        self.net(self.recipe.drawn().name)
    }

    /// A network that this update only evaluates.
    pub fn frozen(&self, name: &str, weights: Weights) -> Net<'g> {
        let find =
            |name: &str| self.recipe.network(name).unwrap_or_else(|| panic!("the recipe has no network `{name}`"));
        let network = find(name);
        let store = match weights {
            Weights::Param => "param",
            Weights::Ema => network.best(),
        };
        let store = format!("{name}.{store}");
        let params = match network.mode {
            Mode::Adapter { of, rank } => {
                let base = format!("{of}.{}", find(of).best());
                Params::adapter(self.graph, &store, &base, rank)
            }
            Mode::Trained | Mode::Frozen => Params::new(self.graph, &store),
        };
        let labels = if network.net.classes() > 0 { self.labels() } else { None };
        #[cfg(feature = "gallery")]
        assert!(
            labels.is_none()
                || !matches!(&network.net, NetworkConfig::Students(students) if students.by_class())
                || self.own_labels.borrow().is_some(),
            "`{name}` is several students: divide the batch first"
        );
        Net {
            params,
            network,
            sigma_init: self.config().sigma_init,
            labels,
            guidance: None,
            guides: self.setup.guides(),
            slots: self.slots,
        }
    }

    /// A setting as a number that may change from run to run of the plan.
    pub fn knob(&self, name: &'static str) -> Var<'g> {
        assert!(self.config().number(name).is_some(), "`{name}` is no number among the settings");
        self.graph.scalar(name)
    }

    /// How far the phase is, 0 to 1.
    pub fn progress(&self) -> Var<'g> {
        self.graph.scalar(PROGRESS)
    }

    /// How many phases come after this one.
    pub fn phases_left(&self) -> Var<'g> {
        self.graph.scalar(LEFT)
    }

    /// A store of `shape` that outlives the step: `next` makes its new value of the old one (0 at first) and of
    /// [sums over the batch](Step::over_batch); it is given back.
    pub fn remember(&self, name: &'static str, shape: &[usize], next: impl FnOnce(Var<'g>) -> Var<'g>) -> Var<'g> {
        let new = next(self.graph.input(name, 0, shape));
        self.declared.borrow_mut().remembered.push((name, new.len()));
        if self.part() != Part::Slice {
            self.grow(|program| program.output(new, name, 0));
        }
        new
    }

    /// What another update [remembers](Step::remember), as it is.
    pub fn recall(&self, name: &'static str, shape: &[usize]) -> Var<'g> {
        let value = self.graph.input(name, 0, shape);
        self.declared.borrow_mut().remembered.push((name, value.len()));
        value
    }

    /// Lowers `loss`, one number, by the weights of `net`.
    pub fn descend(&self, net: &Net<'g>, loss: Var<'g>) {
        let variables = net.variables();
        self.leave(net, &self.graph.grad(self.shared(loss), &variables));
    }

    /// Moves `at`, which the weights of `net` made, against `cotangent`, of its shape: the slope of a mean over the
    /// samples.
    pub fn pull(&self, net: &Net<'g>, at: Var<'g>, cotangent: Var<'g>) {
        let variables = net.variables();
        self.leave(net, &self.graph.vjp(&[(at, self.shared(cotangent))], &variables));
    }

    /// Moves the weights of the network `name` by this `share` of what they differ by from those of the network `to`, of the
    /// same layout, as both are before the update.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn draw_near(&self, name: &str, to: &str, share: Var<'g>) {
        let weights = |name: &str| {
            let network = self.recipe.network(name).unwrap_or_else(|| panic!("the recipe has no network `{name}`"));
            self.graph.input(&format!("{name}.param"), 0, &[network.layout().len])
        };
        let (own, others) = (weights(name), weights(to));
        if self.part() != Part::Slice {
            self.grow(|program| program.output(own + share * (others - own), &format!("{name}.param"), 0));
        }
    }

    fn leave(&self, net: &Net<'g>, grads: &[Var<'g>]) {
        let name = net.network.name;
        debug_assert!(!grads.is_empty(), "{}: `{name}` has no part in what trains it", self.update);
        let store = format!("{name}.grad");
        let placed: Vec<(usize, Var<'g>)> =
            net.params.all().iter().zip(grads).map(|((offset, _), grad)| (*offset, *grad)).collect();
        match self.part() {
            Part::Whole => {
                for (offset, grad) in &placed {
                    self.grow(|program| program.output(*grad, &store, *offset));
                }
            }
            Part::Slice => self.passes.borrow_mut().gradients(name, &placed, self.update),
            Part::Close => {}
        }
        self.declared.borrow_mut().updated.push(name);
    }

    /// Reports `value`, one number that is a mean over the samples, under `name`, such as `Loss/ratio`.
    pub fn record(&self, name: &'static str, value: Var<'g>) {
        self.declared.borrow_mut().statistics.push(Statistic { name: name.to_owned(), squared: false });
        self.recorded.borrow_mut().push(self.over_batch(self.shared(value)));
    }
}

/// `x` modulo `n`, both whole numbers. The half keeps multiples of n clear of the rounding of `1 / n`.
fn modulo(x: Var<'_>, n: usize) -> Var<'_> {
    x - ((x + 0.5) * (1.0 / n as f32)).floor() * n as f32
}

/// Store of an update's statistics: rows of what it records, a ring of [`RING`].
pub fn ring(update: &str) -> String {
    format!("stats.{update}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::RunArgs;
    use crate::exec::cpu::CpuExecutor;

    /// Of 41, 47, 55 or 61 classes, n modulo n was n, which is none of them.
    #[test]
    fn numbers_of_classes_begin_anew_at_each_multiple() {
        const ROWS: usize = 4096;
        let mut executor = CpuExecutor::new();
        executor.create_store("out", ROWS).unwrap();
        for n in 1..=1000 {
            let graph = Graph::new();
            let program = Program::new("modulo", &graph).output(modulo(graph.iota(ROWS), n), "out", 0);
            let id = executor.prepare(&program.build().unwrap()).unwrap();
            executor.run(id, &RunArgs { scalars: &[], seed: 0, step: 0 }).unwrap();
            let got = pollster::block_on(executor.read("out", 0, ROWS)).unwrap();
            assert!(got.iter().enumerate().all(|(x, got)| *got == (x % n) as f32), "modulo {n}");
        }
    }
}
