//! `matmul`, `conv2d` and `conv2d_grad_weight` against plain loops, with prologues and epilogues.

use super::*;
use crate::plan::ConvShape;

/// `0.5 * x + 1`: maps the zero of a border to something else.
fn shifted(input: usize, dims: &[usize]) -> Body {
    let insts = vec![
        load(input, View::contiguous(dims)),
        Inst::Const(0.5),
        Inst::Const(1.0),
        Inst::Binary(BinaryOp::Mul, 0, 1),
        Inst::Binary(BinaryOp::Add, 3, 2),
    ];
    Body { dims: dims.to_vec(), insts, results: vec![4] }
}

#[test]
fn matmul_matches_the_plain_loop() {
    let sizes = [
        (1, 1, 1, 1),
        (2, 5, 7, 3),
        (3, 33, 17, 65),
        (1, 130, 70, 48),
        (5, 64, 64, 32),
        (1, 24, 20, 5000),
        (2, 1, 40, 2100),
        (1, 3, 300, 33),
    ];
    for (batch, m, n, k) in sizes {
        for (ta, tb, plain) in [(false, false, true), (false, true, false), (true, false, false), (true, true, true)] {
            let a_dims = if ta { [batch, k, m] } else { [batch, m, k] };
            let (b, a) = (noise(batch * k * n, 1), noise(batch * m * k, 2));
            let (bias, residual) = (noise(n, 3), noise(batch * m * n, 4));
            let inputs: [&[f32]; 4] = [&b, &a, &bias, &residual];
            let (prologue, epilogue) = if plain {
                (Body::load(1, &a_dims), Body::acc(&[batch, m, n]))
            } else {
                (shifted(1, &a_dims), bias_residual(2, 3, batch * m, n))
            };
            let left = all(&prologue, &inputs, 0);
            let mut wanted = Vec::new();
            for g in 0..batch {
                for i in 0..m {
                    for j in 0..n {
                        let term = |p| {
                            let a = if ta { (g * k + p) * m + i } else { (g * m + i) * k + p };
                            let b = if tb { (g * n + j) * k + p } else { (g * k + p) * n + j };
                            left[a] * f64::from(inputs[0][b])
                        };
                        let acc = (0..k).map(term).sum();
                        let point = if plain { vec![g, i, j] } else { vec![g * m + i, j] };
                        wanted.push(at(&epilogue, &inputs, acc, &point)[0]);
                    }
                }
            }
            let kernel = Kernel::MatMul { batch, m, n, k, ta, tb, prologue, epilogue };
            let len = batch * m * n;
            let got = run(kernel.clone(), &inputs, &[len]);
            let what = format!("matmul {batch}x{m}x{n}x{k} ta={ta} tb={tb} plain={plain}");
            assert_close(&what, &got[0], &wanted, reduction(k));
            assert_deterministic(&kernel, &inputs, &[len]);
        }
    }
}

fn shapes() -> Vec<ConvShape> {
    let shape = |b, h, w, ci, co| [3, 1].map(|k| ConvShape { b, h, w, ci, co, k });
    [
        shape(1, 1, 1, 1, 1),
        shape(3, 5, 7, 3, 5),
        shape(2, 7, 7, 20, 33),
        shape(17, 14, 14, 8, 16),
        shape(1, 40, 36, 4, 6),
        shape(9, 4, 4, 40, 48),
        shape(6, 9, 11, 16, 1),
        shape(3, 6, 5, 23, 4),
        // By tiles of results: whole ones, cut ones, more than are taken at a time, strips of an image.
        shape(9, 8, 8, 32, 16),
        shape(8, 7, 10, 33, 40),
        shape(1, 30, 31, 32, 32),
    ]
    .concat()
}

/// `X[b, y, x, c]`, zero outside.
fn pixel(x: &[f64], s: ConvShape, b: usize, row: usize, column: usize, c: usize) -> f64 {
    // Rows and columns are counted from the border's corner.
    let edge = s.k / 2;
    match (row.checked_sub(edge), column.checked_sub(edge)) {
        (Some(y), Some(x_)) if y < s.h && x_ < s.w => x[((b * s.h + y) * s.w + x_) * s.ci + c],
        _ => 0.0,
    }
}

#[test]
fn conv2d_matches_the_plain_loop() {
    for s in shapes() {
        for (flip, plain) in [(false, true), (false, false), (true, true), (true, false)] {
            let ConvShape { b, h, w, ci, co, k } = s;
            let (weights, x) = (noise(k * k * ci * co, 1), noise(b * h * w * ci, 2));
            let (bias, residual) = (noise(co, 3), noise(b * h * w * co, 4));
            let inputs: [&[f32]; 4] = [&weights, &x, &bias, &residual];
            let (prologue, epilogue) = if plain {
                (Body::load(1, &[b, h, w, ci]), Body::acc(&[b, h, w, co]))
            } else {
                (shifted(1, &[b, h, w, ci]), bias_residual(2, 3, b * h * w, co))
            };
            let left = all(&prologue, &inputs, 0);
            let weight = |dy: usize, dx: usize, c: usize, o: usize| {
                let index = if flip {
                    (((k - 1 - dy) * k + k - 1 - dx) * co + o) * ci + c
                } else {
                    ((dy * k + dx) * ci + c) * co + o
                };
                f64::from(inputs[0][index])
            };
            let mut wanted = Vec::new();
            for p in each_point(&[b, h, w, co]) {
                let acc = each_point(&[k, k, ci])
                    .map(|t| pixel(&left, s, p[0], p[1] + t[0], p[2] + t[1], t[2]) * weight(t[0], t[1], t[2], p[3]))
                    .sum();
                let row = (p[0] * h + p[1]) * w + p[2];
                let point = if plain { p } else { vec![row, p[3]] };
                wanted.push(at(&epilogue, &inputs, acc, &point)[0]);
            }
            let kernel = Kernel::Conv2d { shape: s, flip, prologue, epilogue };
            let len = b * h * w * co;
            let got = run(kernel.clone(), &inputs, &[len]);
            let what = format!("conv2d {s:?} flip={flip} plain={plain}");
            assert_close(&what, &got[0], &wanted, convolution(k * k * ci));
            assert_deterministic(&kernel, &inputs, &[len]);
        }
    }
}

#[test]
fn conv2d_grad_weight_matches_the_plain_loop() {
    for s in shapes() {
        for plain in [true, false] {
            let ConvShape { b, h, w, ci, co, k } = s;
            let (x, d) = (noise(b * h * w * ci, 1), noise(b * h * w * co, 2));
            let inputs: [&[f32]; 2] = [&x, &d];
            let (x_dims, d_dims) = ([b, h, w, ci], [b, h, w, co]);
            let (prologue, prologue_d) = if plain {
                (Body::load(0, &x_dims), Body::load(1, &d_dims))
            } else {
                (shifted(0, &x_dims), shifted(1, &d_dims))
            };
            let (left, right) = (all(&prologue, &inputs, 0), all(&prologue_d, &inputs, 0));
            let wanted: Vec<f64> = each_point(&[k, k, ci, co])
                .map(|t| {
                    each_point(&[b, h, w])
                        .map(|p| {
                            pixel(&left, s, p[0], p[1] + t[0], p[2] + t[1], t[2])
                                * right[((p[0] * h + p[1]) * w + p[2]) * co + t[3]]
                        })
                        .sum()
                })
                .collect();
            let kernel = Kernel::Conv2dGradWeight { shape: s, prologue, prologue_d };
            let len = k * k * ci * co;
            let got = run(kernel.clone(), &inputs, &[len]);
            let what = format!("conv2d_grad_weight {s:?} plain={plain}");
            assert_close(&what, &got[0], &wanted, convolution(b * h * w));
            assert_deterministic(&kernel, &inputs, &[len]);
        }
    }
}

#[test]
fn conv2d_evaluates_a_broadcasting_prologue() {
    let s = ConvShape { b: 5, h: 6, w: 6, ci: 12, co: 7, k: 3 };
    let prologue = norm_silu(1, s.b, s.h * s.w, 4, s.ci);
    let (weights, x) = (noise(9 * s.ci * s.co, 1), noise(s.b * s.h * s.w * s.ci, 2));
    let moments: Vec<f32> = noise(s.b * 8, 3).iter().map(|x| x + 1.5).collect();
    let (gamma, beta) = (noise(s.ci, 4), noise(s.ci, 5));
    let inputs: [&[f32]; 5] = [&weights, &x, &moments, &gamma, &beta];
    let evaluated: Vec<f32> = all(&prologue, &inputs, 0).iter().map(|x| *x as f32).collect();
    let epilogue = Body::acc(&[s.b, s.h, s.w, s.co]);
    let len = s.b * s.h * s.w * s.co;
    let kernel = |prologue| Kernel::Conv2d { shape: s, flip: false, prologue, epilogue: epilogue.clone() };
    let plain = kernel(Body::load(1, &[s.b, s.h, s.w, s.ci]));
    let wanted = run(plain, &[&weights, &evaluated], &[len]);
    let wanted: Vec<f64> = wanted[0].iter().map(|x| f64::from(*x)).collect();
    let got = run(kernel(prologue), &inputs, &[len]);
    assert_close("norm_silu prologue", &got[0], &wanted, reduction(9 * s.ci));
}
