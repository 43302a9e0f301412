// The daemon as an operator meets it: its options, its files, TLS, health, and how it ends.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { Polling, Tcp } from "./support/raw.mjs";
import { daemonFile, once, Program, startDaemon, within } from "./support/server.mjs";

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "convene-daemon-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Runs the daemon to its end with arguments that do not let it serve; `env` is added to the environment. */
async function refused(t, args, env = {}) {
  const program = new Program(daemonFile, args, { env: { ...process.env, ...env } });
  t.after(() => program.signal("SIGKILL"));
  return { ...(await program.exit()), output: program.output };
}

const enter = (url, name, options = {}) => {
  const socket = io(`${url}/demo`, { reconnection: false, forceNew: true, ...options });
  return { socket, entered: socket.timeout(15_000).emitWithAck("enter", { name }) };
};

test("says its version and its options", async (t) => {
  const version = await refused(t, ["--version"]);
  assert.equal(version.code, 0);
  assert.match(version.output, /\d+\.\d+\.\d+/);
  const help = await refused(t, ["--help"]);
  assert.equal(help.code, 0);
  for (const option of ["--port", "--workers", "--data", "--dev", "--origin", "--tls-cert", "--compression"]) assert.match(help.output, new RegExp(option));
});

test("refuses wrong options with a reason", async (t) => {
  for (const [args, reason] of [
    [["--port", "70000"], /--port/],
    [["--port", "http"], /--port/],
    [["--workers", "-1"], /--workers/],
    [["--workers", "1000"], /--workers/],
    [["--no-such-option"], /no-such-option/],
    [["--port"], /port/],
    [["stray"], /stray/],
    [["--tls-cert", "/nowhere.pem", "--data", folder(t)], /tls-key|TLS/i],
    [["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key", "--port", "0", "--data", folder(t)], /TLS|nowhere/i],
    [["--no-auth-required", "--port", "0", "--data", "/proc/nowhere"], /proc/],
    [["--host", "no.such.address", "--port", "0", "--data", folder(t)], /no\.such\.address/],
  ]) {
    const end = await refused(t, args);
    assert.ok(end.code > 0, `${args}: ${JSON.stringify(end)}`);
    assert.match(end.output, reason, String(args));
  }
});

test("does not start without a key, and says what to set", async (t) => {
  const end = await refused(t, ["--port", "0", "--data", folder(t)]);
  assert.equal(end.code, 2);
  for (const way of [/auth\.secret_file/, /CONVENE_AUTH_SECRET_FILE/, /--auth-secret-file/, /auth\.jwks_url/, /--no-auth-required/, /--dev/])
    assert.match(end.output, way);
});

test("--check-config names every mistake of every source", async (t) => {
  const dir = folder(t);
  const file = join(dir, "convened.yaml");
  writeFileSync(file, "server:\n  prot: 80\n  origins: [example.org]\nlog: {level: loud}\n");
  const env = { CONVENE_CONFIG: file, WEBSOCKET_PING_TIMEOUT: "soon" };
  const bad = await refused(t, ["--check-config", "--workers", "many", "--zebra"], env);
  assert.equal(bad.code, 2);
  for (const line of [
    `${file}:2:3: server.prot is not known; did you mean port?`,
    `${file}:3:12: server.origins: "example.org" is not an origin`,
    `${file}:4:14: log.level: "loud" is none of`,
    'WEBSOCKET_PING_TIMEOUT: "soon" is not a time',
    '--workers: "many" is not a number of 0 to 128',
    "--zebra: is no option",
  ])
    assert.ok(bad.output.includes(line), `${line}\n${bad.output}`);

  writeFileSync(file, "auth: {secret: 0123456789abcdef0123456789abcdef}\n");
  const good = await refused(t, ["--check-config", "--config", file]);
  assert.equal(good.code, 0, good.output);
  assert.ok(good.output.includes(`good (file ${file}`), good.output);
  writeFileSync(file, "server: {port: 1");
  assert.equal((await refused(t, ["--check-config", "--config", file])).code, 2);
  const missing = await refused(t, ["--check-config", "--config", join(dir, "none.yaml")]);
  assert.equal(missing.code, 2);
  assert.match(missing.output, /none\.yaml: cannot be read: No such file/);
});

test("--print-config tells what is in force, from where, and no secret", async (t) => {
  const file = join(folder(t), "convened.yaml");
  writeFileSync(file, "server:\n  port: 1000\n  workers: 1\nauth: {secret: correct-horse-battery-staple-and-more}\n");
  const printed = await refused(t, ["--config", file, "--print-config", "--port", "3"], { CONVENE_SERVER_WORKERS: "2" });
  assert.equal(printed.code, 0, printed.output);
  assert.match(printed.output, /^ {2}port: 3 {2}# --port$/m);
  assert.match(printed.output, /^ {2}workers: 2 {2}# environment CONVENE_SERVER_WORKERS$/m);
  assert.match(printed.output, /^ {2}# secret: is set, but not shown {2}# .*convened\.yaml:4:16$/m);
  assert.match(printed.output, /^ {2}ping_timeout: 20s {2}# default$/m);
  assert.doesNotMatch(printed.output, /correct-horse/);
  writeFileSync(file, printed.output.replace("# secret: is set, but not shown", "secret: correct-horse-battery-staple-and-more"));
  const again = await refused(t, ["--config", file, "--check-config"]);
  assert.equal(again.code, 0, again.output);
});

test("serves as file, environment and flags say", async (t) => {
  const dir = folder(t);
  const file = join(dir, "convened.yaml");
  const secret = join(dir, "secret");
  writeFileSync(secret, "0123456789abcdef0123456789abcdef\n", { mode: 0o600 });
  writeFileSync(
    file,
    "server:\n  host: 127.0.0.1\n  port: 1\n  data_dir: /proc/nowhere\n  ping_interval: 7s\n  ping_timeout: 9s\n  max_payload: 12345\n  origins: [https://file.example]\n",
  );
  const env = {
    ...process.env,
    CONVENE_CONFIG: file,
    CONVENE_AUTH_SECRET_FILE: secret,
    WEBSOCKET_PING_TIMEOUT: "11000",
    ENABLE_WEBSOCKET_FALLBACK: "true",
    ALLOWED_ORIGINS: "https://env.example, https://*.env.example",
  };
  const program = new Program(daemonFile, ["--port", "0", "--workers", "1", "--data", join(dir, "data")], { env });
  t.after(() => program.stop());
  await program.listening();
  const open = (origin) => fetch(`${program.url}/socket.io/?EIO=4&transport=polling`, { headers: origin ? { Origin: origin } : {} });
  const handshake = JSON.parse((await (await open()).text()).slice(1));
  assert.equal(handshake.pingInterval, 7000);
  assert.equal(handshake.pingTimeout, 11000);
  assert.equal(handshake.maxPayload, 12345);
  assert.equal((await open("https://env.example")).status, 200);
  assert.equal((await open("https://a.env.example")).status, 200);
  assert.notEqual((await open("https://file.example")).status, 200);
});

test("offers no polling when it is switched off", async (t) => {
  const daemon = await startDaemon(t, folder(t), ["--no-server-polling"]);
  assert.equal((await fetch(`${daemon.url}/socket.io/?EIO=4&transport=polling`)).status, 400);
  const { socket, entered } = enter(daemon.url, "Ada", { transports: ["websocket"] });
  assert.equal((await entered).ok, true);
  socket.disconnect();
});

test("refuses a port that is taken", async (t) => {
  const daemon = await startDaemon(t, folder(t));
  const end = await refused(t, ["--dev", "--port", String(daemon.port), "--data", folder(t)]);
  assert.ok(end.code > 0);
  assert.match(end.output, /in use/);
});

test("makes its data directory, for itself alone", async (t) => {
  const data = join(folder(t), "deep", "data");
  await startDaemon(t, data);
  assert.equal(statSync(data).mode & 0o777, 0o700);
  const second = await refused(t, ["--dev", "--port", "0", "--data", data]);
  assert.ok(second.code > 0);
  assert.match(second.output, /in use by another/);
});

test("serves the page, the client and its health", async (t) => {
  const daemon = await startDaemon(t, folder(t));
  const get = (path, options) => fetch(daemon.url + path, options);

  const page = await get("/");
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type"), /^text\/html/);
  assert.match(await page.text(), /socket\.io\/socket\.io\.js/);
  for (const path of ["/demo.js", "/demo.css", "/favicon.svg"]) assert.equal((await get(path)).status, 200, path);
  for (const path of ["/nothing", "/../README.md", "/%2e%2e/README.md", "/.hidden", "/demo.js/", "//etc/passwd"])
    assert.equal((await get(path)).status, 404, path);

  const head = await get("/", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");

  for (const name of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"]) {
    const bundle = await get(`/socket.io/${name}`);
    assert.equal(bundle.status, 200, name);
    assert.match(bundle.headers.get("content-type"), /^application\/javascript|^text\/javascript/);
    const etag = bundle.headers.get("etag");
    assert.ok(etag, name);
    assert.match(await bundle.text(), /Socket\.IO/);
    const again = await get(`/socket.io/${name}`, { headers: { "If-None-Match": etag } });
    assert.equal(again.status, 304);
  }
  assert.equal((await get("/socket.io/socket.io.min.js.map")).status, 200);
  assert.notEqual((await get("/socket.io/other.js")).status, 200);

  const health = await get("/health");
  assert.equal(health.status, 200);
  assert.equal((await health.json()).status, "ok");
});

test("keeps the demo to development", async (t) => {
  const program = new Program(daemonFile, ["--no-auth-required", "--host", "127.0.0.1", "--port", "0", "--data", folder(t)]);
  t.after(() => program.stop());
  await program.listening();
  assert.equal((await fetch(`${program.url}/`)).status, 404);
  const socket = io(`${program.url}/demo`, { reconnection: false, forceNew: true });
  assert.equal((await once(socket, "connect_error"))[0].message, "Invalid namespace");
  socket.disconnect();
});

test("the demo checks what it is told", async (t) => {
  const daemon = await startDaemon(t, folder(t), ["--workers", "2"]);
  const { socket, entered } = enter(daemon.url, "Ada");
  assert.equal((await entered).ok, true);
  const ask = (event, data) => socket.timeout(15_000).emitWithAck(event, data);
  for (const wrong of [undefined, null, 1, "x", [], {}, { text: "" }, { text: "  " }, { text: 5 }, { text: "x".repeat(4001) }, { text: "a \u0000" }])
    assert.equal((await ask("message", wrong)).ok, false, JSON.stringify(wrong));
  for (const wrong of [undefined, {}, { name: "" }, { name: "x".repeat(100) }, { name: ["Ada"] }])
    assert.equal((await ask("enter", wrong)).ok, false, JSON.stringify(wrong));
  const stranger = io(`${daemon.url}/demo`, { reconnection: false, forceNew: true });
  assert.equal((await stranger.timeout(15_000).emitWithAck("message", { text: "hi" })).ok, false);
  const said = once(socket, "message");
  assert.equal((await ask("message", { text: '"quoted" \\ 😀 \u0007' })).ok, true);
  const [message] = await said;
  assert.equal(message.name, "Ada");
  assert.equal(message.text, '"quoted" \\ 😀 \u0007');
  stranger.disconnect();
  socket.disconnect();
});

test("SIGTERM and SIGINT tell every client and end in order", async (t) => {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    const program = new Program(daemonFile, ["--dev", "--port", "0", "--workers", "2", "--data", folder(t)]);
    t.after(() => program.signal("SIGKILL"));
    await program.listening();
    const clients = [["websocket"], ["polling"], ["polling", "websocket"]].map((transports, i) =>
      enter(program.url, `client ${i}`, { transports }),
    );
    for (const { entered } of clients) assert.equal((await entered).ok, true);
    const lost = clients.map(({ socket }) => once(socket, "disconnect"));
    program.signal(signal);
    for (const [reason] of await Promise.all(lost)) assert.equal(reason, "transport close");
    assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.output);
  }
});

test("a second signal does not wait for those who hold the stop up", async (t) => {
  const program = new Program(daemonFile, ["--dev", "--port", "0", "--workers", "2", "--data", folder(t)]);
  t.after(() => program.signal("SIGKILL"));
  await program.listening();
  const session = await Polling.open(program.url, "/socket.io/");
  const slow = await Tcp.connect(program.port); // a body that never ends, so that its session's connection stays
  await slow.write(`POST /socket.io/?EIO=4&transport=polling&sid=${session.sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n4`);
  const { socket, entered } = enter(program.url, "witness");
  assert.equal((await entered).ok, true);
  const lost = once(socket, "disconnect");
  program.signal("SIGTERM");
  await lost; // the stop has begun
  program.signal("SIGTERM");
  assert.deepEqual(await program.exit(), { code: 0, signal: null }, program.output);
  slow.destroy();
});

test("serves TLS, and TLS only", async (t) => {
  const dir = folder(t);
  const key = join(dir, "key.pem");
  const cert = join(dir, "cert.pem");
  execFileSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(" "),
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert,
  ], { stdio: "ignore" });
  const daemon = await startDaemon(t, join(dir, "data"), ["--workers", "2", "--tls-cert", cert, "--tls-key", key]);
  const ca = readFileSync(cert);
  const url = `https://127.0.0.1:${daemon.port}`;

  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    const { socket, entered } = enter(url, transports.join(" "), { transports, ca });
    assert.equal((await entered).ok, true);
    const large = "x".repeat(3900);
    const heard = once(socket, "message");
    assert.equal((await socket.timeout(15_000).emitWithAck("message", { text: large })).ok, true);
    assert.equal((await heard)[0].text, large);
    socket.disconnect();
  }

  const bundle = await new Promise((resolve, reject) => {
    const agent = new Agent({ ca });
    request(`${url}/socket.io/socket.io.js`, { agent }, (response) => {
      let size = 0;
      response.on("data", (data) => (size += data.length));
      response.on("end", () => resolve({ status: response.statusCode, size }));
    }).on("error", reject).end();
  });
  assert.equal(bundle.status, 200);
  assert.ok(bundle.size > 100_000); // larger than any buffer: written in pieces

  const old = connectTls({ port: daemon.port, host: "127.0.0.1", ca, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
  await once(old, "error");
  const plain = await Tcp.connect(daemon.port);
  await plain.write("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.doesNotMatch(await plain.end(), /HTTP/);
  const half = await Tcp.connect(daemon.port); // dies in the TLS handshake
  await half.write(Buffer.from("160301020001000", "hex"));
  half.reset();
  const { socket, entered } = enter(url, "afterwards", { ca });
  assert.equal((await entered).ok, true);
  socket.disconnect();
});

test("compresses WebSocket messages when told to", async (t) => {
  for (const args of [[], ["--compression"]]) {
    const daemon = await startDaemon(t, folder(t), args);
    const ws = new WebSocket(`${daemon.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    t.after(() => ws.terminate());
    await once(ws, "open");
    assert.equal(ws.extensions, args.length > 0 ? "permessage-deflate" : "");
  }
});
