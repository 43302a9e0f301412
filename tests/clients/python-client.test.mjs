// Debian's python3-socketio as a client, with JSON and with MessagePack. The cases are in python/client.py. They run beside each other:
// the synchronous client takes time, all that it is given, before it says that a namespace refused it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { isReference, Program, startContract, within } from "./support/server.mjs";

const script = fileURLToPath(new URL("python/client.py", import.meta.url));
const python = "/usr/bin/python3"; // Debian's, which has the package

describe("python3-socketio", { concurrency: 6 }, () => {
  for (const parser of ["json", "msgpack"]) {
    for (const workers of isReference ? [1] : [1, 2]) {
      for (const style of ["sync", "async"]) {
        for (const way of ["polling", "websocket", "upgrade"]) {
          it(`${style}, over ${way}, ${parser}, ${workers} worker(s)`, async (t) => {
            const server = await startContract(t, "sio-java", { workers, parser });
            const client = new Program(python, [script, server.url, style, way, parser]);
            t.after(() => client.signal("SIGKILL"));
            const ended = await within(client.ended(), "the Python client", 120_000);
            assert.deepEqual(ended, { code: 0, signal: null }, client.output);
            assert.match(client.output, /^all held$/m);
          });
        }
      }
    }
  }
});
