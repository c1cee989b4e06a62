//! Pointwise kernels and random numbers.

use onestep_core::graph::{BinaryOp, Distribution, UnaryOp};
use onestep_core::plan::{Body, Inst, Kernel, View};
use onestep_tests::{ELEMENTWISE, EXACT, FUNCTION, values};

use crate::bodies::{SHAPES, Writer, along, view, views};
use crate::case::{Case, product, report, tables};

#[test]
fn pointwise_functions_match_the_twin() {
    use UnaryOp::{Abs, Cos, Exp, Floor, Log, Neg, Recip, Sigmoid, Sign, Sin, Softplus, Sqrt};
    let mut failures = Vec::new();
    for shape in SHAPES {
        let len = product(&shape);
        // The argument's scale reaches the clamps and the range reductions.
        for (op, scale, shift) in [
            (Neg, 3.0, 0.0),
            (Exp, 5.0, 0.0),
            (Exp, 85.0, 0.0),
            (Exp, 1e4, 0.0),
            (Log, 10.0, 10.0),
            (Log, 1e-3, 1.0),
            (Log, 1e-37, 0.0),
            (Sqrt, 4.0, 3.0),
            (Recip, 1.0, 2.0),
            (Sigmoid, 30.0, 0.0),
            (Softplus, 30.0, 0.0),
            (Softplus, 1e5, 0.0),
            (Sin, 3.0, 0.0),
            (Sin, 1e4, 0.0),
            (Cos, 3.0, 0.0),
            (Cos, 1e4, 0.0),
            (Abs, 2.0, 0.0),
            (Sign, 2.0, 0.0),
            (Floor, 9.0, 0.0),
        ] {
            let mut writer = Writer::new(&shape);
            let x = writer.whole(0);
            let y = writer.un(op, x);
            let input = values(7, len).into_iter().map(|v| v * scale + shift).collect();
            let case = Case::new(
                format!("{op:?} at scale {scale} on {shape:?}"),
                Kernel::Pointwise { body: writer.end(&[y]) },
                vec![input],
                &[len],
            );
            // Compilers that add up the constants of the range reduction: 1.7e-6 measured on lavapipe.
            let tolerance = if op == Exp && scale > 80.0 { ELEMENTWISE } else { FUNCTION };
            case.check(&tables()[..1], tolerance, &mut failures);
        }
    }
    report(&failures);
}

#[test]
fn pointwise_operators_match_the_twin() {
    use BinaryOp::{Add, Div, Less, Max, Min, Mul, Sub};
    let mut failures = Vec::new();
    for shape in SHAPES {
        let len = product(&shape);
        for op in [Add, Sub, Mul, Div, Max, Min, Less] {
            let mut writer = Writer::new(&shape);
            let (a, b) = (writer.whole(0), writer.whole(1));
            let s = writer.push(Inst::Scalar(2));
            let c = writer.push(Inst::Const(-2.5e-3));
            let y = writer.bin(op, a, b);
            let t = writer.bin(Mul, s, c);
            let z = writer.bin(Add, y, t);
            let body = writer.end(&[y, z]);
            let divisor = values(3, len).into_iter().map(|v| v + 1.5 * v.signum()).collect();
            let case = Case::new(
                format!("{op:?} on {shape:?}"),
                Kernel::Pointwise { body },
                vec![values(2, len), divisor],
                &[len, len],
            );
            case.check(&tables()[..1], ELEMENTWISE, &mut failures);
        }
    }
    report(&failures);
}

#[test]
fn pointwise_views_match_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        let (body, inputs) = views(shape, true);
        let len = product(&shape);
        Case::new(format!("views of {shape:?}"), Kernel::Pointwise { body }, inputs, &[len]).check(
            &tables()[..1],
            ELEMENTWISE,
            &mut failures,
        );
    }
    report(&failures);
}

/// A body of one sample per element, seen through `view`.
fn sample(shape: [usize; 4], distribution: Distribution, per_step: bool, view: View) -> Body {
    let mut writer = Writer::new(&shape);
    let x = writer.push(Inst::Random { distribution, stream: 0xdead_beef, per_step, view });
    writer.end(&[x])
}

#[test]
fn random_numbers_match_the_twin() {
    let mut failures = Vec::new();
    for shape in SHAPES {
        let len = product(&shape);
        let mut bounded = View::contiguous(&shape);
        bounded.index.offset = -1;
        bounded.bounds = vec![(along(4, 3, 1, -1), shape[3])];
        for (name, view) in
            [("whole", View::contiguous(&shape)), ("per sample", view(&[1, 0, 0, 0], 5)), ("bounded", bounded)]
        {
            for (distribution, per_step, tolerance) in [
                (Distribution::Uniform, true, EXACT),
                (Distribution::Uniform, false, EXACT),
                (Distribution::Normal, true, ELEMENTWISE),
            ] {
                let body = sample(shape, distribution, per_step, view.clone());
                let what = format!("{name} {distribution:?} on {shape:?}");
                Case::new(what, Kernel::Pointwise { body }, vec![], &[len]).check(
                    &tables()[..1],
                    tolerance,
                    &mut failures,
                );
            }
            let mut writer = Writer::new(&shape);
            let x = writer.push(Inst::Iota { view });
            let body = writer.end(&[x]);
            Case::new(format!("{name} iota on {shape:?}"), Kernel::Pointwise { body }, vec![], &[len]).check(
                &tables()[..1],
                EXACT,
                &mut failures,
            );
        }
    }
    report(&failures);
}
