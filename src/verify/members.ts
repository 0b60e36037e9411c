import type { RecordBody } from '../ledger/record.js';
import type { Microgrid, TariffVersion } from '../parties/microgrid.js';
import { tariffIn } from '../parties/tariff.js';
import type { JsonObject } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Row } from './finding.js';

/**
 * Who takes part and under which rules, kept again from enrolment, tariff and operator records, so
 * that a slot's facts can be held against them.
 */

interface Member {
  activeFrom: Instant;
  activeUntil: Instant | null;
  importLimitW: number | null;
  exportLimitW: number | null;
  creditLimitMicro: number;
}

interface EnrolledMeter {
  household: string;
  role: string;
  usableWh: number | null;
  gateway: string | null;
  activeFrom: Instant;
  activeUntil: Instant | null;
}

interface StandingLimits {
  validFrom: Instant;
  sellAboveMicroPerKwh: number | null;
  buyBelowMicroPerKwh: number | null;
  sequence: number;
}

export class Members {
  microgrid: Microgrid | null = null;
  private readonly tariffs: TariffVersion[] = [];
  private readonly households = new Map<string, Member>();
  private readonly meters = new Map<string, EnrolledMeter>();
  private readonly gateways = new Set<string>();
  private readonly limits = new Map<string, StandingLimits[]>();

  /** Takes in a record that is about members; others pass by. */
  apply({ kind, facts, sequence }: RecordBody): void {
    if (kind === 'tariff') {
      this.tariffs.push(facts as TariffVersion & JsonObject);
      this.tariffs.sort((a, b) => parseInstant(a.validFrom) - parseInstant(b.validFrom));
    }
    if (kind === 'operator-action' && facts['action'] === 'microgrid-created') {
      const { action: _, by: __, microgrid, ...rest } = facts;
      this.microgrid = {
        ...(rest as JsonObject & Omit<Microgrid, 'microgridId' | 'name'>),
        microgridId: String(microgrid),
        name: '',
      };
    }
    if (kind === 'operator-action' && facts['action'] === 'moved-out') this.moveOut(facts);
    if (kind === 'enrolment' && !('action' in facts)) this.enrol(facts);
    if (kind === 'order' && facts['action'] === 'limits') {
      const { household, ...limits } = facts as JsonObject & StandingLimits & { household: string };
      this.setLimits(household, { ...limits, sequence });
    }
  }

  tariffAt(slot: Instant) {
    return tariffIn(this.tariffs, this.microgrid?.timeZone ?? 'UTC', slot);
  }

  creditLimitOf(household: string): number {
    return (
      (this.microgrid?.creditLimitMicro ?? 0) +
      (this.households.get(household)?.creditLimitMicro ?? 0)
    );
  }

  /** Ids of the households whose time covers the slot, sorted. */
  activeIn(slot: Instant): string[] {
    return [...this.households]
      .filter(([, member]) => covers(member, slot))
      .map(([id]) => id)
      .sort();
  }

  usableWhOf(household: string, slot: Instant): number {
    let usableWh = 0;
    for (const meter of this.meters.values()) {
      if (meter.household === household && covers(meter, slot)) usableWh += meter.usableWh ?? 0;
    }
    return usableWh;
  }

  roleOf(meter: string): string | null {
    return this.meters.get(meter)?.role ?? null;
  }

  /** The standing order that holds in a slot: the last one that counts from it or earlier. */
  limitsIn(household: string, slot: Instant) {
    const held = (this.limits.get(household) ?? []).filter(
      ({ validFrom }) => parseInstant(validFrom) <= parseInstant(slot),
    );
    const { sellAboveMicroPerKwh = null, buyBelowMicroPerKwh = null } = held.at(-1) ?? {};
    return { buyBelowMicroPerKwh, sellAboveMicroPerKwh };
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

  standingOrderRows(): Row[] {
    return [...this.limits].flatMap(([household, held]) =>
      held.map((limits) => ({
        household_id: household,
        valid_from: limits.validFrom,
        sell_above_micro_per_kwh: limits.sellAboveMicroPerKwh,
        buy_below_micro_per_kwh: limits.buyBelowMicroPerKwh,
        sequence: limits.sequence,
      })),
    );
  }

  private enrol(facts: JsonObject): void {
    const { household, gateways, meters } = facts as JsonObject & {
      household?: string;
      gateways?: string[];
      meters?: (Omit<EnrolledMeter, 'household' | 'activeUntil'> & { meter: string })[];
    };
    for (const gateway of gateways ?? []) this.gateways.add(gateway);
    if (household === undefined) return;
    if ('activeFrom' in facts) {
      const { activeFrom, importLimitW, exportLimitW, creditLimitMicro } = facts as JsonObject &
        Member;
      this.households.set(household, {
        activeFrom,
        activeUntil: null,
        importLimitW,
        exportLimitW,
        creditLimitMicro,
      });
    }
    for (const { meter, role, usableWh, gateway, activeFrom } of meters ?? []) {
      this.meters.set(meter, { household, role, usableWh, gateway, activeFrom, activeUntil: null });
    }
  }

  private moveOut(facts: JsonObject): void {
    const { household, until, meters } = facts as JsonObject & {
      household: string;
      until: Instant;
      meters: string[];
    };
    const member = this.households.get(household);
    if (member) member.activeUntil = until;
    for (const id of meters) {
      const meter = this.meters.get(id);
      if (meter) meter.activeUntil = until;
    }
  }

  /** A later change of the same slot takes the place of the earlier one. */
  private setLimits(household: string, limits: StandingLimits): void {
    const held = (this.limits.get(household) ?? []).filter(
      ({ validFrom }) => validFrom !== limits.validFrom,
    );
    const { validFrom, sellAboveMicroPerKwh, buyBelowMicroPerKwh, sequence } = limits;
    held.push({ validFrom, sellAboveMicroPerKwh, buyBelowMicroPerKwh, sequence });
    held.sort((a, b) => parseInstant(a.validFrom) - parseInstant(b.validFrom));
    this.limits.set(household, held);
  }
}

function covers(
  { activeFrom, activeUntil }: { activeFrom: Instant; activeUntil: Instant | null },
  slot: Instant,
): boolean {
  return (
    parseInstant(activeFrom) <= parseInstant(slot) &&
    (activeUntil === null || parseInstant(slot) < parseInstant(activeUntil))
  );
}
