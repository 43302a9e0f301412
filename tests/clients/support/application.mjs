// An application as it may stand behind convened: Express, and WebSockets of its own.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";
import express from "express";
import { WebSocketServer } from "ws";
import { within } from "./server.mjs";

const HTML = `<!doctype html><title>Application</title>${"<p>text</p>".repeat(500)}`;

/** Bytes that are the same in every run: block `index` of a download. */
export function block(index, size = 65536) {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i += 4) bytes.writeUInt32LE(((index * 2654435761) ^ (i * 40503)) >>> 0, i);
  return bytes;
}

/** Resolves when `stream` takes more, or has closed. */
export const drained = (stream) =>
  new Promise((resolve) => {
    const done = () => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

function routes(app, state) {
  app.all("/json/*", express.json(), (request, response) =>
    response.json({
      method: request.method,
      url: request.originalUrl,
      query: request.query,
      body: request.body,
      type: request.get("content-type") ?? null,
    }),
  );
  app.get("/headers", (request, response) =>
    response.json({ headers: request.headers, raw: request.rawHeaders, version: request.httpVersion }),
  );
  app.get("/trusting", (request, response) =>
    response.json({ ip: request.ip, ips: request.ips, protocol: request.protocol, hostname: request.hostname }),
  );

  app.get("/download/:blocks", async (request, response) => {
    const count = Number(request.params.blocks);
    if (request.query.sized !== undefined) response.set("Content-Length", String(count * 65536));
    response.type("application/octet-stream");
    for (let i = 0; i < count && !response.destroyed; i++) {
      if (request.query.counted !== undefined) state.written += 65536;
      if (!response.write(block(i))) await drained(response);
    }
    response.end();
  });
  app.get("/file", (_, response) => {
    response.set("Accept-Ranges", "bytes").type("html");
    const range = /^bytes=(\d+)-(\d+)$/.exec(_.get("range") ?? "");
    if (!range) return response.send(HTML);
    const [from, to] = [Number(range[1]), Number(range[2])];
    response.status(206).set("Content-Range", `bytes ${from}-${to}/${HTML.length}`).send(HTML.slice(from, to + 1));
  });
  app.post("/upload", async (request, response) => {
    const hash = createHash("sha256");
    let size = 0;
    try {
      for await (const piece of request) {
        hash.update(piece);
        size += piece.length;
      }
    } catch {
      return; // cut
    }
    response.json({ size, sha256: hash.digest("hex"), length: request.get("content-length") ?? null });
  });
  app.post("/echo", (request, response) => {
    response.type("application/octet-stream");
    request.pipe(response);
  });
  app.post("/unread", (request) => {
    state.unread = request; // never read: it fills up
    request.on("close", () => state.closed("unread"));
  });
  app.post("/limited", express.json({ limit: 100 }), (_, response) => response.json({ ok: true }));
  app.post("/refuse", (_, response) => response.status(403).send("not that"));

  app.get("/events", (request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
    response.write("retry: 1000\n\n");
    state.listeners.add(response);
    request.on("close", () => {
      state.listeners.delete(response);
      state.closed("events");
    });
  });
  app.post("/push/:text", (request, response) => {
    for (const listener of state.listeners) listener.write(`data: ${request.params.text}\n\n`);
    response.status(204).end();
  });

  app.get("/cookies", (request, response) => {
    response.cookie("one", "1", { httpOnly: true });
    response.cookie("two", "a b", { path: "/x", sameSite: "lax" });
    response.json({ cookie: request.get("cookie") ?? null });
  });
  app.get("/redirect", (_, response) => response.redirect("/json/there?x=1"));
  app.get("/redirect/far", (_, response) => response.redirect(301, "https://elsewhere.example/"));
  app.get("/back", (request, response) => response.location(`${request.protocol}://${request.get("host")}/x`).status(201).end());
  app.get("/page", (_, response) => response.send(HTML));
  app.get("/gzip", (request, response) => {
    response.vary("Accept-Encoding");
    if (!request.acceptsEncodings("gzip")) return response.type("html").send(HTML);
    response.set("Content-Encoding", "gzip").type("html").send(gzipSync(HTML));
  });
  app.get("/none", (_, response) => response.status(204).end());
  app.get("/empty", (_, response) => response.status(200).end());
  app.get("/teapot", (_, response) => {
    response.statusMessage = "A Teapot Indeed";
    response.status(418).json({ short: true, stout: true });
  });
  app.get("/latin", (_, response) => response.set("X-Latin", "caf\u00e9").end("x"));
  app.get("/throw", () => {
    throw new Error("as it happens");
  });
  app.get("/hints", (_, response) => {
    response.writeEarlyHints?.({ link: "</x.css>; rel=preload" });
    response.send("behind hints");
  });

  app.get("/silent", (request) => request.on("close", () => state.closed("silent")));
  app.get("/held", (request, response) => {
    state.held.push(response);
    state.reached("held");
  });
  app.get("/cut/:how", (request, response) => {
    if (request.params.how === "sized") response.set("Content-Length", "100000");
    if (request.params.how !== "before") response.write("x".repeat(1000));
    setImmediate(() => request.socket.destroy());
  });
  app.get("/rubbish", (request) => request.socket.end("HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\nbody"));
  app.get("/folded", (request) => request.socket.end("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\nbody"));
  app.get("/lengths", (request) =>
    request.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!"));
  app.get("/until-end", (request) => request.socket.end("HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nall of it"));
}

/** WebSockets on /ws/echo; others are refused, with words on /ws/refused. */
function webSockets(server, state) {
  const echo = new WebSocketServer({
    noServer: true,
    perMessageDeflate: { threshold: 100 },
    handleProtocols: (offered) => (offered.has("second") ? "second" : false),
  });
  echo.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => {
      if (data.toString() === "close") socket.close(4001, "as asked");
      else if (data.toString() === "die") socket.terminate();
      else if (data.toString() === "flood") flood(socket, state);
      else socket.send(data, { binary: isBinary });
    });
    socket.on("close", () => state.closed("ws"));
  });
  server.on("upgrade", (request, socket, head) => {
    if (request.url.startsWith("/ws/echo")) echo.handleUpgrade(request, socket, head, (ws) => echo.emit("connection", ws));
    else if (request.url === "/raw") {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-Raw: yes\r\n\r\nhello");
      socket.pipe(socket);
    } else socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 8\r\nX-Why: token\r\nConnection: close\r\n\r\nno entry");
  });
}

function flood(socket, state) {
  const step = () => {
    if (socket.readyState !== 1) return;
    socket.send(block(0), { binary: true }, () => {
      state.written += 65536;
      step();
    });
  };
  step();
}

/** Runs the application for the length of a test. */
export async function startApplication(t, { port = 0, trust } = {}) {
  const waiting = new Map();
  const happened = (what) => {
    const resolve = waiting.get(what)?.shift();
    if (resolve) resolve();
    else state.past.push(what);
  };
  const state = { written: 0, held: [], listeners: new Set(), past: [], closed: happened, reached: happened };
  /** Resolves when a connection of that name has closed, or a handler of that name was reached; each is told once. */
  state.told = (what) => {
    const at = state.past.indexOf(what);
    if (at >= 0) return void state.past.splice(at, 1);
    return within(new Promise((resolve) => waiting.set(what, [...(waiting.get(what) ?? []), resolve])), `the application to tell of "${what}"`);
  };
  const app = express();
  if (trust) app.set("trust proxy", trust);
  app.set("env", "test"); // no words about errors on the console
  routes(app, state);
  const server = createServer(app);
  webSockets(server, state);
  const sockets = new Set();
  state.connections = 0;
  server.on("connection", (socket) => {
    sockets.add(socket);
    state.connections++;
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  state.port = server.address().port;
  state.url = `http://127.0.0.1:${state.port}`;
  state.stop = () =>
    new Promise((resolve) => {
      server.close(resolve);
      for (const socket of sockets) socket.destroy();
    });
  state.sockets = sockets;
  t?.after(() => state.stop());
  return state;
}
