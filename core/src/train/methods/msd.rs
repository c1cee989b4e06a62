//! Multi-student distillation (Song et al. 2024, arXiv 2410.23274): the classes are divided among several generators,
//! each with a denoiser of its own samples, and one teacher of all classes.
//!
//! The paper's first stage for students of the teacher's size, distribution matching. Its adversarial stage, and the
//! score matching by which smaller students begin, are left out.

use super::super::recipe::{Method, Need, Recipe, Subject, Update};
use super::super::step::{Setup, Step};
use super::dmd;
use super::score::{self, Denoised, generator_rates, pull};
use crate::nets::NetworkConfig;

/// Several students.
pub const METHOD: Method = Method {
    name: "msd",
    about: "As dmd, with several generators that share the classes among them.",
    paper: "arXiv 2410.23274",
    knobs: &score::knobs::<13>(&["students"]),
    needs: &[Need::Teacher, Need::Classes],
    settings: |c| {
        (dmd::METHOD.settings)(c);
        c.classes = 1;
    },
    recipe,
};

fn recipe(setup: &Setup) -> Recipe {
    let students = setup.network.clone().students(setup.config.students);
    let story = score::story(
        "Each student has a denoiser of its own, a copy of the teacher at first, which learns to remove noise from that \
         student's samples.",
        "What the teacher and each sample's own fake denoiser disagree on, divided by the teacher's error, moves the \
         sample.",
    );
    score::recipe_apart(setup, &students.clone(), &[("fake", students)], [FAKE, GENERATOR], &story)
}

const FAKE: Update = Update {
    about: "each student's fake denoiser learns to remove noise from its samples",
    build: |step| {
        divide(step);
        (score::FAKE.build)(step);
    },
    ..score::FAKE
};

const GENERATOR: Update = Update {
    name: "generator",
    about: "each student's samples move by the difference of two scores, in units of the teacher's error",
    subject: Subject::Fake,
    rates: generator_rates,
    build: generator,
};

/// Equation 7 of DMD for each student, on a batch that is divided among them: classes of the first, of the second and so
/// on.
fn generator(step: &Step<'_>) {
    divide(step);
    let net = step.net("generator");
    let denoised = Denoised::of(step, net.generate(step.latent()));
    pull(step, &net, &denoised, dmd::gradient(&denoised));
}

fn divide(step: &Step<'_>) {
    let NetworkConfig::Students(students) = &step.recipe().drawn().net else { unreachable!("see the recipe") };
    step.divide(students);
}
