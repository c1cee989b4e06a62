//! Making the data set that is built into the program: a balanced part of MNIST.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{DataError, Dataset, LoadOptions, idx, load_path};
use crate::files::atomic_write;

/// Indices of the first `per_class` images of each class, in the order of the data set.
///
/// A data set without labels, or with too few images of a class, is an error.
pub fn balanced_indices(data: &Dataset, per_class: usize) -> Result<Vec<usize>, DataError> {
    let fail = |got: String| DataError::Format {
        path: data.source.clone().into(),
        wanted: format!("{per_class} labelled images of each class"),
        got,
        fix: "take a larger data set, or fewer images of each class".into(),
    };
    let Some(labels) = &data.labels else {
        return Err(fail("images without labels".into()));
    };
    let counts = data.class_counts();
    if let Some(class) = counts.iter().position(|&count| count < per_class) {
        let name = &data.classes[class];
        return Err(fail(format!("{} of class {name}", counts[class])));
    }
    let mut taken = vec![0; counts.len()];
    let mut wanted = |label: u32| {
        let taken = &mut taken[label as usize];
        *taken += 1;
        *taken <= per_class
    };
    Ok((0..data.n).filter(|&i| wanted(labels[i])).collect())
}

/// Writes the first `per_class` images of each class of the MNIST folder `mnist` to
/// `output`: the IDX file of the images and that of the labels, one after the other, in
/// one gzip file. Returns what was written.
pub fn write_mnist_subset(mnist: &Path, output: &Path, per_class: usize) -> Result<Dataset, DataError> {
    let data = load_path(mnist, &LoadOptions::default())?;
    let data = data.select(&balanced_indices(&data, per_class)?);
    atomic_write(output, |file| {
        let mut packed = GzEncoder::new(file, Compression::best());
        write_pair(&mut packed, &data)?;
        packed.finish()?;
        Ok(())
    })?;
    Ok(data)
}

fn write_pair(writer: &mut impl Write, data: &Dataset) -> io::Result<()> {
    let labels = data.labels.iter().flatten().map(|&label| label as u8);
    let labels: Vec<u8> = labels.collect();
    idx::write_images(writer, &data.images, [data.n, data.height, data.width])?;
    idx::write_labels(writer, &labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(labels: &[u32]) -> Dataset {
        let n = labels.len();
        let images = (0..n * 2).map(|i| i as u8).collect();
        Dataset::new("d", images, [n, 1, 2, 1])
            .unwrap()
            .with_labels(labels.to_vec(), vec!["a".into(), "b".into()])
            .unwrap()
    }

    #[test]
    fn first_of_each_class_in_order() {
        let data = data(&[1, 1, 0, 1, 0, 0]);
        assert_eq!(balanced_indices(&data, 2).unwrap(), [0, 1, 2, 4]);
        let text = balanced_indices(&data, 4).unwrap_err().to_string();
        assert!(text.contains("3 of class a"), "{text}");
        let bare = Dataset::new("d", vec![0; 4], [2, 1, 2, 1]).unwrap();
        assert!(balanced_indices(&bare, 1).is_err());
    }

    #[test]
    fn written_subset_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut images = Vec::new();
        idx::write_images(&mut images, &[0, 1, 2, 3, 4, 5], [3, 1, 2]).unwrap();
        std::fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
        let mut labels = Vec::new();
        idx::write_labels(&mut labels, &[1, 1, 0]).unwrap();
        std::fs::write(folder.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        let output = folder.path().join("out.idx.gz");
        let written = write_mnist_subset(folder.path(), &output, 1).unwrap();
        let packed = std::fs::read(&output).unwrap();
        let read = super::super::embedded::unpack(&packed).unwrap();
        assert_eq!((read.images, read.labels), (written.images, Some(vec![1, 0])));
    }
}
