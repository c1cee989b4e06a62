//! Model files: snapshots and weights in safetensors, with what is needed to use them.
//!
//! A file carries its network's configuration, so that whoever opens it needs nothing else.
//! Tensors have PyTorch-style names and axes. Invariant: a [`ModelFile`] that was opened has a
//! network that can be built, finite numbers and, if it names them, the right checksums; everything else was refused
//! with the file's name, what is wrong, and what to do.

#[cfg(feature = "native")]
pub(crate) mod checksums;
mod error;
mod file;
mod header;
#[cfg(feature = "native")]
mod merge;
mod meta;
pub(crate) mod tensors;

pub use error::{ModelError, ModelProblem};
pub use file::{MAX_FILE_BYTES, ModelFile};
#[cfg(feature = "native")]
pub use merge::merge;
pub use meta::{FORMAT, ModelKind, ModelMeta};
pub use tensors::Storage;
