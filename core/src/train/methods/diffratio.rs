//! DiffRatio (arXiv 2502.08005): a network learns the log density ratio between noised data and noised samples at
//! every noise level, and samples move up its slope.

use super::super::batch::Stream;
use super::super::bins::{BINS, bin_indicator, mean_by_bin};
use super::super::knobs::Config;
use super::super::recipe::{
    Alarm, Count, Field, First, Handover, Head, Layer, Method, Mode, Moment, Network, Phase, Plot, Rates, Recipe, See,
    Sight, Subject, Update,
};
use super::super::step::{Setup, Step, Weights};
use super::warm_up;
use crate::graph::{Var, concat};
use crate::model::ModelKind;
use crate::nets::{Draw, per_sample};

/// Density-ratio distillation.
pub const METHOD: Method = Method {
    name: "diffratio",
    about: "A light network learns the log density ratio of noised data and noised samples; samples move up its slope.",
    paper: "arXiv 2502.08005",
    knobs: &[
        "warmup_steps",
        "lr_warmup",
        "divergence",
        "lr_generator",
        "lr_critic",
        "critic_steps",
        "label_dropout",
        "r1",
        "cooldown",
        "beta1",
        "beta2",
        "sigma_min",
        "sigma_max",
    ],
    needs: &[],
    // Above, a label says little of an image: docs/results.md, Quality. Points have no warm-up, and presets of their own.
    settings: |c| {
        if c.warmup_steps > 0 {
            c.sigma_max = c.sigma_max.min(if c.classes > 0 { 1.0 } else { 5.0 });
        }
    },
    recipe,
};

/// Store of the running mean squares of the generator's gradient, one per bin of noise levels.
const GRAD_SQUARES: &str = "generator.grad_squares";
/// Store of the ratio network's accuracy, one per bin of noise levels.
const ACCURACY: &str = "ratio.accuracy";

fn recipe(setup: &Setup) -> Recipe {
    let network = |name, head, first| Network { name, net: setup.network.clone(), head, first, mode: Mode::Trained };
    // The averaged denoiser becomes the generator and the encoder of the ratio network.
    let inherit = vec![
        Handover::Copy { from: "generator", to: "generator" },
        Handover::Encoder { from: "generator", to: "ratio" },
    ];
    let distillation = Phase {
        name: "distillation",
        length: Count::Knob("steps"),
        turn: vec![(Count::Knob("critic_steps"), RATIO), (Count::Times(1), GENERATOR)],
        saves: vec![("generator", ModelKind::Generator), ("ratio", ModelKind::Ratio)],
        draw: None,
        then: Vec::new(),
    };
    Recipe {
        networks: vec![
            network("generator", Head::Denoise, First::Random(0)),
            network("ratio", Head::Logit, First::Random(0x5241_5449)),
        ],
        phases: warm_up(&setup.config, "generator", &inherit).into_iter().chain([distillation]).collect(),
        inherit,
        draw: Draw::once(setup.config.sigma_init),
        sights: vec![
            Sight {
                name: "Ratio",
                about: "The log density ratio: where it is high, data are more likely than samples; arrows show its slope.",
                see: See::Field(|step, x, sigma| {
                    let height = step.frozen("ratio", Weights::Param).logit(x, sigma);
                    Field { height, arrow: step.graph().grad(height.sum_all(), &[x])[0] }
                }),
            },
            Sight {
                name: "Ratio accuracy by noise level",
                about: "The convergence meter: how often the ratio network tells noised data from noised samples. At 0.5 \
                        it can't tell them apart: the generator has converged at that noise level. High noise gets \
                        there first.",
                see: See::Levels { store: ACCURACY, ideal: 0.5, means: "it can't tell", mean: "Ratio/accuracy" },
            },
        ],
        story: STORY.to_vec(),
        plots: PLOTS.to_vec(),
        alarms: vec![COLLAPSE],
    }
}

const STORY: &[Moment] = &[
    Moment {
        name: "Data",
        about: "A batch of real data, and as many samples, each made in one step from a random latent.",
        subject: Subject::Real,
        update: None,
        statistic: None,
        layers: &[Layer::Data, Layer::Samples],
    },
    Moment {
        name: "Noise",
        about: "Both get noise of the same random level.",
        subject: Subject::Critic,
        update: None,
        statistic: None,
        layers: &[Layer::Data, Layer::Samples, Layer::Noise],
    },
    Moment {
        name: "Ratio",
        about: "The ratio network learns to tell noised data from noised samples: its logit is the log density ratio.",
        subject: Subject::Critic,
        update: Some("ratio"),
        statistic: Some("Ratio/accuracy"),
        layers: &[Layer::Data, Layer::Samples, Layer::Noise, Layer::Heights],
    },
    Moment {
        name: "Gradient",
        about: "The gradient of the log ratio at each sample points to where data are more likely.",
        subject: Subject::Pull,
        update: None,
        statistic: Some("Ratio/pull"),
        layers: &[Layer::Samples, Layer::Heights, Layer::Arrows],
    },
    Moment {
        name: "Generator",
        about: "The generator's weights change so that its samples follow the gradient. (The moves are drawn larger than they are.)",
        subject: Subject::Fake,
        update: Some("generator"),
        statistic: None,
        layers: &[Layer::Data, Layer::Samples, Layer::Heights],
    },
];

const PLOTS: &[Plot] = &[
    Plot {
        title: "Ratio logit",
        about: "The log density ratio that the network estimates, on noised data and on noised samples. Both curves \
                approach 0 as samples become like data.",
        log: false,
        curves: &[("Ratio/logit_real", "on data", Subject::Real), ("Ratio/logit_fake", "on samples", Subject::Fake)],
    },
    Plot {
        title: "Pull",
        about: "Mean square of the pull on samples, before it is weighed.",
        log: true,
        curves: &[("Ratio/pull", "pull", Subject::Pull)],
    },
];

/// The ratio network guesses, and it has no slope. One that can't tell samples from data any more guesses, too, but its
/// slope never vanishes: it learns from batches, and no two of them are alike. Collapsed runs had a mean square of the
/// pull, in units of the data, of 4e-10 and less; others kept 1e-4 to their ends, on points and on digits, with each
/// divergence.
const COLLAPSE: Alarm = Alarm {
    about: "collapsed: the ratio network gives the same answer everywhere",
    advice: "The generator has no gradient to follow, and such a network seldom comes back. Start anew, or go on from \
             an earlier checkpoint, with a lower learning rate for the ratio network (`lr_critic`).",
    rings: |latest| {
        latest("Ratio/accuracy").is_some_and(|accuracy| (accuracy - 0.5).abs() < 0.01)
            && latest("Ratio/pull").is_some_and(|pull| pull < 1e-8)
    },
};

const RATIO: Update = Update {
    name: "ratio",
    about: "the ratio network learns to tell noised data from noised samples",
    subject: Subject::Critic,
    rates: |c| Rates { lr: c.lr_critic, beta1: c.beta1, beta2: c.beta2, cools: true },
    build: ratio,
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "samples move up the log density ratio",
    subject: Subject::Fake,
    rates: |c| Rates { lr: c.lr_generator, beta1: c.beta1, beta2: c.beta2, cools: true },
    build: generator,
};

/// Logistic loss on balanced batches of noised data and noised samples at the same noise levels. At its minimum
/// the logit is the log density ratio at every level.
fn ratio(step: &Step<'_>) {
    let batch = step.batch();
    let net = step.net("ratio").dropping_labels();
    let real = step.real();
    let fake = step.frozen("generator", Weights::Param).generate(step.latent());
    let (sigma, u) = step.sigma();
    let noised_real = step.noised(real, sigma, Stream::NoiseReal);
    let noised_fake = step.noised(seen(step, fake), sigma, Stream::NoiseFake);
    let both = concat(&[noised_real, noised_fake], 0);
    let logit = net.logit(both, concat(&[sigma, sigma], 0));
    let (on_real, on_fake) = (logit.slice(0, 0..batch), logit.slice(0, batch..2 * batch));
    let mut loss = (-on_real).softplus().mean_all() + on_fake.softplus().mean_all();
    let r1 = step.config().r1;
    if r1 > 0.0 {
        // R1 (Mescheder et al. 2018): the squared slope of the logit at real data.
        let slope = step.graph().grad(on_real.sum_all(), &[both])[0].slice(0, 0..batch);
        loss = loss + slope.square().sum_all() * (0.5 * r1 / batch as f32);
    }
    let zero = step.graph().constant(0.0);
    let right = (zero.less(on_real) + on_fake.less(zero)) * 0.5;
    mean_by_bin(step, ACCURACY, right, bin_indicator(u));
    step.record("Loss/ratio", loss);
    step.record("Ratio/accuracy", right.mean_all());
    step.record("Ratio/logit_real", on_real.mean_all());
    step.record("Ratio/logit_fake", on_fake.mean_all());
    step.descend(&net, loss);
}

/// Samples as they are seen: an image has no numbers beyond -1 and 1.
fn seen<'g>(step: &Step<'g>, samples: Var<'g>) -> Var<'g> {
    if step.draws_images() { samples.clamp(-1.0, 1.0) } else { samples }
}

/// `E phi(l(g(z) + sigma eps, sigma))` with weight sigma^2, ratio network frozen.
fn generator(step: &Step<'_>) {
    let Config { divergence, .. } = *step.config();
    let net = step.net("generator");
    let fake = net.generate(step.latent());
    let (sigma, u) = step.sigma();
    let x_t = step.noised(seen(step, fake), sigma, Stream::NoiseFake);
    let logit = step.frozen("ratio", Weights::Param).logit(x_t, sigma);
    let descent = -divergence.weight(logit);
    // Pixels beyond black and white have no slope: nobody sees them move.
    let d_x = step.graph().vjp(&[(logit, descent)], &[fake])[0];
    // sigma^2 grad l = D_data - D_generator: every level in units of the data.
    let d_x = d_x * per_sample(sigma.square(), fake.rank());
    let (d_x, pull) = weigh_by_bin(step, d_x, u);
    let scale = 1.0 / step.batch() as f32 / (step.width() as f32).sqrt();
    let loss = divergence.phi(logit).mean_all();
    step.record("Loss/generator", loss);
    step.record("Ratio/pull", pull);
    step.pull(&net, fake, d_x * scale);
}

/// Divides each sample's gradient by the running root mean square of its bin of noise levels (DMD's divisor needs a
/// teacher, which there is not). That of an image is multiplied by how surely the ratio network tells data from samples in
/// that bin: where it only guesses, its slope is noise. All is detached. Returns the gradient, and the mean square before
/// division.
fn weigh_by_bin<'g>(step: &Step<'g>, d_x: Var<'g>, u: Var<'g>) -> (Var<'g>, Var<'g>) {
    let shape = d_x.shape();
    let batch = shape[0];
    let axes: Vec<usize> = (1..shape.len()).collect();
    let squares = d_x.square().mean(&axes).reshape(&[batch]);
    let indicator = bin_indicator(u);
    let new = mean_by_bin(step, GRAD_SQUARES, squares, indicator);
    let weight = 1.0 / (new + 1e-12).sqrt();
    // Of points it changed nothing that shows: docs/results.md, Quality.
    let told = || told_apart(step.recall(ACCURACY, &[BINS, 1]));
    let weight = if step.draws_images() { weight * told() } else { weight };
    let own = (indicator * weight).sum(&[0]).reshape(&[batch]);
    (step.kept(d_x) * per_sample(own, shape.len()), squares.mean_all())
}

/// Of a classifier's accuracy on as many data as samples: 0 where it guesses, 1 where it is always right. The best
/// classifier's is the total variation distance of the two.
fn told_apart(accuracy: Var<'_>) -> Var<'_> {
    (accuracy * 2.0 - 1.0).max(accuracy.graph().constant(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    #[test]
    fn a_level_at_which_the_ratio_network_guesses_has_no_weight() {
        let graph = Graph::new();
        let told = told_apart(graph.input("accuracy", 0, &[5]));
        let stores = [("accuracy", &[0.0, 0.375, 0.5, 0.75, 1.0][..])];
        assert_eq!(evaluate(&graph, &feed(&stores), &[told]).remove(0), [0.0, 0.0, 0.0, 0.5, 1.0]);
    }

    /// Accuracy and pull of runs on `rings` and `gaussians`: the first with `lr_critic` 0.1, the others at their ends.
    #[test]
    fn a_ratio_network_that_gives_one_answer_everywhere_has_collapsed() {
        let rings = |accuracy: f64, pull: f64| {
            (COLLAPSE.rings)(&|name| match name {
                "Ratio/accuracy" => Some(accuracy),
                "Ratio/pull" => Some(pull),
                _ => None,
            })
        };
        for (accuracy, pull) in [(0.5, 1.27e-20), (0.5, 4.4e-10), (0.5, 1.9e-40)] {
            assert!(rings(accuracy, pull), "accuracy {accuracy}, pull {pull}");
        }
        for (accuracy, pull) in [(0.517, 7.2e-4), (0.514, 2.2e-3), (0.5, 6.7e-4), (1.0, 0.0), (0.0, 0.0)] {
            assert!(!rings(accuracy, pull), "accuracy {accuracy}, pull {pull}");
        }
        assert!(!(COLLAPSE.rings)(&|_| None), "nothing is known yet");
    }
}
