//! The energy distance between two sets of points of the plane, or of rows of any length.
//!
//! `2 E|X - Y| - E|X - X'| - E|Y - Y'|`, which is 0 only for equal distributions: Szekely and Rizzo, "Energy
//! statistics: a class of statistics based on distances" (2013). It needs no grid and no bandwidth, but all pairs of
//! points.

use rayon::prelude::*;

use super::distance::{Prepared, fold_distances};
use super::planar::check;
use super::{EvalError, Rows, at_least};
use crate::random::{threefry2x32, uniform};

/// Points of each side that are compared by default: 75 million pairs, well below a second.
pub const DEFAULT_POINTS: usize = 5_000;

/// Rows that one task sums: a fixed number, so that the order of the sum does not depend on the threads.
const ROW_BLOCK: usize = 64;

/// Unbiased estimate of the energy distance, in the units of the points.
///
/// The two inner means leave out the pairs of a point with itself (a U-statistic), so the value for equal
/// distributions scatters around 0 and may be slightly negative. Of each side at most `limit` points are used, evenly
/// spread over the slice; both sides need at least 2.
pub fn energy_distance(x: &[[f32; 2]], y: &[[f32; 2]], limit: usize) -> Result<f64, EvalError> {
    check("first points", x)?;
    check("second points", y)?;
    let (x, y) = (thinned(x, limit), thinned(y, limit));
    for (what, points) in [("first points used", &x), ("second points used", &y)] {
        at_least(what, 2, points.len())?;
    }
    let (n, m) = (x.len() as f64, y.len() as f64);
    let within = |points: &[[f64; 2]], n: f64| distance_sum(points, points) / (n * (n - 1.0));
    Ok(2.0 * distance_sum(&x, &y) / (n * m) - within(&x, n) - within(&y, m))
}

/// As [`energy_distance`], of rows such as images; of each side all are used, and both need at least 2.
///
/// Takes 2 D (N M + N^2 + M^2) floating-point operations.
pub fn energy_of_rows(x: &Rows<'_>, y: &Rows<'_>) -> Result<f64, EvalError> {
    for rows in [x, y] {
        at_least(&format!("{}, rows", rows.what()), 2, rows.n())?;
    }
    let (n, m) = (x.n() as f64, y.n() as f64);
    let between = row_distance_sum(x, y, false)? / (n * m);
    let within = row_distance_sum(x, x, true)? / (n * (n - 1.0)) + row_distance_sum(y, y, true)? / (m * (m - 1.0));
    Ok(2.0 * between - within)
}

/// Sum of all distances between a row of `x` and one of `y`; without those of a row and itself if both sides are one.
fn row_distance_sum(x: &Rows<'_>, y: &Rows<'_>, is_one: bool) -> Result<f64, EvalError> {
    let (queries, points) = Prepared::pair(x, y)?;
    let sums = fold_distances(
        &queries,
        &points,
        || 0.0,
        |sum: &mut f64, i, first, squares| {
            let terms = squares.iter().enumerate().filter(|(j, _)| !is_one || first + j != i);
            *sum += terms.map(|(_, square)| f64::from(*square).sqrt()).sum::<f64>();
        },
    );
    Ok(sums.iter().sum())
}

/// `limit` of the points, evenly spread: one of each of as many parts, a random one, since classes may come in turn.
fn thinned(points: &[[f32; 2]], limit: usize) -> Vec<[f64; 2]> {
    /// Keeps these random numbers apart from others.
    const STREAM: u32 = 0x5448_494E;
    let kept = limit.min(points.len());
    let start = |i: usize| i * points.len() / kept;
    let one = |i: usize| {
        let share = uniform(threefry2x32([0, STREAM], [0, i as u32])[0]);
        (start(i) + (share * (start(i + 1) - start(i)) as f32) as usize).min(start(i + 1) - 1)
    };
    (0..kept).map(|i| points[one(i)].map(f64::from)).collect()
}

/// Sum of all distances between a point of `x` and one of `y`.
fn distance_sum(x: &[[f64; 2]], y: &[[f64; 2]]) -> f64 {
    let row = |a: &[f64; 2]| y.iter().map(|b| ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt()).sum::<f64>();
    let blocks: Vec<f64> = x.par_chunks(ROW_BLOCK).map(|block| block.iter().map(row).sum()).collect();
    blocks.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normal_points};
    use super::*;

    /// `E|Z|` of a Gaussian of the plane with mean of length `m` and variance `v` along each axis (Rice distribution).
    ///
    /// The radius is, given a Poisson number k with mean m^2 / 2v, chi with 2k + 2 degrees of freedom.
    fn mean_length(m: f64, v: f64) -> f64 {
        let rate = m * m / (2.0 * v);
        let (mut weight, mut chi) = ((-rate).exp(), (std::f64::consts::PI / 2.0).sqrt());
        let mut sum = 0.0;
        for k in 0..200 {
            let k = f64::from(k);
            sum += weight * chi;
            weight *= rate / (k + 1.0);
            chi *= (k + 1.5) / (k + 1.0);
        }
        v.sqrt() * sum
    }

    #[test]
    fn shifted_gaussians_match_the_closed_form() {
        // |X - Y| has variance 1 + 1 along each axis and mean 1.5; the other two pairs have mean 0.
        let wanted = 2.0 * (mean_length(1.5, 2.0) - mean_length(0.0, 2.0));
        let x = normal_points(1, 20_000);
        let y: Vec<[f32; 2]> = normal_points(2, 20_000).iter().map(|p| [p[0] + 0.9, p[1] - 1.2]).collect();
        let got = energy_distance(&x, &y, DEFAULT_POINTS).unwrap();
        // The standard error at 5,000 points is about 0.02.
        assert_near(got, wanted, 0.08, "shifted by 1.5");
    }

    #[test]
    fn equal_distributions_scatter_around_zero() {
        let values: Vec<f64> = (0..8)
            .map(|i| energy_distance(&normal_points(10 + i, 800), &normal_points(20 + i, 800), 800).unwrap())
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert_near(mean, 0.0, 2e-3, &format!("unbiased: {values:?}"));
        assert!(values.iter().any(|v| *v < 0.0), "an unbiased estimate of 0 is sometimes negative: {values:?}");
    }

    #[test]
    fn four_points_by_hand() {
        let (x, y) = ([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 4.0]]);
        // Between: 0, 4, 5, 3; within: 5 and 4.
        assert_eq!(energy_distance(&x, &y, 10).unwrap(), 2.0 * 12.0 / 4.0 - 5.0 - 4.0);
    }

    #[test]
    fn rows_of_two_numbers_are_points() {
        let (x, y) = (normal_points(4, 300), normal_points(5, 200));
        let y: Vec<[f32; 2]> = y.iter().map(|p| [p[0] + 1.0, p[1]]).collect();
        let wanted = energy_distance(&x, &y, 300).unwrap();
        let rows = |points: &'static str, values: &[[f32; 2]]| (points, values.as_flattened().to_vec(), values.len());
        let ((a, x, n), (b, y, m)) = (rows("x", &x), rows("y", &y));
        let got = energy_of_rows(&Rows::new(a, &x, n, 2).unwrap(), &Rows::new(b, &y, m, 2).unwrap()).unwrap();
        assert_near(got, wanted, 1e-5, "the same by a plain loop");
        let one = Rows::new("one", &x[..2], 1, 2).unwrap();
        assert!(matches!(energy_of_rows(&one, &one), Err(EvalError::TooFew { wanted: 2, got: 1, .. })));
    }

    #[test]
    fn thinning_takes_points_from_everywhere() {
        let points: Vec<[f32; 2]> = (0..10).map(|i| [i as f32, 0.0]).collect();
        let third = |x: f64| [0.0..3.0, 3.0..6.0, 6.0..10.0].iter().position(|part| part.contains(&x));
        let thirds: Vec<_> = thinned(&points, 3).iter().map(|[x, _]| third(*x)).collect();
        assert_eq!(thirds, [Some(0), Some(1), Some(2)]);
        assert_eq!(thinned(&points, 99), points.iter().map(|point| point.map(f64::from)).collect::<Vec<_>>());
    }

    /// Of 20,000 points, 5,000 are every fourth: of two classes in turn, one.
    #[test]
    fn thinning_keeps_all_classes() {
        let points: Vec<[f32; 2]> = (0..20_000).map(|i| [(i % 2) as f32, 0.0]).collect();
        let ones = thinned(&points, 5_000).iter().map(|[class, _]| class).sum::<f64>() / 5_000.0;
        // Five standard errors: 5 sqrt(1 / 4 / 5000).
        assert_near(ones, 0.5, 0.036, "share of the second class");
    }

    #[test]
    fn bad_input_is_an_error() {
        let good = normal_points(3, 4);
        assert!(matches!(energy_distance(&good, &[], 10), Err(EvalError::TooFew { .. })));
        assert!(matches!(energy_distance(&good[..1], &good, 10), Err(EvalError::TooFew { wanted: 2, got: 1, .. })));
        assert!(matches!(energy_distance(&good, &good, 1), Err(EvalError::TooFew { .. })));
        assert!(matches!(energy_distance(&good, &[[f32::INFINITY, 0.0]], 10), Err(EvalError::NotFinite { .. })));
    }
}
