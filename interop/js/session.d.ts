import type { Message, MessageOf, OutgoingMessage } from './messages.js';
import type { Frame } from './unstick.js';

export const UNKNOWN_LIMIT: 65536;
export const MIN_FILE_LIMIT: 46;
export const MAX_TRANSFERS: 64;
export const MAX_PINGS: 4;
export function isInterim(code: number): boolean;

/** The error that ended a conversation. */
export interface SessionError {
  readonly name: string;
  readonly code: number;
}

export type SessionEvent =
  | { event: 'nothing' | 'clean'; message?: undefined }
  | { event: 'hello'; message: MessageOf<'hello'> }
  | { event: 'text'; message: MessageOf<'text'> }
  | { event: 'binary'; message: MessageOf<'binary'> }
  | { event: 'application'; message: MessageOf<'other'> }
  | { event: 'pong'; message: MessageOf<'pong'> }
  | { event: 'close'; message: MessageOf<'close'> }
  | { event: 'file-open'; message: MessageOf<'file-open'> }
  | { event: 'file-data'; message: MessageOf<'file-data'> }
  | { event: 'file-done'; message: MessageOf<'file-done'> }
  | { event: 'file-cancel'; transfer: number; code: number; message: MessageOf<'file-cancel'> }
  | { event: 'file-attributes'; message: MessageOf<'file-attributes'> }
  | { event: 'file-refused'; transfer: number; code: number; message?: undefined }
  | { event: 'file-ready' | 'file-working' | 'file-end'; message: MessageOf<'file-status'> };
export type Outcome = (SessionEvent & { error?: undefined }) | { error: SessionError; event?: undefined };

export class Session {
  constructor(options?: { known?: Iterable<number> });
  readonly error: SessionError | null;
  readonly peerLimit: number;
  readonly peerClosed: boolean;
  readonly closed: boolean;
  readonly draining: boolean;
  readonly idle: boolean;
  readonly canOpen: boolean;
  readonly receiving: {
    transfer: number;
    state: 'offered' | 'ready' | 'receiving';
    position: bigint | null;
  } | null;
  canPing(length: number): boolean;
  begin(kind: number, length: number): { error: SessionError } | null;
  receive(kind: number, payload: Uint8Array): Outcome;
  skipped(): Outcome;
  end(): Outcome;
  failed(): Outcome;
  fail(name: string): { error: SessionError };
  send(message: OutgoingMessage): Frame;
  tick(): void;
  drain(): void;
  take(): Frame[];
}
