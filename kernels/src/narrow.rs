//! Inner loops for results with very few columns, such as the image that a network ends in.
//!
//! There a panel of [`super::tile`] would be mostly padding. The vectors run along the
//! contracted index instead ([`Dots`]), or along the result's rows ([`outer`]).

use crate::{simd, vectorised};
use pulp::{Simd, WithSimd};

/// Whether `n` columns are too few for panels, where the contracted index comes in runs of `run`.
pub fn is_narrow(n: usize, run: usize) -> bool {
    let lanes = simd::lanes();
    4 * n <= lanes && run >= lanes
}

/// `out[i, j] = sum over r, t of a[bases[i] + r * run_stride + t] * b[j, r * run_len + t]`.
///
/// Each element is a sum over vectors, whose lanes are added last.
#[derive(Debug)]
pub struct Dots<'a> {
    /// Left operand.
    pub a: &'a [f32],
    /// Where each row starts.
    pub bases: &'a [usize],
    /// Contiguous stretches per row.
    pub runs: usize,
    /// Distance between them.
    pub run_stride: usize,
    /// Their length.
    pub run_len: usize,
    /// Right operand, a row of `runs * run_len` per column of the result.
    pub b: &'a [f32],
    /// Result, one row of columns per base.
    pub out: &'a mut [f32],
}

impl Dots<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }
}

/// Rows at a time: enough independent sums to keep the multipliers busy.
const ROWS: usize = 4;

impl WithSimd for Dots<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let taps = self.runs * self.run_len;
        let columns = self.b.len() / taps;
        let rows = self.bases.chunks(ROWS).zip(self.out.chunks_mut(ROWS * columns));
        for (bases, out) in rows {
            let starts: [usize; ROWS] = std::array::from_fn(|i| bases[i.min(bases.len() - 1)]);
            for (j, b) in self.b.chunks_exact(taps).enumerate() {
                let mut acc = [simd.splat_f32s(0.0); ROWS];
                let mut rest = [0.0; ROWS];
                for (r, b) in b.chunks_exact(self.run_len).enumerate() {
                    let (b, b_rest) = S::as_simd_f32s(b);
                    for i in 0..ROWS {
                        let a = &self.a[starts[i] + r * self.run_stride..][..self.run_len];
                        let (a, a_rest) = S::as_simd_f32s(a);
                        for (a, b) in a.iter().zip(b) {
                            acc[i] = simd.mul_add_e_f32s(*a, *b, acc[i]);
                        }
                        for (a, b) in a_rest.iter().zip(b_rest) {
                            rest[i] += a * b;
                        }
                    }
                }
                for i in 0..bases.len() {
                    out[i * columns + j] = simd.reduce_sum_f32s(acc[i]) + rest[i];
                }
            }
        }
    }
}

vectorised! {
    /// `sums[r, i] += sum over t of d[t * d_step] * a[r * run_stride + t * step + i]`, for `len`
    /// values of `i` and as many `r` as `sums` holds.
    pub fn outer(
        a: &[f32],
        run_stride: usize,
        step: usize,
        d: &[f32],
        d_step: usize,
        len: usize,
        sums: &mut [f32],
    ) {
        for (t, &d) in d.iter().step_by(d_step).enumerate() {
            for (r, sums) in sums.chunks_exact_mut(len).enumerate() {
                let a = &a[r * run_stride + t * step..][..len];
                for (sum, a) in sums.iter_mut().zip(a) {
                    *sum = simd::fma::<S>(d, *a, *sum);
                }
            }
        }
    }
}
