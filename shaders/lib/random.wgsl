// Counter-based random numbers: the value of an element depends on (seed, stream, step, element) and
// on nothing else, and the bits are the same on every device. Needs lib/run.wgsl and lib/math.wgsl.

// Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let key2 = key.x ^ key.y ^ 0x1bd11bdau;
    var x = counter.x + key.x;
    var y = counter.y + key.y;
{%- set keys = ["key.x", "key.y", "key2"] %}
{%- for block in range(5) %}
{%- for turn in [[13, 15, 26, 6], [17, 29, 16, 24]][block % 2] %}
    x += y;
    y = ((y << {{ turn }}u) | (y >> {{ 32 - turn }}u)) ^ x;
{%- endfor %}
    x += {{ keys[(block + 1) % 3] }};
    y += {{ keys[(block + 2) % 3] }} + {{ block + 1 }}u;
{%- endfor %}
    return vec2<u32>(x, y);
}

// The upper 23 bits as a number in (0, 1).
fn unit(bits: u32) -> f32 {
    return (f32(bits >> 9u) + 0.5) * 1.1920928955078125e-7;
}

fn random_uniform(stream: u32, step: u32, element: u32) -> f32 {
    return unit(threefry(vec2<u32>(run.seed, stream), vec2<u32>(step, element)).x);
}

// Box-Muller; one number per counter, so that no element depends on its neighbour.
fn random_normal(stream: u32, step: u32, element: u32) -> f32 {
    let bits = threefry(vec2<u32>(run.seed, stream), vec2<u32>(step, element));
    return sqrt(-2.0 * log_1(unit(bits.x))) * cos_turns(unit(bits.y));
}
