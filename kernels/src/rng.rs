//! Blocks of counter-based random numbers.
//!
//! The twin of `shaders/lib/random.wgsl`: same bits, same formulas, here as loops that vectorise.
//! Each element has a counter of its own, so no element depends on its neighbours.

use crate::op::Distribution;
use crate::{math, vectorised};
use pulp::Simd;

vectorised! {
    /// `dst[i]` = random number of element `elements[i]`.
    pub fn fill(
        distribution: Distribution,
        key: [u32; 2],
        step: u32,
        elements: &[u32],
        dst: &mut [f32],
    ) {
        let numbers = dst.iter_mut().zip(elements);
        match distribution {
            Distribution::Uniform => {
                for (d, &e) in numbers {
                    *d = unit(threefry(key, [step, e])[0]);
                }
            }
            Distribution::Normal => {
                for (d, &e) in numbers {
                    *d = normal::<S>(threefry(key, [step, e]));
                }
            }
        }
    }
}

/// `random::threefry2x32` of `onestep-core` written out, so that a loop over it vectorises (a test
/// compares the two).
#[inline(always)]
pub fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    macro_rules! four_rounds {
        ($injection:literal: $($turn:literal)*) => {
            $(
                x[0] = x[0].wrapping_add(x[1]);
                x[1] = x[1].rotate_left($turn) ^ x[0];
            )*
            x[0] = x[0].wrapping_add(keys[$injection % 3]);
            x[1] = x[1].wrapping_add(keys[($injection + 1) % 3].wrapping_add($injection));
        };
    }
    four_rounds!(1: 13 15 26 6);
    four_rounds!(2: 17 29 16 24);
    four_rounds!(3: 13 15 26 6);
    four_rounds!(4: 17 29 16 24);
    four_rounds!(5: 13 15 26 6);
    x
}

/// The upper 23 bits as a number between 0 and 1.
#[inline(always)]
pub fn unit(bits: u32) -> f32 {
    // Through i32: vectors have no unsigned conversion before AVX-512.
    ((bits >> 9) as i32 as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// The standard normal number of these bits (Box and Muller 1958).
#[inline(always)]
fn normal<S: Simd>(bits: [u32; 2]) -> f32 {
    (-2.0 * math::log::<S>(unit(bits[0]))).sqrt() * math::cos_turns::<S>(unit(bits[1]))
}
