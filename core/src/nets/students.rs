//! Several networks of one form, of which the class of a sample chooses one (multi-student distillation, arXiv
//! 2410.23274), or the noise level (experts, as of Phased DMD, arXiv 2510.27684).
//!
//! Student k of n has the classes k, k + n, k + 2n and so on, or the levels down to the k-th that is named, without it.
//! Its parameters have the names of the form, behind `student{k}.`, and lie one student after the other.

use serde::Serialize;

use super::{ConfigError, NetworkConfig, Params, one_hot, per_sample};
use crate::graph::{Graph, Var, concat};
use crate::json::Fields;

/// Several networks of one form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudentsConfig {
    /// How many.
    pub students: usize,
    /// Falling noise levels, from each of which downwards the next student is asked; none: the class chooses.
    #[cfg(not(target_arch = "wasm32"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f32>,
    /// What each is: a network with classes.
    pub of: Box<NetworkConfig>,
}

/// No level is NaN: see [`StudentsConfig::validate`].
impl Eq for StudentsConfig {}

impl StudentsConfig {
    /// Takes the settings from the entries of a JSON object.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, String> {
        let students = fields.required("students")?;
        let of = Box::new(NetworkConfig::take(fields.required("of")?)?);
        Ok(Self {
            students,
            #[cfg(not(target_arch = "wasm32"))]
            levels: fields.optional("levels")?.unwrap_or_default(),
            of,
        })
    }

    /// Whether the networks can be built; the error names the first setting that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let classes = self.of.classes();
        if matches!(*self.of, NetworkConfig::Students(_)) {
            return ConfigError::unless(false, "students", "of", "a single network".to_owned(), self.students);
        }
        #[cfg(not(target_arch = "wasm32"))]
        if !self.levels.is_empty() {
            let falls = self.levels.windows(2).all(|pair| pair[1] < pair[0]);
            let fits = falls && self.levels.iter().all(|level| *level > 0.0 && level.is_finite());
            ConfigError::unless(fits, "students", "levels", "positive and falling".to_owned(), self.levels.len())?;
            let wanted = format!("one more than there are levels, {}", self.levels.len() + 1);
            let fits = self.students == self.levels.len() + 1;
            ConfigError::unless(fits, "students", "students", wanted, self.students)?;
            return self.of.validate();
        }
        let wanted = format!("from 2 to the number of classes, {classes}");
        ConfigError::unless((2..=classes).contains(&self.students), "students", "students", wanted, self.students)?;
        self.of.validate()
    }

    /// Whether the class of a sample chooses, not the noise level.
    pub fn by_class(&self) -> bool {
        #[cfg(not(target_arch = "wasm32"))]
        return self.levels.is_empty();
        #[cfg(target_arch = "wasm32")]
        true
    }

    /// Classes of student `k`.
    pub fn classes_of(&self, k: usize) -> usize {
        (self.of.classes() + self.students - 1 - k) / self.students
    }

    /// The rows of student `k` in a batch `[B, ..]` that is divided among all: k, k + n, k + 2n and so on.
    fn part<'g>(&self, x: Var<'g>, k: usize) -> Var<'g> {
        let (shape, n) = (x.shape(), self.students);
        assert!(shape[0].is_multiple_of(n), "{} samples cannot be divided among {n} students", shape[0]);
        let turns = x.reshape(&[&[shape[0] / n, n], &shape[1..]].concat());
        turns.slice(1, k..k + 1).reshape(&[&[shape[0] / n], &shape[1..]].concat())
    }

    /// The batch whose parts these are.
    fn joined<'g>(&self, parts: &[Var<'g>]) -> Var<'g> {
        let shape = parts[0].shape();
        let turn = |part: &Var<'g>| part.reshape(&[&[shape[0], 1], &shape[1..]].concat());
        let turns = concat(&parts.iter().map(turn).collect::<Vec<_>>(), 1);
        turns.reshape(&[&[shape[0] * self.students], &shape[1..]].concat())
    }

    /// What `build` makes of each student.
    fn each<'g>(&self, params: &Params<'g>, build: &dyn Fn(usize) -> Var<'g>) -> Vec<Var<'g>> {
        (0..self.students).map(|k| params.within(&format!("student{k}."), || build(k))).collect()
    }

    /// Every student for all rows, and of each row what the student of its class says; the mean of all where no class is
    /// said. It costs as many evaluations as there are students. Of students of noise levels, `noise [N]` being
    /// `ln(sigma) / 4`, what that of the level says: one evaluation if it is a constant.
    pub(super) fn chosen<'g>(
        &self,
        params: &Params<'g>,
        #[cfg_attr(target_arch = "wasm32", allow(unused_variables, reason = "the page's students are of classes"))]
        noise: Var<'g>,
        labels: Option<Var<'g>>,
        build: &dyn Fn(&NetworkConfig) -> Var<'g>,
    ) -> Var<'g> {
        let all = self.each(params, &|_| build(&self.of));
        #[cfg(not(target_arch = "wasm32"))]
        if !self.by_class() {
            return self.at_level(noise, &all);
        }
        let routes = labels.map(|labels| labels.matmul(self.owners(params.graph())));
        let share = |(k, out): (usize, Var<'g>)| match routes {
            None => out * (1.0 / self.students as f32),
            Some(routes) => out * per_sample(routes.slice(1, k..k + 1).reshape(&[routes.shape()[0]]), out.rank()),
        };
        all.into_iter().enumerate().map(share).reduce(|sum, part| sum + part).expect("there are at least two")
    }

    /// Of what each student says, that of the noise level.
    #[cfg(not(target_arch = "wasm32"))]
    fn at_level<'g>(&self, noise: Var<'g>, all: &[Var<'g>]) -> Var<'g> {
        /// A level that was rounded on its way here is still the level.
        const ROUNDING: f32 = 1e-4;
        let last = self.levels.len();
        // 1 from level k - 1 downwards: all of them, and below the last none.
        let below = |k: usize| noise.less(noise.graph().constant(self.levels[k].ln() * 0.25 + ROUNDING));
        let one = noise.graph().full(1.0, &noise.shape());
        let share = |k: usize| {
            if k == 0 {
                one - below(0)
            } else if k < last {
                below(k - 1) - below(k)
            } else {
                below(k - 1)
            }
        };
        let parts = all.iter().enumerate().map(|(k, out)| *out * per_sample(share(k), out.rank()));
        parts.reduce(|sum, part| sum + part).expect("there are at least two")
    }

    /// Which student each class belongs to, one-hot `[K, students]`.
    fn owners<'g>(&self, graph: &'g Graph) -> Var<'g> {
        let (classes, n) = (self.of.classes(), self.students as f32);
        let class = graph.iota(classes);
        one_hot(class - ((class + 0.5) * (1.0 / n)).floor() * n, self.students)
    }

    /// One-hot labels `[B, K]` of a batch that is divided, `u [B]` uniform in 0 to 1: a class of each row's student.
    pub fn labels<'g>(&self, u: Var<'g>) -> Var<'g> {
        let of_part = |k: usize| {
            let number = (self.part(u, k) * self.classes_of(k) as f32).floor();
            number * self.students as f32 + k as f32
        };
        one_hot(self.joined(&(0..self.students).map(of_part).collect::<Vec<_>>()), self.of.classes())
    }

    /// A batch that is divided among the students, who take turns row by row: what `build` makes of each student's rows
    /// of `inputs`, each `[B, ..]` or `[1, ..]` for all. It costs one evaluation.
    pub fn divided<'g>(
        &self,
        params: &Params<'g>,
        inputs: &[Var<'g>],
        build: &dyn Fn(&NetworkConfig, &[Var<'g>]) -> Var<'g>,
    ) -> Var<'g> {
        let of = |k: usize| {
            let part = |x: &Var<'g>| if x.shape()[0] == 1 { *x } else { self.part(*x, k) };
            build(&self.of, &inputs.iter().map(part).collect::<Vec<_>>())
        };
        self.joined(&self.each(params, &of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, feed};
    use crate::nets::{MlpConfig, ParamLayout};

    const CLASSES: usize = 5;

    fn config() -> StudentsConfig {
        let of = MlpConfig { dim: 2, width: 8, depth: 1, label_dim: CLASSES, two_times: false };
        StudentsConfig { students: 2, levels: Vec::new(), of: Box::new(NetworkConfig::Mlp(of)) }
    }

    /// Weights of both students, no two alike, and those of each.
    fn weights(layout: &ParamLayout, of: &ParamLayout) -> [Vec<f64>; 3] {
        let all: Vec<f64> = (0..layout.len).map(|i| 0.3 * (i as f64 * 0.7).sin()).collect();
        assert_eq!(layout.len, 2 * of.len);
        let half = |k: usize| all[k * of.len..(k + 1) * of.len].to_vec();
        [all.clone(), half(0), half(1)]
    }

    #[test]
    fn each_class_is_drawn_by_its_student() {
        let (config, graph) = (config(), Graph::new());
        let network = NetworkConfig::Students(config.clone());
        let of = &*config.of;
        let latent = graph.input("latent", 0, &[CLASSES, 2]);
        let labels = one_hot(graph.iota(CLASSES), CLASSES);
        let drawn = |net: &NetworkConfig, store| net.generator(&Params::new(&graph, store), latent, 2.5, Some(labels));
        let wanted = [drawn(&network, "all"), drawn(of, "first"), drawn(of, "second")];
        let [all, first, second] = weights(&network.generator_layout(), &of.generator_layout());
        let latents: Vec<f64> = (0..10).map(|i| (f64::from(i) * 1.3).cos()).collect();
        let stores = [("all", &all[..]), ("first", &first), ("second", &second), ("latent", &latents)];
        let out = evaluate(&graph, &feed(&stores), &wanted);
        for class in 0..CLASSES {
            let row = 2 * class..2 * class + 2;
            assert_close(&out[0][row.clone()], &out[1 + class % 2][row], 1e-12);
        }
        assert!((out[1][0] - out[2][0]).abs() > 1e-3, "students that are alike prove nothing");
    }

    #[test]
    fn each_noise_level_is_asked_of_its_student_and_a_constant_one_of_no_other() {
        let of = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 8, depth: 1, label_dim: 0, two_times: false });
        let (network, graph) = (of.clone().experts(vec![0.5]), Graph::new());
        network.validate().unwrap();
        assert_eq!(network, NetworkConfig::from_json(&serde_json::to_string(&network).unwrap()).unwrap());
        assert!(of.clone().experts(vec![0.5, 0.5]).validate().is_err());
        let x = graph.input("x", 0, &[3, 2]);
        let sigma = graph.input("sigma", 0, &[3]);
        let asked = |net: &NetworkConfig, store, sigma| net.denoiser(&Params::new(&graph, store), x, sigma, None);
        let apart = [asked(&network, "all", sigma), asked(&of, "first", sigma), asked(&of, "second", sigma)];
        let [all, first, second] = weights(&network.generator_layout(), &of.generator_layout());
        let points: Vec<f64> = (0..6).map(|i| (f64::from(i) * 1.3).cos()).collect();
        let stores =
            feed(&[("all", &all), ("first", &first), ("second", &second), ("x", &points), ("sigma", &[0.6, 0.5, 0.1])]);
        let out = evaluate(&graph, &stores, &apart);
        assert_close(&out[0], &[&out[1][..2], &out[2][2..]].concat(), 1e-12);
        assert!((out[1][2] - out[2][2]).abs() > 1e-3, "students that are alike prove nothing");
        for (level, of_one) in [(2.0, "first"), (0.5, "second")] {
            let sigma = graph.full(level, &[1]);
            let out = evaluate(&graph, &stores, &[asked(&network, "all", sigma), asked(&of, of_one, sigma)]);
            assert_eq!(out[0], out[1]);
        }
    }

    #[test]
    fn a_divided_batch_gives_what_the_classes_choose() {
        let (config, graph) = (config(), Graph::new());
        let network = NetworkConfig::Students(config.clone());
        let x = graph.input("x", 0, &[6, 2]);
        let (sigma, u) = (graph.input("sigma", 0, &[6]), graph.input("u", 0, &[6]));
        let labels = config.labels(u);
        let params = Params::new(&graph, "all");
        let chosen = network.denoiser(&params, x, sigma, Some(labels));
        let divided = config.divided(&params, &[x, sigma, labels], &|net, inputs| {
            net.denoiser(&params, inputs[0], inputs[1], Some(inputs[2]))
        });
        let [all, ..] = weights(&network.generator_layout(), &config.of.generator_layout());
        let u: [f64; 6] = [0.0, 0.0, 0.4, 0.6, 0.99, 0.99];
        let points: Vec<f64> = (0..12).map(|i| (f64::from(i) * 1.3).cos()).collect();
        let stores = [("all", &all[..]), ("x", &points), ("sigma", &[0.1, 0.2, 0.5, 1.0, 2.0, 4.0]), ("u", &u)];
        let out = evaluate(&graph, &feed(&stores), &[chosen, divided, labels]);
        assert_close(&out[0], &out[1], 1e-12);
        let class = |row: &[f64]| row.iter().position(|x| *x == 1.0).unwrap();
        let classes: Vec<usize> = out[2].chunks(CLASSES).map(class).collect();
        assert_eq!(classes, [0, 1, 2, 3, 4, 3], "0, 2, 4 of the first student, 1, 3 of the second, in turn");
    }

    #[test]
    fn configurations_are_read_and_wrong_ones_refused() {
        let network = NetworkConfig::Students(config());
        network.validate().unwrap();
        assert_eq!((network.classes(), network.data_shape()), (CLASSES, vec![2]));
        assert_eq!(network, NetworkConfig::from_json(&serde_json::to_string(&network).unwrap()).unwrap());
        for students in [0, 1, 6] {
            let error = StudentsConfig { students, ..config() }.validate().unwrap_err().to_string();
            assert!(error.contains("from 2 to the number of classes, 5"), "{error}");
        }
        assert!(network.students(2).validate().is_err());
    }
}
