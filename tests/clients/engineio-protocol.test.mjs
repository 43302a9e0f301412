// The Engine.IO v4 protocol, case by case, on the contract eio-echo.
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { Polling, RawSocket } from "./support/raw.mjs";
import { isReference, startContract, within } from "./support/server.mjs";

const PATH = "/engine.io/";

for (const workers of isReference ? [1] : [1, 2]) {
  describe(`Engine.IO v4, ${workers} worker(s)`, () => {
    let server, url;
    before(async () => {
      server = await startContract(null, "eio-echo", { workers });
      url = server.url;
    });
    after(() => server.stop());

    const get = (query, options) => within(fetch(`${url}${PATH}${query}`, options), "an answer");
    const open = () => Polling.open(url, PATH);
    const openSocket = async () => {
      const socket = await RawSocket.engine(url, PATH).opened();
      const handshake = JSON.parse((await socket.next()).slice(1));
      return Object.assign(socket, { handshake });
    };

    describe("handshake over polling", () => {
      it("opens a session", async () => {
        const answer = await get("?EIO=4&transport=polling");
        assert.equal(answer.status, 200);
        assert.match(answer.headers.get("content-type"), /^text\/plain; charset=utf-8$/i);
        assert.equal(answer.headers.get("cache-control"), "no-store");
        const text = await answer.text();
        assert.equal(text[0], "0");
        const value = JSON.parse(text.slice(1));
        assert.deepEqual(Object.keys(value).sort(), [
          "maxPayload",
          "pingInterval",
          "pingTimeout",
          "sid",
          "upgrades",
        ]);
        assert.match(value.sid, /^[A-Za-z0-9_-]{20}$/);
        assert.deepEqual(value.upgrades, ["websocket"]);
        assert.equal(value.pingInterval, 300);
        assert.equal(value.pingTimeout, 200);
        assert.equal(value.maxPayload, 1000000);
      });

      const refused = [
        ["no EIO", "?transport=polling", {}, 5, "Unsupported protocol version"],
        ["a wrong EIO", "?EIO=abc&transport=polling", {}, 5, "Unsupported protocol version"],
        ["EIO 3", "?EIO=3&transport=polling", {}, 5, "Unsupported protocol version"],
        ["no transport", "?EIO=4", {}, 0, "Transport unknown"],
        ["an unknown transport", "?EIO=4&transport=abc", {}, 0, "Transport unknown"],
        ["a transport named like a property", "?EIO=4&transport=constructor", {}, 0, "Transport unknown"],
        ["POST", "?EIO=4&transport=polling", { method: "POST", body: "" }, 2, "Bad handshake method"],
        ["PUT", "?EIO=4&transport=polling", { method: "PUT", body: "" }, 2, "Bad handshake method"],
        ["an unknown session", "?EIO=4&transport=polling&sid=abc", {}, 1, "Session ID unknown"],
        [
          "an unknown session of the right shape",
          "?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA",
          {},
          1,
          "Session ID unknown",
        ],
      ];
      for (const [name, query, options, code, message] of refused) {
        it(`refuses ${name}`, async () => {
          const answer = await get(query, options);
          assert.equal(answer.status, 400);
          assert.deepEqual(await answer.json(), { code, message });
        });
      }
    });

    describe("handshake over WebSocket", () => {
      it("opens a session", async () => {
        const socket = await openSocket();
        assert.deepEqual(socket.handshake.upgrades, []);
        assert.equal(socket.handshake.pingInterval, 300);
        assert.equal(typeof socket.handshake.sid, "string");
        socket.ws.close();
        await socket.end();
      });

      for (const query of [
        "transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=4",
        "EIO=4&transport=abc",
        "EIO=4&transport=websocket&sid=abc",
      ]) {
        it(`refuses ?${query}`, async () => {
          // The reference refuses some of these with 400 and closes the others right after the handshake.
          const socket = RawSocket.engine(url, PATH, query);
          const refusal = new Promise((resolve) =>
            socket.ws.on("unexpected-response", (_, response) => resolve(response.statusCode)),
          );
          const ended = await within(Promise.race([refusal, socket.closed]), "a refusal");
          if (!isReference) assert.equal(ended, 400);
        });
      }
    });

    describe("messages over polling", () => {
      it("sends and receives one packet", async () => {
        const session = await open();
        const posted = await session.post("4hello");
        assert.equal(posted.status, 200);
        assert.equal(posted.text, "ok");
        assert.equal((await session.get()).text, "4hello");
      });

      it("sends and receives several, in order", async () => {
        const session = await open();
        await session.post("4test1\x1e4test2\x1e4test3");
        assert.equal((await session.get()).text, "4test1\x1e4test2\x1e4test3");
      });

      it("carries binary as base64", async () => {
        const session = await open();
        await session.post("4hello\x1ebAQIDBA==");
        assert.equal((await session.get()).text, "4hello\x1ebAQIDBA==");
      });

      it("answers a poll that was waiting", async () => {
        const session = await open();
        const poll = session.get();
        await session.post("4late");
        assert.equal((await poll).text, "4late");
      });

      it("ends the session after a bad packet", async () => {
        const session = await open();
        assert.equal((await session.post("abc")).status, 200);
        assert.equal((await session.get()).status, 400);
      });

      it("ends the session after invalid base64 or UTF-8", { skip: isReference && "it decodes leniently" }, async () => {
        for (const body of ["b!!!!", Buffer.from([0x34, 0xff, 0xfe])]) {
          const session = await open();
          await session.post(body);
          assert.equal((await session.get()).status, 400);
        }
      });

      it("ends the session after a second concurrent poll", async () => {
        const session = await open();
        const answers = await Promise.all([session.get(), session.get()]);
        assert.deepEqual(answers.map((a) => a.status).sort(), [200, 400]);
        assert.equal(answers.find((a) => a.status === 200).text, "1");
        assert.equal((await session.get()).status, 400);
      });

      it("ends the session when a poll is aborted", async () => {
        const session = await open();
        const controller = new AbortController();
        const poll = session.get({ signal: controller.signal }).catch(() => null);
        // A post that is answered shows that the poll before it has arrived.
        await session.post("4x");
        await poll;
        const second = new AbortController();
        const waiting = session.get({ signal: second.signal }).catch(() => null);
        await session.get({ method: "OPTIONS" });
        second.abort();
        await waiting;
        let status = 200;
        for (let i = 0; i < 50 && status === 200; i++) status = (await session.get()).status;
        assert.equal(status, 400);
      });

      it("refuses octet-stream and closes", async () => {
        const session = await open();
        const answer = await session.post(Buffer.from([1, 2]), {
          headers: { "content-type": "application/octet-stream" },
        });
        assert.equal(answer.status, 400);
        assert.equal((await session.get()).status, 400);
      });

      it("answers 413 to a body over the limit, and the session lives", async () => {
        const session = await open();
        const answer = await session.post("4" + "x".repeat(1000001)).catch(() => null);
        if (answer !== null) assert.equal(answer.status, 413); // undici may see the reset first
        await session.post("4alive");
        assert.match((await session.get()).text, /4alive/);
      });

      it("answers PUT with a clean 4xx", { skip: isReference && "it says 500" }, async () => {
        const session = await open();
        const answer = await within(fetch(session.base, { method: "PUT", body: "4x" }));
        assert.equal(answer.status, 400);
      });
    });

    describe("messages over WebSocket", () => {
      it("echoes text and binary", async () => {
        const socket = await openSocket();
        socket.send("4hello");
        assert.equal(await socket.nextMessage(), "4hello");
        socket.send(Buffer.from([1, 2, 3, 4]));
        assert.deepEqual(await socket.nextMessage(), Buffer.from([1, 2, 3, 4]));
        socket.ws.close();
      });

      it("closes after a bad packet", async () => {
        const socket = await openSocket();
        socket.send("abc");
        await socket.end();
      });
    });

    describe("heartbeat", () => {
      it("pings a polling client and takes its pong", async () => {
        const session = await open();
        for (let i = 0; i < 3; i++) {
          assert.equal((await session.get()).text, "2");
          assert.equal((await session.post("3")).text, "ok");
        }
      });

      it("pings a WebSocket client and takes its pong", async () => {
        const socket = await openSocket();
        for (let i = 0; i < 3; i++) {
          assert.equal(await socket.next(), "2");
          socket.send("3");
        }
        socket.ws.close();
      });

      it("closes a polling session without pong", async () => {
        const session = await open();
        assert.equal((await session.get()).text, "2");
        const last = await session.get(); // answered when the time is up, or refused
        assert.ok(last.status === 400 || last.text === "1");
        assert.equal((await session.get()).status, 400);
      });

      it("closes a WebSocket without pong", async () => {
        const socket = await openSocket();
        assert.equal(await socket.next(), "2");
        assert.equal(await socket.next(), null);
      });

      it("closes when the client pings", async () => {
        const socket = await openSocket();
        socket.send("2");
        await socket.end();
      });
    });

    describe("close", () => {
      it("by the client over polling", async () => {
        const session = await open();
        const poll = session.get();
        const posted = await session.post("1");
        assert.equal(posted.text, "ok");
        const answer = await poll;
        assert.equal(answer.status, 200);
        assert.equal(answer.text, "6");
        assert.equal((await session.get()).status, 400);
      });

      it("by the client over WebSocket", async () => {
        const socket = await openSocket();
        socket.send("1");
        await socket.end();
      });
    });

    describe("upgrade", () => {
      const probe = async (session) => {
        const socket = await RawSocket.engine(
          url,
          PATH,
          `EIO=4&transport=websocket&sid=${session.sid}`,
        ).opened();
        socket.send("2probe");
        assert.equal(await socket.next(), "3probe");
        return socket;
      };

      it("moves the session", async () => {
        const session = await open();
        const socket = await probe(session);
        assert.equal((await session.get()).text, "6");
        socket.send("5");
        socket.send("4hello");
        assert.equal(await socket.nextMessage(), "4hello");
        socket.ws.close();
      });

      it("frees a poll that waits", async () => {
        const session = await open();
        const poll = session.get();
        const socket = await probe(session);
        assert.equal((await poll).text, "6");
        socket.send("5");
        socket.send("4hello");
        assert.equal(await socket.nextMessage(), "4hello");
        socket.ws.close();
      });

      it("ignores polls with the old transport", async () => {
        const session = await open();
        const socket = await probe(session);
        socket.send("5");
        socket.send("4after");
        assert.equal(await socket.nextMessage(), "4after");
        const answer = await session.get();
        assert.equal(answer.status, 400);
        assert.deepEqual(JSON.parse(answer.text), { code: 3, message: "Bad request" });
        assert.equal((await session.post("4x")).status, 400);
        socket.send("4still");
        assert.equal(await socket.nextMessage(), "4still");
        socket.ws.close();
      });

      it("refuses a second WebSocket for the session, the first lives", async () => {
        const session = await open();
        const first = await probe(session);
        first.send("5");
        first.send("4x");
        assert.equal(await first.nextMessage(), "4x");
        const second = RawSocket.engine(url, PATH, `EIO=4&transport=websocket&sid=${session.sid}`);
        await second.end();
        first.send("4y");
        assert.equal(await first.nextMessage(), "4y");
        first.ws.close();
      });

      it("keeps what is sent meanwhile, in order", async () => {
        const session = await open();
        const socket = await probe(session);
        await session.post("4one\x1e4two");
        socket.send("5");
        socket.send("4three");
        const got = [];
        // What polling still delivers counts too: nothing may be lost or come twice.
        while (got.length < 3) got.push(await socket.nextMessage());
        assert.deepEqual(got, ["4one", "4two", "4three"]);
        socket.ws.close();
      });

      it("survives a failed probe", async () => {
        const session = await open();
        const socket = await RawSocket.engine(
          url,
          PATH,
          `EIO=4&transport=websocket&sid=${session.sid}`,
        ).opened();
        socket.send("2nonsense");
        await socket.end();
        await session.post("4alive");
        assert.match((await session.get()).text, /4alive/);
      });
    });

    describe("CORS", () => {
      it("answers a preflight", async () => {
        const answer = await get("?EIO=4&transport=polling", {
          method: "OPTIONS",
          headers: {
            origin: "https://elsewhere.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-custom",
          },
        });
        assert.equal(answer.status, 204);
        assert.equal(answer.headers.get("access-control-allow-origin"), "*");
        assert.equal(
          answer.headers.get("access-control-allow-methods"),
          "GET,HEAD,PUT,PATCH,POST,DELETE",
        );
        assert.equal(answer.headers.get("access-control-allow-headers"), "x-custom");
      });

      it("marks answers for any origin", async () => {
        const answer = await get("?EIO=4&transport=polling", {
          headers: { origin: "https://elsewhere.example" },
        });
        assert.equal(answer.headers.get("access-control-allow-origin"), "*");
      });
    });
  });
}
