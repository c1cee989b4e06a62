//! Named settings that work: what a beginner trains first.

use super::knobs::{Config, Multipliers, Overrides};
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
    /// The default settings with this preset's, before any method changes them.
    fn plain(&self) -> Config {
        let mut config = Config::default();
        (self.settings)(&mut config);
        config
    }

    /// The settings of this preset, as its method changes them: what `train --preset` runs.
    pub fn config(&self) -> Config {
        self.config_for(self.plain().method.get())
    }

    /// The same with another method.
    pub fn config_for(&self, method: &'static Method) -> Config {
        let mut config = self.plain();
        config.method = method.into();
        (method.settings)(&mut config);
        config
    }

    /// The default settings with this preset's, as the method changes them for the data, and `layers` over all that, the
    /// last on top. The classes of a preset are those of its own data: others have none unless a layer asks for them.
    pub fn config_with(&self, layers: &[Overrides]) -> Config {
        let mut config = self.plain();
        let data = layers.iter().rev().find_map(|layer| layer.data.as_ref());
        if data.is_some_and(|data| *data != config.data) {
            config.classes = 0;
        }
        for layer in layers {
            config.classes = layer.classes.unwrap_or(config.classes);
            config.method = layer.method.unwrap_or(config.method);
        }
        (config.method.get().settings)(&mut config);
        for layer in layers {
            config.apply(layer);
        }
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

/// The embedded digits, of a class that is asked for.
fn digits(config: &mut Config) {
    *config =
        Config { data: "mnist-10k".into(), classes: 1, warmup_steps: 1000, steps: 3500, snap: 250, ..config.clone() };
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "mnist",
        about: "Handwritten digits, 28 x 28, of a class that is asked for; from the 10,000 embedded images, about half an hour on two processor cores.",
        settings: digits,
    },
    Preset {
        name: "mnist-small",
        about: "The same digits by networks of half the width: a third of the time, as near to the data, less varied.",
        settings: |c| {
            digits(c);
            c.width = 16;
        },
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
    fn classes_are_those_of_the_presets_own_data() {
        let preset = Preset::find("mnist").unwrap();
        let of = |data: Option<&str>, classes| {
            let first = Overrides { data: data.map(str::to_owned), ..Overrides::default() };
            let config = preset.config_with(&[first, Overrides { classes, ..Overrides::default() }]);
            (config.classes, config.sigma_max)
        };
        // Noise levels go with them.
        assert_eq!(of(None, None), (1, 1.0));
        assert_eq!(of(Some("mnist-10k"), None), (1, 1.0));
        assert_eq!(of(None, Some(0)), (0, 5.0));
        assert_eq!(of(Some("pictures"), None), (0, 5.0));
        assert_eq!(of(Some("pictures"), Some(1)), (1, 1.0));
        let sigma_max = Overrides { sigma_max: Some(20.0), ..Overrides::default() };
        assert_eq!(preset.config_with(&[sigma_max]).sigma_max.to_bits(), 20.0_f32.to_bits());
    }

    #[test]
    fn presets_are_valid() {
        for preset in PRESETS {
            assert_eq!(preset.config(), preset.config_with(&[]), "{}", preset.name);
            for method in METHODS {
                let config = preset.config_for(method);
                config.validate().unwrap_or_else(|e| panic!("{}, {}: {e}", preset.name, method.name));
                assert!(!method.needs.contains(&Need::Teacher) || config.warmup_steps > 0, "{}", method.name);
            }
        }
    }
}
