#!/usr/bin/env node
// A client and a server on the command line, with what a test of two implementations needs. It prints JSON, one object
// a line.
//
//   node main.js listen HOST:PORT [--dir DIR] [--reply echo|upper]
//   node main.js send HOST:PORT [--text TEXT]… [--ping] [--file PATH]… [--key HEX] [--wait] [--break-after BYTES]
//
// With --text, `send` waits for one answer to each; with --wait, until the peer closes. With --break-after it drops the
// connection inside a file.

import { parseArgs } from 'node:util';
import { connect, serve } from './net.js';

const print = (event, values = {}) => process.stdout.write(`${JSON.stringify({ event, ...values })}\n`);

function address(text) {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon) || '127.0.0.1', port: Number(text.slice(colon + 1)) };
}

async function listen(at, { dir, reply }) {
  const replies = {
    echo: (message) => message,
    upper: (message) => (message.type === 'text' ? message.text.toUpperCase() : message),
  };
  const server = await serve({
    ...address(at),
    dir,
    name: 'unstick in JavaScript',
    reply(message) {
      print('message', { type: message.type, text: message.text });
      return replies[reply]?.(message);
    },
    onStored: (file) => print('file', file),
    onEnd: (_, error) => print('ended', { clean: error === null, error: error?.info?.name ?? error?.message }),
  });
  print('listening', { addr: `${server.address.address}:${server.address.port}` });
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
}

async function send(at, { text = [], ping, file = [], key, wait, 'break-after': bound }) {
  const client = await connect({ ...address(at), name: 'unstick in JavaScript' });
  for (const line of text) {
    await client.text(line);
    const answer = await client.next();
    if (answer === null) throw new Error('the peer has closed');
    print('message', { type: answer.type, text: answer.text });
  }
  if (ping) print('pong', { milliseconds: await client.ping() });
  let stored = true;
  for (const path of file) {
    const onProgress = (position) => {
      if (position >= Number(bound)) client.destroy();
    };
    const result = await client.sendFile(path, { key: key && new Uint8Array(Buffer.from(key, 'hex')), onProgress });
    print('file', { path, ...result });
    stored &&= result.stored;
  }
  while (wait && (await client.next()) !== null);
  await client.close();
  print('ended', { clean: true });
  if (!stored) process.exitCode = 1;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string' },
    reply: { type: 'string' },
    text: { type: 'string', multiple: true },
    ping: { type: 'boolean' },
    file: { type: 'string', multiple: true },
    key: { type: 'string' },
    wait: { type: 'boolean' },
    'break-after': { type: 'string' },
  },
});
const [command, at] = positionals;
try {
  if (command === 'listen' && at) await listen(at, values);
  else if (command === 'send' && at) await send(at, values);
  else throw new Error('usage: main.js listen|send HOST:PORT …');
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
