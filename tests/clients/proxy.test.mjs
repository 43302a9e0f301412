// The reverse proxy: a real Express application behind convened. Its own tests are run directly and through convened and must observe the
// same; then what only a proxy does: forwarding fields, failures of either side, back pressure, Socket.IO beside it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { block, sha256, startApplication } from "./support/application.mjs";
import { ask, suite } from "./support/application-suite.mjs";
import { Tcp } from "./support/raw.mjs";
import { daemonFile, once, Program, startDaemon, within } from "./support/server.mjs";

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "convene-proxy-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** convened in front of `upstream`. */
async function startProxy(t, upstream, args = []) {
  const program = new Program(daemonFile, [
    "--no-auth-required", "--host", "127.0.0.1", "--port", "0", "--workers", "2", "--data", folder(t), "--upstream-url", upstream, ...args,
  ]);
  t.after(() => program.stop());
  return program.listening();
}

const both = async (t, args, options) => {
  const app = await startApplication(t, options);
  return { app, server: await startProxy(t, app.url, args) };
};

const error = (answer) => JSON.parse(answer.body).error;

/** A port that nobody listens on. */
async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// What an answer says of its own address differs, and nothing else.
const anywhere = (value, url) => JSON.parse(JSON.stringify(value).replaceAll(new URL(url).host, "HERE"));

test("the application's own tests", async (t) => {
  const { app, server } = await both(t);
  for (const [name, observe] of Object.entries(suite))
    await t.test(name, async () => {
      const direct = anywhere(await observe(app.url), app.url);
      const through = anywhere(await observe(server.url), server.url);
      assert.deepEqual(through, direct);
    });
});

test("the same under TLS", async (t) => {
  const path = folder(t);
  const [key, cert] = [join(path, "key.pem"), join(path, "cert.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=localhost"], {
    stdio: "ignore",
  });
  const { app, server } = await both(t, ["--tls-cert", cert, "--tls-key", key]);
  const options = { hostname: "127.0.0.1", port: server.port, ca: readFileSync(cert), servername: "localhost", agent: false };
  const get = (path, more = {}, body) =>
    within(
      new Promise((resolve, reject) => {
        const request = https.request({ ...options, path, ...more }, (answer) => {
          const pieces = [];
          answer.on("data", (piece) => pieces.push(piece));
          answer.on("end", () => resolve({ status: answer.statusCode, bytes: Buffer.concat(pieces) }));
        });
        request.on("error", reject);
        request.end(body);
      }),
      path,
    );
  assert.equal(JSON.parse((await get("/headers")).bytes).headers["x-forwarded-proto"], "https");
  const body = Buffer.concat(Array.from({ length: 50 }, (_, i) => block(i)));
  const echoed = await get("/echo", { method: "POST" }, body);
  assert.equal(sha256(echoed.bytes), sha256(body));
  assert.equal((await get("/download/80")).bytes.length, 80 * 65536);
  const socket = new WebSocket(`wss://localhost:${server.port}/ws/echo`, { ca: readFileSync(cert), lookup: (_h, { all }, done) => (all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)) });
  await once(socket, "open");
  socket.send(body);
  const [message] = await once(socket, "message");
  assert.equal(sha256(message), sha256(body));
  socket.close();
  await once(socket, "close");
  await app.told("ws");
});

// --- What the application is told ---

test("the application learns who asks, and clients cannot make it up", async (t) => {
  const { server } = await both(t, [], { trust: "loopback" });
  const { headers, version } = JSON.parse(
    (
      await ask(`${server.url}/headers`, {
        headers: {
          "X-Forwarded-For": "6.6.6.6", X_Forwarded_For: "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example",
          Forwarded: "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "X-Request-ID": "abc-1", "X-Own": "kept", Connection: "keep-alive, X-Gone", "X-Gone": "1",
          TE: "trailers", "Proxy-Authorization": "Basic x",
        },
      })
    ).body,
  );
  assert.equal(version, "1.1");
  assert.equal(headers.host, new URL(server.url).host);
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(headers["x-forwarded-proto"], "http");
  assert.equal(headers["x-forwarded-host"], new URL(server.url).host);
  assert.equal(headers["x-request-id"], "abc-1");
  assert.equal(headers["x-own"], "kept");
  assert.match(headers.via, /^1\.1 convened-[0-9a-f]{8}$/);
  for (const name of ["x_forwarded_for", "forwarded", "x-real-ip", "x-gone", "te", "proxy-authorization", "expect", "transfer-encoding"])
    assert.equal(headers[name], undefined, name);
  const made = JSON.parse((await ask(`${server.url}/headers`)).body).headers;
  assert.match(made["x-request-id"], /^[A-Za-z0-9._-]{8,}$/);
  assert.equal(made.accept, undefined); // nothing is added that the client did not say
  assert.equal(made["user-agent"], undefined);
  assert.equal(made["content-length"], undefined);
});

test("a listed proxy in front is believed", async (t) => {
  const { server } = await both(t, ["--server-trusted-proxies", "127.0.0.0/8"], { trust: "loopback" });
  const said = { "X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example", Forwarded: "for=203.0.113.9" };
  const { headers } = JSON.parse((await ask(`${server.url}/headers`, { headers: said })).body);
  assert.equal(headers["x-forwarded-for"], "6.6.6.6, 203.0.113.9, 127.0.0.1");
  assert.equal(headers["x-forwarded-proto"], "https");
  assert.equal(headers["x-forwarded-host"], "app.example");
  assert.equal(headers.forwarded, "for=203.0.113.9, for=127.0.0.1;proto=http");
  const seen = JSON.parse((await ask(`${server.url}/trusting`, { headers: said })).body);
  assert.deepEqual([seen.ip, seen.protocol, seen.hostname], ["203.0.113.9", "https", "app.example"]);
});

test("an upstream below a path", async (t) => {
  const app = await startApplication(t);
  const server = await startProxy(t, `${app.url}/json/`);
  const seen = JSON.parse((await ask(`${server.url}/a?b=c`)).body);
  assert.equal(seen.url, "/json/a?b=c");
});

test("HTTP/1.0, and requests behind each other", async (t) => {
  const { server } = await both(t);
  const old = await Tcp.connect(server.port);
  await old.write("GET /download/2 HTTP/1.0\r\n\r\n");
  const answer = await old.end();
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.doesNotMatch(answer, /transfer-encoding/i);
  assert.equal(answer.length - answer.indexOf("\r\n\r\n") - 4, 2 * 65536);

  const piped = await Tcp.connect(server.port);
  await piped.write(
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n" +
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo" +
      "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );
  const all = await piped.end();
  assert.match(all, /one\r\n0\r\n\r\nHTTP[^]*two\r\n0\r\n\r\nHTTP\/1\.1 204[^]*Connection: close\r\n\r\n$/);
});

test("what could be read in two ways does not reach the application", async (t) => {
  const { app, server } = await both(t);
  for (const head of [
    "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
    "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "GET /json/x HTTP/1.1\r\nHost: a\r\nX: a\n b\r\n\r\n",
    "HEAD /json/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
  ]) {
    const tcp = await Tcp.connect(server.port);
    await tcp.write(head);
    assert.match(await tcp.until(/\r\n\r\n/), /^HTTP\/1\.1 400 /, head);
    tcp.destroy();
  }
  assert.equal(app.connections, 0);
});

// --- The application fails ---

test("an application that is down, and comes up", async (t) => {
  const port = await freePort();
  const server = await startProxy(t, `http://127.0.0.1:${port}`);
  for (const method of ["GET", "POST"]) {
    const answer = await ask(`${server.url}/page`, { method, body: method === "POST" ? "body" : undefined });
    assert.equal(answer.status, 502);
    assert.equal(answer.fields["content-type"], "application/json");
    assert.equal(answer.fields["retry-after"], "1");
    assert.equal(error(answer).code, "UNAVAILABLE");
    assert.match(error(answer).message, /cannot be reached/);
  }
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/echo`);
  const [failure] = await once(socket, "error");
  assert.match(failure.message, /502/);
  assert.match(server.output, /the application has failed a request/);
  const app = await startApplication(null, { port });
  assert.equal((await ask(`${server.url}/none`)).status, 204);
  await app.stop(); // with a connection that is kept
  assert.equal((await ask(`${server.url}/none`)).status, 502);
  const again = await startApplication(t, { port });
  assert.equal((await ask(`${server.url}/none`)).status, 204);
  assert.ok(again.connections >= 1);
});

test("an application that makes no sense, or breaks off", async (t) => {
  const { server } = await both(t);
  for (const path of ["/rubbish", "/folded", "/lengths", "/cut/before"]) {
    const answer = await ask(server.url + path);
    assert.equal(answer.status, 502, path);
    assert.equal(error(answer).code, "UNAVAILABLE");
  }
  // Nobody may take a part for the whole.
  for (const path of ["/cut/sized", "/cut/chunked"])
    await assert.rejects(ask(server.url + path), /aborted|ECONNRESET|socket hang up/, path);
  assert.equal((await ask(`${server.url}/none`)).status, 204);
});

test("an application that is silent", async (t) => {
  const { app, server } = await both(t, ["--upstream-idle-timeout", "300ms"]);
  const answer = await ask(`${server.url}/silent`);
  assert.equal(answer.status, 504);
  assert.match(error(answer).message, /in time/);
  await app.told("silent");
  await assert.rejects(ask(`${server.url}/events`), /aborted|ECONNRESET|socket hang up/);
  await app.told("events");
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/echo`);
  await once(socket, "open");
  assert.equal((await once(socket, "close"))[0], 1006);
  await app.told("ws");
});

test("more requests than the application shall have", async (t) => {
  const { app, server } = await both(t, ["--upstream-max-connections", "2"]);
  const held = [ask(`${server.url}/held`), ask(`${server.url}/held`)];
  await within(Promise.all([app.told("held"), app.told("held")]));
  const answer = await ask(`${server.url}/none`);
  assert.equal(answer.status, 503);
  assert.match(error(answer).message, /too many/);
  assert.equal(error(answer).retry_after_ms, 1000);
  for (const response of app.held) response.end("done");
  for (const one of await Promise.all(held)) assert.equal(one.body, "done");
  assert.equal((await ask(`${server.url}/none`)).status, 204);
});

test("bodies that are too large", async (t) => {
  const { server } = await both(t, ["--upstream-max-body", "100000"]);
  const told = await ask(`${server.url}/upload`, { method: "POST", headers: { "Content-Length": 200_000 }, body: "x".repeat(200_000) }).catch(() => null);
  if (told) assert.equal(told.status, 413);
  const tcp = await Tcp.connect(server.port);
  await tcp.write(`POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`);
  for (let i = 0; i < 11; i++) await tcp.write(`2710\r\n${"y".repeat(10000)}\r\n`);
  assert.match(await tcp.until(/too large/), /^HTTP\/1\.1 413 /);
  tcp.destroy();
  assert.equal((await ask(`${server.url}/upload`, { method: "POST", body: "z".repeat(99_999) })).status, 200);
});

test("an upstream under TLS whose certificate nobody vouches for", async (t) => {
  const path = folder(t);
  const [key, cert] = [join(path, "key.pem"), join(path, "cert.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=localhost"], {
    stdio: "ignore",
  });
  let asked = 0;
  const app = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
    asked++;
    response.end("secret");
  });
  await new Promise((resolve) => app.listen(0, "127.0.0.1", resolve));
  t.after(() => app.close());
  const server = await startProxy(t, `https://127.0.0.1:${app.address().port}`);
  assert.equal((await ask(`${server.url}/`)).status, 502);
  assert.equal(asked, 0);
  assert.match(server.output, /certificate|SSL/);
});

test("an upstream that is the server itself", async (t) => {
  const port = await freePort();
  const server = await startProxy(t, `http://127.0.0.1:${port}`, ["--port", String(port)]);
  assert.equal((await ask(`${server.url}/x`)).status, 508);
});

// --- The client fails ---

test("a client that leaves, anywhere", async (t) => {
  const { app, server } = await both(t);
  const held = http.get(`${server.url}/silent`, { agent: false });
  held.on("error", () => {});
  await once(held, "socket");
  const listening = http.get(`${server.url}/events`, { agent: false });
  listening.on("error", () => {});
  const [stream] = await once(listening, "response");
  stream.on("error", () => {});
  await once(stream, "data");
  listening.destroy();
  await app.told("events");
  held.destroy();
  const upload = await Tcp.connect(server.port);
  await upload.write("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart");
  while (app.unread === undefined) await new Promise((resolve) => setImmediate(resolve));
  upload.reset();
  await app.told("unread");
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/echo`);
  await once(socket, "open");
  socket.terminate();
  await app.told("ws");
  assert.equal((await ask(`${server.url}/none`)).status, 204);
});

/** Much work for the server beside what is looked at: whoever were not held up would have got far meanwhile. */
async function meanwhile(server) {
  for (let i = 0; i < 15; i++) assert.match((await ask(`${server.url}/download/100`)).body, /^6553600 /);
}

// Kernels hold some megabytes on each of the two connections; we hold less than one.
const MOST = 24 * 2 ** 20;

test("a client that does not read holds up the application, not our memory", async (t) => {
  const { app, server } = await both(t);
  const slow = net.connect(server.port, "127.0.0.1");
  slow.pause();
  slow.write("GET /download/2000?sized&counted HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  while (app.written === 0) await new Promise((resolve) => setImmediate(resolve));
  await meanwhile(server);
  assert.ok(app.written < MOST);
  let size = 0;
  slow.on("data", (piece) => (size += piece.length));
  const ended = once(slow, "end");
  slow.resume();
  await ended;
  assert.ok(size > 2000 * 65536);

  app.written = 0;
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/echo`);
  await once(socket, "open");
  socket.send("flood");
  await once(socket, "message");
  socket.pause();
  await meanwhile(server);
  assert.ok(app.written < MOST);
  socket.terminate();
  await app.told("ws");
});

test("an application that does not read holds up the client, not our memory", async (t) => {
  const { server } = await both(t);
  const upload = http.request(`${server.url}/unread`, { method: "POST", agent: false });
  upload.on("error", () => {});
  let sent = 0;
  const piece = block(0);
  const more = () => {
    while (sent < 400 * 2 ** 20) {
      sent += piece.length;
      if (!upload.write(piece)) return upload.once("drain", more);
    }
  };
  more();
  await meanwhile(server);
  assert.ok(sent < MOST);
  upload.destroy();
});

// --- Beside it ---

test("Socket.IO is none of the application's business", async (t) => {
  const app = await startApplication(t);
  const server = await startDaemon(t, folder(t), ["--upstream-url", app.url]);
  assert.equal((await ask(`${server.url}/none`)).status, 204);
  assert.equal((await ask(`${server.url}/health`)).status, 200);
  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    const socket = io(`${server.url}/demo`, { transports, reconnection: false, forceNew: true });
    const entered = await within(socket.timeout(15_000).emitWithAck("enter", { name: `n${transports.length}${transports[0]}` }));
    assert.ok(entered);
    if (transports.length === 2 && socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
    const download = ask(`${server.url}/download/50`);
    assert.match((await download).body, /^3276800 /);
    socket.disconnect();
  }
});

test("raw bytes of any protocol", async (t) => {
  const { server } = await both(t);
  const tcp = await Tcp.connect(server.port);
  await tcp.write("GET /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nearly ");
  await tcp.until(/hello/);
  await tcp.write("late");
  const all = await tcp.until(/early late$/);
  assert.match(all, /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-Raw: yes\r\n\r\nhelloearly late$/);
  tcp.destroy();
  // Nobody changes over to an HTTP in which we see nothing.
  const h2c = await Tcp.connect(server.port);
  await h2c.write("GET /headers HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n");
  const plain = await h2c.end();
  assert.match(plain, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(plain, /h2c|http2-settings/i);
  // An answer that is no change of protocol ends the matter: nothing behind it passes unseen.
  const refused = await Tcp.connect(server.port);
  await refused.write("GET /json/up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  assert.match(await refused.end(), /^HTTP\/1\.1 (200|401)[^]*HTTP\/1\.1 204 No Content\r\n[^]*Connection: close\r\n\r\n$/);
});

test("an end in the midst of it", async (t) => {
  const { app, server } = await both(t);
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/echo`);
  await once(socket, "open");
  const held = ask(`${server.url}/held`);
  await app.told("held");
  const closed = once(socket, "close");
  server.signal("SIGTERM");
  app.held[0].end("after all");
  assert.deepEqual(await server.exit(), { code: 0, signal: null });
  await closed;
  assert.equal((await held).body, "after all"); // what is owed is waited for
});
