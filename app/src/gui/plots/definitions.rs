//! Which charts there are, and which statistics each of them shows.

use eframe::egui::Color32;

use super::super::theme::Theme;

/// What a curve is about, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Real data, or the warm-up, which learns from them alone.
    Real,
    /// The generator and its samples.
    Fake,
    /// The ratio network.
    Ratio,
    /// The gradient that moves samples.
    Gradient,
    /// None of these.
    Plain,
}

impl Subject {
    /// Its colour; `plain` is that of text.
    pub fn color(self, theme: &Theme, plain: Color32) -> Color32 {
        match self {
            Self::Real => theme.real,
            Self::Fake => theme.fake,
            Self::Ratio => theme.ratio,
            Self::Gradient => theme.gradient,
            Self::Plain => plain,
        }
    }
}

/// A curve of a chart.
#[derive(Debug)]
pub struct Trace {
    /// Name of the statistic.
    pub key: &'static str,
    /// Name in the chart.
    pub name: &'static str,
    /// What it is about.
    pub subject: Subject,
}

const fn trace(key: &'static str, name: &'static str, subject: Subject) -> Trace {
    Trace { key, name, subject }
}

/// What a chart shows.
#[derive(Debug)]
pub enum Kind {
    /// Statistics by step.
    Lines {
        /// Whether it starts with a logarithmic scale.
        log: bool,
        /// Its curves.
        traces: &'static [Trace],
        /// What to show as long as none of its curves has a value.
        instead: &'static [Trace],
    },
    /// The latest accuracy of the ratio network by noise level.
    Accuracy,
}

/// A chart.
#[derive(Debug)]
pub struct Chart {
    /// Its title.
    pub title: &'static str,
    /// How to read it.
    pub help: &'static str,
    /// What it shows.
    pub kind: Kind,
}

/// All charts, the most important ones first: a narrow window shows only those.
pub const CHARTS: &[Chart] = &[
    Chart {
        title: "Loss",
        help: "Ratio: logistic loss of the network that tells noised data from noised samples; near 1.39 (2 ln 2) it \
               can't. Generator: the divergence that it estimates. Warm-up: denoising error.",
        kind: Kind::Lines {
            log: false,
            traces: &[
                trace("Loss/ratio", "ratio", Subject::Ratio),
                trace("Loss/generator", "generator", Subject::Fake),
                trace("Loss/warmup", "warm-up", Subject::Real),
            ],
            instead: &[],
        },
    },
    Chart {
        title: "Ratio accuracy by noise level",
        help: "The convergence meter: how often the ratio network tells noised data from noised samples. At 0.5 it \
               can't tell them apart: the generator has converged at that noise level. High noise gets there first.",
        kind: Kind::Accuracy,
    },
    Chart {
        title: "Gradient norm",
        help: "Size of the gradients of the networks' parameters, and of the pull on samples (mean square, before it \
               is normalized). Spikes mean that a learning rate is too high.",
        kind: Kind::Lines {
            log: true,
            traces: &[
                trace("Grad/ratio", "ratio", Subject::Ratio),
                trace("Grad/generator", "generator", Subject::Fake),
                trace("Grad/warmup", "warm-up", Subject::Real),
                trace("Ratio/pull", "pull", Subject::Gradient),
            ],
            instead: &[],
        },
    },
    Chart {
        title: "Quality",
        help: "Distance from samples to data, the lower the better: KL divergence on a grid (points) or Fréchet \
               distance of LeNet features (digits). Until one is measured: the ratio network's accuracy, where 0.5 \
               is the best.",
        kind: Kind::Lines {
            log: false,
            traces: &[
                trace("Quality/kl_grid", "KL on a grid", Subject::Fake),
                trace("Quality/fid_lenet", "FID (LeNet)", Subject::Fake),
            ],
            instead: &[trace("Ratio/accuracy", "accuracy", Subject::Ratio)],
        },
    },
    Chart {
        title: "Speed",
        help: "Milliseconds per training step, the lower the faster.",
        kind: Kind::Lines {
            log: false,
            traces: &[trace("Timing/ms_per_step", "ms per step", Subject::Plain)],
            instead: &[],
        },
    },
    Chart {
        title: "Ratio logit",
        help: "What the ratio network says on average: above 0 it takes its input for data, below 0 for samples. Both \
               curves approach 0 as samples become like data.",
        kind: Kind::Lines {
            log: false,
            traces: &[
                trace("Ratio/logit_real", "on data", Subject::Real),
                trace("Ratio/logit_fake", "on samples", Subject::Fake),
            ],
            instead: &[],
        },
    },
];
