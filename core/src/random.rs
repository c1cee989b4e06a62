//! Random numbers without state: Threefry-2x32 with 20 rounds, and two shapes of them.
//!
//! A number is a pure function of a key (seed and stream) and a counter (step and
//! element): sample i never depends on how many others are drawn, and the same seed
//! gives the same bits on every device, since the generator only adds, rotates and
//! xors 32-bit words. Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
//! 1, 2, 3" (SC 2011).

/// Rotations of the 8 rounds that repeat (Salmon et al. 2011, table 2, N = 2, W = 32).
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// Parity constant of the key schedule (Skein 1.3 for 32-bit words).
const PARITY: u32 = 0x1BD1_1BDA;

/// Threefry-2x32-20: two random 32-bit words for a key and a counter.
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let schedule = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(schedule[0]), counter[1].wrapping_add(schedule[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(ROTATIONS[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x[0] = x[0].wrapping_add(schedule[injection % 3]);
            x[1] = x[1].wrapping_add(schedule[(injection + 1) % 3]).wrapping_add(injection as u32);
        }
    }
    x
}

/// A uniform number in the open interval (0, 1), from the upper 23 of `bits`.
///
/// Neither end is reached, so a logarithm of it is finite.
pub fn uniform(bits: u32) -> f32 {
    ((bits >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// Two independent standard normal numbers (Box and Muller 1958).
///
/// Computed with 64 bits: machines and browsers differ in the last bits of elementary functions, which are rounded away.
pub fn normal(bits: [u32; 2]) -> [f32; 2] {
    let [u, v] = bits.map(|bits| f64::from(uniform(bits)));
    let radius = (-2.0 * u.ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
    [(radius * cos) as f32, (radius * sin) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the authors' Random123 library (`tests/kat_vectors`).
    #[test]
    fn threefry_matches_random123_known_answers() {
        let cases = [
            ([0; 2], [0; 2], [0x6b200159, 0x99ba4efe]),
            ([u32::MAX; 2], [u32::MAX; 2], [0x1cb996fc, 0xbb002be7]),
            ([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]),
        ];
        for (key, counter, wanted) in cases {
            assert_eq!(threefry2x32(key, counter), wanted, "key {key:x?}, counter {counter:x?}");
        }
    }

    #[test]
    fn uniform_stays_inside_the_open_interval() {
        assert!(uniform(0) > 0.0);
        assert!(uniform(u32::MAX) < 1.0);
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let n = 100_000;
        let (mut sum, mut square, mut product) = (0.0f64, 0.0f64, 0.0f64);
        for i in 0..n {
            let [a, b] = normal(threefry2x32([7, 0], [i, 0])).map(f64::from);
            sum += a + b;
            square += a * a + b * b;
            product += a * b;
        }
        // Five standard errors of each estimate.
        let n = f64::from(n);
        assert!((sum / (2.0 * n)).abs() < 5.0 / (2.0 * n).sqrt());
        assert!((square / (2.0 * n) - 1.0).abs() < 5.0 * (2.0 / (2.0 * n)).sqrt());
        assert!((product / n).abs() < 5.0 / n.sqrt());
    }
}
