//! Adapters, and a device whose errors arrive as values.
//!
//! Invariant: after [`Gpu::check`] returns `Ok`, no error has been reported so far. wgpu panics on
//! uncaptured errors by default, and browsers drop them; here both handlers are installed right
//! after the device exists, and every later call of the executor asks.

use std::sync::{Arc, Mutex, PoisonError};

use crate::exec::ExecError;

/// Which adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// `WGPU_ADAPTER_NAME` if set, else a discrete GPU, an integrated one, any other, software.
    #[default]
    Auto,
    /// By position in [`adapters`].
    Index(usize),
    /// The first whose name contains this, in any case.
    Name(String),
}

/// Which limits the device is created with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// All that the adapter has.
    #[default]
    Adapter,
    /// WebGPU's defaults, which every browser grants; tests use them.
    Web,
}

/// What device to make.
#[derive(Clone, Debug, Default)]
pub struct DeviceRequest {
    /// Which adapter.
    pub adapter: AdapterChoice,
    /// Which limits.
    pub limits: Limits,
    /// Choose kernel variants from a fixed table, not by measurement.
    pub deterministic: bool,
}

impl DeviceRequest {
    /// Reads `auto`, `gpu`, `gpu:N` or a part of an adapter's name.
    pub fn parse(text: &str) -> Self {
        let adapter = match text {
            "" | "auto" | "gpu" => AdapterChoice::Auto,
            _ => match text.strip_prefix("gpu:").map(str::parse) {
                Some(Ok(index)) => AdapterChoice::Index(index),
                _ => AdapterChoice::Name(text.to_owned()),
            },
        };
        Self { adapter, ..Self::default() }
    }
}

/// What kind of device an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterKind {
    /// With memory of its own.
    Discrete,
    /// Shares the processor's memory.
    Integrated,
    /// Inside a virtual machine.
    Virtual,
    /// Runs on the processor: slower than the CPU executor.
    Software,
    /// Not known, as in browsers.
    Other,
}

/// An adapter, for people and for [`AdapterChoice`].
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterSummary {
    /// Its name, such as `Apple M2`.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// What kind of device it is.
    pub kind: AdapterKind,
    /// Driver and version.
    pub driver: String,
    /// Largest buffer that a kernel can read.
    pub max_binding_bytes: u64,
    /// Largest buffer.
    pub max_buffer_bytes: u64,
    /// Whether kernels can be timed on the device.
    pub timestamps: bool,
}

impl AdapterSummary {
    fn new(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
            // SwiftShader in Chromium calls itself nothing in particular.
            wgpu::DeviceType::Other if info.name.to_ascii_lowercase().contains("swiftshader") => AdapterKind::Software,
            wgpu::DeviceType::Other => AdapterKind::Other,
        };
        Self {
            name: info.name,
            backend: info.backend.to_str().to_owned(),
            kind,
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            timestamps: adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }

    /// Smaller is preferred by [`AdapterChoice::Auto`].
    fn rank(&self) -> usize {
        match self.kind {
            AdapterKind::Discrete => 0,
            AdapterKind::Integrated => 1,
            AdapterKind::Virtual | AdapterKind::Other => 2,
            AdapterKind::Software => 3,
        }
    }
}

fn instance() -> wgpu::Instance {
    #[cfg(not(target_arch = "wasm32"))]
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // A page has no environment, and nothing to choose.
    #[cfg(target_arch = "wasm32")]
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // OpenGL adapters repeat the others and lack what the kernels need.
    descriptor.backends -= wgpu::Backends::GL;
    wgpu::Instance::new(descriptor)
}

async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    #[cfg(not(target_arch = "wasm32"))]
    let adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    // Browsers show one adapter.
    #[cfg(target_arch = "wasm32")]
    let adapters = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.into_iter().collect();
    adapters
}

/// All adapters that `WGPU_BACKEND` leaves, in the order that [`AdapterChoice::Index`] counts.
pub async fn adapters() -> Vec<AdapterSummary> {
    enumerate(&instance()).await.iter().map(AdapterSummary::new).collect()
}

#[derive(Default)]
struct Trouble {
    lost: Option<String>,
    error: Option<String>,
}

/// What a report on a device tells besides [`AdapterSummary`].
#[cfg(feature = "native")]
#[derive(Clone, Debug)]
pub struct Details {
    /// Numbers of vendor and device.
    pub ids: [u32; 2],
    /// Fewest and most invocations of a subgroup.
    pub subgroup: [u32; 2],
    /// What it could do beyond what every device does.
    pub features: Vec<&'static str>,
    /// Limits that kernels of another design could use.
    pub limits: [(&'static str, u64); 6],
}

#[cfg(feature = "native")]
impl Details {
    fn new(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Self {
            ids: [info.vendor, info.device],
            subgroup: [info.subgroup_min_size, info.subgroup_max_size],
            features: adapter.features().iter_names().map(|(name, _)| name).collect(),
            limits: [
                ("storage_buffers", u64::from(limits.max_storage_buffers_per_shader_stage)),
                ("binding_bytes", limits.max_storage_buffer_binding_size),
                ("buffer_bytes", limits.max_buffer_size),
                ("workgroup_bytes", u64::from(limits.max_compute_workgroup_storage_size)),
                ("workgroup_invocations", u64::from(limits.max_compute_invocations_per_workgroup)),
                ("workgroups", u64::from(limits.max_compute_workgroups_per_dimension)),
            ],
        }
    }
}

/// A device, its queue, and what went wrong with them.
pub struct Gpu {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// Its adapter.
    pub adapter: AdapterSummary,
    /// More about it.
    #[cfg(feature = "native")]
    pub details: Details,
    trouble: Arc<Mutex<Trouble>>,
}

impl Gpu {
    /// Opens the adapter that `request` names.
    pub async fn open(request: &DeviceRequest) -> Result<Self, ExecError> {
        let (adapter, summary) = select(&request.adapter).await?;
        let mut limits = match request.limits {
            Limits::Adapter => adapter.limits(),
            Limits::Web => wgpu::Limits::default(),
        };
        // Kernels use the default; asking for more only costs on some drivers.
        limits.max_bind_groups = limits.max_bind_groups.min(4);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("onestep"),
            required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            required_limits: limits,
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| ExecError::NoAdapter(format!("`{}` gives no device: {e}", summary.name)))?;
        Ok(Self::from_device(&adapter, device, queue))
    }

    /// Takes a device that somebody else made, such as the window's.
    pub fn from_device(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let trouble = Arc::new(Mutex::new(Trouble::default()));
        let lost = Arc::clone(&trouble);
        device.set_device_lost_callback(move |reason, message| {
            let mut trouble = lost.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.lost.get_or_insert(format!("{reason:?} {message}"));
        });
        let reported = Arc::clone(&trouble);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut trouble = reported.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.error.get_or_insert(error.to_string());
        }));
        Self {
            adapter: AdapterSummary::new(adapter),
            #[cfg(feature = "native")]
            details: Details::new(adapter),
            device,
            queue,
            trouble,
        }
    }

    /// An adapter, for people.
    pub fn summary(adapter: &wgpu::Adapter) -> AdapterSummary {
        AdapterSummary::new(adapter)
    }

    /// The first trouble since the last call; a lost device stays lost.
    pub fn check(&self) -> Result<(), ExecError> {
        let trouble = || self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(not(target_arch = "wasm32"))]
        if trouble().error.is_some() {
            // That a device is lost is told in a poll; what fails because of it can be told of before that.
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) });
        }
        let mut trouble = trouble();
        if let Some(lost) = &trouble.lost {
            return Err(ExecError::DeviceLost(lost.clone()));
        }
        match trouble.error.take() {
            Some(error) => Err(ExecError::Gpu(error)),
            None => Ok(()),
        }
    }

    /// Waits until the device has done all submitted work. Returns at once in browsers, which don't
    /// let a page wait.
    pub fn wait(&self) -> Result<(), ExecError> {
        #[cfg(not(target_arch = "wasm32"))]
        if let Err(e) = self.device.poll(wgpu::PollType::wait_indefinitely()) {
            self.check()?;
            return Err(ExecError::Gpu(e.to_string()));
        }
        self.check()
    }

    /// Compiles WGSL that this crate generated.
    pub fn shader(&self, label: &str, source: &str) -> wgpu::ShaderModule {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(source.into()) };
        if cfg!(debug_assertions) {
            return self.device.create_shader_module(descriptor);
        }
        #[expect(
            unsafe_code,
            reason = "the only way to leave out bounds checks and loop counters, which cost up to half the speed"
        )]
        // SAFETY: the kernels and `codegen` index within the bindings (their invariant, tested with the
        // checks on in debug builds), their loops end, and they divide by sizes, which are not zero.
        unsafe {
            self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    }
}

/// How long a device that reported an error has to say whether it is lost.
#[cfg(not(target_arch = "wasm32"))]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// The adapter of a choice.
async fn select(choice: &AdapterChoice) -> Result<(wgpu::Adapter, AdapterSummary), ExecError> {
    let mut all: Vec<_> = enumerate(&instance()).await.into_iter().map(|a| (AdapterSummary::new(&a), a)).collect();
    let names = all.iter().map(|(s, _)| format!("{} ({})", s.name, s.backend)).collect::<Vec<_>>().join(", ");
    let found = if all.is_empty() {
        "this machine shows no GPU (on Linux, `vulkaninfo` should list one)".to_owned()
    } else {
        format!("there are: {names}")
    };
    let named = |name: &str| {
        let name = name.to_ascii_lowercase();
        all.iter().position(|(s, _)| s.name.to_ascii_lowercase().contains(&name))
    };
    let environment = std::env::var("WGPU_ADAPTER_NAME").ok().filter(|name| !name.is_empty());
    let (index, wanted) = match (choice, &environment) {
        (AdapterChoice::Index(i), _) => ((*i < all.len()).then_some(*i), format!("number {i}")),
        (AdapterChoice::Name(name), _) | (AdapterChoice::Auto, Some(name)) => {
            (named(name), format!("with `{name}` in its name"))
        }
        (AdapterChoice::Auto, None) => ((0..all.len()).min_by_key(|i| all[*i].0.rank()), "at all".to_owned()),
    };
    let Some(index) = index else {
        return Err(ExecError::NoAdapter(format!("no adapter {wanted}; {found}")));
    };
    let (summary, adapter) = all.swap_remove(index);
    Ok((adapter, summary))
}
