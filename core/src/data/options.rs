//! How a data set is to be loaded: which split, which size, which colours.

use super::DataError;

/// Largest side of an image, in pixels: far beyond what a generator here can learn, and
/// small enough that no product of sizes overflows.
pub(super) const MAX_SIDE: usize = 16_384;

/// Which part of a data set is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Split {
    /// The training images.
    #[default]
    Train,
    /// The images kept apart for evaluation.
    Test,
}

impl Split {
    /// `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// The split called `name`.
    pub fn parse(name: &str) -> Result<Self, DataError> {
        match name {
            "train" => Ok(Self::Train),
            "test" => Ok(Self::Test),
            _ => Err(DataError::Option {
                option: "--split",
                wanted: "train or test".into(),
                got: format!("\"{name}\""),
                fix: "choose one of the two".into(),
            }),
        }
    }
}

/// Options of [`super::load`]. The default takes the training split as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// Which part, where the data set has such parts; ignored where it has none.
    pub split: Split,
    /// Width and height in pixels to bring every image to: the largest centred rectangle
    /// of that aspect is cut out and resampled (Lanczos, 3 lobes).
    pub resize: Option<(usize, usize)>,
    /// 1 for gray, 3 for RGB, `None` for what the files hold (in a folder of images: gray
    /// if all of them are gray, else RGB).
    pub channels: Option<usize>,
    /// Limit for the pixels in memory, in bytes: they also have to fit on the GPU.
    pub max_bytes: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { split: Split::Train, resize: None, channels: None, max_bytes: 4 << 30 }
    }
}

impl LoadOptions {
    /// That every option has a possible value.
    pub fn check(&self) -> Result<(), DataError> {
        if let Some((width, height)) = self.resize
            && (width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE)
        {
            return Err(DataError::Option {
                option: "--resize",
                wanted: format!("pixels from 1 to {MAX_SIDE}"),
                got: format!("{width}x{height}"),
                fix: "write 32 for a square or 64x48 for width and height".into(),
            });
        }
        match self.channels {
            None | Some(1 | 3) => Ok(()),
            Some(other) => Err(DataError::Option {
                option: "--channels",
                wanted: "1 (gray) or 3 (RGB)".into(),
                got: other.to_string(),
                fix: "leave it out to keep what the files hold".into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_errors() {
        let with = |resize, channels| LoadOptions { resize, channels, ..LoadOptions::default() };
        assert!(with(None, None).check().is_ok());
        assert!(with(Some((8, 8)), Some(3)).check().is_ok());
        assert!(with(Some((0, 8)), None).check().is_err());
        assert!(with(None, Some(2)).check().is_err());
    }

    #[test]
    fn splits_have_names() {
        for split in [Split::Train, Split::Test] {
            assert_eq!(Split::parse(split.name()).unwrap(), split);
        }
        assert!(Split::parse("both").is_err());
    }
}
