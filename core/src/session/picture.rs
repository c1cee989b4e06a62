//! Values to pixels.

/// Values of -1 to 1 as bytes.
pub fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().map(|x| ((x + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect()
}

/// Points `[n, 2]` as a grey picture of `size x size` bytes over the square of half width
/// `half_width`, up being positive: the brighter, the more points in the pixel.
pub fn scatter(points: &[f32], half_width: f32, size: usize) -> Vec<u8> {
    let mut counts = vec![0_u32; size * size];
    for point in points.chunks_exact(2) {
        let place = |x: f32| (x / half_width * 0.5 + 0.5) * size as f32;
        let (x, y) = (place(point[0]), place(-point[1]));
        let inside = |v: f32| v >= 0.0 && v < size as f32;
        if inside(x) && inside(y) {
            counts[y as usize * size + x as usize] += 1;
        }
    }
    // Saturating: one point is visible, many are white.
    counts.into_iter().map(|n| (255.0 * (1.0 - (-0.7 * f64::from(n)).exp())) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_and_clamped() {
        assert_eq!(to_bytes(&[-1.0, 0.0, 1.0, -9.0, 9.0]), [0, 128, 255, 0, 255]);
    }

    #[test]
    fn points_land_where_they_are() {
        let picture = scatter(&[0.9, 0.9, -5.0, 0.0, f32::NAN, 0.0], 1.0, 4);
        assert!(picture[3] > 0, "top right");
        assert_eq!(picture.iter().filter(|p| **p > 0).count(), 1);
    }
}
