//! `pointwise`: views of every kind, several results, random numbers.

use super::*;
use crate::exec::cpu::rng;

fn check(what: &str, body: &Body, inputs: &[&[f32]]) {
    let points = body.points();
    let lens = vec![points; body.results.len()];
    let kernel = Kernel::Pointwise { body: body.clone() };
    let got = run(kernel.clone(), inputs, &lens);
    for (j, got) in got.iter().enumerate() {
        let what = format!("{what}, result {j}, dims {:?}", body.dims);
        assert_close(&what, got, &all(body, inputs, j), ELEMENTWISE);
    }
    assert_deterministic(&kernel, inputs, &lens);
}

#[test]
fn pointwise_norm_silu_matches_the_plain_loop() {
    for (b, pixels, groups, channels) in [(1, 1, 1, 1), (3, 35, 3, 9), (8, 196, 8, 32)] {
        let x = noise(b * pixels * channels, 1);
        let moments: Vec<f32> = noise(b * groups * 2, 2).iter().map(|x| x + 1.5).collect();
        let (gamma, beta) = (noise(channels, 3), noise(channels, 4));
        let body = norm_silu(0, b, pixels, groups, channels);
        check("norm_silu", &body, &[&x, &moments, &gamma, &beta]);
    }
}

/// One body with a transposed, a padded, a reversed, a strided, a repeated and a scalar load.
fn many_views(h: usize, w: usize, c: usize) -> (Body, Vec<Vec<f32>>) {
    let (hi, wi, ci) = (h as i64, w as i64, c as i64);
    let dims = vec![h, w, c];
    let axis = |d: usize, offset: i64| {
        let mut strides = vec![0; 3];
        strides[d] = 1;
        Affine { strides, offset }
    };
    // A smaller image, moved by (1, 2) inside zeros.
    let padded = View {
        index: Affine { strides: vec![wi * ci, ci, 1], offset: -(wi * ci) - 2 * ci },
        bounds: vec![(axis(0, -1), h.max(3) - 2), (axis(1, -2), w.max(4) - 3)],
    };
    // Every second channel only, counted down.
    let last = (h * w * c) as i64 - 1;
    let reversed = View {
        index: Affine { strides: vec![-wi * ci, -ci, -1], offset: last },
        bounds: vec![(Affine { strides: vec![0, 0, -2], offset: ci }, c)],
    };
    let insts = vec![
        load(0, view(&[1, hi, hi * wi], 0)),
        load(0, padded.clone()),
        load(0, reversed),
        load(1, view(&[2 * wi, 2, 0], 1)),
        load(1, view(&[0, 0, 0], 3)),
        Inst::Iota { view: padded },
        Inst::Const(0.01),
        Inst::Binary(BinaryOp::Mul, 5, 6),
        Inst::Binary(BinaryOp::Add, 0, 1),
        Inst::Binary(BinaryOp::Sub, 8, 2),
        Inst::Binary(BinaryOp::Max, 9, 3),
        Inst::Binary(BinaryOp::Div, 10, 4),
        Inst::Binary(BinaryOp::Add, 11, 7),
        Inst::Unary(UnaryOp::Neg, 12),
        Inst::Binary(BinaryOp::Less, 0, 2),
        Inst::Scalar(0),
        Inst::Binary(BinaryOp::Min, 15, 3),
    ];
    let body = Body { dims, insts, results: vec![13, 12, 14, 16, 0, 15] };
    let second: Vec<f32> = noise(2 * h * w + 4, 6).iter().map(|x| x + 2.5).collect();
    (body, vec![noise(h * w * c, 5), second])
}

#[test]
fn pointwise_views_match_the_plain_loop() {
    for (h, w, c) in [(1, 1, 1), (5, 7, 3), (24, 40, 16), (33, 9, 130)] {
        let (body, inputs) = many_views(h, w, c);
        check("views", &body, &[&inputs[0], &inputs[1]]);
    }
}

#[test]
fn threefry_has_the_bits_of_the_scalar_one() {
    for i in 0..1000u32 {
        let (key, counter) = ([i.wrapping_mul(0x9e37_79b9), i], [i / 7, !i]);
        assert_eq!(rng::threefry(key, counter), threefry2x32(key, counter));
    }
}

#[test]
fn random_numbers_match_their_definition() {
    for (rows, cols) in [(1, 1), (7, 13), (200, 131)] {
        let dims = vec![rows, cols];
        let inside = |offset| View {
            index: Affine { strides: vec![cols as i64, 1], offset: 5 },
            bounds: vec![(Affine { strides: vec![0, 1], offset }, cols)],
        };
        let random = |distribution, per_step, view| Inst::Random { distribution, stream: 3, per_step, view };
        let insts = vec![
            random(Distribution::Normal, true, View::contiguous(&dims)),
            random(Distribution::Uniform, false, View::contiguous(&dims)),
            random(Distribution::Normal, false, inside(if cols > 1 { -1 } else { 0 })),
        ];
        let body = Body { dims, insts, results: vec![0, 1, 2] };
        check("random", &body, &[]);
    }
}

#[test]
fn a_value_does_not_depend_on_the_number_of_points() {
    let body = |n| {
        let view = View::contiguous(&[n]);
        let distribution = Distribution::Normal;
        let insts = vec![Inst::Random { distribution, stream: 1, per_step: true, view }];
        Body { dims: vec![n], insts, results: vec![0] }
    };
    let few = run(Kernel::Pointwise { body: body(100) }, &[], &[100]);
    let many = run(Kernel::Pointwise { body: body(50_000) }, &[], &[50_000]);
    assert_eq!(few[0], many[0][..100]);
}
