{#- How contractions read an operand: as 4x4 blocks of a matrix that a generated function
    `f(row, col)` evaluates, `cols` wide.

    `load` defines `f4(row, col)`, four neighbours of a row starting at a multiple of 4; zeros past its end. -#}
{%- macro load(f, vector, cols) %}
{%- if not vector %}
fn {{ f }}4(row: u32, col: u32) -> vec4<f32> {
    var value = vec4<f32>({{ f }}(row, col), 0.0, 0.0, 0.0);
{%- for c, u in [["y", 1], ["z", 2], ["w", 3]] %}
    if col + {{ u }}u < {{ cols }} {
        value.{{ c }} = {{ f }}(row, col + {{ u }}u);
    }
{%- endfor %}
    return value;
}
{%- endif %}
{%- endmacro %}

{#- `plain` defines for operand X a `Quad`, the four indices j .. j + 3 of its free dimension (clamped to
    `extent`; what lies beyond is never stored), and `block`, its values at k .. k + 3 of the contracted one:
    column i of the block is index j + i over k if `along_k`, else position k + i over j. `length` is the
    contracted size; `tail` says that it isn't a multiple of 4. -#}
{%- macro plain(X, along_k, extent, length, tail) %}
{%- if along_k %}
struct Quad{{ X }} {
    row: vec4<u32>,
}

fn quad_at_{{ X }}(first_row: u32, j: u32) -> Quad{{ X }} {
    return Quad{{ X }}(first_row + min(j + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>({{ extent }} - 1u)));
}

fn shift_{{ X }}(q: Quad{{ X }}, rows: u32) -> Quad{{ X }} {
    return Quad{{ X }}(q.row + rows);
}

fn block_{{ X }}(q: Quad{{ X }}, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>({{ X }}4(q.row.x, k), {{ X }}4(q.row.y, k), {{ X }}4(q.row.z, k), {{ X }}4(q.row.w, k));
}
{%- else %}
struct Quad{{ X }} {
    row: u32,
    col: u32,
}

fn quad_at_{{ X }}(first_row: u32, j: u32) -> Quad{{ X }} {
    return Quad{{ X }}(first_row, min(j, ({{ extent }} - 1u) / 4u * 4u));
}

fn shift_{{ X }}(q: Quad{{ X }}, rows: u32) -> Quad{{ X }} {
    return Quad{{ X }}(q.row + rows, q.col);
}

fn block_{{ X }}(q: Quad{{ X }}, k: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        {{ X }}4(q.row + k, q.col),
{%- for u in [1, 2, 3] %}
{%- if tail %}
        select(vec4<f32>(0.0), {{ X }}4(q.row + min(k + {{ u }}u, {{ length }} - 1u), q.col), k + {{ u }}u < {{ length }}),
{%- else %}
        {{ X }}4(q.row + k + {{ u }}u, q.col),
{%- endif %}
{%- endfor %}
    );
}
{%- endif %}
{%- endmacro %}
