// What changes from run to run. One uniform buffer per plan; the executor writes the same layout.
struct Run {
    seed: u32,
    step: u32,
    pad0: u32,
    pad1: u32,
    scalars: array<vec4<f32>, {{ scalars }}>,
}

@group(0) @binding(0) var<uniform> run: Run;
