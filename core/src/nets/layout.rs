//! Where each parameter lies, how it starts, and how it looks in a file.
//!
//! In memory a network is one flat array; in files it is tensors with PyTorch-style names and
//! axes, so that either side can be exchanged with others. Invariant: [`ParamLayout::to_tensors`]
//! and [`ParamLayout::from_tensors`] are inverse; what lies between two parameters is zero.

use litemap::LiteMap;

use super::ParamSpec;

/// Named tensors in the axes of a file, sorted by name.
pub type Tensors = LiteMap<String, Tensor>;

/// A tensor in the axes of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub values: Vec<f32>,
}

/// Tensors that do not fit a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A parameter without a tensor.
    #[error("tensor `{name}` of shape {wanted:?} is missing")]
    Missing {
        /// Its name.
        name: String,
        /// Its shape in a file.
        wanted: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("tensor `{name}` should have shape {wanted:?}, got {got:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The network's shape.
        wanted: Vec<usize>,
        /// The tensor's shape.
        got: Vec<usize>,
    },
    /// A tensor that the network does not have.
    #[error("tensor `{name}` of shape {got:?} is not part of this network")]
    Unknown {
        /// Its name.
        name: String,
        /// Its shape.
        got: Vec<usize>,
    },
}

/// Every parameter of a network and its place in the flat store.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamLayout {
    /// In order of offset.
    pub specs: Vec<ParamSpec>,
    /// Elements of the store, a multiple of [`crate::plan::SLOT_ALIGN`].
    pub len: usize,
}

impl ParamLayout {
    /// Number of parameters (without the gaps between them).
    pub fn parameters(&self) -> usize {
        self.specs.iter().map(ParamSpec::len).sum()
    }

    /// First values of the whole store. They do not depend on the order of the parameters, so
    /// that networks with a part in common start it with the same numbers.
    pub fn initial(&self, seed: u32) -> Vec<f32> {
        let mut values = vec![0.0; self.len];
        for spec in &self.specs {
            spec.fill(seed, &mut values[spec.range()]);
        }
        values
    }

    /// The store as tensors of a file, `prefix` in front of every name.
    pub fn to_tensors(&self, prefix: &str, values: &[f32]) -> Tensors {
        let tensor = |spec: &ParamSpec| {
            let mut disk = vec![0.0; spec.len()];
            for (i, &value) in values[spec.range()].iter().enumerate() {
                disk[spec.disk.disk_index(&spec.shape, i)] = value;
            }
            Tensor { shape: spec.disk.disk_shape(&spec.shape), values: disk }
        };
        self.specs.iter().map(|spec| (format!("{prefix}{}", spec.name), tensor(spec))).collect()
    }

    /// The store from the tensors whose names start with `prefix`. Every parameter must be there
    /// with its shape, and nothing else; the error tells of the first parameter that differs.
    pub fn from_tensors(&self, prefix: &str, tensors: &Tensors) -> Result<Vec<f32>, LayoutError> {
        // Before anything is allocated.
        self.check(prefix, tensors.iter().map(|(name, tensor)| (&name[..], &tensor.shape[..])))?;
        let mut values = vec![0.0; self.len];
        for spec in &self.specs {
            let disk = &tensors[&format!("{prefix}{}", spec.name)].values;
            for (i, value) in values[spec.range()].iter_mut().enumerate() {
                *value = disk[spec.disk.disk_index(&spec.shape, i)];
            }
        }
        Ok(values)
    }

    /// Whether tensors of these names and shapes are those of the network, as far as their names start with `prefix`.
    pub(crate) fn check<'a>(
        &self,
        prefix: &str,
        tensors: impl Iterator<Item = (&'a str, &'a [usize])>,
    ) -> Result<(), LayoutError> {
        let mut unknown: LiteMap<&str, &[usize]> =
            tensors.filter_map(|(name, shape)| Some((name.strip_prefix(prefix)?, shape))).collect();
        for spec in &self.specs {
            let wanted = spec.disk.disk_shape(&spec.shape);
            let name = format!("{prefix}{}", spec.name);
            let Some(got) = unknown.remove(&spec.name[..]) else {
                return Err(LayoutError::Missing { name, wanted });
            };
            if *got != wanted {
                return Err(LayoutError::Shape { name, wanted, got: got.to_vec() });
            }
        }
        match unknown.first() {
            Some((name, got)) => Err(LayoutError::Unknown { name: format!("{prefix}{name}"), got: got.to_vec() }),
            None => Ok(()),
        }
    }

    /// Copies into `values` every parameter that another network has under the same name and
    /// shape (the warm-up's encoder into the ratio network); returns the names.
    pub fn transfer(&self, values: &mut [f32], from: &Self, source: &[f32]) -> Vec<&str> {
        let theirs: LiteMap<&str, &ParamSpec> = from.specs.iter().map(|s| (s.name.as_str(), s)).collect();
        let mut copied = Vec::new();
        for spec in &self.specs {
            let same = theirs.get(spec.name.as_str()).filter(|s| s.shape == spec.shape && s.disk == spec.disk);
            if let Some(other) = same {
                values[spec.range()].copy_from_slice(&source[other.range()]);
                copied.push(spec.name.as_str());
            }
        }
        copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{DiskLayout, Init};

    fn layout() -> ParamLayout {
        let spec = |name: &str, shape: &[usize], offset, disk| ParamSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            offset,
            init: Init::XavierUniform(1.0),
            disk,
        };
        let specs = vec![
            spec("conv", &[3, 3, 2, 4], 0, DiskLayout::Conv),
            spec("qkv", &[1, 1, 2, 6], 128, DiskLayout::QkvConv),
            spec("bias", &[6], 192, DiskLayout::QkvVector),
            spec("linear", &[2, 3], 256, DiskLayout::Linear),
        ];
        ParamLayout { specs, len: 320 }
    }

    #[test]
    fn tensors_have_the_axes_of_pytorch() {
        let layout = layout();
        let values: Vec<f32> = (0..320).map(|i| i as f32).collect();
        let tensors = layout.to_tensors("net.", &values);
        let at = |name: &str, point: &[usize]| {
            let t = tensors.get(name).unwrap();
            t.values[point.iter().zip(&t.shape).fold(0, |i, (p, n)| i * n + p)]
        };
        assert_eq!(tensors.get("net.conv").unwrap().shape, [4, 2, 3, 3]);
        // Memory [dy, dx, ci, co] = [1, 2, 1, 3].
        assert_eq!(at("net.conv", &[3, 1, 1, 2]), f32::from(((3 + 2) * 2 + 1) * 4 + 3u8));
        // Channel c of q, k, v is at 3 c + j in the file.
        assert_eq!(tensors.get("net.bias").unwrap().values, [192.0, 194.0, 196.0, 193.0, 195.0, 197.0]);
        assert_eq!(at("net.qkv", &[3 + 2, 1, 0, 0]), 128.0 + 6.0 + 4.0 + 1.0);
        assert_eq!(tensors.get("net.linear").unwrap().values, [256.0, 257.0, 258.0, 259.0, 260.0, 261.0]);
        let back = layout.from_tensors("net.", &tensors).unwrap();
        for spec in &layout.specs {
            assert_eq!(back[spec.range()], values[spec.range()], "{}", spec.name);
        }
        assert_eq!(back[72..128], [0.0; 56]);
    }

    #[test]
    fn first_difference_is_named() {
        let layout = layout();
        let good = layout.to_tensors("", &[0.0; 320]);
        let error = |change: &dyn Fn(&mut Tensors)| {
            let mut tensors = good.clone();
            change(&mut tensors);
            layout.from_tensors("", &tensors).unwrap_err().to_string()
        };
        let text = error(&|t| t.get_mut("qkv").unwrap().shape = vec![6, 2]);
        assert_eq!(text, "tensor `qkv` should have shape [6, 2, 1, 1], got [6, 2]");
        let text = error(&|t| drop(t.remove("conv")));
        assert_eq!(text, "tensor `conv` of shape [4, 2, 3, 3] is missing");
        let text = error(&|t| drop(t.insert("extra".into(), Tensor { shape: vec![1], values: vec![0.0] })));
        assert_eq!(text, "tensor `extra` of shape [1] is not part of this network");
    }

    #[test]
    fn transfer_copies_what_has_the_same_name_and_shape() {
        let to = layout();
        let mut from = layout();
        from.specs[0].shape = vec![3, 3, 2, 3];
        from.specs.remove(3);
        let mut values = vec![1.0; 320];
        assert_eq!(to.transfer(&mut values, &from, &[2.0; 320]), ["qkv", "bias"]);
        assert_eq!(values.iter().filter(|x| **x == 2.0).count(), 18);
    }
}
