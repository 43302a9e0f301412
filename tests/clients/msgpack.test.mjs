// The official client with the official MessagePack parser, over every transport; and what that parser would never send.
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { describe, it, before, after } from "node:test";
import { io } from "socket.io-client";
import parser from "socket.io-msgpack-parser";
import { Polling, RawSocket } from "./support/raw.mjs";
import { isReference, once, startContract, within } from "./support/server.mjs";

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};
const PATH = "/socket.io/";

const start = (t, contract, options) => startContract(t, contract, { ...options, parser: "msgpack" });
const encode = (value) => new parser.Encoder().encode(value)[0];
/** What a message holds; the parser's own checks included. */
const decode = (bytes) => {
  const decoder = new parser.Decoder();
  let packet;
  decoder.on("decoded", (decoded) => (packet = decoded));
  decoder.add(bytes);
  return packet;
};

const nested = (depth, value) => {
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
};
const object = (size) => Object.fromEntries(Array.from({ length: size }, (_, i) => [`key ${i}`, i]));

for (const workers of isReference ? [1] : [1, 2]) {
  for (const [way, transports] of Object.entries(TRANSPORTS)) {
    describe(`socket.io-msgpack-parser over ${way}, ${workers} worker(s)`, () => {
      let server, java;
      const open = new Set();
      before(async () => {
        server = await start(null, "sio-client", { workers });
        java = await start(null, "sio-java", { workers });
      });
      after(async () => {
        for (const socket of open) socket.disconnect();
        await server.stop();
        await java.stop();
      });

      const client = (path = "/", options = {}, target = server) => {
        const socket = io(target.url + path, { transports, parser, forceNew: true, reconnection: false, ...options });
        open.add(socket);
        return socket;
      };
      const connected = async (...args) => {
        const socket = client(...args);
        await once(socket, "connect");
        return socket;
      };
      const echo = (socket, value) => socket.timeout(15000).emitWithAck("echo", value);

      it("connects, with an id of its own", async () => {
        const socket = await connected();
        assert.match(socket.id, /^.{20}$/);
        assert.equal(await socket.timeout(5000).emitWithAck("getId"), socket.id);
        if (way === "upgrade" && socket.io.engine.transport.name !== "websocket")
          await once(socket.io.engine, "upgrade");
        assert.equal(socket.io.engine.transport.name, way === "polling" ? "polling" : "websocket");
        socket.disconnect();
      });

      it("emits both ways", async () => {
        const socket = await connected();
        socket.emit("hi");
        const rest = await once(socket, "hi"); // with recovery an event ends with its offset
        assert.deepEqual(rest.map((value) => typeof value), ["string"]);
        socket.emit("false");
        assert.equal((await once(socket, "false"))[0], false);
        const texts = [];
        const all = new Promise((resolve) => socket.on("takeUtf8", (text) => texts.push(text) === 5 && resolve()));
        socket.emit("getUtf8");
        await within(all, "five texts");
        assert.deepEqual(texts, ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]);
        socket.disconnect();
      });

      it("carries numbers of every format", async () => {
        const socket = await connected();
        // notepack cannot write whole numbers from 2^64 on; those go by hand below.
        const numbers = [0.1, -0.5, 1 / 3, 1.5e-300, 5e-324, 1e15 + 0.5];
        for (let bits = 0; bits <= 53; bits++)
          for (const number of [2 ** bits - 2, 2 ** bits - 1, 2 ** bits, 2 ** bits + 1])
            if (Number.isSafeInteger(number)) numbers.push(number, -number || 0);
        // Whole numbers that a double cannot tell from their neighbours stay what they are.
        numbers.push(2 ** 53, 2 ** 60, 2 ** 63, -(2 ** 53), -(2 ** 63));
        assert.deepEqual(await echo(socket, numbers), numbers);
        socket.disconnect();
      });

      it("carries text and containers of every length", async () => {
        const socket = await connected();
        for (const size of [0, 1, 31, 32, 255, 256, 65535, 65536]) {
          assert.equal(await echo(socket, "x".repeat(size)), "x".repeat(size));
          const array = Array.from({ length: size }, (_, i) => i & 127);
          assert.deepEqual(await echo(socket, array), array);
        }
        for (const size of [0, 15, 16, 17, 5000]) assert.deepEqual(await echo(socket, object(size)), object(size));
        for (const value of ["\u0000\u001f\u2028\"\\/", "\ud83d\ude00 Ä", { "": 1, "\"\n": [null, true, {}] }, nested(400, "deep")])
          assert.deepEqual(await echo(socket, value), value);
        socket.disconnect();
      });

      it("carries what JSON has no word for as JSON.stringify would", async () => {
        const socket = await connected();
        const date = new Date(Date.UTC(2026, 10, 21, 8, 30, 0, 7));
        const value = { date, past: new Date(-1), array: [undefined, 1], nothing: undefined, not: NaN, least: -Infinity };
        assert.deepEqual(await echo(socket, value), isReference ? value : JSON.parse(JSON.stringify(value)));
        socket.emit("getDate");
        assert.ok(!Number.isNaN(Date.parse((await once(socket, "takeDate"))[0])));
        socket.disconnect();
      });

      it("survives lone surrogates", async () => {
        const socket = await connected();
        for (const text of ["\ud800", "a\udc00b", "\ud800\ud800", "x".repeat(100) + "\udfff"])
          assert.equal(typeof (await echo(socket, text)), "string"); // notepack writes some other character
        socket.disconnect();
      });

      it("gives acknowledgements", async () => {
        const socket = await connected();
        socket.once("ack", (ack) => ack(5, { test: true }));
        socket.emit("ack");
        await once(socket, "got it");
        socket.disconnect();
      });

      it("carries binary both ways, wherever it stands", async () => {
        const socket = await connected();
        socket.emit("getbin");
        assert.deepEqual((await once(socket, "takebin"))[0], Buffer.from("asdfasdf"));
        socket.emit("buffa", Buffer.from("asdfasdf"));
        await once(socket, "buffack");
        socket.emit("jsonbuff", { hello: "lol", message: Buffer.from("x"), goodbye: "gotcha" });
        await once(socket, "jsonbuff-ack");
        for (const size of [0, 1, 255, 256, 65535, 65536, 500000])
          assert.deepEqual(await echo(socket, Buffer.alloc(size, 0xa5)), Buffer.alloc(size, 0xa5));
        const value = [{ a: Buffer.from([1]), b: [Buffer.from([2, 2]), "between", { c: Buffer.alloc(0) }] }, Buffer.from([3])];
        assert.deepEqual(await echo(socket, value), value);
        const ten = Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i));
        assert.deepEqual(await echo(socket, ten), ten);
        // An ArrayBuffer comes back as bytes; only notepack tells the two apart.
        for (const bytes of [new Uint8Array([1, 2, 3]), new Uint8Array(8), new Uint8Array(1), new Uint8Array(300)])
          assert.deepEqual(Buffer.from(await echo(socket, bytes)), Buffer.from(bytes));
        socket.disconnect();
      });

      it("carries what looks like a placeholder and is none", async () => {
        const socket = await connected();
        const value = { _placeholder: true, num: 0 };
        assert.deepEqual(await echo(socket, [value, { b: value }]), [value, { b: value }]);
        const almost = [{ _placeholder: "true", num: 0 }, { _placeholder: false }, Buffer.from("real")];
        assert.deepEqual(await echo(socket, almost), almost);
        socket.disconnect();
      });

      it("keeps the order of many, binary among them, through the upgrade", async () => {
        const socket = client();
        const value = (i) => (i % 10 === 0 ? Buffer.from([i & 255]) : i);
        const answers = Array.from({ length: 300 }, (_, i) => socket.timeout(20000).emitWithAck("echo", value(i)));
        const got = await within(Promise.all(answers), "300 answers");
        got.forEach((answer, i) => assert.deepEqual(answer, value(i)));
        socket.disconnect();
      });

      it("sees the handshake and the auth", async () => {
        const auth = { token: "abc", deep: { list: [1, -2, null, "\u00e4"] } };
        const socket = await connected("/", { auth, query: { key: "value 1" } });
        const handshake = await socket.timeout(5000).emitWithAck("getHandshake");
        assert.deepEqual(handshake.auth, auth);
        assert.equal(handshake.query.key, "value 1");
        const none = await connected();
        assert.deepEqual((await none.timeout(5000).emitWithAck("getHandshake")).auth, {});
        socket.disconnect();
        none.disconnect();
      });

      it("joins namespaces over one connection, and leaves one", async () => {
        const socket = await connected();
        const foo = socket.io.socket("/foo");
        await once(foo, "connect");
        assert.equal(await foo.timeout(5000).emitWithAck("getId"), foo.id);
        const abc = socket.io.socket("/abc", { auth: { a: 1 } });
        assert.equal(typeof (await once(abc, "handshake"))[0].url, "string");
        const left = once(foo, "disconnect");
        foo.disconnect();
        assert.equal((await left)[0], "io client disconnect");
        assert.equal(await socket.timeout(5000).emitWithAck("getId"), socket.id);
        foo.connect();
        await once(foo, "connect");
        socket.disconnect();
        abc.disconnect();
        foo.disconnect();
      });

      it("is told of a refusal", async () => {
        const [custom] = await once(client("/no"), "connect_error");
        assert.equal(custom.message, "Auth failed (custom namespace)");
        assert.equal(custom.data, undefined);
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
          socket.emit("echo", 1, "2", null, Buffer.from([1]));
          assert.deepEqual(await once(socket, "echoBack"), [1, "2", null, Buffer.from([1])]);
          const answer = await within(
            new Promise((resolve) => socket.emit("ack", 1, "x", (...args) => resolve(args))),
          );
          assert.deepEqual(answer, [1, "x"]);
          socket.once("ack", (value, ack) => ack(value, "mine"));
          socket.emit("callAck");
          assert.deepEqual(await once(socket, "ackBack"), [true, "mine"]);
          socket.once("ack", (value, ack) => ack({ in: Buffer.from("binary") }));
          socket.emit("callAckBinary");
          assert.deepEqual(await once(socket, "ackBack"), [{ in: Buffer.from("binary") }]);
          assert.deepEqual(await socket.timeout(5000).emitWithAck("getAckBinary", ""), Buffer.from("huehue"));
          socket.emit("room", "to myself");
          assert.deepEqual(await once(socket, "roomBack"), ["to myself"]);
          socket.emit("requestDisconnect");
          assert.equal((await once(socket, "disconnect"))[0], "io server disconnect");
        }
      });

      it("broadcasts to everybody else, across workers", async () => {
        const sockets = await Promise.all(Array.from({ length: 8 }, () => connected("/", {}, java)));
        const [sender, ...others] = sockets;
        let echoed = false;
        sender.on("broadcastBack", () => (echoed = true));
        const received = others.map((s) => once(s, "broadcastBack"));
        sender.emit("broadcast", "all", { deep: [Buffer.from([7]), 2 ** 40] });
        for (const args of await Promise.all(received)) assert.deepEqual(args, ["all", { deep: [Buffer.from([7]), 2 ** 40] }]);
        await within(new Promise((resolve) => sender.emit("ack", resolve)));
        assert.equal(echoed, false);
        for (const socket of sockets) socket.disconnect();
      });

      it("is disconnected by a message over the limit", async () => {
        const socket = await connected();
        if (way === "upgrade" && socket.io.engine.transport.name !== "websocket")
          await once(socket.io.engine, "upgrade");
        const gone = once(socket, "disconnect");
        socket.emit("echo", Buffer.alloc(1200000));
        assert.ok(["transport close", "transport error"].includes((await gone)[0]));
      });

      it("cannot be spoken to in JSON", async () => {
        const other = await connected();
        const socket = client("/", { parser: undefined });
        const failed = once(socket.io.engine, "close");
        await failed;
        assert.equal(socket.connected, false);
        assert.equal(await echo(other, 1), 1);
        other.disconnect();
      });
    });
  }

  it(`compressed, ${workers} worker(s)`, async (t) => {
    const server = await start(t, "sio-java", { workers, deflate: true });
    const sockets = [["websocket"], ["polling"], ["websocket"]].map((transports) =>
      io(server.url, { transports, parser, forceNew: true, reconnection: false }),
    );
    await Promise.all(sockets.map((s) => once(s, "message")));
    const value = { text: "again ".repeat(5000), bytes: Buffer.alloc(70_000, 7) };
    assert.deepEqual(await sockets[0].timeout(15000).emitWithAck("ack", value), value);
    const received = sockets.slice(1).map((s) => once(s, "broadcastBack"));
    sockets[0].emit("broadcast", value);
    for (const args of await Promise.all(received)) assert.deepEqual(args, [value]);
    for (const socket of sockets) socket.disconnect();
  });

  it(`whichever worker a polling request lands on, ${workers} worker(s)`, async (t) => {
    const server = await start(t, "sio-client", { workers });
    const agent = new Agent({ keepAlive: false });
    const sockets = Array.from({ length: 20 }, () =>
      io(server.url, { transports: ["polling"], parser, forceNew: true, reconnection: false, agent }),
    );
    await Promise.all(sockets.map((s) => once(s, "connect")));
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(sockets.map((s, i) => s.timeout(15000).emitWithAck("echo", [round, Buffer.from([i])])));
      answers.forEach((answer, i) => assert.deepEqual(answer, [round, Buffer.from([i])]));
    }
    for (const socket of sockets) socket.disconnect();
  });

  describe(`packets by hand, ${workers} worker(s)`, () => {
    let server, bystander, disconnects;

    before(async () => {
      server = await start(null, "sio-java", { workers });
      bystander = io(server.url, { transports: ["websocket"], parser, reconnection: false });
      disconnects = 0;
      bystander.on("disconnect", () => disconnects++);
      await once(bystander, "connect");
    });
    after(async () => {
      bystander.disconnect();
      await server.stop();
    });

    /** A case, and then a look at the client beside it. */
    const beside = (name, fn) =>
      it(name, async () => {
        await fn();
        assert.deepEqual(await bystander.timeout(15_000).emitWithAck("ack", name), name);
        assert.equal(disconnects, 0);
      });
    const engine = async () => {
      const socket = await RawSocket.engine(server.url, PATH).opened();
      assert.match(await socket.next(), /^0\{/);
      return socket;
    };
    /** Behind the answer to CONNECT and the greeting. */
    const joined = async () => {
      const socket = await engine();
      socket.send(encode({ type: 0, nsp: "/" }));
      assert.equal(decode(await socket.nextMessage()).type, 0);
      assert.equal(decode(await socket.nextMessage()).type, 2);
      return socket;
    };

    beside("what the server sends, member by member", async () => {
      const socket = await engine();
      socket.send(encode({ type: 0, nsp: "/", data: undefined, options: { compress: true } }));
      const connect = decode(await socket.nextMessage());
      assert.deepEqual(Object.keys(connect).filter((key) => connect[key] !== undefined).sort(), ["data", "nsp", "type"]);
      assert.equal(connect.type, 0);
      assert.equal(connect.nsp, "/");
      assert.match(connect.data.sid, /^.{20}$/);
      const hello = decode(await socket.nextMessage());
      assert.equal(hello.type, 2);
      assert.equal(hello.nsp, "/");
      assert.deepEqual(hello.data, ["message", "hello client"]);
      assert.ok(!("id" in hello));
      socket.send(encode({ type: 2, nsp: "/", id: 3_000_000_000, data: ["ack", { a: 1 }] }));
      const ack = decode(await socket.nextMessage());
      assert.deepEqual({ ...ack }, { type: 3, nsp: "/", id: 3_000_000_000, data: [{ a: 1 }] });
      socket.send(encode({ type: 0, nsp: "/none" }));
      assert.deepEqual({ ...decode(await socket.nextMessage()) }, { type: 4, nsp: "/none", data: { message: "Invalid namespace" } });
      socket.send(encode({ type: 2, nsp: "/", data: ["requestDisconnect"] }));
      assert.deepEqual({ ...decode(await socket.nextMessage()) }, { type: 1, nsp: "/" });
      socket.ws.terminate();
    });

    beside("members in any order, and unknown ones", async () => {
      const socket = await joined();
      socket.send(encode({ x: [nested(50, 1), Buffer.alloc(3)], data: ["echo", 5], "": null, nsp: "/", options: { compress: false }, type: 2 }));
      assert.deepEqual(decode(await socket.nextMessage()).data, ["echoBack", 5]);
      socket.ws.terminate();
    });

    beside("absent, undefined and nil are one", async () => {
      for (const data of isReference ? [undefined] : [undefined, null]) {
        const socket = await engine();
        socket.send(encode({ type: 0, nsp: "/foo", data, id: data }));
        assert.equal(decode(await socket.nextMessage()).type, 0);
        assert.equal(decode(await socket.nextMessage()).type, 2);
        socket.send(encode({ type: 1, nsp: "/foo", data }));
        for (const nsp of ["/asd", "/foo"]) {
          socket.send(encode({ type: 0, nsp, data }));
          assert.equal(decode(await socket.nextMessage()).type, 0);
        }
        socket.ws.terminate();
      }
    });

    beside("an acknowledgement that nobody asked for is ignored", async () => {
      const socket = await joined();
      socket.send(encode({ type: 3, nsp: "/", id: 99, data: [Buffer.alloc(3)] }));
      socket.send(encode({ type: 3, nsp: "/", data: [] }));
      socket.send(encode({ type: 2, nsp: "/", data: ["echo"] }));
      assert.deepEqual(decode(await socket.nextMessage()).data, ["echoBack"]);
      socket.ws.terminate();
    });

    const hex = (text) => Buffer.from(text.replaceAll(" ", ""), "hex");
    /** A packet with `data` spelt out in bytes. */
    const withData = (type, data) => {
      const head = encode({ type, nsp: "/", data: 0 });
      return Buffer.concat([head.subarray(0, -1), hex(data)]);
    };
    const event = (data) => withData(2, `93 a4 6563686f 01 ${data}`); // ["echo", 1, ...]
    const event2 = { type: 2, nsp: "/", data: ["echo"] };
    const bad = [
      ["text", '42["echo"]'],
      ["an empty message", Buffer.alloc(0)],
      ["no map", encode([2, "/", ["echo"]])],
      ["a scalar", hex("02")],
      ["the format that is never used", hex("c1")],
      ["random bytes", Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 7919) & 255))],
      ["trailing bytes", Buffer.concat([encode(event2), hex("00")])],
      ["two packets", Buffer.concat([encode(event2), encode(event2)])],
      ["no type", encode({ nsp: "/", data: ["echo"] })],
      ["no namespace", encode({ type: 2, data: ["echo"] })],
      ["a type that is text", encode({ ...event2, type: "2" })],
      ["a type that is a double", Buffer.concat([hex("83 a4 74797065 cb 4000000000000000"), encode({ nsp: "/", data: ["echo"] }).subarray(1)])],
      ["a binary type", encode({ ...event2, type: 5, attachments: 1 })],
      ["an unknown type", encode({ ...event2, type: 7 })],
      ["a negative type", encode({ ...event2, type: -1 })],
      ["a type beyond 32 bits", encode({ ...event2, type: 2 ** 32 + 2 })],
      ["CONNECT_ERROR", encode({ type: 4, nsp: "/", data: { message: "x" } })],
      ["a namespace that is a number", encode({ ...event2, nsp: 1 })],
      ["a namespace without slash", encode({ ...event2, nsp: "chat" })],
      ["an empty namespace", encode({ ...event2, nsp: "" })],
      ["a namespace that is no UTF-8", Buffer.concat([hex("83 a4 74797065 02 a3 6e7370 a2 2fff"), encode({ data: ["echo"] }).subarray(1)])],
      ["a namespace of 300 bytes", encode({ type: 0, nsp: "/" + "a".repeat(299) })],
      ["an unjoined namespace", encode({ ...event2, nsp: "/foo" })],
      ["a second CONNECT", encode({ type: 0, nsp: "/" })],
      ["a CONNECT with an array", encode({ type: 0, nsp: "/foo", data: [] })],
      ["a CONNECT with text", encode({ type: 0, nsp: "/foo", data: "x" })],
      ["a CONNECT with bytes", encode({ type: 0, nsp: "/foo", data: { a: Buffer.alloc(1) } })],
      ["a DISCONNECT with data", encode({ type: 1, nsp: "/", data: {} })],
      ["an event without data", encode({ type: 2, nsp: "/" })],
      ["an event that is an object", encode({ type: 2, nsp: "/", data: { 0: "echo" } })],
      ["an event without a name", encode({ type: 2, nsp: "/", data: [] })],
      ["an event named by an object", encode({ type: 2, nsp: "/", data: [{}] })],
      ["an event named by bytes", encode({ type: 2, nsp: "/", data: [Buffer.from("echo")] })],
      ["a reserved name", encode({ type: 2, nsp: "/", data: ["disconnect"] })],
      ["an acknowledgement without data", encode({ type: 3, nsp: "/", id: 1 })],
      ["an acknowledgement that is text", encode({ type: 3, nsp: "/", id: 1, data: "x" })],
      ["an id that is text", encode({ ...event2, id: "1" })],
      ["a negative id", encode({ ...event2, id: -1 })],
      ["a fractional id", encode({ ...event2, id: 0.5 })],
      ["the type twice", Buffer.concat([hex("84 a4 74797065 01"), encode(event2).subarray(1)])],
      ["data twice", Buffer.concat([hex("84 a4 64617461 90"), encode(event2).subarray(1)])],
      ["a key that is a number", Buffer.concat([hex("84 01 01"), encode(event2).subarray(1)])],
      ["a key that is a number, within", event("81 01 01")],
      ["a key that is no UTF-8, within", event("81 a1 ff 01")],
      ["text that is no UTF-8", event("a1 ff")],
      ["a surrogate", event("a3 ed a0 80")],
      ["an overlong zero", event("a2 c0 80")],
      ["an array of four billion", event("dd ff ff ff ff")],
      ["an array of four billion, with some", event("dd ff ff ff ff" + "00".repeat(1000))],
      ["a map of four billion", event("df ff ff ff ff")],
      ["text of four billion bytes", event("db ff ff ff ff 61")],
      ["bytes of four billion", event("c6 ff ff ff ff 61")],
      ["an extension of four billion", event("c9 ff ff ff ff 00 61")],
      ["an unknown member of four billion values", Buffer.concat([hex("84 a1 78 dd ff ff ff ff"), encode(event2).subarray(1)])],
      ["an unknown extension", event("d4 05 00")],
      ["an extension of notepack's that it does not have", event("d5 00 00 00")],
      ["a timestamp of no known length", event("d8 ff" + "00".repeat(16))],
      ["a timestamp of too many nanoseconds", event("c7 0c ff ff ff ff ff" + "00".repeat(8))],
      ["a thousand arrays in arrays", event("91".repeat(1000) + "00")],
      ["a hundred thousand arrays in arrays", event("91".repeat(100_000) + "00")],
      ["a hundred thousand maps in maps", event("81 a1 61".repeat(100_000) + "00")],
      ["eleven attachments", encode({ ...event2, data: ["echo", ...Array(11).fill(Buffer.alloc(1))] })],
      ["a false placeholder beside a real one", encode({ ...event2, data: ["echo", { _placeholder: true, num: 0 }, Buffer.alloc(1)] })],
      ["a false placeholder out of range", encode({ ...event2, data: ["echo", Buffer.alloc(1), { _placeholder: true, num: 9 }] })],
    ];
    // The reference takes some of these for good, and lets others hurt it.
    if (!isReference) {
      for (const [name, message] of bad)
        beside(`${name}, over a WebSocket`, async () => {
          const socket = await joined();
          socket.send(message);
          await socket.end();
        });

      beside("each of them by polling", async () => {
        for (const [name, message] of bad) {
          const session = await Polling.open(server.url, PATH);
          await session.post("b" + encode({ type: 0, nsp: "/" }).toString("base64"));
          const answer = await session.get();
          assert.equal(decode(Buffer.from(answer.text.split("\x1e")[0].slice(1), "base64")).type, 0);
          const body = typeof message === "string" ? message : "b" + message.toString("base64");
          await session.post(body);
          const after = await session.get();
          assert.ok(after.status === 400 || after.text === "1", `${name}: ${after.status} ${after.text.slice(0, 80)}`);
        }
      });

      beside("an event cut off anywhere", async () => {
        const whole = encode({ type: 2, nsp: "/", id: 7, data: ["echo", { a: [1.5, -200, "text", Buffer.alloc(3)] }, new Date()] });
        await Promise.all(
          Array.from({ length: whole.length }, async (_, size) => {
            const socket = await joined();
            socket.send(whole.subarray(0, size));
            await socket.end();
          }),
        );
      });

      beside("packets before joining", async () => {
        for (const packet of [event2, { type: 3, nsp: "/", id: 1, data: [] }, { type: 1, nsp: "/" }]) {
          const socket = await engine();
          socket.send(encode(packet));
          await socket.end();
        }
      });

      beside("attachments cannot be had in many places for the price of one", async () => {
        const socket = await joined();
        const many = Array(20_000).fill({ _placeholder: true, num: 0 });
        socket.send(encode({ type: 2, nsp: "/", data: ["echo", many, Buffer.alloc(400_000)] }));
        await socket.end();
      });

      beside("whole numbers keep their 64 bits", async () => {
        const socket = await joined();
        const data = "cf ff ff ff ff ff ff ff ff"; // 2^64-1
        socket.send(event(data));
        assert.ok((await socket.nextMessage()).includes(hex(data)));
        socket.send(event("d3 80 00 00 00 00 00 00 01"));
        assert.ok((await socket.nextMessage()).includes(hex("d3 80 00 00 00 00 00 00 01")));
        socket.ws.terminate();
      });

      beside("doubles keep all their bits", async () => {
        const socket = await joined();
        for (const data of ["44 4b1ae4d6e2ef50", "7f efffffffffffff", "fe 37e43c8800759c", "3f b999999999999a", "00 00000000000001"]) {
          socket.send(event(`cb ${data}`));
          assert.ok((await socket.nextMessage()).includes(hex(`cb ${data}`)), data);
        }
        socket.ws.terminate();
      });

      beside("timestamps of other MessagePack libraries are dates", async () => {
        const socket = await joined();
        socket.send(event("d6 ff 69 1f 8a 00"));
        assert.deepEqual(decode(await socket.nextMessage()).data.at(-1), new Date(0x691f8a00 * 1000).toISOString());
        socket.ws.terminate();
      });
    }
  });
}
