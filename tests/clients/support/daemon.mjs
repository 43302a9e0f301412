// The daemon with tokens of our own making, for tests of what it offers.
import { createHmac, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { io } from "socket.io-client";
import { Program, daemonFile, once, within } from "./server.mjs";

export const SECRET = "a secret of more than thirty-two bytes, for tests";

/** A folder that goes with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "convened-"));
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  return path;
}

/** The daemon on a free port of loopback, knowing SECRET. */
export async function startDaemon(t, args = [], { data = folder(t), env = {}, secret = SECRET } = {}) {
  const program = new Program(
    daemonFile,
    ["--host", "127.0.0.1", "--port", "0", "--workers", "2", "--data", data, ...args],
    { env: { ...process.env, ...(secret ? { CONVENE_AUTH_SECRET: secret } : {}), ...env } },
  );
  let stopped = false;
  program.stopNow = async () => {
    stopped = true;
    await program.stop();
  };
  t.after(async () => {
    if (!stopped) await program.stop();
  });
  return program.listening();
}

const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A token as another server would sign it. */
export function token(claims = {}, { secret = SECRET, header = {} } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const head = base64url({ alg: "HS256", typ: "JWT", ...header });
  const body = base64url({ sub: "ada", iat: now, exp: now + 3600, jti: randomUUID(), ...claims });
  return `${head}.${body}.${createHmac("sha256", secret).update(`${head}.${body}`).digest("base64url")}`;
}

/** A student's token, unless `claims` says otherwise. */
export const user = (id, claims = {}) => token({ sub: id, name: id, app_metadata: { role: "STUDENT", org_id: "acme" }, ...claims });

/** A client that does not come back by itself. `auth` is a token or an auth payload. */
export function connect(t, url, auth, options = {}) {
  const socket = io(url, {
    auth: typeof auth === "string" ? { token: auth } : (auth ?? {}),
    transports: ["websocket"],
    reconnection: false,
    forceNew: true,
    ...options,
  });
  t.after(() => socket.disconnect());
  socket.ask = (event, ...args) => within(socket.timeout(15_000).emitWithAck(event, ...args), event);
  return socket;
}

/** The same, once it is in. */
export async function enter(t, url, auth, options) {
  const socket = connect(t, url, auth, options);
  const refused = once(socket, "connect_error").then(([error]) => Promise.reject(error));
  refused.catch(() => {});
  await Promise.race([once(socket, "connect"), refused]);
  return socket;
}

/** Why a client is not let in: its connect_error. */
export async function refusal(t, url, auth, options) {
  const socket = connect(t, url, auth, options);
  const [error] = await once(socket, "connect_error");
  socket.disconnect();
  return error;
}
