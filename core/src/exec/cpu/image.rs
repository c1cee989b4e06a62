//! Parts of a batch of images, and the bordered copy in which convolutions read neighbourhoods.
//!
//! Invariant: the partition depends on the shape alone.

use super::body::Eval;
use super::par;
use crate::plan::ConvShape;

/// Pixels per part that make the tiles' remainders and the hand-over between threads small.
const PART_PIXELS: usize = 784;
/// Parts are at least so many, and about a multiple of it, so that threads get equally many.
const PART_COUNT: usize = 8;

/// `rows` rows from row `y` of image `image`, or `images` whole images.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub image: usize,
    pub images: usize,
    pub y: usize,
    pub rows: usize,
}

/// Pixels per strip of an image: a few tiles, and two strips of 7 x 7 pixels.
const STRIP_PIXELS: usize = 24;
const STRIP_PIXELS_MOST: usize = 256;
/// Rows of a strip are a multiple of this.
const STRIP_ROWS: usize = 4;

/// Cuts the batch into parts of about [`PART_PIXELS`] pixels. Images are cut into strips only
/// where there are few of them, because strips evaluate their neighbours' rows again.
pub fn parts(shape: ConvShape) -> Vec<Part> {
    let ConvShape { b, h, w, .. } = shape;
    if b < PART_COUNT {
        let strip = (b * h * w / 16).clamp(STRIP_PIXELS, STRIP_PIXELS_MOST).div_ceil(w).next_multiple_of(STRIP_ROWS);
        let strips = move |image| {
            let rows = move |y| strip.min(h - y);
            (0..h).step_by(strip).map(move |y| Part { image, images: 1, y, rows: rows(y) })
        };
        (0..b).flat_map(strips).collect()
    } else {
        let count = (b * h * w).div_ceil(PART_PIXELS).next_multiple_of(PART_COUNT);
        let count = count.min(b);
        let first = |part: usize| part * b / count;
        (0..count).map(|i| Part { image: first(i), images: first(i + 1) - first(i), y: 0, rows: h }).collect()
    }
}

/// A part's X with a border of `k / 2` zeros around each image: there, the neighbourhood of a
/// pixel is `k` contiguous stretches of `k * ci` numbers, one per row.
#[derive(Clone, Copy, Debug)]
pub struct Border {
    pub shape: ConvShape,
    pub part: Part,
    edge: usize,
    /// Rows and columns are a multiple of this, the border not counted; more zeros fill up.
    multiple: usize,
}

impl Border {
    pub fn new(shape: ConvShape, part: Part) -> Self {
        Self::rounded(shape, part, 1)
    }

    /// With rows and columns up to the next multiple of `multiple`.
    pub fn rounded(shape: ConvShape, part: Part, multiple: usize) -> Self {
        Self { shape, part, edge: shape.k / 2, multiple }
    }

    /// Elements of a bordered row.
    pub fn row(&self) -> usize {
        (self.shape.w.next_multiple_of(self.multiple) + 2 * self.edge) * self.shape.ci
    }

    /// Elements of a bordered image.
    pub fn image(&self) -> usize {
        (self.part.rows.next_multiple_of(self.multiple) + 2 * self.edge) * self.row()
    }

    /// Elements of all of it.
    pub fn len(&self) -> usize {
        self.part.images * self.image()
    }

    /// Pixels without the border.
    pub fn pixels(&self) -> usize {
        self.part.images * self.part.rows * self.shape.w
    }

    /// Number of the part's first pixel in the batch.
    pub fn first_pixel(&self) -> usize {
        (self.part.image * self.shape.h + self.part.y) * self.shape.w
    }

    /// Writes X, from `stored` or else evaluated, and the zeros around it.
    pub fn fill(&self, x: &mut Eval, stored: Option<&[f32]>, bordered: &mut [f32]) {
        let ConvShape { h, w, ci, .. } = self.shape;
        let Part { image, images, y, rows } = self.part;
        let (line, edge, width) = (w * ci, self.edge, self.edge * ci);
        let (from, to) = (y.saturating_sub(edge), (y + rows + edge).min(h));
        for (i, bordered) in bordered.chunks_exact_mut(self.image()).enumerate().take(images) {
            let (start, len) = (((image + i) * h + from) * line, (to - from) * line);
            let mut place = |values: &[f32]| {
                for (r, dst) in bordered.chunks_exact_mut(self.row()).enumerate() {
                    let source = (y + r).checked_sub(edge).filter(|row| *row < to);
                    let Some(row) = source else {
                        dst.fill(0.0);
                        continue;
                    };
                    dst[..width].fill(0.0);
                    dst[width..width + line].copy_from_slice(&values[(row - from) * line..][..line]);
                    dst[width + line..].fill(0.0);
                }
            };
            match stored {
                Some(stored) => place(&stored[start..start + len]),
                None => par::with_scratch(len, |values| {
                    x.store(start, len, &[], &mut [&mut *values]);
                    place(values);
                }),
            }
        }
    }

    /// Where the neighbourhood of each pixel starts.
    pub fn bases(&self) -> Vec<usize> {
        let mut bases = Vec::with_capacity(self.pixels());
        for image in 0..self.part.images {
            for row in 0..self.part.rows {
                let start = image * self.image() + row * self.row();
                bases.extend((0..self.shape.w).map(|column| start + column * self.shape.ci));
            }
        }
        bases
    }
}
