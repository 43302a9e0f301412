// RFC 6455 by hand, a frame at a time: whatever a test wants to send, right or wrong, and a reader that takes nothing but what a
// server may send.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import net from "node:net";
import { once, within } from "./server.mjs";

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const NAMES = { 0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };
const KEY = "Y29udmVuZSBjb252ZW5lIQ==";
const ACCEPT = createHash("sha1").update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

let seed = 1; // masking keys differ from frame to frame and are the same in every run
function nextKey() {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Buffer.from([seed >>> 24, seed >>> 16, seed >>> 8, seed]);
}

/** The bytes of a client's frame. */
export function encodeFrame({ opcode, payload = Buffer.alloc(0), fin = true, rsv = 0 }) {
  const size = payload.length;
  const extended = size < 126 ? 0 : size < 65536 ? 2 : 8;
  const head = 2 + extended;
  const bytes = Buffer.allocUnsafe(head + 4 + size);
  const key = nextKey();
  bytes[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  bytes[1] = 0x80 | (extended === 0 ? size : extended === 2 ? 126 : 127);
  if (extended === 2) bytes.writeUInt16BE(size, 2);
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(size), 2);
  key.copy(bytes, head);
  for (let i = 0, at = head + 4; i < size; i++, at++) bytes[at] = payload[i] ^ key[i & 3];
  return bytes;
}

/** How many bytes a frame at the front of `bytes` has, of which `head` are its header; null while that cannot be told. */
function measure(bytes) {
  if (bytes.length < 2) return null;
  const [first, second] = bytes;
  const opcode = first & 15;
  assert.equal((first >> 4) & 3, 0, "a reserved bit that no extension has");
  assert.ok(opcode in NAMES, `a frame of the reserved opcode ${opcode}`);
  assert.equal(second >> 7, 0, "a masked frame from a server");
  let size = second & 127;
  if (opcode >= 8) {
    assert.ok(first & 128, "a fragment of a control frame");
    assert.ok(size < 126, "a large control frame");
  }
  const head = size < 126 ? 2 : size === 126 ? 4 : 10;
  if (bytes.length < head) return null;
  if (head === 4) size = bytes.readUInt16BE(2);
  if (head === 10) size = Number(bytes.readBigUInt64BE(2));
  assert.ok(head === 2 || size > (head === 4 ? 125 : 65535), "a length in a longer form than it needs");
  return { head, size: head + size };
}

/** A frame as a word for messages of failed tests. */
export function describe({ opcode, payload, fin = true, rsv = 0 }) {
  const start = payload.subarray(0, 40);
  const rest = payload.length > 40 ? `... (${payload.length} bytes)` : "";
  return `${fin ? "" : "unfinished "}${rsv ? `rsv ${rsv} ` : ""}${NAMES[opcode] ?? opcode} ${start.toString("hex")}${rest}`;
}

export class WebSocketPeer {
  #chunks = [];
  #size = 0;
  #wanted = 0; // bytes before another look is worth it
  #frames = [];
  #wake = () => {};
  #ended = false;
  #fault = null; // what ended the reading of frames

  /** Connects and shakes hands; `offer` is for Sec-WebSocket-Extensions, `behind` are bytes that come along with the request. */
  static async connect(port, { offer, behind = Buffer.alloc(0) } = {}) {
    const peer = new WebSocketPeer();
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    peer.socket = socket;
    socket.on("error", (error) => peer.#stop(error));
    await once(socket, "connect");
    const extensions = offer ? `Sec-WebSocket-Extensions: ${offer}\r\n` : "";
    const request =
      `GET /any HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${extensions}` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(request), behind]));
    await peer.#shakeHands();
    return peer;
  }

  async #shakeHands() {
    let received = Buffer.alloc(0);
    let end;
    while ((end = received.indexOf("\r\n\r\n")) < 0) {
      const [data] = await once(this.socket, "data");
      received = Buffer.concat([received, data]);
    }
    const [status, ...lines] = received.toString("latin1", 0, end).split("\r\n");
    const fields = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
    assert.match(status, /^HTTP\/1\.1 101 /);
    assert.equal(fields.get("upgrade").toLowerCase(), "websocket");
    assert.equal(fields.get("connection").toLowerCase(), "upgrade");
    assert.equal(fields.get("sec-websocket-accept"), ACCEPT);
    this.extensions = fields.get("sec-websocket-extensions");
    this.socket.on("data", (data) => this.#onData(data));
    this.socket.on("end", () => this.#stop(null));
    this.socket.on("close", () => this.#stop(null));
    if (received.length > end + 4) this.#onData(received.subarray(end + 4));
  }

  #stop(fault) {
    this.#fault ??= fault;
    this.#ended = true;
    this.#wake();
  }

  #onData(data) {
    this.#chunks.push(data);
    this.#size += data.length;
    if (this.#size < this.#wanted || this.#fault) return;
    let bytes = this.#chunks.length === 1 ? data : Buffer.concat(this.#chunks);
    try {
      for (;;) {
        const frame = measure(bytes);
        this.#wanted = frame?.size ?? 0;
        if (!frame || bytes.length < frame.size) break;
        this.#frames.push({
          opcode: bytes[0] & 15,
          payload: bytes.subarray(frame.head, frame.size),
          fin: bytes[0] >= 128,
          rsv: (bytes[0] >> 4) & 7,
        });
        bytes = bytes.subarray(frame.size);
      }
    } catch (error) {
      this.#stop(error);
    }
    this.#chunks = [bytes];
    this.#size = bytes.length;
    this.#wake();
  }

  /** Sends bytes in one write, or in so many octets a write. */
  async send(bytes, chop = Infinity) {
    for (let at = 0; at < bytes.length; at += chop) {
      const flushed = new Promise((resolve) => this.socket.write(bytes.subarray(at, at + chop), resolve));
      /* So small writes wait for each other: the kernel shall not be handed them as one. */
      await within(flushed, "bytes to leave");
    }
  }

  /** The next frame; null when the server has ended the connection in order. */
  async next() {
    while (this.#frames.length === 0) {
      if (this.#fault) throw this.#fault;
      if (this.#ended) {
        assert.equal(this.#size, 0, "the connection ends within a frame");
        return null;
      }
      await within(new Promise((resolve) => (this.#wake = resolve)), "a frame");
    }
    return this.#frames.shift();
  }

  destroy() {
    this.socket.destroy();
  }
}
