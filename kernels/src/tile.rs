//! The inner loops of every contraction: a tile of the result held in vector registers.
//!
//! The right operand is packed into [`Panels`] one or two vectors wide, so that each step of the
//! contraction loads one row of a panel and multiplies it by a few numbers of the left operand,
//! which is read where it lies. Two left-hand layouts cover everything: [`Rows`], where the
//! contracted index is contiguous (a convolution reads each pixel's neighbourhood as a few
//! contiguous stretches, so nothing is unrolled into columns), and [`Columns`], where the
//! result's row index is (gradients of weights, transposed products).
//!
//! Invariant: each element of the result is one chain of multiply-adds in ascending order of the
//! contracted index, wherever it falls in a tile.

use super::{par, simd};
use pulp::{Simd, WithSimd};

/// Some columns of the right operand.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// First column.
    pub column: usize,
    /// Columns; the rest of the panel is zero.
    pub width: usize,
    /// Vectors per row.
    vectors: usize,
    /// Elements per row.
    stride: usize,
    /// Where it starts, in rows of one element: multiply by the contracted size.
    start: usize,
}

/// How `n` columns are cut into panels.
#[derive(Clone, Debug)]
pub struct Panels {
    list: Vec<Panel>,
    /// Elements per contracted index over all panels.
    stride: usize,
}

impl Panels {
    /// Panels for `n` columns: two vectors wide, the last one vector if that is enough.
    pub fn new(n: usize) -> Self {
        let lanes = simd::lanes();
        // Without vectors, four columns let the compiler pair scalars as it can.
        let widest = if lanes == 1 { 4 } else { 2 };
        let (mut list, mut stride, mut column) = (Vec::new(), 0, 0);
        while column < n {
            let vectors = if lanes > 1 && n - column <= lanes { 1 } else { widest };
            let width = (vectors * lanes).min(n - column);
            list.push(Panel { column, width, vectors, stride: vectors * lanes, start: stride });
            stride += vectors * lanes;
            column += width;
        }
        Self { list, stride }
    }

    /// Each panel.
    pub fn iter(&self) -> impl Iterator<Item = &Panel> {
        self.list.iter()
    }

    /// Elements that `k` packed rows take.
    pub fn packed_len(&self, k: usize) -> usize {
        self.stride * k
    }

    /// Packs `k` rows; `row(i)` is the first element of row `i` in `src`, `step` the distance
    /// between its columns. (Not generic: it would be compiled by those who call it, for a browser without speed.)
    pub fn pack(
        &self,
        k: usize,
        src: &[f32],
        step: usize,
        row: &(dyn Fn(usize) -> usize + Sync),
        mut packed: &mut [f32],
    ) {
        let mut tasks = Vec::with_capacity(self.list.len());
        for panel in &self.list {
            let of_panel = packed.split_off_mut(..panel.stride * k).expect("room for every panel");
            tasks.push((panel, of_panel));
        }
        // A quarter of a nanosecond per element.
        par::each(self.packed_len(k) / 4, tasks, |(panel, packed): (&Panel, &mut [f32])| {
            for (i, dst) in packed.chunks_exact_mut(panel.stride).enumerate() {
                let from = &src[row(i) + panel.column * step..];
                let (used, padding) = dst.split_at_mut(panel.width);
                if step == 1 {
                    let ((to, to_rest), (from, from_rest)) =
                        (used.as_chunks_mut::<4>(), from[..panel.width].as_chunks());
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    to_rest.copy_from_slice(from_rest);
                } else {
                    used.iter_mut().zip(from.iter().step_by(step)).for_each(|(d, x)| *d = *x);
                }
                padding.fill(0.0);
            }
        });
    }
}

impl Panel {
    /// Elements per row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// This panel for a result that has its columns only, padding included.
    pub fn alone(&self) -> Self {
        Self { column: 0, width: self.stride, ..*self }
    }

    /// This panel of an operand with `k` packed rows.
    pub fn of<'b>(&self, packed: &'b [f32], k: usize) -> &'b [f32] {
        &packed[self.start * k..][..self.stride * k]
    }

    /// Rows `first .. first + count` of this panel.
    pub fn rows_of<'b>(&self, packed: &'b [f32], k: usize, first: usize, count: usize) -> &'b [f32] {
        &self.of(packed, k)[first * self.stride..][..count * self.stride]
    }
}

/// `out[i, column + j] = sum over r, t of a[bases[i] + r * run_stride + t] * b[r * run_len + t, j]`.
#[derive(Debug)]
pub struct Rows<'a> {
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
    /// Which columns.
    pub panel: &'a Panel,
    /// Packed right operand of that panel.
    pub b: &'a [f32],
    /// Result, one row of `ld` per base; overwritten.
    pub out: &'a mut [f32],
    /// Row length of `out`.
    pub ld: usize,
}

/// `out[i, column + j] (+)= sum over g, r, t of
/// a[base + g * group_stride + r * run_stride + t * step + i] * b[(g * runs + r) * run_len + t, j]`.
#[derive(Debug)]
pub struct Columns<'a> {
    /// Left operand.
    pub a: &'a [f32],
    /// Where its first element is.
    pub base: usize,
    /// Groups of runs.
    pub groups: usize,
    /// Distance between groups.
    pub group_stride: usize,
    /// Rows of the result.
    pub m: usize,
    /// Runs of the contracted index per group.
    pub runs: usize,
    /// Distance between runs.
    pub run_stride: usize,
    /// Their length.
    pub run_len: usize,
    /// Distance between neighbours in a run.
    pub step: usize,
    /// Which columns.
    pub panel: &'a Panel,
    /// Packed right operand of that panel.
    pub b: &'a [f32],
    /// Result, `m` rows of `ld`.
    pub out: &'a mut [f32],
    /// Row length of `out`.
    pub ld: usize,
    /// Whether `out` is added to, or overwritten.
    pub add: bool,
}

/// Picks the tile's size: rows by vectors, as many as the registers hold with room for a row of
/// the panel and a broadcast. In a browser, whose machine is unknown, four rows: with six, the
/// compiler leaves the sums in memory, and products take 1.7 times as long.
macro_rules! pick_tile {
    ($simd:expr, $vectors:expr, $job:expr) => {
        match $vectors {
            4 => $job.go::<S, 3, 4>($simd),
            1 if cfg!(target_arch = "wasm32") => $job.go::<S, 4, 1>($simd),
            _ if cfg!(target_arch = "wasm32") => $job.go::<S, 4, 2>($simd),
            1 => $job.go::<S, 12, 1>($simd),
            _ if S::REGISTER_COUNT >= 32 => $job.go::<S, 12, 2>($simd),
            _ => $job.go::<S, 6, 2>($simd),
        }
    };
}

impl WithSimd for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        pick_tile!(simd, self.panel.vectors, self);
    }
}

impl WithSimd for Columns<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        pick_tile!(simd, self.panel.vectors, self);
    }
}

impl Rows<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }

    #[inline(always)]
    fn go<S: Simd, const M: usize, const V: usize>(mut self, simd: S) {
        let mut row = 0;
        while row < self.bases.len() {
            row += match self.bases.len() - row {
                1 => self.tile::<S, 1, V>(simd, row),
                2..=4 => self.tile::<S, 4, V>(simd, row),
                5..=8 if M > 8 => self.tile::<S, 8, V>(simd, row),
                _ => self.tile::<S, M, V>(simd, row),
            };
        }
    }

    /// Up to `M` rows; missing ones repeat the last and are not stored.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, row: usize) -> usize {
        let count = M.min(self.bases.len() - row);
        let starts: [usize; M] = std::array::from_fn(|i| self.bases[row + i.min(count - 1)]);
        let mut acc = [[simd.splat_f32s(0.0); V]; M];
        let b = S::as_simd_f32s(self.b).0;
        for r in 0..self.runs {
            let lines: [&[f32]; M] =
                std::array::from_fn(|i| &self.a[starts[i] + r * self.run_stride..][..self.run_len]);
            let b = &b[r * self.run_len * V..][..self.run_len * V];
            for (t, b) in b.chunks_exact(V).enumerate() {
                for (acc, line) in acc.iter_mut().zip(&lines) {
                    let x = simd.splat_f32s(line[t]);
                    for (acc, b) in acc.iter_mut().zip(b) {
                        *acc = simd.mul_add_e_f32s(x, *b, *acc);
                    }
                }
            }
        }
        for (i, acc) in acc.iter().enumerate().take(count) {
            let at = (row + i) * self.ld + self.panel.column;
            let out = &mut self.out[at..at + self.panel.width];
            for (out, &acc) in out.chunks_mut(S::F32_LANES).zip(acc) {
                // Whole vectors without the call that masks the rest.
                match S::as_mut_simd_f32s(out) {
                    ([out], []) => *out = acc,
                    _ => simd.partial_store_f32s(out, acc),
                }
            }
        }
        count
    }
}

impl Columns<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }

    #[inline(always)]
    fn go<S: Simd, const M: usize, const V: usize>(mut self, simd: S) {
        let mut row = 0;
        while row < self.m {
            row += match self.m - row {
                left if left >= M => self.tile::<S, M, V>(simd, row),
                4.. => self.tile::<S, 4, V>(simd, row),
                _ => self.tile::<S, 1, V>(simd, row),
            };
        }
    }

    /// Exactly `M` rows.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, row: usize) -> usize {
        let mut acc = [[simd.splat_f32s(0.0); V]; M];
        let b = S::as_simd_f32s(self.b).0;
        for run in 0..self.groups * self.runs {
            let (group, r) = (run / self.runs, run % self.runs);
            let a = &self.a[self.base + row + group * self.group_stride + r * self.run_stride..];
            let b = &b[run * self.run_len * V..][..self.run_len * V];
            let mut at = 0;
            for b in b.chunks_exact(V) {
                let a = &a[at..at + M];
                for (acc, x) in acc.iter_mut().zip(a) {
                    let x = simd.splat_f32s(*x);
                    for (acc, b) in acc.iter_mut().zip(b) {
                        *acc = simd.mul_add_e_f32s(x, *b, *acc);
                    }
                }
                at += self.step;
            }
        }
        for (i, acc) in acc.iter().enumerate() {
            let at = (row + i) * self.ld + self.panel.column;
            let out = &mut self.out[at..at + self.panel.width];
            for (out, &acc) in out.chunks_mut(S::F32_LANES).zip(acc) {
                match S::as_mut_simd_f32s(out) {
                    ([out], []) if self.add => *out = simd.add_f32s(*out, acc),
                    ([out], []) => *out = acc,
                    _ if self.add => {
                        let sum = simd.add_f32s(simd.partial_load_f32s(out), acc);
                        simd.partial_store_f32s(out, sum);
                    }
                    _ => simd.partial_store_f32s(out, acc),
                }
            }
        }
        M
    }
}
