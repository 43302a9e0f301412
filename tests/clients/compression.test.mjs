// Compression, judged by the official clients, Node's ws and Chromium, and by what passes on the wire: permessage-deflate (RFC 7692) on
// WebSockets, gzip and deflate on polls.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { get } from "node:http";
import { describe, it } from "node:test";
import zlib from "node:zlib";
import { Fetch, Socket } from "engine.io-client";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { startBrowser } from "./support/browser.mjs";
import { Polling, Tcp } from "./support/raw.mjs";
import { isReference, once, startContract, within } from "./support/server.mjs";
import { Tap } from "./support/tap.mjs";

const workerCounts = isReference ? [1] : [1, 2];

/** JSON with some order in it, at least `size` characters. */
function json(size) {
  const rows = [];
  for (let i = 0, length = 2; length < size; i++) {
    rows.push({ id: i, user: `user${i % 50}`, text: `message number ${(i * 7919) % 1000}`, read: i % 3 === 0 });
    length += JSON.stringify(rows.at(-1)).length + 1;
  }
  return rows;
}

async function openWs(url, perMessageDeflate, t) {
  const ws = new WebSocket(url.replace(/^http/, "ws"), { perMessageDeflate });
  t.after(() => ws.terminate());
  await once(ws, "open");
  return ws;
}

async function echo(ws, data, options = {}) {
  const answer = once(ws, "message");
  ws.send(data, options);
  const [back, isBinary] = await answer;
  assert.equal(isBinary, options.binary ?? typeof data !== "string");
  assert.ok(back.equals(Buffer.from(data)), `${data.length} came back as ${back.length}`);
}

async function ended(ws) {
  const closed = once(ws, "close");
  ws.close(1000);
  assert.equal((await closed)[0], 1000);
}

describe("ws, on ws-echo", () => {
  const offers = {
    "the usual offer": {},
    "no context takeover": { serverNoContextTakeover: true, clientNoContextTakeover: true },
    "the smallest windows": { serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
    "middle windows": { serverMaxWindowBits: 12, clientMaxWindowBits: 11 },
    "the largest windows": { serverMaxWindowBits: 15, clientMaxWindowBits: 15 },
  };
  for (const [name, offer] of Object.entries(offers)) {
    it(`echoes every size: ${name}`, async (t) => {
      const server = await startContract(t, "ws-echo", { deflate: true });
      const tap = await Tap.to(t, server.port);
      const ws = await openWs(tap.url, { ...offer, threshold: 0 }, t);
      assert.match(tap.answers[0], /\r\nSec-WebSocket-Extensions: permessage-deflate/i);
      for (const size of [0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072, 1 << 20]) {
        const text = JSON.stringify(json(size)).slice(0, size);
        await echo(ws, text);
        await echo(ws, Buffer.from(text));
      }
      await echo(ws, randomBytes(100_000));
      await echo(ws, "ünïcode ✓ 😀 ".repeat(1000));
      await ended(ws);
      assert.ok(tap.compressed("up").length >= 26, "the client compresses");
      assert.ok(tap.compressed("down").length >= 18, "the server compresses");
      const sum = (frames) => frames.reduce((total, frame) => total + frame.size, 0);
      assert.ok(sum(tap.down) < 1_000_000, `${sum(tap.down)} bytes came back`); /* of 2.6 million */
    });
  }

  it("echoes many messages in a row, as Autobahn's groups 12 and 13 do", async (t) => {
    const server = await startContract(t, "ws-echo", { deflate: true });
    const ws = await openWs(server.url, { threshold: 0 }, t);
    const count = 500;
    const payload = JSON.stringify(json(8192));
    let heard = 0;
    const all = new Promise((resolve) =>
      ws.on("message", (data) => {
        assert.equal(data.toString(), payload);
        if (++heard === count) resolve();
      }),
    );
    for (let i = 0; i < count; i++) ws.send(payload);
    await within(all, "all echoes");
    await ended(ws);
  });

  it("takes compressed messages in fragments, with pings between", async (t) => {
    const server = await startContract(t, "ws-echo", { deflate: true });
    const tap = await Tap.to(t, server.port);
    const ws = await openWs(tap.url, { threshold: 0 }, t);
    const text = JSON.stringify(json(100_000));
    const answer = once(ws, "message");
    for (let at = 0; at < text.length; at += 5000) {
      ws.send(text.slice(at, at + 5000), { fin: at + 5000 >= text.length, compress: true });
      ws.ping("between");
    }
    assert.equal((await answer)[0].toString(), text);
    assert.ok(tap.up.some((frame) => frame.opcode === 0 && !frame.fin && frame.size > 0));
    assert.equal(tap.up.find((frame) => frame.opcode === 1).rsv1, true);
    await ended(ws);
  });

  it("leaves alone whoever does not offer, and declines what it cannot do", async (t) => {
    const server = await startContract(t, "ws-echo", { deflate: true });
    const tap = await Tap.to(t, server.port);
    await ended(await openWs(tap.url, false, t));
    const text = "a".repeat(10_000);
    if (!isReference) {
      const small = await openWs(tap.url, { serverMaxWindowBits: 8, threshold: 0 }, t);
      assert.equal(small.extensions, "");
      await echo(small, text);
      await ended(small);
    }
    const plain = await openWs(tap.url, false, t);
    await echo(plain, text);
    await ended(plain);
    assert.deepEqual([...tap.compressed("up"), ...tap.compressed("down")], []);
    for (const answer of tap.answers) assert.doesNotMatch(answer, /extensions/i);
  });

  it("does not compress unless it was told to", async (t) => {
    const server = await startContract(t, "ws-echo");
    const ws = await openWs(server.url, { threshold: 0 }, t);
    assert.equal(ws.extensions, "");
    await echo(ws, "a".repeat(10_000));
    await ended(ws);
  });
});

/** A WebSocket by hand that ends with what the server said in its close frame. */
async function closeStatus(server, extension, frames) {
  const tcp = await Tcp.connect(server.port);
  await tcp.write(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      `Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n${extension}\r\n`,
  );
  await tcp.until(/\r\n\r\n/);
  for (const frame of frames) await tcp.write(frame);
  const answer = Buffer.from(await tcp.end(), "latin1");
  const close = answer.subarray(answer.indexOf("\r\n\r\n") + 4);
  assert.equal(close[0], 0x88, `no close frame at once: ${close.subarray(0, 40).toString("hex")}`);
  return close.readUInt16BE(2);
}

function frame(first, payload) {
  const size = payload.length;
  const head =
    size < 126 ? [first, 0x80 | size]
    : size < 65536 ? [first, 0x80 | 126, size >> 8, size & 255]
    : [first, 0x80 | 127, 0, 0, 0, 0, size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255];
  const key = Buffer.from([9, 8, 7, 6]);
  return Buffer.concat([Buffer.from(head), key, payload.map((byte, i) => byte ^ key[i & 3])]);
}

const OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const HELLO = Buffer.from([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
const deflate = (data) =>
  zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);

describe("violations of RFC 7692, on ws-echo", () => {
  const cases = {
    "a compressed message that was not negotiated": ["", [frame(0xc1, HELLO)], 1002],
    "a compressed ping": [OFFER, [frame(0xc9, Buffer.alloc(0))], 1002],
    "a compressed close frame": [OFFER, [frame(0xc8, Buffer.alloc(0))], 1002],
    "RSV1 on a continuation": [OFFER, [frame(0x41, HELLO.subarray(0, 3)), frame(0xc0, HELLO.subarray(3))], 1002],
    "RSV2": [OFFER, [frame(0xe1, HELLO)], 1002],
    "what is no deflate data": [OFFER, [frame(0xc1, Buffer.from("plain text here"))], 1007],
    "a reference to an earlier message": [OFFER, [frame(0xc2, Buffer.from("f200110000", "hex"))], 1007],
    "text that is no UTF-8": [OFFER, [frame(0xc1, deflate(Buffer.from([0x61, 0xff])))], 1007],
    "a bomb of 256 MB": [OFFER, () => [frame(0xc2, deflate(Buffer.alloc(256 << 20)))], 1009],
  };
  for (const [name, [extension, frames, status]] of Object.entries(cases))
    it(`${name}: ${status}`, async (t) => {
      const server = await startContract(t, "ws-echo", { deflate: true });
      const sent = typeof frames === "function" ? frames() : frames;
      assert.equal(await closeStatus(server, extension, sent), status);
    });
});

for (const workers of workerCounts) {
  describe(`engine.io-client with compression, ${workers} worker(s)`, () => {
    for (const [way, transports] of Object.entries({ websocket: ["websocket"], upgrade: ["polling", "websocket"] })) {
      it(`echoes over ${way}`, async (t) => {
        const server = await startContract(t, "eio-client", { workers, deflate: true });
        const tap = await Tap.to(t, server.port);
        const socket = new Socket(tap.url, { path: "/engine.io/", transports, perMessageDeflate: { threshold: 10 } });
        t.after(() => socket.close());
        socket.binaryType = "arraybuffer";
        const upgraded = way === "upgrade" ? once(socket, "upgrade") : null;
        assert.deepEqual(await once(socket, "message"), ["hi"]);
        await upgraded;
        const text = "ü".repeat(45); /* maxPayload is 100 bytes here */
        socket.send(text);
        assert.deepEqual(await once(socket, "message"), [text]);
        socket.send(new Uint8Array(90));
        assert.equal((await once(socket, "message"))[0].byteLength, 90);
        assert.ok(tap.compressed("up").length >= 2);
        assert.ok(tap.compressed("down").length >= 2);
        /* The bound is on what a message comes to, however small it is on the way. */
        const closed = once(socket, "close");
        socket.send("a".repeat(1000));
        assert.equal((await closed)[0], "transport close");
        assert.equal(tap.down.at(-1).opcode, 8);
      });
    }
  });

  describe(`socket.io-client with compression, ${workers} worker(s)`, () => {
    it("echoes what is large, small, binary", async (t) => {
      const server = await startContract(t, "sio-client", { workers, deflate: true });
      const tap = await Tap.to(t, server.port);
      const socket = io(tap.url, { transports: ["websocket"], reconnection: false });
      t.after(() => socket.disconnect());
      await once(socket, "connect");
      for (const size of [10, 5000, 500_000]) {
        const rows = json(size);
        assert.deepEqual(await socket.timeout(15_000).emitWithAck("echo", rows), rows);
      }
      const bytes = Buffer.alloc(200_000, "abc");
      assert.ok((await socket.timeout(15_000).emitWithAck("echo", bytes)).equals(bytes));
      const noise = randomBytes(50_000);
      assert.ok((await socket.timeout(15_000).emitWithAck("echo", noise)).equals(noise));
      assert.ok(tap.compressed("up").length >= 3);
      assert.ok(tap.compressed("down").length >= 3);
      const sum = tap.down.reduce((total, frame) => total + frame.size, 0);
      assert.ok(sum < 250_000, `${sum} bytes came`); /* of 755 000 */
    });

    it("gives each receiver of a broadcast what it takes", async (t) => {
      const server = await startContract(t, "sio-java", { workers, deflate: true });
      const taps = { compressed: await Tap.to(t, server.port), small: await Tap.to(t, server.port), plain: await Tap.to(t, server.port) };
      const options = { compressed: {}, small: { serverMaxWindowBits: 9 }, plain: false };
      const sockets = [];
      for (const [kind, perMessageDeflate] of Object.entries(options)) {
        for (let i = 0; i < 4; i++) {
          const socket = io(taps[kind].url, { transports: ["websocket"], forceNew: true, reconnection: false, perMessageDeflate });
          t.after(() => socket.disconnect());
          sockets.push(socket);
          await once(socket, "connect");
        }
      }
      const sender = sockets.shift();
      const payload = json(20_000);
      const bytes = Buffer.alloc(30_000, "xyz");
      for (let round = 0; round < 3; round++) {
        const heard = sockets.map((socket) => once(socket, "broadcastBack"));
        sender.emit("broadcast", payload, bytes);
        for (const [rows, back] of await Promise.all(heard)) {
          assert.deepEqual(rows, payload);
          assert.ok(back.equals(bytes));
        }
      }
      /* Text and attachment, three times, for each of the receivers. */
      const large = (kind) => taps[kind].down.filter((frame) => frame.opcode !== 0 && frame.size > 20);
      const isText = (frame) => frame.opcode === 1 && frame.rsv1 && frame.size > 1000;
      assert.equal(taps.compressed.down.filter(isText).length, 3 * 3);
      assert.equal(taps.small.down.filter(isText).length, 3 * 4);
      assert.equal(large("plain").filter((frame) => frame.rsv1).length, 0);
      assert.equal(large("plain").filter((frame) => frame.size >= 20_000).length, 4 * 3 * 2);
      assert.ok(large("compressed").every((frame) => frame.size < 12_000));
    });
  });

  describe(`polls, ${workers} worker(s)`, () => {
    /** A poll's answer as it is on the wire. */
    const raw = (url, headers) =>
      within(
        new Promise((resolve, reject) => {
          get(url, { headers, agent: false }, (response) => {
            const parts = [];
            response.on("data", (part) => parts.push(part));
            response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(parts) }));
          }).on("error", reject);
        }),
        "a poll",
      );
    const decoders = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync };

    for (const [accept, expected] of Object.entries({
      "gzip, deflate, br": "gzip",
      deflate: "deflate",
      "gzip;q=0.2, deflate;q=0.9": "deflate",
      "*": "gzip",
      br: undefined,
      "gzip;q=0, identity": undefined,
    })) {
      it(`are answered in ${expected ?? "plain text"} for "${accept}"`, async (t) => {
        const server = await startContract(t, "eio-echo", { workers });
        const session = await Polling.open(server.url, "/engine.io/");
        const message = `4${JSON.stringify(json(20_000))}`;
        await session.post(message);
        const { headers, body } = await raw(session.base, { "Accept-Encoding": accept });
        assert.equal(headers["content-encoding"], expected);
        if (!isReference) assert.match(headers.vary ?? "", /Accept-Encoding/);
        const text = expected ? decoders[expected](body) : body;
        assert.equal(text.toString(), message);
        if (expected) assert.ok(body.length < message.length / 3);
      });
    }

    it("below the threshold, or for who does not ask, stay as they are", async (t) => {
      const server = await startContract(t, "eio-echo", { workers });
      for (const [size, accept] of [[1000, "gzip"], [5000, undefined]]) {
        const session = await Polling.open(server.url, "/engine.io/");
        const message = `4${"m".repeat(size)}`;
        await session.post(message);
        const { headers, body } = await raw(session.base, accept ? { "Accept-Encoding": accept } : {});
        assert.equal(headers["content-encoding"], undefined);
        assert.equal(body.toString(), message);
      }
    });

    it("reach the official client compressed, when it polls with fetch", async (t) => {
      const server = await startContract(t, "eio-echo", { workers });
      let encoded = 0;
      const original = globalThis.fetch;
      globalThis.fetch = async (...args) => {
        const response = await original(...args);
        if (response.headers.get("content-encoding") === "gzip") encoded++;
        return response;
      };
      t.after(() => (globalThis.fetch = original));
      const socket = new Socket(server.url, { path: "/engine.io/", transports: [Fetch] });
      t.after(() => socket.close());
      await once(socket, "open");
      const text = JSON.stringify(json(50_000));
      for (let i = 0; i < 3; i++) {
        socket.send(text);
        assert.deepEqual(await once(socket, "message"), [text]);
      }
      assert.ok(encoded >= 3, `${encoded} answers were compressed`);
    });
  });
}

describe("Chromium with compression", () => {
  for (const transport of ["websocket", "polling"]) {
    it(`talks over ${transport}`, async (t) => {
      const server = await startContract(t, "sio-client", { deflate: true });
      const tap = await Tap.to(t, server.port);
      const browser = await startBrowser(t);
      const page = await browser.newPage();
      const encodings = [];
      page.on("response", async (response) => {
        if (response.url().includes("transport=polling")) encodings.push(await response.headerValue("content-encoding"));
      });
      /* Any page of the server's own origin will do. */
      await page.goto(`${tap.url}/socket.io/?EIO=4&transport=polling`);
      await page.addScriptTag({ path: new URL("node_modules/socket.io-client/dist/socket.io.js", import.meta.url).pathname });
      const rows = json(100_000);
      const told = await page.evaluate(
        async ({ transport, rows }) => {
          const socket = io({ transports: [transport], reconnection: false });
          await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
          const back = await socket.emitWithAck("echo", rows);
          const bytes = await socket.emitWithAck("echo", new Uint8Array(100_000).fill(7));
          socket.disconnect();
          return { same: JSON.stringify(back) === JSON.stringify(rows), sum: new Uint8Array(bytes).reduce((a, b) => a + b, 0) };
        },
        { transport, rows },
      );
      assert.deepEqual(told, { same: true, sum: 700_000 });
      if (transport === "websocket") {
        assert.match(tap.answers[0], /permessage-deflate/);
        assert.ok(tap.compressed("up").length >= 2, "Chromium compresses");
        assert.ok(tap.compressed("down").length >= 2, "the server compresses");
        assert.ok(tap.down.every((frame) => frame.size < 60_000));
      } else {
        assert.ok(encodings.includes("gzip"), String(encodings));
      }
    });
  }
});
