//! The graph: *what* to compute, as nodes with static shapes.
//!
//! A [`Graph`] only grows. [`Var`] is a copyable handle to one node, with the operators of
//! arithmetic on it, so that networks and losses read like formulas. The operator set ([`Op`])
//! is closed under differentiation: [`Graph::grad`] adds nodes of the same kinds, so that a
//! gradient can be differentiated again.
//!
//! Invariants: a node's inputs precede it; equal nodes are one node; a graph that was built
//! from wrong shapes says so in [`Graph::check`], and building goes on without a panic.
//!
//! [`reference`] evaluates any graph by plain f64 loops: the oracle of the tests.

mod build;
mod grad;
mod op;
pub mod reference;
mod simplify;
#[cfg(test)]
mod tests;

pub use build::concat;
pub use op::*;

use litemap::LiteMap;
use std::cell::{Ref, RefCell};

/// A list of nodes, each after its inputs.
#[derive(Default)]
pub struct Graph {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    /// Nodes by their first operand, those without one under `None`: where an equal of a new node would be.
    known: LiteMap<Option<usize>, Vec<usize>>,
    scopes: Vec<String>,
    error: Option<GraphError>,
}

/// One node: an operator, what it reads, and the shape of its result.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// Indices of its operands.
    pub inputs: Vec<usize>,
    /// Sizes of the result; `[]` is one number.
    pub shape: Vec<usize>,
    /// Where in the model it was made, such as `generator.enc.14x14_block0`.
    pub label: String,
}

/// A handle to a node of a graph.
#[derive(Clone, Copy)]
pub struct Var<'g> {
    graph: &'g Graph,
    id: usize,
}

/// Why a graph is wrong. The first mistake is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An operand's shape does not fit.
    #[error("{op} in `{label}`: {operand} should be {wanted}, got {got:?}")]
    Shape {
        /// The operator.
        op: &'static str,
        /// Scope in which it was used.
        label: String,
        /// Which operand.
        operand: &'static str,
        /// What fits.
        wanted: String,
        /// The shape that came.
        got: Vec<usize>,
    },
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The nodes so far.
    pub fn nodes(&self) -> Ref<'_, [Node]> {
        Ref::map(self.state.borrow(), |s| &s.nodes[..])
    }

    /// The first mistake that was made while building.
    pub fn check(&self) -> Result<(), GraphError> {
        self.state.borrow().error.clone().map_or(Ok(()), Err)
    }

    /// The handle of node `id`.
    pub fn var(&self, id: usize) -> Var<'_> {
        debug_assert!(id < self.nodes().len());
        Var { graph: self, id }
    }

    /// Runs `body` with `name` added to the labels of the nodes that it makes.
    pub fn scope<T>(&self, name: &str, body: impl FnOnce() -> T) -> T {
        let path = match self.label() {
            outer if outer.is_empty() => name.to_owned(),
            outer => format!("{outer}.{name}"),
        };
        self.labelled(path, body)
    }

    /// Runs `body` with `label` as the label of the nodes that it makes.
    fn labelled<T>(&self, label: String, body: impl FnOnce() -> T) -> T {
        self.state.borrow_mut().scopes.push(label);
        let value = body();
        self.state.borrow_mut().scopes.pop();
        value
    }

    fn label(&self) -> String {
        self.state.borrow().scopes.last().cloned().unwrap_or_default()
    }

    /// Adds a node as it stands, or finds its equal.
    fn intern(&self, op: Op, inputs: Vec<usize>, shape: Vec<usize>) -> Var<'_> {
        let mut state = self.state.borrow_mut();
        let State { nodes, known, scopes, .. } = &mut *state;
        let alike = known.entry(inputs.first().copied()).or_default();
        let equal = |node: &Node| node.op.is(&op) && node.inputs == inputs && node.shape == shape;
        if let Some(&id) = alike.iter().find(|&&id| equal(&nodes[id])) {
            return Var { graph: self, id };
        }
        let id = nodes.len();
        alike.push(id);
        nodes.push(Node { op, inputs, shape, label: scopes.last().cloned().unwrap_or_default() });
        Var { graph: self, id }
    }

    /// Keeps the first mistake and returns a stand-in, so that building can go on.
    fn fail(&self, op: &'static str, operand: &'static str, wanted: String, got: Vec<usize>) -> Var<'_> {
        let label = self.label();
        let error = GraphError::Shape { op, label, operand, wanted, got };
        self.state.borrow_mut().error.get_or_insert(error);
        self.constant(0.0)
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (id, node) in self.nodes().iter().enumerate() {
            writeln!(f, "%{id} = {:?} {:?} -> {:?}  {}", node.op, node.inputs, node.shape, node.label)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{} {:?}", self.id, self.shape())
    }
}

impl PartialEq for Var<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.graph, other.graph) && self.id == other.id
    }
}

impl<'g> Var<'g> {
    /// Index of the node.
    pub fn id(self) -> usize {
        self.id
    }

    /// The graph that holds the node.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// A copy of the node.
    pub fn node(self) -> Node {
        self.graph.nodes()[self.id].clone()
    }

    /// Sizes of the value.
    pub fn shape(self) -> Vec<usize> {
        self.graph.nodes()[self.id].shape.clone()
    }

    /// Number of axes.
    pub fn rank(self) -> usize {
        self.graph.nodes()[self.id].shape.len()
    }

    /// Number of elements.
    pub fn len(self) -> usize {
        self.graph.nodes()[self.id].shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}
