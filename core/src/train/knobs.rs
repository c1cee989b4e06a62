//! Every setting of a run, each defined once: name, help, default, bounds, and whether it may
//! change while training. The command line, config files, the environment and the window all
//! read this table. Those of methods that the page has not are not in its build.

mod checks;
mod values;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::divergence::Divergence;
#[cfg(not(target_arch = "wasm32"))]
use super::guidance::GuidanceRule;
pub use values::{MethodName, Multipliers};

/// A value that is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{knob} = {value}: {problem}")]
pub struct KnobError {
    /// The setting.
    pub knob: String,
    /// What it was to become.
    pub value: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// What a person can know about a setting.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// Field name, such as `lr_generator`; the flag is `--lr-generator`.
    pub name: &'static str,
    /// Its name in runs of earlier versions, which is still read.
    pub old_name: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
    /// Smallest and largest value, if it is a number.
    pub range: Option<(f64, f64)>,
    /// Whether it may change while training.
    pub kind: Kind,
}

/// What a new value of a setting means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Another run.
    Fixed,
    /// A number that is passed to the next step.
    Live,
    /// It may change while training; the plans are made anew.
    Replan,
}

impl Knob {
    /// The setting of this name, or of this old name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KNOBS.iter().find(|knob| knob.name == name || knob.old_name == Some(name))
    }

    /// Whether a running session accepts a new value.
    pub fn is_live(&self) -> bool {
        self.kind != Kind::Fixed
    }
}

/// A setting's value as a number, if it is one.
trait Number {
    fn number(&self) -> Option<f64>;
}

macro_rules! numbers {
    ($($(#[cfg($cfg:meta)])? $type:ty: $self:ident => $value:expr;)*) => {
        $($(#[cfg($cfg)])? impl Number for $type {
            fn number(&self) -> Option<f64> {
                let $self = self;
                $value
            }
        })*
    };
}

numbers! {
    u32: x => Some(f64::from(*x));
    u64: x => Some(*x as f64);
    usize: x => Some(*x as f64);
    f32: x => Some(f64::from(*x));
    String: _x => None;
    MethodName: _x => None;
    Divergence: _x => None;
    #[cfg(not(target_arch = "wasm32"))]
    GuidanceRule: _x => None;
    Multipliers: _x => None;
}

macro_rules! knobs {
    ($($(#[doc = $doc:literal])+ $(#[cfg($cfg:meta)])? $name:ident $(was $old:literal $old_flag:literal)?: $type:ty = $default:expr, $live:ident $(, $lo:literal ..= $hi:literal)? $(, alone $alone:literal)?;)*) => {
        /// All settings of a run, resolved.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $($(#[doc = $doc])+ $(#[cfg($cfg)])? $(#[serde(alias = $old)])? pub $name: $type,)*
        }

        /// Settings that a config file, the environment or the command line changes.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[cfg_attr(feature = "cli", derive(clap::Args))]
        pub struct Overrides {
            $(
                $(#[doc = $doc])+
                $(#[cfg($cfg)])?
                #[cfg_attr(feature = "cli", arg(
                    long,
                    value_name = "VALUE",
                    help_heading = "Settings of the run",
                    value_parser = |text: &str| parse::<$type>(stringify!($name), text).map_err(|error| error.problem)
                    $(, num_args = 0..=1, default_missing_value = $alone)?
                ))]
                $(#[cfg_attr(feature = "cli", arg(alias = $old_flag))] #[serde(alias = $old)])?
                pub $name: Option<$type>,
            )*
        }

        /// The table.
        pub const KNOBS: &[Knob] = &[$($(#[cfg($cfg)])? Knob {
            name: stringify!($name),
            old_name: knobs!(@old $($old)?),
            help: concat!($($doc),+),
            range: knobs!(@range $($lo, $hi)?),
            kind: knobs!(@kind $live),
        }),*];

        impl Default for Config {
            fn default() -> Self {
                Self { $($(#[cfg($cfg)])? $name: $default,)* }
            }
        }

        impl Config {
            /// Takes over what is set in `overrides`.
            pub fn apply(&mut self, overrides: &Overrides) {
                $($(#[cfg($cfg)])? if let Some(value) = &overrides.$name { self.$name = value.clone(); })*
            }

            /// Every number within its bounds.
            fn check_ranges(&self) -> Result<(), KnobError> {
                $($(#[cfg($cfg)])? { $(in_range(stringify!($name), self.$name as f64, $lo as f64, $hi as f64)?;)? })*
                Ok(())
            }

            /// These settings with the live ones of `other`.
            #[must_use]
            pub fn with_live_of(mut self, other: &Self) -> Self {
                $($(#[cfg($cfg)])? if knobs!(@kind $live) != Kind::Fixed { self.$name = other.$name.clone(); })*
                self
            }

            /// A setting as a number, if it is one.
            pub fn number(&self, name: &str) -> Option<f64> {
                match name {
                    $($(#[cfg($cfg)])? stringify!($name) => self.$name.number(),)*
                    _ => None,
                }
            }

            /// Changes a setting that may change while training. On an error nothing changes.
            pub fn set_live(&mut self, name: &str, value: &str) -> Result<(), KnobError> {
                let knob = Knob::find(name).ok_or_else(|| unknown(name, value))?;
                if !knob.is_live() {
                    let problem = "this setting is fixed for a run; start another one".to_owned();
                    return Err(KnobError { knob: name.to_owned(), value: value.to_owned(), problem });
                }
                let mut changed = self.clone();
                let mut overrides = Overrides::default();
                overrides.set(name, value)?;
                changed.apply(&overrides);
                changed.validate()?;
                *self = changed;
                Ok(())
            }
        }

        impl Overrides {
            /// Names of the settings that are set.
            pub fn names(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $($(#[cfg($cfg)])? if self.$name.is_some() { names.push(stringify!($name)); })*
                names
            }

            /// These settings over those of `below`.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($(#[cfg($cfg)])? $name: self.$name.or(below.$name),)* }
            }

            /// Forgets the settings that are not to be kept.
            pub fn keep(&mut self, is_kept: impl Fn(&str) -> bool) {
                $($(#[cfg($cfg)])? if !is_kept(stringify!($name)) { self.$name = None; })*
            }

            /// Sets one setting from text.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), KnobError> {
                match name {
                    $($(#[cfg($cfg)])? stringify!($name) $(| $old)? => self.$name = Some(parse(name, value)?),)*
                    _ => return Err(unknown(name, value)),
                }
                Ok(())
            }
        }
    };
    (@old) => { None };
    (@old $old:literal) => { Some($old) };
    (@range) => { None };
    (@range $lo:literal, $hi:literal) => { Some(($lo as f64, $hi as f64)) };
    (@kind live) => { Kind::Live };
    (@kind fixed) => { Kind::Fixed };
    (@kind replan) => { Kind::Replan };
}

knobs! {
    /// What to learn: `mnist-10k` (embedded), `mnist`, `fashion-mnist` or `cifar10` (downloaded), a 2-D density such as `gaussians`, or a path (images, or an N x 2 float32 `.npy` of points).
    data: String = "mnist-10k".to_owned(), fixed;
    /// First word of every random key.
    seed: u32 = 42, fixed;
    /// Images (or points) per step.
    batch: usize = 64, fixed, 2 ..= 65536;
    /// Cut each batch into as many slices, which are computed one after the other: less memory, the same result to rounding.
    accumulate: usize = 1, fixed, 1 ..= 65536;
    /// Steps of the warm-up, which trains the generator's network as a denoiser; 0 leaves it out.
    warmup_steps: u64 = 2500, fixed, 0 ..= 1_000_000_000;
    /// Generator steps of the distillation, counted from the start of the run.
    steps: u64 = 4000, live, 0 ..= 1_000_000_000;
    /// End after this many thousand images of the whole run, if that comes first; 0: no such limit.
    duration: u64 = 0, live, 0 ..= 1_000_000_000;
    /// End after this many minutes of the whole run, if that comes first; 0: no such limit.
    minutes: f32 = 0.0, live, 0.0 ..= 1e7;
    /// Steps in which a flow is trained again on its own samples.
    reflow_steps: u64 = 1000, live, 0 ..= 1_000_000_000;
    /// How often a flow is trained again on its own samples before it is distilled.
    #[cfg(not(target_arch = "wasm32"))]
    reflows: u32 = 1, fixed, 0 ..= 3;
    /// How many pairs of noise and sample are drawn of a teacher or a flow, to learn from.
    pairs: usize = 8192, fixed, 1 ..= 1_048_576;
    /// Steps of each round but the last, of methods that train in rounds.
    round_steps: u64 = 1000, live, 0 ..= 1_000_000_000;
    /// Steps of each part of the way on which a teacher is led to untrained samples.
    #[cfg(not(target_arch = "wasm32"))]
    degrade_steps: u64 = 100, live, 0 ..= 1_000_000_000;
    /// Steps in which a discriminator sharpens the student before the distillation.
    #[cfg(not(target_arch = "wasm32"))]
    sharpen_steps: u64 = 500, live, 0 ..= 1_000_000_000;
    /// How often the number of steps in which samples are drawn, or of segments of a path, is halved, down to one.
    halvings: u32 = 4, fixed, 1 ..= 8;
    /// How the generator is trained.
    method: MethodName = MethodName::default(), fixed;
    /// Which divergence between generator and data is reduced.
    divergence: Divergence = Divergence::ReverseKl, replan;
    /// Noise levels between which consistency is distilled.
    levels: u32 = 18, fixed, 2 ..= 1000;
    /// Share of a consistency distillation, at its beginning, over which the derivative comes into its tangent.
    tangent_warmup: f32 = 0.1, live, 0.0 ..= 1.0;
    /// 1: derivatives along the path, which a consistency or a mean velocity learns by, are divided by their size; 0: they are
    /// taken as they are.
    tangent_normal: f32 = 1.0, live, 0.0 ..= 1.0;
    /// Weight of the matching of velocities.
    matching: f32 = 1.0, live, 0.0 ..= 1000.0;
    /// Weight of score distillation beside another loss.
    score_weight: f32 = 1.0, live, 0.0 ..= 1000.0;
    /// 1: the last of several rounds also distils scores into one step; 0: it does not.
    #[cfg(not(target_arch = "wasm32"))]
    score_phase: u32 = 1, fixed, 0 ..= 1;
    /// Of images, the weight of the error in high frequencies.
    #[cfg(not(target_arch = "wasm32"))]
    high_weight: f32 = 0.3, live, 0.0 ..= 1000.0;
    /// Of images, the weight of the error in edges.
    #[cfg(not(target_arch = "wasm32"))]
    edge_weight: f32 = 0.3, live, 0.0 ..= 1000.0;
    /// Weight of a discriminator's loss in the generator's, beside another loss.
    #[cfg(not(target_arch = "wasm32"))]
    gan_weight: f32 = 3e-3, live, 0.0 ..= 1000.0;
    /// Steps in which samples are drawn: after the first, each with new noise of a lower level.
    #[cfg(not(target_arch = "wasm32"))]
    few_steps: u32 = 1, fixed, 1 ..= 4;
    /// 1: of several steps, each is trained from where those before it end; 0: from noised data.
    #[cfg(not(target_arch = "wasm32"))]
    backward: u32 = 1, fixed, 0 ..= 1;
    /// Share of the way to the generator's weights that the fake denoiser's are drawn at each of the generator's
    /// updates.
    #[cfg(not(target_arch = "wasm32"))]
    fake_near: f32 = 0.03, live, 0.0 ..= 1.0;
    /// Weight of rewards for next states whose class is read more surely; 0: none.
    #[cfg(not(target_arch = "wasm32"))]
    reward_weight: f32 = 0.0, fixed, 0.0 ..= 1000.0;
    /// How steeply preferences among next states grow with their odds.
    #[cfg(not(target_arch = "wasm32"))]
    reward_beta: f32 = 0.1, live, 0.0 ..= 1000.0;
    /// Share of the distillation, at its beginning, in which the discriminator only learns.
    #[cfg(not(target_arch = "wasm32"))]
    gan_start: f32 = 0.0, live, 0.0 ..= 1.0;
    /// Share of data that a discriminator is to take for data, less the share that it doesn't: above it, noise grows.
    #[cfg(not(target_arch = "wasm32"))]
    told_target: f32 = 0.6, live, -1.0 ..= 1.0;
    /// Weight of the alignment of samples to their class.
    #[cfg(not(target_arch = "wasm32"))]
    align_weight: f32 = 1e-3, live, 0.0 ..= 1000.0;
    /// Probability of its class up to which a sample is aligned; far above 1, always.
    #[cfg(not(target_arch = "wasm32"))]
    align_tau: f32 = 0.9, live, 1e-6 ..= 1e9;
    /// Share of the weight of the alignment that is lost until the end of the distillation.
    #[cfg(not(target_arch = "wasm32"))]
    align_fade: f32 = 1.0, live, 0.0 ..= 1.0;
    /// Of mixtures of data and samples, the only share of data that samples are compared with; 0: all shares.
    #[cfg(not(target_arch = "wasm32"))]
    mixture_share: f32 = 0.0, live, 0.0 ..= 1.0;
    /// Noise level down to which the first of two phases goes, and at which the second begins.
    #[cfg(not(target_arch = "wasm32"))]
    phase_sigma: f32 = 2.5, fixed, 0.001 ..= 1000.0;
    /// 1: where samples still have noise, the fake denoiser learns the target that is right for them; 0: the samples as they are.
    #[cfg(not(target_arch = "wasm32"))]
    subinterval: u32 = 1, fixed, 0 ..= 1;
    /// Weight of the highest noise level's own loss in bootstrapping.
    boundary: f32 = 1.0, live, 0.0 ..= 1000.0;
    /// Learning rate of the warm-up.
    lr_warmup: f32 = 2e-3, live, 0.0 ..= 1.0;
    /// Learning rate of the generator.
    lr_generator: f32 = 3e-4, live, 0.0 ..= 1.0;
    /// Learning rate of the network that tells how samples differ from data: a ratio network, a fake denoiser.
    lr_critic was "lr_ratio" "lr-ratio": f32 = 1e-3, live, 0.0 ..= 1.0;
    /// Updates of that network per generator update.
    critic_steps was "ratio_steps" "ratio-steps": u32 = 2, live, 1 ..= 100;
    /// Decay of the generator's moving average, per step.
    ema: f32 = 0.999, live, 0.0 ..= 0.999999;
    /// Decay of the first moment in distillation (the warm-up uses 0.9).
    beta1: f32 = 0.0, live, 0.0 ..= 0.9999;
    /// Decay of the second moment.
    beta2: f32 = 0.99, live, 0.0 ..= 0.999999;
    /// Largest norm of a network's gradient; 0: no clipping.
    clip: f32 = 1.0, live, 0.0 ..= 1e9;
    /// Weight of the R1 penalty on the ratio network; 0 leaves it out of the plan.
    r1: f32 = 0.0, fixed, 0.0 ..= 1e6;
    /// Weight of the squared difference of both denoisers in the loss of score identity distillation.
    alpha: f32 = 1.2, live, 0.0 ..= 10.0;
    /// Largest rank of a low-rank adapter's change of a weight.
    rank: usize = 16, fixed, 1 ..= 1024;
    /// How many students there are, each for a part of the classes.
    students: usize = 2, fixed, 2 ..= 100;
    /// Share of the distillation, at its end, over which learning rates fall to zero in a straight line.
    cooldown: f32 = 0.5, live, 0.0 ..= 1.0;
    /// Noise level at which the generator is evaluated.
    sigma_init: f32 = 80.0, fixed, 0.01 ..= 1000.0;
    /// Smallest noise level at which the ratio is learned.
    sigma_min: f32 = 0.02, fixed, 0.0001 ..= 1000.0;
    /// Largest noise level at which the ratio is learned.
    sigma_max: f32 = 20.0, fixed, 0.001 ..= 1000.0;
    /// Channels of the U-Net's first level, or width of the MLP.
    width: usize = 32, fixed, 4 ..= 4096;
    /// Channels of each level of the U-Net, in multiples of the width; each level halves the resolution.
    multipliers: Multipliers = Multipliers(vec![1, 2]), fixed;
    /// Residual blocks per level of the U-Net, or hidden layers of the MLP.
    blocks: usize = 1, fixed, 1 ..= 64;
    /// Side of the patches that the U-Net works on, 1 or 2.
    patch: usize = 2, fixed, 1 ..= 2;
    /// Attention at this resolution of the U-Net (of images that are no squares: at this height); 0: none.
    attention: usize = 0, fixed, 0 ..= 1024;
    /// Make all images squares of this side (centre crop, then resample); 0: as they are.
    resize: usize = 0, fixed, 0 ..= 1024;
    /// 1: tell the networks the class of each sample, so that samples of a class can be asked for; 0: without classes.
    classes: u32 = 0, fixed, 0 ..= 1, alone "1";
    /// With classes, the share of samples whose class is kept from a network that is also to know all of them together.
    label_dropout: f32 = 0.1, live, 0.0 ..= 1.0;
    /// With classes, how far a teacher goes from all of them together (0) to the one that is asked for (1, off) and beyond.
    guidance: f32 = 1.0, replan, 0.0 ..= 100.0;
    /// With classes, the least of the weights of guidance, where they are drawn at random from it up to `guidance`.
    #[cfg(not(target_arch = "wasm32"))]
    guidance_least: f32 = 1.0, live, 0.0 ..= 100.0;
    /// With classes, how they come into the difference of two scores: `lsg` guides teacher and fake denoiser alike, `zero-cfg`
    /// keeps them from the fake denoiser, `anti-cfg` leads it away from them.
    #[cfg(not(target_arch = "wasm32"))]
    guidance_rule: GuidanceRule = GuidanceRule::Lsg, fixed;
    /// Steps between lines of statistics.
    tick: u64 = 50, live, 1 ..= 1_000_000_000;
    /// Steps between checkpoints, snapshots and sample grids.
    snap: u64 = 500, live, 1 ..= 1_000_000_000;
    /// Checkpoints to keep.
    keep_last: usize = 3, live, 1 ..= 1_000_000;
}

/// Settings that every method reads. The others are listed by the methods that do ([`Method::knobs`]).
pub const COMMON: &[&str] = &[
    "data",
    "seed",
    "batch",
    "accumulate",
    "steps",
    "duration",
    "minutes",
    "method",
    "ema",
    "clip",
    "sigma_init",
    "width",
    "multipliers",
    "blocks",
    "patch",
    "attention",
    "resize",
    "classes",
    "tick",
    "snap",
    "keep_last",
];

/// Settings that have no effect without classes.
pub const OF_CLASSES: &[&str] = &["label_dropout", "guidance", "guidance_least", "guidance_rule"];

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, KnobError>
where
    T::Err: fmt::Display,
{
    value.parse().map_err(|e: T::Err| KnobError {
        knob: name.to_owned(),
        value: value.to_owned(),
        problem: match Knob::find(name).and_then(|knob| knob.range) {
            Some((lo, hi)) => format!("wanted a number in {lo}..={hi}"),
            None if name == "seed" => format!("wanted a whole number in 0..={}", u32::MAX),
            None => e.to_string(),
        },
    })
}

fn unknown(name: &str, value: &str) -> KnobError {
    let problem = "there is no such setting; `onestep train --help` lists them".to_owned();
    KnobError { knob: name.to_owned(), value: value.to_owned(), problem }
}

fn in_range(name: &str, value: f64, lo: f64, hi: f64) -> Result<(), KnobError> {
    if (lo..=hi).contains(&value) {
        return Ok(());
    }
    // A number of 32 bits prints as itself, not with the digits of its 64-bit neighbour.
    let value = if value.fract() == 0.0 { value.to_string() } else { (value as f32).to_string() };
    Err(KnobError { knob: name.to_owned(), value, problem: format!("must be in {lo}..={hi}") })
}

impl Config {
    /// A setting as text, as [`Config::set_live`] reads it; empty if there is none of that name.
    #[cfg(feature = "native")]
    pub fn text_of(&self, knob: &str) -> String {
        // Over text: it has the fewest digits that name a number of 32 bits.
        let text = serde_json::to_string(self).unwrap_or_default();
        match serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default().get(knob) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Array(values)) => {
                values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// Refuses those of these settings, which are in it already, that act only with classes, if it has none.
    #[cfg(feature = "native")]
    pub fn check_of_classes(&self, overrides: &Overrides) -> Result<(), KnobError> {
        let acts = |name: &&'static str| self.classes > 0 || !OF_CLASSES.contains(name);
        let Some(knob) = overrides.names().into_iter().find(|name| !acts(name)) else { return Ok(()) };
        let problem = "acts only with classes: add --classes, with data that have some".to_owned();
        Err(KnobError { knob: knob.to_owned(), value: self.text_of(knob), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_json() {
        let config = Config::default();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn layers_override_in_order() {
        let mut config = Config::default();
        let mut overrides = Overrides::default();
        overrides.set("batch", "128").unwrap();
        overrides.set("multipliers", "1,2,4").unwrap();
        config.apply(&overrides);
        assert_eq!((config.batch, config.multipliers.0.len()), (128, 3));
        assert_eq!(config.seed, 42);
    }

    #[test]
    fn absurd_values_are_refused_by_name() {
        let mut overrides = Overrides::default();
        assert!(overrides.set("batch", "many").unwrap_err().to_string().starts_with("batch = many"));
        assert!(overrides.set("bach", "64").unwrap_err().to_string().contains("no such setting"));
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(refused(|c| c.batch = 0), "batch = 0: must be in 2..=65536");
        assert!(refused(|c| c.lr_critic = f32::NAN).starts_with("lr_critic = NaN"));
        assert!(refused(|c| c.sigma_min = 30.0).contains("below sigma_max"));
    }

    #[test]
    fn old_names_are_read_from_everywhere() {
        let old = r#"{"lr_ratio": 0.25, "ratio_steps": 7}"#;
        let config: Config = serde_json::from_str(old).unwrap();
        assert_eq!((config.lr_critic, config.critic_steps), (0.25, 7));
        let overrides: Overrides = serde_json::from_str(old).unwrap();
        assert_eq!(overrides.names(), ["lr_critic", "critic_steps"]);
        let mut config = Config::default();
        config.set_live("ratio_steps", "9").unwrap();
        assert_eq!(config.critic_steps, 9);
        assert_eq!(Knob::find("lr_ratio").unwrap().name, "lr_critic");
        assert!(serde_json::to_string(&config).unwrap().contains("\"lr_critic\""), "new files have the new names");
    }

    #[test]
    fn only_live_settings_change_while_training() {
        let mut config = Config::default();
        config.set_live("lr_critic", "0.001").unwrap();
        assert_eq!(config.lr_critic, 0.001);
        assert!(config.set_live("batch", "128").unwrap_err().problem.contains("fixed"));
        assert!(config.set_live("lr_critic", "-1").is_err());
        assert_eq!(config.lr_critic, 0.001);
    }
}
