{#- The core that matmul, conv2d and conv2d_grad_weight share: C[g, m, n] = sum over k of A[g, m, k] B[g, k, n].

    The kernel defines, over padded sizes `BATCH`, `ROWS` (m) and `N`, with k = (segment, position in segment):
      Quada, Quadb                    what is known of four rows / columns before the loop
      quad_a(g, m), quad_b(g, n)      the same, decoded once
      segment_a(q, s), segment_b(q, s)   moved to a segment (the tap of a convolution)
      block_a(q, k), block_b(q, k)    4x4 values at k .. k + 3 of the segment
      store(split, g, m, n, acc)      columns n .. n + 3 of row m, guarded
    with SEGMENTS segments of LENGTH positions. -#}
{%- set rows4 = tm // 4 %}
{%- set cols4 = tn // 4 %}
{%- set xyzw = ["x", "y", "z", "w"] %}
{%- if shared %}
const TILE_M: u32 = {{ ty * tm }}u;
const TILE_N: u32 = {{ tx * tn }}u;
const TILE_K: u32 = {{ tk }}u;

// Four rows (columns) to a vector, TILE_M / 4 (TILE_N / 4) vectors to a position of k.
var<workgroup> tile_a: array<vec4<f32>, {{ tk * ty * tm // 4 }}>;
var<workgroup> tile_b: array<vec4<f32>, {{ tk * tx * tn // 4 }}>;

@compute @workgroup_size({{ tx * ty }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row_tiles = (ROWS + TILE_M - 1u) / TILE_M;
    let col_tiles = (N + TILE_N - 1u) / TILE_N;
    let number = group_number(group, groups);
    let split = number / (row_tiles * col_tiles * BATCH);
    let tile = number % (row_tiles * col_tiles * BATCH);
    let m0 = tile % row_tiles * TILE_M;
    let n0 = tile / row_tiles % col_tiles * TILE_N;
    let g = tile / (row_tiles * col_tiles);
    let x = local % {{ tx }}u;
    let y = local / {{ tx }}u;
    // Positions of k, each segment padded to a multiple of 4.
    let padded = (LENGTH + 3u) / 4u * 4u;
    let begin = split * CHUNK;
    let end = min(begin + CHUNK, SEGMENTS * padded);
    // Loads go in 4x4 blocks; block `item` of an operand is made by invocation `item mod {{ tx * ty }}`.
{%- for X, extent, free, along in [["a", ty * tm, "m", a_along_k], ["b", tx * tn, "n", b_along_k]] %}
{%- set blocks = extent // 4 * (tk // 4) %}
{%- for item in range((blocks + tx * ty - 1) // (tx * ty)) %}
    let item_{{ X }}{{ item }} = local + {{ item * tx * ty }}u;
{%- if along %}
    let k_{{ X }}{{ item }} = item_{{ X }}{{ item }} % {{ tk // 4 }}u;
    let free_{{ X }}{{ item }} = item_{{ X }}{{ item }} / {{ tk // 4 }}u;
{%- else %}
    let k_{{ X }}{{ item }} = item_{{ X }}{{ item }} / {{ extent // 4 }}u;
    let free_{{ X }}{{ item }} = item_{{ X }}{{ item }} % {{ extent // 4 }}u;
{%- endif %}
    let quad_{{ X }}{{ item }} = quad_{{ X }}(g, {{ free }}0 + 4u * free_{{ X }}{{ item }});
{%- endfor %}
{%- endfor %}
{%- for i in range(tm) %}{% for j in range(cols4) %}
    var acc{{ i }}_{{ j }} = vec4<f32>(0.0);
{%- endfor %}{% endfor %}
    for (var k0 = begin; k0 < end; k0 += TILE_K) {
{%- for X, extent, along in [["a", ty * tm, a_along_k], ["b", tx * tn, b_along_k]] %}
{%- set blocks = extent // 4 * (tk // 4) %}
{%- for item in range((blocks + tx * ty - 1) // (tx * ty)) %}
{%- set id = X ~ item %}
{%- if (item + 1) * tx * ty > blocks %}
        if item_{{ id }} < {{ blocks }}u {
{%- else %}
        {
{%- endif %}
            let k = k0 + 4u * k_{{ id }};
            var block = mat4x4<f32>();
            if k < end {
                block = block_{{ X }}(segment_{{ X }}(quad_{{ id }}, k / padded), k % padded);
            }
{%- if along %}
            block = transpose(block);
{%- endif %}
{%- for u in range(4) %}
            tile_{{ X }}[(4u * k_{{ id }} + {{ u }}u) * {{ extent // 4 }}u + free_{{ id }}] = block[{{ u }}];
{%- endfor %}
        }
{%- endfor %}
{%- endfor %}
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k += 4u) {
{%- for u in range(4) %}
{%- for i in range(rows4) %}
            let a{{ u }}_{{ i }} = tile_a[(k + {{ u }}u) * {{ ty * tm // 4 }}u + {{ i * ty }}u + y];
{%- endfor %}
{%- for j in range(cols4) %}
            let b{{ u }}_{{ j }} = tile_b[(k + {{ u }}u) * {{ tx * tn // 4 }}u + {{ j * tx }}u + x];
{%- endfor %}
{%- for i in range(tm) %}{% for j in range(cols4) %}
            acc{{ i }}_{{ j }} += a{{ u }}_{{ i // 4 }}.{{ xyzw[i % 4] }} * b{{ u }}_{{ j }};
{%- endfor %}{% endfor %}
{%- endfor %}
        }
        workgroupBarrier();
    }
    // Past the grid's end nothing is stored; the loop above has run with k0 >= end or on clamped rows.
    if split < SPLITS {
{%- for i in range(tm) %}{% for j in range(cols4) %}
        store(split, g, m0 + 4u * ({{ i // 4 * ty }}u + y) + {{ i % 4 }}u, n0 + 4u * ({{ j * tx }}u + x), acc{{ i }}_{{ j }});
{%- endfor %}{% endfor %}
    }
}
{%- else %}
@compute @workgroup_size({{ tx }})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row_tiles = (ROWS + {{ tm - 1 }}u) / {{ tm }}u;
    let col_tiles = (N + {{ tn - 1 }}u) / {{ tn }}u;
    let tile = group_number(group, groups) * {{ tx }}u + local;
    if tile >= row_tiles * col_tiles * BATCH {
        return;
    }
    let m = tile % row_tiles * {{ tm }}u;
    let n = tile / row_tiles % col_tiles * {{ tn }}u;
    let g = tile / (row_tiles * col_tiles);
{%- for i in range(rows4) %}
    let quad_a{{ i }} = quad_a(g, m + {{ 4 * i }}u);
{%- endfor %}
{%- for j in range(cols4) %}
    let quad_b{{ j }} = quad_b(g, n + {{ 4 * j }}u);
{%- endfor %}
{%- for i in range(tm) %}{% for j in range(cols4) %}
    var acc{{ i }}_{{ j }} = vec4<f32>(0.0);
{%- endfor %}{% endfor %}
    for (var s = 0u; s < SEGMENTS; s += 1u) {
{%- for i in range(rows4) %}
        let segment_a{{ i }} = segment_a(quad_a{{ i }}, s);
{%- endfor %}
{%- for j in range(cols4) %}
        let segment_b{{ j }} = segment_b(quad_b{{ j }}, s);
{%- endfor %}
        for (var k = 0u; k < LENGTH; k += 4u) {
{%- for i in range(rows4) %}
            let a{{ i }} = block_a(segment_a{{ i }}, k);
{%- endfor %}
{%- for j in range(cols4) %}
            let b{{ j }} = {{ "transpose" if b_along_k }}(block_b(segment_b{{ j }}, k));
{%- endfor %}
{%- for u in range(4) %}{% for i in range(tm) %}{% for j in range(cols4) %}
            acc{{ i }}_{{ j }} += a{{ i // 4 }}{{ "[" ~ i % 4 ~ "]." ~ xyzw[u] if a_along_k else "[" ~ u ~ "]." ~ xyzw[i % 4] }} * b{{ j }}[{{ u }}];
{%- endfor %}{% endfor %}{% endfor %}
        }
    }
{%- for i in range(tm) %}{% for j in range(cols4) %}
    store(0u, g, m + {{ i }}u, n + {{ 4 * j }}u, acc{{ i }}_{{ j }});
{%- endfor %}{% endfor %}
}
{%- endif %}
