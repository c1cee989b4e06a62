//! Model files: read from a path or from bytes (the web has no paths), written atomically.

use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::{ModelError, ModelKind, ModelMeta, ModelProblem, header};
use crate::files::atomic_write;
use crate::nets::{ParamLayout, Tensor, Tensors};

/// Largest file that is read: the states of a run with the largest published CIFAR-10 network
/// need a quarter of it.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// How numbers are kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// 32 bits: exact, for states.
    F32,
    /// 16 bits: half the size, three digits, for the web.
    F16,
}

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

    /// Reads a file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let read = |got| ModelProblem::Read { got }.in_file(&name);
        let got = std::fs::metadata(path).map_err(read)?.len();
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

    /// Writes the file whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>, storage: Storage) -> Result<(), ModelError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        self.check(storage).map_err(|problem| problem.in_file(&name))?;
        atomic_write(path, |file| self.write(file, storage)).map_err(|error| ModelProblem::from(error).in_file(&name))
    }

    /// The content of the file.
    pub fn to_bytes(&self, storage: Storage) -> Result<Vec<u8>, ModelError> {
        self.check(storage).map_err(|problem| problem.in_file(&self.name))?;
        let mut bytes = Vec::new();
        self.write(&mut bytes, storage).expect("a vector takes any number of bytes");
        Ok(bytes)
    }

    fn write(&self, out: &mut impl Write, storage: Storage) -> io::Result<()> {
        let (kind, size) = match storage {
            Storage::F32 => ("F32", 4),
            Storage::F16 => ("F16", 2),
        };
        let entry = |(name, t): (&'_ String, &'_ Tensor)| (name.clone(), t.shape.clone(), t.values.len() * size);
        let entries: Vec<_> = self.tensors.iter().map(entry).collect();
        let tensors = entries.iter().map(|(name, shape, bytes)| (&name[..], kind, &shape[..], *bytes));
        out.write_all(&header::encode(self.meta.entries(), tensors))?;
        for tensor in self.tensors.values() {
            for &x in &tensor.values {
                match storage {
                    Storage::F32 => out.write_all(&x.to_le_bytes())?,
                    Storage::F16 => out.write_all(&f16::from_f32(x).to_le_bytes())?,
                }
            }
        }
        Ok(())
    }

    /// Refuses to write what could not be read.
    fn check(&self, storage: Storage) -> Result<(), ModelProblem> {
        for (name, tensor) in &self.tensors {
            all_finite(name, &tensor.values, "the run has diverged: go back to an earlier state")?;
            if storage == Storage::F16 {
                let large = tensor.values.iter().position(|x| !f16::from_f32(*x).is_finite());
                if let Some(index) = large {
                    let fix = "too large for 16 bits: write 32 bits";
                    return Err(ModelProblem::NonFinite {
                        tensor: name.clone(),
                        index,
                        got: tensor.values[index],
                        fix,
                    });
                }
            }
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Result<(ModelMeta, Tensors), ModelProblem> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| header::diagnose(bytes, &error))?;
    let meta = ModelMeta::parse(header.metadata().as_ref())?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| header::diagnose(bytes, &error))?;
    let mut tensors = Tensors::new();
    // The crate's map has a random order; the first error should not.
    let mut views = file.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, view) in views {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Dtype::BF16 => data.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            other => return Err(ModelProblem::Type { tensor: name, got: format!("{other:?}") }),
        };
        all_finite(&name, &values, "the file is damaged or its training diverged: use another one")?;
        tensors.insert(name, Tensor { shape: view.shape().to_vec(), values });
    }
    Ok((meta, tensors))
}

fn all_finite(tensor: &str, values: &[f32], fix: &'static str) -> Result<(), ModelProblem> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(ModelProblem::NonFinite { tensor: tensor.to_owned(), index, got: values[index], fix }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
