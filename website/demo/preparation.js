// A drawing as the network was trained on it: small, ink 1 on 0, to the last bit as the server does it.

const LOBES = 3;

// `float32 [pictures, size, size]` of data URLs of square pictures, black on white.
export async function examples(pictures, size) {
  const found = new Float32Array(pictures.length * size * size);
  for (const [number, url] of pictures.entries()) {
    const image = await createImageBitmap(await (await fetch(url)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const grey = Uint8ClampedArray.from({ length: data.length / 4 }, (_, n) => data[4 * n]);
    found.set(smaller(grey, image.width, size).map((value) => (255 - value) / 255), number * size * size);
  }
  return found;
}

// Lanczos as Pillow does it: rows, then columns, each rounded to whole numbers.
export function smaller(pixels, side, size) {
  const windows = Array.from({ length: size }, (_, n) => weights(n, side / size, side));
  const narrow = new Uint8ClampedArray(side * size);
  const small = new Uint8ClampedArray(size * size);
  const sum = (from, { first, shares }, start, stride) =>
    shares.reduce((total, share, n) => total + share * from[start + (first + n) * stride], 0);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < size; column++) narrow[row * size + column] = sum(pixels, windows[column], row * side, 1);
  }
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) small[row * size + column] = sum(narrow, windows[row], column, size);
  }
  return Float32Array.from(small);
}

function weights(number, scale, side) {
  const middle = (number + 0.5) * scale;
  const first = Math.max(0, Math.floor(middle - LOBES * scale + 0.5));
  const last = Math.min(side, Math.floor(middle + LOBES * scale + 0.5));
  const values = Array.from({ length: last - first }, (_, n) => lanczos((first + n - middle + 0.5) / scale));
  const total = values.reduce((one, other) => one + other);
  return { first, shares: values.map((value) => value / total) };
}

function lanczos(x) {
  const sinc = (t) => (t ? Math.sin(Math.PI * t) / (Math.PI * t) : 1);
  return Math.abs(x) < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
}
