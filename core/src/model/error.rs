//! Why a model file was refused.

use crate::nets::{ConfigError, LayoutError};

/// A model file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ModelError {
    /// The file's name, as the user gave it.
    pub file: String,
    /// What is wrong with it. Part of the message, and for that reason no `source`.
    pub problem: ModelProblem,
}

/// What is wrong with a model file. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelProblem {
    #[cfg(feature = "native")]
    /// The system could not read it.
    #[error("cannot be read: {got}; check the path and the permissions")]
    Read {
        /// What the system said.
        got: std::io::Error,
    },
    #[cfg(feature = "native")]
    /// It could not be written.
    #[error("cannot be written (wanted to {action}, got \"{got}\"); {fix}")]
    Write {
        /// The step that failed.
        action: &'static str,
        /// What the system said.
        got: std::io::Error,
        /// What to do about it.
        fix: String,
    },
    #[cfg(feature = "native")]
    /// Nothing that lies on a disk.
    #[error("is a device or pipe; choose a model file")]
    Special,
    #[cfg(feature = "native")]
    /// Larger than any file of this program.
    #[error("has {got} bytes, more than the limit of {limit}; choose a model file written by onestep")]
    TooLarge {
        /// Its size.
        got: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// Some other kind of file.
    #[error("is not a safetensors file{hint}; choose a .safetensors file")]
    NotSafetensors {
        /// What it looks like, if that is known.
        hint: &'static str,
    },
    /// Its end is missing.
    #[error("is cut off: {wanted} bytes are needed, it has {got}; copy or download it again")]
    Truncated {
        /// Bytes that the header speaks of.
        wanted: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// Its header makes no sense.
    #[error("has a damaged header ({got}); copy or download it again")]
    Header {
        /// What the parser said.
        got: String,
    },
    #[cfg(feature = "native")]
    /// It is not what was written.
    #[error("{part} is damaged: it is not what its checksum says; use another copy of the file, or an earlier one")]
    Damaged {
        /// Its header, or a tensor.
        part: String,
    },
    /// Written by another program.
    #[error("was not written by onestep ({got}); choose a model file that `onestep train` left")]
    Foreign {
        /// What it says about its format.
        got: String,
    },
    /// Written by a later version.
    #[error("has the format {got}, which this version cannot read (it reads {wanted}); install a newer onestep")]
    Newer {
        /// Its format.
        got: String,
        /// Ours.
        wanted: &'static str,
    },
    /// A metadata entry that is absent or makes no sense.
    #[error("has metadata `{key}` = {got}, where {wanted} is needed; write the file again with this version")]
    Metadata {
        /// Which entry.
        key: &'static str,
        /// What fits.
        wanted: String,
        /// What came.
        got: String,
    },
    /// A network that cannot be built.
    #[error("describes an impossible network ({0}); write the file again with valid settings")]
    Network(#[from] ConfigError),
    /// A number format that is not read.
    #[error("tensor `{tensor}` has the type {got}; convert it to F32, F16 or BF16")]
    Type {
        /// Which tensor.
        tensor: String,
        /// Its type.
        got: String,
    },
    /// Tensors that do not fit the network.
    #[error("does not fit the network: {0}; use a file of the same network, or its settings")]
    Architecture(#[from] LayoutError),
    #[cfg(feature = "native")]
    /// Two models that cannot become one.
    #[error("cannot be merged: its {what} is {got}, not {wanted}; choose two models of one network and data")]
    Unlike {
        /// What differs.
        what: &'static str,
        /// That of the other, and the other's file.
        wanted: String,
        /// Its own.
        got: String,
    },
    #[cfg(feature = "native")]
    /// Networks, optimizers and more.
    #[error("is the state of a run, not a model; choose one of its snapshots")]
    NoModel,
    /// Infinite weights or NaN.
    #[error("tensor `{tensor}` has {got} at element {index}; {fix}")]
    NonFinite {
        /// Which tensor.
        tensor: String,
        /// Which element.
        index: usize,
        /// `NaN` or an infinity.
        got: f32,
        /// What to do about it.
        fix: &'static str,
    },
}

#[cfg(feature = "native")]
impl From<crate::files::FileError> for ModelProblem {
    fn from(error: crate::files::FileError) -> Self {
        Self::Write { action: error.action, got: error.got, fix: error.fix }
    }
}

impl ModelProblem {
    /// With the name of the file.
    pub(super) fn in_file(self, file: &str) -> ModelError {
        ModelError { file: file.to_owned(), problem: self }
    }
}
