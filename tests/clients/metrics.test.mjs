// What the daemon prints for Prometheus, and what the alerts and the dashboard of packaging/ make of it: every name and label that they use is
// one that a running server prints.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Agent, request } from "node:https";
import YAML from "yaml";
import { enter, refusal, startDaemon, user } from "./support/daemon.mjs";
import { parseExposition } from "./support/exposition.mjs";
import { selectorsOf } from "./support/promql.mjs";
import { exchange } from "./support/raw.mjs";
import { within } from "./support/server.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const rulesFile = join(root, "packaging/prometheus/convened.rules.yml");
const rules = YAML.parse(readFileSync(rulesFile, "utf8")).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readFileSync(join(root, "packaging/grafana/convened.json"), "utf8"));

async function scrape(url, headers) {
  const answer = await exchange(`${url}/metrics`, { headers });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  return answer.text;
}

const valueOf = (families, name, labels = {}) =>
  families
    .get(name)
    .samples.filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, sample) => sum + sample.value, 0);

/** Sockets, events and refusals of all kinds, so that everything with labels has something to show. */
async function makeTraffic(t, daemon) {
  const sockets = [
    await enter(t, daemon.url, user("ada")),
    await enter(t, daemon.url, user("bob"), { transports: ["polling"] }),
  ];
  for (const socket of sockets) assert.equal((await socket.ask("status", { status: "away" })).ok, true);
  assert.equal((await sockets[0].ask("status", { status: "asleep" })).error.code, "VALIDATION");
  assert.equal((await refusal(t, daemon.url, "nonsense")).data.code, "AUTH_INVALID");
  assert.equal((await exchange(`${daemon.url}/health/websocket`)).status, 200);
  assert.equal((await exchange(`${daemon.url}/health/websocket/detailed`)).status, 401);
  return sockets;
}

test("refuses what is only nearly the text format", () => {
  const head = "# HELP a_total A.\n# TYPE a_total counter\n";
  assert.equal(parseExposition(`${head}a_total{x="1\\"\\\\\\n,}"} 5\n`).get("a_total").samples[0].labels.x, '1"\\\n,}');
  for (const wrong of [
    `${head}a_total 5`, // no end of the line
    `${head}a_total 5\na_total 6\n`,
    `${head}a_total{x="1"} 5\na_total{x="1"} 5\n`,
    `${head}a_total{} 5\n`,
    `${head}a_total{x=1} 5\n`,
    `${head}a_total{x="1",} 5\n`,
    `${head}a_total{x="\\t"} 5\n`,
    `${head}a_total -1\n`,
    `${head}a_total  1\n`,
    `${head}a_total 0x1\n`,
    `${head}b_total 1\n`,
    `${head}${head}`,
    "a_total 5\n",
    "# HELP a A.\n# TYPE a counter\na 1\n",
    "# TYPE a gauge\na 1\n",
    '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
    '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n',
    '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
    '# HELP h H.\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 1\n',
  ])
    assert.throws(() => parseExposition(wrong), undefined, wrong);
});

test("prints the text format, and numbers that are right", async (t) => {
  const daemon = await startDaemon(t);
  parseExposition(await scrape(daemon.url)); // nothing has happened yet
  await makeTraffic(t, daemon);
  const families = parseExposition(await scrape(daemon.url));
  assert.equal(valueOf(families, "convened_connections", { transport: "websocket" }), 1);
  assert.equal(valueOf(families, "convened_connections", { transport: "polling" }), 1);
  assert.equal(valueOf(families, "convened_connections_opened_total"), 3);
  assert.equal(valueOf(families, "convened_namespace_sockets", { namespace: "/" }), 2);
  assert.equal(valueOf(families, "convened_events_total", { namespace: "/", event: "status", result: "OK" }), 2);
  assert.equal(valueOf(families, "convened_events_total", { namespace: "/", event: "status", result: "VALIDATION" }), 1);
  assert.equal(valueOf(families, "convened_connects_refused_total", { namespace: "/", code: "AUTH_INVALID" }), 1);
  assert.equal(valueOf(families, "convened_http_requests_total", { route: "/health/websocket/detailed", status: "401" }), 1);
  assert.equal(valueOf(families, "convened_ready"), 1);
  assert.equal(valueOf(families, "convened_store_available"), 1);
  assert.equal(valueOf(families, "convened_build_info"), 1);
  assert.ok(valueOf(families, "process_resident_memory_bytes") > 1e6);
  assert.ok(valueOf(families, "process_open_fds") > 5);
  assert.ok(Math.abs(valueOf(families, "process_start_time_seconds") - Date.now() / 1000) < 600);
  const duration = families.get("convened_event_duration_seconds").samples;
  assert.ok(duration.some((sample) => sample.name.endsWith("_count") && sample.labels.event === "status" && sample.value >= 2));
  for (const family of families.values())
    assert.match(family.name, /^(convened|process)_[a-z0-9_]*[a-z0-9]$/, "one way to name things");
});

test("measures how long deliveries between workers are under way", async (t) => {
  const daemon = await startDaemon(t, ["--workers", "3"]);
  const lag = async () => {
    const { samples } = parseExposition(await scrape(daemon.url)).get("convened_delivery_lag_seconds");
    const of = (suffix) => samples.find((sample) => sample.name.endsWith(suffix)).value;
    return { count: of("_count"), sum: of("_sum") };
  };
  let measured = await lag();
  await within(
    (async () => {
      while (measured.count < 6) measured = await lag(); // each worker twice
    })(),
    "measures of all workers",
  );
  assert.ok(measured.sum > 0);
});

test("tells its numbers to the operator alone", async (t) => {
  const near = await startDaemon(t);
  assert.equal((await exchange(`${near.url}/metrics`, { headers: { "X-Forwarded-For": "127.0.0.1" } })).status, 401);
  assert.equal((await exchange(`${near.url}/metrics`, { headers: { Authorization: `Bearer ${user("ada")}` } })).status, 403);
  const admin = user("root", { app_metadata: { role: "ADMIN", org_id: "acme" } });
  await scrape(near.url, { Authorization: `Bearer ${admin}`, "X-Forwarded-For": "192.0.2.1" });
  const guarded = await startDaemon(t, ["--operations-metrics-token", "a-token-of-more-than-sixteen-bytes"]);
  assert.equal((await exchange(`${guarded.url}/metrics`)).status, 401);
  assert.equal((await exchange(`${guarded.url}/metrics`, { headers: { Authorization: "Bearer another" } })).status, 401);
  await scrape(guarded.url, { Authorization: "Bearer a-token-of-more-than-sixteen-bytes" });
});

/** Of a daemon with TLS and an application that is down, for what only that prints. */
async function scrapeTls(t) {
  const dir = mkdtempSync(join(tmpdir(), "convened-tls-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  execFileSync(
    "openssl",
    [..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(" "), "-keyout", key, "-out", cert],
    { stdio: "ignore" },
  );
  const daemon = await startDaemon(t, ["--tls-cert", cert, "--tls-key", key, "--upstream-url", "http://127.0.0.1:1"]);
  const agent = new Agent({ rejectUnauthorized: false });
  const get = (path) =>
    within(
      new Promise((resolve, reject) => {
        request(`https://127.0.0.1:${daemon.port}${path}`, { agent }, (answer) => {
          let text = "";
          answer.on("data", (piece) => (text += piece));
          answer.on("end", () => resolve(text));
        })
          .on("error", reject)
          .end();
      }),
      path,
    );
  await get("/application");
  return get("/metrics");
}

test("alerts and dashboard ask only for what is printed", async (t) => {
  const daemon = await startDaemon(t);
  await makeTraffic(t, daemon);
  const families = parseExposition(await scrape(daemon.url));
  const tls = parseExposition(await scrapeTls(t));
  const expiry = valueOf(tls, "convened_tls_certificate_expiry_timestamp_seconds");
  assert.ok(Math.abs(expiry - Date.now() / 1000 - 2 * 24 * 3600) < 600);
  assert.equal(valueOf(tls, "convened_upstream_requests_total", { result: "unreachable" }), 1);

  const known = new Map([["up", new Set(["instance", "job"])]]); // Prometheus' own
  for (const family of [...families.values(), ...tls.values()])
    for (const sample of family.samples) {
      const labels = known.get(sample.name) ?? new Set(["instance", "job"]);
      Object.keys(sample.labels).forEach((label) => labels.add(label));
      known.set(sample.name, labels);
    }
  /* Those that have no series as long as all is well. */
  const silent = new Map([["convened_rate_limited_total", ["scope"]]]);
  for (const [name, labels] of silent) {
    assert.ok(families.has(name), name);
    if (!known.has(name)) known.set(name, new Set(["instance", "job", ...labels]));
  }

  const panels = dashboard.panels.filter((panel) => panel.type !== "row");
  const queries = [
    ...rules.map((rule) => [`alert ${rule.alert}`, rule.expr]),
    ...panels.flatMap((panel) => panel.targets.map((target) => [`panel ${panel.title}`, target.expr])),
    ...dashboard.annotations.list.map((one) => [`annotation ${one.name}`, one.expr]),
  ];
  assert.ok(queries.length > 50);
  for (const [where, expression] of queries)
    for (const { metric, labels } of selectorsOf(expression.replaceAll("$__rate_interval", "5m"))) {
      assert.ok(known.has(metric), `${where}: nobody prints ${metric}`);
      for (const label of labels) assert.ok(known.get(metric).has(label), `${where}: ${metric} has no label ${label}`);
    }
});

test("every alert says what it means, with labels that it has", () => {
  const names = new Set();
  for (const { alert, expr, labels, annotations } of rules) {
    assert.match(alert, /^Convened[A-Z][A-Za-z]+$/);
    assert.ok(!names.has(alert), alert);
    names.add(alert);
    assert.ok(["critical", "warning"].includes(labels.severity), alert);
    assert.ok(annotations.summary.includes("$labels.instance"), alert);
    assert.ok(annotations.description.length > 20, alert);
    const has = new Set(["instance", ...selectorsOf(expr).flatMap((selector) => selector.labels)]);
    for (const [, label] of `${annotations.summary}${annotations.description}`.matchAll(/\$labels\.(\w+)/g))
      assert.ok(has.has(label), `${alert}: ${label}`);
  }
  const manual = readFileSync(join(root, "docs/operations.md"), "utf8");
  for (const name of names) assert.ok(manual.includes(name), `docs/operations.md says nothing of ${name}`);
});

test("the dashboard is one that Grafana can show", () => {
  const ids = new Set();
  const cells = new Set();
  for (const panel of dashboard.panels) {
    assert.ok(!ids.has(panel.id), `id ${panel.id}`);
    ids.add(panel.id);
    const { x, y, w, h } = panel.gridPos;
    assert.ok(x >= 0 && x + w <= 24, panel.title);
    for (let i = x; i < x + w; i++)
      for (let k = y; k < y + h; k++) {
        assert.ok(!cells.has(`${i} ${k}`), `${panel.title} lies over another`);
        cells.add(`${i} ${k}`);
      }
    if (panel.type === "row") continue;
    assert.equal(panel.datasource.uid, "${datasource}", panel.title);
    for (const target of panel.targets) assert.match(target.expr, /\$instance/, panel.title);
  }
  const variables = dashboard.templating.list.map((variable) => variable.name);
  assert.deepEqual(variables, ["datasource", "instance"]);
});

test("promtool agrees", async (t) => {
  const promtool = process.env.CONVENE_PROMTOOL ?? "promtool";
  try {
    execFileSync(promtool, ["--version"], { stdio: "ignore" });
  } catch {
    t.skip("promtool is not installed (Debian's package prometheus)");
    return;
  }
  const daemon = await startDaemon(t);
  await makeTraffic(t, daemon);
  execFileSync(promtool, ["check", "rules", rulesFile]);
  execFileSync(promtool, ["test", "rules", join(root, "tests/data/convened.rules.test.yml")]);
  const answer = execFileSync(promtool, ["check", "metrics"], { input: await scrape(daemon.url), encoding: "utf8" });
  assert.equal(answer, "");
});
