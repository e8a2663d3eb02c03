// Adaptation by the exported graphs: the start, inner steps, statistics, prediction (docs/export.md).

import * as ort from "./runtime/ort.wasm.min.mjs";
import { examples } from "./preparation.js";

const PARTS = ["start", "step", "statistics", "predict"];
// Several threads need headers that a server of plain files does not send.
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const loading = load();
loading.catch(() => {}); // told with the first answer

async function load() {
  const about = await (await fetch("weights/about.json")).json();
  return { about, starts: await Promise.all(about.files.map(opened)) };
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

async function answer({ support, query }) {
  const { about, starts } = await loading;
  const { size } = about;
  const tensor = async (pictures) =>
    new ort.Tensor("float32", await examples(pictures, size), [pictures.length, 1, size, size]);
  const labels = support.flatMap((own, label) => own.map(() => BigInt(label)));
  const began = performance.now();
  const state = {
    support_x: await tensor(support.flat()),
    support_y: new ort.Tensor("int64", labels, [labels.length]),
    x: await tensor([query]),
  };
  const told = [];
  for (const [n, parts] of starts.entries()) {
    const steps = await path(parts, about.temperatures[n], state, about.most_steps);
    told.push({ name: about.starts[n], note: "", steps });
  }
  return { starts: told, seconds: (performance.now() - began) / 1000 };
}

// One question after the other.
let last = Promise.resolve();
onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      postMessage(await answer(data));
    } catch (error) {
      postMessage({ error: `The networks cannot answer (${error.message}).` });
    }
  });
};
