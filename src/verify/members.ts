import type { ErasureFacts } from '../ledger/erasure.js';
import type { RecordBody } from '../ledger/record.js';
import type { StandingWish } from '../market/limits.js';
import { wishFacts } from '../market/market-records.js';
import { connectionW } from '../metering/plausibility.js';
import { registersFor, type Register } from '../metering/reading.js';
import type { MeterKeyFacts } from '../parties/meter-key.js';
import type { MeterRole, Microgrid, NetworkVersion, TariffVersion } from '../parties/microgrid.js';
import { networkIn } from '../parties/network.js';
import { tariffIn } from '../parties/tariff.js';
import { canonicalJson, type JsonObject } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { PastDevice } from './device-payload.js';
import type { Row } from './finding.js';
import { PastKeys, type Signing } from './past-keys.js';
import { PastDevices, type DeviceFacts } from './past-devices.js';

/**
 * Who takes part and under which rules, kept again from enrolment, tariff and operator records, so
 * that a slot's facts can be held against them.
 */

/** A time of [activeFrom, activeUntil), also in milliseconds: every slot asks for it. */
interface Active {
  activeFrom: Instant;
  activeUntil: Instant | null;
  fromMillis: number;
  untilMillis: number;
}

interface Member extends Active {
  /** These three stand in no record that was made before there were networks and sharing. */
  feeder?: string | null;
  shareParts?: number;
  shareRank?: number;
  importLimitW: number | null;
  exportLimitW: number | null;
  creditLimitMicro: number;
}

interface EnrolledMeter extends Active {
  household: string;
  role: MeterRole;
  usableWh: number | null;
  gateway: string | null;
}

interface StandingLimits {
  validFrom: Instant;
  sellAboveMicroPerKwh: number | null;
  buyBelowMicroPerKwh: number | null;
  wishes?: StandingWish[];
  sequence: number;
}

export class Members {
  microgrid: Microgrid | null = null;
  private readonly tariffs: TariffVersion[] = [];
  private readonly networks: NetworkVersion[] = [];
  private readonly households = new Map<string, Member>();
  private readonly meters = new Map<string, EnrolledMeter>();
  private readonly metersOf = new Map<string, string[]>();
  private readonly gateways = new Set<string>();
  private readonly keys = new PastKeys();
  private readonly devices = new PastDevices();
  private readonly limits = new Map<string, StandingLimits[]>();

  /** Takes in a record that is about members; others pass by. */
  apply({ kind, facts, sequence, at }: RecordBody): void {
    if (kind === 'tariff') {
      this.tariffs.push(facts as TariffVersion & JsonObject);
      this.tariffs.sort((a, b) => parseInstant(a.validFrom) - parseInstant(b.validFrom));
    }
    if (kind === 'operator-action' && facts['action'] === 'microgrid-created') {
      const { action: _, by: __, microgrid, ...rest } = facts;
      this.microgrid = {
        ...RULES_BEFORE,
        ...(rest as JsonObject & Omit<Microgrid, 'microgridId' | 'name'>),
        microgridId: String(microgrid),
        name: '',
      };
    }
    if (kind === 'operator-action' && facts['action'] === 'moved-out') this.moveOut(facts);
    if (kind === 'operator-action' && facts['action'] === 'meter-key') {
      this.keys.add(facts as MeterKeyFacts, at);
    }
    if (kind === 'operator-action' && facts['action'] === 'meter-profile') {
      this.devices.set(facts as DeviceFacts);
    }
    if (kind === 'operator-action' && facts['action'] === 'network') {
      this.networks.push(facts as NetworkVersion & JsonObject);
      this.networks.sort((a, b) => parseInstant(a.validFrom) - parseInstant(b.validFrom));
    }
    if (kind === 'enrolment' && !('action' in facts)) this.enrol(facts);
    if (kind === 'order' && facts['action'] === 'limits') {
      const { household, ...limits } = facts as JsonObject & StandingLimits & { household: string };
      this.setLimits(household, { ...limits, sequence });
    }
  }

  /** Takes in what is left of a household that was erased. */
  remember({ household, activeFrom, activeUntil, creditLimitMicro }: ErasureFacts): void {
    if (this.households.has(household)) return;
    const member = activeSince(activeFrom);
    endAt(member, activeUntil);
    const limits = { importLimitW: null, exportLimitW: null, creditLimitMicro };
    this.households.set(household, { ...member, ...limits });
  }

  tariffAt(slot: Instant) {
    return tariffIn(this.tariffs, this.microgrid?.timeZone ?? 'UTC', slot);
  }

  networkAt(slot: Instant): NetworkVersion | null {
    return networkIn(this.networks, slot);
  }

  /** Terms of a wallet; null where there is no such household. */
  household(id: string): (Member & { householdId: string }) | null {
    const member = this.households.get(id);
    return member ? { householdId: id, ...member } : null;
  }

  creditLimitOf(household: string): number {
    return (
      (this.microgrid?.creditLimitMicro ?? 0) +
      (this.households.get(household)?.creditLimitMicro ?? 0)
    );
  }

  /** Ids of the households whose time covers the slot, sorted. */
  activeIn(slot: Instant): string[] {
    const atMillis = parseInstant(slot);
    return [...this.households]
      .filter(([, member]) => covers(member, atMillis))
      .map(([id]) => id)
      .sort();
  }

  usableWhOf(household: string, slot: Instant): number {
    return this.metersIn(household, slot).reduce((sum, { usableWh }) => sum + (usableWh ?? 0), 0);
  }

  /** Every register of a household that counts in the slot, in the order of its meters. */
  registersIn(
    household: string,
    slot: Instant,
  ): { meter: string; role: MeterRole; register: Register }[] {
    return this.metersIn(household, slot)
      .sort((a, b) => (a.meter < b.meter ? -1 : 1))
      .flatMap(({ meter, role }) =>
        registersFor(role).map((register) => ({ meter, role, register })),
      );
  }

  /** Null for a meter that was never enrolled. */
  roleOf(meter: string): MeterRole | null {
    return this.meters.get(meter)?.role ?? null;
  }

  /** What a meter has to sign with; null for one that never had a key. */
  signingOf(meter: string): Signing | null {
    return this.keys.of(meter);
  }

  /** What the connection carries that a register measures; null for a meter that is not enrolled. */
  connectionOf(meter: string, register: Register): number | null {
    const { role, household = '' } = this.meters.get(meter) ?? {};
    const limits = this.households.get(household);
    return role && limits ? connectionW(role, register, limits) : null;
  }

  /** The standing order that holds in a slot: the last one that counts from it or earlier. */
  limitsIn(household: string, slot: Instant) {
    const held = this.limits
      .get(household)
      ?.findLast(({ validFrom }) => parseInstant(validFrom) <= parseInstant(slot));
    const { sellAboveMicroPerKwh = null, buyBelowMicroPerKwh = null, wishes = [] } = held ?? {};
    return { buyBelowMicroPerKwh, sellAboveMicroPerKwh, ...wishFacts(wishes) };
  }

  microgridRows(): Row[] {
    const { microgrid } = this;
    if (!microgrid) return [];
    return [
      {
        microgrid_id: microgrid.microgridId,
        time_zone: microgrid.timeZone,
        currency: microgrid.currency,
        slot_minutes: microgrid.slotMinutes,
        mechanism: microgrid.mechanism,
        pricing: microgrid.pricing,
        price_k_thousandths: microgrid.priceKThousandths,
        rationing: microgrid.rationing,
        sharing_key: microgrid.sharingKey,
        sharing_price_micro_per_kwh: microgrid.sharingPriceMicroPerKwh,
        grace_seconds: microgrid.graceSeconds,
        gate_closure_seconds: microgrid.gateClosureSeconds,
        correction_days: microgrid.correctionDays,
        unexplained_tolerance_wh: microgrid.unexplainedToleranceWh,
        credit_limit_micro: microgrid.creditLimitMicro,
        starts_at: microgrid.startsAt,
      },
    ];
  }

  householdRows(): Row[] {
    return [...this.households].map(([id, member]) => ({
      household_id: id,
      feeder: member.feeder,
      share_parts: member.shareParts,
      share_rank: member.shareRank,
      import_limit_w: member.importLimitW,
      export_limit_w: member.exportLimitW,
      credit_limit_micro: member.creditLimitMicro,
      active_from: member.activeFrom,
      active_until: member.activeUntil,
    }));
  }

  meterRows(): Row[] {
    return [...this.meters].map(([id, meter]) => ({
      meter_id: id,
      household_id: meter.household,
      role: meter.role,
      usable_wh: meter.usableWh,
      gateway_id: meter.gateway,
      active_from: meter.activeFrom,
      active_until: meter.activeUntil,
    }));
  }

  meterKeyRows(): Row[] {
    return this.keys.rows();
  }

  /** Devices that ever spoke for this meter in a format of their own, in order. */
  devicesOf(meter: string): PastDevice[] {
    return this.devices.of(meter, this.microgrid?.timeZone ?? 'UTC');
  }

  profileRows(): Row[] {
    return this.devices.rows();
  }

  gatewayRows(): Row[] {
    return [...this.gateways].map((id) => ({ gateway_id: id }));
  }

  tariffRows(): Row[] {
    return this.tariffs.flatMap(({ validFrom, bands }) =>
      bands.map((band) => ({
        valid_from: validFrom,
        from_minute: band.fromMinute,
        retail_micro_per_kwh: band.retailMicroPerKwh,
        feed_in_micro_per_kwh: band.feedInMicroPerKwh,
        grid_fee_micro_per_kwh: band.gridFeeMicroPerKwh,
      })),
    );
  }

  networkRows(): Row[] {
    return this.networks.flatMap(({ validFrom, nodes }) =>
      nodes.map((node) => ({
        valid_from: validFrom,
        node_id: node.node,
        parent_id: node.parent,
        fee_micro_per_kwh: node.feeMicroPerKwh,
        capacity_up_w: node.capacityUpW,
        capacity_down_w: node.capacityDownW,
      })),
    );
  }

  standingOrderRows(): Row[] {
    return [...this.limits].flatMap(([household, held]) =>
      held.map((limits) => ({
        household_id: household,
        valid_from: limits.validFrom,
        sell_above_micro_per_kwh: limits.sellAboveMicroPerKwh,
        buy_below_micro_per_kwh: limits.buyBelowMicroPerKwh,
        wishes: canonicalJson(limits.wishes ?? []),
        sequence: limits.sequence,
      })),
    );
  }

  private enrol(facts: JsonObject): void {
    const { household, gateways, meters } = facts as JsonObject & {
      household?: string;
      gateways?: string[];
      meters?: (EnrolledMeter & DeviceFacts)[];
    };
    for (const gateway of gateways ?? []) this.gateways.add(gateway);
    if (household === undefined) return;
    if ('activeFrom' in facts) {
      const enrolled = facts as JsonObject & Member;
      const { feeder, shareParts, shareRank } = enrolled;
      const { activeFrom, importLimitW, exportLimitW, creditLimitMicro } = enrolled;
      this.households.set(household, {
        ...activeSince(activeFrom),
        ...(feeder === undefined ? {} : { feeder }),
        ...(shareParts === undefined ? {} : { shareParts }),
        ...(shareRank === undefined ? {} : { shareRank }),
        importLimitW,
        exportLimitW,
        creditLimitMicro,
      });
    }
    for (const enrolled of meters ?? []) this.addMeter(household, enrolled);
  }

  private addMeter(household: string, added: EnrolledMeter & DeviceFacts): void {
    const { meter, role, usableWh, gateway, activeFrom } = added;
    this.meters.set(meter, { household, role, usableWh, gateway, ...activeSince(activeFrom) });
    this.metersOf.set(household, [...(this.metersOf.get(household) ?? []), meter]);
    // Records from before there were profiles say nothing of it.
    if (added.profile !== undefined) this.devices.set(added);
  }

  private moveOut(facts: JsonObject): void {
    const { household, until, meters } = facts as JsonObject & {
      household: string;
      until: Instant;
      meters: string[];
    };
    const member = this.households.get(household);
    if (member) endAt(member, until);
    for (const id of meters) {
      const meter = this.meters.get(id);
      // One that would have begun later never does.
      if (meter) endAt(meter, parseInstant(until) < meter.fromMillis ? meter.activeFrom : until);
    }
  }

  private metersIn(household: string, slot: Instant): (EnrolledMeter & { meter: string })[] {
    const atMillis = parseInstant(slot);
    return (this.metersOf.get(household) ?? [])
      .map((meter) => ({ meter, ...this.meters.get(meter)! }))
      .filter((meter) => covers(meter, atMillis));
  }

  /** A later change of the same slot takes the place of the earlier one. */
  private setLimits(household: string, limits: StandingLimits): void {
    const held = (this.limits.get(household) ?? []).filter(
      ({ validFrom }) => validFrom !== limits.validFrom,
    );
    const { validFrom, sellAboveMicroPerKwh, buyBelowMicroPerKwh, wishes = [], sequence } = limits;
    held.push({ validFrom, sellAboveMicroPerKwh, buyBelowMicroPerKwh, wishes, sequence });
    held.sort((a, b) => parseInstant(a.validFrom) - parseInstant(b.validFrom));
    this.limits.set(household, held);
  }
}

/** Of microgrids founded before these could be chosen. */
const RULES_BEFORE = {
  rationing: 'pro-rata',
  sharingKey: 'dynamic',
  sharingPriceMicroPerKwh: null,
} as const;

function activeSince(activeFrom: Instant): Active {
  const fromMillis = parseInstant(activeFrom);
  return { activeFrom, activeUntil: null, fromMillis, untilMillis: Infinity };
}

function endAt(active: Active, until: Instant): void {
  Object.assign(active, { activeUntil: until, untilMillis: parseInstant(until) });
}

function covers({ fromMillis, untilMillis }: Active, atMillis: number): boolean {
  return fromMillis <= atMillis && atMillis < untilMillis;
}
