//! Which charts there are, and which statistics each of them shows: read off what the method declares.

use eframe::egui::Color32;
use onestep_core::train::{See, Subject};

use super::super::theme::{Theme, lerp};
use super::super::training::Declared;

/// A curve of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Name of the statistic.
    pub key: String,
    /// Name in the chart.
    pub name: String,
    /// What it is about.
    pub subject: Option<Subject>,
    /// How many curves before it in its chart are about the same.
    pub after: usize,
}

impl Trace {
    fn new(key: &str, name: &str, subject: Option<Subject>) -> Self {
        Self { key: key.to_owned(), name: name.to_owned(), subject, after: 0 }
    }

    /// Its colour: its subject's, and nearer to that of text, `plain`, with every curve before it of the same subject.
    pub fn color(&self, theme: &Theme, plain: Color32) -> Color32 {
        let share = 1.0 - 0.45_f32.powi(self.after as i32);
        self.subject.map_or(plain, |subject| lerp(theme.subject(subject), plain, share))
    }
}

/// Where numbers by noise level are to go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The number.
    pub ideal: f64,
    /// What it means.
    pub means: &'static str,
    /// The statistic that is their mean.
    pub mean: &'static str,
}

/// What a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Statistics by step.
    Lines {
        /// Whether it starts with a logarithmic scale.
        log: bool,
        /// Its curves.
        traces: Vec<Trace>,
        /// What to show as long as none of its curves has a value.
        instead: Vec<Trace>,
    },
    /// The latest numbers by noise level.
    Levels(Goal),
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// How to read it.
    pub help: String,
    /// What it shows.
    pub kind: Kind,
}

impl Chart {
    fn lines(title: &str, help: &str, log: bool, mut traces: Vec<Trace>) -> Self {
        for i in 0..traces.len() {
            traces[i].after = traces[..i].iter().filter(|trace| trace.subject == traces[i].subject).count();
        }
        let kind = Kind::Lines { log, traces, instead: Vec::new() };
        Self { title: title.to_owned(), help: help.to_owned(), kind }
    }
}

/// All charts of a method, the most important ones first: a narrow window shows only those. Statistics that the method
/// puts into no chart of its own are grouped by what stands before the `/` in their names.
pub fn charts(declared: &Declared) -> Vec<Chart> {
    let own: Vec<&str> =
        declared.recipe.plots.iter().flat_map(|plot| plot.curves.iter().map(|(key, ..)| *key)).collect();
    let mut groups: Vec<(String, Vec<Trace>, String)> = Vec::new();
    for (update, statistics, _) in &declared.updates {
        for name in statistics.iter().map(|statistic| &statistic.name).filter(|name| !own.contains(&name.as_str())) {
            let (group, curve) = name.split_once('/').unwrap_or(("", name));
            let subject = match curve {
                curve if curve.ends_with("_real") => Subject::Real,
                curve if curve.ends_with("_fake") => Subject::Fake,
                _ => update.subject,
            };
            let trace = Trace::new(name, &curve.replace('_', " "), Some(subject));
            match groups.iter_mut().find(|(other, ..)| other == group) {
                Some((_, traces, _)) => traces.push(trace),
                None => groups.push((group.to_owned(), vec![trace], format!("Recorded where {}.", update.about))),
            }
        }
    }
    let mut take = |group: &str| {
        let at = groups.iter().position(|(other, ..)| other == group);
        at.map_or(Vec::new(), |at| groups.remove(at).1)
    };
    let about: Vec<String> =
        declared.updates.iter().map(|(update, ..)| format!("{}: {}.", update.name, update.about)).collect();
    let mut charts = vec![Chart::lines("Loss", &about.join(" "), false, take("Loss"))];
    let mut instead = Vec::new();
    for sight in &declared.recipe.sights {
        if let See::Levels { ideal, means, mean, .. } = sight.see {
            let kind = Kind::Levels(Goal { ideal: f64::from(ideal), means, mean });
            charts.push(Chart { title: sight.name.to_owned(), help: sight.about.to_owned(), kind });
            let name = mean.rsplit('/').next().unwrap_or(mean);
            instead.push(Trace::new(mean, name, Some(Subject::Critic)));
        }
    }
    charts.push(Chart::lines(
        "Gradient norm",
        "Size of the gradients of the networks' parameters. Spikes mean that a learning rate is too high.",
        true,
        take("Grad"),
    ));
    let quality = vec![
        Trace::new("Quality/kl_grid", "KL on a grid", Some(Subject::Fake)),
        Trace::new("Quality/fid_lenet", "FID (LeNet)", Some(Subject::Fake)),
    ];
    charts.push(Chart {
        title: "Quality".to_owned(),
        help: "Distance from samples to data, the lower the better: KL divergence on a grid (points) or Fréchet \
               distance of LeNet features (digits). Until one is measured, what else says how far they are."
            .to_owned(),
        kind: Kind::Lines { log: false, traces: quality, instead },
    });
    let speed = vec![Trace::new("Timing/ms_per_step", "ms per step", None)];
    charts.push(Chart::lines("Speed", "Milliseconds per training step, the lower the faster.", false, speed));
    charts.extend(declared.recipe.plots.iter().map(|plot| {
        let traces = plot.curves.iter().map(|(key, name, subject)| Trace::new(key, name, Some(*subject)));
        Chart::lines(plot.title, plot.about, plot.log, traces.collect())
    }));
    charts.extend(groups.into_iter().map(|(group, traces, help)| Chart::lines(&group, &help, false, traces)));
    charts
}
