//! Buffers: stores by name, scratch arenas by number, temporaries of the executor's own.
//!
//! Invariant: `generation` changes whenever a buffer is made, replaced or dropped, so that bind
//! groups of an older generation are never used.

use litemap::LiteMap;

use super::assemble::Temporary;
use super::device::Gpu;
use super::signal::signal;
use crate::exec::ExecError;
use crate::plan::ArenaKind;

/// A buffer of `len` elements of four bytes.
pub struct Array {
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// Its elements.
    pub len: usize,
}

/// Names of the temporary buffers, in the order of [`Temporary`].
const NAMES: [&str; 2] = ["computed operands", "partial sums"];

/// All buffers of an executor.
#[derive(Default)]
pub struct Memory {
    stores: LiteMap<String, Array>,
    scratch: Vec<Option<Array>>,
    temporary: [Option<Array>; 2],
    /// Number of changes so far.
    pub generation: u64,
}

const USAGES: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

fn array(gpu: &Gpu, label: &str, len: usize) -> Result<Array, ExecError> {
    let (size, limit) = (len.max(1) as u64 * 4, gpu.device.limits().max_buffer_size);
    if size > limit {
        return Err(ExecError::Limit {
            what: format!("buffer `{label}`"),
            need: size,
            limit,
            fix: "use a smaller batch or network, or another device".to_owned(),
        });
    }
    let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage: USAGES, mapped_at_creation: false };
    Ok(Array { buffer: gpu.device.create_buffer(&descriptor), len })
}

impl Memory {
    /// Makes a store of zeros (as all new buffers are); replaces one of that name.
    pub fn create(&mut self, gpu: &Gpu, name: &str, len: usize) -> Result<(), ExecError> {
        self.stores.insert(name.to_owned(), array(gpu, name, len)?);
        self.generation += 1;
        Ok(())
    }

    /// Drops a store.
    pub fn remove(&mut self, name: &str) {
        self.generation += u64::from(self.stores.remove(name).is_some());
    }

    /// A store.
    pub fn store(&self, name: &str) -> Option<&Array> {
        self.stores.get(name)
    }

    /// The store `name`, if it holds elements up to `end`.
    pub fn range(&self, name: &str, end: usize) -> Result<&Array, ExecError> {
        match self.stores.get(name) {
            None => Err(ExecError::NoStore { name: name.to_owned() }),
            Some(store) if store.len < end => {
                Err(ExecError::StoreTooSmall { name: name.to_owned(), have: store.len, want: end })
            }
            Some(store) => Ok(store),
        }
    }

    /// Makes sure that scratch arena `number` has `len` elements.
    pub fn grow_scratch(&mut self, gpu: &Gpu, number: usize, len: usize) -> Result<(), ExecError> {
        if self.scratch.len() <= number {
            self.scratch.resize_with(number + 1, || None);
        }
        if self.scratch[number].as_ref().is_none_or(|a| a.len < len) {
            self.scratch[number] = Some(array(gpu, &format!("scratch {number}"), len)?);
            self.generation += 1;
        }
        Ok(())
    }

    /// Makes sure that a temporary buffer has `len` elements.
    pub fn grow_temporary(&mut self, gpu: &Gpu, which: Temporary, len: usize) -> Result<(), ExecError> {
        let slot = &mut self.temporary[which as usize];
        if slot.as_ref().is_none_or(|a| a.len < len) {
            *slot = Some(array(gpu, NAMES[which as usize], len)?);
            self.generation += 1;
        }
        Ok(())
    }

    /// The buffer of an arena, which [`Memory::range`] or [`Memory::grow_scratch`] has checked.
    pub fn arena(&self, kind: &ArenaKind) -> Result<&Array, ExecError> {
        match kind {
            ArenaKind::Store(name) => self.range(name, 0),
            ArenaKind::Scratch(number) => {
                Ok(self.scratch[*number].as_ref().expect("prepare grew every scratch arena of the plan"))
            }
        }
    }

    /// A temporary buffer.
    pub fn temporary(&self, which: Temporary) -> &Array {
        self.temporary[which as usize].as_ref().expect("prepare grew it for the dispatch that uses it")
    }

    /// Scratch arenas and temporary buffers.
    pub fn temporaries(&self) -> impl Iterator<Item = &Array> {
        self.scratch.iter().flatten().chain(self.temporary.iter().flatten())
    }

    /// Bytes of each buffer.
    pub fn sizes(&self) -> Vec<(String, u64)> {
        let stores = self.stores.iter().map(|(name, a)| (name.clone(), a));
        let scratch = self.scratch.iter().enumerate().filter_map(|(i, a)| Some((format!("scratch {i}"), a.as_ref()?)));
        let named = NAMES.iter().zip(&self.temporary);
        let temporary = named.filter_map(|(name, a)| Some(((*name).to_owned(), a.as_ref()?)));
        stores.chain(scratch).chain(temporary).map(|(name, a)| (name, a.buffer.size())).collect()
    }
}

/// Copies `count` words from `offset` of a buffer to the host.
pub async fn download(gpu: &Gpu, source: &wgpu::Buffer, offset: usize, count: usize) -> Result<Vec<u32>, ExecError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let size = count as u64 * 4;
    let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read"),
        size,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(source, offset as u64 * 4, &staging, 0, size);
    gpu.queue.submit([encoder.finish()]);

    let (done, mapped) = signal();
    staging.map_async(wgpu::MapMode::Read, .., done);
    // Natively this runs the callback; in browsers the event loop does.
    gpu.wait()?;
    if let Err(e) = mapped.await {
        gpu.check()?;
        return Err(ExecError::Gpu(e.to_string()));
    }
    let view = staging.get_mapped_range(..).map_err(|e| ExecError::Gpu(e.to_string()))?;
    Ok(bytemuck::pod_collect_to_vec(&view[..]))
}
