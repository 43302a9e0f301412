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

/** A window of the developers' page, signed in: as a ready user by name, or as what the form says. */
async function signIn(browser, url, who, viewport = { width: 1000, height: 640 }) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(`${url}/dev`);
  await page.waitForSelector("#ready button");
  if (pictures) await page.screenshot({ path: join(pictures, `dev-choose-${viewport.width}.png`), fullPage: true });
  if (typeof who === "string") {
    await page.click(`#ready button[data-user="${who}"]`);
  } else {
    for (const [name, value] of Object.entries(who))
      await (name === "role" ? page.selectOption("#other [name=role]", value) : page.fill(`#other [name=${name}]`, value));
    await page.click("#other button");
  }
  await page.waitForSelector('#state[data-state="connected"]').catch(async (error) => {
    throw new Error(`${error.message}\n${await page.textContent("#state")}: ${await page.textContent("#trouble")}\n${errors.join("\n")}`);
  });
  return { page, context, errors };
}

const isNarrow = (page) => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);

test("developers' page: two users see each other come, choose a status and go", async (t) => {
  const data = mkdtempSync(join(tmpdir(), "convene-data-"));
  t.after(() => rmSync(data, { recursive: true, force: true, maxRetries: 10 }));
  const daemon = await startDaemon(t, data, ["--workers", "2", "--presence-coalesce", "50ms", "--presence-grace", "0s"]);
  const browser = await startBrowser(t);

  const ada = await signIn(browser, daemon.url, "ada", { width: 360, height: 740 });
  await ada.page.waitForSelector('#org li[data-user="ada"][data-status="online"] >> text=Ada Student (you)');
  const paul = await signIn(browser, daemon.url, "paul");
  const grace = await signIn(browser, daemon.url, "grace");
  await ada.page.waitForSelector('#org li[data-user="paul"][data-status="online"]');
  await ada.page.waitForSelector('#state >> text="connected over websocket"');

  await paul.page.click("#status span[data-status=away]");
  await ada.page.waitForSelector('#org li[data-user="paul"][data-status="away"] >> text=away');
  await paul.page.selectOption("#course", "math-101");
  await paul.page.click("#join");
  await paul.page.waitForSelector('#course-people li[data-user="paul"]');
  await ada.page.selectOption("#course", "math-101");
  await ada.page.click("#join");
  await ada.page.waitForSelector('#course-people li[data-user="paul"][data-status="away"]');
  await paul.page.waitForSelector('#course-people li[data-user="ada"]');
  assert.deepEqual(await grace.page.$$eval("#org li", (items) => items.map((it) => it.dataset.user)), ["grace"]); // another organisation
  assert.ok(await isNarrow(ada.page), "a phone needs no scrolling sideways");
  if (pictures) {
    await ada.page.screenshot({ path: join(pictures, "dev-desk-360.png"), fullPage: true });
    await paul.page.screenshot({ path: join(pictures, "dev-desk-1000.png"), fullPage: true });
  }

  // The status is kept: who comes back has it still.
  await paul.page.click("#leave");
  await ada.page.waitForSelector('#org li[data-user="paul"]', { state: "detached" });
  await paul.page.click('#ready button[data-user="paul"]');
  await ada.page.waitForSelector('#org li[data-user="paul"][data-status="away"]');
  await paul.page.waitForSelector("#status input[value=away]:checked", { state: "attached" });
  for (const { errors, context } of [ada, paul, grace]) {
    assert.deepEqual(errors, []);
    await context.close();
  }
});

test("developers' page: a token that ends soon is refreshed; errors are said in words", async (t) => {
  const data = mkdtempSync(join(tmpdir(), "convene-data-"));
  t.after(() => rmSync(data, { recursive: true, force: true, maxRetries: 10 }));
  const daemon = await startDaemon(t, data, ["--auth-expiring-notice", "1h", "--auth-leeway", "0", "--rate", "status=1/min"]);
  const browser = await startBrowser(t);
  const { page, errors } = await signIn(browser, daemon.url, { user_id: "zoe", role: "PROFESSOR", lifetime_s: "900", courses: "math-101, art" });
  await page.waitForSelector("#trouble >> text=The token expires soon");
  const seconds = () => page.$eval("#left", (it) => it.textContent.split(":").reduce((sum, part) => 60 * sum + Number(part), 0));
  await page.waitForFunction(() => /^14:[0-4]/.test(document.querySelector("#left").textContent));
  if (pictures) await page.screenshot({ path: join(pictures, "dev-expiring.png") });
  await page.click("#refresh");
  await page.waitForFunction(() => /^(15:00|14:5)/.test(document.querySelector("#left").textContent));
  assert.ok((await seconds()) > 889);
  assert.equal(await page.getAttribute("#state", "data-state"), "connected"); // all the time
  await page.click("#status span[data-status=busy]");
  await page.waitForSelector('#org li[data-user="zoe"][data-status="busy"]');
  await page.click("#status span[data-status=away]");
  await page.waitForSelector("#trouble >> text=/Too often: wait a moment.*again in \\d+ s/");
  await page.waitForSelector("#status input[value=busy]:checked", { state: "attached" }); // what is, not what was wished
  assert.deepEqual(errors, []);

  const short = await signIn(browser, daemon.url, { user_id: "yan", role: "STUDENT", lifetime_s: "3" });
  await short.page.waitForSelector("#trouble >> text=The token has expired: sign in again");
  await short.page.waitForSelector('#state[data-state="disconnected"]');
  await short.page.click("#refresh"); // a new one brings it back
  await short.page.waitForSelector('#state[data-state="connected"]');
});
