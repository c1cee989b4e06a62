//! The iteration space of a generated function: which digits of its indices a view needs, and what a
//! vector function finds at four neighbours.
//!
//! Invariant: dimensions are merged only where the view's index and all its bounds agree.

#![allow(clippy::cast_possible_wrap, reason = "sizes are below 2^32, and so are all indices")]

use crate::plan::{Affine, Body, View};

/// The indices that a function takes.
#[derive(Clone, Copy, Debug)]
pub enum Params<'a> {
    /// `i`: position in the iteration space.
    Flat,
    /// `row, col` of the iteration space as a matrix.
    RowCol {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
    },
    /// `o, r`: position among the kept dimensions, and among the reduced ones (flagged).
    KeptReduced(&'a [bool]),
}

/// Dimensions that one linear index runs over.
#[derive(Clone, Debug)]
pub struct Group {
    /// The index's name.
    pub index: &'static str,
    /// Positions in the body's dimensions, outermost first.
    pub dims: Vec<usize>,
}

/// Part of a linear index: `index / div % size`, and what a step of it adds to each form of a view.
#[derive(Clone, Debug)]
pub struct Digit {
    /// Points of the dimensions inside of it.
    pub div: usize,
    /// Its values.
    pub size: usize,
    /// Of the view's index, then of each bound.
    pub strides: Vec<i64>,
}

/// What a vector function finds at the four neighbours of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Elements this far apart; at 1, starting at a multiple of 4. 0: the same one.
    Strided(i64),
    /// Neighbours that differ in more than one digit or bound.
    Separate,
}

/// The iteration space of a function.
pub struct Space<'a> {
    /// The body's dimensions.
    pub sizes: &'a [usize],
    /// The indices that they are distributed to.
    pub groups: Vec<Group>,
    /// Group whose index advances from neighbour to neighbour.
    pub inner: usize,
    /// How `i` follows from `row` and `col`, if the dimensions don't split between them.
    pub joined: Option<String>,
}

impl<'a> Space<'a> {
    /// The space of `body` under the indices `params`.
    pub fn new(body: &'a Body, params: Params<'_>) -> Self {
        let sizes = &body.dims[..];
        let all = |keep: &dyn Fn(usize) -> bool| (0..sizes.len()).filter(|d| keep(*d)).collect::<Vec<_>>();
        let (groups, joined) = match params {
            Params::Flat => (vec![Group { index: "i", dims: all(&|_| true) }], None),
            Params::KeptReduced(reduced) => (
                vec![
                    Group { index: "o", dims: all(&|d| !reduced[d]) },
                    Group { index: "r", dims: all(&|d| reduced[d]) },
                ],
                None,
            ),
            Params::RowCol { rows, cols } => {
                debug_assert_eq!(rows * cols, body.points());
                match (0..=sizes.len()).find(|s| sizes[..*s].iter().product::<usize>() == rows) {
                    Some(split) => (
                        vec![
                            Group { index: "row", dims: all(&|d| d < split) },
                            Group { index: "col", dims: all(&|d| d >= split) },
                        ],
                        None,
                    ),
                    None => (
                        vec![Group { index: "i", dims: all(&|_| true) }],
                        Some(format!("    let i = row * {cols}u + col;\n")),
                    ),
                }
            }
        };
        Self { sizes, inner: groups.len() - 1, groups, joined }
    }

    /// Whether the view names the same element at every point.
    pub fn is_constant(&self, view: &View) -> bool {
        view.index.strides.iter().zip(self.sizes).all(|(stride, size)| *stride == 0 || *size == 1)
    }

    /// Digits of a group, innermost first, after merging what the view traverses in step.
    pub fn digits(&self, group: &Group, view: &View) -> Vec<Digit> {
        let strides = |d: usize| -> Vec<i64> {
            std::iter::once(&view.index).chain(self.bounds(view).map(|(e, _)| e)).map(|form| form.strides[d]).collect()
        };
        let mut digits: Vec<Digit> = Vec::new();
        let mut div = 1;
        for d in group.dims.iter().rev().copied().filter(|d| self.sizes[*d] != 1) {
            let strides = strides(d);
            let size = self.sizes[d];
            match digits.last_mut() {
                Some(last)
                    if last.strides.iter().zip(&strides).all(|(inner, outer)| *outer == inner * last.size as i64) =>
                {
                    last.size *= size;
                }
                _ => digits.push(Digit { div, size, strides }),
            }
            div *= size;
        }
        digits
    }

    /// Smallest and largest value of a form in this space.
    fn reach(&self, form: &Affine) -> (i64, i64) {
        let part = |wanted: fn(i64) -> bool| -> i64 {
            form.strides.iter().zip(self.sizes).filter(|(s, _)| wanted(**s)).map(|(s, n)| s * (*n as i64 - 1)).sum()
        };
        (form.offset + part(|s| s < 0), form.offset + part(|s| s > 0))
    }

    /// The bounds that some point violates.
    pub fn bounds<'v>(&self, view: &'v View) -> impl Iterator<Item = &'v (Affine, usize)> + use<'v, '_, 'a> {
        view.bounds.iter().filter(|(form, len)| {
            let (low, high) = self.reach(form);
            low < 0 || high >= *len as i64
        })
    }

    /// Whether no point is in bounds.
    pub fn is_empty(&self, view: &View) -> bool {
        view.bounds.iter().any(|(form, len)| {
            let (low, high) = self.reach(form);
            high < 0 || low >= *len as i64
        })
    }

    /// What four neighbours find.
    pub fn classify(&self, view: &View) -> Class {
        let mut others = Vec::new();
        let mut class = Class::Strided(0);
        for (g, group) in self.groups.iter().enumerate() {
            let mut digits = self.digits(group, view);
            if g == self.inner && !digits.is_empty() {
                let inner = digits.remove(0);
                let bounded = inner.strides[1..].iter().any(|s| *s != 0);
                class = if !inner.size.is_multiple_of(4) || bounded {
                    Class::Separate
                } else {
                    Class::Strided(inner.strides[0])
                };
            }
            others.extend(digits.iter().map(|digit| digit.strides[0]));
        }
        others.push(view.index.offset);
        match class {
            // Contiguous, but not from multiples of 4.
            Class::Strided(1) if others.iter().any(|s| s % 4 != 0) => Class::Separate,
            class => class,
        }
    }
}

/// A sum of index terms, in wrapping arithmetic: positive terms first, so that nothing constant
/// underflows while the shader is compiled.
pub struct Sum {
    plus: Vec<String>,
    minus: Vec<String>,
    offset: i64,
}

impl Sum {
    /// The sum that is `offset`.
    pub fn new(offset: i64) -> Self {
        Self { plus: Vec::new(), minus: Vec::new(), offset }
    }

    /// Adds `digit * stride`.
    pub fn add(&mut self, digit: &str, stride: i64) {
        let term = match stride.unsigned_abs() {
            0 => return,
            1 => digit.to_owned(),
            s => format!("{digit} * {s}u"),
        };
        if stride > 0 { self.plus.push(term) } else { self.minus.push(term) }
    }

    /// The expression.
    pub fn text(&self) -> String {
        if self.plus.is_empty() && self.minus.is_empty() {
            return format!("{}u", self.offset as u32);
        }
        let mut plus = self.plus.clone();
        let mut minus = self.minus.clone();
        match self.offset {
            0 => {}
            o if o > 0 => plus.push(format!("{o}u")),
            o => minus.push(format!("{}u", -o)),
        }
        if plus.is_empty() {
            plus.push("0u".to_owned());
        }
        minus.into_iter().fold(plus.join(" + "), |sum, term| sum + " - " + &term)
    }
}
