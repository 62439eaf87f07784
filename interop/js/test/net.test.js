import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { CODES, decodeMessage, encodeMessage } from '../messages.js';
import { ConversationError, Inbox, connect, resumeKey, serve } from '../net.js';
import { FrameDecoder, encode } from '../unstick.js';

const folder = (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'unstick-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
};
const server = async (t, options) => {
  const ends = [];
  const served = await serve({ onEnd: (_, error) => ends.push(error), ...options });
  t.after(() => {
    for (const connection of served.connections) connection.destroy();
    return served.close();
  });
  return { ...served, ends, port: served.address.port };
};
const upper = ({ text }) => text?.toUpperCase();
const partsOf = (dir) => fs.readdirSync(path.join(dir, '.unstick-parts'));
const eventually = async (yes) => {
  for (let i = 0; i < 500 && !yes(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(yes());
};
const ended = (name) => (error) => error instanceof ConversationError && error.info.name === name;

/** A peer without rules: it sends what it is told, and keeps what arrives. */
async function raw(t, port) {
  const socket = net.connect({ port, allowHalfOpen: true });
  t.after(() => socket.destroy());
  const decoder = new FrameDecoder();
  const peer = { socket, messages: [], over: false };
  socket.on('data', (chunk) => {
    for (const { kind, payload } of decoder.push(chunk).events)
      peer.messages.push(decodeMessage(kind, payload).message);
  });
  socket.on('end', () => {
    peer.over = true;
  });
  peer.send = (message) => {
    const { kind, payload } = encodeMessage(message);
    socket.write(encode(kind, payload));
  };
  peer.close = () => peer.messages.find((message) => message.type === 'close');
  peer.statuses = () => peer.messages.filter((message) => message.type === 'file-status').map((status) => status.code);
  await new Promise((resolve) => {
    socket.once('connect', resolve);
  });
  return peer;
}

test('messages, pings and a clean close', async (t) => {
  const { port, ends } = await server(t, { reply: upper, name: 'a server' });
  const client = await connect({ port, name: 'a client', known: [0x41] });
  await client.text('粘包 a');
  assert.deepEqual(await client.next(), { type: 'text', text: '粘包 A' });
  assert.equal(client.hello.name, 'a server');
  const times = await Promise.all([client.ping(), client.ping(), client.ping(new Uint8Array(0))]);
  assert.ok(times.every((time) => time >= 0 && time < 5000));
  await client.close();
  assert.deepEqual(client.peerClose, { code: 0, reason: '' });
  await eventually(() => ends.length === 1);
  assert.equal(ends[0], null);
  await assert.rejects(client.text('late'), RangeError);
});

test('what was in transit when a side closes arrives', async (t) => {
  const { port } = await server(t, { reply: upper });
  const client = await connect({ port });
  const sent = Array.from({ length: 1000 }, (_, i) => `a${i}`);
  for (const text of sent) await client.text(text);
  const closed = client.close();
  const seen = [];
  for await (const { text } of client) seen.push(text);
  await closed;
  assert.deepEqual(
    seen,
    sent.map((text) => text.toUpperCase()),
  );
});

test('a file is stored whole, once, and not replaced', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir });
  const client = await connect({ port });
  const bytes = new Uint8Array(randomBytes(300000));
  const key = resumeKey('secret', 'a.bin');
  for (const options of [{ name: 'a.bin' }, { name: 'b.bin', key }, { name: '粘包', chunk: 1000 }]) {
    const result = await client.sendFile(bytes, options);
    assert.deepEqual([result.stored, result.status, result.resumedAt], [true, 'stored', 0]);
    assert.deepEqual(new Uint8Array(fs.readFileSync(path.join(dir, options.name))), bytes);
  }
  const again = await client.sendFile(bytes, { name: 'b.bin', key });
  assert.deepEqual([again.stored, again.status], [true, 'exists']);
  const other = await client.sendFile(bytes.slice().reverse(), { name: 'b.bin', key });
  assert.deepEqual([other.stored, other.status], [false, 'exists']);
  const shorter = await client.sendFile(bytes.subarray(1), { name: 'b.bin' });
  assert.deepEqual([shorter.stored, shorter.status], [false, 'exists']);
  assert.deepEqual((await client.sendFile(new Uint8Array(0), { name: 'empty' })).status, 'stored');
  assert.equal((await client.sendFile(bytes, { name: '.unstick-parts' })).status, 'bad-name');
  await assert.rejects(client.sendFile(bytes, { name: 'a/b' }), RangeError);
  await client.close();
  assert.deepEqual(partsOf(dir), []);
});

test('many files, a pipe, and a second upload of each', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir });
  const client = await connect({ port });
  async function* pipe(name) {
    for (let i = 0; i < 10; i += 1) yield Buffer.from(`${name} ${i}\n`.repeat(100));
  }
  for (let round = 0; round < 2; round += 1) {
    const names = Array.from({ length: 70 }, (_, i) => `n${i}`);
    const results = await Promise.all(names.map((name) => client.sendFile(pipe(name), { name })));
    assert.ok(results.every(({ stored }) => stored));
  }
  await client.close();
  assert.equal(fs.readdirSync(dir).length, 71);
  assert.deepEqual(partsOf(dir), []);
});

test('a file goes on where a broken connection stopped', async (t) => {
  const dir = folder(t);
  const { port, ends } = await server(t, { dir });
  const file = path.join(folder(t), 'large.bin');
  fs.writeFileSync(file, randomBytes(3000000));
  const key = resumeKey('secret', file);
  const first = await connect({ port });
  const broken = first.sendFile(file, {
    key,
    onProgress: (position) => {
      if (position > 1500000) first.destroy();
    },
  });
  await assert.rejects(broken, ended('unclosed'));
  await eventually(() => ends.length === 1);
  assert.ok(ended('unclosed')(ends[0]));
  await eventually(() => partsOf(dir).length === 1);
  assert.deepEqual(fs.readdirSync(dir), ['.unstick-parts']);

  const second = await connect({ port });
  const { stored, resumedAt } = await second.sendFile(file, { key });
  assert.equal(stored, true);
  assert.ok(resumedAt > 500000 && resumedAt < 3000000, `${resumedAt}`);
  assert.deepEqual(fs.readFileSync(path.join(dir, 'large.bin')), fs.readFileSync(file));

  // Another content under the same name and key begins at 0.
  fs.rmSync(path.join(dir, 'large.bin'));
  const part = new Inbox(dir).partOf('large.bin', key);
  fs.writeFileSync(part, randomBytes(1000));
  const third = await second.sendFile(file, { key });
  assert.deepEqual([third.stored, third.resumedAt], [true, 0]);
  assert.deepEqual(fs.readFileSync(path.join(dir, 'large.bin')), fs.readFileSync(file));
  await second.close();
});

test('a client without an inbox takes no file, and a file that is too large is refused', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir, maxFile: 100 });
  const without = await server(t, {});
  const client = await connect({ port });
  async function* endless() {
    for (;;) yield new Uint8Array(50);
  }
  assert.equal((await client.sendFile(new Uint8Array(101), { name: 'a' })).status, 'too-large');
  assert.equal((await client.sendFile(endless(), { name: 'a' })).status, 'too-large');
  assert.equal((await client.sendFile(new Uint8Array(100), { name: 'a' })).status, 'stored');
  const other = await connect({ port: without.port });
  assert.equal((await other.sendFile(new Uint8Array(101), { name: 'a' })).status, 'not-accepted');
  await Promise.all([client.close(), other.close()]);
  assert.deepEqual(partsOf(dir), []);
});

test('two sides that upload to each other at once both finish', async (t) => {
  const [here, there] = [folder(t), folder(t)];
  const bytes = new Uint8Array(randomBytes(20 << 20));
  let back;
  const { port } = await server(t, {
    dir: there,
    onConnection: (connection) => {
      back = connection.sendFile(bytes, { name: 'back' });
    },
  });
  const client = await connect({ port, inbox: await new Inbox(here).prepare() });
  const forth = client.sendFile(bytes, { name: 'forth' });
  assert.equal((await forth).status, 'stored');
  assert.equal((await back).status, 'stored');
  await client.close();
  const digest = (file) => createHash('sha256').update(fs.readFileSync(file)).digest('hex');
  assert.equal(digest(path.join(here, 'back')), digest(path.join(there, 'forth')));
});

test('the close of an error arrives although input was unread', async (t) => {
  const { port, ends } = await server(t, {});
  const peer = await raw(t, port);
  peer.socket.write(encode(0x20));
  for (let i = 0; i < 200; i += 1) peer.socket.write(new Uint8Array(65536));
  await eventually(() => peer.over);
  assert.equal(peer.close().code, 0x0007);
  peer.socket.end();
  await eventually(() => ends.length === 1);
  assert.ok(ended('unknown-kind')(ends[0]));
});

test('a frame that cannot be right is refused at its header', async (t) => {
  const { port } = await server(t, {});
  const peer = await raw(t, port);
  peer.socket.write(encode(3, new Uint8Array(65)).subarray(0, 8));
  await eventually(() => peer.over);
  assert.equal(peer.close().code, CODES['bad-message']);
});

test('a silent peer is pinged, and one that never answers is ended', async (t) => {
  const { port, ends } = await server(t, { times: { ping: 100, idle: 400, clock: 20, discard: 100 } });
  const peer = await raw(t, port);
  await eventually(() => peer.over);
  assert.ok(peer.messages.some((message) => message.type === 'ping'));
  assert.equal(peer.close().code, 0x0009);
  await eventually(() => ends.length === 1);
  const client = await connect({ port, times: { ping: 100, clock: 20 } });
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(client.error, null);
  await client.close();
});

test('a frame that is not completed, and an upload that does not go on, are ended', async (t) => {
  const dir = folder(t);
  const times = { frame: 200, ready: 200, clock: 20, discard: 50 };
  const { port } = await server(t, { dir, times });
  const half = await raw(t, port);
  half.socket.write(encode(1, new Uint8Array(5)).subarray(0, 10));
  await eventually(() => half.over);
  assert.equal(half.close().code, 0x0008);

  const idle = await raw(t, port);
  const key = new Uint8Array(16).fill(1);
  idle.send({ type: 'file-open', transfer: 1, key, size: 10, name: 'a' });
  await eventually(() => idle.statuses().length === 2);
  assert.deepEqual(idle.statuses(), [CODES.ready, CODES['too-slow']]);
});

test('working is sent while a digest is computed, and the computation ends with a cancel', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir, times: { working: 20, clock: 10 } });
  const key = new Uint8Array(16).fill(1);
  const part = new Inbox(dir).partOf('a', key);
  fs.closeSync(fs.openSync(part, 'w'));
  fs.truncateSync(part, 4 * 2 ** 40); // hours of work
  const peer = await raw(t, port);
  peer.send({ type: 'file-open', transfer: 1, key, size: null, name: 'a' });
  await eventually(() => peer.statuses().length >= 2);
  assert.ok(peer.statuses().every((code) => code === CODES.working));
  peer.send({ type: 'file-cancel', transfer: 1, code: CODES['given-up'], reason: '' });
  peer.send({ type: 'file-open', transfer: 2, key: new Uint8Array(16), size: 0, name: 'b' });
  await eventually(() => peer.statuses().includes(CODES.ready));
  assert.equal(fs.existsSync(part), false);
});

test('data at 0 does not wait for the digest of a part', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir });
  const key = new Uint8Array(16).fill(1);
  const part = new Inbox(dir).partOf('a', key);
  fs.closeSync(fs.openSync(part, 'w'));
  fs.truncateSync(part, 4 * 2 ** 40);
  const peer = await raw(t, port);
  const payload = new TextEncoder().encode('abc');
  peer.send({ type: 'file-open', transfer: 1, key, size: null, name: 'a' });
  peer.send({ type: 'file-data', transfer: 1, offset: 0, payload });
  peer.send({ type: 'file-done', transfer: 1, total: 3, digest: createHash('sha256').update('abc').digest() });
  await eventually(() => peer.statuses().includes(CODES.stored));
  assert.equal(fs.readFileSync(path.join(dir, 'a'), 'utf8'), 'abc');
});

test('the parts of all files are bounded, and the oldest make room', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir, maxParts: 3 << 20 });
  const client = await connect({ port });
  const part = (name, size, age) => {
    const file = path.join(dir, '.unstick-parts', name);
    fs.writeFileSync(file, new Uint8Array(size));
    fs.utimesSync(file, age, age);
  };
  part('new', 1 << 20, 2000000000);
  part('old', 1 << 20, 1000000000);
  const key = new Uint8Array(16).fill(1);
  assert.equal((await client.sendFile(new Uint8Array(2 << 20), { name: 'a', key })).status, 'stored');
  assert.deepEqual(partsOf(dir), ['new']);
  assert.equal((await client.sendFile(new Uint8Array(4 << 20), { name: 'b', key })).status, 'too-large');

  // What other transfers use is not removed.
  const peer = await raw(t, port);
  peer.send({ type: 'file-open', transfer: 1, key, size: 2 << 20, name: 'c' });
  for (let offset = 0; offset < 2 << 20; offset += 1 << 18) {
    peer.send({ type: 'file-data', transfer: 1, offset, payload: new Uint8Array(1 << 18) });
  }
  await eventually(() => fs.statSync(new Inbox(dir).partOf('c', key), { throwIfNoEntry: false })?.size === 2 << 20);
  assert.equal((await client.sendFile(new Uint8Array(2 << 20), { name: 'd', key })).status, 'busy');
  async function* pipe() {
    for (let i = 0; i < 80; i += 1) yield new Uint8Array(30000);
  }
  assert.equal((await client.sendFile(pipe(), { name: 'e' })).status, 'busy');
  peer.send({ type: 'file-cancel', transfer: 1, code: CODES['given-up'], reason: '' });
  await eventually(() => peer.statuses().includes(CODES.cancelled));
  assert.equal((await client.sendFile(pipe(), { name: 'e' })).status, 'stored');
  await client.close();
});

test('a wrong digest stores nothing, and the part is dropped', async (t) => {
  const dir = folder(t);
  const { port } = await server(t, { dir });
  const peer = await raw(t, port);
  peer.send({ type: 'file-open', transfer: 1, key: new Uint8Array(16).fill(1), size: 1, name: 'a' });
  peer.send({ type: 'file-data', transfer: 1, offset: 0, payload: Uint8Array.of(1) });
  peer.send({ type: 'file-done', transfer: 1, total: 1, digest: new Uint8Array(32) });
  await eventually(() => peer.statuses().includes(CODES['bad-digest']));
  assert.deepEqual(fs.readdirSync(dir), ['.unstick-parts']);
  assert.deepEqual(partsOf(dir), []);
});

test('an echo whose answers nobody reads is bounded', async (t) => {
  const { port, ends } = await server(t, { reply: (message) => message, times: { discard: 100, clock: 20 } });
  const socket = net.connect({ port });
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  const chunk = encode(2, new Uint8Array(60000));
  const writing = setInterval(() => {
    for (let i = 0; i < 50 && socket.writable && !socket.writableNeedDrain; i += 1) socket.write(chunk);
  }, 1);
  t.after(() => clearInterval(writing));
  await eventually(() => ends.length === 1);
  assert.ok(ended('busy')(ends[0]), String(ends[0]));
});

test('a peer that offers files and reads nothing costs bounded memory', async (t) => {
  const dir = folder(t);
  for (const options of [{}, { dir }]) {
    const { port, ends } = await server(t, { ...options, times: { discard: 100, clock: 20 } });
    const socket = net.connect({ port });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    const key = new Uint8Array(16);
    let transfer = 0;
    let written = 0;
    let peak = 0;
    const writing = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
      for (let i = 0; i < 2000 && socket.writable && !socket.writableNeedDrain; i += 1) {
        transfer += 1;
        for (const message of [
          { type: 'file-open', transfer, key, size: null, name: 'a' },
          { type: 'file-cancel', transfer, code: CODES['given-up'] },
        ]) {
          const { kind, payload } = encodeMessage(message);
          written += 1;
          socket.write(encode(kind, payload));
        }
      }
    }, 1);
    t.after(() => clearInterval(writing));
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 120 && ends.length === 0; i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
    clearInterval(writing);
    assert.ok(written > 1000);
    if (ends.length > 0) assert.ok(ended('too-many-transfers')(ends[0]), String(ends[0]));
    assert.ok(peak - before < 200 << 20, `${peak - before} bytes`);
  }
});
