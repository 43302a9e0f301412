// The console of an operator: the protocol of the Socket.IO Admin UI, judged by its own server part on the reference server, and the UI itself.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, test } from "node:test";
import { promisify } from "node:util";
import { instrument } from "@socket.io/admin-ui";
import bcrypt from "bcryptjs";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { startBrowser } from "./support/browser.mjs";
import { exchange, Tcp } from "./support/raw.mjs";
import { daemonFile, once, startDaemon, within } from "./support/server.mjs";

const pictures = process.env.CONVENE_PICTURES; // where to leave pictures for people to look at

const NAME = "operator";
const PASSWORD = "correct horse";
const HASH = bcrypt.hashSync(PASSWORD, 6);

/** The daemon with its console, its password in a file. */
async function startAdmin(t, { mode = "development", workers = 1, args = [] } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "convene-admin-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "hash");
  writeFileSync(file, `${HASH}\n`, { mode: 0o600 });
  const data = join(folder, "data");
  const daemon = await startDaemon(t, data, [
    ...["--admin-enabled", "--admin-mode", mode, "--admin-username", NAME, "--admin-password-hash-file", file],
    ...["--workers", String(workers), ...args],
  ]);
  return Object.assign(daemon, { data });
}

const credentials = { username: NAME, password: PASSWORD };
const options = { reconnection: false, forceNew: true };

/** An admin with all that it is told, as [event, ...args]. */
async function connectAdmin(t, url, more = {}) {
  const socket = io(`${url}/admin`, { ...options, auth: credentials, ...more });
  t.after(() => socket.disconnect());
  const told = [];
  socket.onAny((...event) => told.push(event));
  await Promise.race([
    once(socket, "connect"),
    once(socket, "connect_error").then(([error]) => Promise.reject(error)),
  ]);
  /** The first that fits, of the past or to come. */
  const heard = (event, fits = () => true) =>
    within(
      new Promise((resolve) => {
        const look = () => {
          const found = told.find(([name, ...args]) => name === event && fits(...args));
          if (!found) return;
          socket.offAny(look);
          resolve(found.slice(1));
        };
        socket.onAny(look);
        look();
      }),
      `"${event}" for the admin`,
    );
  return { socket, told, heard };
}

/** The words and data with which somebody is refused. */
async function refused(t, url, auth, more = {}) {
  const socket = io(`${url}/admin`, { ...options, auth, ...more });
  t.after(() => socket.disconnect());
  const [error] = await Promise.race([
    once(socket, "connect_error"),
    once(socket, "connect").then(() => [null]),
  ]);
  assert.ok(error, "it was let in");
  return { message: error.message, ...error.data };
}

async function connectClient(t, url, more = {}) {
  const socket = io(`${url}/demo`, { ...options, ...more });
  t.after(() => socket.disconnect());
  await once(socket, "connect");
  return socket;
}

async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name !== "websocket") await once(engine, "upgrade");
}

const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** What a value is made of: keys and types. */
function shapeOf(value) {
  if (Array.isArray(value)) {
    const shapes = value.map((item) => JSON.stringify(shapeOf(item)));
    return [...new Set(shapes)].sort().map((shape) => JSON.parse(shape));
  }
  if (value === null) return "null";
  if (typeof value === "object")
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, shapeOf(value[key])]));
  return typeof value === "string" && ISO_DATE.test(value) ? "date" : typeof value;
}

describe("the protocol", () => {
  /** The reference with the same demo room, as far as this test needs it. */
  async function startReference(t) {
    const http = createServer();
    const server = new Server(http);
    server.of("/demo").on("connection", (socket) => {
      socket.on("enter", (_, answer) => {
        socket.join("everybody");
        answer({ ok: true });
        server.of("/demo").to("everybody").emit("people", { version: 1, people: [{ id: socket.id, name: "Ada" }] });
      });
    });
    instrument(server, { auth: { type: "basic", username: NAME, password: HASH }, mode: "development" });
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    return { url: `http://127.0.0.1:${http.address().port}` };
  }

  /** The same life before the eyes of an admin of either server; resolves to all that it was told. */
  async function live(t, { url }) {
    const early = await connectClient(t, url, { transports: ["websocket"] });
    const admin = await connectAdmin(t, url);
    await admin.heard("all_sockets", (sockets) => sockets.some(({ id }) => id === early.id));
    await admin.heard("server_stats", ({ aggregatedEvents }) => aggregatedEvents.length > 0);

    const client = await connectClient(t, url);
    const { id } = client;
    await upgraded(client);
    await admin.heard("socket_updated", (socket) => socket.id === id);
    await client.emitWithAck("enter", { name: "Ada" });
    await admin.heard("room_joined", (_, room, who) => room === "everybody" && who === id);
    await admin.heard("event_sent", (_, who, [event]) => event === "people" && who === id);

    admin.socket.emit("join", "/demo", "lobby", id);
    await admin.heard("room_joined", (_, room, who) => room === "lobby" && who === id);
    const hello = once(client, "hello");
    admin.socket.emit("emit", "/demo", "lobby", "hello", 1, { two: 2 });
    assert.deepEqual((await hello).slice(0, 2), [1, { two: 2 }]);
    admin.socket.emit("leave", "/demo", "lobby", id);
    await admin.heard("room_left", (_, room, who) => room === "lobby" && who === id);

    const gone = once(client, "disconnect");
    admin.socket.emit("_disconnect", "/demo", false, id);
    assert.deepEqual((await gone)[0], "io server disconnect");
    await admin.heard("socket_disconnected", (_, who) => who === id);
    await admin.heard("room_left", (_, room, who) => room === id && who === id);
    // Those without a filter: everybody of the namespace.
    admin.socket.emit("join", "/demo", "all");
    await admin.heard("room_joined", (_, room, who) => room === "all" && who === early.id);
    admin.socket.emit("leave", "/demo", "all");
    await admin.heard("room_left", (_, room, who) => room === "all" && who === early.id);
    const early_id = early.id;
    admin.socket.emit("_disconnect", "/demo", true);
    await admin.heard("socket_disconnected", (_, who) => who === early_id);
    for (const type of ["rawConnection", "rawDisconnection", "packetsIn", "packetsOut", "bytesIn", "bytesOut"])
      await admin.heard("server_stats", ({ aggregatedEvents }) => aggregatedEvents.some((item) => item.type === type));
    return { told: admin.told, id };
  }

  const namesOf = ({ told }) => [...new Set(told.map(([event]) => event))].sort();

  function shapesOf({ told }, event) {
    const all = told.filter(([name]) => name === event).map(([, ...args]) => args);
    if (event !== "server_stats") return shapeOf(all);
    // Which counters have moved between two of them is a matter of the moment.
    const moved = all.flatMap(([stats]) => stats.aggregatedEvents);
    return shapeOf(all.map(([stats, ...more]) => [{ ...stats, aggregatedEvents: moved }, ...more]));
  }

  for (const workers of [1, 2])
    it(`has the reference's events, keys and types, ${workers} worker(s)`, async (t) => {
      const theirs = await live(t, await startReference(t));
      const ours = await live(t, await startAdmin(t, { workers, args: ["--server-recovery-window", "0"] }));
      assert.deepEqual(namesOf(ours), namesOf(theirs));
      for (const event of namesOf(theirs)) assert.deepEqual(shapesOf(ours, event), shapesOf(theirs, event), event);
      const config = ({ told }) => told.find(([event]) => event === "config")[1];
      assert.deepEqual(config(ours), config(theirs));
      // The values, too, where they are not the moment's.
      const events = ({ told, id }, name) =>
        told.filter(([event, , who]) => event === name && who === id).map(([, nsp, , args]) => [nsp, args[0]]);
      assert.deepEqual(events(ours, "event_received"), events(theirs, "event_received"));
      assert.deepEqual(events(ours, "event_sent"), events(theirs, "event_sent"));
      const rooms = ({ told, id }, name) =>
        told.filter(([event, , , who]) => event === name && who === id)
          .map(([, nsp, room]) => `${nsp} ${room === id ? "own" : room}`).sort();
      assert.deepEqual(rooms(ours, "room_joined"), rooms(theirs, "room_joined"));
      assert.deepEqual(rooms(ours, "room_left"), rooms(theirs, "room_left"));
    });

  it("shows numbers only in production mode", async (t) => {
    const { url } = await startAdmin(t, { mode: "production", workers: 2 });
    const admin = await connectAdmin(t, url);
    const client = await connectClient(t, url);
    await client.emitWithAck("enter", { name: "Ada" });
    const count = ({ namespaces }) => namespaces.find(({ name }) => name === "/demo").socketsCount;
    const [stats] = await admin.heard("server_stats", (stats) => count(stats) === 1);
    assert.equal(stats.clientsCount, 2);
    assert.equal(typeof stats.uptime, "number");
    const [config] = await admin.heard("config");
    assert.ok(!config.supportedFeatures.includes("ALL_EVENTS"));
    const gone = once(client, "disconnect");
    admin.socket.emit("_disconnect", "/demo", false, client.id);
    await gone;
    await admin.heard("server_stats", (stats) => count(stats) === 0);
    assert.deepEqual([...new Set(admin.told.map(([event]) => event))].sort(), ["config", "server_stats", "session"]);
  });

  it("survives commands that make no sense", async (t) => {
    const { url } = await startAdmin(t, { workers: 2 });
    const admin = await connectAdmin(t, url);
    const client = await connectClient(t, url);
    const ask = (...command) => admin.socket.timeout(10_000).emitWithAck(...command);
    const deep = "x".repeat(300);
    for (const command of [
      ["join"], ["join", 1], ["join", "/demo"], ["join", "/demo", ""], ["join", "/demo", {}], ["join", "/demo", "r", 7],
      ["join", "/demo", deep], ["join", deep, "r"], ["leave", null, null, null], ["leave", "/demo", []],
      ["_disconnect"], ["_disconnect", {}], ["_disconnect", "/demo", true, { id: 1 }], ["emit"], ["emit", "/demo"],
      ["emit", "/demo", null], ["emit", "/demo", null, 3], ["emit", "/demo", null, "disconnect"], ["emit", "/demo", null, ""],
    ])
      assert.deepEqual(await ask(...command), { ok: false, error: { code: "VALIDATION" } }, JSON.stringify(command));
    for (const command of [["join", "/nowhere", "r"], ["_disconnect", "/nowhere", true], ["emit", "/no", null, "x"]])
      assert.deepEqual(await ask(...command), { ok: false, error: { code: "NOT_FOUND" } });
    const bytes = once(client, "bytes");
    assert.deepEqual(await ask("emit", "/demo", null, "bytes", { deep: Buffer.from([1, 2]) }), { ok: true });
    assert.deepEqual([...(await bytes)[0].deep], [1, 2]);
    assert.ok(client.connected);
  });

  it("writes down in the audit trail who did what, and who was not let in", async (t) => {
    const daemon = await startAdmin(t);
    const { url, data } = daemon;
    await refused(t, url, { ...credentials, password: "wrong" });
    await refused(t, url, {});
    const { socket } = await connectAdmin(t, url);
    const ask = (...command) => socket.timeout(10_000).emitWithAck(...command);
    await ask("join", "/demo", "lobby", "somebody");
    await ask("leave", "/demo", "lobby");
    await ask("emit", "/demo", null, "hello", 1);
    await ask("_disconnect", "/nowhere", true);
    const trail = async () => {
      const { stdout } = await promisify(execFile)(daemonFile, ["audit", "export", "--data", data]);
      return stdout.trim().split("\n").filter(Boolean).map(JSON.parse)
        .filter(({ action }) => action.startsWith("admin_"))
        .map((entry) => [entry.action, entry.user_id, entry.subject, entry.nsp, entry.code].map((field) => field ?? ""));
    };
    let entries = await trail(); // it is written a moment later
    const begun = Date.now();
    while (entries.length < 6 && Date.now() - begun < 20_000) entries = await trail();
    assert.deepEqual(entries, [
      ["admin_login_refused", NAME, "", "/admin", "AUTH_INVALID"],
      ["admin_login", NAME, "", "/admin", ""],
      ["admin_join", NAME, "lobby of somebody", "/demo", ""],
      ["admin_leave", NAME, "lobby of all", "/demo", ""],
      ["admin_emit", NAME, "hello of all", "/demo", ""],
      ["admin_disconnect", NAME, "connection of all", "/nowhere", "NOT_FOUND"],
    ]);
  });

  it("hides what would let an admin pose as somebody", async (t) => {
    const { url } = await startAdmin(t, { workers: 1 });
    const secrets = { extraHeaders: { authorization: "Bearer s3cret1", cookie: "sid=s3cret2; a=b", "x-api-key": "s3cret3" }, query: { access_token: "s3cret4", room: "shown" } };
    const before = await connectClient(t, url, secrets);
    const admin = await connectAdmin(t, url);
    const [all] = await admin.heard("all_sockets");
    const after = await connectClient(t, url, secrets);
    const [connected] = await admin.heard("socket_connected", (socket) => socket.id === after.id);
    for (const socket of [all.find(({ id }) => id === before.id), connected]) {
      const { headers, query, url: address } = socket.handshake;
      for (const name of ["authorization", "cookie", "x-api-key"]) assert.equal(headers[name], "[hidden]");
      assert.equal(query.access_token, "[hidden]");
      assert.equal(query.room, "shown");
      assert.equal(address, "/socket.io/");
      assert.doesNotMatch(JSON.stringify(socket), /s3cret/);
    }
    after.emit("auth_refresh", { token: "s3cret5" });
    const [, , args] = await admin.heard("event_received", (_, who) => who === after.id);
    assert.deepEqual(args, ["auth_refresh", "[hidden]"]);
    after.emit("large", "y".repeat(10_000));
    const [, , large] = await admin.heard("event_received", (_, who, [event]) => event === "large");
    assert.ok(JSON.stringify(large).length < 100);
    after.emit("bytes", Buffer.alloc(500));
    await admin.heard("event_received", (_, who, [event, shown]) => event === "bytes" && /500 bytes/.test(shown));
  });
});

describe("logging in", () => {
  it("takes the password, and then the session", async (t) => {
    const { url } = await startAdmin(t, { workers: 2 });
    const first = await connectAdmin(t, url);
    const [session] = await first.heard("session");
    assert.match(session, /^[0-9a-f]{32}$/);
    first.socket.disconnect();
    const second = await connectAdmin(t, url, { auth: { sessionId: session } });
    await second.heard("all_sockets");
    assert.ok(!second.told.some(([event]) => event === "session"));
    const other = await connectAdmin(t, url);
    assert.notEqual((await other.heard("session"))[0], session);
  });

  it("refuses everything else, in the words that the UI knows", async (t) => {
    const { url } = await startAdmin(t);
    const invalid = { message: "invalid credentials", code: "AUTH_INVALID", retryable: false };
    const required = { ...invalid, code: "AUTH_REQUIRED" };
    assert.deepEqual(await refused(t, url, {}), required);
    assert.deepEqual(await refused(t, url, { sessionId: null }), required);
    assert.deepEqual(await refused(t, url, { sessionId: "0".repeat(32) }), required);
    assert.deepEqual(await refused(t, url, { sessionId: ["0"] }), required);
    assert.deepEqual(await refused(t, url, { username: "", password: PASSWORD }), required);
    assert.deepEqual(await refused(t, url, { username: NAME, password: "wrong" }), invalid);
    assert.deepEqual(await refused(t, url, { username: NAME }), invalid);
    assert.deepEqual(await refused(t, url, { username: NAME, password: HASH }), invalid);
    assert.deepEqual(await refused(t, url, { username: "somebody", password: PASSWORD }), invalid);
    assert.deepEqual(await refused(t, url, { username: NAME, password: `${PASSWORD}\0` }), invalid);
    assert.deepEqual(await refused(t, url, { username: NAME, password: "x".repeat(5000) }), invalid);
    await connectAdmin(t, url);
  });

  it("lets an address try so often and no more", async (t) => {
    const { url } = await startAdmin(t);
    const { heard } = await connectAdmin(t, url); // one of ten
    const [sessionId] = await heard("session");
    for (let i = 0; i < 9; i++) assert.equal((await refused(t, url, { ...credentials, password: `${i}` })).code, "AUTH_INVALID");
    const late = await refused(t, url, credentials); // even the right one
    assert.equal(late.message, "too many attempts");
    assert.equal(late.code, "RATE_LIMITED");
    assert.ok(late.retryable && late.retry_after_ms > 0 && late.retry_after_ms <= 60_000);
    await connectAdmin(t, url, { auth: { sessionId } }); // that is no attempt
  });

  it("answers others while a password is looked at, and stops in the midst of it", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "convene-admin-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "hash");
    writeFileSync(file, bcrypt.hashSync(PASSWORD, 13), { mode: 0o600 }); // half a second and more
    const daemon = await startDaemon(t, join(folder, "data"), [
      ...["--admin-enabled", "--admin-username", NAME, "--admin-password-hash-file", file, "--workers", "1"],
    ]);
    const slow = io(`${daemon.url}/admin`, { ...options, auth: credentials, transports: ["websocket"] });
    const others = [1, 2, 3].map(() => io(`${daemon.url}/admin`, { ...options, auth: credentials, transports: ["websocket"] }));
    t.after(() => [slow, ...others].forEach((socket) => socket.disconnect()));
    const order = [];
    const done = once(slow, "connect").then(() => order.push("admin"));
    await once(slow.io, "open");
    const client = await connectClient(t, daemon.url, { transports: ["websocket"] });
    await client.emitWithAck("enter", { name: "Ada" });
    order.push("client");
    await done;
    assert.deepEqual(order, ["client", "admin"]);
    // The others' passwords are still waiting: the end of the test stops the daemon, which must be orderly.
  });

  for (const [words, args] of [
    ["a hash that is none", ["--admin-username", "x", "--admin-password-hash", "nonsense"]],
    ["a user without a password", ["--admin-username", "x"]],
  ])
    it(`does not start with ${words}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "convene-admin-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      await assert.rejects(startDaemon({ after() {} }, join(folder, "data"), ["--admin-enabled", ...args]), /password_hash|password-hash/);
    });
});

describe("an ADMIN's token, without a password in the configuration", () => {
  const SECRET = "a secret that is long enough for HMAC";
  const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const tokenOf = (claims) => {
    const text = `${base64url({ alg: "HS256", typ: "JWT" })}.${base64url(claims)}`;
    return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
  };
  const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
  const admin = (more = {}) => tokenOf({ sub: "ada", role: "ADMIN", exp: inSeconds(600), ...more });

  async function start(t) {
    const folder = mkdtempSync(join(tmpdir(), "convene-admin-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "secret");
    writeFileSync(file, SECRET, { mode: 0o600 });
    return startDaemon(t, join(folder, "data"), ["--admin-enabled", "--auth-secret-file", file]);
  }

  it("is taken in the password's field, as a token and in the header, and begins a session", async (t) => {
    const { url } = await start(t);
    const typed = await connectAdmin(t, url, { auth: { username: "", password: admin() } });
    const [sessionId] = await typed.heard("session");
    await connectAdmin(t, url, { auth: { token: admin() } });
    await connectAdmin(t, url, { auth: {}, extraHeaders: { authorization: `Bearer ${admin()}` } });
    await connectAdmin(t, url, { auth: { sessionId } });
  });

  it("is refused when it is nobody's, somebody else's or over", async (t) => {
    const { url } = await start(t);
    const code = async (password) => (await refused(t, url, { username: "", password })).code;
    assert.equal(await code(undefined), "AUTH_REQUIRED");
    assert.equal(await code("rubbish"), "AUTH_INVALID");
    assert.equal(await code(tokenOf({ sub: "bob", role: "PROFESSOR", exp: inSeconds(600) })), "FORBIDDEN");
    assert.equal(await code(tokenOf({ sub: "svc", role: "SERVICE", exp: inSeconds(600) })), "FORBIDDEN");
    assert.equal(await code(admin({ exp: inSeconds(-600) })), "AUTH_EXPIRED");
    assert.equal(await code(admin().slice(0, -3)), "AUTH_INVALID");
  });

  it("lets nobody stay longer than it holds", async (t) => {
    const { url } = await start(t);
    const { socket } = await connectAdmin(t, url, { auth: { password: admin({ exp: inSeconds(2) }) } });
    assert.equal((await once(socket, "disconnect"))[0], "io server disconnect");
  });
});

/** What an admin's screen holds, made of what it is told, as the UI does. */
class Screen {
  sockets = new Map();
  pictures = 0;
  wrong = [];

  constructor(socket) {
    const rooms = (id, nsp) => this.sockets.get(`${nsp} ${id}`);
    socket.on("all_sockets", (all) => {
      this.pictures++;
      this.sockets.clear();
      for (const { id, nsp, rooms } of all) {
        if (this.sockets.has(`${nsp} ${id}`)) this.wrong.push(`twice in the picture: ${id}`);
        this.sockets.set(`${nsp} ${id}`, new Set(rooms));
      }
    });
    socket.on("socket_connected", ({ id, nsp, rooms }) => {
      if (this.sockets.has(`${nsp} ${id}`)) this.wrong.push(`came twice: ${id}`);
      this.sockets.set(`${nsp} ${id}`, new Set(rooms));
    });
    socket.on("socket_disconnected", (nsp, id) => {
      if (!this.sockets.delete(`${nsp} ${id}`)) this.wrong.push(`left without having come: ${id}`);
    });
    socket.on("room_joined", (nsp, room, id) => {
      if (room !== id && rooms(id, nsp)?.has(room) !== false) this.wrong.push(`${id} is in ${room} already, or nowhere`);
      rooms(id, nsp)?.add(room);
    });
    socket.on("room_left", (nsp, room, id) => {
      if (rooms(id, nsp)?.delete(room) !== true) this.wrong.push(`${id} left ${room}, where it was not`);
    });
  }

  /** Of a namespace: "id: room room". */
  lines(nsp) {
    return [...this.sockets]
      .filter(([key]) => key.startsWith(`${nsp} `))
      .map(([key, rooms]) => `${key.slice(nsp.length + 1)}: ${[...rooms].sort().join(" ")}`)
      .sort();
  }
}

const settled = async (what, is) => {
  const begun = Date.now();
  while (!is()) {
    if (Date.now() - begun > 20_000) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe("under load", () => {
  for (const workers of [1, 2])
    it(`every admin's picture stays right while sockets come, move and go, ${workers} worker(s)`, async (t) => {
      const { url } = await startAdmin(t, { workers, args: ["--limits-connections-per-ip", "off"] });
      const websocket = { transports: ["websocket"] };
      const first = await connectAdmin(t, url, websocket);
      const command = (...args) => first.socket.timeout(20_000).emitWithAck(...args);
      const screens = [];
      const clients = new Set();
      for (let i = 0; i < 250; i++) clients.add(await connectClient(t, url, websocket));
      for (let round = 0; round < 6; round++) {
        // An admin comes, whose picture is made while all this happens.
        const admin = io(`${url}/admin`, { ...options, ...websocket, auth: credentials });
        t.after(() => admin.disconnect());
        screens.push(new Screen(admin));
        const steps = [];
        for (let i = 0; i < 25; i++) {
          const [client] = clients;
          clients.delete(client);
          client.disconnect();
          steps.push(command("join", "/demo", `room-${round}-${i % 5}`, [...clients][i * 7 % clients.size].id));
          steps.push(connectClient(t, url, websocket).then((next) => clients.add(next)));
          if (i % 5 === 0) steps.push(command("join", "/demo", `all-${round}`), command("leave", "/demo", `all-${round - 1}`));
        }
        await Promise.all(steps);
      }
      const last = io(`${url}/admin`, { ...options, ...websocket, auth: credentials });
      t.after(() => last.disconnect());
      const truth = new Screen(last); // a fresh picture, of a server at rest
      await settled("the last picture", () => truth.pictures === 1);
      const expected = truth.lines("/demo");
      assert.equal(expected.length, clients.size);
      assert.deepEqual(expected.map((line) => line.split(":")[0]), [...clients].map(({ id }) => id).sort());
      await settled("the others", () => screens.every((screen) => screen.lines("/demo").length === expected.length));
      for (const screen of screens) {
        assert.deepEqual(screen.lines("/demo"), expected);
        assert.deepEqual(screen.wrong, []);
        assert.equal(screen.pictures, 1);
      }
    });

  it("an admin that does not read costs nobody anything, and gets a new picture when it reads again", async (t) => {
    const { url } = await startAdmin(t, { workers: 2, args: ["--limits-connections-per-ip", "off"] });
    const websocket = { transports: ["websocket"] };
    const clients = [];
    for (let i = 0; i < 100; i++) clients.push(await connectClient(t, url, websocket));
    const slow = await connectAdmin(t, url, websocket);
    const screen = new Screen(slow.socket);
    await slow.heard("all_sockets");
    const other = await connectAdmin(t, url, websocket);
    const tcp = slow.socket.io.engine.transport.ws._socket;
    tcp.pause();
    // Some 20 MB of changes: more than all buffers on the way and its outbox hold.
    const command = (...args) => other.socket.timeout(20_000).emitWithAck(...args);
    for (let i = 0; i < 250; i++) {
      const room = `${i}-${"r".repeat(230)}`;
      await command("join", "/demo", room);
      await command("leave", "/demo", room);
    }
    await command("join", "/demo", "the end");
    assert.ok(clients.every((client) => client.connected));
    tcp.resume();
    const pictures = () => slow.told.filter(([event]) => event === "all_sockets").length;
    await settled("a new picture", () => pictures() === 2);
    const lines = () => screen.lines("/demo");
    await settled("the end", () => lines().length === 100 && lines().every((line) => line.includes("the end")));
    assert.ok(lines().every((line) => !line.includes("rrr"))); // of what it missed nothing is left
    assert.ok(slow.socket.connected);
  });
});

test("the page is served with its parts, and with nothing from elsewhere", async (t) => {
  const { url } = await startAdmin(t);
  const get = (path, options) => exchange(url + path, options);
  const bare = await get("/admin");
  assert.equal(bare.status, 302);
  assert.equal(bare.headers.location, "/admin/");
  const page = await get("/admin/");
  assert.equal(page.status, 200);
  assert.equal(page.headers["content-type"], "text/html; charset=utf-8");
  assert.equal(page.headers["cache-control"], "no-cache");
  assert.doesNotMatch(page.text, /https?:/);
  assert.match(page.headers["content-security-policy"], /default-src 'none'/);
  assert.match(page.headers["content-security-policy"], /frame-ancestors 'none'/);
  assert.equal((await get("/admin/index.html")).headers.etag, page.headers.etag);
  const parts = [...page.text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path]) => path);
  assert.ok(parts.length >= 5);
  const types = { css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8", png: "image/png" };
  for (const path of parts) {
    const part = await get(`/admin/${path}`);
    assert.equal(part.status, 200, path);
    assert.equal(part.headers["content-type"], types[path.split(".").at(-1)]);
    assert.equal(part.headers["x-content-type-options"], "nosniff");
    if (/\.[0-9a-f]{8}\./.test(path)) assert.match(part.headers["cache-control"], /immutable/);
    const again = await get(`/admin/${path}`, { headers: { "If-None-Match": `"x", W/${part.headers.etag}` } });
    assert.equal(again.status, 304);
    assert.equal(again.text, "");
    assert.equal(again.headers.etag, part.headers.etag);
    assert.equal((await get(`/admin/${path}`, { headers: { "If-None-Match": '"x"' } })).status, 200);
  }
  const icons = await get("/admin/icons/css/materialdesignicons.min.css");
  const [, font] = /url\("([^"?]+\.woff2)/.exec(icons.text);
  const woff2 = await get(`/admin/icons/css/${font}`.replace("css/../", ""));
  assert.equal(woff2.status, 200);
  assert.equal(woff2.headers["content-type"], "font/woff2");
  const head = await get("/admin/", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.text, "");
  const post = await get("/admin/", { method: "POST", body: "x" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.allow, "GET, HEAD");
  for (const path of ["nothing", "js", "js/", "/index.html", "../admin/index.html", "%2e%2e/admin/", "x".repeat(3000), "index.html%00"]) {
    const tcp = await Tcp.connect(new URL(url).port); // URLs would be tidied up on the way
    await tcp.write(`GET /admin/${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(await tcp.end(), /^HTTP\/1.1 404 /, path);
  }
  assert.notEqual((await get("/administrator")).headers.location, "/admin/");
});

test("an operator logs in at the page, looks around and disconnects somebody", async (t) => {
  const { url } = await startAdmin(t, { workers: 2 });
  const ada = await connectClient(t, url);
  const ben = await connectClient(t, url);
  const ids = { ada: ada.id, ben: ben.id };
  await upgraded(ada);
  await ada.emitWithAck("enter", { name: "Ada" });
  const browser = await startBrowser(t);
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("request", (request) => request.url().startsWith(url) || errors.push(`asked for ${request.url()}`));
  const picture = (name) => pictures && page.screenshot({ path: join(pictures, `admin-${name}.png`) });

  const logIn = async (password) => {
    await page.getByLabel("Server URL").fill(url);
    await page.getByLabel("Username").fill(NAME);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Connect", exact: true }).click();
  };
  await page.goto(`${url}/admin`);
  await logIn("wrong");
  await page.getByText("Invalid credentials").waitFor();
  await picture("refused");
  await logIn(PASSWORD);
  await page.locator(".v-dialog").waitFor({ state: "hidden" });
  await page.locator("tr", { hasText: "/demo" }).first().waitFor(); // of the dashboard's namespaces
  await page.evaluate(() => document.fonts.ready);
  assert.ok(await page.evaluate(() => [...document.fonts].some((font) => /Material/.test(font.family) && font.status === "loaded")));
  await picture("dashboard");

  const choose = async (nsp) => {
    await page.locator(".v-main .v-select").first().click();
    await page.locator(".v-menu__content .v-list-item", { hasText: nsp }).last().click();
  };
  await page.goto(`${url}/admin/#/sockets/`);
  await choose("/demo");
  const row = (text) => page.locator("tbody tr", { hasText: text });
  await row(ids.ada).waitFor();
  await row(ids.ben).waitFor();
  await picture("sockets");

  await page.goto(`${url}/admin/#/rooms/`);
  await row("everybody").waitFor();
  await picture("rooms");
  await page.goto(`${url}/admin/#/events/`);
  await ben.emitWithAck("enter", { name: "Ben" });
  await row("enter").first().waitFor();
  await picture("events");

  await page.goto(`${url}/admin/#/sockets/`);
  const gone = once(ada, "disconnect");
  await row(ids.ada).locator("button").first().click();
  assert.equal((await gone)[0], "io server disconnect");
  await page.goto(`${url}/admin/#/sockets/`); // the click has opened its row, too
  await row(ids.ada).waitFor({ state: "detached" });
  await row(ids.ben).waitFor();
  await picture("after");

  // The session that it keeps lets it in again.
  await page.reload();
  await row("").first().waitFor();
  await choose("/demo");
  await row(ids.ben).waitFor();
  assert.deepEqual(errors, []);
});
