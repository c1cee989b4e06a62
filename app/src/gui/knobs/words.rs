//! How settings are called and grouped here, and what their sliders cover. All else comes from the table of knobs.

use onestep_core::train::{COMMON, Config, GuidanceRule, Knob, Method, OF_CLASSES};

/// Settings in plain words, the most important ones first, with the unit of the number.
const PLAIN: [(&str, &str, &str); 11] = [
    ("lr_generator", "Generator's learning rate", "per step"),
    ("lr_critic", "Critic's learning rate", "per step"),
    ("lr_warmup", "Warm-up's learning rate", "per step"),
    ("divergence", "Divergence", ""),
    ("critic_steps", "Critic updates", "per generator update"),
    ("steps", "Length", "steps"),
    ("cooldown", "Cooldown", "share of the steps"),
    ("ema", "Averaging of weights", "kept per step"),
    ("batch", "Batch", "samples per step"),
    ("data", "Data", "name or path"),
    ("seed", "Seed", "of all random numbers"),
];
/// How many of them stand in front.
pub const FIRST: usize = 6;

/// The plain words and the unit of a setting, if it has some.
fn plain(knob: &Knob) -> Option<(&'static str, &'static str)> {
    PLAIN.iter().find(|(name, ..)| *name == knob.name).map(|(_, words, unit)| (*words, *unit))
}

/// What a setting is called.
pub fn name(knob: &Knob) -> String {
    plain(knob).map_or_else(|| knob.name.replace('_', " "), |(words, _)| words.to_owned())
}

/// The unit of its number, which may be empty.
pub fn unit(knob: &Knob) -> &'static str {
    plain(knob).map_or("", |(_, unit)| unit)
}

/// What there is to know about it.
pub fn help(knob: &Knob) -> String {
    format!("{} ({})", knob.help, knob.name)
}

/// Those of `knobs` that stand in front, and the others.
pub fn in_front(knobs: Vec<&'static Knob>) -> (Vec<&'static Knob>, Vec<&'static Knob>) {
    let place = |knob: &&Knob| PLAIN.iter().position(|(name, ..)| *name == knob.name);
    let (mut first, mut rest): (Vec<&'static Knob>, Vec<&'static Knob>) =
        knobs.into_iter().partition(|knob| place(knob).is_some());
    first.sort_by_key(place);
    rest.splice(0..0, first.drain(FIRST.min(first.len())..));
    (first, rest)
}

/// Whether a setting makes a difference to a run with these settings.
pub fn acts(name: &str, method: &Method, config: &Config) -> bool {
    // Methods that can do without a warm-up have its length among their settings.
    let warms_up = config.warmup_steps > 0 || !method.reads("warmup_steps");
    let idle = match name {
        "lr_warmup" => !warms_up,
        // The rule keeps classes from the fake denoiser, in place of a weight.
        "guidance" => method.reads("guidance_rule") && config.guidance_rule == GuidanceRule::ZeroCfg,
        "backward" => config.few_steps == 1,
        "reward_beta" => config.reward_weight <= 0.0,
        "critic_steps" | "lr_critic" | "beta1" | "beta2" | "sigma_min" | "sigma_max" | "score_weight" => {
            method.reads("score_phase") && config.score_phase == 0
        }
        _ => false,
    };
    method.reads(name) && (config.classes > 0 || !OF_CLASSES.contains(&name)) && !idle
}

/// Groups of settings, in the order of the panel.
pub const GROUPS: [&str; 5] = ["Learning rates", "Method", "Optimizer", "Data and network", "Length and files"];

/// The group of a setting.
pub fn group(knob: &Knob) -> &'static str {
    match knob.name {
        "beta1" | "beta2" | "ema" | "clip" => "Optimizer",
        "data" | "width" | "multipliers" | "blocks" | "patch" | "attention" | "resize" | "classes"
        | "label_dropout" => "Data and network",
        name if name.starts_with("lr_") || name == "cooldown" => "Learning rates",
        name if COMMON.contains(&name) && !name.starts_with("sigma") => "Length and files",
        _ => "Method",
    }
}

/// What a slider covers, within the bounds of the table; on a logarithmic scale or not. Other values can be typed.
pub fn handy(knob: &Knob) -> Option<(f64, f64, bool)> {
    match (knob.name, knob.range?) {
        (name, (_, high)) if name.starts_with("lr_") => Some((1e-6, high, true)),
        ("beta2" | "ema", _) => Some((0.9, 0.9999, false)),
        ("cooldown" | "beta1", _) => Some((0.0, 1.0, false)),
        // A few times, or a share.
        (_, (low, high)) => (high <= 100.0).then_some((low, high.min(10.0), false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onestep_core::train::{KNOBS, METHODS, Preset};

    #[test]
    fn every_setting_is_in_a_group_that_is_shown() {
        assert!(KNOBS.iter().all(|knob| GROUPS.contains(&group(knob))));
        assert!(PLAIN.iter().all(|(name, ..)| Knob::find(name).is_some_and(|knob| knob.name == *name)));
    }

    #[test]
    fn handy_ranges_are_within_the_bounds() {
        for knob in KNOBS {
            if let Some((from, to, _)) = handy(knob) {
                let (low, high) = knob.range.expect("a number");
                assert!(low <= from && to <= high.max(1.0), "{}: {from}..{to}", knob.name);
            }
        }
    }

    /// A slider that moves nothing.
    #[test]
    fn what_makes_no_difference_with_other_settings_is_not_shown() {
        let acts = |method: &str, change: fn(&mut Config), name: &str| {
            let method = Method::find(method).expect("a method");
            let mut config = Preset::find("mnist").expect("a preset").config_for(method);
            change(&mut config);
            acts(name, method, &config)
        };
        assert!(!acts("sid-few", |_| (), "guidance"), "its rule keeps classes from the fake denoiser");
        assert!(acts("sid-few", |config| config.guidance_rule = GuidanceRule::Lsg, "guidance"));
        assert!(acts("sid", |_| (), "guidance"));
        assert!(acts("hyper-sd", |_| (), "score_weight"));
        assert!(!acts("hyper-sd", |config| config.score_phase = 0, "score_weight"));
        assert!(acts("hyper-sd", |config| config.score_phase = 0, "lr_generator"));
        assert!(!acts("flash-dmd", |config| config.reward_weight = 0.0, "reward_beta"));
    }

    #[test]
    fn at_most_six_settings_stand_in_front_and_none_is_lost() {
        for method in METHODS {
            let config = Preset::find("mnist").expect("a preset").config_for(method);
            let live: Vec<&Knob> =
                KNOBS.iter().filter(|knob| knob.is_live() && acts(knob.name, method, &config)).collect();
            let (first, rest) = in_front(live.clone());
            assert!((3..=FIRST).contains(&first.len()), "{}: {}", method.name, first.len());
            assert_eq!(first.len() + rest.len(), live.len(), "{}", method.name);
        }
        let config = Preset::find("gaussians").expect("a preset").config();
        let method = config.method.get();
        assert!(!acts("lr_warmup", method, &config), "there is no warm-up");
        let live = KNOBS.iter().filter(|knob| knob.is_live() && acts(knob.name, method, &config)).collect();
        let names: Vec<String> = in_front(live).0.into_iter().map(name).collect();
        let wanted = [
            "Generator's learning rate",
            "Critic's learning rate",
            "Divergence",
            "Critic updates",
            "Length",
            "Cooldown",
        ];
        assert_eq!(names, wanted);
    }
}
