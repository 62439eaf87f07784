import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import {
  Decoder,
  FrameDecoder,
  FramingError,
  check,
  encode,
  encodeDatagram,
  encodeHeader,
  frames,
  readDatagram,
} from '../unstick.js';

const ascii = (text) => new TextEncoder().encode(text);
const join = (...parts) => new Uint8Array(Buffer.concat(parts));
const bytesOf = (hex) =>
  new Uint8Array(
    Buffer.concat(
      hex.split(' ').map((part) => {
        const [byte, times = 1] = part.split('*');
        return Buffer.alloc(Number(times), byte, 'hex');
      }),
    ),
  );

/** Runs a decoder over pieces. After an error it goes on as `policy` says: 'latch', 'skip' or 'search'. */
function run(decoder, pieces, policy) {
  const log = [];
  let payload = [];
  const take = (events) => {
    for (const event of events) {
      if (event.type !== 'run') {
        log.push(event);
        continue;
      }
      if (event.first) payload = [];
      payload.push(event.bytes);
      const { at, kind } = event;
      if (event.last) log.push({ type: 'frame', at, kind, payload: join(...payload) });
    }
  };
  const goOn = () => {
    if (policy === 'search') return decoder.resync() === 'begun';
    return policy === 'skip' && decoder.skip() === 'begun';
  };
  for (const piece of pieces) {
    for (let rest = piece; rest.length > 0;) {
      const { consumed, events } = decoder.push(rest);
      take(events);
      rest = rest.subarray(consumed);
      if (decoder.error && !goOn()) return [...log, ['end', decoder.end(), decoder.offset]];
    }
  }
  return [...log, ['end', decoder.end(), decoder.offset]];
}

/** Reads a whole stream in the plainest way. The limit is applied, and the first error ends it. */
function naive(stream, limit) {
  const log = [];
  for (let at = 0; ;) {
    const left = stream.length - at;
    if (left === 0) return [...log, ['end', null, at]];
    const header = stream.subarray(at, at + 8);
    const error = (code, name, values, used) => {
      const info = { name, code, at, ...values };
      return [...log, { type: 'error', error: info }, ['end', info, at + used]];
    };
    const end = (missing, exact) => {
      return [...log, ['end', { name: 'truncated', code: 6, at: stream.length, missing, exact }, stream.length]];
    };
    if (header[0] !== 0xf5) return error(1, 'bad-magic', { found: header[0] }, 1);
    if (left > 1 && header[1] !== 1) return error(2, 'unsupported-version', { found: header[1] }, 2);
    if (left > 2 && header[2] === 0) return error(3, 'invalid-kind', {}, 3);
    if (left < 8) return end(8 - left, false);
    const expected = check(header);
    if (header[7] !== expected) return error(4, 'bad-check', { found: header[7], expected }, 8);
    const length = Buffer.from(header).readUInt32BE(3);
    if (length > limit) return error(5, 'oversize', { length, limit }, 8);
    if (left - 8 < length) return end(length - (left - 8), true);
    log.push({ type: 'frame', at, kind: header[2], payload: stream.slice(at + 8, at + 8 + length) });
    at += 8 + length;
  }
}

/** The streams of the vectors of version 1, with their limits, and some more. */
function samples() {
  const folder = new URL('../../../vectors/', import.meta.url);
  const found = [];
  for (const file of readdirSync(folder)) {
    if (!file.endsWith('.json') || file === 'schema.json') continue;
    for (const vector of JSON.parse(readFileSync(new URL(file, folder))).vectors) {
      if (vector.test !== 'stream' || vector.format !== 'v1' || vector.bytes === '') continue;
      found.push({ id: vector.id, stream: bytesOf(vector.bytes), limit: Number(vector.limit ?? 1048576) });
    }
  }
  const two = join(encode(1, ascii('hi')), encode(0x80, ascii('')), encode(2, ascii('F5 01')));
  found.push({ id: 'good', stream: two, limit: 100 });
  found.push({ id: 'damaged', stream: join(ascii('\xf5\x01'), two, Uint8Array.of(0xf5, 0xf5, 1), two), limit: 4 });
  return found;
}

test('every cut of a stream gives the same frames and errors', () => {
  let cuts = 0;
  for (const { id, stream, limit } of samples()) {
    if (stream.length > 80) continue;
    for (const Kind of [Decoder, FrameDecoder]) {
      for (const policy of ['latch', 'skip', 'search']) {
        const whole = run(new Kind({ limit }), [stream], policy);
        const single = [...stream].map((byte) => Uint8Array.of(byte));
        assert.deepEqual(run(new Kind({ limit }), single, policy), whole, `${id}, ${policy}, single bytes`);
        for (let i = 1; i < stream.length; i += 1) {
          for (let k = i; k < stream.length; k += 3) {
            const pieces = [stream.subarray(0, i), stream.subarray(i, k), stream.subarray(k)];
            assert.deepEqual(run(new Kind({ limit }), pieces, policy), whole, `${id}, ${policy}, cut at ${i} and ${k}`);
            cuts += 1;
          }
        }
      }
    }
  }
  assert.ok(cuts > 10000, `${cuts} cuts`);
});

test('a decoder and a naive reading of the whole stream agree', () => {
  for (const { id, stream, limit } of samples()) {
    assert.deepEqual(run(new FrameDecoder({ limit }), [stream], 'latch'), naive(stream, limit), id);
  }
  let seed = 1;
  const random = (n) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 16) % n;
  };
  for (let round = 0; round < 2000; round += 1) {
    const parts = Array.from({ length: 1 + random(4) }, () =>
      encode(1 + random(255), new Uint8Array(random(12)).fill(0xf5)),
    );
    const stream = join(...parts);
    if (random(2)) stream[random(stream.length)] ^= 1 << random(8);
    const limit = random(3) ? 100 : 5;
    const cut = stream.subarray(0, random(2) ? stream.length : random(stream.length + 1));
    assert.deepEqual(run(new FrameDecoder({ limit }), [cut], 'latch'), naive(cut, limit), `round ${round}`);
  }
});

test('an error is reported again, without consuming, until a request that is allowed', () => {
  const decoder = new FrameDecoder({ limit: 1 });
  const stream = join(encode(1, ascii('ab')), encode(1, ascii('c')));
  assert.equal(decoder.push(stream).consumed, 8);
  const { error } = decoder;
  for (let i = 0; i < 3; i += 1) {
    assert.deepEqual(decoder.push(stream.subarray(8)), { consumed: 0, events: [{ type: 'error', error }] });
    assert.equal(decoder.end(), error);
  }
  assert.deepEqual(decoder.push(new Uint8Array(0)), { consumed: 0, events: [] });
  assert.equal(decoder.skip(), 'begun');
  assert.equal(decoder.skip(), 'rejected');
  const { events } = decoder.push(stream.subarray(8));
  assert.deepEqual(events, [{ type: 'frame', at: 10, kind: 1, payload: ascii('c') }]);
});

test('a header that announces 4 GiB reserves no memory', () => {
  const header = encodeHeader(2, 0xffffffff, { limit: Infinity });
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 1000 }, () => new FrameDecoder({ limit: Infinity }));
  for (const decoder of decoders) {
    decoder.push(header);
    decoder.push(Uint8Array.of(1));
  }
  const used = process.memoryUsage().arrayBuffers - before;
  assert.ok(used < 1 << 20, `${used} bytes`);
  assert.equal(decoders[0].begun.missing, 0xfffffffe);
});

test('a payload in single bytes costs at most a small multiple of what has arrived', () => {
  const decoder = new FrameDecoder();
  decoder.push(encodeHeader(2, 1 << 20));
  const byte = new Uint8Array(65536).subarray(0, 1); // a view that must not be kept
  globalThis.gc?.();
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 300000; i += 1) decoder.push(byte);
  const used = process.memoryUsage().arrayBuffers - before;
  // Buffers that were outgrown may not be collected yet: all of them together are twice the last.
  assert.ok(used < 4 * 2 * 300000, `${used} bytes`);
});

test('a decoder passes payloads on and keeps none', () => {
  const decoder = new Decoder({ limit: 1 << 30 });
  decoder.push(encodeHeader(2, 1 << 30, { limit: 1 << 30 }));
  const chunk = new Uint8Array(1 << 20);
  let seen = 0;
  for (let i = 0; i < 1024; i += 1) {
    for (const event of decoder.push(chunk).events) {
      assert.equal(event.bytes.buffer, chunk.buffer);
      assert.equal(event.last, i === 1023);
      seen += event.bytes.length;
    }
  }
  assert.equal(seen, 1 << 30);
  assert.equal(decoder.end(), null);
});

test('the payload of a collected frame is not shared with the chunk', () => {
  const chunk = encode(1, ascii('abc'));
  const [{ payload }] = new FrameDecoder().push(chunk).events;
  chunk.fill(0);
  assert.deepEqual(payload, ascii('abc'));
  assert.equal(payload.buffer.byteLength, 3);
});

test('frames throws for an error and for an end inside a frame', () => {
  const stream = join(encode(1, ascii('a')), encode(2, ascii('b')));
  assert.deepEqual(
    [...frames([stream.subarray(0, 3), stream.subarray(3)])].map((frame) => frame.kind),
    [1, 2],
  );
  const wrong = (info) => (error) => error instanceof FramingError && error.info.name === info;
  assert.throws(() => [...frames([stream.subarray(0, 12)])], wrong('truncated'));
  assert.throws(() => [...frames([ascii('GET /')])], wrong('bad-magic'));
  assert.throws(() => [...frames([stream], { limit: 0 })], wrong('oversize'));
});

test('an encoder refuses what no receiver with its limit takes', () => {
  for (const kind of [0, 256, -1, 1.5, '1', undefined]) assert.throws(() => encode(kind, ascii('')), RangeError);
  assert.throws(() => encode(1, new Uint8Array(5), { limit: 4 }), RangeError);
  assert.throws(() => encode(1, 'text'), TypeError);
  assert.throws(() => encodeHeader(1, 2 ** 32, { limit: Infinity }), RangeError);
  assert.throws(() => new Decoder({ limit: -1 }), RangeError);
  assert.throws(() => new Decoder({ limit: NaN }), RangeError);
  assert.equal(encode(1, new Uint16Array(2), { limit: 4 }).length, 12);
});

test('a datagram is taken or refused whole', () => {
  const datagram = encodeDatagram([
    { kind: 1, payload: ascii('a') },
    { kind: 0xc0 },
    { kind: 0x40, payload: ascii('b') },
  ]);
  const { frames: taken } = readDatagram(datagram, { known: [0x40] });
  assert.deepEqual(
    taken.map((frame) => frame.kind),
    [1, 0x40],
  );
  assert.deepEqual(readDatagram(datagram).refused, { name: 'unknown-kind', code: 7, at: 17, found: 0x40 });
  assert.equal(readDatagram(datagram.subarray(0, 20)).refused.name, 'truncated');
  assert.equal(readDatagram(datagram, { cut: true }).refused.name, 'cut');
  assert.throws(() => encodeDatagram([{ kind: 5 }]), RangeError);
  assert.throws(() => encodeDatagram([]), RangeError);
  assert.throws(() => encodeDatagram([{ kind: 1, payload: new Uint8Array(1193) }]), RangeError);
});
