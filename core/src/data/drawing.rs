//! A person's drawing as data: a cloud of points along the strokes.

use crate::random::{normal, threefry2x32};

/// Points of the data set: enough that the ratio network can't learn them by heart.
const POINTS: u32 = 16_384;
/// Standard deviation of the cloud around a stroke, in data units.
const PEN: f32 = 0.03;
/// Keeps these random numbers apart from others of the same seed.
const STREAM: u32 = 0x4452_4157;

/// Points around the vertices `x, y, x, y, ..` of strokes; none if there is no vertex.
pub fn cloud(vertices: &[f32], seed: u32) -> Vec<[f32; 2]> {
    let vertices: Vec<[f32; 2]> =
        vertices.as_chunks().0.iter().copied().filter(|v| v.iter().all(|x| x.is_finite() && x.abs() < 10.0)).collect();
    if vertices.is_empty() {
        return Vec::new();
    }
    let point = |i: u32| {
        let vertex = vertices[i as usize % vertices.len()];
        let noise = normal(threefry2x32([seed, STREAM], [0, i]));
        [vertex[0] + PEN * noise[0], vertex[1] + PEN * noise[1]]
    };
    (0..POINTS).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vertex_is_drawn_and_nonsense_is_not() {
        assert!(cloud(&[], 1).is_empty());
        assert!(cloud(&[f32::NAN, 0.0], 1).is_empty());
        let points = cloud(&[1.0, 0.0, -1.0, 0.5], 1);
        for vertex in [[1.0, 0.0], [-1.0, 0.5]] {
            let near = |p: &&[f32; 2]| (p[0] - vertex[0]).hypot(p[1] - vertex[1]) < 5.0 * PEN;
            assert_eq!(points.iter().filter(near).count(), POINTS as usize / 2, "around {vertex:?}");
        }
    }
}
