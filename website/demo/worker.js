// Adaptation by the exported graphs: the start, inner steps, statistics, prediction (docs/export.md).

import * as ort from "./runtime/ort.wasm.min.mjs";

const PARTS = ["start", "step", "statistics", "predict"];
// Several threads need headers that a server of plain files does not send.
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const WARM = 6; // adaptations after which a browser has made the fast code of what they take
let asked = false;
const loading = load();
loading.catch(() => {}); // told with the first answer

async function load() {
  const about = await (await fetch("weights/about.json")).json();
  const starts = await Promise.all(about.files.map(opened));
  setTimeout(warmUp, 0, about, starts[0]);
  return { about, starts };
}

// While somebody draws, so that the first answer takes no longer than others.
async function warmUp({ ways, size, most_steps }, parts) {
  const labels = Array.from({ length: ways }, (_, label) => BigInt(label));
  const state = stateOf(new Float32Array(ways * size ** 2), labels, new Float32Array(size ** 2), size);
  for (let n = 0; n < WARM && !asked; n++) {
    await path(parts, 1, state, most_steps);
    await new Promise((done) => setTimeout(done)); // a question may come in
  }
}

function stateOf(support, labels, query, size) {
  const pictures = (values) => new ort.Tensor("float32", values, [values.length / size ** 2, 1, size, size]);
  const support_y = new ort.Tensor("int64", labels, [labels.length]);
  return { support_x: pictures(support), support_y, x: pictures(query) };
}

async function opened(file) {
  const sessions = await Promise.all(PARTS.map(async (part) => {
    const content = await (await fetch(`weights/${file}-${part}.onnx`)).arrayBuffer();
    return [part, await ort.InferenceSession.create(new Uint8Array(content))];
  }));
  return Object.fromEntries(sessions);
}

// What a part makes of the state, of which it takes what it needs.
async function run(part, state) {
  const given = Object.fromEntries(part.inputNames.map((name) => [name, state[name]]));
  const found = Object.entries(await part.run(given));
  return Object.fromEntries(found.map(([name, value]) => [name.replace(/^next\./, ""), value]));
}

// The probabilities after 0, 1, ... inner steps.
async function path(parts, temperature, state, steps) {
  const found = [];
  state = { ...state, ...await run(parts.start, state) };
  for (let step = 0; ; step++) {
    state.step = new ort.Tensor("int64", [BigInt(step)], []);
    const { outputs } = await run(parts.predict, { ...state, ...await run(parts.statistics, state) });
    found.push(softmax(outputs.data.map((output) => output / temperature)));
    if (step === steps) return found;
    Object.assign(state, await run(parts.step, state));
  }
}

function softmax(outputs) {
  const powers = Array.from(outputs, (output) => Math.exp(output - Math.max(...outputs)));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

async function answer({ support, labels, query, start }) {
  const { about, starts } = await loading;
  const began = performance.now();
  const state = stateOf(support, labels, query, about.size);
  const steps = await path(starts[start], about.temperatures[start], state, about.most_steps);
  return { name: about.starts[start], note: "", steps, seconds: (performance.now() - began) / 1000 };
}

onmessage = async ({ data }) => {
  asked = true;
  try {
    postMessage(await answer(data));
  } catch (error) {
    postMessage({ error: `The networks cannot answer (${error.message}).` });
  }
};
