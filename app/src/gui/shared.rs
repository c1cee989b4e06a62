//! Training on the window's own device, so that samples are drawn without a read-back.
//!
//! Only on a real GPU: there, two devices would fight for the same hardware anyway. Software that
//! imitates a GPU runs a step for seconds, and the window's frames would wait behind it in the queue.

use eframe::{egui_wgpu, wgpu};
use onestep_core::data::Density;
use onestep_core::exec::gpu::{AdapterKind, AdapterSummary, Gpu};

/// The window's device.
pub struct WindowDevice {
    adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    adapters: Vec<AdapterSummary>,
    /// Share software, too: for tests of the sharing itself.
    always: bool,
}

impl WindowDevice {
    /// The device that a window draws with.
    pub fn new(state: &egui_wgpu::RenderState, adapters: &[AdapterSummary], always: bool) -> Self {
        let (adapter, device, queue) = (state.adapter.clone(), state.device.clone(), state.queue.clone());
        let summary = Gpu::summary(&adapter);
        Self { adapter, device, queue, summary, adapters: adapters.to_vec(), always }
    }

    /// Whether it is software that imitates a GPU.
    pub fn is_software(&self) -> bool {
        self.summary.kind == AdapterKind::Software
    }

    /// This device for training, if that is the device which `text` names and it suits the data.
    pub fn for_training(&self, text: &str, data: &str) -> Option<Gpu> {
        let usable = self.always || matches!(self.summary.kind, AdapterKind::Discrete | AdapterKind::Integrated);
        // 2-D data are drawn from values, not from the buffer.
        if !usable || Density::parse(data).is_ok() || !self.is_named(text) {
            return None;
        }
        Some(Gpu::from_device(&self.adapter, self.device.clone(), self.queue.clone()))
    }

    fn is_named(&self, text: &str) -> bool {
        let choice = crate::device::choose(text).gpu;
        let Some(text) = choice else { return false };
        let same = |other: &AdapterSummary| other.name == self.summary.name && other.backend == self.summary.backend;
        match text.strip_prefix("gpu:").and_then(|n| n.parse::<usize>().ok()) {
            Some(index) => self.adapters.get(index).is_some_and(same),
            None => text == "gpu" || self.summary.name.to_lowercase().contains(&text.to_lowercase()),
        }
    }
}
