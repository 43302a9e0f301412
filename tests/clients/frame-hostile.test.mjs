// A bounded random walk of clients that do not behave, over four workers. What must hold: the daemon lives and ends well, every event that wanted an
// acknowledgement gets one well-formed answer while its connection lives, a bystander notices nothing, and all is counted back to zero at the end.
// CONVENE_WALK_SEED and CONVENE_WALK_STEPS repeat and prolong it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { connect, enter, folder, startDaemon, token, user } from "./support/daemon.mjs";
import { daemonFile, once, within } from "./support/server.mjs";

const SEED = Number(process.env.CONVENE_WALK_SEED ?? 20261121);
const STEPS = Number(process.env.CONVENE_WALK_STEPS ?? 600);
const CLIENTS = 12;
const USERS = ["u0", "u1", "u2", "u3"];
const CODES = new Set(["VALIDATION", "FORBIDDEN", "NOT_FOUND", "CONFLICT", "RATE_LIMITED", "TOO_LARGE", "NOT_JOINED", "ROOM_FULL", "TOO_MANY_ROOMS", "UNAVAILABLE"]);
const MAX_ROOMS = 4;
const MAX_MEMBERS = 6;

/** mulberry32 */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

function checkAnswer(event, answer) {
  assert.equal(typeof answer?.ok, "boolean", `${event}: ${JSON.stringify(answer)}`);
  if (answer.ok) return;
  assert.ok(CODES.has(answer.error?.code), `${event}: ${JSON.stringify(answer)}`);
  assert.ok(answer.error.message.length > 0);
}

async function gauge(url, name) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

test(`a walk of ${STEPS} steps from ${SEED}`, async (t) => {
  const next = random(SEED);
  const below = (n) => Math.floor(next() * n);
  const one = (list) => list[below(list.length)];
  const data = folder(t);
  const daemon = await startDaemon(
    t,
    [
      "--workers", "4", "--access-board", "open", "--limits-max-rooms-per-connection", String(MAX_ROOMS),
      "--limits-max-members-per-room", String(MAX_MEMBERS), "--limits-connections-per-ip", "off", "--limits-events-per-connection", "off",
      "--limits-events-per-user", "off", "--limits-events-per-ip", "off", "--rate", "default=off", "--rate", "status=off",
      "--rate", "auth_refresh=off", "--presence-coalesce", "20ms", "--auth-expiring-notice", "1s", "--auth-leeway", "0s",
    ],
    { data },
  );
  const now = () => Math.floor(Date.now() / 1000);
  const claims = () => ({
    app_metadata: { role: one(["STUDENT", "INSTRUCTOR", "ADMIN"]), org_id: one(["acme", "acme", "other"]), division_ids: one([[], ["a"], ["a", "b"]]) },
    ...one([{}, {}, { exp: now() + 2 }]),
  });
  const anyToken = (id) =>
    one([
      () => user(id, claims()),
      () => user(id, claims()),
      () => user(id, claims()),
      () => user(one(USERS), claims()),
      () => user(id, { exp: now() - 100 }),
      () => token({ sub: id }, { secret: "another secret of more than thirty-two bytes" }),
      () => "nonsense",
      () => "",
    ])();
  const garbage = () =>
    one([
      null, true, 7, -0.5, 1e300, "", "text", "\u0000", [], {}, [[]], { status: null }, { status: [] }, { kind: "board" }, { id: 7, kind: 7 }, { kind: "board", id: "" },
      { kind: "board", id: "x".repeat(400) }, { userIds: [] }, { userIds: [1] }, { token: {} }, { token: "x" }, { op_id: {} }, { status: "away", op_id: "\u0001" },
      Buffer.from("binary"), { status: Buffer.alloc(9) }, { pad: "x".repeat(70_000) }, JSON.parse('{"a":'.repeat(60) + "1" + "}".repeat(60)),
    ]);
  const room = () =>
    one([
      { kind: "board", id: String(below(6)) }, { kind: "board", id: "0" }, { kind: "org", id: one(["acme", "other"]) },
      { kind: "division", id: `acme:div:${one(["a", "b"])}` }, { kind: "course", id: "c" }, { kind: "channel", id: "c" },
    ]);

  // One who behaves.
  const bystander = await enter(t, daemon.url, user("bystander"));
  let lost = null;
  bystander.on("disconnect", (reason) => (lost ??= reason));
  assert.equal((await bystander.ask("presence_watch", { userIds: USERS })).ok, true);

  const counts = { answers: 0, lost: 0, recovered: 0, ok: 0 };
  const failures = [];
  const pending = new Set();
  const clients = [];
  for (let i = 0; i < CLIENTS; i++) {
    const id = USERS[i % USERS.length];
    let auth = user(id);
    const socket = connect(t, daemon.url, undefined, { auth: (give) => give({ token: auth }), transports: one([["websocket"], ["polling"], ["polling", "websocket"]]) });
    socket.on("connect", () => (counts.recovered += socket.recovered ? 1 : 0));
    clients.push({ id, socket, renew: () => (auth = anyToken(id)), retry: () => (auth = user(id)) });
  }
  /** An event with an acknowledgement: one answer, or the end of the connection. */
  const ask = (socket, event, ...args) => {
    if (!socket.connected) return;
    let answers = 0;
    const asked = within(
      new Promise((resolve) => {
        const onEnd = () => resolve(false);
        socket.once("disconnect", onEnd);
        socket.emit(event, ...args, (...answer) => {
          try {
            assert.equal(++answers, 1, `${event} was answered twice`);
            assert.equal(answer.length, 1);
            checkAnswer(event, answer[0]);
            counts.ok += answer[0].ok ? 1 : 0;
            if (event === "presence_join" && answer[0].ok) assert.ok(answer[0].data.count >= 1);
          } catch (error) {
            failures.push(error);
          }
          socket.off("disconnect", onEnd);
          resolve(true);
        });
      }),
      `the answer to ${event} ${JSON.stringify(args).slice(0, 200)}`,
    ).then(
      (wasAnswered) => (wasAnswered ? counts.answers++ : counts.lost++),
      (error) => {
        const engine = socket.io.engine;
        if (engine?.readyState !== "open") {
          counts.lost++; // its client is closing the connection, and sends nothing any more
          return;
        }
        const state = { connected: socket.connected, engine: engine?.readyState, transport: engine?.transport?.name, upgrading: engine?.upgrading, buffered: engine?.writeBuffer.length };
        error.message += ` ${JSON.stringify(state)}`;
        failures.push(error);
      },
    );
    pending.add(asked);
    asked.then(() => pending.delete(asked));
  };
  const events = ["status", "presence_join", "presence_leave", "presence_watch", "presence_unwatch", "auth_refresh", "unknown", "\u{1F600}".repeat(30)];
  const status = () => ({ status: one(["online", "away", "busy"]), ...one([{}, { op_id: `op ${below(30)}` }, { opId: `op ${below(30)}` }]) });
  const steps = [
    ({ socket }) => ask(socket, "status", status()),
    ({ id }) => {
      // From all of a user's connections at once, with one op_id.
      const payload = status();
      for (const client of clients) if (client.id === id) ask(client.socket, "status", payload);
    },
    ({ socket }) => ask(socket, "presence_join", room()),
    ({ socket }) => ask(socket, "presence_join", room()),
    ({ socket }) => ask(socket, "presence_leave", room()),
    ({ socket }) => ask(socket, one(["presence_watch", "presence_unwatch"]), { userIds: [one(USERS), "bystander"] }),
    ({ socket, id }) => ask(socket, "auth_refresh", { token: anyToken(id) || "x" }),
    ({ socket, id }) => {
      // Joins and a change of rights on top of each other.
      ask(socket, "presence_join", room());
      ask(socket, "auth_refresh", { token: user(id, claims()) });
      ask(socket, "presence_join", room());
    },
    ({ socket }) => ask(socket, one(events), garbage()),
    ({ socket }) => ask(socket, one(events), garbage(), garbage()),
    ({ socket }) => socket.connected && socket.emit(one(events), garbage()),
    ({ socket }) => {
      // Cut in the middle of what was asked.
      ask(socket, "status", status());
      ask(socket, "presence_join", room());
      socket.io.engine?.close();
    },
    ({ socket }) => socket.disconnect(),
    (client) => client.renew(),
    (client) => client.retry(),
    () => below(10) === 0 && daemon.signal("SIGHUP"),
  ];
  for (let i = 0; i < STEPS && failures.length === 0; i++) {
    const client = one(clients);
    if (!client.socket.active) {
      client.retry();
      if (below(3) === 0) client.renew();
      client.socket.connect();
    }
    one(steps)(client);
    if (i % 4 === 3) {
      await new Promise((resolve) => setImmediate(resolve));
      const answer = await bystander.ask("presence_join", { kind: "board", id: "quiet" });
      assert.equal(answer.ok, true, JSON.stringify(answer));
      assert.equal(answer.data.count, 1);
    }
  }
  await within(Promise.all([...pending]), "all answers", 30_000);
  assert.deepEqual(failures, []);
  assert.equal(lost, null, "the bystander was disconnected");
  assert.ok(counts.ok > STEPS / 20, JSON.stringify(counts));

  // No room is fuller than it may be, whoever has come and gone; and all places are free again.
  for (const { socket } of clients) socket.disconnect();
  await within(
    (async () => {
      while ((await gauge(daemon.url, "convened_members")) !== 1);
    })(),
    "the members to be gone",
  );
  const fresh = [];
  for (let i = 0; i < MAX_MEMBERS + 1; i++) fresh.push(await enter(t, daemon.url, user(`fresh ${i}`)));
  for (let board = 0; board < MAX_ROOMS; board++) {
    const answers = [];
    for (const socket of fresh) answers.push(await socket.ask("presence_join", { kind: "board", id: String(board) }));
    assert.deepEqual(answers.map((answer) => answer.error?.code ?? "OK"), [...Array(MAX_MEMBERS).fill("OK"), "ROOM_FULL"]);
  }
  assert.equal((await fresh[0].ask("presence_join", { kind: "board", id: "5" })).error.code, "TOO_MANY_ROOMS");

  // The end, in the middle of events.
  const ended = once(bystander, "disconnect");
  for (const socket of fresh) for (let i = 0; i < 20; i++) socket.emit("status", { status: "busy", op_id: `last ${i}` }, () => {});
  await daemon.stopNow();
  await ended;
  const verified = spawnSync(daemonFile, ["audit", "verify", "--data", data], { encoding: "utf8", timeout: 20_000 });
  assert.equal(verified.status, 0, verified.stdout + verified.stderr);
  t.diagnostic(JSON.stringify(counts));
});
