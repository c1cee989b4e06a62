//! Model files: read from a path or from bytes (the web has no paths), written atomically.

use std::io::{self, Write};
#[cfg(feature = "native")]
use std::path::Path;

use super::header::Header;
use super::tensors::{self, Storage};
use super::{ModelError, ModelKind, ModelMeta, ModelProblem};
#[cfg(feature = "native")]
use crate::files::atomic_write;
use crate::nets::{ParamLayout, Tensors};

/// Largest file that is read: the states of a run with the largest published CIFAR-10 network
/// need a quarter of it.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// A model: what it says about itself, and its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Where it came from or goes to, for messages.
    pub name: String,
    /// What it says about itself.
    pub meta: ModelMeta,
    /// Tensors in PyTorch-style axes; all numbers are finite.
    pub tensors: Tensors,
}

impl ModelFile {
    /// A model of one network from its flat parameters. States add more tensors
    /// ([`ParamLayout::to_tensors`]) with prefixes.
    pub fn new(meta: ModelMeta, layout: &ParamLayout, parameters: &[f32]) -> Self {
        Self { name: "new model".into(), meta, tensors: layout.to_tensors("", parameters) }
    }

    #[cfg(feature = "native")]
    /// Reads a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let read = |got| ModelProblem::Read { got }.in_file(&name);
        let metadata = std::fs::metadata(path).map_err(read)?;
        // A pipe may never say anything, and a device may never end.
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(ModelProblem::Special.in_file(&name));
        }
        let got = metadata.len();
        if got > MAX_FILE_BYTES {
            return Err(ModelProblem::TooLarge { got, limit: MAX_FILE_BYTES }.in_file(&name));
        }
        Self::from_bytes(&name, &std::fs::read(path).map_err(read)?)
    }

    /// Reads the content of a file; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        let (meta, tensors) = decode(bytes).map_err(|problem| problem.in_file(name))?;
        Ok(Self { name: name.to_owned(), meta, tensors })
    }

    /// The flat parameters of a network of this layout whose tensors start with `prefix`.
    pub fn parameters(&self, prefix: &str, layout: &ParamLayout) -> Result<Vec<f32>, ModelError> {
        layout.from_tensors(prefix, &self.tensors).map_err(|error| ModelProblem::from(error).in_file(&self.name))
    }

    /// The flat parameters of the one network in a file that is not a state.
    pub fn own_parameters(&self) -> Result<Vec<f32>, ModelError> {
        let layout = match self.meta.kind {
            ModelKind::Ratio => self.meta.network.ratio_layout(),
            ModelKind::Generator | ModelKind::Denoiser | ModelKind::State => self.meta.network.generator_layout(),
        };
        self.parameters("", &layout)
    }

    #[cfg(feature = "native")]
    /// Writes the file whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>, storage: Storage) -> Result<(), ModelError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        tensors::check(&self.tensors, storage).map_err(|problem| problem.in_file(&name))?;
        atomic_write(path, |file| self.write(file, storage)).map_err(|error| ModelProblem::from(error).in_file(&name))
    }

    /// The content of the file.
    pub fn to_bytes(&self, storage: Storage) -> Result<Vec<u8>, ModelError> {
        tensors::check(&self.tensors, storage).map_err(|problem| problem.in_file(&self.name))?;
        let mut bytes = Vec::new();
        self.write(&mut bytes, storage).expect("a vector takes any number of bytes");
        Ok(bytes)
    }

    fn write(&self, out: &mut impl Write, storage: Storage) -> io::Result<()> {
        tensors::write(out, self.meta.entries(), &self.tensors, storage)
    }
}

fn decode(bytes: &[u8]) -> Result<(ModelMeta, Tensors), ModelProblem> {
    let header = Header::parse(bytes)?;
    let meta = ModelMeta::parse(header.metadata.as_deref())?;
    Ok((meta, tensors::values(&header)?))
}

#[cfg(test)]
mod tests;
