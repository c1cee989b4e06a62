//! Checksums in the header of a model file: a bit that flipped on a disk or on the way is found, and its tensor named.
//!
//! The string `crc32` lists, in hexadecimal, the CRC-32 of all other strings, then that of each tensor's bytes in the
//! order of the data. Files of earlier versions and of browsers have no such string, and are read without.

use flate2::Crc;

use super::ModelProblem;
use super::header::Metadata;
use super::tensors::{Storage, encoded};
use crate::nets::Tensors;

const KEY: &str = "crc32";

/// The strings of a header with the checksums of what is about to be written.
pub(super) fn seal(
    entries: Vec<(&'static str, String)>,
    tensors: &Tensors,
    storage: Storage,
) -> Vec<(&'static str, String)> {
    let mut sums = vec![of_strings(entries.iter().map(|(key, text)| (*key, &text[..])))];
    sums.extend(tensors.values().map(|tensor| of_bytes(&encoded(tensor, storage))));
    entries.into_iter().chain([(KEY, sums.join(" "))]).collect()
}

/// The checksums of a file's tensors that are still to come, if it has any.
pub(super) struct Checksums<'a>(Option<std::str::Split<'a, char>>);

impl<'a> Checksums<'a> {
    /// Those that the header names. Its own strings are checked.
    pub fn of(metadata: Option<&'a Metadata>, tensors: usize) -> Result<Self, ModelProblem> {
        let metadata = metadata.map(Vec::as_slice).unwrap_or_default();
        let Some((_, sums)) = metadata.iter().find(|(key, _)| key == KEY) else { return Ok(Self(None)) };
        let others = metadata.iter().filter(|(key, _)| key != KEY).map(|(key, text)| (&key[..], &text[..]));
        let mut sums = sums.split(' ');
        if sums.clone().count() != tensors + 1 || sums.next() != Some(&of_strings(others)) {
            return Err(ModelProblem::Damaged { part: "its header".to_owned() });
        }
        Ok(Self(Some(sums)))
    }

    /// Whether these are the bytes of the next tensor as they were written.
    pub fn check(&mut self, name: &str, bytes: &[u8]) -> Result<(), ModelProblem> {
        let Some(sums) = &mut self.0 else { return Ok(()) };
        if sums.next() == Some(&of_bytes(bytes)) {
            return Ok(());
        }
        Err(ModelProblem::Damaged { part: format!("tensor `{name}`") })
    }
}

fn of_strings<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut crc = Crc::new();
    for text in entries.flat_map(|(key, text)| [key, text]) {
        crc.update(text.as_bytes());
        crc.update(&[0]);
    }
    format!("{:08x}", crc.sum())
}

/// CRC-32 in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    let mut crc = Crc::new();
    crc.update(bytes);
    format!("{:08x}", crc.sum())
}
