// The catalogue: valid AsyncAPI, the same wherever it is printed, and true: what its schemas allow the server takes, what they forbid it refuses.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { enter, startDaemon, user } from "./support/daemon.mjs";
import { exchange } from "./support/raw.mjs";
import { Program, daemonFile } from "./support/server.mjs";

const require = createRequire(import.meta.url);
const Ajv = require("ajv");
const Ajv2020 = require("ajv/dist/2020");
const addFormats = require("ajv-formats");
const asyncapi = require("@asyncapi/specs/schemas/3.0.0-without-$id.json");

async function print(...args) {
  const program = new Program(daemonFile, ["--print-asyncapi", ...args]);
  const { code } = await program.exit();
  assert.equal(code, 0, program.output);
  return program.output;
}

function* references(value) {
  if (value === null || typeof value !== "object") return;
  if (typeof value.$ref === "string") yield value.$ref;
  for (const inner of Object.values(value)) yield* references(inner);
}

function resolve(document, reference) {
  assert.match(reference, /^#\//);
  return reference.slice(2).split("/").reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);
}

/** A validator that knows what a schema of JSON cannot say: bytes. */
function validator(document, reference) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addKeyword({
    keyword: "x-convene-max-bytes",
    validate: (max, value) => Buffer.byteLength(typeof value === "string" ? value : JSON.stringify(value)) <= max,
  });
  addFormats(ajv);
  ajv.addSchema(document, "catalogue");
  const validate = ajv.getSchema(`catalogue${reference}`);
  assert.ok(validate, reference);
  return validate;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** As the catalogue says: a member that is null counts as absent. */
const withoutNulls = (value) =>
  isObject(value) ? Object.fromEntries(Object.entries(value).filter(([, it]) => it !== null).map(([key, it]) => [key, withoutNulls(it)])) : value;

/** All of an object's properties and what is required, allOf and $ref followed. */
function flatten(document, schema) {
  if (schema.$ref) return flatten(document, resolve(document, schema.$ref));
  const all = { properties: { ...schema.properties }, required: [...(schema.required ?? [])] };
  for (const part of (schema.allOf ?? []).map((it) => flatten(document, it))) {
    Object.assign(all.properties, part.properties);
    all.required.push(...part.required);
  }
  return all;
}

const wrongTypes = [null, true, false, 0, 1.5, -1, "", "x", [], {}, [null], ["x"], [1]];

/** Values at a schema's bounds and on both sides of them, and of all other types. */
function values(schema) {
  const list = [...wrongTypes];
  const texts = (min, max) => {
    for (const size of [min - 1, min, min + 1, max - 1, max, max + 1]) {
      if (size < 0 || size > 70_000) continue;
      list.push("a".repeat(size));
      if (size < 20_000) list.push("é".repeat(size), "😀".repeat(size), '"'.repeat(size));
      if (size > 0) for (const odd of ["\0", "\n", "\u007f", "\u0080", " ", "\\"]) list.push(odd + "a".repeat(size - 1));
    }
  };
  if (schema.type === "string") texts(schema.minLength ?? 0, schema.maxLength ?? 100);
  if (schema.enum) list.push(...schema.enum, ...schema.enum.map((it) => it.toUpperCase()), ...schema.enum.map((it) => ` ${it}`), schema.enum.join(","));
  if (schema.type === "integer" || schema.type === "number")
    for (const bound of [schema.minimum, schema.maximum]) list.push(bound - 1, bound, bound + 1, bound - 0.5, bound + 0.5, String(bound), bound * 10);
  if (schema.type === "array") {
    for (const size of [schema.minItems - 1, schema.minItems, schema.maxItems, schema.maxItems + 1])
      if (size >= 0) list.push(Array.from({ length: size }, (_, i) => `u${i}`));
    for (const item of values(schema.items)) list.push([item], ["first", item]);
  }
  return list;
}

const simple = (schema) =>
  schema.enum ? schema.enum[0] : schema.type === "string" ? "x".repeat(Math.max(1, schema.minLength ?? 0)) : schema.type === "array" ? Array.from({ length: Math.max(1, schema.minItems ?? 0) }, (_, i) => `u${i}`) : schema.type === "boolean" ? true : schema.type ? schema.minimum ?? 0 : {};

/** Whole payloads, one thing varied at a time. `undefined`: the event comes without one. */
function payloads(document, schema) {
  const { properties, required } = flatten(document, schema);
  const good = Object.fromEntries(required.map((name) => [name, simple(properties[name])]));
  const list = [undefined, good, {}, null, "text", 7, true, [], [good], { ...good, unknownMember: { deep: [1] }, "": 0, __proto__x: null }];
  for (const name of required) {
    const { [name]: _, ...less } = good;
    list.push(less);
  }
  for (const [name, property] of Object.entries(properties)) for (const value of values(property)) list.push({ ...good, [name]: value });
  return list;
}

const GENEROUS = ["--limits-events-per-connection", "off", "--limits-events-per-user", "off", "--limits-events-per-ip", "off"];
const short = (value) => (JSON.stringify(value) ?? "nothing").slice(0, 200);

test("is the same document from the command line and over HTTP", async (t) => {
  const daemon = await startDaemon(t);
  const served = await exchange(`${daemon.url}/asyncapi.json`);
  assert.equal(served.status, 200);
  assert.match(served.headers["content-type"], /^application\/json/);
  assert.equal(served.text, await print());
  assert.equal(served.text, await print("--dev"));
});

test("leaves a disabled namespace out, in both places", async (t) => {
  const all = JSON.parse(await print());
  const names = Object.values(all.channels).map(({ address }) => address);
  const gone = names[0];
  const daemon = await startDaemon(t, ["--server-disabled-namespaces", gone]);
  const { text } = await exchange(`${daemon.url}/asyncapi.json`);
  const served = JSON.parse(text);
  assert.deepEqual(Object.values(served.channels).map(({ address }) => address), names.slice(1));
  const key = Object.keys(all.channels)[0];
  for (const map of [served.operations, served.components.messages]) for (const name of Object.keys(map)) assert.ok(!name.startsWith(`${key}.`), name);
  assert.equal(text, await print("--dev", "--server-disabled-namespaces", gone));
});

test("is valid AsyncAPI 3.0, and every reference leads somewhere", async () => {
  const text = await print();
  const document = JSON.parse(text);
  assert.equal(JSON.stringify(document).length, text.trim().length); // no member is there twice
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
  addFormats(ajv);
  const validate = ajv.compile(asyncapi);
  assert.ok(validate(document), JSON.stringify(validate.errors, null, 1));
  const seen = new Set(references(document));
  assert.ok(seen.size > 10);
  for (const reference of seen) assert.ok(isObject(resolve(document, reference)), reference);
  for (const [name, message] of Object.entries(document.components.messages)) {
    assert.ok(new Ajv2020({ strict: false }).validateSchema(message.payload), name);
    assert.ok(seen.has(`#/components/messages/${name}`), `nobody uses ${name}`);
  }
  for (const operation of Object.values(document.operations)) assert.ok(operation.summary.length > 5);
});

test("says what the server does: every event, at every bound", async (t) => {
  const document = JSON.parse(await print());
  const classes = new Set(Object.values(document.operations).map((it) => it["x-convene-rate-class"]).filter(Boolean));
  const daemon = await startDaemon(t, [...GENEROUS, ...[...classes, "default"].flatMap((name) => ["--rate", `${name}=off`])]);
  const admin = user("ada", { app_metadata: { role: "ADMIN", org_id: "acme" } });
  let asked = 0;
  for (const operation of Object.values(document.operations)) {
    if (operation.action !== "receive") continue;
    const { address } = resolve(document, operation.channel.$ref);
    const { $ref: message } = resolve(document, operation.messages[0].$ref);
    const { $ref: reply } = resolve(document, operation.reply.messages[0].$ref);
    const { name, payload: schema } = resolve(document, message);
    const isGood = validator(document, `${message}/payload`);
    const isAnswer = validator(document, `${reply}/payload`);
    const socket = await enter(t, `${daemon.url}${address}`, admin);
    const counts = { good: 0, bad: 0 };
    for (const payload of payloads(document, schema)) {
      const answer = await (payload === undefined ? socket.ask(name) : socket.ask(name, payload));
      assert.ok(isAnswer(answer), `${name} ${short(payload)} answered ${short(answer)}: ${short(isAnswer.errors)}`);
      assert.notEqual(answer.error?.code, "RATE_LIMITED", name);
      if (answer.error?.code === "TOO_LARGE") continue; // the frame's own bound came first
      const expected = isGood(payload === undefined ? {} : withoutNulls(payload));
      const taken = answer.error?.code !== "VALIDATION";
      assert.equal(taken, expected, `${name} ${short(payload)}: the schema says ${expected} (${short(isGood.errors)}), the server ${short(answer)}`);
      counts[taken ? "good" : "bad"]++;
      asked++;
    }
    assert.ok(counts.good > 0 && counts.bad > 3, `${name} ${short(counts)}`);
    socket.disconnect();
  }
  assert.ok(asked > 100);
});
