//! The smaller kernels: softmax, gathers and their adjoint, the optimizer, the statistics ring.
//!
//! Each is the twin of the WGSL kernel of the same name; [`crate::plan::Kernel`] has the formulas.

use super::{par, simd};
use crate::exec::RunArgs;
use crate::plan::AdamScalars;
use onestep_kernels::{sums, vectorised};

/// Elements per task.
const TASK: usize = 8 * 1024;

/// `outputs[0][i, :] = softmax(inputs[0][i, :])`.
pub fn softmax(cols: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
    let rows = TASK.div_ceil(cols);
    let tasks = outputs[0].chunks_mut(rows * cols).zip(inputs[0].chunks(rows * cols)).collect();
    par::each(4 * inputs[0].len(), tasks, |(out, x): (&mut [f32], &[f32])| {
        for (out, x) in out.chunks_exact_mut(cols).zip(x.chunks_exact(cols)) {
            sums::softmax_row(x, out);
        }
    });
}

/// The row that an index names, clamped to the table.
fn clamped(index: f32, table: usize) -> usize {
    (index as u32 as usize).min(table - 1)
}

/// `outputs[0][i, :] = inputs[0][index(i), :]`.
pub fn gather(width: usize, table: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
    let rows = TASK.div_ceil(width);
    let tasks = outputs[0].chunks_mut(rows * width).zip(inputs[1].chunks(rows)).collect();
    par::each(inputs[1].len() * width, tasks, |(out, index): (&mut [f32], &[f32])| {
        for (out, &i) in out.chunks_exact_mut(width).zip(index) {
            out.copy_from_slice(&inputs[0][clamped(i, table) * width..][..width]);
        }
    });
}

/// `outputs[0][t, :] = sum over i with index(i) = t of inputs[0][i, :]`, in ascending `i`.
pub fn scatter_add(width: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
    let table = outputs[0].len() / width;
    // Each task looks at every index and adds the rows that are its own.
    let rows = table.div_ceil(16).max(1);
    let tasks = outputs[0].chunks_mut(rows * width).enumerate().collect();
    par::each(inputs[0].len(), tasks, |(task, out): (usize, &mut [f32])| {
        out.fill(0.0);
        for (x, &i) in inputs[0].chunks_exact(width).zip(inputs[1]) {
            let place = (i as u32 as usize).checked_sub(task * rows);
            if let Some(row) = place.filter(|row| row * width < out.len()) {
                simd::add(&mut out[row * width..][..width], x);
            }
        }
    });
}

/// `outputs[0][i, e] = f32(byte e of row index(i) of inputs[0])`.
pub fn gather_bytes(width: usize, table: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
    let rows = TASK.div_ceil(width);
    let tasks = outputs[0].chunks_mut(rows * width).zip(inputs[1].chunks(rows)).collect();
    par::each(inputs[1].len() * width, tasks, |(out, index): (&mut [f32], &[f32])| {
        for (out, &i) in out.chunks_exact_mut(width).zip(index) {
            let first = clamped(i, table) * width;
            for (e, out) in out.iter_mut().enumerate() {
                let byte = first + e;
                *out = f32::from(inputs[0][byte / 4].to_bits().to_le_bytes()[byte % 4]);
            }
        }
    });
}

/// Whether a number is NaN or infinite, by its bits.
pub fn is_not_finite(x: f32) -> bool {
    x.to_bits() & 0x7f80_0000 == 0x7f80_0000
}

/// Numbers of one optimizer step.
#[derive(Clone, Copy)]
struct AdamStep {
    scale: f32,
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    correction1: f32,
    correction2: f32,
    decay: f32,
}

/// Adam with clipping and EMA, in place.
pub fn adam(scalars: &AdamScalars, inputs: &[&[f32]], outputs: &mut [&mut [f32]], args: &RunArgs) {
    let norm_sq = inputs[1][0];
    if is_not_finite(norm_sq) {
        return;
    }
    let of = |index: usize| args.scalars[index];
    let clip = of(scalars.clip);
    let step = AdamStep {
        scale: if clip > 0.0 { (clip / norm_sq.sqrt()).min(1.0) } else { 1.0 },
        lr: of(scalars.lr),
        beta1: of(scalars.beta1),
        beta2: of(scalars.beta2),
        eps: of(scalars.eps),
        correction1: of(scalars.correction1),
        correction2: of(scalars.correction2),
        decay: of(scalars.ema_decay),
    };
    let grad = inputs[0];
    let sizes = [TASK; 4];
    par::each(4 * grad.len(), par::chunks(outputs, &sizes), |(task, mut outs)| {
        let [param, m, v, ema] = &mut outs[..] else { unreachable!("adam has four outputs") };
        adam_chunk(step, &grad[task * TASK..], param, m, v, ema);
    });
}

vectorised! {
    fn adam_chunk(
        step: AdamStep,
        grad: &[f32],
        param: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
        ema: &mut [f32],
    ) {
        let AdamStep { scale, lr, beta1, beta2, eps, correction1, correction2, decay } = step;
        let moments = m.iter_mut().zip(v);
        for (((p, (m, v)), ema), grad) in param.iter_mut().zip(moments).zip(ema).zip(grad) {
            let g = grad * scale;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= lr * (*m / correction1) / ((*v / correction2).sqrt() + eps);
            *ema += (1.0 - decay) * (*p - *ema);
        }
    }
}

/// `outputs[0][(step mod ring) * width + i] = inputs[i][0]`.
pub fn record(ring: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]], args: &RunArgs) {
    let row = args.step as usize % ring;
    let row = &mut outputs[0][row * inputs.len()..][..inputs.len()];
    row.iter_mut().zip(inputs).for_each(|(out, input)| *out = input[0]);
}
