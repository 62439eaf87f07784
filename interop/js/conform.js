#!/usr/bin/env node
// Answers the requests of `unstick conform`, which vectors/README.md describes.
//
//   unstick conform -- node interop/js/conform.js

import { createInterface } from 'node:readline';
import { decodeMessage, encodeMessage, readMessages } from './messages.js';
import { Session } from './session.js';
import { FrameDecoder, encode, encodeDatagram, encodeHeader, readDatagram } from './unstick.js';

const BYTES = ['payload', 'key', 'digest'];
const OFFSETS = ['size', 'offset', 'total', 'modified'];

const hex = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
const unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'));

function toJson(value) {
  const out = {};
  for (const [key, member] of Object.entries(value)) {
    if (member instanceof Uint8Array) out[key] = hex(member);
    else if (typeof member === 'bigint') out[key] = String(member);
    else out[key] = member;
  }
  return out;
}

function fromJson(value) {
  const out = { ...value };
  for (const key of BYTES) if (key in out) out[key] = unhex(out[key]);
  for (const key of OFFSETS) if (key in out && out[key] !== null) out[key] = BigInt(out[key]);
  return out;
}

/** Runs what throws a RangeError or a TypeError if it refuses. */
function attempt(run) {
  try {
    return run();
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return { refused: error.message };
    throw error;
  }
}

const eventJson = (event) => {
  if (event.type === 'frame') return { frame: { at: event.at, kind: event.kind, payload: hex(event.payload) } };
  if (event.type === 'found') return { found: { skipped: event.skipped } };
  return { error: event.error };
};

let receiver = null;
let session = null;

const options = ({ limit, datagram_limit, known, cut }) => ({
  ...(limit === undefined ? {} : { limit: Number(limit) }),
  ...(datagram_limit === undefined ? {} : { datagramLimit: Number(datagram_limit) }),
  known,
  cut,
});

const request = (method) => {
  const answer = receiver[method]();
  return answer === 'same-error' ? { answer, error: receiver.error } : { answer };
};

/** The answer to something that happened to the session. */
function happened({ event, error }, hold) {
  const answer = error ? { error } : { event };
  if (!hold) answer.says = says();
  return answer;
}

const says = () => session.take().map(({ kind, payload }) => toJson(decodeMessage(kind, payload).message));

const REQUESTS = {
  start: (r) => {
    receiver = new FrameDecoder(options(r));
    return { ok: true };
  },
  bytes: (r) => {
    const { consumed, events } = receiver.push(unhex(r.bytes));
    return { consumed, events: events.map(eventJson) };
  },
  end: () => {
    const error = receiver.end();
    return { events: [error ? { error } : { end: true }] };
  },
  skip: () => request('skip'),
  resync: () => request('resync'),
  reset: () => {
    receiver.reset();
    return { ok: true };
  },
  datagram: (r) => {
    const { frames, refused } = readDatagram(unhex(r.bytes), options(r));
    return refused ? { refused } : { frames: frames.map(toJson) };
  },
  'datagram-messages': (r) => {
    const { messages, refused } = readMessages(unhex(r.bytes), options(r));
    return refused ? { refused } : { messages: messages.map(toJson) };
  },
  encode: (r) => attempt(() => ({ bytes: hex(encode(r.kind, unhex(r.payload), options(r))) })),
  'encode-header': (r) => attempt(() => ({ bytes: hex(encodeHeader(r.kind, Number(r.length), options(r))) })),
  'encode-datagram': (r) => attempt(() => ({ bytes: hex(encodeDatagram(r.frames.map(fromJson), options(r))) })),
  message: (r) => {
    const { message, refused } = decodeMessage(r.kind, unhex(r.payload));
    return refused ? { refused } : { message: toJson(message) };
  },
  'encode-message': (r) => attempt(() => toJson(encodeMessage(fromJson(r.message)))),
  conversation: (r) => {
    session = new Session({ known: r.known });
    return { ok: true };
  },
  receive: (r) => {
    const { kind, payload } = r.message
      ? encodeMessage(fromJson(r.message))
      : { kind: r.kind, payload: unhex(r.payload) };
    return happened(session.receive(kind, payload), r.hold);
  },
  send: (r) =>
    attempt(() => {
      const { kind, payload } = session.send(fromJson(r.message));
      return { ok: true, writes: toJson(decodeMessage(kind, payload).message) };
    }),
  tick: (r) => {
    session.tick();
    return r.hold ? {} : { says: says() };
  },
  drain: (r) => {
    session.drain();
    return r.hold ? {} : { says: says() };
  },
  skipped: (r) => happened(session.skipped(), r.hold),
  'end-of-stream': (r) => happened(session.end(), r.hold),
};

/** Returns the answer to a request. */
export function answer(r) {
  if (!Object.hasOwn(REQUESTS, r.do)) return { unsupported: `there is no request ${r.do}` };
  if (r.format !== undefined && r.format !== 'v1') return { unsupported: 'this has no framing of Annex A' };
  return REQUESTS[r.do](r);
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
