// The bench contract on socket.io's engine for Bun, with its defaults: the second thing convene-bench-server is measured against.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { listening, serve, wantedPort } from "./contract.mjs";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
serve(io);
listening(Bun.serve({ hostname: "127.0.0.1", port: wantedPort(), ...engine.handler() }).port);
