//! A plane of latents: what interpolation by dragging walks on.

use crate::train::latent;

/// The latent at `(u, v)` of the unit square whose corners are the seeds `seed` (0, 0), `seed + 1`
/// (1, 0), `seed + 2` (0, 1) and `seed + 3` (1, 1): `width` numbers.
///
/// Bilinear weights, divided by their norm: a weighted sum of independent normal numbers is normal,
/// but without the division its variance would shrink to a quarter in the middle, and the
/// generator has seen no such latents.
pub fn plane_latent(seed: u32, width: usize, u: f32, v: f32) -> Vec<f32> {
    let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
    let norm = weights.iter().map(|w| w * w).sum::<f32>().sqrt();
    let mut sum = vec![0.0; width];
    for (corner, weight) in (0_u32..).zip(weights) {
        for (s, z) in sum.iter_mut().zip(latent(seed.wrapping_add(corner), width)) {
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
}
