import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODES, decodeMessage, encodeMessage } from '../messages.js';
import { Session } from '../session.js';
import { KINDS } from '../unstick.js';

const key = new Uint8Array(16).fill(1);
const digest = new Uint8Array(32);
const open = (transfer, size = null) => ({ type: 'file-open', transfer, key, size, name: 'a' });
const receive = (session, message) => {
  const { kind, payload } = encodeMessage(message);
  return session.receive(kind, payload);
};
const said = (session) => session.take().map(({ kind, payload }) => decodeMessage(kind, payload).message);

test('what arrives in any order never makes a session throw, and what it keeps is bounded', () => {
  let seed = 7;
  const random = (n) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 16) % n;
  };
  const kinds = [...Object.values(KINDS), 0x40, 0x81, 0x20];
  const ends = new Set();
  for (let round = 0; round < 200; round += 1) {
    const session = new Session({ known: [0x40] });
    const wild = random(2) ? 100000 : 10;
    const quiet = random(2) === 0;
    let last = 1;
    receive(session, open(last));
    for (let step = 0; step < 600 && !session.error; step += 1) {
      const transfer = random(wild) ? Math.max(0, last - random(3)) : random(40);
      const messages = [
        open(last + 1, random(2) ? null : 3),
        { type: 'file-data', transfer, offset: random(3), payload: new Uint8Array(1 + random(3)) },
        { type: 'file-done', transfer, total: random(4), digest },
        { type: 'file-cancel', transfer, code: CODES['given-up'], reason: '' },
        { type: 'ping', payload: Uint8Array.of(step) },
        { type: 'file-status', transfer, code: 0x110 + random(20), offset: 0, digest },
      ];
      const message = messages[random(messages.length)];
      if (random(3) === 0) {
        try {
          session.send(message);
        } catch (error) {
          assert.ok(error instanceof RangeError, error.stack);
        }
      } else if (random(wild) === 0) {
        session.receive(kinds[random(kinds.length)], new Uint8Array(random(60)));
      } else if (message.type !== 'file-status') {
        if (message.type === 'file-open') last += 1;
        receive(session, message);
      }
      if (random(20) === 0) session.tick();
      if (!quiet && random(30) === 0) assert.ok(session.take().length <= 1 + 2 * 64);
    }
    session.end();
    ends.add(session.error?.name);
    assert.ok(session.take().length <= 1);
    assert.deepEqual(session.take(), []);
  }
  for (const name of ['bad-transfer-id', 'too-many-transfers', 'unclosed']) assert.ok(ends.has(name), [...ends].join());
});

test('a hello is the first message, also before what the session says', () => {
  const session = new Session();
  receive(session, { type: 'ping', payload: Uint8Array.of(1) });
  session.send({ type: 'hello', limit: 65536 });
  assert.deepEqual(said(session), [{ type: 'pong', payload: Uint8Array.of(1) }]);
  assert.throws(() => session.send({ type: 'hello', limit: 65536 }), RangeError);
});

test('the newest of waiting pings is answered', () => {
  const session = new Session();
  for (const byte of [1, 2, 3]) receive(session, { type: 'ping', payload: Uint8Array.of(byte) });
  assert.deepEqual(said(session), [{ type: 'pong', payload: Uint8Array.of(3) }]);
});

test('a header is enough for what the kind and the length decide', () => {
  const early = (kind, length) => new Session().begin(kind, length)?.error.name ?? null;
  assert.equal(early(KINDS.ping, 65), 'bad-message');
  assert.equal(early(0x20, 5), 'unknown-kind');
  assert.equal(early(0x81, 5), null);
  assert.equal(early(KINDS.text, 5), null);
});

test('a session that cannot send what was asked has not changed', () => {
  const session = new Session();
  session.send(open(5, 4));
  assert.throws(() => session.send({ type: 'file-data', transfer: 5, offset: 1, payload: digest }), RangeError);
  assert.throws(() => session.send({ type: 'file-data', transfer: 5, offset: 0, payload: digest }), RangeError);
  assert.throws(() => session.send({ type: 'file-done', transfer: 5, total: 0, digest }), RangeError);
  assert.throws(() => session.send(open(6)), RangeError);
  session.send({ type: 'file-data', transfer: 5, offset: 0, payload: new Uint8Array(4) });
  session.send({ type: 'file-done', transfer: 5, total: 4, digest });
  assert.equal(session.canOpen, true);
  assert.equal(session.idle, false);
});

test('a side that drains refuses new files and becomes idle', () => {
  const session = new Session();
  receive(session, open(1));
  session.drain();
  assert.equal(receive(session, open(2)).code, CODES['second-open']);
  receive(session, { type: 'file-cancel', transfer: 1, code: CODES['given-up'] });
  assert.equal(receive(session, open(3)).code, CODES['shutting-down']);
  assert.equal(session.idle, false);
  assert.deepEqual(
    said(session).map((status) => [status.transfer, status.code]),
    [
      [2, CODES['second-open']],
      [1, CODES.cancelled],
      [3, CODES['shutting-down']],
    ],
  );
  assert.equal(session.idle, true);
  assert.throws(() => session.send(open(1)), RangeError);
});

test('after the transport has failed nothing is said', () => {
  const session = new Session();
  receive(session, { type: 'ping', payload: Uint8Array.of(1) });
  assert.equal(session.failed().error.name, 'unclosed');
  assert.deepEqual(session.take(), []);
});
