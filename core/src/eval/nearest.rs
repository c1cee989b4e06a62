//! The nearest training images of generated ones, in pixel space: does the generator copy its data?
//!
//! A copy has a neighbour that is much closer than the next one. The usual threshold is a third: Yoon et al.,
//! "Diffusion probabilistic models generalize when they fail to memorize" (2023). A data set with duplicates hides its
//! copies from that test (the second neighbour is as close as the first), so look at the distances, too.

use super::distance::{Prepared, fold_distances};
use super::{EvalError, Rows, at_least};

/// Share of the second distance below which the first one means a copy.
const COPY_RATIO: f64 = 1.0 / 3.0;

/// The training image closest to a generated one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Which training row.
    pub index: usize,
    /// Euclidean distance to it, in the units of a pixel (not divided by the number of pixels).
    pub distance: f64,
    /// Euclidean distance to the second-nearest training row.
    pub second_distance: f64,
}

impl Neighbour {
    /// Whether the generated image counts as a copy: equal to the neighbour, or three times closer than to the next.
    pub fn is_copy(&self) -> bool {
        self.distance == 0.0 || self.distance < COPY_RATIO * self.second_distance
    }
}

/// For each of `generated [M, D]` the nearest of `train [N, D]` (N at least 2), in order.
///
/// Candidates are found by blocked f32 distances, then measured again in f64, so an exact copy has distance 0.
/// Takes 2 D N M floating-point operations and a shifted copy of both sets.
pub fn nearest(train: &Rows<'_>, generated: &Rows<'_>) -> Result<Vec<Neighbour>, EvalError> {
    at_least(&format!("{}, rows", train.what()), 2, train.n())?;
    let (queries, points) = Prepared::pair(generated, train)?;
    let start = || [(f32::INFINITY, 0), (f32::INFINITY, 0)];
    let best = fold_distances(&queries, &points, start, |best, _, first, distances| {
        for (j, &d) in distances.iter().enumerate() {
            if d < best[1].0 {
                best[1] = (d, first + j);
                if d < best[0].0 {
                    best.swap(0, 1);
                }
            }
        }
    });
    let measured = best.iter().enumerate().map(|(i, best)| {
        let [a, b] = best.map(|(_, index)| (generated.distance(i, train, index), index));
        let ((distance, index), (second_distance, _)) = if b.0 < a.0 { (b, a) } else { (a, b) };
        Neighbour { index, distance, second_distance }
    });
    Ok(measured.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_near, normals};
    use super::*;

    #[test]
    fn finds_what_a_plain_search_finds() {
        let (n, m, d) = (1500, 140, 9);
        let (x, y) = (normals(1, n * d), normals(2, m * d));
        let (train, generated) = (Rows::new("train", &x, n, d).unwrap(), Rows::new("generated", &y, m, d).unwrap());
        for (i, found) in nearest(&train, &generated).unwrap().iter().enumerate() {
            let mut all: Vec<(f64, usize)> = (0..n).map(|j| (generated.distance(i, &train, j), j)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert_eq!(found.index, all[0].1, "row {i}");
            assert_eq!((found.distance, found.second_distance), (all[0].0, all[1].0), "row {i}");
        }
    }

    #[test]
    fn copies_are_told_from_new_images() {
        let (n, d) = (300, 50);
        let x: Vec<f32> = normals(3, n * d).iter().map(|v| v + 10.0).collect();
        let train = Rows::new("train", &x, n, d).unwrap();
        let mut y = train.row(42).to_vec();
        y.extend(train.row(7).iter().enumerate().map(|(i, v)| if i == 0 { v + 0.1 } else { *v }));
        y.extend(normals(4, d).iter().map(|v| v + 10.0));
        let found = nearest(&train, &Rows::new("generated", &y, 3, d).unwrap()).unwrap();
        assert_eq!((found[0].index, found[0].distance), (42, 0.0));
        assert_eq!(found[1].index, 7);
        assert_near(found[1].distance, 0.1, 1e-6, "a pixel moved by 0.1");
        let copies: Vec<bool> = found.iter().map(Neighbour::is_copy).collect();
        assert_eq!(copies, [true, true, false]);
    }

    #[test]
    fn a_copy_of_a_duplicated_image_is_a_copy() {
        let x = [1.0, 2.0, 1.0, 2.0, 5.0, 5.0];
        let train = Rows::new("train", &x, 3, 2).unwrap();
        let found = nearest(&train, &Rows::new("generated", &[1.0, 2.0], 1, 2).unwrap()).unwrap();
        assert_eq!((found[0].distance, found[0].second_distance), (0.0, 0.0));
        assert!(found[0].is_copy());
    }

    #[test]
    fn bad_input_is_an_error() {
        let x = [0.0; 6];
        let (one, two) = (Rows::new("one", &x, 1, 6).unwrap(), Rows::new("two", &x, 2, 3).unwrap());
        assert!(matches!(nearest(&one, &one), Err(EvalError::TooFew { wanted: 2, got: 1, .. })));
        assert!(matches!(nearest(&two, &one), Err(EvalError::Dimension { .. })));
    }
}
