// Connection state recovery with the official client, over every transport and with both parsers, on the contract sio-recovery.
// With two workers a client comes back to whichever the kernel gives it.
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { once, startContract, within } from "./support/server.mjs";

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};
const VARIANTS = Object.entries(TRANSPORTS).flatMap(([way, transports]) => [
  { way, transports },
  { way, transports, parser: msgpack },
]);

/** Collects the arguments of every `news` event. */
function collect(socket) {
  const got = [];
  socket.on("news", (...args) => got.push(args[0]));
  return got;
}

for (const workers of [1, 2]) {
  for (const { way, transports, parser } of VARIANTS) {
    describe(`recovery over ${way}${parser ? " in MessagePack" : ""}, ${workers} worker(s)`, () => {
      let server, publisher, watcher;
      const open = new Set();
      const client = (path = "/", options = {}) => {
        const socket = io(server.url + path, {
          transports,
          parser,
          forceNew: true,
          reconnection: false,
          ...options,
        });
        open.add(socket);
        return socket;
      };
      const connected = async (...args) => {
        const socket = client(...args);
        await once(socket, "connect");
        return socket;
      };
      before(async () => {
        server = await startContract(null, "sio-recovery", { workers, parser: parser ? "msgpack" : "json" });
        publisher = await connected("/", { transports: ["websocket"] });
        watcher = await connected("/watch", { transports: ["websocket"] });
      });
      after(async () => {
        for (const socket of open) socket.disconnect();
        await server.stop();
      });
      const ask = (socket, ...args) => within(socket.emitWithAck(...args), args[0]);
      const publish = async (value, options = {}) =>
        assert.equal(await ask(publisher, "publish", { event: "news", ...options }, value), true);
      /** Ends once the server has told that the socket with this id has gone. */
      const left = (id) =>
        within(
          new Promise((resolve) => {
            const look = (which, reason) => {
              if (which !== id) return;
              watcher.off("left", look);
              resolve(reason);
            };
            watcher.on("left", look);
          }),
          `${id} to leave`,
        );
      /** The connection is lost; resolves when the server knows. */
      const lose = async (socket) => {
        const gone = left(socket.id);
        socket.io.engine.close();
        return gone;
      };
      const comeBack = async (socket) => {
        socket.connect();
        await once(socket, "connect");
      };

      it("brings back id, rooms, attributes and what was missed", async () => {
        const socket = await connected();
        const got = collect(socket);
        const { id } = socket;
        assert.equal(socket.recovered, false);
        assert.equal(await ask(socket, "join", "r"), true);
        assert.equal(await ask(socket, "attributes", { name: "Ann" }), true);
        await publish("live");
        if (got.length === 0) await once(socket, "news");
        assert.match(await lose(socket), /^(transport close|forced close|transport error)$/);
        await publish("all");
        await publish("room", { room: "r" });
        await publish("elsewhere", { room: "x" });
        await publish("volatile", { volatile: true });
        await publish("mine", { room: id });
        await comeBack(socket);
        assert.equal(socket.recovered, true);
        assert.equal(socket.id, id);
        await publish("after");
        while (got.at(-1) !== "after") await once(socket, "news");
        assert.deepEqual(got, ["live", "all", "room", "mine", "after"]);
        const me = await ask(socket, "whoami");
        assert.deepEqual(me, { id, recovered: true, worker: me.worker, rooms: ["r"], attributes: { name: "Ann" } });
        socket.disconnect();
      });

      it("recovers before any event was sent", async () => {
        const socket = await connected();
        const got = collect(socket);
        await lose(socket);
        await publish("first");
        await comeBack(socket);
        assert.equal(socket.recovered, true);
        if (got.length === 0) await once(socket, "news");
        assert.deepEqual(got, ["first"]);
        socket.disconnect();
      });

      // A polling client between two polls gets no volatile event at all.
      it("is not confused by volatile strings", { skip: way === "polling" }, async () => {
        const socket = await connected();
        const got = collect(socket);
        while (got.length === 0) {
          // until the upgrade is done
          await publish("not an offset", { volatile: true });
          await ask(socket, "whoami");
        }
        const volatile = got.length;
        await lose(socket);
        await publish("next");
        await comeBack(socket);
        assert.equal(socket.recovered, true);
        if (got.length === volatile) await once(socket, "news");
        assert.equal(got[0], "not an offset");
        assert.deepEqual(got.slice(volatile), ["next"]);
        socket.disconnect();
      });

      it("gives back binary events whole", async () => {
        const socket = await connected();
        const got = collect(socket);
        await lose(socket);
        await publish("before");
        const bytes = Buffer.from([0, 1, 2, 255]);
        await publish({ nested: [bytes] });
        await publish("behind");
        await comeBack(socket);
        while (got.length < 3) await once(socket, "news");
        assert.deepEqual(got, ["before", { nested: [bytes] }, "behind"]);
        socket.disconnect();
      });

      it("asks the middlewares again", async () => {
        const socket = await connected("/", { auth: { token: "good" } });
        const { id } = socket;
        const got = collect(socket);
        await lose(socket);
        await publish("missed");
        socket.auth = { token: "expired" };
        socket.connect();
        const [error] = await once(socket, "connect_error");
        assert.equal(error.message, "token expired");
        assert.deepEqual(error.data, { code: "expired" });
        socket.auth = { token: "good" };
        await comeBack(socket);
        assert.equal(socket.recovered, true);
        assert.equal(socket.id, id);
        if (got.length === 0) await once(socket, "news");
        assert.deepEqual(got, ["missed"]);
        await lose(socket);
        await publish("never seen");
        socket.auth = { token: "another" };
        await comeBack(socket);
        assert.equal(socket.recovered, false);
        assert.notEqual(socket.id, id);
        assert.deepEqual((await ask(socket, "whoami")).rooms, []);
        assert.deepEqual(got, ["missed"]);
        socket.disconnect();
      });

      it("does not bring back who left on purpose", async () => {
        const socket = await connected();
        const { id } = socket;
        const gone = left(id);
        socket.disconnect();
        assert.equal(await gone, "client namespace disconnect");
        await comeBack(socket);
        assert.equal(socket.recovered, false);
        assert.notEqual(socket.id, id);
        socket.disconnect();
      });

      it("takes over from a connection not known to be dead", async () => {
        const socket = await connected();
        const { id } = socket;
        const got = collect(socket);
        assert.equal(await ask(socket, "join", "r"), true);
        await publish("one");
        if (got.length === 0) await once(socket, "news");
        const gone = left(id);
        // A second client with the first one's secrets, as after a network change that nobody noticed.
        const again = client("/", { auth: { pid: socket._pid, offset: socket._lastOffset } });
        const more = collect(again);
        await once(again, "connect");
        assert.equal(await gone, "transport close");
        assert.equal(again.id, id);
        await publish("two", { room: "r" });
        if (more.length === 0) await once(again, "news");
        assert.deepEqual(more, ["two"]);
        assert.deepEqual(got, ["one"]);
        again.disconnect();
        socket.disconnect();
      });

      it("loses nothing while clients come and go", async () => {
        const COUNT = 40;
        const sockets = await Promise.all(Array.from({ length: 6 }, () => connected()));
        const logs = sockets.map(collect);
        const seen = new Set();
        for (let number = 0; number < COUNT; number++) {
          const socket = sockets[number % sockets.length];
          if (number % 3 === 0) await lose(socket);
          await publish(number);
          if (!socket.connected) {
            await comeBack(socket);
            assert.equal(socket.recovered, true);
            seen.add((await ask(socket, "whoami")).worker);
          }
        }
        for (const [i, log] of logs.entries()) {
          while (log.at(-1) !== COUNT - 1) await once(sockets[i], "news");
          assert.deepEqual(log, Array.from({ length: COUNT }, (_, k) => k));
        }
        assert.ok(seen.size >= 1 && seen.size <= workers);
        for (const socket of sockets) socket.disconnect();
      });
    });
  }
}
