// Who answers: the page itself, in a thread beside it, with the exported adaptation.

import { element } from "./pad.js";
import { examples } from "./preparation.js";

const own = (name) => new URL(name, import.meta.url);
const worker = new Worker(own("worker.js"), { type: "module" });
let waiting; // who waits for the worker's answer
let broken; // why it gives none, perhaps since before anything was asked

worker.onmessage = ({ data }) => {
  if (data.error) waiting.failed(new Error(data.error));
  else waiting.done(data);
};
worker.onerror = () => {
  broken = new Error("This browser cannot run the networks, or they could not be loaded.");
  waiting?.failed(broken);
};

export const about = await fetch(own("weights/about.json")).then((found) => found.json()).catch((error) => {
  document.getElementById("problem").textContent = "The networks could not be loaded. Try again later.";
  throw error;
});
export const kept = "What you show stays in this browser, and nothing is kept.";

document.querySelector("header").prepend(element("a", { href: "../index.html" }, "fewstep"));

// The same as `answers` in src/fewstep/demo/answerer.js, which asks the server.
export async function* answers(support, query) {
  const question = {
    support: await examples(support.flat(), about.size),
    labels: support.flatMap((own, label) => own.map(() => BigInt(label))),
    query: await examples([query], about.size),
  };
  for (let start = 0; start < about.starts.length; start++) {
    yield await new Promise((done, failed) => {
      if (broken) throw broken;
      waiting = { done, failed };
      worker.postMessage({ ...question, start });
    });
  }
}
