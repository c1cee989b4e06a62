//! A data set in memory: images as bytes, perhaps with labels.

use super::DataError;

/// Images as bytes in NHWC order (image, row, column, channel), and where they come from.
///
/// Invariants, kept by [`Dataset::new`]: `images.len() == n * height * width * channels`;
/// `labels`, if any, has `n` entries, each less than `classes.len()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Short name for titles and run folders, such as `mnist`.
    pub name: String,
    /// Pixels, 0 to 255, N x H x W x C.
    pub images: Vec<u8>,
    /// Number of images.
    pub n: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 for gray, 3 for red, green, blue.
    pub channels: usize,
    /// Class of each image as an index into `classes`.
    pub labels: Option<Vec<u32>>,
    /// Names of the classes; empty without labels.
    pub classes: Vec<String>,
    /// An image in no class folder, where that is why there are no labels.
    pub outside: Option<String>,
    /// Licence of the images, as far as it is known.
    pub license: String,
    /// Where the images were taken from: authors, address or path.
    pub source: String,
}

impl Dataset {
    /// A data set without labels from pixels of `shape` N x H x W x C.
    pub fn new(name: impl Into<String>, images: Vec<u8>, shape: [usize; 4]) -> Result<Self, DataError> {
        let name = name.into();
        let [n, height, width, channels] = shape;
        check_len(&format!("images of {name}"), &shape, images.len())?;
        Ok(Self {
            name,
            images,
            n,
            height,
            width,
            channels,
            labels: None,
            classes: Vec::new(),
            outside: None,
            license: "unknown (your own files)".into(),
            source: "memory".into(),
        })
    }

    /// Adds labels and the names of their classes.
    ///
    /// A wrong number of labels, or one without a class, is a [`DataError::Shape`].
    pub fn with_labels(mut self, labels: Vec<u32>, classes: Vec<String>) -> Result<Self, DataError> {
        check_len(&format!("labels of {}", self.name), &[self.n], labels.len())?;
        if let Some(&label) = labels.iter().find(|&&label| label as usize >= classes.len()) {
            return Err(DataError::Shape {
                what: format!("classes of {}", self.name),
                shape: vec![label as usize + 1],
                wanted: format!("{} or more", label as usize + 1),
                got: classes.len(),
            });
        }
        self.labels = Some(labels);
        self.classes = classes;
        Ok(self)
    }

    /// Sets where the images come from and what may be done with them.
    #[must_use]
    pub fn with_origin(mut self, source: impl Into<String>, license: impl Into<String>) -> Self {
        self.source = source.into();
        self.license = license.into();
        self
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Bytes of one image: H * W * C.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// N x H x W x C.
    pub fn shape(&self) -> [usize; 4] {
        [self.n, self.height, self.width, self.channels]
    }

    /// Pixels of image `i` (H x W x C), with `i < n`.
    pub fn image(&self, i: usize) -> &[u8] {
        let len = self.image_len();
        &self.images[i * len..][..len]
    }

    /// Class of image `i`, with `i < n`; `None` without labels.
    pub fn label(&self, i: usize) -> Option<u32> {
        self.labels.as_ref().map(|labels| labels[i])
    }

    /// Number of images in each class; empty without labels.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &label in self.labels.iter().flatten() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The images (and labels) at `indices`, each less than `n`, in that order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let images = indices.iter().flat_map(|&i| self.image(i));
        let labels = self.labels.as_ref();
        Self {
            name: self.name.clone(),
            images: images.copied().collect(),
            n: indices.len(),
            labels: labels.map(|labels| indices.iter().map(|&i| labels[i]).collect()),
            classes: self.classes.clone(),
            outside: self.outside.clone(),
            license: self.license.clone(),
            source: self.source.clone(),
            ..*self
        }
    }

    /// One line for people: name, number, size, classes, licence, source.
    pub fn describe(&self) -> String {
        let color = match self.channels {
            1 => "gray".to_owned(),
            3 => "RGB".to_owned(),
            c => format!("{c} channels"),
        };
        let classes = match self.classes.len() {
            0 => "no labels".to_owned(),
            1 => "1 class".to_owned(),
            k => format!("{k} classes"),
        };
        let (n, width, height) = (self.n, self.width, self.height);
        let plural = if n == 1 { "" } else { "s" };
        format!(
            "{}: {n} image{plural} of {width}x{height}, {color}, {classes}; licence: {}; source: {}",
            self.name, self.license, self.source
        )
    }
}

/// The product of `shape`, or `None` if it overflows.
pub(super) fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b))
}

/// That `len` elements fill `shape`, or a [`DataError::Shape`] about `what`.
pub(super) fn check_len(what: &str, shape: &[usize], len: usize) -> Result<(), DataError> {
    let wanted = product(shape);
    if wanted == Some(len) {
        return Ok(());
    }
    Err(DataError::Shape {
        what: what.to_owned(),
        shape: shape.to_vec(),
        wanted: wanted.map_or("too many".into(), |n| n.to_string()),
        got: len,
    })
}

/// Class names of unnamed labels: "0", "1", up to the largest label.
#[cfg(feature = "native")]
pub(super) fn numbered_classes(labels: &[u32]) -> Vec<String> {
    let count = labels.iter().max().map_or(0, |&max| max as usize + 1);
    (0..count).map(|k| k.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Dataset {
        Dataset::new("tiny", (0..12).collect(), [3, 2, 2, 1])
            .unwrap()
            .with_labels(vec![1, 0, 1], vec!["a".into(), "b".into()])
            .unwrap()
    }

    #[test]
    fn images_labels_and_counts() {
        let data = tiny();
        assert_eq!(data.image(1), [4, 5, 6, 7]);
        assert_eq!(data.label(2), Some(1));
        assert_eq!(data.class_counts(), [1, 2]);
        let picked = data.select(&[2, 0]);
        assert_eq!(picked.images, [8, 9, 10, 11, 0, 1, 2, 3]);
        assert_eq!(picked.labels, Some(vec![1, 1]));
        assert_eq!(picked.shape(), [2, 2, 2, 1]);
    }

    #[test]
    fn description_has_everything() {
        let text = tiny().with_origin("here", "CC0").describe();
        assert_eq!(text, "tiny: 3 images of 2x2, gray, 2 classes; licence: CC0; source: here");
    }

    #[test]
    fn wrong_sizes_are_errors() {
        let text = Dataset::new("x", vec![0; 5], [3, 2, 2, 1]).unwrap_err().to_string();
        assert!(text.contains("12") && text.contains("got 5"), "{text}");
        assert!(Dataset::new("x", vec![], [usize::MAX, 2, 2, 1]).is_err());
        assert!(tiny().with_labels(vec![0], vec!["a".into()]).is_err());
        assert!(tiny().with_labels(vec![0, 0, 1], vec!["a".into()]).is_err());
    }
}
