//! Khronos' validator of SPIR-V, what Vulkan's drivers are handed: `spirv-val` of Debian's `spirv-tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::{Accepted, Verdict, ask_for_new};
use crate::{step, vulkan};

/// Complaints that are not ours, each with its reason.
const KNOWN: [(&str, &str); 1] = [(
    "VUID-StandaloneSpirv-None-10684",
    "naga writes the stride of arrays in workgroup memory, which Vulkan allows only with an extension; drivers ignore it",
)];

/// Judges the SPIR-V.
pub fn judge(folder: &Path) -> Result<Verdict> {
    if !step::works("spirv-val", &["--version"]) {
        if !Path::new("/etc/debian_version").exists() {
            return Ok(Verdict::Missing("`spirv-val` is not installed; it is part of Khronos' SPIRV-Tools".to_owned()));
        }
        vulkan::install(&["spirv-tools"])?;
    }
    let wrong = folder.join("wrong.spv");
    fs::write(&wrong, b"no SPIR-V")?;
    if complaint(&wrong)?.is_none() {
        bail!("spirv-val takes what is no SPIR-V");
    }
    let version = step::capture(Command::new("spirv-val").arg("--version"))?.stdout;
    let version: String = version.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join("-");
    let accepted = Accepted::by(folder, &version.replace('/', "-"))?;
    ask_for_new(&folder.join("spirv"), accepted, |files| {
        let mut refused = Vec::new();
        for file in files {
            if let Some(why) = complaint(file)?.filter(|why| !KNOWN.iter().any(|(rule, _)| why.contains(rule))) {
                refused.push((file.clone(), why));
            }
        }
        Ok(refused)
    })
}

/// What is wrong with a module.
fn complaint(file: &PathBuf) -> Result<Option<String>> {
    let run = step::capture(Command::new("spirv-val").args(["--target-env", "vulkan1.1"]).arg(file))?;
    Ok((!run.ok).then(|| format!("{}{}", run.stdout, run.stderr).replace('\n', " ")))
}
