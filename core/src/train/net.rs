//! A network as an update asks it: with its weights, the labels of the step, and guidance.

use std::ops::Range;

use super::batch::Stream;
use super::recipe::{Head, Network};
use super::slots::Slots;
use crate::graph::{Distribution, Var, concat};
#[cfg(feature = "gallery")]
use crate::nets::NetworkConfig;
use crate::nets::{Params, SIGMA_DATA, Time, per_sample};

/// A network on the graph of a step. With classes, it hands its network the labels of the step by itself.
pub struct Net<'g> {
    pub(super) params: Params<'g>,
    pub(super) network: &'g Network,
    pub(super) sigma_init: f32,
    /// One-hot `[B, K]`.
    pub(super) labels: Option<Var<'g>>,
    /// How far a denoiser goes from no class to the class, where that is not just to the class.
    pub(super) guidance: Option<Var<'g>>,
    /// Whether the setting `guidance` makes a difference.
    pub(super) guides: bool,
    pub(super) slots: Slots,
}

impl<'g> Net<'g> {
    /// `D(x; sigma)` of `x [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn denoise(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        match self.guidance {
            Some(weight) => self.towards_class(x, sigma, weight),
            None => self.told(x, sigma),
        }
    }

    /// `D(x; sigma)` with the labels that it has.
    fn told(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Denoise, "`{}` is no denoiser", self.network.name);
        self.scope(|| {
            #[cfg(feature = "gallery")]
            if let Some(parts) =
                self.divided([x, sigma], &|net, part| net.denoiser(&self.params, part[0], part[1], Some(part[2])))
            {
                return parts;
            }
            self.network.net.denoiser(&self.params, x, sigma, self.labels_of(x))
        })
    }

    /// [`Net::denoise`] with classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): from no class to the
    /// class of each sample and beyond, `D(x | 0) + w (D(x | c) - D(x | 0))` with the setting `guidance` as w.
    /// Without classes, and with the weight 1, it is [`Net::denoise`].
    pub fn guided(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        if self.guides { self.towards_class(x, sigma, self.weight()) } else { self.told(x, sigma) }
    }

    /// The same network, which denoises with the guidance that is set.
    #[cfg(feature = "gallery")]
    #[must_use]
    pub fn guided_as_set(self) -> Self {
        if self.guides {
            let weight = self.weight();
            self.guided_by(weight)
        } else {
            self
        }
    }

    fn weight(&self) -> Var<'g> {
        self.params.graph().scalar("guidance")
    }

    fn towards_class(&self, x: Var<'g>, sigma: Var<'g>, weight: Var<'g>) -> Var<'g> {
        let told = self.told(x, sigma);
        if self.labels.is_none() {
            return told;
        }
        let untold = self.scope(|| self.network.net.denoiser(&self.params, x, sigma, None));
        untold + weight * (told - untold)
    }

    /// The same network, which denoises with guidance of this weight: 0 is without the class, 1 with it.
    #[cfg(feature = "gallery")]
    #[must_use]
    pub fn guided_by(self, weight: Var<'g>) -> Self {
        Self { guidance: Some(weight), ..self }
    }

    /// The same network, which is told no class.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    #[must_use]
    pub fn untold(self) -> Self {
        Self { labels: None, ..self }
    }

    /// The same network, which is told of each sample the class after its own; after the last comes the first.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    #[must_use]
    pub fn mistold(mut self) -> Self {
        self.labels = self.labels.map(|labels| {
            let last = labels.shape()[1] - 1;
            concat(&[labels.slice(1, last..last + 1), labels.slice(1, 0..last)], 1)
        });
        self
    }

    /// The same network, which is not told the class of a random part of the samples (the setting `label_dropout`),
    /// and so also learns what all classes are together.
    #[must_use]
    pub fn dropping_labels(mut self) -> Self {
        self.labels = self.labels.map(|labels| {
            let graph = self.params.graph();
            let drawn = self.slots.random(graph, Distribution::Uniform, Stream::Label as u32, &[1]);
            let dropped = drawn.less(graph.scalar("label_dropout"));
            labels * (1.0 - dropped)
        });
        self
    }

    /// The same network, asked for these rows of the batch only.
    #[must_use]
    pub fn of_rows(mut self, rows: Range<usize>) -> Self {
        self.labels = self.labels.map(|labels| labels.slice(0, rows));
        self
    }

    /// `g(z) = D(sigma_init z; sigma_init)` of latents `z [B, ..]`.
    pub fn generate(&self, z: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Denoise, "`{}` is no generator", self.network.name);
        self.scope(|| {
            #[cfg(feature = "gallery")]
            if let Some(parts) =
                self.divided([z, z], &|net, part| net.generator(&self.params, part[0], self.sigma_init, Some(part[2])))
            {
                return parts;
            }
            self.network.net.generator(&self.params, z, self.sigma_init, self.labels_of(z))
        })
    }

    /// What `build` makes of each student's rows of the inputs, `[B, ..]` or `[1, ..]`, and of the labels; `None` for a
    /// single network.
    #[cfg(feature = "gallery")]
    fn divided(&self, inputs: [Var<'g>; 2], build: &dyn Fn(&NetworkConfig, &[Var<'g>]) -> Var<'g>) -> Option<Var<'g>> {
        let NetworkConfig::Students(students) = &self.network.net else { return None };
        if !students.by_class() {
            return None;
        }
        Some(students.divided(&self.params, &[inputs[0], inputs[1], self.labels?], build))
    }

    /// The mean velocity from time `t` over `gap` to a lower one, both `[B]`, of the states `y = (1 - t) x0 + t eps` of a
    /// rectified flow `[B, ..]`; at gap 0, or of a network with one time, the velocity. It is that of the denoiser,
    /// `(y - D) / t`, in a form that stays exact at every time: with the deviation `s` of y, it is
    /// `y (t - sd^2 (1 - t)) / s^2 - sd F(y / s) / s`.
    pub fn velocity(&self, y: Var<'g>, t: Var<'g>, gap: Var<'g>) -> Var<'g> {
        let variance = SIGMA_DATA * SIGMA_DATA;
        let (rank, rest) = (y.rank(), 1.0 - t);
        let s = (t.square() + rest.square() * variance).sqrt();
        let time = Time { noise: (t / rest).log() * 0.25, gap: Some(gap) };
        let output =
            self.scope(|| self.network.net.bare(&self.params, y / per_sample(s, rank), time, self.labels_of(y)));
        let along = per_sample((t - rest * variance) / s.square(), rank);
        y * along - output * per_sample(s.recip() * SIGMA_DATA, rank)
    }

    /// `D` of a network with two times for a step from `sigma` to the lower level `next`, `[N]` each: see
    /// [`NetworkConfig::denoiser_towards`].
    pub fn denoise_towards(&self, x: Var<'g>, sigma: Var<'g>, next: Var<'g>) -> Var<'g> {
        self.scope(|| self.network.net.denoiser_towards(&self.params, x, sigma, next, self.labels_of(x)))
    }

    /// `D` of a network with two times that is told, in the place of the second, which `share [N]` of the mixture that it
    /// denoises is data.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn denoise_mixed(&self, x: Var<'g>, sigma: Var<'g>, share: Var<'g>) -> Var<'g> {
        self.scope(|| self.network.net.denoiser_told(&self.params, x, sigma, share, self.labels_of(x)))
    }

    /// The velocity `F` of `TrigFlow` (arXiv 2410.11081), in units of the data's deviation sd, of states
    /// `x = cos t x0 + sin t sd eps [B, ..]` with `tan t = sigma / sd`, and `noise = ln(sigma) / 4 [B]`:
    /// `D = cos t x - sin t sd F`. It is what EDM's network says, with the other sign.
    pub fn angular(&self, x: Var<'g>, noise: Var<'g>) -> Var<'g> {
        let x = x * (1.0 / SIGMA_DATA);
        -self.scope(|| self.network.net.bare(&self.params, x, Time::at(noise), self.labels_of(x)))
    }

    /// The logit `[B]` of `x [B, ..]` and `sigma [N]`, N the batch or 1.
    pub fn logit(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Logit, "`{}` is no critic", self.network.name);
        self.scope(|| self.network.net.ratio(&self.params, x, sigma, self.labels_of(x)))
    }

    /// The same where each sample is said to be of any class, all alike.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn logit_of_any_class(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        let classes = self.network.net.classes();
        let drawn = (super::batch::uniform(self.params.graph(), Stream::Class, self.slots) * classes as f32).floor();
        self.scope(|| self.network.net.ratio(&self.params, x, sigma, Some(crate::nets::one_hot(drawn, classes))))
    }

    /// What a denoiser sees in `x [B, ..]` at `sigma [N]`: see [`NetworkConfig::features`].
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn features(&self, x: Var<'g>, sigma: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Denoise, "`{}` is no denoiser", self.network.name);
        self.scope(|| self.network.net.features(&self.params, x, sigma, self.labels_of(x)))
    }

    /// The logit `[B]` of what a denoiser sees.
    #[cfg(all(feature = "gallery", not(target_arch = "wasm32")))]
    pub fn judge(&self, features: Var<'g>) -> Var<'g> {
        assert_eq!(self.network.head, Head::Judge, "`{}` is no head", self.network.name);
        self.scope(|| self.network.net.judge(&self.params, features))
    }

    /// The labels of `x`, of which there may be several batches one after the other.
    fn labels_of(&self, x: Var<'g>) -> Option<Var<'g>> {
        let (labels, rows) = (self.labels?, x.shape()[0]);
        let batch = labels.shape()[0];
        assert!(rows.is_multiple_of(batch), "{rows} samples are no whole number of batches of {batch}");
        Some(if rows == batch { labels } else { concat(&vec![labels; rows / batch], 0) })
    }

    fn scope(&self, body: impl FnOnce() -> Var<'g>) -> Var<'g> {
        self.params.graph().scope(self.network.name, body)
    }

    /// Its weights, as variables of the graph.
    pub(super) fn variables(&self) -> Vec<Var<'g>> {
        self.params.all().into_iter().map(|(_, variable)| variable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::{Setup, Step};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::{Feed, evaluate};
    use crate::nets::MlpConfig;
    use crate::train::{Config, DataSpec};

    const CLASSES: usize = 3;

    /// Points with classes: row i is `(i, i)`, of class i mod 3.
    fn setup(batch: usize) -> Setup {
        let network =
            NetworkConfig::Mlp(MlpConfig { dim: 2, width: 16, depth: 2, label_dim: CLASSES, two_times: false });
        let data = DataSpec { shape: vec![2], rows: 50, bytes: false, classes: CLASSES };
        Setup { network, data, config: Config { batch, classes: 1, ..Config::default() } }
    }

    fn values(setup: &Setup, graph: &Graph, wanted: &[Var<'_>]) -> Vec<Vec<f64>> {
        let mut feed = Feed { seed: 7, step: 3, ..Feed::default() };
        for (name, layout) in [("generator", setup.network.generator_layout()), ("ratio", setup.network.ratio_layout())]
        {
            let first = layout.initial(5).into_iter().enumerate();
            let weights = first.map(|(i, w)| f64::from(w) + 0.05 * (i as f64 * 0.7).sin());
            feed.stores.insert(format!("{name}.param"), weights.collect());
        }
        feed.stores.insert(DataSpec::STORE.into(), (0..100).map(|i| f64::from(i / 2)).collect());
        feed.stores.insert(DataSpec::LABELS.into(), (0..50).map(|i| f64::from(i % CLASSES as u32)).collect());
        feed.scalars.insert("guidance".into(), 2.5);
        feed.scalars.insert("label_dropout".into(), 0.25);
        evaluate(graph, &feed, wanted)
    }

    #[test]
    fn labels_are_those_of_the_rows_that_are_drawn() {
        let (setup, graph) = (setup(64), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let out = values(&setup, &graph, &[step.real(), step.labels().unwrap()]);
        for (point, label) in out[0].chunks(2).zip(out[1].chunks(CLASSES)) {
            let wanted = [0, 1, 2].map(|k| f64::from(u8::from(point[0] as usize % CLASSES == k)));
            assert_eq!(label, wanted, "the class of row {}", point[0]);
        }
        assert!(Step::look(&setup, &recipe, &graph).labels().is_none(), "a look is not at the batch");
    }

    #[test]
    fn two_batches_in_one_evaluation_have_the_labels_of_each() {
        let (setup, graph) = (setup(8), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let (x, y) = (step.real() * 0.05, step.latent());
        let net = step.net("ratio").dropping_labels();
        let sigma = graph.full(1.0, &[1]);
        let apart = concat(&[net.logit(x, sigma), net.logit(y, sigma)], 0);
        let out = values(&setup, &graph, &[net.logit(concat(&[x, y], 0), sigma), apart]);
        assert_eq!(out[0], out[1]);
    }

    #[test]
    fn guidance_goes_on_along_the_way_from_no_class_to_the_class() {
        let (mut setup, graph) = (setup(8), Graph::new());
        setup.config.guidance = 2.5;
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let (x, sigma) = (step.real() * 0.05, graph.full(1.0, &[1]));
        let net = step.net("generator");
        let untold = setup.network.denoiser(&Params::new(&graph, "generator.param"), x, sigma, None);
        let out = values(&setup, &graph, &[net.guided(x, sigma), net.denoise(x, sigma), untold]);
        let moved = out[1].iter().zip(&out[2]).fold(0.0_f64, |most, (c, o)| most.max((c - o).abs()));
        assert!(moved > 0.01, "classes that change a sample by {moved} prove nothing");
        for ((guided, told), untold) in out[0].iter().zip(&out[1]).zip(&out[2]) {
            assert!((guided - (untold + 2.5 * (told - untold))).abs() < 1e-9, "{guided} of {told} and {untold}");
        }
    }

    #[test]
    fn labels_are_dropped_as_often_as_the_setting_says() {
        let rows = 4096;
        let (setup, graph) = (setup(rows), Graph::new());
        let recipe = setup.recipe();
        let step = Step::trial(&setup, &recipe, &graph);
        let labels = step.net("generator").dropping_labels().labels.unwrap();
        let out = values(&setup, &graph, &[labels, step.labels().unwrap()]);
        let kept = |row: &[f64]| row.iter().sum::<f64>() > 0.5;
        for (left, whole) in out[0].chunks(CLASSES).zip(out[1].chunks(CLASSES)) {
            assert!(left == whole || left == [0.0; CLASSES], "{left:?} of {whole:?}");
        }
        let dropped = out[0].chunks(CLASSES).filter(|row| !kept(row)).count() as f64 / rows as f64;
        // Five standard errors: 5 sqrt(0.25 0.75 / 4096).
        assert!((dropped - 0.25).abs() < 0.034, "{dropped} of the labels were dropped");
    }
}
