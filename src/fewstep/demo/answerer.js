// Who answers: the server of this page.

export const about = await (await fetch("about")).json();
export const kept = "What you show stays on the machine that serves this page, and nothing is kept.";

// Of one start after the other, the probabilities after each number of inner steps; nothing where it is to be
// asked again. Pictures are data URLs, of `support` a list for each class. An error's message is told on the page.
export async function* answers(support, query) {
  const content = (url) => url.slice(url.indexOf(",") + 1);
  const body = JSON.stringify({ support: support.map((own) => own.map(content)), query: content(query) });
  const response = await reached(fetch("answer", { method: "POST", headers: { "content-type": "application/json" }, body }));
  if (response.status === 429) {
    await new Promise((done) => setTimeout(done, 1000 * (Number(response.headers.get("retry-after")) || 1)));
    return;
  }
  for await (const line of lines(response.body.getReader())) {
    const told = JSON.parse(line);
    if (told.error) throw new Error(told.error);
    yield told;
  }
}

async function* lines(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reached(reader.read());
      const whole = (rest + decoder.decode(value, { stream: !done })).split("\n");
      rest = whole.pop();
      yield* whole;
      if (done) return rest && (yield rest);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function reached(asked) {
  try {
    return await asked;
  } catch {
    throw new Error("The server does not answer. Is fewstep demo still running?");
  }
}
