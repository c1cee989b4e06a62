//! What peers in Rust share: cases that onestep wrote, comparison with them, and the protocol of measuring.
//! `../README.md` describes both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use safetensors::SafeTensors;
pub use serde_json::Value;

pub type Failure = Box<dyn std::error::Error>;

/// A tensor in PyTorch's axes.
#[derive(Clone)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// A preset as onestep computes it.
pub struct Case {
    /// The settings of the run.
    pub settings: Value,
    /// The configuration of the network.
    pub network: Value,
    tensors: BTreeMap<String, Tensor>,
}

impl Case {
    /// Reads `NAME.json` and `NAME.safetensors`.
    pub fn open(folder: &Path, name: &str) -> Result<Self, Failure> {
        let read = |ending: &str| {
            let path = folder.join(format!("{name}.{ending}"));
            std::fs::read(&path)
                .map_err(|error| format!("{}: {error}; `cargo xtask bench peers` writes cases first", path.display()))
        };
        let bytes = read("safetensors")?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
        let network = metadata.metadata().as_ref().and_then(|entries| entries.get("network"));
        let network: Value = serde_json::from_str(network.ok_or("the header names no network")?)?;
        for key in ["attn_resolutions", "attn_middle", "label_dim", "adaptive_scale", "two_times"] {
            let is_off = match &network[key] {
                Value::Array(list) => list.is_empty(),
                value => value.is_null() || value.as_bool() == Some(false) || value.as_u64() == Some(0),
            };
            if !is_off {
                return Err(format!("{key}: peers know only networks without it; use mnist or gaussians").into());
            }
        }
        let mut tensors = BTreeMap::new();
        for (key, view) in SafeTensors::deserialize(&bytes)?.iter() {
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            tensors.insert(key.to_owned(), channels_first(key, Tensor { shape: view.shape().to_vec(), values }));
        }
        Ok(Self { settings: serde_json::from_slice(&read("json")?)?, network, tensors })
    }

    /// A tensor; images come as B x C x H x W.
    pub fn get(&self, key: &str) -> Result<&Tensor, Failure> {
        Ok(self.tensors.get(key).ok_or_else(|| format!("the case has no tensor `{key}`"))?)
    }

    /// Tensors whose names start so, without that.
    pub fn part(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let part = self.tensors.iter().filter_map(|(key, tensor)| Some((key.strip_prefix(prefix)?, tensor)));
        part.map(|(key, tensor)| (key.to_owned(), tensor.clone())).collect()
    }

    /// Whether the preset has this update.
    pub fn has(&self, update: &str) -> bool {
        self.tensors.contains_key(&format!("{update}.loss"))
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str) -> f64 {
        self.settings[name].as_f64().unwrap_or_else(|| panic!("`{name}` is no number among the settings"))
    }

    /// Learning rate and both decays of an update.
    pub fn rates(&self, update: &str) -> (f64, f32, f32) {
        match update {
            "warmup" => (self.number("lr_warmup"), 0.9, 0.999),
            _ => {
                let lr = if update == "ratio" { "lr_critic" } else { "lr_generator" };
                (self.number(lr), self.number("beta1") as f32, self.number("beta2") as f32)
            }
        }
    }
}

/// Images from B x H x W x C to B x C x H x W; all else as it is.
fn channels_first(key: &str, tensor: Tensor) -> Tensor {
    let is_parameter = ["weights.", "grad.", "after."].iter().any(|part| key.contains(part));
    let &[b, h, w, c] = &tensor.shape[..] else { return tensor };
    if is_parameter {
        return tensor;
    }
    let from = |i: usize| (i / (c * h * w) * h * w + i % (h * w)) * c + i / (h * w) % c;
    Tensor { shape: vec![b, c, h, w], values: (0..b * c * h * w).map(|i| tensor.values[from(i)]).collect() }
}

/// What differs from onestep, and by how much at most.
#[derive(Default)]
pub struct Comparison {
    worst: BTreeMap<&'static str, (f32, String)>,
    failures: Vec<String>,
    count: usize,
}

/// Two orders of the same sums of f32.
pub const OUTPUT: f32 = 2e-5;
/// The same, of a gradient.
pub const GRADIENT: f32 = 2e-4;
/// The optimizer is given onestep's own gradients.
pub const WEIGHTS: f32 = 1e-5;

impl Comparison {
    /// Errors are relative to the largest number of the tensor.
    pub fn check(&mut self, kind: &'static str, name: &str, got: &[f32], wanted: &Tensor, tolerance: f32) {
        self.count += 1;
        if got.len() != wanted.values.len() {
            self.failures.push(format!("{name}: {} numbers beside {}", got.len(), wanted.values.len()));
            return;
        }
        let largest = wanted.values.iter().fold(1e-30_f32, |most, x| most.max(x.abs()));
        let bad = got.iter().any(|x| !x.is_finite());
        let error = got.iter().zip(&wanted.values).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / largest;
        let error = if bad { f32::NAN } else { error };
        let worst = self.worst.entry(kind).or_default();
        if error.is_nan() || error > worst.0 || worst.1.is_empty() {
            *worst = (error, name.to_owned());
        }
        if error.is_nan() || error > tolerance {
            self.failures.push(format!("{name}: off by {error:.1e} of its largest number, tolerance {tolerance:.0e}"));
        }
    }

    /// Prints the result; an error if anything differs.
    pub fn finish(self) -> Result<(), Failure> {
        for (kind, (error, name)) in &self.worst {
            println!("{kind}: off by at most {error:.1e} ({name})");
        }
        self.failures.iter().for_each(|failure| println!("FAILED {failure}"));
        println!("{} tensors agree, {} differ", self.count - self.failures.len(), self.failures.len());
        if self.failures.is_empty() { Ok(()) } else { Err("it does not compute what onestep computes".into()) }
    }
}

/// Shortest time that is measured, in seconds.
const SPAN: f64 = 0.5;
/// Runs of a piece of work before it is measured for the first time.
const WARM_UP: usize = 2;

/// Says who answers, then measures `run` with each line of standard input until there is none.
pub fn answer(name: &str, mut run: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    println!("{name}");
    let mut known = BTreeSet::new();
    for work in std::io::stdin().lock().lines() {
        let work = work?;
        if work == "memory" {
            println!("{}", peak_memory()?);
            continue;
        }
        if known.insert(work.clone()) {
            (0..WARM_UP).try_for_each(|_| run(&work))?;
        }
        let start = Instant::now();
        let mut runs = 0;
        while runs == 0 || start.elapsed().as_secs_f64() < SPAN {
            run(&work)?;
            runs += 1;
        }
        println!("{}", start.elapsed().as_secs_f64() / f64::from(runs));
    }
    Ok(())
}

/// Most memory that this program has had, in bytes.
fn peak_memory() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
