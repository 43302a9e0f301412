// How connections end, and what the official client makes of each way: when it comes back by itself, and that a drain loses nothing
// that was taken on. On the contract sio-api.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { io } from "socket.io-client";
import { exchange } from "./support/raw.mjs";
import { once, startContract, within } from "./support/server.mjs";

const WAYS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

/** A client that comes back quickly. */
async function connected(t, server, transports, path = "/") {
  const socket = io(server.url + path, {
    transports,
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    timeout: 5000,
  });
  t.after(() => socket.disconnect());
  await once(socket, "connect");
  if (transports.length > 1 && socket.io.engine.transport.name !== "websocket")
    await once(socket.io.engine, "upgrade");
  return socket;
}

const ask = (socket, ...args) => within(socket.emitWithAck(...args), args[0]);

for (const [way, transports] of Object.entries(WAYS)) {
  describe(`the end of connections over ${way}`, () => {
    it("in a drain: clients come back by themselves to the server that follows", async (t) => {
      const server = await startContract(t, "sio-api", { workers: 2 });
      const sockets = [];
      for (let i = 0; i < 8; i++) sockets.push(await connected(t, server, transports));
      const ids = sockets.map(({ id }) => id);
      const ends = sockets.map((socket) => once(socket, "disconnect"));
      await ask(sockets[0], "drain", 200);
      for (const [reason] of await Promise.all(ends)) assert.equal(reason, "transport close");
      for (const socket of sockets) assert.equal(socket.active, true); // it tries
      assert.deepEqual(await server.exit(), { code: 0, signal: null });
      for (const id of ids)
        assert.match(server.output, new RegExp(`disconnect ${id}: server shutting down`));

      const backs = sockets.map((socket) => once(socket, "connect"));
      const next = await startContract(t, "sio-api", { workers: 2, port: server.port });
      await Promise.all(backs);
      for (const [i, socket] of sockets.entries()) {
        assert.notEqual(socket.id, ids[i]);
        assert.equal((await ask(socket, "whoami")).id, socket.id);
      }
      for (const socket of sockets) socket.disconnect();
      await next.stopNow();
    });

    it("in a drain: what was taken on is answered", async (t) => {
      const server = await startContract(t, "sio-api", { workers: 2 });
      const sockets = [];
      for (let i = 0; i < 6; i++) sockets.push(await connected(t, server, transports));
      const answered = new Set();
      const talk = async (socket, name) => {
        for (let i = 0; socket.connected; i++) {
          const text = `${name}-${i}-`;
          // Several at once, so that some are always on their way.
          const all = ["a", "b", "c"].map((one) =>
            socket.timeout(5000).emitWithAck("record", text + one).then(
              () => answered.add(text + one),
              () => {}, // not taken on
            ),
          );
          const gone = new Promise((resolve) => socket.once("disconnect", resolve));
          await Promise.race([Promise.all(all), gone]);
        }
      };
      const talks = sockets.map((socket, i) => talk(socket, String(i)));
      while (answered.size < 30) await new Promise((resolve) => setImmediate(resolve));
      const ends = sockets.map((socket) => once(socket, "disconnect"));
      sockets[0].emit("drain", 300);
      await within(Promise.all(talks), "everybody to be sent away");
      await Promise.all(ends);
      await server.exit();
      const recorded = [...server.output.matchAll(/^recorded (\S+)$/gm)].map(([, text]) => text);
      assert.ok(recorded.length >= 30);
      assert.deepEqual([...recorded].sort(), [...answered].sort());
    });

    it("at a stop: clients come back, too", async (t) => {
      const server = await startContract(t, "sio-api");
      const socket = await connected(t, server, transports);
      const ended = once(socket, "disconnect");
      await server.stopNow();
      assert.equal((await ended)[0], "transport close");
      assert.equal(socket.active, true);
    });

    for (const close of [false, true])
      it(`by the server${close ? " with the connection" : ""}: clients stay away`, async (t) => {
        const server = await startContract(t, "sio-api");
        const socket = await connected(t, server, transports);
        const ended = once(socket, "disconnect");
        socket.emit("sockets-disconnect", {}, close);
        assert.equal((await ended)[0], "io server disconnect");
        assert.equal(socket.active, false);
      });
  });
}

describe("while the server drains", () => {
  it("new sessions are told to come back, others are served", async (t) => {
    const server = await startContract(t, "sio-api");
    const first = await connected(t, server, ["websocket"]);
    const second = await connected(t, server, ["websocket"]);
    const ended = once(first, "disconnect"); // the oldest goes at once
    await ask(second, "drain", 3_600_000);
    assert.equal((await ended)[0], "transport close");
    const refused = await exchange(`${server.url}/socket.io/?EIO=4&transport=polling`);
    assert.equal(refused.status, 503);
    assert.equal(refused.headers["retry-after"], "3601");
    const [error] = await once(first.io, "reconnect_error");
    assert.match(error.message, /websocket error/);
    assert.equal((await ask(second, "whoami")).id, second.id);
    const other = await exchange(`${server.url}/elsewhere`);
    assert.equal(other.status, 404);
    first.disconnect();
    second.disconnect();
  });
});
