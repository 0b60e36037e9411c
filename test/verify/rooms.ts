import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadSettings } from '../../src/config.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import { AutopilotService } from '../../src/market/autopilot.service.js';
import { MarketService } from '../../src/market/market.service.js';
import { OrderService } from '../../src/market/order.service.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import type { Microgrid } from '../../src/parties/microgrid.js';
import { MeterKeyService } from '../../src/parties/meter-key.service.js';
import { MeterProfileService } from '../../src/parties/meter-profile.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { PeopleService } from '../../src/parties/people.service.js';
import { AwardService } from '../../src/rewards/award.service.js';
import { RewardsService } from '../../src/rewards/rewards.service.js';
import { MarketWatchService } from '../../src/settlement/market-watch.service.js';
import { SettlementService } from '../../src/settlement/settlement.service.js';
import { SlotClockService } from '../../src/settlement/slot-clock.service.js';
import { SlotClosingService } from '../../src/settlement/slot-closing.service.js';
import { SlotCorrectionService } from '../../src/settlement/slot-correction.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { SIMULATED } from '../support/settings.js';

/** The rooms of the service on a database of their own, on the simulated clock, without a broker. */
export type Rooms = Awaited<ReturnType<typeof openRooms>>;

/** @param on a database and data folder that are there already */
export async function openRooms(on?: { fresh: FreshDatabase; dataDir: string }) {
  // A slot is broken on purpose, and the clock would say so.
  Logger.overrideLogger(false);
  const fresh = on?.fresh ?? (await freshDatabase());
  const { url, ownerUrl, eraserUrl, database, asOwner, drop } = fresh;
  const dataDir = on?.dataDir ?? (await mkdtemp(join(tmpdir(), 'verify-')));
  const settings = loadSettings({ ...SIMULATED, DATA_DIR: dataDir });
  const clock = new MarketClockService(settings, database);
  const ledger = new LedgerService();
  const log = new LogService(settings);
  const parties = new PartiesService(database, clock, ledger);
  const people = new PeopleService(clock, ledger, settings);
  const meterKeys = new MeterKeyService(clock, ledger, settings);
  const profiles = new MeterProfileService(clock, ledger);
  const intake = new IntakeService(database, clock, settings);
  const metering = new MeteringService(intake);
  const market = new MarketService(database, ledger, parties, clock);
  const orders = new OrderService(database, ledger, parties, clock);
  const autopilot = new AutopilotService(database, ledger, parties, metering, market, clock);
  const settlement = new SettlementService(database, ledger, log, market, clock);
  const closing = new FaultyClosing(database, parties, ledger, metering, market);
  const correction = new SlotCorrectionService(
    database,
    parties,
    ledger,
    metering,
    market,
    closing,
  );
  const watch = new MarketWatchService(database, parties, settlement);
  const slots = new SlotClockService(
    settings,
    database,
    clock,
    parties,
    metering,
    market,
    autopilot,
    ledger,
    log,
    closing,
    correction,
    watch,
  );
  const rewards = new RewardsService(database, ledger, parties, clock);
  const awards = new AwardService(database, ledger, parties, settlement, clock);
  return {
    url,
    ownerUrl,
    eraserUrl,
    dataDir,
    database,
    asOwner,
    clock,
    ledger,
    log,
    parties,
    people,
    meterKeys,
    profiles,
    metering,
    market,
    orders,
    settlement,
    closing,
    slots,
    rewards,
    awards,

    async microgrid(id: string): Promise<Microgrid> {
      return (await parties.microgrid(database, id))!;
    },

    async close(): Promise<void> {
      await intake.beforeApplicationShutdown();
      await drop();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** Closes slots, except one that breaks until it is mended. */
class FaultyClosing extends SlotClosingService {
  brokenSlot: string | null = null;

  override close(microgrid: Microgrid, slotStart: string): Promise<boolean> {
    if (slotStart === this.brokenSlot) {
      return Promise.reject(new Error('production differs from its claims'));
    }
    return super.close(microgrid, slotStart);
  }
}
