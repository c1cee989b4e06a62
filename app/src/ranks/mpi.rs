//! Processes that talk over MPI.

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Root};
use onestep_core::train::Group;

use super::Ranks;
use crate::exit::bad_input;

/// All processes of the job.
struct World;

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// MPI counts by 32 bits; longer data go in pieces.
const PIECE: usize = 1 << 28;

impl Group for World {
    fn rank(&self) -> usize {
        world().rank() as usize
    }

    fn size(&self) -> usize {
        world().size() as usize
    }

    fn sum(&mut self, values: &mut [f32]) {
        let own = values.to_vec();
        for (own, sum) in own.chunks(PIECE).zip(values.chunks_mut(PIECE)) {
            world().all_reduce_into(own, sum, SystemOperation::sum());
        }
    }

    fn broadcast(&mut self, bytes: &mut Vec<u8>) {
        let (world, mut len) = (world(), bytes.len() as u64);
        let first = world.process_at_rank(0);
        first.broadcast_into(&mut len);
        bytes.resize(len as usize, 0);
        for piece in bytes.chunks_mut(PIECE) {
            first.broadcast_into(piece);
        }
    }
}

/// Joins the job. Processes of one machine share its processors among them.
pub fn join() -> anyhow::Result<Ranks> {
    let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled)
        .ok_or_else(|| bad_input!("MPI was started twice; this is a mistake in onestep"))?;
    let beside = world().split_shared(0).size() as usize;
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / beside).max(1);
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    Ok(Ranks { group: Box::new(World), session: Some(Box::new(World)), abort, _mpi: Box::new(universe) })
}

fn abort(code: u8) -> ! {
    world().abort(i32::from(code))
}
