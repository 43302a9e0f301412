// Who may join what, by each of the judges that there are, and what an administrator does about it by HTTP.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import { test } from "node:test";
import { connect, enter, folder, refusal, startDaemon, token, user } from "./support/daemon.mjs";
import { exchange } from "./support/raw.mjs";
import { daemonFile, once, within } from "./support/server.mjs";

const HOOK_SECRET = "what the application and convened both know";
const UNLIMITED = ["--rate", "join=100000/min", "--limits-events-per-connection", "off", "--limits-events-per-user", "off", "--limits-events-per-ip", "off", "--server-drain-time", "100ms"];
const boss = (claims = {}) => token({ sub: "boss", app_metadata: { role: "ADMIN" }, ...claims });
const board = (id) => ({ kind: "board", id });
const join = (socket, room) => socket.ask("presence_join", room);
const leave = (socket, room) => socket.ask("presence_leave", room);

/** A request to the admin API: {status, body}. */
async function call(daemon, method, path, { body, auth = boss(), headers = {} } = {}) {
  const answer = await exchange(`${daemon.url}/api/v1/admin${path}`, {
    method,
    headers: { ...(auth ? { authorization: `Bearer ${auth}` } : {}), "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: answer.status, body: JSON.parse(answer.text), headers: answer.headers };
}

async function refusedWith(daemon, method, path, status, code, options) {
  const answer = await call(daemon, method, path, options);
  assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  assert.equal(answer.body.ok, false);
  assert.equal(answer.body.error.code, code);
  assert.ok(answer.body.error.message.length > 5);
}

async function done(daemon, method, path, body) {
  const answer = await call(daemon, method, path, { body });
  assert.equal(answer.status, 200, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  assert.equal(answer.body.ok, true);
  return answer.body.data;
}

/** The audit trail, once it has an entry that is wanted. */
async function audited(data, wanted) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const text = await new Promise((resolve, reject) =>
      execFile(daemonFile, ["audit", "export", "--data", data], { maxBuffer: 64 << 20 }, (error, stdout) => (error ? reject(error) : resolve(stdout))),
    );
    const entries = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    const found = entries.find(wanted);
    if (found) return found;
    if (Date.now() > deadline) assert.fail(`waited in vain:\n${text}`);
  }
}

/** The application: answers as `hook.answer(question)` says, {status?, body}; null: never. */
async function startApplication(t) {
  const hook = { questions: [], answer: () => ({ body: { allow: true } }), waiting: [] };
  const server = http.createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (piece) => (text += piece));
    request.on("end", () => {
      const question = { ...JSON.parse(text), raw: text, headers: request.headers, method: request.method, path: request.url };
      hook.questions.push(question);
      hook.waiting.splice(0).forEach((resolve) => resolve());
      const answer = hook.answer(question);
      if (answer === null) return;
      response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
      response.end(typeof answer.body === "object" ? JSON.stringify(answer.body) : answer.body);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  hook.url = `http://127.0.0.1:${server.address().port}/may-join`;
  hook.asked = () => within(new Promise((resolve) => hook.waiting.push(resolve)), "a question to the webhook");
  return hook;
}

const startHooked = (t, hook, args = [], options = {}) =>
  startDaemon(t, ["--access-board", "webhook", "--access-webhook-url", hook.url, ...UNLIMITED, ...args], {
    ...options,
    env: { CONVENE_ACCESS_WEBHOOK_SECRET: HOOK_SECRET, ...options.env },
  });

test("open: whoever is in may join; claims: whom the token names", async (t) => {
  const daemon = await startDaemon(t, ["--access-kb", "open", "--access-board", "claims", "--access-doc", "claims"]);
  const ada = await enter(t, daemon.url, user("ada", { app_metadata: { role: "STUDENT", org_id: "acme", scopes: ["board:1", "doc:*"] }, courses: ["math"] }));
  assert.equal((await join(ada, { kind: "kb", id: "any" })).ok, true);
  assert.equal((await join(ada, board("1"))).ok, true);
  for (const id of ["2", "*", "1:", "11"]) assert.equal((await join(ada, board(id))).error.code, "FORBIDDEN", id);
  assert.equal((await join(ada, { kind: "doc", id: "whichever" })).ok, true);
  assert.equal((await join(ada, { kind: "course", id: "math" })).ok, true);
  assert.equal((await join(ada, { kind: "course", id: "art" })).error.code, "FORBIDDEN");
  const root = await enter(t, daemon.url, boss());
  assert.equal((await join(root, board("2"))).ok, true);
});

test("another tenant's wall: refused, and audited as a violation with whose doing it was", async (t) => {
  const data = folder(t);
  const daemon = await startDaemon(t, ["--access-board", "claims"], { data });
  const ada = await enter(t, daemon.url, user("ada", { app_metadata: { role: "STUDENT", org_id: "acme", division_ids: ["dev"] } }));
  assert.equal((await join(ada, { kind: "org", id: "acme" })).ok, true);
  assert.equal((await join(ada, { kind: "division", id: "acme:div:dev" })).ok, true);
  assert.equal((await join(ada, { kind: "org", id: "other" })).error.code, "FORBIDDEN");
  assert.equal((await join(ada, { kind: "division", id: "acme:div:sales" })).error.code, "FORBIDDEN");
  assert.equal((await join(ada, board("7"))).error.code, "FORBIDDEN");
  for (const subject of ["org:other", "org:acme:div:sales"]) {
    const entry = await audited(data, (it) => it.subject === subject);
    assert.equal(entry.action, "scope_violation");
    assert.equal(entry.code, "FORBIDDEN");
    assert.ok(JSON.stringify(entry).includes('"ada"'));
  }
  assert.equal((await audited(data, (it) => it.subject === "board:7")).action, "join_refused");
});

test("members: kept by HTTP, seen at once, and who is taken out leaves on every worker", async (t) => {
  const data = folder(t);
  let daemon = await startDaemon(t, ["--access-board", "members", "--presence-coalesce", "50ms", "--presence-grace", "0s"], { data });
  const sockets = [];
  for (let i = 0; i < 6; i++) sockets.push(await enter(t, daemon.url, user("ada"))); // on both workers
  const bob = await enter(t, daemon.url, user("bob"));
  assert.equal((await join(sockets[0], board("1"))).error.code, "FORBIDDEN"); // a no that is remembered
  await refusedWith(daemon, "GET", "/members/board/1/ada", 404, "NOT_FOUND");
  const member = { kind: "board", id: "1", user_id: "ada", permission: "edit" };
  assert.deepEqual(await done(daemon, "PUT", "/members/board/1/ada", { permission: "edit" }), { ...member, changed: true });
  assert.deepEqual(await done(daemon, "PUT", "/members/board/1/ada", { permission: "edit" }), { ...member, changed: false });
  assert.deepEqual(await done(daemon, "GET", "/members/board/1/ada"), member);
  assert.equal((await done(daemon, "PUT", "/members/board/1/bob")).permission, "member");
  for (const socket of [...sockets, bob]) assert.equal((await join(socket, board("1"))).ok, true);
  assert.equal((await join(bob, board("2"))).error.code, "FORBIDDEN");

  // Another permission keeps everybody in.
  assert.equal((await done(daemon, "PUT", "/members/board/1/ada", { permission: "view" })).changed, true);
  for (const socket of sockets) assert.equal((await leave(socket, board("1"))).ok, true);
  for (const socket of sockets) assert.equal((await join(socket, board("1"))).ok, true);

  let bobLeft = false;
  bob.on("room_closed", () => (bobLeft = true));
  const closed = sockets.map((socket) => once(socket, "room_closed"));
  assert.deepEqual(await done(daemon, "DELETE", "/members/board/1/ada"), { removed: true });
  for (const [event] of await Promise.all(closed)) assert.deepEqual(event, { room: "board:1", code: "FORBIDDEN" });
  for (const socket of sockets) {
    assert.equal(socket.connected, true);
    assert.equal((await leave(socket, board("1"))).error.code, "NOT_JOINED");
    assert.equal((await join(socket, board("1"))).error.code, "FORBIDDEN");
  }
  assert.equal(bobLeft, false);
  assert.deepEqual(await done(daemon, "DELETE", "/members/board/1/ada"), { removed: false });
  const put = await audited(data, (it) => it.action === "admin_member_put" && it.subject === "board:1 ada edit");
  assert.ok(JSON.stringify(put).includes('"boss"'));
  await audited(data, (it) => it.action === "admin_member_remove" && it.subject === "board:1 ada");
  await audited(data, (it) => it.action === "join_withdrawn" && it.subject === "board:1");

  // It outlasts a restart; a resource that is gone takes everybody with it.
  await daemon.stopNow();
  daemon = await startDaemon(t, ["--access-board", "members"], { data });
  const again = await enter(t, daemon.url, user("bob"));
  assert.equal((await join(again, board("1"))).ok, true);
  const gone = once(again, "room_closed");
  assert.deepEqual(await done(daemon, "DELETE", "/members/board/1"), { removed: true });
  assert.equal((await gone)[0].room, "board:1");
});

test("members: lists in pages, and names that are none", async (t) => {
  const daemon = await startDaemon(t);
  const ids = ["a", "b", "c d", "e/f", "\u00fcber"];
  for (const id of ids) await done(daemon, "PUT", `/members/kb/k%2F1/${encodeURIComponent(id)}`, { permission: "view" });
  const seen = [];
  let next = null;
  do {
    const page = await done(daemon, "GET", `/members/kb/k%2F1?limit=2${next === null ? "" : `&after=${encodeURIComponent(next)}`}`);
    assert.ok(page.members.length <= 2);
    for (const it of page.members) {
      assert.equal(it.kind, "kb");
      assert.equal(it.id, "k/1");
      assert.equal(it.added_by, "boss");
      assert.ok(Math.abs(Date.parse(it.added_at) - Date.now()) < 600_000);
      seen.push(it.user_id);
    }
    assert.equal(page.has_more, page.next !== null);
    next = page.next;
  } while (next !== null);
  assert.deepEqual(seen, ids);
  await done(daemon, "PUT", "/members/kb/2/a");
  assert.deepEqual((await done(daemon, "GET", "/users/a/members/kb?limit=1")).next, "2");
  assert.deepEqual((await done(daemon, "GET", "/users/a/members/kb")).members.map((it) => it.id), ["2", "k/1"]);
  assert.deepEqual((await done(daemon, "GET", "/members/doc/nothing")).members, []);

  for (const [method, path, body] of [
    ["PUT", "/members/planet/1/ada"],
    ["PUT", "/members/org/acme/ada"],
    ["PUT", `/members/board/1/${"x".repeat(129)}`],
    ["PUT", "/members/board/1/ada", { permission: "" }],
    ["PUT", "/members/board/1/ada", { permission: "Edit" }],
    ["PUT", "/members/board/1/ada", { permission: 7 }],
    ["PUT", "/members/board/1/ada", { permission: "x".repeat(33) }],
    ["PUT", "/members/board/1/ada", { permission: "view", role: "edit" }],
    ["PUT", "/members/board/1/ada", "[]"],
    ["PUT", "/members/board/1/ada", "{"],
    ["GET", "/members/board/1?limit=0"],
    ["GET", "/members/board/1?limit=1001"],
    ["GET", "/members/board/1?limit=1x"],
    ["GET", `/members/board/1?after=${"x".repeat(200)}`],
    ["GET", "/users/ada/members/planet"],
    ["POST", `/users/${"x".repeat(129)}/revoke`],
    ["POST", "/users/ada/revoke", { issued_until: "now" }],
    ["POST", "/users/ada/revoke", { issued_until: 1e15 }],
    ["POST", "/tokens/t/revoke", { expires_at: 1000 }],
    ["POST", "/tokens/t/revoke", { until: 1 }],
    ["POST", "/sockets/board:1/disconnect"],
    ["POST", "/drain", { now: true }],
  ])
    await refusedWith(daemon, method, path, 400, "VALIDATION", { body });
  assert.deepEqual((await done(daemon, "GET", "/members/board/1")).members, []);
});

test("the admin API is for administrators: no users, no back ends, nobody without a token", async (t) => {
  const key = "a back end's key of some length";
  const { createHash } = await import("node:crypto");
  const daemon = await startDaemon(t, ["--auth-api-keys", `shop:${createHash("sha256").update(key).digest("hex")}`]);
  const service = token({ sub: "svc", app_metadata: { role: "SERVICE" } });
  const revoked = connect(t, daemon.url, user("ada"));
  await once(revoked, "connect");
  for (const [method, path] of [
    ["GET", "/members/board/1"],
    ["DELETE", "/members/board/1"],
    ["GET", "/members/board/1/ada"],
    ["PUT", "/members/board/1/ada"],
    ["DELETE", "/members/board/1/ada"],
    ["GET", "/users/ada/members/board"],
    ["POST", "/users/ada/revoke"],
    ["POST", "/tokens/t/revoke"],
    ["POST", "/users/ada/disconnect"],
    ["POST", `/sockets/${revoked.id}/disconnect`],
    ["POST", "/drain"],
  ]) {
    await refusedWith(daemon, method, path, 401, "AUTH_REQUIRED", { auth: null });
    for (const auth of [user("ada"), service]) await refusedWith(daemon, method, path, 403, "FORBIDDEN", { auth });
    assert.ok([401, 403].includes((await call(daemon, method, path, { auth: null, headers: { "x-api-key": key } })).status));
  }
  assert.equal((await revoked.ask("status", { status: "away" })).ok, true);
});

test("a revoked user is out at once, everywhere, and stays out over a restart", async (t) => {
  const data = folder(t);
  let daemon = await startDaemon(t, ["--admin-enabled"], { data });
  const issued = Math.floor(Date.now() / 1000) - 10;
  const old = user("ada", { iat: issued, app_metadata: { role: "ADMIN", org_id: "acme" } });
  const sockets = [];
  for (let i = 0; i < 6; i++) sockets.push(await enter(t, daemon.url, old));
  sockets.push(await enter(t, `${daemon.url}/admin`, old)); // a second namespace
  const bob = await enter(t, daemon.url, user("bob"));
  const ended = sockets.map((socket) => once(socket, "disconnect"));
  const answer = await done(daemon, "POST", "/users/ada/revoke", { issued_until: issued + 1 });
  assert.deepEqual(answer, { user_id: "ada", issued_until: issued + 1 });
  for (const [reason] of await Promise.all(ended)) assert.equal(reason, "io server disconnect");
  assert.equal((await refusal(t, daemon.url, old)).data.code, "AUTH_INVALID");
  await enter(t, daemon.url, user("ada")); // a token that was issued later is good
  assert.equal((await bob.ask("status", { status: "away" })).ok, true);
  await audited(data, (it) => it.action === "revoke_user" && it.subject === "ada");
  await daemon.stopNow();
  daemon = await startDaemon(t, [], { data });
  assert.equal((await refusal(t, daemon.url, old)).data.code, "AUTH_INVALID");

  // Without a moment: all that were issued up to now.
  const now = user("bob");
  const socket = await enter(t, daemon.url, now);
  const end = once(socket, "disconnect");
  assert.ok(Math.abs((await done(daemon, "POST", "/users/bob/revoke")).issued_until - Date.now() / 1000) < 60);
  await end;
  assert.equal((await refusal(t, daemon.url, now)).data.code, "AUTH_INVALID");
});

test("a revoked token is out, the user's other one is not", async (t) => {
  const data = folder(t);
  let daemon = await startDaemon(t, [], { data });
  const [stolen, own] = [user("ada", { jti: "stolen/1" }), user("ada", { jti: "own" })];
  const thieves = [await enter(t, daemon.url, stolen), await enter(t, daemon.url, stolen), await enter(t, daemon.url, stolen)];
  const ada = await enter(t, daemon.url, own);
  const ended = thieves.map((socket) => once(socket, "disconnect"));
  const expires = Math.floor(Date.now() / 1000) + 3600;
  assert.deepEqual(await done(daemon, "POST", "/tokens/stolen%2F1/revoke", { expires_at: expires }), { jti: "stolen/1", expires_at: expires });
  for (const [reason] of await Promise.all(ended)) assert.equal(reason, "io server disconnect");
  assert.equal((await ada.ask("status", { status: "away" })).ok, true);
  assert.equal((await ada.ask("auth_refresh", { token: stolen })).error.message, "AUTH_INVALID");
  await audited(data, (it) => it.action === "revoke_token" && it.subject === "stolen/1");
  await daemon.stopNow();
  daemon = await startDaemon(t, [], { data });
  assert.equal((await refusal(t, daemon.url, stolen)).data.code, "AUTH_INVALID");
  await enter(t, daemon.url, own);
});

test("disconnecting a user or one socket takes away no right", async (t) => {
  const daemon = await startDaemon(t);
  const ada = [await enter(t, daemon.url, user("ada")), await enter(t, daemon.url, user("ada")), await enter(t, daemon.url, user("ada"))];
  let end = once(ada[0], "disconnect");
  await done(daemon, "POST", `/sockets/${ada[0].id}/disconnect`);
  assert.equal((await end)[0], "io server disconnect");
  assert.equal((await ada[1].ask("status", { status: "away" })).ok, true);
  end = Promise.all([once(ada[1], "disconnect"), once(ada[2], "disconnect")]);
  assert.deepEqual(await done(daemon, "POST", "/users/ada/disconnect"), { user_id: "ada" });
  await end;
  await enter(t, daemon.url, user("ada"));
});

test("the drain by HTTP: answered, then everybody is sent away and the server ends", async (t) => {
  const data = folder(t);
  const daemon = await startDaemon(t, ["--server-drain-time", "1s"], { data });
  const ada = await enter(t, daemon.url, user("ada"));
  const end = once(ada, "disconnect");
  const answer = await call(daemon, "POST", "/drain", { headers: { "x-request-id": "drain-1" } });
  assert.equal(answer.status, 202);
  assert.deepEqual(answer.body, { ok: true, data: { draining: true } });
  assert.equal(answer.headers["x-request-id"], "drain-1");
  await end;
  assert.equal((await daemon.exit()).code, 0);
  await audited(data, (it) => it.action === "admin_drain" && JSON.stringify(it).includes("drain-1"));
});

test("webhook: asks the application once, signed, and remembers", async (t) => {
  const hook = await startApplication(t);
  const daemon = await startHooked(t, hook);
  const ada = await enter(t, daemon.url, user("ada", { app_metadata: { role: "STUDENT", org_id: "acme", division_ids: ["dev", "q\"a"] } }));
  hook.answer = ({ id }) => ({ body: { allow: id !== "2", permission: "comment" } });
  assert.equal((await join(ada, board("1"))).ok, true);
  const [question] = hook.questions;
  assert.equal(question.method, "POST");
  assert.equal(question.path, "/may-join");
  const { raw, headers, method, path, ...asked } = question;
  assert.deepEqual(asked, { action: "join", kind: "board", id: "1", user_id: "ada", role: "STUDENT", org_id: "acme", division_ids: ["dev", 'q"a'] });
  const stamp = headers["x-convene-timestamp"];
  assert.ok(Math.abs(Number(stamp) - Date.now() / 1000) < 60);
  assert.equal(headers["x-convene-signature"], `sha256=${createHmac("sha256", HOOK_SECRET).update(`${stamp}.${raw}`).digest("hex")}`);

  assert.equal((await join(ada, board("2"))).error.code, "FORBIDDEN");
  for (let i = 0; i < 3; i++) {
    assert.equal((await leave(ada, board("1"))).ok, true);
    assert.equal((await join(ada, board("1"))).ok, true);
    assert.equal((await join(ada, board("2"))).error.code, "FORBIDDEN");
  }
  assert.equal(hook.questions.length, 2);
  hook.answer = () => ({ body: { allow: true, ttl_s: 0 } }); // not to be remembered
  for (let i = 0; i < 2; i++) {
    assert.equal((await join(ada, board("3"))).ok, true);
    assert.equal((await leave(ada, board("3"))).ok, true);
  }
  assert.equal(hook.questions.length, 4);
  // Who has other claims is asked for anew; a back end is not.
  assert.equal((await join(await enter(t, daemon.url, user("ada")), board("1"))).ok, true);
  assert.equal((await join(await enter(t, daemon.url, token({ sub: "svc", app_metadata: { role: "SERVICE" } })), board("1"))).ok, true);
  assert.equal(hook.questions.length, 5);
});

test("webhook: a time to live that ends, and joins that share one question", async (t) => {
  const hook = await startApplication(t);
  const daemon = await startHooked(t, hook);
  const ada = await enter(t, daemon.url, user("ada"));
  let allowed = true;
  hook.answer = () => ({ body: { allow: allowed, ttl_s: 1 } });
  assert.equal((await join(ada, board("1"))).ok, true);
  allowed = false;
  const deadline = Date.now() + 20_000;
  for (;;) {
    assert.equal((await leave(ada, board("1"))).ok, true);
    const answer = await join(ada, board("1"));
    if (!answer.ok) break; // what was remembered has ended
    assert.ok(Date.now() < deadline, "a yes that never ends");
  }
  assert.equal(hook.questions.length, 2);
  hook.answer = () => ({ body: { allow: true } });
  const answers = await Promise.all(Array.from({ length: 10 }, () => join(ada, board("2"))));
  assert.ok(answers.every((answer) => answer.ok));
  assert.equal(hook.questions.length, 3);
});

test("webhook: whatever is no answer lets nobody in, and is over as soon as there is one", async (t) => {
  const hook = await startApplication(t);
  const daemon = await startHooked(t, hook, ["--access-webhook-timeout", "300ms"]);
  const ada = await enter(t, daemon.url, user("ada"));
  const cases = [
    { status: 500, body: { allow: true } },
    { status: 403, body: { allow: true } },
    { status: 302, headers: { location: "/elsewhere" }, body: { allow: true } },
    { body: "" },
    { body: "yes" },
    { body: { allow: "true" } },
    { body: { allow: true, ttl_s: -5 } },
    { body: { allow: true, permission: "board:*" } },
    { body: `{"allow":true,"pad":"${"x".repeat(5_000_000)}"}` },
    { body: `${"[".repeat(10_000)}` },
    null,
  ];
  for (const [index, answer] of cases.entries()) {
    hook.answer = () => answer;
    const refused = join(ada, board(`bad ${index}`));
    assert.equal((await ada.ask("status", { status: "away" })).ok, true); // nobody else waits for it
    const { error } = await refused;
    assert.equal(error?.code, "UNAVAILABLE", JSON.stringify(answer)?.slice(0, 100));
    assert.ok(error.retry_after_ms > 0);
  }
  hook.answer = () => ({ body: { allow: true } });
  const deadline = Date.now() + 20_000;
  while (!(await join(ada, board("bad 0"))).ok) assert.ok(Date.now() < deadline, "the failure is remembered for ever");
  assert.match(daemon.output, /the webhook does not say who may join/);
});

test("webhook: nothing hangs when the server stops with a question under way", async (t) => {
  const hook = await startApplication(t);
  const daemon = await startHooked(t, hook, ["--access-webhook-timeout", "60s", "--server-shutdown-timeout", "2s"]);
  const ada = await enter(t, daemon.url, user("ada"));
  hook.answer = () => null;
  const asked = hook.asked();
  ada.emit("presence_join", board("1"), () => {});
  ada.emit("presence_join", board("1"));
  await asked;
  await daemon.stopNow(); // with the leak checker's blessing
});

test("webhook: a guard that needs one is refused at the start without its URL", async (t) => {
  await assert.rejects(startDaemon({ after() {} }, ["--access-doc", "webhook"], { data: folder(t) }), /access.webhook_url is not set/);
});

test("webhook: the examples of docs/security.md tell a good signature from others", async (t) => {
  const hook = await startApplication(t);
  const daemon = await startHooked(t, hook);
  const ada = await enter(t, daemon.url, user("\u00e4da"));
  assert.equal((await join(ada, board("\u00fc 1"))).ok, true);
  const [{ raw, headers }] = hook.questions;
  const text = readFileSync(new URL("../../docs/security.md", import.meta.url), "utf8");
  const block = (language) => new RegExp(`\`\`\`${language}\\n([^]*?isFromConvene[^]*?)\`\`\``).exec(text.replaceAll("is_from_convene", "isFromConvene"))[1];
  const stamp = headers["x-convene-timestamp"];
  const old = String(Number(stamp) - 3600);
  const signatureOf = (time) => `sha256=${createHmac("sha256", HOOK_SECRET).update(`${time}.${raw}`).digest("hex")}`;
  const cases = [
    [stamp, headers["x-convene-signature"], raw, true],
    [stamp, headers["x-convene-signature"], raw.replace("board", "kb"), false],
    [stamp, headers["x-convene-signature"].replace(/.$/, (digit) => (digit === "0" ? "1" : "0")), raw, false],
    [stamp, "", raw, false],
    [stamp, "sha256=\u00fc", raw, false],
    [String(Number(stamp) + 1), headers["x-convene-signature"], raw, false],
    [old, signatureOf(old), raw, false], // asked again
    ["soon", signatureOf("soon"), raw, false],
    ["", signatureOf(""), raw, false],
  ];
  const { isFromConvene } = await import(`data:text/javascript,${encodeURIComponent(block("js"))}`);
  for (const [time, signature, body, good] of cases)
    assert.equal(isFromConvene({ "x-convene-timestamp": time, "x-convene-signature": signature }, Buffer.from(body), HOOK_SECRET), good, JSON.stringify([time, signature]));
  const script = `${block("python")}
import json
for stamp, signature, body, good in json.loads(sys.argv[1]):
    assert isFromConvene({"X-Convene-Timestamp": stamp, "X-Convene-Signature": signature}, body.encode(), sys.argv[2].encode()) == good, (stamp, signature)
`;
  await new Promise((resolve, reject) =>
    execFile("python3", ["-c", `import sys\n${script}`, JSON.stringify(cases), HOOK_SECRET], (error, _, stderr) => (error ? reject(new Error(stderr)) : resolve())),
  );
});
