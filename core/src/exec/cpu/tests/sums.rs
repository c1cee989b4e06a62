//! `reduce`, `moments` and `reduce_map` over every layout of kept and reduced dimensions.

use super::*;

/// Dimensions, and which of them are reduced.
fn layouts() -> Vec<(Vec<usize>, Vec<bool>)> {
    let (k, r) = (false, true);
    vec![
        (vec![1], vec![r]),
        (vec![70_001], vec![r]),
        (vec![5, 7], vec![k, r]),
        (vec![300, 211], vec![k, r]),
        (vec![2, 50_000], vec![k, r]),
        (vec![5, 7], vec![r, k]),
        (vec![1003, 33], vec![r, k]),
        (vec![9, 10_000], vec![r, k]),
        (vec![3, 5, 4, 3], vec![k, r, k, r]),
        (vec![16, 196, 8, 4], vec![k, r, k, r]),
        (vec![16, 196, 8, 4], vec![r, r, k, k]),
        (vec![4, 7, 2, 7, 2, 5], vec![k, k, r, k, r, k]),
        (vec![3, 2, 70, 60, 3, 2], vec![k, r, k, k, r, k]),
        (vec![6, 4], vec![k, k]),
        (vec![40, 20, 30], vec![r, k, r]),
    ]
}

/// `x * y` and `x + 0.3`, with `y` repeated over the first dimension.
fn body(dims: &[usize]) -> (Body, Vec<Vec<f32>>) {
    let mut repeated = View::contiguous(dims);
    repeated.index.strides[0] = 0;
    let insts = vec![
        load(0, View::contiguous(dims)),
        load(1, repeated),
        Inst::Binary(BinaryOp::Mul, 0, 1),
        Inst::Const(0.3),
        Inst::Binary(BinaryOp::Add, 0, 3),
    ];
    let len = dims.iter().product();
    let body = Body { dims: dims.to_vec(), insts, results: vec![2, 4] };
    (body, vec![noise(len, 1), noise(len / dims[0], 2)])
}

/// The output of each point.
fn targets(dims: &[usize], reduced: &[bool]) -> Vec<usize> {
    let to_output = |point: Vec<usize>| (0..dims.len()).filter(|d| !reduced[*d]).fold(0, |o, d| o * dims[d] + point[d]);
    each_point(dims).map(to_output).collect()
}

#[test]
fn reduce_matches_the_plain_loop() {
    for (dims, reduced) in layouts() {
        let (body, inputs) = body(&dims);
        let inputs: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
        let targets = targets(&dims, &reduced);
        let outputs = targets.iter().max().unwrap() + 1;
        let kernel = Kernel::Reduce { body: body.clone(), reduced: reduced.clone() };
        let got = run(kernel.clone(), &inputs, &[outputs, outputs]);
        for (j, got) in got.iter().enumerate() {
            let mut wanted = vec![0.0; outputs];
            all(&body, &inputs, j).iter().zip(&targets).for_each(|(x, t)| wanted[*t] += x);
            let what = format!("reduce {dims:?} {reduced:?}, result {j}");
            assert_close(&what, got, &wanted, blocked_reduction(targets.len() / outputs));
        }
        assert_deterministic(&kernel, &inputs, &[outputs, outputs]);
    }
}

#[test]
fn moments_match_the_plain_loop() {
    for (dims, reduced) in layouts() {
        let (body, inputs) = body(&dims);
        let inputs: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
        let targets = targets(&dims, &reduced);
        let outputs = targets.iter().max().unwrap() + 1;
        let count = targets.len() as f64 / outputs as f64;
        for plain in [false, true] {
            let body = if plain { Body::load(0, &dims) } else { Body { results: vec![2], ..body.clone() } };
            let values = all(&body, &inputs, 0);
            let (mut mean, mut square) = (vec![0.0; outputs], vec![0.0; outputs]);
            values.iter().zip(&targets).for_each(|(x, t)| mean[*t] += x / count);
            values.iter().zip(&targets).for_each(|(x, t)| square[*t] += (x - mean[*t]).powi(2));
            let pair = |(m, s): (&f64, &f64)| [*m, 1.0 / (s / count + 1e-3).sqrt()];
            let wanted: Vec<f64> = mean.iter().zip(&square).flat_map(pair).collect();
            let kernel = Kernel::Moments { body, reduced: reduced.clone(), eps: 1e-3 };
            let got = run(kernel.clone(), &inputs, &[2 * outputs]);
            let what = format!("moments {dims:?} {reduced:?}");
            assert_close(&what, &got[0], &wanted, ELEMENTWISE);
            assert_deterministic(&kernel, &inputs, &[2 * outputs]);
        }
    }
}

#[test]
fn moments_survive_a_large_mean() {
    let x: Vec<f32> = noise(10_000, 1).iter().map(|x| x + 1000.0).collect();
    let kernel = Kernel::Moments { body: Body::load(0, &[10_000]), reduced: vec![true], eps: 0.0 };
    let got = run(kernel, &[&x], &[2]);
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e4;
    let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / 1e4;
    // The mean is rounded to 6e-5 where the deviation is 0.58.
    assert_close("large mean", &got[0], &[mean, 1.0 / variance.sqrt()], 1e-6);
}

#[test]
fn reduce_map_matches_the_plain_loop() {
    for (dims, reduced) in layouts() {
        let (sums, inputs) = body(&dims);
        let inputs: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
        let targets = targets(&dims, &reduced);
        let outputs = targets.iter().max().unwrap() + 1;
        let count = targets.len() / outputs;
        // x * y - mean(x * y) - x * mean(x + 0.3)
        let mut map = Body { dims: dims.clone(), insts: sums.insts[..3].to_vec(), results: vec![9] };
        map.insts.extend([
            Inst::Sum(0),
            Inst::Sum(1),
            Inst::Binary(BinaryOp::Mul, 0, 4),
            Inst::Binary(BinaryOp::Add, 3, 5),
            Inst::Const(1.0 / count as f32),
            Inst::Binary(BinaryOp::Mul, 6, 7),
            Inst::Binary(BinaryOp::Sub, 2, 8),
        ]);
        let mut totals = [vec![0.0; outputs], vec![0.0; outputs]];
        for (j, totals) in totals.iter_mut().enumerate() {
            all(&sums, &inputs, j).iter().zip(&targets).for_each(|(x, t)| totals[*t] += x);
        }
        let products = all(&sums, &inputs, 0);
        let wanted: Vec<f64> = (0..targets.len())
            .map(|p| {
                let [first, second] = [0, 1].map(|j: usize| totals[j][targets[p]] / count as f64);
                products[p] - first - f64::from(inputs[0][p]) * second
            })
            .collect();
        let kernel = Kernel::ReduceMap { sums, reduced: reduced.clone(), map };
        let got = run(kernel.clone(), &inputs, &[targets.len()]);
        assert_close(&format!("reduce_map {dims:?} {reduced:?}"), &got[0], &wanted, ELEMENTWISE);
        assert_deterministic(&kernel, &inputs, &[targets.len()]);
    }
}
