// A drawing: strokes of vertices, packed into letters that an address can carry. What is trained on is what was packed,
// so that a link leads to the same run.

/** Half the side of the square that is drawn on, as the engine has it. */
export const HALF = 1.25;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** A vertex is two numbers of nine bits: three letters. */
const [BITS, LETTER] = [9, 6];
const STEPS = 2 ** BITS - 1;
/** How far a vertex may lie beside the line without it, to be left out. */
const SLACK = 0.012;
/** Distance between the points of a stroke. */
const PEN = 0.02;

const step = (x) => Math.round(Math.min(1, Math.max(0, (x / HALF + 1) / 2)) * STEPS);
const place = (n) => (2 * n / STEPS - 1) * HALF;

function pack([x, y]) {
  const n = (step(x) << BITS) | step(y);
  return [2 * LETTER, LETTER, 0].map((shift) => LETTERS[(n >> shift) & 63]).join("");
}

function unpack(letters) {
  const n = Array.from(letters).reduce((sum, letter) => (sum << LETTER) | LETTERS.indexOf(letter), 0);
  return [place(n >> BITS), place(n & STEPS)];
}

/** How far a point is from a line between two others. */
function off([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** The vertices that matter: the others lie on the lines between them, but for `SLACK`. */
function simplify(line) {
  const last = line.length - 1;
  let [far, most] = [0, SLACK];
  for (let i = 1; i < last; i++) {
    const distance = off(line[i], line[0], line[last]);
    if (distance > most) [far, most] = [i, distance];
  }
  if (far > 0) return [...simplify(line.slice(0, far + 1)), ...simplify(line.slice(far)).slice(1)];
  return last > 0 ? [line[0], line[last]] : line;
}

/** A drawing with one more stroke. */
export const add = (drawing, stroke) => [drawing, simplify(stroke).map(pack).join("")].filter(Boolean).join(".");

/** A drawing without its last stroke. */
export const undo = (drawing) => drawing.slice(0, Math.max(0, drawing.lastIndexOf(".")));

/** The strokes of a drawing. */
export const strokes = (drawing) => drawing.split(".").filter(Boolean).map((stroke) => stroke.match(/.../g).map(unpack));

/** Points `x, y, x, y, ..` along strokes, at most a pen's width apart. */
export function points(strokes) {
  return strokes.flatMap((line) => line.flatMap(([x, y], i) => {
    const [fx, fy] = line[i - 1] ?? [x, y];
    const count = Math.max(1, Math.ceil(Math.hypot(x - fx, y - fy) / PEN));
    return Array.from({ length: count }, (_, j) => (j + 1) / count).flatMap((share) => [fx + share * (x - fx), fy + share * (y - fy)]);
  }));
}
