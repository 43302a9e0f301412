// Whatever a stranger can send. In every case the stranger's connection pays, a well-behaved client beside it notices nothing, and
// the server ends in order afterwards (in the sanitized build: without a leak).
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { io } from "socket.io-client";
import { connectRaw, Polling, RawSocket, Tcp } from "./support/raw.mjs";
import { once, startContract } from "./support/server.mjs";

const GET = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n";
const POST = (sid) => `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n`;
const UPGRADE = (query = "") =>
  `GET /socket.io/?EIO=4&transport=websocket${query} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n` +
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";

/** A masked client frame, right unless told otherwise. */
function frame(opcode, payload, { fin = true, rsv = 0, masked = true, size } = {}) {
  const body = Buffer.from(payload);
  const announced = size ?? body.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  if (announced < 126) head.push(announced | (masked ? 0x80 : 0));
  else if (announced < 65536) head.push(126 | (masked ? 0x80 : 0), announced >> 8, announced & 255);
  else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(announced));
    head.push(127 | (masked ? 0x80 : 0), ...long);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  const key = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([Buffer.from(head), key, body.map((byte, i) => byte ^ key[i & 3])]);
}

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;

for (const workers of [1, 2]) {
  describe(`hostile clients, ${workers} worker(s)`, () => {
    let server, bystander, disconnects;

    before(async () => {
      server = await startContract(null, "sio-java", { workers });
      bystander = io(server.url, { transports: ["websocket"], reconnection: false });
      disconnects = 0;
      bystander.on("disconnect", () => disconnects++);
      await once(bystander, "connect");
    });
    after(async () => {
      bystander.disconnect();
      await server.stop();
    });

    /** A case, and then a look at the client beside it. */
    const attack = (name, fn) =>
      it(name, async () => {
        await fn();
        assert.deepEqual(await bystander.timeout(15_000).emitWithAck("ack", name), name);
        assert.equal(disconnects, 0);
      });
    const tcp = () => Tcp.connect(server.port);
    /** A raw WebSocket connection after its 101 and the open packet. */
    const rawWebSocket = async () => {
      const peer = await tcp();
      await peer.write(UPGRADE());
      await peer.until(/HTTP\/1\.1 101 [^]*\r\n\r\n[^]*"maxPayload":\d+\}/);
      return peer;
    };
    /** The status code of the close frame with which the server's output ends. */
    const closeCode = (received) => {
      const bytes = Buffer.from(received, "latin1");
      const at = bytes.lastIndexOf(0x88);
      return at < 0 || bytes[at + 1] < 2 ? null : bytes.readUInt16BE(at + 2);
    };

    describe("request heads", () => {
      const heads = [
        ["no HTTP at all", "hello there\r\n\r\n", 400],
        ["TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
        ["a bare LF", GET.replaceAll("\r\n", "\n") + "\n", 400],
        ["a bare CR", GET + "X: a\rb\r\n\r\n", 400],
        ["a NUL", GET + "X: a\0b\r\n\r\n", 400],
        ["a folded line", GET + "X: a\r\n b\r\n\r\n", 400],
        ["space before the colon", GET + "X : a\r\n\r\n", 400],
        ["two Hosts", GET + "Host: b\r\n\r\n", 400],
        ["no Host", "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n", 400],
        ["Content-Length and Transfer-Encoding", POST("x") + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
        ["two Content-Lengths", POST("x") + "Content-Length: 4\r\nContent-Length: 5\r\n\r\n1234", 400],
        ["a list of Content-Lengths", POST("x") + "Content-Length: 4, 4\r\n\r\n1234", 400],
        ["a negative Content-Length", POST("x") + "Content-Length: -1\r\n\r\n", 400],
        ["a Content-Length with a sign", POST("x") + "Content-Length: +4\r\n\r\n1234", 400],
        ["an endless Content-Length", POST("x") + "Content-Length: 99999999999999999999999\r\n\r\n", 400],
        ["chunked twice", POST("x") + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400],
        ["an unknown transfer coding", POST("x") + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400],
        ["chunked in another case, and hidden", POST("x") + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501],
        ["another version of HTTP", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505],
        ["a huge head", GET + "X: " + "a".repeat(100_000) + "\r\n\r\n", 431],
        ["a thousand fields", GET + "X: a\r\n".repeat(1000) + "\r\n", 431],
      ];
      for (const [name, head, status] of heads)
        attack(name, async () => {
          const peer = await tcp();
          // A second, smuggled request must never be answered.
          await peer.write(Buffer.from(head + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "latin1"));
          const answer = await peer.end();
          assert.match(answer, /^HTTP\/1\.1 \d{3} /);
          assert.equal(Number(answer.slice(9, 12)), status);
          assert.equal(answer.split("HTTP/1.1 ").length, 2, answer);
        });

      attack("a wrong chunk", async () => {
        const session = await Polling.open(server.url, "/socket.io/");
        const peer = await tcp();
        await peer.write(POST(session.sid) + "Transfer-Encoding: chunked\r\n\r\n2\r\n40\n0\r\n\r\n");
        assert.match(await peer.end(), /^HTTP\/1\.1 400 /);
      });

      attack("one byte at a time, and it is served", async () => {
        const peer = await tcp();
        peer.socket.setNoDelay(true);
        for (const byte of GET + "Connection: close\r\n\r\n") await peer.write(byte);
        assert.match(await peer.end(), /^HTTP\/1\.1 200 [^]*"sid"/);
      });

      attack("many heads that never end, and then go away", async () => {
        const slow = await Promise.all(Array.from({ length: 100 }, tcp));
        await Promise.all(slow.map((peer) => peer.write(GET + "X: a")));
        for (const peer of slow) peer.reset();
      });

      attack("a head that never ends is cut off", async () => {
        const peer = await tcp();
        await peer.write(GET + "X: a");
        assert.match(await peer.end(), /^HTTP\/1\.1 408 /); // http_head_timeout_ms, 10 s
      });
    });

    describe("Engine.IO requests", () => {
      const refused = [
        ["no parameters", "", 400, 0],
        ["an unknown transport", "?EIO=4&transport=carrier-pigeon", 400, 0],
        ["a transport from the prototype", "?EIO=4&transport=constructor", 400, 0],
        ["an old revision", "?EIO=3&transport=polling", 400, 5],
        ["an unknown session", "?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", 400, 1],
        ["a session id that is none", `?EIO=4&transport=polling&sid=${"%00".repeat(100)}`, 400, 1],
        ["a session's id twice over", `?EIO=4&transport=polling&sid=${"x".repeat(4000)}`, 400, 1],
      ];
      for (const [name, query, status, code] of refused)
        attack(name, async () => {
          const answer = await fetch(`${server.url}/socket.io/${query}`);
          assert.equal(answer.status, status);
          assert.equal((await answer.json()).code, code);
        });

      attack("a body over the limit: 413, and the session lives", async () => {
        const session = await Polling.open(server.url, "/socket.io/");
        assert.equal((await session.post("x".repeat(1_000_001))).status, 413);
        assert.equal((await session.post("40")).text, "ok");
        assert.match((await session.get()).text, /^40\{"sid"/);
      });

      attack("two polls at once", async () => {
        const session = await Polling.open(server.url, "/socket.io/");
        await session.post("40");
        await session.get(); // what came with the joining
        const first = session.get();
        const second = session.get();
        const statuses = (await Promise.all([first, second])).map((answer) => answer.status).sort();
        assert.deepEqual(statuses, [200, 400]);
        assert.equal((await session.get()).status, 400);
      });

      attack("two posts at once", async () => {
        const session = await Polling.open(server.url, "/socket.io/");
        const peer = await tcp();
        await peer.write(POST(session.sid) + "Content-Length: 2\r\n\r\n4"); // never finished
        let answer;
        do answer = await session.post("40"); // until the first one has arrived
        while (answer.status === 200);
        assert.equal(answer.status, 400);
        assert.equal((await session.get()).status, 400);
        peer.destroy();
      });

      attack("a post that dies in its body", async () => {
        const session = await Polling.open(server.url, "/socket.io/");
        const peer = await tcp();
        await peer.write(POST(session.sid) + "Content-Length: 100\r\n\r\n40");
        peer.reset();
        let answer;
        do answer = await session.get(); // whoever loses a request loses the session
        while (answer.status === 200);
        assert.equal(answer.status, 400);
      });

      attack("twenty thousand packets in a post", async () => {
        const session = await Polling.open(server.url, "/socket.io/");
        await session.post("40");
        const answer = await session.post(Array(20_000).fill("3").join("\x1e"));
        assert.ok([200, 400].includes(answer.status));
      });
    });

    describe("WebSocket frames", () => {
      const violations = [
        ["a reserved bit", [frame(TEXT, "40", { rsv: 4 })], 1002],
        ["another reserved bit", [frame(TEXT, "40", { rsv: 1 })], 1002],
        ["no mask", [frame(TEXT, "40", { masked: false })], 1002],
        ["a reserved opcode", [frame(3, "40")], 1002],
        ["a reserved control opcode", [frame(11, "")], 1002],
        ["a long ping", [frame(PING, "x".repeat(126))], 1002],
        ["a fragmented ping", [frame(PING, "x", { fin: false })], 1002],
        ["a continuation of nothing", [frame(0, "40")], 1002],
        ["a new message amid fragments", [frame(TEXT, "4", { fin: false }), frame(TEXT, "0")], 1002],
        ["a size that is not the shortest", [Buffer.from([0x81, 0xfe, 0, 2, 0, 0, 0, 0, 0x34, 0x30])], 1002],
        ["a size with its highest bit", [Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])], 1002],
        ["bad UTF-8", [frame(TEXT, Buffer.from([0x34, 0xc3, 0x28]))], 1007],
        ["a surrogate in UTF-8", [frame(TEXT, Buffer.from([0x34, 0xed, 0xa0, 0x80]))], 1007],
        ["UTF-8 broken across fragments", [frame(TEXT, Buffer.from([0x34, 0xe2]), { fin: false }), frame(0, Buffer.from([0x28, 0xa1]))], 1007],
        ["a message over the limit, by its size", [frame(BINARY, "x", { size: 1_000_001 })], 1009],
        ["a message of 2^62 bytes, by its size", [Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])], 1009],
        ["a close of one byte", [frame(CLOSE, "x")], 1002],
        ["a close with a forbidden code", [frame(CLOSE, Buffer.from([0x03, 0xed]))], 1002],
        ["a close with bad UTF-8", [frame(CLOSE, Buffer.from([0x03, 0xe8, 0xff]))], 1007],
      ];
      for (const [name, frames, code] of violations)
        attack(name, async () => {
          const peer = await rawWebSocket();
          await peer.write(Buffer.concat(frames));
          assert.equal(closeCode(await peer.end()), code);
        });

      attack("a message over the limit, in fragments", async () => {
        const peer = await rawWebSocket();
        await peer.write(frame(BINARY, Buffer.alloc(600_000), { fin: false }));
        await peer.write(frame(0, Buffer.alloc(600_000), { fin: false }));
        assert.equal(closeCode(await peer.end()), 1009);
      });

      attack("a message fragmented for ever", async () => {
        const peer = await rawWebSocket();
        await peer.write(frame(TEXT, "4", { fin: false }));
        const empty = Buffer.concat(Array(1000).fill(frame(0, "", { fin: false })));
        for (let i = 0; i < 100 && !peer.socket.destroyed; i++) await peer.write(empty);
        assert.equal(closeCode(await peer.end()), 1009);
      });

      attack("pings between the fragments are answered, and the message arrives", async () => {
        const peer = await rawWebSocket();
        await peer.write(Buffer.concat([frame(TEXT, "4", { fin: false }), frame(PING, "between"), frame(0, "0")]));
        await peer.until(/\x8a\x07between[^]*40\{"sid"/);
        peer.destroy();
      });

      attack("one byte at a time, and it is served", async () => {
        const peer = await rawWebSocket();
        peer.socket.setNoDelay(true);
        for (const byte of Buffer.concat([frame(TEXT, "40"), frame(TEXT, '42["echo",1]')])) await peer.write(Buffer.from([byte]));
        await peer.until(/\["echoBack",1\]/);
        peer.destroy();
      });

      attack("a flood of pings by one that does not read", async () => {
        const peer = await rawWebSocket();
        peer.socket.pause();
        const pings = Buffer.concat(Array(1000).fill(frame(PING, "x".repeat(125))));
        for (let i = 0; i < 50; i++) peer.socket.write(pings);
        await bystander.timeout(15_000).emitWithAck("ack", "meanwhile");
        peer.reset();
      });
    });

    describe("packets", () => {
      const ends = [
        ["an event before joining", ['42["echo",1]']],
        ["an attachment before joining", [Buffer.from([1])]],
        ["an acknowledgement before joining", ["430[]"]],
        ["garbage", ["4\u0001\u0002\u0003"]],
        ["an unknown engine packet", ["9"]],
        ["a hundred thousand open arrays", ["40", "42" + "[".repeat(100_000)]],
        ["deep objects", ["40", `42["echo",${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}]`]],
        ["a reserved event name", ["40", '42["disconnect"]']],
        ["attachments beyond the limit", ["40", '45999999999-["echo"]']],
        ["an acknowledgement id beyond all numbers", ["40", `42${"9".repeat(400)}["ack"]`]],
      ];
      for (const [name, packets] of ends)
        attack(name, async () => {
          const socket = await RawSocket.engine(server.url, "/socket.io/").opened();
          for (const packet of packets) socket.send(packet);
          await socket.end();
        });

      attack("attachments that never come, from many, who then go away", async () => {
        const sockets = await Promise.all(Array.from({ length: 20 }, () => connectRaw(server.url)));
        for (const socket of sockets) {
          await socket.nextMessage();
          socket.send('4510-["echo",{"_placeholder":true,"num":0}]');
          for (let i = 0; i < 9; i++) socket.send(Buffer.alloc(10_000));
        }
        for (const socket of sockets) socket.ws.terminate();
      });

      attack("attachments larger than allowed together", async () => {
        const socket = await connectRaw(server.url);
        socket.send('4510-["echo",{"_placeholder":true,"num":0}]');
        for (let i = 0; i < 9; i++) socket.send(Buffer.alloc(999_000));
        socket.ws.terminate();
      });
    });

    describe("going away", () => {
      const states = [
        ["before a byte", ""],
        ["in the request line", "GET /socket"],
        ["in the head", GET],
        ["behind a polling handshake", GET + "\r\n"],
        ["in the WebSocket handshake", UPGRADE().slice(0, -2)],
        ["behind the WebSocket handshake", UPGRADE()],
        ["in a frame's head", UPGRADE() + "\x81"],
        ["in a frame's mask", UPGRADE() + "\x81\x82\x01\x02"],
        ["in a frame", UPGRADE() + "\x81\x82\x01\x02\x03\x044"],
        ["between fragments", UPGRADE() + frame(TEXT, "4", { fin: false }).toString("latin1")],
        ["while joining", UPGRADE() + frame(TEXT, "40").toString("latin1")],
        ["while leaving", UPGRADE() + frame(TEXT, "40").toString("latin1") + frame(TEXT, "41").toString("latin1")],
        ["behind a close frame", UPGRADE() + frame(CLOSE, Buffer.from([3, 232])).toString("latin1")],
      ];
      for (const [name, bytes] of states)
        for (const how of ["reset", "destroy"])
          attack(`${name} (${how})`, async () => {
            const peers = await Promise.all(Array.from({ length: 5 }, tcp));
            for (const peer of peers) await peer.write(Buffer.from(bytes, "latin1"));
            for (const peer of peers) peer[how]();
          });

      attack("in the midst of an upgrade's probe", async () => {
        for (const packets of [[], ["2probe"], ["2probe", "5"]]) {
          const session = await Polling.open(server.url, "/socket.io/");
          await session.post("40");
          const socket = await RawSocket.engine(server.url, "/socket.io/", `EIO=4&transport=websocket&sid=${session.sid}`).opened();
          for (const packet of packets) socket.send(packet);
          if (packets.length > 0) assert.equal(await socket.next(), "3probe");
          socket.ws.terminate();
        }
      });

      attack("with a poll pending", async () => {
        // On a busy machine the reset may overtake the request: then nobody has polled, the session lives on, and it is tried again.
        for (let attempt = 0; attempt < 5; attempt++) {
          const session = await Polling.open(server.url, "/socket.io/");
          const peer = await tcp();
          await peer.write(`GET /socket.io/?EIO=4&transport=polling&sid=${session.sid} HTTP/1.1\r\nHost: a\r\n\r\n`);
          peer.reset();
          let answer;
          try {
            do answer = await session.get({ signal: AbortSignal.timeout(4_000) });
            while (answer.status === 200);
          } catch (error) {
            if (error.name !== "TimeoutError") throw error;
            continue;
          }
          assert.equal(answer.status, 400);
          return;
        }
        assert.fail("the session outlived every one of its polls");
      });
    });

    attack("a reader that stops reading is dropped, and nobody else waits", async () => {
      const socket = await connectRaw(server.url);
      await socket.nextMessage();
      socket.ws.pause();
      const event = `42["echo","${"x".repeat(900_000)}"]`;
      let sent = 0;
      // More than the budget of 16 MiB and all that the kernel holds; the server is to give up long before.
      while (socket.ws.readyState === 1 && sent++ < 200) {
        await new Promise((resolve) => socket.ws.send(event, resolve));
        if (sent % 10 === 0) await bystander.timeout(15_000).emitWithAck("ack", sent);
      }
      assert.ok(sent < 200, "it was never dropped");
      socket.ws.terminate();
    });
  });
}
