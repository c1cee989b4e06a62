//! Reductions, moments, softmax.

use onestep_core::graph::{BinaryOp, UnaryOp};
use onestep_core::plan::{Inst, Kernel};
use onestep_tests::{reduction, values};

use crate::bodies::{SHAPES, Writer, views};
use crate::case::{Case, product, report, tables};

const REDUCED: [[bool; 4]; 6] = [
    [true, true, true, true],
    [true, true, true, false],
    [false, true, true, false],
    [false, false, false, true],
    [false, true, false, true],
    [true, false, false, false],
];

#[test]
fn reduce_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        for reduced in REDUCED {
            let kept: usize = shape.iter().zip(reduced).filter(|(_, r)| !r).map(|(n, _)| n).product();
            let terms = product(&shape) / kept;
            let (mut body, inputs) = views(shape, false);
            let x = body.insts.len();
            body.insts.push(Inst::Unary(UnaryOp::Softplus, body.results[0]));
            body.results = vec![x, 0];
            let what = format!("reduce {reduced:?} of {shape:?}");
            Case::new(what, Kernel::Reduce { body, reduced: reduced.to_vec() }, inputs, &[kept, kept]).check(
                &tables(),
                reduction(terms),
                &mut failures,
            );
        }
    }
    report(&failures);
}

#[test]
fn reduce_map_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        for reduced in REDUCED {
            let terms: usize = shape.iter().zip(reduced).filter(|(_, r)| *r).map(|(n, _)| n).product();
            // Two sums, then two results that use both: x - sum0 * y / terms, and sum1 - x.
            let mut sums = Writer::new(&shape);
            let (x, y) = (sums.whole(0), sums.whole(1));
            let xy = sums.bin(BinaryOp::Mul, x, y);
            let sums = sums.end(&[xy, x]);
            let mut map = Writer::new(&shape);
            let (x, y) = (map.whole(0), map.whole(1));
            let (s0, s1) = (map.push(Inst::Sum(0)), map.push(Inst::Sum(1)));
            let n = map.push(Inst::Const(1.0 / terms as f32));
            let t = map.bin(BinaryOp::Mul, s0, y);
            let t = map.bin(BinaryOp::Mul, t, n);
            let (u, v) = (map.bin(BinaryOp::Sub, x, t), map.bin(BinaryOp::Sub, s1, x));
            let map = map.end(&[u, v]);
            let len = product(&shape);
            let what = format!("reduce_map {reduced:?} of {shape:?}");
            let kernel = Kernel::ReduceMap { sums, reduced: reduced.to_vec(), map };
            let case = Case::new(what, kernel, vec![values(21, len), values(22, len)], &[len, len]);
            case.check(&tables(), reduction(terms), &mut failures);
        }
    }
    report(&failures);
}

#[test]
fn moments_match_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        for reduced in REDUCED {
            let kept: usize = shape.iter().zip(reduced).filter(|(_, r)| !r).map(|(n, _)| n).product();
            let terms = product(&shape) / kept;
            let (body, inputs) = views(shape, true);
            let what = format!("moments {reduced:?} of {shape:?}");
            let kernel = Kernel::Moments { body, reduced: reduced.to_vec(), eps: 1e-2 };
            Case::new(what, kernel, inputs, &[2 * kept]).check(&tables(), reduction(4 * terms), &mut failures);
        }
    }
    report(&failures);
}

#[test]
fn softmax_matches_the_twin() {
    let mut failures = Vec::new();
    for (rows, cols) in [(1, 1), (3, 2), (5, 7), (70, 10), (9, 300), (130, 257)] {
        let input = values(91, rows * cols).into_iter().map(|v| 200.0 * v).collect();
        Case::new(format!("softmax {rows} x {cols}"), Kernel::Softmax { rows, cols }, vec![input], &[rows * cols])
            .check(&tables(), reduction(4 * cols), &mut failures);
    }
    report(&failures);
}
