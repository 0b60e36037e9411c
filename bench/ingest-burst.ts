import { setTimeout as sleep } from 'node:timers/promises';
import { MeteringService } from '../src/metering/metering.service.js';
import { startService, type RunningService } from '../src/service.js';
import { SlotClockService } from '../src/settlement/slot-clock.service.js';
import { formatInstant } from '../src/units/slot.js';
import { withDatabase } from './database.js';
import { nowMillis, type PublishPlan, type Street } from './ingest-plan.js';
import { enrol, Meters, type Transport } from './ingest-stage.js';
import { startMosquitto } from './mosquitto.js';
import { progress } from './report.js';

/**
 * A quarter-hour of whole districts at once: the gateways of many microgrids send what their meters read
 * in it, to the service as it is started for real, and the slot of every microgrid is closed.
 */

export interface Burst {
  transport: Transport;
  messages: number;
  readings: number;
  /** From the first message published to the last one committed. */
  takenInSeconds: number;
  /** To all of them settled, with their checkpoints signed. */
  closedSeconds: number;
}

/** A quarter through each of the brokers, one after the other. */
export async function measureBursts(
  transports: readonly Transport[],
  street: Street,
): Promise<Burst[]> {
  return withDatabase(async ({ database, settings }) => {
    const gateways = await enrol(database, street, STARTS_MILLIS);
    await database.query('INSERT INTO market_clock (now) SELECT $1::timestamptz', [
      new Date(STARTS_MILLIS).toISOString(),
    ]);
    const meters = new Meters();
    const bursts: Burst[] = [];
    try {
      for (const [quarter, transport] of transports.entries()) {
        progress(`${transport}, a quarter-hour of ${street.microgrids} microgrids`);
        const mosquitto = transport === 'Mosquitto' ? await startMosquitto() : null;
        const own = { mqttUrl: mosquitto?.url, httpPort: 0, logLevel: 'error' as const };
        const service = await startService({ ...settings, ...own });
        try {
          const url = mosquitto?.url ?? `mqtt://127.0.0.1:${service.mqttPort}`;
          const plan = planOf(quarter, street, { url, gateways });
          bursts.push({ transport, ...(await measureOne(service, meters, quarter, plan)) });
        } finally {
          await service.stop();
          await mosquitto?.stop();
        }
      }
    } finally {
      meters.stop();
    }
    return bursts;
  });
}

async function measureOne(
  service: RunningService,
  meters: Meters,
  quarter: number,
  plan: PublishPlan,
): Promise<Omit<Burst, 'transport'>> {
  const clock = service.app.get(SlotClockService);
  const metering = service.app.get(MeteringService);
  const endMillis = STARTS_MILLIS + (quarter + 1) * QUARTER_SECONDS * 1_000;
  // Nothing is due yet, and the reading on the border is not one of the future.
  await clock.advance(formatInstant(endMillis - 60_000));
  const readings = plan.most * plan.readingsAMessage;
  const { sentAt } = await meters.publish(plan);
  while ((metering.counters()['accepted'] ?? 0) < readings) await sleep(5);
  const takenInMillis = nowMillis() - sentAt.reduce((least, at) => Math.min(least, at), Infinity);
  const started = performance.now();
  await clock.advance(formatInstant(endMillis));
  const closedMillis = performance.now() - started;
  return {
    messages: plan.most,
    readings,
    takenInSeconds: takenInMillis / 1_000,
    closedSeconds: closedMillis / 1_000,
  };
}

/** A reading every five minutes; the first quarter begins with one. */
function planOf(
  quarter: number,
  street: Street,
  where: Pick<PublishPlan, 'url' | 'gateways'>,
): PublishPlan {
  const isFirst = quarter === 0;
  return {
    ...where,
    street,
    startsMillis: STARTS_MILLIS,
    readingsAMessage: isFirst ? 4 : 3,
    startSecond: isFirst ? 0 : quarter * QUARTER_SECONDS + SECONDS_APART,
    secondsApart: SECONDS_APART,
    millis: 600_000,
    window: 4,
    most: street.microgrids * street.metersEach,
    messagesASecond: null,
  };
}

const STARTS_MILLIS = Date.parse('2026-06-01T00:00:00Z');
const QUARTER_SECONDS = 900;
const SECONDS_APART = 300;
