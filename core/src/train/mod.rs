//! Training: settings, losses, and the loop that runs their plans.

mod batch;
mod divergence;
mod field;
mod knobs;
pub mod method;
mod presets;
mod source;
mod statistics;
mod trainer;

pub use batch::{DataSpec, Stream};
pub use divergence::Divergence;
pub use field::{FieldValues, RatioField};
pub use knobs::{Config, KNOBS, Knob, KnobError, MethodName, Multipliers, Overrides};
pub use method::StepKind;
pub use presets::{PRESETS, Preset};
pub use source::TrainingData;
pub use statistics::Averages;
pub use trainer::{Counters, SAMPLES, TrainError, Trainer, latent, sample_batch};
