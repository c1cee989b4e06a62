//! A test program, built once and run many times.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::step;

/// A built test program.
#[derive(Debug)]
pub struct Program {
    executable: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Builds `folder/tests/name.rs` of a package.
    pub fn build(folder: &str, package: &str, name: &str) -> Result<Self> {
        let args = ["test", "--release", "--package", package, "--test", name, "--no-run"];
        step::heading(&format!("cargo {}", args.join(" ")));
        let mut command = step::cargo(&args);
        // Messages for people go to standard error as always, those with the path to standard output.
        command.arg("--message-format=json-render-diagnostics").stderr(std::process::Stdio::inherit());
        let output = command.output()?;
        let path = String::from_utf8_lossy(&output.stdout).lines().find_map(|line| executable(line, name));
        match path {
            Some(executable) if output.status.success() => Ok(Self { executable, folder: step::root().join(folder) }),
            _ => bail!("the tests don't build"),
        }
    }

    /// To be run as cargo does, in the package's folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder);
        command
    }
}

/// The path in cargo's message about the test program `name`.
fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    (message["target"]["name"] == name).then(|| message["executable"].as_str().map(PathBuf::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found_among_the_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"gpu"},"executable":"/t/gpu-1"}"#;
        assert_eq!(executable(line, "gpu"), Some(PathBuf::from("/t/gpu-1")));
        assert_eq!(executable(line, "cpu"), None);
        let library = r#"{"reason":"compiler-artifact","target":{"name":"gpu"},"executable":null}"#;
        assert_eq!(executable(library, "gpu"), None);
        assert_eq!(executable("no message", "gpu"), None);
    }
}
