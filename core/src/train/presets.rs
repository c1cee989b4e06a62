//! Named settings that work: what a beginner trains first.

use super::knobs::{Config, Multipliers};
use super::recipe::Method;

/// A named run.
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    settings: fn(&mut Config),
}

impl Preset {
    /// The default settings with this preset's.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        (self.settings)(&mut config);
        config
    }

    /// The same, as a method changes them.
    pub fn config_for(&self, method: &'static Method) -> Config {
        let mut config = self.config();
        config.method = method.into();
        (method.settings)(&mut config);
        config
    }

    /// The preset called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|p| p.name == name)
    }
}

/// Points in the plane: a small network, no warm-up.
fn planar(config: &mut Config, data: &str) {
    *config = Config {
        data: data.to_owned(),
        batch: 512,
        warmup_steps: 0,
        steps: 5000,
        width: 64,
        blocks: 3,
        lr_generator: 1e-3,
        lr_critic: 2e-3,
        // Of the settings that were tried, these came closest to the data on `gaussians`.
        critic_steps: 4,
        cooldown: 1.0,
        ema: 0.998,
        sigma_init: 1.0,
        sigma_min: 0.015,
        sigma_max: 2.0,
        snap: 500,
        ..config.clone()
    };
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "mnist",
        about: "Handwritten digits, 28 x 28, from the 10,000 embedded images; about half an hour on two processor cores.",
        settings: |c| *c = Config { data: "mnist-10k".into(), warmup_steps: 1000, steps: 3500, snap: 250, ..c.clone() },
    },
    Preset {
        name: "fashion-mnist",
        about: "Clothes, 28 x 28; downloads 30 MB once.",
        settings: |c| *c = Config { data: "fashion-mnist".into(), warmup_steps: 3000, steps: 8000, ..c.clone() },
    },
    Preset {
        name: "cifar10",
        about: "Colour photographs, 32 x 32; downloads 170 MB once; wants a GPU.",
        settings: |c| {
            *c = Config {
                data: "cifar10".into(),
                width: 64,
                multipliers: Multipliers(vec![1, 2, 2]),
                blocks: 2,
                attention: 8,
                warmup_steps: 20_000,
                steps: 50_000,
                lr_warmup: 1e-3,
                lr_generator: 1e-4,
                lr_critic: 3e-4,
                ..c.clone()
            }
        },
    },
    Preset { name: "gaussians", about: "Eight bumps on a circle, in the plane.", settings: |c| planar(c, "gaussians") },
    Preset {
        name: "checkerboard",
        about: "Eight fields of a board, in the plane.",
        settings: |c| planar(c, "checkerboard"),
    },
    Preset { name: "two-moons", about: "Two half circles, in the plane.", settings: |c| planar(c, "two-moons") },
    Preset { name: "swiss-roll", about: "A spiral, in the plane.", settings: |c| planar(c, "swiss-roll") },
    Preset { name: "pinwheel", about: "Five twisted blades, in the plane.", settings: |c| planar(c, "pinwheel") },
    Preset { name: "rings", about: "Three circles around one centre, in the plane.", settings: |c| planar(c, "rings") },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{METHODS, Need};

    #[test]
    fn presets_are_valid() {
        for preset in PRESETS {
            for method in METHODS {
                let config = preset.config_for(method);
                config.validate().unwrap_or_else(|e| panic!("{}, {}: {e}", preset.name, method.name));
                assert!(!method.needs.contains(&Need::Teacher) || config.warmup_steps > 0, "{}", method.name);
            }
        }
    }
}
