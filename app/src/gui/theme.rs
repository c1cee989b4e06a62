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

impl Theme {
    /// The colours that go with a user interface.
    pub fn of(ui: &egui::Ui) -> Self {
        if ui.visuals().dark_mode {
            Self {
                real: Color32::from_rgb(0x76, 0xae, 0xf5),
                fake: Color32::from_rgb(0xf0, 0x93, 0x5c),
                ratio: Color32::from_rgb(0xb7, 0x9a, 0xf0),
                gradient: Color32::from_rgb(0x4f, 0xc6, 0xa2),
                alarm: Color32::from_rgb(0xff, 0x8a, 0x80),
                canvas: Color32::from_rgb(0x12, 0x14, 0x18),
                dark: true,
            }
        } else {
            Self {
                real: Color32::from_rgb(0x1f, 0x5f, 0xbf),
                fake: Color32::from_rgb(0xb8, 0x47, 0x0f),
                ratio: Color32::from_rgb(0x6d, 0x46, 0xb3),
                gradient: Color32::from_rgb(0x0b, 0x72, 0x57),
                alarm: Color32::from_rgb(0xb3, 0x1d, 0x1d),
                canvas: Color32::from_rgb(0xfb, 0xfb, 0xfa),
                dark: false,
            }
        }
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

/// Leaves panels without a fill of their own, since they lie on that colour already: where software draws, a pixel
/// costs as much as it is painted often.
pub fn leave_panels_empty(context: &egui::Context) {
    context.all_styles_mut(|style| style.visuals.panel_fill = Color32::TRANSPARENT);
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
        let context = egui::Context::default();
        let mut theme = None;
        context.run_ui(egui::RawInput::default(), |ui| theme = Some(Theme::of(ui))).textures_delta.clear();
        let theme = theme.expect("one frame was run");
        assert_eq!(theme.heat(0.0), theme.canvas);
        assert_ne!(theme.heat(-1.0), theme.heat(1.0));
        assert_eq!(theme.heat(7.0), theme.heat(1.0));
    }
}
