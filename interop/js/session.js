// The rules of a conversation and of files: chapters 14 and 15 of spec.md, without a transport and without a clock.
//
// A Session is told what arrives and what the application wants to send, and says what is to be written. Its caller
// writes the frames that `send` and `take` return in the order of the calls, and calls `tick` every few seconds.

import {
  CODES,
  MAX_OFFSET,
  MAX_PING,
  codeName,
  decodeMessage,
  encodeMessage,
  lengthError,
  offsetOf,
  shorten,
} from './messages.js';
import { FRAMING_CODES, KINDS, isApplicationKind, isAssignedKind, isSkippable } from './unstick.js';

/** The payload limit of a peer that has sent no hello (CNV-2). */
export const UNKNOWN_LIMIT = 65536;
/** The minimum limit of both sides of a transfer (FIL-20). */
export const MIN_FILE_LIMIT = 46;
/** The maximum number of transfers without a final status (FIL-3). */
export const MAX_TRANSFERS = 64;
/** The maximum number of open pings (CNV-15). */
export const MAX_PINGS = 4;

const NO_DIGEST = new Uint8Array(32);

/** Returns true for a status that others follow (FIL-13). */
export function isInterim(code) {
  return code >= 0x0110 && code <= 0x011f;
}

const inRange = (low, high) => (code) => code >= low && code <= high && codeName(code) !== null;
const isApplicationCode = (code) => code >= 0x8000 && code <= 0xffff;
const isShared = inRange(CODES['shutting-down'], CODES['too-slow']);
const SENDABLE = {
  close: (code) =>
    code <= 0x0009 || (inRange(0x0100, 0x0107)(code) && code !== CODES.unclosed) || isApplicationCode(code),
  'file-status': (code) => isShared(code) || inRange(0x0110, 0x014f)(code) || isApplicationCode(code),
  'file-cancel': (code) => inRange(0x0150, 0x015f)(code) || isApplicationCode(code),
};

// The fixed fields of messages with a reason, which can be left out.
const BEFORE_REASON = { close: 2, 'file-status': 46, 'file-cancel': 6 };

const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
const isNoKey = (key) => key.every((byte) => byte === 0);

/** What a caller may not send now. */
function refuse(why) {
  throw new RangeError(why);
}

/** One side of a conversation. */
export class Session {
  #known;
  #error = null;
  #peerLimit = UNKNOWN_LIMIT;
  #ownLimit = null; // of the own hello
  #arrived = false; // a frame of the peer
  #written = false; // a frame of this side
  #peerClosed = false;
  #closed = false;
  #draining = false;
  #ended = false;

  // What waits to be written: errors' close, statuses, and in two places of their own the newest pong and the
  // transfers for which working is due.
  #queue = [];
  #pong = null;
  #working = new Set();

  #pings = []; // the payloads of open pings, the oldest first

  // Files that this side sends. The open one is { id, size, keyed, position, held }; position is null before data.
  #lastSent = -1;
  #sending = null;
  #unanswered = new Map(); // id -> { done }

  // Files that this side receives. The open one is { id, size, keyed, state, position, held }; the state is 'offered',
  // 'ready' or 'receiving'.
  #lastReceived = -1;
  #receiving = null;
  #owed = new Map(); // id -> { done }; and in #queue the refusals that were not written

  constructor({ known = [] } = {}) {
    this.#known = new Set([...known].filter(isApplicationKind));
  }

  /** The error that ended the conversation, or null. */
  get error() {
    return this.#error;
  }

  /** The maximum payload that may be sent now. */
  get peerLimit() {
    return this.#peerLimit;
  }

  get peerClosed() {
    return this.#peerClosed;
  }

  get closed() {
    return this.#closed;
  }

  get draining() {
    return this.#draining;
  }

  /** True when this side owes no final status, waits for none that can come, and has no file open. */
  get idle() {
    const waits = this.#peerClosed ? 0 : this.#unanswered.size;
    return this.#sending === null && waits === 0 && this.#owed.size === 0 && this.#queue.length === 0;
  }

  /** True if `send` would not refuse an open with a good name. */
  get canOpen() {
    return this.#openRefusal() === null;
  }

  /** True if `send` would not refuse a ping of up to `length` bytes. */
  canPing(length) {
    const open = this.#peerClosed ? 0 : this.#pings.length;
    return (
      !this.#closed &&
      this.#error === null &&
      open < MAX_PINGS &&
      length <= Math.min(this.#peerLimit, this.#ownLimit ?? MAX_PING)
    );
  }

  /** Returns the file that is being received, as `{ transfer, state, position }`, or null. */
  get receiving() {
    const open = this.#receiving;
    return open && { transfer: open.id, state: open.state, position: open.position };
  }

  // What arrives

  /**
   * Takes the kind and length of a frame whose payload has not arrived. Returns null, or `{ error }` if the payload
   * need not be waited for. `receive` is called for the frame all the same if this returns null.
   */
  begin(kind, length) {
    if (this.#error) return { error: this.#error };
    const early = this.#judgeHeader(kind);
    if (early) return this.#fail(early);
    return lengthError(kind, length) === null ? null : this.#fail('bad-message');
  }

  /** Returns the name of the error of the rules 2 to 4 of 14.8, or null. */
  #judgeHeader(kind) {
    if (this.#peerClosed) return 'misplaced-message';
    if (kind === KINDS.hello && this.#arrived) return 'misplaced-message';
    if (!isAssignedKind(kind) && !this.#known.has(kind) && !isSkippable(kind)) return 'unknown-kind';
    return null;
  }

  /**
   * Takes a frame. Returns `{ event, message }`, with the event of vectors/README.md and the message if it has one, or
   * `{ error }` with the error that ends the conversation. `file-refused` has `transfer` and `code`, too.
   */
  receive(kind, payload) {
    if (this.#error) return { error: this.#error };
    const early = this.#judgeHeader(kind);
    if (early) return this.#fail(early);
    this.#arrived = true;
    if (!isAssignedKind(kind) && !this.#known.has(kind)) return { event: 'nothing' };

    const { message, refused } = decodeMessage(kind, payload);
    if (refused?.name === 'bad-message') return this.#fail('bad-message');
    if (refused) return this.#receiveOpen({ transfer: refused.transfer, name: null });
    switch (message.type) {
      case 'hello':
        this.#peerLimit = message.limit;
        return { event: 'hello', message };
      case 'ping':
        // A pong that does not fit is left out, and takes no other's place (CNV-3).
        if (!this.#closed && message.payload.length <= this.#peerLimit) this.#pong = message.payload.slice();
        return { event: 'nothing' };
      case 'pong':
        return this.#receivePong(message);
      case 'close':
        return this.#receiveClose(message);
      case 'file-open':
        return this.#receiveOpen(message);
      case 'file-data':
      case 'file-done':
      case 'file-cancel':
      case 'file-attributes':
        return this.#receiveFile(message);
      case 'file-status':
        return this.#receiveStatus(message);
      case 'other':
        return { event: 'application', message };
      default:
        return { event: message.type, message };
    }
  }

  #receivePong(message) {
    for (let i = this.#pings.length - 1; i >= 0; i -= 1) {
      if (same(this.#pings[i], message.payload)) {
        this.#pings.splice(0, i + 1);
        return { event: 'pong', message };
      }
    }
    return { event: 'nothing' };
  }

  #receiveClose(message) {
    this.#peerClosed = true;
    this.#pings = [];
    if (this.#receiving) {
      this.#owed.delete(this.#receiving.id);
      this.#receiving = null;
    }
    return { event: 'close', message };
  }

  /** Takes an open; its name is null if it is bad. */
  #receiveOpen(message) {
    const { transfer, name } = message;
    if (this.#peerLimit < MIN_FILE_LIMIT) return this.#fail('misplaced-message');
    if (transfer <= this.#lastReceived) return this.#fail('bad-transfer-id');
    this.#lastReceived = transfer;
    if (this.#closed) return { event: 'nothing' };
    if (this.#owed.size + this.#queue.length >= MAX_TRANSFERS) return this.#fail('too-many-transfers');
    if (name === null) return this.#refuseFile(transfer, 'bad-name');
    if (this.#receiving) return this.#refuseFile(transfer, 'second-open');
    if (this.#draining) return this.#refuseFile(transfer, 'shutting-down');
    this.#owed.set(transfer, { done: false });
    this.#receiving = {
      id: transfer,
      size: message.size,
      keyed: !isNoKey(message.key),
      state: 'offered',
      position: null,
      held: null,
    };
    return { event: 'file-open', message };
  }

  /** Answers a transfer with a final status of the session. */
  #refuseFile(transfer, name, event = 'file-refused', message = undefined) {
    const code = CODES[name];
    this.#owed.delete(transfer);
    if (this.#receiving?.id === transfer) this.#receiving = null;
    if (!this.#closed)
      this.#queue.push({ type: 'file-status', transfer, code, offset: 0n, digest: NO_DIGEST, reason: '' });
    return { event, transfer, code, message };
  }

  #receiveFile(message) {
    const { transfer } = message;
    if (transfer > this.#lastReceived) return this.#fail('bad-transfer-id');
    const open = this.#receiving;
    if (open?.id !== transfer) return { event: 'nothing' };
    if (message.type === 'file-attributes') return { event: 'file-attributes', message };
    if (message.type === 'file-cancel') return this.#refuseFile(transfer, 'cancelled', 'file-cancel', message);

    const place = message.type === 'file-data' ? message.offset : message.total;
    const allowed = open.state === 'receiving' ? place === open.position : place === 0n || place === open.held;
    if (message.type === 'file-data') {
      if (!allowed) return this.#refuseFile(transfer, 'bad-offset');
      const end = place + BigInt(message.payload.length);
      if (end > (open.size ?? MAX_OFFSET)) return this.#refuseFile(transfer, 'excess');
      open.state = 'receiving';
      open.position = end;
      return { event: 'file-data', message };
    }
    if (!allowed || (open.size !== null && place !== open.size)) return this.#refuseFile(transfer, 'wrong-total');
    this.#owed.get(transfer).done = true;
    this.#receiving = null;
    return { event: 'file-done', message };
  }

  #receiveStatus(message) {
    const { transfer, code, offset } = message;
    const waiting = this.#unanswered.get(transfer);
    if (!waiting) return this.#fail('bad-transfer-id');
    const open = this.#sending?.id === transfer ? this.#sending : null;
    if (code === CODES.ready) {
      if (open === null || open.position !== null) return { event: 'nothing' };
      const max = open.keyed ? (open.size ?? MAX_OFFSET) : 0n;
      if (open.held !== null || offset > max) return this.#fail('misplaced-message');
      open.held = offset;
      return { event: 'file-ready', message };
    }
    if (isInterim(code)) return { event: 'file-working', message };
    if (code === CODES.stored && !waiting.done) return this.#fail('misplaced-message');
    this.#unanswered.delete(transfer);
    if (open) this.#sending = null;
    return { event: 'file-end', message };
  }

  /** The framing has skipped an oversize frame (CNV-20). Returns as `receive` does. */
  skipped() {
    if (this.#error) return { error: this.#error };
    if (this.#peerClosed) return this.#fail('oversize');
    this.#arrived = true;
    return { event: 'nothing' };
  }

  /** The stream has ended on a frame boundary. Returns `{ event: 'clean' }` or `{ error }`. */
  end() {
    if (this.#error) return { error: this.#error };
    if (!this.#peerClosed) return this.#fail('unclosed');
    this.#ended = true;
    return { event: 'clean' };
  }

  /** The transport has failed. Returns as `end` does; nothing can be written any more. */
  failed() {
    const answer = this.end();
    this.#drop();
    return answer;
  }

  /**
   * Ends the conversation with an error of the framing or of a clock, by its name in chapter 9 or 16. Returns
   * `{ error }`: this one, or the one that ended it before.
   */
  fail(name) {
    return this.#error ? { error: this.#error } : this.#fail(name);
  }

  #fail(name) {
    const code = FRAMING_CODES[name] ?? CODES[name];
    if (code === undefined) throw new TypeError(`there is no error ${name}`);
    this.#error = Object.freeze({ name, code });
    this.#drop();
    // A local code is never sent, and neither is a close after this side's own.
    if (!this.#closed && SENDABLE.close(code) && this.#peerLimit >= 2) {
      this.#queue.push({ type: 'close', code, reason: '' });
    }
    return { error: this.#error };
  }

  /** Drops what the session was going to say. */
  #drop() {
    this.#queue = [];
    this.#pong = null;
    this.#working.clear();
  }

  // What is sent

  /**
   * Returns the frame `{ kind, payload }` to write for a message of the application. A reason that is too long for the
   * peer is shortened.
   *
   * Throws a RangeError or a TypeError, and changes nothing, if the message cannot be sent now.
   */
  send(message) {
    if (this.#error) refuse(`the conversation has ended: ${this.#error.name}`);
    if (this.#closed) refuse('nothing is sent after close');
    const frame = this.#encode(message);
    const change = this.#judge(message);
    this.#written = true;
    change();
    return frame;
  }

  #encode(message) {
    let fitting = message;
    const fixed = BEFORE_REASON[message.type];
    if (fixed !== undefined && message.reason) {
      fitting = { ...message, reason: shorten(message.reason, this.#peerLimit - fixed) };
    }
    const frame = encodeMessage(fitting);
    if (frame.payload.length > this.#peerLimit) {
      refuse(`the payload has ${frame.payload.length} bytes, the peer's limit is ${this.#peerLimit}`);
    }
    return frame;
  }

  /** Returns what sending a message changes. */
  #judge(message) {
    const { type } = message;
    if (SENDABLE[type] && !SENDABLE[type](message.code ?? 0)) refuse(`a ${type} cannot have the code ${message.code}`);
    switch (type) {
      case 'hello':
        if (this.#written) refuse('a hello is the first message, or none is sent');
        return () => {
          this.#ownLimit = message.limit;
        };
      case 'ping':
        if (!this.canPing(message.payload.length)) refuse('too many pings are open, or the pong would not fit');
        return () => {
          if (!this.#peerClosed) this.#pings.push(message.payload.slice());
        };
      case 'close':
        return () => {
          this.#closed = true;
          this.#sending = null;
          this.#drop();
        };
      case 'file-open':
        return this.#judgeOpen(message);
      case 'file-data':
      case 'file-done':
      case 'file-cancel':
      case 'file-attributes':
        return this.#judgeFile(message);
      case 'file-status':
        return this.#judgeStatus(message);
      case 'other':
        if (!isApplicationKind(message.kind)) refuse(`the kind ${message.kind} is reserved`);
        return () => {};
      default:
        return () => {};
    }
  }

  #openRefusal() {
    if (this.#error || this.#closed) return 'the conversation is over';
    if (this.#sending) return 'another file is open';
    if (this.#unanswered.size >= MAX_TRANSFERS) return `${MAX_TRANSFERS} transfers have no final status`;
    if (this.#peerClosed) return 'the peer has closed';
    if (this.#draining) return 'this side is about to close';
    if (Math.min(this.#peerLimit, this.#ownLimit ?? Infinity) < MIN_FILE_LIMIT) return 'a limit is too small';
    return null;
  }

  #judgeOpen(message) {
    const why = this.#openRefusal();
    if (why) refuse(why);
    if (message.transfer <= this.#lastSent) refuse(`the transfer id ${message.transfer} is not above the last`);
    return () => {
      this.#lastSent = message.transfer;
      this.#unanswered.set(message.transfer, { done: false });
      this.#sending = {
        id: message.transfer,
        size: message.size === null ? null : BigInt(message.size),
        keyed: !isNoKey(message.key),
        position: null,
        held: null,
      };
    };
  }

  #judgeFile(message) {
    const open = this.#sending;
    if (open?.id !== message.transfer) refuse(`the transfer ${message.transfer} is not the open file`);
    if (message.type === 'file-attributes') return () => {};
    if (message.type === 'file-cancel') {
      return () => {
        this.#sending = null;
      };
    }
    const place = offsetOf('offset', message.type === 'file-data' ? message.offset : message.total);
    if (open.position === null ? place !== 0n && place !== open.held : place !== open.position) {
      refuse(`the file does not go on at ${place}`);
    }
    if (message.type === 'file-data') {
      const end = place + BigInt(message.payload.length);
      if (end > (open.size ?? MAX_OFFSET)) refuse('the data goes beyond the size');
      return () => {
        open.position = end;
      };
    }
    if (open.size !== null && place !== open.size) refuse('the total is not the size');
    return () => {
      this.#sending = null;
      this.#unanswered.get(message.transfer).done = true;
    };
  }

  #judgeStatus(message) {
    const { transfer, code } = message;
    const owed = this.#owed.get(transfer);
    if (!owed) refuse(`the transfer ${transfer} is owed no status`);
    const open = this.#receiving?.id === transfer ? this.#receiving : null;
    if (code === CODES.ready) {
      const offset = offsetOf('offset', message.offset);
      if (open?.state !== 'offered') refuse('it is too late for ready');
      if (offset > (open.keyed ? (open.size ?? MAX_OFFSET) : 0n)) refuse('ready has an offset that is too high');
      return () => {
        open.state = 'ready';
        open.held = offset;
      };
    }
    if (code === CODES.working) return () => this.#working.delete(transfer);
    if (code === CODES.stored && !owed.done) refuse('stored is sent after done only');
    return () => {
      this.#owed.delete(transfer);
      if (open) this.#receiving = null;
    };
  }

  /** Makes working due for each transfer that waits for this side. To be called at least every 10 seconds (FIL-19). */
  tick() {
    if (this.#error || this.#closed) return;
    for (const transfer of this.#owed.keys()) if (this.#needsWorking(transfer)) this.#working.add(transfer);
  }

  #needsWorking(transfer) {
    const owed = this.#owed.get(transfer);
    return owed !== undefined && (owed.done || this.#receiving?.state === 'offered');
  }

  /** Begins to drain (CNV-16): no file is opened from now on, and each one that is offered is refused. */
  drain() {
    this.#draining = true;
  }

  /** Returns the frames that the session sends by itself, `{ kind, payload }` each. The caller writes them now. */
  take() {
    const messages = [];
    if (this.#pong) messages.push({ type: 'pong', payload: this.#pong });
    for (const transfer of this.#working) {
      if (this.#needsWorking(transfer)) {
        messages.push({
          type: 'file-status',
          transfer,
          code: CODES.working,
          offset: 0n,
          digest: NO_DIGEST,
          reason: '',
        });
      }
    }
    messages.push(...this.#queue);
    this.#drop();
    if (messages.length > 0) this.#written = true;
    if (this.#error) this.#closed = true;
    return messages.map(encodeMessage);
  }
}
