//! Measured choices on disk: `onestep/kernels.json` in the user's cache directory.
//!
//! Invariant: whatever is wrong with the file (absent, damaged, not writable), the answer is "not
//! measured", never an error that a user sees.

use litemap::LiteMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::AdapterSummary;
use crate::files::atomic_write;

/// Choices by kernel and class.
type Names = LiteMap<String, String>;

/// Identifies what the measurements depend on.
pub fn key(adapter: &AdapterSummary) -> String {
    let AdapterSummary { name, backend, driver, .. } = adapter;
    format!("{name} | {backend} | {driver} | onestep {}", env!("CARGO_PKG_VERSION"))
}

/// The choices saved under `key`.
pub fn load(key: &str) -> Option<Names> {
    load_from(&path()?, key)
}

/// Saves choices beside those of other adapters.
pub fn save(key: &str, names: &Names) -> io::Result<()> {
    save_to(&path().ok_or(io::ErrorKind::NotFound)?, key, names)
}

fn path() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    Some(base?.join("onestep").join("kernels.json"))
}

fn read(path: &Path) -> LiteMap<String, Names> {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn load_from(path: &Path, key: &str) -> Option<Names> {
    read(path).remove(key)
}

fn save_to(path: &Path, key: &str, names: &Names) -> io::Result<()> {
    let mut all = read(path);
    all.insert(key.to_owned(), names.clone());
    std::fs::create_dir_all(path.parent().ok_or(io::ErrorKind::NotFound)?)?;
    let text = serde_json::to_vec_pretty(&all)?;
    atomic_write(path, |file| file.write_all(&text)).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_and_damage_means_not_measured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("kernels.json");
        assert_eq!(load_from(&path, "a"), None);
        let names = Names::from_iter([("conv2d/large".to_owned(), "tile8".to_owned())]);
        save_to(&path, "a", &names).unwrap();
        save_to(&path, "b", &Names::new()).unwrap();
        assert_eq!(load_from(&path, "a"), Some(names));
        assert_eq!(load_from(&path, "b"), Some(Names::new()));
        assert_eq!(load_from(&path, "c"), None);
        std::fs::write(&path, "{ torn").unwrap();
        assert_eq!(load_from(&path, "a"), None);
    }
}
