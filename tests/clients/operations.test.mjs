// An operator's endpoints and log, on the daemon as a whole with real clients: docs/operations.md, step by step.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { enter, folder, startDaemon, user } from "./support/daemon.mjs";
import { exchange } from "./support/raw.mjs";
import { daemonFile, once } from "./support/server.mjs";

const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const admin = bearer(user("root", { app_metadata: { role: "ADMIN", org_id: "acme" } }));
const student = bearer(user("ada"));

async function ask(url, path, { status = 200, headers = admin, ...options } = {}) {
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  const answer = await exchange(`${url}${path}`, { ...options, body, headers });
  assert.equal(answer.status, status, `${path}: ${answer.text}`);
  return { ...answer, json: JSON.parse(answer.text) };
}

const entriesOf = (daemon) =>
  daemon.output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));

test("tells whether it lives and whether it is ready", async (t) => {
  const daemon = await startDaemon(t);
  const { json: alive } = await ask(daemon.url, "/health", { headers: {} });
  assert.equal(alive.status, "ok");
  assert.equal(alive.workers, 2);
  assert.equal((await ask(daemon.url, "/health/websocket", { headers: {} })).json.status, "ready");
  assert.equal((await ask(daemon.url, "/api/v1/websocket/health", { headers: {} })).json.status, "healthy");
  const { json: status } = await ask(daemon.url, "/api/realtime/status", { headers: {} });
  assert.equal(status.status, "ok");
  assert.ok(status.namespaces.includes("/"));
  assert.ok(!status.namespaces.includes("/admin"));
  assert.deepEqual(status.transports, ["websocket", "polling"]);
});

test("tells an admin who is there, and nobody else", async (t) => {
  const daemon = await startDaemon(t);
  await enter(t, daemon.url, user("ada"));
  await enter(t, daemon.url, user("ada"), { transports: ["polling"] });
  await enter(t, daemon.url, user("bob"));
  for (const path of ["/api/v1/websocket/stats", "/api/v1/websocket/rooms", "/health/websocket/detailed", "/api/v1/admin/log-level"]) {
    assert.equal((await ask(daemon.url, path, { status: 401, headers: {} })).json.error.code, "AUTH_REQUIRED");
    assert.equal((await ask(daemon.url, path, { status: 403, headers: student })).json.error.code, "FORBIDDEN");
  }
  const { json: stats } = await ask(daemon.url, "/api/v1/websocket/stats");
  assert.equal(stats.status, "operational");
  assert.equal(stats.server_stats.connections, 3);
  assert.deepEqual(stats.server_stats.transports, { websocket: 2, polling: 1 });
  assert.equal(stats.manager_stats.total_connections, 3);
  assert.equal(stats.manager_stats.users, 2);
  const { json: rooms } = await ask(daemon.url, "/api/v1/websocket/rooms?namespace=/&prefix=user:");
  assert.deepEqual(
    rooms.rooms.map((one) => [one.room, one.members]),
    [["user:ada", 2], ["user:bob", 1]],
  );
  const { json: detailed } = await ask(daemon.url, "/health/websocket/detailed");
  assert.equal(detailed.namespaces["/"].sockets, 3);
  assert.equal(detailed.quality.websocket_share.toFixed(2), "0.67");
  assert.ok(detailed.rooms.largest.some((one) => one.room === "org:acme" && one.members === 3));
});

test("broadcasts, changes the log's level, and leaves both in the audit trail", async (t) => {
  const data = folder(t);
  const daemon = await startDaemon(t, ["--log-format", "json"], { data });
  const [ada, bob] = [await enter(t, daemon.url, user("ada")), await enter(t, daemon.url, user("bob"))];
  const heard = [once(ada, "notice"), once(bob, "notice")];
  const options = { method: "POST", headers: { ...admin, "X-Request-ID": "deploy-7" } };
  const sent = await ask(daemon.url, "/api/v1/websocket/broadcast", { ...options, body: { event: "notice", data: { text: "Grüße" } } });
  assert.equal(sent.headers["x-request-id"], "deploy-7");
  for (const one of heard) assert.deepEqual((await one)[0], { text: "Grüße" }); // an offset for recovery follows
  let wrongly = 0;
  bob.on("private", () => wrongly++);
  const alone = once(ada, "private");
  await ask(daemon.url, "/api/v1/websocket/broadcast", { ...options, body: { event: "private", room: "user:ada" } });
  await alone;
  const after = once(bob, "after");
  await ask(daemon.url, "/api/v1/websocket/broadcast", { ...options, body: { event: "after" } });
  await after;
  assert.equal(wrongly, 0);
  await ask(daemon.url, "/api/v1/websocket/broadcast", { ...options, status: 400, body: { event: "disconnect" } });

  assert.equal((await ask(daemon.url, "/api/v1/admin/log-level")).json.data.level, "info");
  await ask(daemon.url, "/api/v1/admin/log-level", { ...options, body: { level: "debug" } });
  await ask(daemon.url, "/health", { headers: { "X-Request-ID": "seen-now" } });
  await daemon.stopNow();

  const entries = entriesOf(daemon);
  for (const entry of entries) {
    assert.match(entry.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(entry.level, /^(debug|info|warn|error)$/);
  }
  assert.ok(entries.some((entry) => entry.correlation_id === "deploy-7" && entry.user === "root" && entry.to === "debug"));
  const request = entries.find((entry) => entry.correlation_id === "seen-now");
  assert.equal(request.path, "/health");
  assert.equal(request.status, 200);

  const trail = execFileSync(daemonFile, ["audit", "export", "--data", data], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const actions = trail.filter((entry) => entry.correlation_id === "deploy-7").map((entry) => entry.action);
  assert.deepEqual(actions, ["admin_broadcast", "admin_broadcast", "admin_broadcast", "admin_log_level"]);
});

test("is not ready while it drains, and still serves those who are there", async (t) => {
  const daemon = await startDaemon(t, ["--server-drain-time", "3s", "--server-shutdown-timeout", "15s"]);
  const socket = await enter(t, daemon.url, user("ada"));
  const lost = once(socket, "disconnect");
  daemon.signal("SIGTERM");
  let answer;
  do answer = await exchange(`${daemon.url}/health/websocket`);
  while (answer.status === 200); // the signal is on its way
  assert.equal(answer.status, 503);
  assert.deepEqual(JSON.parse(answer.text).reasons, ["draining"]);
  assert.equal(answer.headers["retry-after"], "5");
  assert.equal((await exchange(`${daemon.url}/health`)).status, 200);
  await lost;
});
