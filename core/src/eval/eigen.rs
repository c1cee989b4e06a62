//! Eigenvalues and eigenvectors of a small symmetric matrix, by cyclic Jacobi rotations in f64.
//!
//! Golub and Van Loan, "Matrix Computations", section 8.5. Jacobi is short, needs no pivoting or shifts, and gives
//! small eigenvalues of covariances accurately; at the sizes used here (up to about 256) its extra operations cost
//! less than a second.

/// Sweeps after which to stop in any case: convergence is quadratic, and 6 to 12 are usual.
const MAX_SWEEPS: usize = 40;

/// Decomposition `A = sum_i values[i] v_i v_i^T`.
pub(super) struct Eigen {
    /// In no particular order.
    pub values: Vec<f64>,
    /// `[D, D]` row-major: row i is the unit eigenvector of `values[i]`.
    pub vectors: Vec<f64>,
}

/// Decomposes the symmetric `matrix [D, D]`; only finite input has a meaning.
pub(super) fn symmetric(matrix: &[f64], d: usize) -> Eigen {
    debug_assert_eq!(matrix.len(), d * d);
    let mut a = matrix.to_vec();
    let mut vectors = vec![0.0; d * d];
    for i in 0..d {
        vectors[i * d + i] = 1.0;
    }
    let norm = a.iter().map(|x| x * x).sum::<f64>().sqrt();
    // All elements below this together are a rounding of the norm.
    let negligible = f64::EPSILON * norm / d as f64;
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for p in 0..d {
            for q in p + 1..d {
                if a[p * d + q].abs() > negligible {
                    rotate(&mut a, &mut vectors, d, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    Eigen { values: (0..d).map(|i| a[i * d + i]).collect(), vectors }
}

/// One rotation in the plane of axes p and q that makes element (p, q) zero.
fn rotate(a: &mut [f64], vectors: &mut [f64], d: usize, p: usize, q: usize) {
    let (app, aqq, apq) = (a[p * d + p], a[q * d + q], a[p * d + q]);
    let theta = (aqq - app) / (2.0 * apq);
    // The smaller root of t^2 + 2 theta t - 1 = 0; hypot cannot overflow.
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / t.hypot(1.0);
    let sin = t * cos;
    turn(a, d, p, q, cos, sin);
    turn(vectors, d, p, q, cos, sin);
    a[p * d + p] = app - t * apq;
    a[q * d + q] = aqq + t * apq;
    a[p * d + q] = 0.0;
    a[q * d + p] = 0.0;
    for k in (0..d).filter(|&k| k != p && k != q) {
        a[k * d + p] = a[p * d + k];
        a[k * d + q] = a[q * d + k];
    }
}

/// Rows p and q become `cos p - sin q` and `sin p + cos q`.
fn turn(rows: &mut [f64], d: usize, p: usize, q: usize, cos: f64, sin: f64) {
    let (head, tail) = rows.split_at_mut(q * d);
    for (x, y) in head[p * d..][..d].iter_mut().zip(&mut tail[..d]) {
        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;

    fn random_symmetric(stream: u32, d: usize) -> Vec<f64> {
        let x = normals(stream, d * d);
        (0..d * d).map(|i| f64::from(x[i]) + f64::from(x[i % d * d + i / d])).collect()
    }

    #[test]
    fn residual_and_orthogonality_are_rounding_errors() {
        for d in [1, 2, 3, 17, 64] {
            let a = random_symmetric(d as u32, d);
            let Eigen { values, vectors } = symmetric(&a, d);
            let scale = a.iter().map(|x| x * x).sum::<f64>().sqrt();
            for i in 0..d {
                let v = &vectors[i * d..][..d];
                for r in 0..d {
                    let product: f64 = (0..d).map(|c| a[r * d + c] * v[c]).sum();
                    assert_near(product, values[i] * v[r], 1e-13 * scale, &format!("A v = lambda v, d {d}"));
                }
                for j in 0..d {
                    let dot: f64 = (0..d).map(|c| v[c] * vectors[j * d + c]).sum();
                    assert_near(dot, f64::from(u8::from(i == j)), 1e-13, &format!("orthonormal, d {d}"));
                }
            }
        }
    }

    #[test]
    fn known_spectra() {
        // The path of 4 nodes, 2 on the diagonal and -1 beside it: 2 - 2 cos(pi k / 5).
        let path: Vec<f64> =
            (0..16).map(|i: i32| [2.0, -1.0, 0.0, 0.0][(i / 4 - i % 4).unsigned_abs() as usize]).collect();
        let mut values = symmetric(&path, 4).values;
        values.sort_by(f64::total_cmp);
        for (k, value) in values.iter().enumerate() {
            let wanted = 2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / 5.0).cos();
            assert_near(*value, wanted, 1e-14, "path graph");
        }
        // Rank one, and nothing at all.
        let mut values = symmetric(&[1.0; 9], 3).values;
        values.sort_by(f64::total_cmp);
        assert_near(values[2], 3.0, 1e-14, "ones");
        assert_near(values[0].abs() + values[1].abs(), 0.0, 1e-14, "null space");
        assert_eq!(symmetric(&[0.0; 9], 3).values, [0.0; 3]);
    }
}
