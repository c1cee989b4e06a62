//! Tensors and strings as the content of a safetensors file, whatever the strings mean.
//!
//! The header is written here because the crate keeps metadata in a hash map, and equal models
//! should be equal files, byte for byte. Reading is the crate's; [`diagnose`] says what it refused.

use std::collections::HashMap;
use std::io::{self, Write};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::ModelProblem;
use crate::nets::{Tensor, Tensors};

/// The format's own limit (`safetensors` refuses more).
const MAX_HEADER_BYTES: u64 = 100_000_000;

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
    for x in tensors.values().flat_map(|tensor| &tensor.values) {
        match storage {
            Storage::F32 => out.write_all(&x.to_le_bytes())?,
            Storage::F16 => out.write_all(&f16::from_f32(*x).to_le_bytes())?,
        }
    }
    Ok(())
}

/// The strings in the header of a file.
pub(crate) fn metadata(bytes: &[u8]) -> Result<Option<HashMap<String, String>>, ModelProblem> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| diagnose(bytes, &error))?;
    Ok(header.metadata().clone())
}

/// The tensors of a file, all of finite numbers.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, ModelProblem> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| diagnose(bytes, &error))?;
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
    Ok(tensors)
}

fn all_finite(tensor: &str, values: &[f32], fix: &'static str) -> Result<(), ModelProblem> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(ModelProblem::NonFinite { tensor: tensor.to_owned(), index, got: values[index], fix }),
        None => Ok(()),
    }
}

/// What is wrong with bytes that the parser refused with `error`.
fn diagnose(bytes: &[u8], error: &safetensors::SafeTensorError) -> ModelProblem {
    let hint = match bytes {
        [] => " (it is empty)",
        [b'P', b'K', ..] => " (it looks like a zip archive or a PyTorch checkpoint)",
        [0x80, 2..=5, ..] => " (it looks like a Python pickle)",
        [0x89, b'P', b'N', b'G', ..] => " (it is a PNG image)",
        [0x93, b'N', b'U', b'M', ..] => " (it is a NumPy array)",
        _ => "",
    };
    let (Some(length), Some(b'{')) = (bytes.first_chunk::<8>(), bytes.get(8)) else {
        return ModelProblem::NotSafetensors { hint };
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return ModelProblem::NotSafetensors { hint };
    }
    let (got, end) = (bytes.len() as u64, length + 8);
    if got < end {
        return ModelProblem::Truncated { wanted: end, got };
    }
    if let safetensors::SafeTensorError::MetadataIncompleteBuffer = error
        && let Some(data) = data_bytes(&bytes[8..end as usize])
        && got < end + data
    {
        return ModelProblem::Truncated { wanted: end + data, got };
    }
    ModelProblem::Header { got: error.to_string() }
}

/// Where the last tensor ends, in bytes behind the header.
fn data_bytes(header: &[u8]) -> Option<u64> {
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    header.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64()).max()
}
