//! Drawing from trained networks: one-step samples, the ratio network as their judge, and the
//! denoiser's many steps beside them. Command line, window and page all draw through here.
//!
//! Invariant: a sample depends on its latent alone, not on what is drawn with it. A network runs in
//! batches of fixed sizes, and the rest of the last batch is filled up: kernels may cut their sums
//! by the size of a batch, and other sizes could give other bits.

mod canary;
mod generator;
mod plane;
mod teacher;
mod verifier;

pub use canary::canary;
pub use generator::Generator;
pub use plane::{line_latent, plane_latent};
pub use teacher::Teacher;
pub use verifier::{BestOf, Kept, Verifier};

use crate::exec::{ExecError, Executor};
use crate::model::{ModelError, ModelFile};
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
