//! Every kernel, in every variant and around several generated bodies, is valid WGSL for naga's
//! default capabilities. No GPU is needed.

mod cases;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use onestep_shaders::{Generated, Variant, source};

/// Workgroup memory that WebGPU grants everywhere.
const WORKGROUP_BYTES: u32 = 16 << 10;

fn validate(what: &str, text: &str) {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|e| panic!("{what} does not parse: {}\n{text}", e.emit_to_string(text)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{what} is invalid: {}\n{text}", e.emit_to_string(text)));
    let entry = &module.entry_points[0];
    assert_eq!(entry.name, "main", "{what}");
    let invocations: u32 = entry.workgroup_size.iter().product();
    assert!(invocations <= 256, "{what} has {invocations} invocations");
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let bytes: u32 = module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
        .map(|(_, v)| layouter[v.ty].size)
        .sum();
    assert!(bytes <= WORKGROUP_BYTES, "{what} uses {bytes} bytes of workgroup memory");
}

#[test]
fn every_variant_of_every_kernel_is_valid() {
    for case in cases::all() {
        validate(&case.name(), &case.text());
    }
}

#[test]
fn the_shader_of_the_window_is_valid() {
    let module = naga::front::wgsl::parse_str(onestep_shaders::DRAW_GRID).expect("it parses");
    Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module).expect("it is valid");
}

#[test]
fn the_shaders_of_the_peak_are_valid() {
    for (name, text) in onestep_shaders::PEAK {
        validate(name, text);
    }
}

#[test]
fn a_wrong_request_is_an_error_that_says_so() {
    let none = source("conv3d", Variant::Items, &Generated::default()).unwrap_err();
    assert!(none.message.contains("conv3d"), "{none}");
    let family = source("gather", Variant::Rows { ox: 1, ry: 1 }, &Generated::default()).unwrap_err();
    assert!(family.message.contains("gather"), "{family}");
    let missing = source("record", Variant::Items, &Generated::default()).unwrap_err();
    assert!(missing.message.contains("record"), "{missing}");
}
