//! Score-regularised consistency (rCM, arXiv 2510.08431): continuous-time consistency reaches all of a teacher's samples,
//! and score distillation makes them sharp.

use super::super::recipe::{
    Count, First, Handover, Head, Layer, Method, Mode, Moment, Need, Network, Phase, Recipe, Subject, Update,
};
use super::super::step::Setup;
use super::score::{self, Denoised, FAKE, generator_rates};
use super::{dmd, from_noise, scm, taught};
use crate::model::ModelKind;
use crate::nets::Draw;

/// Both at once.
pub const METHOD: Method = Method {
    name: "rcm",
    about: "As scm, and in the same updates samples move by the difference of two scores: all of the data, and sharp.",
    paper: "arXiv 2510.08431",
    knobs: &[
        "warmup_steps",
        "lr_warmup",
        "lr_generator",
        "lr_critic",
        "critic_steps",
        "label_dropout",
        "guidance",
        "cooldown",
        "beta1",
        "beta2",
        "sigma_min",
        "sigma_max",
        "tangent_warmup",
        "tangent_normal",
        "score_weight",
    ],
    needs: &[Need::Teacher],
    settings: |c| {
        from_noise(c);
        c.critic_steps = 5;
    },
    recipe,
};

fn recipe(setup: &Setup) -> Recipe {
    let last = Phase {
        name: "distillation",
        length: Count::Knob("steps"),
        turn: vec![(Count::Knob("critic_steps"), FAKE), (Count::Times(1), STUDENT)],
        saves: vec![("generator", ModelKind::Generator)],
        draw: None,
        then: Vec::new(),
    };
    let mut recipe = taught(setup, setup.network.clone(), vec![last], Draw::once(setup.config.sigma_init), STORY);
    let fake = Network {
        name: "fake",
        net: setup.network.clone(),
        head: Head::Denoise,
        first: First::From("generator"),
        mode: Mode::Trained,
    };
    recipe.networks.push(fake);
    let copy = Handover::Copy { from: "generator", to: "fake" };
    recipe.inherit.insert(0, copy.clone());
    if let [warm_up, _] = &mut recipe.phases[..] {
        warm_up.then.insert(1, copy);
    }
    recipe.sights[0] = score::PULL;
    recipe.plots = vec![scm::TANGENT];
    recipe
}

const STUDENT: Update = Update {
    name: "student",
    about: "the answer's slope along the teacher's path goes to zero, and samples move by the difference of two scores",
    subject: Subject::Fake,
    rates: generator_rates,
    build: |step| {
        let net = step.net("generator");
        let denoised = Denoised::of(step, net.generate(step.latent()));
        score::record_size(step, &denoised);
        // The paper's samples may also be of two to four steps; here they are of one.
        let pulled = score::pulled(denoised.y, dmd::gradient(&denoised));
        step.descend(&net, scm::on_data(step, &net) + step.knob("score_weight") * pulled);
    },
};

const STORY: &[Moment] = &[
    scm::STORY[0],
    Moment { update: None, ..scm::STORY[1] },
    Moment {
        name: "Fake",
        about: "A second denoiser, a copy of the teacher at first, learns to remove noise from samples.",
        subject: Subject::Critic,
        update: Some("fake"),
        statistic: Some("Loss/fake"),
        layers: &[Layer::Samples, Layer::Noise],
    },
    Moment {
        name: "Student",
        about: "Besides what the tangent asks of it, samples move by what teacher and fake denoiser disagree on.",
        subject: Subject::Fake,
        update: Some("student"),
        statistic: Some("Pull/size"),
        layers: &[Layer::Data, Layer::Samples, Layer::Heights, Layer::Arrows],
    },
];

#[cfg(test)]
mod tests {
    use super::super::gaussian::DATA;
    use super::*;
    use crate::graph::Graph;
    use crate::graph::reference::evaluate;
    use crate::nets::testing::feed;

    /// What is added to the consistency's loss has the gradient by which `dmd` pulls samples.
    #[test]
    fn the_score_part_pulls_samples_as_dmd_does() {
        let graph = Graph::new();
        let [z, sigma] = [graph.input("z", 0, &[4, 1]), graph.input("sigma", 0, &[4])];
        let parameters = [0, 1].map(|i| graph.input("generator", i, &[1, 1]));
        let y = parameters[0] + parameters[1] * z;
        let denoised = Denoised { y, sigma, teacher: y * 0.5 + 0.1, fake: y * 0.75 };
        let loss = score::pulled(denoised.y, dmd::gradient(&denoised));
        let wanted = graph.vjp(&[(y, dmd::gradient(&denoised) * 0.25)], &parameters);
        let got = graph.grad(loss, &parameters);
        let stores: [(&str, &[f64]); 3] =
            [("z", &[-1.5, -0.25, 0.5, 2.0]), ("sigma", &[0.1, 0.5, 1.0, 4.0]), ("generator", &DATA)];
        let out = evaluate(&graph, &feed(&stores), &[got, wanted].concat());
        assert!(out[0][0].abs() > 1e-3 && out[1][0].abs() > 1e-3, "{out:?}");
        assert!(out[0] == out[2] && out[1] == out[3], "{out:?}");
    }
}
