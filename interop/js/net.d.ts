/// <reference types="node" />
import type { AddressInfo, NetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import type { MessageOf, OutgoingMessage } from './messages.js';
import type { SessionError } from './session.js';

/** The bounds of 14.7 in milliseconds; `rate` is in bytes a second. */
export interface Times {
  idle: number;
  frame: number;
  status: number;
  ready: number;
  rate: number;
  window: number;
  peerEnd: number;
  discard: number;
  ping: number;
  working: number;
  clock: number;
}
export const TIMES: Readonly<Times>;

export const NO_KEY: Uint8Array;
export function resumeKey(secret: string | Uint8Array, ...facts: unknown[]): Uint8Array;

export class ConversationError extends Error {
  constructor(info: SessionError, cause?: unknown);
  readonly info: SessionError;
}

export interface StoredFile {
  name: string;
  size: number;
  /** Where the first data began; the size, if there was none. */
  resumedAt: number;
}

export interface InboxOptions {
  /** The maximum size of a file, in bytes. */
  maxFile?: number;
  /** The maximum size of all parts together, in bytes; 64 GiB if it is left out. */
  maxParts?: number;
  onStored?: (file: StoredFile) => void;
}

export class Inbox {
  constructor(dir: string, options?: InboxOptions);
  readonly dir: string;
  readonly parts: string;
  /** Makes the folders. To be called before the inbox is used. */
  prepare(): Promise<this>;
  partOf(name: string, key: Uint8Array): string;
}

export interface ConnectionOptions {
  limit?: number;
  /** The kinds of the application that `next` returns. */
  known?: Iterable<number>;
  /** The name of the program in the hello. */
  name?: string;
  /** Where files go; without it they are refused. */
  inbox?: Inbox | null;
  times?: Partial<Times>;
}

export interface SendFileOptions {
  name?: string;
  key?: Uint8Array;
  chunk?: number;
  onProgress?: (position: number, size: number | null) => void;
}

export interface FileResult {
  /** The receiver has the file: it is stored, or the one that exists is the same. */
  stored: boolean;
  code: number;
  status: string;
  reason: string;
  resumedAt: number;
}

export type ApplicationMessage = MessageOf<'text'> | MessageOf<'binary'> | MessageOf<'other'>;

export class Connection implements AsyncIterable<ApplicationMessage> {
  constructor(socket: Duplex, options?: ConnectionOptions);
  readonly error: ConversationError | null;
  readonly peerLimit: number;
  readonly hello: MessageOf<'hello'> | null;
  readonly peerClose: { code: number; reason: string } | null;
  send(message: OutgoingMessage): Promise<void>;
  text(text: string): Promise<void>;
  binary(payload: Uint8Array): Promise<void>;
  ping(payload?: Uint8Array): Promise<number>;
  next(): Promise<ApplicationMessage | null>;
  [Symbol.asyncIterator](): AsyncIterator<ApplicationMessage, void, undefined>;
  sendFile(source: string | Uint8Array | AsyncIterable<Uint8Array>, options?: SendFileOptions): Promise<FileResult>;
  close(options?: { code?: number; reason?: string; drain?: number }): Promise<void>;
  destroy(): void;
}

export function connect(options: ConnectionOptions & NetConnectOpts): Promise<Connection>;

export type Reply = OutgoingMessage | string | Uint8Array | null | undefined | void;

export interface ServeOptions extends Omit<ConnectionOptions, 'inbox'>, InboxOptions {
  host?: string;
  port?: number;
  path?: string;
  dir?: string;
  reply?: (message: ApplicationMessage, connection: Connection) => Reply | Promise<Reply>;
  onConnection?: (connection: Connection) => void;
  onEnd?: (connection: Connection, error: Error | null) => void;
  maxConnections?: number;
}

export interface Server {
  readonly address: AddressInfo | string | null;
  readonly connections: ReadonlySet<Connection>;
  close(options?: { drain?: number }): Promise<void>;
}

export function serve(options?: ServeOptions): Promise<Server>;
