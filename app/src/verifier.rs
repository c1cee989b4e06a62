//! Finding the ratio network that judges a generator's samples: best-of-N.

use std::path::{Path, PathBuf};

use onestep_core::model::{ModelFile, ModelKind};

use crate::exit::bad_input;

/// The ratio snapshot for a generator: the file that was given, or its neighbour of the same step.
pub fn open_ratio(given: Option<&Path>, generator: &ModelFile) -> anyhow::Result<ModelFile> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => sibling(Path::new(&generator.name)),
    };
    if given.is_none() && !path.is_file() {
        return Err(bad_input!(
            "--best-of needs a ratio network, but there is no {}; give --ratio FILE",
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
