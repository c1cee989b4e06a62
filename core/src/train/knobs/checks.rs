//! What one setting asks of another.

use super::{Config, KnobError};
#[cfg(not(target_arch = "wasm32"))]
use crate::nets::{Draw, SIGMA_DATA};

impl Config {
    /// Every bound, and what one setting asks of another.
    pub fn validate(&self) -> Result<(), KnobError> {
        self.check_ranges()?;
        let refuse = |knob: &str, value: String, problem: &str| {
            Err(KnobError { knob: knob.to_owned(), value, problem: problem.to_owned() })
        };
        if self.sigma_min >= self.sigma_max {
            return refuse("sigma_min", self.sigma_min.to_string(), "must be below sigma_max");
        }
        if self.multipliers.0.is_empty() || self.multipliers.0.len() > 8 {
            return refuse("multipliers", format!("{:?}", self.multipliers.0), "one to eight levels");
        }
        if self.accumulate > 1 {
            super::super::slots::deal(self, &[1])?;
        }
        #[cfg(not(target_arch = "wasm32"))]
        if self.method.get().reads("phase_sigma") {
            let below = self.sigma_init.min(self.sigma_max);
            if self.phase_sigma >= below {
                let problem = format!("must be below sigma_init and sigma_max, {below}");
                return refuse("phase_sigma", self.phase_sigma.to_string(), &problem);
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        if self.method.get().reads("few_steps") {
            let draw = Draw::jumps(self.few_steps as usize, self.sigma_init);
            if !draw.is_valid() {
                let problem = format!("must be above {SIGMA_DATA}, to which noise falls in {} steps", self.few_steps);
                return refuse("sigma_init", self.sigma_init.to_string(), &problem);
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        if self.method.get().reads("reward_weight") && self.reward_weight > 0.0 {
            let value = self.reward_weight.to_string();
            if self.classes == 0 {
                return refuse("reward_weight", value, "needs classes: set classes to 1");
            }
            if self.few_steps == 1 {
                return refuse("reward_weight", value, "needs next states: set few_steps to 2 or more");
            }
        }
        #[cfg(not(target_arch = "wasm32"))]
        if self.method.get().reads("levels") && self.method.get().reads("halvings") {
            let (steps, most) = (u64::from(self.levels).saturating_sub(1), 1 << (self.halvings - 1));
            if !steps.is_multiple_of(most) {
                let problem = format!("must be one more than a multiple of {most}, the segments of the first round");
                return refuse("levels", self.levels.to_string(), &problem);
            }
        }
        if self.method.get().reads("students") && !self.batch.is_multiple_of(self.students) {
            let problem = format!("must divide the batch, {}", self.batch);
            return refuse("students", self.students.to_string(), &problem);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Snapshots of such a run could not be opened.
    #[test]
    fn noise_has_to_fall_in_several_steps() {
        let check = |method: &str, few_steps, sigma_init| {
            let method = method.parse().unwrap();
            Config { method, few_steps, sigma_init, ..Config::default() }.validate()
        };
        for few_steps in 2..=4 {
            check("dmd2", few_steps, 0.6).unwrap();
            let error = check("dmd2", few_steps, 0.5).unwrap_err().to_string();
            assert!(error.starts_with("sigma_init = 0.5: must be above 0.5"), "{error}");
        }
        check("dmd2", 1, 0.5).unwrap();
        check("diffratio", 4, 0.5).unwrap();
    }

    /// Of another number of levels, a step went across the border of two segments.
    #[test]
    fn levels_are_shared_out_to_the_segments() {
        let check = |levels| Config { method: "hyper-sd".parse().unwrap(), levels, ..Config::default() }.validate();
        assert_eq!(check(33), Ok(()));
        assert!(check(18).unwrap_err().to_string().contains("one more than a multiple of 8"));
    }
}
