//! Why sessions fail.

use crate::exec::ExecError;
use crate::sampling::SamplingError;
use crate::train::{KnobError, TrainError};

/// Why a session cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A step failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A setting is refused.
    #[error(transparent)]
    Knob(#[from] KnobError),
    /// A network that cannot be built.
    #[error(transparent)]
    Network(#[from] crate::nets::ConfigError),
    /// Data that cannot be loaded.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    #[cfg(feature = "native")]
    /// A file that cannot be written.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    /// A model file.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    #[cfg(feature = "native")]
    /// A run folder that cannot be used.
    #[error("{path}: {problem}")]
    Folder {
        /// The folder or file.
        path: String,
        /// What is wrong, and the fix.
        problem: String,
    },
    #[cfg(feature = "native")]
    /// A checkpoint that cannot be read.
    #[error("{error}; {left}")]
    Checkpoint {
        /// Why.
        error: Box<Self>,
        /// What to go on from instead.
        left: String,
    },
}

impl SessionError {
    /// Whether the device is gone: the run goes on from its last checkpoint, on a new one.
    pub fn is_device_lost(&self) -> bool {
        let Self::Train(TrainError::Exec(error) | TrainError::Sampling(SamplingError::Exec(error))) = self else {
            return false;
        };
        matches!(error, ExecError::DeviceLost(_))
    }
}

impl From<ExecError> for SessionError {
    fn from(error: ExecError) -> Self {
        Self::Train(error.into())
    }
}
