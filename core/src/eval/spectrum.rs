//! How much fine detail images have: the power of their frequencies, and the light in their corners.

use std::f64::consts::PI;

use super::{EvalError, at_least};

/// Mean power per frequency of images `[N, height, width, channels]`, bytes from 0 to 255 as -1 to 1, in `rings` rings of
/// equal width from the coarsest frequencies to the finest.
///
/// Frequencies are those of the orthonormal cosine transform (of type II), which has no jump at the border: number k of n
/// is k / n of the highest along its axis. The last ring also has the corner beyond radius 1.
///
/// # Errors
/// If there is no image, or no whole number of them.
pub fn power(images: &[u8], shape: [usize; 3], rings: usize) -> Result<Vec<f64>, EvalError> {
    at_least("rings", 1, rings)?;
    let (len, [height, width, channels]) = (whole(images, shape)?, shape);
    let (rows, columns) = (cosines(height), cosines(width));
    let mut sums = vec![(0.0, 0.0); rings];
    let mut across = vec![0.0; height * width];
    for image in images.chunks(len) {
        for channel in 0..channels {
            for (at, sum) in across.iter_mut().enumerate() {
                let pixels = &image[at / width * width * channels..][..width * channels];
                let wave = &columns[at % width * width..][..width];
                let value = |pixel: &u8| f64::from(*pixel) / 127.5 - 1.0;
                *sum = pixels.iter().skip(channel).step_by(channels).map(value).zip(wave).map(|(x, c)| x * c).sum();
            }
            for at in 0..height * width {
                let (k, l) = (at / width, at % width);
                let wave = &rows[k * height..][..height];
                let size: f64 = wave.iter().enumerate().map(|(i, c)| c * across[i * width + l]).sum();
                let radius = (k as f64 / height as f64).hypot(l as f64 / width as f64);
                let (power, count) = &mut sums[((radius * rings as f64) as usize).min(rings - 1)];
                *power += size * size;
                *count += 1.0;
            }
        }
    }
    // A ring of small images may have no frequency, and no power.
    Ok(sums.into_iter().map(|(power, count)| power / f64::max(count, 1.0)).collect())
}

/// Mean power per frequency, bytes from 0 to 255 as -1 to 1, of those frequencies that change sign from each pixel to
/// the next, down the columns or along the rows: where a network that works on patches of 2 x 2 pixels leaves its mark.
///
/// Frequencies are those of the orthonormal Fourier transform, of which these are the Nyquist frequency of either axis. A
/// size that is odd has none; what is measured of it is the nearest to it.
///
/// # Errors
/// As [`power`].
pub fn nyquist(images: &[u8], shape: [usize; 3]) -> Result<f64, EvalError> {
    let (len, [height, width, channels]) = (whole(images, shape)?, shape);
    let mut power = 0.0;
    let mut lines = vec![0.0; (height + width) * channels];
    for image in images.chunks(len) {
        lines.fill(0.0);
        let (columns, rows) = lines.split_at_mut(width * channels);
        for (at, pixel) in image.iter().enumerate() {
            let (i, j, channel) = (at / channels / width, at / channels % width, at % channels);
            let value = f64::from(*pixel) / 127.5 - 1.0;
            columns[j * channels + channel] += if i % 2 == 0 { value } else { -value };
            rows[i * channels + channel] += if j % 2 == 0 { value } else { -value };
        }
        // Parseval along the other axis: the squares of the lines are the power of all frequencies there.
        power += columns.iter().map(|sum| sum * sum).sum::<f64>() / height as f64;
        power += rows.iter().map(|sum| sum * sum).sum::<f64>() / width as f64;
    }
    Ok(power / (images.len() / len * lines.len()) as f64)
}

/// How bright the corners are, from black 0 to white 1: the mean of the 2 x 2 pixels in each of the four. Where data are
/// dark there, what a generator leaves is noise.
///
/// # Errors
/// As [`power`].
pub fn corners(images: &[u8], shape: [usize; 3]) -> Result<f64, EvalError> {
    let (len, [height, width, channels]) = (whole(images, shape)?, shape);
    let outer = |at: usize, size: usize| at < 2 || at + 2 >= size;
    let is_corner = |at: &usize| outer(at / channels / width, height) && outer(at / channels % width, width);
    let corner: Vec<usize> = (0..len).filter(is_corner).collect();
    let sum: f64 = images.chunks(len).flat_map(|image| corner.iter().map(|at| f64::from(image[*at]))).sum();
    Ok(sum / 255.0 / (images.len() / len * corner.len()) as f64)
}

/// The numbers of one of `images`, of which there is at least one, and no part.
fn whole(images: &[u8], shape: [usize; 3]) -> Result<usize, EvalError> {
    let len = shape.iter().product();
    at_least("numbers of an image", 1, len)?;
    at_least("numbers of images", len, images.len())?;
    if images.len().is_multiple_of(len) {
        return Ok(len);
    }
    let wanted = images.len().next_multiple_of(len);
    Err(EvalError::Length { what: "images".to_owned(), wanted, got: images.len() })
}

/// The transform as a matrix, a row per frequency.
fn cosines(n: usize) -> Vec<f64> {
    let size = |k: usize| (if k == 0 { 1.0 / n as f64 } else { 2.0 / n as f64 }).sqrt();
    let wave = |k: usize, i: usize| size(k) * (PI * k as f64 * (i as f64 + 0.5) / n as f64).cos();
    (0..n * n).map(|at| wave(at / n, at % n)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;

    /// Parseval: with one ring, the power per frequency is the mean square of the pixels.
    #[test]
    fn the_power_of_all_frequencies_is_that_of_the_pixels() {
        let images: Vec<u8> = normals(3, 2 * 5 * 7 * 3).iter().map(|x| (127.5 + 40.0 * x) as u8).collect();
        let squares: f64 = images.iter().map(|x| (f64::from(*x) / 127.5 - 1.0).powi(2)).sum();
        let found = power(&images, [5, 7, 3], 1).unwrap();
        assert_near(found[0], squares / images.len() as f64, 1e-12, "power");
    }

    /// A board of black and white is the finest of all patterns, an even grey the coarsest.
    #[test]
    fn patterns_are_in_the_ring_of_their_width() {
        let image =
            |value: &dyn Fn(usize, usize) -> u8| -> Vec<u8> { (0..64).map(|at| value(at / 8, at % 8)).collect() };
        let board = power(&image(&|i, j| if (i + j) % 2 == 0 { 0 } else { 255 }), [8, 8, 1], 4).unwrap();
        assert!(board[3] > 10.0 * board[..3].iter().sum::<f64>(), "{board:?}");
        let grey = power(&image(&|_, _| 255), [8, 8, 1], 4).unwrap();
        assert!(grey[0] > 1.0 && grey[1..].iter().all(|power| *power < 1e-20), "{grey:?}");
        let waves = power(&image(&|_, j| if (j + 1) % 4 < 2 { 0 } else { 255 }), [8, 8, 1], 4).unwrap();
        assert!((0..4).max_by(|a, b| waves[*a].total_cmp(&waves[*b])) == Some(2), "half of the highest: {waves:?}");
    }

    /// Against the sums of the transform itself, colour and sides of different lengths.
    #[test]
    fn the_nyquist_frequencies_are_those_of_the_fourier_transform() {
        let [height, width, channels] = [4, 6, 2];
        let images: Vec<u8> = normals(5, 3 * 48).iter().map(|x| (127.5 + 40.0 * x) as u8).collect();
        let (mut sum, mut count) = (0.0, 0.0);
        for (image, channel) in images.chunks(48).flat_map(|image| [(image, 0), (image, 1)]) {
            let coefficient = |k: usize, l: usize| {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
                    let value = f64::from(image[(i * width + j) * channels + channel]) / 127.5 - 1.0;
                    let angle = 2.0 * PI * ((k * i) as f64 / height as f64 + (l * j) as f64 / width as f64);
                    re += value * angle.cos();
                    im -= value * angle.sin();
                }
                re.mul_add(re, im * im) / (height * width) as f64
            };
            let down = (0..width).map(|l| coefficient(height / 2, l));
            let along = (0..height).map(|k| coefficient(k, width / 2));
            sum += down.chain(along).sum::<f64>();
            count += (width + height) as f64;
        }
        assert_near(nyquist(&images, [height, width, channels]).unwrap(), sum / count, 1e-12, "power");
    }

    #[test]
    fn corners_are_two_by_two_pixels_each() {
        let mut image = [0_u8; 7 * 9 * 3];
        for (i, j) in [(0, 0), (1, 8), (6, 1), (5, 7), (2, 0), (0, 2), (3, 4)] {
            image[(i * 9 + j) * 3..][..3].copy_from_slice(&[255; 3]);
        }
        // Four of those are in corners, which have 16 pixels.
        assert_near(corners(&image, [7, 9, 3]).unwrap(), 4.0 / 16.0, 1e-12, "corners");
        assert_near(corners(&[51; 2 * 3], [2, 3, 1]).unwrap(), 0.2, 1e-12, "small images are all corner");
    }

    #[test]
    fn parts_of_images_are_refused() {
        assert!(nyquist(&[0; 5], [2, 2, 1]).is_err() && corners(&[], [2, 2, 1]).is_err());
        assert!(power(&[], [2, 2, 1], 4).is_err());
        assert!(power(&[0; 5], [2, 2, 1], 4).unwrap_err().to_string().contains("wanted 8 numbers, got 5"));
        assert!(power(&[0; 4], [2, 2, 1], 0).is_err());
    }
}
