//! Samples drawn from a buffer of the run: no read-back.
//!
//! The buffer belongs to the window's device, and the queue keeps the order of its work, so a frame
//! shows a whole grid.

use eframe::egui_wgpu::{self, CallbackResources, CallbackTrait};
use eframe::{egui, wgpu};

/// What draws grids; made once for the window.
struct Renderer {
    /// 1 if the window's surface expects linear values.
    linear: u32,
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
}

/// Prepares the window's renderer. Without it, grids of shared buffers stay empty.
pub fn install(state: &egui_wgpu::RenderState) {
    let device = &state.device;
    let source = onestep_shaders::DRAW_GRID;
    let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("draw grid"),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("draw grid"),
        entries: &[
            entry(0, wgpu::BufferBindingType::Uniform),
            entry(1, wgpu::BufferBindingType::Storage { read_only: true }),
        ],
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("draw grid"),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("draw grid"),
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: &shader,
            entry_point: Some("corner"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState { topology: wgpu::PrimitiveTopology::TriangleStrip, ..Default::default() },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &shader,
            entry_point: Some("pixel"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(state.target_format.into())],
        }),
        multiview_mask: None,
        cache: None,
    });
    let linear = u32::from(state.target_format.is_srgb());
    state.renderer.write().callback_resources.insert(Renderer { linear, pipeline, layout });
}

/// A picture of the images `[n, h, w, c]` in a buffer, in rows of `columns`.
pub fn grid(rect: egui::Rect, buffer: wgpu::Buffer, [h, w, c]: [usize; 3], columns: usize) -> egui::Shape {
    let count = (buffer.size() / 4) as usize / (h * w * c);
    let numbers = [h, w, c, columns, count].map(|n| n as u32);
    egui_wgpu::Callback::new_paint_callback(rect, Grid { buffer, numbers }).into()
}

struct Grid {
    buffer: wgpu::Buffer,
    numbers: [u32; 5],
}

/// The bind group of this frame's grid.
struct Bound(wgpu::BindGroup);

impl CallbackTrait for Grid {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &egui_wgpu::ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let Some(renderer) = resources.get::<Renderer>() else { return Vec::new() };
        let uniform = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("draw grid"),
            size: 32,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let bytes: Vec<u8> = self.numbers.iter().chain([&renderer.linear]).flat_map(|n| n.to_le_bytes()).collect();
        queue.write_buffer(&uniform, 0, &bytes);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("draw grid"),
            layout: &renderer.layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: self.buffer.as_entire_binding() },
            ],
        });
        resources.insert(Bound(group));
        Vec::new()
    }

    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let (Some(renderer), Some(Bound(group))) = (resources.get::<Renderer>(), resources.get()) else { return };
        pass.set_pipeline(&renderer.pipeline);
        pass.set_bind_group(0, group, &[]);
        pass.draw(0..4, 0..1);
    }
}
