//! The header of a safetensors file: which tensors there are, where, and strings about them.
//!
//! Eight bytes of length, JSON, then the data without gaps. Read here and not by the crate `safetensors`, whose
//! derived code is a twentieth of the module that a browser loads; tests hold both against each other. Invariant: the
//! tensors of a [`Header`] lie behind each other and fill the rest of the file, so no more of a file is read than is
//! there, and what a header says can be judged before.

use super::ModelProblem;
use crate::json::{FromJson, Json, parse};

/// The format's own limit (`safetensors` refuses more).
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Where the header starts.
const START: usize = 8;

/// Strings about the tensors, by key.
pub(crate) type Metadata = Vec<(String, String)>;

/// What a file says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    /// `F32` and the like.
    pub dtype: String,
    pub shape: Vec<usize>,
    /// First byte, and the one behind the last, in the data.
    pub data: [usize; 2],
}

/// A header.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// `None` if there is no metadata.
    pub metadata: Option<Metadata>,
    /// In the order of their data.
    pub entries: Vec<Entry>,
    /// What of the file comes after the header.
    pub data: &'a [u8],
}

impl<'a> Header<'a> {
    /// The header of a file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelProblem> {
        Self::parse_start(bytes, bytes.len() as u64)
    }

    /// The header of a file of so many bytes, from all those before its data or more.
    pub fn parse_start(bytes: &'a [u8], got: u64) -> Result<Self, ModelProblem> {
        let foreign = || ModelProblem::NotSafetensors { hint: hint(bytes) };
        let (Some(length), Some(b'{')) = (bytes.first_chunk(), bytes.get(START)) else { return Err(foreign()) };
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER_BYTES {
            return Err(foreign());
        }
        let end = START as u64 + length;
        if got < end {
            return Err(ModelProblem::Truncated { wanted: end, got });
        }
        let (header, data) = bytes[START..].split_at(length as usize);
        let (metadata, entries) = read(header).map_err(|got| ModelProblem::Header { got })?;
        let wanted = end + entries.last().map_or(0, |last| last.data[1] as u64);
        if got < wanted {
            return Err(ModelProblem::Truncated { wanted, got });
        }
        if got > wanted {
            return Err(ModelProblem::Header { got: format!("{} bytes more than it speaks of", got - wanted) });
        }
        Ok(Self { metadata, entries, data })
    }
}

/// How many bytes of a file there are before its data, from the first eight; at most what a header may have.
#[cfg(feature = "native")]
pub(super) fn bytes_before_data(start: [u8; START]) -> u64 {
    START as u64 + u64::from_le_bytes(start).min(MAX_HEADER_BYTES)
}

/// What a file looks like that is something else.
fn hint(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => " (it is empty)",
        [b'P', b'K', ..] => " (it looks like a zip archive or a PyTorch checkpoint)",
        [0x80, 2..=5, ..] => " (it looks like a Python pickle)",
        [0x89, b'P', b'N', b'G', ..] => " (it is a PNG image)",
        [0x93, b'N', b'U', b'M', ..] => " (it is a NumPy array)",
        _ => "",
    }
}

fn read(header: &[u8]) -> Result<(Option<Metadata>, Vec<Entry>), String> {
    let text = str::from_utf8(header).map_err(|error| error.to_string())?;
    let Json::Object(objects) = parse(text)? else { return Err("it is no object".to_owned()) };
    let (mut metadata, mut entries): (_, Vec<Entry>) = (None, Vec::new());
    for (name, value) in objects {
        let Json::Object(fields) = value else { return Err(format!("`{name}` is no object")) };
        if name == "__metadata__" {
            let strings = fields.into_iter().map(|(key, value)| Some((key, String::from_json(value)?)));
            metadata = Some(strings.collect::<Option<_>>().ok_or("metadata that are no strings")?);
        } else {
            entries.push(entry(&name, fields).ok_or_else(|| format!("what it says of `{name}` makes no sense"))?);
        }
    }
    entries.sort_by_key(|entry| entry.data);
    let mut end = 0;
    for entry in &entries {
        if entry.data[0] != end {
            return Err(format!("`{}` does not start where the tensor before ends", entry.name));
        }
        end = entry.data[1];
    }
    Ok((metadata, entries))
}

fn entry(name: &str, fields: Vec<(String, Json)>) -> Option<Entry> {
    let (mut dtype, mut shape, mut data) = (None, None, None);
    for (key, value) in fields {
        match &key[..] {
            "dtype" => dtype = Some(String::from_json(value)?),
            "shape" => shape = Some(Vec::from_json(value)?),
            "data_offsets" => data = Some(<[usize; 2]>::from_json(value)?),
            _ => {}
        }
    }
    let entry = Entry { name: name.to_owned(), dtype: dtype?, shape: shape?, data: data? };
    let numbers = entry.shape.iter().try_fold(1, |product: usize, size| product.checked_mul(*size))?;
    // Of types that are not read, only the order of the bytes is checked.
    let bytes = match size(&entry.dtype) {
        Some(size) => numbers.checked_mul(size)?,
        None => entry.data[1].checked_sub(entry.data[0])?,
    };
    (entry.data[0].checked_add(bytes)? == entry.data[1]).then_some(entry)
}

/// Bytes of a number of this type, if it is one that is read.
fn size(dtype: &str) -> Option<usize> {
    match dtype {
        "F32" => Some(4),
        "F16" | "BF16" => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    /// Two tensors whose names are not in the order of their data, and a string.
    fn file() -> Vec<u8> {
        let header = br#"{"__metadata__":{"a":"\u00e9"},"w":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}} "#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([0; 14]);
        bytes
    }

    fn check(bytes: &[u8]) {
        let (got, wanted) = (Header::parse(bytes), SafeTensors::deserialize(bytes));
        // A type that is not read is refused later.
        let refused = got.as_ref().is_ok_and(|header| header.entries.iter().any(|entry| size(&entry.dtype).is_none()));
        assert!(refused || got.is_ok() == wanted.is_ok(), "{got:?} for {wanted:?}");
        let (Ok(got), Ok(wanted)) = (got, wanted) else { return };
        for entry in &got.entries {
            let tensor = wanted.tensor(&entry.name).unwrap();
            assert_eq!(tensor.shape(), entry.shape);
            assert_eq!(tensor.data().as_ptr(), got.data[entry.data[0]..].as_ptr());
            assert_eq!(tensor.data().len(), entry.data[1] - entry.data[0]);
        }
        assert_eq!(wanted.len(), got.entries.len());
    }

    #[test]
    fn files_are_read_as_by_the_crate() {
        let bytes = file();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.metadata, Some(vec![("a".to_owned(), "\u{e9}".to_owned())]));
        assert_eq!(header.entries.iter().map(|entry| &entry.name[..]).collect::<Vec<_>>(), ["x", "w"]);
        check(&bytes);
        for end in 0..bytes.len() {
            check(&bytes[..end]);
        }
        check(&[&bytes[..], &[0]].concat());
    }

    #[test]
    fn damaged_headers_are_refused_where_the_crate_refuses_them() {
        for i in 8..file().len() - 14 {
            for byte in [b' ', b'"', b'0', b'9', b',', b'{', b']', b'a', 0xff] {
                let mut bytes = file();
                bytes[i] = byte;
                check(&bytes);
            }
        }
    }
}
