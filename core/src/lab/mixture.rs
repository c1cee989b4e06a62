//! Mixtures of Gaussians in any number of dimensions, with exact densities, denoisers and scores at every noise level.
//!
//! Invariant: every number is one of 32 bits, so that what a device draws from is exactly what is computed here.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use crate::names::named;
use crate::random::{normal, threefry2x32, uniform};

/// Bumps of a mixture, all of equal weight.
pub const BUMPS: usize = 8;

/// Keeps these random numbers apart from others of the same seed ("LAB").
const STREAM: u32 = 0x004C_4142;

/// Equal bumps with a mean and a deviation along each axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    dim: usize,
    /// `[BUMPS, dim]`
    means: Vec<f64>,
    /// `[BUMPS, dim]`
    deviations: Vec<f64>,
}

/// How far a student is from the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// Bumps are moved by a part of their deviations: a student at the end of its training.
    Near,
    /// By about their deviations.
    Medium,
    /// To other places: a student at the beginning.
    Far,
}

named!(Distance, "distances": Near = "near", Medium = "medium", Far = "far",);

/// Points of a mixture.
pub struct Drawn {
    /// Which bump each is of.
    pub bumps: Vec<usize>,
    /// Standard normal numbers behind them `[n, dim]`.
    pub latents: Vec<f64>,
    /// `[n, dim]`
    pub points: Vec<f64>,
}

/// Random numbers by their index: those of one purpose.
struct Numbers([u32; 2]);

impl Numbers {
    fn new(seed: u32, purpose: u32) -> Self {
        Self([seed, STREAM ^ purpose << 24])
    }

    fn normals(&self, n: usize) -> Vec<f64> {
        (0..n.div_ceil(2) as u32).flat_map(|i| normal(threefry2x32(self.0, [i, 0]))).take(n).map(f64::from).collect()
    }

    fn uniforms(&self, n: usize) -> Vec<f64> {
        (0..n as u32).map(|i| f64::from(uniform(threefry2x32(self.0, [i, 1])[0]))).collect()
    }
}

impl Mixture {
    /// Data of a seed: bumps of deviations of about a third of that of the whole, which is `SIGMA_DATA` along each axis.
    pub fn data(dim: usize, seed: u32) -> Self {
        let means = Numbers::new(seed, 0).normals(BUMPS * dim);
        let deviations: Vec<f64> =
            Numbers::new(seed, 1).uniforms(BUMPS * dim).into_iter().map(|u| 0.25 + 0.25 * u).collect();
        let mut mixture = Self { dim, means, deviations };
        for axis in 0..dim {
            let column = |values: &[f64]| (0..BUMPS).map(|k| values[k * dim + axis]).collect::<Vec<_>>();
            let mean = column(&mixture.means).iter().sum::<f64>() / BUMPS as f64;
            let of_bump = |(m, s): (f64, f64)| (m - mean).powi(2) + s * s;
            let terms = column(&mixture.means).into_iter().zip(column(&mixture.deviations)).map(of_bump);
            let scale = f64::from(crate::nets::SIGMA_DATA) / (terms.sum::<f64>() / BUMPS as f64).sqrt();
            for k in 0..BUMPS {
                let at = k * dim + axis;
                mixture.means[at] = (mixture.means[at] - mean) * scale;
                mixture.deviations[at] *= scale;
            }
        }
        mixture.rounded()
    }

    /// A student at this distance: its bumps are moved and made wider or narrower.
    #[must_use]
    pub fn moved(&self, distance: Distance, seed: u32) -> Self {
        let (by, factor) = match distance {
            Distance::Near => (0.05, 0.1),
            Distance::Medium => (0.2, 0.2),
            Distance::Far => (0.7, 0.4),
        };
        let n = BUMPS * self.dim;
        let steps = Numbers::new(seed, 2).normals(n);
        let widths = Numbers::new(seed, 3).normals(n);
        let mut moved = self.clone();
        moved.means.iter_mut().zip(steps).for_each(|(mean, step)| *mean += by * step);
        moved.deviations.iter_mut().zip(widths).for_each(|(deviation, width)| *deviation *= (factor * width).exp());
        moved.rounded()
    }

    fn rounded(mut self) -> Self {
        self.means.iter_mut().chain(&mut self.deviations).for_each(|x| *x = f64::from(*x as f32));
        self
    }

    /// Numbers per point.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Means, then deviations: `[2 BUMPS, dim]`.
    pub fn table(&self) -> impl Iterator<Item = f32> + '_ {
        self.means.iter().chain(&self.deviations).map(|x| *x as f32)
    }

    /// The first `n` points of a seed.
    pub fn draw(&self, n: usize, seed: u32) -> Drawn {
        let bumps: Vec<usize> =
            Numbers::new(seed, 4).uniforms(n).into_iter().map(|u| (u * BUMPS as f64) as usize).collect();
        let latents = Numbers::new(seed, 5).normals(n * self.dim);
        let place = |(i, z): (usize, &f64)| {
            let at = bumps[i / self.dim] * self.dim + i % self.dim;
            self.means[at] + self.deviations[at] * z
        };
        let points = latents.iter().enumerate().map(place).collect();
        Drawn { bumps, latents, points }
    }

    /// `ln N(x; mean_k, deviation_k^2 + sigma^2)` of each bump.
    fn log_bumps(&self, x: &[f64], sigma: f64) -> [f64; BUMPS] {
        std::array::from_fn(|k| {
            let rows = k * self.dim..(k + 1) * self.dim;
            let axes = x.iter().zip(&self.means[rows.clone()]).zip(&self.deviations[rows]);
            axes.map(|((x, mean), deviation)| {
                let variance = deviation * deviation + sigma * sigma;
                -0.5 * ((x - mean).powi(2) / variance + (TAU * variance).ln())
            })
            .sum()
        })
    }

    /// Natural logarithm of the density of noised points at `x`.
    pub fn log_density(&self, x: &[f64], sigma: f64) -> f64 {
        let logs = self.log_bumps(x, sigma);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + (logs.iter().map(|log| (log - most).exp()).sum::<f64>() / BUMPS as f64).ln()
    }

    /// The exact denoiser `D(x; sigma) = E[x0 | x]`; the score is `(D - x) / sigma^2`.
    pub fn denoise(&self, x: &[f64], sigma: f64) -> Vec<f64> {
        let logs = self.log_bumps(x, sigma);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let parts = logs.map(|log| (log - most).exp());
        let whole: f64 = parts.iter().sum();
        let mut denoised = vec![0.0; self.dim];
        for (k, part) in parts.into_iter().enumerate() {
            for (axis, sum) in denoised.iter_mut().enumerate() {
                let (mean, deviation) = (self.means[k * self.dim + axis], self.deviations[k * self.dim + axis]);
                let kept = deviation * deviation / (deviation * deviation + sigma * sigma);
                *sum += part / whole * (mean + kept * (x[axis] - mean));
            }
        }
        denoised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(mixture: &Mixture, x: &[f64], sigma: f64) -> Vec<f64> {
        mixture.denoise(x, sigma).iter().zip(x).map(|(d, x)| (d - x) / (sigma * sigma)).collect()
    }

    /// Slope of `f` at `x` by central differences.
    fn slope(f: impl Fn(&[f64]) -> f64, x: &[f64]) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let moved = |axis: usize, by: f64| {
            let mut x = x.to_vec();
            x[axis] += by;
            f(&x)
        };
        (0..x.len()).map(|axis| (moved(axis, STEP) - moved(axis, -STEP)) / (2.0 * STEP)).collect()
    }

    fn assert_close(got: &[f64], wanted: &[f64]) {
        let size = wanted.iter().map(|x| x * x).sum::<f64>().sqrt();
        let error = got.iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        // Central differences: measured at most 4e-7.
        assert!(error <= 1e-5 * (1.0 + size), "off by {error} of {size}");
    }

    #[test]
    fn scores_are_the_slopes_of_the_log_density_and_those_of_the_ratio_their_difference() {
        for dim in [2, 8, 32] {
            let data = Mixture::data(dim, 1);
            for &distance in Distance::ALL {
                let student = data.moved(distance, 1);
                for sigma in [0.02, 0.3, 10.0] {
                    let x = &student.draw(1, 7).points;
                    let of_data = slope(|x| data.log_density(x, sigma), x);
                    assert_close(&score(&data, x, sigma), &of_data);
                    let ratio = |x: &[f64]| data.log_density(x, sigma) - student.log_density(x, sigma);
                    let scores = score(&data, x, sigma).into_iter().zip(score(&student, x, sigma));
                    assert_close(&scores.map(|(p, q)| p - q).collect::<Vec<_>>(), &slope(ratio, x));
                }
            }
        }
    }

    #[test]
    fn a_density_integrates_to_one() {
        let mixture = Mixture::data(2, 3);
        let cell = 0.02;
        let place = |i: i32| f64::from(i) * cell;
        let whole: f64 = (-150..150)
            .flat_map(|i| (-150..150).map(move |j| [place(i), place(j)]))
            .map(|x| mixture.log_density(&x, 0.1).exp() * cell * cell)
            .sum();
        assert!((whole - 1.0).abs() < 1e-4, "{whole}");
    }

    #[test]
    fn points_have_the_deviation_that_networks_expect() {
        let mixture = Mixture::data(8, 1);
        let points = mixture.draw(20_000, 5).points;
        for axis in 0..8 {
            let column = points.iter().skip(axis).step_by(8);
            let (sum, square) = column.fold((0.0, 0.0), |(sum, square), x| (sum + x, square + x * x));
            // Five standard errors of a mean, and more than that of a variance.
            assert!((sum / 20_000.0).abs() < 0.018, "mean {sum} on axis {axis}");
            assert!((square / 20_000.0 - 0.25).abs() < 0.015, "variance {square} on axis {axis}");
        }
    }

    #[test]
    fn the_best_guess_of_noised_points_is_the_denoiser() {
        // No other multiple of the correction does better than 1: the slope of the error in it is 0.
        let (mixture, sigma) = (Mixture::data(8, 2), 0.4);
        let drawn = mixture.draw(20_000, 3);
        let noise = Numbers::new(9, 9).normals(drawn.points.len());
        let (mut along, mut square) = (0.0, 0.0);
        for (clean, noise) in drawn.points.chunks(8).zip(noise.chunks(8)) {
            let x: Vec<f64> = clean.iter().zip(noise).map(|(x, e)| x + sigma * e).collect();
            for ((d, x), clean) in mixture.denoise(&x, sigma).iter().zip(&x).zip(clean) {
                along += (d - x) * (clean - d);
                square += (d - x).powi(2);
            }
        }
        assert!((along / square).abs() < 0.02, "{} of the correction is missing", along / square);
    }
}
