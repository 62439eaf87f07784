import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameDecoderStream, FrameEncoderStream, frames } from '../stream.js';
import { FramingError, encode } from '../unstick.js';

const ascii = (text) => new TextEncoder().encode(text);
const stream = Buffer.concat([encode(1, ascii('one')), encode(2), encode(0xc0, ascii('three'))]);
const kinds = [
  [1, 'one'],
  [2, ''],
  [0xc0, 'three'],
];

const source = (chunks, onCancel) =>
  new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(new Uint8Array(chunk));
    },
    cancel: onCancel,
  });
const collect = async (iterable) => {
  const found = [];
  for await (const frame of iterable) found.push([frame.kind, Buffer.from(frame.payload).toString()]);
  return found;
};
const wrong = (name) => (error) => error instanceof FramingError && error.info.name === name;

test('every cut of a readable stream gives the same frames', async () => {
  for (let i = 0; i <= stream.length; i += 1) {
    const chunks = () => [stream.subarray(0, i), stream.subarray(i)];
    assert.deepEqual(await collect(frames(source(chunks()))), kinds, `cut at ${i}`);
    assert.deepEqual(await collect(source(chunks()).pipeThrough(new FrameDecoderStream())), kinds, `cut at ${i}`);
  }
});

test('an error of the stream, and an end inside a frame, reach the reader after the frames before it', async () => {
  for (const read of [frames, (readable, options) => readable.pipeThrough(new FrameDecoderStream(options))]) {
    await assert.rejects(collect(read(source([stream.subarray(0, 15)]))), wrong('truncated'));
    await assert.rejects(collect(read(source([stream, ascii('x')]))), wrong('bad-magic'));
    await assert.rejects(collect(read(source([stream]), { limit: 2 })), wrong('oversize'));
  }
  const seen = [];
  await assert.rejects(async () => {
    for await (const frame of frames(source([Buffer.concat([stream, ascii('x')])]))) seen.push(frame.kind);
  }, wrong('bad-magic'));
  assert.deepEqual(seen, [1, 2, 0xc0]);
});

test('a reader can skip what is over the limit, and search on a lossy line', async () => {
  const errors = [];
  const onError = ({ name, at }) => errors.push([name, at]);
  assert.deepEqual(await collect(frames(source([stream]), { limit: 4, oversize: 'skip', onError })), kinds.slice(0, 2));
  const line = Buffer.concat([stream, ascii('noise'), stream]);
  for (let i = 0; i <= line.length; i += 1) {
    const read = frames(source([line.subarray(0, i), line.subarray(i)]), { search: true, onError });
    assert.deepEqual(await collect(read), [...kinds, ...kinds]);
  }
  assert.deepEqual(errors[0], ['oversize', 19]);
  assert.ok(errors.slice(1).every(([name, at]) => name === 'bad-magic' && at === stream.length));
  await assert.rejects(collect(frames(source([ascii('noise')]), { search: true })), wrong('unsynchronized'));
});

test('a reader that leaves cancels the stream', async () => {
  let cancelled = false;
  const readable = source([stream, stream], () => {
    cancelled = true;
  });
  for await (const frame of frames(readable)) {
    assert.equal(frame.kind, 1);
    break;
  }
  assert.equal(cancelled, true);
  assert.equal(readable.locked, false);
});

test('frames pass an encoder and a decoder unchanged', async () => {
  const list = new ReadableStream({
    start(controller) {
      for (const [kind, text] of kinds) controller.enqueue({ kind, payload: ascii(text) });
      controller.close();
    },
  });
  const through = list.pipeThrough(new FrameEncoderStream()).pipeThrough(new FrameDecoderStream());
  assert.deepEqual(await collect(through), kinds);
});
