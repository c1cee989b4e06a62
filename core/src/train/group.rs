//! Several processes that train one run.

/// The other processes of a run, each of which computes its slots of every batch. What they pass to each other is in
/// the order of the calls, which is the same in all of them.
pub trait Group: Send {
    /// Number of this process, from 0. That one writes what a run writes.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Replaces the values of each process by their sum over all processes, the same bits in each.
    fn sum(&mut self, values: &mut [f32]);

    /// Replaces what the others have by what process 0 has.
    fn broadcast(&mut self, bytes: &mut Vec<u8>);
}
