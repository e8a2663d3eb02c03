// Who answers: the page itself, in a thread beside it, with the exported adaptation.

import { element } from "./pad.js";
import { examples } from "./preparation.js";

const own = (name) => new URL(name, import.meta.url);
const worker = new Worker(own("worker.js"), { type: "module" });
let waiting; // who waits for the worker's answer

export const about = await (await fetch(own("weights/about.json"))).json();
export const kept = "What you show stays in this browser, and nothing is kept.";

document.querySelector("header").prepend(element("a", { href: "../index.html" }, "fewstep"));

worker.onmessage = ({ data }) => {
  if (data.error) waiting.failed(new Error(data.error));
  else waiting.done(data);
};
worker.onerror = () => waiting?.failed(new Error("This browser cannot run the networks, or they could not be loaded."));

// The same as `answers` in src/fewstep/demo/answerer.js, which asks the server.
export async function* answers(support, query) {
  const question = {
    support: await examples(support.flat(), about.size),
    labels: support.flatMap((own, label) => own.map(() => BigInt(label))),
    query: await examples([query], about.size),
  };
  for (let start = 0; start < about.starts.length; start++) {
    yield await new Promise((done, failed) => {
      waiting = { done, failed };
      worker.postMessage({ ...question, start });
    });
  }
}
