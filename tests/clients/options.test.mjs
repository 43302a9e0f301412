// What options add to HTTP answers, on the contract sio-flow: the session cookie, as the reference sets it, and what CORS tells.
import assert from "node:assert/strict";
import { describe, it, before, after } from "node:test";
import { exchange, RawSocket } from "./support/raw.mjs";
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
    const open = await exchange(polling);
    const { sid } = JSON.parse(open.text.slice(1));
    assert.deepEqual(open.cookies, [`sid=${sid}; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax`]);
    const post = await exchange(`${polling}&sid=${sid}`, { method: "POST", body: "40" });
    assert.deepEqual([post.status, post.cookies], [200, []]);
    const poll = await exchange(`${polling}&sid=${sid}`);
    assert.deepEqual([poll.status, poll.cookies], [200, []]);
    const refused = await exchange(`${polling}&sid=none`);
    assert.deepEqual([refused.status, refused.cookies], [400, []]);
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
