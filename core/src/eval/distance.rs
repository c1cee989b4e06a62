//! Squared Euclidean distances between two sets of rows, block by block.
//!
//! `|x - y|^2 = |x|^2 + |y|^2 - 2 x.y`, so that nearly all work is a matrix product. The sum cancels where two rows are
//! close, so both sets are first moved to the mean of the second; what stays is an error of a few units of f32
//! rounding of the squared norms. Whoever needs a small distance exactly computes it again ([`Rows::distance`]).
//!
//! Invariant: each row's distances arrive in the order of the points, whatever the number of threads.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::{EvalError, all_finite, at_least};

/// Queries of one task: enough that the points' block is reused, few enough for two cores to share 10,000 evenly.
const QUERY_BLOCK: usize = 128;
/// Points of one matrix product: with [`QUERY_BLOCK`] queries, 512 KiB of distances, which stay in the cache.
const POINT_BLOCK: usize = 1024;

/// Rows of numbers, `[N, D]` row-major, checked: N and D at least 1, as long as they say, all finite.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    what: &'a str,
    values: &'a [f32],
    n: usize,
    d: usize,
}

impl<'a> Rows<'a> {
    /// Checks `values` as `n` rows of `d` numbers. `what` names them in errors, such as "real features".
    pub fn new(what: &'a str, values: &'a [f32], n: usize, d: usize) -> Result<Self, EvalError> {
        at_least(&format!("{what}, rows"), 1, n)?;
        at_least(&format!("{what}, numbers in a row"), 1, d)?;
        let wanted = n.saturating_mul(d);
        if values.len() != wanted {
            return Err(EvalError::Length { what: format!("{what} [{n}, {d}]"), wanted, got: values.len() });
        }
        all_finite(what, values.iter().map(|&x| x.into()))?;
        Ok(Self { what, values, n, d })
    }

    /// What the rows are called in errors.
    pub fn what(&self) -> &'a str {
        self.what
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Numbers in a row.
    pub fn d(&self) -> usize {
        self.d
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.d..][..self.d]
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.d)
    }

    /// Mean of the rows, `[D]`.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.d];
        for row in self.iter() {
            for (m, &x) in mean.iter_mut().zip(row) {
                *m += f64::from(x);
            }
        }
        mean.into_iter().map(|sum| sum / self.n as f64).collect()
    }

    /// Euclidean distance between row `i` and row `j` of `other`, without cancellation.
    pub fn distance(&self, i: usize, other: &Self, j: usize) -> f64 {
        let terms = self.row(i).iter().zip(other.row(j)).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2));
        terms.sum::<f64>().sqrt()
    }
}

/// Rows relative to an origin, with their squared norms.
pub(super) struct Prepared {
    values: Vec<f32>,
    norms: Vec<f32>,
    d: usize,
}

impl Prepared {
    pub(super) fn new(rows: &Rows<'_>, origin: &[f64]) -> Result<Self, EvalError> {
        let shifted = |row: &[f32]| row.iter().zip(origin).map(|(&x, o)| (f64::from(x) - o) as f32).collect::<Vec<_>>();
        let values: Vec<f32> = rows.iter().flat_map(shifted).collect();
        let norms: Vec<f32> = values.chunks_exact(rows.d()).map(|row| row.iter().map(|x| x * x).sum()).collect();
        // A distance is at most twice the sum of two norms: keep that sum, and every product, finite.
        if let Some(i) = norms.iter().position(|norm| !(0.0..=f32::MAX / 8.0).contains(norm)) {
            let what = format!("{}, squared norms", rows.what());
            return Err(EvalError::NotFinite { what, index: i, value: norms[i].into() });
        }
        Ok(Self { values, norms, d: rows.d() })
    }

    /// Both sets relative to the mean of `points`.
    pub(super) fn pair(queries: &Rows<'_>, points: &Rows<'_>) -> Result<(Self, Self), EvalError> {
        if queries.d() != points.d() {
            return Err(EvalError::Dimension { what: "distances", first: queries.d(), second: points.d() });
        }
        let origin = points.mean();
        Ok((Self::new(queries, &origin)?, Self::new(points, &origin)?))
    }
}

/// For each query a state, which sees all squared distances from this query in blocks:
/// `visit(state, query, first_point, squared_distances)`.
pub(super) fn fold_distances<T: Send>(
    queries: &Prepared,
    points: &Prepared,
    start: impl Fn() -> T,
    visit: impl Fn(&mut T, usize, usize, &[f32]) + Sync,
) -> Vec<T> {
    let d = queries.d;
    let mut states: Vec<T> = queries.norms.iter().map(|_| start()).collect();
    let buffer = || vec![0.0f32; QUERY_BLOCK * POINT_BLOCK];
    states.par_chunks_mut(QUERY_BLOCK).enumerate().for_each_init(buffer, |buffer, (block, states)| {
        let first_query = block * QUERY_BLOCK;
        let x = &queries.values[first_query * d..][..states.len() * d];
        for (block, norms) in points.norms.chunks(POINT_BLOCK).enumerate() {
            let first_point = block * POINT_BLOCK;
            let out = &mut buffer[..states.len() * norms.len()];
            inner_products(x, &points.values[first_point * d..][..norms.len() * d], d, out);
            for (i, (state, line)) in states.iter_mut().zip(out.chunks_exact_mut(norms.len())).enumerate() {
                let norm = queries.norms[first_query + i];
                for (value, other) in line.iter_mut().zip(norms) {
                    *value = (norm + other - 2.0 * *value).max(0.0);
                }
                visit(state, first_query + i, first_point, line);
            }
        }
    });
    states
}

/// `out [M, N] = x [M, D] y [N, D]^T`, all row-major.
#[allow(unsafe_code)] // the `gemm` crate has no safe entry; the sizes are asserted here
fn inner_products(x: &[f32], y: &[f32], d: usize, out: &mut [f32]) {
    let (m, n) = (x.len() / d, y.len() / d);
    assert!(x.len() == m * d && y.len() == n * d && out.len() == m * n, "blocks of whole rows");
    let stride = |s: usize| s.cast_signed();
    // SAFETY: with these strides gemm reads elements 0 .. m * d of `x` and 0 .. n * d of `y` and writes elements
    // 0 .. m * n of `out`, which the assertion above puts inside the slices; `out` is borrowed mutably, so it overlaps
    // neither.
    unsafe {
        gemm(
            m,
            n,
            d,
            out.as_mut_ptr(),
            1,
            stride(n),
            false,
            x.as_ptr(),
            1,
            stride(d),
            y.as_ptr(),
            stride(d),
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;

    #[test]
    fn distances_match_plain_loops_across_block_edges() {
        let (n, m, d) = (QUERY_BLOCK + 3, POINT_BLOCK + 5, 7);
        let x = normals(1, n * d);
        let y: Vec<f32> = normals(2, m * d).iter().map(|v| v + 100.0).collect();
        let (queries, points) = (Rows::new("x", &x, n, d).unwrap(), Rows::new("y", &y, m, d).unwrap());
        let (a, b) = Prepared::pair(&queries, &points).unwrap();
        let found = fold_distances(&a, &b, Vec::new, |line: &mut Vec<f32>, _, first, block| {
            assert_eq!(line.len(), first, "blocks come in order");
            line.extend(block);
        });
        for (i, line) in found.iter().enumerate() {
            assert_eq!(line.len(), m);
            for (j, &squared) in line.iter().enumerate() {
                let wanted = queries.distance(i, &points, j).powi(2);
                assert_near(squared.into(), wanted, 1e-6 * wanted, &format!("distance {i}, {j}"));
            }
        }
    }

    #[test]
    fn centring_keeps_distances_between_close_rows_far_from_the_origin() {
        let y: Vec<f32> = normals(3, 200).iter().map(|v| 1000.0 + v).collect();
        let rows = Rows::new("y", &y, 100, 2).unwrap();
        let (a, b) = Prepared::pair(&rows, &rows).unwrap();
        let found = fold_distances(&a, &b, Vec::new, |line: &mut Vec<f32>, _, _, block| line.extend(block));
        let wanted = rows.distance(0, &rows, 1).powi(2);
        // Without the shift the norms are 10^6 and their rounding alone is 0.1.
        assert_near(found[0][1].into(), wanted, 1e-5, "shifted cloud");
    }

    #[test]
    fn rows_refuse_what_is_not_a_matrix_of_numbers() {
        assert!(matches!(Rows::new("x", &[], 0, 3), Err(EvalError::TooFew { wanted: 1, got: 0, .. })));
        assert!(matches!(Rows::new("x", &[], 3, 0), Err(EvalError::TooFew { .. })));
        assert!(matches!(Rows::new("x", &[0.0; 5], 2, 3), Err(EvalError::Length { wanted: 6, got: 5, .. })));
        assert!(matches!(Rows::new("x", &[0.0; 5], usize::MAX, 3), Err(EvalError::Length { .. })));
        let error = Rows::new("fake features", &[0.0, 1.0, f32::NAN, 2.0], 2, 2).unwrap_err();
        assert!(matches!(error, EvalError::NotFinite { index: 2, .. }));
        assert!(error.to_string().contains("fake features"), "{error}");
        let huge = [1e30, 0.0];
        let rows = Rows::new("x", &huge, 1, 2).unwrap();
        assert!(matches!(Prepared::new(&rows, &[0.0, 0.0]), Err(EvalError::NotFinite { .. })));
    }
}
