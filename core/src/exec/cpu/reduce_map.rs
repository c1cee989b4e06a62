//! Sums, and a pointwise expression of them: the twins of both, one after the other.

use super::{pointwise, reduce};
use crate::exec::RunArgs;
use crate::plan::{Body, Inst, View};

/// See [`crate::plan::Kernel::ReduceMap`].
pub fn reduce_map(
    sums: &Body,
    reduced: &[bool],
    map: &Body,
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
    args: &RunArgs,
) {
    let kept: usize = sums.dims.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| n).product();
    let mut values = vec![vec![0.0; kept]; sums.results.len()];
    let mut slices: Vec<&mut [f32]> = values.iter_mut().map(|v| &mut v[..]).collect();
    reduce::reduce(sums, reduced, inputs, &mut slices, args);
    // To the expression, the sums are further inputs.
    let view = View::kept(&map.dims, reduced);
    let load = |inst: &Inst| match inst {
        Inst::Sum(j) => Inst::Load { input: inputs.len() + j, view: view.clone() },
        other => other.clone(),
    };
    let map = Body { insts: map.insts.iter().map(load).collect(), ..map.clone() };
    let all: Vec<&[f32]> = inputs.iter().copied().chain(values.iter().map(|v| &v[..])).collect();
    pointwise::pointwise(&map, &all, outputs, args);
}
