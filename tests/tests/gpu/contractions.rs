//! Matrix products and convolutions, with every tile, whole and split.

use onestep_core::plan::{Body, ConvShape, Kernel};
use onestep_tests::{reduction, values};

use crate::bodies::{epilogue, prologue};
use crate::case::{Case, product, report, tiles};

/// Each tile in turn with another of `cases`, beginning with number `first`: over enough shapes all meet,
/// and the number of kernels to compile stays bearable.
fn check_in_turn(cases: &[[Case; 2]], first: usize, terms: usize, failures: &mut Vec<String>) {
    for (t, tuning) in tiles().into_iter().enumerate() {
        for case in &cases[(first + t) % cases.len()] {
            case.check(std::slice::from_ref(&tuning), reduction(terms), failures);
        }
    }
}

/// `batch`, `m`, `n`, `k`: tiny, odd, with and without whole fours in each place, more than one tile.
const PRODUCTS: [[usize; 4]; 6] =
    [[1, 1, 1, 1], [2, 3, 5, 7], [1, 33, 12, 20], [3, 8, 4, 6], [1, 70, 130, 261], [2, 64, 68, 512]];

/// Without and with expressions around the product.
fn matmul([batch, m, n, k]: [usize; 4], ta: bool, tb: bool) -> [Case; 2] {
    let a = if ta { [batch, k, m] } else { [batch, m, k] };
    let out = [batch, m, n];
    let what = format!("matmul batch {batch}, {m} x {n} x {k}, ta {ta}, tb {tb}");
    let b = values(31, batch * k * n);
    let kernel = |prologue, epilogue| Kernel::MatMul { batch, m, n, k, ta, tb, prologue, epilogue };
    let plain = kernel(Body::load(1, &a), Body::acc(&out));
    let plain = Case::new(format!("plain {what}"), plain, vec![b.clone(), values(32, product(&a))], &[product(&out)]);
    let ((prologue, more), (epilogue, last)) = (prologue(&a, 1), epilogue(&out, 4));
    let inputs = [vec![b], more, last].concat();
    [plain, Case::new(format!("fused {what}"), kernel(prologue, epilogue), inputs, &[product(&out)])]
}

#[test]
fn matmul_matches_the_twin() {
    let mut failures = Vec::new();
    for (i, shape) in PRODUCTS.into_iter().enumerate() {
        let cases = [(false, false), (false, true), (true, false), (true, true)].map(|(ta, tb)| matmul(shape, ta, tb));
        check_in_turn(&cases, i, shape[3], &mut failures);
    }
    report(&failures);
}

const CONVS: [ConvShape; 6] = [
    ConvShape { b: 1, h: 1, w: 1, ci: 1, co: 1, k: 3 },
    ConvShape { b: 2, h: 3, w: 5, ci: 3, co: 7, k: 3 },
    ConvShape { b: 3, h: 7, w: 5, ci: 8, co: 4, k: 1 },
    ConvShape { b: 2, h: 5, w: 4, ci: 5, co: 6, k: 1 },
    ConvShape { b: 2, h: 8, w: 9, ci: 20, co: 36, k: 3 },
    ConvShape { b: 8, h: 14, w: 14, ci: 32, co: 32, k: 3 },
];

fn conv2d(shape: ConvShape, flip: bool) -> [Case; 2] {
    let ConvShape { b, h, w, ci, co, k } = shape;
    let (x, y) = ([b, h, w, ci], [b, h, w, co]);
    let weights = values(61, k * k * ci * co);
    let what = format!("conv2d {shape:?}, flip {flip}");
    let plain = Kernel::Conv2d { shape, flip, prologue: Body::load(1, &x), epilogue: Body::acc(&y) };
    let inputs = vec![weights.clone(), values(62, product(&x))];
    let plain = Case::new(format!("plain {what}"), plain, inputs, &[product(&y)]);
    let ((prologue, more), (epilogue, last)) = (prologue(&x, 1), epilogue(&y, 4));
    let inputs = [vec![weights], more, last].concat();
    let fused = Kernel::Conv2d { shape, flip, prologue, epilogue };
    [plain, Case::new(format!("fused {what}"), fused, inputs, &[product(&y)])]
}

#[test]
fn conv2d_matches_the_twin() {
    let mut failures = Vec::new();
    for (i, shape) in CONVS.into_iter().enumerate() {
        let cases = [false, true].map(|flip| conv2d(shape, flip));
        check_in_turn(&cases, i, shape.k * shape.k * shape.ci, &mut failures);
    }
    report(&failures);
}

#[test]
fn conv2d_grad_weight_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in CONVS {
        let ConvShape { b, h, w, ci, co, k } = shape;
        let (x, d, out) = ([b, h, w, ci], [b, h, w, co], k * k * ci * co);
        let plain = Kernel::Conv2dGradWeight { shape, prologue: Body::load(0, &x), prologue_d: Body::load(1, &d) };
        let inputs = vec![values(71, product(&x)), values(72, product(&d))];
        let plain = Case::new(format!("plain conv2d_grad_weight {shape:?}"), plain, inputs, &[out]);
        let ((prologue_x, inputs_x), (prologue_d, inputs_d)) = (prologue(&x, 0), prologue(&d, 3));
        let fused = Kernel::Conv2dGradWeight { shape, prologue: prologue_x, prologue_d };
        let inputs = [inputs_x, inputs_d].concat();
        let fused = Case::new(format!("fused conv2d_grad_weight {shape:?}"), fused, inputs, &[out]);
        check_in_turn(&[[plain, fused]], 0, b * h * w, &mut failures);
    }
    report(&failures);
}

#[test]
fn contractions_accept_refined_and_straddling_dims() {
    // Dimensions finer than the kernel's own, and a prologue whose dimensions don't split at a row.
    let mut failures = Vec::new();
    let (m, n, k) = (24, 16, 40);
    let refined = Kernel::MatMul {
        batch: 1,
        m,
        n,
        k,
        ta: false,
        tb: false,
        prologue: Body::load(1, &[4, 6, 5, 8]),
        epilogue: Body::acc(&[2, 12, 4, 4]),
    };
    let straddling = Kernel::MatMul {
        batch: 1,
        m,
        n,
        k,
        ta: false,
        tb: false,
        prologue: Body::load(1, &[12, 80]),
        epilogue: Body::acc(&[m * n]),
    };
    for (what, kernel) in [("refined", refined), ("straddling", straddling)] {
        Case::new(what, kernel, vec![values(81, k * n), values(82, m * k)], &[m * n]).check(
            &tiles(),
            reduction(k),
            &mut failures,
        );
    }
    report(&failures);
}
