//! The executor on a GPU: plans as compute passes of wgpu.
//!
//! [`device`] opens an adapter, [`lower`] turns a launch into WGSL (with [`codegen`] for its
//! expressions and [`variant`] for its division of work), [`pipelines`] compiles it, [`memory`]
//! holds the buffers. A run is one uniform write, one encoder, one compute pass, one submit;
//! natively a long plan is cut into several ([`parts`]).
//! Invariant: nothing here panics because of the device; errors and its loss are values.

mod assemble;
#[cfg(feature = "native")]
mod bisect;
mod cache;
pub mod codegen;
mod contraction;
mod device;
mod lower;
mod measure;
mod memory;
#[cfg(feature = "native")]
mod parts;
#[cfg(feature = "native")]
mod peak;
mod pipelines;
mod profile;
mod signal;
mod space;
mod sums;
mod variant;

pub use assemble::{Dispatch, Operand, Temporary};
#[cfg(feature = "native")]
pub use device::Details;
pub use device::{AdapterChoice, AdapterKind, AdapterSummary, DeviceRequest, Gpu, Limits, adapters};
pub use lower::lower;
pub use variant::{Choice, Tuning};

use super::{ExecError, PlanId, Plans, RunArgs};
use crate::plan::{ArenaKind, Plan};
use memory::{Memory, download};
use pipelines::{Pipeline, Pipelines};
use signal::signal;

/// Workgroups along one dimension of a grid, on every device.
const GRID_MAX: usize = 65_535;

/// Value that [`GpuExecutor::poison_scratch`] fills with: far from any sensible one, easy to see.
const POISON: f32 = -12345.0;

/// Runs plans on a GPU.
pub struct GpuExecutor {
    gpu: Gpu,
    memory: Memory,
    pipelines: Pipelines,
    tuning: Tuning,
    plans: Plans<Prepared>,
    /// Kernels that run on their CPU twin: `ONESTEP_CPU`.
    #[cfg(feature = "native")]
    on_cpu: bisect::OnCpu,
    /// Seconds that a submit may take.
    #[cfg(feature = "native")]
    submit_secs: f64,
    #[cfg(feature = "native")]
    watcher: Option<Watcher>,
}

/// Is told of launches that are compiled: how many, of how many.
#[cfg(feature = "native")]
pub type Watcher = Box<dyn FnMut(usize, usize) + Send>;

/// One dispatch, ready but for its buffers.
struct Step {
    launch: usize,
    pipeline: Pipeline,
    uniform: bool,
    operands: Vec<Operand>,
    grid: (u32, u32),
    name: String,
}

struct Prepared {
    plan: Plan,
    steps: Vec<Step>,
    uniform: wgpu::Buffer,
    /// Which steps are submitted together.
    #[cfg(feature = "native")]
    parts: parts::Parts,
    /// Bind groups of the steps, and the generation of buffers that they refer to.
    bound: Option<(u64, Vec<wgpu::BindGroup>)>,
}

impl GpuExecutor {
    /// Opens a device.
    pub async fn new(request: &DeviceRequest) -> Result<Self, ExecError> {
        Self::from_gpu(Gpu::open(request).await?, request.deterministic)
    }

    /// Takes a device that is open already, such as the window's.
    pub fn from_gpu(gpu: Gpu, deterministic: bool) -> Result<Self, ExecError> {
        let software = gpu.adapter.kind == AdapterKind::Software;
        let max_elements = gpu.device.limits().max_storage_buffer_binding_size as usize / 4;
        let mut executor = Self {
            gpu,
            memory: Memory::default(),
            pipelines: Pipelines::default(),
            tuning: Tuning { software, choice: Choice::Table, temporaries: true, max_elements },
            plans: Plans::default(),
            #[cfg(feature = "native")]
            on_cpu: bisect::OnCpu::from_env(),
            #[cfg(feature = "native")]
            submit_secs: parts::LIMIT,
            #[cfg(feature = "native")]
            watcher: None,
        };
        if !deterministic {
            executor.tuning.choice = measure::choice(&mut executor)?;
        }
        Ok(executor)
    }

    /// The adapter at work.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.gpu.adapter
    }

    /// The device and its queue, for those who draw from the stores.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// How variants are chosen for plans that are prepared from now on.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Changes how variants are chosen for plans that are prepared from now on.
    pub fn set_tuning(&mut self, tuning: Tuning) {
        self.tuning = tuning;
    }

    /// Runs these kernels on their CPU twin from now on, as `ONESTEP_CPU` does.
    #[cfg(feature = "native")]
    pub fn set_on_cpu(&mut self, kernels: &str) {
        self.on_cpu = bisect::OnCpu::parse(kernels);
    }

    /// Whom [`GpuExecutor::prepare`] tells how many launches of a plan are compiled, of how many.
    #[cfg(feature = "native")]
    pub fn watch(&mut self, watcher: Option<Watcher>) {
        self.watcher = watcher;
    }

    /// Makes a store of `len` zeros; replaces one of that name.
    pub fn create_store(&mut self, name: &str, len: usize) -> Result<(), ExecError> {
        self.memory.create(&self.gpu, name, len)?;
        self.gpu.check()
    }

    /// Drops a store, if there is one of that name.
    pub fn remove_store(&mut self, name: &str) {
        self.memory.remove(name);
    }

    /// Whether there is a store of that name.
    pub fn has_store(&self, name: &str) -> bool {
        self.memory.store(name).is_some()
    }

    /// Elements of a store.
    pub fn store_len(&self, name: &str) -> Option<usize> {
        self.memory.store(name).map(|store| store.len)
    }

    /// The buffer of a store, to draw from; it changes when the store is created anew.
    pub fn store_buffer(&self, name: &str) -> Option<&wgpu::Buffer> {
        self.memory.store(name).map(|store| &store.buffer)
    }

    /// Overwrites elements `offset ..` of a store.
    pub fn write(&mut self, name: &str, offset: usize, values: &[f32]) -> Result<(), ExecError> {
        self.write_words(name, offset, bytemuck::cast_slice(values))
    }

    /// As [`GpuExecutor::write`], for stores that hold words such as packed bytes.
    pub fn write_words(&mut self, name: &str, offset: usize, words: &[u32]) -> Result<(), ExecError> {
        let store = self.memory.range(name, offset + words.len())?;
        self.gpu.queue.write_buffer(&store.buffer, offset as u64 * 4, bytemuck::cast_slice(words));
        self.gpu.check()
    }

    /// Elements `offset .. offset + len` of a store.
    pub async fn read(&self, name: &str, offset: usize, len: usize) -> Result<Vec<f32>, ExecError> {
        Ok(bytemuck::cast_vec(self.read_words(name, offset, len).await?))
    }

    /// As [`GpuExecutor::read`], for stores that hold words.
    pub async fn read_words(&self, name: &str, offset: usize, len: usize) -> Result<Vec<u32>, ExecError> {
        let store = self.memory.range(name, offset + len)?;
        download(&self.gpu, &store.buffer, offset, len).await
    }

    /// Takes a plan whose stores exist: compiles its kernels and makes scratch memory for it.
    pub fn prepare(&mut self, plan: &Plan) -> Result<PlanId, ExecError> {
        self.gpu.check()?;
        for arena in &plan.arenas {
            match &arena.kind {
                ArenaKind::Store(name) => {
                    self.memory.range(name, arena.len)?;
                }
                ArenaKind::Scratch(number) => self.memory.grow_scratch(&self.gpu, *number, arena.len)?,
            }
        }
        let mut steps = Vec::new();
        for (launch, description) in plan.launches.iter().enumerate() {
            #[cfg(feature = "native")]
            if let Some(watcher) = &mut self.watcher {
                watcher(launch, plan.launches.len());
            }
            for dispatch in lower(description, &self.tuning)? {
                self.check_bindings(&dispatch, &description.label)?;
                let pipeline = self.pipelines.get(&self.gpu, &dispatch)?;
                let Dispatch { uniform, reads, writes, groups, name, .. } = dispatch;
                let operands: Vec<Operand> = reads.into_iter().chain(writes).collect();
                for operand in &operands {
                    if let Operand::Temporary { buffer, offset, len } = operand {
                        self.memory.grow_temporary(&self.gpu, *buffer, offset + len)?;
                    }
                }
                steps.push(Step { launch, pipeline, uniform, operands, grid: grid(groups), name });
            }
        }
        let uniform = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("run"),
            size: run_words(plan, &RunArgs { scalars: &vec![0.0; plan.scalars.len()], seed: 0, step: 0 }).len() as u64
                * 4,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        // What a launch does is shared by its dispatches in a way that nobody knows: each counts as all of it.
        #[cfg(feature = "native")]
        let work = steps.iter().map(|step: &Step| (plan.launches[step.launch].flops, plan.launches[step.launch].bytes));
        let id = self.plans.add(Prepared {
            plan: plan.clone(),
            #[cfg(feature = "native")]
            parts: parts::Parts::guess(work, self.submit_secs),
            steps,
            uniform,
            bound: None,
        });
        self.gpu.check()?;
        Ok(id)
    }

    /// Drops a plan, which must not be run again.
    pub fn release(&mut self, plan: PlanId) {
        self.plans.release(plan);
    }

    /// Plans that are prepared.
    pub fn plan_count(&self) -> usize {
        self.plans.count()
    }

    /// Runs a plan; returns as soon as the device has the work.
    pub fn run(&mut self, plan: PlanId, args: &RunArgs<'_>) -> Result<(), ExecError> {
        self.start(plan, args)?;
        #[cfg(feature = "native")]
        if self.on_cpu.any() {
            return bisect::run(self, plan, args);
        }
        #[cfg(feature = "native")]
        return self.submit_parts(plan);
        #[cfg(not(feature = "native"))]
        {
            self.submit(plan, 0..self.plans[plan].steps.len());
            self.gpu.check()
        }
    }

    fn submit(&self, plan: PlanId, steps: std::ops::Range<usize>) {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.encode(plan, steps, &mut encoder, None);
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// Submits the parts of a plan; waits for each as long as their times are not known.
    #[cfg(feature = "native")]
    fn submit_parts(&mut self, plan: PlanId) -> Result<(), ExecError> {
        let parts = self.plans[plan].parts.ranges().to_vec();
        if !self.plans[plan].parts.unknown() {
            for part in parts {
                self.submit(plan, part);
            }
            return self.gpu.check();
        }
        // What was submitted before is not this plan's.
        self.gpu.wait()?;
        let timed = |part| {
            profile::timed(|| {
                self.submit(plan, part);
                self.gpu.wait()
            })
        };
        let took = parts.into_iter().map(timed).collect::<Result<Vec<_>, _>>()?;
        self.plans[plan].parts.learn(&took);
        Ok(())
    }

    /// Where the part ends that a step belongs to.
    fn end_of_part(&self, plan: PlanId, step: usize) -> usize {
        #[cfg(feature = "native")]
        if let Some(part) = self.plans[plan].parts.ranges().iter().find(|part| part.contains(&step)) {
            return part.end;
        }
        self.plans[plan].steps.len().max(step + 1)
    }

    /// Cuts plans that are prepared from now on into submits of at most about so many seconds each.
    #[cfg(feature = "native")]
    pub fn limit_submits(&mut self, secs: f64) {
        self.submit_secs = secs;
    }

    /// How many submits a run of a plan takes, by what is known of it so far.
    #[cfg(feature = "native")]
    pub fn submits(&self, plan: PlanId) -> usize {
        self.plans[plan].parts.ranges().len()
    }

    /// Waits until the device has done everything; returns at once in browsers.
    pub fn sync(&self) -> Result<(), ExecError> {
        self.gpu.wait()
    }

    /// Completes when the device has done everything that was submitted so far; does not block.
    pub async fn finished(&self) -> Result<(), ExecError> {
        let (done, signal) = signal();
        self.gpu.queue.on_submitted_work_done(move || done(()));
        // Natively this runs the callback; in browsers the event loop does.
        self.gpu.wait()?;
        signal.await;
        self.gpu.check()
    }

    /// Bytes of each store and each temporary buffer.
    pub fn memory(&self) -> Vec<(String, u64)> {
        self.memory.sizes()
    }

    /// Pipelines compiled so far.
    pub fn pipeline_count(&self) -> usize {
        self.pipelines.len()
    }

    /// Fills all temporary memory with -12345.0, so that a plan that reads what it did not write is
    /// found out.
    pub fn poison_scratch(&mut self) {
        for array in self.memory.temporaries() {
            let poison = vec![POISON; array.len];
            self.gpu.queue.write_buffer(&array.buffer, 0, bytemuck::cast_slice(&poison));
        }
    }

    /// Kernel and variant of each dispatch of a plan, with the launch it belongs to.
    pub fn dispatches(&self, plan: PlanId) -> impl Iterator<Item = (usize, &str)> {
        self.plans[plan].steps.iter().map(|step| (step.launch, step.name.as_str()))
    }

    fn check_bindings(&self, dispatch: &Dispatch, label: &str) -> Result<(), ExecError> {
        let limit = self.gpu.device.limits().max_storage_buffer_binding_size;
        for operand in dispatch.reads.iter().chain(&dispatch.writes) {
            let (Operand::Slot(crate::plan::Slot { len, .. }) | Operand::Temporary { len, .. }) = operand;
            if *len as u64 * 4 > limit {
                return Err(ExecError::Limit {
                    what: format!("an operand of `{label}` (bytes)"),
                    need: *len as u64 * 4,
                    limit,
                    fix: "use a smaller batch, a smaller data set, or another device".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Passes the run's numbers, and makes bind groups if buffers have changed.
    fn start(&mut self, plan: PlanId, args: &RunArgs<'_>) -> Result<(), ExecError> {
        self.gpu.check()?;
        let Self { gpu, memory, plans, .. } = self;
        let prepared = &mut plans[plan];
        if args.scalars.len() != prepared.plan.scalars.len() {
            let (want, got) = (prepared.plan.scalars.len(), args.scalars.len());
            return Err(ExecError::Scalars { plan: prepared.plan.name.clone(), want, got });
        }
        let words = run_words(&prepared.plan, args);
        gpu.queue.write_buffer(&prepared.uniform, 0, bytemuck::cast_slice(&words));
        if prepared.bound.as_ref().is_none_or(|(generation, _)| *generation != memory.generation) {
            // A store may have been replaced by a smaller one.
            for arena in &prepared.plan.arenas {
                if let ArenaKind::Store(name) = &arena.kind {
                    memory.range(name, arena.len)?;
                }
            }
            let groups =
                prepared.steps.iter().map(|step| bind(gpu, memory, prepared, step)).collect::<Result<_, _>>()?;
            prepared.bound = Some((memory.generation, groups));
        }
        Ok(())
    }

    /// Encodes some steps of a plan as one pass; [`GpuExecutor::start`] has made their bind groups.
    fn encode(
        &self,
        plan: PlanId,
        steps: std::ops::Range<usize>,
        encoder: &mut wgpu::CommandEncoder,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let prepared = &self.plans[plan];
        let (_, groups) = prepared.bound.as_ref().expect("start made the bind groups");
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(&prepared.plan.name), timestamp_writes });
        for (step, group) in prepared.steps[steps.clone()].iter().zip(&groups[steps]) {
            pass.set_pipeline(&step.pipeline.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(step.grid.0, step.grid.1, 1);
        }
    }
}

/// The words of the uniform `Run` (shaders/lib/run.wgsl): seed, step, padding, scalars.
fn run_words(plan: &Plan, args: &RunArgs<'_>) -> Vec<u32> {
    let scalars = args.scalars.iter().map(|s| s.to_bits());
    let mut words: Vec<u32> = [args.seed, args.step, 0, 0].into_iter().chain(scalars).collect();
    words.resize(4 + plan.scalars.len().next_multiple_of(4).max(4), 0);
    words
}

/// Folds a number of workgroups into two dimensions, with as few left over as possible.
fn grid(groups: usize) -> (u32, u32) {
    let y = groups.div_ceil(GRID_MAX).max(1);
    (groups.div_ceil(y).max(1) as u32, y as u32)
}

fn bind(gpu: &Gpu, memory: &Memory, prepared: &Prepared, step: &Step) -> Result<wgpu::BindGroup, ExecError> {
    let mut entries = Vec::with_capacity(step.operands.len() + 1);
    if step.uniform {
        entries.push(wgpu::BindGroupEntry { binding: 0, resource: prepared.uniform.as_entire_binding() });
    }
    for (i, operand) in step.operands.iter().enumerate() {
        let (array, offset, len) = match operand {
            Operand::Slot(slot) => (memory.arena(&prepared.plan.arenas[slot.arena].kind)?, slot.offset, slot.len),
            Operand::Temporary { buffer, offset, len } => (memory.temporary(*buffer), *offset, *len),
        };
        let size = std::num::NonZeroU64::new(len as u64 * 4);
        entries.push(wgpu::BindGroupEntry {
            binding: i as u32 + 1,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &array.buffer,
                offset: offset as u64 * 4,
                size,
            }),
        });
    }
    let descriptor =
        wgpu::BindGroupDescriptor { label: Some(&step.name), layout: &step.pipeline.layout, entries: &entries };
    Ok(gpu.device.create_bind_group(&descriptor))
}
