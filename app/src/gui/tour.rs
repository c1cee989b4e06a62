//! The guided tour: six short steps, each of which waits for something that a person does in the part that it frames.

use eframe::egui::{self, Align2, Key, Pos2, Rect, Stroke, StrokeKind, Vec2};

use super::run::Run;
use super::slow::story;
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
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// A run is open.
    Run,
    /// So many steps more.
    Steps(u64),
    /// Slow motion is on.
    SlowMotion,
    /// A setting is another one.
    Change,
    /// The run went back to a checkpoint.
    Rewind,
    /// Nothing.
    Nothing,
}

/// What the tour shows things on, if no run is open.
pub const PRESET: &str = "gaussians";

/// A step of the tour.
struct Step {
    part: Part,
    title: &'static str,
    text: &'static str,
    deed: Deed,
    /// What is to be done, in words.
    wanted: &'static str,
}

const STEPS: [Step; 6] = [
    Step {
        part: Part::Bar,
        title: "Start",
        text: "A preset is a run that works. New run lists them; the button below takes one of points in the plane. Space plays and pauses, the dot makes a single step.",
        deed: Deed::Run,
        wanted: "Start a run.",
    },
    Step {
        part: Part::Stage,
        title: "Data and samples",
        text: "The generator turns random numbers into samples in one step. At first they are nothing like the data. Watch them move; the arrows show where to.",
        deed: Deed::Steps(100),
        wanted: "Let the run make 100 steps.",
    },
    Step {
        part: Part::Bar,
        title: "One step, slowly",
        text: "Slow motion walks through the moments of a step, and the diagram beside the plane lights the present one.",
        deed: Deed::SlowMotion,
        wanted: "Press Slow motion.",
    },
    Step {
        part: Part::Settings,
        title: "Knobs",
        text: "These act while the run goes on: press Play, and make the generator's learning rate ten times larger. The plots mark the step.",
        deed: Deed::Change,
        wanted: "Change a setting.",
    },
    Step {
        part: Part::Bar,
        title: "Back again",
        text: "Undo takes back a setting, but not what it did to the weights. Rewind does: it goes back to a checkpoint, with the weights and the settings of that step.",
        deed: Deed::Rewind,
        wanted: "Choose a step under Rewind.",
    },
    Step {
        part: Part::Plots,
        title: "Is it getting better?",
        text: "Quality measures how far samples are from data: the lower, the better. Point at the title of a chart: it says what the curves are, and where they should go. Explore draws from a finished generator.",
        deed: Deed::Nothing,
        wanted: "",
    },
];

/// Where the run was when a step of the tour began.
#[derive(Default)]
struct Since {
    steps: u64,
    generation: u64,
    /// Whether what the step waits for was done.
    done: bool,
}

/// The tour's place.
#[derive(Default)]
pub struct Tour {
    step: Option<usize>,
    since: Since,
    parts: Vec<(Part, Rect)>,
}

/// What the tour asks the window for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A run to show things on.
    Run,
}

impl Tour {
    /// Begins.
    pub fn start(&mut self) {
        (self.step, self.since) = (Some(0), Since::default());
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
    pub fn show(&mut self, ui: &egui::Ui, theme: &Theme, run: &Run, slow: bool) -> Option<Ask> {
        let number = self.step?;
        let step = &STEPS[number];
        self.since.done |= self.is_done(step.deed, run, slow);
        let context = ui.ctx();
        let whole = context.content_rect();
        let part =
            self.parts.iter().find(|(part, _)| *part == step.part).map_or(whole, |(_, rect)| rect.intersect(whole));
        frame(context, part, theme);
        let mut ask = None;
        let mut next = Some(number);
        let (anchor, at) = beside(part, whole);
        let last = number + 1 == STEPS.len();
        let starts = step.deed == Deed::Run && !self.since.done;
        egui::Window::new(format!("{} of {}: {}", number + 1, STEPS.len(), step.title))
            .id(egui::Id::unique("tour"))
            .collapsible(false)
            .resizable(false)
            .pivot(anchor)
            .fixed_pos(at)
            .constrain(true)
            .order(egui::Order::Tooltip)
            .default_width(CARD.x)
            .show(context, |ui| {
                ui.set_max_width(CARD.x);
                ui.label(step.text);
                if !step.wanted.is_empty() {
                    ui.strong(if self.since.done { "Done." } else { step.wanted });
                }
                ui.horizontal(|ui| {
                    if ui.add_enabled(number > 0, egui::Button::new("Back")).clicked() {
                        next = Some(number - 1);
                    }
                    if starts && ui.button("Start a run").clicked() {
                        ask = Some(Ask::Run);
                    }
                    let ready = last || self.since.done;
                    if ui.add_enabled(ready, egui::Button::new(if last { "Finish" } else { "Next" })).clicked() {
                        next = (!last).then_some(number + 1);
                    }
                    if !ready && ui.button("Skip").clicked() {
                        next = Some(number + 1);
                    }
                    if !last && ui.button("Leave the tour").clicked() {
                        next = None;
                    }
                });
            });
        // Keys of a control that has the focus are its own.
        if context.memory(egui::Memory::focused).is_none() {
            let pressed = |key| ui.input(|input| input.key_pressed(key) && input.modifiers.is_none());
            match (pressed(Key::Enter), pressed(Key::ArrowRight)) {
                (true, _) if starts => ask = Some(Ask::Run),
                (true, _) | (_, true) if last => next = None,
                (true, _) | (_, true) if self.since.done => next = Some(number + 1),
                _ => {}
            }
            if pressed(Key::ArrowLeft) {
                next = Some(number.saturating_sub(1));
            }
        }
        if ui.input(|input| input.key_pressed(Key::Escape)) {
            next = None;
        }
        if next != Some(number) {
            let steps = run.view.as_ref().map_or(0, |view| view.step);
            self.since = Since { steps, generation: run.generation, done: false };
            self.step = next;
        }
        ask
    }

    fn is_done(&self, deed: Deed, run: &Run, slow: bool) -> bool {
        match deed {
            Deed::Run => run.is_open(),
            Deed::Steps(steps) => run.view.as_ref().is_some_and(|view| view.step >= self.since.steps + steps),
            // A method without a story has none to walk through.
            Deed::SlowMotion => slow || (run.is_open() && run.view.is_some() && story(run).is_empty()),
            Deed::Change => run.undo_text().is_some(),
            Deed::Rewind => run.generation != self.since.generation,
            Deed::Nothing => true,
        }
    }
}

/// Size of the card, about.
const CARD: Vec2 = Vec2::new(340.0, 170.0);
/// Points of the screen between the card and what it explains.
const GAP: f32 = 8.0;

/// Corner and place of the card: beside the part that it explains, or else at the left below, where no menu of the bar
/// comes.
fn beside(part: Rect, whole: Rect) -> (Align2, Pos2) {
    let room = CARD.x + 4.0 * GAP;
    if whole.right() - part.right() > room {
        (Align2::LEFT_TOP, part.right_top() + Vec2::new(GAP, 5.0 * GAP))
    } else if part.left() - whole.left() > room {
        (Align2::RIGHT_TOP, part.left_top() + Vec2::new(-GAP, 5.0 * GAP))
    } else {
        (Align2::LEFT_BOTTOM, whole.left_bottom() + Vec2::new(GAP, -5.0 * GAP))
    }
}

/// Marks a part of the window, which stays in use meanwhile.
fn frame(context: &egui::Context, part: Rect, theme: &Theme) {
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("tour frame"));
    let painter = context.layer_painter(layer);
    painter.rect_stroke(part, 4.0, Stroke::new(3.0, theme.gradient), StrokeKind::Inside);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_does_not_lie_on_what_it_explains() {
        let whole = Rect::from_min_size(Pos2::ZERO, Vec2::new(1280.0, 800.0));
        let bar = Rect::from_min_size(Pos2::ZERO, Vec2::new(1280.0, 28.0));
        let settings = Rect::from_min_max(Pos2::new(0.0, 28.0), Pos2::new(262.0, 776.0));
        let plots = Rect::from_min_max(Pos2::new(1020.0, 28.0), Pos2::new(1280.0, 776.0));
        for part in [bar, settings, plots] {
            let (anchor, at) = beside(part, whole);
            let card = anchor.anchor_size(at, CARD);
            assert!(!card.intersects(part) && whole.contains_rect(card), "{card:?} on {part:?}");
        }
    }
}
