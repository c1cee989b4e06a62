// Bytes to canvases. Every canvas has the pictures' own pixels; style sheets enlarge it.

/** Pixels between the pictures of a grid. */
const GAP = 2;

/** Columns and rows of a grid that is about square. */
export function layout(count) {
  const columns = Math.ceil(Math.sqrt(count));
  return { columns, rows: Math.ceil(count / columns) };
}

/** The picture `index` of a result, as RGBA. */
function image({ pixels, height, width, channels }, index) {
  const data = new ImageData(width, height);
  const from = index * height * width * channels;
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) data.data[4 * i + c] = pixels[from + i * channels + (channels === 3 ? c : 0)];
    data.data[4 * i + 3] = 255;
  }
  return data;
}

/** All pictures of a result as a grid. */
export function grid(canvas, result) {
  const { columns, rows } = layout(result.count);
  canvas.width = columns * result.width + (columns - 1) * GAP;
  canvas.height = rows * result.height + (rows - 1) * GAP;
  const context = canvas.getContext("2d");
  for (let i = 0; i < result.count; i++) {
    const [column, row] = [i % columns, Math.floor(i / columns)];
    context.putImageData(image(result, i), column * (result.width + GAP), row * (result.height + GAP));
  }
}

/** One picture of a result. */
export function single(canvas, result, index = 0) {
  canvas.width = result.width;
  canvas.height = result.height;
  canvas.getContext("2d").putImageData(image(result, index), 0, 0);
}

/** Noise, as it goes in: what stands there until the network has arrived. */
export function noise(canvas, count, side = 28) {
  const pixels = new Uint8Array(count * side * side);
  for (let i = 0; i < pixels.length; i++) {
    const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    pixels[i] = Math.max(0, Math.min(255, 128 + 52 * normal));
  }
  grid(canvas, { pixels, count, height: side, width: side, channels: 1 });
}

/** A canvas as a PNG file, enlarged without smoothing to about a thousand pixels. */
export function save(canvas, name) {
  const scale = Math.max(1, Math.floor(1024 / canvas.width));
  const large = document.createElement("canvas");
  large.width = canvas.width * scale;
  large.height = canvas.height * scale;
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return new Promise((resolve, reject) => {
    large.toBlob((blob) => {
      if (!blob) return reject(new Error("the browser could not write a PNG"));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      resolve();
    }, "image/png");
  });
}
