//! Compute pipelines, each made once.
//!
//! Invariant: the key is everything that the pipeline depends on: the WGSL, its constants and the
//! kinds of its bindings.

use litemap::LiteMap;

use super::assemble::Dispatch;
use super::device::Gpu;
use crate::exec::ExecError;

/// Kinds of bindings: whether there is a uniform, buffers read, buffers written.
type Signature = (bool, usize, usize);

/// The WGSL, its bindings, and its constants as bits.
type Key = (String, Signature, Vec<(&'static str, u64)>);

struct Layout {
    bindings: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

/// A pipeline and the layout of its bindings.
#[derive(Clone)]
pub struct Pipeline {
    /// The pipeline.
    pub pipeline: wgpu::ComputePipeline,
    /// Layout of its only bind group.
    pub layout: wgpu::BindGroupLayout,
}

/// All pipelines of an executor.
#[derive(Default)]
pub struct Pipelines {
    layouts: LiteMap<Signature, Layout>,
    modules: LiteMap<String, wgpu::ShaderModule>,
    made: LiteMap<Key, Pipeline>,
}

impl Pipelines {
    /// Pipelines made so far.
    pub fn len(&self) -> usize {
        self.made.len()
    }

    /// The pipeline of a dispatch.
    pub fn get(&mut self, gpu: &Gpu, dispatch: &Dispatch) -> Result<Pipeline, ExecError> {
        let signature = (dispatch.uniform, dispatch.reads.len(), dispatch.writes.len());
        let constants = dispatch.constants.iter().map(|(name, value)| (*name, value.to_bits())).collect();
        let key = (dispatch.source.clone(), signature, constants);
        if let Some(pipeline) = self.made.get(&key) {
            return Ok(pipeline.clone());
        }
        let layout = self.layouts.entry(signature).or_insert_with(|| Layout::new(&gpu.device, signature));
        // Natively the answer is there at once. A browser's comes later, through the uncaptured-error handler.
        #[cfg(not(target_arch = "wasm32"))]
        let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let module =
            self.modules.entry(dispatch.source.clone()).or_insert_with(|| gpu.shader(&dispatch.name, &dispatch.source));
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&dispatch.name),
            layout: Some(&layout.pipeline),
            module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &dispatch.constants,
                // Kernels write workgroup memory before they read it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(error) = pollster::block_on(scope.pop()) {
            let constants = &dispatch.constants;
            return Err(ExecError::Gpu(format!(
                "kernel {} {constants:?}: {error}\n{}",
                dispatch.name, dispatch.source
            )));
        }
        let pipeline = Pipeline { pipeline, layout: layout.bindings.clone() };
        self.made.insert(key, pipeline.clone());
        Ok(pipeline)
    }
}

impl Layout {
    fn new(device: &wgpu::Device, (uniform, reads, writes): Signature) -> Self {
        let kinds = uniform
            .then_some(wgpu::BufferBindingType::Uniform)
            .into_iter()
            .chain((0..reads).map(|_| wgpu::BufferBindingType::Storage { read_only: true }))
            .chain((0..writes).map(|_| wgpu::BufferBindingType::Storage { read_only: false }));
        let entries: Vec<_> = kinds
            .zip(u32::from(!uniform)..)
            .map(|(ty, binding)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                count: None,
            })
            .collect();
        let bindings =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { bindings, pipeline }
    }
}
