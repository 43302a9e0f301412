// An operator's day with the real daemon: what a reload takes over while clients stay, what a mistake changes (nothing), what the log and the
// audit trail say, and how one process hands over to the next under traffic.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import tls from "node:tls";
import { io } from "socket.io-client";
import { enter, folder, refusal, SECRET, startDaemon, token, user } from "./support/daemon.mjs";
import { exchange } from "./support/raw.mjs";
import { daemonFile, within } from "./support/server.mjs";

const NEXT_SECRET = "the next secret, which is long enough as well";

/** Resolves when `look` finds something, with that. */
async function until(look, what) {
  let given = false;
  const search = async () => {
    while (!given) {
      const found = await look();
      if (found) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return within(search(), what).finally(() => (given = true));
}

/** The log so far, as objects; a line that is no JSON fails. The line "listening on" is no entry. */
const entries = (daemon) =>
  daemon.output
    .split("\n")
    .slice(0, -1)
    .filter((line) => !line.startsWith("listening on "))
    .map((line) => JSON.parse(line));

/** A daemon with a configuration file that is written anew and reloaded. */
async function startConfigured(t, settings, { scheme = "http", data = folder(t), port = 0, drainTime = "0s" } = {}) {
  const place = folder(t);
  const file = join(place, "convened.yaml");
  const secretFile = join(place, "secret");
  writeFileSync(secretFile, SECRET, { mode: 0o600 });
  const write = (more) => writeFileSync(file, JSON.stringify({ auth: { secret_file: secretFile }, ...more }));
  write(settings);
  const daemon = await startDaemon(t, ["--config", file, "--port", String(port), "--log-format", "json", "--server-drain-time", drainTime], { data, secret: null });
  daemon.url = `${scheme}://127.0.0.1:${daemon.port}`;
  const ends = (message) => entries(daemon).filter(({ msg }) => msg === message).length;
  /** Resolves when the log says how the reload went. */
  const reload = async (message = "reloaded") => {
    const before = ends(message);
    daemon.signal("SIGHUP");
    await until(() => ends(message) > before, message);
  };
  return { daemon, data, file, secretFile, write, reload };
}

test("a reload takes over keys, limits, origins and the log's level; who is there stays", async (t) => {
  const { daemon, secretFile, write, reload } = await startConfigured(t, { log: { level: "info" } });
  const inside = await enter(t, daemon.url, user("ada"));
  let drops = 0;
  inside.on("disconnect", () => drops++);
  const works = async () => assert.equal((await inside.ask("status", { status: "away" })).ok, true);
  const allowed = async (origin) =>
    (await exchange(`${daemon.url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: origin } })).headers["access-control-allow-origin"];

  // Keys.
  const signed = (secret) => token({ sub: "bob", app_metadata: { role: "STUDENT", org_id: "acme" } }, { secret });
  assert.equal((await refusal(t, daemon.url, signed(NEXT_SECRET))).data.code, "AUTH_INVALID");
  writeFileSync(secretFile, NEXT_SECRET, { mode: 0o600 });
  await reload();
  assert.equal((await refusal(t, daemon.url, signed(SECRET))).data.code, "AUTH_INVALID");
  await enter(t, daemon.url, signed(NEXT_SECRET));
  await works();

  // Origins and the level of the log.
  assert.notEqual(await allowed("https://app.example"), "https://app.example");
  assert.equal(entries(daemon).some(({ level }) => level === "debug"), false);
  write({ auth: { secret_file: secretFile }, server: { origins: ["https://app.example"] }, log: { level: "debug" } });
  await reload();
  assert.equal(await allowed("https://app.example"), "https://app.example");
  assert.notEqual(await allowed("https://evil.example"), "https://evil.example");
  await exchange(`${daemon.url}/health`);
  await until(() => entries(daemon).some(({ level }) => level === "debug"), "an entry of level debug");
  await works();

  // Limits: nobody else gets in, and nobody is sent away.
  write({ auth: { secret_file: secretFile }, limits: { max_connections: 1 } });
  await reload();
  assert.equal((await refusal(t, daemon.url, signed(NEXT_SECRET))).data?.code, "SERVER_FULL");
  await works();
  write({ auth: { secret_file: secretFile }, limits: { max_connections: 10 } });
  await reload();
  await enter(t, daemon.url, signed(NEXT_SECRET));
  assert.equal(drops, 0);
});

test("a broken file changes nothing, and the log says where it is wrong", async (t) => {
  const { daemon, file, write, reload } = await startConfigured(t, { log: { level: "info" } });
  const inside = await enter(t, daemon.url, user("ada"));
  for (const [text, words] of [
    ["server: [", /convened\.yaml:1/],
    ['{"log": {"level": "loud"}}', /convened\.yaml:1.*(level|loud)/],
    ['{"log": {"levle": "debug"}}', /levle/],
    ['{"auth": {"secret_file": "/nonexistent/secret"}}', /nonexistent/],
  ]) {
    const before = entries(daemon).length;
    writeFileSync(file, text);
    daemon.signal("SIGHUP");
    await until(() => entries(daemon).slice(before).some(({ level, msg }) => level === "error" && words.test(msg)), String(words));
    assert.equal(entries(daemon).slice(before).some(({ msg }) => msg === "reloaded"), false);
    await enter(t, daemon.url, user("bob")); // the keys of before
  }
  assert.equal(inside.connected, true);
  assert.equal((await inside.ask("status", { status: "away" })).ok, true);
  write({});
  await reload();
});

/** A certificate of our own making; the name tells them apart. */
function makeCertificate(cert, key, name) {
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", `/CN=${name}`,
    "-keyout", key, "-out", cert], { stdio: "ignore" }); // prettier-ignore
}

const shownName = (port) =>
  within(
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().subject.CN);
        socket.destroy();
      });
      socket.on("error", reject);
    }),
    "a handshake",
  );

test("a reload shows the new certificate; connections of before go on; a broken one changes nothing", async (t) => {
  const place = folder(t);
  const [cert, key] = [join(place, "cert.pem"), join(place, "key.pem")];
  makeCertificate(cert, key, "first");
  const { daemon, reload } = await startConfigured(t, { server: { tls_cert: cert, tls_key: key } }, { scheme: "https" });
  const inside = await enter(t, daemon.url, user("ada"), { rejectUnauthorized: false });
  assert.equal(await shownName(daemon.port), "first");
  makeCertificate(cert, key, "second");
  await reload();
  assert.equal(await shownName(daemon.port), "second");
  assert.equal((await inside.ask("status", { status: "away" })).ok, true);
  const whole = readFileSync(cert);
  writeFileSync(cert, "no certificate");
  const before = entries(daemon).length;
  daemon.signal("SIGHUP");
  await until(() => entries(daemon).slice(before).some(({ level }) => level === "error"), "an error in the log");
  assert.equal(await shownName(daemon.port), "second");
  writeFileSync(cert, whole);
  await reload();
  assert.equal(inside.connected, true);
});

test("X-Request-ID is in the answer and in the log", async (t) => {
  const { daemon } = await startConfigured(t, { log: { level: "debug" } });
  const answer = await exchange(`${daemon.url}/health`, { headers: { "X-Request-ID": "day-of-operator.1" } });
  assert.equal(answer.headers["x-request-id"], "day-of-operator.1");
  const entry = await until(() => entries(daemon).find(({ correlation_id }) => correlation_id === "day-of-operator.1"), "the entry");
  assert.match(entry.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const forged = await exchange(`${daemon.url}/health`, { headers: { "X-Request-ID": 'forged" "x":"y' } });
  assert.notEqual(forged.headers["x-request-id"], 'forged" "x":"y');
});

const STATUSES = ["online", "away", "busy"];

/** A client that comes back, and sends one numbered event after the other, each until it was acknowledged. Event n says STATUSES[n % 3]. */
function startTalker(t, url, id) {
  const socket = io(url, {
    auth: { token: user(id) }, transports: ["websocket"], forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100,
  }); // prettier-ignore
  t.after(() => socket.disconnect());
  const talker = { id, socket, acknowledged: 0, refused: [], ends: [], isOver: false };
  socket.on("disconnect", (reason) => talker.ends.push({ reason, at: Date.now() }));
  const talk = async () => {
    while (!talker.isOver) {
      if (!socket.connected) await new Promise((resolve) => socket.once("connect", resolve));
      const number = talker.acknowledged;
      const answer = await Promise.race([
        socket.timeout(15_000).emitWithAck("status", { status: STATUSES[number % 3], op_id: `${id}-${number}` }),
        new Promise((resolve) => socket.once("disconnect", () => resolve(null))),
      ]).catch(() => null);
      if (answer === null) continue; // not acknowledged: the same once more
      if (!answer.ok) talker.refused.push(answer.error);
      talker.acknowledged = number + 1;
    }
  };
  talker.done = talk();
  return talker;
}

/** What the store has for each user. */
function storedStatuses(data) {
  const script = `import json, sqlite3, sys
print(json.dumps(dict(sqlite3.connect(sys.argv[1]).execute("SELECT user_id, status FROM presence_status").fetchall())))`;
  return JSON.parse(execFileSync("python3", ["-c", script, join(data, "convened.db")], { encoding: "utf8" }));
}

test("a drain under traffic hands over to the next process, and nothing that was acknowledged is lost", async (t) => {
  const settings = {
    limits: { connections_per_ip: "off", events_per_connection: "off", events_per_user: "off", events_per_ip: "off" },
    rate: { default: "off" },
    server: { shutdown_timeout: "10s" },
  };
  const first = await startConfigured(t, settings, { drainTime: "1s" });
  const { daemon, data } = first;
  const talkers = [];
  for (let i = 0; i < 12; i++) talkers.push(startTalker(t, daemon.url, `talker-${i}`));
  await until(() => talkers.every(({ acknowledged }) => acknowledged >= 5), "traffic");
  assert.equal((await exchange(`${daemon.url}/health/websocket`)).status, 200);
  // Readiness is asked over a connection of before as soon as the signal is given, while clients are still there.
  const started = Date.now();
  daemon.signal("SIGTERM");
  const draining = await until(async () => {
    const answer = await exchange(`${daemon.url}/health/websocket`).catch(() => ({ status: 0 }));
    return answer.status === 200 ? null : { ...answer, stillThere: talkers.filter(({ ends }) => ends.length === 0).length };
  }, "readiness to turn");
  assert.equal(draining.status, 503);
  assert.match(JSON.stringify(draining.json ?? draining.text ?? draining.body), /draining/);
  assert.ok(draining.stillThere > 0, "everybody was gone before readiness said so");
  assert.deepEqual(await daemon.exit(), { code: 0, signal: null });
  assert.ok(Date.now() - started < 10_000, "it took longer than server.shutdown_timeout");
  for (const talker of talkers) {
    assert.equal(talker.ends.length, 1);
    assert.match(talker.ends[0].reason, /transport close|transport error/);
  }
  // Spread over the second, not all at once.
  const times = talkers.map(({ ends }) => ends[0].at).sort((a, b) => a - b);
  assert.ok(times.at(-1) - times[0] >= 300, `all went within ${times.at(-1) - times[0]} ms`);

  // On the disk is what was acknowledged last, or what was on its way behind it.
  const stored = storedStatuses(data);
  for (const { id, acknowledged, refused } of talkers) {
    assert.deepEqual(refused, []);
    const possible = [acknowledged - 1, acknowledged].map((number) => number % 3);
    assert.ok(possible.includes(stored[id]), `${id}: ${stored[id]} is stored, ${acknowledged} were acknowledged`);
  }

  const before = talkers.map(({ acknowledged }) => acknowledged);
  await startConfigured(t, settings, { data, port: daemon.port });
  await until(() => talkers.every(({ acknowledged }, i) => acknowledged >= before[i] + 3), "traffic with the next process");
  for (const talker of talkers) talker.isOver = true;
  await within(Promise.all(talkers.map(({ done }) => done)), "the talkers");
  for (const { refused, socket } of talkers) {
    assert.deepEqual(refused, []);
    socket.disconnect();
  }

  // The audit trail goes on over both processes, and whoever changes it is found out.
  const verify = () => spawnSync(daemonFile, ["audit", "verify", "--data", data], { encoding: "utf8" });
  const whole = verify();
  assert.equal(whole.status, 0, whole.stdout + whole.stderr);
  assert.ok(Number(/(\d+) entries/.exec(whole.stdout)[1]) >= 36, whole.stdout); // 12 came, went and came again
  const script = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
db.executescript("DROP TRIGGER IF EXISTS audit_no_update; UPDATE audit SET user_id='mallory' WHERE seq=2")`;
  execFileSync("python3", ["-c", script, join(data, "convened.db")]);
  assert.equal(verify().status, 1);
});
