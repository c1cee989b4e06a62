//! Structure of exported files, read by a reader of protobuf that shares nothing with the writer.
//! That they compute the right numbers is for a foreign runtime to say: `tests/web/onnx.test.mjs`.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::ModelMeta;
use crate::nets::{MlpConfig, UnetConfig};

/// Fields of a message, in order: number and content.
struct Fields<'a>(Vec<(u64, Content<'a>)>);

#[derive(Clone, Copy)]
enum Content<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn read(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let content = match key & 7 {
                0 => Content::Int(varint(&mut bytes)),
                2 => {
                    let len = varint(&mut bytes) as usize;
                    Content::Bytes(bytes.split_off(..len).unwrap())
                }
                5 => Content::Bytes(bytes.split_off(..4).unwrap()),
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, content));
        }
        Self(fields)
    }

    fn ints(&self, field: u64) -> Vec<i64> {
        let int = |content| if let Content::Int(x) = content { Some(x as i64) } else { None };
        self.0.iter().filter(|(number, _)| *number == field).map(|(_, content)| int(*content).unwrap()).collect()
    }

    fn all(&self, field: u64) -> Vec<&'a [u8]> {
        let bytes = |content| if let Content::Bytes(x) = content { Some(x) } else { None };
        self.0.iter().filter(|(number, _)| *number == field).map(|(_, content)| bytes(*content).unwrap()).collect()
    }

    fn messages(&self, field: u64) -> Vec<Fields<'a>> {
        self.all(field).into_iter().map(Fields::read).collect()
    }

    fn texts(&self, field: u64) -> Vec<&'a str> {
        self.all(field).into_iter().map(|text| str::from_utf8(text).unwrap()).collect()
    }

    fn text(&self, field: u64) -> &'a str {
        self.texts(field)[0]
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn model(network: NetworkConfig) -> ModelFile {
    let layout = network.generator_layout();
    let mut meta = ModelMeta::new(ModelKind::Generator, network);
    "rings".clone_into(&mut meta.dataset);
    ModelFile::new(meta, &layout, &layout.initial(1))
}

/// How often each operator occurs; checks names and order on the way.
fn operators(graph: &Fields<'_>) -> BTreeMap<String, usize> {
    let mut known: BTreeSet<&str> = graph.messages(5).iter().map(|tensor| tensor.text(8)).collect();
    assert_eq!(known.len(), graph.messages(5).len(), "weights have names of their own");
    known.extend(graph.messages(11).iter().map(|input| input.text(1)));
    known.insert("");
    let mut counts = BTreeMap::new();
    for node in graph.messages(1) {
        let (op, inputs) = (node.text(4), node.texts(1));
        assert!(inputs.iter().all(|name| known.contains(name)), "{op} reads {inputs:?} too early");
        assert!(node.texts(2).iter().all(|name| known.insert(name)), "{op} writes a name again");
        *counts.entry(op.to_owned()).or_default() += 1;
    }
    assert!(known.contains("sample"));
    counts
}

#[test]
fn a_unet_becomes_whole_operators_with_any_batch() {
    let network = NetworkConfig::Unet(UnetConfig { channels: 3, ..UnetConfig::tiny() });
    let bytes = export(&model(network)).unwrap();
    let file = Fields::read(&bytes);
    assert_eq!((file.ints(1), file.messages(8)[0].ints(2)), (vec![8], vec![17]));
    let entries = file.messages(14).iter().map(|entry| (entry.text(1), entry.text(2))).collect::<BTreeMap<_, _>>();
    assert_eq!((entries["dataset"], entries["data_range"], entries["step"]), ("rings", "[-1.0,1.0]", "0"));
    let graph = Fields::read(file.all(7)[0]);

    // The tiny network has 10 blocks: 3 with attention (a norm and 2 convolutions more), 7 with a convolution on the
    // skip path; and two convolutions and a norm at its ends.
    let counts = operators(&graph);
    let wanted = [("AveragePool", 2), ("Conv", 35), ("DepthToSpace", 1), ("InstanceNormalization", 24), ("Resize", 2)];
    for (op, count) in wanted {
        assert_eq!(counts[op], count, "{op} in {counts:?}");
    }
    for op in ["Gemm", "Sin", "Gather", "Expand"] {
        assert!(!counts.contains_key(op), "{op} belongs to what should be constant: {counts:?}");
    }

    let shape = |field: u64| {
        let value = &graph.messages(field)[0];
        let dims = value.messages(2)[0].messages(1)[0].messages(2)[0].messages(1);
        let batch = dims[0].text(2);
        (value.text(1), batch, dims[1..].iter().map(|dim| dim.ints(1)[0]).collect::<Vec<_>>())
    };
    assert_eq!(shape(11), ("latent", "N", vec![3, 8, 8]));
    assert_eq!(shape(12), ("sample", "N", vec![3, 8, 8]));
    for tensor in graph.messages(5) {
        let (dims, data) = (tensor.ints(1), tensor.all(9)[0]);
        let size = if tensor.ints(2) == [1] { 4 } else { 8 };
        assert_eq!(dims.iter().product::<i64>() as usize * size, data.len(), "{}", tensor.text(8));
        if size == 8 {
            let first = i64::from_le_bytes(*data.first_chunk().unwrap());
            assert!(first <= 0, "the batch is fixed in {}", tensor.text(8));
        }
    }
}

#[test]
fn weights_are_those_of_the_file() {
    let model = model(NetworkConfig::Mlp(MlpConfig { dim: 2, width: 8, depth: 2, label_dim: 0, two_times: false }));
    let bytes = export(&model).unwrap();
    let graph = Fields::read(Fields::read(&bytes).all(7)[0]);
    let tensors = graph.messages(5);
    let found = |name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor.text(8) == name).unwrap();
        (tensor.ints(1), tensor.all(9)[0])
    };
    let wanted = &model.tensors[&"blocks.1.linear.weight".to_owned()];
    let data: Vec<u8> = wanted.values.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(found("blocks.1.linear.weight"), (vec![8, 8], &data[..]));
    assert_eq!(operators(&graph)["Gemm"], 4);
}

#[test]
fn classes_are_an_input_and_a_table_per_block() {
    let classes = UnetConfig { label_dim: 3, ..UnetConfig::tiny() };
    for network in [
        NetworkConfig::Mlp(MlpConfig { dim: 2, width: 8, depth: 2, label_dim: 3, two_times: false }),
        NetworkConfig::Unet(UnetConfig { adaptive_scale: true, ..classes.clone() }),
        NetworkConfig::Unet(classes),
    ] {
        let bytes = export(&model(network.clone())).unwrap();
        let file = Fields::read(&bytes);
        let entries = file.messages(14).iter().map(|entry| (entry.text(1), entry.text(2))).collect::<BTreeMap<_, _>>();
        assert_eq!(entries["classes"], "3");
        let graph = Fields::read(file.all(7)[0]);
        let inputs: Vec<&str> = graph.messages(11).iter().map(|input| input.text(1)).collect();
        assert_eq!(inputs, ["latent", "label"]);
        operators(&graph);
        let label = &graph.messages(11)[1];
        let dims = label.messages(2)[0].messages(1)[0].messages(2)[0].messages(1);
        assert_eq!((dims[0].text(2), dims[1].ints(1)), ("N", vec![3]));
        let tables = graph.messages(5).iter().filter(|tensor| tensor.text(8).ends_with(".classes")).count();
        let products = graph.messages(1).iter().filter(|node| node.texts(1)[0] == "label").count();
        let blocks = match &network {
            NetworkConfig::Mlp(config) => config.depth,
            NetworkConfig::Unet(config) => config.encoder().len() + config.decoder().len(),
            #[cfg(feature = "gallery")]
            NetworkConfig::Students(_) => unreachable!("they are refused"),
        };
        assert_eq!((tables, products), (blocks, blocks));
    }
}

#[test]
fn only_generators_are_exported() {
    let mut model = model(NetworkConfig::Mlp(MlpConfig { dim: 2, width: 8, depth: 2, label_dim: 0, two_times: false }));
    model.meta.kind = ModelKind::Denoiser;
    let error = export(&model).unwrap_err().to_string();
    assert!(error.contains("only generators are written as ONNX"), "{error}");
}
