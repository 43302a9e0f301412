// The development mode's tokens: for anybody on this machine, and for no page of another site.
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { enter, startDaemon } from "./support/daemon.mjs";
import { exchange } from "./support/raw.mjs";

const start = (t, args = []) => startDaemon(t, ["--dev", ...args], { secret: null });
const json = { "Content-Type": "application/json" };
const ask = (daemon, wish, headers = {}) =>
  exchange(`${daemon.url}/dev/token`, { method: "POST", headers: { ...json, ...headers }, body: typeof wish === "string" ? wish : JSON.stringify(wish) });
const ada = { user_id: "ada", role: "STUDENT" };

test("every ready user gets a token that the server takes, with all that it says", async (t) => {
  const daemon = await start(t);
  const { users } = JSON.parse((await exchange(`${daemon.url}/dev/users`)).text);
  assert.deepEqual([...new Set(users.map(({ user }) => user.role))].sort(), ["ADMIN", "PROFESSOR", "STUDENT"]);
  assert.ok(users.some(({ user }) => user.org_id !== "acme"));
  for (const { description, user } of users) {
    assert.ok(description.length > 5);
    const answer = await ask(daemon, user);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers["cache-control"], "no-store");
    const { token, expires_at } = JSON.parse(answer.text);
    assert.ok(Math.abs(expires_at - Date.now() / 1000 - 3600) < 60);
    const socket = await enter(t, daemon.url, token);
    assert.equal((await socket.ask("presence_join", { kind: "org", id: user.org_id })).data.members[0].name, user.name);
    for (const id of user.courses) assert.equal((await socket.ask("presence_join", { kind: "course", id })).ok, true, id);
    for (const division of user.division_ids)
      assert.equal((await socket.ask("presence_join", { kind: "division", id: `${user.org_id}:div:${division}` })).ok, true, division);
    if (user.role === "STUDENT") assert.equal((await socket.ask("presence_join", { kind: "course", id: "not mine" })).error.code, "FORBIDDEN");
  }
});

test("a token lives as long as was asked for, and is of whom was asked for, wherever claims are looked for", async (t) => {
  const daemon = await start(t, ["--auth-claim-role", "a.b.role,role", "--auth-claim-org-id", "https://example.com/org", "--auth-claim-user-id", "a.b"]);
  const { token, expires_at } = JSON.parse((await ask(daemon, { ...ada, org_id: "acme", lifetime_s: 60, scopes: ["x"] })).text);
  assert.ok(Math.abs(expires_at - Date.now() / 1000 - 60) < 20);
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.ok(Math.abs(claims.exp - expires_at) <= 1);
  const socket = await enter(t, daemon.url, token);
  assert.equal((await socket.ask("presence_join", { kind: "org", id: "acme" })).data.members[0].userId, "ada");
});

test("says what is wrong with a wish", async (t) => {
  const daemon = await start(t);
  const cases = [
    [{}, /user_id is missing/],
    [{ user_id: "ada" }, /role is missing/],
    [{ ...ada, role: "KING" }, /role must be STUDENT/],
    [{ ...ada, user_id: "" }, /user_id must/],
    [{ ...ada, user_id: "x".repeat(129) }, /user_id must/],
    [{ ...ada, user_id: 7 }, /user_id must/],
    [{ ...ada, user_id: "a\nb" }, /user_id must/],
    [{ ...ada, org_id: "a:b" }, /org_id must/],
    [{ ...ada, division_ids: ["a:b"] }, /division_ids must/],
    [{ ...ada, courses: "math" }, /courses must/],
    [{ ...ada, courses: Array(257).fill("c") }, /courses must/],
    [{ ...ada, lifetime_s: 0 }, /lifetime_s must/],
    [{ ...ada, lifetime_s: 2592001 }, /lifetime_s must/],
    [{ ...ada, lifetime_s: 1.5 }, /lifetime_s must/],
    [{ ...ada, iss: "elsewhere" }, /iss: there is no such member/],
    ["[]", /not a JSON object/],
    ["{", /not a JSON object/],
  ];
  for (const [wish, words] of cases) {
    const answer = await ask(daemon, wish);
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.text, words);
    assert.doesNotMatch(answer.text, /eyJ/);
  }
});

test("pages elsewhere get no token through a developer's browser", async (t) => {
  const daemon = await start(t, ["--origin", "*"]); // CORS does not open this door
  const { port } = daemon;
  const refused = [
    { Host: "evil.example" }, // a name that was rebound to 127.0.0.1
    { Host: `evil.example:${port}` },
    { Host: `localhost.evil.example:${port}` },
    { Host: `127.0.0.1.evil.example:${port}` },
    { Host: `localhost@evil.example:${port}` },
    { Host: `127.0.0.1:${port}`, Origin: "https://evil.example" },
    { Origin: "null" },
    { Origin: "http://localhost.evil.example" },
    { Origin: "file://localhost" },
    { "Sec-Fetch-Site": "cross-site" },
    { "X-Forwarded-For": "127.0.0.1" }, // a proxy may have brought it from anywhere
    { Forwarded: "for=127.0.0.1" },
  ];
  for (const headers of refused) {
    for (const [method, path] of [["POST", "/dev/token"], ["GET", "/dev/users"]]) {
      const answer = await exchange(`${daemon.url}${path}`, { method, headers: { ...json, ...headers }, body: method === "POST" ? JSON.stringify(ada) : undefined });
      assert.equal(answer.status, /@/.test(headers.Host) ? 400 : 403, `${path} ${JSON.stringify(headers)} ${answer.text}`);
      assert.doesNotMatch(answer.text, /eyJ/);
    }
  }
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""])
    assert.equal((await ask(daemon, ada, { "Content-Type": type })).status, 415, type);
  for (const headers of [
    {},
    { Host: `localhost:${port}` },
    { Host: "LOCALHOST" },
    { Host: `[::1]:${port}` },
    { Host: `127.9.9.9:${port}`, Origin: `http://127.9.9.9:${port}`, "Sec-Fetch-Site": "same-origin" },
    { Origin: "http://localhost:5173", "Sec-Fetch-Site": "same-site" },
    { "Content-Type": "application/json; charset=utf-8" },
  ])
    assert.equal((await ask(daemon, ada, headers)).status, 200, JSON.stringify(headers));
});

test("without --dev there is none of it", async (t) => {
  const daemon = await startDaemon(t);
  for (const [method, path] of [["POST", "/dev/token"], ["GET", "/dev/users"], ["GET", "/dev"], ["GET", "/dev/"], ["OPTIONS", "/dev/token"]])
    assert.equal((await exchange(`${daemon.url}${path}`, { method, headers: json, body: method === "POST" ? "{}" : undefined })).status, 404, path);
});

test("is not to be had from another machine", async (t) => {
  const daemon = await start(t);
  const outside = Object.values(networkInterfaces()).flat().find((it) => it.family === "IPv4" && !it.internal);
  if (outside === undefined) return t.skip("this machine has loopback only");
  await assert.rejects(exchange(`http://${outside.address}:${daemon.port}/dev/token`, { method: "POST" }), /ECONNREFUSED/);
});
