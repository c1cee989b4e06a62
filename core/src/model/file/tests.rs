//! Round trips, and every way in which a file can be bad.

use super::*;
use crate::nets::{MlpConfig, NetworkConfig, Tensor};

fn config() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { dim: 2, width: 4, depth: 1, label_dim: 0, two_times: false })
}

fn model() -> ModelFile {
    let layout = config().generator_layout();
    let mut meta = ModelMeta::new(ModelKind::Generator, config());
    meta.sigma_init = 0.1;
    meta.data_range = [-4.5, 4.5];
    meta.step = u64::MAX;
    meta.seed = u32::MAX;
    meta.dataset = "8 Gaussians, \"quoted\"\nand more".into();
    meta.license = "CC0-1.0".into();
    ModelFile::new(meta, &layout, &layout.initial(7))
}

fn refusal(bytes: &[u8]) -> String {
    ModelFile::from_bytes("a.safetensors", bytes).unwrap_err().to_string()
}

/// The bytes of a file with these metadata and no tensor.
fn header_with(change: impl Fn(&mut Vec<(&'static str, String)>)) -> Vec<u8> {
    let mut entries = model().meta.entries();
    change(&mut entries);
    let mut bytes = Vec::new();
    tensors::write(&mut bytes, entries, &Tensors::new(), Storage::F32).unwrap();
    bytes
}

fn with(key: &'static str, text: &str) -> Vec<u8> {
    header_with(|entries| {
        entries.retain(|(k, _)| *k != key);
        entries.push((key, text.to_owned()));
    })
}

#[test]
fn classes_stand_in_the_metadata_and_must_be_the_networks() {
    assert!(model().meta.entries().iter().all(|(key, _)| *key != "classes"), "files without are as they were");
    let network = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 4, depth: 1, label_dim: 3, two_times: false });
    let layout = network.generator_layout();
    let model = ModelFile::new(ModelMeta::new(ModelKind::Generator, network), &layout, &layout.initial(7));
    assert!(model.meta.entries().contains(&("classes", "3".to_owned())));
    let back = ModelFile::from_bytes("a", &model.to_bytes(Storage::F32).unwrap()).unwrap();
    assert_eq!((back.meta.network.classes(), &back.meta, &back.tensors), (3, &model.meta, &model.tensors));
    let text = refusal(&with("classes", "4"));
    assert!(text.contains("classes") && text.contains("0, as in the network"), "{text}");
}

#[test]
fn file_comes_back_exactly_and_equal_models_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let model = model();
    model.save(&path, Storage::F32).unwrap();
    let back = ModelFile::open(&path).unwrap();
    assert_eq!((&back.meta, &back.tensors), (&model.meta, &model.tensors));
    assert_eq!(std::fs::read(&path).unwrap(), model.to_bytes(Storage::F32).unwrap());
    assert_eq!(back.own_parameters().unwrap(), config().generator_layout().initial(7));
}

#[test]
fn every_kind_comes_back() {
    for kind in [ModelKind::Generator, ModelKind::Denoiser, ModelKind::Ratio, ModelKind::State] {
        let layout = config().ratio_layout();
        let model = ModelFile::new(ModelMeta::new(kind, config()), &layout, &layout.initial(1));
        let back = ModelFile::from_bytes("a", &model.to_bytes(Storage::F32).unwrap()).unwrap();
        assert_eq!(back.meta, model.meta);
        assert_eq!(back.own_parameters().is_ok(), kind == ModelKind::Ratio);
    }
}

/// The state of a run that was given as a model cost memory and time before it was refused.
#[test]
fn the_tensors_of_a_state_are_read_by_who_wants_a_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let layout = config().ratio_layout();
    let state = ModelFile::new(ModelMeta::new(ModelKind::State, config()), &layout, &layout.initial(1));
    state.save(&path, Storage::F32).unwrap();
    let seen = ModelFile::open(&path).unwrap();
    assert!(seen.meta == state.meta && seen.tensors.is_empty());
    assert_eq!(ModelFile::open_state(&path, |_| Ok(())).unwrap().tensors, state.tensors);
}

#[test]
fn half_precision_is_half_the_size_and_close() {
    let model = model();
    let bytes = model.to_bytes(Storage::F16).unwrap();
    let back = ModelFile::from_bytes("a.safetensors", &bytes).unwrap();
    for (name, tensor) in &model.tensors {
        for (x, y) in tensor.values.iter().zip(&back.tensors[name].values) {
            // Half of f16's spacing: relative 2^-11, or absolute 2^-25 for subnormals.
            assert!((x - y).abs() <= x.abs() * 4.9e-4 + 3e-8, "{name}: {x} became {y}");
        }
    }
    let numbers: usize = model.tensors.values().map(|t| t.values.len()).sum();
    let parsed = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(parsed.tensors().iter().map(|(_, t)| t.data().len()).sum::<usize>(), 2 * numbers);
}

#[test]
fn files_that_are_something_else_are_named() {
    assert!(refusal(b"").starts_with("a.safetensors: is not a safetensors file (it is empty); choose"));
    assert!(refusal(b"PK\x03\x04 and more than eight bytes").contains("PyTorch checkpoint"));
    assert!(refusal(b"\x89PNG\r\n\x1a\n0000").contains("PNG image"));
    assert!(refusal(b"just some text, quite long").contains("is not a safetensors file;"));
    assert!(refusal(&[255; 64]).contains("is not a safetensors file;"));
    let text = ModelFile::open("/nowhere/a.safetensors").unwrap_err().to_string();
    assert!(text.starts_with("/nowhere/a.safetensors: cannot be read") && text.contains("check the path"), "{text}");
}

#[test]
fn every_truncation_is_refused() {
    let bytes = model().to_bytes(Storage::F32).unwrap();
    for len in 0..bytes.len() {
        let text = refusal(&bytes[..len]);
        let wanted = if len > 8 { "is cut off" } else { "is not a safetensors file" };
        assert!(text.contains(wanted), "{len} of {} bytes: {text}", bytes.len());
    }
    let text = refusal(&bytes[..bytes.len() - 1]);
    assert!(text.contains(&format!("{} bytes are needed, it has {}", bytes.len(), bytes.len() - 1)), "{text}");
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(refusal(&longer).contains("has a damaged header"));
}

#[test]
fn damaged_headers_never_panic() {
    let bytes = model().to_bytes(Storage::F32).unwrap();
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    for i in 0..header {
        for change in [1, 0x20, 0xff] {
            let mut bytes = bytes.clone();
            bytes[i] ^= change;
            let _ = ModelFile::from_bytes("a", &bytes).map(|file| file.own_parameters());
        }
    }
    let mut bytes = bytes;
    bytes[12] = b'}';
    assert!(refusal(&bytes).contains("has a damaged header"), "{}", refusal(&bytes));
}

/// Weights of which a bit had flipped were used in silence.
#[test]
fn every_flipped_bit_is_found_and_its_tensor_named() {
    for storage in [Storage::F32, Storage::F16] {
        let bytes = model().to_bytes(storage).unwrap();
        let data = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        for at in data..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            assert!(refusal(&bytes).contains("a.safetensors: tensor `"), "{at}: {}", refusal(&bytes));
            assert!(refusal(&bytes).contains("use another copy of the file"), "{at}");
        }
    }
}

#[test]
fn foreign_and_newer_files_are_refused_by_name() {
    let foreign = br#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let file = |header: &[u8]| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([0; 4]);
        bytes
    };
    let text = refusal(&file(foreign));
    assert!(
        text.contains("not written by onestep (its format is `pt`)") && text.contains("that `onestep train` left"),
        "{text}"
    );
    assert!(refusal(&file(br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#)).contains("no metadata"));
    let text = refusal(&with("format", "onestep/2"));
    assert!(text.contains("the format onestep/2") && text.contains("install a newer onestep"), "{text}");
    assert!(refusal(&with("format", "onestep/x")).contains("not written by onestep"));
}

#[test]
fn wrong_metadata_are_named() {
    let text = refusal(&with("kind", "student"));
    assert!(text.contains("`kind` = `student`, where generator, denoiser, ratio or state is needed"), "{text}");
    assert!(refusal(&with("step", "-1")).contains("`step` = `-1`"));
    assert!(refusal(&with("sigma_init", "NaN")).contains("`sigma_init` = `NaN`, where a positive number"));
    assert!(refusal(&with("sigma_data", "1")).contains("`sigma_data` = `1`, where 0.5"));
    assert!(refusal(&with("data_shape", "[28,28,1]")).contains("where [2], as in the network"));
    assert!(refusal(&with("data_range", "[1,-1]")).contains("ascending"));
    assert!(refusal(&with("network", r#"{"type":"mlp","width":4,"depth":1,"x":1}"#)).contains("unknown field `x`"));
    let text = refusal(&with("network", r#"{"type":"mlp","width":4000000000,"depth":1}"#));
    assert!(text.contains("mlp: width should be in 1 to 4096, got 4000000000"), "{text}");
    let missing = header_with(|entries| entries.retain(|(key, _)| *key != "seed"));
    assert!(refusal(&missing).contains("`seed` = nothing"));
}

#[test]
fn other_architecture_names_the_first_tensor_that_differs() {
    let wider = NetworkConfig::Mlp(MlpConfig { dim: 2, width: 8, depth: 1, label_dim: 0, two_times: false });
    let text = model().parameters("", &wider.generator_layout()).unwrap_err().to_string();
    assert!(text.contains("tensor `map_layer0.weight` should have shape [8, 32], got [4, 32]"), "{text}");
    let text = model().parameters("", &config().ratio_layout()).unwrap_err().to_string();
    assert!(text.contains("tensor `input.weight` should have shape [4, 22], got [4, 34]"), "{text}");
}

#[test]
fn weights_that_are_not_finite_are_refused_in_both_directions() {
    let mut bad = model();
    bad.tensors.get_mut("input.bias").unwrap().values[3] = f32::NAN;
    let text = bad.to_bytes(Storage::F32).unwrap_err().to_string();
    assert!(text.contains("tensor `input.bias` has NaN at element 3"), "{text}");
    // A file without checksums, as earlier versions wrote it.
    let mut bytes = Vec::new();
    tensors::write(&mut bytes, model().meta.entries(), &model().tensors, Storage::F32).unwrap();
    assert_eq!(ModelFile::from_bytes("a", &bytes).unwrap().tensors, model().tensors);
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(refusal(&bytes).contains("has inf at element"), "{}", refusal(&bytes));
    let mut large = model();
    large.tensors.get_mut("input.bias").unwrap().values[0] = 1e6;
    assert!(large.to_bytes(Storage::F32).is_ok());
    let text = large.to_bytes(Storage::F16).unwrap_err().to_string();
    assert!(text.contains("1000000 at element 0") && text.contains("write 32 bits"), "{text}");
}

#[test]
fn foreign_number_types_are_refused_by_name() {
    let one = Tensor { shape: vec![2], values: vec![0.0; 2] };
    let mut bytes = Vec::new();
    tensors::write(&mut bytes, model().meta.entries(), &Tensors::from_iter([("w".to_owned(), one)]), Storage::F32)
        .unwrap();
    let (from, to) = (br#""F32","shape":[2]"#, br#""F64","shape":[1]"#);
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    assert!(refusal(&bytes).contains("tensor `w` has the type F64; convert"));
}

#[test]
fn failed_write_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = model().save(folder.path().join("none/a.safetensors"), Storage::F32).unwrap_err().to_string();
    assert!(text.contains("a.safetensors") && text.contains("create the folder"), "{text}");
}
