// An operator's day with the real daemon: what a reload takes over while clients stay, what a mistake changes (nothing), what the log and the
// audit trail say, and how one process hands over to the next under traffic.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import tls from "node:tls";
import { io } from "socket.io-client";
import { enter, folder, refusal, SECRET, startDaemon, token, user } from "./support/daemon.mjs";
import { exchange } from "./support/raw.mjs";
import { once, within } from "./support/server.mjs";

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
async function startConfigured(t, settings, { scheme = "http", data = folder(t), port = 0 } = {}) {
  const place = folder(t);
  const file = join(place, "convened.yaml");
  const secretFile = join(place, "secret");
  writeFileSync(secretFile, SECRET, { mode: 0o600 });
  const write = (more) => writeFileSync(file, JSON.stringify({ auth: { secret_file: secretFile }, ...more }));
  write(settings);
  const daemon = await startDaemon(t, ["--config", file, "--port", String(port), "--log-format", "json"], { data, secret: null });
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

/** A client that comes back, and sends numbered events, each until it was acknowledged. */
function startTalker(t, url, id) {
  const socket = io(url, {
    auth: { token: user(id) }, transports: ["websocket"], forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100,
  }); // prettier-ignore
  t.after(() => socket.disconnect());
  const talker = { id, socket, acknowledged: [], refused: [], ends: [], isOver: false };
  socket.on("disconnect", (reason) => talker.ends.push({ reason, at: process.hrtime.bigint() }));
  const talk = async () => {
    for (let number = 0; !talker.isOver; ) {
      if (!socket.connected) {
        await new Promise((resolve) => socket.once("connect", resolve));
        continue;
      }
      const asked = `${id}-${number}`;
      const answer = await Promise.race([
        socket.timeout(15_000).emitWithAck("presence_join", { kind: "org", id: "acme", op_id: asked }).catch(() => null),
        new Promise((resolve) => socket.once("disconnect", () => resolve(null))),
      ]);
      if (answer === null) continue; // not acknowledged: once more, by the same number
      if (answer.ok) talker.acknowledged.push(number);
      else talker.refused.push(answer.error.code);
      number++;
    }
  };
  talker.done = talk();
  return talker;
}
