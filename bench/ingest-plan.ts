/** What the process that plays the meters is told, and what it answers. */

export interface PublishPlan {
  url: string;
  /** One connection each; connection c speaks for the meters whose number leaves c. */
  gateways: { username: string; password: string }[];
  meters: number;
  readingsAMessage: number;
  millis: number;
  /** Messages that may be unacknowledged on one connection. */
  window: number;
  /** Flat out, no more than these: a broker that answers at once would take any number. */
  most: number;
  /** Null: as fast as acknowledgements come. */
  messagesASecond: number | null;
}

/** Instants in milliseconds since 1970 with fractions, by number of message. */
export interface Published {
  sentAt: Float64Array;
  acknowledgedAt: Float64Array;
}

export const MICROGRID = 'bench';
export const STARTS_MILLIS = Date.parse('2026-06-01T00:00:00Z');

export function meterOf(number: number): string {
  return `m${String(number).padStart(5, '0')}`;
}

/** Now, comparable between processes of one machine. */
export function nowMillis(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * The payload of message `number`, which stands in its last reading as `powerW`. Every meter goes on
 * where its last message ended, a reading a second.
 */
export function payloadOf(number: number, { meters, readingsAMessage }: PublishPlan): string {
  const first = Math.floor(number / meters) * readingsAMessage;
  const readings = Array.from({ length: readingsAMessage }, (_, index) => {
    const second = first + index;
    const readAt = `${new Date(STARTS_MILLIS + second * 1_000).toISOString().slice(0, 19)}Z`;
    const power = index === readingsAMessage - 1 ? `,"powerW":${number}` : '';
    return `{"readAt":"${readAt}","importWh":${(second * 0.137).toFixed(3)}${power}}`;
  });
  return readingsAMessage === 1 ? readings[0]! : `[${readings.join(',')}]`;
}

export function numberOf(payload: Buffer): number {
  const at = payload.lastIndexOf(LAST_FIELD);
  if (at < 0) throw new Error('a message without its number');
  return Number.parseInt(payload.toString('latin1', at + LAST_FIELD.length), 10);
}

const LAST_FIELD = '"powerW":';
