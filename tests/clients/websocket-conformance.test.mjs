// The case groups of the Autobahn test suite, as tests of our own against an echo server over real sockets. A title begins with the
// number that the case has there, so that reports can be compared. Judged stricter than there: exactly the frames that are
// expected, in their order, with exactly the expected status, and then the end of the connection; where the suite would also take
// less ("non-strict"), only the strict outcome passes.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { WebSocket } from "ws";
import { isReference, once, startContract } from "./support/server.mjs";
import { BINARY, CLOSE, CONTINUATION, describe as show, encodeFrame, PING, PONG, TEXT, WebSocketPeer } from "./support/websocket.mjs";

const KiB = 1024;
const MiB = 1024 * KiB;
const LARGEST = 16 * MiB; // what the echo server takes
const MOST_FRAGMENTS = 65536;

/* --- Words for frames --- */

const bytes = (payload) => (typeof payload === "string" ? Buffer.from(payload) : payload);
const hex = (digits) => Buffer.from(digits.replaceAll(" ", ""), "hex");
const frame = (opcode, payload = "", more = {}) => ({ opcode, payload: bytes(payload), ...more });
const text = (payload, more) => frame(TEXT, payload, more);
const binary = (payload, more) => frame(BINARY, payload, more);
const more = (payload, options) => frame(CONTINUATION, payload, options);
const ping = (payload, options) => frame(PING, payload, options);
const pong = (payload, options) => frame(PONG, payload, options);
const close = (status, reason = "") => {
  const payload = Buffer.alloc(2 + bytes(reason).length);
  payload.writeUInt16BE(status);
  bytes(reason).copy(payload, 2);
  return frame(CLOSE, payload);
};
const OPEN = { fin: false }; // of a frame that others continue

/** A message as fragments of `size` bytes. */
function fragments(opcode, payload, size) {
  const frames = [];
  for (let at = 0; at < payload.length || at === 0; at += size)
    frames.push(frame(at === 0 ? opcode : CONTINUATION, payload.subarray(at, at + size), { fin: at + size >= payload.length }));
  return frames;
}

const PATTERN = Buffer.alloc(LARGEST); // text in which no piece looks like its neighbour
for (let i = 0; i < LARGEST; i++) PATTERN[i] = 33 + ((i * 13 + (i >> 8)) % 90);
const pattern = (size) => PATTERN.subarray(0, size);

/* --- A case: frames go out, frames come back, and the end --- */

const EACH_FRAME = "frame"; // a write each; a number is how many octets go out in one write

async function say(peer, { say: frames = [], raw, chop }) {
  if (raw) {
    await peer.send(raw);
  } else if (chop === EACH_FRAME) {
    for (const one of frames) await peer.send(encodeFrame(one));
  } else {
    await peer.send(Buffer.concat(frames.map(encodeFrame)), chop);
  }
}

async function hear(peer, expected) {
  const heard = await peer.next();
  assert.ok(heard, `the connection ended before: ${show(expected)}`);
  const same = heard.opcode === expected.opcode && heard.fin && heard.rsv === 0 && heard.payload.equals(expected.payload);
  if (!same) assert.equal(show(heard), show(expected));
  assert.ok(same);
}

/**
 * `steps`, or one of them: say these frames (or `raw` bytes), hear those. `behind` are frames that are said with the request. Then the end: `fails` is the status with which the server must refuse
 * what it was told, `closes` the close frame with which it must answer the client's, and with neither of them the client closes.
 */
async function run(port, { steps, fails, closes, behind = [], ...only }) {
  const peer = await WebSocketPeer.connect(port, { behind: Buffer.concat(behind.map(encodeFrame)) });
  try {
    for (const step of steps ?? [only]) {
      await say(peer, step);
      for (const expected of step.hear ?? []) await hear(peer, expected);
    }
    if (!fails && !closes) await say(peer, { say: [close(1000)] });
    await hear(peer, closes ?? close(fails ?? 1000));
    assert.equal(await peer.next(), null);
  } finally {
    peer.destroy();
  }
}

const groups = [];
const group = (title, ...cases) => groups.push({ title, cases: cases.flat() });
const one = (id, title, script, { reference } = {}) => ({ id, title, script, reference }); // `reference`: what that does instead
/** A case for each of `values`, numbered from 1. */
const each = (id, values, make) => values.map((value, i) => ({ id: `${id}.${i + 1}`, ...make(value) }));

/* --- 1 to 5: frames --- */

const framed = (id, make) => [
  ...each(id, [0, 125, 126, 127, 128, 65535, 65536], (size) => ({
    title: `a message of ${size} octets`,
    script: { say: [make(pattern(size))], hear: [make(pattern(size))] },
  })),
  one(`${id}.8`, "a message of 65536 octets, 997 in a write", { say: [make(pattern(65536))], chop: 997, hear: [make(pattern(65536))] }),
];
group("1.1 framing, text", framed("1.1", text));
group("1.2 framing, binary", framed("1.2", binary));

const tenPings = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
group(
  "2 pings and pongs",
  one("2.1", "a ping without a payload", { say: [ping()], hear: [pong()] }),
  one("2.2", "a ping with text", { say: [ping("Hello, world!")], hear: [pong("Hello, world!")] }),
  one("2.3", "a ping with bytes that are no text", { say: [ping(hex("00fffefdfcfb00ff"))], hear: [pong(hex("00fffefdfcfb00ff"))] }),
  one("2.4", "a ping of 125 octets", { say: [ping(Buffer.alloc(125, 0xfe))], hear: [pong(Buffer.alloc(125, 0xfe))] }),
  one("2.5", "a ping of 126 octets", { say: [ping(Buffer.alloc(126, 0xfe))], fails: 1002 }),
  one("2.6", "a ping of 125 octets, octet by octet", { say: [ping(Buffer.alloc(125, 0xfe))], chop: 1, hear: [pong(Buffer.alloc(125, 0xfe))] }),
  one("2.7", "a pong nobody asked for", { say: [pong()] }),
  one("2.8", "a pong nobody asked for, with a payload", { say: [pong("unsolicited")] }),
  one("2.9", "a pong nobody asked for, then a ping", { say: [pong("unsolicited"), ping("asked")], hear: [pong("asked")] }),
  one("2.10", "ten pings at once", { say: tenPings.map((p) => ping(p)), hear: tenPings.map((p) => pong(p)) }),
  one("2.11", "ten pings, octet by octet", { say: tenPings.map((p) => ping(p)), chop: 1, hear: tenPings.map((p) => pong(p)) }),
);

const HELLO = "Hello, world!";
const behindText = (wrong, chop) => ({ say: [text(HELLO), wrong, ping()], chop, hear: [text(HELLO)], fails: 1002 });
group(
  "3 reserved bits",
  one("3.1", "text with bits 1", { say: [text(HELLO, { rsv: 1 })], fails: 1002 }),
  one("3.2", "text with bits 2, behind a good message", behindText(text(HELLO, { rsv: 2 }))),
  one("3.3", "text with bits 3, a write a frame", behindText(text(HELLO, { rsv: 3 }), EACH_FRAME)),
  one("3.4", "text with bits 4, octet by octet", behindText(text(HELLO, { rsv: 4 }), 1)),
  one("3.5", "binary with bits 5", { say: [binary(Buffer.alloc(8, 0xff), { rsv: 5 })], fails: 1002 }),
  one("3.6", "a ping with bits 6", { say: [ping(HELLO, { rsv: 6 })], fails: 1002 }),
  one("3.7", "a close frame with bits 7", { say: [{ ...close(1000), rsv: 7 }], fails: 1002 }),
);

const reserved = (id, [first, second, ...others]) => [
  one(`${id}.1`, `opcode ${first}`, { say: [frame(first)], fails: 1002 }),
  one(`${id}.2`, `opcode ${second} with a payload`, { say: [frame(second, "reserved opcode payload")], fails: 1002 }),
  one(`${id}.3`, `opcode ${others[0]} behind a good message`, behindText(frame(others[0]))),
  one(`${id}.4`, `opcode ${others[1]} with a payload behind a good message`, behindText(frame(others[1], HELLO))),
  one(`${id}.5`, `opcode ${others[2]} with a payload, octet by octet`, behindText(frame(others[2], HELLO), 1)),
];
group("4.1 reserved opcodes", reserved("4.1", [3, 4, 5, 6, 7]));
group("4.2 reserved opcodes of control frames", reserved("4.2", [11, 12, 13, 14, 15]));

/** The same frames in one write, in a write each, and octet by octet. */
const threeWays = (section, from, title, script) =>
  [undefined, EACH_FRAME, 1].map((chop, i) => ({
    id: `${section}.${from + i}`,
    title: `${title}, ${["in one write", "a write a frame", "octet by octet"][i]}`,
    script: { ...script, chop },
  }));
const PIECES = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"];
const whole = PIECES[0] + PIECES[1];
const strayMore = (fin) => [more(PIECES[0], { fin }), text(PIECES[1], OPEN), more(PIECES[2])];
const longMessage = (chop) => ({
  steps: [
    { say: [text(PIECES[0], OPEN), more(PIECES[1], OPEN), ping("pongme 1!")], chop, hear: [pong("pongme 1!")] },
    {
      say: [more(PIECES[2], OPEN), more(PIECES[3], OPEN), ping("pongme 2!"), more(PIECES[4])],
      chop,
      hear: [pong("pongme 2!"), text(PIECES.join(""))],
    },
  ],
});
group(
  "5 fragmentation",
  one("5.1", "a ping in two fragments", { say: [ping(PIECES[0], OPEN), more(PIECES[1])], fails: 1002 }),
  one("5.2", "a pong in two fragments", { say: [pong(PIECES[0], OPEN), more(PIECES[1])], fails: 1002 }),
  threeWays("5", 3, "text in two fragments", { say: [text(PIECES[0], OPEN), more(PIECES[1])], hear: [text(whole)] }),
  threeWays("5", 6, "a ping between the fragments", {
    say: [text(PIECES[0], OPEN), ping("ping payload"), more(PIECES[1])],
    hear: [pong("ping payload"), text(whole)],
  }),
  threeWays("5", 9, "a last fragment without a first", { say: [more("non-continuation payload"), text(HELLO)], fails: 1002 }),
  threeWays("5", 12, "a fragment without a first", { say: [more("non-continuation payload", OPEN), text(HELLO)], fails: 1002 }),
  one("5.15", "a fragment behind a message that has ended", {
    say: [text(PIECES[0], OPEN), more(PIECES[1]), more(PIECES[2], OPEN), text(PIECES[3])],
    hear: [text(whole)],
    fails: 1002,
  }),
  one("5.16", "twice a fragment without a first, and then a message", { say: [strayMore(false), strayMore(false)].flat(), fails: 1002 }),
  one("5.17", "twice a last fragment without a first, and then a message", { say: [strayMore(true), strayMore(true)].flat(), fails: 1002 }),
  one("5.18", "a message within a message", { say: [text(PIECES[0], OPEN), text(PIECES[1])], fails: 1002 }),
  one("5.19", "five fragments and two pings, with a pause for the pong", longMessage()),
  one("5.20", "five fragments and two pings, a write a frame", longMessage(EACH_FRAME)),
);

/* --- 6: UTF-8 --- */

const GREEK = hex("ce ba e1 bd b9 cf 83 ce bc ce b5"); // eleven octets, five letters
const GERMAN = "Hello-µ@ßöäüàá-UTF-8!!";
const octets = (payload) => fragments(TEXT, bytes(payload), 1);
const spoilt = Buffer.concat([GREEK, hex("ed a0 80"), Buffer.from("edited")]); // a surrogate
group(
  "6.1 empty text",
  one("6.1.1", "a message without octets", { say: [text("")], hear: [text("")] }),
  one("6.1.2", "three fragments without octets", { say: [text("", OPEN), more("", OPEN), more("")], hear: [text("")] }),
  one("6.1.3", "three fragments, the middle one not empty", { say: [text("", OPEN), more("middle", OPEN), more("")], hear: [text("middle")] }),
);
group(
  "6.2 valid text",
  one("6.2.1", "in one frame", { say: [text(GERMAN)], hear: [text(GERMAN)] }),
  one("6.2.2", "in two fragments, between letters", { say: [text("Hello-µ@ßöä", OPEN), more("üàá-UTF-8!!")], hear: [text(GERMAN)] }),
  one("6.2.3", "a fragment an octet", { say: octets(GERMAN), hear: [text(GERMAN)] }),
  one("6.2.4", "a fragment an octet, letters of two and three octets", { say: octets(GREEK), hear: [text(GREEK)] }),
);
group(
  "6.3 invalid text",
  one("6.3.1", "in one frame", { say: [text(spoilt)], fails: 1007 }),
  one("6.3.2", "a fragment an octet", { say: octets(spoilt), fails: 1007 }),
);

// Above U+10FFFF: its second octet, the thirteenth of all, is the one that no text can have.
const tooHigh = Buffer.concat([GREEK, hex("f4 90 80 80"), Buffer.from("edited")]);
const cut = (...at) => [0, ...at].map((from, i) => tooHigh.subarray(from, at[i]));
/** Fragments; a ping tells that the first has been read and nothing is wrong with it. The third never comes. */
const refusedAtSecond = ([first, second]) => ({
  steps: [{ say: [text(first, OPEN), ping("so far")], hear: [pong("so far")] }, { say: [more(second, OPEN)] }],
  fails: 1007,
});
/** Pieces of one frame: the octets up to `from` are text so far, those up to `to` are not, and the others never come. */
const refusedWithin = (from, to) => {
  const encoded = encodeFrame(text(tooHigh));
  const head = encoded.length - tooHigh.length;
  return { steps: [{ raw: encoded.subarray(0, head + from) }, { raw: encoded.subarray(head + from, head + to) }], fails: 1007 };
};
const ITS_END = { reference: "it looks when the message is whole" };
group(
  "6.4 invalid text is refused at once",
  one("6.4.1", "at the fragment that spoils it", refusedAtSecond(cut(11, 15)), ITS_END),
  one("6.4.2", "at the fragment whose only octet spoils it", refusedAtSecond(cut(12, 13)), ITS_END),
  one("6.4.3", "within a frame, when the write comes that spoils it", refusedWithin(11, 15), ITS_END),
  one("6.4.4", "within a frame, when the octet comes that spoils it", refusedWithin(12, 13), ITS_END),
);

const sequences = (id, title, valid, list) =>
  group(
    `${id} ${title}`,
    each(id, list, (sequence) => {
      const payload = Buffer.isBuffer(sequence) ? sequence : hex(sequence);
      const script = { say: [text(payload)], ...(valid(payload) ? { hear: [text(payload)] } : { fails: 1007 }) };
      return { title: payload.length > 24 ? `${payload.subarray(0, 24).toString("hex")}...` : payload.toString("hex"), script };
    }),
  );
const yes = () => true;
const no = () => false;
const repeated = (from, to, make) => Buffer.concat(Array.from({ length: to - from }, (_, i) => Buffer.from(make(from + i))));
const lonely = (from, to) => repeated(from, to, (c) => [c, 0x20]);
const cutShort = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"];
const planes = Array.from({ length: 17 }, (_, plane) => [0xfffe, 0xffff].map((low) => Buffer.from(String.fromCodePoint(plane * 65536 + low)))).flat();
const isWholeGreek = (payload) => [2, 5, 7, 9, 11].includes(payload.length); // its letters end there

sequences("6.5", "letters of one to four octets", yes, [
  ...["hello$world", "hello¢world", "hello€world", "hello𤭢world"].map((s) => Buffer.from(s)),
  GREEK,
]);
sequences("6.6", "every beginning of a text", isWholeGreek, Array.from(GREEK, (_, i) => GREEK.subarray(0, i + 1)));
sequences("6.7", "the first character of each length", yes, ["00", "c280", "e0a080", "f0908080"]);
sequences("6.8", "the first of five and six octets", no, ["f888808080", "fc8480808080"]);
sequences("6.9", "the last character of each length", yes, ["7f", "dfbf", "efbfbf", "f48fbfbf"]);
sequences("6.10", "the last of four, five and six octets", no, ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"]);
sequences("6.11", "other borders", (p) => p[1] !== 0x90, ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "f4908080"]);
sequences("6.12", "continuations of nothing", no, [
  ...["80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf"],
  repeated(0x80, 0xbf, (c) => [c]),
]);
sequences("6.13", "beginnings without an end", no, [lonely(0xc0, 0xdf), lonely(0xe0, 0xef), lonely(0xf0, 0xf7), lonely(0xf8, 0xfb), lonely(0xfc, 0xfd)]);
sequences("6.14", "the last octet missing", no, cutShort);
sequences("6.15", "incomplete characters in a row", no, [cutShort.join("")]);
sequences("6.16", "octets that no text has", no, ["fe", "ff", "fefeffff"]);
sequences("6.17", "a slash in too many octets", no, ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"]);
sequences("6.18", "the highest in too many octets", no, ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"]);
sequences("6.19", "NUL in too many octets", no, ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"]);
sequences("6.20", "surrogates", no, ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"]);
sequences(
  "6.21",
  "pairs of surrogates",
  no,
  ["eda080", "edadbf", "edae80", "edafbf"].flatMap((high) => ["edb080", "edbfbf"].map((low) => high + low)),
);
sequences("6.22", "code points that are no characters, and text all the same", yes, planes);
sequences("6.23", "specials", yes, Array.from({ length: 7 }, (_, i) => Buffer.from(String.fromCodePoint(0xfff9 + i))));

/* --- 7: closing --- */

const CLOSED = { closes: close(1000) };
group(
  "7.1 what comes along with a close frame",
  one("7.1.1", "a message before it", { say: [text("Hello World!")], hear: [text("Hello World!")] }),
  one("7.1.2", "a second close frame", { say: [close(1000), close(1000)], ...CLOSED }),
  one("7.1.3", "a ping behind it", { say: [close(1000), ping()], ...CLOSED }),
  one("7.1.4", "text behind it", { say: [close(1000), text("late")], ...CLOSED }),
  one("7.1.5", "between two fragments", { say: [text(PIECES[0], OPEN), close(1000), more(PIECES[1])], ...CLOSED }),
  one("7.1.6", "two messages before it, a ping behind it", {
    say: [text(pattern(256 * KiB)), text("Hello World!"), close(1000), ping()],
    hear: [text(pattern(256 * KiB)), text("Hello World!")],
    ...CLOSED,
  }),
);
const BACK = { reference: "it sends the reason back" };
group(
  "7.3 payloads of close frames",
  one("7.3.1", "none", { say: [frame(CLOSE)], closes: frame(CLOSE) }),
  one("7.3.2", "one octet", { say: [frame(CLOSE, "a")], fails: 1002 }),
  one("7.3.3", "a status", { say: [close(1000)], ...CLOSED }),
  one("7.3.4", "a status and a reason", { say: [close(1000, "Hello World!")], ...CLOSED }, BACK),
  one("7.3.5", "a status and a reason of 123 octets", { say: [close(1000, "*".repeat(123))], ...CLOSED }, BACK),
  one("7.3.6", "a status and a reason of 124 octets", { say: [close(1000, "*".repeat(124))], fails: 1002 }),
);
group("7.5 reasons", one("7.5.1", "a reason that is no text", { say: [close(1000, spoilt)], fails: 1007 }));
group(
  "7.7 valid statuses",
  each("7.7", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999], (status) => ({
    title: `status ${status}`,
    script: { say: [close(status)], closes: close(status) },
  })),
);
const refusedStatuses = (id, list) => each(id, list, (status) => ({ title: `status ${status}`, script: { say: [close(status)], fails: 1002 } }));
group("7.9 invalid statuses", refusedStatuses("7.9", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]));
group("7.13 statuses beyond the range", refusedStatuses("7.13", [5000, 65535]));

/* --- 9 and 10: sizes --- */

const large = (id, make) =>
  each(id, [64 * KiB, 256 * KiB, MiB, 4 * MiB, 8 * MiB, 16 * MiB], (size) => ({
    title: `${size / KiB} KiB`,
    script: { say: [make(pattern(size))], hear: [make(pattern(size))] },
  }));
const inFragments = (id, make, opcode) =>
  each(id, [64, 256, KiB, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB], (size) => ({
    title: `4 MiB in fragments of ${size} octets`,
    script: { say: fragments(opcode, pattern(4 * MiB), size), hear: [make(pattern(4 * MiB))] },
  }));
const inChops = (id, make) =>
  each(id, [64, 128, 256, 512, KiB, 2 * KiB], (chop) => ({
    title: `1 MiB, ${chop} octets in a write`,
    script: { say: [make(pattern(MiB))], chop, hear: [make(pattern(MiB))] },
  }));
const inTurns = (id, make) =>
  each(id, [0, 16, 64, 256, KiB, 4 * KiB], (size) => ({
    title: `a thousand messages of ${size} octets, one at a time`,
    script: { steps: Array.from({ length: 1000 }, () => ({ say: [make(pattern(size))], hear: [make(pattern(size))] })) },
  }));
group("9.1 large text", large("9.1", text));
group("9.2 large binary messages", large("9.2", binary));
group("9.3 large text in fragments", inFragments("9.3", text, TEXT));
group("9.4 large binary messages in fragments", inFragments("9.4", binary, BINARY));
group("9.5 text in small writes", inChops("9.5", text));
group("9.6 binary messages in small writes", inChops("9.6", binary));
group("9.7 turns of text", inTurns("9.7", text));
group("9.8 turns of binary messages", inTurns("9.8", binary));
group(
  "10 fragments that do not divide the message",
  one("10.1.1", "65536 octets in fragments of 1300", { say: fragments(TEXT, pattern(65536), 1300), hear: [text(pattern(65536))] }),
);

/* --- 12 and 13: permessage-deflate (RFC 7692) --- */

const OFFER = "permessage-deflate; client_no_context_takeover; client_max_window_bits";
const ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"; // whatever was offered
const COMPRESSED = 4; // the bit, among the reserved ones
const VOLUME = 256 * KiB; // what a case sends, so that all of them end soon
const END = hex("0000ffff"); // of every compressed message, and left out of it

const squeeze = (payload) => deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
const expand = (payload, windowBits) =>
  inflateRawSync(Buffer.concat([payload, END]), { finishFlush: constants.Z_SYNC_FLUSH, windowBits, maxOutputLength: LARGEST });

/** `count` messages of `size` octets out of `data`, in fragments when that is a size, one at a time. */
async function runCompressed(port, { offer, answer, windowBits, opcode, data, size, fragment }) {
  const peer = await WebSocketPeer.connect(port, { offer });
  const count = Math.max(2, Math.min(100, VOLUME / size));
  let smaller = 0;
  try {
    assert.equal(peer.extensions, answer);
    for (let i = 0; i < count; i++) {
      const from = (i * size) % (data.length - size);
      const payload = data.subarray(from, from + size);
      const frames = fragments(opcode, squeeze(payload), fragment);
      frames[0].rsv = COMPRESSED;
      await say(peer, { say: frames });
      const heard = await peer.next();
      assert.equal(heard?.opcode, opcode);
      assert.ok(heard.fin && (heard.rsv === 0 || heard.rsv === COMPRESSED));
      const plain = heard.rsv === 0 ? heard.payload : expand(heard.payload, windowBits);
      assert.ok(plain.equals(payload), `message ${i}`);
      smaller += heard.payload.length < size;
    }
    if (size >= 1024) assert.ok(smaller > 0, "nothing was compressed");
    await say(peer, { say: [close(1000)] });
    await hear(peer, close(1000));
    assert.equal(await peer.next(), null);
  } finally {
    peer.destroy();
  }
}

/** Octets out of pieces, which are numbered. */
function write(make) {
  const pieces = [];
  for (let i = 0, size = 0; size < 2 * VOLUME; i++) {
    pieces.push(Buffer.from(make(i)));
    size += pieces[i].length;
  }
  return Buffer.concat(pieces);
}
let state = 7;
const chance = (limit) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) % 65521 % limit;
const words = "Habe nun ach Philosophie Juristerei und Medizin durchaus studiert mit heißem Bemühn da steh ich armer Tor".split(" ");
const json = write((i) => JSON.stringify({ id: i, name: `user ${chance(1000)}`, online: chance(2) > 0, seen: chance(60000) }) + ",");
const html = write((i) => `<li class="item item-${chance(9)}"><a href="/page/${i}">Page ${chance(1000)}</a></li>\n`);
const picture = write((i) => Array.from({ length: 512 }, (_, x) => ((x + i) >> 2) + chance(3)));
const prose = write((i) => words[chance(words.length)] + (i % 9 === 8 ? ".\n" : " "));
const document = write((i) => (i % 4 === 0 ? `${i} 0 obj << /Length 512 >> stream\n` : Array.from({ length: 128 }, () => chance(256))));

const SIZES = [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072].map((size) => [size, Infinity]);
for (const size of [8192, 16384, 32768, 65536, 131072]) SIZES.push([size, 256]);
for (const fragment of [1024, 4096, 32768]) SIZES.push([131072, fragment]);
const squeezed = (id, title, data, opcode, { offer = OFFER, windowBits = 15, answer = ANSWER } = {}) =>
  group(
    `${id} ${title}`,
    each(id, SIZES, ([size, fragment]) => ({
      title: `messages of ${size} octets${fragment === Infinity ? "" : ` in fragments of ${fragment}`}`,
      compressed: { offer, answer, windowBits, opcode, data, size, fragment },
    })),
  );
squeezed("12.1", "compressed JSON", json, TEXT);
squeezed("12.2", "a compressed picture", picture, BINARY);
squeezed("12.3", "compressed prose, as binary messages", prose, BINARY);
squeezed("12.4", "compressed HTML", html, TEXT);
squeezed("12.5", "a compressed document that is compressed in part", document, BINARY);

const small = { offer: `${OFFER}; server_max_window_bits=9`, windowBits: 9, answer: `${ANSWER}; server_max_window_bits=9` };
const largest = { offer: `${OFFER}; server_max_window_bits=15`, answer: `${ANSWER}; server_max_window_bits=15` };
const alone = "; server_no_context_takeover"; // a message must not refer to earlier ones
squeezed("13.1", "the usual offer", json, TEXT);
squeezed("13.2", "an offer without references to earlier messages", json, TEXT, { offer: OFFER + alone });
squeezed("13.3", "an offer of the smallest window", json, TEXT, small);
squeezed("13.4", "an offer of the largest window", json, TEXT, largest);
squeezed("13.5", "an offer of the smallest window without references to earlier messages", json, TEXT, { ...small, offer: small.offer + alone });
squeezed("13.6", "an offer of the largest window without references to earlier messages", json, TEXT, { ...largest, offer: largest.offer + alone });
squeezed("13.7", "three offers", json, TEXT, { ...small, offer: `${small.offer + alone}, ${OFFER + alone}, ${OFFER}` });

/* --- What the suite does not ask --- */

const oneTooMany = Array.from({ length: MOST_FRAGMENTS + 1 }, (_, i) => frame(i === 0 ? BINARY : CONTINUATION, "", { fin: i === MOST_FRAGMENTS }));
const tooLarge = Buffer.concat([hex("82 ff 00000000 01000001"), hex("01020304")]); // a header that announces LARGEST + 1 octets
group(
  "beyond the suite",
  one("limit", "a frame that is too large is refused by its header", { raw: tooLarge, fails: 1009 }),
  one("limit", "fragments that are too large together", { say: [binary(pattern(LARGEST), OPEN), more("x")], fails: 1009 }),
  one("limit", "too many fragments", { say: oneTooMany, fails: 1009 }, { reference: "it counts none" }),
  one("handshake", "frames that come along with the request", { behind: [text(HELLO), ping()], hear: [text(HELLO), pong()] }),
);

describe("WebSocket conformance", () => {
  let server, compressing;

  before(async () => {
    server = await startContract(null, "ws-echo");
    compressing = await startContract(null, "ws-echo", { deflate: true });
  });
  after(async () => {
    await server.stop();
    await compressing.stop();
  });

  for (const { title, cases } of groups)
    describe(title, () => {
      for (const { id, title, script, compressed, reference } of cases)
        it(`${id} ${title}`, { skip: isReference && (compressed ? "it keeps contexts" : reference) }, () =>
          compressed ? runCompressed(compressing.port, compressed) : run(server.port, script),
        );
    });

  it("serves another implementation's client", async () => {
    const client = new WebSocket(`ws://127.0.0.1:${server.port}/`, { perMessageDeflate: false });
    await once(client, "open");
    for (const payload of [GERMAN, Buffer.from([0, 255, 1]), "", PATTERN.toString("latin1", 0, MiB)]) {
      client.send(payload);
      const [data, isBinary] = await once(client, "message");
      assert.equal(isBinary, Buffer.isBuffer(payload));
      assert.ok(data.equals(bytes(payload)));
    }
    client.ping("there?");
    assert.equal(String((await once(client, "pong"))[0]), "there?");
    client.close(3210, "enough");
    const [status] = await once(client, "close");
    assert.equal(status, 3210);
  });
});
