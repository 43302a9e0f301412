// What options add to HTTP answers, on the contract sio-flow: the session cookie, as the reference sets it, and what CORS tells.
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { RawSocket } from "./support/raw.mjs";
import { once, startContract } from "./support/server.mjs";

describe("options that answers show", () => {
  let server, polling;
  const origin = "https://app.example";
  before(async () => {
    server = await startContract(null, "sio-flow", { workers: 2 });
    polling = `${server.url}/socket.io/?EIO=4&transport=polling`;
  });
  after(() => server.stop());

  it("a cookie with the session's id, where one opens over polling", async () => {
    const open = await fetch(polling);
    const { sid } = JSON.parse((await open.text()).slice(1));
    assert.deepEqual(open.headers.getSetCookie(), [`sid=${sid}; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax`]);
    const post = await fetch(`${polling}&sid=${sid}`, { method: "POST", body: "40" });
    assert.deepEqual(post.headers.getSetCookie(), []);
    const poll = await fetch(`${polling}&sid=${sid}`);
    assert.deepEqual(poll.headers.getSetCookie(), []);
    const refused = await fetch(`${polling}&sid=none`);
    assert.deepEqual(refused.headers.getSetCookie(), []);
    const socket = RawSocket.engine(server.url, "/socket.io/");
    const [answer] = await once(socket.ws, "upgrade");
    assert.equal(answer.headers["set-cookie"], undefined);
    socket.ws.close();
    await socket.end();
  });

  it("what CORS tells pages of another origin", async () => {
    const preflight = await fetch(polling, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "x-token, x-evil" },
    });
    assert.equal(preflight.status, 204);
    const told = Object.fromEntries([...preflight.headers].filter(([name]) => name.startsWith("access-control-")));
    assert.deepEqual(told, {
      "access-control-allow-origin": origin,
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "GET,POST",
      "access-control-allow-headers": "x-token",
      "access-control-expose-headers": "x-more",
      "access-control-max-age": "600",
    });
    const open = await fetch(polling, { headers: { origin } });
    assert.equal(open.headers.get("access-control-expose-headers"), "x-more");
    assert.equal(open.headers.get("access-control-max-age"), null);
    await open.text();
    const evil = await fetch(polling, { headers: { origin: "https://evil.example" } });
    assert.equal(evil.status, 403);
    assert.equal(evil.headers.get("access-control-allow-origin"), null);
  });
});
