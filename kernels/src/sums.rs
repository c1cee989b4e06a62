//! Loops that add up.

use crate::{math, simd, vectorised};

vectorised! {
    /// `out[i]` = sum of the `i`-th row.
    pub fn rows(row: usize, values: &[f32], out: &mut [f32]) {
        for (out, values) in out.iter_mut().zip(values.chunks_exact(row)) {
            // Sixteen sums at once: the additions of one would wait for each other.
            let mut partial = [0.0; 16];
            let (whole, rest) = values.as_chunks::<16>();
            for chunk in whole {
                simd::add_to(&mut partial, chunk);
            }
            simd::add_to(&mut partial, rest);
            for half in [8, 4, 2, 1] {
                for i in 0..half {
                    partial[i] += partial[i + half];
                }
            }
            *out = partial[0];
        }
    }

    /// `sums[i] += (values[i] - mean[i])^2`.
    pub fn add_squares(sums: &mut [f32], values: &[f32], mean: &[f32]) {
        for ((sum, x), mean) in sums.iter_mut().zip(values).zip(mean) {
            let d = x - mean;
            *sum += d * d;
        }
    }

    /// Adds `partial` to `total` and clears it.
    pub fn flush(total: &mut [f64], partial: &mut [f32]) {
        for (total, partial) in total.iter_mut().zip(partial) {
            *total += f64::from(*partial);
            *partial = 0.0;
        }
    }

    /// `out[i] = exp(x[i] - largest) / sum`.
    pub fn softmax_row(x: &[f32], out: &mut [f32]) {
        let largest = x.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        simd::map1(out, x, |x| math::exp::<S>(x - largest));
        // Sixteen partial sums: the additions of one would wait for each other.
        let mut partial = [0.0; 16];
        for chunk in out.chunks(16) {
            simd::add_to(&mut partial, chunk);
        }
        let scale = 1.0 / partial.iter().sum::<f32>();
        for y in out {
            *y *= scale;
        }
    }
}
