// What an admin's console costs: bench/admin.mjs [--sockets 10000] [--rate 2000] [--seconds 10] [--workers 2]. Not part of `make test`.
//
// So many clients are connected to the daemon and send events at that rate, together; some leave and come back. The server's CPU is read from
// /proc and the admin's bytes from its socket, with no admin, with one in each mode, and while a picture of all sockets is made.
// CONVENE_BUILD_DIR: where the daemon is (default build/release). The clients are Node's, so the machine is busy with them, too.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(join(root, "tests/clients/package.json"));
const { WebSocket } = require("ws");
const bcrypt = require("bcryptjs");

const { values } = parseArgs({
  options: {
    sockets: { type: "string", default: "10000" },
    rate: { type: "string", default: "2000" },
    seconds: { type: "string", default: "10" },
    workers: { type: "string", default: "2" },
  },
});
const SOCKETS = Number(values.sockets);
const RATE = Number(values.rate);
const SECONDS = Number(values.seconds);
const CHURN = 20; // clients a second that leave, and as many that come
const BATCH = 50; // handshakes at once

const folder = mkdtempSync(join(tmpdir(), "convene-bench-"));
const hashFile = join(folder, "hash");
writeFileSync(hashFile, bcrypt.hashSync("secret", 4), { mode: 0o600 });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function startDaemon(mode) {
  const child = spawn(join(process.env.CONVENE_BUILD_DIR ?? join(root, "build/release"), "convened"), [
    ...["--dev", "--port", "0", "--workers", values.workers, "--data", join(folder, mode)],
    ...["--limits-connections-per-ip", "off", "--limits-max-connections", "100000"],
    ...["--limits-events-per-connection", "off", "--limits-events-per-ip", "off"],
    ...["--admin-enabled", "--admin-mode", mode, "--admin-username", "root", "--admin-password-hash-file", hashFile],
  ]);
  let output = "";
  const port = await new Promise((resolve, reject) => {
    child.on("exit", () => reject(new Error(`the daemon ended:\n${output}`)));
    child.stderr.on("data", (data) => (output = (output + data).slice(-4000)));
    child.stdout.on("data", (data) => {
      output += data;
      const found = /listening on .*:(\d+)/.exec(output);
      if (found) resolve(Number(found[1]));
    });
  });
  child.removeAllListeners("exit");
  return { child, url: `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket` };
}

/** Microseconds of CPU that the process has used. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
const memoryOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);

const headers = { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36", "Accept-Language": "en-GB,en;q=0.9" };

function connect(url, nsp, auth = "") {
  const ws = new WebSocket(url, { perMessageDeflate: false, headers });
  return new Promise((resolve, reject) => {
    ws.on("error", reject);
    ws.on("message", (data) => {
      const text = String(data);
      if (text[0] === "0") ws.send(`40${nsp},${auth}`);
      else if (text === "2") ws.send("3");
      else if (text.startsWith(`40${nsp},`)) resolve(ws);
      else if (text.startsWith("44")) reject(new Error(text));
    });
  });
}

/** An admin that counts what it is told. */
async function connectAdmin(url) {
  const begun = performance.now();
  const ws = await connect(url, "/admin", JSON.stringify({ username: "root", password: "secret" }));
  const admin = { ws, bytes: 0, events: {}, pictureMs: 0, pictureBytes: 0, pictureSockets: 0 };
  ws.on("message", (data) => {
    admin.bytes += data.length;
    const event = /^42\/admin,\["(\w+)"/.exec(data.subarray(0, 60).toString())?.[1];
    if (!event) return;
    admin.events[event] = (admin.events[event] ?? 0) + 1;
    if (event !== "all_sockets") return;
    admin.pictureMs = performance.now() - begun;
    admin.pictureBytes = data.length;
    admin.pictureSockets = JSON.parse(String(data).slice("42/admin,".length))[1].length;
  });
  return admin;
}

/** Traffic for some seconds: [CPU in percent of one core, longest wait of an echo in ms]. */
async function measure(daemon, clients) {
  const before = cpuOf(daemon.child.pid);
  const begun = performance.now();
  let sent = 0;
  let replaced = 0;
  let next = 0;
  let longest = 0;
  // How long the loop of the server keeps others waiting: a ping of ours, all the time.
  const probe = await connect(daemon.url, "/demo");
  let asked = performance.now();
  probe.on("message", (data) => {
    if (!String(data).startsWith("43/demo,")) return;
    longest = Math.max(longest, performance.now() - asked);
    asked = performance.now();
    setTimeout(() => ((asked = performance.now()), probe.send('42/demo,1["enter",{}]')), 5);
  });
  probe.send('42/demo,1["enter",{}]');
  for (;;) {
    const seconds = (performance.now() - begun) / 1000;
    if (seconds >= SECONDS) break;
    for (; sent < seconds * RATE; sent++) clients[next++ % clients.length].send('42/demo,["noop",{"n":1}]');
    for (; replaced < seconds * CHURN; replaced++) {
      const at = (replaced * 7919) % clients.length;
      const old = clients[at];
      connect(daemon.url, "/demo").then((ws) => {
        clients[at] = ws;
        old.close();
      });
    }
    await sleep(5);
  }
  probe.close();
  const elapsed = (performance.now() - begun) * 1000;
  return [((cpuOf(daemon.child.pid) - before) / elapsed) * 100, longest];
}

const rows = [];
for (const mode of ["production", "development"]) {
  const daemon = await startDaemon(mode);
  const { pid } = daemon.child;
  const clients = [];
  while (clients.length < SOCKETS)
    clients.push(...(await Promise.all(Array.from({ length: Math.min(BATCH, SOCKETS - clients.length) }, () => connect(daemon.url, "/demo")))));
  await sleep(1000);
  rows.push([`${mode}: no admin`, ...(await measure(daemon, clients)), 0, memoryOf(pid), ""]);
  const cpu = cpuOf(pid);
  const admin = await connectAdmin(daemon.url);
  while (mode === "development" && admin.pictureBytes === 0) await sleep(1);
  const picture = admin.pictureBytes && `picture of ${admin.pictureSockets}: ${admin.pictureMs.toFixed(0)} ms, ${(admin.pictureBytes / 1e6).toFixed(2)} MB, ${((cpuOf(pid) - cpu) / 1000).toFixed(0)} ms of CPU`;
  await sleep(1000);
  admin.bytes = 0;
  admin.events = {};
  const [percent, longest] = await measure(daemon, clients);
  rows.push([`${mode}: an admin`, percent, longest, admin.bytes / SECONDS, memoryOf(pid), picture || JSON.stringify(admin.events)]);
  if (picture) console.log(picture, JSON.stringify(admin.events));
  admin.ws.close();
  for (const ws of clients) ws.terminate();
  daemon.child.kill("SIGTERM");
  await new Promise((resolve) => daemon.child.on("exit", resolve));
}
rmSync(folder, { recursive: true, force: true });
console.log(`${SOCKETS} sockets, ${RATE} events/s in, ${CHURN} sockets/s replaced, ${values.workers} workers, ${SECONDS} s each`);
console.log("                            server CPU   slowest echo   to the admin   server memory");
for (const [name, percent, longest, bytes, memory, words] of rows)
  console.log(`${name.padEnd(28)}${percent.toFixed(1).padStart(8)} %${longest.toFixed(1).padStart(12)} ms${(bytes / 1000).toFixed(1).padStart(10)} kB/s${(memory / 1024).toFixed(0).padStart(13)} MB  ${words}`);
process.exit();
