// Against the command `unstick`, whose path is in the variable UNSTICK. `ci/js/check` sets it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test as nodeTest } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect, resumeKey, serve } from '../net.js';

const unstick = process.env.UNSTICK;
const test = (name, run) => nodeTest(name, { skip: unstick ? false : 'UNSTICK is not set' }, run);

const folder = (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'unstick-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
};

const eventually = async (yes) => {
  for (let i = 0; i < 500 && !yes(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(yes());
};

/** Starts a command that prints JSON. Returns the process, its events, and the first of a name when it comes. */
function start(t, command, ...args) {
  // The command keeps the secret of its resume keys in the home folder.
  const home = folder(t);
  const env = { ...process.env, HOME: home, XDG_STATE_HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const events = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => events.push(JSON.parse(line)));
  const first = async (name) => {
    for (;;) {
      const found = events.find(({ event }) => event === name);
      if (found) return found;
      await once(lines, 'line');
    }
  };
  // All of the output has been read by then.
  const exit = once(child, 'close').then(([code]) => code);
  return { child, events, first, exit, env };
}

async function listen(t, ...args) {
  const listener = start(t, unstick, 'listen', '127.0.0.1:0', '--json', ...args);
  const { addr } = await listener.first('listening');
  return { ...listener, port: Number(addr.split(':')[1]) };
}

const large = (t) => {
  const file = path.join(folder(t), 'large.bin');
  fs.writeFileSync(file, randomBytes(40 << 20));
  return file;
};

test('the client talks to a listener: text, ping, and a clean end', async (t) => {
  const { port, first } = await listen(t, '--reply', 'upper');
  const client = await connect({ port, name: 'js' });
  for (const text of ['hello', '', '粘包']) {
    await client.text(text);
    assert.deepEqual(await client.next(), { type: 'text', text: text.toUpperCase() });
  }
  assert.ok((await client.ping()) >= 0);
  await client.close();
  const ended = await first('ended');
  assert.deepEqual([ended.messages, ended.clean], [3, true]);
  assert.equal((await first('hello')).name, 'js');
});

test('a listener without a folder takes no file', async (t) => {
  const { port } = await listen(t);
  const client = await connect({ port });
  assert.equal((await client.sendFile(new Uint8Array(9), { name: 'a' })).stored, false);
  await client.close();
});

test('the client sends files to a listener, and again', async (t) => {
  const dir = folder(t);
  const { port } = await listen(t, '--dir', dir);
  const client = await connect({ port });
  const bytes = new Uint8Array(randomBytes(200000));
  const key = resumeKey('secret', 'b');
  for (const name of ['a', 'b']) {
    const options = name === 'b' ? { name, key } : { name };
    assert.equal((await client.sendFile(bytes, options)).status, 'stored');
    assert.deepEqual(new Uint8Array(fs.readFileSync(path.join(dir, name))), bytes);
    assert.equal((await client.sendFile(bytes, options)).stored, true);
    assert.equal((await client.sendFile(bytes.slice().reverse(), options)).stored, false);
  }
  const many = Array.from({ length: 20 }, (_, i) => client.sendFile(Uint8Array.of(i), { name: `n${i}` }));
  assert.ok((await Promise.all(many)).every(({ stored }) => stored));
  await client.close();
});

test('a file goes on at a listener where a broken connection stopped', async (t) => {
  const dir = folder(t);
  const { port } = await listen(t, '--dir', dir);
  const file = large(t);
  const key = resumeKey('secret', file);
  const first = await connect({ port });
  const onProgress = (position) => {
    if (position > 20 << 20) first.destroy();
  };
  await assert.rejects(first.sendFile(file, { key, onProgress }));
  let result;
  for (let i = 0; i < 50 && !result?.stored; i += 1) {
    // The listener may still be busy with the end of the first connection.
    const client = await connect({ port });
    result = await client.sendFile(file, { key });
    await client.close();
  }
  assert.equal(result.status, 'stored');
  assert.ok(result.resumedAt > 1 << 20 && result.resumedAt < 40 << 20, `${result.resumedAt}`);
  assert.deepEqual(fs.readFileSync(path.join(dir, 'large.bin')), fs.readFileSync(file));
});

test('the server talks to a sender: text, and a file, and again', async (t) => {
  const dir = folder(t);
  const file = path.join(folder(t), 'a.txt');
  fs.writeFileSync(file, 'content');
  const ends = [];
  const server = await serve({ dir, reply: ({ text }) => text.toUpperCase(), onEnd: (_, error) => ends.push(error) });
  t.after(() => server.close({ drain: 0 }));
  for (let i = 0; i < 2; i += 1) {
    const args = ['send', `127.0.0.1:${server.address.port}`, '--json', '--expect-reply', '--text', 'hello', file];
    const sender = start(t, unstick, ...args);
    assert.equal(await sender.exit, 0);
    assert.equal(sender.events.find(({ event }) => event === 'message').text, 'HELLO');
    assert.equal(sender.events.find(({ event }) => event === 'file').stored, true);
    assert.equal(fs.readFileSync(path.join(dir, 'a.txt'), 'utf8'), 'content');
  }
  await eventually(() => ends.length === 2);
  assert.deepEqual(ends, [null, null]);
});

test('a sender goes on at the server where a broken connection stopped', async (t) => {
  const dir = folder(t);
  const file = large(t);
  const stored = [];
  const ends = [];
  let broken = false;
  const server = await serve({
    dir,
    onStored: (info) => stored.push(info),
    onEnd: (_, error) => ends.push(error),
    async onConnection(connection) {
      if (broken) return;
      broken = true;
      const parts = path.join(dir, '.unstick-parts');
      const size = () => fs.readdirSync(parts).reduce((sum, name) => sum + fs.statSync(path.join(parts, name)).size, 0);
      while (size() < 4 << 20) await new Promise(setImmediate);
      connection.destroy();
    },
  });
  t.after(() => server.close({ drain: 0 }));
  const args = ['send', `127.0.0.1:${server.address.port}`, '--json', file];
  const first = start(t, unstick, ...args);
  assert.notEqual(await first.exit, 0);
  assert.deepEqual(stored, []);
  await eventually(() => ends.length === 1);
  const second = spawn(unstick, args, { env: first.env, stdio: 'ignore' });
  const [code] = await once(second, 'close');
  assert.equal(code, 0);
  assert.ok(stored[0].resumedAt >= 4 << 20, JSON.stringify(stored));
  assert.deepEqual(fs.readFileSync(path.join(dir, 'large.bin')), fs.readFileSync(file));
});

test('the command talks to the listener and the sender', async (t) => {
  const main = fileURLToPath(new URL('../main.js', import.meta.url));
  const dir = folder(t);
  const file = large(t);
  const server = start(t, process.execPath, main, 'listen', '127.0.0.1:0', '--dir', dir, '--reply', 'upper');
  const { addr } = await server.first('listening');
  const key = ['--key', '0102030405060708090a0b0c0d0e0f10'];
  const broken = start(t, process.execPath, main, 'send', addr, '--file', file, ...key, '--break-after', '20000000');
  assert.equal(await broken.exit, 1);
  const whole = start(t, process.execPath, main, 'send', addr, '--text', 'a', '--ping', '--file', file, ...key);
  assert.equal(await whole.exit, 0);
  assert.deepEqual(
    whole.events.map(({ event }) => event),
    ['message', 'pong', 'file', 'ended'],
  );
  assert.ok(whole.events[2].resumedAt > 0);
  const sender = start(t, unstick, 'send', addr, '--json', '--text', 'hello', '--expect-reply');
  assert.equal(await sender.exit, 0);
  server.child.kill('SIGTERM');
  assert.equal(await server.exit, 0);
  assert.deepEqual(
    server.events.filter(({ event }) => event === 'ended').map(({ clean }) => clean),
    [false, true, true],
  );
});
