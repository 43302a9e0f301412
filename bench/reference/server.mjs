// The bench contract on the reference implementation, with its defaults: what convene-bench-server is measured against.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const { values } = parseArgs({
  options: { port: { type: "string", default: process.env.PORT ?? "0" } },
});

const http = createServer();
const io = new Server(http);
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
http.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${http.address().port}`);
});
