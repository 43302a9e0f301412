// docs/websocket-troubleshooting.md: what it says the server answers, it answers.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { exchange, Polling, RawSocket, Tcp } from "./support/raw.mjs";
import { startDaemon, within } from "./support/server.mjs";

const page = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "../../docs/websocket-troubleshooting.md"), "utf8");
const HANDSHAKE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "convene-troubles-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The page must have the words. */
function said(...words) {
  for (const word of words) assert.ok(page.includes(word), `the page does not say "${word}"`);
}

async function raw(port, head) {
  const tcp = await Tcp.connect(port);
  await tcp.write(head);
  const text = await tcp.until(/\r\n\r\n/);
  tcp.destroy();
  return Number(/^HTTP\/1\.1 (\d+)/.exec(text)[1]);
}

test("refusals before a connection", async (t) => {
  const server = await startDaemon(t, folder(t));
  const base = `${server.url}/socket.io/?EIO=4&transport=`;
  const expect = async (answer, status, code, message) => {
    said(`| ${status}, ${code}, \`${message}\` |`);
    assert.equal(answer.status, status);
    assert.deepEqual(JSON.parse(answer.text), { code, message });
  };
  assert.match((await exchange(`${base}polling`)).text, /^0\{"sid":"/);
  await expect(await exchange(`${base}carrier-pigeon`), 400, 0, "Transport unknown");
  await expect(await exchange(`${base}polling&sid=AAAAAAAAAAAAAAAAAAAA`), 400, 1, "Session ID unknown");
  await expect(await exchange(`${base}websocket`), 400, 3, "Bad request");
  await expect(await exchange(`${base}polling`, { headers: { Origin: "https://evil.example" } }), 403, 4, "Forbidden");
  await expect(await exchange(`${server.url}/socket.io/?EIO=3&transport=polling`), 400, 5, "Unsupported protocol version");
  assert.equal((await exchange(`${base}polling`, { headers: { Origin: server.url } })).status, 200);
  assert.equal((await exchange(`${server.url}/sockets/?EIO=4&transport=polling`)).status, 404);
});

test("command 3, as it is and through proxies that break it", async (t) => {
  const server = await startDaemon(t, folder(t));
  const line = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.";
  assert.equal(await raw(server.port, `${line}1\r\nHost: a\r\n${HANDSHAKE}\r\n`), 101);
  assert.equal(await raw(server.port, `${line}0\r\nHost: a\r\n${HANDSHAKE}\r\n`), 400);
  assert.equal(await raw(server.port, `${line}1\r\nHost: a\r\n\r\n`), 400);
  assert.equal(await raw(server.port, `${line}1\r\nHost: a\r\nOrigin: https://evil.example\r\n${HANDSHAKE}\r\n`), 403);
});

test("long polling switched off", async (t) => {
  const server = await startDaemon(t, folder(t), ["--no-server-polling"]);
  const answer = await exchange(`${server.url}/socket.io/?EIO=4&transport=polling`);
  assert.deepEqual([answer.status, JSON.parse(answer.text).code], [400, 0]);
});

test("too many attempts", async (t) => {
  const server = await startDaemon(t, folder(t), ["--limits-connections-per-ip", "1/h", "--server-drain-time", "0s"]);
  let answer;
  for (let i = 0; i < 5 && answer?.status !== 429; i++) answer = await exchange(`${server.url}/socket.io/?EIO=4&transport=polling`);
  said("| 429, 4, `Too many connection attempts` |", "`Retry-After` says when");
  assert.equal(answer.status, 429);
  assert.deepEqual(JSON.parse(answer.text), { code: 4, message: "Too many connection attempts" });
  assert.ok(Number(answer.headers["retry-after"]) > 0);
});

test("a namespace that is not there", async (t) => {
  const server = await startDaemon(t, folder(t));
  const socket = io(`${server.url}/nowhere`, { reconnection: false, forceNew: true });
  const [error] = await within(new Promise((resolve) => socket.on("connect_error", (...args) => resolve(args))));
  said("`Invalid namespace`");
  assert.equal(error.message, "Invalid namespace");
  socket.close();
});

test("messages that are too large", async (t) => {
  said("closed with 1009", "answered with 413");
  const server = await startDaemon(t, folder(t), ["--server-max-payload", "10kB"]);
  const socket = await RawSocket.engine(server.url, "/socket.io/").opened();
  socket.send(`4${"x".repeat(20_000)}`);
  assert.equal((await socket.end()).code, 1009);
  const polling = await Polling.open(server.url, "/socket.io/");
  assert.equal((await polling.post(`4${"x".repeat(20_000)}`)).status, 413);
});

test("reasons that a client hears", async (t) => {
  const server = await startDaemon(t, folder(t), ["--server-ping-interval", "200ms", "--server-ping-timeout", "200ms"]);
  // Somebody between who swallows everything, once asked to: the network died.
  let dead = false;
  const sockets = new Set();
  const between = net.createServer((client) => {
    const upstream = net.connect(server.port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    client.on("data", (piece) => dead || upstream.write(piece));
    upstream.on("data", (piece) => dead || client.write(piece));
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => dead || client.destroy());
  });
  await new Promise((resolve) => between.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    between.close();
  });
  const socket = io(`http://127.0.0.1:${between.address().port}/demo`, { transports: ["websocket"], reconnection: false, forceNew: true });
  await within(new Promise((resolve) => socket.on("connect", resolve)));
  const lost = new Promise((resolve) => socket.on("disconnect", resolve));
  dead = true;
  assert.equal(await within(lost), "ping timeout");
  said("`ping timeout`");
});

test("packets of another kind", async (t) => {
  const server = await startDaemon(t, folder(t), ["--server-msgpack"]);
  const socket = io(`${server.url}/demo`, { transports: ["websocket"], reconnection: false, forceNew: true });
  const closed = new Promise((resolve) => socket.io.engine.on("close", resolve));
  await within(closed); // it never gets in
  assert.equal(socket.connected, false);
});
