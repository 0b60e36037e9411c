import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { formatInstant } from '../src/units/slot.js';
import { ServiceRefusal, ServiceSession } from './http.client.js';
import type { SimulatedHousehold } from './household.js';
import { metersOf } from './neighborhood.js';
import { writeDemoLogins, type DemoLogins, type LogIn } from './street.store.js';

/**
 * Enrols the simulated street through the operator's API: the microgrid with its tariff, households
 * and meters, then a person for each household and a regulator. The log-ins and device secrets go to
 * the demo log-ins file before the people are made, so that an interrupted enrolment can be finished.
 */
export async function enrolStreet(street: {
  microgrid: string;
  households: readonly SimulatedHousehold[];
  startsAt: number;
  operator: LogIn;
  simulator: LogIn;
  baseUrl: () => string;
  dataDir: string;
}): Promise<DemoLogins> {
  const { microgrid, households } = street;
  const operator = new ServiceSession(street.baseUrl, street.operator);
  await createMicrogrid(operator, microgrid, street.startsAt);
  const { items: devices } = ENROLLED.parse(
    await operator.request('POST', `/v1/operator/microgrids/${microgrid}/members`, {
      members: households.map((household) => ({
        household: household.household,
        alias: household.alias,
        importLimitW: household.importLimitW,
        exportLimitW: household.exportLimitW,
        creditLimitMicro: CREDIT_LIMIT_MICRO,
        // In the running slot: left out, it would be the next one, and the people would wait for it.
        activeFrom: formatInstant(street.startsAt),
        meters: metersOf(household),
      })),
    }),
  );
  const logins: DemoLogins = {
    microgrid,
    ready: false,
    people: [
      { ...street.operator, role: 'operator' },
      { ...street.simulator, role: 'simulator' },
      { user: 'regulator', password: newPassword(), role: 'regulator' },
      ...households.map(({ household, alias }) => ({
        user: alias.toLowerCase().replaceAll(' ', '-'),
        password: newPassword(),
        role: 'household',
        household,
      })),
    ],
    devices,
  };
  await writeDemoLogins(street.dataDir, logins);
  return logins;
}

/**
 * Makes the people of the log-ins file and sets their households' price limits.
 * What an interrupted run already made stays.
 */
export async function enrolPeople(street: {
  logins: DemoLogins;
  households: readonly SimulatedHousehold[];
  operator: ServiceSession;
  sessions: ReadonlyMap<string, ServiceSession>;
}): Promise<void> {
  const { microgrid } = street.logins;
  for (const { user, password, role, household } of street.logins.people) {
    if (role !== 'household' && role !== 'regulator') continue;
    const alias = street.households.find((one) => one.household === household)?.alias;
    await unlessKnown(
      street.operator.request('POST', '/v1/operator/people', {
        person: user,
        name: alias ?? 'Regulator',
        password,
        grants: [{ role, microgrid, ...(household === undefined ? {} : { household }) }],
      }),
    );
  }
  for (const { household, sellAboveMicroPerKwh, buyBelowMicroPerKwh } of street.households) {
    await street.sessions.get(household)?.request('PUT', `/v1/households/${household}/limits`, {
      sellAboveMicroPerKwh,
      buyBelowMicroPerKwh,
    });
  }
}

/** Enough that no wallet of the demo binds: 1,000 units of the currency. */
const CREDIT_LIMIT_MICRO = 1_000_000_000;

const TARIFF = {
  bands: [
    { fromMinute: 0, retailMicroPerKwh: 260_000, feedInMicroPerKwh: 50_000 },
    { fromMinute: 6 * 60, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 },
    { fromMinute: 17 * 60, retailMicroPerKwh: 340_000, feedInMicroPerKwh: 50_000 },
    { fromMinute: 22 * 60, retailMicroPerKwh: 260_000, feedInMicroPerKwh: 50_000 },
  ],
};

const ENROLLED = z.object({
  items: z.array(z.looseObject({ username: z.string(), kind: z.string(), secret: z.string() })),
});

async function createMicrogrid(
  operator: ServiceSession,
  microgrid: string,
  startsAt: number,
): Promise<void> {
  try {
    await operator.request('POST', '/v1/operator/microgrids', {
      microgrid,
      name: 'Arbor Street',
      timeZone: 'UTC',
      currency: 'EUR',
      slotMinutes: 15,
      creditLimitMicro: CREDIT_LIMIT_MICRO,
      startsAt: formatInstant(startsAt),
      tariff: TARIFF,
    });
  } catch (error) {
    if (!(error instanceof ServiceRefusal) || error.status !== 409) throw error;
    throw new Error(
      `microgrid ${microgrid} is already enrolled, but its log-ins are not in this data folder: ` +
        'bring its demo-logins.json here, or choose another name with --microgrid',
    );
  }
}

async function unlessKnown(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!(error instanceof ServiceRefusal) || error.status !== 409) throw error;
  }
}

function newPassword(): string {
  return randomBytes(15).toString('base64url');
}
