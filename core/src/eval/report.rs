//! Metrics with names that say what was measured.
//!
//! A name holds the features and the number of generated samples (`fid_lenet_10k`), since a value means nothing
//! without them. The word FID stands alone nowhere: that is Inception features on 50,000 images, which this project
//! does not compute.

use std::fmt;
use std::str::FromStr;

use super::energy::DEFAULT_POINTS;
use super::{EvalError, all_finite, at_least};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Frechet distance on the features of the LeNet-like classifier: [`super::frechet`].
    FidLenet,
    /// [`super::manifold::Manifold::precision`] on these features.
    PrecisionLenet,
    /// [`super::manifold::Manifold::recall`] on these features.
    RecallLenet,
    /// [`super::manifold::Manifold::density`] on these features.
    DensityLenet,
    /// [`super::manifold::Manifold::coverage`] on these features.
    CoverageLenet,
    /// [`super::planar::kl_grid`].
    KlGrid,
    /// [`super::planar::kl_grid`] of a second sampling of the data: what a perfect model would get.
    KlGridFloor,
    /// [`super::energy::energy_distance`].
    EnergyDistance,
    /// [`super::energy::energy_of_rows`] of images, pixels from -1 to 1.
    EnergyPixels,
    /// [`super::planar::ModeCoverage::reached`].
    ModesReached,
    /// [`super::planar::ModeCoverage::high_quality`].
    HighQuality,
    /// Share of samples for which [`super::nearest::Neighbour::is_copy`] holds.
    Copies,
    /// Share of samples that show the class that was asked for: of digits, as [`super::lenet::Lenet`] reads them; of
    /// points, by the nearest part of their density.
    ClassAccuracy,
    /// Share of the digit that the fewest samples show, as [`super::lenet::Lenet`] reads them: 0.1 if all are as frequent.
    RarestClass,
    /// Share of the digit that the most samples show.
    CommonestClass,
    /// [`super::spectrum::corners`] of samples.
    Corners,
    /// [`super::spectrum::nyquist`] of samples, in parts of the data's.
    PowerNyquist,
    /// Power in the finest of four rings of [`super::spectrum::power`], in parts of the data's.
    PowerFine,
}

impl MetricKind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 18] = [
        Self::FidLenet,
        Self::PrecisionLenet,
        Self::RecallLenet,
        Self::DensityLenet,
        Self::CoverageLenet,
        Self::KlGrid,
        Self::KlGridFloor,
        Self::EnergyDistance,
        Self::EnergyPixels,
        Self::ModesReached,
        Self::HighQuality,
        Self::Copies,
        Self::ClassAccuracy,
        Self::RarestClass,
        Self::CommonestClass,
        Self::Corners,
        Self::PowerNyquist,
        Self::PowerFine,
    ];

    /// Those of images of 28 x 28, which [`super::images::evaluate_images`] measures.
    pub const IMAGES: [Self; 8] = [
        Self::FidLenet,
        Self::PrecisionLenet,
        Self::RecallLenet,
        Self::DensityLenet,
        Self::CoverageLenet,
        Self::Copies,
        Self::RarestClass,
        Self::CommonestClass,
    ];

    /// How many of so many samples it is measured of: the energy distance takes the first [`DEFAULT_POINTS`].
    pub fn of(self, samples: usize) -> usize {
        match self {
            Self::EnergyDistance | Self::EnergyPixels => samples.min(DEFAULT_POINTS),
            _ => samples,
        }
    }

    /// Its name with the count, such as `fid_lenet_10k`, where there are so many samples.
    pub fn named(self, samples: usize) -> String {
        format!("{}_{}", self.stem(), counted(self.of(samples)))
    }

    /// The name without the count.
    pub fn stem(self) -> &'static str {
        match self {
            Self::FidLenet => "fid_lenet",
            Self::PrecisionLenet => "precision_lenet",
            Self::RecallLenet => "recall_lenet",
            Self::DensityLenet => "density_lenet",
            Self::CoverageLenet => "coverage_lenet",
            Self::KlGrid => "kl_grid",
            Self::KlGridFloor => "kl_grid_floor",
            Self::EnergyDistance => "energy_distance",
            Self::EnergyPixels => "energy_pixels",
            Self::ModesReached => "modes_reached",
            Self::HighQuality => "high_quality",
            Self::Copies => "copies",
            Self::ClassAccuracy => "class_accuracy",
            Self::RarestClass => "rarest_class",
            Self::CommonestClass => "commonest_class",
            Self::Corners => "corners",
            Self::PowerNyquist => "power_nyquist",
            Self::PowerFine => "power_fine",
        }
    }
}

impl FromStr for MetricKind {
    type Err = EvalError;

    /// Reads a name of the command line: dashes or underscores, and `_lenet` may be left out except after `fid`.
    fn from_str(text: &str) -> Result<Self, EvalError> {
        let name = text.trim().replace('-', "_");
        let short = |kind: Self| match kind {
            Self::FidLenet => None,
            _ => kind.stem().strip_suffix("_lenet"),
        };
        Self::ALL.into_iter().find(|k| k.stem() == name || short(*k) == Some(&name)).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|k| k.stem()).collect();
            EvalError::Setting { name: "metric", wanted: format!("one of {}", known.join(", ")), got: text.to_owned() }
        })
    }
}

/// One measured number.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Metric {
    /// Kind and count, such as `recall_lenet_10k` or `kl_grid_1234`.
    pub name: String,
    /// The value; the mean if there are several runs.
    pub value: f64,
    /// Smallest and largest value over the runs, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<[f64; 2]>,
    /// Generated samples behind one value.
    pub count: usize,
    /// Real samples that they were compared with, where the value depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<usize>,
}

impl Metric {
    /// The value of one run with `count` generated samples.
    pub fn new(kind: MetricKind, value: f64, count: usize) -> Result<Self, EvalError> {
        Self::over_runs(kind, &[value], count)
    }

    /// Mean and range of one value per run (training seed), each from `count` generated samples.
    pub fn over_runs(kind: MetricKind, values: &[f64], count: usize) -> Result<Self, EvalError> {
        let (what, count) = (kind.stem(), kind.of(count));
        at_least(&format!("{what}, runs"), 1, values.len())?;
        at_least(&format!("{what}, generated samples"), 1, count)?;
        all_finite(what, values.iter().copied())?;
        let value = values.iter().sum::<f64>() / values.len() as f64;
        let range = || [values.iter().copied().fold(value, f64::min), values.iter().copied().fold(value, f64::max)];
        let name = kind.named(count);
        Ok(Self { name, value, spread: (values.len() > 1).then(range), count, against: None })
    }

    /// The value of `count` real samples in place of generated ones, such as `fid_lenet_floor_10k`: what a perfect
    /// model would get.
    pub fn floor(kind: MetricKind, value: f64, count: usize) -> Result<Self, EvalError> {
        let name = format!("{}_floor_{}", kind.stem(), counted(kind.of(count)));
        Ok(Self { name, ..Self::new(kind, value, count)? })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.4}", self.name, self.value)?;
        self.spread.map_or(Ok(()), |[low, high]| write!(f, " ({low:.4} to {high:.4})"))?;
        self.against.map_or(Ok(()), |real| write!(f, " against {} real", counted(real)))
    }
}

/// `10k` for whole thousands, else the number.
fn counted(count: usize) -> String {
    if count >= 1000 && count.is_multiple_of(1000) { format!("{}k", count / 1000) } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_features_and_count() {
        let name = |kind, count| Metric::new(kind, 1.0, count).unwrap().name;
        assert_eq!(name(MetricKind::FidLenet, 10_000), "fid_lenet_10k");
        assert_eq!(name(MetricKind::PrecisionLenet, 1234), "precision_lenet_1234");
        assert_eq!(name(MetricKind::KlGrid, 500), "kl_grid_500");
        assert_eq!(name(MetricKind::EnergyDistance, 50_000), "energy_distance_5k");
        assert_eq!(Metric::floor(MetricKind::EnergyPixels, 1.0, 10_000).unwrap().name, "energy_pixels_floor_5k");
        for kind in MetricKind::ALL {
            assert_ne!(kind.stem(), "fid");
            assert_eq!(kind.stem().parse(), Ok(kind));
        }
    }

    #[test]
    fn the_command_line_may_shorten_names_but_not_fid() {
        assert_eq!("fid-lenet".parse(), Ok(MetricKind::FidLenet));
        assert_eq!(" precision".parse(), Ok(MetricKind::PrecisionLenet));
        assert_eq!("kl-grid".parse(), Ok(MetricKind::KlGrid));
        let error = "fid".parse::<MetricKind>().unwrap_err();
        assert!(error.to_string().contains("fid_lenet"), "{error}");
    }

    #[test]
    fn several_runs_have_a_mean_and_a_range() {
        let metric = Metric::over_runs(MetricKind::RecallLenet, &[0.5, 0.75, 0.25], 10_000).unwrap();
        assert_eq!((metric.value, metric.spread), (0.5, Some([0.25, 0.75])));
        assert_eq!(metric.to_string(), "recall_lenet_10k 0.5000 (0.2500 to 0.7500)");
        let single = Metric::new(MetricKind::KlGrid, 0.0123, 50_000).unwrap();
        assert_eq!(single.to_string(), "kl_grid_50k 0.0123");
        let json = serde_json::to_string(&single).unwrap();
        assert_eq!(json, r#"{"name":"kl_grid_50k","value":0.0123,"count":50000}"#);
    }

    #[test]
    fn floors_and_the_real_count_are_named() {
        let floor = Metric::floor(MetricKind::FidLenet, 0.5, 10_000).unwrap();
        assert_eq!(floor.name, "fid_lenet_floor_10k");
        let metric = Metric { against: Some(60_000), ..floor };
        assert_eq!(metric.to_string(), "fid_lenet_floor_10k 0.5000 against 60k real");
        assert!(serde_json::to_string(&metric).unwrap().ends_with(r#""count":10000,"against":60000}"#));
        assert!(Metric::floor(MetricKind::FidLenet, 0.5, 0).is_err());
        assert!(MetricKind::IMAGES.iter().all(|kind| MetricKind::ALL.contains(kind)));
    }

    #[test]
    fn a_value_that_is_not_a_number_is_an_error() {
        assert!(matches!(Metric::new(MetricKind::KlGrid, f64::NAN, 10), Err(EvalError::NotFinite { .. })));
        assert!(Metric::over_runs(MetricKind::KlGrid, &[], 10).is_err());
        assert!(Metric::new(MetricKind::KlGrid, 1.0, 0).is_err());
    }
}
