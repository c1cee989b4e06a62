//! One update while it is written down; afterwards it tells everything that it touched.

use std::cell::RefCell;
use std::ops::Range;

use super::batch::{DataSpec, Stream, log_uniform_sigma, noise, stratified, uniform, warmup_sigma};
use super::cut::{Passes, check_close};
use super::knobs::Config;
use super::recipe::{Head, Mode, Network, Recipe, Update};
use super::slots::Slots;
use super::trainer::{LEFT, PROGRESS, sample_batch};
use crate::graph::{Distribution, Graph, Var, concat};
#[cfg(feature = "gallery")]
use crate::nets::StudentsConfig;
use crate::nets::{NetworkConfig, Params, SIGMA_DATA, Time, one_hot, per_sample};
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
        self.over_batch(rows).gather(slot).reshape(&shape)
    }

    /// What a mean over the samples of this program is of the mean over the batch.
    fn shared(&self, mean: Var<'g>) -> Var<'g> {
        mean * self.slots.share()
    }

    /// Numbers per sample.
    pub fn width(&self) -> usize {
        self.setup.data.width()
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
            let modulo = |x: Var<'g>, n: usize| x - (x * (1.0 / n as f32)).floor() * n as f32;
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
        Net { params, network, sigma_init: self.config().sigma_init, labels, guidance: None, slots: self.slots }
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
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
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

/// Store of an update's statistics: rows of what it records, a ring of [`RING`].
pub fn ring(update: &str) -> String {
    format!("stats.{update}")
}

/// A network on the graph of a step. With classes, it hands its network the labels of the step by itself.
pub struct Net<'g> {
    params: Params<'g>,
    network: &'g Network,
    sigma_init: f32,
    /// One-hot `[B, K]`.
    labels: Option<Var<'g>>,
    /// How far a denoiser goes from no class to the class, where that is not just to the class.
    guidance: Option<Var<'g>>,
    slots: Slots,
}

impl<'g> Net<'g> {
    /// `D(x; sigma)` of `x [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn denoise(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        match self.guidance {
            Some(weight) => self.towards_class(x, sigma, weight),
            None => self.told(x, sigma),
        }
    }

    /// `D(x; sigma)` with the labels that it has.
    fn told(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Denoise, "`{}` is no denoiser", self.network.name);
        self.scope(|| {
            #[cfg(feature = "gallery")]
            if let Some(parts) =
                self.divided([x, sigma], &|net, part| net.denoiser(&self.params, part[0], part[1], Some(part[2])))
            {
                return parts;
            }
            self.network.net.denoiser(&self.params, x, sigma, self.labels_of(x))
        })
    }

    /// [`Net::denoise`] with classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): from no class to the
    /// class of each sample and beyond, `D(x | 0) + w (D(x | c) - D(x | 0))` with the setting `guidance` as w.
    /// Without classes it is [`Net::denoise`].
    pub fn guided(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        self.towards_class(x, sigma, self.params.graph().scalar("guidance"))
    }

    fn towards_class(&self, x: Var<'g>, sigma: Var<'g>, weight: Var<'g>) -> Var<'g> {
        let told = self.told(x, sigma);
        if self.labels.is_none() {
            return told;
        }
        let untold = self.scope(|| self.network.net.denoiser(&self.params, x, sigma, None));
        untold + weight * (told - untold)
    }

    /// The same network, which denoises with guidance of this weight: 0 is without the class, 1 with it.
    #[cfg(feature = "gallery")]
    #[must_use]
    pub fn guided_by(self, weight: Var<'g>) -> Self {
        Self { guidance: Some(weight), ..self }
    }

    /// The same network, which is told no class.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    #[must_use]
    pub fn untold(self) -> Self {
        Self { labels: None, ..self }
    }

    /// The same network, which is told of each sample the class after its own; after the last comes the first.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    #[must_use]
    pub fn mistold(mut self) -> Self {
        self.labels = self.labels.map(|labels| {
            let last = labels.shape()[1] - 1;
            concat(&[labels.slice(1, last..last + 1), labels.slice(1, 0..last)], 1)
        });
        self
    }

    /// The same network, which is not told the class of a random part of the samples (the setting `label_dropout`),
    /// and so also learns what all classes are together.
    #[must_use]
    pub fn dropping_labels(mut self) -> Self {
        self.labels = self.labels.map(|labels| {
            let graph = self.params.graph();
            let drawn = self.slots.random(graph, Distribution::Uniform, Stream::Label as u32, &[1]);
            let dropped = drawn.less(graph.scalar("label_dropout"));
            labels * (1.0 - dropped)
        });
        self
    }

    /// The same network, asked for these rows of the batch only.
    #[must_use]
    pub fn of_rows(mut self, rows: Range<usize>) -> Self {
        self.labels = self.labels.map(|labels| labels.slice(0, rows));
        self
    }

    /// `g(z) = D(sigma_init z; sigma_init)` of latents `z [B, ..]`.
    pub fn generate(&self, z: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Denoise, "`{}` is no generator", self.network.name);
        self.scope(|| {
            #[cfg(feature = "gallery")]
            if let Some(parts) =
                self.divided([z, z], &|net, part| net.generator(&self.params, part[0], self.sigma_init, Some(part[2])))
            {
                return parts;
            }
            self.network.net.generator(&self.params, z, self.sigma_init, self.labels_of(z))
        })
    }

    /// What `build` makes of each student's rows of the inputs, `[B, ..]` or `[1, ..]`, and of the labels; `None` for a
    /// single network.
    #[cfg(feature = "gallery")]
    fn divided(&self, inputs: [Var<'g>; 2], build: &dyn Fn(&NetworkConfig, &[Var<'g>]) -> Var<'g>) -> Option<Var<'g>> {
        let NetworkConfig::Students(students) = &self.network.net else { return None };
        if !students.by_class() {
            return None;
        }
        Some(students.divided(&self.params, &[inputs[0], inputs[1], self.labels?], build))
    }

    /// The mean velocity from time `t` over `gap` to a lower one, both `[B]`, of the states `y = (1 - t) x0 + t eps` of a
    /// rectified flow `[B, ..]`; at gap 0, or of a network with one time, the velocity. It is that of the denoiser,
    /// `(y - D) / t`, in a form that stays exact at every time: with the deviation `s` of y, it is
    /// `y (t - sd^2 (1 - t)) / s^2 - sd F(y / s) / s`.
    pub fn velocity(&self, y: Var<'g>, t: Var<'g>, gap: Var<'g>) -> Var<'g> {
        let variance = SIGMA_DATA * SIGMA_DATA;
        let (rank, rest) = (y.rank(), 1.0 - t);
        let s = (t.square() + rest.square() * variance).sqrt();
        let time = Time { noise: (t / rest).log() * 0.25, gap: Some(gap) };
        let output =
            self.scope(|| self.network.net.bare(&self.params, y / per_sample(s, rank), time, self.labels_of(y)));
        let along = per_sample((t - rest * variance) / s.square(), rank);
        y * along - output * per_sample(s.recip() * SIGMA_DATA, rank)
    }

    /// `D` of a network with two times for a step from `sigma` to the lower level `next`, `[N]` each: see
    /// [`NetworkConfig::denoiser_towards`].
    pub fn denoise_towards(&self, x: Var<'g>, sigma: Var<'g>, next: Var<'g>) -> Var<'g> {
        self.scope(|| self.network.net.denoiser_towards(&self.params, x, sigma, next, self.labels_of(x)))
    }

    /// `D` of a network with two times that is told, in the place of the second, which `share [N]` of the mixture that it
    /// denoises is data.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn denoise_mixed(&self, x: Var<'g>, sigma: Var<'g>, share: Var<'g>) -> Var<'g> {
        self.scope(|| self.network.net.denoiser_told(&self.params, x, sigma, share, self.labels_of(x)))
    }

    /// The velocity `F` of `TrigFlow` (arXiv 2410.11081), in units of the data's deviation sd, of states
    /// `x = cos t x0 + sin t sd eps [B, ..]` with `tan t = sigma / sd`, and `noise = ln(sigma) / 4 [B]`:
    /// `D = cos t x - sin t sd F`. It is what EDM's network says, with the other sign.
    pub fn angular(&self, x: Var<'g>, noise: Var<'g>) -> Var<'g> {
        let x = x * (1.0 / SIGMA_DATA);
        -self.scope(|| self.network.net.bare(&self.params, x, Time::at(noise), self.labels_of(x)))
    }

    /// The logit `[B]` of `x [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn logit(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Logit, "`{}` is no critic", self.network.name);
        self.scope(|| self.network.net.ratio(&self.params, x, sigma, self.labels_of(x)))
    }

    /// The same where each sample is said to be of any class, all alike.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn logit_of_any_class(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        let classes = self.network.net.classes();
        let drawn = (uniform(self.params.graph(), Stream::Class, self.slots) * classes as f32).floor();
        self.scope(|| self.network.net.ratio(&self.params, x, sigma, Some(one_hot(drawn, classes))))
    }

    /// What a denoiser sees in `x [B, ..]` at `sigma [N]`: see [`NetworkConfig::features`].
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn features(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Denoise, "`{}` is no denoiser", self.network.name);
        self.scope(|| self.network.net.features(&self.params, x, sigma, self.labels_of(x)))
    }

    /// The logit `[B]` of what a denoiser sees.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn judge(&self, features: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Judge, "`{}` is no head", self.network.name);
        self.scope(|| self.network.net.judge(&self.params, features))
    }

    /// The labels of `x`, of which there may be several batches one after the other.
    fn labels_of(&self, x: Var<'g>) -> Option<Var<'g>> {
        let (labels, rows) = (self.labels?, x.shape()[0]);
        let batch = labels.shape()[0];
        assert!(rows.is_multiple_of(batch), "{rows} samples are no whole number of batches of {batch}");
        Some(if rows == batch { labels } else { concat(&vec![labels; rows / batch], 0) })
    }

    fn scope(&self, body: impl FnOnce() -> Var<'g>) -> Var<'g> {
        self.params.graph().scope(self.network.name, body)
    }

    fn variables(&self) -> Vec<Var<'g>> {
        self.params.all().into_iter().map(|(_, variable)| variable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::MlpConfig;

    const CLASSES: usize = 3;

    /// Points with classes: row i is `(i, i)`, of class i mod 3.
    fn setup(batch: usize) -> Setup {
        let network =
            NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: CLASSES, two_times: false });
        let data = DataSpec { shape: vec![2], rows: 50, bytes: false, classes: CLASSES };
        Setup { network, data, config: Config { batch, classes: 1, ..Config::default() } }
    }

    fn values(setup: &Setup, graph: &Graph, wanted: &[Var<'_>]) -> Vec<Vec<f64>> {
        let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
        for (name, layout) in [("generator", setup.network.generator_layout()), ("ratio", setup.network.ratio_layout())]
        {
            let first = layout.initial(5).into_iter().enumerate();
            let weights = first.map(|(i, w)| f64::from(w) + 0.05 * (i as f64 * 0.7).sin());
            feed.stores.insert(format!("{name}.param"), weights.collect());
        }
        feed.stores.insert(DataSpec::STORE.into(), (0..100).map(|i| f64::from(i / 2)).collect());
        feed.stores.insert(DataSpec::LABELS.into(), (0..50).map(|i| f64::from(i % CLASSES as u32)).collect());
        feed.scalars.insert("guidance".into(), 2.5);
        feed.scalars.insert("label_dropout".into(), 0.25);
        evaluate(graph, &feed, wanted)
    }

    #[test]
    fn labels_are_those_of_the_rows_that_are_drawn() {
        let (setup, graph) = (setup(64), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let out = values(&setup, &graph, &[step.real(), step.labels().unwrap()]);
        for (point, label) in out[0].chunks(2).zip(out[1].chunks(CLASSES)) {
            let wanted = [0, 1, 2].map(|k| f64::from(u8::from(point[0] as usize % CLASSES == k)));
            assert_eq!(label, wanted, "the class of row {}", point[0]);
        }
        assert!(Step::look(&setup, &recipe, &graph).labels().is_none(), "a look is not at the batch");
    }

    #[test]
    fn two_batches_in_one_evaluation_have_the_labels_of_each() {
        let (setup, graph) = (setup(8), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let (x, y) = (step.real() * 0.05, step.latent());
        let net = step.net("ratio").dropping_labels();
        let sigma = graph.full(1.0, &[1]);
        let apart = concat(&[net.logit(x, sigma), net.logit(y, sigma)], 0);
        let out = values(&setup, &graph, &[net.logit(concat(&[x, y], 0), sigma), apart]);
        assert_eq!(out[0], out[1]);
    }

    #[test]
    fn guidance_goes_on_along_the_way_from_no_class_to_the_class() {
        let (setup, graph) = (setup(8), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let (x, sigma) = (step.real() * 0.05, graph.full(1.0, &[1]));
        let net = step.net("generator");
        let untold = setup.network.denoiser(&Params::new(&graph, "generator.param"), x, sigma, None);
        let out = values(&setup, &graph, &[net.guided(x, sigma), net.denoise(x, sigma), untold]);
        let moved = out[1].iter().zip(&out[2]).fold(0.0_f64, |most, (c, o)| most.max((c - o).abs()));
        assert!(moved > 0.01, "classes that change a sample by {moved} prove nothing");
        for ((guided, told), untold) in out[0].iter().zip(&out[1]).zip(&out[2]) {
            assert!((guided - (untold + 2.5 * (told - untold))).abs() < 1e-9, "{guided} of {told} and {untold}");
        }
    }

    #[test]
    fn labels_are_dropped_as_often_as_the_setting_says() {
        let rows = 4096;
        let (setup, graph) = (setup(rows), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let labels = step.net("generator").dropping_labels().labels.unwrap();
        let out = values(&setup, &graph, &[labels, step.labels().unwrap()]);
        let kept = |row: &[f64]| row.iter().sum::<f64>() > 0.5;
        for (left, whole) in out[0].chunks(CLASSES).zip(out[1].chunks(CLASSES)) {
            assert!(left == whole || left == [0.0; CLASSES], "{left:?} of {whole:?}");
        }
        let dropped = out[0].chunks(CLASSES).filter(|row| !kept(row)).count() as f64 / rows as f64;
        // Five standard errors: 5 sqrt(0.25 0.75 / 4096).
        assert!((dropped - 0.25).abs() < 0.034, "{dropped} of the labels were dropped");
    }
}
