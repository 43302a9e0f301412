// A wire between a client and a server that notes what WebSocket frames pass, to see what neither end tells.
import { createServer, connect } from "node:net";

/** Collects the frames of one direction; what precedes them is the handshake. */
class Reader {
  #rest = Buffer.alloc(0);
  head = "";
  frames = [];

  feed(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    if (this.head === "") {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#rest.subarray(0, end).toString("latin1");
      this.#rest = this.#rest.subarray(end + 4);
    }
    while (this.#take());
  }

  #take() {
    const bytes = this.#rest;
    if (bytes.length < 2) return false;
    let size = bytes[1] & 0x7f;
    let header = size === 126 ? 4 : size === 127 ? 10 : 2;
    if (bytes.length < header) return false;
    if (size === 126) size = bytes.readUInt16BE(2);
    else if (size === 127) size = Number(bytes.readBigUInt64BE(2));
    if (bytes[1] & 0x80) header += 4;
    if (bytes.length < header + size) return false;
    this.frames.push({
      fin: (bytes[0] & 0x80) !== 0,
      rsv1: (bytes[0] & 0x40) !== 0,
      opcode: bytes[0] & 15,
      size,
    });
    this.#rest = bytes.subarray(header + size);
    return true;
  }
}

/** `up` is what clients send, `down` what the server does, of all connections that became WebSockets. */
export class Tap {
  #server;
  #sockets = new Set();
  #wires = [];

  static async to(t, port) {
    const tap = new Tap();
    tap.#server = createServer((client) => tap.#join(client, connect(port, "127.0.0.1")));
    await new Promise((resolve) => tap.#server.listen(0, "127.0.0.1", resolve));
    tap.url = `http://127.0.0.1:${tap.#server.address().port}`;
    t.after(() => {
      for (const socket of tap.#sockets) socket.destroy();
      tap.#server.close();
    });
    return tap;
  }

  #join(client, server) {
    const wire = { up: new Reader(), down: new Reader() };
    this.#wires.push(wire);
    const carry = (from, to, reader) => {
      this.#sockets.add(from);
      from.on("data", (data) => {
        if (reader.head === "" || wire.isWebSocket !== false) reader.feed(data);
        if (reader === wire.down && reader.head !== "")
          wire.isWebSocket ??= /^HTTP\/1\.1 101/.test(reader.head);
        to.write(data);
      });
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    };
    carry(client, server, wire.up);
    carry(server, client, wire.down);
  }

  get #webSockets() {
    return this.#wires.filter((wire) => wire.isWebSocket);
  }

  get answers() {
    return this.#webSockets.map((wire) => wire.down.head);
  }

  get up() {
    return this.#webSockets.flatMap((wire) => wire.up.frames);
  }

  get down() {
    return this.#webSockets.flatMap((wire) => wire.down.frames);
  }

  /** Sizes of the compressed data frames of a direction. */
  compressed(direction) {
    return this[direction].filter((frame) => frame.rsv1).map((frame) => frame.size);
  }
}
