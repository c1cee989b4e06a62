//! What a tool has accepted: hashes of files, in a file.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::web::dist::hex;

/// Hashes of the files that a version of a tool has accepted.
pub struct Accepted {
    path: PathBuf,
    hashes: BTreeSet<String>,
}

impl Accepted {
    /// Of the tool with this name and version.
    pub fn by(folder: &Path, tool: &str) -> Result<Self> {
        let path = folder.join(format!("accepted-{tool}.txt"));
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.with_context(|| path.display().to_string())?,
        };
        Ok(Self { path, hashes: text.lines().map(str::to_owned).collect() })
    }

    /// The files with another content than any accepted one.
    pub fn unknown(&self, files: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let mut unknown = Vec::new();
        for file in files {
            if !self.hashes.contains(&hash(file)?) {
                unknown.push(file.clone());
            }
        }
        Ok(unknown)
    }

    /// These have been accepted, too.
    pub fn add<'a>(&mut self, files: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
        for file in files {
            self.hashes.insert(hash(file)?);
        }
        let lines: String = self.hashes.iter().flat_map(|hash| [hash.as_str(), "\n"]).collect();
        fs::write(&self.path, lines).with_context(|| self.path.display().to_string())
    }
}

fn hash(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    Ok(hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_unknown() {
        let folder = std::env::temp_dir().join(format!("onestep-accepted-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = ["a", "b"].map(|name| folder.join(name)).to_vec();
        for file in &files {
            fs::write(file, file.to_str().unwrap()).unwrap();
        }
        let mut accepted = Accepted::by(&folder, "tool-1").unwrap();
        assert_eq!(accepted.unknown(&files).unwrap(), files);
        accepted.add(files.iter()).unwrap();
        let again = || Accepted::by(&folder, "tool-1").unwrap().unknown(&files).unwrap();
        assert_eq!(again(), Vec::<PathBuf>::new());
        fs::write(&files[1], "another").unwrap();
        assert_eq!(again(), files[1..]);
        assert_eq!(Accepted::by(&folder, "tool-2").unwrap().unknown(&files).unwrap(), files, "of another version");
        fs::remove_dir_all(&folder).unwrap();
    }
}
