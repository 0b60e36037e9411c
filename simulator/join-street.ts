import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { formatInstant, slotStartOf } from '../src/units/slot.js';
import { enrolPeople, enrolStreet } from './enrol-street.js';
import type { SimulatedHousehold } from './household.js';
import { ServiceRefusal, ServiceSession } from './http.client.js';
import { RewardProgram } from './reward-program.js';
import type { Patience } from './patience.js';
import type { ServiceWhereabouts } from './service.whereabouts.js';
import type { SimulateOptions } from './simulate-options.js';
import {
  dropStreetState,
  readBootstrapLogins,
  readDemoLogins,
  writeDemoLogins,
  type DemoLogins,
} from './street.store.js';

/** Who plays the street: everyone's log-ins, from an earlier run or from an enrolment made now. */
export interface Players {
  logins: DemoLogins;
  /** By household. */
  sessions: Map<string, ServiceSession>;
  simulator: ServiceSession | null;
  /** Null where the log-ins hold no regulator. */
  program: RewardProgram | null;
}

interface Joining {
  options: SimulateOptions;
  households: readonly SimulatedHousehold[];
  service: ServiceWhereabouts;
  tell: (message: string) => void;
  patience: Patience;
}

/** The street's log-ins; enrols it first where this data folder knows of none. */
export async function joinStreet(joining: Joining): Promise<Players> {
  const { service, households, options, patience } = joining;
  const logins = (await knownLogins(options)) ?? (await enrolNow(joining));
  const sessions = new Map(
    logins.people.flatMap((person) =>
      person.household === undefined
        ? []
        : [[person.household, new ServiceSession(service.httpUrl, person)] as const],
    ),
  );
  const sessionOf = (role: string) => {
    const person = logins.people.find((one) => one.role === role);
    return person ? new ServiceSession(service.httpUrl, person) : null;
  };
  const regulator = sessionOf('regulator');
  const program = regulator && new RewardProgram(options.microgrid, regulator, joining.tell);
  if (!logins.ready) {
    const operator = sessionOf('operator');
    if (!operator)
      throw new Error('the demo log-ins hold no operator to finish the enrolment with');
    const { dataDir } = options;
    await patience.until(() => enrolPeople({ logins, households, operator, sessions }));
    await patience.until(async () => program?.found(sessions));
    await writeDemoLogins(dataDir, { ...logins, ready: true });
  }
  return { logins, sessions, simulator: sessionOf('simulator'), program };
}

/**
 * Moves the simulated market clock.
 * @returns up to when every slot is settled; null before the first
 * @throws ServiceRefusal 409 when it is not simulated, or later
 */
export async function setClock(simulator: ServiceSession, to: number): Promise<string | null> {
  const answer = await simulator.request('POST', '/v1/operator/clock', { now: formatInstant(to) });
  return CLOCK.parse(answer).closedThrough;
}

const CLOCK = z.looseObject({ closedThrough: z.string().nullable() });

async function knownLogins(options: SimulateOptions): Promise<DemoLogins | null> {
  const known = await readDemoLogins(options.dataDir);
  if (!known || known.microgrid !== options.microgrid) return null;
  const enrolled = known.people.filter((person) => person.role === 'household').length;
  if (enrolled === options.households) return known;
  throw new Error(`the street has ${enrolled} households: pass --households ${enrolled}`);
}

async function enrolNow({ options, households, service, tell, patience }: Joining) {
  const { microgrid, dataDir, operatorLogins } = options;
  // The service writes them at its first start, perhaps just now.
  const bootstrap = await patience.until(async () => {
    const logins = await readBootstrapLogins(operatorLogins);
    if (logins) return logins;
    throw new Error(
      `no log-ins in ${operatorLogins}; start the service with BOOTSTRAP_LOGINS set to that file`,
    );
  });
  const simulator = new ServiceSession(service.httpUrl, bootstrap.simulator);
  const startsAt = await firstClock(simulator, options.startsAt, patience);
  tell(`enrolling ${households.length} households in microgrid ${microgrid}`);
  await dropStreetState(dataDir);
  return enrolStreet({
    ...bootstrap,
    microgrid,
    startsAt,
    dataDir,
    households,
    baseUrl: service.httpUrl,
  });
}

/** Sets a simulated clock to the street's first morning; on the system's clock, the slot of now. */
async function firstClock(
  simulator: ServiceSession,
  morning: number,
  patience: Patience,
): Promise<number> {
  try {
    await patience.until(() => setClock(simulator, morning));
    return morning;
  } catch (error) {
    if (!(error instanceof ServiceRefusal) || error.status !== 409) throw error;
    if (error.code === 'clock_not_simulated') return runningSlot(patience.signal);
    throw new Error(
      `${error.message} Another street runs here: start the service on a new DATA_DIR.`,
      { cause: error },
    );
  }
}

const SLOT_MILLIS = 15 * 60_000;

/** The start of the slot of now; one that is about to end is waited for, as enrolling takes a moment. */
async function runningSlot(signal: AbortSignal): Promise<number> {
  const left = SLOT_MILLIS - (Date.now() % SLOT_MILLIS);
  if (left < 20_000) await sleep(left, null, { signal });
  return slotStartOf(Date.now(), 15);
}
