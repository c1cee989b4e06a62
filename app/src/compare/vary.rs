//! `--vary sigma_max=20,5,1`: a setting whose values are compared, beside methods or in place of them.

use std::fmt;
use std::str::FromStr;

use onestep_core::train::{Config, Knob, Method, Overrides};

use crate::exit::bad_input;

/// What makes other data is not varied within a comparison.
const SAME: [&str; 3] = ["data", "resize", "classes"];

/// Settings that a comparison does not take, by flag or by `--vary`: why, and what to do instead.
const NOT_TAKEN: [(&str, &str); 8] = [
    ("method", "a comparison has --methods LIST"),
    ("seed", "a comparison has the seeds 1 to N: --seeds N"),
    ("steps", "follow from --budget, such as --budget 5TFLOP"),
    ("duration", "a run ends when its --budget is spent"),
    ("minutes", "a run ends when its --budget is spent, such as --budget 2min"),
    ("tick", "follows from --budget; leave it out"),
    ("snap", "follows from --budget; leave it out"),
    ("keep_last", "of each run the last checkpoint is kept; leave it out"),
];

/// Why a comparison does not take a setting, and what to do instead; `None` if it does.
pub fn not_taken(knob: &str) -> Option<&'static str> {
    NOT_TAKEN.iter().find(|(name, _)| *name == knob).map(|(_, why)| *why)
}

/// A setting and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Vary {
    name: &'static str,
    values: Vec<String>,
}

impl FromStr for Vary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, list) = text.split_once('=').ok_or("wanted a setting and its values, such as sigma_max=20,5,1")?;
        let name = name.trim().replace('-', "_");
        let knob = Knob::find(&name).ok_or_else(|| format!("there is no setting {name}; see onestep train --help"))?;
        if let Some(why) = not_taken(knob.name) {
            return Err(format!("{name}: {why}"));
        }
        if SAME.contains(&knob.name) {
            return Err(format!("{name}: is the same for all runs of a comparison"));
        }
        let values: Vec<String> = list.split(',').map(|value| value.trim().to_owned()).collect();
        for (i, value) in values.iter().enumerate() {
            Overrides::default().set(knob.name, value).map_err(|error| error.to_string())?;
            if values[..i].contains(value) {
                return Err(format!("{name}: {value} is there twice"));
            }
        }
        Ok(Self { name: knob.name, values })
    }
}

impl fmt::Display for Vary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.values.join(","))
    }
}

impl Vary {
    /// Whether it is this setting whose values are compared.
    pub fn varies(&self, knob: &str) -> bool {
        self.name == knob
    }

    /// The settings of a method with each of the values, and what tells them from each other.
    pub fn of(&self, method: &Method, config: &Config) -> anyhow::Result<Vec<(String, Config)>> {
        if !method.reads(self.name) {
            return Err(bad_input!("--vary {}: {} does not read this setting", self.name, method.name));
        }
        let with = |value: &String| {
            let (mut config, mut overrides) = (config.clone(), Overrides::default());
            overrides.set(self.name, value)?;
            config.apply(&overrides);
            config.validate()?;
            config.check_of_classes(&overrides)?;
            Ok((format!("{}={value}", self.name), config))
        };
        self.values.iter().map(with).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_are_settings() {
        for (name, _) in NOT_TAKEN {
            assert!(Knob::find(name).is_some_and(|knob| knob.name == name), "{name}");
        }
        assert_eq!(not_taken("warmup_steps"), None);
    }

    #[test]
    fn a_setting_is_varied_by_values_that_it_can_have() {
        let vary: Vary = "sigma-max=20, 5".parse().unwrap();
        assert_eq!(vary.to_string(), "sigma_max=20,5");
        let method = Method::find("diffratio").expect("the first");
        let varied = vary.of(method, &Config::default()).unwrap();
        let maxima: Vec<(&str, f32)> = varied.iter().map(|(name, config)| (&name[..], config.sigma_max)).collect();
        assert_eq!(maxima, [("sigma_max=20", 20.0), ("sigma_max=5", 5.0)]);
        for (text, words) in [
            ("sigma_max", "such as sigma_max=20,5,1"),
            ("sigma_maximum=1", "no setting sigma_maximum"),
            ("sigma_max=1,1", "twice"),
            ("sigma_max=", "sigma_max"),
            ("sigma_max=big", "big"),
            ("resize=8,16", "the same for all runs"),
            ("seed=1,2", "--seeds N"),
            ("method=vsd,dmd", "--methods LIST"),
            ("keep-last=1,2", "leave it out"),
            // All of them would be the same run.
            ("steps=100,2000", "follow from --budget"),
        ] {
            let error = text.parse::<Vary>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let refused =
            |text: &str| text.parse::<Vary>().unwrap().of(method, &Config::default()).unwrap_err().to_string();
        assert!(refused("alpha=1").contains("diffratio does not read"), "{}", refused("alpha=1"));
        // Out of bounds, and against another setting.
        for text in ["sigma_max=0", "sigma_max=0.01"] {
            assert!(refused(text).contains("sigma_max"), "{text}");
        }
    }
}
