// Headless Chromium from Debian's package, driven by playwright-core.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser that is closed, with its profile, when the test ends. Each context() is a visitor of its own. */
export async function startBrowser(t) {
  const home = mkdtempSync(join(tmpdir(), "convene-chromium-"));
  const browser = await chromium.launch({
    executablePath: process.env.CONVENE_CHROMIUM ?? "/usr/bin/chromium",
    args: ARGUMENTS,
    env: { ...process.env, HOME: home },
  });
  t.after(async () => {
    await browser.close();
    rmSync(home, { recursive: true, force: true });
  });
  return browser;
}
