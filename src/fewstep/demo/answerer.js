// Who answers: the server of this page.

export const about = await (await fetch("about")).json();
export const kept = "What you show stays on the machine that serves this page, and nothing is kept.";

// The probabilities of each start after each number of inner steps; null where it is to be asked again.
// Pictures are data URLs, of `support` a list for each class. An error's message is told on the page.
export async function answer(support, query) {
  const content = (url) => url.slice(url.indexOf(",") + 1);
  const body = JSON.stringify({ support: support.map((own) => own.map(content)), query: content(query) });
  let response, told;
  try {
    response = await fetch("answer", { method: "POST", headers: { "content-type": "application/json" }, body });
    told = await response.json();
  } catch {
    throw new Error("The server does not answer. Is fewstep demo still running?");
  }
  if (response.status === 429) {
    await new Promise((done) => setTimeout(done, 1000 * (Number(response.headers.get("retry-after")) || 1)));
    return null;
  }
  if (!response.ok) throw new Error(told.error);
  return told;
}
