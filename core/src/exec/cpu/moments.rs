//! `moments`: mean and reciprocal standard deviation, in two passes over the evaluated group.

use super::body::Program;
use super::simd::Arg;
use super::sums::{Layout, Sums};
use super::{par, pointwise};
use crate::exec::RunArgs;
use crate::plan::Body;

/// Points per task.
const TASK: usize = 16 * 1024;

/// `outputs[0][2 * o] = mean`, `outputs[0][2 * o + 1] = 1 / sqrt(variance + eps)`.
pub fn moments(body: &Body, reduced: &[bool], eps: f32, inputs: &[&[f32]], outputs: &mut [&mut [f32]], args: &RunArgs) {
    let program = Program::new(body, inputs, args);
    let layout = Layout::new(&body.dims, reduced);
    let points = layout.points();
    // A group is one task; where there is only one, at least its values come from all threads.
    if layout.groups == 1 && program.as_input().is_none() {
        par::with_scratch(points, |values| {
            pointwise::evaluate(&program, &mut [&mut *values]);
            Pass::new(&layout).moments(values, eps, outputs[0]);
        });
        return;
    }
    let groups = TASK.div_ceil(points);
    let sizes = [2 * groups * layout.outputs];
    par::each(2 * program.work(), par::chunks(outputs, &sizes), |(task, mut outs)| {
        let mut pass = Pass::new(&layout);
        let mut eval = program.eval();
        for (g, out) in outs[0].chunks_mut(2 * layout.outputs).enumerate() {
            let start = (task * groups + g) * points;
            match program.as_input() {
                Some(stored) => pass.moments(&stored[start..start + points], eps, out),
                None => par::with_scratch(points, |values| {
                    eval.store(start, points, &[], &mut [&mut *values]);
                    pass.moments(values, eps, out);
                }),
            }
        }
    });
}

/// Memory of the two passes.
struct Pass<'l> {
    layout: &'l Layout,
    sums: Sums,
    /// Mean of each (repeated) column's output.
    mean: Vec<f32>,
    folded: Vec<f64>,
}

impl<'l> Pass<'l> {
    fn new(layout: &'l Layout) -> Self {
        let width = layout.width();
        let (sums, mean) = (Sums::new(width), vec![0.0; width]);
        Self { layout, sums, mean, folded: vec![0.0; layout.outputs] }
    }

    fn moments(&mut self, values: &[f32], eps: f32, out: &mut [f32]) {
        let layout = self.layout;
        let count = values.len() as f64 / layout.outputs as f64;
        self.sums.add(0, Arg::Slice(values), values.len());
        self.folded.fill(0.0);
        self.sums.fold(layout, &mut self.folded);
        for (out, sum) in out.chunks_exact_mut(2).zip(&self.folded) {
            out[0] = (sum / count) as f32;
        }
        for mean in self.mean.chunks_exact_mut(layout.columns) {
            layout.each_fold(|column, len, output, same| {
                for (i, mean) in mean[column..column + len].iter_mut().enumerate() {
                    *mean = out[2 * (output + if same { 0 } else { i })];
                }
            });
        }
        self.sums.add_squares(values, &self.mean);
        self.folded.fill(0.0);
        self.sums.fold(layout, &mut self.folded);
        for (out, sum) in out.chunks_exact_mut(2).zip(&self.folded) {
            out[1] = (1.0 / (sum / count + f64::from(eps)).sqrt()) as f32;
        }
    }
}
