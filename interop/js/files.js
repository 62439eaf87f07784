// Files for net.js: a sender and an inbox, for Node. Chapter 15 of spec.md, from the session's side to the disk.

import { createHash, createHmac, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { CODES, codeName } from './messages.js';

/** The resume key that means "no resuming" (FIL-25). */
export const NO_KEY = new Uint8Array(16);
const NO_DIGEST = new Uint8Array(32);
/** The bytes of data in a message, if the peer takes as many. */
const CHUNK = 65536 - 12;

/**
 * Returns a resume key for a file of this sender: 16 bytes, derived from a secret and from what the file is. The same
 * secret and the same facts, such as its path, size and time of change, give the same key.
 */
export function resumeKey(secret, ...facts) {
  const key = createHmac('sha256', secret)
    .update(JSON.stringify(facts.map(String)))
    .digest();
  return new Uint8Array(key.subarray(0, 16));
}

/** What a job that waits costs besides its data, in bytes of memory. */
const JOB = 1024;

/** The maximum number of parts. */
const MAX_PARTS = 1000;
/** All parts are measured again after this many bytes of a file, so they may exceed their bound by as many. */
const CHECK = 1 << 20;

/** A source that is read at any offset: a path or bytes; or in order: an async iterable of bytes. */
async function openSource(source) {
  if (typeof source === 'string') {
    const handle = await fs.open(source, 'r');
    const { size } = await handle.stat();
    return {
      size,
      async read(offset, length) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
      close: () => handle.close(),
    };
  }
  if (source instanceof Uint8Array) {
    return {
      size: source.length,
      read: async (offset, length) => source.subarray(offset, offset + length),
      close: async () => {},
    };
  }
  const iterator = source[Symbol.asyncIterator]();
  let left = new Uint8Array(0);
  return {
    size: null,
    async read(_, length) {
      while (left.length === 0) {
        const { done, value } = await iterator.next();
        if (done) return left;
        left = value;
      }
      const run = left.subarray(0, length);
      left = left.subarray(run.length);
      return run;
    },
    close: async () => {
      await iterator.return?.();
    },
  };
}

/** Sends one file. `link` is what a Connection lends. */
export async function sendFile(link, source, options = {}) {
  const name = options.name ?? (typeof source === 'string' ? path.basename(source) : undefined);
  const key = options.key ?? NO_KEY;
  const file = await openSource(source);
  try {
    if (file.size === null && options.key) throw new TypeError('what is read in order only cannot be resumed');
    return await transfer(link, file, name, key, options);
  } finally {
    await file.close();
  }
}

async function transfer(link, file, name, key, { chunk = CHUNK, onProgress } = {}) {
  const release = await link.turn();
  let watch = null;
  let hash = createHash('sha256');
  let position = 0;
  let start = 0;
  const id = link.nextTransfer();
  const cancel = (reason) => {
    if (watch && !watch.final) link.cancel({ type: 'file-cancel', transfer: id, code: CODES[reason] });
  };
  try {
    const opened = link.send({ type: 'file-open', transfer: id, key, size: file.size, name });
    watch = link.watch(id);
    await opened;
    if (key.some((byte) => byte !== 0)) {
      await watch.until(() => watch.ready || watch.final);
      if (watch.ready?.offset > 0n) {
        const held = Number(watch.ready.offset);
        const own = await digestOf(file, held, () => watch.final || link.check());
        if (own && same(own.copy().digest(), watch.ready.digest)) {
          hash = own;
          start = held;
          position = held;
        }
      }
    }
    const length = Math.max(1, Math.min(chunk, link.peerLimit() - 12));
    while (!watch.final && (file.size === null || position < file.size)) {
      const wanted = file.size === null ? length : Math.min(length, file.size - position);
      const bytes = await file.read(position, wanted).catch((error) => {
        cancel('unreadable');
        throw error;
      });
      link.check();
      if (watch.final || bytes.length === 0) break;
      hash.update(bytes);
      await link.send({ type: 'file-data', transfer: id, offset: position, payload: bytes });
      position += bytes.length;
      onProgress?.(position, file.size);
    }
    if (file.size !== null && position < file.size) cancel('changed');
    else if (!watch.final) {
      await link.send({ type: 'file-done', transfer: id, total: position, digest: hash.copy().digest() });
    }
  } catch (error) {
    cancel('given-up');
    watch?.forget();
    throw error;
  } finally {
    release();
  }
  await watch.until(() => watch.final);
  return outcome(watch.final, file, hash, position, start);
}

async function outcome({ code, reason, digest }, file, hash, position, start) {
  let stored = code === CODES.stored;
  if (code === CODES.exists && !same(digest, NO_DIGEST)) {
    // The file that is there may be this one.
    let end = position;
    for (;;) {
      const bytes = await file.read(end, CHUNK);
      if (bytes.length === 0) break;
      hash.update(bytes);
      end += bytes.length;
    }
    stored = same(hash.digest(), digest);
  }
  return { stored, code, status: codeName(code) ?? `0x${code.toString(16)}`, reason, resumedAt: start };
}

const same = (a, b) => Buffer.compare(a, b) === 0;

/** Returns the running hash of the first `length` bytes of a file; null if it is shorter, or `stop` returns true. */
async function digestOf(file, length, stop) {
  const hash = createHash('sha256');
  for (let offset = 0; offset < length;) {
    const bytes = await file.read(offset, Math.min(1 << 20, length - offset));
    if (bytes.length === 0 || stop()) return null;
    hash.update(bytes);
    offset += bytes.length;
  }
  return hash;
}

/**
 * A folder that receives files, for any number of connections of one process.
 *
 * A file gets its name when it is whole and on disk, and never replaces another one. Parts are in a folder of their own
 * next to the files, with at most `maxParts` bytes together: to make room, the oldest that no transfer uses are removed.
 */
export class Inbox {
  constructor(dir, { maxFile = Infinity, maxParts = 64 * 2 ** 30, onStored } = {}) {
    this.dir = path.resolve(dir);
    this.parts = path.join(this.dir, '.unstick-parts');
    this.maxFile = Math.min(maxFile, maxParts); // every file is a part first
    this.maxParts = maxParts;
    this.onStored = onStored;
    this.inUse = new Map(); // the parts of running transfers
  }

  async prepare() {
    await fs.mkdir(this.parts, { recursive: true, mode: 0o700 });
    return this;
  }

  /**
   * Makes room for this many bytes: removes parts that no transfer uses, the oldest first. Returns false if there is
   * not enough.
   */
  async room(bytes) {
    const parts = [];
    for (const name of await fs.readdir(this.parts)) {
      const file = path.join(this.parts, name);
      const stat = await fs.stat(file).catch(() => null);
      if (stat) parts.push({ file, size: stat.size, time: stat.mtimeMs });
    }
    let count = parts.length;
    let used = parts.reduce((sum, { size }) => sum + size, bytes);
    for (const { file, size } of parts.sort((a, b) => a.time - b.time)) {
      if (used <= this.maxParts && count <= MAX_PARTS) break;
      if (this.inUse.has(file)) continue;
      await fs.unlink(file).catch(() => {});
      used -= size;
      count -= 1;
    }
    return used <= this.maxParts;
  }

  partOf(name, key) {
    const id = key.some((byte) => byte !== 0)
      ? createHash('sha256').update(name).update('\0').update(key).digest('hex')
      : `once-${randomBytes(16).toString('hex')}`;
    return path.join(this.parts, id);
  }
}

/** What one connection receives into an inbox. Its work is done in order, one job after the other. */
export class FileReceiver {
  #inbox;
  #link;
  #jobs = Promise.resolve();
  #current = null;
  #running = new Set();
  /** The memory, in bytes, of what waits for the disk. */
  backlog = 0;

  constructor(inbox, link) {
    this.#inbox = inbox;
    this.#link = link;
  }

  /** Resolves when all work that is known now is done. */
  settled() {
    return this.#jobs;
  }

  /** Runs a job after those before it, unless its transfer is over by then. */
  #then(t, run, bytes = 0) {
    const cost = JOB + bytes;
    this.backlog += cost;
    this.#jobs = this.#jobs.then(async () => {
      try {
        if (!t.over) await run();
      } catch (error) {
        const status = error.code === 'ENOSPC' || error.code === 'EDQUOT' ? 'no-space' : 'storage-failed';
        await this.#finish(t, status, { keep: t.keyed && status === 'no-space', reason: error.code ?? '' });
      }
      this.backlog -= cost;
      this.#link.progress();
    });
  }

  open({ transfer, key, size, name }) {
    const t = {
      id: transfer,
      name,
      size: size === null ? null : Number(size),
      keyed: key.some((byte) => byte !== 0),
      part: this.#inbox.partOf(name, key),
      target: path.join(this.#inbox.dir, name),
      handle: null,
      hash: createHash('sha256'),
      held: 0,
      position: null,
      begin: null, // where the first data began
      stop: false, // the digests for the answer to the open are not needed any more
      gone: false, // the conversation has ended
      over: false, // answered, or ended
      unchecked: CHECK, // bytes that were written since the parts were measured
      since: Date.now(),
      counted: 0, // bytes that have arrived since `since`
    };
    this.#current = t;
    this.#running.add(t);
    this.#then(t, () => this.#offer(t));
  }

  async #offer(t) {
    const inbox = this.#inbox;
    if (t.name === path.basename(inbox.parts)) return this.#finish(t, 'bad-name');
    if ((t.size ?? 0) > inbox.maxFile) return this.#finish(t, 'too-large');
    const other = inbox.inUse.get(t.part);
    if (other && !other.gone) return this.#finish(t, 'busy');
    await other?.finished; // the end of a broken connection
    if (await this.#answerExisting(t)) return undefined;
    if (inbox.inUse.has(t.part)) return this.#finish(t, 'busy');
    inbox.inUse.set(t.part, t);
    t.finished = new Promise((resolve) => {
      t.release = resolve;
    });
    t.handle = await fs.open(t.part, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const { size: held } = await t.handle.stat();
    if (held <= (t.size ?? held)) {
      const read = async (offset, length) => {
        const { bytesRead, buffer } = await t.handle.read(Buffer.allocUnsafe(length), 0, length, offset);
        return buffer.subarray(0, bytesRead);
      };
      const hash = await digestOf({ read }, held, () => t.stop);
      if (hash) {
        t.hash = hash;
        t.held = held;
      }
    }
    if (t.stop) return undefined;
    if (!(await inbox.room((t.size ?? t.held) - t.held))) return this.#finish(t, 'busy', { keep: t.keyed });
    t.since = Date.now();
    const digest = t.hash.copy().digest();
    return this.#link.answer({ transfer: t.id, code: CODES.ready, offset: t.held, digest, reason: '' });
  }

  /** Answers exists if there is a file of this name. Returns false if there is none, or data came before that. */
  async #answerExisting(t) {
    const stat = await fs.lstat(t.target).catch(() => null);
    if (!stat) return false;
    if (!stat.isFile() || stat.size !== (t.size ?? stat.size)) {
      await this.#finish(t, 'exists');
      return true;
    }
    const digest = await this.#digestOfTarget(t, () => t.stop);
    if (!digest) return false;
    await this.#finish(t, 'exists', { offset: stat.size, digest });
    return true;
  }

  /** Returns the digest of the file of the name, or null if the work was stopped. */
  async #digestOfTarget(t, stop) {
    const handle = await fs.open(t.target, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const hash = createHash('sha256');
      const buffer = Buffer.allocUnsafe(1 << 20);
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
        if (stop()) return null;
        if (bytesRead === 0) return hash.digest();
        hash.update(buffer.subarray(0, bytesRead));
      }
    } finally {
      await handle.close();
    }
  }

  data({ transfer, offset, payload }) {
    const t = this.#current;
    if (t?.id !== transfer) return;
    const begins = t.position === null;
    if (offset === 0n) t.stop = true;
    if (begins) t.begin = Number(offset);
    t.position = Number(offset) + payload.length;
    t.counted += payload.length;
    this.#then(
      t,
      async () => {
        if (begins) {
          if (offset === 0n) await this.#restart(t);
          t.since = Date.now();
        }
        if (Number(offset) + payload.length > this.#inbox.maxFile) return this.#finish(t, 'too-large');
        t.unchecked += payload.length;
        if (t.unchecked >= CHECK) {
          t.unchecked = 0;
          if (!(await this.#inbox.room(payload.length))) return this.#finish(t, 'busy');
        }
        t.hash.update(payload);
        for (let done = 0; done < payload.length;) {
          const { bytesWritten } = await t.handle.write(payload, done, payload.length - done, Number(offset) + done);
          done += bytesWritten;
        }
        return undefined;
      },
      payload.length,
    );
  }

  async #restart(t) {
    await t.handle.truncate(0);
    t.hash = createHash('sha256');
  }

  done({ transfer, total, digest }) {
    const t = this.#current;
    if (t?.id !== transfer) return;
    this.#current = null;
    const empty = t.position === null && total === 0n;
    if (empty) t.stop = true;
    this.#then(t, async () => {
      if (empty) await this.#restart(t);
      if (!same(t.hash.digest(), digest)) return this.#finish(t, 'bad-digest');
      await t.handle.truncate(Number(total));
      await t.handle.sync();
      return this.#give(t, digest, Number(total));
    });
  }

  /** Gives a whole file its name, and answers. */
  async #give(t, digest, size) {
    try {
      await fs.link(t.part, t.target);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const stat = await fs.lstat(t.target);
      if (!stat.isFile()) return this.#finish(t, 'exists');
      const other = await this.#digestOfTarget(t, () => t.gone);
      if (other === null) return this.#finish(t, null, { keep: t.keyed });
      if (!same(other, digest)) {
        const told = stat.size === (t.size ?? stat.size);
        return this.#finish(t, 'exists', told ? { offset: stat.size, digest: other } : {});
      }
    }
    const folder = await fs.open(this.#inbox.dir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    this.#inbox.onStored?.({ name: t.name, size, resumedAt: t.begin ?? size });
    return this.#finish(t, 'stored', { offset: size, digest });
  }

  /** The session has answered the open file itself. */
  refused(transfer) {
    if (this.#current?.id === transfer) this.#end(this.#current, false);
  }

  /** The conversation is over, or no more of the open file can come. */
  closed({ all = false } = {}) {
    if (this.#current) {
      this.#current.gone = true;
      this.#end(this.#current, this.#current.keyed);
    }
    if (all) for (const t of this.#running) t.gone = true;
  }

  #end(t, keep) {
    if (this.#current === t) this.#current = null;
    t.stop = true;
    this.#then(t, () => this.#finish(t, null, { keep }));
  }

  /** Ends a transfer, with an answer if `status` is not null. */
  async #finish(t, status, { offset = 0, digest = NO_DIGEST, reason = '', keep = false } = {}) {
    if (t.over) return;
    t.over = true;
    if (this.#current === t) this.#current = null;
    this.#running.delete(t);
    let kept = 0;
    if (t.handle) {
      if (keep)
        kept = await t.handle.stat().then(
          ({ size }) => size,
          () => 0,
        );
      await t.handle.close().catch(() => {});
      if (!keep) await fs.unlink(t.part).catch(() => {});
    }
    if (t.release) {
      this.#inbox.inUse.delete(t.part);
      t.release();
    }
    if (status === null) return;
    this.#link.answer({ transfer: t.id, code: CODES[status], offset: keep ? kept : offset, digest, reason });
  }

  /** Ends a transfer that is too slow (14.7): `state` is that of the session. Time while `paused` is not counted. */
  clock(now, { state }, paused, { ready = 60000, rate = 1000, window = 60000 }) {
    const t = this.#current;
    if (!t || t.over) return;
    if (paused || state === 'offered') {
      t.since = now;
      t.counted = 0;
    } else if (state === 'ready') {
      if (now - t.since > ready * (1 + t.held / 1e7)) this.#slow(t);
    } else if (now - t.since > window) {
      if (t.counted < (rate * window) / 1000) this.#slow(t);
      t.since = now;
      t.counted = 0;
    }
  }

  #slow(t) {
    this.#then(t, () => this.#finish(t, 'too-slow', { keep: t.keyed }));
  }
}
