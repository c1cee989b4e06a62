//! Drawing from trained networks: one-step samples, the ratio network as their judge, and the
//! denoiser's many steps beside them. Command line, window and page all draw through here.
//!
//! Invariant: a sample depends on its latent alone, not on what is drawn with it. A network runs in
//! batches of fixed sizes, and the rest of the last batch is filled up: kernels may cut their sums
//! by the size of a batch, and other sizes could give other bits.

mod canary;
#[cfg(not(target_arch = "wasm32"))]
mod choose;
mod generator;
mod plane;
#[cfg(not(target_arch = "wasm32"))]
mod straight;
mod verifier;
mod walk;

pub use canary::canary;
#[cfg(not(target_arch = "wasm32"))]
pub use choose::{Choice, Chooser, Kept};
pub use generator::Generator;
pub use plane::{line_latent, plane_latent};
#[cfg(not(target_arch = "wasm32"))]
pub use straight::straightness;
pub use verifier::{SIGMAS, Verifier};
pub use walk::Walk;

use crate::exec::{ExecError, Executor};
use crate::model::{ModelError, ModelFile, ModelMeta};
use crate::plan::{PlanError, SLOT_ALIGN};

/// Why nothing can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum SamplingError {
    /// The device.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights that give NaN or infinity.
    #[error("sample {index} of the batch is {value}; the model has diverged")]
    NotFinite {
        /// Position in the batch.
        index: usize,
        /// What came.
        value: f32,
    },
    /// A class that the model does not have.
    #[error("class {class}: {}", classes_of(*classes))]
    Class {
        /// What was asked for.
        class: u32,
        /// How many classes the model has.
        classes: usize,
    },
    /// A device that computes something else than the processor.
    #[error("this device computes {got} where {wanted} is right (number {index})")]
    Canary {
        /// What the device gave.
        got: f32,
        /// What the processor gave.
        wanted: f32,
        /// Which number.
        index: usize,
    },
}

fn classes_of(classes: usize) -> String {
    match classes {
        0 => "this model has no classes".to_owned(),
        1 => "this model has one class, 0".to_owned(),
        many => format!("this model has the classes 0 to {}", many - 1),
    }
}

/// An error for the first of these classes that the model does not have.
fn check_classes(meta: &ModelMeta, classes: &[u32]) -> Result<(), SamplingError> {
    let known = meta.network.classes();
    match classes.iter().find(|class| **class as usize >= known) {
        Some(class) => Err(SamplingError::Class { class: *class, classes: known }),
        None => Ok(()),
    }
}

/// The class of each row, for a conditional model: in turn those that were asked for, or the first.
fn class_numbers(classes: &[u32], rows: usize) -> Vec<f32> {
    let class = |row: usize| if classes.is_empty() { 0 } else { classes[row % classes.len()] };
    (0..rows).map(|row| class(row) as f32).collect()
}

/// Puts the weights of a model that is not a state into a store of this name.
fn put_weights(executor: &mut Executor, store: &str, model: &ModelFile) -> Result<(), SamplingError> {
    let parameters = model.own_parameters()?;
    executor.create_store(store, parameters.len().max(SLOT_ALIGN))?;
    executor.write(store, 0, &parameters)?;
    Ok(())
}

/// `[rows, ..shape]`
fn batch_shape(rows: usize, shape: &[usize]) -> Vec<usize> {
    std::iter::once(rows).chain(shape.iter().copied()).collect()
}

/// The first number that is not finite, as an error.
fn all_finite(samples: &[f32], width: usize) -> Result<(), SamplingError> {
    match samples.iter().position(|x| !x.is_finite()) {
        Some(i) => Err(SamplingError::NotFinite { index: i / width, value: samples[i] }),
        None => Ok(()),
    }
}
