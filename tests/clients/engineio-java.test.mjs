// The contract eio-java, by which Engine.IO clients in other languages judge a server: a greeting, an echo, and response headers that the
// application adds, two lines of one name, on every answer of either transport.
import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, it, before, after } from "node:test";
import { Socket } from "engine.io-client";
import { isReference, once, startContract, within } from "./support/server.mjs";

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

/** The values of all lines `name` of a raw answer, in order. */
function lines(rawHeaders, name) {
  const values = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i].toLowerCase() === name) values.push(rawHeaders[i + 1]);
  return values;
}

/** One request over a connection of its own; resolves to {status, raw, text}. */
function ask(url, { method = "GET", headers = {}, body } = {}) {
  return within(
    new Promise((resolve, reject) => {
      const asking = request(url, { method, headers, agent: false }, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (piece) => (text += piece));
        answer.on("end", () => resolve({ status: answer.statusCode, raw: answer.rawHeaders, text }));
      });
      asking.on("error", reject);
      asking.end(body);
    }),
    `${method} ${url}`,
  );
}

for (const workers of isReference ? [1] : [1, 2]) {
  describe(`eio-java, ${workers} worker(s)`, () => {
    let server, polling;
    before(async () => {
      server = await startContract(null, "eio-java", { workers });
      polling = `${server.url}/engine.io/?EIO=4&transport=polling`;
    });
    after(() => server.stop());

    for (const [way, transports] of Object.entries(TRANSPORTS)) {
      it(`greets and echoes over ${way}`, async () => {
        const socket = new Socket(server.url, { path: "/engine.io/", transports });
        socket.binaryType = "arraybuffer";
        const upgraded = way === "upgrade" ? once(socket, "upgrade") : null;
        assert.deepEqual(await once(socket, "message"), ["hi"]);
        await upgraded;
        for (const text of ["foo", "4", "\x1f", "€ \u{1F600}"]) {
          socket.send(text);
          assert.deepEqual(await once(socket, "message"), [text]);
        }
        socket.send(new Uint8Array([0, 1, 2, 3, 255]));
        assert.deepEqual(new Uint8Array((await once(socket, "message"))[0]), new Uint8Array([0, 1, 2, 3, 255]));
        await once(socket, "ping"); // the interval is 500 ms
        const closed = once(socket, "close");
        socket.close();
        await closed;
      });
    }

    it("gives two lines X-EngineIO on every polling answer", async () => {
      const headers = { "X-EngineIO": "me" };
      const open = await ask(polling, { headers });
      assert.equal(open.status, 200);
      assert.deepEqual(lines(open.raw, "x-engineio"), ["hi", "me"]);
      const session = `${polling}&sid=${JSON.parse(open.text.slice(1)).sid}`;
      const poll = await ask(session, { headers: { "X-EngineIO": "again" } });
      assert.deepEqual([poll.text, lines(poll.raw, "x-engineio")], ["4hi", ["hi", "again"]]);
      const post = await ask(session, { method: "POST", headers, body: "4x" });
      assert.deepEqual([post.text, lines(post.raw, "x-engineio")], ["ok", ["hi", "me"]]);
      const silent = await ask(session);
      assert.deepEqual([silent.text, lines(silent.raw, "x-engineio")], ["4x", []]);
    });

    it("gives them on the 101 too", { skip: isReference && "the reference joins the two in one line" }, async () => {
      const socket = new Socket(server.url, {
        path: "/engine.io/",
        transports: ["websocket"],
        extraHeaders: { "X-EngineIO": "me" },
      });
      const greeted = once(socket, "message");
      const [answer] = await once(socket.transport.ws, "upgrade");
      assert.deepEqual(lines(answer.rawHeaders, "x-engineio"), ["hi", "me"]);
      assert.deepEqual(await greeted, ["hi"]);
      socket.close();
    });

    it("lets nobody break out of a header", async () => {
      const answer = await ask(polling, { headers: { "X-EngineIO": "a\tb; c=\"d\"" } });
      assert.deepEqual(lines(answer.raw, "x-engineio"), ["hi", 'a\tb; c="d"']);
    });
  });
}
