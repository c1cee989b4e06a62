//! One launch on its twin: from a [`Kernel`] to the function of the same name.

use super::kept::Kept;
use super::{conv, conv_grad, matmul, moments, pointwise, reduce, reduce_map, rest};
use crate::exec::RunArgs;
use crate::plan::{Kernel, Launch};

/// Runs `launch` on `inputs` and `outputs`, one slice per slot of the launch.
///
/// The optimizer updates its outputs; every other kernel overwrites them without reading.
pub fn run_launch(launch: &Launch, inputs: &[&[f32]], outputs: &mut [&mut [f32]], args: &RunArgs) {
    run_with_kept(launch, None, inputs, outputs, args);
}

/// As [`run_launch`], with what an earlier run made of the same weights.
pub fn run_with_kept(
    launch: &Launch,
    kept: Option<&mut Kept>,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    match &launch.kernel {
        Kernel::Pointwise { body } => pointwise::pointwise(body, inputs, outputs, args),
        Kernel::Reduce { body, reduced } => reduce::reduce(body, reduced, inputs, outputs, args),
        Kernel::ReduceMap { sums, reduced, map } => {
            reduce_map::reduce_map(sums, reduced, map, inputs, outputs, args);
        }
        Kernel::Moments { body, reduced, eps } => {
            moments::moments(body, reduced, *eps, inputs, outputs, args);
        }
        Kernel::MatMul { batch, m, n, k, ta, tb, prologue, epilogue } => {
            let (batch, m, n, k, ta, tb) = (*batch, *m, *n, *k, *ta, *tb);
            let product = matmul::Product { batch, m, n, k, ta, tb };
            matmul::matmul(product, prologue, epilogue, kept, inputs, outputs, args);
        }
        Kernel::Conv2d { shape, flip, prologue, epilogue } => {
            conv::conv2d(*shape, *flip, prologue, epilogue, kept, inputs, outputs, args);
        }
        Kernel::Conv2dGradWeight { shape, prologue, prologue_d } => {
            conv_grad::conv2d_grad_weight(*shape, prologue, prologue_d, inputs, outputs, args);
        }
        Kernel::Softmax { cols, .. } => rest::softmax(*cols, inputs, outputs),
        Kernel::Gather { width, table, .. } => rest::gather(*width, *table, inputs, outputs),
        Kernel::ScatterAdd { width, .. } => rest::scatter_add(*width, inputs, outputs),
        Kernel::GatherBytes { width, table, .. } => {
            rest::gather_bytes(*width, *table, inputs, outputs);
        }
        Kernel::Adam { scalars, .. } => rest::adam(scalars, inputs, outputs, args),
        Kernel::Record { ring } => rest::record(*ring, inputs, outputs, args),
    }
}
