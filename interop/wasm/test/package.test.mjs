// The package for JavaScript against the specification's vectors, in several ways to cut each stream:
// node --test, after ../build.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../../", import.meta.url);
const built = process.env.UNSTICK_WASM ? new URL(`file://${process.env.UNSTICK_WASM}/`) : new URL("target/wasm/web/", root);
const { initSync, inspect, encode, readFile, readText, Decoder } = await import(new URL("unstick.js", built));
initSync({ module: readFileSync(new URL("unstick_bg.wasm", built)) });

/** The bytes of a vector: hexadecimal text, where `aa*3` stands for a repeated run. */
function bytesOf(text) {
  const out = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [hex, times = "1"] = word.split("*");
    const run = Buffer.from(hex, "hex");
    for (let i = 0; i < Number(times); i++) out.push(run);
  }
  return Uint8Array.from(Buffer.concat(out));
}
const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** The command's name for a vector's format, if it has one and the vector makes no request. */
function nameOf({ test, format, expect }) {
  if (test !== "stream" || expect.some((step) => step.request)) return undefined;
  // `inspect` reads captures, so the end of the stream stands for the end of the last line.
  const cutLine = format === "lines" && expect.some(({ error }) => error?.name === "truncated");
  const parameters = format.includes("+") || cutLine || (format.includes("or-end") && !format.startsWith("lines"));
  if (parameters) return undefined;
  const name = format.replace("delimited:mark=", "delim:").replace("fixed:length=", "fixed:").replace("lines:or-end=yes", "lines");
  try {
    new Decoder(name).free();
    return name;
  } catch {
    return undefined;
  }
}

test("the vectors of streams give the same frames and errors in every cut", () => {
  let passed = 0, vectors = 0, others = 0;
  for (const file of readdirSync(new URL("vectors/", root)).filter((name) => name.endsWith(".json"))) {
    for (const vector of JSON.parse(readFileSync(new URL(`vectors/${file}`, root))).vectors ?? []) {
      const format = nameOf(vector);
      if (!format) {
        others++;
        continue;
      }
      vectors++;
      const stream = bytesOf(vector.bytes);
      const of = (steps) => steps.filter(({ end }) => !end).map(({ frame, error }) => frame
        ? { type: "frame", at: frame.at, payload: hex(bytesOf(frame.payload)) }
        : { type: "error", at: error.at, code: error.code });
      const allowed = [vector.expect, ...(vector.or ?? [])].map(of);
      const sizes = stream.length < 3000 ? [1, 2, 3, 5, 7, Math.max(stream.length, 1)] : [1000, stream.length];
      for (const size of sizes) {
        const decoder = new Decoder(format, vector.limit === undefined ? {} : { limit: BigInt(vector.limit) });
        const events = [];
        for (let at = 0; at < stream.length; at += size) events.push(...decoder.push(stream.subarray(at, at + size)));
        events.push(...decoder.end());
        decoder.free();
        const found = events.filter((event) => event.type === "error" || event.complete).map((event) => event.type === "frame"
          ? { type: "frame", at: event.at, payload: hex(event.payload) }
          : { type: "error", at: event.at, code: event.code });
        const expected = allowed.find((events) => JSON.stringify(events) === JSON.stringify(found)) ?? allowed[0];
        assert.deepEqual(found, expected, `${file}: ${vector.id}, pieces of ${size}`);
        passed++;
      }
    }
  }
  console.log(`${vectors} vectors of streams passed in ${passed} runs; ${others} are not of streams, or of another format`);
  assert.ok(vectors > 300, String(vectors));
});

test("what is encoded is decoded", () => {
  for (const name of ["v1", "v2", "u8", "u32le", "varint", "lines", "cobs", "slip", "hdlc", "netstring", "fixed:5"]) {
    const frame = encode(name, new TextEncoder().encode("hello"));
    const [event, ...rest] = inspect(name, frame, Uint32Array.of(1));
    assert.deepEqual([event.type, event.complete, new TextDecoder().decode(event.payload)], ["frame", true, "hello"], name);
    assert.deepEqual(rest, [], name);
  }
  const ping = encode("v1", Uint8Array.of(1), new TextEncoder().encode("ping"));
  assert.equal(inspect("v1", ping)[0].kind, "ping");
});

test("what cannot be encoded or decoded throws, with the reason", () => {
  assert.throws(() => encode("u8", new Uint8Array(256)), /255/);
  assert.throws(() => encode("lines", Uint8Array.of(0x0a)), /the end of a frame at byte 0/);
  assert.throws(() => encode("mqtt", Uint8Array.of(1)), /needs a header/);
  assert.throws(() => new Decoder("u33"), /the formats are http1, v1, u8/);
  assert.throws(() => readText("zz"), /hexadecimal/);
});

test("an error has its byte and its advice, and decoding goes on if that is asked for", () => {
  const bytes = Uint8Array.from([...encode("v1", Uint8Array.of(65)), 0, 0, ...encode("v1", Uint8Array.of(66))]);
  const [first, error, ...none] = inspect("v1", bytes);
  assert.deepEqual([first.type, error.type, error.at, error.byte], ["frame", "error", 9, 9]);
  assert.deepEqual(none, []);
  const events = inspect("v1", bytes, undefined, { goOn: true });
  assert.deepEqual(events.map(({ type }) => type), ["frame", "error", "search", "frame"]);
  assert.deepEqual([events[2].found, events[2].skipped], [11, 2]);
  const [http] = inspect("u32be", new TextEncoder().encode("GET / HTTP/1.1"));
  assert.match(http.message, /try --format http1/);
});

test("dumps are read as tools print them", () => {
  const [dump] = readText("00000000: f501 0100 0000 0140 41                  .......@A\n");
  assert.equal(hex(dump.bytes), "f50101000000014041");
  const [file] = readFile(Uint8Array.of(0xf5, 1, 1));
  assert.equal(hex(file.bytes), "f50101");
});

test("the README states the module's size", () => {
  const readme = readFileSync(new URL("interop/wasm/README.md", root), "utf8");
  const stated = Number(/`unstick_bg.wasm` \| ([\d,]+)/.exec(readme)[1].replaceAll(",", ""));
  const size = readFileSync(new URL("unstick_bg.wasm", built)).length;
  // Compilers differ a little.
  assert.ok(Math.abs(size - stated) < stated * 0.1, `${size}, and the README says ${stated}`);
});
