//! The kernels of `rest`.

use super::*;
use crate::exec::cpu::rest::is_not_finite;
use crate::plan::AdamScalars;

#[test]
fn softmax_matches_the_plain_loop() {
    for (rows, cols) in [(1, 1), (5, 7), (300, 196)] {
        let x: Vec<f32> = noise(rows * cols, 1).iter().map(|x| 30.0 * x).collect();
        let kernel = Kernel::Softmax { rows, cols };
        let got = run(kernel.clone(), &[&x], &[rows * cols]);
        let mut wanted = Vec::new();
        for row in x.chunks(cols) {
            let exp: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
            wanted.extend(exp.iter().map(|e| e / exp.iter().sum::<f64>()));
        }
        assert_close("softmax", &got[0], &wanted, ELEMENTWISE);
        assert_deterministic(&kernel, &[&x], &[rows * cols]);
    }
}

/// Indices within a table, one of them beyond it.
fn indices(rows: usize, table: usize) -> Vec<f32> {
    let mut index: Vec<f32> = (0..rows).map(|i| (i * 7 % table) as f32).collect();
    index[rows - 1] = (table + 5) as f32;
    index
}

#[test]
fn gathers_match_the_plain_loop() {
    for (rows, width, table) in [(1, 1, 1), (5, 3, 4), (900, 37, 11)] {
        let index = indices(rows, table);
        let row = |i: usize| (index[i] as usize).min(table - 1);
        let x = noise(table * width, 1);
        let kernel = Kernel::Gather { rows, width, table };
        let got = run(kernel, &[&x, &index], &[rows * width]);
        let wanted: Vec<f64> =
            (0..rows).flat_map(|i| x[row(i) * width..][..width].iter().map(|x| f64::from(*x))).collect();
        assert_close("gather", &got[0], &wanted, 0.0);

        let bytes: Vec<u8> = (0..(table * width).next_multiple_of(4)).map(|i| (i * 37) as u8).collect();
        let word = |b: &[u8]| f32::from_bits(u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let words: Vec<f32> = bytes.chunks(4).map(word).collect();
        let kernel = Kernel::GatherBytes { rows, width, table };
        let got = run(kernel, &[&words, &index], &[rows * width]);
        let wanted: Vec<f64> =
            (0..rows).flat_map(|i| bytes[row(i) * width..][..width].iter().map(|b| f64::from(*b))).collect();
        assert_close("gather_bytes", &got[0], &wanted, 0.0);
    }
}

#[test]
fn scatter_add_matches_the_plain_loop() {
    for (rows, width, table) in [(1, 1, 1), (5, 3, 4), (900, 37, 11), (50, 8, 100)] {
        let index: Vec<f32> = (0..rows).map(|i| (i * 7 % table) as f32).collect();
        let d = noise(rows * width, 1);
        let kernel = Kernel::ScatterAdd { rows, width, table };
        let got = run(kernel.clone(), &[&d, &index], &[table * width]);
        let mut wanted = vec![0.0; table * width];
        for (i, d) in d.chunks(width).enumerate() {
            for (e, d) in d.iter().enumerate() {
                wanted[index[i] as usize * width + e] += f64::from(*d);
            }
        }
        assert_close("scatter_add", &got[0], &wanted, reduction(rows));
        assert_deterministic(&kernel, &[&d, &index], &[table * width]);
    }
}

const ADAM: AdamScalars =
    AdamScalars { lr: 0, beta1: 1, beta2: 2, eps: 3, correction1: 4, correction2: 5, ema_decay: 6, clip: 7 };

/// One optimizer step from the same start, with this clip and squared norm.
fn adam(len: usize, clip: f32, norm_sq: f32) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let launch = Launch {
        kernel: Kernel::Adam { len, scalars: ADAM },
        inputs: Vec::new(),
        outputs: Vec::new(),
        flops: 0,
        bytes: 0,
        label: "adam".into(),
    };
    let start = [noise(len, 1), noise(len, 2), noise(len, 3), noise(len, 4)];
    let start = start.map(|x| x.iter().map(|x| x.abs()).collect::<Vec<f32>>()).to_vec();
    let mut state = start.clone();
    let mut outputs: Vec<&mut [f32]> = state.iter_mut().map(|x| &mut x[..]).collect();
    let scalars = [1e-2, 0.9, 0.99, 1e-8, 0.19, 0.0199, 0.95, clip];
    let args = RunArgs { scalars: &scalars, seed: 0, step: 0 };
    run_launch(&launch, &[&noise(len, 5), &[norm_sq]], &mut outputs, &args);
    (start, state)
}

#[test]
fn adam_matches_the_plain_loop() {
    for (len, clip, norm_sq) in [(1, 0.0, 4.0), (77, 1.0, 4.0), (20_000, 3.0, 4.0)] {
        let (start, got) = adam(len, clip, norm_sq);
        let scale = if clip > 0.0 { f64::from(clip / norm_sq.sqrt()).min(1.0) } else { 1.0 };
        let mut wanted = vec![vec![0.0; len]; 4];
        for (i, grad) in noise(len, 5).iter().enumerate() {
            let [p, m, v, ema] = [0, 1, 2, 3].map(|j: usize| f64::from(start[j][i]));
            let g = f64::from(*grad) * scale;
            let m = 0.9 * m + 0.1 * g;
            let v = 0.99 * v + 0.01 * g * g;
            let p = p - 1e-2 * (m / 0.19) / ((v / 0.0199).sqrt() + 1e-8);
            let ema = ema + 0.05 * (p - ema);
            [p, m, v, ema].iter().enumerate().for_each(|(j, x)| wanted[j][i] = *x);
        }
        for (j, name) in ["param", "m", "v", "ema"].iter().enumerate() {
            assert_close(name, &got[j], &wanted[j], ELEMENTWISE);
        }
    }
}

#[test]
fn adam_changes_nothing_if_the_gradient_is_not_finite() {
    for norm_sq in [f32::NAN, -f32::NAN, f32::INFINITY] {
        assert!(is_not_finite(norm_sq));
        let (start, got) = adam(100, 1.0, norm_sq);
        assert_eq!(start, got);
    }
    assert!(!is_not_finite(f32::MAX) && !is_not_finite(0.0));
}

#[test]
fn record_writes_one_row_of_the_ring() {
    let got = run(Kernel::Record { ring: 5 }, &[&[1.5], &[2.5], &[3.5]], &[15]);
    // Step 7 of a ring of 5.
    let mut wanted = [-12345.0; 15];
    wanted[6..9].copy_from_slice(&[1.5, 2.5, 3.5]);
    assert_eq!(got[0], wanted);
}
