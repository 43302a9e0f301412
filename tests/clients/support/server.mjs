// Starts the programs under test and makes sure that they end well.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");
const buildDir = process.env.CONVENE_BUILD_DIR ?? join(root, "build/release");

/** Whether the reference server stands in for ours, to test the tests. */
export const isReference = process.env.CONVENE_TARGET === "reference";

export const daemonFile = join(buildDir, "convened");

const DEADLINE_MS = 20_000; // for anything a test waits for; sanitized servers on busy machines are slow

/** A program that prints "listening on ...:PORT". */
export class Program {
  #child;
  #exited;
  output = "";

  constructor(file, args, options = {}) {
    this.#child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    /* Not "exit": what it has written may still be on its way then. */
    this.#exited = new Promise((resolve) =>
      this.#child.on("close", (code, signal) => resolve({ code, signal })),
    );
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on("data", (data) => (this.output += data));
  }

  get pid() {
    return this.#child.pid;
  }

  /** Resolves to the port once it listens. */
  async listening() {
    const found = await within(
      new Promise((resolve) => {
        const look = () => {
          const match = /listening on .*:(\d+)/.exec(this.output);
          if (match) resolve(Number(match[1]));
        };
        this.#child.stdout.on("data", look);
        this.#exited.then(() => resolve(null));
        look();
      }),
      "the program to listen",
    );
    if (found === null) throw new Error(`the program ended at once:\n${this.output}`);
    this.port = found;
    this.url = `http://127.0.0.1:${found}`;
    return this;
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** Resolves to {code, signal} when it has ended, whenever that is. */
  ended() {
    return this.#exited;
  }

  async exit() {
    return within(this.#exited, "the program to end");
  }

  /** SIGTERM, and an orderly end: a crash, a leak or a hang fails the test. */
  async stop() {
    this.#child.kill("SIGTERM");
    let ended;
    try {
      ended = await this.exit();
    } catch (error) {
      this.#child.kill("SIGKILL");
      throw new Error(`${error.message}\n${this.output}`);
    }
    if (ended.code !== 0)
      throw new Error(`the program ended with ${JSON.stringify(ended)}:\n${this.output}`);
  }
}

/** Rejects when `promise` has not settled before the deadline. */
export function within(promise, what = "an event", ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of the next `event`; an array. */
export function once(emitter, event, ms) {
  return within(
    new Promise((resolve) => emitter.once(event, (...args) => resolve(args))),
    `"${event}"`,
    ms,
  );
}

/** Runs a conformance contract for the length of a test; stopping it is part of the test. `deflate`: with compression of every size. */
export async function startContract(t, contract, { workers = 1, port = 0, deflate = false, parser = "json" } = {}) {
  const args = ["--contract", contract, "--port", String(port), "--workers", String(workers), "--parser", parser];
  if (deflate) args.push("--deflate");
  const program = isReference
    ? new Program(process.execPath, [join(here, "../reference/conformance.mjs"), ...args])
    : new Program(join(buildDir, "convene-conformance"), args);
  let stopped = false;
  program.stopNow = async () => {
    stopped = true;
    await program.stop();
  };
  t?.after(async () => {
    if (!stopped) await program.stop();
  });
  return program.listening();
}

/** Runs one of the programs of examples/ for the length of a test. `fails`: it is not waited for. */
export async function startExample(t, name, args = [], { port = 0, fails = false } = {}) {
  const program = new Program(join(buildDir, `example-${name}`), [String(port), ...args]);
  if (fails) return program;
  let stopped = false;
  program.stopNow = async () => {
    stopped = true;
    await program.stop();
  };
  t.after(async () => {
    if (!stopped) await program.stop();
  });
  return program.listening();
}

/** Runs the daemon in development mode. */
export async function startDaemon(t, dataDir, args = []) {
  if (!existsSync(daemonFile)) throw new Error(`${daemonFile} has not been built`);
  const program = new Program(daemonFile, ["--dev", "--port", "0", "--data", dataDir, ...args]);
  t.after(() => program.stop());
  return program.listening();
}
