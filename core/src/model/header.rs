//! The header of a safetensors file: eight bytes of length, then JSON, padded with spaces.
//!
//! Written here because the crate keeps metadata in a hash map, and equal models should be
//! equal files, byte for byte. Reading is the crate's; [`diagnose`] says what it refused.

use serde_json::{Map, Value, json};

use super::ModelProblem;

/// The format's own limit (`safetensors` refuses more).
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The header for these metadata and tensors (name, type, shape, bytes), data in this order.
pub(super) fn encode<'a>(
    entries: Vec<(&'static str, String)>,
    tensors: impl Iterator<Item = (&'a str, &'static str, &'a [usize], usize)>,
) -> Vec<u8> {
    let metadata: Map<String, Value> = entries.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect();
    let mut header = Map::new();
    header.insert("__metadata__".into(), metadata.into());
    let mut start = 0;
    for (name, kind, shape, bytes) in tensors {
        let entry = json!({ "dtype": kind, "shape": shape, "data_offsets": [start, start + bytes] });
        header.insert(name.to_owned(), entry);
        start += bytes;
    }
    let mut text = Value::from(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out
}

/// What is wrong with bytes that the parser refused with `error`.
pub(super) fn diagnose(bytes: &[u8], error: &safetensors::SafeTensorError) -> ModelProblem {
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
