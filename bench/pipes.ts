import type { BrokerOptions, IncomingMessage } from '../src/broker/broker.service.js';
import type { DatabaseService } from '../src/database/database.service.js';
import { LedgerService } from '../src/ledger/ledger.service.js';
import { IntakeService } from '../src/metering/intake.service.js';
import { MeteringService } from '../src/metering/metering.service.js';
import type { Principal } from '../src/parties/access.js';
import { DeviceService } from '../src/parties/device.service.js';
import { MarketClockService } from '../src/parties/market-clock.service.js';
import type { BenchDatabase } from './database.js';

/** What stands between a message at the broker and its commit: the service's way, or the least. */

export interface Pipe {
  readonly name: string;
  readonly options: BrokerOptions<Principal>;
  /** Its table of readings. */
  readonly table: string;
}

/** Devices, decoding, judging and storing as the service does them. */
export function servicePipe({ database, settings }: BenchDatabase): Pipe {
  // As nearly every service: a simulated clock is asked of the database for every batch.
  const clock = new MarketClockService({ ...settings, marketClock: 'system' }, database);
  const devices = new DeviceService(database, clock, new LedgerService());
  const metering = new MeteringService(new IntakeService(database, clock, settings));
  return {
    name: 'service',
    table: 'reading',
    options: {
      authenticate: (username, password) => devices.authenticate(username, password),
      mayPublish: (principal, topic) => devices.mayPublish(principal, topic),
      maySubscribe: (principal, filter) => devices.maySubscribe(principal, filter),
      intake: (message) => metering.intake(message),
    },
  };
}

/** Everybody may; `JSON.parse`; one insert a batch into a table with the same key; nothing else. */
export async function barePipe({ owner }: BenchDatabase): Promise<Pipe> {
  await owner.query('CREATE TABLE bare_reading (LIKE reading INCLUDING ALL)');
  await owner.query('ALTER TABLE bare_reading DROP COLUMN payload_hash');
  const batches = new Batches(owner);
  const meters = new Set<string>();
  const anybody = { kind: 'gateway', microgridId: null, meters, topics: [] } as const;
  return {
    name: 'bare pipe',
    table: 'bare_reading',
    options: {
      authenticate: (username = '') => Promise.resolve({ username, ...anybody }),
      mayPublish: () => true,
      maySubscribe: () => true,
      intake: (message) => batches.add(message),
    },
  };
}

interface Waiting {
  message: IncomingMessage;
  done(): void;
  failed(error: unknown): void;
}

/** What arrives while others are inserted goes together. */
class Batches {
  private waiting: Waiting[] = [];
  private inserting = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly database: DatabaseService) {}

  add(message: IncomingMessage): Promise<void> {
    return new Promise((done, failed) => {
      this.waiting.push({ message, done, failed });
      // As the service: a batch waits as long for company, and as many are under way.
      this.timer ??= setTimeout(() => this.flush(), LINGER_MILLIS);
    });
  }

  private flush(): void {
    this.timer = undefined;
    if (this.inserting === MAX_INSERTING || this.waiting.length === 0) return;
    let bytes = 0;
    let length = 0;
    while (length < this.waiting.length && length < MAX_BATCH && bytes < MAX_BATCH_BYTES) {
      bytes += this.waiting[length]!.message.payload.length;
      length += 1;
    }
    const batch = this.waiting.splice(0, length);
    this.inserting += 1;
    void this.insert(batch)
      .then(
        () => batch.forEach(({ done }) => done()),
        (error: unknown) => batch.forEach(({ failed }) => failed(error)),
      )
      .finally(() => {
        this.inserting -= 1;
        this.flush();
      });
  }

  private async insert(batch: readonly Waiting[]): Promise<void> {
    const [microgrids, meters, instants, values]: string[][] = [[], [], [], []];
    for (const { message } of batch) {
      const [, microgrid, , meter] = message.topic.split('/');
      const content = JSON.parse(message.payload.toString()) as BareReading | BareReading[];
      for (const { readAt, importWh } of Array.isArray(content) ? content : [content]) {
        microgrids!.push(microgrid!);
        meters!.push(meter!);
        instants!.push(readAt);
        values!.push(String(importWh));
      }
    }
    await this.database.query(INSERT, [microgrids, meters, instants, values]);
  }
}

interface BareReading {
  readAt: string;
  importWh: number;
}

const LINGER_MILLIS = 3;
const MAX_INSERTING = 2;
const MAX_BATCH = 2_000;
const MAX_BATCH_BYTES = 256 * 1024;

const INSERT = `
INSERT INTO bare_reading (microgrid_id, meter_id, register, read_at, value_wh)
SELECT microgrid_id, meter_id, 'import', read_at, value_wh
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::numeric[])
  AS arrived (microgrid_id, meter_id, read_at, value_wh)`;
