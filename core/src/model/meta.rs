//! What a model file says about itself: strings in the header of a safetensors file.
//!
//! Invariant: [`ModelMeta::entries`] and [`ModelMeta::parse`] are inverse, and entries have one
//! order, so that equal models are equal files.

use std::str::FromStr;

use serde::Serialize;

use super::ModelProblem;
use crate::json::FromJson;
use crate::names::named;
use crate::nets::{Draw, NetworkConfig, SIGMA_DATA};

/// Name and major version of the format.
pub const FORMAT: &str = "onestep/1";

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

named!(
    ModelKind, "kinds of model files":
    Generator = "generator", Denoiser = "denoiser", Ratio = "ratio", State = "state",
);

/// What a model file says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelMeta {
    /// What it is for.
    pub kind: ModelKind,
    /// The generator's network, from which the ratio network follows.
    pub network: NetworkConfig,
    /// Noise level at which the generator is evaluated.
    pub sigma_init: f32,
    /// How samples are drawn from it, where it is not the usual way: see [`ModelMeta::draw`].
    pub draw: Option<Draw>,
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
            draw: None,
            data_range: [-1.0, 1.0],
            step: 0,
            seed: 0,
            dataset: String::new(),
            license: String::new(),
            created_by: concat!("onestep ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// How samples are drawn: as the file says; without a word from a denoiser in 35 evaluations, the number that Karras
    /// et al. 2022 report for small images, else in one.
    pub fn draw(&self) -> Draw {
        match &self.draw {
            Some(draw) => draw.clone(),
            None if self.kind == ModelKind::Denoiser => Draw::heun(18, self.sigma_init),
            None => Draw::once(self.sigma_init),
        }
    }

    /// Keys and values of the header, in order.
    pub(crate) fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![
            ("format", FORMAT.to_owned()),
            ("kind", self.kind.name().to_owned()),
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
        ];
        if let Some(draw) = &self.draw {
            entries.push(("draw", json(draw)));
        }
        // A model without classes is written as it was before there were such.
        let classes = self.network.classes();
        if classes > 0 {
            entries.push(("classes", classes.to_string()));
        }
        entries
    }

    /// The metadata of a header; refuses other formats, and networks that cannot be built.
    pub(super) fn parse(entries: Option<&[(String, String)]>) -> Result<Self, ModelProblem> {
        let entries = Entries(entries.ok_or_else(|| ModelProblem::Foreign { got: "no metadata".into() })?);
        check_format(entries.get("format"))?;
        let network = entries.with("network", "the settings of a network", NetworkConfig::from_json)?;
        network.validate()?;
        let kind = entries.one("kind", "generator, denoiser, ratio or state", |text| text.parse().ok())?;
        let sigma_init = entries.one("sigma_init", "a positive number", positive)?;
        let draw = match entries.get("draw") {
            Some(_) => Some(entries.with("draw", "how samples are drawn", Draw::from_json)?),
            None => None,
        };
        let meta = Self {
            kind,
            sigma_init,
            draw,
            data_shape: entries.with("data_shape", "a list of sizes", Vec::from_text)?,
            data_range: entries.with("data_range", "two numbers", <[f32; 2]>::from_text)?,
            step: entries.one("step", "a whole number", |text| text.parse().ok())?,
            seed: entries.one("seed", "a whole number", |text| text.parse().ok())?,
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
        let classes = meta.network.classes();
        if entries.get("classes").unwrap_or("0") != classes.to_string() {
            return Err(entries.wrong("classes", &format!("{classes}, as in the network,")));
        }
        // The networks are preconditioned for this one number.
        let sigma_data = |text: &str| positive(text).filter(|sigma| *sigma == SIGMA_DATA);
        entries.one("sigma_data", &SIGMA_DATA.to_string(), sigma_data)?;
        Ok(meta)
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers, strings and lists always have a JSON form")
}

fn check_format(format: Option<&str>) -> Result<(), ModelProblem> {
    let Some(format) = format else { return Err(ModelProblem::Foreign { got: "no `format` in its metadata".into() }) };
    match format.strip_prefix("onestep/").map(u32::from_str) {
        Some(Ok(1)) => Ok(()),
        Some(Ok(_)) => Err(ModelProblem::Newer { got: format.to_owned(), wanted: FORMAT }),
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

fn positive(text: &str) -> Option<f32> {
    f32::from_text(text).ok().filter(|number| number.is_finite() && *number > 0.0)
}

/// The header's strings.
struct Entries<'a>(&'a [(String, String)]);

impl<'a> Entries<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
    }

    fn wrong(&self, key: &'static str, wanted: &str) -> ModelProblem {
        let got = self.get(key).map_or_else(|| "nothing".to_owned(), |text| format!("`{}`", shortened(text)));
        ModelProblem::Metadata { key, wanted: wanted.to_owned(), got }
    }

    fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_owned()
    }

    /// What `read` makes of an entry; its error becomes part of the message.
    fn with<T>(
        &self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ModelProblem> {
        let text = self.get(key).ok_or_else(|| self.wrong(key, wanted))?;
        read(text).map_err(|error| self.wrong(key, &format!("{wanted} ({error})")))
    }

    /// What `read` makes of an entry.
    fn one<T>(&self, key: &'static str, wanted: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, ModelProblem> {
        self.get(key).and_then(read).ok_or_else(|| self.wrong(key, wanted))
    }
}
