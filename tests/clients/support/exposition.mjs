// The Prometheus text format 0.0.4, read as strictly as its specification allows: whatever is only nearly right throws.
import assert from "node:assert/strict";

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|\+Inf|-Inf|NaN)$/;
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];

const numberOf = (text) => (text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text));

function unescape(text, quoted) {
  const known = quoted ? { n: "\n", "\\": "\\", '"': '"' } : { n: "\n", "\\": "\\" };
  return text.replace(/\\(.?)/gs, (whole, letter) => {
    assert.ok(letter in known, `unknown escape ${whole}`);
    return known[letter];
  });
}

/** name{a="b",...} → its parts; throws for anything else. */
function readSample(line) {
  const match = /^([^{ ]+)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)$/s.exec(line);
  assert.ok(match, `no sample: ${line}`);
  const [, name, inside, value] = match;
  assert.match(name, NAME);
  assert.match(value, NUMBER, line);
  const labels = {};
  if (inside !== undefined) {
    let rest = inside;
    assert.notEqual(rest, "", `empty braces: ${line}`);
    while (rest !== "") {
      const label = /^([^=]+)="((?:[^"\\\n]|\\.)*)"(,(?=.)|$)/s.exec(rest);
      assert.ok(label, `no label: ${rest} in ${line}`);
      assert.match(label[1], LABEL);
      assert.ok(!(label[1] in labels), `label twice: ${line}`);
      labels[label[1]] = unescape(label[2], true);
      rest = rest.slice(label[0].length);
    }
  }
  return { name, labels, value: numberOf(value), line };
}

const keyOf = (name, labels) => `${name} ${JSON.stringify(Object.entries(labels).sort())}`;

function checkHistogram(family) {
  const series = new Map();
  for (const sample of family.samples) {
    const { le, ...labels } = sample.labels;
    const key = keyOf("", labels);
    if (!series.has(key)) series.set(key, { buckets: [] });
    const one = series.get(key);
    if (sample.name === `${family.name}_bucket`) {
      assert.notEqual(le, undefined, sample.line);
      one.buckets.push([numberOf(le), sample.value]);
    } else {
      assert.equal(le, undefined, sample.line);
      const part = sample.name.slice(family.name.length + 1);
      assert.ok(part === "sum" || part === "count", sample.line);
      one[part] = sample.value;
    }
  }
  for (const [key, { buckets, sum, count }] of series) {
    assert.ok(sum !== undefined && count !== undefined && buckets.length > 0, `${family.name} ${key} lacks a part`);
    buckets.forEach(([le, value], i) => {
      assert.ok(i === 0 || le > buckets[i - 1][0], `${family.name}: bounds that do not rise`);
      assert.ok(i === 0 || value >= buckets[i - 1][1], `${family.name}: buckets that do not add up`);
    });
    assert.deepEqual(buckets.at(-1), [Infinity, count], `${family.name}: +Inf is not the count`);
  }
}

/** A Map of families: {name, type, help, samples: [{name, labels, value}]}. */
export function parseExposition(text) {
  assert.ok(text.endsWith("\n"), "the last line has an end, too");
  const families = new Map();
  const seen = new Set();
  let family;
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/s.exec(line);
    if (comment?.[1] === "HELP") {
      assert.match(comment[2], NAME);
      assert.ok(!families.has(comment[2]), `${comment[2]} comes twice`);
      family = { name: comment[2], help: unescape(comment[3], false), samples: [] };
      assert.ok(family.help.length > 0, `${family.name} has no words`);
      families.set(family.name, family);
    } else if (comment) {
      assert.equal(comment[2], family?.name, "TYPE stands behind its HELP");
      assert.equal(family.type, undefined, line);
      assert.ok(TYPES.includes(comment[3]), line);
      family.type = comment[3];
    } else {
      assert.ok(!line.startsWith("#"), `a comment that says nothing: ${line}`);
      const sample = readSample(line);
      assert.ok(family?.type, `a sample without a family: ${line}`);
      const own = family.type === "histogram" ? [`_bucket`, `_sum`, `_count`].map((end) => family.name + end) : [family.name];
      assert.ok(own.includes(sample.name), `${line} stands below ${family.name}`);
      const key = keyOf(sample.name, sample.labels);
      assert.ok(!seen.has(key), `twice: ${line}`);
      seen.add(key);
      if (family.type === "counter") assert.ok(family.name.endsWith("_total") && sample.value >= 0, line);
      family.samples.push(sample);
    }
  }
  for (const one of families.values()) {
    assert.ok(one.type, `${one.name} has no type`);
    if (one.type === "histogram") checkHistogram(one);
  }
  return families;
}
