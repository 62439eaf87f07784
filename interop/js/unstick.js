// The framing of the unstick protocol, version 1: Part 1 of spec.md, without Annex A.
//
// No dependencies, and nothing of Node: this file works in browsers as it is.

/** The bytes of a header. */
export const HEADER_LENGTH = 8;
/** The highest payload length that a header can hold. */
export const MAX_LENGTH = 0xffffffff;
/** The limit that is in force unless it was set to something else, in payload bytes. */
export const DEFAULT_LIMIT = 1048576;
/** The maximum length of a datagram unless it was set to something else, in bytes. */
export const DEFAULT_DATAGRAM_LIMIT = 1200;

/** The kinds of version 1 (5.2). */
export const KINDS = Object.freeze({
  text: 0x01,
  binary: 0x02,
  ping: 0x03,
  pong: 0x04,
  close: 0x05,
  'file-open': 0x10,
  'file-data': 0x11,
  'file-done': 0x12,
  'file-status': 0x13,
  'file-cancel': 0x14,
  hello: 0x80,
  'file-attributes': 0x90,
});

/** The codes of chapter 9 that version 1 uses. */
export const FRAMING_CODES = Object.freeze({
  'no-error': 0x00,
  'bad-magic': 0x01,
  'unsupported-version': 0x02,
  'invalid-kind': 0x03,
  'bad-check': 0x04,
  oversize: 0x05,
  truncated: 0x06,
  'unknown-kind': 0x07,
  'frame-timeout': 0x08,
  'idle-timeout': 0x09,
  'refused-datagram': 0x0b,
  unsynchronized: 0x0c,
});

const MAGIC = 0xf5;
const VERSION = 0x01;
const ASSIGNED = new Set(Object.values(KINDS));
const NO_BYTES = new Uint8Array(0);

const CRC = Uint8Array.from({ length: 256 }, (_, r) => {
  for (let bit = 0; bit < 8; bit += 1) r = r & 0x80 ? ((r << 1) & 0xff) ^ 0x2f : (r << 1) & 0xff;
  return r;
});

/** Returns the check of the seven bytes of `header` from `from` on (4.1: CRC-8/AUTOSAR). */
export function check(header, from = 0) {
  let r = 0xff;
  for (let i = from; i < from + 7; i += 1) r = CRC[r ^ header[i]];
  return r ^ 0xff;
}

/** Returns true for a kind that an unaware receiver skips (5.1). */
export function isSkippable(kind) {
  return kind >= 0x80;
}

/** Returns true for a kind in one of the applications' ranges (5.1). */
export function isApplicationKind(kind) {
  return (kind >= 0x40 && kind <= 0x7f) || (kind >= 0xc0 && kind <= 0xff);
}

/** Returns true for a kind that version 1 defines (5.2). */
export function isAssignedKind(kind) {
  return ASSIGNED.has(kind);
}

/** An error of the framing as an exception. `info` is the error, with its name, code, `at` and values. */
export class FramingError extends Error {
  constructor(info) {
    super(describe(info));
    this.name = 'FramingError';
    this.info = info;
  }
}

function describe(info) {
  const values = Object.entries(info).filter(([key]) => key !== 'name' && key !== 'code');
  return [info.name, ...values.map(([key, value]) => `${key} ${value}`)].join(', ');
}

function framingError(name, values) {
  return Object.freeze({ name, code: FRAMING_CODES[name], ...values });
}

/** Returns the limit in force (LIM-6). Throws a RangeError for what is not a number from 0. */
function inForce(limit) {
  const number = Number(limit);
  if (!(number >= 0)) throw new RangeError(`the limit is not a number from 0: ${limit}`);
  return Math.min(Math.floor(number), MAX_LENGTH);
}

function readLength(bytes, from) {
  return ((bytes[from + 3] << 24) | (bytes[from + 4] << 16) | (bytes[from + 5] << 8) | bytes[from + 6]) >>> 0;
}

function asBytes(payload) {
  if (payload instanceof Uint8Array) return payload;
  if (ArrayBuffer.isView(payload)) return new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload instanceof ArrayBuffer) return new Uint8Array(payload);
  throw new TypeError('a payload is a Uint8Array');
}

function writeHeader(out, from, kind, length, limit) {
  if (!Number.isInteger(kind) || kind < 1 || kind > 0xff) {
    throw new RangeError(`a kind is a number from 1 to 255, not ${kind}`);
  }
  if (!(length >= 0 && length <= limit)) {
    throw new RangeError(`the payload has ${length} bytes, the limit is ${limit}`);
  }
  out[from] = MAGIC;
  out[from + 1] = VERSION;
  out[from + 2] = kind;
  out[from + 3] = length >>> 24;
  out[from + 4] = length >>> 16;
  out[from + 5] = length >>> 8;
  out[from + 6] = length;
  out[from + 7] = check(out, from);
}

/**
 * Returns the 8 bytes of a header.
 *
 * Throws a RangeError if the kind is not 1 to 255, or the length is above the limit.
 */
export function encodeHeader(kind, length, { limit = DEFAULT_LIMIT } = {}) {
  const header = new Uint8Array(HEADER_LENGTH);
  writeHeader(header, 0, kind, Number(length), inForce(limit));
  return header;
}

/** Returns a frame: header and payload. Throws as `encodeHeader` does. */
export function encode(kind, payload = NO_BYTES, { limit = DEFAULT_LIMIT } = {}) {
  const bytes = asBytes(payload);
  const header = encodeHeader(kind, bytes.length, { limit });
  const frame = new Uint8Array(HEADER_LENGTH + bytes.length);
  frame.set(header);
  frame.set(bytes, HEADER_LENGTH);
  return frame;
}

const BOUNDARY = 'boundary';
const HEADER = 'header';
const PAYLOAD = 'payload';
const SKIP = 'skip';
const FAILED = 'failed';
const SEARCH = 'search';

/**
 * A receiver of a stream that keeps at most 8 bytes: it passes payloads on as they arrive.
 *
 * `push` returns the events of a chunk, in order:
 *
 * - `{ type: 'run', at, kind, length, bytes, first, last }`: a run of a frame's payload. `bytes` is a view of the
 *   chunk. The first run is empty if the chunk ends with the header; a frame without payload is one empty run.
 * - `{ type: 'found', skipped }`: a search has ended, and a frame begins.
 * - `{ type: 'error', error }`: what follows in the chunk was not consumed.
 *
 * Offsets are numbers, exact up to 2^53 bytes in a stream.
 */
export class Decoder {
  #limit;
  #state = BOUNDARY;
  #held = new Uint8Array(HEADER_LENGTH);
  #count = 0; // bytes in #held
  #offset = 0;
  #at = 0; // where the frame began, or for SEARCH the `at` of the error it started from
  #kind = 0;
  #length = 0;
  #due = 0; // payload bytes of PAYLOAD and SKIP
  #error = null;

  constructor({ limit = DEFAULT_LIMIT } = {}) {
    this.#limit = inForce(limit);
  }

  /** The limit in force, in payload bytes. */
  get limit() {
    return this.#limit;
  }

  /** The state of 7.2, in lower case. */
  get state() {
    return this.#state;
  }

  /** The stream offset: the number of bytes consumed. */
  get offset() {
    return this.#offset;
  }

  /** The error that was reported and is still in force, or null. */
  get error() {
    return this.#error;
  }

  /** The frame whose payload is not complete, as `{ at, kind, length, missing }`, or null. */
  get begun() {
    if (this.#state !== PAYLOAD) return null;
    return { at: this.#at, kind: this.#kind, length: this.#length, missing: this.#due };
  }

  /** Takes a chunk of the stream. Returns `{ consumed, events }`; less than all is consumed only after an error. */
  push(chunk) {
    const bytes = asBytes(chunk);
    const events = [];
    let i = 0;
    while (i < bytes.length && this.#state !== FAILED) {
      const before = i;
      i = this.#step(bytes, i, events);
      this.#offset += i - before;
      if (this.#state === FAILED) this.#fail(events);
    }
    // Once more for a caller that offers bytes after an error.
    if (i === 0 && bytes.length > 0 && this.#state === FAILED && events.length === 0) {
      events.push({ type: 'error', error: this.#error });
    }
    return { consumed: i, events };
  }

  /** Takes bytes from `i` on, at least one. Returns where it stopped. */
  #step(bytes, i, events) {
    switch (this.#state) {
      case BOUNDARY:
        this.#at = this.#offset;
        this.#count = 0;
        this.#state = HEADER;
      // falls through
      case HEADER: {
        const byte = bytes[i];
        const n = this.#count;
        this.#held[n] = byte;
        this.#count = n + 1;
        if (
          (n === 0 && byte !== MAGIC) ||
          (n === 1 && byte !== VERSION) ||
          (n === 2 && byte === 0) ||
          (n === 7 && (byte !== check(this.#held) || readLength(this.#held, 0) > this.#limit))
        ) {
          this.#state = FAILED;
        } else if (n === 7) {
          this.#begin(events);
        }
        return i + 1;
      }
      case PAYLOAD: {
        const end = Math.min(bytes.length, i + this.#due);
        const first = this.#due === this.#length;
        const previous = events[events.length - 1];
        this.#due -= end - i;
        const run = bytes.subarray(i, end);
        const last = this.#due === 0;
        if (first && previous?.type === 'run' && previous.at === this.#at) {
          // The header ended in this chunk: one event for both.
          previous.bytes = run;
          previous.last = last;
        } else {
          events.push({
            type: 'run',
            at: this.#at,
            kind: this.#kind,
            length: this.#length,
            bytes: run,
            first: false,
            last,
          });
        }
        if (last) this.#state = BOUNDARY;
        return end;
      }
      case SKIP: {
        const end = Math.min(bytes.length, i + this.#due);
        this.#due -= end - i;
        if (this.#due === 0) this.#state = BOUNDARY;
        return end;
      }
      default: {
        if (this.#count === 0 && bytes[i] !== MAGIC) {
          const next = bytes.indexOf(MAGIC, i);
          return next === -1 ? bytes.length : next;
        }
        this.#held[this.#count] = bytes[i];
        this.#count += 1;
        this.#trim();
        if (this.#count === HEADER_LENGTH) {
          const found = this.#offset + 1 - HEADER_LENGTH;
          events.push({ type: 'found', skipped: found - this.#at });
          this.#at = found;
          this.#begin(events);
        }
        return i + 1;
      }
    }
  }

  #begin(events) {
    this.#kind = this.#held[2];
    this.#length = readLength(this.#held, 0);
    this.#due = this.#length;
    this.#state = this.#due === 0 ? BOUNDARY : PAYLOAD;
    events.push({
      type: 'run',
      at: this.#at,
      kind: this.#kind,
      length: this.#length,
      bytes: NO_BYTES,
      first: true,
      last: this.#due === 0,
    });
  }

  #fail(events) {
    const at = this.#at;
    const found = this.#held[this.#count - 1];
    if (this.#count === 1) this.#error = framingError('bad-magic', { at, found });
    else if (this.#count === 2) this.#error = framingError('unsupported-version', { at, found });
    else if (this.#count === 3) this.#error = framingError('invalid-kind', { at });
    else if (found !== check(this.#held)) {
      this.#error = framingError('bad-check', { at, found, expected: check(this.#held) });
    } else {
      this.#error = framingError('oversize', { at, length: readLength(this.#held, 0), limit: this.#limit });
    }
    events.push({ type: 'error', error: this.#error });
  }

  /** Drops first bytes of the window until it is open (7.2). */
  #trim() {
    const w = this.#held;
    let from = 0;
    while (from < this.#count && !this.#isOpen(from)) from += 1;
    w.copyWithin(0, from, this.#count);
    this.#count -= from;
  }

  #isOpen(from) {
    const w = this.#held;
    const n = this.#count - from;
    if (w[from] !== MAGIC) return false;
    if (n > 1 && w[from + 1] !== VERSION) return false;
    if (n > 2 && w[from + 2] === 0) return false;
    return n < HEADER_LENGTH || (w[from + 7] === check(w, from) && readLength(w, from) <= this.#limit);
  }

  /** The stream has ended. Returns null for a clean end, or the error. */
  end() {
    const at = this.#offset;
    switch (this.#state) {
      case BOUNDARY:
        return null;
      case FAILED:
        return this.#error;
      case HEADER:
        this.#error = framingError('truncated', { at, missing: HEADER_LENGTH - this.#count, exact: false });
        break;
      case SEARCH:
        this.#error = framingError('unsynchronized', { at, skipped: at - this.#at });
        break;
      default:
        this.#error = framingError('truncated', { at, missing: this.#due, exact: true });
    }
    this.#state = FAILED;
    return this.#error;
  }

  /**
   * Discards the payload of a frame that is over the limit.
   *
   * Returns 'begun'; 'same-error' after any other error; 'rejected' if there is no error.
   */
  skip() {
    if (this.#state !== FAILED) return 'rejected';
    if (this.#error.name !== 'oversize') return 'same-error';
    this.#due = this.#error.length;
    this.#error = null;
    this.#state = SKIP;
    return 'begun';
  }

  /**
   * Searches the next header, from the byte after the failed frame's first. For lossy lines only (7.8).
   *
   * Returns as `skip` does; 'same-error' at the end of a stream.
   */
  resync() {
    if (this.#state !== FAILED) return 'rejected';
    if (this.#error.name === 'truncated' || this.#error.name === 'unsynchronized') return 'same-error';
    this.#held.copyWithin(0, 1, this.#count);
    this.#count -= 1;
    this.#trim();
    this.#error = null;
    this.#state = SEARCH;
    return 'begun';
  }

  /** Begins a new stream. */
  reset() {
    this.#state = BOUNDARY;
    this.#count = 0;
    this.#offset = 0;
    this.#error = null;
  }
}

/**
 * A receiver of a stream that collects whole frames.
 *
 * Its events are `{ type: 'frame', at, kind, payload }`, and `found` and `error` as those of `Decoder`. A payload
 * belongs to the caller. The memory grows with the bytes that arrive, not with the length in a header: at most twice
 * the bytes of the frame that has begun, and while a buffer grows, three times.
 */
export class FrameDecoder extends Decoder {
  #payload = NO_BYTES;
  #filled = 0;

  push(chunk) {
    const { consumed, events: runs } = super.push(chunk);
    const events = [];
    for (const event of runs) {
      if (event.type !== 'run') {
        events.push(event);
        continue;
      }
      if (event.first) this.#filled = 0;
      this.#append(event.bytes, event.length);
      if (event.last) {
        const payload = this.#payload.length === this.#filled ? this.#payload : this.#payload.slice(0, this.#filled);
        events.push({ type: 'frame', at: event.at, kind: event.kind, payload });
        this.#payload = NO_BYTES;
        this.#filled = 0;
      }
    }
    return { consumed, events };
  }

  #append(run, length) {
    const needed = this.#filled + run.length;
    if (needed > this.#payload.length) {
      const grown = new Uint8Array(Math.min(length, Math.max(needed, 2 * this.#filled)));
      grown.set(this.#payload.subarray(0, this.#filled));
      this.#payload = grown;
    }
    this.#payload.set(run, this.#filled);
    this.#filled = needed;
  }

  reset() {
    super.reset();
    this.#payload = NO_BYTES;
    this.#filled = 0;
  }
}

/**
 * The frames of an iterable of chunks, as `{ at, kind, payload }`.
 *
 * Throws a FramingError for an error of the stream, and for one that ends inside a frame.
 */
export function* frames(chunks, options) {
  const decoder = new FrameDecoder(options);
  for (const chunk of chunks) {
    for (const event of decoder.push(chunk).events) {
      if (event.type === 'error') throw new FramingError(event.error);
      yield { at: event.at, kind: event.kind, payload: event.payload };
    }
  }
  const error = decoder.end();
  if (error) throw new FramingError(error);
}

const IN_DATAGRAMS = new Set(['text', 'binary', 'ping', 'pong'].map((name) => KINDS[name]));
const NOT_IN_DATAGRAMS = new Set(
  ['hello', 'close', 'file-open', 'file-data', 'file-done', 'file-status', 'file-cancel'].map((name) => KINDS[name]),
);

/**
 * Reads a datagram. Returns `{ frames }`, or `{ refused }` with the cause of 8.2.
 *
 * `known` holds the applications' kinds that the caller takes; `cut` is true if the transport reports the datagram as
 * longer than the buffer it was read into.
 */
export function readDatagram(datagram, { limit = DEFAULT_LIMIT, known = [], cut = false } = {}) {
  const bytes = asBytes(datagram);
  if (cut) return { refused: Object.freeze({ name: 'cut' }) };
  if (bytes.length === 0) return { refused: Object.freeze({ name: 'empty', at: 0 }) };
  const decoder = new FrameDecoder({ limit });
  const { events } = decoder.push(bytes);
  const error = decoder.end();
  if (error) return { refused: error };
  const applications = new Set(known);
  const delivered = [];
  for (const { at, kind, payload } of events) {
    if (NOT_IN_DATAGRAMS.has(kind)) return { refused: Object.freeze({ name: 'misplaced-kind', at, found: kind }) };
    if (IN_DATAGRAMS.has(kind) || (isApplicationKind(kind) && applications.has(kind))) {
      delivered.push({ at, kind, payload });
    } else if (!isSkippable(kind)) {
      return { refused: framingError('unknown-kind', { at, found: kind }) };
    }
  }
  return { frames: delivered };
}

/**
 * Returns the datagram of these frames, `{ kind, payload }` each.
 *
 * Throws a RangeError, and drops no frame, if there is none, if they do not fit together, or if a kind is one that no
 * receiver takes from a datagram.
 */
export function encodeDatagram(list, { limit = DEFAULT_LIMIT, datagramLimit = DEFAULT_DATAGRAM_LIMIT } = {}) {
  if (list.length === 0) throw new RangeError('a datagram has at least one frame');
  const parts = list.map(({ kind, payload = NO_BYTES }) => {
    if (NOT_IN_DATAGRAMS.has(kind)) throw new RangeError(`kind ${kind} cannot be sent in a datagram`);
    return encode(kind, payload, { limit });
  });
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  if (!(total <= Number(datagramLimit))) {
    throw new RangeError(`the datagram has ${total} bytes, its limit is ${datagramLimit}`);
  }
  const datagram = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    datagram.set(part, at);
    at += part.length;
  }
  return datagram;
}
