// Every page of the built site, and reports, by axe-core and by Lighthouse in a real browser:
//
//     node scripts/accessibility/check.mjs site [--only PART_OF_NAME] [--no-lighthouse] [REPORT.html ...]
//
// It prints each violation with its page, and its exit status is 1 where there is one. `make accessibility` calls it.
import { execFileSync } from "node:child_process";
import path from "node:path";
import axe from "axe-core";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";
import { pagesOf, serve } from "./serve.mjs";

const WIDTHS = [360, 1440];
const THEMES = { light: "default", dark: "slate" };
const SCHEMES = Object.keys(THEMES);
const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];

function browserPath() {
  if (process.env.CHROME_PATH) return process.env.CHROME_PATH;
  for (const name of BROWSERS) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // The next one, then.
    }
  }
  throw new Error(`no browser found (${BROWSERS.join(", ")}); name one by CHROME_PATH`);
}

/** A new tab in that colour scheme, with the page loaded; apart, since the site remembers the scheme of a visitor. */
async function opened(browser, url, width, scheme) {
  const visitor = await browser.createBrowserContext();
  const page = await visitor.newPage();
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  const answer = await page.goto(url, { waitUntil: "networkidle0" });
  if (!answer.ok()) throw new Error(`${url}: status ${answer.status()}; build the site anew`);
  await settled(page);
  const shown = await page.evaluate(() => document.body.dataset.mdColorScheme);
  if (shown && shown !== THEMES[scheme]) throw new Error(`${url}: ${shown} instead of ${THEMES[scheme]}`);
  return page;
}

/** Waits until two frames of the page were drawn. */
const settled = (page) =>
  page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Violations as lines; and how far the page is wider than the window. */
async function byAxe(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const lines = found.violations.flatMap(({ id, help, nodes }) =>
    nodes.slice(0, 3).map((node) => `${id}: ${help}: ${node.target.join(" ")}: ${node.html.replace(/\s+/g, " ").slice(0, 100)}`),
  );
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  return beyond > 0 ? [...lines, `the page is ${beyond} pixels wider than the window`] : lines;
}

/** What has to be opened first to be seen: the navigation and the search of a phone. */
async function behindButtons(browser, url, scheme) {
  const lines = [];
  for (const button of ["__drawer", "__search"]) {
    const page = await opened(browser, url, 360, scheme);
    if (await page.$(`#${button}`)) {
      await page.evaluate((id) => document.getElementById(id).click(), button);
      await new Promise((done) => setTimeout(done, 500));
      lines.push(...(await byAxe(page)).map((line) => `${button} open: ${line}`));
    }
    await page.browserContext().close();
  }
  return lines;
}

async function byLighthouse(browser, url, width) {
  const mobile = width < 600;
  const page = await browser.newPage();
  const { lhr } = await lighthouse(
    url,
    {
      onlyCategories: ["accessibility"],
      logLevel: "silent",
      formFactor: mobile ? "mobile" : "desktop",
      screenEmulation: { mobile, width, height: 900, deviceScaleFactor: 1, disabled: false },
    },
    undefined,
    page,
  );
  await page.close();
  const failed = lhr.categories.accessibility.auditRefs
    .map(({ id }) => lhr.audits[id])
    .filter(({ score }) => score !== null && score < 1);
  return failed.map(({ id, title }) => `${id}: ${title}`);
}

const words = process.argv.slice(2);
const only = words.includes("--only") ? words.splice(words.indexOf("--only"), 2)[1] : "";
const withLighthouse = !words.includes("--no-lighthouse");
const [site, ...reports] = words.filter((word) => !word.startsWith("--"));
const browser = await puppeteer.launch({ executablePath: browserPath(), args: ["--no-sandbox"] });
const counted = { pages: 0, violations: 0 };
const tell = (name, how, lines) => {
  counted.violations += lines.length;
  for (const line of lines) console.log(`${name} (${how}): ${line}`);
};

async function checkPage(name, url) {
  counted.pages += 1;
  process.stderr.write(`${counted.pages} ${name}\n`);
  for (const scheme of SCHEMES) {
    const page = await opened(browser, url, WIDTHS[0], scheme);
    for (const width of WIDTHS) {
      await page.setViewport({ width, height: 900 });
      await settled(page);
      tell(name, `axe, ${scheme}, ${width} pixels`, await byAxe(page));
    }
    await page.browserContext().close();
  }
  if (withLighthouse) {
    for (const width of WIDTHS) tell(name, `Lighthouse, ${width} pixels`, await byLighthouse(browser, url, width));
  }
}

const ofSite = await serve(site);
for (const name of pagesOf(site).filter((name) => name.includes(only))) {
  await checkPage(name, `${ofSite.origin}/${name}`);
}
for (const scheme of SCHEMES) {
  tell("index.html", `axe, ${scheme}`, await behindButtons(browser, `${ofSite.origin}/index.html`, scheme));
}
ofSite.close();
for (const file of reports) {
  const ofReport = await serve(path.dirname(file));
  await checkPage(file, `${ofReport.origin}/${path.basename(file)}`);
  ofReport.close();
}
await browser.close();
console.log(`${counted.pages} pages, ${counted.violations} violations`);
process.exitCode = counted.violations && 1;
