//! How a class comes into the difference of two scores.

use serde::{Deserialize, Serialize};

use crate::names::named;

/// Which weight of classifier-free guidance, `D(x | 0) + w (D(x | c) - D(x | 0))`, the teacher has, and which the fake
/// denoiser while it learns and when it is asked; g is the setting `guidance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuidanceRule {
    /// g for all three (SiD-LSG, arXiv 2406.01561): samples become those of the guided teacher.
    Lsg,
    /// The teacher is told the class, 1, and the fake denoiser never is, 0 (few-step `SiD`, arXiv 2505.12674).
    ZeroCfg,
    /// The teacher is told the class, and so is the fake denoiser while it learns; it is asked with `1 - g`, below zero for
    /// g above 1 (the same paper, which was not read: the sign is its, the number is of this project).
    AntiCfg,
}

named!(GuidanceRule, "rules of guidance": Lsg = "lsg", ZeroCfg = "zero-cfg", AntiCfg = "anti-cfg");
