//! SANA-Sprint (Chen et al. 2025, arXiv 2503.09641): a flow becomes the teacher of a continuous-time consistency without
//! being trained for it, and heads on the frozen teacher's features tell the student's samples from data.
//!
//! The paper wraps a trained velocity in the angles of [`scm`](super::scm). Here networks are denoisers whatever they were
//! trained as, and that formula is the identity on them (a test): the flow goes on as it is.

use super::super::batch::Stream;
use super::super::net::Net;
use super::super::recipe::{Count, First, Head, Method, Mode, Moment, Need, Network, Phase, Recipe, Subject, Update};
use super::super::step::{Setup, Step, Weights};
use super::score::{FAKE, generator_rates};
use super::{WARM_UP, flow, from_noise, scm, taught};
use crate::graph::Var;
use crate::model::ModelKind;
use crate::nets::{Draw, per_sample};

/// Consistency with an adversary in latent space (LADD).
pub const METHOD: Method = Method {
    name: "sana-sprint",
    about: "As scm, with a flow as the teacher, and heads on its features that tell samples from data: sharper in one step.",
    paper: "arXiv 2503.09641",
    knobs: &[
        "warmup_steps",
        "lr_warmup",
        "lr_generator",
        "lr_critic",
        "label_dropout",
        "guidance",
        "cooldown",
        "beta1",
        "beta2",
        "tangent_warmup",
        "tangent_normal",
        "gan_weight",
    ],
    needs: &[Need::Teacher],
    settings: |c| {
        from_noise(c);
        c.gan_weight = 0.5;
    },
    recipe,
};

/// Mean and deviation of the logarithms of noise levels, as in the published settings: of what the student is given where
/// it is judged, and of what the heads see.
const GIVEN: (f32, f32) = (0.2, 1.6);
const SEEN: (f32, f32) = (-0.6, 1.0);

fn recipe(setup: &Setup) -> Recipe {
    let last = Phase {
        name: "distillation",
        length: Count::Knob("steps"),
        turn: vec![(Count::Times(1), HEAD), (Count::Times(1), STUDENT)],
        saves: vec![("generator", ModelKind::Generator)],
        draw: None,
        then: Vec::new(),
    };
    let mut recipe = taught(setup, setup.network.clone(), vec![last], Draw::once(setup.config.sigma_init), STORY);
    if let [warm_up, _] = &mut recipe.phases[..] {
        warm_up.turn = vec![(Count::Times(1), FLOW)];
    }
    recipe.networks.push(Network {
        name: "head",
        net: setup.network.clone(),
        head: Head::Judge,
        first: First::Random(0x5341_4e41),
        mode: Mode::Trained,
    });
    recipe.plots = vec![scm::TANGENT];
    recipe
}

const FLOW: Update = Update {
    name: "flow",
    about: "the network learns the velocity between noise and real data",
    build: |step| {
        let net = step.net(step.recipe().begins_with().name).dropping_labels();
        let loss = flow::velocity_loss(step, &net, step.real(), step.latent());
        step.record("Loss/flow", loss);
        step.descend(&net, loss);
    },
    ..WARM_UP
};

const HEAD: Update = Update {
    name: "head",
    about: "a head on the teacher's features learns to tell the student's samples from data",
    build: |step| {
        let head = step.net("head");
        let student = step.frozen("generator", Weights::Param);
        let teacher = || step.frozen("teacher", Weights::Param);
        let mut fakes = vec![logit(step, &head, &teacher(), samples(step, &student), Stream::NoiseFake)];
        if step.labels().is_some() {
            fakes.push(logit(step, &head, &teacher().mistold(), step.real(), Stream::NoiseReal));
        }
        let real = logit(step, &head, &teacher(), step.real(), Stream::NoiseReal);
        let loss = told(real, &fakes);
        let zero = step.graph().constant(0.0);
        step.record("Loss/told", loss);
        step.record("Told/accuracy", (zero.less(real).mean_all() + fakes[0].less(zero).mean_all()) * 0.5);
        step.descend(&head, loss);
    },
    ..FAKE
};

const STUDENT: Update = Update {
    name: "student",
    about: "the answer's slope along the teacher's path goes to zero, and samples go where they are taken for data",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let consistency = scm::on_data(step, &net);
        let head = step.frozen("head", Weights::Param);
        let teacher = step.frozen("teacher", Weights::Param);
        let price = -logit(step, &head, &teacher, samples(step, &net), Stream::NoiseFake).mean_all();
        step.record("Loss/gan", price);
        step.descend(&net, consistency + step.knob("gan_weight") * price);
    },
};

/// What the student makes of data with noise of random levels, and in half of the cases of noise alone.
fn samples<'g>(step: &Step<'g>, student: &Net<'g>) -> Var<'g> {
    let alone = step.uniform(Stream::Step).less(step.graph().constant(0.5));
    let given = (step.levels() * GIVEN.1 + GIVEN.0).exp().min(step.graph().constant(step.config().sigma_init));
    let sigma = given + alone * (step.config().sigma_init - given);
    let x = per_sample(1.0 - alone, step.real().rank()) * step.real()
        + per_sample(sigma, step.real().rank()) * step.latent();
    student.denoise(x, sigma)
}

/// The head's answer `[B]` on what the teacher sees in `x [B, ..]` with noise.
fn logit<'g>(step: &Step<'g>, head: &Net<'g>, teacher: &Net<'g>, x: Var<'g>, stream: Stream) -> Var<'g> {
    let sigma = (step.other_levels() * SEEN.1 + SEEN.0).exp();
    head.judge(teacher.features(step.noised(x, sigma, stream), sigma))
}

/// The hinge loss: half the mean of `relu(1 - l)` on data and of `relu(1 + l)` on each kind of what is no data.
fn told<'g>(real: Var<'g>, fakes: &[Var<'g>]) -> Var<'g> {
    let zero = real.graph().constant(0.0);
    let share = 0.5 / fakes.len() as f32;
    let fakes = fakes.iter().map(|fake| (*fake + 1.0).max(zero).mean_all() * share);
    fakes.fold((1.0 - real).max(zero).mean_all() * 0.5, |sum, fake| sum + fake)
}

const STORY: &[Moment] = &[
    scm::STORY[0],
    Moment { update: None, ..scm::STORY[1] },
    Moment {
        name: "Head",
        about: "What the frozen teacher sees in noised data and in noised samples tells a small head one from the other.",
        subject: Subject::Critic,
        update: Some("head"),
        statistic: Some("Told/accuracy"),
        layers: scm::STORY[1].layers,
    },
    Moment {
        name: "Student",
        about: "Besides what the tangent asks of it, samples go where the head takes them for data.",
        subject: Subject::Fake,
        update: Some("student"),
        statistic: Some("Tangent/size"),
        layers: scm::STORY[1].layers,
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::{DATA, denoiser};
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::SIGMA_DATA;
    use crate::nets::testing::{assert_close, feed};

    /// The paper's formula for the angular velocity of a trained flow gives that of the flow's denoiser.
    #[test]
    fn a_flow_in_angles_is_its_own_denoiser() {
        let graph = Graph::new();
        let x = graph.input("x", 0, &[4, 1]);
        let levels = graph.input("levels", 0, &[4]);
        let at = scm::Angle::of(levels);
        let given = denoiser(x / at.cos(2), levels);
        let ours = scm::velocity_to(given, x, &at) * (1.0 / SIGMA_DATA);
        // In units in which data have deviation 1, as the paper has them: u is the flow's time, y its state.
        let [x, given] = [x, given].map(|value| value * (1.0 / SIGMA_DATA));
        let size = at.cos(2) + at.sin(2);
        let (u, y) = (at.sin(2) / size, x / size);
        let velocity = (y - given) / u;
        let wrapped = ((1.0 - 2.0 * u) * y + (1.0 - 2.0 * u + 2.0 * u.square()) * velocity)
            / (u.square() + (1.0 - u).square()).sqrt();
        let stores: [(&str, &[f64]); 3] =
            [("x", &[0.4, -0.6, 0.2, 0.7]), ("levels", &[0.05, 0.4, 2.0, 18.0]), ("model", &DATA)];
        let out = evaluate(&graph, &feed(&stores), &[ours, wrapped]);
        assert_close(&out[1], &out[0], 1e-6);
    }

    #[test]
    fn the_hinge_leaves_alone_what_is_told_for_sure() {
        let graph = Graph::new();
        let [real, fake] = ["real", "fake"].map(|store| graph.input(store, 0, &[3]));
        let slopes = graph.grad(told(real, &[fake]), &[real, fake]);
        let out = evaluate(&graph, &feed(&[("real", &[2.0, 0.5, -1.0]), ("fake", &[-2.0, -0.5, 1.0])]), &slopes);
        let sixth = 1.0 / 6.0;
        assert_close(&out.concat(), &[0.0, -sixth, -sixth, 0.0, sixth, sixth], 1e-6);
    }
}
