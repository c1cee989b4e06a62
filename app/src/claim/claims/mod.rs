//! What each method claims: which runs show it, what is measured of them, and what decides.
//!
//! Plain data, a file per family. Invariant: arms, rows and values that a check names exist (a test).

mod first;
mod flow;
mod score;

/// All claims, in the order of the methods.
pub fn all() -> Vec<&'static Claim> {
    first::CLAIMS.iter().chain(flow::CLAIMS).chain(score::CLAIMS).collect()
}

/// The claim of a method.
pub fn find(name: &str) -> Option<&'static Claim> {
    all().into_iter().find(|claim| claim.method == name)
}

/// What a method's paper says of it, in miniature.
pub struct Claim {
    /// The method, which is the claim's name.
    pub method: &'static str,
    /// The claim, in one sentence.
    pub says: &'static str,
    /// The paper's figure, and whether it was read there.
    pub paper: &'static str,
    /// What the arms are trained on.
    pub data: &'static str,
    /// What each arm may spend, such as `500GFLOP`.
    pub budget: &'static str,
    /// What is trained.
    pub arms: &'static [Arm],
    /// What has to be so, with every seed.
    pub checks: &'static [Check],
    /// What was found out about the reason, if it does not hold.
    pub why: &'static str,
}

/// One kind of run.
pub struct Arm {
    /// What it is called in the claim.
    pub name: &'static str,
    /// How it is trained.
    pub method: &'static str,
    /// Settings that differ from those of the preset for the data.
    pub settings: &'static [(&'static str, &'static str)],
    /// In how many steps its network draws besides what its file says.
    pub steps: &'static [usize],
    /// In how many steps of Euler's method the denoiser draws that it saved before its last phase.
    pub flow: &'static [usize],
    /// In how many steps of Euler's method the denoiser that it began with draws, for comparison.
    pub teacher: &'static [usize],
    /// It is no run, but the merge of those of two arms before it.
    pub merges: Option<[&'static str; 2]>,
}

impl Arm {
    /// A method as it is.
    pub const fn of(method: &'static str) -> Self {
        Self { name: method, method, settings: &[], steps: &[], flow: &[], teacher: &[], merges: None }
    }

    /// Names of what is measured of it, in order: the run as its file says, in other numbers of steps, the denoiser before
    /// its last phase, and its teacher.
    pub fn rows(&self) -> Vec<String> {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let steps = self.steps.iter().map(|&n| format!("{} in {n} step{}", self.name, plural(n)));
        let flow = self.flow.iter().map(|&n| format!("flow of {} in {n} step{}", self.name, plural(n)));
        let teacher = self.teacher.iter().map(|&n| format!("teacher in {n} step{}", plural(n)));
        std::iter::once(self.name.to_owned()).chain(steps).chain(flow).chain(teacher).collect()
    }
}

/// A value of one row is below another's.
pub struct Check {
    /// Such as `kl_grid_20k`: the lower, the better.
    pub value: &'static str,
    /// The row that has to be better ...
    pub row: &'static str,
    /// ... than so many times ...
    pub times: f64,
    /// ... this one.
    pub than: &'static str,
}

/// Distance to the data.
const KL: &str = "kl_grid_20k";

/// A teacher that has not learned for long.
const WEAK: (&str, &str) = ("warmup_steps", "200");

/// Networks are told classes.
const CLASSES: (&str, &str) = ("classes", "1");

/// How far samples are from the end of the teacher's path from the same latent: the root of the mean square.
pub const TEACHER: &str = "teacher_rms";

/// How far the paths of a denoiser are from straight lines.
pub const STRAIGHT: &str = "straightness";

/// Distance of images to the data.
const FID: &str = "fid_lenet_1k";

/// Of images, the power in the finest frequencies, as a share of the data's.
pub const FINE: &str = "fine_power";

/// How far that is from 1 either way: the size of its logarithm.
pub const FINE_OFF: &str = "fine_power_off";

/// Of images, how many parameters the last phase trains.
pub const PARAMETERS: &str = "parameters";

/// Of images, the time that the run took.
pub const SECONDS: &str = "seconds";

#[cfg(test)]
mod tests {
    use onestep_core::train::{Method, Overrides, Preset};

    use super::*;
    use crate::compare::Budget;

    #[test]
    fn claims_hang_together() {
        for claim in all() {
            let name = claim.method;
            assert!(Method::find(name).is_some(), "there is no method {name}");
            assert!(claim.budget.parse::<Budget>().is_ok(), "{name}: {}", claim.budget);
            assert!(!claim.checks.is_empty(), "{name}: nothing decides");
            let rows: Vec<String> = claim.arms.iter().flat_map(Arm::rows).collect();
            for check in claim.checks {
                for row in [check.row, check.than] {
                    assert!(rows.iter().any(|known| known == row), "{name}: there is no row `{row}`");
                }
            }
            for (number, arm) in claim.arms.iter().enumerate() {
                for part in arm.merges.iter().flatten() {
                    let before = claim.arms[..number].iter().find(|arm| arm.name == *part);
                    assert!(before.is_some_and(|arm| arm.merges.is_none()), "{name}: {} merges {part}", arm.name);
                }
                let method = Method::find(arm.method).unwrap_or_else(|| panic!("{name}: {}", arm.method));
                let preset = crate::settings::suitable(claim.data).unwrap_or("mnist");
                let preset = Preset::find(preset).unwrap();
                let mut overrides = Overrides::default();
                arm.settings.iter().for_each(|(knob, value)| overrides.set(knob, value).unwrap());
                method.check(&overrides).unwrap();
                overrides.method = Some(method.into());
                preset.config_with(&[overrides]).validate().unwrap();
            }
        }
    }

    #[test]
    fn names_are_those_of_methods_and_told_apart() {
        let mut names: Vec<&str> = all().iter().map(|claim| claim.method).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for claim in all() {
            let mut rows: Vec<String> = claim.arms.iter().flat_map(Arm::rows).collect();
            rows.sort();
            let count = rows.len();
            rows.dedup();
            assert_eq!(rows.len(), count, "{}: two rows of one name", claim.method);
        }
    }
}
