//! Tensors and strings as the content of a safetensors file, whatever the strings mean.
//!
//! The header is written here and not by the crate `safetensors`, because that keeps metadata in a hash map, and
//! equal models should be equal files, byte for byte; [`super::header`] reads it.

use std::io::{self, Write};

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::ModelProblem;
use super::header::{Entry, Header, Metadata};
use crate::nets::{Tensor, Tensors};

/// How numbers are kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// 32 bits: exact, for states.
    F32,
    /// 16 bits: half the size, three digits, for the web.
    F16,
}

impl Storage {
    /// Its name in a header.
    fn dtype(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
        }
    }

    /// Bytes of a number.
    fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Refuses to write what could not be read.
pub(crate) fn check(tensors: &Tensors, storage: Storage) -> Result<(), ModelProblem> {
    for (name, tensor) in tensors {
        all_finite(name, &tensor.values, "the run has diverged: go back to an earlier state")?;
        let large = |x: &f32| storage == Storage::F16 && !f16::from_f32(*x).is_finite();
        if let Some(index) = tensor.values.iter().position(large) {
            let fix = "too large for 16 bits: write 32 bits";
            return Err(ModelProblem::NonFinite { tensor: name.clone(), index, got: tensor.values[index], fix });
        }
    }
    Ok(())
}

/// Writes a file: eight bytes of length, the header as JSON padded with spaces, then the data in
/// the order of the names.
pub(crate) fn write(
    out: &mut impl Write,
    metadata: impl IntoIterator<Item = (impl Into<String>, String)>,
    tensors: &Tensors,
    storage: Storage,
) -> io::Result<()> {
    let metadata: Map<String, Value> = metadata.into_iter().map(|(key, text)| (key.into(), text.into())).collect();
    let mut header = Map::new();
    header.insert("__metadata__".into(), metadata.into());
    let mut start = 0;
    for (name, tensor) in tensors {
        let end = start + tensor.values.len() * storage.size();
        let entry = json!({ "dtype": storage.dtype(), "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(name.clone(), entry);
        start = end;
    }
    let mut text = Value::from(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(&text)?;
    tensors.values().try_for_each(|tensor| out.write_all(&encoded(tensor, storage)))
}

/// A tensor's bytes in a file.
pub(super) fn encoded(tensor: &Tensor, storage: Storage) -> Vec<u8> {
    let values = tensor.values.iter();
    match storage {
        Storage::F32 => values.flat_map(|x| x.to_le_bytes()).collect(),
        Storage::F16 => values.flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
    }
}

/// The strings in the header of a file, and its tensors, all of finite numbers.
pub(crate) fn read(bytes: &[u8]) -> Result<(Option<Metadata>, Tensors), ModelProblem> {
    let header = Header::parse(bytes)?;
    let tensors = values(&header, |[start, end]| Ok(&header.data[start..end]))?;
    Ok((header.metadata, tensors))
}

/// The tensors of a file, all of finite numbers; `read` gives bytes of its data, from the first to the last tensor.
pub(super) fn values<B: AsRef<[u8]>>(
    header: &Header<'_>,
    mut read: impl FnMut([usize; 2]) -> Result<B, ModelProblem>,
) -> Result<Tensors, ModelProblem> {
    let mut tensors = Tensors::new();
    #[cfg(feature = "native")]
    let mut checksums = super::checksums::Checksums::of(header.metadata.as_ref(), header.entries.len())?;
    for Entry { name, dtype, shape, data } in &header.entries {
        let data = read(*data)?;
        let data = data.as_ref();
        #[cfg(feature = "native")]
        checksums.check(name, data)?;
        let values: Vec<f32> = match &dtype[..] {
            "F32" => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            "F16" => data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            "BF16" => data.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
            _ => return Err(ModelProblem::Type { tensor: name.clone(), got: dtype.clone() }),
        };
        all_finite(name, &values, "the file is damaged or its training diverged: use another one")?;
        if tensors.insert(name.clone(), Tensor { shape: shape.clone(), values }).is_some() {
            return Err(ModelProblem::Header { got: format!("two tensors are called `{name}`") });
        }
    }
    Ok(tensors)
}

fn all_finite(tensor: &str, values: &[f32], fix: &'static str) -> Result<(), ModelProblem> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(ModelProblem::NonFinite { tensor: tensor.to_owned(), index, got: values[index], fix }),
        None => Ok(()),
    }
}
