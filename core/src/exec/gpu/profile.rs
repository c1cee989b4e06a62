//! Time of each launch: by timestamps on the device, or else by waiting after each.

use super::GpuExecutor;
use super::memory::download;
use crate::exec::{ExecError, LaunchTime, PlanId, RunArgs};

/// Queries in a set, at most (WebGPU's limit): two per dispatch.
const QUERIES: usize = 4096;

impl GpuExecutor {
    /// Runs a plan and times each launch. Passes of one dispatch each, so the sum is more than an
    /// ordinary run takes. Without timestamps in a browser, which has no clock here, all times are 0.
    pub async fn profile(&mut self, plan: PlanId, args: &RunArgs<'_>) -> Result<Vec<LaunchTime>, ExecError> {
        self.start(plan, args)?;
        let launches = self.plans[plan].plan.launches.len();
        let mut times: Vec<_> = (0..launches).map(|launch| LaunchTime { launch, secs: 0.0 }).collect();
        let count = self.plans[plan].steps.len();
        let timestamps = self.gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let mut first = 0;
        while first < count {
            let end = if timestamps { (first + QUERIES / 2).min(self.end_of_part(plan, first)) } else { first + 1 };
            let secs = if timestamps { self.stamped(plan, first..end).await? } else { vec![self.waited(plan, first)?] };
            for (step, secs) in (first..end).zip(secs) {
                times[self.plans[plan].steps[step].launch].secs += secs;
            }
            first = end;
        }
        Ok(times)
    }

    /// Seconds of each of `steps`, at most half of [`QUERIES`], by timestamps.
    async fn stamped(&self, plan: PlanId, steps: std::ops::Range<usize>) -> Result<Vec<f64>, ExecError> {
        let device = &self.gpu.device;
        let count = 2 * steps.len() as u32;
        let query_set = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("profile"),
            size: u64::from(count) * 8,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (i, step) in steps.enumerate() {
            let i = 2 * i as u32;
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &query_set,
                beginning_of_pass_write_index: Some(i),
                end_of_pass_write_index: Some(i + 1),
            };
            self.encode(plan, step..step + 1, &mut encoder, Some(writes));
        }
        encoder.resolve_query_set(&query_set, 0..count, &resolved, 0);
        self.gpu.queue.submit([encoder.finish()]);
        let words = download(&self.gpu, &resolved, 0, count as usize * 2).await?;
        let period = f64::from(self.gpu.queue.get_timestamp_period()) * 1e-9;
        let ticks: Vec<u64> = words.chunks_exact(2).map(|w| u64::from(w[0]) | u64::from(w[1]) << 32).collect();
        Ok(ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect())
    }

    /// Seconds of one step, from submission to completion.
    fn waited(&self, plan: PlanId, step: usize) -> Result<f64, ExecError> {
        self.gpu.wait()?;
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.encode(plan, step..step + 1, &mut encoder, None);
        timed(|| {
            self.gpu.queue.submit([encoder.finish()]);
            self.gpu.wait()
        })
    }
}

/// Seconds that `work` takes; 0 in browsers.
pub fn timed(work: impl FnOnce() -> Result<(), ExecError>) -> Result<f64, ExecError> {
    #[cfg(not(target_arch = "wasm32"))]
    let start = std::time::Instant::now();
    work()?;
    #[cfg(not(target_arch = "wasm32"))]
    return Ok(start.elapsed().as_secs_f64());
    #[cfg(target_arch = "wasm32")]
    return Ok(0.0);
}
