import { setTimeout as sleep } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import { ServiceSession } from '../../simulator/http.client.js';
import { randomFrom } from '../../simulator/random.js';
import { readBootstrapLogins } from '../../simulator/street.store.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';

/**
 * The meters of a street, behind one gateway, step by step: the clock to T, late readings, readings of
 * T, and on when all are acknowledged. Whoever kills the service meanwhile does not stop it: devices
 * connect again and send again, and the clock is set until it is answered. Where a test brings no
 * street of its own, a few households tell of half a day.
 */

export const MICROGRID = 'stream';
const STARTS_AT = '2026-06-01T09:00:00Z';
const STEP_MINUTES = 5;
const SLOT_MINUTES = 15;

/** One message of a meter, at QoS 1. */
export interface Message {
  meter: string;
  readAt: string;
  importWh: number;
  exportWh: number;
}

/** A microgrid as it is founded, with its members. */
export interface StreamedStreet {
  microgrid: string;
  /** Besides its name, currency and tariff, which are always the same. */
  founding: { startsAt: string } & Record<string, unknown>;
  members: readonly { household: string; meters: readonly { meter: string; role: string }[] }[];
}

/** An order as it is sent, but for its microgrid. */
export interface AheadOrder {
  household: string;
  slot: string;
  side: 'bid' | 'ask';
  energyWh: number;
  priceMicroPerKwh: number;
  delivery: 'delivered' | 'firm';
}

export interface Step {
  at: string;
  /** Of an earlier instant, published before those of this one. */
  late: Message[];
  onTime: Message[];
}

export interface Where {
  httpPort: number;
  mqttPort: number;
}

/** How far the stream is: told after every acknowledgement, and when a step's clock is posted. */
export type Progress = (step: number, acknowledged: readonly Message[]) => void;

/** When a step is; 0 is the start, and three are a slot. */
export function stepAt(step: number): string {
  return formatInstant(parseInstant(STARTS_AT) + step * STEP_MINUTES * 60_000);
}

/** The same seed, the same day. Now and then a meter is silent for a step and tells of it later. */
export function dayOf(seed: string, steps: number): Step[] {
  const random = randomFrom(`${seed}/day`);
  const registers = new Map(METERS.map(({ meter }) => [meter, { importWh: 0, exportWh: 0 }]));
  const held: { from: number; message: Message }[] = [];
  return Array.from({ length: steps + 1 }, (_, step) => {
    const at = stepAt(step);
    const onTime: Message[] = [];
    for (const { meter, household, role } of METERS) {
      const before = registers.get(meter)!;
      const now = step === 0 ? before : advanced(before, role, random.between(0, 400));
      registers.set(meter, now);
      const message = { meter, readAt: at, ...now };
      // Where a slot ends, so that it is estimated; never at the last borders, which nothing follows.
      const isSilent = step % 6 === 3 && household === `s${1 + (step % 4)}` && step < steps - 9;
      if (isSilent) held.push({ from: step + 7, message });
      else onTime.push(message);
    }
    const late = held.filter(({ from }) => from === step).map(({ message }) => message);
    return { at, late, onTime };
  });
}

export class Stream {
  private operator!: ServiceSession;
  private simulator!: ServiceSession;
  private gateway!: MqttClient;

  constructor(private readonly street: StreamedStreet = INTERRUPTED) {}

  /** Logs in with what the service wrote for BOOTSTRAP_LOGINS, enrols everyone, and connects. */
  async enrol(where: Where, loginsFile: string): Promise<void> {
    const logins = await readBootstrapLogins(loginsFile);
    if (!logins) throw new Error(`no log-ins in ${loginsFile}`);
    const url = (): string => `http://127.0.0.1:${where.httpPort}`;
    this.operator = new ServiceSession(url, logins.operator);
    this.simulator = new ServiceSession(url, logins.simulator);
    const { microgrid, founding, members } = this.street;
    const { startsAt } = founding;
    const gateway = `${microgrid}-gateway`;
    await this.simulator.request('POST', '/v1/operator/clock', { now: startsAt });
    await this.operator.request('POST', '/v1/operator/microgrids', {
      microgrid,
      ...FOUNDING,
      ...founding,
    });
    const enrolled = (await this.operator.request(
      'POST',
      `/v1/operator/microgrids/${microgrid}/members`,
      {
        gateways: [{ gateway }],
        members: members.map((member) => ({ ...member, activeFrom: startsAt, ...BEHIND, gateway })),
      },
    )) as { items: { username: string; secret: string }[] };
    const { secret } = enrolled.items.find(({ username }) => username === gateway)!;
    this.gateway = await mqtt.connectAsync(`mqtt://127.0.0.1:${where.mqttPort}`, {
      username: gateway,
      password: secret,
      reconnectPeriod: 50,
      // While the database is away nobody can be authenticated.
      reconnectOnConnackError: true,
      connectTimeout: 2_000,
    });
    this.gateway.on('error', () => undefined);
  }

  async play(steps: readonly Step[], onProgress: Progress = () => undefined): Promise<void> {
    for (const [index, step] of steps.entries()) {
      const moved = this.moveClock(step.at);
      onProgress(index, []);
      await moved;
      await this.tell(step, (acknowledged) => onProgress(index, acknowledged));
    }
    // Beyond the grace, so that the last slot closes.
    await this.moveClock(formatInstant(parseInstant(steps.at(-1)!.at) + 301_000));
  }

  /** The readings of a step, late ones first. @param onProgress told after every acknowledgement */
  async tell(
    { late, onTime }: Omit<Step, 'at'>,
    onProgress: (acknowledged: readonly Message[]) => void = () => undefined,
  ): Promise<void> {
    const acknowledged: Message[] = [];
    const publish = async (message: Message): Promise<void> => {
      await this.publish(message);
      acknowledged.push(message);
      onProgress(acknowledged);
    };
    await Promise.all(late.map(publish));
    await Promise.all(onTime.map(publish));
  }

  /** Orders made ahead, each by someone who may act for every household of the street. */
  async place(orders: readonly AheadOrder[]): Promise<void> {
    const { microgrid, members } = this.street;
    const logIn = { user: `${microgrid}-trader`, password: `${microgrid}-trades-ahead` };
    const grants = members.map(({ household }) => ({ role: 'household', microgrid, household }));
    await this.operator.request('POST', '/v1/operator/people', {
      person: logIn.user,
      name: 'Whoever trades',
      password: logIn.password,
      grants,
    });
    const trader = new ServiceSession(this.operator.baseUrl, logIn);
    for (const [index, order] of orders.entries()) {
      const key = { 'idempotency-key': `${microgrid}-${index}` };
      await trader.request('POST', '/v1/orders', { microgrid, ...order }, key);
    }
  }

  /** Everything due by then is settled. Asked again until the service answers. */
  async moveClock(now: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.simulator.request('POST', '/v1/operator/clock', { now });
        return;
      } catch (error) {
        if (attempt === MOST_ATTEMPTS) throw error;
        await sleep(50);
      }
    }
  }

  async summary(): Promise<{ ledger: { journalSha256: string; records: number } }> {
    const path = `/v1/operator/microgrids/${this.street.microgrid}/summary`;
    return (await this.operator.request('GET', path)) as never;
  }

  async close(): Promise<void> {
    await this.gateway?.endAsync(true);
  }

  private async publish({ meter, ...reading }: Message): Promise<void> {
    const topic = `microgrids/${this.street.microgrid}/meters/${meter}/readings`;
    await this.gateway.publishAsync(topic, JSON.stringify(reading), { qos: 1 });
  }
}

const HOUSEHOLDS = ['s1', 's2', 's3', 's4'];

const MEMBERS = HOUSEHOLDS.map((household, index) => ({
  household,
  meters: [
    { meter: `${household}-grid`, role: 'grid' },
    ...(index < 2 ? [{ meter: `${household}-pv`, role: 'generation' }] : []),
    ...(index === 1 ? [{ meter: `${household}-battery`, role: 'storage', usableWh: 900 }] : []),
  ],
}));

const METERS = MEMBERS.flatMap(({ household, meters }) =>
  meters.map((meter) => ({ ...meter, household })),
);

const INTERRUPTED: StreamedStreet = {
  microgrid: MICROGRID,
  founding: { startsAt: STARTS_AT },
  members: MEMBERS,
};

const FOUNDING = {
  name: 'A day to be interrupted',
  currency: 'EUR',
  slotMinutes: SLOT_MINUTES,
  graceSeconds: 300,
  tariff: { bands: [{ fromMinute: 0, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 }] },
};

/** No wallet binds. */
const BEHIND = { creditLimitMicro: 1_000_000_000_000 };

type Registers = Pick<Message, 'importWh' | 'exportWh'>;

/** An even draw comes in, an odd one goes out, as far as a meter of this role counts that. */
function advanced({ importWh, exportWh }: Registers, role: string, energyWh: number): Registers {
  const goesOut = role === 'generation' || (role !== 'generation' && energyWh % 2 === 1);
  return goesOut
    ? { importWh, exportWh: exportWh + energyWh }
    : { importWh: importWh + energyWh, exportWh };
}

const MOST_ATTEMPTS = 2_400;
