//! One run in several processes, which `mpirun` has started: whether they are alike, and how they fail.
//!
//! Invariant: what goes wrong in one of them before the first step ends all of them, with one line from the first in
//! which it went wrong, and one exit code.

#[cfg(feature = "mpi")]
mod mpi;

use std::env;

use onestep_core::data::hash_file;
use onestep_core::train::{Config, Group, KNOBS, TrainingData};

use crate::exit::{Told, bad_input, code};

/// Where launchers say how many processes there are: MPICH's and its relatives', and Open MPI's.
const SIZES: [&str; 2] = ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"];
/// Where they say which one this is.
const RANKS: [&str; 2] = ["PMI_RANK", "OMPI_COMM_WORLD_RANK"];

fn number(names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| env::var(name).ok()?.parse().ok())
}

/// Whether this process is not the first of several, and so has nothing to say.
pub fn follows() -> bool {
    number(&RANKS).is_some_and(|rank| rank > 0)
}

/// All processes of a run.
pub struct Ranks {
    group: Box<dyn Group>,
    /// The same for the session.
    session: Option<Box<dyn Group>>,
    /// Ends all of them.
    abort: fn(u8) -> !,
    /// Leaves the job when it is dropped.
    _mpi: Box<dyn std::any::Any>,
}

/// Joins the processes that a launcher has started; `None` if it has started one, or none.
pub fn join() -> anyhow::Result<Option<Ranks>> {
    let Some(2..) = number(&SIZES) else { return Ok(None) };
    #[cfg(feature = "mpi")]
    let joined = mpi::join().map(Some);
    #[cfg(not(feature = "mpi"))]
    let joined = Err(if follows() {
        Told(2).into()
    } else {
        bad_input!(
            "several processes were started, and this onestep was built without MPI; build it with `--features mpi` \
             (docs/scale-out.md)"
        )
    });
    joined
}

impl Ranks {
    /// Whether this process is the first, which reads and writes the run's folder.
    pub fn leads(&self) -> bool {
        self.group.rank() == 0
    }

    /// What the session talks over.
    pub fn group(&mut self) -> Option<Box<dyn Group>> {
        self.session.take()
    }

    /// Number of this process.
    pub fn rank(&self) -> usize {
        self.group.rank()
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.group.size()
    }

    /// Goes on in all processes, or in none.
    pub fn together<T>(&mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let mut codes = vec![0.0; self.group.size()];
        if let Err(error) = &result {
            codes[self.group.rank()] = f32::from(code(error));
        }
        self.group.sum(&mut codes);
        match codes.iter().position(|code| *code > 0.0) {
            Some(first) if first != self.group.rank() => Err(Told(codes[first] as u8).into()),
            _ => result,
        }
    }

    /// Refuses processes that differ from the first in something.
    fn same(&mut self, own: &str, problem: &str) -> anyhow::Result<()> {
        let mut first = own.as_bytes().to_vec();
        self.group.broadcast(&mut first);
        let rank = self.group.rank();
        let alike = (first == own.as_bytes()).then_some(()).ok_or_else(|| bad_input!("process {rank} {problem}"));
        self.together(alike)
    }

    /// Refuses processes of another program.
    pub fn same_program(&mut self) -> anyhow::Result<()> {
        let hash = env::current_exe().ok().and_then(|program| hash_file(&program).ok()).unwrap_or_default();
        let own = format!("{} {hash}", env!("CARGO_PKG_VERSION"));
        self.same(&own, "runs another build of onestep than process 0; copy one program to all machines")
    }

    /// Refuses processes that would exchange weights at another time.
    pub fn same_sync(&mut self, turns: Option<u64>) -> anyhow::Result<()> {
        self.same(&format!("{turns:?}"), "has another --sync-every than process 0; give all of them the same")
    }

    /// Refuses processes with other data.
    pub fn same_data(&mut self, data: &TrainingData) -> anyhow::Result<()> {
        self.same(&data.hash(), "has other data than process 0; copy the same files to all machines")
    }

    /// The settings of process 0, which those of the others, where they have some, have to equal; but data may lie in
    /// another place on each machine ([`Ranks::same_data`] compares what is in them).
    pub fn same_config(&mut self, own: Option<&Config>) -> anyhow::Result<Config> {
        let mut text = serde_json::to_vec(&own)?;
        self.group.broadcast(&mut text);
        let Some(first) = serde_json::from_slice::<Option<Config>>(&text)? else {
            anyhow::bail!("process 0 has no settings");
        };
        let rank = self.group.rank();
        let differs = |own: &Config| {
            KNOBS.iter().find(|knob| knob.name != "data" && own.text_of(knob.name) != first.text_of(knob.name))
        };
        let alike = match own.and_then(|own| Some((own, differs(own)?))) {
            None => Ok(()),
            Some((own, knob)) => Err(bad_input!(
                "{} = {}: process {rank} differs from process 0, which has {}; give all of them the same settings",
                knob.name,
                own.text_of(knob.name),
                first.text_of(knob.name)
            )),
        };
        self.together(alike)?;
        let data = own.map_or_else(|| first.data.clone(), |own| own.data.clone());
        Ok(Config { data, ..first })
    }

    /// Ends all processes because of what went wrong in this one.
    pub fn abort(&self, error: &anyhow::Error) -> ! {
        crate::output::note(false, format_args!("error: process {}: {error:#}", self.group.rank()));
        (self.abort)(code(error))
    }
}

/// Goes on if all processes do; a single one by itself.
pub fn together<T>(ranks: &mut Option<Ranks>, result: anyhow::Result<T>) -> anyhow::Result<T> {
    match ranks {
        Some(ranks) => ranks.together(result),
        None => result,
    }
}
