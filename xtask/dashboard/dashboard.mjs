// Opens the dashboard in headless Chromium as an operator does.
//
// GATEWAY_URL and DEMO_URL are gateways with and without a master key, CHROMIUM is the browser, and
// SCREENSHOTS is a folder for pictures of every view.
import assert from "node:assert/strict";
import path from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";
import { check } from "./checks.mjs";

const { GATEWAY_URL, DEMO_URL, CHROMIUM, SCREENSHOTS } = process.env;
const MASTER_KEY = "sk-dashboard-1234";
const HOSTILE = "<img src=x onerror=\"window.hacked=1\">";
const VIEWS = ["overview", "requests", "keys", "spend", "playground", "config"];

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
const faults = [];

/** A window whose faults and requests to other hosts are collected. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    const own = [GATEWAY_URL, DEMO_URL].includes(origin) || protocol === "data:";
    if (!own) faults.push(`a request to ${request.url()}`);
  });
  page.on("pageerror", (error) => faults.push(`an error in the page: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (401|403|502)/.test(message.text())) faults.push(message.text());
  });
  return page;
}

async function login(page) {
  await page.goto(`${GATEWAY_URL}/ui`);
  await page.getByLabel("Master key").fill(MASTER_KEY);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

async function view(page, name) {
  const title = name[0].toUpperCase() + name.slice(1);
  await page.getByRole("link", { name: title, exact: true }).click();
  await page.getByRole("heading", { name: title, level: 1 }).waitFor();
  await page.waitForLoadState("networkidle");
}

const page = await open();

await check("a wrong key is refused, and the master key logs in", async () => {
  await page.goto(`${GATEWAY_URL}/ui`);
  await page.getByLabel("Master key").fill("sk-wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("the key is not the master key").waitFor();
  await login(page);
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, "Strict");
});

await check("a key is created with limits, and its secret is shown once", async () => {
  await view(page, "keys");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByLabel("Name").fill(HOSTILE);
  await page.getByLabel("Budget (US dollars)").fill("5");
  await page.getByLabel("Requests per minute").fill("60");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  const secret = await page.locator(".secret").textContent();
  assert.match(secret, /^sk-/);
  await page.screenshot({ path: path.join(SCREENSHOTS, "secret.png") });
  await page.getByRole("button", { name: "Use in playground" }).click();
  await page.getByRole("heading", { name: "Playground" }).waitFor();
});

await check("the playground streams a reply with the new key", async () => {
  await page.getByLabel("Model").selectOption("gpt-oss");
  await page.getByLabel("Message (Ctrl+Enter sends)").fill("Write three sentences about rivers");
  await page.keyboard.press("Control+Enter");
  await page.getByText(/first output after .* tokens in, .* out/).waitFor();
  const reply = await page.locator(".turn pre").last().textContent();
  assert.ok(reply.length > 20, reply);
});

await check("a failing model shows its error, and the page shows no markup", async () => {
  await page.getByLabel("Model").selectOption("<b>broken</b>");
  await page.getByLabel("Message (Ctrl+Enter sends)").fill("Hello <script>window.hacked=1</script>");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".turn .bad").waitFor();
});

await check("the requests have their key, cost and attempts", async () => {
  await view(page, "requests");
  const row = page.getByRole("row").filter({ hasText: "gpt-oss", hasNotText: "broken" }).first();
  await row.getByText(HOSTILE).waitFor();
  assert.match(await row.textContent(), /\$0\.0/);
  await row.getByText("1 attempt").click();
  await row.getByText(/ok after/).waitFor();
  await page.getByLabel("Failed only").check();
  const failed = page.getByRole("row").filter({ hasText: "<b>broken</b>" }).first();
  await failed.getByText(/attempt/).first().click();
  await failed.getByText(/Error:/).waitFor();
  await page.screenshot({ path: path.join(SCREENSHOTS, "failed.png") });
});

await check("the spend of the key and of the model is reported", async () => {
  await view(page, "spend");
  await page.getByRole("row").filter({ hasText: HOSTILE }).waitFor();
  await page.getByLabel("Group by").selectOption("model_group");
  const row = page.getByRole("row").filter({ hasText: "gpt-oss" });
  assert.match(await row.textContent(), /\$0\.\d+/);
});

await check("a key is limited, rotated, blocked and revoked", async () => {
  await view(page, "keys");
  await page.getByRole("button", { name: /^Edit / }).click();
  await page.getByLabel("Requests per minute").fill("7");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("7 requests/min").waitFor();
  await page.getByRole("button", { name: /^Rotate / }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
  const secret = await page.locator(".secret").textContent();
  await page.getByRole("button", { name: "Close" }).click();
  const status = async () => {
    const answer = await fetch(`${GATEWAY_URL}/v1/models`, { headers: { authorization: `Bearer ${secret}` } });
    return answer.status;
  };
  assert.equal(await status(), 200);
  await page.getByRole("button", { name: /^Block / }).click();
  await page.getByText("blocked", { exact: true }).waitFor();
  assert.equal(await status(), 401);
  await page.getByRole("button", { name: /^Revoke / }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("No keys yet.").waitFor();
  assert.equal(await status(), 401);
});

await check("a reload keeps the session", async () => {
  await page.reload();
  await page.getByRole("heading", { name: "Keys" }).waitFor();
});

await check("the master key manages keys beside the dashboard", async () => {
  // The views below show this key.
  const key = { key_alias: "a team's key", max_budget: 10, budget_duration: "30d", rpm_limit: 600, models: ["gpt-oss"] };
  const answer = await fetch(`${GATEWAY_URL}/key/generate`, {
    method: "POST",
    headers: { authorization: `Bearer ${MASTER_KEY}`, "content-type": "application/json" },
    body: JSON.stringify(key),
  });
  assert.equal(answer.status, 200);
});

for (const scheme of ["light", "dark"]) {
  for (const width of [400, 1280]) {
    await check(`every view fits and is accessible in ${scheme}, ${width} px wide`, async () => {
      const small = await open({ viewport: { width, height: 900 }, colorScheme: scheme });
      await small.goto(`${GATEWAY_URL}/ui`);
      await small.getByLabel("Master key").waitFor();
      await inspect(small, `login-${scheme}-${width}`);
      await login(small);
      for (const name of VIEWS) {
        await view(small, name);
        await inspect(small, `${name}-${scheme}-${width}`);
      }
      await view(small, "keys");
      await small.getByRole("button", { name: "Create key" }).click();
      await inspect(small, `form-${scheme}-${width}`);
      await small.context().close();
    });
  }
}

async function inspect(window, name) {
  const path_ = path.join(SCREENSHOTS, `${name}.png`);
  await window.screenshot({ path: path_, fullPage: true });
  const overflow = await window.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${name} is ${overflow} px too wide`);
  const { violations } = await new AxeBuilder({ page: window }).analyze();
  const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const texts = serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
  assert.deepEqual(texts, [], name);
}

await check("the keyboard alone logs in, creates a key and calls a model", async () => {
  const keyboard = await open();
  await keyboard.goto(`${GATEWAY_URL}/ui`);
  await keyboard.getByLabel("Master key").waitFor();
  await keyboard.keyboard.type(MASTER_KEY);
  await keyboard.keyboard.press("Enter");
  await keyboard.getByRole("heading", { name: "Overview" }).waitFor();
  const tabTo = async (text) => {
    for (let presses = 0; presses < 80; presses += 1) {
      await keyboard.keyboard.press("Tab");
      const focused = await keyboard.evaluate(() => {
        const element = document.activeElement;
        return element.labels?.[0]?.textContent ?? element.textContent;
      });
      if (focused.startsWith(text)) return;
    }
    assert.fail(`Tab does not reach "${text}"`);
  };
  await tabTo("Keys");
  await keyboard.keyboard.press("Enter");
  await keyboard.getByRole("heading", { name: "Keys" }).waitFor();
  await tabTo("Create key");
  await keyboard.keyboard.press("Enter");
  await tabTo("Name");
  await keyboard.keyboard.type("by keyboard");
  await keyboard.keyboard.press("Enter");
  await keyboard.locator(".secret").waitFor();
  await tabTo("Use in playground");
  await keyboard.keyboard.press("Enter");
  await keyboard.getByRole("heading", { name: "Playground" }).waitFor();
  await keyboard.waitForLoadState("networkidle");
  await tabTo("Message");
  await keyboard.keyboard.type("Hello");
  await keyboard.keyboard.press("Control+Enter");
  await keyboard.getByText(/tokens in/).waitFor();
  await keyboard.context().close();
});

await check("without a master key, the dashboard says what is missing", async () => {
  const demo = await open();
  await demo.goto(`${DEMO_URL}/ui`);
  await demo.getByText("There is no master key").waitFor();
  await demo.getByText("There is no database").waitFor();
  await view(demo, "keys");
  await demo.getByText(/Keys and spend need general_settings.master_key/).waitFor();
  await view(demo, "playground");
  await demo.getByLabel("Message (Ctrl+Enter sends)").fill("Hello");
  await demo.getByRole("button", { name: "Send" }).click();
  await demo.getByText(/tokens in/).waitFor();
  await demo.context().close();
});

await check("logging out ends the session", async () => {
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Master key").waitFor();
  await page.reload();
  await page.getByLabel("Master key").waitFor();
});

await check("no text became markup, no script failed, and no other host was called", async () => {
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(faults, []);
});

await browser.close();
