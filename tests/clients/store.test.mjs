// What was acknowledged is kept, whatever happens to the daemon: killed in the middle of traffic, or on a disk without room.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { SECRET, enter, folder, startDaemon, user } from "./support/daemon.mjs";
import { Program, daemonFile, within } from "./support/server.mjs";

test("a daemon that is killed in the middle of traffic has kept all that it acknowledged", async (t) => {
  const data = folder(t);
  const names = Array.from({ length: 24 }, (_, i) => `user${i}`);
  const answers = new Map(); // op_id: what was answered
  for (let round = 0; round < 3; round++) {
    const daemon = await startDaemon(t, [], { data });
    daemon.stop = async () => {}; // it is not to end well
    const sockets = await Promise.all(names.map((name) => enter(t, daemon.url, user(name))));
    const ended = daemon.ended();
    let count = 0;
    for (const [i, socket] of sockets.entries())
      for (let n = 0; n < 4; n++) {
        const id = `${round}-${n}`;
        socket.emit("status", { status: n % 2 ? "away" : "busy", op_id: id }, (answer) => {
          assert.equal(answer.ok, true, JSON.stringify(answer));
          answers.set(`${names[i]} ${id}`, answer);
          if (++count === 10 + round * 20) daemon.signal("SIGKILL");
        });
      }
    assert.equal((await within(ended, "its end")).signal, "SIGKILL");
    for (const socket of sockets) socket.disconnect();
  }
  assert.ok(answers.size >= 90);
  const daemon = await startDaemon(t, ["--limits-events-per-user", "off"], { data });
  for (const name of names) {
    const socket = await enter(t, daemon.url, user(name));
    for (const [key, first] of answers) {
      if (!key.startsWith(`${name} `)) continue;
      // Asked for something else, which would be done if the operation were not known.
      const answer = await socket.ask("status", { status: "online", op_id: key.split(" ")[1] });
      assert.deepEqual(answer, first, key);
    }
    socket.disconnect();
  }
});

test("without room on the disk nothing is acknowledged that is not kept, and with room all goes on", async (t) => {
  const data = folder(t);
  await (await startDaemon(t, [], { data })).stopNow(); // has made the schema
  // No file may grow beyond that (in blocks of 512 bytes): the system's way to say that there is no room.
  const limited = `trap '' XFSZ; ulimit -S -f 256; exec "$0" "$@"`;
  const args = ["--host", "127.0.0.1", "--port", "0", "--workers", "2", "--data", data, "--rate", "status=off", "--limits-events-per-user", "off"];
  const daemon = new Program("sh", ["-c", limited, daemonFile, ...args, "--limits-events-per-connection", "off"], {
    env: { ...process.env, CONVENE_AUTH_SECRET: SECRET },
  });
  t.after(() => daemon.stop());
  await daemon.listening();
  const ada = await enter(t, daemon.url, user("ada"));
  const kept = [];
  let refused;
  for (let n = 0; refused === undefined && n < 2000; n++) {
    const answer = await ada.ask("status", { status: n % 2 ? "away" : "busy", op_id: `${n}` });
    if (answer.ok) kept.push(answer);
    else refused = answer;
  }
  assert.equal(refused?.error.code, "UNAVAILABLE");
  assert.ok(refused.error.retry_after_ms > 0);
  assert.ok(kept.length > 0);
  execFileSync("prlimit", ["--pid", String(daemon.pid), "--fsize=unlimited"]);
  let again;
  await within(
    (async () => {
      do again = await ada.ask("status", { status: "online", op_id: `${kept.length}` });
      while (!again.ok);
    })(),
    "the store to work again",
  );
  assert.deepEqual(again.data, { status: "online" }); // the one that was refused had not been done
  for (const [n, first] of kept.entries()) assert.deepEqual(await ada.ask("status", { status: "online", op_id: `${n}` }), first);
  ada.disconnect();
  // Entries of the audit trail that found no room have waited.
  const verified = execFileSync(daemonFile, ["audit", "verify", "--data", data], { encoding: "utf8" });
  assert.match(verified, /^the audit trail is whole/);
  assert.doesNotMatch(verified, /audit_lost/);
  await daemon.stop();
  assert.match(daemon.output, /the store cannot be used/);
  assert.match(daemon.output, /the store works again/);
});
