//! Training: settings, methods, and the run of their plans.

mod batch;
mod bins;
mod counters;
mod cut;
#[cfg(test)]
mod cut_tests;
mod divergence;
mod field;
mod group;
#[cfg(not(target_arch = "wasm32"))]
mod guidance;
mod knobs;
mod methods;
mod net;
#[cfg(not(target_arch = "wasm32"))]
mod paths;
mod presets;
mod recipe;
mod slots;
mod source;
mod statistics;
mod step;
#[cfg(test)]
mod tests;
mod trainer;
#[cfg(not(target_arch = "wasm32"))]
mod whole;

pub use batch::{DataSpec, Stream};
pub use bins::BINS;
pub use counters::Counters;
#[cfg(feature = "native")]
pub(crate) use counters::CountersV1;
pub use divergence::Divergence;
pub use field::{FieldOfView, FieldValues};
pub use group::Group;
#[cfg(not(target_arch = "wasm32"))]
pub use guidance::GuidanceRule;
pub use knobs::{COMMON, Config, KNOBS, Kind, Knob, KnobError, MethodName, Multipliers, OF_CLASSES, Overrides};
pub use methods::METHODS;
pub use net::Net;
#[cfg(not(target_arch = "wasm32"))]
pub use paths::{PathValues, Paths};
pub use presets::{PRESETS, Preset};
pub use recipe::{
    Alarm, Count, Field, First, Handover, Head, Latest, Layer, Method, Mode, Moment, Need, Network, PathsOf, Phase,
    Plot, Rates, Recipe, See, Sight, Subject, Update,
};
pub use slots::{Slots, deal};
pub use source::TrainingData;
pub use statistics::Averages;
pub use step::{Declared, RING, Setup, Statistic, Step, Weights, ring, store_len};
pub use trainer::{SAMPLES, TrainError, Trainer, sample_batch};
