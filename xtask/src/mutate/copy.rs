//! A copy of the shaders that may be broken, so that the work tree never is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders of WGSL.
const FOLDERS: [&str; 2] = ["kernels", "lib"];

/// The copy.
#[derive(Debug)]
pub struct Shaders {
    folder: PathBuf,
}

/// One edited file; dropping this restores it.
#[derive(Debug)]
pub struct Edited {
    path: PathBuf,
    text: String,
}

impl Shaders {
    /// Copies the WGSL of `from` to `to`, whose former content goes.
    pub fn copy(from: &Path, to: &Path) -> Result<Self> {
        if to.exists() {
            fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
        }
        for folder in FOLDERS {
            let target = to.join(folder);
            fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
            for name in names(&from.join(folder))? {
                let source = from.join(folder).join(&name);
                fs::copy(&source, target.join(&name)).with_context(|| format!("cannot copy {}", source.display()))?;
            }
        }
        Ok(Self { folder: to.to_owned() })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of a file such as `kernels/matmul.wgsl`.
    pub fn text(&self, file: &str) -> Result<String> {
        let path = self.folder.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Changes a file until the result is dropped.
    pub fn overwrite(&self, file: &str, text: &str) -> Result<Edited> {
        let edited = Edited { path: self.folder.join(file), text: self.text(file)? };
        fs::write(&edited.path, text).with_context(|| format!("cannot write {}", edited.path.display()))?;
        Ok(edited)
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        // The copy is made anew by the next run, so a failure here spoils only this one.
        if let Err(error) = fs::write(&self.path, &self.text) {
            eprintln!("cannot restore {}: {error}", self.path.display());
        }
    }
}

/// Names of the files in a folder, sorted.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
