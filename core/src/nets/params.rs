//! Named parameters of a network, as ranges of one flat store.
//!
//! A network is a function over [`Params`] and its inputs: running it once on a graph gives the
//! computation, the offsets of all parameters ([`ParamLayout`]) and their variables. Running it
//! again with another store (an average, a frozen copy) gives the same offsets.
//!
//! An adapter is a network of its own over the weights of another: [`Params::adapter`] gives the same functions
//! `W + s L R` for each weight `W` of the other, and only `L` and `R` are its parameters.
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
    adapts: Option<Base>,
    state: RefCell<State<'g>>,
}

/// What an adapter is on.
struct Base {
    /// Store of the weights.
    store: String,
    /// Largest rank of a change.
    rank: usize,
}

#[derive(Default)]
struct State<'g> {
    specs: Vec<ParamSpec>,
    /// What functions over the parameters see, by the name of their first part.
    known: LiteMap<String, Var<'g>>,
    /// Offset and variable, in order of first use.
    variables: Vec<(usize, Var<'g>)>,
    len: usize,
    /// Elements of an adapter's base that have their place.
    base_len: usize,
    /// Weights that an adapter changes, with their offsets in its base.
    changed: Vec<(usize, Var<'g>)>,
    /// In front of names.
    prefix: String,
}

/// Factor of an adapter's product: alpha / rank in the words of Hu et al. 2021 (arXiv 2106.09685), where it is free;
/// here for every rank as in `SwiftBrush` (arXiv 2312.05239), 108 / 64.
const ADAPTER_SCALE: f32 = 1.6875;

impl<'g> Params<'g> {
    /// Parameters that live in `store`, such as `generator.param`.
    pub fn new(graph: &'g Graph, store: &str) -> Self {
        Self { graph, store: store.to_owned(), adapts: None, state: RefCell::default() }
    }

    /// A low-rank adapter (`LoRA`, Hu et al. 2021, arXiv 2106.09685), whose parameters live in `store`, on the weights in
    /// the store `base`. A weight `W` of two axes or more counts as a matrix with the last axis as its columns;
    /// `W + s L R` is used in its place, with `L [rows, rank]` and `R [rank, columns]`. One of the two starts at zero,
    /// so that the adapter starts as what it is on. Vectors are the base's own.
    pub fn adapter(graph: &'g Graph, store: &str, base: &str, rank: usize) -> Self {
        let adapts = Some(Base { store: base.to_owned(), rank });
        Self { graph, store: store.to_owned(), adapts, state: RefCell::default() }
    }

    /// What `build` makes with `prefix` in front of the names of all parameters.
    pub fn within<T>(&self, prefix: &str, build: impl FnOnce() -> T) -> T {
        let before = self.state.borrow().prefix.len();
        self.state.borrow_mut().prefix.push_str(prefix);
        let out = build();
        self.state.borrow_mut().prefix.truncate(before);
        out
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
        let within = |(name, rows): &(String, usize)| (format!("{}{name}", state.prefix), *rows);
        let parts: Vec<(String, usize)> = parts.iter().map(within).collect();
        if let Some(&var) = state.known.get(&parts[0].0) {
            assert_eq!(var.shape(), shape, "parameter `{}` was first used with another shape", parts[0].0);
            return var;
        }
        let var = match &self.adapts {
            Some(base) => {
                let offset = state.base_len;
                let weight = self.graph.input(&base.store, offset, &shape);
                state.base_len = (offset + weight.len()).next_multiple_of(SLOT_ALIGN);
                if shape.len() < 2 {
                    weight
                } else {
                    let changed = self.adapted(&mut state, &parts[0].0, weight, base.rank, disk);
                    state.changed.push((offset, changed));
                    changed
                }
            }
            None => {
                let mut at = state.len;
                let var = self.place(&mut state, &shape);
                for (name, rows) in &parts {
                    let mut shape = vec![*rows];
                    shape.extend(rest);
                    let len = shape.iter().product::<usize>();
                    state.specs.push(ParamSpec { name: name.clone(), shape, offset: at, init, disk });
                    at += len;
                }
                var
            }
        };
        for (name, _) in parts {
            let before = state.known.insert(name.clone(), var);
            assert!(before.is_none(), "parameter `{name}` has two places");
        }
        var
    }

    /// The next place in the store.
    fn place(&self, state: &mut State<'g>, shape: &[usize]) -> Var<'g> {
        let var = self.graph.input(&self.store, state.len, shape);
        state.variables.push((state.len, var));
        state.len = (state.len + var.len()).next_multiple_of(SLOT_ALIGN);
        var
    }

    /// `W + s L R`. A convolution's `L` is a convolution to `rank` channels, its `R` one of 1 x 1 from there.
    fn adapted(&self, state: &mut State<'g>, name: &str, weight: Var<'g>, rank: usize, disk: DiskLayout) -> Var<'g> {
        let shape = weight.shape();
        let columns = shape[shape.len() - 1];
        let rows = weight.len() / columns;
        let rank = rank.min(rows).min(columns);
        let mut left = shape.clone();
        left[shape.len() - 1] = rank;
        let mut right = vec![1; shape.len()];
        right[shape.len() - 2..].copy_from_slice(&[rank, columns]);
        // The factor that reads the layer's input is random, the other zero.
        let (random, zero) = (Init::KaimingNormal(1.0), Init::Zeros);
        let (inits, disk) = match disk {
            DiskLayout::Linear | DiskLayout::Vector => ([zero, random], DiskLayout::Linear),
            DiskLayout::Conv | DiskLayout::QkvConv | DiskLayout::QkvVector => ([random, zero], DiskLayout::Conv),
        };
        let mut factor = |suffix: &str, shape: &[usize], init| {
            let offset = state.len;
            let var = self.place(state, shape);
            let name = format!("{name}.{suffix}");
            state.specs.push(ParamSpec { name, shape: shape.to_vec(), offset, init, disk });
            var
        };
        let left = factor("adapter_left", &left, inits[0]).reshape(&[rows, rank]);
        let right = factor("adapter_right", &right, inits[1]).reshape(&[rank, columns]);
        self.graph.scope(name, || weight + (left.matmul(right) * ADAPTER_SCALE).reshape(&shape))
    }

    /// Every variable with its offset in the store, in order of first use. A trainer
    /// differentiates with respect to these and puts each gradient at the same offset.
    pub fn all(&self) -> Vec<(usize, Var<'g>)> {
        self.state.borrow().variables.clone()
    }

    /// Of an adapter: the weights that it changes, as functions see them, with their offsets in its base.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn changed(&self) -> Vec<(usize, Var<'g>)> {
        self.state.borrow().changed.clone()
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
    use crate::graph::reference::evaluate;
    use crate::nets::testing::{assert_close, check_gradient, feed, values};
    use crate::nets::{MlpConfig, NetworkConfig, UnetConfig};

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

    /// A perceptron and a U-Net, and the denoiser of each by plain and by adapted weights.
    fn adapted(check: impl for<'g> Fn(&'g Graph, ParamLayout, &Params<'g>, Var<'g>, Var<'g>)) {
        let mlp = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 6, depth: 2, label_dim: 0, two_times: false });
        for network in [mlp, NetworkConfig::Unet(UnetConfig::tiny())] {
            let graph = Graph::new();
            let shape: Vec<usize> = std::iter::once(2).chain(network.data_shape()).collect();
            let (x, sigma) = (graph.input("x", 0, &shape), graph.full(0.7, &[1]));
            let adapter = Params::adapter(&graph, "p", "base", 3);
            let plain = network.denoiser(&Params::new(&graph, "base"), x, sigma, None);
            let other = network.denoiser(&adapter, x, sigma, None);
            assert_eq!(adapter.layout(), network.adapter_layout(3));
            check(&graph, network.generator_layout(), &adapter, plain, other);
        }
    }

    #[test]
    fn an_adapter_starts_as_what_it_is_on_and_leaves_it() {
        adapted(|graph, base, adapter, plain, other| {
            let layout = adapter.layout();
            assert!(layout.specs.iter().all(|spec| spec.shape.len() >= 2), "vectors are not adapted");
            let first: Vec<f64> = layout.initial(5).into_iter().map(f64::from).collect();
            assert!(first.iter().filter(|v| **v != 0.0).count() * 8 > layout.parameters(), "one factor is random");
            let (base, data) = (values(2, base.len), values(3, plain.len()));
            let at = |p: &[f64]| evaluate(graph, &feed(&[("x", &data), ("base", &base), ("p", p)]), &[plain, other]);
            let [plain, other] = at(&first).try_into().unwrap();
            assert_close(&other, &plain, 1e-14);
            let [_, moved] = at(&values(4, layout.len)).try_into().unwrap();
            assert!(moved.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 1e-3), "the adapter has no effect");
            let tensors = layout.to_tensors("", &layout.initial(5));
            assert_eq!(layout.from_tensors("", &tensors).unwrap(), layout.initial(5));
        });
    }

    #[test]
    fn gradients_of_adapters_match_finite_differences() {
        adapted(|graph, base, adapter, plain, other| {
            let loss = (other - plain.detach() * 0.5).square().mean_all();
            let (p, base, data) = (values(1, adapter.layout().len), values(2, base.len), values(3, plain.len()));
            let feed = feed(&[("p", &p), ("base", &base), ("x", &data)]);
            let wrt: Vec<_> = adapter.all().into_iter().map(|(offset, var)| ("p", offset, var)).collect();
            check_gradient(graph, &feed, loss, &wrt, 2);
        });
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
