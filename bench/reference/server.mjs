// The bench contract on the reference implementation, with its defaults: what convene-bench-server is measured against.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { listening, serve, wantedPort } from "./contract.mjs";

const http = createServer();
serve(new Server(http));
http.listen(wantedPort(), "127.0.0.1", () => listening(http.address().port));
