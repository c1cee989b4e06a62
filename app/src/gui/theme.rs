//! One colour per role, everywhere: real data, generated samples, ratio network, gradient.
//!
//! The four differ in lightness as well as in hue, so that they can be told apart with any colour
//! vision; the page uses the same ones.

use eframe::egui::{self, Color32};
use onestep_core::train::Subject;

/// Colours of the roles on the current background.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Real data.
    pub real: Color32,
    /// Samples of the generator.
    pub fake: Color32,
    /// The ratio network.
    pub ratio: Color32,
    /// The gradient that moves samples.
    pub gradient: Color32,
    /// Something is wrong.
    pub alarm: Color32,
    /// Behind pictures and plots.
    pub canvas: Color32,
    /// Whether the background is dark.
    pub dark: bool,
}

const DARK: Theme = Theme {
    real: Color32::from_rgb(0x76, 0xae, 0xf5),
    fake: Color32::from_rgb(0xf0, 0x93, 0x5c),
    ratio: Color32::from_rgb(0xb7, 0x9a, 0xf0),
    gradient: Color32::from_rgb(0x4f, 0xc6, 0xa2),
    alarm: Color32::from_rgb(0xff, 0x8a, 0x80),
    canvas: Color32::from_rgb(0x12, 0x14, 0x18),
    dark: true,
};

const LIGHT: Theme = Theme {
    real: Color32::from_rgb(0x1f, 0x5f, 0xbf),
    fake: Color32::from_rgb(0xb8, 0x47, 0x0f),
    ratio: Color32::from_rgb(0x6d, 0x46, 0xb3),
    gradient: Color32::from_rgb(0x0b, 0x72, 0x57),
    alarm: Color32::from_rgb(0xb3, 0x1d, 0x1d),
    canvas: Color32::from_rgb(0xfb, 0xfb, 0xfa),
    dark: false,
};

impl Theme {
    /// The colours that go with a user interface.
    pub fn of(ui: &egui::Ui) -> Self {
        if ui.visuals().dark_mode { DARK } else { LIGHT }
    }

    /// The colour of what something is about.
    pub fn subject(&self, subject: Subject) -> Color32 {
        match subject {
            Subject::Real => self.real,
            Subject::Fake => self.fake,
            Subject::Critic => self.ratio,
            Subject::Pull => self.gradient,
        }
    }

    /// The heat map's colour of a log density ratio scaled to -1 (samples) to 1 (data).
    pub fn heat(&self, value: f32) -> Color32 {
        let towards = if value < 0.0 { self.fake } else { self.real };
        lerp(self.canvas, towards, value.abs().clamp(0.0, 1.0) * 0.5)
    }
}

/// The colour that frames begin with.
pub fn background(visuals: &egui::Visuals) -> Color32 {
    let defaults = if visuals.dark_mode { egui::Visuals::dark } else { egui::Visuals::light };
    defaults().panel_fill
}

/// Makes a window's colours and sizes those of this program.
pub fn install(context: &egui::Context) {
    context.all_styles_mut(|style| {
        // Panels lie on that colour already: where software draws, a pixel costs as much as it is painted often.
        style.visuals.panel_fill = Color32::TRANSPARENT;
        let dark = style.visuals.dark_mode;
        let roles = if dark { DARK } else { LIGHT };
        style.visuals.weak_text_color = Some(Color32::from_gray(if dark { 150 } else { 95 }));
        style.visuals.error_fg_color = roles.alarm;
        style.text_styles.insert(egui::TextStyle::Small, egui::FontId::proportional(11.0));
    });
}

/// A colour on the way from `a` to `b`.
pub fn lerp(a: Color32, b: Color32, share: f32) -> Color32 {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
    Color32::from_rgb(mix(a.r(), b.r()), mix(a.g(), b.g()), mix(a.b(), b.b()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_runs_from_samples_over_nothing_to_data() {
        for theme in [DARK, LIGHT] {
            assert_eq!(theme.heat(0.0), theme.canvas);
            assert_ne!(theme.heat(-1.0), theme.heat(1.0));
            assert_eq!(theme.heat(7.0), theme.heat(1.0));
        }
    }

    /// Relative luminance, as WCAG 2 defines it.
    fn luminance(color: Color32) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let [a, b] = [luminance(a), luminance(b)];
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Facts and hints were too faint to be read: 2.7 to 1.
    #[test]
    fn every_text_stands_out_from_what_is_behind_it() {
        assert!((contrast(Color32::WHITE, Color32::BLACK) - 21.0).abs() < 1e-9);
        let context = egui::Context::default();
        install(&context);
        for (name, theme) in [(egui::Theme::Dark, DARK), (egui::Theme::Light, LIGHT)] {
            let visuals = context.style_of(name).visuals.clone();
            let panel = background(&visuals);
            let tinted = |color| lerp(panel, color, 0.1);
            let (text, strong) = (visuals.text_color(), visuals.strong_text_color());
            let weak = visuals.weak_text_color();
            let mut pairs = vec![
                ("button", visuals.widgets.inactive.fg_stroke.color, visuals.widgets.inactive.weak_bg_fill),
                ("field", visuals.widgets.inactive.fg_stroke.color, visuals.extreme_bg_color),
                ("chosen", visuals.selection.stroke.color, visuals.selection.bg_fill),
                ("banner", theme.alarm, lerp(panel, theme.alarm, 0.16)),
                ("words of a banner", strong, lerp(panel, theme.alarm, 0.16)),
                ("menu", text, visuals.window_fill),
                ("hint in a menu", weak, visuals.window_fill),
            ];
            for (what, color) in [("text", text), ("strong", strong), ("weak", weak), ("error", visuals.error_fg_color)]
            {
                pairs.extend([(what, color, panel), (what, color, theme.canvas)]);
            }
            for color in [theme.real, theme.fake, theme.ratio, theme.gradient, theme.alarm] {
                pairs.extend([("a role", color, panel), ("a role", color, theme.canvas)]);
                pairs.push(("a box of the diagram", strong, tinted(color)));
                pairs.push(("a lit box of the diagram", strong, lerp(panel, color, 0.4)));
            }
            for (what, front, behind) in pairs {
                let found = contrast(front, behind);
                assert!(found >= 4.5, "{name:?}: {what}: {front:?} on {behind:?} is {found:.2} to 1");
            }
        }
    }
}
