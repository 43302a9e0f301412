// The programs of examples/, each with the official client, as its comment says.
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { io } from "socket.io-client";
import { startBrowser } from "./support/browser.mjs";
import { once, startExample, within } from "./support/server.mjs";

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

function connect(t, url, options = {}) {
  const socket = io(url, { reconnection: false, forceNew: true, ...options });
  t.after(() => socket.disconnect());
  return socket;
}

const ask = (socket, ...args) => socket.timeout(15_000).emitWithAck(...args);

test("echo", async (t) => {
  const { url } = await startExample(t, "echo");
  for (const transports of TRANSPORTS) {
    const socket = connect(t, url, { transports });
    const echoed = once(socket, "echo");
    const bytes = Buffer.from([1, 2, 3]);
    assert.deepEqual(await ask(socket, "echo", { two: 2, bytes }), { two: 2, bytes });
    assert.deepEqual(await echoed, [{ two: 2, bytes }]);
    const many = new Promise((resolve) => socket.emit("echo", 1, "ü", null, (...args) => resolve(args)));
    assert.deepEqual(await within(many, "an acknowledgement"), [1, "ü", null]);
    const none = once(socket, "echo");
    socket.emit("echo");
    await none;
  }
});

test("chat", async (t) => {
  const { url } = await startExample(t, "chat");
  const ada = connect(t, url, { transports: ["websocket"] });
  const grace = connect(t, url, { transports: ["polling"] });
  for (const wrong of ["", 5, null, "x".repeat(32), undefined]) assert.equal(await ask(ada, "enter", wrong), false, String(wrong));
  assert.equal(await ask(ada, "say", "hello?"), false);
  assert.equal(await ask(ada, "enter", 'Ada "the first"'), true);
  assert.equal(await ask(ada, "enter", "Bob"), false);

  const entered = once(ada, "entered");
  assert.equal(await ask(grace, "enter", "Grace"), true);
  assert.deepEqual(await entered, [{ name: "Grace" }]);
  const said = once(grace, "said");
  assert.equal(await ask(ada, "say", 'hello "all" \\ 😀'), true);
  assert.deepEqual(await said, [{ name: 'Ada "the first"', text: 'hello "all" \\ 😀' }]);
  assert.equal(await ask(ada, "say", ""), false);
  assert.equal(await ask(ada, "say", "x".repeat(1000)), false);
  assert.equal(await ask(ada, "say", "\u0001".repeat(999)), true); // the longest there is, once escaped
  const left = once(grace, "left");
  ada.disconnect();
  assert.deepEqual(await left, [{ name: 'Ada "the first"' }]);
  assert.equal((await fetch(`${url}/elsewhere`)).status, 404);
});

test("chat in a browser", async (t) => {
  const { url } = await startExample(t, "chat");
  const browser = await startBrowser(t);
  const pages = [];
  for (const name of ["Ada", "Grace"]) {
    const page = await (await browser.newContext()).newPage();
    pages.push(page);
    await page.goto(url);
    await page.getByPlaceholder("Your name").fill(name);
    await page.keyboard.press("Enter");
    await page.getByText(`${name} is here`).waitFor();
  }
  await pages[1].locator("#text").fill("hello, <b>Ada</b>");
  await pages[1].keyboard.press("Enter");
  for (const page of pages) await page.getByText("Grace: hello, <b>Ada</b>").waitFor();
  await pages[1].close();
  await pages[0].getByText("Grace has left").waitFor();
});

test("auth", async (t) => {
  const { url } = await startExample(t, "auth");
  for (const [token, name] of [["tangerine", "Ada"], ["grapefruit", "Grace"]])
    for (const transports of TRANSPORTS) assert.equal(await ask(connect(t, url, { transports, auth: { token } }), "whoami"), name);
  for (const auth of [undefined, {}, { token: "" }, { token: "tangerin" }, { token: "tangerinf" }, { token: 5 }, { token: "x".repeat(1000) }, { token: "tangerine\0" }]) {
    const [error] = await once(connect(t, url, { auth }), "connect_error");
    assert.equal(error.message, "unauthorized", JSON.stringify(auth));
    assert.deepEqual(error.data, { code: 401 });
  }
});

test("rooms", async (t) => {
  const { url } = await startExample(t, "rooms");
  const [ada, grace, linus] = TRANSPORTS.map((transports) => connect(t, url, { transports }));
  const heard = new Map();
  for (const socket of [ada, grace, linus]) {
    heard.set(socket, []);
    socket.on("said", (...args) => heard.get(socket).push(args));
  }
  /** Everything that was sent to `socket` before has arrived once its own answer has. */
  const hears = async (socket, ...expected) => {
    await ask(socket, "leave", "nowhere");
    assert.deepEqual(heard.get(socket).splice(0), expected);
  };

  assert.deepEqual(await ask(ada, "join", "cooking"), ["cooking"]);
  assert.deepEqual(await ask(ada, "join", 'a "quoted" room'), ["cooking", 'a "quoted" room']);
  assert.deepEqual(await ask(ada, "leave", 'a "quoted" room'), ["cooking"]);
  assert.deepEqual(await ask(ada, "join", 5), ["cooking"]);
  assert.deepEqual(await ask(grace, "join", "cooking"), ["cooking"]);
  assert.deepEqual(await ask(linus, "join", "cooking"), ["cooking"]);
  assert.deepEqual(await ask(linus, "join", "asleep"), ["cooking", "asleep"]);

  const first = [grace, linus].map((socket) => once(socket, "said"));
  assert.equal(await ask(ada, "say", "cooking", "anyone hungry?"), true);
  for (const said of await Promise.all(first)) assert.deepEqual(said, ["cooking", "anyone hungry?"]);
  await hears(ada);
  await hears(grace, ["cooking", "anyone hungry?"]);
  await hears(linus, ["cooking", "anyone hungry?"]);

  const second = once(grace, "said");
  assert.equal(await ask(ada, "quietly", "cooking", "asleep", "psst"), true);
  assert.deepEqual(await second, ["cooking", "psst"]);
  await hears(linus);
  for (const wrong of [["say"], ["say", "cooking"], ["say", "cooking", 5], ["say", 5, "x"], ["quietly", "cooking", 5, "x"], ["say", "", "x"]])
    assert.equal(await ask(ada, ...wrong), false, JSON.stringify(wrong));

  // One asks another; the answer is an acknowledgement across the server, later than the event.
  grace.on("asked", (question, answer) => answer(`${question} 42`, { sure: true }));
  const answer = (...args) => within(new Promise((resolve) => ada.emit("ask", ...args, (...got) => resolve(got))), "an answer");
  assert.deepEqual(await answer(grace.id, "how much?"), ["how much? 42", { sure: true }]);
  assert.deepEqual(await answer("nobody", "hello?"), [null, "nobody there"]);
  assert.deepEqual(await answer(grace.id), [null, "not possible"]);
  assert.deepEqual(await answer(5, 5), [null, "not possible"]);
});

/** A TCP connection that gives its lines one by one. */
async function connectLines(t, port) {
  const tcp = net.connect({ port, host: "127.0.0.1" });
  t.after(() => tcp.destroy());
  tcp.on("error", () => {});
  await once(tcp, "connect");
  let text = "";
  tcp.on("data", (data) => (text += data));
  return {
    tcp,
    ended: new Promise((resolve) => tcp.on("close", resolve)),
    next: () =>
      within(
        new Promise((resolve) => {
          const look = () => {
            const end = text.indexOf("\n");
            if (end < 0) return tcp.once("data", look);
            resolve(text.slice(0, end));
            text = text.slice(end + 1);
          };
          look();
        }),
        "a line",
      ),
  };
}

test("embedding", async (t) => {
  const program = await startExample(t, "embedding", ["0", "10"]);
  const tcpPort = Number(/lines on port (\d+)/.exec(program.output)[1]);
  const sockets = TRANSPORTS.map((transports) => connect(t, program.url, { transports }));
  const lines = await connectLines(t, tcpPort);
  for (const socket of sockets) {
    const [first] = await once(socket, "tick");
    const [second] = await once(socket, "tick");
    assert.ok(second > first);
  }

  const heard = sockets.map((socket) => once(socket, "line"));
  lines.tcp.write('one "line"\n');
  for (const args of await Promise.all(heard)) assert.deepEqual(args, ['one "line"']);
  for (const [i, socket] of sockets.entries()) {
    assert.equal(await ask(socket, "line", `from ${i}`), true);
    assert.equal(await lines.next(), `from ${i}`);
  }
  assert.equal(await ask(sockets[0], "line", { no: "line" }), false);
  assert.equal(await ask(sockets[0], "line", "x".repeat(2000)), false);
  const rude = await connectLines(t, tcpPort);
  rude.tcp.write("x".repeat(2000));
  await within(rude.ended, "the end of one who sends no line");

  // Told to end, it tells its clients first, and leaves nothing on the loop: uv_loop_close succeeds, or the status were 1.
  const lost = sockets.map((socket) => once(socket, "disconnect"));
  await program.stopNow();
  for (const [reason] of await Promise.all(lost)) assert.equal(reason, "transport close");
  await within(lines.ended, "the end of the line server");
});

test("embedding refuses a port that is taken", async (t) => {
  const first = await startExample(t, "embedding", ["0", "1000"]);
  const second = await startExample(null, "embedding", ["0", "1000"], { port: first.port, fails: true });
  assert.deepEqual(await second.exit(), { code: 1, signal: null }, second.output);
  assert.match(second.output, /in use/);
});
