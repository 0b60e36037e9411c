import type { Rejection } from './reading.js';

/** Rejections of a batch: one row for each meter, reason and payload, in the order of their key. */
export class RejectionTally {
  private readonly byKey = new Map<string, RejectionRow>();

  private get rows(): RejectionRow[] {
    return [...this.byKey.entries()]
      .sort(([a], [b]) => compare(a, b))
      .map(([, rejection]) => rejection);
  }

  add(message: RefusedMessage, payloadHash: Buffer, { reason, detail }: Rejection): void {
    const { microgridId, meterId } = message;
    const key = [microgridId, meterId, reason, payloadHash.toString('hex')].join('/');
    const known = this.byKey.get(key);
    if (known) known.count += 1;
    else this.byKey.set(key, { message, reason, payloadHash, detail, count: 1 });
  }

  countsByReason(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { reason, count } of this.byKey.values()) {
      counts[reason] = (counts[reason] ?? 0) + count;
    }
    return counts;
  }

  get isEmpty(): boolean {
    return this.byKey.size === 0;
  }

  /** For `unnest`: microgrids, meters, reasons, hashes, topics, details, beginnings of payloads, counts. */
  columns(): unknown[][] {
    const rows = this.rows;
    return [
      rows.map(({ message }) => message.microgridId),
      rows.map(({ message }) => message.meterId),
      rows.map(({ reason }) => reason),
      rows.map(({ payloadHash }) => payloadHash),
      rows.map(({ message }) => storable(message.topic, MAX_TOPIC_CHARACTERS)),
      rows.map(({ detail }) => storable(detail, MAX_DETAIL_CHARACTERS)),
      rows.map(({ message }) => message.payload.subarray(0, MAX_KEPT_BYTES)),
      rows.map(({ count }) => count),
    ];
  }
}

/** Of a message, what is kept with its rejection. */
interface RefusedMessage {
  topic: string;
  payload: Buffer;
  microgridId: string;
  meterId: string;
}

interface RejectionRow {
  message: RefusedMessage;
  reason: string;
  payloadHash: Buffer;
  detail: string;
  count: number;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** PostgreSQL's text holds neither NUL nor half a surrogate pair. */
function storable(text: string, maxCharacters: number): string {
  return text
    .slice(0, maxCharacters)
    .toWellFormed()
    .replace(/\p{Cc}/gu, '\uFFFD');
}

const MAX_TOPIC_CHARACTERS = 512;
const MAX_DETAIL_CHARACTERS = 300;
const MAX_KEPT_BYTES = 4_096;
