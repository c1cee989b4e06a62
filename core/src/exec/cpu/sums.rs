//! Column sums, and how columns fold into outputs: the arithmetic of `reduce` and `moments`.
//!
//! Numerics: f32 sums over at most [`FLUSH`] rows, then f64.

use super::simd::{self, Arg};
use onestep_kernels::sums::{add_squares, flush};

/// f32 additions to a column before it is added to the f64 total.
const FLUSH: usize = 32;
/// Columns that narrow spaces are widened to.
const WIDE: usize = 128;

/// An iteration space as `[groups, rows, columns]`: groups are the kept dimensions in front, rows
/// the first reduced ones, columns all that follow, kept or reduced.
#[derive(Clone, Debug)]
pub struct Layout {
    pub groups: usize,
    pub rows: usize,
    pub columns: usize,
    /// Outputs per group.
    pub outputs: usize,
    /// The dimensions of the columns, and whether each is reduced.
    inner: Vec<(usize, bool)>,
    /// Where the columns go, in order.
    folds: Vec<Fold>,
}

/// Consecutive columns that go to one output, or to consecutive ones.
#[derive(Clone, Copy, Debug)]
struct Fold {
    len: usize,
    output: usize,
    same: bool,
}

impl Layout {
    /// The layout of a body with these dimensions.
    pub fn new(dims: &[usize], reduced: &[bool]) -> Self {
        // Dimensions of size 1 are neither.
        let dims: Vec<(usize, bool)> =
            dims.iter().copied().zip(reduced.iter().copied()).filter(|(n, _)| *n > 1).collect();
        let first = dims.iter().position(|(_, r)| *r).unwrap_or(dims.len());
        let past = (first..dims.len()).find(|d| !dims[*d].1).unwrap_or(dims.len());
        let product = |dims: &[(usize, bool)]| dims.iter().map(|(n, _)| n).product();
        let mut layout = Self::of_columns(dims[past..].to_vec());
        layout.groups = product(&dims[..first]);
        layout.rows = product(&dims[first..past]);
        layout
    }

    /// One group of one row.
    fn of_columns(inner: Vec<(usize, bool)>) -> Self {
        let (mut columns, mut outputs) = (1, 1);
        let mut folds = vec![Fold { len: 1, output: 0, same: true }];
        for &(n, reduced) in inner.iter().rev() {
            if columns == 1 || (folds.len() == 1 && folds[0].same == reduced) {
                folds = vec![Fold { len: columns * n, output: 0, same: reduced }];
            } else {
                let stride = if reduced { 0 } else { outputs };
                let shifted = |i| {
                    let shift = move |f: &Fold| Fold { output: f.output + i * stride, ..*f };
                    folds.iter().map(shift).collect::<Vec<_>>()
                };
                folds = (0..n).flat_map(shifted).collect();
            }
            columns *= n;
            outputs *= if reduced { 1 } else { n };
        }
        Self { groups: 1, rows: 1, columns, outputs, inner, folds }
    }

    /// The smallest part of the columns that folds into outputs of its own: the kept dimensions
    /// in front separate such units, which are all alike.
    pub fn unit(&self) -> Self {
        let first = self.inner.iter().position(|(_, r)| *r).unwrap_or(self.inner.len());
        Self::of_columns(self.inner[first..].to_vec())
    }

    /// Points of a group.
    pub fn points(&self) -> usize {
        self.rows * self.columns
    }

    /// Columns, repeated until there are about [`WIDE`].
    pub fn width(&self) -> usize {
        self.columns * WIDE.div_ceil(self.columns).min(self.rows)
    }

    /// Calls `visit(column, len, output, same)` for runs of columns: all to one output if `same`,
    /// else to consecutive ones.
    pub fn each_fold(&self, mut visit: impl FnMut(usize, usize, usize, bool)) {
        let mut column = 0;
        for fold in &self.folds {
            visit(column, fold.len, fold.output, fold.same);
            column += fold.len;
        }
    }
}

/// Sums of `width` columns. Adding starts from nothing after each [`Sums::fold`].
#[derive(Debug)]
pub struct Sums {
    partial: Vec<f32>,
    total: Vec<f64>,
    /// Points since the last flush.
    pending: usize,
    /// Whether `total` holds anything.
    flushed: bool,
}

impl Sums {
    pub fn new(width: usize) -> Self {
        Self { partial: vec![0.0; width], total: vec![0.0; width], pending: 0, flushed: false }
    }

    /// Adds `len` consecutive points, the first of which belongs to column `first % width`.
    pub fn add(&mut self, first: usize, values: Arg, len: usize) {
        match values {
            Arg::Slice(values) => self.each_piece(first, len, |sums, at, _| {
                let n = sums.len();
                simd::add(sums, &values[at..at + n]);
            }),
            Arg::Splat(value) => self.each_piece(first, len, |sums, _, _| {
                for sum in sums {
                    *sum += value;
                }
            }),
        }
    }

    /// Adds the squares of `values - mean`, one mean per column.
    pub fn add_squares(&mut self, values: &[f32], mean: &[f32]) {
        self.each_piece(0, values.len(), |sums, at, column| {
            let n = sums.len();
            add_squares(sums, &values[at..at + n], &mean[column..column + n]);
        });
    }

    /// Calls `add(sums, at, column)` for pieces that lie within one row.
    #[inline(always)]
    fn each_piece(&mut self, first: usize, len: usize, mut add: impl FnMut(&mut [f32], usize, usize)) {
        let width = self.partial.len();
        let (mut at, mut column) = (0, first % width);
        while at < len {
            let n = (width - column).min(len - at);
            add(&mut self.partial[column..column + n], at, column);
            self.pending += n;
            if self.pending >= FLUSH * width {
                self.flush();
            }
            at += n;
            column = 0;
        }
    }

    fn flush(&mut self) {
        flush(&mut self.total, &mut self.partial);
        self.pending = 0;
        self.flushed = true;
    }

    /// Adds the columns to their outputs and starts again. The width is a multiple of the
    /// layout's columns; with more than one output per unit of a split layout, units follow
    /// each other in `out`.
    pub fn fold(&mut self, layout: &Layout, out: &mut [f64]) {
        if self.flushed {
            self.flush();
        }
        let repeats = self.partial.len() / layout.columns;
        // Either the columns are repeated, or `out` has outputs for each repetition.
        let step = if out.len() == layout.outputs { 0 } else { layout.outputs };
        for repeat in 0..repeats {
            let out = &mut out[repeat * step..][..layout.outputs];
            layout.each_fold(|column, len, output, same| {
                let columns = repeat * layout.columns + column..repeat * layout.columns + column + len;
                let out = &mut out[output..output + if same { 1 } else { len }];
                if self.flushed {
                    fold_totals(&self.total[columns], out);
                } else {
                    fold_partials(&self.partial[columns], out);
                }
            });
        }
        self.partial.fill(0.0);
        if self.flushed {
            self.total.fill(0.0);
        }
        (self.pending, self.flushed) = (0, false);
    }
}

/// All columns to one output, or each to its own.
fn fold_totals(columns: &[f64], out: &mut [f64]) {
    if let [out] = out {
        *out += columns.iter().sum::<f64>();
    } else {
        out.iter_mut().zip(columns).for_each(|(o, c)| *o += c);
    }
}

/// As [`fold_totals`], from sums that never needed f64.
fn fold_partials(columns: &[f32], out: &mut [f64]) {
    if let [out] = out {
        *out += columns.iter().map(|c| f64::from(*c)).sum::<f64>();
    } else {
        out.iter_mut().zip(columns).for_each(|(o, c)| *o += f64::from(*c));
    }
}
