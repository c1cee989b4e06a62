// multiply_add: out[i] = the sum over 12 chains of x_ROUNDS, where x_0 = i and x_{r+1} = x_r * numbers[0] + numbers[1].
//
// What a device can compute at most: nothing but multiply-adds, and all of it in registers. Twelve chains per invocation
// keep a processor's multipliers busy, whose results take four cycles; a graphics card has other invocations to turn to.
// With the numbers 1/2 and 1, each chain comes to rest at exactly 2. An invocation owns an output, a workgroup 64.
override ROUNDS: u32;

@group(0) @binding(0) var<storage, read> numbers: array<f32>; // [2]
@group(0) @binding(1) var<storage, read_write> out: array<f32>; // [64 * workgroups]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let factor = vec4(numbers[0]);
    let addend = vec4(numbers[1]);
    var x = vec4(f32(id.x));
    var y = x + 1.0;
    var z = x + 2.0;
    for (var r = 0u; r < ROUNDS; r += 4u) {
        x = fma(x, factor, addend);
        y = fma(y, factor, addend);
        z = fma(z, factor, addend);
        x = fma(x, factor, addend);
        y = fma(y, factor, addend);
        z = fma(z, factor, addend);
        x = fma(x, factor, addend);
        y = fma(y, factor, addend);
        z = fma(z, factor, addend);
        x = fma(x, factor, addend);
        y = fma(y, factor, addend);
        z = fma(z, factor, addend);
    }
    let sum = x + y + z;
    out[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
