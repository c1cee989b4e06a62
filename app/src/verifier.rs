//! One of several candidates for each sample: the flags, and the ratio network that judges them.

use std::fmt;
use std::path::{Path, PathBuf};

use onestep_core::model::{ModelFile, ModelKind};
use onestep_core::sampling::Choice;

use crate::exit::bad_input;
use crate::range::in_range;

/// Which of how many candidates is kept.
#[derive(clap::Args)]
pub struct ChoiceArgs {
    /// Draw this many candidates per seed (seed*N to seed*N+N-1) and keep the one that the ratio network prefers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = in_range::<u32>(1..=100_000))]
    best_of: u32,
    /// Draw as many and keep one at random, the likelier the more the ratio network prefers it.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "best_of",
        value_parser = in_range::<u32>(1..=100_000))]
    resample: u32,
    /// The ratio network for --best-of and --resample [default: ratio-* beside the generator].
    #[arg(long, value_name = "FILE")]
    ratio: Option<PathBuf>,
}

impl ChoiceArgs {
    /// How many candidates there are for each sample.
    pub fn candidates(&self) -> u32 {
        self.best_of.max(self.resample)
    }

    /// Which of them is kept.
    pub fn choice(&self) -> Choice {
        if self.resample > 1 { Choice::Resample } else { Choice::Best }
    }

    /// The ratio network that judges what a generator draws, if there is a choice.
    pub fn open_ratio(&self, generator: &ModelFile) -> anyhow::Result<Option<ModelFile>> {
        (self.candidates() > 1).then(|| open_ratio(self.ratio.as_deref(), generator)).transpose()
    }
}

/// As a part of a sentence, such as `best of 8`.
impl fmt::Display for ChoiceArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.choice() {
            Choice::Best => write!(f, "best of {}", self.best_of),
            Choice::Resample => write!(f, "resampled of {}", self.resample),
        }
    }
}

/// The ratio snapshot for a generator: the file that was given, or its neighbour of the same step.
pub fn open_ratio(given: Option<&Path>, generator: &ModelFile) -> anyhow::Result<ModelFile> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => sibling(Path::new(&generator.name)),
    };
    if given.is_none() && !path.is_file() {
        return Err(bad_input!(
            "a choice among candidates needs a ratio network, but there is no {}; give --ratio FILE",
            path.display()
        ));
    }
    let ratio = ModelFile::open(&path)?;
    if ratio.meta.kind != ModelKind::Ratio {
        return Err(bad_input!("{}: is not a ratio network; give a file like ratio-000500.safetensors", ratio.name));
    }
    let (wanted, got) = (&generator.meta.data_shape, &ratio.meta.data_shape);
    if wanted != got {
        return Err(bad_input!(
            "{}: judges data of shape {got:?}, the generator makes {wanted:?}; take both files from one run",
            ratio.name
        ));
    }
    let (wanted, got) = (generator.meta.network.classes(), ratio.meta.network.classes());
    if wanted != got {
        return Err(bad_input!(
            "{}: knows {got} classes, the generator {wanted}; take both files from one run",
            ratio.name
        ));
    }
    ratio.own_parameters()?;
    Ok(ratio)
}

/// `ratio-000500.safetensors` beside `generator-000500.safetensors`, `mnist-ratio` beside `mnist-generator`.
pub fn sibling(generator: &Path) -> PathBuf {
    let name = generator.file_name().unwrap_or_default().to_string_lossy();
    let ratio = name.replacen("generator", "ratio", 1);
    generator.with_file_name(if ratio == name { format!("ratio-{name}") } else { ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_snapshots_lie_beside_their_generator() {
        let of = |name: &str| sibling(Path::new(name)).display().to_string();
        assert_eq!(of("runs/a/snapshots/generator-000500.safetensors"), "runs/a/snapshots/ratio-000500.safetensors");
        assert_eq!(of("web/mnist-generator.safetensors"), "web/mnist-ratio.safetensors");
        assert_eq!(of("mnist.safetensors"), "ratio-mnist.safetensors");
    }
}
