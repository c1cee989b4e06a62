//! The straight way from one seed to another.

use std::sync::Arc;

use eframe::egui::{Context, Rect, TextureHandle, Ui, vec2};

use super::Request;
use super::desk::Desk;
use super::job::{Drawn, Form, Latents, Samples, Slot, Task};
use super::widgets::{GAP, Rows, duration, fit_one, picture, reroll, seed, share, stage, status, tile, upload};
use crate::gui::theme::Theme;

/// Samples of the strip.
const STRIP: usize = 9;

/// A place on the line.
pub struct View {
    from: u32,
    to: u32,
    share: f32,
    secs: f64,
    large: Vec<TextureHandle>,
    strip: Vec<TextureHandle>,
    samples: Option<Arc<Samples>>,
}

impl Default for View {
    fn default() -> Self {
        let (large, strip) = (Vec::new(), Vec::new());
        Self { from: 0, to: 1, share: 0.5, secs: 0.0, large, strip, samples: None }
    }
}

impl View {
    /// The sample at the slider, or the strip.
    pub fn take(&mut self, ctx: &Context, slot: Slot, drawn: Drawn) {
        if slot == Slot::Strip {
            upload(&mut self.strip, ctx, drawn.images);
            self.samples = Some(drawn.samples);
        } else {
            upload(&mut self.large, ctx, drawn.images);
            self.secs = drawn.secs;
        }
    }

    /// The pictures of another model go.
    pub fn forget(&mut self) {
        self.samples = None;
        self.large.clear();
        self.strip.clear();
    }

    /// What a picture would be saved of.
    pub fn samples(&self) -> Option<&Arc<Samples>> {
        self.samples.as_ref()
    }

    /// The controls, the sample and the strip.
    pub fn show(&mut self, ui: &mut Ui, theme: &Theme, desk: &mut Desk, visible: f32) -> Option<Request> {
        let mut request = None;
        ui.horizontal_wrapped(|ui| {
            if reroll(ui, "Two other seeds", "The way between the two seeds that follow") {
                self.from = self.from.wrapping_add(2);
                self.to = self.to.wrapping_add(2);
            }
            seed(ui, "From seed A", &mut self.from);
            seed(ui, "to seed B", &mut self.to);
            share(ui, "of the way", &mut self.share, "How far from seed A (0) to seed B (1).");
            let tip = "Write the strip as one PNG file.";
            if ui.button("Save picture…").on_hover_text(tip).clicked() {
                let suggested = format!("seeds-{}-to-{}.png", self.from, self.to);
                request = Some(Request::SavePicture { suggested });
            }
        });
        let latents = |shares| Latents::Line { from: self.from, to: self.to, shares };
        desk.want(Slot::Between, Task::Draw { latents: latents(vec![self.share]), form: Form::Each });
        let shares: Vec<f32> = (0..STRIP).map(|i| i as f32 / (STRIP - 1) as f32).collect();
        desk.want(Slot::Strip, Task::Draw { latents: latents(shares.clone()), form: Form::Each });
        let line = (!self.large.is_empty()).then(|| {
            format!(
                "Noise on the straight way from seed A to seed B, at unit variance everywhere, and its samples: 1 \
                 evaluation each, {} for this one.",
                duration(self.secs)
            )
        });
        status(ui, theme, &desk.states([Slot::Between, Slot::Strip]), line);

        let area = stage(ui, visible);
        let Some(size) = self.strip.first().map(TextureHandle::size) else { return request };
        // The strip in one row, as wide as the page, but not higher than a third of it.
        let width = ((area.width() + GAP) / STRIP as f32 - GAP) * STRIP as f32 + GAP * (STRIP - 1) as f32;
        let height = (width / STRIP as f32 * size[1] as f32 / size[0] as f32).min(area.height() / 3.0);
        let bottom = Rect::from_min_max(area.left_bottom() - vec2(0.0, height), area.right_bottom());
        let top = Rect::from_min_max(area.min, area.right_bottom() - vec2(0.0, height + GAP));
        if let Some(large) = self.large.first() {
            let name = format!("The sample at {:.0} % of the way", 100.0 * self.share);
            picture(ui, fit_one(ui, top, size), large.id(), ("large", 0), &name);
        }
        let rows = Rows::fit(ui, bottom, STRIP, size, 0.0);
        for (i, (texture, share)) in self.strip.iter().zip(shares).enumerate() {
            // The nearest one to the slider.
            let ring = ((self.share - share).abs() <= 0.5 / (STRIP - 1) as f32).then_some(theme.fake);
            let name = format!("Sample at {:.0} % of the way", 100.0 * share);
            if tile(ui, rows.place(i), texture.id(), i, &name, ring).on_hover_text("Click to go there.").clicked() {
                self.share = share;
            }
        }
        request
    }
}
