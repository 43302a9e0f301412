// The protocols by hand: HTTP long-polling with fetch, WebSockets with ws, TCP with net. For tests that a well-behaved client cannot
// be made to run.
import http from "node:http";
import net from "node:net";
import { WebSocket } from "ws";
import { once, within } from "./server.mjs";

/** One request and its whole answer; `cookies` are its Set-Cookie lines, which fetch of Node 18 cannot tell apart. */
export function exchange(url, { method = "GET", headers = {}, body } = {}) {
  const answered = new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece) => (text += piece));
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({ status: answer.statusCode, headers: answer.headers, cookies: answer.headers["set-cookie"] ?? [], text }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
  return within(answered, "an answer");
}

/** One polling session by hand. */
export class Polling {
  constructor(url, path, query = "EIO=4&transport=polling") {
    this.base = `${url}${path}?${query}`;
  }

  static async open(url, path) {
    const session = new Polling(url, path);
    const answer = await session.get();
    if (answer.status !== 200) throw new Error(`handshake: ${answer.status}`);
    session.handshake = JSON.parse(answer.text.slice(1));
    session.sid = session.handshake.sid;
    session.base += `&sid=${session.sid}`;
    return session;
  }

  async get(options = {}) {
    const answer = await within(fetch(this.base, options), "a poll");
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  }

  async post(body, options = {}) {
    const answer = await within(fetch(this.base, { method: "POST", body, ...options }), "a post");
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  }
}

/** A WebSocket that keeps what it gets until asked. */
export class RawSocket {
  #queue = [];
  #waiting = [];

  constructor(url, options = {}) {
    this.ws = new WebSocket(url.replace(/^http/, "ws"), options);
    this.ws.on("error", () => {});
    this.closed = new Promise((resolve) =>
      this.ws.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    );
    this.ws.on("message", (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      const waiting = this.#waiting.shift();
      if (waiting) waiting(message);
      else this.#queue.push(message);
    });
  }

  static engine(url, path, query = "EIO=4&transport=websocket") {
    return new RawSocket(`${url}${path}?${query}`);
  }

  /** The next message; null when the connection closes before. */
  next() {
    if (this.#queue.length > 0) return Promise.resolve(this.#queue.shift());
    return within(
      Promise.race([
        new Promise((resolve) => this.#waiting.push(resolve)),
        this.closed.then(() => null),
      ]),
      "a message",
    );
  }

  /** The next message that is not a ping (answered here). */
  async nextMessage() {
    for (;;) {
      const message = await this.next();
      if (message !== "2") return message;
      this.send("3");
    }
  }

  async opened() {
    if (this.ws.readyState !== WebSocket.OPEN) await once(this.ws, "open");
    return this;
  }

  send(data) {
    this.ws.send(data);
  }

  end() {
    return within(this.closed, "the WebSocket to close");
  }
}

/** Engine.IO and the default namespace over a WebSocket: ready for packets. */
export async function connectRaw(url, path = "/socket.io/", auth = "") {
  const socket = await RawSocket.engine(url, path).opened();
  const open = JSON.parse((await socket.next()).slice(1));
  socket.sid = open.sid;
  socket.send(`40${auth}`);
  return socket;
}

/** A TCP connection whose whole answer can be read. */
export class Tcp {
  received = "";

  static async connect(port, options = {}) {
    const tcp = new Tcp();
    tcp.socket = net.connect({ port, host: "127.0.0.1", ...options });
    tcp.socket.on("error", () => {});
    tcp.socket.setEncoding("latin1");
    tcp.socket.on("data", (data) => (tcp.received += data));
    tcp.closed = new Promise((resolve) => tcp.socket.on("close", resolve));
    await once(tcp.socket, "connect");
    return tcp;
  }

  write(data) {
    return new Promise((resolve) => this.socket.write(data, resolve));
  }

  /** Everything until the peer closes. */
  async end() {
    await within(this.closed, "the connection to close");
    return this.received;
  }

  /** What has come once it matches `pattern`. */
  async until(pattern) {
    await within(
      new Promise((resolve) => {
        const look = () => pattern.test(this.received) && resolve();
        this.socket.on("data", look);
        look();
      }),
      String(pattern),
    );
    return this.received;
  }

  reset() {
    this.socket.resetAndDestroy();
  }

  destroy() {
    this.socket.destroy();
  }
}
