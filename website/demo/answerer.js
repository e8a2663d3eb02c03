// Who answers: the page itself, in a thread beside it, with the exported adaptation.

const own = (name) => new URL(name, import.meta.url);
const worker = new Worker(own("worker.js"), { type: "module" });
const waiting = []; // who waits for an answer, in the order of the questions

export const about = await (await fetch(own("weights/about.json"))).json();
export const kept = "What you show stays in this browser, and nothing is kept.";

worker.onmessage = ({ data }) => {
  const { done, failed } = waiting.shift();
  if (data.error) failed(new Error(data.error));
  else done(data);
};
worker.onerror = () => {
  const broken = new Error("This browser cannot run the networks, or they could not be loaded.");
  waiting.splice(0).forEach(({ failed }) => failed(broken));
};

// As answerer.js of the server's page.
export function answer(support, query) {
  return new Promise((done, failed) => {
    waiting.push({ done, failed });
    worker.postMessage({ support, query });
  });
}
