// The application's own tests: each asks something and returns what it observed. They are run directly and through convened, and must
// observe the same.
import http from "node:http";
import { WebSocket } from "ws";
import { block, drained, sha256 } from "./application.mjs";
import { within } from "./server.mjs";

/** Fields that belong to a connection and not to an answer, or that tell the time. */
const OF_CONNECTION = new Set(["connection", "keep-alive", "date"]);

/** One exchange; the body's hash when it is long. */
export function ask(url, { method = "GET", headers = {}, body, agent = false, expect } = {}) {
  const answered = new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("error", reject);
      answer.on("end", () => {
        const bytes = Buffer.concat(pieces);
        const fields = Object.entries(answer.headers).filter(([name]) => !OF_CONNECTION.has(name));
        resolve({
          status: answer.statusCode,
          message: answer.statusMessage,
          fields: Object.fromEntries(fields),
          body: bytes.length > 4000 ? `${bytes.length} ${sha256(bytes)}` : bytes.toString("latin1"),
        });
      });
    });
    request.on("error", reject);
    if (expect) expect(request);
    else if (body?.pipe) body.pipe(request);
    else if (Array.isArray(body)) send(request, body);
    else request.end(body);
  });
  return within(answered, `an answer to ${method} ${url}`);
}

/** Writes pieces at the speed at which they are taken. */
async function send(request, pieces) {
  for (const piece of pieces)
    if (!request.write(piece)) await drained(request);
  request.end();
}

const json = (value) => ({ headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
const many = (count) => Array.from({ length: count }, (_, i) => block(i));

/** What a WebSocket experiences. */
function converse(url, { path = "/ws/echo", messages = [], protocols = [], headers = {} }) {
  const log = [];
  const done = new Promise((resolve) => {
    const socket = new WebSocket(url.replace(/^http/, "ws") + path, protocols, { headers });
    let left = messages.length;
    socket.on("open", () => {
      log.push(`open ${socket.protocol || "-"} ${socket.extensions || "-"}`);
      for (const message of messages) socket.send(message);
    });
    socket.on("message", (data, isBinary) => {
      log.push(`${isBinary ? "binary" : "text"} ${data.length} ${sha256(data).slice(0, 16)}`);
      if (--left === 0 && !messages.includes("close")) socket.ping("p");
    });
    socket.on("pong", (data) => {
      log.push(`pong ${data}`);
      socket.close(1000, "enough");
    });
    socket.on("unexpected-response", (_, answer) => {
      let text = "";
      answer.on("data", (piece) => (text += piece));
      answer.on("end", () => {
        log.push(`refused ${answer.statusCode} ${answer.headers["x-why"]} ${text}`);
        resolve(log);
      });
    });
    socket.on("error", (error) => log.push(`error ${error.message}`));
    socket.on("close", (code, reason) => {
      log.push(`close ${code} ${reason}`);
      resolve(log);
    });
  });
  return within(done, "a WebSocket to end");
}

/** Reads an event stream and has each event sent when the one before it has arrived. */
function events(url) {
  const done = new Promise((resolve, reject) => {
    const request = http.get(`${url}/events`, { agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("error", () => {});
      answer.on("data", (piece) => {
        text += piece;
        const count = text.split("\n\n").length - 1;
        if (!text.endsWith("\n\n")) return;
        if (count <= 3) ask(`${url}/push/event-${count}`, { method: "POST" }).catch(reject);
        else {
          request.destroy();
          resolve({ status: answer.statusCode, type: answer.headers["content-type"], text });
        }
      });
    });
    request.on("error", () => {});
  });
  return within(done, "an event stream");
}

/** name → (url) => observation */
export const suite = {
  "JSON with every method": async (url) => {
    const seen = [];
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      seen.push(await ask(`${url}/json/a?m=${method}`, { method }));
      if (method !== "GET") seen.push(await ask(`${url}/json/b`, { method, ...json({ method, list: [1, null, "é"] }) }));
    }
    return seen;
  },
  "targets as they are": async (url) => {
    const seen = [];
    for (const path of ["/json/%2F%20%C3%A9?a=%20+b&c[]=1&c[]=2", "/json/a//b/../c/./d", "/json/?x=/../y?z", "/json/a;b=c,d'e(f)!*$&=@:~_-."])
      seen.push(await askRaw(url, path));
    return seen;
  },
  "a chunked download": (url) => ask(`${url}/download/100`),
  "a sized download": (url) => ask(`${url}/download/100?sized`),
  "a page, a range, nothing": async (url) => [
    await ask(`${url}/page`),
    await ask(`${url}/file`, { headers: { Range: "bytes=10-20" } }),
    await ask(`${url}/none`),
    await ask(`${url}/empty`),
  ],
  "sized uploads": async (url) => [
    await ask(`${url}/upload`, { method: "POST", headers: { "Content-Length": 100 * 65536 }, body: many(100) }),
    await ask(`${url}/upload`, { method: "POST", body: "small" }),
    await ask(`${url}/upload`, { method: "POST", headers: { "Content-Length": 0 } }),
  ],
  "chunked uploads": async (url) => [
    await ask(`${url}/upload`, { method: "POST", body: many(100) }),
    await ask(`${url}/upload`, { method: "POST", body: ["a", "b", "c"] }),
  ],
  "both ways at once": async (url) => [
    await ask(`${url}/echo`, { method: "POST", body: many(80) }),
    await ask(`${url}/echo`, { method: "POST", headers: { "Content-Length": 80 * 65536 }, body: many(80) }),
  ],
  "an expectation": (url) =>
    ask(`${url}/upload`, {
      method: "POST",
      headers: { Expect: "100-continue", "Content-Length": 5 },
      expect: (request) => {
        request.on("continue", () => request.end("hello"));
        request.flushHeaders();
      },
    }),
  "an event stream": events,
  cookies: (url) => ask(`${url}/cookies`, { headers: { Cookie: "a=1; b=2" } }),
  redirects: async (url) => [await ask(`${url}/redirect`), await ask(`${url}/redirect/far`)],
  errors: async (url) => [
    await ask(`${url}/nowhere`),
    await ask(`${url}/throw`),
    await ask(`${url}/teapot`).then((answer) => ({ ...answer, message: "" })), // only the number is sure to arrive
    await ask(`${url}/limited`, { method: "POST", ...json({ long: "x".repeat(1000) }) }),
    await ask(`${url}/limited`, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{" }),
    await ask(`${url}/refuse`, { method: "POST", body: "x".repeat(1000) }),
  ],
  gzip: async (url) => [
    await ask(`${url}/gzip`, { headers: { "Accept-Encoding": "gzip" } }),
    await ask(`${url}/gzip`, { headers: { "Accept-Encoding": "identity" } }),
  ],
  HEAD: async (url) => {
    const seen = [];
    for (const path of ["/page", "/json/a", "/none", "/download/2", "/download/2?sized", "/nowhere", "/redirect"])
      seen.push(await ask(url + path, { method: "HEAD" }));
    return seen;
  },
  "not modified": async (url) => {
    const first = await ask(`${url}/page`);
    const second = await ask(`${url}/page`, { headers: { "If-None-Match": first.fields.etag } });
    return [first, second, await ask(`${url}/page`, { method: "HEAD", headers: { "If-None-Match": first.fields.etag } })];
  },
  "bytes beyond ASCII in a field": (url) => ask(`${url}/latin`),
  "early hints are forgotten": (url) => ask(`${url}/hints`),
  "an answer until the end": async (url) => {
    const answer = await ask(`${url}/until-end`);
    delete answer.fields["transfer-encoding"]; // it has an end of its own behind a proxy
    return answer;
  },
  "one connection, many requests": async (url) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const seen = [];
    for (let i = 0; i < 10; i++) seen.push(await ask(`${url}/json/${i}`, { agent, method: i % 2 ? "POST" : "GET", ...(i % 2 ? json({ i }) : {}) }));
    agent.destroy();
    return seen;
  },
  "many at once": (url) => Promise.all(Array.from({ length: 60 }, (_, i) => ask(`${url}/${i % 3 ? `json/${i}` : "download/3"}`))),
  "WebSocket: text, binary, large": (url) =>
    converse(url, { messages: ["hello", "", Buffer.from([1, 2, 3]), "é".repeat(100_000), block(7, 2 ** 20)] }),
  "WebSocket: a subprotocol": (url) => converse(url, { messages: ["x"], protocols: ["first", "second"] }),
  "WebSocket: closed by the application": (url) => converse(url, { messages: ["close"] }),
  "WebSocket: cut by the application": (url) => converse(url, { messages: ["die"] }),
  "WebSocket: refused": (url) => converse(url, { path: "/ws/refused" }),
};

/** A target that no URL parser has touched. */
function askRaw(url, path) {
  const { hostname, port } = new URL(url);
  const answered = new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, path, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (piece) => (text += piece));
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("error", reject);
    request.end();
  });
  return within(answered, `an answer to ${path}`);
}
