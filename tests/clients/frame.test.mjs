// The one path of every event, with the presence module as its proof: who is let in, what an event is checked for, how it is answered.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, enter, folder, refusal, startDaemon, token, user } from "./support/daemon.mjs";
import { once } from "./support/server.mjs";

test("lets in who has a token, and says why it lets others not in", async (t) => {
  const daemon = await startDaemon(t);
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) await enter(t, daemon.url, user("ada"), { transports });
  const cases = [
    [{}, "AUTH_REQUIRED", false],
    ["", "AUTH_REQUIRED", false],
    ["nonsense", "AUTH_INVALID", false],
    [user("ada") + "x", "AUTH_INVALID", false],
    [token({}, { secret: "another secret of more than thirty-two bytes" }), "AUTH_INVALID", false],
    [token({ exp: 1_000_000 }), "AUTH_EXPIRED", false],
    [token({ role: "anon" }), "AUTH_FORBIDDEN", false],
  ];
  for (const [auth, code, retryable] of cases) {
    const error = await refusal(t, daemon.url, auth);
    assert.equal(error.data?.code, code === "AUTH_FORBIDDEN" ? "FORBIDDEN" : code, JSON.stringify([auth, error.data]));
    assert.equal(error.data.retryable, retryable);
    assert.ok(error.message.length > 5);
  }
});

test("a namespace that is switched off refuses everybody", async (t) => {
  const daemon = await startDaemon(t, ["--server-disabled-namespaces", "/"]);
  const error = await refusal(t, daemon.url, user("ada"));
  assert.equal(error.message, "Invalid namespace");
  assert.deepEqual(error.data, { code: "NAMESPACE_DISABLED", retryable: false });
});

test("without auth.required somebody without a token is somebody of their own", async (t) => {
  const daemon = await startDaemon(t, ["--no-auth-required"]);
  const socket = await enter(t, daemon.url, {});
  assert.deepEqual(await socket.ask("status", { status: "away" }), { ok: true, data: { status: "away" } });
  assert.equal((await refusal(t, daemon.url, "nonsense")).data.code, "AUTH_INVALID"); // a token that is there has to be right
});

test("checks payloads, and changes nothing when they are wrong", async (t) => {
  const daemon = await startDaemon(t);
  const socket = await enter(t, daemon.url, user("ada"));
  for (const [payload, field] of [
    [{}, "status"],
    [{ status: 1 }, "status"],
    [{ status: "asleep" }, "status"],
    [{ status: null }, "status"],
    ["away", undefined],
    [["away"], undefined],
    [7, undefined],
    [{ status: "away", op_id: "" }, "op_id"],
    [{ status: "away", op_id: "x".repeat(65) }, "op_id"],
    [{ status: "away", op_id: 5 }, "op_id"],
  ]) {
    const answer = await socket.ask("status", payload);
    assert.equal(answer.ok, false, JSON.stringify(payload));
    assert.equal(answer.error.code, "VALIDATION");
    assert.equal(answer.error.field, field, JSON.stringify(answer));
    assert.ok(answer.error.message.length > 5);
  }
  assert.equal((await socket.ask("status", { status: "away" }, "more")).error.code, "VALIDATION");
  assert.equal((await socket.ask("status", { status: "away", pad: "x".repeat(70_000) })).error.code, "TOO_LARGE");
  assert.equal((await socket.ask("no_such_event", {})).error.code, "NOT_FOUND");
  const watched = await socket.ask("presence_watch", { userIds: ["ada"] });
  assert.equal(watched.data.users[0].status, "online");
});

test("an error nobody asked for by an acknowledgement comes as the event `error`", async (t) => {
  const daemon = await startDaemon(t);
  const socket = await enter(t, daemon.url, user("ada"));
  let heard = once(socket, "error");
  socket.emit("status", { status: "asleep" });
  const [body] = await heard;
  assert.equal(body.event, "status");
  assert.equal(body.ok, false);
  assert.equal(body.error.code, "VALIDATION");
  assert.equal(body.error.field, "status");
  heard = once(socket, "error");
  socket.emit("nothing\u0007\"", { status: "asleep" });
  assert.equal((await heard)[0].event, 'nothing\u0007"');
});

test("limits a user's events by class over all connections, and says when to come again", async (t) => {
  const daemon = await startDaemon(t, ["--rate", "status=2/min"]);
  const sockets = [await enter(t, daemon.url, user("ada")), await enter(t, daemon.url, user("ada"))];
  assert.equal((await sockets[0].ask("status", { status: "away" })).ok, true);
  assert.equal((await sockets[1].ask("status", { status: "busy" })).ok, true);
  for (const socket of sockets) {
    const answer = await socket.ask("status", { status: "online" });
    assert.equal(answer.error.code, "RATE_LIMITED");
    assert.ok(answer.error.retry_after_ms > 20_000 && answer.error.retry_after_ms <= 30_000, JSON.stringify(answer));
  }
  assert.equal((await sockets[0].ask("presence_watch", { userIds: ["bob"] })).ok, true); // another class
  const bob = await enter(t, daemon.url, user("bob"));
  assert.equal((await bob.ask("status", { status: "away" })).ok, true);
  // Coming back does not forgive.
  sockets[0].disconnect();
  sockets[1].disconnect();
  const again = await enter(t, daemon.url, user("ada"));
  assert.equal((await again.ask("status", { status: "away" })).error.code, "RATE_LIMITED");
});

test("limits all events of a connection, those that nobody knows, too", async (t) => {
  const daemon = await startDaemon(t, ["--limits-events-per-connection", "3/min"]);
  const socket = await enter(t, daemon.url, user("ada"));
  for (let i = 0; i < 3; i++) assert.equal((await socket.ask("unheard_of", {})).error.code, "NOT_FOUND");
  const answer = await socket.ask("status", { status: "away" });
  assert.equal(answer.error.code, "RATE_LIMITED");
  assert.ok(answer.error.retry_after_ms > 0);
  const other = await enter(t, daemon.url, user("ada"));
  assert.equal((await other.ask("status", { status: "away" })).ok, true);
});

test("limits connection attempts by address, and connections in all", async (t) => {
  const daemon = await startDaemon(t, ["--limits-connections-per-ip", "2/min"]);
  await enter(t, daemon.url, user("ada"));
  await enter(t, daemon.url, user("ada"));
  const error = await refusal(t, daemon.url, user("ada"));
  assert.equal(error.data.code, "RATE_LIMITED");
  assert.equal(error.data.retryable, true);
  assert.ok(error.data.retry_after_ms > 0);

  const small = await startDaemon(t, ["--limits-max-connections", "1"]);
  await enter(t, small.url, user("ada"));
  const full = await refusal(t, small.url, user("bob"));
  assert.equal(full.data.code, "SERVER_FULL");
  assert.equal(full.data.retryable, true);
});

test("the same op_id is not applied twice, and gets the first answer, after a restart, too", async (t) => {
  const data = folder(t);
  let daemon = await startDaemon(t, [], { data });
  let ada = await enter(t, daemon.url, user("ada"));
  const first = await ada.ask("status", { status: "busy", op_id: "op 1" });
  assert.deepEqual(first, { ok: true, data: { status: "busy" } });
  assert.deepEqual(await ada.ask("status", { status: "online", op_id: "op 2" }), { ok: true, data: { status: "online" } });
  assert.deepEqual(await ada.ask("status", { status: "away", opId: "op 1" }), first);
  assert.equal((await ada.ask("presence_watch", { userIds: ["ada"] })).data.users[0].status, "online");
  const bob = await enter(t, daemon.url, user("bob"));
  assert.deepEqual(await bob.ask("status", { status: "away", op_id: "op 1" }), { ok: true, data: { status: "away" } });
  await daemon.stopNow();
  daemon = await startDaemon(t, [], { data });
  ada = await enter(t, daemon.url, user("ada"));
  assert.deepEqual(await ada.ask("status", { status: "away", op_id: "op 1" }), first);
});

test("a status is seen by those who watch, of the same organisation only, and outlives a restart", async (t) => {
  const data = folder(t);
  let daemon = await startDaemon(t, ["--presence-coalesce", "50ms", "--presence-grace", "0s"], { data });
  const [ada, bob, stranger] = [
    await enter(t, daemon.url, user("ada")),
    await enter(t, daemon.url, user("bob")),
    await enter(t, daemon.url, user("eve", { app_metadata: { role: "STUDENT", org_id: "other" } })),
  ];
  const strangerHeard = [];
  stranger.on("presence", (change) => strangerHeard.push(change));
  assert.equal((await stranger.ask("presence_watch", { userIds: ["ada"] })).data.users[0].status, "offline");
  assert.equal((await bob.ask("presence_watch", { userIds: ["ada", "nobody"] })).data.users[1].status, "offline");
  const until = (status) =>
    new Promise((resolve) => bob.on("presence", (change) => change.userId === "ada" && change.status === status && resolve(change)));
  const busy = until("busy");
  assert.equal((await ada.ask("status", { status: "busy" })).ok, true);
  const change = await busy;
  assert.equal(change.type, "status");
  assert.ok(Math.abs(change.since - Date.now()) < 60_000);
  const gone = until("offline");
  ada.disconnect();
  await gone;
  assert.deepEqual(strangerHeard, []);
  await daemon.stopNow();

  daemon = await startDaemon(t, ["--presence-coalesce", "50ms"], { data });
  const watcher = await enter(t, daemon.url, user("bob"));
  const seen = new Promise((resolve) => watcher.on("presence", (it) => it.status === "busy" && resolve(it)));
  await watcher.ask("presence_watch", { userIds: ["ada"] });
  await enter(t, daemon.url, user("ada"));
  assert.equal((await seen).userId, "ada");
});

test("rooms: who may, who is there, who comes and goes", async (t) => {
  const daemon = await startDaemon(t, ["--presence-coalesce", "50ms", "--presence-grace", "0s"]);
  const student = (id, courses) => user(id, { courses });
  const ada = await enter(t, daemon.url, student("ada", ["math"]));
  const bob = await enter(t, daemon.url, student("bob", ["math", "art"]));
  assert.equal((await ada.ask("presence_join", { kind: "course", id: "art" })).error.code, "FORBIDDEN");
  assert.equal((await ada.ask("presence_join", { kind: "planet", id: "art" })).error.field, "kind");
  assert.equal((await ada.ask("presence_leave", { kind: "course", id: "math" })).error.code, "NOT_JOINED");
  const joined = await ada.ask("presence_join", { kind: "course", id: "math" });
  assert.deepEqual(joined.data, { room: "course:math", count: 1, members: [{ userId: "ada", name: "ada", status: "online" }] });
  const heard = new Promise((resolve) => ada.on("presence", (it) => it.joined?.some((who) => who.userId === "bob") && resolve(it)));
  assert.equal((await bob.ask("presence_join", { kind: "course", id: "math" })).data.count, 2);
  assert.equal((await heard).room, "course:math");
  assert.equal((await bob.ask("presence_join", { kind: "course", id: "math" })).data.count, 2); // once more changes nothing
  const left = new Promise((resolve) => ada.on("presence", (it) => it.left?.includes("bob") && resolve(it)));
  assert.equal((await bob.ask("presence_leave", { kind: "course", id: "math" })).ok, true);
  assert.equal((await left).count, 1);
  // The tenant's walls.
  assert.equal((await ada.ask("presence_join", { kind: "org", id: "acme" })).ok, true);
  assert.equal((await ada.ask("presence_join", { kind: "org", id: "other" })).error.code, "FORBIDDEN");
  assert.equal((await ada.ask("presence_join", { kind: "division", id: "acme:div:sales" })).error.code, "FORBIDDEN");
});

test("rooms: bounded in members and per connection, and free again when somebody goes", async (t) => {
  const daemon = await startDaemon(t, ["--limits-max-rooms-per-connection", "2", "--limits-max-members-per-room", "1", "--access-board", "open",
    "--presence-coalesce", "50ms", "--presence-grace", "0s"]);
  const ada = await enter(t, daemon.url, user("ada"));
  const heard = [];
  ada.on("presence", (change) => change.userId === "bob" && heard.push(change.status));
  const bobIs = async (status) => {
    while (heard.at(-1) !== status) await once(ada, "presence");
  };
  assert.equal((await ada.ask("presence_watch", { userIds: ["bob"] })).ok, true);
  const bob = await enter(t, daemon.url, user("bob"));
  await bobIs("online");
  const board = (id) => ({ kind: "board", id });
  assert.equal((await ada.ask("presence_join", board("1"))).ok, true);
  assert.equal((await ada.ask("presence_join", board("2"))).ok, true);
  assert.equal((await ada.ask("presence_join", board("3"))).error.code, "TOO_MANY_ROOMS");
  assert.equal((await bob.ask("presence_join", board("1"))).error.code, "ROOM_FULL");
  assert.equal((await ada.ask("presence_leave", board("1"))).ok, true);
  assert.equal((await bob.ask("presence_join", board("1"))).ok, true);
  assert.equal((await ada.ask("presence_join", board("3"))).ok, true);
  bob.disconnect();
  await bobIs("offline");
  const again = await enter(t, daemon.url, user("bob"));
  assert.equal((await again.ask("presence_join", board("1"))).ok, true);
});

test("a token that ends: a word before, a new one taken, or the end", async (t) => {
  const daemon = await startDaemon(t, ["--auth-expiring-notice", "1h", "--auth-leeway", "0"]);
  const soon = (seconds, claims = {}) => user("ada", { exp: Math.floor(Date.now() / 1000) + seconds, courses: ["math"], ...claims });
  const socket = connect(t, daemon.url, soon(600));
  const [notice] = await once(socket, "auth_expiring");
  assert.ok(Math.abs(notice.expires_at - Date.now() / 1000 - 600) < 30);
  assert.equal((await socket.ask("presence_join", { kind: "course", id: "math" })).ok, true);
  for (const [bad, message] of [
    ["nonsense", /AUTH_INVALID/],
    [token({ sub: "ada", exp: 1000 }), /AUTH_EXPIRED/],
    [user("bob"), /somebody else/],
  ]) {
    const answer = await socket.ask("auth_refresh", { token: bad });
    assert.equal(answer.error.code, "FORBIDDEN");
    assert.match(answer.error.message, message);
  }
  // New claims, new rights: the course is lost, and said to be.
  const closed = once(socket, "room_closed");
  const expires = Math.floor(Date.now() / 1000) + 7200;
  assert.deepEqual(await socket.ask("auth_refresh", { token: user("ada", { exp: expires }) }), { ok: true, data: { expires_at: expires } });
  assert.deepEqual((await closed)[0], { room: "course:math", code: "FORBIDDEN" });
  assert.equal((await socket.ask("presence_leave", { kind: "course", id: "math" })).error.code, "NOT_JOINED");
  assert.equal(socket.connected, true);

  const dying = connect(t, daemon.url, soon(2));
  const ended = once(dying, "disconnect");
  const [error] = await once(dying, "error");
  assert.equal(error.error.code, "AUTH_EXPIRED");
  assert.equal((await ended)[0], "io server disconnect");
});
