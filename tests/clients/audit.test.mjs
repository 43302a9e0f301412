// The audit trail of a running daemon, as `convened audit` sees it: beside it, after it was killed, and after somebody has had their hands on it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { daemonFile, once } from "./support/server.mjs";
import { enter, folder, refusal, startDaemon, user } from "./support/daemon.mjs";

/** Runs a program to its end. */
const run = (file, ...args) =>
  new Promise((resolve) =>
    execFile(file, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => resolve({ status: error === null ? 0 : error.code, stdout, stderr })),
  );

const audit = (...args) => run(daemonFile, "audit", ...args);

async function entries(data, ...args) {
  const { status, stdout, stderr } = await audit("export", "--data", data, ...args);
  assert.equal(status, 0, stderr);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** The trail once it has what is asked for: entries are on their way to the disk when the events are answered. */
async function entriesWith(data, wanted) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await entries(data);
    if (found.some(wanted)) return found;
    if (Date.now() > deadline) assert.fail(`waited in vain:\n${found.map((entry) => JSON.stringify(entry)).join("\n")}`);
  }
}

async function assertWhole(data, ...args) {
  const { status, stdout, stderr } = await audit("verify", "--data", data, ...args);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^the audit trail is whole: \d+ entr(y|ies)\n/);
  return /^head (\d+:[0-9a-f]{64})$/m.exec(stdout)?.[1];
}

async function assertBroken(data, why, ...args) {
  const { status, stdout } = await audit("verify", "--data", data, ...args);
  assert.equal(status, 1, stdout);
  assert.match(stdout, why);
}

/** With the database in hand, and the triggers known. */
async function tamper(data, sql) {
  const script = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete;" + sys.argv[2])
db.close()`;
  const { status, stderr } = await run("python3", "-c", script, join(data, "convened.db"), sql);
  assert.equal(status, 0, stderr);
}

test("who came, went and was refused, read beside the running daemon", async (t) => {
  const data = folder(t);
  const daemon = await startDaemon(t, [], { data });
  await refusal(t, daemon.url, "nonsense");
  const ada = await enter(t, daemon.url, user("ada"), { extraHeaders: { "X-Request-ID": "trace-me" } });
  assert.equal((await ada.ask("presence_join", { kind: "org", id: "other" })).error.code, "FORBIDDEN");
  assert.equal((await ada.ask("presence_join", { kind: "org", id: "acme" })).ok, true);
  ada.disconnect();
  const found = await entriesWith(data, (entry) => entry.action === "disconnect");
  found.forEach((entry, index) => {
    assert.equal(entry.seq, index + 1);
    assert.equal(entry.prev_hash, index === 0 ? "0".repeat(64) : found[index - 1].hash);
    assert.equal(new Date(entry.time_ms).toISOString(), entry.time);
    assert.ok(Math.abs(entry.time_ms - Date.now()) < 600_000);
  });
  const refused = found.find((entry) => entry.action === "connect_refused");
  assert.equal(refused.code, "AUTH_INVALID");
  assert.equal(refused.address, "127.0.0.1");
  const came = found.find((entry) => entry.action === "connect");
  assert.deepEqual([came.user_id, came.nsp, came.code, came.correlation_id], ["ada", "/", null, "trace-me"]);
  const kept = found.find((entry) => entry.subject === "org:other");
  assert.deepEqual([kept.user_id, kept.code], ["ada", "FORBIDDEN"]);
  assert.ok(found.some((entry) => entry.action === "join" && entry.subject === "org:acme" && entry.code === null));
  const head = await assertWhole(data);
  await daemon.stopNow();
  await assertWhole(data, "--expect-head", head); // it has gone on since, but that entry is there
  for (const file of ["convened.db", "audit.head"]) assert.equal(statSync(join(data, file)).mode & 0o777, 0o600);
  assert.deepEqual((await entries(data, "--until", "2020-01-01")).length, 0);
  const csv = await audit("export", "--data", data, "--format", "csv", "--since", "2020-01-01T00:00:00Z");
  assert.equal(csv.stdout.split("\r\n").length, (await entries(data)).length + 2); // the head line, and the end
});

test("goes on where it was when the daemon was killed", async (t) => {
  const data = folder(t);
  let last = 0;
  for (let round = 0; round < 3; round++) {
    const daemon = await startDaemon(t, [], { data });
    const name = `user${round}`;
    for (let i = 0; i < 5; i++) (await enter(t, daemon.url, user(name))).disconnect();
    await entriesWith(data, (entry) => entry.action === "connect" && entry.user_id === name);
    const ended = daemon.ended();
    daemon.stop = async () => {}; // it is not to end well
    daemon.signal("SIGKILL");
    assert.equal((await ended).signal, "SIGKILL");
    await assertWhole(data);
    const found = await entries(data);
    assert.ok(found.length > last);
    last = found.length;
  }
  const daemon = await startDaemon(t, [], { data });
  await enter(t, daemon.url, user("ada"));
  await daemon.stopNow();
  const head = await assertWhole(data);
  assert.ok(Number(head.split(":")[0]) > last);
});

test("whoever changes it is found out", async (t) => {
  const data = folder(t);
  const daemon = await startDaemon(t, [], { data });
  for (let i = 0; i < 5; i++) await enter(t, daemon.url, user(`user${i}`));
  await daemon.stopNow();
  const head = await assertWhole(data);
  const number = Number(head.split(":")[0]);
  await tamper(data, "UPDATE audit SET seq=-2 WHERE seq=2");
  await assertBroken(data, /^entry -2 does not follow|^entry -2 was changed/);
  await tamper(data, "UPDATE audit SET seq=2 WHERE seq=-2; CREATE TABLE aside AS SELECT * FROM audit WHERE seq=2; DELETE FROM audit WHERE seq=2");
  await assertBroken(data, /^entry 2 was removed/);
  await tamper(data, "INSERT INTO audit SELECT * FROM aside; DROP TABLE aside");
  await assertWhole(data, "--expect-head", head);
  await tamper(data, "UPDATE audit SET user_id='mallory' WHERE seq=3");
  await assertBroken(data, /^entry 3 was changed/);
  await tamper(data, "DELETE FROM audit WHERE seq>1");
  await assertBroken(data, new RegExp(`^the end was cut off: the last entry is 1, but entry ${number} was there`));
  assert.ok(existsSync(join(data, "audit.head")));
  // The daemon goes on, but does not forget.
  const again = await startDaemon(t, [], { data });
  const socket = await enter(t, again.url, user("ada"));
  const gone = once(socket, "disconnect");
  await again.stopNow();
  await gone;
  await assertBroken(data, /^entry 2 says that the end of the trail had been cut off or replaced/);
  await assertBroken(data, /was there/, "--expect-head", head);
  assert.match(again.output, /lacks its anchored entry/);
});

test("a second daemon on the same data does not start", async (t) => {
  const data = folder(t);
  await startDaemon(t, [], { data });
  const second = await run(daemonFile, "--dev", "--port", "0", "--data", data);
  assert.equal(second.status, 1);
  assert.match(second.stderr, /in use by another convened/);
});

test("wrong command lines", async (t) => {
  const data = folder(t);
  assert.equal((await audit()).status, 2);
  assert.equal((await audit("verify", "--nonsense")).status, 2);
  const missing = await audit("verify", "--data", data);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /convened\.db|cannot be used/);
  const help = await audit("--help");
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^usage: convened audit verify/);
});
