import type { Frame, FramingErrorInfo, LimitOptions, ReceivedFrame } from './unstick.js';

export interface StreamOptions extends LimitOptions {
  /** What to do with a frame over the limit; 'error' if it is left out. */
  oversize?: 'error' | 'skip';
  /** Search the next header after an error. For lossy lines only. */
  search?: boolean;
  /** Is called with each error that was passed over. */
  onError?: (error: FramingErrorInfo) => void;
}

export function frames(
  readable: ReadableStream<Uint8Array>,
  options?: StreamOptions,
): AsyncGenerator<ReceivedFrame, void, undefined>;

export class FrameDecoderStream {
  constructor(options?: StreamOptions);
  readonly readable: ReadableStream<ReceivedFrame>;
  readonly writable: WritableStream<Uint8Array>;
}

export class FrameEncoderStream {
  constructor(options?: LimitOptions);
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Frame>;
}
