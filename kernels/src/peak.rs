//! What a processor can do at most: multiply-adds that never leave the registers, and a stream through memory.

use std::hint::black_box;

use crate::{par, simd, vectorised};
use pulp::{Simd, WithSimd};

/// Independent chains per thread: what two multipliers with results after four cycles are busy with, within the registers
/// that the instruction sets have (16, or 32 on Arm, where there are four multipliers).
const CHAINS: usize = if cfg!(target_arch = "aarch64") { 24 } else { 12 };

/// Elements of a stream that a task takes at a time: a page of memory many times over, a small part of any cache.
const PART: usize = 64 * 1024;

struct Chains {
    rounds: usize,
    factor: f32,
    addend: f32,
}

impl WithSimd for Chains {
    /// Sum of the chains.
    type Output = f32;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, addend) = (simd.splat_f32s(self.factor), simd.splat_f32s(self.addend));
        let mut x: [_; CHAINS] = std::array::from_fn(|i| simd.splat_f32s(i as f32));
        for _ in 0..self.rounds {
            for x in &mut x {
                *x = simd.mul_add_e_f32s(*x, factor, addend);
            }
        }
        x.into_iter().map(|x| simd.reduce_sum_f32s(x)).sum()
    }
}

/// On every thread, `rounds` times `x = x / 2 + 1` on vectors of independent numbers; as a shader does it in
/// `shaders/peak/multiply_add.wgsl`. Returns how many operations that were, two per multiply-add, and the numbers' mean,
/// which comes to rest at exactly 2.
pub fn multiply_adds(rounds: usize) -> (f64, f32) {
    let threads = par::threads();
    let numbers = (CHAINS * simd::lanes()) as f64;
    let mut sums = vec![0.0; threads];
    par::each(usize::MAX, sums.iter_mut().collect(), |sum| {
        *sum = simd::run(Chains { rounds, factor: black_box(0.5), addend: black_box(1.0) });
    });
    let mean = sums.iter().sum::<f32>() / (threads as f64 * numbers) as f32;
    (2.0 * numbers * threads as f64 * rounds as f64, mean)
}

vectorised! {
    fn next(from: &[f32], to: &mut [f32]) {
        // A plain copy would become the system's, which goes around the cache as no kernel here does.
        simd::map1(to, from, |x| x + 1.0);
    }
}

/// `to[i] = from[i] + 1`, on every thread.
pub fn stream(from: &[f32], to: &mut [f32]) {
    let parts = from.chunks(PART).zip(to.chunks_mut(PART)).collect();
    par::each(from.len(), parts, |(from, to)| next(from, to));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_computed_to_their_end() {
        let numbers = (CHAINS * simd::lanes() * par::threads()) as f64;
        assert_eq!(multiply_adds(200), (2.0 * 200.0 * numbers, 2.0));
        // Half of the way from 0, 1, ... 11 (23 on Arm) to 2.
        let mean = (CHAINS - 1) as f32 / 2.0;
        assert_eq!(multiply_adds(1), (2.0 * numbers, mean / 2.0 + 1.0));
    }

    #[test]
    fn a_stream_reaches_all() {
        let from: Vec<f32> = (0..PART + 13).map(|i| i as f32).collect();
        let mut to = vec![-1.0; from.len()];
        stream(&from, &mut to);
        assert!(to.iter().zip(&from).all(|(to, from)| *to == from + 1.0));
    }
}
