//! Tables, the optimizer, statistics.

use onestep_core::plan::{AdamScalars, Kernel};
use onestep_tests::{ELEMENTWISE, EXACT, gpu, reduction, values};

use crate::case::{Case, SCALARS, report, tables};

#[test]
fn gathers_match_the_twin() {
    let mut failures = Vec::new();
    for (rows, width, table) in [(1, 1, 1), (5, 3, 4), (67, 130, 11), (256, 784, 100)] {
        // Some indices lie outside the table, and some between integers.
        let index: Vec<f32> = values(101, rows).into_iter().map(|v| (v + 0.9) * table as f32 * 0.6).collect();
        let shape = format!("{rows} rows of {width} from {table}");
        let gather = Kernel::Gather { rows, width, table };
        Case::new(format!("gather {shape}"), gather, vec![values(102, table * width), index.clone()], &[rows * width])
            .check(&tables()[..1], EXACT, &mut failures);
        let scatter = Kernel::ScatterAdd { rows, width, table };
        Case::new(
            format!("scatter_add {shape}"),
            scatter,
            vec![values(103, rows * width), index.clone()],
            &[table * width],
        )
        .check(&tables()[..1], reduction(rows), &mut failures);
        let words = (table * width).div_ceil(4);
        // The top bits are cleared lest the words be NaN, which hosts may change.
        let bytes = (0..words as u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9) & 0x3fff_ffff)).collect();
        let kernel = Kernel::GatherBytes { rows, width, table };
        Case::new(format!("gather_bytes {shape}"), kernel, vec![bytes, index], &[rows * width]).check(
            &tables()[..1],
            EXACT,
            &mut failures,
        );
    }
    report(&failures);
}

fn adam(len: usize, norm_sq: f32, clip: usize) -> Case {
    let scalars = AdamScalars { lr: 7, beta1: 3, beta2: 4, eps: 5, correction1: 6, correction2: 7, ema_decay: 4, clip };
    let positive = |seed| values(seed, len).into_iter().map(|v| v * v).collect::<Vec<_>>();
    let mut case = Case::new(
        format!("adam of {len}, norm_sq {norm_sq}, clip {}", SCALARS[clip]),
        Kernel::Adam { len, scalars },
        vec![values(111, len), vec![norm_sq]],
        &[],
    );
    case.outputs = vec![values(112, len), values(113, len), positive(114), values(115, len)];
    case
}

#[test]
fn adam_matches_the_twin() {
    let mut failures = Vec::new();
    for len in [1, 7, 64, 1000] {
        // Clipping at work, idle, and off.
        for (norm_sq, clip) in [(1e4, 8), (1e-4, 8), (3.0, 8), (1e4, 1), (0.0, 8)] {
            adam(len, norm_sq, clip).check(&tables()[..1], ELEMENTWISE, &mut failures);
        }
        for norm_sq in [f32::NAN, f32::INFINITY, -f32::NAN] {
            let case = adam(len, norm_sq, 8);
            case.check(&tables()[..1], EXACT, &mut failures);
            assert_eq!(case.on_gpu(&mut gpu()), case.outputs, "adam moved on a norm of {norm_sq}");
        }
    }
    report(&failures);
}

#[test]
fn record_matches_the_twin() {
    let mut failures = Vec::new();
    for (ring, width) in [(1, 1), (10, 3), (64, 7)] {
        let mut case = Case::new(
            format!("record {width} in {ring}"),
            Kernel::Record { ring },
            (0..width as u32).map(|i| values(i, 1)).collect(),
            &[],
        );
        case.outputs = vec![values(121, ring * width)];
        case.check(&tables()[..1], EXACT, &mut failures);
    }
    report(&failures);
}
