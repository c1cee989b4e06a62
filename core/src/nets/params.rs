//! Named parameters of a network, as ranges of one flat store.
//!
//! A network is a function over [`Params`] and its inputs: running it once on a graph gives the
//! computation, the offsets of all parameters ([`ParamLayout`]) and their variables. Running it
//! again with another store (an average, a frozen copy) gives the same offsets.
//!
//! Invariant: the first use of a name fixes its place; every later use must agree with it.

use litemap::LiteMap;
use std::cell::RefCell;

use super::{DiskLayout, Init, ParamLayout, ParamSpec};
use crate::graph::{Graph, Var};
use crate::plan::SLOT_ALIGN;

/// The parameters of one network on one graph.
pub struct Params<'g> {
    graph: &'g Graph,
    store: String,
    state: RefCell<State<'g>>,
}

#[derive(Default)]
struct State<'g> {
    specs: Vec<ParamSpec>,
    /// Variables by the name of their first part.
    known: LiteMap<String, usize>,
    /// Offset and variable, in order of first use.
    variables: Vec<(usize, Var<'g>)>,
    len: usize,
}

impl<'g> Params<'g> {
    /// Parameters that live in `store`, such as `generator.param`.
    pub fn new(graph: &'g Graph, store: &str) -> Self {
        Self { graph, store: store.to_owned(), state: RefCell::default() }
    }

    /// The graph that the variables belong to.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The parameter `name` of this shape (in memory, at least one axis). The first call
    /// assigns the next offset; later ones return the same variable.
    pub fn get(&self, name: &str, shape: &[usize], init: Init, disk: DiskLayout) -> Var<'g> {
        self.stacked(&[(name.to_owned(), shape[0])], &shape[1..], init, disk)
    }

    /// Several parameters as one variable, stacked along the first axis: `parts` are their names
    /// and rows, `rest` their other axes. On disk each has its own name and shape.
    ///
    /// One matrix product then does the work of many small layers that read the same input.
    pub fn stacked(&self, parts: &[(String, usize)], rest: &[usize], init: Init, disk: DiskLayout) -> Var<'g> {
        let mut shape = vec![parts.iter().map(|(_, rows)| rows).sum()];
        shape.extend(rest);
        let mut state = self.state.borrow_mut();
        if let Some(&index) = state.known.get(&parts[0].0) {
            let (_, var) = state.variables[index];
            assert_eq!(var.shape(), shape, "parameter `{}` was first used with another shape", parts[0].0);
            return var;
        }
        let offset = state.len;
        let var = self.graph.input(&self.store, offset, &shape);
        let index = state.variables.len();
        state.variables.push((offset, var));
        let mut at = offset;
        for (name, rows) in parts {
            let mut shape = vec![*rows];
            shape.extend(rest);
            let len = shape.iter().product::<usize>();
            let before = state.known.insert(name.clone(), index);
            assert!(before.is_none(), "parameter `{name}` has two places");
            state.specs.push(ParamSpec { name: name.clone(), shape, offset: at, init, disk });
            at += len;
        }
        state.len = at.next_multiple_of(SLOT_ALIGN);
        var
    }

    /// Every variable with its offset in the store, in order of first use. A trainer
    /// differentiates with respect to these and puts each gradient at the same offset.
    pub fn all(&self) -> Vec<(usize, Var<'g>)> {
        self.state.borrow().variables.clone()
    }

    /// Names, shapes and places of what has been used so far.
    pub fn layout(&self) -> ParamLayout {
        let state = self.state.borrow();
        ParamLayout { specs: state.specs.clone(), len: state.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_aligned_and_names_are_found_again() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        let a = params.get("a", &[3, 5], Init::Zeros, DiskLayout::Linear);
        let parts = [("b".to_owned(), 2), ("c".to_owned(), 3)];
        let stack = params.stacked(&parts, &[7], Init::Ones, DiskLayout::Linear);
        let d = params.get("d", &[70], Init::Ones, DiskLayout::Vector);
        assert_eq!(params.get("a", &[3, 5], Init::Zeros, DiskLayout::Linear), a);
        assert_eq!(params.stacked(&parts, &[7], Init::Ones, DiskLayout::Linear), stack);
        assert_eq!(stack.shape(), [5, 7]);
        assert_eq!(params.all(), [(0, a), (64, stack), (128, d)]);
        let layout = params.layout();
        let offsets: Vec<_> = layout.specs.iter().map(|s| (s.name.as_str(), s.offset, &s.shape[..])).collect();
        let wanted: [(&str, usize, &[usize]); 4] =
            [("a", 0, &[3, 5]), ("b", 64, &[2, 7]), ("c", 78, &[3, 7]), ("d", 128, &[70])];
        assert_eq!(offsets, wanted);
        assert_eq!((layout.len, layout.parameters()), (256, 15 + 35 + 70));
    }

    #[test]
    #[should_panic(expected = "another shape")]
    fn one_name_with_two_shapes_is_refused() {
        let graph = Graph::new();
        let params = Params::new(&graph, "p");
        params.get("a", &[3], Init::Zeros, DiskLayout::Vector);
        params.get("a", &[4], Init::Zeros, DiskLayout::Vector);
    }
}
