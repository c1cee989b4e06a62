//! A private folder for `XDG_RUNTIME_DIR`, without which the Vulkan loader prints errors.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// A folder that is removed with this value; `None` where the system has one of its own.
#[derive(Debug)]
pub struct RuntimeDir(Option<PathBuf>);

impl RuntimeDir {
    /// Makes a folder if the variable is unset.
    pub fn ensure() -> Result<Self> {
        if cfg!(not(unix)) || std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| !dir.is_empty()) {
            return Ok(Self(None));
        }
        let dir = std::env::temp_dir().join(format!("onestep-runtime-{}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        // Fails if the folder exists: somebody else's would not be private.
        builder.create(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        Ok(Self(Some(dir)))
    }

    /// Tells a program that is about to start about the folder.
    pub fn pass_on(&self, command: &mut std::process::Command) {
        if let Some(dir) = &self.0 {
            command.env("XDG_RUNTIME_DIR", dir);
        }
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            // It is temporary anyway: a leftover is no reason to fail.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}
