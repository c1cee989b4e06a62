//! The data of a run, in the form in which the device holds them.

use super::batch::DataSpec;
use super::knobs::{Config, KnobError};
use crate::data::{Dataset, Density};
use crate::nets::{MlpConfig, NetworkConfig, UnetConfig};
use crate::random::threefry2x32;

/// Points that stand for a density: far more than a run draws in an epoch's worth of batches.
const POINTS: usize = 200_000;

/// Data for training, and what files say about them.
pub struct TrainingData {
    /// Shape and number.
    pub spec: DataSpec,
    /// Content of the data store.
    pub words: Vec<u32>,
    /// Class of each row; empty without labels.
    pub labels: Vec<u32>,
    /// Name for titles and files.
    pub name: String,
    /// Licence.
    pub license: String,
    /// The density behind 2-D data.
    pub density: Option<Density>,
    /// Some points or images from all over the data, as in the store, for the picture of real data.
    pub first: Vec<f32>,
}

/// Images in the picture of real data.
const FIRST: usize = 64;
/// Points in it.
const FIRST_POINTS: usize = 4096;

impl TrainingData {
    /// Images.
    pub fn images(data: &Dataset) -> Self {
        let shape = vec![data.height, data.width, data.channels];
        let spec = DataSpec { shape, rows: data.n, bytes: true, classes: data.classes.len() };
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let words: Vec<u32> = data.images.chunks(4).map(word).collect();
        // Spread over the set, which may be sorted by class.
        let stride = (data.n / FIRST).max(1);
        let first = (0..FIRST.min(data.n)).flat_map(|i| data.image(i * stride)).map(|b| f32::from(*b) / 127.5 - 1.0);
        Self {
            first: first.collect(),
            words,
            labels: data.labels.clone().unwrap_or_default(),
            name: data.name.clone(),
            license: data.license.clone(),
            density: None,
            spec,
        }
    }

    /// Points of a density.
    pub fn density(density: Density, seed: u32) -> Self {
        let (points, labels) = density.sample_with_classes(POINTS, u64::from(seed) << 32 | 1);
        let values: Vec<f32> = points.into_iter().flatten().collect();
        Self {
            spec: DataSpec { shape: vec![2], rows: POINTS, bytes: false, classes: density.classes() },
            first: values[..2 * FIRST_POINTS].to_vec(),
            words: values.iter().map(|v| v.to_bits()).collect(),
            labels,
            name: density.name().to_owned(),
            license: "none needed: computed".to_owned(),
            density: Some(density),
        }
    }

    /// Points of a person's own, such as a drawing: at least one, finite, at most a few units from 0.
    pub fn points(name: &str, points: &[[f32; 2]]) -> Self {
        let values = points.as_flattened();
        // One of each part, which one is random: the file may be sorted, or cycle through what there is.
        let parts = points.chunks(points.len().div_ceil(FIRST_POINTS).max(1)).zip(0..);
        let first = parts.flat_map(|(part, i)| part[threefry2x32([0; 2], [0, i])[0] as usize % part.len()]);
        Self {
            spec: DataSpec { shape: vec![2], rows: points.len(), bytes: false, classes: 0 },
            first: first.collect(),
            words: values.iter().map(|v| v.to_bits()).collect(),
            labels: Vec::new(),
            name: name.to_owned(),
            license: String::new(),
            density: None,
        }
    }

    /// The data that the settings name: a density, a known data set, or a path.
    #[cfg(feature = "native")]
    pub fn load(config: &Config, progress: crate::data::OnProgress<'_>) -> Result<Self, crate::data::DataError> {
        if let Ok(density) = Density::parse(&config.data) {
            return Ok(Self::density(density, config.seed));
        }
        let path = std::path::Path::new(&config.data);
        if let Some(points) = crate::data::load_points(path)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            return Ok(Self::points(&name, &points));
        }
        let resize = (config.resize > 0).then_some((config.resize, config.resize));
        let options = crate::data::LoadOptions { resize, ..Default::default() };
        let data = crate::data::load_with_progress(&config.data, &options, progress)?;
        match &data.outside {
            Some(image) if config.classes > 0 => Err(crate::data::DataError::Format {
                path: path.join(image),
                wanted: "each image in a folder of its class, as the setting classes asks".into(),
                got: "one beside those folders".into(),
                fix: "move it into one of them or remove it, or leave the setting out".into(),
            }),
            _ => Ok(Self::images(&data)),
        }
    }

    /// Half the side of the square around 0 that points are shown on: that of their density, else one that has all of
    /// them, and at least that of a drawing. 1 for images.
    pub fn half_width(&self) -> f32 {
        if self.spec.bytes {
            return 1.0;
        }
        let farthest = || self.words.iter().fold(0.0_f32, |most, word| most.max(f32::from_bits(*word).abs()));
        self.density.map_or_else(|| ((110.0 * farthest()).ceil() / 100.0).max(1.25), |density| density.half_width())
    }

    /// A hash of the data with their labels.
    #[cfg(feature = "native")]
    pub fn hash(&self) -> String {
        crate::data::hash_words(self.words.iter().chain(&self.labels))
    }

    /// Whether these data have the classes that the settings ask for.
    pub fn check_classes(&self, config: &Config) -> Result<(), KnobError> {
        if config.classes == 0 || self.spec.classes > 0 {
            return Ok(());
        }
        let problem = format!(
            "{} has no labels; leave the setting out, or give data with classes: a density, a known data set, IDX \
             files with their labels, or a folder with one folder per class",
            self.name
        );
        Err(KnobError { knob: "classes".to_owned(), value: config.classes.to_string(), problem })
    }

    /// The generator's network for these data and settings.
    pub fn network(&self, config: &Config) -> NetworkConfig {
        let label_dim = if config.classes > 0 { self.spec.classes } else { 0 };
        match self.spec.shape[..] {
            [height, width, channels] => NetworkConfig::Unet(UnetConfig {
                resolution: height,
                width: (width != height).then_some(width),
                channels,
                patch: config.patch,
                model_channels: config.width,
                channel_mult: config.multipliers.0.clone(),
                num_blocks: config.blocks,
                attn_resolutions: (config.attention > 0).then_some(config.attention).into_iter().collect(),
                attn_middle: config.attention > 0,
                channels_per_head: None,
                channel_mult_emb: 4,
                label_dim,
                adaptive_scale: false,
                two_times: false,
            }),
            _ => NetworkConfig::Mlp(MlpConfig {
                dim: self.spec.width(),
                width: config.width,
                depth: config.blocks,
                label_dim,
                two_times: false,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "has no labels", it said; "give a folder with one folder per class", which it was.
    #[cfg(feature = "native")]
    #[test]
    fn image_that_costs_the_labels_is_named_where_classes_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cat/1.png", "dog/2.png", "preview.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::new(8, 8).save(path).unwrap();
        }
        let mut config = Config { data: folder.path().display().to_string(), classes: 1, ..Config::default() };
        let text = TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(())).err().unwrap().to_string();
        assert!(text.contains("preview.png") && text.contains("beside those folders"), "{text}");
        config.classes = 0;
        assert!(TrainingData::load(&config, &mut |_| std::ops::ControlFlow::Continue(())).is_ok());
    }

    /// Of a file that is sorted by cluster, the first cluster alone was shown and measured.
    #[test]
    fn points_that_are_shown_come_from_all_over_the_file() {
        for n in [2, 4096, 4097, 10_000] {
            let sorted: Vec<[f32; 2]> = (0..n).map(|i| [if 2 * i < n { -1.0 } else { 1.0 }, 0.0]).collect();
            let cycle: Vec<[f32; 2]> = (0..n).map(|i| [if i % 2 == 0 { -1.0 } else { 1.0 }, 0.0]).collect();
            for points in [sorted, cycle] {
                let data = TrainingData::points("mine", &points);
                let count = data.first.len() / 2;
                assert!((n.min(2049)..=FIRST_POINTS).contains(&count), "{count} of {n}");
                let right = data.first.chunks(2).filter(|point| point[0] > 0.0).count();
                assert!((count / 3..=2 * count / 3).contains(&right), "{right} of {count}");
            }
        }
    }
}
