// docs/deployment.md: the recipes of packaging/ for nginx and HAProxy, started for real in front of convened, and convened's own TLS. Only
// ports, names and paths of a recipe are replaced.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { block, sha256, startApplication } from "./support/application.mjs";
import { once, startDaemon, within } from "./support/server.mjs";

const packaging = join(dirname(fileURLToPath(import.meta.url)), "../../packaging");
const programs = { nginx: "/usr/sbin/nginx", haproxy: "/usr/sbin/haproxy" };

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "convene-deployment-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A recipe with places in it replaced; each must be there. */
function recipe(name, places) {
  let text = readFileSync(join(packaging, name), "utf8");
  for (const [from, to] of places) {
    assert.ok(text.includes(from), `${name} has no "${from}"`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Resolves when somebody listens. */
async function reachable(port, child, output) {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${output()}`);
    const done = await new Promise((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => socket.end(() => resolve(true)));
      socket.on("error", () => setTimeout(resolve, 20, false));
    });
    if (done) return;
  }
}

function run(t, file, args) {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const exited = new Promise((resolve) => child.on("exit", resolve));
  t.after(async () => {
    child.kill("SIGTERM");
    await within(exited, `${file} to end`).catch(() => child.kill("SIGKILL"));
  });
  return { child, output: () => output };
}

const front = {
  async nginx(t, path, certificate, port) {
    const [plain, tls] = [await freePort(), await freePort()];
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${path}/${kind};`).join(" ");
    const text = recipe("nginx.conf", [
      ["server 127.0.0.1:3000;", `server 127.0.0.1:${port};`],
      ["listen 80;", `listen 127.0.0.1:${plain};`],
      ["listen [::]:80;", ""],
      ["listen 443 ssl http2;", `listen 127.0.0.1:${tls} ssl http2;`],
      ["listen [::]:443 ssl http2;", ""],
      ["server_name app.example;", "server_name localhost;"],
      ["/etc/ssl/convened/fullchain.pem", certificate.cert],
      ["/etc/ssl/convened/privkey.pem", certificate.key],
    ]);
    writeFileSync(join(path, "nginx.conf"), `${process.getuid() === 0 ? "user root;" : ""} daemon off; worker_processes 1; pid ${path}/nginx.pid;
      error_log stderr warn; events { worker_connections 512; } http { access_log off; ${temporary}\n${text}\n}\n`);
    const args = ["-p", path, "-e", "stderr", "-c", join(path, "nginx.conf")];
    execFileSync(programs.nginx, [...args, "-t"], { stdio: "pipe" });
    const running = run(t, programs.nginx, args);
    await within(reachable(tls, running.child, running.output), "nginx");
    return { plain, tls };
  },
  async haproxy(t, path, certificate, port) {
    const [plain, tls] = [await freePort(), await freePort()];
    writeFileSync(join(path, "both.pem"), readFileSync(certificate.cert) + readFileSync(certificate.key));
    const text = recipe("haproxy.cfg", [
      ["server convened 127.0.0.1:3000 check", `server convened 127.0.0.1:${port} check`],
      ["bind :80", `bind 127.0.0.1:${plain}`],
      ["bind :443 ssl crt /etc/ssl/convened/haproxy.pem", `bind 127.0.0.1:${tls} ssl crt ${path}/both.pem`],
      ["maxconn 40000", "maxconn 500"],
    ]);
    writeFileSync(join(path, "haproxy.cfg"), text);
    execFileSync(programs.haproxy, ["-c", "-f", join(path, "haproxy.cfg")], { stdio: "pipe" });
    const running = run(t, programs.haproxy, ["-db", "-f", join(path, "haproxy.cfg")]);
    await within(reachable(tls, running.child, running.output), "HAProxy");
    return { plain, tls };
  },
};

function certificates(path) {
  const certificate = { key: join(path, "key.pem"), cert: join(path, "cert.pem") };
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", certificate.key, "-out", certificate.cert, "-days", "1", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    { stdio: "ignore" },
  );
  certificate.ca = readFileSync(certificate.cert);
  return certificate;
}

function get(port, ca, path, options = {}, body) {
  const answered = new Promise((resolve, reject) => {
    const request = https.request({ hostname: "127.0.0.1", port, path, ca, agent: false, ...options }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, bytes: Buffer.concat(pieces) }));
    });
    request.on("error", reject);
    request.end(body);
  });
  return within(answered, `an answer to ${path}`);
}

const json = async (...args) => JSON.parse((await get(...args)).bytes);

/** A Socket.IO client that joins the demo and hears an answer to an event; resolves to it. */
async function join_(port, ca, transports, name, options = {}) {
  const socket = io(`https://127.0.0.1:${port}/demo`, { ca, transports, reconnection: false, forceNew: true, ...options });
  await within(
    new Promise((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("connect_error", (error) => reject(new Error(`${transports}: ${error.message} ${error.description ?? ""}`)));
    }),
    "a client to connect",
  );
  assert.ok(await socket.timeout(15_000).emitWithAck("enter", { name }));
  return socket;
}

/** What must work through any proxy. */
async function checks(t, name, { plain, tls }, ca, server) {
  const at = (title, fn) => t.test(`${name}: ${title}`, fn);
  const origin = `https://127.0.0.1:${tls}`;

  await at("long polling", async () => {
    const socket = await join_(tls, ca, ["polling"], "polling");
    assert.equal(socket.io.engine.transport.name, "polling");
    socket.disconnect();
  });
  await at("WebSocket", async () => {
    const socket = await join_(tls, ca, ["websocket"], "websocket");
    assert.equal(socket.io.engine.transport.name, "websocket");
    socket.disconnect();
  });
  await at("the upgrade", async () => {
    const socket = await join_(tls, ca, ["polling", "websocket"], "upgrade");
    if (socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
    assert.ok(await socket.timeout(15_000).emitWithAck("enter", { name: "again" }));
    socket.disconnect();
  });
  await at("pages of its own origin may connect, others not", async () => {
    for (const transports of [["polling"], ["websocket"]]) {
      const socket = await join_(tls, ca, transports, "origin", { extraHeaders: { Origin: origin } });
      socket.disconnect();
      await assert.rejects(join_(tls, ca, transports, "stranger", { extraHeaders: { Origin: "https://evil.example" } }));
    }
  });
  await at("who asks", async () => {
    const { headers } = await json(tls, ca, "/headers", {
      localAddress: "127.0.0.2",
      headers: { "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil.example", Forwarded: "for=6.6.6.6" },
    });
    assert.equal(headers["x-forwarded-for"], server === undefined ? "127.0.0.2" : "127.0.0.2, 127.0.0.1");
    assert.equal(headers["x-forwarded-proto"], "https");
    assert.equal(headers["x-forwarded-host"], `127.0.0.1:${tls}`);
    assert.equal(headers.host, `127.0.0.1:${tls}`);
    assert.equal(headers.forwarded, undefined);
    assert.match(headers["x-request-id"], /^[A-Za-z0-9._-]{8,64}$/);
    const seen = await json(tls, ca, "/trusting", { localAddress: "127.0.0.2" });
    assert.equal(seen.protocol, "https");
  });
  await at("the application's WebSocket, uploads and downloads", async () => {
    const body = Buffer.concat(Array.from({ length: 40 }, (_, i) => block(i)));
    const echoed = await get(tls, ca, "/echo", { method: "POST" }, body);
    assert.equal(sha256(echoed.bytes), sha256(body));
    assert.equal((await get(tls, ca, "/download/50")).bytes.length, 50 * 65536);
    const socket = new WebSocket(`wss://127.0.0.1:${tls}/ws/echo`, { ca });
    await once(socket, "open");
    socket.send(body);
    assert.equal(sha256((await once(socket, "message"))[0]), sha256(body));
    socket.close();
    await once(socket, "close");
  });
  await at("events come one by one", async () => {
    const request = https.get({ hostname: "127.0.0.1", port: tls, path: "/events", ca, agent: false });
    request.on("error", () => {});
    const [answer] = await once(request, "response");
    answer.setEncoding("utf8");
    answer.on("error", () => {});
    let text = "";
    for (let i = 0; i < 3; i++) {
      const piece = once(answer, "data");
      if (i > 0) await get(tls, ca, `/push/event-${i}`, { method: "POST" });
      text += (await piece)[0];
    }
    assert.match(text, /^retry: 1000\n\ndata: event-1\n\ndata: event-2\n\n$/);
    request.destroy();
  });
  if (plain === undefined) return;
  await at("HTTP/2", async () => {
    const session = http2.connect(`https://127.0.0.1:${tls}`, { ca });
    const stream = session.request({ ":path": "/headers" });
    let text = "";
    stream.on("data", (piece) => (text += piece));
    const [headers] = await once(stream, "response");
    await once(stream, "end");
    assert.equal(headers[":status"], 200);
    assert.equal(JSON.parse(text).headers.host, `127.0.0.1:${tls}`);
    session.close();
  });
  await at("plain HTTP leads to TLS", async () => {
    const request = http.get({ hostname: "127.0.0.1", port: plain, path: "/a?b", agent: false, headers: { Host: "localhost" } });
    const [answer] = await once(request, "response");
    answer.resume();
    assert.equal(answer.statusCode, 308);
    assert.equal(answer.headers.location, "https://localhost/a?b");
  });
}

/** A poll that nothing answers but the server's ping, after its default interval: 25 seconds. */
async function holdPoll(port, ca) {
  const base = "/socket.io/?EIO=4&transport=polling";
  const { sid, pingInterval } = JSON.parse((await get(port, ca, base)).bytes.toString().slice(1));
  assert.equal(pingInterval, 25_000);
  const request = https.get({ hostname: "127.0.0.1", port, path: `${base}&sid=${sid}`, ca, agent: false });
  const [answer] = await once(request, "response", 60_000);
  answer.setEncoding("utf8");
  const [text] = await once(answer, "data");
  return [answer.statusCode, text];
}

test("behind nginx and HAProxy, and alone", async (t) => {
  for (const [name, file] of Object.entries(programs)) if (!existsSync(file)) throw new Error(`${name} is missing: tools/bootstrap test`);
  const path = folder(t);
  const certificate = certificates(path);
  const app = await startApplication(t, { trust: "loopback" });
  const server = await startDaemon(t, join(path, "data"), ["--upstream-url", app.url, "--server-trusted-proxies", "127.0.0.1"]);
  const alone = await startDaemon(t, join(path, "alone"), ["--upstream-url", app.url, "--tls-cert", certificate.cert, "--tls-key", certificate.key]);
  const ports = { alone: { tls: alone.port } };
  for (const name of ["nginx", "haproxy"]) {
    mkdirSync(join(path, name));
    ports[name] = await front[name](t, join(path, name), certificate, server.port);
  }
  const held = Object.values(ports).map(({ tls }) => holdPoll(tls, certificate.ca));
  for (const name of ["nginx", "haproxy"]) await checks(t, name, ports[name], certificate.ca, server);
  await checks(t, "alone", ports.alone, certificate.ca);
  await t.test("long polls are kept for as long as they last", async () => {
    for (const [status, text] of await Promise.all(held)) assert.deepEqual([status, text], [200, "2"]);
  });
});

test("limits are the client's, when the proxy is believed", async (t) => {
  const path = folder(t);
  const certificate = certificates(path);
  const handshake = (tls, localAddress) => get(tls, certificate.ca, "/socket.io/?EIO=4&transport=polling", { localAddress }).then(({ status }) => status);
  const strict = ["--limits-connections-per-ip", "2/h", "--server-drain-time", "0s"];
  const [believing, doubting] = [
    await startDaemon(t, join(path, "believing"), [...strict, "--server-trusted-proxies", "127.0.0.1"]),
    await startDaemon(t, join(path, "doubting"), strict),
  ];
  const seen = {};
  for (const [name, server] of Object.entries({ believing, doubting })) {
    mkdirSync(join(path, `${name}-nginx`));
    const { tls } = await front.nginx(t, join(path, `${name}-nginx`), certificate, server.port);
    let count = 0;
    while (count < 10 && (await handshake(tls, "127.0.0.2")) === 200) count++;
    assert.ok(count > 0 && count < 10);
    seen[name] = await handshake(tls, "127.0.0.3"); // somebody else
  }
  assert.deepEqual(seen, { believing: 200, doubting: 429 });
});

test("timeouts of the recipes outlast the server's silence", () => {
  const longest = 25 + 20; // server.ping_interval and server.ping_timeout
  for (const [name, pattern, count] of [
    ["nginx.conf", /proxy_(?:read|send)_timeout (\d+)s;/g, 2],
    ["haproxy.cfg", /timeout (?:client|server|tunnel) +(\d+)s/g, 3],
  ]) {
    const found = [...readFileSync(join(packaging, name), "utf8").matchAll(pattern)];
    assert.equal(found.length, count, name);
    for (const [words, seconds] of found) assert.ok(Number(seconds) > longest + 10, words);
  }
});
