//! The rates of [`exec::peak`](crate::exec::peak) on a GPU: two shaders of their own, `shaders/peak`.

use onestep_shaders::PEAK;

use super::memory::download;
use super::{GpuExecutor, POISON};
use crate::exec::ExecError;
use crate::exec::peak::{Rates, STREAM, fastest, wrong};

/// Multiply-adds of a chain; what an invocation starts with is forgotten long before.
const ROUNDS: usize = 4096;
/// Chains of an invocation.
const CHAINS: usize = 12;
/// Invocations of a workgroup.
const GROUP: usize = 64;
/// Workgroups of multiply-adds, at most: what one dimension allows, a tenth of a second on a slow card.
const GROUPS: usize = 32 << 10;
/// Elements that a workgroup of the stream copies.
const STREAMED: usize = 1024;
/// Streams that are timed together, at most.
const STREAMS: usize = 256;

/// A shader with its two buffers.
struct Job {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    out: wgpu::Buffer,
}

impl GpuExecutor {
    /// As [`Executor::rates`](crate::exec::Executor::rates).
    pub fn rates(&mut self) -> Result<Rates, ExecError> {
        let [multiply_add, stream] = PEAK;
        let job = self.job(multiply_add, &[("ROUNDS", ROUNDS as f64)], &[0.5, 1.0], GROUPS * GROUP)?;
        let mut operations = |groups| {
            self.dispatch(&job, groups, 1)?;
            Ok((groups * GROUP * ROUNDS * 2 * CHAINS) as f64)
        };
        let flop_per_sec = fastest(64, GROUPS, &mut operations)?;
        // Each chain has come to rest at 2.
        self.verify(&job, multiply_add.0, 63, 2.0 * CHAINS as f32)?;
        let job = self.job(stream, &[], &vec![1.0; STREAM], STREAM)?;
        let bytes_per_sec = fastest(1, STREAMS, |times| {
            self.dispatch(&job, STREAM / STREAMED, times)?;
            Ok((times * 8 * STREAM) as f64)
        })?;
        self.verify(&job, stream.0, STREAM - 1, 2.0)?;
        Ok(Rates { flop_per_sec, bytes_per_sec })
    }

    fn job(
        &self,
        (name, text): (&str, &str),
        constants: &[(&str, f64)],
        numbers: &[f32],
        outputs: usize,
    ) -> Result<Job, ExecError> {
        let device = &self.gpu.device;
        let module = self.gpu.shader(name, text);
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
            cache: None,
        });
        let buffer = |len: usize| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(name),
                size: len as u64 * 4,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            })
        };
        let (from, out) = (buffer(numbers.len()), buffer(outputs));
        self.gpu.queue.write_buffer(&from, 0, bytemuck::cast_slice(numbers));
        self.gpu.queue.write_buffer(&out, 4 * (outputs as u64 - 1), bytemuck::bytes_of(&POISON));
        let entries = [
            wgpu::BindGroupEntry { binding: 0, resource: from.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: out.as_entire_binding() },
        ];
        let layout = &pipeline.get_bind_group_layout(0);
        let group =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(name), layout, entries: &entries });
        self.gpu.check()?;
        Ok(Job { pipeline, group, out })
    }

    /// Runs so many workgroups so many times, and waits.
    fn dispatch(&self, job: &Job, groups: usize, times: usize) -> Result<(), ExecError> {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&job.pipeline);
        pass.set_bind_group(0, &job.group, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(groups as u32, 1, 1);
        }
        drop(pass);
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.wait()
    }

    fn verify(&self, job: &Job, name: &str, place: usize, want: f32) -> Result<(), ExecError> {
        let word = pollster::block_on(download(&self.gpu, &job.out, place, 1))?[0];
        let got = f32::from_bits(word);
        if got == want { Ok(()) } else { Err(wrong(name, got, want)) }
    }
}
