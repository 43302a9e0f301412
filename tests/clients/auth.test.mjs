// Tokens at the daemon's door and on open sockets, as clients and issuers meet them: real socket.io-client, tokens and key sets by the npm
// package jose, a real key server that rotates, fails and is counted.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as jose from "jose";
import { io } from "socket.io-client";
import { exchange } from "./support/raw.mjs";
import { daemonFile, once, Program, within } from "./support/server.mjs";

const SECRET = "a shared secret of more than thirty-two bytes";
const now = () => Math.floor(Date.now() / 1000);

/** Starts the daemon outside of the development mode; `settings`: names of the configuration and their values. */
async function start(t, settings = {}) {
  const data = mkdtempSync(join(tmpdir(), "convene-auth-"));
  t.after(() => rmSync(data, { recursive: true, force: true }));
  const env = { ...process.env };
  const all = { "limits.connections_per_ip": "off", "auth.leeway": "0s", ...settings };
  for (const [name, value] of Object.entries(all)) env[`CONVENE_${name.toUpperCase().replace(".", "_")}`] = value;
  const program = new Program(daemonFile, ["--host", "127.0.0.1", "--port", "0", "--workers", "2", "--data", data], { env });
  t.after(() => program.stop());
  return program.listening();
}

const sign = (claims, { secret = SECRET, alg = "HS256", header = {}, key } = {}) =>
  new jose.SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(key ?? new TextEncoder().encode(secret));

const student = (more = {}) => ({ sub: "alice", role: "STUDENT", iat: now(), exp: now() + 3600, ...more });

const open = (t, daemon, options) => {
  const socket = io(daemon.url, { reconnection: false, forceNew: true, transports: ["websocket"], ...options });
  t.after(() => socket.close());
  return socket;
};

/** Resolves to the socket when it was let in. */
async function enter(t, daemon, token, options) {
  const socket = open(t, daemon, { auth: { token }, ...options });
  await within(
    new Promise((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("connect_error", (error) => reject(new Error(`${error.message} ${JSON.stringify(error.data)}`)));
    }),
    "a connection",
  );
  return socket;
}

/** Resolves to the code with which it was refused. */
async function refusal(t, daemon, options) {
  const socket = open(t, daemon, options);
  socket.on("connect", () => socket.emit("error", "it was let in"));
  const [error] = await once(socket, "connect_error");
  assert.equal(typeof error.message, "string");
  assert.equal(typeof error.data?.retryable, "boolean", JSON.stringify(error.data));
  socket.close();
  return error.data;
}

const refused = async (t, daemon, token, code, retryable = false) =>
  assert.deepEqual(await refusal(t, daemon, { auth: { token } }), { code, retryable }, String(token).slice(0, 60));

// --- At the door ---

test("lets in who has a good token, on both transports", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET });
  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    const socket = await enter(t, daemon, await sign(student()), { transports });
    assert.ok(socket.connected);
  }
});

test("every refusal has its code", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET, "auth.issuer": "https://us.example", "auth.audience": "convene" });
  const right = { iss: "https://us.example", aud: "convene" };
  assert.deepEqual(await refusal(t, daemon, {}), { code: "AUTH_REQUIRED", retryable: false });
  await refused(t, daemon, "", "AUTH_REQUIRED");
  await refused(t, daemon, null, "AUTH_REQUIRED");
  await enter(t, daemon, await sign(student(right)));
  await refused(t, daemon, await sign(student({ ...right, exp: now() - 10 })), "AUTH_EXPIRED");
  await refused(t, daemon, await sign(student({ ...right, role: "anon" })), "FORBIDDEN");
  const unsigned = new jose.UnsecuredJWT(student(right)).encode();
  for (const token of [
    "nonsense",
    7,
    { a: 1 },
    "x".repeat(100_000),
    unsigned,
    unsigned.replace(/\.$/, ".AA"),
    (await sign(student(right))).replace(/.$/, "!"),
    await sign(student(right), { secret: "another secret of more than thirty-two bytes" }),
    await sign(student({ ...right, nbf: now() + 1000 })),
    await sign(student({ ...right, iat: now() + 1000 })),
    await sign(student({ ...right, exp: (now() + 3600) * 1000 })),
    await sign(student({ ...right, iss: "https://them.example" })),
    await sign(student({ ...right, aud: ["others"] })),
    await sign(student({ ...right, sub: undefined })),
    await sign(student({ ...right, sub: "a".repeat(129) })),
    await sign(student({ ...right, role: { admin: true } })),
    await sign(student(right), { header: { crit: ["exp"], exp: 1 } }).catch(() => "crit"),
  ])
    await refused(t, daemon, token, "AUTH_INVALID");
});

test("takes tokens of every algorithm by PEM keys, and none that confuses them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "convene-keys-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const files = [], pairs = [];
  for (const [name, algorithms] of [["rsa", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]], ["p256", ["ES256"]], ["p384", ["ES384"]], ["p521", ["ES512"]]]) {
    const pair = await jose.generateKeyPair(algorithms[0], { extractable: true });
    const pem = await jose.exportSPKI(pair.publicKey);
    files.push(join(folder, `${name}.pem`));
    writeFileSync(files.at(-1), pem);
    pairs.push({ algorithms, pem, pkcs8: await jose.exportPKCS8(pair.privateKey) });
  }
  const daemon = await start(t, { "auth.key_files": files.join(",") });
  for (const { algorithms, pem, pkcs8 } of pairs) {
    for (const alg of algorithms) await enter(t, daemon, await sign(student(), { alg, key: await jose.importPKCS8(pkcs8, alg) }));
    for (const alg of ["HS256", "HS384", "HS512"]) await refused(t, daemon, await sign(student({ role: "ADMIN" }), { alg, secret: pem }), "AUTH_INVALID");
  }
  const stranger = await jose.generateKeyPair("ES256", { extractable: true });
  const jwk = await jose.exportJWK(stranger.publicKey);
  await refused(t, daemon, await sign(student(), { alg: "ES256", key: stranger.privateKey, header: { jwk, jku: "http://127.0.0.1:1/keys" } }), "AUTH_INVALID");
});

test("looks for tokens where it is told to", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET, "auth.cookie": "session", "auth.query_token": "true" });
  const good = await sign(student()), bad = "bad";
  for (const options of [
    { extraHeaders: { Authorization: `Bearer ${good}` } },
    { query: { access_token: good } },
    { extraHeaders: { Cookie: `a=b; session=${encodeURIComponent(good)}; c=d` } },
    { auth: { token: good }, extraHeaders: { Authorization: `Bearer ${bad}` } },
    { auth: { token: null }, extraHeaders: { Authorization: `bearer ${good}`, Cookie: `session=${bad}` } },
    { extraHeaders: { Authorization: "Basic eDp5" }, query: { access_token: good } },
  ])
    await enter(t, daemon, undefined, { auth: {}, ...options });
  for (const options of [
    { auth: { token: bad }, extraHeaders: { Authorization: `Bearer ${good}` } },
    { extraHeaders: { Authorization: `Bearer ${bad}`, Cookie: `session=${good}` } },
  ])
    assert.equal((await refusal(t, daemon, options)).code, "AUTH_INVALID");
  const plain = await start(t, { "auth.secret": SECRET });
  for (const options of [{ query: { access_token: good } }, { extraHeaders: { Cookie: `session=${good}` } }])
    assert.equal((await refusal(t, plain, options)).code, "AUTH_REQUIRED");
});

// --- Key sets ---

/** A key server: `keys` are what it publishes, `requests` counts, `status` is what it answers. */
async function keyServer(t) {
  const server = { keys: [], requests: 0, status: 200, held: null };
  const listener = createServer((request, response) => {
    server.requests++;
    const answer = () => response.writeHead(server.status, { "Content-Type": "application/json" }).end(JSON.stringify({ keys: server.keys }));
    if (server.held) server.held.push(answer);
    else answer();
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    listener.closeAllConnections?.();
    listener.close();
  });
  server.url = `http://127.0.0.1:${listener.address().port}/.well-known/jwks.json`;
  server.hold = () => (server.held = []);
  server.release = () => {
    for (const answer of server.held.splice(0)) answer();
    server.held = null;
  };
  return server;
}

async function issuer(kid, alg = "ES256") {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  return {
    kid,
    jwk: { ...(await jose.exportJWK(pair.publicKey)), kid, alg, use: "sig" },
    sign: (claims, named = kid) => sign(claims, { alg, key: pair.privateKey, header: { kid: named } }),
  };
}

/** Tries again while it is told to, as clients do. */
async function enterInTime(t, daemon, token) {
  for (;;) {
    try {
      return await enter(t, daemon, token);
    } catch (error) {
      if (!error.message.includes('"retryable":true')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100)); // between two tries, not for a time to pass
    }
  }
}

test("keys rotate without a restart", async (t) => {
  const server = await keyServer(t);
  const first = await issuer("first"), second = await issuer("second", "RS256");
  server.keys = [first.jwk];
  const daemon = await start(t, { "auth.jwks_url": server.url, "auth.jwks_cooldown": "1s" });
  const old = await enter(t, daemon, await first.sign(student()));
  server.keys = [first.jwk, second.jwk];
  await within(enterInTime(t, daemon, await second.sign(student())), "the new key");
  await enter(t, daemon, await first.sign(student())); // both count for a while
  server.keys = [second.jwk];
  daemon.signal("SIGHUP"); // fetched again before the next use
  await within(
    (async () => {
      const before = server.requests;
      while (server.requests === before) await enter(t, daemon, await second.sign(student()));
    })(),
    "the daemon to fetch again",
  );
  const late = await refusal(t, daemon, { auth: { token: await first.sign(student()) } });
  assert.ok(["AUTH_INVALID", "AUTH_UNAVAILABLE"].includes(late.code), late.code);
  await refused(t, daemon, await first.sign(student(), "second"), "AUTH_INVALID"); // under the other's name
  assert.ok(old.connected, "who is in stays in");
});

test("a storm of unknown keys costs one fetch, and nobody else waits", async (t) => {
  const server = await keyServer(t);
  const known = await issuer("known");
  server.keys = [known.jwk];
  const daemon = await start(t, { "auth.jwks_url": server.url, "auth.jwks_cooldown": "1h" });
  await enter(t, daemon, await known.sign(student()));
  assert.equal(server.requests, 1);
  const stranger = await issuer("stranger");
  const tokens = await Promise.all(Array.from({ length: 60 }, (_, i) => stranger.sign(student(), `storm-${i}`)));
  const answers = await Promise.all(tokens.map((token) => refusal(t, daemon, { auth: { token } })));
  for (const { code } of answers) assert.ok(["AUTH_INVALID", "AUTH_UNAVAILABLE"].includes(code), code);
  await enter(t, daemon, await known.sign(student()));
  assert.equal(server.requests, 1);
});

test("many who wait are served by one fetch, from both workers", async (t) => {
  const server = await keyServer(t);
  const known = await issuer("known");
  server.keys = [known.jwk];
  server.hold();
  const daemon = await start(t, { "auth.jwks_url": server.url });
  const entering = Array.from({ length: 30 }, async () => enter(t, daemon, await known.sign(student())));
  await within(
    (async () => {
      while (server.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    })(),
    "the fetch",
  );
  server.release();
  await Promise.all(entering);
  assert.equal(server.requests, 1);
});

test("a key server that fails locks nobody out who is known, and is told of who is not", async (t) => {
  const server = await keyServer(t);
  const known = await issuer("known"), next = await issuer("next");
  server.status = 503;
  server.keys = [known.jwk];
  const daemon = await start(t, { "auth.jwks_url": server.url, "auth.jwks_cooldown": "1s", "auth.jwks_cache": "1s" });
  await refused(t, daemon, await known.sign(student()), "AUTH_UNAVAILABLE", true);
  server.status = 200;
  await within(enterInTime(t, daemon, await known.sign(student())), "the keys");
  server.status = 500;
  const fetches = server.requests;
  await within(
    (async () => {
      while (server.requests === fetches) await enter(t, daemon, await known.sign(student()));
    })(),
    "a fetch that fails",
  );
  await enter(t, daemon, await known.sign(student())); // by the old keys
  await refused(t, daemon, await next.sign(student()), "AUTH_UNAVAILABLE", true);
});

// --- On open sockets ---

test("a token is renewed on an open socket", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET, "auth.expiring_notice": "2s" });
  const expires = now() + 4;
  const socket = await enter(t, daemon, await sign(student({ exp: expires })));
  const [notice] = await once(socket, "auth_expiring");
  assert.deepEqual(notice, { expires_at: expires });
  const later = now() + 3600;
  const answer = await socket.timeout(15_000).emitWithAck("auth_refresh", { token: await sign(student({ exp: later })) });
  assert.deepEqual(answer, { ok: true, data: { expires_at: later } });
  // The old token's end passes without notice: a second socket with the same end is the clock.
  const clock = await enter(t, daemon, await sign(student({ sub: "clock", exp: Math.max(expires, now() + 1) })));
  await once(clock, "disconnect");
  assert.ok(socket.connected);
  assert.equal((await socket.timeout(15_000).emitWithAck("auth_refresh", { token: await sign(student({ exp: later })) })).ok, true);
});

test("a new token must be good, and the same user's", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET });
  const socket = await enter(t, daemon, await sign(student()));
  const refresh = (payload) => socket.timeout(15_000).emitWithAck("auth_refresh", payload);
  for (const token of ["nonsense", await sign(student({ exp: now() - 10 })), await sign(student({ sub: "bob" })), await sign(student(), { secret: "x".repeat(40) })]) {
    const answer = await refresh({ token });
    assert.equal(answer.ok, false);
    assert.equal(answer.error.code, "FORBIDDEN");
  }
  for (const payload of [{}, { token: 7 }, { token: "" }, null]) {
    const answer = await refresh(payload);
    assert.equal(answer.ok, false);
    assert.equal(answer.error.code, "VALIDATION");
  }
  assert.ok(socket.connected, "a bad one costs nothing");
});

test("without a new token the socket ends when the old one does", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET, "auth.expiring_notice": "1s" });
  const socket = await enter(t, daemon, await sign(student({ exp: now() + 2 })));
  const stays = await enter(t, daemon, await sign(student({ sub: "bob" })));
  const told = once(socket, "auth_expiring");
  const [reason] = await once(socket, "disconnect");
  await told;
  assert.equal(reason, "io server disconnect");
  assert.ok(stays.connected);
  await refused(t, daemon, await sign(student({ exp: now() - 1 })), "AUTH_EXPIRED");
});

// --- What an operator does ---

test("secrets are reloaded without a restart", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "convene-secret-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "secret");
  writeFileSync(file, `${SECRET}\n`, { mode: 0o600 });
  const daemon = await start(t, { "auth.secret_file": file });
  const inside = await enter(t, daemon, await sign(student()));
  const next = "the next secret, of more than thirty-two bytes";
  writeFileSync(file, next, { mode: 0o600 });
  daemon.signal("SIGHUP");
  const token = await sign(student(), { secret: next });
  await within(
    (async () => {
      for (;;) {
        try {
          return await enter(t, daemon, token);
        } catch (error) {
          assert.match(error.message, /AUTH_INVALID/);
        }
      }
    })(),
    "the new secret",
  );
  await refused(t, daemon, await sign(student()), "AUTH_INVALID");
  assert.ok(inside.connected);
});

test("outside of the development mode nothing issues tokens", async (t) => {
  const daemon = await start(t, { "auth.secret": SECRET });
  for (const [method, path] of [["POST", "/dev/token"], ["GET", "/dev/token"], ["POST", "/dev/tokens"], ["GET", "/dev/users"]]) {
    const answer = await exchange(daemon.url + path, { method, headers: { "Content-Type": "application/json" }, body: method === "POST" ? "{}" : undefined });
    assert.equal(answer.status, 404, `${method} ${path}`);
  }
});
