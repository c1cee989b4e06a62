//! Stores and scratch arenas, and how a launch borrows from them.
//!
//! Invariant: a launch never reads an arena that it writes, so the written arenas can be taken
//! out of the list while the others are read: no copy, no `unsafe`.

use crate::exec::ExecError;
use crate::plan::{Launch, Slot};
use litemap::LiteMap;

/// Named buffers, and the scratch arenas that plans share.
#[derive(Debug, Default)]
pub struct Memory {
    stores: LiteMap<String, Vec<f32>>,
    /// When each store was written last, counted in writes.
    #[cfg(not(target_arch = "wasm32"))]
    written: LiteMap<String, u64>,
    #[cfg(not(target_arch = "wasm32"))]
    writes: u64,
    pub scratch: Vec<Vec<f32>>,
}

impl Memory {
    /// Makes a store of `len` zeros; replaces one of that name.
    pub fn create(&mut self, name: &str, len: usize) -> Result<(), ExecError> {
        self.stores.remove(name);
        let mut buffer = Vec::new();
        grow(&mut buffer, len, 0.0, || format!("the store `{name}` (bytes)"))?;
        self.stores.insert(name.to_owned(), buffer);
        #[cfg(not(target_arch = "wasm32"))]
        self.note_write(name);
        Ok(())
    }

    /// Has [`Memory::written`] tell that a store is about to have another content.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn note_write(&mut self, name: &str) {
        self.writes += 1;
        match self.written.get_mut(name) {
            Some(when) => *when = self.writes,
            None => drop(self.written.insert(name.to_owned(), self.writes)),
        }
    }

    /// When a store was written last; no two writes have the same number, whichever store they were to.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn written(&self, name: &str) -> u64 {
        self.written.get(name).copied().unwrap_or_default()
    }

    pub fn remove(&mut self, name: &str) {
        self.stores.remove(name);
    }

    pub fn len_of(&self, name: &str) -> Option<usize> {
        self.stores.get(name).map(Vec::len)
    }

    /// `Ok` if the store exists and has `want` elements.
    pub fn check(&self, name: &str, want: usize) -> Result<(), ExecError> {
        match self.len_of(name) {
            None => Err(ExecError::NoStore { name: name.to_owned() }),
            Some(have) if have < want => Err(ExecError::StoreTooSmall { name: name.to_owned(), have, want }),
            Some(_) => Ok(()),
        }
    }

    /// `len` elements of a store from `offset`.
    pub fn range(&self, name: &str, offset: usize, len: usize) -> Result<&[f32], ExecError> {
        self.check(name, offset + len)?;
        let store = self.stores.get(name).expect("checked above");
        Ok(&store[offset..offset + len])
    }

    /// As [`Memory::range`], to write.
    pub fn range_mut(&mut self, name: &str, offset: usize, len: usize) -> Result<&mut [f32], ExecError> {
        self.check(name, offset + len)?;
        #[cfg(not(target_arch = "wasm32"))]
        self.note_write(name);
        let store = self.stores.get_mut(name).expect("checked above");
        Ok(&mut store[offset..offset + len])
    }

    /// The buffer of a store, out of the list; [`Memory::put_back`] returns it.
    pub fn take(&mut self, name: &str) -> Vec<f32> {
        self.stores.get_mut(name).map(std::mem::take).unwrap_or_default()
    }

    pub fn put_back(&mut self, name: &str, buffer: Vec<f32>) {
        self.stores.insert(name.to_owned(), buffer);
    }

    /// Sizes in bytes, scratch first.
    pub fn sizes(&self) -> Vec<(String, u64)> {
        let bytes = |buffer: &Vec<f32>| 4 * buffer.len() as u64;
        let scratch = self.scratch.iter().enumerate().map(|(i, b)| (format!("scratch {i}"), bytes(b)));
        let stores = self.stores.iter().map(|(name, b)| (name.clone(), bytes(b)));
        scratch.chain(stores).collect()
    }
}

/// Extends a buffer to `len` elements, or says that the machine has not that much memory left: an
/// allocation that fails would end the program, and one that succeeds on paper only would end it
/// later.
pub fn grow(buffer: &mut Vec<f32>, len: usize, fill: f32, what: impl Fn() -> String) -> Result<(), ExecError> {
    let more = len.saturating_sub(buffer.len());
    let (need, limit) = (4 * more as u64, available_bytes());
    if need > limit {
        let fix = "lower --batch or --width".to_owned();
        return Err(ExecError::Limit { what: what(), need, limit, fix });
    }
    buffer.try_reserve_exact(more).map_err(|_| ExecError::NoMemory { what: what(), need })?;
    buffer.resize(len, fill);
    Ok(())
}

/// Memory that can be had without pushing others out, where the system tells (Linux); else no limit
/// but the allocator's own.
fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| 1024 * kib)
}

/// Calls `job` with the launch's input and output slices.
pub fn with_slices<R>(
    launch: &Launch,
    arenas: &mut [Vec<f32>],
    job: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> R,
) -> R {
    let mut written: Vec<usize> = launch.outputs.iter().map(|slot| slot.arena).collect();
    written.sort_unstable();
    written.dedup();
    let mut taken: Vec<Vec<f32>> = written.iter().map(|arena| std::mem::take(&mut arenas[*arena])).collect();
    let inputs: Vec<&[f32]> = launch
        .inputs
        .iter()
        .map(|slot| {
            assert!(!written.contains(&slot.arena), "{} reads what it writes", launch.label);
            &arenas[slot.arena][slot.offset..slot.offset + slot.len]
        })
        .collect();
    let mut outputs: Vec<(usize, &mut [f32])> = Vec::with_capacity(launch.outputs.len());
    for (buffer, arena) in taken.iter_mut().zip(&written) {
        let of_arena = launch.outputs.iter().enumerate().filter(|(_, slot)| slot.arena == *arena);
        outputs.extend(split(buffer, of_arena.collect(), &launch.label));
    }
    outputs.sort_unstable_by_key(|(j, _)| *j);
    let mut outputs: Vec<&mut [f32]> = outputs.into_iter().map(|(_, slice)| slice).collect();
    let result = job(&inputs, &mut outputs);
    for (buffer, arena) in taken.into_iter().zip(written) {
        arenas[arena] = buffer;
    }
    result
}

/// Disjoint slots of one buffer, each with its number.
fn split<'b>(mut buffer: &'b mut [f32], mut slots: Vec<(usize, &Slot)>, label: &str) -> Vec<(usize, &'b mut [f32])> {
    slots.sort_unstable_by_key(|(_, slot)| slot.offset);
    let mut start = 0;
    let mut slices = Vec::with_capacity(slots.len());
    for (j, slot) in slots {
        assert!(slot.offset >= start, "{label} writes two overlapping slots");
        let (slice, rest) = buffer[slot.offset - start..].split_at_mut(slot.len);
        slices.push((j, slice));
        buffer = rest;
        start = slot.offset + slot.len;
    }
    slices
}
