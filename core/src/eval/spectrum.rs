//! How much fine detail images have: the power of their frequencies.

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
pub fn power(images: &[u8], [height, width, channels]: [usize; 3], rings: usize) -> Result<Vec<f64>, EvalError> {
    let len = height * width * channels;
    at_least("numbers of images", len.max(1), images.len())?;
    at_least("rings", 1, rings)?;
    if !images.len().is_multiple_of(len) {
        let wanted = images.len().next_multiple_of(len);
        return Err(EvalError::Length { what: "images".to_owned(), wanted, got: images.len() });
    }
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

    #[test]
    fn parts_of_images_are_refused() {
        assert!(power(&[], [2, 2, 1], 4).is_err());
        assert!(power(&[0; 5], [2, 2, 1], 4).unwrap_err().to_string().contains("wanted 8 numbers, got 5"));
        assert!(power(&[0; 4], [2, 2, 1], 0).is_err());
    }
}
