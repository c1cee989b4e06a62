//! Every kernel, in every variant and around several generated bodies: what naga and a browser check.

use onestep_shaders::{Family, Generated, KERNELS, TILES, Variant, source};

/// A kernel to expand.
pub struct Case {
    pub kernel: &'static str,
    pub variant: Variant,
    pub generated: Generated,
    /// Number of the body, among those of this kernel and variant.
    pub body: usize,
}

impl Case {
    /// What it is.
    pub fn name(&self) -> String {
        format!("{} {:?} with body {}", self.kernel, self.variant, self.body)
    }

    /// Its complete WGSL.
    pub fn text(&self) -> String {
        source(self.kernel, self.variant, &self.generated).unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for entry in KERNELS {
        for variant in variants(entry.family) {
            for (body, mut generated) in bodies(entry.name).into_iter().enumerate() {
                // The convolutions fix what the matrix product leaves open.
                match entry.name {
                    "conv2d" => generated.values.extend([("a_along_k", 1)]),
                    "conv2d_grad_weight" => generated.values.extend([("a_along_k", 0), ("b_along_k", 0)]),
                    _ => {}
                }
                all.push(Case { kernel: entry.name, variant, generated, body });
            }
        }
    }
    all
}

fn variants(family: Family) -> Vec<Variant> {
    match family {
        Family::Items => vec![Variant::Items],
        Family::Rows => [(64, 1), (1, 256), (16, 16), (8, 2), (1, 1)].map(|(ox, ry)| Variant::Rows { ox, ry }).to_vec(),
        Family::Contraction => TILES.iter().map(|t| Variant::Tile(*t)).collect(),
    }
}

/// Bodies for the kernels that have one: scalar and vector, one result and two, plain and not.
fn bodies(kernel: &str) -> Vec<Generated> {
    let input = "@group(0) @binding(1) var<storage, read> in0: array<F>;\n";
    let output = |j: u32| format!("@group(0) @binding({}) var<storage, read_write> out{j}: array<F>;\n", j + 2);
    match kernel {
        "pointwise" => [("f32", 0, "1"), ("vec4<f32>", 1, "4")]
            .into_iter()
            .flat_map(|(f, vector, w)| {
                let one = Generated {
                    bindings: (input.to_owned() + &output(0)).replace('F', f),
                    functions: format!("fn body(i: u32) -> {f} {{ return softplus_{w}(sin_{w}(log_{w}(in0[i])) + cos_{w}(sigmoid_{w}(in0[i]))); }}"),
                    math: true,
                    values: vec![("vector", vector), ("results", 1)],
                    ..Generated::default()
                };
                let two = Generated {
                    bindings: (input.to_owned() + &output(0) + &output(1)).replace('F', f),
                    functions: format!(
                        "struct Values {{ v0: {f}, v1: {f}, }}\nfn body(i: u32) -> Values {{ return Values(in0[i] * run.scalars[1].y, {f}(random_normal(7u, run.step, i) + random_uniform(8u, 0u, i))); }}"
                    ),
                    run: true,
                    scalars: 2,
                    math: true,
                    random: true,
                    values: vec![("vector", vector), ("results", 2)],
                };
                [one, two]
            })
            .collect(),
        "reduce" | "moments" => {
            let one = Generated {
                bindings: (input.to_owned() + &output(0)).replace('F', "f32"),
                functions: "fn body(o: u32, r: u32) -> f32 { return in0[r * 7u + o]; }".to_owned(),
                values: vec![("results", 1)],
                ..Generated::default()
            };
            let two = Generated {
                bindings: (input.to_owned() + &output(0) + &output(1)).replace('F', "f32"),
                functions: "struct Values { v0: f32, v1: f32, }\nfn body(o: u32, r: u32) -> Values { return Values(in0[r], in0[o]); }".to_owned(),
                values: vec![("results", 2)],
                ..Generated::default()
            };
            if kernel == "reduce" { vec![one, two] } else { vec![one] }
        }
        "reduce_map" => vec![Generated {
            bindings: (input.to_owned() + &output(0)).replace('F', "f32"),
            functions: "struct Values { v0: f32, v1: f32, }\n\
                fn body(o: u32, r: u32) -> Values { return Values(in0[r], in0[o]); }\n\
                fn map(o: u32, r: u32, sum0: f32, sum1: f32) -> f32 { return in0[r] - sum0 * sum1; }\n\
                fn point(o: u32, r: u32) -> u32 { return r * 7u + o; }"
                .to_owned(),
            values: vec![("results", 2), ("outputs", 1)],
            ..Generated::default()
        }],
        "matmul" | "conv2d" | "conv2d_grad_weight" => contractions(),
        "split_sum" => [("f32", 0), ("vec4<f32>", 1)]
            .map(|(f, vector)| Generated {
                bindings: (input.replace("in0", "partial") + &output(0)).replace('F', f),
                functions: format!("fn epilogue(row: u32, col: u32, acc: {f}) -> {f} {{ return acc + f32(row + col); }}"),
                values: vec![("vector_out", vector)],
                ..Generated::default()
            })
            .to_vec(),
        "softmax" => vec![Generated { math: true, ..Generated::default() }],
        "adam" => [0, 1]
            .map(|vector| Generated { run: true, scalars: 3, values: vec![("vector", vector)], ..Generated::default() })
            .to_vec(),
        "record" => [1, 7]
            .map(|inputs| Generated { run: true, scalars: 1, values: vec![("inputs", inputs)], ..Generated::default() })
            .to_vec(),
        _ => vec![Generated::default()],
    }
}

/// All combinations of the flags of a contraction.
fn contractions() -> Vec<Generated> {
    let mut all = Vec::new();
    for flags in 0..128 {
        let flag = |i: u32| flags >> i & 1;
        let operand = |name: &str, i: u32, vector: u32| {
            let (w, f) = if vector == 1 { ("4", "vec4<f32>") } else { ("", "f32") };
            format!("fn {name}{w}(row: u32, col: u32) -> {f} {{ return {f}(in{i}[row * 5u + col]); }}\n")
        };
        let out = if flag(2) == 1 { "vec4<f32>" } else { "f32" };
        all.push(Generated {
            bindings: format!(
                "@group(0) @binding(1) var<storage, read> in0: array<f32>;\n\
                 @group(0) @binding(2) var<storage, read> in1: array<f32>;\n\
                 @group(0) @binding(3) var<storage, read_write> out0: array<{out}>;\n"
            ),
            functions: operand("a", 1, flag(0))
                + &operand("b", 0, flag(1))
                + &format!("fn epilogue(row: u32, col: u32, acc: {out}) -> {out} {{ return acc; }}\n"),
            values: vec![
                ("vector_a", flag(0)),
                ("vector_b", flag(1)),
                ("vector_out", flag(2)),
                ("a_along_k", flag(3)),
                ("b_along_k", flag(4)),
                ("k_tail", flag(5)),
                ("size", if flag(6) == 1 { 3 } else { 1 }),
            ],
            ..Generated::default()
        });
    }
    all
}
