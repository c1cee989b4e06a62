//! What a training method is: plain data.
//!
//! A [`Method`] is a function from settings to a [`Recipe`]: which networks there are, which updates follow each
//! other in which phases, how samples are drawn. What an update does is a function that writes it down on a
//! [`Step`]; its stores, statistics, scalars and optimizers are read off what it wrote, so nothing is said twice.

use super::cut::cut;
use super::knobs::Config;
#[cfg(feature = "native")]
use super::knobs::{KnobError, Overrides};
use super::methods::METHODS;
use super::step::{Declared, Setup, Step};
use crate::graph::{Graph, Var};
use crate::model::ModelKind;
use crate::nets::{Draw, NetworkConfig, ParamLayout};
use crate::plan::{Plan, PlanError};

/// A way to train: one file in `train/methods`, and one line in [`METHODS`].
#[derive(Debug)]
pub struct Method {
    /// `--method`, part of the run folder's name, `method` in model files.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Where it comes from, such as `arXiv 2502.08005`.
    pub paper: &'static str,
    /// The settings that it reads besides [`COMMON`](super::knobs::COMMON).
    pub knobs: &'static [&'static str],
    /// What a run has to have.
    pub needs: &'static [Need],
    /// What it changes of a preset's settings; what a person sets comes after it.
    pub settings: fn(&mut Config),
    /// What it makes of the settings.
    pub recipe: fn(&Setup) -> Recipe,
}

/// What a run of a method has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A network that has learned to remove noise: from a warm-up, or from a file.
    Teacher,
    /// Data with classes.
    Classes,
    /// All samples of a batch at once: what a sample is used for depends on its place.
    WholeBatch,
}

impl Method {
    /// The method called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// Whether it reads this setting.
    pub fn reads(&self, knob: &str) -> bool {
        super::knobs::COMMON.contains(&knob) || self.knobs.contains(&knob)
    }

    #[cfg(feature = "native")]
    /// Refuses settings that it does not read, which would have no effect.
    pub fn check(&self, overrides: &Overrides) -> Result<(), KnobError> {
        let Some(knob) = overrides.names().into_iter().find(|name| !self.reads(name)) else { return Ok(()) };
        let mut config = Config::default();
        config.apply(overrides);
        let problem =
            format!("is no setting of {}; besides those of all methods it has {}", self.name, self.knobs.join(", "));
        Err(KnobError { knob: knob.to_owned(), value: config.text_of(knob), problem })
    }
}

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The first is what samples are drawn from.
    pub networks: Vec<Network>,
    /// In order; the last ends the run.
    pub phases: Vec<Phase>,
    /// What networks take from the one that was given its weights by a file, which is the giver of the first of these.
    pub inherit: Vec<Handover>,
    /// How samples are drawn when it is trained.
    pub draw: Draw,
    /// What may be looked at while it trains.
    pub sights: Vec<Sight>,
    /// One turn, told moment by moment: what slow motion walks through and the diagram draws. May be empty.
    pub story: Vec<Moment>,
    /// Charts of its own.
    pub plots: Vec<Plot>,
    /// How a run shows that it has failed although its numbers are finite.
    pub alarms: Vec<Alarm>,
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.about)
    }
}

/// What something is about, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Real data, and what learns from them alone.
    Real,
    /// Samples, and the network that makes them.
    Fake,
    /// A network that tells how samples differ from data.
    Critic,
    /// What moves samples.
    Pull,
}

/// A layer over the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Real points.
    Data,
    /// Samples.
    Samples,
    /// Noise on both.
    Noise,
    /// The heights of the recipe's field.
    Heights,
    /// The arrows of the recipe's field.
    Arrows,
}

/// A moment of a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Title of its box.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// Its colour.
    pub subject: Subject,
    /// The update that is made, as often as a turn makes it.
    pub update: Option<&'static str>,
    /// The statistic that its box shows; else it shows how often the update was made.
    pub statistic: Option<&'static str>,
    /// The layers that show it.
    pub layers: &'static [Layer],
}

/// A chart. Statistics that are in none are grouped by what stands before the `/` in their names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plot {
    /// Its title.
    pub title: &'static str,
    /// How to read it.
    pub about: &'static str,
    /// Whether it starts with a logarithmic scale.
    pub log: bool,
    /// Statistics, their names in the chart, and what they are about.
    pub curves: &'static [(&'static str, &'static str, Subject)],
}

/// The means of the last line of statistics, by name.
pub type Latest<'a> = &'a dyn Fn(&str) -> Option<f64>;

/// Numbers that say that a run has failed.
#[derive(Clone, Copy)]
pub struct Alarm {
    /// What has happened, in a few words.
    pub about: &'static str,
    /// What a person can do.
    pub advice: &'static str,
    /// Whether it has, by the means of the last line of statistics.
    pub rings: fn(Latest<'_>) -> bool,
}

/// Something to look at.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Title of a layer or a chart.
    pub name: &'static str,
    /// What it says, in one sentence.
    pub about: &'static str,
    /// What it is.
    pub see: See,
}

/// What can be looked at.
#[derive(Clone, Copy)]
pub enum See {
    /// Over the plane, at a noise level: of points `x [N, 2]` and one `sigma [1]`.
    Field(for<'g> fn(&Step<'g>, Var<'g>, Var<'g>) -> Field<'g>),
    /// A number per bin of noise levels, kept in a store.
    Levels {
        /// The store, of [`BINS`](super::bins::BINS) numbers.
        store: &'static str,
        /// Where the numbers are to go.
        ideal: f32,
        /// What they mean there, in a few words.
        means: &'static str,
        /// The statistic that is their mean: it stands for the quality of samples until that is measured.
        mean: &'static str,
    },
    /// Paths from noise to data, beside one evaluation from the same noise: of the denoiser whose ordinary differential
    /// equation can be walked along in this phase, if there is one.
    #[cfg(not(target_arch = "wasm32"))]
    Paths(PathsOf),
}

/// The network of a phase along whose paths one can walk.
pub type PathsOf = fn(&Phase) -> Option<&'static str>;

impl std::fmt::Debug for See {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Field(_) => "field",
            Self::Levels { .. } => "levels",
            #[cfg(not(target_arch = "wasm32"))]
            Self::Paths(_) => "paths",
        })
    }
}

/// A field over the plane.
pub struct Field<'g> {
    /// A number per point `[N]`, for a heat map.
    pub height: Var<'g>,
    /// A direction per point `[N, 2]`, where samples are moved: the slope of a log density, or of a log ratio of two.
    pub arrow: Var<'g>,
}

/// A network of a run: the stores `{name}.param`, `.ema` and, if it is trained, `.grad`, `.m` and `.v`.
#[derive(Clone, Debug)]
pub struct Network {
    /// Prefix of its stores, and of its files.
    pub name: &'static str,
    /// Its architecture.
    pub net: NetworkConfig,
    /// What it gives.
    pub head: Head,
    /// Where its first weights come from.
    pub first: First,
    /// Whether it is trained.
    pub mode: Mode,
}

/// What a network gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A data point: denoisers and generators.
    Denoise,
    /// A number per data point: critics.
    Logit,
    /// A number per data point of what a denoiser of the same architecture sees in it.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    Judge,
}

/// Where first weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// From the run's seed, and this number.
    Random(u32),
    /// As another network's.
    From(&'static str),
}

/// Whether a network changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By gradients.
    Trained,
    /// Only by handovers.
    Frozen,
    /// By gradients of a low-rank adapter on the weights of another network, of the same architecture and head: its
    /// stores hold the adapter alone.
    Adapter {
        /// The other network.
        of: &'static str,
        /// Largest rank of a weight's change.
        rank: usize,
    },
}

impl Network {
    /// Names, shapes and places of its parameters.
    pub fn layout(&self) -> ParamLayout {
        match (self.mode, self.head) {
            (Mode::Adapter { rank, .. }, _) => self.net.adapter_layout(rank),
            (_, Head::Denoise) => self.net.generator_layout(),
            (_, Head::Logit) => self.net.ratio_layout(),
            #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
            (_, Head::Judge) => self.net.judge_layout(),
        }
    }

    /// Its stores that a checkpoint holds: all that a later step reads.
    pub fn state(&self) -> &'static [&'static str] {
        match self.mode {
            Mode::Trained | Mode::Adapter { .. } => &["param", "m", "v", "ema"],
            Mode::Frozen => &["param"],
        }
    }

    /// Its stores.
    pub fn stores(&self) -> &'static [&'static str] {
        match self.mode {
            Mode::Trained | Mode::Adapter { .. } => &["param", "grad", "m", "v", "ema"],
            Mode::Frozen => &["param"],
        }
    }

    /// The store that is drawn from and saved: the average, if there is one.
    pub fn best(&self) -> &'static str {
        if self.mode == Mode::Frozen { "param" } else { "ema" }
    }
}

/// A part of a run.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Such as `warm-up`.
    pub name: &'static str,
    /// Its turns.
    pub length: Count,
    /// One turn: updates in order, each so often. The last closes the turn.
    pub turn: Vec<(Count, Update)>,
    /// Which networks its snapshots hold, and as what. Samples are drawn from the first.
    pub saves: Vec<(&'static str, ModelKind)>,
    /// How they are drawn while it lasts, where that is not as in the end.
    pub draw: Option<Draw>,
    /// What happens at its end.
    pub then: Vec<Handover>,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Always as often.
    Times(u64),
    /// As often as this setting says.
    Knob(&'static str),
}

impl Count {
    /// The number.
    pub fn of(self, config: &Config) -> u64 {
        match self {
            Self::Times(n) => n,
            Self::Knob(name) => {
                config.number(name).unwrap_or_else(|| panic!("`{name}` is no number among the settings")) as u64
            }
        }
    }
}

/// What passes from network to network between two phases. Weights are averages.
#[derive(Clone, Debug, PartialEq)]
pub enum Handover {
    /// The weights go to a network of the same layout, or to each of several students; the optimizer starts anew.
    Copy {
        /// The giver.
        from: &'static str,
        /// The taker; may be the giver.
        to: &'static str,
    },
    /// What a network has in common with a smaller one.
    Encoder {
        /// The giver.
        from: &'static str,
        /// The taker.
        to: &'static str,
    },
    /// Goes to a file of its own.
    Save(&'static str, ModelKind),
    /// Samples of the network that is drawn from, with their latents, fill two stores that updates read
    /// ([`Step::collected`]).
    Collect {
        /// How they are drawn.
        draw: Draw,
        /// Stores of the latents and of the samples.
        into: [&'static str; 2],
        /// How many.
        rows: usize,
        /// Whether classes are asked for with the setting `guidance`.
        guided: bool,
    },
}

/// One program that is run again and again.
#[derive(Clone, Copy)]
pub struct Update {
    /// Such as `ratio`: a command, a ring of statistics, a button, a row of `plan` and `bench`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// Colour of its curves.
    pub subject: Subject,
    /// Numbers of the optimizer.
    pub rates: fn(&Config) -> Rates,
    /// Writes it down.
    pub build: for<'g> fn(&Step<'g>),
}

impl std::fmt::Debug for Update {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Update {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Numbers of the optimizer that may change from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Whether the learning rate falls at the end of the phase (the setting `cooldown`).
    pub cools: bool,
}

impl Recipe {
    /// Every update of any phase, once.
    pub fn updates(&self) -> Vec<Update> {
        let mut updates: Vec<Update> = Vec::new();
        for (_, update) in self.phases.iter().flat_map(|phase| &phase.turn) {
            if !updates.contains(update) {
                updates.push(*update);
            }
        }
        updates
    }

    /// The update of this name.
    pub fn update(&self, name: &str) -> Option<Update> {
        self.updates().into_iter().find(|update| update.name == name)
    }

    /// The network of this name.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// The field that it shows, if any.
    pub fn field(&self) -> Option<Sight> {
        self.sights.iter().copied().find(|sight| matches!(sight.see, See::Field(_)))
    }

    /// The store of numbers by noise level that it shows, if any, and where they are to go.
    pub fn levels(&self) -> Option<(&'static str, f32)> {
        self.sights.iter().find_map(|sight| match sight.see {
            See::Levels { store, ideal, .. } => Some((store, ideal)),
            _ => None,
        })
    }

    /// The paths that it shows in a phase, if any, and the network whose they are.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn paths(&self, phase: &Phase) -> Option<(Sight, &'static str)> {
        self.sights.iter().find_map(|sight| match sight.see {
            See::Paths(of) => of(phase).map(|network| (*sight, network)),
            See::Field(_) | See::Levels { .. } => None,
        })
    }

    /// What samples are drawn from when all is trained.
    pub fn drawn(&self) -> &Network {
        &self.networks[0]
    }

    /// The network that a warm-up trains, or that gets its weights from a file instead.
    pub fn begins_with(&self) -> &Network {
        let from = self.inherit.first().and_then(|handover| match handover {
            Handover::Copy { from, .. } | Handover::Encoder { from, .. } => self.network(from),
            Handover::Save(..) | Handover::Collect { .. } => None,
        });
        from.unwrap_or(self.drawn())
    }
}

impl Phase {
    /// The denoiser that it trains and draws from, if it is a warm-up.
    pub fn denoiser(&self) -> Option<&'static str> {
        self.saves.first().filter(|(_, kind)| *kind == ModelKind::Denoiser).map(|(name, _)| *name)
    }
}

impl Update {
    /// What it touches: found by building it on a graph that is then thrown away.
    pub fn declared(&self, setup: &Setup, recipe: &Recipe) -> Declared {
        Step::write(self, setup, recipe, &Graph::new()).1
    }

    /// Its plan for a whole batch at once.
    pub(super) fn whole(&self, setup: &Setup, recipe: &Recipe) -> Result<Plan, PlanError> {
        Step::write(self, setup, recipe, &Graph::new()).0.build()
    }

    /// All that it launches: its plan, or those of its slices one after the other.
    pub fn plan(&self, setup: &Setup, recipe: &Recipe) -> Result<Plan, PlanError> {
        Ok(cut(self, setup, recipe, &(0..setup.config.batch))?.joined(self))
    }
}
