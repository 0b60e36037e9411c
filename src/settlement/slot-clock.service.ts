import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { OnApplicationBootstrap, OnModuleDestroy } from '@nestjs/common';
import { SETTINGS, type Settings } from '../config.js';
import { DatabaseService } from '../database/database.service.js';
import { LogService } from '../ledger/log.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { AutopilotService } from '../market/autopilot.service.js';
import { MarketService } from '../market/market.service.js';
import { MeteringService } from '../metering/metering.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { takesOrders, type Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import { MarketWatchService } from './market-watch.service.js';
import { isPassing } from '../database/passing-fault.js';
import * as store from './settlement.store.js';
import { SlotClosingService } from './slot-closing.service.js';
import { SlotCorrectionService } from './slot-correction.service.js';

/** What becomes due: gates, closes and quotes in the order of market time. */
type Due = { what: 'gate' | 'close' | 'quote'; slotStart: Instant; dueMillis: number };

/** Microgrids settled side by side; each holds one connection at a time. */
const SIDE_BY_SIDE = 4;

/**
 * Drives every microgrid through its slots: gates, closes and corrections, each in its own
 * transaction, strictly in order of market time. On the system's clock it looks every second at the
 * microgrids whose lease this instance holds; a simulated clock moves only when it is told to.
 */
@Injectable()
export class SlotClockService implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly log = new Logger('slots');
  private readonly instance = randomUUID();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;
  /** Gates that threw since the start; tried again with the next start, or when released. */
  private readonly stuckGates = new Map<string, Set<Instant>>();

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly parties: PartiesService,
    private readonly metering: MeteringService,
    private readonly market: MarketService,
    private readonly autopilot: AutopilotService,
    private readonly ledger: LedgerService,
    private readonly logs: LogService,
    private readonly closing: SlotClosingService,
    private readonly correction: SlotCorrectionService,
    private readonly watch: MarketWatchService,
  ) {}

  /** Finishes what a crash left undone, then keeps up with the system's clock. */
  onApplicationBootstrap(): void {
    void this.tick();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running.catch(() => undefined);
  }

  /**
   * Moves the simulated clock and settles everything due by then.
   * @returns the clock, and the border up to which every microgrid is closed
   */
  async advance(to: Instant): Promise<{ now: Instant; closedThrough: Instant | null }> {
    await this.clock.advance(this.database, to);
    await this.inTurn(async () => this.settleAll(await this.parties.microgrids(this.database), to));
    const [row] = await this.database.query<{ closedThrough: Instant | null }>(
      store.ALL_CLOSED_THROUGH,
    );
    return { now: to, closedThrough: row?.closedThrough ?? null };
  }

  /**
   * Tries a quarantined slot again, out of turn.
   * @throws the fault, when it throws again
   */
  async release(microgrid: Microgrid, slotStart: Instant): Promise<boolean> {
    if (await this.market.awaitsGate(this.database, microgrid.microgridId, slotStart)) {
      await this.closeGate(microgrid, slotStart);
    }
    const closed = await this.closing.close(microgrid, slotStart);
    if (closed) await this.logs.sign(this.database, microgrid.microgridId);
    return closed;
  }

  private async tick(): Promise<void> {
    try {
      await this.inTurn(async () => {
        const now = await this.clock.now();
        await this.settleAll(await this.leased(), now);
      });
    } catch (error) {
      this.log.error(`Settling will be tried again: ${messageOf(error)}`);
    }
    if (this.stopped || this.clock.mode === 'simulated') return;
    this.timer = setTimeout(() => void this.tick(), this.settings.slotIntervalMillis);
  }

  /** One round at a time in this process. */
  private inTurn(round: () => Promise<void>): Promise<void> {
    const next = this.running.catch(() => undefined).then(round);
    this.running = next;
    return next;
  }

  /** Other instances close the rest. The lease is efficiency only: the head's lock is the safety. */
  private async leased(): Promise<Microgrid[]> {
    const microgrids = await this.parties.microgrids(this.database);
    if (this.clock.mode === 'simulated') return microgrids;
    await this.database.query(store.TAKE_LEASES, [this.instance]);
    const held = await this.database.query<{ microgridId: string }>(store.LEASED, [this.instance]);
    const ours = new Set(held.map(({ microgridId }) => microgridId));
    return microgrids.filter(({ microgridId }) => ours.has(microgridId));
  }

  /** @throws the first passing fault, after every microgrid had its turn */
  private async settleAll(microgrids: readonly Microgrid[], now: Instant): Promise<void> {
    const queue = [...microgrids];
    const faults: unknown[] = [];
    const worker = async () => {
      for (let next = queue.shift(); next && !this.stopped; next = queue.shift()) {
        await this.settle(next, now).catch((error: unknown) => faults.push(error));
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
    if (faults.length > 0) throw faults[0];
  }

  private async settle(microgrid: Microgrid, now: Instant): Promise<void> {
    const { microgridId } = microgrid;
    let isSigned = false;
    let hasClosed = false;
    for (
      let due = await this.nextDue(microgrid, now);
      due && !this.stopped;
      due = await this.nextDue(microgrid, now)
    ) {
      if (due.what === 'gate') await this.closeGateInTurn(microgrid, due.slotStart);
      if (due.what === 'quote') await this.quoteInTurn(microgrid, due.slotStart);
      isSigned = due.what === 'close' && (await this.closeInTurn(microgrid, due.slotStart));
      hasClosed ||= due.what === 'close';
    }
    // Orders, enrolments and corrections write records too.
    if (!isSigned) await this.logs.sign(this.database, microgridId);
    if (hasClosed) await this.watchInTurn(microgrid);
  }

  /** Whatever goes wrong in looking back stops nothing: the next close looks at the same days again. */
  private async watchInTurn(microgrid: Microgrid): Promise<void> {
    await this.watch.lookBack(microgrid).catch((error: unknown) => {
      this.log.error(`Looking back at ${microgrid.microgridId} failed: ${messageOf(error)}`);
    });
  }

  /** The earliest that is due; at the same instant a gate goes first and a quote last. */
  private async nextDue(microgrid: Microgrid, now: Instant): Promise<Due | null> {
    const nowMillis = parseInstant(now);
    const found = [
      await this.nextGate(microgrid, nowMillis),
      await this.nextClose(microgrid, nowMillis),
      await this.nextQuote(microgrid, nowMillis),
    ].filter((due) => due !== null);
    return found.reduce<Due | null>(
      (first, due) => (first !== null && first.dueMillis <= due.dueMillis ? first : due),
      null,
    );
  }

  private async nextQuote(microgrid: Microgrid, nowMillis: number): Promise<Due | null> {
    const next = await this.autopilot.nextQuote(this.database, microgrid);
    return next !== null && next.dueMillis <= nowMillis ? { what: 'quote', ...next } : null;
  }

  private async nextGate(microgrid: Microgrid, nowMillis: number): Promise<Due | null> {
    if (!takesOrders(microgrid.mechanism)) return null;
    const { microgridId } = microgrid;
    const slotStart = await this.market.earliestOpenSlot(this.database, microgridId, [
      ...(this.stuckGates.get(microgridId) ?? []),
    ]);
    if (slotStart === null) return null;
    const dueMillis = parseInstant(slotStart) - microgrid.gateClosureSeconds * 1000;
    return dueMillis <= nowMillis ? { what: 'gate', slotStart, dueMillis } : null;
  }

  /** Due at its end plus grace, or at its end once every active meter was read at the border. */
  private async nextClose(microgrid: Microgrid, nowMillis: number): Promise<Due | null> {
    const [row] = await this.database.query<{ slotStart: Instant }>(store.NEXT_SLOT, [
      microgrid.microgridId,
    ]);
    const slotStart = row!.slotStart;
    const endMillis = parseInstant(slotStart) + microgrid.slotMinutes * 60_000;
    const dueMillis = endMillis + microgrid.graceSeconds * 1000;
    if (dueMillis <= nowMillis) return { what: 'close', slotStart, dueMillis };
    if (endMillis > nowMillis) return null;
    const { meters } = await this.parties.members(this.database, microgrid.microgridId, slotStart);
    const slotEnd = formatInstant(endMillis);
    const complete =
      meters.length > 0 &&
      (await this.metering.allRead(this.database, microgrid.microgridId, meters, slotEnd));
    return complete ? { what: 'close', slotStart, dueMillis: endMillis } : null;
  }

  /** A gate that throws keeps its orders and holds; its slot is set aside when it would close. */
  private async closeGateInTurn(microgrid: Microgrid, slotStart: Instant): Promise<void> {
    const { microgridId } = microgrid;
    await this.closeGate(microgrid, slotStart).catch((error: unknown) => {
      if (isPassing(error)) throw error;
      this.log.error(`The gate of ${slotStart} in ${microgridId} is stuck: ${messageOf(error)}`);
      const stuck = this.stuckGates.get(microgridId) ?? new Set();
      this.stuckGates.set(microgridId, stuck.add(slotStart));
    });
  }

  /** A household whose strategy fails trades nothing in the slot; nor does anyone else's autopilot. */
  private async quoteInTurn(microgrid: Microgrid, slotStart: Instant): Promise<void> {
    await this.autopilot.quote(microgrid, slotStart).catch(async (error: unknown) => {
      if (isPassing(error)) throw error;
      const { microgridId } = microgrid;
      this.log.error(`No quotes for ${slotStart} in ${microgridId}: ${messageOf(error)}`);
      await this.autopilot.skip(microgrid, slotStart);
    });
  }

  private async closeGate(microgrid: Microgrid, slotStart: Instant): Promise<void> {
    const { microgridId, slotMinutes, gateClosureSeconds } = microgrid;
    const startMillis = parseInstant(slotStart);
    const at = formatInstant(startMillis - gateClosureSeconds * 1000);
    const slotEnd = formatInstant(startMillis + slotMinutes * 60_000);
    await this.database.transaction(async (sql) => {
      const gate = await this.market.clearGate(sql, microgrid, slotStart, at);
      if (!gate) return;
      await sql.query(store.GATE_CLOSED, [
        microgridId,
        slotStart,
        slotEnd,
        gate.clearingPrice,
        gate.tradedWh,
        gate.sequence,
      ]);
    });
  }

  /**
   * What late readings changed is put right first, so that the slot starts from true borders.
   * @returns whether this closed it and signed the journal behind it
   */
  private async closeInTurn(microgrid: Microgrid, slotStart: Instant): Promise<boolean> {
    const { microgridId } = microgrid;
    await this.correction.correctDue(microgrid, slotStart);
    const closed = await this.closing.close(microgrid, slotStart).catch(async (error: unknown) => {
      if (isPassing(error)) throw error;
      await this.quarantine(microgrid, slotStart, error);
      return false;
    });
    // A log that cannot be signed is no fault of the slot, which stays closed.
    if (closed) await this.logs.sign(this.database, microgridId);
    return closed;
  }

  /** Sets a slot aside that cannot be closed, so that it stops neither the next ones nor the service. */
  private async quarantine(
    microgrid: Microgrid,
    slotStart: Instant,
    error: unknown,
  ): Promise<void> {
    const { microgridId, slotMinutes } = microgrid;
    const slotEnd = formatInstant(parseInstant(slotStart) + slotMinutes * 60_000);
    const reason = messageOf(error).slice(0, 1000);
    await this.database.transaction(async (sql) => {
      const head = await this.ledger.lock(sql, microgridId);
      const [known] = await sql.query<{ status: string }>(store.SLOT, [microgridId, slotStart]);
      // Another instance has closed it meanwhile, or has set it aside.
      if (known && known.status !== 'gate-closed') return;
      this.log.error(`Slot ${slotStart} of ${microgridId} is quarantined: ${reason}`);
      await sql.query(store.SLOT_QUARANTINED, [microgridId, slotStart, slotEnd, reason]);
      await this.ledger.append(sql, microgridId, [
        {
          kind: 'operator-action',
          at: slotEnd,
          cause: `slot/${slotStart}/quarantined/${head + 1}`,
          keyHolder: '',
          households: [],
          facts: { action: 'slot-quarantined', slot: slotStart },
          transfers: [],
        },
      ]);
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
