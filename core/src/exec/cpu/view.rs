//! Walks a [`View`] as runs: stretches of consecutive points whose element numbers form an
//! arithmetic progression, or that are out of bounds altogether.
//!
//! Invariant: the runs of `start .. start + len` cover exactly these points, in order. Dimensions
//! that step alike are merged first, so that the runs are as long as the view allows.

use crate::plan::{Affine, View};

/// More dimensions or bounds than any plan has.
const MAX: usize = 24;

/// A view of one iteration space, prepared for walking.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Merged dimensions, at least one.
    dims: Vec<usize>,
    /// The element number, then one expression per bound.
    lines: Vec<Affine>,
    /// Upper limits of `lines[1..]`.
    limits: Vec<i64>,
}

/// One run: `first + i * step` for its `i`-th point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Element number of the first point.
    pub first: i64,
    /// Difference between neighbours.
    pub step: i64,
}

impl Run {
    /// Element numbers of its first `n` points.
    #[inline(always)]
    pub fn elements(self, n: usize) -> impl Iterator<Item = i64> {
        (0..n as i64).map(move |i| self.first + i * self.step)
    }
}

impl Walk {
    /// Prepares `view` over `dims`.
    pub fn new(view: &View, dims: &[usize]) -> Self {
        let open: Vec<_> = view.bounds.iter().filter(|(e, len)| can_leave(e, *len, dims)).collect();
        let exprs: Vec<&Affine> = std::iter::once(&view.index).chain(open.iter().map(|(e, _)| e)).collect();
        let mut lines: Vec<Affine> = exprs.iter().map(|e| Affine { strides: Vec::new(), offset: e.offset }).collect();
        let mut merged: Vec<usize> = Vec::new();
        for (d, &size) in dims.iter().enumerate().filter(|(_, size)| **size != 1) {
            let joins = !merged.is_empty()
                && exprs.iter().zip(&lines).all(|(e, line)| line.strides.last() == Some(&(e.strides[d] * size as i64)));
            if joins {
                *merged.last_mut().expect("checked not empty") *= size;
            } else {
                merged.push(size);
            }
            for (e, line) in exprs.iter().zip(&mut lines) {
                if joins {
                    line.strides.pop();
                }
                line.strides.push(e.strides[d]);
            }
        }
        if merged.is_empty() {
            merged.push(1);
            for line in &mut lines {
                line.strides.push(0);
            }
        }
        assert!(merged.len() <= MAX && lines.len() <= MAX, "a view beyond {MAX} dimensions");
        let limits = open.iter().map(|(_, len)| *len as i64).collect();
        Self { dims: merged, lines, limits }
    }

    /// Whether some points may be out of bounds.
    pub fn is_bounded(&self) -> bool {
        !self.limits.is_empty()
    }

    /// `Some(element)` if every point has that same element.
    pub fn as_constant(&self) -> Option<usize> {
        let still = self.lines[0].strides.iter().all(|s| *s == 0);
        (still && !self.is_bounded()).then_some(self.lines[0].offset as usize)
    }

    /// `Some(shift)` if point `i` has element `i + shift`.
    pub fn as_shift(&self) -> Option<usize> {
        let line = &self.lines[0];
        (!self.is_bounded() && line.strides == [1]).then_some(line.offset as usize)
    }

    /// `Some((period, repeats))` if the elements of each `period` consecutive points recur
    /// `repeats` times before they change, and remembering them beats walking them again.
    pub fn as_periodic(&self) -> Option<(usize, usize)> {
        /// Points worth remembering: a few KiB per load.
        const LONGEST: usize = 4096;
        let mut period: usize = self.dims.iter().product();
        for (d, &size) in self.dims.iter().enumerate() {
            period /= size;
            let still = self.lines.iter().all(|line| line.strides[d] == 0);
            if still && size >= 4 && (2..=LONGEST).contains(&period) {
                return Some((period, size));
            }
        }
        None
    }

    /// Calls `visit(at, n, run)` for the runs of points `start .. start + len`; `at` counts from
    /// `start`, `None` is out of bounds.
    #[inline(always)]
    pub fn runs(&self, start: usize, len: usize, mut visit: impl FnMut(usize, usize, Option<Run>)) {
        let last = self.dims.len() - 1;
        let inner = self.dims[last];
        let mut coords = [0; MAX];
        let mut rest = start;
        for d in (0..=last).rev() {
            coords[d] = rest % self.dims[d];
            rest /= self.dims[d];
        }
        let mut column = coords[last];
        // Every expression at the current coordinates, the innermost at 0.
        let mut base = [0; MAX];
        for (b, line) in base.iter_mut().zip(&self.lines) {
            *b = line.offset + (0..last).map(|d| line.strides[d] * coords[d] as i64).sum::<i64>();
        }
        let step = self.lines[0].strides[last];
        let mut at = 0;
        while at < len {
            let n = (inner - column).min(len - at);
            let (mut lo, mut hi) = (column as i64, (column + n) as i64);
            for ((line, &limit), &b) in self.lines[1..].iter().zip(&self.limits).zip(&base[1..]) {
                (lo, hi) = clip(b, line.strides[last], limit, lo, hi);
            }
            if lo >= hi {
                visit(at, n, None);
            } else {
                let (before, inside) = (lo as usize - column, (hi - lo) as usize);
                if before > 0 {
                    visit(at, before, None);
                }
                visit(at + before, inside, Some(Run { first: base[0] + step * lo, step }));
                if before + inside < n {
                    visit(at + before + inside, n - before - inside, None);
                }
            }
            at += n;
            column = 0;
            for d in (0..last).rev() {
                coords[d] += 1;
                let wraps = coords[d] == self.dims[d];
                let moved = if wraps { 1 - self.dims[d] as i64 } else { 1 };
                for (b, line) in base.iter_mut().zip(&self.lines) {
                    *b += moved * line.strides[d];
                }
                if !wraps {
                    break;
                }
                coords[d] = 0;
            }
        }
    }
}

/// Whether the expression leaves `0..len` somewhere.
fn can_leave(expr: &Affine, len: usize, dims: &[usize]) -> bool {
    let (mut least, mut most) = (expr.offset, expr.offset);
    for (&stride, &size) in expr.strides.iter().zip(dims) {
        let reach = stride * (size as i64 - 1);
        least += reach.min(0);
        most += reach.max(0);
    }
    least < 0 || most >= len as i64
}

/// The part of `lo..hi` where `0 <= base + stride * t < limit`.
#[inline(always)]
fn clip(base: i64, stride: i64, limit: i64, lo: i64, hi: i64) -> (i64, i64) {
    let ceil_div = |a: i64, b: i64| -(-a).div_euclid(b);
    match stride {
        0 if (0..limit).contains(&base) => (lo, hi),
        0 => (lo, lo),
        1.. => (lo.max(ceil_div(-base, stride)), hi.min(ceil_div(limit - base, stride))),
        _ => {
            let (fall, above) = (-stride, base - limit + 1);
            (lo.max(ceil_div(above, fall)), hi.min(base.div_euclid(fall) + 1))
        }
    }
}
