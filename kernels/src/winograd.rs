//! Transforms of Winograd's minimal convolution F(4x4, 3x3): a tile of 4 x 4 results costs 36 products per pair of
//! channels instead of 144.
//!
//! With `d` the 6 x 6 neighbourhood of a tile, `g` the 3 x 3 weights and `*` the product element by element (a matrix
//! product over channels), the tile is
//!
//! ```text
//! Y = A^T [(G g G^T) * (B^T d B)] A
//! ```
//!
//! (Lavin and Gray, arXiv 1509.09308, equation 8), and the gradient of the weights is its adjoint,
//! `G^T [(B^T d B) * (A dY A^T)] G`. The matrices follow from the points at which polynomials are evaluated: here 0,
//! ±2/3, ±3/2 and infinity. Points whose product is 1 keep the powers near 1: the error is then five times that of the
//! plain sum, and half that of the usual 0, ±1, ±2. Rows come in pairs, of `even + odd` and `even - odd`.
//!
//! Invariant: a result depends on its own tile and nothing else.

use crate::{
    par, simd,
    tile::{Panel, Panels},
};
use pulp::{Simd, WithSimd};

/// Pixels of a tile's side.
pub const SIDE: usize = 4;
/// Pixels of its neighbourhood's side.
const PATCH: usize = SIDE + 2;
/// Products per tile and pair of channels.
pub const POINTS: usize = PATCH * PATCH;

/// The points are 0, ±P, ±Q and infinity; P Q = 1.
const P: f32 = 2.0 / 3.0;
const Q: f32 = 1.5;
const P2: f32 = P * P;
const Q2: f32 = Q * Q;
/// `G` at the points, `1 / product of the differences to the others`: 1 at 0 and at infinity.
const AT_P: f32 = 0.5 / (P2 * (P2 - Q2));
const AT_Q: f32 = 0.5 / (Q2 * (Q2 - P2));

/// Where a tile is.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// First element of its neighbourhood.
    pub patch: usize,
    /// Its first pixel among the results.
    pub pixel: usize,
    /// Rows within the image, at most [`SIDE`].
    pub rows: usize,
    /// Columns within the image, at most [`SIDE`].
    pub columns: usize,
}

/// Distance between a point's elements and those of the next where each has `len`: the least that leaves the points in
/// different sets of the first-level cache.
pub fn pitch(len: usize) -> usize {
    len.next_multiple_of(1024) + 16
}

/// `c * x + y`.
#[inline(always)]
fn fma<S: Simd>(simd: S, c: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(c), x, y)
}

/// `c * x`.
#[inline(always)]
fn mul<S: Simd>(simd: S, c: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(c), x)
}

/// `[zero, even ± P odd, even ± Q odd, last]`.
#[inline(always)]
fn pairs<S: Simd>(
    simd: S,
    zero: S::f32s,
    [even_p, odd_p]: [S::f32s; 2],
    [even_q, odd_q]: [S::f32s; 2],
    last: S::f32s,
) -> [S::f32s; PATCH] {
    let (p, q) = (fma(simd, P, odd_p, even_p), fma(simd, Q, odd_q, even_q));
    [zero, p, fma(simd, -P, odd_p, even_p), q, fma(simd, -Q, odd_q, even_q), last]
}

/// `B^T d`.
#[inline(always)]
fn input<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let of_p = [fma(simd, -Q2, d[2], d[4]), fma(simd, -Q2, d[1], d[3])];
    let of_q = [fma(simd, -P2, d[2], d[4]), fma(simd, -P2, d[1], d[3])];
    let zero = fma(simd, -(P2 + Q2), d[2], simd.add_f32s(d[0], d[4]));
    let last = fma(simd, -(P2 + Q2), d[3], simd.add_f32s(d[1], d[5]));
    pairs(simd, zero, of_p, of_q, last)
}

/// `A^T m`.
#[inline(always)]
fn output<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; SIDE] {
    let (even_p, odd_p) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (even_q, odd_q) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(even_p, even_q)),
        fma(simd, P, odd_p, mul(simd, Q, odd_q)),
        fma(simd, P2, even_p, mul(simd, Q2, even_q)),
        fma(simd, P2 * P, odd_p, fma(simd, Q2 * Q, odd_q, m[5])),
    ]
}

/// `A y`.
#[inline(always)]
fn output_adjoint<S: Simd>(simd: S, y: [S::f32s; SIDE]) -> [S::f32s; PATCH] {
    let of_p = [fma(simd, P2, y[2], y[0]), fma(simd, P2, y[3], y[1])];
    let of_q = [fma(simd, Q2, y[2], y[0]), fma(simd, Q2, y[3], y[1])];
    pairs(simd, y[0], of_p, of_q, y[3])
}

/// `G g`.
#[inline(always)]
fn filter<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; PATCH] {
    let of_p = [mul(simd, AT_P, fma(simd, P2, g[2], g[0])), mul(simd, AT_P, g[1])];
    let of_q = [mul(simd, AT_Q, fma(simd, Q2, g[2], g[0])), mul(simd, AT_Q, g[1])];
    pairs(simd, g[0], of_p, of_q, g[2])
}

/// `G^T u`.
#[inline(always)]
fn filter_adjoint<S: Simd>(simd: S, u: [S::f32s; PATCH]) -> [S::f32s; 3] {
    let even_p = mul(simd, AT_P, simd.add_f32s(u[1], u[2]));
    let even_q = mul(simd, AT_Q, simd.add_f32s(u[3], u[4]));
    let (odd_p, odd_q) = (simd.sub_f32s(u[1], u[2]), simd.sub_f32s(u[3], u[4]));
    [
        simd.add_f32s(u[0], simd.add_f32s(even_p, even_q)),
        fma(simd, P * AT_P, odd_p, mul(simd, Q * AT_Q, odd_q)),
        fma(simd, P2, even_p, fma(simd, Q2, even_q, u[5])),
    ]
}

/// `[expression of 0, expression of 1, ...]`, unrolled. (A function that took a closure would be compiled for the
/// baseline.)
macro_rules! array {
    (3, $i:ident => $x:expr) => {
        [array!(@ $i 0 $x), array!(@ $i 1 $x), array!(@ $i 2 $x)]
    };
    (4, $i:ident => $x:expr) => {
        [array!(@ $i 0 $x), array!(@ $i 1 $x), array!(@ $i 2 $x), array!(@ $i 3 $x)]
    };
    (6, $i:ident => $x:expr) => {
        [array!(@ $i 0 $x), array!(@ $i 1 $x), array!(@ $i 2 $x), array!(@ $i 3 $x), array!(@ $i 4 $x), array!(@ $i 5 $x)]
    };
    (@ $i:ident $n:literal $x:expr) => {{
        const $i: usize = $n;
        $x
    }};
}

/// `$f` along both axes of `$m` x `$m` vectors, which makes them `$n` x `$n`: `$x` of row `I` and column `J` is read,
/// `$keep` gets result `$y` of row `I` and column `J`.
macro_rules! both {
    ($simd:expr, $f:ident, $m:tt => $n:tt, $x:expr, $y:ident => $keep:expr) => {{
        let rows = array!($m, I => $f($simd, array!($m, J => $x)));
        array!($n, J => {
            let column = $f($simd, array!($m, I => rows[I][J]));
            array!($n, I => {
                let $y = column[I];
                $keep;
            });
        });
    }};
}

/// The vector at `at`.
#[inline(always)]
fn load<S: Simd>(from: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&from[at..at + S::F32_LANES]).0[0]
}

/// Writes `x` at `at`.
#[inline(always)]
fn store<S: Simd>(to: &mut [f32], at: usize, x: S::f32s) {
    S::as_mut_simd_f32s(&mut to[at..at + S::F32_LANES]).0[0] = x;
}

/// Where vectors start that cover `len` elements, at least one vector: the last may overlap the one before it, and
/// computes some results again.
#[inline(always)]
fn starts<S: Simd>(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(S::F32_LANES).map(move |at| at.min(len - S::F32_LANES))
}

/// `out[point, tile, c] = B^T d B`.
#[derive(Debug)]
pub struct Input<'a> {
    /// Which tiles.
    pub tiles: &'a [Tile],
    /// The bordered images.
    pub a: &'a [f32],
    /// Elements of a bordered row.
    pub row: usize,
    /// Channels, at least a vector's.
    pub channels: usize,
    /// Result; a row of channels per tile, [`pitch`] between points.
    pub out: &'a mut [f32],
}

impl Input<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }
}

impl WithSimd for Input<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, a, row, channels, out } = self;
        let pitch = pitch(tiles.len() * channels);
        for (tile, to) in tiles.iter().zip((0..).step_by(channels)) {
            for c in starts::<S>(channels) {
                let from = tile.patch + c;
                both!(simd, input, 6 => 6, load::<S>(a, from + I * row + J * channels),
                    v => store::<S>(out, (I * PATCH + J) * pitch + to + c, v));
            }
        }
    }
}

/// `out[pixel, column + j] = A^T m A`.
#[derive(Debug)]
pub struct Output<'a> {
    /// Which tiles.
    pub tiles: &'a [Tile],
    /// The products; a row of the panel per tile, [`pitch`] between points.
    pub m: &'a [f32],
    /// Which output channels.
    pub panel: &'a Panel,
    /// Pixels of a row of an image.
    pub width: usize,
    /// Result, `ld` elements per pixel.
    pub out: &'a mut [f32],
    /// Output channels.
    pub ld: usize,
}

impl Output<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }
}

impl WithSimd for Output<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, m, panel, width, out, ld } = self;
        let stride = panel.stride();
        let pitch = pitch(tiles.len() * stride);
        for (tile, from) in tiles.iter().zip((0..).step_by(stride)) {
            for c in (0..panel.width).step_by(S::F32_LANES) {
                let n = S::F32_LANES.min(panel.width - c);
                both!(simd, output, 6 => 4, load::<S>(m, (I * PATCH + J) * pitch + from + c), y => {
                    if I < tile.rows && J < tile.columns {
                        let at = (tile.pixel + I * width + J) * ld + panel.column + c;
                        match S::as_mut_simd_f32s(&mut out[at..at + n]) {
                            ([whole], []) => *whole = y,
                            (_, part) => simd.partial_store_f32s(part, y),
                        }
                    }
                });
            }
        }
    }
}

/// `out[point, tile, j] = A dY A^T` for the columns of one panel, packed as its rows.
#[derive(Debug)]
pub struct Gradient<'a> {
    /// Which tiles.
    pub tiles: &'a [Tile],
    /// The gradient of the results, `ld` elements per pixel.
    pub d: &'a [f32],
    /// Output channels.
    pub ld: usize,
    /// Pixels of a row of an image.
    pub width: usize,
    /// Which output channels.
    pub panel: &'a Panel,
    /// Result, `pitch` rows of the panel per point.
    pub out: &'a mut [f32],
    /// Rows per point, at least one per tile.
    pub pitch: usize,
}

impl Gradient<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }
}

impl WithSimd for Gradient<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, d, ld, width, panel, out, pitch } = self;
        let stride = panel.stride();
        for (tile, to) in tiles.iter().zip((0..).step_by(stride)) {
            for c in (0..stride).step_by(S::F32_LANES) {
                let n = S::F32_LANES.min(panel.width.saturating_sub(c));
                both!(simd, output_adjoint, 4 => 6, {
                    if n > 0 && I < tile.rows && J < tile.columns {
                        let at = (tile.pixel + I * width + J) * ld + panel.column + c;
                        match S::as_simd_f32s(&d[at..at + n]) {
                            ([whole], []) => *whole,
                            (_, part) => simd.partial_load_f32s(part),
                        }
                    } else {
                        simd.splat_f32s(0.0)
                    }
                }, v => store::<S>(out, (I * PATCH + J) * pitch * stride + to + c, v));
            }
        }
    }
}

/// Packs `U = G g G^T` as the right operand: [`POINTS`] times `ci` rows. `weight(tap, c)` is where the weights of tap
/// `tap` and input channel `c` start in `stored`, `step` the distance between output channels.
pub fn pack_filters(
    panels: &Panels,
    ci: usize,
    stored: &[f32],
    step: usize,
    weight: impl Fn(usize, usize) -> usize + Sync + Send,
    mut packed: &mut [f32],
) {
    let mut tasks = Vec::new();
    for panel in panels.iter() {
        let of_panel = packed.split_off_mut(..panel.stride() * POINTS * ci).expect("room for every panel");
        tasks.push((panel, of_panel));
    }
    par::each(panels.packed_len(POINTS * ci) / 4, tasks, |(panel, packed): (&Panel, &mut [f32])| {
        let stride = panel.stride();
        par::with_scratch(9 * stride, |taps| {
            taps.fill(0.0);
            for c in 0..ci {
                for (t, taps) in taps.chunks_exact_mut(stride).enumerate() {
                    let from = stored[weight(t, c) + panel.column * step..].iter().step_by(step);
                    taps.iter_mut().zip(from).take(panel.width).for_each(|(w, x)| *w = *x);
                }
                simd::run(Filters { taps, stride, out: &mut packed[c * stride..], pitch: ci * stride });
            }
        });
    });
}

/// `out[point, j] = G g G^T` of `stride` whole vectors of weights.
struct Filters<'a> {
    taps: &'a [f32],
    stride: usize,
    out: &'a mut [f32],
    pitch: usize,
}

impl WithSimd for Filters<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { taps, stride, out, pitch } = self;
        for c in (0..stride).step_by(S::F32_LANES) {
            both!(simd, filter, 3 => 6, load::<S>(taps, (I * 3 + J) * stride + c),
                u => store::<S>(out, (I * PATCH + J) * pitch + c, u));
        }
    }
}

/// `out[tap, i] = G^T u G`: the gradient of the weights from the sums of products at the points, both with `len`
/// elements per point or tap, at least a vector's.
#[derive(Debug)]
pub struct FilterGradient<'a> {
    /// `POINTS` times `len` sums, [`pitch`]`(len)` apart.
    pub u: &'a [f32],
    /// `9 * len` results.
    pub out: &'a mut [f32],
}

impl FilterGradient<'_> {
    /// Computes it.
    pub fn run(self) {
        simd::run(self);
    }
}

impl WithSimd for FilterGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { u, out } = self;
        let len = out.len() / 9;
        let of_point = pitch(len);
        for at in starts::<S>(len) {
            both!(simd, filter_adjoint, 6 => 3, load::<S>(u, (I * PATCH + J) * of_point + at),
                g => store::<S>(out, (I * 3 + J) * len + at, g));
        }
    }
}
