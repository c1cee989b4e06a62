//! Matrix products and convolutions, with every tile, whole and split.

use onestep_core::plan::{Body, ConvShape, Kernel};
use onestep_tests::{reduction, values};

use crate::bodies::{epilogue, prologue};
use crate::case::{Case, product, report, tiles};

#[test]
fn matmul_matches_the_twin() {
    let mut failures = Vec::new();
    for (batch, m, n, k) in
        [(1, 1, 1, 1), (2, 3, 5, 7), (1, 33, 12, 20), (3, 8, 4, 6), (1, 70, 130, 261), (2, 64, 68, 512)]
    {
        for transposed in 0..4 {
            let (ta, tb) = (transposed & 1 == 1, transposed & 2 == 2);
            let a = if ta { [batch, k, m] } else { [batch, m, k] };
            let out = batch * m * n;
            let what = format!("matmul batch {batch}, {m} x {n} x {k}, ta {ta}, tb {tb}");
            let b = values(31, batch * k * n);
            let plain = Kernel::MatMul {
                batch,
                m,
                n,
                k,
                ta,
                tb,
                prologue: Body::load(1, &a),
                epilogue: Body::acc(&[batch, m, n]),
            };
            Case::new(format!("plain {what}"), plain, vec![b.clone(), values(32, product(&a))], &[out]).check(
                &tiles(),
                reduction(k),
                &mut failures,
            );

            let (prologue, more) = prologue(&a, 1);
            let (epilogue, last) = epilogue(&[batch, m, n], 4);
            let fused = Kernel::MatMul { batch, m, n, k, ta, tb, prologue, epilogue };
            let inputs = [vec![b], more, last].concat();
            Case::new(format!("fused {what}"), fused, inputs, &[out]).check(&tiles(), reduction(k), &mut failures);
        }
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

#[test]
fn conv2d_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in CONVS {
        let ConvShape { b, h, w, ci, co, k } = shape;
        for flip in [false, true] {
            let weights = values(61, k * k * ci * co);
            let out = b * h * w * co;
            let what = format!("conv2d {shape:?}, flip {flip}");
            let x = [b, h, w, ci];
            let plain =
                Kernel::Conv2d { shape, flip, prologue: Body::load(1, &x), epilogue: Body::acc(&[b, h, w, co]) };
            Case::new(format!("plain {what}"), plain, vec![weights.clone(), values(62, product(&x))], &[out]).check(
                &tiles(),
                reduction(k * k * ci),
                &mut failures,
            );

            let (prologue, more) = prologue(&x, 1);
            let (epilogue, last) = epilogue(&[b, h, w, co], 4);
            let fused = Kernel::Conv2d { shape, flip, prologue, epilogue };
            let inputs = [vec![weights], more, last].concat();
            Case::new(format!("fused {what}"), fused, inputs, &[out]).check(
                &tiles(),
                reduction(k * k * ci),
                &mut failures,
            );
        }
    }
    report(&failures);
}

#[test]
fn conv2d_grad_weight_matches_the_twin() {
    let mut failures = Vec::new();
    for shape in CONVS {
        let ConvShape { b, h, w, ci, co, k } = shape;
        let out = k * k * ci * co;
        let (x, d) = ([b, h, w, ci], [b, h, w, co]);
        let plain = Kernel::Conv2dGradWeight { shape, prologue: Body::load(0, &x), prologue_d: Body::load(1, &d) };
        let inputs = vec![values(71, product(&x)), values(72, product(&d))];
        Case::new(format!("plain conv2d_grad_weight {shape:?}"), plain, inputs, &[out]).check(
            &tiles(),
            reduction(b * h * w),
            &mut failures,
        );

        let (prologue_x, inputs_x) = prologue(&x, 0);
        let (prologue_d, inputs_d) = prologue(&d, 3);
        let fused = Kernel::Conv2dGradWeight { shape, prologue: prologue_x, prologue_d };
        Case::new(format!("fused conv2d_grad_weight {shape:?}"), fused, [inputs_x, inputs_d].concat(), &[out]).check(
            &tiles(),
            reduction(b * h * w),
            &mut failures,
        );
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
