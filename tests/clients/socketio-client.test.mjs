// The official client of Socket.IO, over every transport, on the contracts sio-client and sio-java.
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { describe, it, before, after } from "node:test";
import { io } from "socket.io-client";
import { RawSocket } from "./support/raw.mjs";
import { isReference, once, startContract, within } from "./support/server.mjs";

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

for (const workers of isReference ? [1] : [1, 2]) {
  for (const [way, transports] of Object.entries(TRANSPORTS)) {
    describe(`socket.io-client over ${way}, ${workers} worker(s)`, () => {
      let server, java;
      const open = new Set();
      before(async () => {
        server = await startContract(null, "sio-client", { workers });
        java = await startContract(null, "sio-java", { workers });
      });
      after(async () => {
        for (const socket of open) socket.disconnect();
        await server.stop();
        await java.stop();
      });

      const client = (path = "/", options = {}, target = server) => {
        const socket = io(target.url + path, { transports, forceNew: true, reconnection: false, ...options });
        open.add(socket);
        return socket;
      };
      const connected = async (...args) => {
        const socket = client(...args);
        socket.once("connect_error", (error) => socket.emitReserved?.("failed", error));
        await once(socket, "connect");
        return socket;
      };

      it("connects, with an id of its own", async () => {
        const socket = await connected();
        assert.match(socket.id, /^.{20}$/);
        assert.notEqual(socket.id, socket.io.engine.id);
        assert.equal(await socket.timeout(5000).emitWithAck("getId"), socket.id);
        if (way === "upgrade" && socket.io.engine.transport.name !== "websocket")
          await once(socket.io.engine, "upgrade");
        assert.equal(socket.io.engine.transport.name, way === "polling" ? "polling" : "websocket");
        socket.disconnect();
      });

      it("emits both ways", async () => {
        const socket = await connected();
        socket.emit("hi");
        await once(socket, "hi");
        socket.emit("false");
        const [value, ...rest] = await once(socket, "false");
        assert.equal(value, false);
        // With recovery an event ends with its offset, as the reference's does.
        assert.equal(rest.length, 1);
        assert.equal(typeof rest[0], "string");
        socket.disconnect();
      });

      it("receives UTF-8", async () => {
        const socket = await connected();
        const got = [];
        const all = new Promise((resolve) =>
          socket.on("takeUtf8", (text) => got.push(text) === 5 && resolve()),
        );
        socket.emit("getUtf8");
        await within(all, "five texts");
        assert.deepEqual(got, ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]);
        socket.disconnect();
      });

      it("receives dates", async () => {
        const socket = await connected();
        socket.emit("getDate");
        assert.ok(!Number.isNaN(Date.parse((await once(socket, "takeDate"))[0])));
        socket.emit("getDateObj");
        assert.ok(!Number.isNaN(Date.parse((await once(socket, "takeDateObj"))[0].date)));
        assert.match(await socket.timeout(5000).emitWithAck("getAckDate"), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
        socket.disconnect();
      });

      it("gets acknowledgements, of all kinds of values", async () => {
        const socket = await connected();
        for (const value of [1, "a", null, true, [], {}, { a: { b: [1, { c: "\ud83d\ude00" }] } }, "\u2028\u0000", -0.5, "x".repeat(100000)])
          assert.deepEqual(await socket.timeout(5000).emitWithAck("echo", value), value);
        socket.disconnect();
      });

      it("gives acknowledgements", async () => {
        const socket = await connected();
        socket.once("ack", (ack) => ack(5, { test: true }));
        socket.emit("ack");
        await once(socket, "got it");
        socket.disconnect();
      });

      it("carries binary both ways", async () => {
        const socket = await connected();
        socket.emit("getbin");
        assert.deepEqual((await once(socket, "takebin"))[0], Buffer.from("asdfasdf"));
        socket.emit("doge");
        assert.deepEqual((await once(socket, "doge"))[0], Buffer.from("asdfasdf"));
        socket.emit("buffa", Buffer.from("asdfasdf"));
        await once(socket, "buffack");
        socket.emit("jsonbuff", { hello: "lol", message: Buffer.from("x"), goodbye: "gotcha" });
        await once(socket, "jsonbuff-ack");
        socket.emit("jsonblob", { hello: "lol", message: Buffer.from("x"), goodbye: "gotcha" });
        await once(socket, "jsonblob-ack");
        socket.emit("abuff1", Buffer.from("asdfasdf"));
        socket.emit("abuff2", "please arrive second");
        await once(socket, "abuff2-ack");
        socket.emit("blob", Buffer.from("hello"));
        await once(socket, "back");
        socket.emit("blob1", Buffer.from("hello"));
        socket.emit("blob2", "second");
        socket.emit("blob3", Buffer.from("blob3"));
        await once(socket, "blob3-ack");
        const large = Buffer.alloc(500000, 0xa5);
        assert.deepEqual(await socket.timeout(10000).emitWithAck("echo", large), large);
        const empty = Buffer.alloc(0);
        assert.deepEqual(await socket.timeout(5000).emitWithAck("echo", empty), empty);
        socket.disconnect();
      });

      it("keeps the order of many, binary among them, through the upgrade", async () => {
        const socket = client();
        const answers = [];
        for (let i = 0; i < 300; i++)
          answers.push(socket.timeout(20000).emitWithAck("echo", i % 10 === 0 ? Buffer.from([i & 255]) : i));
        const got = await within(Promise.all(answers), "300 answers");
        got.forEach((value, i) => assert.deepEqual(value, i % 10 === 0 ? Buffer.from([i & 255]) : i));
        socket.disconnect();
      });

      it("sees the handshake", async () => {
        const socket = await connected("/", {
          auth: { token: "abc" },
          query: { key1: "value 1", key2: "&" },
          extraHeaders: { "x-test": "yes" },
        });
        const handshake = await socket.timeout(5000).emitWithAck("getHandshake");
        assert.deepEqual(handshake.auth, { token: "abc" });
        assert.equal(handshake.query.key1, "value 1");
        assert.equal(handshake.query.key2, "&");
        assert.equal(handshake.query.EIO, "4");
        assert.equal(handshake.headers["x-test"], "yes");
        assert.equal(handshake.address, "127.0.0.1");
        assert.equal(handshake.secure, false);
        assert.equal(handshake.xdomain, false);
        assert.ok(Math.abs(handshake.issued - Date.now()) < 60000);
        assert.match(handshake.url, /^\/socket\.io\/\?/);
        assert.ok(!Number.isNaN(Date.parse(handshake.time)));
        socket.disconnect();
      });

      it("joins namespaces over one connection", async () => {
        const socket = await connected("/", { forceNew: true });
        const foo = socket.io.socket("/foo");
        await once(foo, "connect");
        assert.equal(await foo.timeout(5000).emitWithAck("getId"), foo.id);
        assert.notEqual(foo.id, socket.id);
        const abc = socket.io.socket("/abc", { auth: { a: 1 } });
        const [handshake] = await once(abc, "handshake");
        assert.equal(typeof handshake.url, "string");
        foo.disconnect();
        assert.equal(await socket.timeout(5000).emitWithAck("getId"), socket.id);
        for (const name of ["/timeout_socket", "/valid", "/asd"])
          await once(socket.io.socket(name), "connect");
        socket.disconnect();
        abc.disconnect();
      });

      it("is told of a refusal", async () => {
        const [custom] = await once(client("/no"), "connect_error");
        assert.equal(custom.message, "Auth failed (custom namespace)");
        const [main] = await once(client("/", { query: { fail: 1 } }), "connect_error");
        assert.equal(main.message, "Auth failed (main namespace)");
        const [unknown] = await once(client("/doesnotexist"), "connect_error");
        assert.equal(unknown.message, "Invalid namespace");
        const [withData] = await once(client("/no", {}, java), "connect_error");
        assert.equal(withData.message, "auth failed");
        assert.deepEqual(withData.data, { a: "b", c: 3 });
      });

      it("meets the sio-java contract", async () => {
        for (const path of ["/", "/foo"]) {
          const socket = client(path, {}, java);
          assert.deepEqual(await once(socket, "message"), ["hello client"]);
          socket.send("a", { b: 1 });
          assert.deepEqual(await once(socket, "message"), ["a", { b: 1 }]);
          socket.emit("echo", 1, "2", null, Buffer.from([1]));
          assert.deepEqual(await once(socket, "echoBack"), [1, "2", null, Buffer.from([1])]);
          const answer = await within(
            new Promise((resolve) => socket.emit("ack", 1, "x", (...args) => resolve(args))),
          );
          assert.deepEqual(answer, [1, "x"]);
          socket.once("ack", (value, ack) => ack(value, "mine"));
          socket.emit("callAck");
          assert.deepEqual(await once(socket, "ackBack"), [true, "mine"]);
          socket.once("ack", (value, ack) => ack(Buffer.from("binary")));
          socket.emit("callAckBinary");
          assert.deepEqual(await once(socket, "ackBack"), [Buffer.from("binary")]);
          assert.deepEqual(await socket.timeout(5000).emitWithAck("getAckBinary", ""), Buffer.from("huehue"));
          socket.emit("room", "to myself");
          assert.deepEqual(await once(socket, "roomBack"), ["to myself"]);
          socket.emit("requestDisconnect");
          assert.equal((await once(socket, "disconnect"))[0], "io server disconnect");
        }
      });

      it("broadcasts to everybody else, across workers", async () => {
        const sockets = await Promise.all(
          Array.from({ length: 8 }, () => connected("/", {}, java)),
        );
        const [sender, ...others] = sockets;
        let echoed = false;
        sender.on("broadcastBack", () => (echoed = true));
        const received = others.map((s) => once(s, "broadcastBack"));
        sender.emit("broadcast", "all", Buffer.from([7]));
        for (const args of await Promise.all(received)) assert.deepEqual(args, ["all", Buffer.from([7])]);
        // An answer that was sent after the broadcast: had it come to the sender, it would be here.
        await within(new Promise((resolve) => sender.emit("ack", resolve)));
        assert.equal(echoed, false);
        for (const socket of sockets) socket.disconnect();
      });

      it("sees the handshake of a namespace as it connects", async () => {
        for (const target of [server, java]) {
          const socket = client("/abc", { query: { a: "b" }, auth: { c: 1 } }, target);
          const [handshake] = await once(socket, "handshake");
          assert.deepEqual(Object.keys(handshake).sort(), [
            "address", "auth", "headers", "issued", "query", "secure", "time", "url", "xdomain",
          ]);
          assert.equal(handshake.query.a, "b");
          assert.deepEqual(handshake.auth, { c: 1 });
          socket.disconnect();
        }
      });

      it("finds every namespace of sio-java", async () => {
        for (const name of ["/timeout_socket", "/valid", "/asd"]) (await connected(name, {}, java)).disconnect();
        const socket = await connected("/foo", { query: { q: 1 } }, java);
        const handshake = await socket.timeout(5000).emitWithAck("getHandshake");
        assert.equal(handshake.query.q, "1");
        assert.match(await socket.timeout(5000).emitWithAck("getAckDate", ""), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
        socket.disconnect();
      });

      it("tells why it was disconnected", async () => {
        const socket = await connected();
        const gone = once(socket, "disconnect");
        socket.disconnect();
        assert.equal((await gone)[0], "io client disconnect");
      });

      it("is disconnected by a message over the limit", async () => {
        const socket = await connected();
        if (way === "upgrade" && socket.io.engine.transport.name !== "websocket")
          await once(socket.io.engine, "upgrade");
        const gone = once(socket, "disconnect");
        const other = await connected();
        socket.emit("echo", "x".repeat(1200000));
        assert.ok(["transport close", "transport error"].includes((await gone)[0]));
        assert.equal(await other.timeout(5000).emitWithAck("echo", 1), 1);
        other.disconnect();
      });

      it("reconnects when the server comes back on its port", async () => {
        let mine = await startContract(null, "sio-java", { workers });
        const port = mine.port;
        const socket = client("/", { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 }, mine);
        await once(socket, "message");
        const gone = once(socket, "disconnect");
        await mine.stop();
        await gone;
        mine = await startContract(null, "sio-java", { workers, port });
        await once(socket, "message");
        socket.disconnect();
        await mine.stop();
      });
    });
  }

  describe(`what the contracts say of HTTP, ${workers} worker(s)`, () => {
    let server, java;
    before(async () => {
      server = await startContract(null, "sio-client", { workers });
      java = await startContract(null, "sio-java", { workers });
    });
    after(async () => {
      await server.stop();
      await java.stop();
    });
    const polling = (target, more = "") => `${target.url}/socket.io/?EIO=4&transport=polling${more}`;

    it("decides on a request after 10 ms, over polling and WebSocket", async () => {
      const started = performance.now();
      const open = await fetch(polling(server));
      assert.equal(open.status, 200);
      await open.text();
      assert.ok(performance.now() - started >= 10);
      const again = performance.now();
      const socket = await RawSocket.engine(server.url, "/socket.io/").opened();
      assert.ok(performance.now() - again >= 10);
      assert.match(await socket.next(), /^0\{/);
      socket.ws.close();
      await socket.end();
    });

    it("bears clients that leave while it thinks", async () => {
      for (let i = 0; i < 20; i++) {
        const leaving = new AbortController();
        const asked = fetch(polling(server), { signal: leaving.signal }).catch((error) => error.name);
        await new Promise((resolve) => setImmediate(resolve));
        leaving.abort();
        const ended = await asked;
        if (ended instanceof Response) await ended.text(); // the answer was quicker than we
        else assert.equal(ended, "AbortError");
      }
      const open = await fetch(polling(server));
      assert.equal(open.status, 200);
      await open.text();
    });

    it("lets credentials in from whichever origin asks", async () => {
      const headers = { origin: "https://somewhere.example" };
      const check = (answer) => {
        assert.equal(answer.headers.get("access-control-allow-origin"), "https://somewhere.example");
        assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
        assert.match(answer.headers.get("vary"), /Origin/);
      };
      const open = await fetch(polling(server), { headers });
      check(open);
      const { sid } = JSON.parse((await open.text()).slice(1));
      const post = await fetch(polling(server, `&sid=${sid}`), { method: "POST", body: "40", headers });
      check(post);
      assert.equal(await post.text(), "ok");
      const poll = await fetch(polling(server, `&sid=${sid}`), { headers });
      check(poll);
      assert.match(await poll.text(), /^40/);
      const preflight = await fetch(polling(server), {
        method: "OPTIONS",
        headers: { ...headers, "access-control-request-method": "POST", "access-control-request-headers": "x-mine" },
      });
      check(preflight);
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers.get("access-control-allow-headers"), "x-mine");
      assert.equal(preflight.headers.get("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,POST,DELETE");
    });

    it("returns X-SocketIO on every answer of either transport", async () => {
      const headers = { "x-socketio": "hi" };
      const open = await fetch(polling(java), { headers });
      assert.equal(open.headers.get("x-socketio"), "hi");
      const { sid } = JSON.parse((await open.text()).slice(1));
      const post = await fetch(polling(java, `&sid=${sid}`), { method: "POST", body: "40", headers });
      assert.equal(post.headers.get("x-socketio"), "hi");
      assert.equal(await post.text(), "ok");
      const poll = await fetch(polling(java, `&sid=${sid}`), { headers });
      assert.equal(poll.headers.get("x-socketio"), "hi");
      await poll.text();
      for (const query of ["EIO=4&transport=websocket", `EIO=4&transport=websocket&sid=${sid}`]) {
        const socket = new RawSocket(`${java.url}/socket.io/?${query}`, { headers });
        const [answer] = await once(socket.ws, "upgrade");
        assert.equal(answer.headers["x-socketio"], "hi");
        socket.ws.close();
        await socket.end();
      }
    });
  });

  describe(`many clients, ${workers} worker(s)`, () => {
    it("whichever worker a polling request lands on", async (t) => {
      const server = await startContract(t, "sio-client", { workers });
      // No keep-alive: every request is a new connection, and the kernel spreads those.
      const agent = new Agent({ keepAlive: false });
      const sockets = Array.from({ length: 40 }, () =>
        io(server.url, { transports: ["polling"], forceNew: true, reconnection: false, agent }),
      );
      await Promise.all(sockets.map((s) => once(s, "connect")));
      for (let round = 0; round < 5; round++) {
        const answers = await Promise.all(
          sockets.map((s, i) => s.timeout(15000).emitWithAck("echo", [round, i])),
        );
        answers.forEach((answer, i) => assert.deepEqual(answer, [round, i]));
      }
      for (const socket of sockets) socket.disconnect();
    });

    it("two hundred at once", async (t) => {
      const server = await startContract(t, "sio-java", { workers });
      const sockets = Array.from({ length: 200 }, (_, i) =>
        io(server.url, { transports: [i % 2 ? "websocket" : "polling"], forceNew: true, reconnection: false }),
      );
      await Promise.all(sockets.map((s) => once(s, "message")));
      const received = sockets.slice(1).map((s) => once(s, "broadcastBack"));
      sockets[0].emit("broadcast", "to all of you");
      for (const args of await Promise.all(received)) assert.deepEqual(args, ["to all of you"]);
      for (const socket of sockets) socket.disconnect();
    });
  });
}
