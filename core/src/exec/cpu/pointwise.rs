//! `pointwise`: every result of a body, to its own output.

use super::{body::Program, par};
use crate::exec::RunArgs;
use crate::plan::Body;

/// Points per task: large enough to hide the hand-over, small enough to balance two threads.
const TASK: usize = 8 * 1024;

/// `outputs[j][i] = body.results[j](i)`.
pub fn pointwise(body: &Body, inputs: &[&[f32]], outputs: &mut [&mut [f32]], args: &RunArgs) {
    let program = Program::new(body, inputs, args);
    evaluate(&program, outputs);
}

/// Writes all points of all results.
pub fn evaluate(program: &Program, outputs: &mut [&mut [f32]]) {
    let sizes = vec![TASK; outputs.len()];
    par::each(program.work(), par::chunks(outputs, &sizes), |(i, mut outs)| {
        let len = outs[0].len();
        program.eval().store(i * TASK, len, &[], &mut outs);
    });
}
