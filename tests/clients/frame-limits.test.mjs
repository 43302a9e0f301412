// What the frame has to hold against clients that do not behave: attempts on one connection, places of the refused, own rooms, cut names.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { enter, folder, refusal, startDaemon, user } from "./support/daemon.mjs";
import { daemonFile, once } from "./support/server.mjs";

/** A bare session by polling, on which any CONNECT can be sent, as often as one likes. */
async function session(url) {
  const base = `${url}/socket.io/?EIO=4&transport=polling`;
  const opened = await (await fetch(base)).text();
  const address = `${base}&sid=${JSON.parse(opened.slice(1)).sid}`;
  return async (packet) => {
    await (await fetch(address, { method: "POST", body: packet })).text();
    return (await fetch(address)).text();
  };
}

const codeOf = (packet) => JSON.parse(packet.slice(packet.indexOf("{"))).data?.code;

test("each CONNECT of a connection that was not let in is an attempt", async (t) => {
  const daemon = await startDaemon(t, ["--limits-connections-per-ip", "3/min"]);
  const send = await session(daemon.url);
  const codes = [];
  for (let i = 0; i < 5; i++) codes.push(codeOf(await send('40{"token":"nonsense"}')));
  assert.deepEqual(codes, ["AUTH_INVALID", "AUTH_INVALID", "AUTH_INVALID", "RATE_LIMITED", "RATE_LIMITED"]);
  assert.equal(codeOf(await send(`40{"token":"${user("ada")}"}`)), "RATE_LIMITED");
});

test("who is refused for want of room does not get in by asking again, nor keeps others out", async (t) => {
  const daemon = await startDaemon(t, ["--limits-max-connections", "1"]);
  const ada = await enter(t, daemon.url, user("ada"));
  const send = await session(daemon.url);
  for (let i = 0; i < 3; i++) assert.equal(codeOf(await send(`40{"token":"${user("bob")}"}`)), "SERVER_FULL");
  ada.disconnect();
  // The refused one is connected still; the place that ada had is free.
  for (let tries = 0; ; tries++) {
    const error = await Promise.race([enter(t, daemon.url, user("carl")).then(() => null, (e) => e)]);
    if (error === null) break;
    assert.equal(error.data.code, "SERVER_FULL");
    assert.ok(tries < 50, "the place was never free again");
  }
  assert.equal((await refusal(t, daemon.url, user("dan"))).data.code, "SERVER_FULL");
});

test("the namespaces that are switched off are no way around the limits", async (t) => {
  const daemon = await startDaemon(t, ["--server-disabled-namespaces", "/", "--limits-connections-per-ip", "2/min"]);
  const send = await session(daemon.url);
  const codes = [];
  for (let i = 0; i < 3; i++) codes.push(codeOf(await send("40{}")));
  assert.deepEqual(codes, ["NAMESPACE_DISABLED", "NAMESPACE_DISABLED", "RATE_LIMITED"]);
});

test("leaving a room that was joined does not take one's own from one", async (t) => {
  const daemon = await startDaemon(t, ["--admin-enabled"]);
  const ada = await enter(t, daemon.url, user("ada"));
  const org = { kind: "org", id: "acme" };
  for (let i = 0; i < 2; i++) {
    assert.equal((await ada.ask("presence_join", org)).ok, true);
    assert.equal((await ada.ask("presence_leave", org)).ok, true);
    assert.equal((await ada.ask("presence_leave", org)).error.code, "NOT_JOINED");
  }
});

test("a long name of an unknown event is cut between its characters", async (t) => {
  const daemon = await startDaemon(t);
  const ada = await enter(t, daemon.url, user("ada"));
  for (let pad = 0; pad < 4; pad++) {
    const heard = once(ada, "error");
    ada.emit("x".repeat(pad) + "\u{1F600}".repeat(40), {});
    const [body] = await heard;
    assert.equal(body.error.code, "NOT_FOUND");
    assert.match(body.event, /^x*(\u{1F600})+$/u);
  }
  assert.equal((await ada.ask("status", { status: "away" })).ok, true); // and it is connected still
});

test("who comes back into a recovered session is in its rooms for presence, too", async (t) => {
  const daemon = await startDaemon(t, ["--access-board", "open", "--presence-coalesce", "20ms", "--presence-grace", "0s", "--rate", "default=off", "--limits-events-per-connection", "off", "--limits-events-per-user", "off"]);
  const ada = await enter(t, daemon.url, user("ada"));
  const bob = await enter(t, daemon.url, user("bob"));
  const room = { kind: "board", id: "1" };
  assert.equal((await bob.ask("presence_watch", { userIds: ["ada"] })).ok, true);
  assert.equal((await ada.ask("presence_watch", { userIds: ["bob"] })).ok, true);
  assert.equal((await ada.ask("presence_join", room)).data.count, 1);
  const told = once(ada, "presence"); // with an offset to come back with
  await bob.ask("status", { status: "busy" });
  await told;
  const eve = await enter(t, daemon.url, user("eve"));
  for (let i = 0; i < 3; i++) {
    const back = once(ada, "connect");
    ada.io.engine.close();
    ada.connect();
    await back;
    assert.equal(ada.recovered, true);
    assert.equal((await bob.ask("presence_join", room)).ok, true);
    assert.equal((await eve.ask("presence_join", room)).ok, true);
    assert.equal((await eve.ask("presence_leave", room)).ok, true);
    // Whoever has left before eve has gone from the list by when she has.
    let members = ["eve"];
    for (let tries = 0; members.includes("eve"); tries++) {
      assert.ok(tries < 5000, "eve never went");
      members = (await bob.ask("presence_join", room)).data.members.map((member) => member.userId);
    }
    assert.deepEqual(members.sort(), ["ada", "bob"]);
  }
});

test("a limit of files' sizes is an error of the store, and SIGPIPE and early SIGHUPs nothing", async (t) => {
  const data = folder(t);
  const small = spawnSync("sh", ["-c", `ulimit -f 8; exec "$0" --port 0 --data "$1"`, daemonFile, data], {
    encoding: "utf8",
    timeout: 20_000,
    env: { ...process.env, CONVENE_AUTH_SECRET: "a secret of more than thirty-two bytes, for tests" },
  });
  assert.equal(small.signal, null, small.stderr);
  assert.equal(small.status, 1, small.stderr);
  assert.match(small.stderr + small.stdout, /the store cannot be used/);
  const daemon = await startDaemon(t, [], { data: folder(t) });
  daemon.signal("SIGPIPE");
  daemon.signal("SIGXFSZ");
  const ada = await enter(t, daemon.url, user("ada"));
  assert.equal((await ada.ask("status", { status: "away" })).ok, true);
});
