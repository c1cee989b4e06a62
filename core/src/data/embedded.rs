//! The data set that is built in, so that a first run needs no network: 10,000 images of
//! MNIST, 1,000 of each digit.
//!
//! `assets/README.md` says where it comes from and how it was made.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::dataset::numbered_classes;
use super::{DataError, Dataset, idx, read};

/// Name of the set, as [`super::load`] takes it.
pub const NAME: &str = "mnist-10k";

static PACKED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mnist-10k.idx.gz"));

/// The built-in images: 10,000 x 28 x 28 x 1, with labels, in the order of MNIST's
/// training images. Unpacks 8 MB, so keep the result.
pub fn embedded_mnist() -> Dataset {
    unpack(PACKED).expect("a test reads the file that is built in")
}

/// A gzip file of an IDX file of images and one of labels, one after the other.
pub(super) fn unpack(packed: &[u8]) -> Result<Dataset, DataError> {
    let path = Path::new(NAME);
    let mut bytes = Vec::new();
    GzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .map_err(|got| read::read_error(path, "the built-in data set", got))?;
    let (size, [n, height, width]) = idx::images_size(&bytes, path)?;
    let labels = bytes.split_off(bytes.len().min(size as usize));
    let images = idx::parse_images(bytes, path)?;
    let labels = idx::parse_labels(labels, path)?;
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    let classes = numbered_classes(&labels);
    let data = Dataset::new(NAME, images.pixels, [n, height, width, 1])?;
    let data = data.with_labels(labels, classes)?;
    Ok(data.with_origin("MNIST (LeCun, Cortes, Burges), first 1000 training images of each digit", "CC BY-SA 3.0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn built_in_set_is_balanced_and_unchanged() {
        let data = embedded_mnist();
        assert_eq!(data.shape(), [10_000, 28, 28, 1]);
        assert_eq!(data.class_counts(), [1000; 10]);
        // MNIST begins 5, 0, 4, 1, 9.
        let first: Vec<_> = (0..5).map(|i| data.label(i).unwrap()).collect();
        assert_eq!(first, [5, 0, 4, 1, 9]);
        // assets/README.md gives the same sum, of the unpacked file.
        let mut bytes = Vec::new();
        GzDecoder::new(PACKED).read_to_end(&mut bytes).unwrap();
        let sum = super::super::download::hex(Sha256::new_with_prefix(&bytes));
        assert_eq!(sum, "02403a393d2be7bd834e2c9b905f2546410933733de9352b07a692e4af3c23c2");
        assert!(PACKED.len() < 2_000_000);
    }

    #[test]
    fn damaged_data_is_an_error() {
        assert!(unpack(&PACKED[..PACKED.len() / 2]).is_err());
        assert!(unpack(&[]).is_err());
        assert!(unpack(&read::gzip(&[0, 0, 8, 3])).is_err());
    }
}
