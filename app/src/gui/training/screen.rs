//! What the window draws of a run on its own device: a copy of the samples, which never leaves that device.
//!
//! A copy, since the run draws other samples into the same store, such as those that its quality is measured on; a
//! frame may come between any two launches.

use eframe::wgpu;
use onestep_core::exec::Executor;
use onestep_core::train::SAMPLES;

/// The copy, and what it is a copy of.
pub struct Screen {
    samples: wgpu::Buffer,
    copy: wgpu::Buffer,
}

impl Screen {
    /// For the samples of an executor; none on the processor.
    pub fn new(executor: &Executor) -> Option<Self> {
        let Executor::Gpu(gpu) = executor else { return None };
        let samples = gpu.store_buffer(SAMPLES)?.clone();
        let copy = gpu.gpu().device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("samples on the screen"),
            size: samples.size(),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Some(Self { samples, copy })
    }

    /// What the window draws from.
    pub fn buffer(&self) -> wgpu::Buffer {
        self.copy.clone()
    }

    /// Shows the samples that are in the store now.
    pub fn update(&self, executor: &Executor) {
        let Executor::Gpu(gpu) = executor else { return };
        let mut encoder = gpu.gpu().device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.samples, 0, &self.copy, 0, self.copy.size());
        gpu.gpu().queue.submit([encoder.finish()]);
    }
}
