import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { Meters } from './meters.js';
import type { Rooms } from './rooms.js';

/**
 * A lane of hourly slots that can be corrected for a day, and meters that fall silent for longer:
 * what is heard of them again shows energy of slots that stand.
 */

export const LANE = 'lane';
export const FIRST_HOUR = '2026-06-01T00:00:00Z';

export const hourAt = (hour: number, seconds = 0): string =>
  formatInstant(parseInstant(FIRST_HOUR) + hour * 3_600_000 + seconds * 1_000);

/** The meter's hours without a reading at their end; it is heard again at the end of `until`. */
export interface Silence {
  meter: string;
  from: number;
  until: number;
}

export interface Outage {
  homes: { household: string; pv?: boolean; usableWh?: number; movesOutAt?: number }[];
  /** What flows through a meter in the hour that ends, in Wh. */
  flow(meter: string, hour: number): [importWh: number, exportWh: number];
  silences: Silence[];
  hours: number;
  /** From which hour on the retail tariff is 0.40 rather than 0.30. */
  dearerFrom?: number;
  /** Before the hour is closed. */
  meanwhile?(hour: number, meters: Meters, rooms: Rooms): Promise<void>;
}

/** Lives through the hours: every meter is read at the end of each, unless it is silent. */
export async function tellOutage(rooms: Rooms, outage: Outage): Promise<Meters> {
  await found(rooms, outage);
  const meters = new Meters(rooms, LANE);
  const all = outage.homes.flatMap((home) =>
    metersOf(home).map(({ meter }) => ({ meter, endsAt: home.movesOutAt ?? Infinity })),
  );
  for (const { meter } of all) await meters.read(meter, hourAt(0));
  for (let hour = 1; hour <= outage.hours; hour += 1) {
    await rooms.clock.advance(rooms.database, hourAt(hour));
    for (const { meter, endsAt } of all) {
      if (hour > endsAt) continue;
      meters.flow(meter, ...outage.flow(meter, hour));
      const isSilent = outage.silences.some(
        (one) => one.meter === meter && one.from <= hour && hour < one.until,
      );
      if (!isSilent) await meters.read(meter, hourAt(hour));
    }
    await outage.meanwhile?.(hour, meters, rooms);
    await rooms.slots.advance(hourAt(hour, 300));
  }
  return meters;
}

function metersOf({ household, pv, usableWh }: Outage['homes'][number]) {
  return [
    { meter: `${household}-grid`, role: 'grid' as const },
    ...(pv ? [{ meter: `${household}-pv`, role: 'generation' as const }] : []),
    ...(usableWh ? [{ meter: `${household}-bat`, role: 'storage' as const, usableWh }] : []),
  ];
}

async function found({ clock, database, parties }: Rooms, outage: Outage): Promise<void> {
  const { homes, dearerFrom } = outage;
  await clock.advance(database, FIRST_HOUR);
  const band = (retailMicroPerKwh: number) => [
    { fromMinute: 0, retailMicroPerKwh, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 },
  ];
  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid: LANE,
        name: 'A lane',
        currency: 'EUR',
        slotMinutes: 60,
        correctionDays: 1,
        creditLimitMicro: 90_000_000,
        startsAt: FIRST_HOUR,
        tariff: { bands: band(300_000) },
      },
      'otto',
    );
    if (dearerFrom !== undefined) {
      const dearer = { validFrom: hourAt(dearerFrom), bands: band(400_000) };
      await parties.addTariff(sql, LANE, dearer);
    }
    const members = homes.map((home) => ({ household: home.household, meters: metersOf(home) }));
    await parties.enrolMembers(sql, LANE, { members }, 'otto');
    for (const { household, movesOutAt } of homes) {
      if (movesOutAt === undefined) continue;
      await parties.moveOut(sql, LANE, household, hourAt(movesOutAt), 'otto');
    }
  });
}
