//! Convolutions of 3 x 3 by tiles of 4 x 4 results ([`onestep_kernels::winograd`]).
//!
//! A part's tiles are taken a few at a time, so that what they become at the 36 points stays in the second-level
//! cache: there the convolution is 36 small matrix products, which the tiles of [`super::tile`] compute.
//!
//! Invariant: parts begin at multiples of a tile, so a result does not depend on how the batch is cut.

use super::image::{Border, Part};
use super::tile::{Columns, Panels, Rows};
use super::{par, simd};
use crate::plan::ConvShape;
use onestep_kernels::winograd::{FilterGradient, Gradient, Input, Output, POINTS, SIDE, Tile, pack_filters, pitch};

/// Tiles at a time: with 64 channels, half a megabyte at the points.
const TILES: usize = 64;

/// Not in a browser, where it would be 13 kB to load before the first picture.
const BROWSER: bool = cfg!(target_arch = "wasm32");

/// Tells the compiler what [`pays`] never chooses, so that it leaves the rest out.
#[inline(always)]
fn not_in_a_browser() {
    if BROWSER {
        unreachable!();
    }
}

/// Whether the tiles cost less than the plain sum. A unit is a multiply-add; the transforms' are counted per channel,
/// with what they load and store.
pub fn pays(shape: ConvShape) -> bool {
    /// Transforms of one channel of a tile, and of one filter.
    const TRANSFORM: usize = 300;
    let ConvShape { b, h, w, ci, co, k } = shape;
    let tiles = b * h.div_ceil(SIDE) * w.div_ceil(SIDE);
    let cost = tiles * (POINTS * ci * co + TRANSFORM * (ci + co)) + TRANSFORM * ci * co;
    !BROWSER && k == 3 && ci.min(co) >= simd::lanes() && cost < b * h * w * 9 * ci * co
}

/// A part with borders that whole tiles fill.
pub fn border(shape: ConvShape, part: Part) -> Border {
    Border::rounded(shape, part, SIDE)
}

/// The tiles of a part.
fn tiles(border: Border) -> Vec<Tile> {
    let ConvShape { w, ci, .. } = border.shape;
    let Part { images, rows, .. } = border.part;
    let mut tiles = Vec::new();
    for image in 0..images {
        for y in (0..rows).step_by(SIDE) {
            tiles.extend((0..w).step_by(SIDE).map(|x| Tile {
                patch: image * border.image() + y * border.row() + x * ci,
                pixel: (image * rows + y) * w + x,
                rows: SIDE.min(rows - y),
                columns: SIDE.min(w - x),
            }));
        }
    }
    tiles
}

/// Elements of the packed weights.
pub fn packed_len(shape: ConvShape, panels: &Panels) -> usize {
    panels.packed_len(POINTS * shape.ci)
}

/// Packs the weights, mirrored if `flip`.
pub fn pack(shape: ConvShape, panels: &Panels, flip: bool, stored: &[f32], packed: &mut [f32]) {
    not_in_a_browser();
    let ConvShape { ci, co, .. } = shape;
    if flip {
        pack_filters(panels, ci, stored, ci, |tap, c| (8 - tap) * ci * co + c, packed);
    } else {
        pack_filters(panels, ci, stored, 1, |tap, c| (tap * ci + c) * co, packed);
    }
}

/// `out = X * W` for the pixels of one part.
pub fn multiply(panels: &Panels, packed: &[f32], border: Border, a: &[f32], out: &mut [f32]) {
    not_in_a_browser();
    let ConvShape { w, ci, co, .. } = border.shape;
    for tiles in tiles(border).chunks(TILES) {
        let n = tiles.len();
        let of_point = pitch(n * ci);
        let bases: Vec<usize> = (0..n).map(|t| t * ci).collect();
        par::with_scratch(POINTS * of_point, |v| {
            Input { tiles, a, row: border.row(), channels: ci, out: v }.run();
            for panel in panels.iter() {
                let alone = &panel.alone();
                let products = pitch(n * alone.width);
                par::with_scratch(POINTS * products, |m| {
                    for point in 0..POINTS {
                        let (a, bases, runs, run_stride, run_len) = (&v[point * of_point..], &bases, 1, 0, ci);
                        let b = panel.rows_of(packed, POINTS * ci, point * ci, ci);
                        let (panel, out, ld) = (alone, &mut m[point * products..], alone.width);
                        Rows { a, bases, runs, run_stride, run_len, panel, b, out, ld }.run();
                    }
                    Output { tiles, m, panel, width: w, out, ld: co }.run();
                });
            }
        });
    }
}

/// Elements of the sums at the points.
pub fn sums_len(shape: ConvShape) -> usize {
    POINTS * pitch(shape.ci * shape.co)
}

/// `sums = X^T D` at the points over the pixels of one part, or `sums += ...` if `add`.
pub fn sum(panels: &Panels, border: Border, a: &[f32], d: &[f32], sums: &mut [f32], add: bool) {
    not_in_a_browser();
    let ConvShape { w, ci, co, .. } = border.shape;
    for (i, tiles) in tiles(border).chunks(TILES).enumerate() {
        let (n, add) = (tiles.len(), add || i > 0);
        let of_point = pitch(n * ci);
        // An odd number of rows leaves the points in different sets of the cache.
        let rows = n | 1;
        par::with_scratch(POINTS * of_point, |v| {
            Input { tiles, a, row: border.row(), channels: ci, out: v }.run();
            for panel in panels.iter() {
                par::with_scratch(POINTS * rows * panel.stride(), |packed| {
                    Gradient { tiles, d, ld: co, width: w, panel, out: packed, pitch: rows }.run();
                    for (point, out) in sums.chunks_exact_mut(pitch(ci * co)).enumerate() {
                        let (a, base, groups, group_stride, m) = (&v[point * of_point..], 0, 1, 0, ci);
                        let (runs, run_stride, run_len, step, ld) = (1, 0, n, ci, co);
                        let b = &packed[point * rows * panel.stride()..];
                        Columns {
                            a,
                            base,
                            groups,
                            group_stride,
                            m,
                            runs,
                            run_stride,
                            run_len,
                            step,
                            panel,
                            b,
                            out,
                            ld,
                            add,
                        }
                        .run();
                    }
                });
            }
        });
    }
}

/// The gradient of the weights from the sums at the points.
pub fn finish(u: &[f32], out: &mut [f32]) {
    not_in_a_browser();
    FilterGradient { u, out }.run();
}
