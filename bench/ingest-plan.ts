/** What the process that plays the meters is told, and what it answers. */

export interface PublishPlan {
  url: string;
  /** One connection each, as `street` counts them. */
  gateways: { username: string; password: string }[];
  street: Street;
  readingsAMessage: number;
  startsMillis: number;
  /** Of the first reading of every meter after that, and from one to the next. */
  startSecond: number;
  secondsApart: number;
  millis: number;
  /** Messages that may be unacknowledged on one connection. */
  window: number;
  /** No more messages than these: a broker that answers at once would take any number. */
  most: number;
  /** Null: as fast as acknowledgements come. */
  messagesASecond: number | null;
}

/** Microgrids alike. The gateways of each come one after the other, and share its meters evenly. */
export interface Street {
  microgrids: number;
  metersEach: number;
  gatewaysEach: number;
}

/** Instants in milliseconds since 1970 with fractions, by number of message. */
export interface Published {
  sentAt: Float64Array;
  acknowledgedAt: Float64Array;
}

export function microgridOf(at: number): string {
  return `bench-${String(at).padStart(3, '0')}`;
}

export function meterOf(number: number): string {
  return `m${String(number).padStart(6, '0')}`;
}

/** Now, comparable between processes of one machine. */
export function nowMillis(): number {
  return performance.timeOrigin + performance.now();
}

/** Messages go round the gateways, and each gateway goes round its meters. */
export function senderOf(
  number: number,
  { microgrids, metersEach, gatewaysEach }: Street,
): { microgrid: number; meter: number; round: number } {
  const gateways = microgrids * gatewaysEach;
  const gateway = number % gateways;
  const turn = Math.floor(number / gateways);
  const metersOfGateway = metersEach / gatewaysEach;
  const microgrid = Math.floor(gateway / gatewaysEach);
  const place = (turn % metersOfGateway) * gatewaysEach + (gateway % gatewaysEach);
  return {
    microgrid,
    meter: microgrid * metersEach + place,
    round: Math.floor(turn / metersOfGateway),
  };
}

export function topicOf(number: number, { street }: PublishPlan): string {
  const { microgrid, meter } = senderOf(number, street);
  return `microgrids/${microgridOf(microgrid)}/meters/${meterOf(meter)}/readings`;
}

/**
 * The payload of message `number`, which stands in its last reading as `powerW`. Every meter goes on
 * where its last message ended.
 */
export function payloadOf(number: number, plan: PublishPlan): string {
  const { readingsAMessage, startsMillis, startSecond, secondsApart } = plan;
  const { meter, round } = senderOf(number, plan.street);
  const readings = Array.from({ length: readingsAMessage }, (_, index) => {
    const second = startSecond + (round * readingsAMessage + index) * secondsApart;
    const readAt = `${new Date(startsMillis + second * 1_000).toISOString().slice(0, 19)}Z`;
    const power = index === readingsAMessage - 1 ? `,"powerW":${number}` : '';
    return `{"readAt":"${readAt}","importWh":${(meter + second * 0.137).toFixed(3)}${power}}`;
  });
  return readingsAMessage === 1 ? readings[0]! : `[${readings.join(',')}]`;
}

export function numberOf(payload: Buffer): number {
  const at = payload.lastIndexOf(LAST_FIELD);
  if (at < 0) throw new Error('a message without its number');
  return Number.parseInt(payload.toString('latin1', at + LAST_FIELD.length), 10);
}

const LAST_FIELD = '"powerW":';
