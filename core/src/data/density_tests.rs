//! Tests of the densities: formula against sample, each the other's oracle.

use super::*;

/// Cells along a side of the grids below.
const CELLS: usize = 48;

/// Midpoints of `count` x `count` cells over the density's square, and the cells' side.
fn grid(density: Density, count: usize) -> (Vec<[f32; 2]>, f64) {
    let half = f64::from(density.half_width());
    let side = 2.0 * half / count as f64;
    let at = |k: usize| ((k as f64 + 0.5) * side - half) as f32;
    let points = (0..count * count).map(|i| [at(i % count), at(i / count)]);
    (points.collect(), side)
}

#[test]
fn names_parse_and_wrong_ones_list_the_right_ones() {
    for &density in Density::ALL {
        assert_eq!(Density::parse(density.name()).unwrap(), density);
    }
    assert_eq!(Density::parse("two_moons").unwrap(), Density::TwoMoons);
    assert_eq!(Density::parse("gaussians").unwrap(), Density::Gaussians8);
    let text = Density::parse("donut").unwrap_err().to_string();
    assert!(text.contains("donut") && text.contains("rings"), "{text}");
}

#[test]
fn seed_decides_and_longer_samples_begin_with_shorter_ones() {
    for &density in Density::ALL {
        let a = density.sample(100, 5);
        assert_eq!(a[..40], density.sample(40, 5), "{density:?}");
        assert_eq!(a[60..], density.sample_range(60, 40, 5), "{density:?}");
        assert_ne!(a, density.sample(100, 6), "{density:?}");
        assert_ne!(a, density.sample(100, 5 + (1 << 40)), "{density:?}");
    }
}

#[test]
fn classes_are_the_parts_that_points_were_drawn_from() {
    let n = 20_000;
    for &density in Density::ALL {
        let (points, classes) = density.sample_with_classes(n, 4);
        assert_eq!(points, density.sample(n, 4), "{density:?}");
        let mut full = vec![0; density.classes()];
        for class in &classes {
            full[*class as usize] += 1;
        }
        // Rings are filled by their length, the others evenly.
        let share = |k: usize| match density {
            Density::Rings => (k as f64 + 1.0) / 6.0,
            _ => 1.0 / full.len() as f64,
        };
        for (k, count) in full.iter().enumerate() {
            let expected = share(k) * f64::from(n as u32);
            assert!((f64::from(*count) - expected).abs() < 5.0 * expected.sqrt(), "{density:?}: {full:?}");
        }
        let right = points.iter().zip(&classes).filter(|(x, class)| density.nearest_class(**x) == **class).count();
        // The blades meet in the middle, and the halves of the spiral in a point.
        let most = if matches!(density, Density::Pinwheel | Density::SwissRoll) { 0.99 } else { 0.998 };
        assert!(right as f64 >= most * f64::from(n as u32), "{density:?}: {right} of {n}");
    }
}

#[test]
fn mean_is_0_and_standard_deviation_is_sigma_data() {
    let n = 200_000;
    for &density in Density::ALL {
        let sample = density.sample(n, 1);
        for axis in 0..2 {
            let values = sample.iter().map(|p| f64::from(p[axis]));
            let mean = values.clone().sum::<f64>() / n as f64;
            let variance = values.map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
            // 0.5 / sqrt(200,000) = 0.0011 is one standard error of the mean.
            assert!(mean.abs() < 0.005, "{density:?} axis {axis}: mean {mean}");
            assert!((variance.sqrt() - 0.5).abs() < 0.005, "{density:?} axis {axis}: {variance}");
        }
    }
}

#[test]
fn density_integrates_to_1_over_its_square() {
    for &density in Density::ALL {
        let (points, side) = grid(density, 400);
        let mass: f64 = points.iter().map(|&x| density.density(x)).sum::<f64>() * side * side;
        // The board's edges cut through cells; everything else is smooth.
        let tolerance = if density == Density::Checkerboard { 0.01 } else { 1e-4 };
        assert!((mass - 1.0).abs() < tolerance, "{density:?}: {mass}");
    }
}

#[test]
fn samples_have_the_density_that_the_formula_says() {
    let n = 400_000;
    for &density in Density::ALL {
        // Expected mass of each cell from 8 x 8 points in it.
        let fine = 8;
        let (points, side) = grid(density, CELLS * fine);
        let mut wanted = vec![0.0; CELLS * CELLS];
        for (i, &x) in points.iter().enumerate() {
            let (column, row) = (i % (CELLS * fine) / fine, i / (CELLS * fine) / fine);
            wanted[row * CELLS + column] += density.density(x) * side * side;
        }
        let half = f64::from(density.half_width());
        let mut got = vec![0.0; CELLS * CELLS];
        let mut outside = 0;
        for x in density.sample(n, 9) {
            let [column, row] = x.map(|v| ((f64::from(v) + half) / (2.0 * half) * CELLS as f64).floor());
            let inside = |v: f64| (0.0..CELLS as f64).contains(&v);
            if inside(column) && inside(row) {
                got[row as usize * CELLS + column as usize] += 1.0 / n as f64;
            } else {
                outside += 1;
            }
        }
        assert!(outside <= 8, "{density:?}: {outside} of {n} outside");
        let distance: f64 = wanted.iter().zip(&got).map(|(a, b)| (a - b).abs()).sum();
        // The mean total deviation of a perfect sample, sum of sqrt(2 p / (pi n)).
        let noise: f64 = wanted.iter().map(|p| (2.0 * p / (std::f64::consts::PI * f64::from(n as u32))).sqrt()).sum();
        let board = if density == Density::Checkerboard { 0.03 } else { 0.0 };
        assert!(distance < 1.15 * noise + board, "{density:?}: {distance} against {noise}");
    }
}

#[test]
fn log_density_is_finite_on_samples_and_far_away() {
    for &density in Density::ALL {
        for x in density.sample(10_000, 3) {
            assert!(density.log_density(x).is_finite(), "{density:?} at {x:?}");
        }
        for x in [[0.0, 0.0], [50.0, -70.0], [1e6, 1e6]] {
            let value = density.log_density(x);
            assert!(!value.is_nan() && value < 10.0, "{density:?} at {x:?}: {value}");
            assert!(value.is_finite() || density == Density::Checkerboard, "{density:?} at {x:?}");
        }
    }
}

#[test]
fn modes_are_separate_and_equally_full() {
    let n = 80_000;
    for (density, count) in [(Density::Gaussians8, 8), (Density::Checkerboard, 8), (Density::Pinwheel, 5)] {
        let modes = density.modes().unwrap();
        assert_eq!(modes.len(), count);
        let far = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let mut full = vec![0; count];
        for x in density.sample(n, 2) {
            let nearest = (0..count).min_by(|&a, &b| far(x, modes[a]).total_cmp(&far(x, modes[b]))).unwrap();
            full[nearest] += 1;
            if density == Density::Gaussians8 {
                assert!(far(x, modes[nearest]) < 0.4, "{x:?}");
            }
        }
        let expected = f64::from(n as u32) / count as f64;
        for k in full {
            let off = (f64::from(k) - expected).abs();
            assert!(off < 5.0 * expected.sqrt(), "{density:?}: {k} against {expected}");
        }
    }
    assert!(Density::Rings.modes().is_none());
}

#[test]
fn nodes_of_the_curves_are_close_enough_for_the_midpoint_rule() {
    // The moons are two curves: no step from the end of one to the start of the other.
    assert!(curve::two_moons().coarseness(&[512]) < 0.25);
    assert!(curve::swiss_roll().coarseness(&[]) < 0.3);
}

#[test]
fn bessel_function_matches_its_integral() {
    for x in [0.0, 0.5, 3.7, 3.8, 20.0, 800.0] {
        // exp(-x) I0(x) = mean over half a turn of exp(x (cos t - 1)).
        let n = 20_000;
        let mean = (0..n)
            .map(|k| {
                let t = std::f64::consts::PI * (f64::from(k) + 0.5) / f64::from(n);
                (x * (t.cos() - 1.0)).exp()
            })
            .sum::<f64>()
            / f64::from(n);
        let got = shapes::scaled_bessel(x);
        assert!((got / mean - 1.0).abs() < 1e-6, "{x}: {got} against {mean}");
    }
}
