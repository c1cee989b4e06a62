// Draws images from the buffer that holds them, in rows of equal tiles.
//
//   color(row, column, k) = (image[row * columns + column] at the pixel under the fragment + 1) / 2
//
// The viewport is the picture: its rows and columns are fractions of the quad, so that it fits any
// size. Values outside -1 .. 1 are clamped; tiles without an image stay transparent. One triangle
// strip of four vertices, no vertex buffer.

struct Grid {
    height: u32,
    width: u32,
    channels: u32,
    columns: u32,
    count: u32,
    // 1 if the target expects linear values.
    linear: u32,
    padding0: u32,
    padding1: u32,
}

@group(0) @binding(0) var<uniform> grid: Grid;
@group(0) @binding(1) var<storage, read> images: array<f32>; // [count, height, width, channels]

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) place: vec2<f32>, // 0 .. 1, from the upper left
}

@vertex
fn corner(@builtin(vertex_index) index: u32) -> Corner {
    let place = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    return Corner(vec4<f32>(place.x * 2.0 - 1.0, 1.0 - place.y * 2.0, 0.0, 1.0), place);
}

// The transfer function of sRGB (IEC 61966-2-1), backwards.
fn to_linear(value: f32) -> f32 {
    return select(pow((value + 0.055) / 1.055, 2.4), value / 12.92, value <= 0.04045);
}

@fragment
fn pixel(@location(0) place: vec2<f32>) -> @location(0) vec4<f32> {
    let rows = (grid.count + grid.columns - 1u) / grid.columns;
    // A square canvas for square images: rows that are missing stay empty.
    let lines = max(rows, grid.columns) * grid.height;
    let x = min(u32(place.x * f32(grid.columns * grid.width)), grid.columns * grid.width - 1u);
    let y = min(u32(place.y * f32(lines)), lines - 1u);
    let image = y / grid.height * grid.columns + x / grid.width;
    if (image >= grid.count) {
        return vec4<f32>(0.0);
    }
    let at = ((image * grid.height + y % grid.height) * grid.width + x % grid.width) * grid.channels;
    let red = images[at];
    let green = images[at + grid.channels / 3u];
    let blue = images[at + 2u * (grid.channels / 3u)];
    var color = clamp(vec3<f32>(red, green, blue) * 0.5 + 0.5, vec3<f32>(0.0), vec3<f32>(1.0));
    if (grid.linear == 1u) {
        color = vec3<f32>(to_linear(color.r), to_linear(color.g), to_linear(color.b));
    }
    return vec4<f32>(color, 1.0);
}
