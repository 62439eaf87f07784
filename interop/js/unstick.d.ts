export const HEADER_LENGTH: 8;
export const MAX_LENGTH: 0xffffffff;
export const DEFAULT_LIMIT: 1048576;
export const DEFAULT_DATAGRAM_LIMIT: 1200;

export type MessageType =
  | 'text'
  | 'binary'
  | 'ping'
  | 'pong'
  | 'close'
  | 'file-open'
  | 'file-data'
  | 'file-done'
  | 'file-status'
  | 'file-cancel'
  | 'file-attributes'
  | 'hello';
export const KINDS: Readonly<Record<MessageType, number>>;

export type FramingErrorName =
  | 'bad-magic'
  | 'unsupported-version'
  | 'invalid-kind'
  | 'bad-check'
  | 'oversize'
  | 'truncated'
  | 'unknown-kind'
  | 'frame-timeout'
  | 'idle-timeout'
  | 'refused-datagram'
  | 'unsynchronized';
export const FRAMING_CODES: Readonly<Record<FramingErrorName | 'no-error', number>>;

/** An error of a stream (chapter 9). */
export type FramingErrorInfo = { readonly code: number; readonly at: number } & (
  | { readonly name: 'bad-magic' | 'unsupported-version'; readonly found: number }
  | { readonly name: 'invalid-kind' }
  | { readonly name: 'bad-check'; readonly found: number; readonly expected: number }
  | { readonly name: 'oversize'; readonly length: number; readonly limit: number }
  | { readonly name: 'truncated'; readonly missing: number; readonly exact: boolean }
  | { readonly name: 'unsynchronized'; readonly skipped: number }
);

/** The cause of a refused datagram (8.2). */
export type DatagramRefusal =
  | FramingErrorInfo
  | { readonly name: 'cut' }
  | { readonly name: 'empty'; readonly at: 0 }
  | { readonly name: 'misplaced-kind'; readonly at: number; readonly found: number }
  | { readonly name: 'unknown-kind'; readonly code: number; readonly at: number; readonly found: number };

export class FramingError extends Error {
  constructor(info: FramingErrorInfo);
  readonly info: FramingErrorInfo;
}

export interface LimitOptions {
  /** In payload bytes; 1 MiB if it is left out. */
  limit?: number;
}

export interface Frame {
  kind: number;
  payload: Uint8Array;
}

export interface ReceivedFrame extends Frame {
  /** The stream offset of the frame's first byte. */
  at: number;
}

export type FoundEvent = { type: 'found'; skipped: number };
export type ErrorEvent = { type: 'error'; error: FramingErrorInfo };
export type RunEvent = {
  type: 'run';
  at: number;
  kind: number;
  length: number;
  bytes: Uint8Array;
  first: boolean;
  last: boolean;
};
export type FrameEvent = { type: 'frame' } & ReceivedFrame;
export type RequestAnswer = 'begun' | 'rejected' | 'same-error';
export type DecoderState = 'boundary' | 'header' | 'payload' | 'skip' | 'failed' | 'search';

declare class BaseDecoder<Event> {
  constructor(options?: LimitOptions);
  readonly limit: number;
  readonly state: DecoderState;
  readonly offset: number;
  readonly error: FramingErrorInfo | null;
  readonly begun: { at: number; kind: number; length: number; missing: number } | null;
  push(chunk: Uint8Array | ArrayBuffer | ArrayBufferView): { consumed: number; events: Event[] };
  end(): FramingErrorInfo | null;
  skip(): RequestAnswer;
  resync(): RequestAnswer;
  reset(): void;
}
export class Decoder extends BaseDecoder<RunEvent | FoundEvent | ErrorEvent> {}
export class FrameDecoder extends BaseDecoder<FrameEvent | FoundEvent | ErrorEvent> {}

export function check(header: Uint8Array, from?: number): number;
export function isSkippable(kind: number): boolean;
export function isApplicationKind(kind: number): boolean;
export function isAssignedKind(kind: number): boolean;
export function encodeHeader(kind: number, length: number, options?: LimitOptions): Uint8Array;
export function encode(
  kind: number,
  payload?: Uint8Array | ArrayBuffer | ArrayBufferView,
  options?: LimitOptions,
): Uint8Array;
export function frames(chunks: Iterable<Uint8Array>, options?: LimitOptions): Generator<ReceivedFrame, void, undefined>;

export interface DatagramOptions extends LimitOptions {
  known?: Iterable<number>;
  cut?: boolean;
}
export function readDatagram(
  datagram: Uint8Array | ArrayBuffer | ArrayBufferView,
  options?: DatagramOptions,
): { frames: ReceivedFrame[]; refused?: undefined } | { refused: DatagramRefusal; frames?: undefined };
export function encodeDatagram(
  frames: { kind: number; payload?: Uint8Array }[],
  options?: LimitOptions & { datagramLimit?: number },
): Uint8Array;
