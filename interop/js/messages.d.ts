import type { DatagramOptions, DatagramRefusal, Frame, LimitOptions, MessageType } from './unstick.js';

export type CodeName =
  | 'bad-message'
  | 'misplaced-message'
  | 'bad-transfer-id'
  | 'too-many-transfers'
  | 'unclosed'
  | 'shutting-down'
  | 'busy'
  | 'too-slow'
  | 'ready'
  | 'working'
  | 'stored'
  | 'exists'
  | 'cancelled'
  | 'bad-name'
  | 'second-open'
  | 'bad-offset'
  | 'excess'
  | 'wrong-total'
  | 'bad-digest'
  | 'too-large'
  | 'no-space'
  | 'quota'
  | 'not-accepted'
  | 'storage-failed'
  | 'given-up'
  | 'changed'
  | 'unreadable';
export const CODES: Readonly<Record<CodeName, number>>;
export function codeName(code: number): CodeName | null;

export const FIXED: Readonly<Record<MessageType, number>>;
export const MAX_PING: 64;
export const MAX_NAME: 255;
export const NO_TIME: bigint;
export const MAX_OFFSET: bigint;

/** A message as it is decoded. */
export type Message =
  | { type: 'hello'; limit: number; name: string }
  | { type: 'text'; text: string }
  | { type: 'binary' | 'ping' | 'pong'; payload: Uint8Array }
  | { type: 'close'; code: number; reason: string }
  | { type: 'file-open'; transfer: number; key: Uint8Array; size: bigint | null; name: string }
  | { type: 'file-data'; transfer: number; offset: bigint; payload: Uint8Array }
  | { type: 'file-done'; transfer: number; total: bigint; digest: Uint8Array }
  | { type: 'file-status'; transfer: number; code: number; offset: bigint; digest: Uint8Array; reason: string }
  | { type: 'file-cancel'; transfer: number; code: number; reason: string }
  | { type: 'file-attributes'; transfer: number; modified: bigint | null; executable: boolean }
  | { type: 'other'; kind: number; payload: Uint8Array };

/** A message to be encoded: numbers may be safe integers, and texts for people may be left out. */
export type OutgoingMessage =
  | { type: 'hello'; limit: number; name?: string }
  | { type: 'text'; text: string }
  | { type: 'binary' | 'ping' | 'pong'; payload: Uint8Array }
  | { type: 'close'; code?: number; reason?: string }
  | { type: 'file-open'; transfer: number; key: Uint8Array; size: bigint | number | null; name: string }
  | { type: 'file-data'; transfer: number; offset: bigint | number; payload: Uint8Array }
  | { type: 'file-done'; transfer: number; total: bigint | number; digest: Uint8Array }
  | {
      type: 'file-status';
      transfer: number;
      code: number;
      offset: bigint | number;
      digest: Uint8Array;
      reason?: string;
    }
  | { type: 'file-cancel'; transfer: number; code: number; reason?: string }
  | { type: 'file-attributes'; transfer: number; modified: bigint | number | null; executable: boolean }
  | { type: 'other'; kind: number; payload: Uint8Array };

export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;

export type MessageRefusal =
  { name: 'bad-message'; code: number; at: number } | { name: 'bad-name'; code: number; at: number; transfer: number };

export function utf8Length(bytes: Uint8Array): number;
export function lengthError(kind: number, length: number): number | null;
export function nameError(name: Uint8Array): number | null;
export function offsetOf(what: string, value: bigint | number): bigint;
export function shorten(string: string, max: number): string;
export function decodeMessage(
  kind: number,
  payload: Uint8Array,
): { message: Message; refused?: undefined } | { refused: MessageRefusal; message?: undefined };
export function encodeMessage(message: OutgoingMessage): Frame;
export function readMessages(
  datagram: Uint8Array,
  options?: DatagramOptions,
):
  | { messages: Message[]; refused?: undefined }
  | { refused: DatagramRefusal | { name: 'bad-message'; code: number; at: number }; messages?: undefined };
export function encodeMessages(
  messages: OutgoingMessage[],
  options?: LimitOptions & { datagramLimit?: number },
): Uint8Array;
