//! The Frechet distance between two sets of features, each seen as a Gaussian.
//!
//! `|mu_1 - mu_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))`: Dowson and Landau, "The Frechet distance between multivariate
//! normal distributions" (1982); used on classifier features by Heusel et al., "GANs trained by a two
//! time-scale update rule converge to a local Nash equilibrium" (2017). Called FID only with Inception
//! features and 50,000 samples; see [`super::report`] for the names used here.

use rayon::prelude::*;

use super::{EvalError, Rows, all_finite, at_least, eigen};

/// Rows that one task sums: a fixed number, so that the order of the sum does not depend on the threads.
const ROW_BLOCK: usize = 1024;

/// Mean and covariance of features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStats {
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

impl FeatureStats {
    /// Mean and unbiased covariance (divisor n - 1) of `features [N, D]`, N at least 2, summed in f64.
    ///
    /// With N <= D the covariance is singular: the distance is still defined, but far too large.
    pub fn from_features(features: &[f32], n: usize, d: usize) -> Result<Self, EvalError> {
        let rows = Rows::new("features", features, n, d)?;
        at_least("features, rows", 2, n)?;
        let mean = rows.mean();
        let partial: Vec<Vec<f64>> = features.par_chunks(ROW_BLOCK * d).map(|block| scatter(block, &mean)).collect();
        let mut covariance = vec![0.0; d * d];
        for block in &partial {
            covariance.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
        }
        for i in 0..d {
            for j in i..d {
                let value = covariance[i * d + j] / (n - 1) as f64;
                covariance[i * d + j] = value;
                covariance[j * d + i] = value;
            }
        }
        Ok(Self { mean, covariance })
    }

    /// A Gaussian given by its `mean [D]` and symmetric `covariance [D, D]`.
    pub fn from_moments(mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self, EvalError> {
        let d = mean.len();
        at_least("mean, numbers", 1, d)?;
        if covariance.len() != d * d {
            let what = format!("covariance [{d}, {d}]");
            return Err(EvalError::Length { what, wanted: d * d, got: covariance.len() });
        }
        all_finite("mean", mean.iter().copied())?;
        all_finite("covariance", covariance.iter().copied())?;
        let scale = covariance.iter().fold(0.0f64, |top, x| top.max(x.abs()));
        let skew = |i: usize| (covariance[i] - covariance[i % d * d + i / d]).abs();
        if let Some(i) = (0..d * d).find(|&i| skew(i) > 1e-9 * scale) {
            let got = format!("a difference of {} at row {}, column {}", skew(i), i / d, i % d);
            return Err(EvalError::Setting { name: "covariance", wanted: "a symmetric matrix".into(), got });
        }
        Ok(Self { mean, covariance })
    }

    /// Number of features, D.
    pub fn d(&self) -> usize {
        self.mean.len()
    }

    /// Mean, `[D]`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Covariance, `[D, D]`.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }
}

/// Upper triangle of the sum of `(x - mean) (x - mean)^T` over the rows of a block.
fn scatter(block: &[f32], mean: &[f64]) -> Vec<f64> {
    let d = mean.len();
    let mut sum = vec![0.0; d * d];
    let mut centred = vec![0.0; d];
    for row in block.chunks_exact(d) {
        for ((c, &x), m) in centred.iter_mut().zip(row).zip(mean) {
            *c = f64::from(x) - m;
        }
        for i in 0..d {
            let x = centred[i];
            sum[i * d + i..][..d - i].iter_mut().zip(&centred[i..]).for_each(|(s, y)| *s += x * y);
        }
    }
    sum
}

/// Squared Frechet (2-Wasserstein) distance between two Gaussians, in squared units of the features.
///
/// The trace of `(C_1 C_2)^(1/2)` is the sum of the square roots of the eigenvalues of the symmetric
/// `C_1^(1/2) C_2 C_1^(1/2)`; negative ones are rounding errors of zeros and count as zeros, so singular covariances
/// need no ridge. The absolute error is about 10^-7 of the largest variance. Never negative.
pub fn frechet_distance(a: &FeatureStats, b: &FeatureStats) -> Result<f64, EvalError> {
    let d = a.d();
    if d != b.d() {
        return Err(EvalError::Dimension { what: "Frechet distance", first: d, second: b.d() });
    }
    let shift: f64 = a.mean.iter().zip(&b.mean).map(|(x, y)| (x - y).powi(2)).sum();
    let traces: f64 = (0..d).map(|i| a.covariance[i * d + i] + b.covariance[i * d + i]).sum();
    let distance = shift + traces - 2.0 * root_trace(&a.covariance, &b.covariance, d);
    // Features near the limit of f32 stay finite when squared in f64; this guards moments given by hand.
    all_finite("Frechet distance", [distance].into_iter())?;
    Ok(distance.max(0.0))
}

/// `tr((a b)^(1/2))` of two covariances.
fn root_trace(a: &[f64], b: &[f64], d: usize) -> f64 {
    let basis = eigen::symmetric(a, d);
    let roots: Vec<f64> = basis.values.iter().map(|x| x.max(0.0).sqrt()).collect();
    // In the eigenvectors V of `a` (rows), a^(1/2) b a^(1/2) is  diag(roots) V b V^T diag(roots).
    let half = product_transposed(&basis.vectors, b, d);
    let mut inner = product_transposed(&half, &basis.vectors, d);
    for i in 0..d {
        for j in 0..=i {
            let value = 0.5 * (inner[i * d + j] + inner[j * d + i]) * roots[i] * roots[j];
            inner[i * d + j] = value;
            inner[j * d + i] = value;
        }
    }
    eigen::symmetric(&inner, d).values.iter().map(|x| x.max(0.0).sqrt()).sum()
}

/// `x y^T` of two `[D, D]` matrices.
fn product_transposed(x: &[f64], y: &[f64], d: usize) -> Vec<f64> {
    let dot = |i: usize, j: usize| x[i * d..][..d].iter().zip(&y[j * d..][..d]).map(|(a, b)| a * b).sum();
    (0..d * d).map(|k| dot(k / d, k % d)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;

    fn gaussian(mean: &[f64], covariance: &[f64]) -> FeatureStats {
        FeatureStats::from_moments(mean.to_vec(), covariance.to_vec()).unwrap()
    }

    fn diagonal(values: &[f64]) -> Vec<f64> {
        let d = values.len();
        (0..d * d).map(|k| if k / d == k % d { values[k / d] } else { 0.0 }).collect()
    }

    /// `r c r^T`
    fn rotated(c: &[f64], r: &[f64], d: usize) -> Vec<f64> {
        let half = product_transposed(r, c, d);
        product_transposed(&half, r, d)
    }

    #[test]
    fn diagonal_covariances_have_a_closed_form() {
        let (a, b) = ([4.0, 1.0, 0.0, 9.0], [1.0, 1.0, 4.0, 0.25]);
        let x = gaussian(&[1.0, 2.0, 3.0, 4.0], &diagonal(&a));
        let y = gaussian(&[0.0, 2.0, 5.0, 4.0], &diagonal(&b));
        // (1 + 4) for the means, then the sum of (sqrt a - sqrt b)^2; one variance is zero on one side.
        let wanted = 5.0 + 1.0 + 0.0 + 4.0 + 6.25;
        assert_near(frechet_distance(&x, &y).unwrap(), wanted, 1e-12, "diagonal");
        assert_near(frechet_distance(&y, &x).unwrap(), wanted, 1e-12, "symmetric");
    }

    #[test]
    fn covariances_that_do_not_commute_match_the_formula_for_two_dimensions() {
        // tr (A B)^(1/2) = (tr A B + 2 (det A det B)^(1/2))^(1/2) for 2 x 2.
        let (a, b) = ([2.0, 0.7, 0.7, 1.0], [0.5, -0.3, -0.3, 3.0]);
        let trace = a[0] * b[0] + 2.0 * a[1] * b[1] + a[3] * b[3];
        let det = |m: &[f64; 4]| m[0] * m[3] - m[1] * m[2];
        let root = (trace + 2.0 * (det(&a) * det(&b)).sqrt()).sqrt();
        let wanted = 3.0 + 3.5 - 2.0 * root;
        let got = frechet_distance(&gaussian(&[0.0; 2], &a), &gaussian(&[0.0; 2], &b)).unwrap();
        assert_near(got, wanted, 1e-13, "2 x 2");
    }

    #[test]
    fn rotating_both_sides_changes_nothing() {
        let d = 12;
        let symmetric: Vec<f64> = {
            let x = normals(5, d * d);
            (0..d * d).map(|i| f64::from(x[i]) + f64::from(x[i % d * d + i / d])).collect()
        };
        let r = eigen::symmetric(&symmetric, d).vectors;
        let spread: Vec<f64> = normals(6, 40 * d).iter().map(|&x| x.into()).collect();
        let c1: Vec<f64> =
            (0..d * d).map(|k| (0..40).map(|s| spread[s * d + k / d] * spread[s * d + k % d]).sum()).collect();
        let c2 = diagonal(&(0..d).map(|i| i as f64).collect::<Vec<_>>());
        let zero = vec![0.0; d];
        let plain = frechet_distance(&gaussian(&zero, &c1), &gaussian(&zero, &c2)).unwrap();
        let turned = frechet_distance(&gaussian(&zero, &rotated(&c1, &r, d)), &gaussian(&zero, &rotated(&c2, &r, d)));
        assert_near(turned.unwrap(), plain, 1e-6 * plain, "rotation");
    }

    #[test]
    fn samples_of_known_gaussians() {
        let (n, d) = (20_000, 4);
        let x = normals(7, n * d);
        let y: Vec<f32> = normals(8, n * d).iter().map(|v| 3.0 + 2.0 * v).collect();
        let a = FeatureStats::from_features(&x, n, d).unwrap();
        let b = FeatureStats::from_features(&y, n, d).unwrap();
        // |shift|^2 = 4 * 9, and (2 - 1)^2 for each of 4 axes; five standard errors are about 0.5.
        assert_near(frechet_distance(&a, &b).unwrap(), 40.0, 0.5, "N(0, 1) and N(3, 4)");
        assert_eq!(a.covariance()[1], a.covariance()[d]);
        assert_near(frechet_distance(&a, &a).unwrap(), 0.0, 1e-12, "itself");
    }

    #[test]
    fn covariance_is_unbiased_and_survives_an_offset() {
        let stats = FeatureStats::from_features(&[1e4, 1.0, 1e4 + 2.0, 3.0, 1e4 + 4.0, -1.0], 3, 2).unwrap();
        assert_eq!(stats.mean(), [1e4 + 2.0, 1.0]);
        assert_eq!(stats.covariance(), [4.0, -2.0, -2.0, 4.0]);
    }

    #[test]
    fn fewer_samples_than_features_still_have_a_distance() {
        let d = 16;
        let few = FeatureStats::from_features(&normals(9, 3 * d), 3, d).unwrap();
        let constant = FeatureStats::from_features(&vec![1.0; 5 * d], 5, d).unwrap();
        let distance = frechet_distance(&few, &few).unwrap();
        assert!(distance <= 1e-6, "singular against itself: {distance}");
        let trace: f64 = (0..d).map(|i| few.covariance()[i * d + i]).sum();
        let shift: f64 = few.mean().iter().map(|m| (m - 1.0).powi(2)).sum();
        assert_near(frechet_distance(&few, &constant).unwrap(), trace + shift, 1e-12, "against a point");
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(matches!(
            FeatureStats::from_features(&[1.0, 2.0], 1, 2),
            Err(EvalError::TooFew { wanted: 2, got: 1, .. })
        ));
        assert!(matches!(FeatureStats::from_features(&[], 0, 2), Err(EvalError::TooFew { .. })));
        assert!(matches!(FeatureStats::from_features(&[1.0; 5], 3, 2), Err(EvalError::Length { .. })));
        let infinite = [0.0, 1.0, f32::INFINITY, 3.0];
        assert!(matches!(FeatureStats::from_features(&infinite, 2, 2), Err(EvalError::NotFinite { index: 2, .. })));
        assert!(FeatureStats::from_moments(vec![0.0; 2], vec![1.0, 0.5, 0.0, 1.0]).is_err(), "not symmetric");
        assert!(FeatureStats::from_moments(vec![0.0; 2], vec![1.0; 3]).is_err(), "not square");
        let (a, b) = (gaussian(&[0.0], &[1.0]), gaussian(&[0.0; 2], &diagonal(&[1.0, 1.0])));
        assert!(matches!(frechet_distance(&a, &b), Err(EvalError::Dimension { first: 1, second: 2, .. })));
    }
}
