// The reference implementation behind the same contracts and command line as convene-conformance: what a test must also pass on, to
// show that the test is right. `--workers` is accepted and means nothing here.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server as EngineServer } from "engine.io";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";
import { WebSocketServer } from "ws";

const { values } = parseArgs({
  options: {
    contract: { type: "string" },
    port: { type: "string", default: "0" },
    workers: { type: "string", default: "1" },
    deflate: { type: "boolean", default: false },
    parser: { type: "string", default: "json" },
  },
});

const http = createServer();
const noop = () => {};
const compression = values.deflate ? { perMessageDeflate: { threshold: 1 }, httpCompression: { threshold: 1 } } : {};

function engine(options, onConnection, prepare = noop) {
  const server = new EngineServer({ ...options, ...compression });
  server.attach(http, { path: "/engine.io/" });
  prepare(server);
  server.on("connection", onConnection);
  return () => server.close();
}

function socketio(options, setup) {
  const packets = values.parser === "msgpack" ? { parser: msgpack } : {};
  const server = new Server(http, { ...options, ...compression, ...packets });
  setup(server);
  return () => server.close();
}

const dateNow = () => new Date();

function clientContract(io) {
  for (const name of ["/timeout_socket", "/valid", "/asd"]) io.of(name);
  io.of("/foo").on("connection", (s) => s.on("getId", (ack) => ack(s.id)));
  io.of("/abc").on("connection", (s) => s.emit("handshake", s.handshake));
  io.of("/no").use((s, next) => next(new Error("Auth failed (custom namespace)")));
  io.use((s, next) =>
    next(s.request._query.fail ? new Error("Auth failed (main namespace)") : undefined),
  );
  io.on("connection", (s) => {
    let step = 0;
    s.on("hi", () => s.emit("hi"));
    s.on("echo", (x, ack) => ack(x));
    s.on("ack", () => s.emit("ack", (a, b) => a === 5 && b.test === true && s.emit("got it")));
    s.on("getAckDate", (...args) => args.pop()(dateNow()));
    s.on("getDate", () => s.emit("takeDate", dateNow()));
    s.on("getDateObj", () => s.emit("takeDateObj", { date: dateNow() }));
    s.on("getUtf8", () => {
      for (const text of ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"])
        s.emit("takeUtf8", text);
    });
    s.on("false", () => s.emit("false", false));
    s.on("doge", () => s.emit("doge", Buffer.from("asdfasdf")));
    s.on("getbin", () => s.emit("takebin", Buffer.from("asdfasdf")));
    s.on("buffa", (b) => Buffer.isBuffer(b) && s.emit("buffack"));
    const isJsonBytes = (o) =>
      o.hello === "lol" && Buffer.isBuffer(o.message) && o.goodbye === "gotcha";
    s.on("jsonbuff", (o) => isJsonBytes(o) && s.emit("jsonbuff-ack"));
    s.on("jsonblob", (o) => isJsonBytes(o) && s.emit("jsonblob-ack"));
    s.on("abuff1", (b) => (step = Buffer.isBuffer(b) ? 1 : 0));
    s.on("abuff2", () => step === 1 && s.emit("abuff2-ack"));
    s.on("blob", (b) => Buffer.isBuffer(b) && s.emit("back"));
    s.on("blob1", (b) => (step = Buffer.isBuffer(b) ? 1 : 0));
    s.on("blob2", (x) => step === 1 && x === "second" && (step = 2));
    s.on("blob3", (b) => step === 2 && Buffer.isBuffer(b) && s.emit("blob3-ack"));
    s.on("getHandshake", (ack) => ack(s.handshake));
    s.on("getId", (ack) => ack(s.id));
  });
}

function javaContract(io) {
  const giveBack = (headers, request) => {
    if (request.headers["x-socketio"]) headers["X-SocketIO"] = request.headers["x-socketio"];
  };
  io.engine.on("headers", giveBack);
  for (const name of ["/timeout_socket", "/valid", "/asd"]) io.of(name);
  io.of("/abc").on("connection", (s) => s.emit("handshake", s.handshake));
  io.of("/no").use((s, next) => {
    const error = new Error("auth failed");
    error.data = { a: "b", c: 3 };
    next(error);
  });
  for (const nsp of [io.of("/"), io.of("/foo")]) {
    nsp.on("connection", (s) => {
      s.send("hello client");
      s.on("message", (...args) => s.send(...args));
      s.on("echo", (...args) => s.emit("echoBack", ...args));
      s.on("ack", (...args) => args.pop()(...args));
      const callAck = () => s.emit("ack", true, (...args) => s.emit("ackBack", ...args));
      s.on("callAck", callAck);
      s.on("callAckBinary", callAck);
      s.on("getAckBinary", (...args) => args.pop()(Buffer.from("huehue")));
      s.on("getAckDate", (...args) => args.pop()(dateNow()));
      s.on("broadcast", (...args) => s.broadcast.emit("broadcastBack", ...args));
      s.on("room", (...args) => nsp.to(s.id).emit("roomBack", ...args));
      s.on("requestDisconnect", () => s.disconnect());
      s.on("getHandshake", (...args) => args.pop()(s.handshake));
    });
  }
}

const contracts = {
  "eio-echo": () =>
    engine(
      { pingInterval: 300, pingTimeout: 200, maxHttpBufferSize: 1e6, cors: { origin: "*" } },
      (s) => s.on("message", (data) => s.send(data)),
    ),
  "eio-client": () =>
    engine(
      {
        pingInterval: 500,
        maxHttpBufferSize: 100,
        allowRequest: (request, done) => done(null, !request._query.deny),
      },
      (s) => {
        s.send("hi");
        s.on("message", (data) => {
          if (data === "give binary") s.send(Buffer.from([0, 1, 2, 3, 4]));
          else if (data === "give utf8") s.send("пойду спать всем спокойной ночи");
          else if (data === "sendHeaders") s.send(JSON.stringify(s.request.headers));
          else s.send(data);
        });
      },
      (server) =>
        server.on("initial_headers", (headers) => {
          headers["set-cookie"] = [
            "1=1; Max-Age=86400",
            "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
            "3=3; Max-Age=0",
            `4=4; Expires=${new Date().toUTCString()}`,
          ];
        }),
    ),
  "eio-java": () =>
    engine(
      { pingInterval: 500 },
      (s) => {
        s.send("hi");
        s.on("message", (data) => s.send(data));
      },
      (server) =>
        server.on("headers", (headers, request) => {
          if (request.headers["x-engineio"])
            headers["X-EngineIO"] = ["hi", request.headers["x-engineio"]];
        }),
    ),
  "sio-proto": () =>
    socketio(
      { pingInterval: 300, pingTimeout: 200, maxHttpBufferSize: 1e6, connectTimeout: 1000, cors: { origin: "*" } },
      (io) => {
        io.on("connection", (s) => {
          s.emit("auth", s.handshake.auth);
          s.on("message", (...args) => s.emit("message-back", ...args));
          s.on("message-with-ack", (...args) => args.pop()(...args));
        });
        io.of("/custom").on("connection", (s) => s.emit("auth", s.handshake.auth));
      },
    ),
  "sio-client": () =>
    socketio(
      {
        pingInterval: 2000,
        connectionStateRecovery: {},
        cors: { origin: true, credentials: true },
        allowRequest: (request, done) => setTimeout(() => done(null, true), 10),
      },
      clientContract,
    ),
  "ws-echo": () => {
    const server = new WebSocketServer({
      server: http,
      maxPayload: 16 << 20,
      perMessageDeflate: values.deflate && { threshold: 1 },
    });
    server.on("connection", (ws) => {
      ws.on("error", noop);
      ws.on("message", (data, binary) => ws.send(data, { binary }));
    });
    return () => server.close();
  },
  "sio-java": () => socketio({ pingInterval: 2000, cors: { origin: "*" } }, javaContract),
};

if (!(values.contract in contracts)) {
  console.error(`contracts: ${Object.keys(contracts).join(" ")}`);
  process.exit(2);
}
const close = contracts[values.contract]();
http.listen(Number(values.port), "127.0.0.1", () =>
  console.log(`listening on 127.0.0.1:${http.address().port}`),
);
process.on("SIGTERM", () => {
  close();
  http.closeAllConnections?.();
  http.close();
  setTimeout(() => process.exit(0), 50).unref();
});
