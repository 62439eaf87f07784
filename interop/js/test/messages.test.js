import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, encodeMessage, lengthError, nameError, shorten, utf8Length } from '../messages.js';
import { KINDS } from '../unstick.js';

const ascii = (text) => new TextEncoder().encode(text);

test('valid UTF-8 is what the decoder of the platform takes, and an error is at the longest valid beginning', () => {
  const strict = new TextDecoder('utf-8', { fatal: true });
  const valid = (bytes) => {
    try {
      strict.decode(bytes);
      return true;
    } catch {
      return false;
    }
  };
  const edges = [
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
    0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
  ];
  for (const a of edges)
    for (const b of edges)
      for (const c of edges)
        for (const d of [0x41, 0x80, 0xbf, 0xc2]) {
          const bytes = Uint8Array.of(a, b, c, d);
          let longest = 4;
          while (longest > 0 && !valid(bytes.subarray(0, longest))) longest -= 1;
          assert.equal(utf8Length(bytes), longest, String(bytes));
        }
});

test('a text comes back as it was, with a byte order mark', () => {
  for (const text of ['', '\ufeffa', '粘包 🙂', '\0']) {
    const { kind, payload } = encodeMessage({ type: 'text', text });
    assert.deepEqual(decodeMessage(kind, payload).message, { type: 'text', text });
  }
  assert.throws(() => encodeMessage({ type: 'text', text: 'a\ud800' }), RangeError);
});

test('numbers of 8 bytes are exact, and a number that is not exact is refused', () => {
  const data = (offset) => ({ type: 'file-data', transfer: 1, offset, payload: ascii('a') });
  for (const offset of [0n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    const { kind, payload } = encodeMessage(data(offset));
    assert.equal(decodeMessage(kind, payload).message.offset, offset);
  }
  for (const offset of [-1, 0.5, 2 ** 53, 2n ** 64n]) assert.throws(() => encodeMessage(data(offset)), RangeError);
  const open = { type: 'file-open', transfer: 1, key: new Uint8Array(16), size: 2n ** 64n - 1n, name: 'a' };
  assert.throws(() => encodeMessage(open), RangeError);
});

test('a length that is refused at the header is refused with the payload', () => {
  for (const kind of Object.values(KINDS)) {
    for (let length = 0; length < 100; length += 1) {
      const early = lengthError(kind, length);
      const { refused } = decodeMessage(kind, new Uint8Array(length).fill(0x61));
      assert.equal(refused?.name === 'bad-message' ? refused.at : null, early, `kind ${kind}, ${length} bytes`);
    }
  }
});

test('a name has no character that leads out of its folder', () => {
  for (const [name, at] of [
    ['', 0],
    ['.', 0],
    ['..', 0],
    ['a/b', 1],
    ['a\\', 1],
    ['c:', 1],
    ['é\x7f', 2],
    ['a\u0085', 1],
  ]) {
    assert.equal(nameError(ascii(name)), at, JSON.stringify(name));
  }
  for (const name of ['...', '.a', 'a\u00a0', '粘包', 'x'.repeat(255)])
    assert.equal(nameError(ascii(name)), null, name);
  assert.equal(nameError(ascii('x'.repeat(256))), 255);
});

test('a reason is shortened between characters', () => {
  assert.equal(shorten('aé', 2), 'a');
  assert.equal(shorten('aé', 3), 'aé');
  assert.equal(shorten('🙂', 3), '');
  assert.equal(shorten('a', -1), '');
});
