// stream: out[i] = numbers[i] + 1.
//
// How fast memory can be read and written at most: neighbouring invocations take neighbouring vectors, and each has four
// loads under way before it stores. An invocation owns four vectors, 64 apart; a workgroup 64 invocations.
@group(0) @binding(0) var<storage, read> numbers: array<vec4<f32>>; // [1024 * workgroups]
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>; // [1024 * workgroups]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = group.x * 256u + local;
    let a = numbers[i];
    let b = numbers[i + 64u];
    let c = numbers[i + 128u];
    let d = numbers[i + 192u];
    out[i] = a + 1.0;
    out[i + 64u] = b + 1.0;
    out[i + 128u] = c + 1.0;
    out[i + 192u] = d + 1.0;
}
