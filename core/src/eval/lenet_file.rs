//! The classifier's weights as a safetensors file: PyTorch-style names and axes, 16- or 32-bit numbers, and strings
//! that say where they come from.
//!
//! [`crate::model::ModelFile`] needs a generator's configuration, which a classifier does not have. Invariants: equal
//! weights and notes are equal files, byte for byte; what was read has the layout of [`super::classifier::layout`] and
//! finite numbers.

use std::collections::BTreeMap;

use super::classifier::layout;
use super::lenet::{Lenet, LenetError};
use crate::model::{FORMAT, Storage, tensors};

/// What the metadata's `kind` says.
const KIND: &str = "classifier";
/// Key of the share of recognised test images.
const TEST_ACCURACY: &str = "test_accuracy";

impl Lenet {
    /// Reads the content of a file; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, LenetError> {
        decode(bytes).map_err(|problem| LenetError::File { file: name.to_owned(), problem })
    }

    /// The content of a file.
    pub fn to_bytes(&self, storage: Storage) -> Result<Vec<u8>, LenetError> {
        let weights = layout().to_tensors("", &self.weights);
        tensors::check(&weights, storage)
            .map_err(|problem| LenetError::File { file: "new classifier".into(), problem: problem.to_string() })?;
        let mut out = Vec::new();
        tensors::write(&mut out, self.entries(), &weights, storage).expect("a vector takes any number of bytes");
        Ok(out)
    }

    /// The strings of the header, by key.
    fn entries(&self) -> BTreeMap<String, String> {
        let mut entries = self.notes.clone();
        let own = [("format", FORMAT.to_owned()), ("kind", KIND.to_owned())];
        entries.extend(own.map(|(key, text)| (key.to_owned(), text)));
        entries.insert(TEST_ACCURACY.to_owned(), self.test_accuracy.to_string());
        entries
    }
}

fn decode(bytes: &[u8]) -> Result<Lenet, String> {
    let (metadata, tensors) = tensors::read(bytes).map_err(|problem| problem.to_string())?;
    let mut notes: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
    let mut take = |key: &str| notes.remove(key).unwrap_or_default();
    let (format, kind, accuracy) = (take("format"), take("kind"), take(TEST_ACCURACY));
    if format != FORMAT || kind != KIND {
        return Err(format!("wanted format {FORMAT} and kind {KIND}, got `{format}` and `{kind}`"));
    }
    let test_accuracy = accuracy.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    let test_accuracy = test_accuracy.ok_or_else(|| format!("{TEST_ACCURACY}: wanted 0 to 1, got `{accuracy}`"))?;
    let weights = layout().from_tensors("", &tensors).map_err(|error| error.to_string())?;
    Ok(Lenet { weights, test_accuracy, notes })
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    fn fresh() -> Lenet {
        let notes = [("dataset", "none"), ("command", "a \"test\"")];
        let notes = notes.map(|(key, text)| (key.to_owned(), text.to_owned()));
        Lenet::new(layout().initial(3), 0.125, notes.into())
    }

    fn refusal(bytes: &[u8]) -> String {
        let text = Lenet::from_bytes("a.safetensors", bytes).unwrap_err().to_string();
        assert!(text.starts_with("a.safetensors: ") && text.ends_with("the example `train_lenet`"), "{text}");
        text
    }

    #[test]
    fn files_come_back_and_are_equal_byte_for_byte() {
        let lenet = fresh();
        let exact = lenet.to_bytes(Storage::F32).unwrap();
        assert_eq!(Lenet::from_bytes("x", &exact).unwrap(), lenet);
        assert_eq!(lenet.to_bytes(Storage::F32).unwrap(), exact);
        let half = lenet.to_bytes(Storage::F16).unwrap();
        let rounded = Lenet::from_bytes("x", &half).unwrap();
        assert_eq!(rounded.to_bytes(Storage::F16).unwrap(), half);
        for (got, wanted) in rounded.weights.iter().zip(&lenet.weights) {
            // 2^-11 of the number, or half of the smallest step.
            let within = (got - wanted).abs() <= wanted.abs() * 4.9e-4 + 3e-8;
            assert!(within, "{got} for {wanted}");
        }
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let good = fresh().to_bytes(Storage::F16).unwrap();
        for end in [0, 4] {
            assert!(refusal(&good[..end]).contains("is not a safetensors file"), "cut at {end}");
        }
        for end in [20, good.len() / 2, good.len() - 1] {
            assert!(refusal(&good[..end]).contains("is cut off"), "cut at {end}");
        }
        let mut nan = good.clone();
        let end = nan.len();
        nan[end - 2..].copy_from_slice(&f16::NAN.to_le_bytes());
        assert!(refusal(&nan).contains("has NaN at element"));
        let changed = |from: &str, to: &str| {
            assert_eq!(from.len(), to.len());
            let mut bytes = good.clone();
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            refusal(&bytes)
        };
        assert!(changed("classifier", "generators").contains("got `onestep/1` and `generators`"));
        assert!(changed("0.125", "1.125").contains("wanted 0 to 1, got `1.125`"));
        assert!(changed("conv1.bias", "conv9.bias").contains("tensor `conv1.bias` of shape [16] is missing"));
    }

    #[test]
    fn weights_that_have_no_place_are_not_written() {
        let mut lenet = fresh();
        lenet.weights[5] = 1e6;
        assert!(lenet.to_bytes(Storage::F32).is_ok());
        let text = lenet.to_bytes(Storage::F16).unwrap_err().to_string();
        assert!(text.contains("has 1000000 at element") && text.contains("write 32 bits"), "{text}");
        lenet.weights[5] = f32::NAN;
        assert!(lenet.to_bytes(Storage::F32).is_err());
    }
}
