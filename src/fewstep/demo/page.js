// The page: what is shown to the network, and what it makes of it after so many inner steps.

import { about, answers, kept } from "./answerer.js"; // a server, or the page itself
import { drawn, element, pad, symbol } from "./pad.js";
import { photos } from "./photos.js";

const $ = (id) => document.getElementById(id);
const PAUSE = 150; // milliseconds between two questions
const classes = [];
let query;
let found = null; // the last answer of each start
let shownClasses = []; // the classes that it is about
let asking = false, again = false;
let complained = false; // whether the problem that is told is the answerer's
let tasks = 0; // counts how often there was nothing to ask: an answer from before is about something else

function setUp() {
  const many = about.ways;
  $("steps").max = about.most_steps;
  $("steps").value = about.steps;
  $("keys").hidden = !about.draws;
  $("kept").textContent = kept;
  if (about.draws) {
    $("intro").textContent = `Draw ${many} symbols, once each, then one of them again. The network has seen none of them before: it takes a few gradient steps on your ${many} drawings.`;
    $("learn").textContent = `1. Draw ${many} symbols, one in each square`;
    $("ask").textContent = "2. Draw one of them again";
    for (let n = 1; n <= many; n++) classes.push(pad(`Symbol ${n}`, about.side, (ended) => ended && ask()));
    query = pad("Drawn again", about.side, () => ask());
    $("actions").append(button("Draw them for me", example), button("Clear all", () => [...classes, query].forEach((one) => one.put([]))));
  } else {
    $("intro").textContent = "Give a few photos of each of your classes, then another one. The network has seen none of these classes before: it takes a few gradient steps on your photos.";
    $("learn").textContent = "1. Photos of each class";
    $("ask").textContent = "2. A photo to recognise";
    $("classes").className = "photos";
    for (let n = 0; n < Math.max(2, many); n++) addClass();
    query = photos("Photo to recognise", { side: about.side, several: false, changed: ask, failed: fail });
    $("actions").append(button("Add a class", () => { addClass(); place(); }));
  }
  place();
  $("steps").addEventListener("input", show);
  ask();
}

function place() {
  $("classes").replaceChildren(...classes.map((one) => one.figure));
  $("query").replaceChildren(query.figure);
}

function addClass() {
  if (classes.length >= about.most_classes) return fail(`${about.most_classes} classes are the most`);
  const most = Math.floor(about.most_pictures / about.most_classes);
  classes.push(photos(`Class ${classes.length + 1}`, { side: about.side, several: true, most, changed: ask, failed: fail }));
}

function button(text, act) {
  return element("button", { type: "button", onclick: act }, text);
}

function example() {
  const symbols = classes.map(symbol);
  classes.forEach((one, n) => one.put(drawn(symbols[n])));
  query.put(drawn(symbols[Math.floor(symbols.length * Math.random())]));
}

function picturesOf(one) {
  return about.draws ? [one.picture()] : one.pictures;
}

async function ask() {
  // Of classes without photos nothing can be learned; of symbols all are needed.
  const full = classes.filter((one) => !one.empty);
  const missing = (about.draws ? classes.length : 2) - full.length;
  if (missing > 0 || query.empty) {
    found = null;
    tasks++;
    show();
    const what = about.draws ? (missing > 1 ? "symbols" : "symbol") : (missing > 1 ? "classes" : "class");
    return say(missing > 0 ? `${missing} ${what} to go` : `Now ${about.draws ? "draw one of them again" : "a photo to recognise"}`);
  }
  if (asking) { again = true; return; }
  asking = true;
  again = false;
  const task = tasks;
  $("starts").setAttribute("aria-busy", "true");
  if (!found) say("Adapting");
  try {
    const support = full.map(picturesOf);
    const shown = full.map((one, n) => ({ name: one.name ?? `Symbol ${classes.indexOf(one) + 1}`, picture: support[n][0] }));
    // Each start's last answer stays until the next one comes.
    const starts = found && shown.length === shownClasses.length ? [...found] : [];
    let arrived = 0;
    for await (const told of answers(support, picturesOf(query)[0])) {
      if (task !== tasks) break;
      starts[arrived++] = told;
      [found, shownClasses] = [starts, shown];
      if (arrived === 1) $("seconds").textContent = `The last adaptation took ${Math.round(1000 * told.seconds)} ms.`;
      show();
    }
    if (!arrived || task !== tasks) again = true;
    else if (complained) { complained = false; fail(""); }
  } catch (error) {
    if (task !== tasks) {
      again = true;
    } else {
      found = null;
      show();
      say("");
      complained = true;
      fail(error.message);
    }
  }
  await new Promise((done) => setTimeout(done, PAUSE));
  asking = false;
  if (again) ask();
  else $("starts").removeAttribute("aria-busy");
}

function show() {
  const steps = Number($("steps").value);
  $("step").textContent = steps;
  if (!found) { $("starts").replaceChildren(); return; }
  update(found.map((start) => {
    const taken = Math.min(steps, start.steps.length - 1);
    const fewer = taken < steps ? (taken ? `takes ${taken} steps at most` : "takes no inner steps") : "";
    return { name: start.name, note: [fewer, start.note].filter(Boolean).join("; "), chances: start.steps[taken] };
  }));
  const start = found[0];
  const chances = start.steps[Math.min(steps, start.steps.length - 1)];
  const best = chances.indexOf(Math.max(...chances));
  say(`${shownClasses[best].name}, ${percent(chances[best])} after ${steps} ${steps === 1 ? "step" : "steps"} (${start.name})`);
}

// Rows stay in place where there are as many, so that bars move.
function update(tables) {
  const old = [...$("starts").children];
  const fits = old.length === tables.length && old.every((one, n) => one.querySelectorAll("tr").length === tables[n].chances.length);
  const made = fits ? old : tables.map((one) => frame(one.chances.length));
  if (!fits) $("starts").replaceChildren(...made);
  made.forEach((one, n) => fill(one, tables[n]));
}

function frame(rows) {
  const body = element("tbody", {}, ...Array.from({ length: rows }, () => element("tr", {},
    element("th", { scope: "row" }, element("img")),
    element("td", { "aria-hidden": "true" }, element("div", { class: "track" }, element("div", { class: "bar" }))),
    element("td"))));
  return element("div", { class: "start" }, element("table", {}, element("caption", {}, element("span"), element("small")), body));
}

function fill(made, { name, note, chances }) {
  made.querySelector("caption span").textContent = name;
  made.querySelector("caption small").textContent = note;
  const best = chances.indexOf(Math.max(...chances));
  made.querySelectorAll("tr").forEach((row, n) => {
    row.className = n === best ? "first" : "";
    const image = row.querySelector("img");
    image.src = shownClasses[n].picture;
    image.alt = shownClasses[n].name;
    row.querySelector(".bar").style.width = `${100 * chances[n]}%`;
    row.lastElementChild.textContent = percent(chances[n]);
  });
}

function percent(chance) {
  return `${(100 * chance).toFixed(1)}%`;
}

function say(text) {
  $("status").textContent = text;
}

// It stays until photos are given again, or the server answers.
function fail(text) {
  $("problem").textContent = text;
}

setUp();
