// Frames over the streams of WHATWG: sockets and serial ports in browsers, Node, Deno and others.

import { DEFAULT_LIMIT, FrameDecoder, FramingError, encode } from './unstick.js';

/** Passes a chunk to a decoder, and goes on after the errors that the options allow. */
function* take(decoder, chunk, { oversize = 'error', search = false, onError }) {
  let rest = chunk;
  while (rest.length > 0) {
    const { consumed, events } = decoder.push(rest);
    for (const event of events) {
      if (event.type === 'frame') yield { at: event.at, kind: event.kind, payload: event.payload };
      if (event.type !== 'error') continue;
      const skips = oversize === 'skip' && event.error.name === 'oversize' && decoder.skip() === 'begun';
      if (!skips && !(search && decoder.resync() === 'begun')) throw new FramingError(event.error);
      onError?.(event.error);
    }
    rest = rest.subarray(consumed);
  }
}

function finish(decoder) {
  const error = decoder.end();
  if (error) throw new FramingError(error);
}

/**
 * Yields the frames of a ReadableStream of Uint8Array, as `{ at, kind, payload }`.
 *
 * Options: `limit`; `oversize: 'skip'` discards frames over the limit; `search: true` searches the next header after
 * any other error (lossy lines only, such as a serial port); `onError` is called with each error that was passed over.
 * Throws a FramingError for every other error, and for a stream that ends inside a frame. A reader that leaves the loop
 * cancels the stream.
 */
export async function* frames(readable, options = {}) {
  const decoder = new FrameDecoder(options);
  const reader = readable.getReader();
  let over = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield* take(decoder, value, options);
    }
    over = true;
    finish(decoder);
  } finally {
    if (!over) await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

/**
 * A TransformStream from bytes to frames. Options and errors are those of `frames`.
 *
 * The frames of one chunk are queued together.
 */
export class FrameDecoderStream {
  constructor(options = {}) {
    const decoder = new FrameDecoder(options);
    const { readable, writable } = new TransformStream({
      transform(chunk, controller) {
        for (const frame of take(decoder, chunk, options)) controller.enqueue(frame);
      },
      flush: () => finish(decoder),
    });
    this.readable = readable;
    this.writable = writable;
  }
}

/** A TransformStream from frames, `{ kind, payload }` each, to bytes. A frame that cannot be encoded is an error. */
export class FrameEncoderStream {
  constructor({ limit = DEFAULT_LIMIT } = {}) {
    const { readable, writable } = new TransformStream({
      transform: ({ kind, payload }, controller) => controller.enqueue(encode(kind, payload, { limit })),
    });
    this.readable = readable;
    this.writable = writable;
  }
}
