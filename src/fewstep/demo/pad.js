// A square to draw in, by mouse, touch, pen or keyboard. A drawing is its strokes, in shares of the side.

const PEN = 0.07; // its width, in shares of the side of the picture that is sent
const FILLED = 0.66; // of that side by the longer one of a drawing

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export function pad(name, side, changed) {
  const strokes = [];
  const canvas = element("canvas", {
    width: 280, height: 280, tabindex: 0, role: "application", "aria-roledescription": "drawing area",
    "aria-describedby": "keys",
  });
  let drawing = null; // the stroke that grows
  let key = null; // the pen of the keyboard: x, y
  let erased = 0; // drawings that were taken away

  function show() {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
    draw(context, strokes, canvas.width, 0.045 * canvas.width, (point) => point);
    if (key && document.activeElement === canvas) {
      const [x, y] = key.map((share) => share * canvas.width);
      context.beginPath();
      context.arc(x, y, 9, 0, 7);
      context.lineWidth = 3;
      if (drawing) context.fill(); else context.stroke();
    }
    canvas.setAttribute("aria-label", `${name}, ${strokes.length === 1 ? "1 stroke" : strokes.length ? `${strokes.length} strokes` : "empty"}`);
  }

  function tell(ended) {
    show();
    changed(ended);
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
  }

  function end() {
    if (!drawing) return;
    drawing = null;
    tell(true);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || drawing) return;
    canvas.setPointerCapture(event.pointerId);
    key = null;
    drawing = [at(event)];
    strokes.push(drawing);
    tell(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing || !canvas.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents?.() ?? [];
    drawing.push(...(events.length ? events : [event]).map(at));
    tell(false);
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("focus", show);
  canvas.addEventListener("blur", () => { end(); show(); });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [x, y] = moves[event.key] ?? [];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (x !== undefined) {
      const far = event.shiftKey ? 0.02 : 0.06;
      key = (key ?? [0.5, 0.5]).map((share, n) => Math.min(0.95, Math.max(0.05, share + far * [x, y][n])));
      drawing?.push(key);
      drawing ? tell(false) : show();
    } else if (event.key === " " || event.key === "Enter") {
      key ??= [0.5, 0.5];
      if (drawing) end();
      else { drawing = [key]; strokes.push(drawing); tell(false); }
    } else if (event.key === "Backspace") undo();
    else return;
    event.preventDefault();
  });

  function undo() {
    drawing = null;
    strokes.pop();
    tell(true);
  }

  function put(drawn) {
    drawing = key = null;
    strokes.splice(0, Infinity, ...drawn);
    tell(true);
  }

  const buttons = [["Undo", undo], ["Clear", () => put([])]].map(([text, act]) =>
    element("button", { type: "button", "aria-label": `${text}: ${name}`, onclick: act }, text));
  const figure = element("figure", { class: "pad" }, canvas,
    element("figcaption", {}, element("b", {}, name), ...buttons));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  return {
    figure, put,
    get empty() { return !strokes.length; },
    // The picture that is sent: black on white, in the middle, of the same size whoever drew it.
    picture() { return picture(strokes, side); },
  };
}

export function picture(strokes, side) {
  const canvas = element("canvas", { width: side, height: side });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, side, side);
  context.strokeStyle = context.fillStyle = "black";
  const [xs, ys] = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // A dot stays one.
  const scale = Math.min(4, FILLED / Math.max(right - left, bottom - top, 1e-6));
  const place = ([x, y]) => [0.5 + scale * (x - (left + right) / 2), 0.5 + scale * (y - (top + bottom) / 2)];
  draw(context, strokes, side, PEN * side, place);
  return canvas.toDataURL("image/png");
}

function draw(context, strokes, side, width, place) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    const points = stroke.map(place).map(([x, y]) => [side * x, side * y]);
    context.beginPath();
    context.moveTo(...points[0]);
    for (const point of points) context.lineTo(...point);
    // A single point is a line of no length, which not every browser draws.
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    context.stroke();
  }
}

// Symbols for those who want to see it at once: random curves, each drawn again a little otherwise.
export function symbol() {
  const strokes = 1 + Math.floor(2.5 * Math.random());
  return Array.from({ length: strokes }, () => Array.from({ length: 3 }, () => [0.15 + 0.7 * Math.random(), 0.15 + 0.7 * Math.random()]));
}

export function drawn(corners) {
  const moved = corners.map((stroke) => stroke.map((point) => point.map((share) => share + 0.06 * (Math.random() - 0.5))));
  // A curve through the middles of the sides.
  return moved.map(([a, b, c]) => Array.from({ length: 25 }, (_, n) => {
    const t = n / 24;
    return [0, 1].map((axis) => (1 - t) ** 2 * a[axis] + 2 * t * (1 - t) * (2 * b[axis] - (a[axis] + c[axis]) / 2) + t * t * c[axis])
      .map((share) => Math.min(0.97, Math.max(0.03, share)));
  }));
}
