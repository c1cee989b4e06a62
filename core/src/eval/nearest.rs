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

    /// Of this and what other training rows have, the nearest among all of them.
    fn or_closer(self, other: Self) -> Self {
        let (first, second) = if other.distance < self.distance { (other, self) } else { (self, other) };
        Self { second_distance: first.second_distance.min(second.distance), ..first }
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

/// Most images of one side that are compared at a time, and most bytes of them: each number takes eight meanwhile.
const PART: usize = 10_000;
const PART_BYTES: usize = 256 << 20;

/// Share of the images `generated [M, width]` that copy one of `train [N, width]` (N at least 2); pixels are bytes.
pub fn share_of_copies(train: &[u8], generated: &[u8], width: usize) -> Result<f64, EvalError> {
    let found = nearest_in_parts(train, generated, width, PART_BYTES)?;
    Ok(found.iter().filter(|near| near.is_copy()).count() as f64 / found.len() as f64)
}

/// As [`nearest`] of whole sets, in blocks of at most `bytes`, or of three images.
fn nearest_in_parts(train: &[u8], generated: &[u8], width: usize, bytes: usize) -> Result<Vec<Neighbour>, EvalError> {
    let numbers = |bytes: &[u8]| bytes.iter().map(|b| f32::from(*b)).collect::<Vec<_>>();
    let n = train.len() / width;
    at_least("real images", 2, n)?;
    at_least("generated images", 1, generated.len() / width)?;
    let rows = (bytes / (8 * width)).clamp(3, PART);
    // Parts of one size, give or take one image, so that none has a single one.
    let parts = n.div_ceil(rows);
    let start = |part: usize| if part == parts { train.len() } else { part * n / parts * width };
    let mut all = Vec::new();
    for queries in generated.chunks(rows * width) {
        let queries = numbers(queries);
        let queries = Rows::new("generated images", &queries, queries.len() / width, width)?;
        let mut best: Vec<Neighbour> = Vec::new();
        for part in 0..parts {
            let images = numbers(&train[start(part)..start(part + 1)]);
            let found = nearest(&Rows::new("real images", &images, images.len() / width, width)?, &queries)?;
            let first = start(part) / width;
            let found = found.into_iter().map(|near| Neighbour { index: first + near.index, ..near });
            best =
                if part == 0 { found.collect() } else { best.iter().zip(found).map(|(a, b)| a.or_closer(b)).collect() };
        }
        all.extend(best);
    }
    Ok(all)
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

    /// Of a data set of 50,000 images, four copies of five were not found: a part was looked at.
    #[test]
    fn copies_are_found_among_all_images() {
        let (n, width) = (2 * PART + 1, 16);
        let byte = |i: usize| (crate::random::threefry2x32([7, 0], [i as u32, 0])[0] >> 24) as u8;
        let train: Vec<u8> = (0..n * width).map(byte).collect();
        let mut generated: Vec<u8> = (n * width..(n + 3) * width).map(byte).collect();
        for (to, from) in [3, PART + 1, 2 * PART].into_iter().enumerate() {
            generated.extend(&train[from * width..][..width]);
            // One level off in one pixel.
            generated[(3 + to) * width] ^= 1;
        }
        assert_eq!(share_of_copies(&train, &generated, width).unwrap(), 0.5);
        // A duplicate in another part hides what is not equal to it.
        let twice = [&train[..], &train[..width]].concat();
        let mut near = train[..width].to_vec();
        assert_eq!(share_of_copies(&twice, &near, width).unwrap(), 1.0);
        near[0] ^= 1;
        assert_eq!(share_of_copies(&twice, &near, width).unwrap(), 0.0);
    }

    /// Blocks of 10,000 images, however large, filled the memory.
    #[test]
    fn neighbours_in_small_blocks_are_those_of_the_whole() {
        let width = 48;
        let bytes = |key, n: usize| -> Vec<u8> {
            (0..n * width).map(|i| (crate::random::threefry2x32([key, 0], [i as u32, 0])[0] >> 24) as u8).collect()
        };
        let generated = bytes(8, 20);
        for n in [2, 3, 4, 7, 8, 50, 301] {
            let train = bytes(9, n);
            let [x, y] = [&train, &generated].map(|side| side.iter().map(|b| f32::from(*b)).collect::<Vec<_>>());
            let (x, y) = (Rows::new("x", &x, n, width).unwrap(), Rows::new("y", &y, 20, width).unwrap());
            let whole = nearest(&x, &y).unwrap();
            for rows in [0, 3, 7, 64] {
                let found = nearest_in_parts(&train, &generated, width, 8 * width * rows).unwrap();
                assert_eq!(found, whole, "{n} images in blocks of {rows}");
            }
        }
        assert!(nearest_in_parts(&generated[1..], &generated, width, 1).is_err(), "a part of an image");
        assert!(share_of_copies(&generated, &[], width).is_err());
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
