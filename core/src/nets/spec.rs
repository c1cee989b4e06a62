//! One parameter: its place, its first values, and its axes in a file.
//!
//! Invariant: first values depend on the seed, the parameter's name and the element alone, so
//! that networks with a part in common start it with the same numbers.

use crate::random;

/// How the axes in memory become those of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskLayout {
    /// As it is.
    Vector,
    /// `[out, in]` in both.
    Linear,
    /// `[k, k, Ci, Co]` in memory, `[Co, Ci, k, k]` in a file.
    Conv,
    /// As [`DiskLayout::Conv`], and the output channels (q, k, v) are three blocks in memory but
    /// interleaved in a file: channel `3 c + j` there is channel `c` of block `j` here.
    QkvConv,
    /// A vector over the output channels of [`DiskLayout::QkvConv`].
    QkvVector,
}

impl DiskLayout {
    /// Shape in a file of a tensor that has `shape` in memory.
    pub fn disk_shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Self::Conv | Self::QkvConv, &[kh, kw, ci, co]) => vec![co, ci, kh, kw],
            _ => shape.to_vec(),
        }
    }

    /// Element of the file that is element `i` in memory.
    pub(super) fn disk_index(self, shape: &[usize], i: usize) -> usize {
        let interleave = |o: usize, n: usize| (o % (n / 3)) * 3 + o / (n / 3);
        match (self, shape) {
            (Self::Conv | Self::QkvConv, &[_, k, ci, co]) => {
                let (tap, c, o) = (i / (ci * co), i / co % ci, i % co);
                let o = if self == Self::QkvConv { interleave(o, co) } else { o };
                (o * ci + c) * k * k + tap
            }
            (Self::QkvVector, &[n]) => interleave(i, n),
            _ => i,
        }
    }

    /// Inputs and outputs of one unit, for the scale of its first weights.
    fn fans(self, shape: &[usize]) -> (f32, f32) {
        let (fan_in, fan_out) = match (self, shape) {
            (Self::Conv | Self::QkvConv, &[kh, kw, ci, co]) => (ci * kh * kw, co * kh * kw),
            (Self::Linear, &[out, into]) => (into, out),
            _ => (shape.iter().product(), shape.iter().product()),
        };
        (fan_in as f32, fan_out as f32)
    }
}

/// First values, in the conventions of EDM's networks (Karras et al. 2022, appendix F).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// 0
    Zeros,
    /// 1
    Ones,
    /// Uniform with standard deviation `scale * sqrt(2 / (fan_in + fan_out))`.
    XavierUniform(f32),
    /// Normal with standard deviation `scale * sqrt(2 / (fan_in + fan_out))`.
    XavierNormal(f32),
    /// Uniform with standard deviation `scale * sqrt(1 / fan_in)`.
    KaimingUniform(f32),
    /// Normal with standard deviation `scale * sqrt(1 / fan_in)`.
    KaimingNormal(f32),
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// PyTorch-style name, such as `enc.14x14_conv.weight`.
    pub name: String,
    /// Sizes in memory.
    pub shape: Vec<usize>,
    /// First element in the flat store.
    pub offset: usize,
    /// First values.
    pub init: Init,
    /// Axes in a file.
    pub disk: DiskLayout,
}

impl ParamSpec {
    /// Number of elements.
    #[allow(clippy::len_without_is_empty)] // a parameter has at least one element
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its elements in the flat store.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }

    /// First values: element `i` depends on the seed, the name and `i` alone.
    pub(super) fn fill(&self, seed: u32, out: &mut [f32]) {
        let (fan_in, fan_out) = self.disk.fans(&self.shape);
        let hash = fnv1a(&self.name);
        let draw = |i: usize| random::threefry2x32([seed, hash as u32], [i as u32, (hash >> 32) as u32]);
        // A uniform number on (-1, 1) has variance 1 / 3.
        let uniform = |i: usize| 3.0f32.sqrt() * (2.0 * random::uniform(draw(i)[0]) - 1.0);
        let normal = |i: usize| random::normal(draw(i))[0];
        let xavier = (2.0 / (fan_in + fan_out)).sqrt();
        let kaiming = (1.0 / fan_in).sqrt();
        for (i, x) in out.iter_mut().enumerate() {
            *x = match self.init {
                Init::Zeros => 0.0,
                Init::Ones => 1.0,
                Init::XavierUniform(scale) => scale * xavier * uniform(i),
                Init::XavierNormal(scale) => scale * xavier * normal(i),
                Init::KaimingUniform(scale) => scale * kaiming * uniform(i),
                Init::KaimingNormal(scale) => scale * kaiming * normal(i),
            };
        }
    }
}

/// 64-bit FNV-1a: a stable hash, the same in every build.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::ParamLayout;

    #[test]
    fn initial_values_have_their_scale_and_do_not_depend_on_the_order() {
        let inits = [
            (Init::XavierUniform(2.0), 2.0 * (2.0f64 / 100.0).sqrt()),
            (Init::XavierNormal(0.5), 0.5 * (2.0f64 / 100.0).sqrt()),
            (Init::KaimingUniform(1.0), (1.0f64 / 60.0).sqrt()),
            (Init::KaimingNormal(1.0), (1.0f64 / 60.0).sqrt()),
        ];
        for (init, wanted) in inits {
            let spec = |name: &str, offset| ParamSpec {
                name: name.to_owned(),
                shape: vec![40, 60],
                offset,
                init,
                disk: DiskLayout::Linear,
            };
            let ab = ParamLayout { specs: vec![spec("a", 0), spec("b", 2432)], len: 4864 }.initial(3);
            let ba = ParamLayout { specs: vec![spec("b", 0), spec("a", 2432)], len: 4864 }.initial(3);
            assert_eq!(ab[..2400], ba[2432..4832]);
            assert_ne!(ab[..2400], ab[2432..4832]);
            let std = (ab[..2400].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 2400.0).sqrt();
            // Five standard errors of a normal's deviation: 5 / sqrt(2 * 2400).
            assert!((std / wanted - 1.0).abs() < 0.073, "{init:?}: {std} should be {wanted}");
        }
    }
}
