// Conversations over node:net: a client, and a small server. Messages, pings, and files with resuming.

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { FileReceiver, Inbox, sendFile } from './files.js';
import { CODES } from './messages.js';
import { Session } from './session.js';
import { DEFAULT_LIMIT, FrameDecoder, encode } from './unstick.js';

export { Inbox, NO_KEY, resumeKey } from './files.js';

/** The bounds of 14.7 in milliseconds, and the periods of what keeps a connection alive. */
export const TIMES = Object.freeze({
  idle: 60000,
  frame: 60000, // for each 65,536 bytes of a frame
  status: 60000,
  ready: 60000, // and as much again for each 10,000,000 bytes held
  rate: 1000, // bytes a second
  window: 60000,
  peerEnd: 60000,
  discard: 5000,
  ping: 20000,
  working: 5000,
  clock: 1000,
});

/** While the application does not take this many bytes of messages, and waits for nothing, nothing is read. */
const QUEUE = 1 << 20;
/** Messages that wait beyond this end the conversation with busy. */
const MAX_QUEUE = 16 << 20;
/** While this many bytes wait for the disk, nothing is read. */
const MAX_BACKLOG = 1 << 20;

/** After this many messages other events have a turn. */
const MAX_BURST = 32;

/** The end of a conversation that is not an ordinary one. `info` has the name and the code of chapter 9 or 16. */
export class ConversationError extends Error {
  constructor(info, cause) {
    super(`the conversation has ended: ${info.name}`, cause && { cause });
    this.name = 'ConversationError';
    this.info = info;
  }
}

/** A conversation over a socket of node:net with `allowHalfOpen`, or another reliable Duplex. */
export class Connection {
  #socket;
  #session;
  #decoder;
  #receiver = null;
  #times;
  #error = null;
  #over = false;
  #discardSince = null;
  #queue = []; // messages for the application
  #queued = 0; // their bytes
  #pending = 0; // what the application waits for
  #waiters = new Set(); // what is to be asked again after each event
  #pings = [];
  #answers = [];
  #watches = new Map();
  #turn = Promise.resolve();
  #transfer = 0;
  #burst = 0; // messages since other events had a turn
  #frameSince = null;
  #arrival = Date.now();
  #departure = Date.now();
  #working = Date.now();
  #clock;
  /** The hello of the peer, or null. */
  hello = null;
  /** The close of the peer, `{ code, reason }`, or null. */
  peerClose = null;

  constructor(socket, { limit = DEFAULT_LIMIT, known = [], name = '', inbox = null, times = {} } = {}) {
    this.#socket = socket;
    this.#session = new Session({ known });
    this.#decoder = new FrameDecoder({ limit });
    this.#times = { ...TIMES, ...times };
    if (inbox) {
      this.#receiver = new FileReceiver(inbox, {
        answer: (status) => this.#answer(status),
        progress: () => this.#changed(),
      });
    }
    this.#write(this.#session.send({ type: 'hello', limit: this.#decoder.limit, name }));
    socket.on('data', (chunk) => this.#received(chunk));
    socket.on('end', () => this.#peerEnded());
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', () => this.#closed());
    socket.on('drain', () => this.#changed());
    this.#clock = setInterval(() => this.#tick(Date.now()), this.#times.clock);
    this.#clock.unref();
  }

  /** The error that ended the conversation, or null. */
  get error() {
    return this.#error;
  }

  /** The maximum payload that the peer takes, as far as it is known now. */
  get peerLimit() {
    return this.#session.peerLimit;
  }

  // Reading

  #received(chunk) {
    this.#arrival = Date.now();
    if (this.#session.error) return; // read and discarded (CNV-18)
    const { events } = this.#decoder.push(chunk);
    for (const event of events) {
      if (event.type === 'error') this.#outcome(this.#session.fail(event.error.name));
      else this.#outcome(this.#session.receive(event.kind, event.payload));
      if (this.#session.error) break;
      if (event.type === 'frame') this.#frameSince = null;
    }
    const { begun } = this.#decoder;
    if (begun && !this.#session.error) {
      const wrong = this.#session.begin(begun.kind, begun.length);
      if (wrong) this.#outcome(wrong);
    }
    if (this.#decoder.state === 'boundary') this.#frameSince = null;
    else this.#frameSince ??= this.#arrival;
    this.#changed();
  }

  #peerEnded() {
    const wrong = this.#decoder.end();
    this.#outcome(wrong && !this.#session.error ? this.#session.fail(wrong.name) : this.#session.end());
    this.#changed();
  }

  #failed(cause) {
    this.#outcome(this.#session.failed(), cause);
    this.#changed();
  }

  #closed() {
    if (this.#over) return;
    // A clean end was reported before; anything else is a failure of the transport.
    if (!this.#session.error) this.#outcome(this.#session.failed());
    this.#over = true;
    clearInterval(this.#clock);
    this.#receiver?.closed({ all: true });
    this.#changed();
  }

  #outcome({ event, message, transfer, error }, cause) {
    if (error) {
      if (this.#error) return;
      this.#error = new ConversationError(error, cause);
      this.#receiver?.closed({ all: true });
      this.#writeTaken();
      this.#discardSince = Date.now();
      this.#socket.end();
      return;
    }
    switch (event) {
      case 'hello':
        this.hello = message;
        break;
      case 'text':
      case 'binary':
      case 'application':
        this.#enqueue(message);
        break;
      case 'pong':
        this.#answered(message.payload);
        break;
      case 'close':
        this.peerClose = { code: message.code, reason: message.reason };
        this.#receiver?.closed();
        break;
      case 'file-open':
        if (this.#receiver) this.#receiver.open(message);
        else
          this.#answer({
            transfer: message.transfer,
            code: CODES['not-accepted'],
            offset: 0,
            digest: new Uint8Array(32),
          });
        break;
      case 'file-data':
        this.#receiver.data(message);
        break;
      case 'file-done':
        this.#receiver.done(message);
        break;
      case 'file-cancel':
      case 'file-refused':
        this.#receiver?.refused(transfer);
        break;
      case 'file-ready':
      case 'file-working':
      case 'file-end': {
        const watch = this.#watches.get(message.transfer);
        if (!watch) break;
        watch.since = Date.now();
        if (event === 'file-ready') watch.ready = message;
        if (event === 'file-end') {
          watch.final = message;
          this.#watches.delete(message.transfer);
        }
        break;
      }
      default:
    }
  }

  #enqueue(message) {
    const size = 64 + (message.payload ?? message.text).length;
    if (this.#queued + size > MAX_QUEUE) {
      if (this.#session.closed) return; // an application that has closed, and takes nothing more
      this.#outcome(this.#session.fail('busy'));
      return;
    }
    this.#queued += size;
    this.#queue.push({ message, size });
  }

  // Something has happened: what waits is asked again.
  #changed() {
    this.#flush();
    for (const waiter of [...this.#waiters]) waiter();
    this.#pace();
  }

  /** Reading waits for the disk and for the application, but never for the peer (CNV-17). */
  #pace() {
    if (this.#over) return;
    const application = this.#pending === 0 && this.#queued > QUEUE;
    const disk = (this.#receiver?.backlog ?? 0) > MAX_BACKLOG;
    if ((application || disk) && !this.#session.error && !this.#session.closed) this.#socket.pause();
    else if (this.#socket.isPaused()) {
      this.#arrival = Date.now();
      this.#frameSince &&= this.#arrival;
      this.#socket.resume();
    }
  }

  // Writing

  #write({ kind, payload }) {
    this.#departure = Date.now();
    if (this.#socket.writable) this.#socket.write(encode(kind, payload, { limit: this.#session.peerLimit }));
  }

  #writeTaken() {
    for (const frame of this.#session.take()) this.#write(frame);
  }

  #flush() {
    if (this.#socket.writableNeedDrain) return;
    for (const status of this.#answers.splice(0)) this.#try({ type: 'file-status', ...status });
    this.#writeTaken();
  }

  /** Writes a message that may have become pointless meanwhile. Returns false if it has. */
  #try(message) {
    if (this.#error || this.#session.closed) return false;
    try {
      this.#write(this.#session.send(message));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return false;
    }
    return true;
  }

  /** Writes a status when there is room. A peer that reads none is owed at most 64 transfers, so these are bounded. */
  #answer(status) {
    this.#answers.push(status);
    this.#flush();
  }

  /** Resolves when `ready` returns true. Rejects when the conversation ends before. */
  #until(ready, { ends = true } = {}) {
    return new Promise((resolve, reject) => {
      const waiter = () => {
        let yes = false;
        try {
          yes = ready();
          if (!yes && ends && (this.#over || this.#error)) throw this.#error ?? new Error('the connection is closed');
        } catch (error) {
          this.#settle(waiter);
          reject(error);
          return;
        }
        if (yes) {
          this.#settle(waiter);
          resolve();
        }
      };
      this.#pending += 1;
      this.#waiters.add(waiter);
      waiter();
    }).finally(() => this.#pace());
  }

  #settle(waiter) {
    if (this.#waiters.delete(waiter)) this.#pending -= 1;
  }

  /**
   * Sends a message, and resolves when there is room for another one.
   *
   * Rejects with a RangeError or a TypeError for a message that cannot be sent now, and with a ConversationError after
   * the end.
   */
  async send(message) {
    if (this.#error) throw this.#error;
    this.#write(this.#session.send(message));
    if (this.#socket.writableNeedDrain) {
      await this.#until(() => !this.#socket.writableNeedDrain);
    }
    // A socket that takes everything at once would otherwise keep a loop of sends from ever reading.
    this.#burst += 1;
    if (this.#burst >= MAX_BURST) {
      await new Promise(setImmediate);
      this.#burst = 0;
    }
  }

  text(text) {
    return this.send({ type: 'text', text });
  }

  binary(payload) {
    return this.send({ type: 'binary', payload });
  }

  /** Sends a ping, and resolves with the milliseconds until it, or a later ping, was answered. */
  async ping(payload = new Uint8Array(randomBytes(8))) {
    const ping = { payload, begun: performance.now(), time: null };
    const sent = this.send({ type: 'ping', payload });
    sent.catch(() => {}); // is awaited below, unless the session has refused the ping
    if (!this.#error) this.#pings.push(ping);
    try {
      await sent;
      await this.#until(() => {
        if (ping.time === null && this.peerClose) throw new Error('the peer has closed');
        return ping.time !== null;
      });
    } finally {
      this.#pings = this.#pings.filter((other) => other !== ping);
    }
    return ping.time;
  }

  #answered(payload) {
    const newest = this.#pings.findLastIndex((ping) => Buffer.compare(ping.payload, payload) === 0);
    const now = performance.now();
    for (const ping of this.#pings.slice(0, newest + 1)) ping.time ??= now - ping.begun;
  }

  /** Resolves with the next text, binary or application message, or with null when the peer has closed. */
  async next() {
    const over = () => this.peerClose !== null || this.#over;
    if (this.#queue.length === 0 && !this.#error && !over()) {
      this.#pending -= 1; // the application waits for the peer's messages here, which are read
      try {
        await this.#until(() => this.#queue.length > 0 || over());
      } finally {
        this.#pending += 1;
      }
    }
    const entry = this.#queue.shift();
    if (entry) {
      this.#queued -= entry.size;
      this.#pace();
      return entry.message;
    }
    if (this.#error) throw this.#error;
    return null;
  }

  async *[Symbol.asyncIterator]() {
    for (let message = await this.next(); message !== null; message = await this.next()) yield message;
  }

  // Files

  /**
   * Sends a file: a path, a Uint8Array, or an async iterable of bytes.
   *
   * Options: `name`, which a path brings; `key`, 16 bytes, to resume from what an earlier transfer with this name and
   * key left; `chunk`, the bytes of data in a message; `onProgress`. Resolves with `{ stored, code, status, reason,
   * resumedAt }`. Files may be sent without waiting for the ones before.
   */
  sendFile(source, options) {
    return sendFile(this.#link, source, options);
  }

  #link = {
    /** Resolves with a function to be called when the next file may be opened. */
    turn: async () => {
      const before = this.#turn;
      let release;
      this.#turn = new Promise((resolve) => {
        release = resolve;
      });
      await before;
      try {
        await this.#until(() => {
          if (this.#session.peerClosed || this.#session.draining) throw new Error('the conversation is about to end');
          return this.#session.canOpen;
        });
      } catch (error) {
        release();
        throw error;
      }
      return release;
    },
    nextTransfer: () => {
      this.#transfer += 1;
      return this.#transfer;
    },
    send: (message) => this.send(message),
    cancel: (message) => this.#try(message),
    peerLimit: () => this.#session.peerLimit,
    check: () => {
      if (this.#error) throw this.#error;
      if (this.#session.peerClosed) throw new Error('the peer has closed');
    },
    watch: (transfer) => {
      const watch = { ready: null, final: null, since: Date.now(), waits: false };
      watch.forget = () => this.#watches.delete(transfer);
      watch.until = async (ready) => {
        watch.since = Date.now();
        watch.waits = true;
        try {
          await this.#until(() => {
            const yes = Boolean(ready());
            if (!yes) this.#link.check();
            return yes;
          });
        } finally {
          watch.waits = false;
        }
      };
      this.#watches.set(transfer, watch);
      return watch;
    },
  };

  // Ending

  /**
   * Ends the conversation: no more files are taken, those that have begun are finished, close is sent, and what is in
   * transit is read until the peer ends, too. With a `code` other than 0, or after `drain` milliseconds, close is sent
   * without waiting. Rejects with a ConversationError if the conversation did not end cleanly.
   */
  async close({ code = 0, reason = '', drain = Infinity } = {}) {
    if (!this.#error && !this.#session.closed) {
      this.#session.drain();
      let waits = code === 0;
      let timer;
      if (Number.isFinite(drain)) {
        timer = setTimeout(() => {
          waits = false;
          this.#changed();
        }, drain);
      }
      try {
        await this.#until(() => {
          if (this.#over || this.#error) return true;
          return !waits || this.#session.idle;
        });
      } finally {
        clearTimeout(timer);
      }
      if (!this.#error && !this.#session.closed && !this.#over) {
        this.#writeTaken();
        this.#write(this.#session.send({ type: 'close', code, reason }));
        this.#socket.end();
        this.#pace();
      }
    }
    await this.#until(() => this.#over, { ends: false });
    await this.#receiver?.settled();
    if (this.#error) throw this.#error;
  }

  /** Drops the connection at once, as a failure of the transport would. */
  destroy() {
    this.#socket.destroy();
  }

  // Time

  #tick(now) {
    const times = this.#times;
    const session = this.#session;
    if (session.error) {
      if (now - this.#discardSince > times.discard) this.#socket.destroy();
      return;
    }
    if (session.closed) {
      if (now - Math.max(this.#arrival, this.#departure) > times.peerEnd) this.#socket.destroy();
      return;
    }
    const paused = this.#socket.isPaused();
    if (!paused && !session.peerClosed) {
      const begun = this.#decoder.begun;
      const arrived = begun ? begun.length - begun.missing : 0;
      const bound = times.frame * (1 + Math.floor(arrived / 65536));
      if (now - this.#arrival > times.idle) this.#outcome(session.fail('idle-timeout'));
      else if (this.#frameSince !== null && now - this.#frameSince > bound)
        this.#outcome(session.fail('frame-timeout'));
    }
    for (const [transfer, watch] of this.#watches) {
      if (!watch.waits || now - watch.since <= times.status || session.peerClosed || session.error) continue;
      // Cancelled while it is open; else only the end of the conversation is left (15.6).
      watch.since = now;
      const cancelled = this.#try({ type: 'file-cancel', transfer, code: CODES['given-up'] });
      if (!cancelled) this.#outcome(session.fail('too-slow'));
    }
    if (!session.error) {
      if (session.receiving) this.#receiver?.clock(now, session.receiving, paused, times);
      if (now - this.#working >= times.working) {
        this.#working = now;
        session.tick();
      }
      if (now - this.#departure >= times.ping) {
        this.#try({ type: 'ping', payload: new Uint8Array(randomBytes(session.canPing(8) ? 8 : 0)) });
      }
    }
    this.#changed();
  }
}

/** Connects to a server. Options are those of `Connection`, and those of `net.connect`, such as `host` and `port`. */
export function connect({ limit, known, name, inbox, times, ...address }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...address, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.setNoDelay(true);
      resolve(new Connection(socket, { limit, known, name, inbox, times }));
    });
  });
}

/** Returns a message for a reply: a message, a string, or bytes. */
function asMessage(reply) {
  if (typeof reply === 'string') return { type: 'text', text: reply };
  return reply instanceof Uint8Array ? { type: 'binary', payload: reply } : reply;
}

/**
 * Serves conversations. Resolves with `{ address, connections, close }` when it listens.
 *
 * Options: `host`, `port` or `path`; `dir`, a folder for files, with the options of `Inbox`; `reply`, which gets each
 * message and its connection, and may return an answer, or a promise of one: a message, a string or bytes;
 * `onConnection`; `onEnd`, which gets each connection and its error or null; `maxConnections`; and those of
 * `Connection`.
 */
export async function serve(options = {}) {
  const { host = '127.0.0.1', port = 0, path, dir, reply, onConnection, onEnd } = options;
  const { maxConnections = 256, limit, known, name, times } = options;
  const inbox = dir === undefined ? null : await new Inbox(dir, options).prepare();
  const connections = new Set();

  const converse = async (socket) => {
    socket.setNoDelay?.(true);
    const connection = new Connection(socket, { limit, known, name, inbox, times });
    connections.add(connection);
    onConnection?.(connection);
    let failure = null;
    try {
      for await (const message of connection) {
        const answer = await reply?.(message, connection);
        if (answer !== undefined && answer !== null) await connection.send(asMessage(answer));
      }
      await connection.close();
    } catch (error) {
      failure = error;
      // What the application could not answer ends this conversation only.
      if (!connection.error) await connection.close({ code: CODES['shutting-down'] }).catch(() => {});
      else await connection.close().catch(() => {});
    }
    connections.delete(connection);
    onEnd?.(connection, failure);
  };

  const server = net.createServer({ allowHalfOpen: true }, converse);
  server.maxConnections = maxConnections;
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path === undefined ? { host, port } : { path }, resolve);
  });
  return {
    address: server.address(),
    connections,
    /** Takes no more connections, and closes those that exist; after `drain` milliseconds without waiting. */
    async close({ drain = 5000 } = {}) {
      const stopped = new Promise((resolve) => {
        server.close(resolve);
      });
      await Promise.allSettled([...connections].map((connection) => connection.close({ drain })));
      await stopped;
    },
  };
}
