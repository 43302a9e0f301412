// The demo page in a real browser: two visitors chat through the daemon.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startBrowser } from "./support/browser.mjs";
import { startDaemon } from "./support/server.mjs";

// Where to leave pictures for people to look at; none by default.
const pictures = process.env.CONVENE_PICTURES;

async function visit(browser, url, name) {
  const context = await browser.newContext({ viewport: { width: 900, height: 620 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(url);
  await page.fill("#name", name);
  await page.click("#enter button:enabled");
  await page.waitForSelector("#room:not([hidden])");
  return { page, context, errors };
}

for (const workers of [1, 2]) {
  test(`two windows chat, ${workers} worker(s)`, async (t) => {
    const data = mkdtempSync(join(tmpdir(), "convene-data-"));
    t.after(() => rmSync(data, { recursive: true, force: true }));
    const daemon = await startDaemon(t, data, ["--workers", String(workers)]);
    const browser = await startBrowser(t);

    const ada = await visit(browser, `${daemon.url}/`, "Ada");
    await ada.page.fill("#text", "Is anybody here?");
    await ada.page.press("#text", "Enter");
    await ada.page.waitForSelector("#messages li.mine");

    const ben = await visit(browser, `${daemon.url}/`, "Ben");
    await ben.page.waitForSelector("#messages >> text=Is anybody here?"); // said before he came
    await ada.page.waitForSelector("#people >> text=Ben");
    await ben.page.waitForSelector("#people >> text=Ada");
    await ada.page.waitForSelector('#state >> text="connected over websocket"');

    await ben.page.type("#text", "Here I am, with ünïcode ✓ and <b>no markup</b>");
    await ada.page.waitForSelector("#typing >> text=Ben is typing");
    if (pictures) await ada.page.screenshot({ path: join(pictures, "demo-typing.png") });
    await ben.page.press("#text", "Enter");
    await ada.page.waitForSelector("#messages >> text=<b>no markup</b>");
    await ada.page.waitForFunction(() => document.querySelector("#typing").textContent === "");
    if (pictures) await ben.page.screenshot({ path: join(pictures, "demo-ben.png") });

    const health = await (await fetch(`${daemon.url}/health`)).json();
    assert.equal(health.status, "ok");
    assert.equal(health.sockets, 2);

    await ben.context.close();
    await ada.page.waitForFunction(() => document.querySelectorAll("#people li").length === 1);
    assert.deepEqual(ada.errors, []);
    assert.deepEqual(ben.errors, []);
    await ada.context.close();
  });
}
