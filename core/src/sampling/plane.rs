//! Between seeds: the plane of latents that dragging walks on, and the straight way from one to another.
//!
//! A weighted sum of independent normal numbers is normal; it is divided by the norm of the weights, because without
//! that its variance would shrink on the way, and the generator has seen no such latents.

use crate::nets::latent;

/// The latent at `(u, v)` of the unit square whose corners are the seeds `seed` (0, 0), `seed + 1`
/// (1, 0), `seed + 2` (0, 1) and `seed + 3` (1, 1): `width` numbers.
pub fn plane_latent(seed: u32, width: usize, u: f32, v: f32) -> Vec<f32> {
    let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
    let corners: Vec<(u32, f32)> = (0_u32..).map(|corner| seed.wrapping_add(corner)).zip(weights).collect();
    weighted(&corners, width)
}

/// The latent at `share` of the straight way from the seed `from` (0) to the seed `to` (1): `width` numbers. Between a
/// seed and itself there is nothing else.
pub fn line_latent(from: u32, to: u32, width: usize, share: f32) -> Vec<f32> {
    if from == to {
        return latent(from, width).collect();
    }
    weighted(&[(from, 1.0 - share), (to, share)], width)
}

/// The weighted sum of the latents of different seeds, at unit variance.
fn weighted(seeds: &[(u32, f32)], width: usize) -> Vec<f32> {
    let norm = seeds.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
    let mut sum = vec![0.0; width];
    for (seed, weight) in seeds {
        for (s, z) in sum.iter_mut().zip(latent(*seed, width)) {
            *s += weight / norm * z;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_the_seeds_and_the_variance_is_one_everywhere() {
        let width = 4096;
        for (corner, (u, v)) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].into_iter().enumerate() {
            let seed: Vec<f32> = latent(7 + corner as u32, width).collect();
            assert_eq!(plane_latent(7, width, u, v), seed, "corner {corner}");
        }
        for (u, v) in [(0.5, 0.5), (0.2, 0.9), (0.5, 0.0)] {
            let z = plane_latent(7, width, u, v);
            let variance = z.iter().map(|z| z * z).sum::<f32>() / width as f32;
            // The mean square of 4096 normal numbers has a deviation of sqrt(2 / 4096) = 0.022.
            assert!((variance - 1.0).abs() < 0.09, "at ({u}, {v}): {variance}");
        }
    }
    #[test]
    fn the_line_ends_at_its_seeds_and_keeps_the_variance() {
        let width = 4096;
        let seed = |seed| latent(seed, width).collect::<Vec<f32>>();
        assert_eq!(line_latent(3, 900, width, 0.0), seed(3));
        assert_eq!(line_latent(3, 900, width, 1.0), seed(900));
        assert_eq!(line_latent(3, 3, width, 0.5), seed(3), "the sum of a latent with itself would be longer");
        let z = line_latent(3, 900, width, 0.5);
        let variance = z.iter().map(|z| z * z).sum::<f32>() / width as f32;
        // As above.
        assert!((variance - 1.0).abs() < 0.09, "{variance}");
    }
}
