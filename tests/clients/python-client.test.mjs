// Debian's python3-socketio as a client. The cases are in python/client.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isReference, Program, startContract, within } from "./support/server.mjs";

const script = fileURLToPath(new URL("python/client.py", import.meta.url));
const python = "/usr/bin/python3"; // Debian's, which has the package

for (const workers of isReference ? [1] : [1, 2]) {
  for (const style of ["sync", "async"]) {
    for (const way of ["polling", "websocket", "upgrade"]) {
      test(`python3-socketio, ${style}, over ${way}, ${workers} worker(s)`, async (t) => {
        const server = await startContract(t, "sio-java", { workers });
        const client = new Program(python, [script, server.url, style, way]);
        t.after(() => client.signal("SIGKILL"));
        const ended = await within(client.ended(), "the Python client", 120_000);
        assert.deepEqual(ended, { code: 0, signal: null }, client.output);
        assert.match(client.output, /^all held$/m);
      });
    }
  }
}
