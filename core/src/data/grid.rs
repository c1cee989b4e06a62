//! Grids of images in one picture: what people look at to see how training goes.

use super::DataError;
use super::dataset::check_len;

/// Largest picture, in bytes: 16384 x 16384 RGB.
const MAX_BYTES: usize = 768 << 20;
/// Bytes of images that a picture as wide as high has room for: with its last row filled up, it stays below the largest.
pub const LARGEST_GRID: usize = MAX_BYTES / 2;

/// A picture of 8-bit pixels, H x W x C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// H x W x C, C as in the images.
    pub pixels: Vec<u8>,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
}

/// Lays out images of `shape` N x H x W x C in rows of `columns`, each pixel as a square
/// of `scale` x `scale`; the rest of the last row is black.
pub fn make_grid(images: &[u8], shape: [usize; 4], columns: usize, scale: usize) -> Result<Picture, DataError> {
    check_len("sample grid", &shape, images.len())?;
    let [n, height, width, channels] = shape;
    let fail = |what: &str, got: usize| DataError::Option {
        option: "sample grid",
        wanted: what.to_owned(),
        got: got.to_string(),
        fix: "choose a possible value".into(),
    };
    if columns == 0 || scale == 0 {
        return Err(fail("1 or more columns and a scale of 1 or more", 0));
    }
    if images.is_empty() {
        return Err(fail("1 or more pixels", 0));
    }
    if channels != 1 && channels != 3 {
        return Err(fail("1 channel (gray) or 3 (RGB)", channels));
    }
    let columns = columns.min(n);
    let rows = n.div_ceil(columns);
    let (across, down) = (width.checked_mul(columns), height.checked_mul(rows));
    let side = |pixels: Option<usize>| pixels.and_then(|pixels| pixels.checked_mul(scale));
    let (Some(wide), Some(tall)) = (side(across), side(down)) else {
        return Err(fail("a smaller scale", scale));
    };
    let bytes = wide.checked_mul(tall).and_then(|n| n.checked_mul(channels));
    let Some(bytes) = bytes.filter(|&bytes| bytes <= MAX_BYTES) else {
        return Err(fail("a smaller grid: fewer images or a smaller scale", scale));
    };
    let mut pixels = vec![0; bytes];
    for (y, row) in pixels.chunks_exact_mut(wide * channels).enumerate() {
        let y = y / scale;
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let x = x / scale;
            let image = y / height * columns + x / width;
            if image < n {
                let at = ((image * height + y % height) * width + x % width) * channels;
                pixel.copy_from_slice(&images[at..at + channels]);
            }
        }
    }
    Ok(Picture { pixels, width: wide, height: tall, channels })
}

/// Writes [`make_grid`]'s picture as a PNG, whole or not at all.
#[cfg(feature = "native")]
pub fn save_grid(
    path: impl AsRef<std::path::Path>,
    images: &[u8],
    shape: [usize; 4],
    columns: usize,
    scale: usize,
) -> Result<(), DataError> {
    make_grid(images, shape, columns, scale)?.save_png(path)
}

#[cfg(feature = "native")]
impl Picture {
    /// Writes the picture as a PNG, whole or not at all.
    pub fn save_png(&self, path: impl AsRef<std::path::Path>) -> Result<(), DataError> {
        use image::ImageEncoder;
        let color = match self.channels {
            1 => image::ExtendedColorType::L8,
            _ => image::ExtendedColorType::Rgb8,
        };
        let path = path.as_ref();
        let shape = [self.height, self.width, self.channels];
        check_len(&path.display().to_string(), &shape, self.pixels.len())?;
        crate::files::atomic_write(path, |file| {
            image::codecs::png::PngEncoder::new(file)
                .write_image(&self.pixels, self.width as u32, self.height as u32, color)
                .map_err(|error| match error {
                    image::ImageError::IoError(error) => error,
                    other => std::io::Error::other(other),
                })
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stand_in_rows_and_pixels_grow() {
        // Three images of 1x2 pixels in two columns, the fourth place black.
        let grid = make_grid(&[1, 2, 3, 4, 5, 6], [3, 1, 2, 1], 2, 2).unwrap();
        assert_eq!((grid.width, grid.height), (8, 4));
        let row = [1, 1, 2, 2, 3, 3, 4, 4];
        let last = [5, 5, 6, 6, 0, 0, 0, 0];
        assert_eq!(grid.pixels, [row, row, last, last].concat());
        // Fewer images than columns make a narrower grid.
        let grid = make_grid(&[1, 2, 3], [1, 1, 1, 3], 9, 1).unwrap();
        assert_eq!((grid.width, grid.pixels), (1, vec![1, 2, 3]));
    }

    #[test]
    fn impossible_grids_are_errors() {
        assert!(make_grid(&[1], [1, 1, 2, 1], 1, 1).is_err());
        assert!(make_grid(&[1], [1, 1, 1, 1], 0, 1).is_err());
        assert!(make_grid(&[1], [1, 1, 1, 1], 1, 0).is_err());
        assert!(make_grid(&[], [0, 1, 1, 1], 1, 1).is_err());
        assert!(make_grid(&[1, 2], [1, 1, 1, 2], 1, 1).is_err());
        assert!(make_grid(&[1], [1, 1, 1, 1], 1, usize::MAX).is_err());
        assert!(make_grid(&[1], [1, 1, 1, 1], 1, 1 << 20).is_err());
    }

    #[cfg(feature = "native")]
    #[test]
    fn saved_grids_read_back_and_errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let images: Vec<u8> = (0..24).collect();
        for (shape, channels) in [([2, 2, 2, 3], 3), ([6, 2, 2, 1], 1)] {
            save_grid(&path, &images, shape, 3, 2).unwrap();
            let wanted = make_grid(&images, shape, 3, 2).unwrap();
            let image = image::open(&path).unwrap();
            assert_eq!(image.color().channel_count(), channels);
            assert_eq!(image.as_bytes(), wanted.pixels);
        }
        let absent = folder.path().join("absent/grid.png");
        let text = save_grid(&absent, &images, [2, 2, 2, 3], 3, 2).unwrap_err().to_string();
        assert!(text.contains("absent") && text.contains("create the folder"), "{text}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
