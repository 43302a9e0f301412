// What the server's API does with many sockets, dynamic namespaces, listeners and middlewares, seen by
// official clients on the contract sio-api, and that docs/api-map.md leaves nothing of the reference out.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, it, before, after } from "node:test";
import { io } from "socket.io-client";
import { Polling, connectRaw } from "./support/raw.mjs";
import { once, startContract, within } from "./support/server.mjs";

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"] };

/** Keeps what comes until it is asked for. */
class Inbox {
  #items = [];
  #waiting = [];

  constructor(emitter, event) {
    emitter.on(event, (...args) => {
      this.#items.push(args);
      for (const look of this.#waiting) look();
    });
  }

  /** The next item that `wanted` accepts, waited for; it is taken out. */
  next(wanted = () => true, what = "an item") {
    return within(
      new Promise((resolve) => {
        const look = () => {
          const index = this.#items.findIndex(wanted);
          if (index < 0) return;
          this.#waiting = this.#waiting.filter((other) => other !== look);
          resolve(this.#items.splice(index, 1)[0]);
        };
        this.#waiting.push(look);
        look();
      }),
      what,
    );
  }

  /** What is there now and has not been taken. */
  get items() {
    return this.#items;
  }
}

for (const workers of [1, 2]) {
  for (const [way, transports] of Object.entries(TRANSPORTS)) {
    describe(`the server's API over ${way}, ${workers} worker(s)`, () => {
      let server, saw;
      const open = new Set();

      const client = (path = "/", options = {}) => {
        const socket = io(server.url + path, {
          transports,
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
      const ask = (socket, ...args) => within(socket.emitWithAck(...args), args[0]);
      const ok = async (...args) => assert.equal(await ask(...args), "ok");
      /** `count` clients, at least one on each worker: the kernel chooses, so those too many go again. */
      const crowd = async (count, path = "/") => {
        const all = [];
        const isFirst = ({ worker }, i) => all.findIndex((one) => one.worker === worker) === i;
        while (all.length < count || all.filter(isFirst).length < workers) {
          assert.ok(all.length < 60, "the kernel gives all connections to one worker");
          const socket = await connected(path);
          all.push({ socket, worker: (await ask(socket, "whoami")).worker });
        }
        const others = all.filter((one, i) => !isFirst(one, i));
        const sockets = [...all.filter(isFirst), ...others].map(({ socket }) => socket);
        for (const socket of sockets.slice(count)) {
          const { id } = socket;
          socket.disconnect();
          await saw.next(([kind, , gone]) => kind === "disconnect" && gone === id, "a leave");
        }
        return sockets.slice(0, count);
      };
      const leave = (sockets) => sockets.forEach((socket) => socket.disconnect());
      /** Nothing that was emitted before is still on its way: everybody answers behind it. */
      const settle = async (sockets) => {
        for (const socket of sockets) await ask(socket, "fetch", {});
        for (const socket of sockets) await ask(socket, "whoami");
      };

      before(async () => {
        server = await startContract(null, "sio-api", { workers });
        saw = new Inbox(await connected("/watch", { transports: ["websocket"] }), "saw");
      });
      after(async () => {
        for (const socket of open) socket.disconnect();
        await server.stop();
      });

      describe("a request that gets no session", () => {
        // What the reference's engine tells with "connection_error": code, message, and of its context the name or the message.
        const refused = () => saw.next(([kind]) => kind === "refused", "a refusal");
        const tagged = { "x-tag": "abc" };
        const transport = transports[0];

        it("is told of when allow_request says no", async () => {
          const socket = client("/", { query: { deny: 1 }, extraHeaders: tagged });
          const error = await once(socket, "connect_error");
          assert.match(error[0].message, transport === "polling" ? /xhr poll error/ : /websocket error/);
          const status = transport === "polling" ? 403 : 400;
          assert.deepEqual(await refused(), [
            "refused", 4, status, "Forbidden", "denied", "GET", "/socket.io/", transport, "abc", "127.0.0.1",
          ]);
          socket.disconnect();
        });

        it("is told of with the reference's code", async () => {
          const base = `${server.url}/socket.io/`;
          const cases = [
            ["?EIO=4&transport=carrier-pigeon", {}, [0, 400, "Transport unknown", "", "GET"]],
            ["?EIO=4&transport=polling&sid=none", {}, [1, 400, "Session ID unknown", "", "GET"]],
            ["?EIO=4&transport=polling", { method: "POST", body: "40" }, [2, 400, "Bad handshake method", "", "POST"]],
            ["?EIO=4&transport=websocket", {}, [3, 400, "Bad request", "TRANSPORT_HANDSHAKE_ERROR", "GET"]],
            ["?EIO=4&transport=polling&deny=1", {}, [4, 403, "Forbidden", "denied", "GET"]],
            ["?EIO=3&transport=polling", {}, [5, 400, "Unsupported protocol version", "", "GET"]],
          ];
          for (const [query, options, told] of cases) {
            const answer = await fetch(base + query, { headers: tagged, ...options });
            const [code, status, message, reason] = told;
            assert.equal(answer.status, status, query);
            assert.deepEqual(await answer.json(), { code, message: code === 4 ? reason : message });
            const name = new URLSearchParams(query).get("transport");
            assert.deepEqual(await refused(), ["refused", ...told, "/socket.io/", name, "abc", "127.0.0.1"]);
          }
        });
      });

      describe("dynamic namespaces", () => {
        it("come into being with their first socket and go with their last", async () => {
          const root = await connected();
          assert.equal(await ask(root, "exists", "/dynamic-101"), false);
          const sockets = await crowd(3, "/dynamic-101");
          assert.equal(await ask(root, "exists", "/dynamic-101"), true);
          for (const socket of sockets) {
            const me = await ask(socket, "whoami");
            assert.equal(me.nsp, "/dynamic-101");
            assert.equal(me.parent, "^/dynamic-[0-9]+$");
            assert.equal(me.id, socket.id);
          }
          leave(sockets);
          const exists = () => ask(root, "exists", "/dynamic-101");
          await until(async () => !(await exists()), "the namespace to go");
          leave([root]);
        });

        it("have rooms and sockets of their own", async () => {
          const ones = await crowd(2, "/dynamic-1");
          const twos = await crowd(2, "/dynamic-2");
          const inboxes = [...ones, ...twos].map((socket) => new Inbox(socket, "news"));
          for (const socket of [...ones, ...twos]) await ok(socket, "join", "room");
          await ok(ones[0], "emit", { rooms: ["room"] }, "news", 1);
          await ok(twos[0], "emit", {}, "news", 2);
          for (const [i, inbox] of inboxes.entries())
            assert.deepEqual(await inbox.next(), [i < ones.length ? 1 : 2]);
          await settle([...ones, ...twos]);
          for (const inbox of inboxes) assert.deepEqual(inbox.items, []);
          const { sockets } = await ask(ones[0], "fetch", {});
          assert.deepEqual(ids(sockets), ids(ones));
          leave([...ones, ...twos]);
        });

        it("are all reached by their parent", async () => {
          const ones = await crowd(2, "/dynamic-1");
          const twos = await crowd(2, "/dynamic-2");
          const root = await connected();
          const inboxes = [...ones, ...twos].map((socket) => new Inbox(socket, "news"));
          await ok(root, "emit", { nsp: "parent" }, "news", { to: "all" });
          for (const inbox of inboxes) assert.deepEqual(await inbox.next(), [{ to: "all" }]);
          await ok(root, "sockets-join", { nsp: "parent" }, "r");
          await until(async () => {
            const all = await Promise.all([...ones, ...twos].map((s) => ask(s, "whoami")));
            return all.every(({ rooms }) => rooms.includes("r"));
          }, "everybody to have joined");
          const gone = [...ones, ...twos].map((socket) => once(socket, "disconnect"));
          await ok(root, "sockets-disconnect", { nsp: "parent", rooms: ["r"] }, false);
          for (const promise of gone) assert.equal((await promise)[0], "io server disconnect");
          assert.equal((await ask(root, "fetch", { nsp: "parent" })).error, "invalid argument");
          leave([root]);
        });

        it("are refused where no parent wants them, and names that are registered win", async () => {
          const refused = async (path, auth) => {
            const [error] = await once(client(path, { auth }), "connect_error");
            return error.message;
          };
          assert.equal(await refused("/dynamic-"), "Invalid namespace");
          assert.equal(await refused("/dynamic-12x"), "Invalid namespace");
          assert.equal(await refused("/x/dynamic-1"), "Invalid namespace");
          const own = await connected("/dynamic-0");
          const silence = own.timeout(500).emitWithAck("whoami").catch(() => "nobody listens");
          assert.equal(await silence, "nobody listens");
          leave([own]);
        });

        it("a predicate judges each client by what it brings", async () => {
          const anna = await connected("/key-anna", { auth: { key: "anna" } });
          assert.equal((await ask(anna, "whoami")).nsp, "/key-anna");
          const ben = client("/key-anna", { auth: { key: "ben" } });
          const [error] = await once(ben, "connect_error");
          assert.equal(error.message, "Invalid namespace");
          const again = await connected("/key-anna", { auth: { key: "anna" } });
          assert.deepEqual(ids((await ask(again, "fetch", {})).sockets), ids([anna, again]));
          leave([anna, again]);
        });

        it("may be so many and no more", async () => {
          const manager = (await connected()).io;
          const sockets = [];
          let full = 0;
          for (let i = 0; i < 25; i++) {
            const socket = manager.socket(`/dynamic-${1000 + i}`);
            sockets.push(socket);
            const outcome = await within(
              new Promise((resolve) => {
                socket.once("connect", () => resolve("connect"));
                socket.once("connect_error", (error) => resolve(error.message));
              }),
            );
            if (outcome === "connect") continue;
            assert.equal(outcome, "Too many namespaces");
            full++;
          }
          assert.ok(full >= 5, `${full} were refused`);
          leave(sockets);
          const root = await connected();
          for (let i = 0; i < 25; i++) {
            const exists = () => ask(root, "exists", `/dynamic-${1000 + i}`);
            await until(async () => !(await exists()), "all to go");
          }
          leave([root, await connected("/dynamic-2000")]);
        });
      });

      describe("event middlewares", () => {
        it("let pass, deny with an answer, or swallow", async () => {
          const socket = await connected();
          assert.deepEqual(await ask(socket, "app:denied", 1), { error: "denied" });
          socket.emit("app:swallowed", 2);
          socket.emit("app:passed", 3, { x: [4] });
          const first = await saw.next(([kind, , id]) => kind === "in" && id === socket.id);
          assert.deepEqual(first, ["in", "/", socket.id, "app:passed", 3, { x: [4] }]);
          leave([socket]);
        });
      });

      describe("catch-all listeners", () => {
        it("hear what comes in", async () => {
          const socket = await connected("/dynamic-7");
          socket.emit("app:bytes", Buffer.from([1, 2]));
          socket.emit("app:none");
          const { id } = socket;
          const next = () => saw.next(([kind, , from]) => kind === "in" && from === id);
          const placeholder = { _placeholder: true, num: 0 };
          assert.deepEqual(await next(), ["in", "/dynamic-7", id, "app:bytes", placeholder]);
          assert.deepEqual(await next(), ["in", "/dynamic-7", id, "app:none"]);
          leave([socket]);
        });

        it("hear what goes out, once for each receiver", async () => {
          const sockets = await crowd(3);
          const inboxes = sockets.map((socket) => new Inbox(socket, "app:news"));
          for (const socket of sockets) await ok(socket, "join", "hear");
          const target = { rooms: ["hear"], except: [sockets[0].id] };
          await ok(sockets[0], "emit", target, "app:news", "hello");
          for (const inbox of inboxes.slice(1)) assert.deepEqual(await inbox.next(), ["hello"]);
          const told = [];
          for (let i = 1; i < sockets.length; i++) {
            const [, nsp, id, ...rest] = await saw.next(([kind]) => kind === "out");
            assert.deepEqual([nsp, ...rest], ["/", "app:news", "hello"]);
            told.push(id);
          }
          assert.deepEqual(told.sort(), ids(sockets.slice(1)));
          await settle(sockets);
          assert.deepEqual(saw.items.filter(([kind]) => kind === "out"), []);
          leave(sockets);
        });
      });

      describe("many sockets", () => {
        let sockets, inboxes;
        before(async () => {
          sockets = await crowd(4);
          inboxes = sockets.map((socket) => new Inbox(socket, "news"));
        });
        after(() => leave(sockets));

        /** Emits, and says which of the sockets got it; nobody twice. */
        const reached = async (target, value, from = sockets[0]) => {
          await ok(from, "emit", target, "news", value);
          await settle(sockets);
          return inboxes.map((inbox) => {
            const got = inbox.items.splice(0).map(([x]) => x);
            assert.ok(got.length <= 1 && got.every((x) => x === value), JSON.stringify(got));
            return got.length;
          });
        };

        it("join and leave rooms", async () => {
          await ok(sockets[0], "sockets-join", { rooms: [sockets[1].id, sockets[3].id] }, "odd");
          assert.deepEqual(await reached({ rooms: ["odd"] }, 1), [0, 1, 0, 1]);
          await ok(sockets[0], "sockets-join", {}, "all");
          assert.deepEqual(await reached({ rooms: ["all", "odd"] }, 2), [1, 1, 1, 1]);
          assert.deepEqual(await reached({ rooms: ["all"], except: ["odd"] }, 3), [1, 0, 1, 0]);
          assert.deepEqual(await reached({ except: ["all"] }, 4), [0, 0, 0, 0]);
          await ok(sockets[0], "sockets-leave", { except: [sockets[3].id] }, "odd");
          assert.deepEqual(await reached({ rooms: ["odd"] }, 5), [0, 0, 0, 1]);
          await ok(sockets[0], "sockets-leave", {}, "odd");
          assert.deepEqual(await reached({ rooms: ["odd"] }, 6), [0, 0, 0, 0]);
          assert.equal(await ask(sockets[0], "sockets-join", {}, ""), "invalid argument");
        });

        it("get what is for the others, and what is local", async () => {
          await ok(sockets[2], "others", null, "news", "others");
          await settle(sockets);
          assert.deepEqual(inboxes.map((inbox) => inbox.items.splice(0).length), [1, 1, 0, 1]);
          assert.deepEqual(await reached({ flags: ["local"] }, "local"), [1, 1, 1, 1]);
          const all = await Promise.all(sockets.map((socket) => ask(socket, "whoami")));
          assert.deepEqual(
            await reached({ flags: ["local worker"] }, "near"),
            all.map(({ worker }) => (worker === all[0].worker ? 1 : 0)),
          );
        });

        it("are looked at", async () => {
          await ok(sockets[1], "attributes", { name: "Ben", tags: ["a"] });
          await ok(sockets[1], "join", "looked at");
          const answer = await ask(sockets[0], "fetch", { rooms: ["looked at"] });
          assert.equal(answer.error, "ok");
          assert.equal(answer.sockets.length, 1);
          const [ben] = answer.sockets;
          assert.equal(ben.id, sockets[1].id);
          assert.deepEqual(ben.attributes, { name: "Ben", tags: ["a"] });
          assert.ok(ben.rooms.includes("looked at") && ben.rooms[0] === ben.id);
          assert.equal(ben.worker, (await ask(sockets[1], "whoami")).worker);
          assert.equal(ben.handshake.query.transport, transports[0]);
          const all = await ask(sockets[0], "fetch", {});
          for (const socket of sockets) assert.ok(ids(all.sockets).includes(socket.id));
          assert.deepEqual((await ask(sockets[0], "fetch", { rooms: ["nobody"] })).sockets, []);
        });

        it("acknowledge, all of them or those that do in time", async () => {
          for (const [i, socket] of sockets.entries())
            socket.on("question", (x, answer) => {
              if (x !== "silence" || i !== 2) answer(x, i);
            });
          for (const socket of sockets) await ok(socket, "join", "asked");
          await settle(sockets);
          const all = await ask(sockets[0], "ask", { rooms: ["asked"] }, 15000, "question", "all");
          assert.equal(all.error, "ok");
          assert.equal(all.asked, 4);
          assert.deepEqual(ids(all.answers), ids(sockets));
          for (const { id, args } of all.answers)
            assert.deepEqual(args, ["all", sockets.findIndex((s) => s.id === id)]);
          const target = { rooms: ["asked"] };
          const some = await ask(sockets[0], "ask", target, 700, "question", "silence");
          assert.equal(some.error, "timed out");
          assert.equal(some.asked, 4);
          assert.ok(some.answers.length <= 3);
          assert.ok(!ids(some.answers).includes(sockets[2].id));
          const none = await ask(sockets[0], "ask", { rooms: ["nobody"] }, 1000, "question", 1);
          assert.deepEqual(none, { error: "ok", asked: 0, answers: [] });
        });

        it("do without what is volatile when they cannot take it", async () => {
          const session = await Polling.open(server.url, "/socket.io/");
          await session.post("40");
          const { sid } = JSON.parse((await session.get()).text.slice(2));
          await ok(sockets[0], "emit", { rooms: [sid], flags: ["volatile"] }, "news", "dropped");
          await ok(sockets[0], "emit", { rooms: [sid] }, "news", "kept");
          await settle(sockets);
          const { text } = await session.get();
          const packets = text.split("\x1e").filter((packet) => packet !== "2");
          assert.deepEqual(packets, ['42["news","kept"]']);
          const poll = session.get();
          await until(async () => {
            await ok(sockets[0], "emit", { rooms: [sid], flags: ["volatile"] }, "news", "taken");
            return Promise.race([poll.then(() => true), settle(sockets).then(() => false)]);
          }, "a volatile event to be taken");
          assert.match((await poll).text, /42\["news","taken"\]|^2$/);
          await session.post("41");
        });

        it("are disconnected", async () => {
          const gone = once(sockets[3], "disconnect");
          await ok(sockets[0], "sockets-disconnect", { rooms: [sockets[3].id] }, true);
          assert.equal((await gone)[0], "io server disconnect");
          await settle(sockets.slice(0, 3));
          assert.ok(sockets.slice(0, 3).every((socket) => socket.connected));
        });
      });

      describe("the reason of an end", () => {
        /** What the server's handlers are told when `act` ends the socket with this id. */
        const reason = async (id, act, rooms = [id, "last"]) => {
          await act();
          const wanted = (what) => ([kind, , which]) => kind === what && which === id;
          const [, , , first, before] = await saw.next(wanted("disconnecting"), "the end");
          const [, , , second, after] = await saw.next(wanted("disconnect"), "the end");
          assert.equal(first, second);
          assert.deepEqual(before.sort(), [...rooms].sort());
          assert.deepEqual(after, []);
          return first;
        };
        const official = async () => {
          const socket = await connected();
          await ok(socket, "join", "last");
          return socket;
        };
        /** A client by hand, which answers no ping by itself. */
        const raw = async () => {
          const socket = await connectRaw(server.url);
          socket.id = JSON.parse((await socket.nextMessage()).slice(2)).sid;
          return socket;
        };

        it("transport close", async () => {
          const socket = await official();
          const { id } = socket;
          assert.equal(await reason(id, () => socket.io.engine.close()), "transport close");
        });

        it("client namespace disconnect", async () => {
          const socket = await official();
          const other = socket.io.socket("/dynamic-5"); // so that the connection stays
          await once(other, "connect");
          const { id } = socket;
          assert.equal(await reason(id, () => socket.disconnect()), "client namespace disconnect");
          assert.ok(other.connected);
          leave([other]);
        });

        it("server namespace disconnect", async () => {
          for (const close of [false, true]) {
            const socket = await official();
            const { id } = socket;
            const act = () => socket.emit("sockets-disconnect", { rooms: [id] }, close);
            assert.equal(await reason(id, act), "server namespace disconnect");
          }
        });

        it("ping timeout", async () => {
          const socket = await raw();
          assert.equal(await reason(socket.id, () => {}, [socket.id]), "ping timeout");
          await socket.end();
        });

        it("transport error", async () => {
          const socket = await raw();
          const act = () => socket.send("2"); // a ping is the server's to send
          assert.equal(await reason(socket.id, act, [socket.id]), "transport error");
          await socket.end();
        });

        it("parse error", async () => {
          for (const packet of ["4?", '42{"not":"an array"}', '42["connect"]', "4", "40", "7"]) {
            const socket = await raw();
            const act = () => socket.send(packet);
            assert.equal(await reason(socket.id, act, [socket.id]), "parse error", packet);
            await socket.end();
          }
        });

        it("slow consumer", async () => {
          const socket = await raw();
          const act = () => {
            socket.send('42["flood",1000]'); // 100 MB, more than the kernel takes
            socket.ws.pause();
          };
          assert.equal(await reason(socket.id, act, [socket.id]), "slow consumer");
          socket.ws.terminate();
        });
      });
    });
  }
}

/** Asks until the answer is yes. */
async function until(question, what) {
  await within(
    (async () => {
      while (!(await question())) await new Promise((resolve) => setImmediate(resolve));
    })(),
    what,
  );
}

const ids = (sockets) => sockets.map(({ id }) => id).sort();

describe("the end of the server", () => {
  it("is the reason that handlers are told", async (t) => {
    const server = await startContract(t, "sio-api", { workers: 2 });
    const socket = io(server.url, { transports: ["websocket"], reconnection: false });
    await once(socket, "connect");
    const { id } = socket;
    await server.stopNow();
    assert.match(server.output, new RegExp(`disconnecting ${id}: server shutting down`));
    assert.match(server.output, new RegExp(`disconnect ${id}: server shutting down`));
    socket.disconnect();
  });
});

describe("docs/api-map.md", () => {
  const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
  const modules = join(root, "tests/clients/node_modules");
  const page = readFileSync(join(root, "docs/api-map.md"), "utf8");
  const map = page.replace(/^```[^]*?^```$/gm, "");
  const quoted = new Set([...map.matchAll(/`([^`]+)`/g)].flatMap(([, text]) => text.match(/\w+/g)));
  for (const file of [
    "socket.io/dist/index.d.ts",
    "socket.io/dist/namespace.d.ts",
    "socket.io/dist/socket.d.ts",
    "socket.io/dist/broadcast-operator.d.ts",
    "socket.io/dist/socket-types.d.ts",
    "engine.io/build/server.d.ts",
  ])
    it(`tells of every public member in ${file}`, () => {
      const names = [...readFileSync(join(modules, file), "utf8").matchAll(
        /^ {4}(?:readonly |get |static )*([a-zA-Z]\w*)\??(?:<.*?>)?[:(]/gm,
      )].map(([, name]) => name);
      assert.ok(names.length > 5);
      assert.deepEqual([...new Set(names)].filter((name) => !quoted.has(name)), []);
    });
});
