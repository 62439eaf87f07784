// The payloads of messages: chapter 13 of spec.md, and the codes of chapter 16.
//
// Numbers of 8 bytes (size, offset, total) are BigInts in decoded messages. An encoder takes numbers, too.

import { DEFAULT_LIMIT, KINDS, encodeDatagram, isAssignedKind, readDatagram } from './unstick.js';

/** The codes of chapter 16. */
export const CODES = Object.freeze({
  'bad-message': 0x0100,
  'misplaced-message': 0x0101,
  'bad-transfer-id': 0x0102,
  'too-many-transfers': 0x0103,
  unclosed: 0x0104,
  'shutting-down': 0x0105,
  busy: 0x0106,
  'too-slow': 0x0107,
  ready: 0x0110,
  working: 0x0111,
  stored: 0x0120,
  exists: 0x0121,
  cancelled: 0x0130,
  'bad-name': 0x0131,
  'second-open': 0x0132,
  'bad-offset': 0x0133,
  excess: 0x0134,
  'wrong-total': 0x0135,
  'bad-digest': 0x0136,
  'too-large': 0x0137,
  'no-space': 0x0138,
  quota: 0x0139,
  'not-accepted': 0x013a,
  'storage-failed': 0x013b,
  'given-up': 0x0150,
  changed: 0x0151,
  unreadable: 0x0152,
});

const NAMES = new Map(Object.entries(CODES).map(([name, code]) => [code, name]));
const TYPES = new Map(Object.entries(KINDS).map(([type, kind]) => [kind, type]));

/** Returns the name of a code of chapter 16, or null. */
export function codeName(code) {
  return NAMES.get(code) ?? null;
}

/** The bytes of a message's fixed fields (13.1). A close has 0 or 2. */
export const FIXED = Object.freeze({
  hello: 4,
  text: 0,
  binary: 0,
  ping: 0,
  pong: 0,
  close: 2,
  'file-open': 28,
  'file-data': 12,
  'file-done': 44,
  'file-status': 46,
  'file-cancel': 6,
  'file-attributes': 13,
});

export const MAX_PING = 64;
export const MAX_NAME = 255;
/** The encoding of a time that is not known (MSG-15). */
export const NO_TIME = -0x8000000000000000n;
/** The highest offset, and the encoding of a size that is not known. */
export const MAX_OFFSET = 0xffffffffffffffffn;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Returns the length of the longest beginning of `bytes` that is valid UTF-8 of whole characters. */
export function utf8Length(bytes) {
  let i = 0;
  while (i < bytes.length) {
    const b = bytes[i];
    if (b < 0x80) {
      i += 1;
      continue;
    }
    const more = b >= 0xc2 && b <= 0xdf ? 1 : b >= 0xe0 && b <= 0xef ? 2 : b >= 0xf0 && b <= 0xf4 ? 3 : 0;
    if (more === 0 || i + more >= bytes.length) return i;
    // Overlong forms, surrogates and what is above U+10FFFF are excluded by the second byte.
    const low = b === 0xe0 ? 0xa0 : b === 0xf0 ? 0x90 : 0x80;
    const high = b === 0xed ? 0x9f : b === 0xf4 ? 0x8f : 0xbf;
    if (bytes[i + 1] < low || bytes[i + 1] > high) return i;
    for (let k = 2; k <= more; k += 1) {
      if ((bytes[i + k] & 0xc0) !== 0x80) return i;
    }
    i += more + 1;
  }
  return i;
}

/** Returns the offset in a payload of this kind and length that makes it malformed (MSG-14), or null. */
export function lengthError(kind, length) {
  const type = TYPES.get(kind);
  if (type === undefined) return null;
  if (type === 'close') return length === 1 ? 1 : null;
  const fixed = FIXED[type];
  if (length < fixed || (type === 'file-data' && length === fixed)) return length;
  if ((type === 'ping' || type === 'pong') && length > MAX_PING) return MAX_PING;
  if ((type === 'file-done' || type === 'file-attributes') && length > fixed) return fixed;
  return null;
}

/** Returns the offset in a file's name that breaks a rule of 13.6, or null for a good name. */
export function nameError(name) {
  if (name.length === 0) return 0;
  if (name.length > MAX_NAME) return MAX_NAME;
  const valid = utf8Length(name);
  if (valid < name.length) return valid;
  for (let i = 0; i < name.length; i += 1) {
    const b = name[i];
    // Slash, backslash, colon, and the control characters, of which U+0080 to U+009F are C2 80 to C2 9F.
    if (b === 0x2f || b === 0x5c || b === 0x3a || b < 0x20 || b === 0x7f) return i;
    if (b === 0xc2 && name[i + 1] <= 0x9f) return i;
  }
  if (name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e))) return 0;
  return null;
}

function badMessage(at) {
  return { refused: { name: 'bad-message', code: CODES['bad-message'], at } };
}

/**
 * Returns `{ message }`, or `{ refused }`: bad-message or, with the transfer, bad-name, and the offset in the payload.
 *
 * A kind that version 1 does not define gives a message of the type `other`. Byte fields are views of the payload.
 */
export function decodeMessage(kind, payload) {
  const type = TYPES.get(kind);
  if (type === undefined) return { message: { type: 'other', kind, payload } };
  const wrong = lengthError(kind, payload.length);
  if (wrong !== null) return badMessage(wrong);

  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const fixed = Math.min(FIXED[type], payload.length);
  const rest = payload.subarray(fixed);
  const text = () => decoder.decode(rest);
  const hasText =
    type === 'hello' || type === 'text' || type === 'close' || type === 'file-status' || type === 'file-cancel';
  if (hasText) {
    const valid = utf8Length(rest);
    if (valid < rest.length) return badMessage(fixed + valid);
  }
  switch (type) {
    case 'hello':
      return { message: { type, limit: view.getUint32(0), name: text() } };
    case 'text':
      return { message: { type, text: text() } };
    case 'close':
      return { message: { type, code: payload.length === 0 ? 0 : view.getUint16(0), reason: text() } };
    case 'file-open': {
      const transfer = view.getUint32(0);
      const bad = nameError(rest);
      if (bad !== null) {
        return { refused: { name: 'bad-name', code: CODES['bad-name'], at: fixed + bad, transfer } };
      }
      const size = view.getBigUint64(20);
      const known = size === MAX_OFFSET ? null : size;
      return { message: { type, transfer, key: payload.subarray(4, 20), size: known, name: text() } };
    }
    case 'file-data':
      return { message: { type, transfer: view.getUint32(0), offset: view.getBigUint64(4), payload: rest } };
    case 'file-done':
      return {
        message: { type, transfer: view.getUint32(0), total: view.getBigUint64(4), digest: payload.subarray(12, 44) },
      };
    case 'file-status':
      return {
        message: {
          type,
          transfer: view.getUint32(0),
          code: view.getUint16(4),
          offset: view.getBigUint64(6),
          digest: payload.subarray(14, 46),
          reason: text(),
        },
      };
    case 'file-cancel':
      return { message: { type, transfer: view.getUint32(0), code: view.getUint16(4), reason: text() } };
    case 'file-attributes': {
      const time = view.getBigInt64(4);
      const modified = time === NO_TIME ? null : time;
      return { message: { type, transfer: view.getUint32(0), modified, executable: (payload[12] & 1) === 1 } };
    }
    default:
      return { message: { type, payload } };
  }
}

function utf8(what, string) {
  if (typeof string !== 'string') throw new TypeError(`${what} is a string`);
  if (/\p{Surrogate}/u.test(string)) throw new RangeError(`${what} has half a surrogate pair`);
  return encoder.encode(string);
}

function bytes(what, value, length) {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${what} is a Uint8Array`);
  if (length !== undefined && value.length !== length) throw new RangeError(`${what} has ${length} bytes`);
  return value;
}

function integer(what, value, max) {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`${what} is a number from 0 to ${max}, not ${value}`);
  }
  return value;
}

/** Returns a number of 8 bytes as a BigInt. Throws a RangeError for what cannot be one. */
export function offsetOf(what, value) {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError(`${what} is not exact: ${value}`);
  const number = BigInt(value);
  if (number < 0n || number > MAX_OFFSET) throw new RangeError(`${what} does not fit 8 bytes: ${value}`);
  return number;
}

function timeOf(value) {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError(`modified is not exact: ${value}`);
  const time = BigInt(value);
  if (BigInt.asIntN(64, time) !== time) throw new RangeError(`modified does not fit 8 bytes: ${value}`);
  return time;
}

/** Returns the payload of `fixed` bytes, which `write` fills, and `rest`. */
function put(fixed, rest, write) {
  const payload = new Uint8Array(fixed + rest.length);
  write(new DataView(payload.buffer), payload);
  payload.set(rest, fixed);
  return payload;
}

const ENCODERS = {
  hello: ({ limit, name = '' }) =>
    put(4, utf8('name', name), (view) => view.setUint32(0, integer('limit', limit, 0xffffffff))),
  text: ({ text }) => utf8('text', text),
  binary: ({ payload }) => bytes('payload', payload),
  ping: ({ payload }) => bytes('payload', payload),
  pong: ({ payload }) => bytes('payload', payload),
  close: ({ code = 0, reason = '' }) => {
    integer('code', code, 0xffff);
    const text = utf8('reason', reason);
    if (code === 0 && text.length === 0) return text;
    return put(2, text, (view) => view.setUint16(0, code));
  },
  'file-open': ({ transfer, key, size, name }) => {
    const text = utf8('name', name);
    if (nameError(text) !== null) throw new RangeError(`this cannot be a file's name: ${JSON.stringify(name)}`);
    const known = size === null ? MAX_OFFSET : offsetOf('size', size);
    if (size !== null && known === MAX_OFFSET) throw new RangeError('this size means "not known"');
    return put(28, text, (view, payload) => {
      view.setUint32(0, integer('transfer', transfer, 0xffffffff));
      payload.set(bytes('key', key, 16), 4);
      view.setBigUint64(20, known);
    });
  },
  'file-data': ({ transfer, offset, payload }) => {
    if (bytes('payload', payload).length === 0) throw new RangeError('file-data has at least one byte');
    return put(12, payload, (view) => {
      view.setUint32(0, integer('transfer', transfer, 0xffffffff));
      view.setBigUint64(4, offsetOf('offset', offset));
    });
  },
  'file-done': ({ transfer, total, digest }) =>
    put(12, bytes('digest', digest, 32), (view) => {
      view.setUint32(0, integer('transfer', transfer, 0xffffffff));
      view.setBigUint64(4, offsetOf('total', total));
    }),
  'file-status': ({ transfer, code, offset, digest, reason = '' }) =>
    put(46, utf8('reason', reason), (view, payload) => {
      view.setUint32(0, integer('transfer', transfer, 0xffffffff));
      view.setUint16(4, integer('code', code, 0xffff));
      view.setBigUint64(6, offsetOf('offset', offset));
      payload.set(bytes('digest', digest, 32), 14);
    }),
  'file-cancel': ({ transfer, code, reason = '' }) =>
    put(6, utf8('reason', reason), (view) => {
      view.setUint32(0, integer('transfer', transfer, 0xffffffff));
      view.setUint16(4, integer('code', code, 0xffff));
    }),
  'file-attributes': ({ transfer, modified, executable }) =>
    put(13, new Uint8Array(), (view, payload) => {
      view.setUint32(0, integer('transfer', transfer, 0xffffffff));
      view.setBigInt64(4, modified === null ? NO_TIME : timeOf(modified));
      payload[12] = executable ? 1 : 0;
    }),
};

/**
 * Returns the kind and the payload of a message.
 *
 * Throws a RangeError or a TypeError for one that a receiver would have to refuse by chapter 13 (MSG-6), and for one of
 * the type `other` with a kind that is not from 1 to 255 or that version 1 defines.
 */
export function encodeMessage(message) {
  if (message.type === 'other') {
    const { kind, payload } = message;
    integer('kind', kind, 0xff);
    if (kind === 0 || isAssignedKind(kind)) throw new RangeError(`kind ${kind} is not an application's`);
    return { kind, payload: bytes('payload', payload) };
  }
  if (!Object.hasOwn(ENCODERS, message.type)) throw new TypeError(`there is no message of the type ${message.type}`);
  const kind = KINDS[message.type];
  const payload = ENCODERS[message.type](message);
  if (lengthError(kind, payload.length) !== null) {
    throw new RangeError(`a payload of ${payload.length} bytes cannot be a ${message.type}`);
  }
  return { kind, payload };
}

/** Returns the longest beginning of whole characters of a string that has at most `max` bytes in UTF-8. */
export function shorten(string, max) {
  const text = encoder.encode(string);
  if (text.length <= max) return string;
  return decoder.decode(text.subarray(0, utf8Length(text.subarray(0, Math.max(0, max)))));
}

/** Reads a datagram of messages (14.6). Returns `{ messages }`, or `{ refused }` with the cause. */
export function readMessages(datagram, options) {
  const read = readDatagram(datagram, options);
  if (read.refused) return read;
  const messages = [];
  for (const { at, kind, payload } of read.frames) {
    const { message } = decodeMessage(kind, payload);
    if (message === undefined) return { refused: { name: 'bad-message', code: CODES['bad-message'], at } };
    messages.push(message);
  }
  return { messages };
}

/** Returns the datagram of these messages. Throws as `encodeMessage` and `encodeDatagram` do. */
export function encodeMessages(messages, { limit = DEFAULT_LIMIT, datagramLimit } = {}) {
  return encodeDatagram(messages.map(encodeMessage), { limit, datagramLimit });
}
