//! The machine: which device trains, what it is doing, and how much of it the run may take.

use std::time::{Duration, Instant};

use eframe::egui::{self, RichText};
use onestep_core::exec::gpu::{AdapterKind, AdapterSummary};
use starship_battery::State as BatteryState;

use super::run::{Run, State};
use super::theme::Theme;
use super::training::Order;
use crate::output::bytes;

/// How often the battery is looked at.
const BATTERY_PERIOD: Duration = Duration::from_secs(10);

/// The panel's own state.
pub struct Machine {
    adapters: Vec<AdapterSummary>,
    /// Share of the device that training may take, in percent.
    share: u32,
    /// Whether a run waits while the machine is on its battery.
    spare_battery: bool,
    on_battery: Option<bool>,
    looked: Option<Instant>,
    battery: Battery,
    /// Seconds of the last frames, for the read-out.
    pub frame_secs: f32,
}

/// What was done about the battery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Battery {
    /// Nothing.
    Ignored,
    /// The run was paused.
    Spared,
    /// The run was paused, and a person pressed play: what happens from then on is theirs.
    Overruled,
}

/// What a person asks for.
pub enum Ask {
    /// Go on with the run on this device.
    Device(String),
}

impl Machine {
    /// The adapters of this machine.
    pub fn new(adapters: Vec<AdapterSummary>) -> Self {
        Self {
            adapters,
            share: 100,
            spare_battery: false,
            on_battery: None,
            looked: None,
            battery: Battery::Ignored,
            frame_secs: 0.0,
        }
    }

    /// Share of the device for training, 0 to 1.
    pub fn share(&self) -> f32 {
        self.share as f32 / 100.0
    }

    /// Pauses while the machine runs on its battery, and goes on when it does not. Call it once a frame; while it
    /// has to look at the battery, it asks for one.
    pub fn update(&mut self, run: &mut Run, context: &egui::Context) {
        if self.looked.is_none_or(|at| at.elapsed() > BATTERY_PERIOD) {
            self.looked = Some(Instant::now());
            self.on_battery = on_battery();
        }
        if self.spare_battery {
            context.request_repaint_after(BATTERY_PERIOD);
        }
        self.react(run);
    }

    fn react(&mut self, run: &mut Run) {
        if !self.spare_battery || self.on_battery != Some(true) {
            if std::mem::replace(&mut self.battery, Battery::Ignored) == Battery::Spared {
                run.play();
            }
            return;
        }
        match self.battery {
            Battery::Ignored if run.state == State::Playing => {
                run.pause();
                self.battery = Battery::Spared;
                run.messages.push("paused: the machine runs on its battery (Machine tab)".into());
            }
            Battery::Spared if run.state == State::Playing => self.battery = Battery::Overruled,
            _ => {}
        }
    }

    /// Shows the panel.
    pub fn show(&mut self, ui: &mut egui::Ui, run: &mut Run, theme: &Theme) -> Option<Ask> {
        let mut ask = None;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.columns(2, |columns| {
                ask = self.device(&mut columns[0], run);
                memory(&mut columns[1], run);
            });
            ui.separator();
            kernels(ui, run, theme);
        });
        ask
    }

    fn device(&mut self, ui: &mut egui::Ui, run: &Run) -> Option<Ask> {
        let mut ask = None;
        ui.heading("Device");
        if let Some(opened) = &run.opened {
            ui.label(format!("This run is on {}.", opened.device));
        }
        let mut chosen = run.device.clone();
        let label = ui.label("Train on");
        let name = |device: &str| self.name_of(device);
        egui::ComboBox::from_id_salt("device")
            .width(260.0)
            .selected_text(name(&chosen))
            .show_ui(ui, |ui| {
                let gpus = (0..self.adapters.len()).map(|i| format!("gpu:{i}"));
                for device in ["auto".to_owned(), "cpu".to_owned()].into_iter().chain(gpus) {
                    let text = name(&device);
                    ui.selectable_value(&mut chosen, device, text);
                }
            })
            .response
            .labelled_by(label.id)
            .on_hover_text("A run that is open is saved, and goes on there.");
        if chosen != run.device {
            ask = Some(Ask::Device(chosen));
        }
        if self.adapters.is_empty() {
            ui.label("This machine shows no GPU; the processor trains.");
        }
        ui.add_space(8.0);
        let label = ui.label("Share of the device");
        ui.add(egui::Slider::new(&mut self.share, 10..=100).suffix(" %").update_while_editing(false))
            .labelled_by(label.id)
            .on_hover_text("The rest is left to the desktop and other programs.");
        ui.checkbox(&mut self.spare_battery, "Pause on battery")
            .on_hover_text("A laptop that is not plugged in waits until it is.");
        ui.label(match self.on_battery {
            Some(true) => "The machine runs on its battery.",
            Some(false) => "The machine is plugged in.",
            None => "The machine has no battery.",
        });
        ui.add_space(8.0);
        if let Some(progress) = run.progress.filter(|p| p.rate > 0.0) {
            ui.label(format!("{:.1} ms per step", 1000.0 / progress.rate));
        }
        ui.label(format!("{:.1} ms per frame of this window", 1000.0 * self.frame_secs));
        ask
    }

    fn name_of(&self, device: &str) -> String {
        match device {
            "auto" => "automatic".to_owned(),
            "cpu" => "processor".to_owned(),
            other => {
                let index = other.strip_prefix("gpu:").and_then(|n| n.parse::<usize>().ok());
                match index.and_then(|i| self.adapters.get(i)) {
                    Some(a) if a.kind == AdapterKind::Software => format!("{} ({}, software: slow)", a.name, a.backend),
                    Some(a) => format!("{} ({})", a.name, a.backend),
                    None => other.to_owned(),
                }
            }
        }
    }
}

/// Whether some battery is being emptied; nothing if there is none.
fn on_battery() -> Option<bool> {
    let batteries = starship_battery::Manager::new().and_then(|manager| manager.batteries()).ok()?;
    let states: Vec<BatteryState> = batteries.flatten().map(|battery| battery.state()).collect();
    (!states.is_empty()).then(|| states.contains(&BatteryState::Discharging))
}

fn memory(ui: &mut egui::Ui, run: &Run) {
    ui.heading("Memory");
    let Some(view) = &run.view else {
        ui.label("No run is open.");
        return;
    };
    let total: u64 = view.memory.iter().map(|(_, size)| size).sum();
    ui.label(format!("{} on the device", bytes(total)));
    let mut arenas: Vec<&(String, u64)> = view.memory.iter().collect();
    arenas.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    egui::Grid::new("memory").num_columns(3).striped(true).show(ui, |ui| {
        for (name, size) in arenas.into_iter().take(10) {
            ui.label(name);
            ui.label(bytes(*size));
            let share = *size as f32 / total.max(1) as f32;
            ui.add(egui::ProgressBar::new(share).desired_width(90.0).desired_height(8.0));
            ui.end_row();
        }
    });
}

fn kernels(ui: &mut egui::Ui, run: &Run, theme: &Theme) {
    ui.horizontal(|ui| {
        ui.heading("Kernels");
        let button = ui.add_enabled(run.is_open(), egui::Button::new("Time the kernels"));
        let tip =
            "Runs each update three times with a clock around every launch, keeps the best times, and measures what the device can do at most.";
        if button.on_hover_text(tip).clicked() {
            run.training().order(Order::Profile);
        }
    });
    if run.profiles.is_empty() {
        ui.label("How long each kernel takes, and how far it is from the roofline: the time that its operations or its bytes take at least.");
    }
    for profile in &run.profiles {
        let total: f64 = profile.kernels.iter().map(|k| k.ms).sum();
        ui.strong(format!("{} step: {total:.1} ms", profile.update));
        egui::Grid::new(profile.update).num_columns(6).striped(true).show(ui, |ui| {
            for title in ["kernel", "launches", "ms", "GFLOP/s", "GB/s", "of the roofline"] {
                ui.label(RichText::new(title).weak());
            }
            ui.end_row();
            for kernel in &profile.kernels {
                ui.monospace(kernel.kernel);
                ui.label(kernel.launches.to_string());
                ui.label(format!("{:.2}", kernel.ms));
                ui.label(format!("{:.1}", kernel.gflop_per_sec));
                ui.label(format!("{:.1}", kernel.gb_per_sec));
                let share = kernel.roofline.clamp(0.0, 1.0) as f32;
                let bar = egui::ProgressBar::new(share).desired_width(140.0).fill(theme.ratio.gamma_multiply(0.5));
                let text = if kernel.roofline > 1.0 { "all".to_owned() } else { format!("{:.0} %", 100.0 * kernel.roofline) };
                ui.add(bar.text(text)).on_hover_text(
                    "Of what the device can do at most. All of it, or more: what the kernel reads is in a cache, which is \
                     faster than the memory.",
                );
                ui.end_row();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::training::Training;

    #[test]
    fn a_battery_pauses_a_run_unless_a_person_wants_it_to_go_on() {
        let training = Training::new(&egui::Context::default()).unwrap();
        let mut run = Run::new(training, "cpu".into(), "runs".into());
        let mut machine = Machine::new(Vec::new());
        let react = |machine: &mut Machine, run: &mut Run, on_battery: bool| {
            machine.on_battery = Some(on_battery);
            machine.react(run);
            run.state.clone()
        };
        run.state = State::Playing;
        assert_eq!(react(&mut machine, &mut run, true), State::Playing, "only if it was asked for");
        machine.spare_battery = true;
        assert_eq!(react(&mut machine, &mut run, true), State::Paused);
        assert_eq!(react(&mut machine, &mut run, false), State::Playing, "plugged in again");
        assert_eq!(react(&mut machine, &mut run, true), State::Paused);
        run.play();
        assert_eq!(react(&mut machine, &mut run, true), State::Playing, "a person has pressed play");
        run.pause();
        assert_eq!(react(&mut machine, &mut run, true), State::Paused);
        assert_eq!(react(&mut machine, &mut run, false), State::Paused, "and pause: that is theirs, too");
    }

    /// A run that waited for the plug went on when the mouse was moved.
    #[test]
    fn the_battery_is_looked_at_again_although_nothing_moves() {
        let context = egui::Context::default();
        let (sender, asked) = std::sync::mpsc::channel();
        context.set_request_repaint_callback(move |info| sender.send(info.delay).unwrap());
        let mut run = Run::new(Training::new(&context).unwrap(), "cpu".into(), "runs".into());
        let mut machine = Machine::new(Vec::new());
        machine.update(&mut run, &context);
        assert!(asked.try_recv().is_err(), "nobody wants it");
        machine.spare_battery = true;
        machine.update(&mut run, &context);
        assert!(asked.try_recv().unwrap() <= BATTERY_PERIOD);
    }
}
