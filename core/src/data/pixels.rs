//! Changes of size and colour on NHWC bytes.

use super::{DataError, Dataset, LoadOptions};

/// Brings pixels from `from` to `to` channels, each 1 or 3; other pairs stay as they are.
///
/// Gray is the luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), as in PIL's mode `L`.
pub(super) fn convert_channels(pixels: Vec<u8>, from: usize, to: usize) -> Vec<u8> {
    match (from, to) {
        (1, 3) => pixels.iter().flat_map(|&v| [v; 3]).collect(),
        (3, 1) => pixels
            .chunks_exact(3)
            .map(|p| {
                let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
                ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
            })
            .collect(),
        _ => pixels,
    }
}

/// The largest centred rectangle (x, y, width, height) of `width` x `height` that has the
/// aspect of `target` (width, height); all sizes are positive.
fn centre_crop((width, height): (usize, usize), target: (usize, usize)) -> (usize, usize, usize, usize) {
    // Cross products: exact, and below 2^28 for the largest sides allowed.
    let (wide, tall) = (width * target.1, height * target.0);
    let (w, h) = if wide > tall {
        (((tall + target.1 / 2) / target.1).clamp(1, width), height)
    } else {
        (width, ((wide + target.0 / 2) / target.0).clamp(1, height))
    };
    ((width - w) / 2, (height - h) / 2, w, h)
}

/// One image of `size` (width, height) cut to the aspect of `target` and resampled to it.
pub(super) fn resize(pixels: &[u8], size: (usize, usize), channels: usize, target: (usize, usize)) -> Vec<u8> {
    use image::imageops::{self, FilterType};
    if size == target {
        return pixels.to_vec();
    }
    let (x, y, w, h) = centre_crop(size, target);
    let cut: Vec<u8> =
        (y..y + h).flat_map(|row| &pixels[(row * size.0 + x) * channels..][..w * channels]).copied().collect();
    let (w, h) = (w as u32, h as u32);
    let (wide, tall) = (target.0 as u32, target.1 as u32);
    let whole = "the cut has w * h * channels bytes";
    if channels == 1 {
        let image = image::GrayImage::from_raw(w, h, cut).expect(whole);
        imageops::resize(&image, wide, tall, FilterType::Lanczos3).into_raw()
    } else {
        let image = image::RgbImage::from_raw(w, h, cut).expect(whole);
        imageops::resize(&image, wide, tall, FilterType::Lanczos3).into_raw()
    }
}

/// The colours and size that `options` ask for, applied to a whole data set.
pub(super) fn apply(mut data: Dataset, options: &LoadOptions) -> Result<Dataset, DataError> {
    use rayon::prelude::*;
    let channels = options.channels.unwrap_or(data.channels);
    let (width, height) = options.resize.unwrap_or((data.width, data.height));
    let shape = [data.n, height, width, channels];
    check_bytes(std::path::Path::new(&data.source), shape, options.max_bytes)?;
    if channels != data.channels {
        data.images = convert_channels(std::mem::take(&mut data.images), data.channels, channels);
        data.channels = channels;
    }
    if (width, height) != (data.width, data.height) {
        let resized: Vec<Vec<u8>> = (0..data.n)
            .into_par_iter()
            .map(|i| resize(data.image(i), (data.width, data.height), channels, (width, height)))
            .collect();
        data.images = resized.concat();
        (data.width, data.height) = (width, height);
    }
    Ok(data)
}

/// That images of `shape` N x H x W x C stay within `limit` bytes.
pub(super) fn check_bytes(path: &std::path::Path, shape: [usize; 4], limit: u64) -> Result<(), DataError> {
    let bytes = super::dataset::product(&shape);
    if bytes.is_some_and(|bytes| bytes as u64 <= limit) {
        return Ok(());
    }
    let [n, height, width, channels] = shape;
    Err(DataError::TooLarge {
        path: path.to_path_buf(),
        limit,
        what: format!("{n} images of {width}x{height} with {channels} channels"),
        fix: "take fewer images, or smaller ones with --resize".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_of_gray_rgb_is_itself() {
        let gray: Vec<u8> = (0..=255).collect();
        let rgb = convert_channels(gray.clone(), 1, 3);
        assert_eq!(rgb.len(), 768);
        assert_eq!(convert_channels(rgb, 3, 1), gray);
        assert_eq!(convert_channels(vec![255, 0, 0], 3, 1), [76]);
    }

    #[test]
    fn crops_are_centred_and_have_the_aspect() {
        assert_eq!(centre_crop((10, 6), (1, 1)), (2, 0, 6, 6));
        assert_eq!(centre_crop((6, 10), (4, 4)), (0, 2, 6, 6));
        assert_eq!(centre_crop((100, 50), (64, 32)), (0, 0, 100, 50));
        assert_eq!(centre_crop((1, 1000), (1000, 1)), (0, 499, 1, 1));
        assert_eq!(centre_crop((1000, 1), (1, 1000)), (499, 0, 1, 1));
    }

    #[test]
    fn resize_cuts_the_borders_and_keeps_flat_colours() {
        // A white centre square with black side bars: the cut leaves only white.
        let (w, h) = (12, 4);
        let image: Vec<u8> = (0..h * w).map(|i| if (4..8).contains(&(i % w)) { 255 } else { 0 }).collect();
        assert_eq!(resize(&image, (w, h), 1, (2, 2)), [255; 4]);
        let red = [200u8, 10, 20].repeat(30);
        assert_eq!(resize(&red, (6, 5), 3, (9, 7)), [200u8, 10, 20].repeat(63));
    }

    #[test]
    fn apply_changes_size_and_colour_and_keeps_to_the_limit() {
        let data = Dataset::new("x", vec![7; 2 * 4 * 6], [2, 4, 6, 1]).unwrap();
        let mut options = LoadOptions { resize: Some((3, 3)), channels: Some(3), ..LoadOptions::default() };
        let changed = apply(data.clone(), &options).unwrap();
        assert_eq!(changed.shape(), [2, 3, 3, 3]);
        assert_eq!(changed.images, vec![7; 54]);
        options.max_bytes = 53;
        assert!(matches!(apply(data, &options), Err(DataError::TooLarge { .. })));
    }
}
