// Flow control as real clients meet it, on the contract sio-flow: a client that stops reading, over WebSocket by pausing its TCP socket,
// over polling by not polling; what it gets when it goes on, and what others get meanwhile.
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { io } from "socket.io-client";
import { Polling } from "./support/raw.mjs";
import { once, startContract, within } from "./support/server.mjs";

const ready = "no error"; // what cvn_strerror says of CVN_OK

for (const workers of [1, 2]) {
  describe(`flow control, ${workers} worker(s)`, () => {
    let server, watcher;
    const heard = []; // ["high", id, level], ["drain", id, level], ["left", id, reason]
    const waiting = [];
    const connect = async (options = {}) => {
      const socket = io(server.url, { transports: ["websocket"], forceNew: true, reconnection: false, ...options });
      await once(socket, "connect");
      return socket;
    };
    const note = (line) => {
      heard.push(line);
      for (const look of waiting.splice(0)) look();
    };
    /** What the watcher hears of `id` next. */
    const next = (id) =>
      within(
        (async () => {
          for (;;) {
            const index = heard.findIndex((line) => line[1] === id);
            if (index >= 0) return heard.splice(index, 1)[0];
            await new Promise((resolve) => waiting.push(resolve));
          }
        })(),
        `news of ${id}`,
      );
    const ask = (...args) => watcher.timeout(15000).emitWithAck(...args);
    const tcp = (socket) => socket.io.engine.transport.ws._socket;

    before(async () => {
      server = await startContract(null, "sio-flow", { workers });
      watcher = await connect();
      for (const event of ["high", "drain", "left"]) watcher.on(event, (...args) => note([event, ...args]));
      assert.equal(await ask("watch"), true);
    });
    after(async () => {
      watcher.disconnect();
      await server.stop();
    });

    it("tells of a WebSocket that stops reading, and when it has caught up; nothing is lost", async () => {
      const socket = await connect();
      const { id } = socket;
      const got = [];
      const all = new Promise((resolve) =>
        socket.on("data", (number, text) => got.push([number, text.length]) === 70 && resolve()),
      );
      tcp(socket).pause();
      socket.emit("fill", 70, 100000);
      assert.deepEqual(await next(id), ["high", id, "above"]);
      tcp(socket).resume();
      await within(all, "70 events");
      assert.deepEqual(got, Array.from({ length: 70 }, (_, i) => [i, 100000]));
      assert.deepEqual(await next(id), ["drain", id, "below"]);
      socket.disconnect();
      assert.deepEqual(await next(id), ["left", id, "client namespace disconnect"]);
    });

    it("gives a WebSocket that lags the latest of each key, attachments and all", async () => {
      const socket = await connect();
      const { id } = socket;
      const got = [];
      socket.on("latest", (key, number, bytes) => got.push([key, number, bytes]));
      tcp(socket).pause();
      socket.emit("fill", 60, 100000);
      assert.deepEqual(await next(id), ["high", id, "above"]);
      // Each in a turn of its own: the queue has been looked at in between.
      for (let i = 0; i < 50; i++) {
        const key = `k${i % 3}`;
        const bytes = key === "k1" ? [Buffer.from([i])] : [];
        assert.equal(await ask("push", id, key, i, 1, ...bytes), ready);
      }
      const last = new Promise((resolve) => {
        let rest = 60;
        socket.on("data", () => --rest === 0 && resolve());
      });
      tcp(socket).resume();
      await within(last, "60 events");
      const stats = await socket.timeout(15000).emitWithAck("stats"); // behind everything
      assert.deepEqual(got, [
        ["k0", 48, undefined],
        ["k1", 49, Buffer.from([49])],
        ["k2", 47, undefined],
      ]);
      assert.equal(stats.conflated, 47);
      assert.equal(stats.packets_out, 1 + 60 + 50);
      socket.disconnect();
    });

    it("gives a client that keeps up everything, but what one turn overtakes", async () => {
      const socket = await connect();
      const got = [];
      socket.on("latest", (key, number) => got.push(number));
      for (let i = 0; i < 20; i++) {
        const arrived = once(socket, "latest");
        assert.equal(await ask("push", socket.id, "k", i, 1), ready);
        await arrived;
      }
      assert.deepEqual(got, Array.from({ length: 20 }, (_, i) => i));
      got.length = 0;
      const end = new Promise((resolve) => socket.on("latest", (key, number) => number === 499 && resolve()));
      assert.equal(await ask("push", socket.id, "k", 0, 500), ready);
      await within(end, "the last one");
      assert.ok(got.length < 500);
      assert.deepEqual(got, [...got].sort((a, b) => a - b));
      socket.disconnect();
    });

    it("refuses keys that are none", async () => {
      const refused = await ask("push", watcher.id, "", 0, 1);
      assert.notEqual(refused, ready);
    });

    it("drops volatile events for it, and counts them", async () => {
      const socket = await connect();
      const { id } = socket;
      let maybes = 0;
      socket.on("maybe", () => maybes++);
      assert.equal(await ask("drop", id, 3), true);
      while (maybes < 3) await once(socket, "maybe");
      tcp(socket).pause();
      socket.emit("fill", 60, 100000);
      assert.deepEqual(await next(id), ["high", id, "above"]);
      assert.equal(await ask("drop", id, 10), true);
      // On another worker they are on their way yet: what follows them is not.
      assert.equal(await ask("push", id, "k", 0, 1), ready);
      const end = once(socket, "latest");
      tcp(socket).resume();
      await end;
      const stats = await socket.timeout(15000).emitWithAck("stats");
      assert.equal(maybes, 3);
      assert.equal(stats.dropped, 10);
      socket.disconnect();
    });

    it("cuts off who lets too much pile up, and says why", async () => {
      const socket = await connect();
      const { id } = socket;
      const gone = once(socket, "disconnect");
      tcp(socket).pause();
      socket.emit("fill", 300, 100000);
      assert.deepEqual((await next(id)).slice(0, 1), ["high"]);
      assert.deepEqual(await next(id), ["left", id, "slow consumer"]);
      assert.equal(await ask("watch"), true); // nobody else is hurt
      tcp(socket).resume();
      assert.match((await gone)[0], /^transport (close|error)$/);
    });

    it("does all that over polling", async () => {
      const session = await Polling.open(server.url, "/socket.io/");
      assert.equal((await session.post("40")).text, "ok");
      const id = JSON.parse((await session.get()).text.slice(2)).sid;
      await session.post('42["fill",3,100000]');
      assert.deepEqual(await next(id), ["high", id, "above"]);
      for (let i = 0; i < 9; i++)
        assert.equal(await ask("push", id, `k${i % 2}`, i, 1, ...(i % 2 ? [] : [Buffer.from([i])])), ready);
      assert.equal(await ask("drop", id, 5), true);
      // Whatever the watcher's worker has sent to the session's has arrived there before this.
      assert.equal(await ask("push", id, "last", 0, 1), ready);
      const texts = [];
      while (!texts.some((text) => text.includes('"last"'))) texts.push(...(await session.get()).text.split("\x1e"));
      const packets = texts.filter((text) => text !== "2"); // pings
      assert.equal(packets.filter((text) => text.startsWith('42["data",')).length, 3);
      assert.deepEqual(packets.slice(3), [
        '451-["latest","k0",8,{"_placeholder":true,"num":0}]',
        `b${Buffer.from([8]).toString("base64")}`,
        '42["latest","k1",7]',
        '42["latest","last",0]',
      ]);
      assert.deepEqual(await next(id), ["drain", id, "below"]);
      await session.post('42["fill",100,100000]');
      assert.deepEqual(await next(id), ["left", id, "slow consumer"]);
      assert.equal((await session.get()).status, 400);
    });

    it("counts", async () => {
      for (const transports of [["websocket"], ["polling"]]) {
        const socket = await connect({ transports });
        const before = await socket.timeout(15000).emitWithAck("stats");
        // The CONNECT packet went out; stats came in: 0["stats"], its id being 0.
        assert.equal(before.packets_out, 1);
        assert.equal(before.packets_in, 1);
        assert.equal(before.bytes_in, '20["stats"]'.length);
        assert.equal(before.bytes_out, `40{"sid":"${socket.id}"}`.length);
        assert.ok(Math.abs(before.connected_ms - Date.now()) < 60000);
        assert.equal(before.queued, 0);
        const first = once(socket, "data");
        socket.emit("fill", 1, 10);
        await first;
        const later = await socket.timeout(15000).emitWithAck("stats");
        assert.equal(later.packets_in, 3);
        assert.equal(later.packets_out, 3); // CONNECT, the first answer, the event
        assert.equal(later.events_in - before.events_in, 2);
        assert.equal(later.events_out - before.events_out, 1);
        assert.ok(later.sockets >= 2 && later.connections_total >= later.sockets);
        socket.disconnect();
        const { id } = socket;
        assert.equal(id, undefined);
      }
    });
  });
}
