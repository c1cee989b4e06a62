//! From a launch to dispatches: WGSL, constants, buffers, workgroups.
//!
//! Most launches become one dispatch. Long sums with few outputs become two, with partial sums in a
//! buffer of the executor's own, and so do contractions whose operand is better computed once
//! beforehand. [`assemble`](super::assemble) has what all of them share.

use onestep_shaders::{Generated, Variant};

use super::assemble::{Dispatch, Lowering};
use super::variant::Tuning;
use crate::exec::ExecError;
use crate::plan::{Kernel, Launch};

/// Dispatches of a launch.
pub fn lower(launch: &Launch, tuning: &Tuning) -> Result<Vec<Dispatch>, ExecError> {
    let mut lowering = Lowering::new(launch, tuning);
    match &launch.kernel {
        Kernel::Pointwise { body } => Ok(vec![lowering.pointwise(body, lowering.outputs())?]),
        Kernel::Reduce { body, reduced } => lowering.reduce(body, reduced),
        Kernel::ReduceMap { sums, reduced, map } => lowering.reduce_map(sums, reduced, map),
        Kernel::Moments { body, reduced, eps } => lowering.moments(body, reduced, *eps),
        Kernel::MatMul { .. } | Kernel::Conv2d { .. } | Kernel::Conv2dGradWeight { .. } => lowering.contraction(),
        Kernel::Softmax { rows, cols } => {
            let (ox, ry, _) = tuning.rows(*rows, *cols, true, false);
            let generated = Generated { math: true, ..Generated::default() };
            let constants = vec![("ROWS", *rows as f64), ("COLS", *cols as f64)];
            lowering.fixed(Variant::Rows { ox, ry }, &generated, constants, rows.div_ceil(ox as usize))
        }
        Kernel::Gather { rows, width, table } | Kernel::GatherBytes { rows, width, table } => {
            table_rows(&lowering, [*rows, *width, *table], rows * width)
        }
        Kernel::ScatterAdd { rows, width, table } => table_rows(&lowering, [*rows, *width, *table], table * width),
        Kernel::Adam { len, scalars } => {
            let vector = len % 4 == 0;
            let items = if vector { len / 4 } else { *len };
            let s = scalars;
            let places = [s.lr, s.beta1, s.beta2, s.eps, s.correction1, s.correction2, s.ema_decay, s.clip];
            let names = ["LR", "BETA1", "BETA2", "ADAM_EPS", "CORRECTION1", "CORRECTION2", "EMA_DECAY", "CLIP"];
            let mut constants = vec![("ITEMS", items as f64)];
            constants.extend(names.into_iter().zip(places.map(|p| p as f64)));
            let highest = places.into_iter().max().unwrap_or(0);
            let generated = Generated {
                run: true,
                scalars: highest as u32 / 4 + 1,
                values: vec![("vector", u32::from(vector))],
                ..Generated::default()
            };
            lowering.fixed(Variant::Items, &generated, constants, items.div_ceil(64))
        }
        Kernel::Record { ring } => {
            let values = vec![("inputs", launch.inputs.len() as u32)];
            let generated = Generated { run: true, scalars: 1, values, ..Generated::default() };
            lowering.fixed(Variant::Items, &generated, vec![("RING", *ring as f64)], 1)
        }
    }
}

/// A dispatch of one invocation per element, on rows of a table.
fn table_rows(
    lowering: &Lowering<'_>,
    [rows, width, table]: [usize; 3],
    items: usize,
) -> Result<Vec<Dispatch>, ExecError> {
    let constants = vec![("ROWS", rows as f64), ("WIDTH", width as f64), ("TABLE", table as f64)];
    lowering.fixed(Variant::Items, &Generated::default(), constants, items.div_ceil(64))
}
