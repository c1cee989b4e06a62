//! What a model file says about itself: strings in the header of a safetensors file.
//!
//! Invariant: [`ModelMeta::entries`] and [`ModelMeta::parse`] are inverse, and entries have one
//! order, so that equal models are equal files.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ModelProblem;
use crate::nets::{NetworkConfig, SIGMA_DATA};

/// Name and major version of the format.
pub const FORMAT: &str = "onestep/1";

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// A one-step generator.
    Generator,
    /// A denoiser, from a warm-up.
    Denoiser,
    /// A ratio network.
    Ratio,
    /// Everything that a resumed run needs.
    State,
}

/// What a model file says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelMeta {
    /// What it is for.
    pub kind: ModelKind,
    /// The generator's network, from which the ratio network follows.
    pub network: NetworkConfig,
    /// Noise level at which the generator is evaluated.
    pub sigma_init: f32,
    /// Sizes of one data point: `[H, W, C]` or `[D]`.
    pub data_shape: Vec<usize>,
    /// Numbers that mean black and white; for points, the range that plots show.
    pub data_range: [f32; 2],
    /// Generator updates so far.
    pub step: u64,
    /// Seed of the run.
    pub seed: u32,
    /// Name of the data set.
    pub dataset: String,
    /// Licence of the weights.
    pub license: String,
    /// Program and version that wrote the file.
    pub created_by: String,
}

impl ModelMeta {
    /// Metadata of a new model; the rest is to be filled in.
    pub fn new(kind: ModelKind, network: NetworkConfig) -> Self {
        Self {
            kind,
            data_shape: network.data_shape(),
            network,
            sigma_init: 80.0,
            data_range: [-1.0, 1.0],
            step: 0,
            seed: 0,
            dataset: String::new(),
            license: String::new(),
            created_by: concat!("onestep ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// Keys and values of the header, in order.
    pub(crate) fn entries(&self) -> Vec<(&'static str, String)> {
        vec![
            ("format", FORMAT.to_owned()),
            ("kind", json(&self.kind).trim_matches('"').to_owned()),
            ("network", json(&self.network)),
            ("sigma_init", self.sigma_init.to_string()),
            ("sigma_data", SIGMA_DATA.to_string()),
            ("data_shape", json(&self.data_shape)),
            ("data_range", json(&self.data_range)),
            ("step", self.step.to_string()),
            ("seed", self.seed.to_string()),
            ("dataset", self.dataset.clone()),
            ("license", self.license.clone()),
            ("created_by", self.created_by.clone()),
        ]
    }

    /// The metadata of a header; refuses other formats, and networks that cannot be built.
    pub(super) fn parse(entries: Option<&HashMap<String, String>>) -> Result<Self, ModelProblem> {
        let entries = Entries(entries.ok_or_else(|| ModelProblem::Foreign { got: "no metadata".into() })?);
        check_format(entries.0.get("format"))?;
        let network: NetworkConfig = entries.json("network", "the settings of a network")?;
        network.validate()?;
        let meta = Self {
            kind: entries.kind()?,
            sigma_init: entries.number("sigma_init", |s: &f32| s.is_finite() && *s > 0.0, "a positive number")?,
            data_shape: entries.json("data_shape", "a list of sizes")?,
            data_range: entries.json("data_range", "two numbers")?,
            step: entries.number("step", |_| true, "a whole number")?,
            seed: entries.number("seed", |_| true, "a whole number")?,
            dataset: entries.text("dataset"),
            license: entries.text("license"),
            created_by: entries.text("created_by"),
            network,
        };
        let [lo, hi] = meta.data_range;
        if !(lo.is_finite() && hi.is_finite() && lo < hi) {
            return Err(entries.wrong("data_range", "two finite numbers in ascending order"));
        }
        if meta.data_shape != meta.network.data_shape() {
            return Err(entries.wrong("data_shape", &format!("{:?}, as in the network,", meta.network.data_shape())));
        }
        // The networks are preconditioned for this one number.
        entries.number("sigma_data", |s: &f32| *s == SIGMA_DATA, &SIGMA_DATA.to_string())?;
        Ok(meta)
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers, strings and lists always have a JSON form")
}

fn check_format(format: Option<&String>) -> Result<(), ModelProblem> {
    let Some(format) = format else { return Err(ModelProblem::Foreign { got: "no `format` in its metadata".into() }) };
    match format.strip_prefix("onestep/").map(u32::from_str) {
        Some(Ok(1)) => Ok(()),
        Some(Ok(_)) => Err(ModelProblem::Newer { got: format.clone(), wanted: FORMAT }),
        _ => Err(ModelProblem::Foreign { got: format!("its format is `{}`", shortened(format)) }),
    }
}

/// At most 60 characters, for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The header's strings.
struct Entries<'a>(&'a HashMap<String, String>);

impl Entries<'_> {
    fn wrong(&self, key: &'static str, wanted: &str) -> ModelProblem {
        let got = self.0.get(key).map_or_else(|| "nothing".to_owned(), |text| format!("`{}`", shortened(text)));
        ModelProblem::Metadata { key, wanted: wanted.to_owned(), got }
    }

    fn text(&self, key: &str) -> String {
        self.0.get(key).cloned().unwrap_or_default()
    }

    fn json<T: DeserializeOwned>(&self, key: &'static str, wanted: &str) -> Result<T, ModelProblem> {
        let text = self.0.get(key).ok_or_else(|| self.wrong(key, wanted))?;
        serde_json::from_str(text).map_err(|error| self.wrong(key, &format!("{wanted} ({error})")))
    }

    fn kind(&self) -> Result<ModelKind, ModelProblem> {
        let text = serde_json::Value::String(self.text("kind"));
        serde_json::from_value(text).map_err(|_| self.wrong("kind", "generator, denoiser, ratio or state"))
    }

    fn number<T: FromStr + Display>(
        &self,
        key: &'static str,
        fits: impl Fn(&T) -> bool,
        wanted: &str,
    ) -> Result<T, ModelProblem> {
        let value = self.0.get(key).and_then(|text| text.parse().ok()).filter(fits);
        value.ok_or_else(|| self.wrong(key, wanted))
    }
}
