// The events of the bench contract, the same for every runtime that socket.io is measured on, and the port they all read.
import { parseArgs } from "node:util";

export function serve(io) {
  for (const name of ["/", "/bench"]) {
    const nsp = io.of(name);
    nsp.on("connection", (socket) => {
      socket.on("echo", (...args) => args.pop()(...args));
      socket.on("join", (room, ack) => {
        socket.join(room);
        ack();
      });
      socket.on("pub", (room, payload) => nsp.to(room).emit("msg", payload));
    });
  }
}

export function wantedPort() {
  const { values } = parseArgs({
    options: { port: { type: "string", default: process.env.PORT ?? "0" } },
  });
  return Number(values.port);
}

export function listening(port) {
  console.log(`listening on 127.0.0.1:${port}`);
}
