//! Operators and weights of an ONNX graph, as they are added.
//!
//! Field numbers and types are those of `onnx.proto`. Invariant: operators come in the order in
//! which they can be computed, names are unique, and no shape names the size of the batch.

use std::collections::BTreeSet;

use super::proto::Message;

/// `TensorProto.DataType`
const FLOAT: i64 = 1;
/// See [`FLOAT`].
const INT64: i64 = 7;
/// The batch in shapes of input and output: any size.
const BATCH: &str = "N";

/// A value of the graph: its name, and its sizes without the batch's.
#[derive(Clone, Debug)]
pub struct Value {
    /// Unique.
    pub name: String,
    /// `[C, H, W]` of images, `[D]` of points.
    pub shape: Vec<usize>,
}

/// A setting of an operator.
pub enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

/// A graph that grows.
#[derive(Default)]
pub struct Builder {
    nodes: Vec<Node>,
    initializers: Vec<Message>,
    names: BTreeSet<String>,
}

struct Node {
    op: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<Message>,
}

impl Builder {
    /// A tensor of numbers under this name; the first of a name counts.
    pub fn tensor(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: elements of {shape:?}");
        self.initializer(name, FLOAT, shape, values.iter().flat_map(|x| x.to_le_bytes()))
    }

    /// One number.
    pub fn number(&mut self, value: f32) -> String {
        self.tensor(&format!("number {value}"), &[], &[value])
    }

    /// A shape to give to an operator: -1 stands for what is left.
    fn sizes(&mut self, sizes: &[i64]) -> String {
        let bytes = sizes.iter().flat_map(|x| x.to_le_bytes());
        self.initializer(&format!("sizes {sizes:?}"), INT64, &[sizes.len()], bytes)
    }

    fn initializer(&mut self, name: &str, kind: i64, shape: &[usize], data: impl Iterator<Item = u8>) -> String {
        if self.names.insert(name.to_owned()) {
            let tensor = Message::default()
                .repeated(shape, |message, size| message.int(1, *size as i64))
                .int(2, kind)
                .bytes(8, name)
                .bytes(9, data.collect::<Vec<_>>());
            self.initializers.push(tensor);
        }
        name.to_owned()
    }

    /// An operator with one result, `shape` without the batch.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute<'_>)], shape: &[usize]) -> Value {
        self.node_of_many(op, inputs, attributes, shape, 1).remove(0)
    }

    /// An operator with several results of one shape.
    pub fn node_of_many(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
        shape: &[usize],
        results: usize,
    ) -> Vec<Value> {
        let at = self.nodes.len();
        let outputs: Vec<String> = (0..results).map(|i| format!("{op} {at}.{i}")).collect();
        self.nodes.push(Node {
            op: op.to_owned(),
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: outputs.clone(),
            attributes: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        });
        outputs.into_iter().map(|name| Value { name, shape: shape.to_vec() }).collect()
    }

    /// A pointwise operator, whose result has the shape of its first operand.
    pub fn pointwise(&mut self, op: &str, x: &Value, others: &[&str]) -> Value {
        let inputs: Vec<&str> = std::iter::once(x.name.as_str()).chain(others.iter().copied()).collect();
        self.node(op, &inputs, &[], &x.shape)
    }

    /// The same elements of each sample in another shape.
    pub fn reshape(&mut self, x: &Value, shape: &[usize]) -> Value {
        // 0: the size of the operand's first axis, which is the batch.
        let sizes: Vec<i64> = std::iter::once(0).chain(shape.iter().map(|size| *size as i64)).collect();
        let sizes = self.sizes(&sizes);
        self.node("Reshape", &[&x.name, &sizes], &[], shape)
    }

    /// The elements of all samples as rows of `width` numbers: the batch is another one then.
    pub fn rows(&mut self, x: &Value, width: usize) -> Value {
        let sizes = self.sizes(&[-1, width as i64]);
        self.node("Reshape", &[&x.name, &sizes], &[], &[width])
    }

    /// Axis `i` of the result is axis `perm[i]`; the batch is axis 0 and stays.
    pub fn transpose(&mut self, x: &Value, perm: &[usize]) -> Value {
        let full: Vec<i64> = std::iter::once(0).chain(perm.iter().map(|axis| *axis as i64)).collect();
        let shape: Vec<usize> = perm.iter().map(|axis| x.shape[axis - 1]).collect();
        self.node("Transpose", &[&x.name], &[("perm", Attribute::Ints(&full))], &shape)
    }

    /// `GraphProto` from `inputs` to `output`, which is called `output_name` from now on, with a
    /// text for people.
    pub fn finish(mut self, name: &str, about: &str, inputs: &[&Value], output: &Value, output_name: &str) -> Message {
        for node in &mut self.nodes {
            for value in node.inputs.iter_mut().chain(&mut node.outputs).filter(|value| **value == output.name) {
                output_name.clone_into(value);
            }
        }
        let output = Value { name: output_name.to_owned(), shape: output.shape.clone() };
        Message::default()
            .repeated(self.nodes.iter().enumerate(), |message, (i, node)| message.message(1, &node.encode(i)))
            .bytes(2, name)
            .repeated(&self.initializers, |message, tensor| message.message(5, tensor))
            .bytes(10, about)
            .repeated(inputs, |message, input| message.message(11, &value_info(input)))
            .message(12, &value_info(&output))
    }
}

impl Node {
    /// `NodeProto`
    fn encode(&self, index: usize) -> Message {
        Message::default()
            .repeated(&self.inputs, |message, name| message.bytes(1, name))
            .repeated(&self.outputs, |message, name| message.bytes(2, name))
            .bytes(3, format!("{} {index}", self.op))
            .bytes(4, &self.op)
            .repeated(&self.attributes, |message, attribute| message.message(5, attribute))
    }
}

/// `AttributeProto`
fn attribute(name: &str, value: &Attribute<'_>) -> Message {
    let message = Message::default().bytes(1, name);
    match value {
        Attribute::Float(x) => message.float(2, *x).int(20, 1),
        Attribute::Int(i) => message.int(3, *i).int(20, 2),
        Attribute::Text(text) => message.bytes(4, text).int(20, 3),
        Attribute::Ints(all) => message.repeated(*all, |message, i| message.int(8, *i)).int(20, 7),
    }
}

/// `ValueInfoProto` of f32 with the batch in front.
fn value_info(value: &Value) -> Message {
    let batch = Message::default().bytes(2, BATCH);
    let shape = Message::default()
        .message(1, &batch)
        .repeated(&value.shape, |message, size| message.message(1, &Message::default().int(1, *size as i64)));
    let tensor = Message::default().int(1, FLOAT).message(2, &shape);
    Message::default().bytes(1, &value.name).message(2, &Message::default().message(1, &tensor))
}
