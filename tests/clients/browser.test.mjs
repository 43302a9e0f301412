// The official client in Chromium, with the bundle that the server itself hands out, from pages of other origins.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, before, after } from "node:test";
import { startBrowser } from "./support/browser.mjs";
import { startContract, startDaemon } from "./support/server.mjs";

/** A site of another origin: an empty page that loads the client from `server`. */
async function startSite(t, server, bundle = "socket.io.js") {
  const site = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(`<!doctype html><title>elsewhere</title><link rel="icon" href="data:,">
      <script src="${server.url}/socket.io/${bundle}"></script>`);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  return `http://127.0.0.1:${site.address().port}`;
}

describe("Chromium", () => {
  let browser;
  const cleanups = [];
  before(async () => {
    browser = await startBrowser({ after: (fn) => cleanups.push(fn) });
  });
  after(async () => {
    for (const fn of cleanups) await fn();
  });

  async function visit(t, url) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    await page.goto(url);
    return page;
  }

  for (const workers of [1, 2]) {
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      it(`talks from another origin over ${transports.join(", then ")}, ${workers} worker(s)`, async (t) => {
        const server = await startContract(t, "sio-client", { workers });
        const page = await visit(t, await startSite(t, server));
        const told = await page.evaluate(
          async ({ url, transports }) => {
            const socket = io(url, { transports, withCredentials: true, reconnection: false });
            const next = (event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
            const bytes = (buffer) => Array.from(new Uint8Array(buffer));
            const error = new Promise((_, reject) => socket.once("connect_error", reject));
            await Promise.race([next("connect"), error]);
            if (transports.length > 1 && socket.io.engine.transport.name !== "websocket")
              await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
            const told = { transport: socket.io.engine.transport.name };
            told.echo = await socket.emitWithAck("echo", { text: "ünïcode ✓ 😀", n: [1, 2.5, null, true] });
            told.binary = bytes(await socket.emitWithAck("echo", new Uint8Array([0, 255, 3])));
            told.large = (await socket.emitWithAck("echo", new Uint8Array(500_000))).byteLength;
            told.blob = bytes(await socket.emitWithAck("echo", new Blob(["abc"])));
            socket.emit("doge");
            told.doge = new TextDecoder().decode((await next("doge"))[0]);
            socket.emit("jsonblob", { hello: "lol", message: new Blob(["x"]), goodbye: "gotcha" });
            await next("jsonblob-ack");
            socket.emit("getUtf8");
            told.utf8 = (await next("takeUtf8"))[0];
            const left = next("disconnect");
            socket.disconnect();
            told.left = (await left)[0];
            return told;
          },
          { url: server.url, transports },
        );
        assert.deepEqual(told, {
          transport: transports.at(-1),
          echo: { text: "ünïcode ✓ 😀", n: [1, 2.5, null, true] },
          binary: [0, 255, 3],
          large: 500_000,
          blob: [97, 98, 99],
          doge: "asdfasdf",
          utf8: "てすと",
          left: "io client disconnect",
        });
      });
    }
  }

  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    it(`speaks MessagePack with the bundle for it over ${transports.join(", then ")}`, async (t) => {
      const server = await startContract(t, "sio-client", { workers: 2, parser: "msgpack" });
      const page = await visit(t, await startSite(t, server, "socket.io.msgpack.min.js"));
      const told = await page.evaluate(
        async ({ url, transports }) => {
          const socket = io(url, { transports, withCredentials: true, reconnection: false, auth: { a: [1] } });
          const bytes = (buffer) => Array.from(new Uint8Array(buffer));
          const error = new Promise((_, reject) => socket.once("connect_error", reject));
          await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), error]);
          const told = { auth: (await socket.emitWithAck("getHandshake")).auth };
          told.echo = await socket.emitWithAck("echo", { text: "ünïcode ✓ 😀", n: [1, 2.5, -7, 2 ** 40, null, true] });
          told.date = await socket.emitWithAck("echo", new Date(1e12));
          told.binary = bytes(await socket.emitWithAck("echo", new Uint8Array([0, 255, 3]).buffer));
          // In browsers notepack knows ArrayBuffers only; a view is an object to it.
          told.view = await socket.emitWithAck("echo", new Uint8Array([0, 255, 3]));
          told.nested = bytes((await socket.emitWithAck("echo", { deep: [new ArrayBuffer(2)] })).deep[0]);
          told.large = (await socket.emitWithAck("echo", new ArrayBuffer(500_000))).byteLength;
          socket.emit("doge");
          const [doge] = await new Promise((resolve) => socket.once("doge", (...args) => resolve(args)));
          told.doge = new TextDecoder().decode(doge);
          socket.disconnect();
          return told;
        },
        { url: server.url, transports },
      );
      assert.deepEqual(told, {
        auth: { a: [1] },
        echo: { text: "ünïcode ✓ 😀", n: [1, 2.5, -7, 2 ** 40, null, true] },
        date: "2001-09-09T01:46:40.000Z",
        binary: [0, 255, 3],
        view: { 0: 0, 1: 255, 2: 3 },
        nested: [0, 0],
        large: 500_000,
        doge: "asdfasdf",
      });
    });
  }

  for (const [name, allowed] of [
    ["lets in no other origin by default", null],
    ["lets in the origin that it was told", "self"],
    ["lets in subdomains of a pattern only", "http://*.elsewhere.example"],
    ["lets in every origin when told so", "*"],
  ]) {
    it(`the daemon ${name}, on both transports`, async (t) => {
      const data = mkdtempSync(join(tmpdir(), "convene-data-"));
      t.after(() => rmSync(data, { recursive: true, force: true }));
      // The site's address must be known before the daemon starts, and the bundle's before the site does: two daemons.
      const bundle = await startDaemon(t, join(data, "bundle"));
      const origin = await startSite(t, bundle);
      const args = allowed === null ? [] : ["--origin", allowed === "self" ? origin : allowed];
      const daemon = await startDaemon(t, join(data, "daemon"), args);
      const page = await visit(t, origin);
      for (const transport of ["polling", "websocket"]) {
        const told = await page.evaluate(
          ({ url, transport }) =>
            new Promise((resolve) => {
              const socket = io(`${url}/demo`, { transports: [transport], reconnection: false });
              socket.once("connect", () => resolve("connected"));
              socket.once("connect_error", () => resolve("refused"));
            }),
          { url: daemon.url, transport },
        );
        assert.equal(told, ["self", "*"].includes(allowed) ? "connected" : "refused", transport);
      }
    });
  }
});
