//! The guided tour: six short steps, each with the part that it explains in light.

use eframe::egui::{self, Align2, Color32, Key, Rect, Stroke, StrokeKind, Vec2};

use super::theme::Theme;

/// A part of the window that the tour points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The bar at the top.
    Bar,
    /// The plane or the grid of images.
    Stage,
    /// The settings.
    Settings,
    /// The plots.
    Plots,
    /// The tabs.
    Tabs,
}

const STEPS: [(Part, &str, &str); 6] = [
    (
        Part::Bar,
        "Start",
        "A preset is a run that works: choose one under New run. Space plays and pauses, the dot makes a single step.",
    ),
    (
        Part::Stage,
        "Data and samples",
        "The generator turns random numbers into samples in one step. At first they are nothing like the data; watch them move.",
    ),
    (
        Part::Stage,
        "Which way samples go",
        "Arrows show where the method moves samples, colours what it knows of the plane. The diagram beside the plane shows the round; Slow motion walks through it.",
    ),
    (
        Part::Settings,
        "Knobs",
        "These act while the run goes on. Make the generator's learning rate ten times larger and see what happens; Undo takes it back.",
    ),
    (
        Part::Plots,
        "Is it getting better?",
        "Quality measures how far samples are from data: the lower, the better. Point at the title of a chart: it says what the curves are, and where they should go.",
    ),
    (
        Part::Tabs,
        "More",
        "Explore draws from a finished generator, Machine shows what your device is doing. Drop a file onto the window to open it.",
    ),
];

/// The tour's place.
#[derive(Default)]
pub struct Tour {
    step: Option<usize>,
    parts: Vec<(Part, Rect)>,
}

impl Tour {
    /// Begins.
    pub fn start(&mut self) {
        self.step = Some(0);
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.step.is_some()
    }

    /// Remembers where a part of the window is, this frame.
    pub fn place(&mut self, part: Part, rect: Rect) {
        self.parts.retain(|(other, _)| *other != part);
        self.parts.push((part, rect));
    }

    /// Shows the present step over the window.
    pub fn show(&mut self, ui: &egui::Ui, theme: &Theme) {
        let Some(step) = self.step else { return };
        let (part, title, text) = STEPS[step];
        let context = ui.ctx();
        let whole = context.content_rect();
        let lit = self.parts.iter().find(|(p, _)| *p == part).map_or(whole, |(_, rect)| rect.intersect(whole));
        shade(context, whole, lit, theme);
        let mut next = Some(step);
        // Beside what it explains: above it or below, wherever there is room, else in its middle.
        let below = whole.bottom() - lit.bottom() > 150.0;
        let above = lit.top() - whole.top() > 150.0;
        let (anchor, at) = if below {
            (Align2::CENTER_TOP, lit.center_bottom() + Vec2::new(0.0, 8.0))
        } else if above {
            (Align2::CENTER_BOTTOM, lit.center_top() - Vec2::new(0.0, 8.0))
        } else {
            (Align2::CENTER_CENTER, lit.center())
        };
        egui::Window::new(format!("{} of {}: {title}", step + 1, STEPS.len()))
            .id(egui::Id::unique("tour"))
            .collapsible(false)
            .resizable(false)
            .pivot(anchor)
            .fixed_pos(at)
            .constrain(true)
            .order(egui::Order::Tooltip)
            .default_width(340.0)
            .show(context, |ui| {
                ui.set_max_width(340.0);
                ui.label(text);
                ui.horizontal(|ui| {
                    if ui.add_enabled(step > 0, egui::Button::new("Back")).clicked() {
                        next = Some(step - 1);
                    }
                    let last = step + 1 == STEPS.len();
                    if ui.button(if last { "Finish" } else { "Next" }).clicked() {
                        next = (!last).then_some(step + 1);
                    }
                    if !last && ui.button("Leave the tour").clicked() {
                        next = None;
                    }
                });
            });
        if ui.input(|input| input.key_pressed(Key::Escape)) {
            next = None;
        }
        self.step = next;
    }
}

/// Darkens everything but one part.
fn shade(context: &egui::Context, whole: Rect, lit: Rect, theme: &Theme) {
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("tour shade"));
    let painter = context.layer_painter(layer);
    let dark = Color32::from_black_alpha(150);
    for rect in [
        Rect::from_min_max(whole.min, egui::pos2(whole.right(), lit.top())),
        Rect::from_min_max(egui::pos2(whole.left(), lit.bottom()), whole.max),
        Rect::from_min_max(egui::pos2(whole.left(), lit.top()), lit.left_bottom()),
        Rect::from_min_max(lit.right_top(), egui::pos2(whole.right(), lit.bottom())),
    ] {
        painter.rect_filled(rect, 0.0, dark);
    }
    painter.rect_stroke(lit, 4.0, Stroke::new(2.0, theme.gradient), StrokeKind::Inside);
}
