// Opens a report of `polyllm bench` in headless Chromium.
//
// REPORT is the page, CHROMIUM the browser, and SCREENSHOTS a folder for pictures.
import assert from "node:assert/strict";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";
import { check } from "./checks.mjs";

const { REPORT, CHROMIUM, SCREENSHOTS } = process.env;
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });

/** The sizes of what is shown; it runs in the page. */
function measure() {
  for (const part of document.querySelectorAll("details")) part.open = true;
  const shown = (element) => element.getClientRects().length > 0;
  const texts = [...document.querySelectorAll("svg text")].filter((text) => text.textContent.trim() && shown(text));
  const size = (text) => {
    const { a, b } = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
  };
  const wide = [...document.querySelectorAll(".scroll, figure")].filter((box) => box.scrollWidth > box.clientWidth);
  const tables = [...document.querySelectorAll("table")].filter(shown);
  return {
    texts: texts.length,
    smallest: Math.min(...texts.map(size)),
    beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    bare: tables.filter((table) => !table.closest(".scroll")).length,
    wide: wide.length,
    withoutCue: wide.filter((box) => !getComputedStyle(box).backgroundImage.includes("gradient")).length,
    unreachable: wide.filter((box) => box.matches(".scroll") && box.tabIndex !== 0).length,
  };
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [400, 1280]) {
    const name = `${colorScheme}-${width}`;
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    await page.goto(pathToFileURL(REPORT).href);
    const found = await page.evaluate(measure);
    await check(`report ${name}: the text of charts has at least 11 px`, () => {
      assert.ok(found.texts > 20, `${found.texts} texts`);
      assert.ok(found.smallest >= 10.99, `${found.smallest} px`);
    });
    await check(`report ${name}: nothing is wider than the page`, () => {
      assert.equal(found.beyond, 0);
      assert.equal(found.bare, 0, "tables that cannot be scrolled");
    });
    await check(`report ${name}: wide parts show that they scroll, and tables do so by keyboard`, () => {
      if (width === 400) assert.ok(found.wide > 0);
      assert.deepEqual([found.withoutCue, found.unreachable], [0, 0]);
    });
    await check(`report ${name}: axe-core finds no fault`, async () => {
      const { violations } = await new AxeBuilder({ page }).disableRules(["region"]).analyze();
      const short = ({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 120)}`;
      assert.deepEqual(violations.map(short), []);
      assert.deepEqual(faults, []);
    });
    await page.screenshot({ path: path.join(SCREENSHOTS, `report-${name}.png`), fullPage: true });
    await context.close();
  }
}

await browser.close();
