// What the laboratory sees, on canvases: points, heights and arrows in the plane, and the curve of the divergence.

/** Points of each kind that are painted: more would hide the map. */
const SHOWN = 1400;
/** Every second point of the field has an arrow. */
const STRIDE = 2;
/** Longest arrow, in units of the plane: longer ones are cut. */
const LONGEST = 0.3;
/** Shortest arrow that is painted. */
const SHORTEST = 0.012;
/** The bar that shows the scale of the arrows, in units of the plane. */
const BAR = 0.2;
/** Half the side of the small square in the corner that shows the noise, in pixels. */
const NOISE = 64;
/** Colours of latents, by their angle. */
const HUES = 24;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The arrows `[x, y, dx, dy]` of a field, in units of the plane. A slope of a log density times the squared noise level
 * is a distance: how much further noised points have moved on one side than on the other. So one scale does for all
 * levels and times, and arrows shrink as the two sides agree. */
export function arrows({ side, slopes }, level, half) {
  const all = [];
  for (let row = STRIDE / 2; row < side; row += STRIDE) {
    for (let column = STRIDE / 2; column < side; column += STRIDE) {
      const [x, y] = [column, row].map((i) => ((i + 0.5) / side * 2 - 1) * half);
      const [dx, dy] = slopes.subarray(2 * (row * side + column)).slice(0, 2).map((slope) => level ** 2 * slope);
      const length = Math.hypot(dx, dy);
      const cut = Math.min(1, LONGEST / length);
      if (length >= SHORTEST) all.push([x, y, cut * dx, cut * dy]);
    }
  }
  return all;
}

/** Everything that there is to see on the square: `real` points, and of the last look, if there was one, samples,
 * heights and slopes; `shows` says which. */
export function paintPlane(canvas, { half, real, latents, seen, shows }) {
  const context = canvas.getContext("2d");
  const size = canvas.width;
  const unit = size / 2 / half;
  const toPixel = (x, y) => [size / 2 + x * unit, size / 2 - y * unit];
  const dots = (points, style, wanted, place = toPixel, radius = 2.6) => {
    context.fillStyle = style;
    context.beginPath();
    const stride = Math.max(1, Math.floor(points.length / 2 / SHOWN));
    for (let i = 0; i < points.length / 2; i += stride) {
      if (!wanted(i)) continue;
      const [x, y] = place(points[2 * i], points[2 * i + 1]);
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.fill();
  };
  context.clearRect(0, 0, size, size);
  if (seen && shows("heights")) paintHeights(context, size, seen);
  context.globalAlpha = 0.5;
  if (shows("real")) dots(real, colour("real"), () => true);
  context.globalAlpha = 0.8;
  if (seen && shows("fake")) {
    const hue = (i) => Math.floor((Math.atan2(latents[2 * i + 1], latents[2 * i]) / Math.PI + 1) / 2 * HUES) % HUES;
    for (let h = 0; h < HUES; h++) {
      const style = `hsl(${360 * h / HUES} 85% 45%)`;
      dots(seen.samples, style, (i) => hue(i) === h);
      dots(latents, style, (i) => hue(i) === h, (x, y) => [size - NOISE + NOISE / 3 * x, NOISE - NOISE / 3 * y], 1.2);
    }
    label(context, "noise", size - NOISE - 26, 2 * NOISE + 12);
  }
  context.globalAlpha = 1;
  if (seen && shows("gradient")) paintArrows(context, size, unit, arrows(seen, seen.level, half).map(([x, y, dx, dy]) => [...toPixel(x, y), dx * unit, -dy * unit]));
}

/** The heights of the field as a colour: the data's where they are positive, else the samples'. */
function paintHeights(context, size, { side, heights }) {
  const small = new OffscreenCanvas(side, side);
  const data = new ImageData(side, side);
  const rgb = [colour("fake"), colour("real")].map((hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16)));
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const height = heights[row * side + column];
      const at = 4 * ((side - 1 - row) * side + column);
      data.data.set(rgb[height > 0 ? 1 : 0], at);
      data.data[at + 3] = 110 * Math.tanh(Math.abs(height) / 2);
    }
  }
  small.getContext("2d").putImageData(data, 0, 0);
  context.drawImage(small, 0, 0, size, size);
}

function paintArrows(context, size, unit, arrows) {
  context.strokeStyle = colour("gradient");
  context.lineWidth = 2;
  context.beginPath();
  for (const [x, y, dx, dy] of arrows) {
    const length = Math.hypot(dx, dy);
    const head = Math.min(5, length / 2);
    const [ux, uy] = [dx / length * head, dy / length * head];
    context.moveTo(x, y);
    context.lineTo(x + dx, y + dy);
    context.moveTo(x + dx - ux - 0.8 * uy, y + dy - uy + 0.8 * ux);
    context.lineTo(x + dx, y + dy);
    context.lineTo(x + dx - ux + 0.8 * uy, y + dy - uy - 0.8 * ux);
  }
  const [left, right, low] = [16, 16 + BAR * unit, size - 16];
  context.moveTo(left, low - 6);
  context.lineTo(left, low);
  context.lineTo(right, low);
  context.lineTo(right, low - 6);
  context.stroke();
  label(context, String(BAR), right + 8, low + 2);
}

function label(context, words, x, y) {
  context.fillStyle = colour("text");
  context.font = "20px system-ui, sans-serif";
  context.fillText(words, x, y);
}

/** The divergence `[turn, value]` of a run as a line with axes, and that of the run before it in grey. */
export function paintCurve(canvas, now, before) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const [left, bottom] = [70, height - 34];
  const both = [...now, ...before];
  const [last, top] = [0, 1].map((i) => Math.max(...both.map((point) => point[i])));
  const line = (points, name) => {
    context.strokeStyle = colour(name);
    context.lineWidth = 3;
    context.beginPath();
    for (const [turn, value] of points) context.lineTo(left + turn / (last || 1) * (width - left - 4), bottom - value / (top || 1) * (bottom - 26));
    context.stroke();
  };
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour("soft");
  context.font = "22px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillText("0", left - 8, bottom + 8);
  if (both.length > 0) {
    context.fillText(top.toFixed(2), left - 8, 34);
    context.fillText(`${last.toLocaleString("en")} updates`, width - 4, height - 6);
  }
  context.textAlign = "left";
  context.fillText("KL divergence", left + 8, 20);
  context.strokeStyle = colour("edge");
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(left, 8);
  context.lineTo(left, bottom);
  context.lineTo(width, bottom);
  context.stroke();
  line(before, "line");
  line(now, "fake");
}
