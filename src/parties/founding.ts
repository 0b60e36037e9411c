/** A new microgrid, and a new version of a tariff: what a request may say and what is wrong with it. */

import { z } from 'zod';
import type { Instant, SlotMinutes } from '../units/slot.js';
import { isSlotBorder, parseInstant } from '../units/slot.js';
import type { EnrolmentDraft } from './enrolment-journal.js';
import {
  MECHANISMS,
  PRICINGS,
  RATIONINGS,
  SHARING_KEYS,
  takesOrders,
  type Mechanism,
  type Microgrid,
  type Pricing,
  type TariffBand,
} from './microgrid.js';
import { ident, instant, nonNegative } from './parse.js';
import { isTimeZone } from './tariff.js';

const BAND = z
  .strictObject({
    fromMinute: z.int().min(0).max(1439, 'must be a minute of the day, 0 to 1439'),
    retailMicroPerKwh: nonNegative,
    feedInMicroPerKwh: nonNegative,
    gridFeeMicroPerKwh: nonNegative.default(0),
  })
  .refine((band) => band.feedInMicroPerKwh <= band.retailMicroPerKwh, {
    path: ['feedInMicroPerKwh'],
    message: 'must not exceed the retail tariff',
  });

const BANDS = z
  .array(BAND)
  .min(1, 'must have at least one band')
  .max(288)
  .refine((bands) => bands.some((band) => band.fromMinute === 0), 'one band must begin at minute 0')
  .refine(
    (bands) => new Set(bands.map((band) => band.fromMinute)).size === bands.length,
    'two bands begin at the same minute',
  )
  .transform((bands) => [...bands].sort((a, b) => a.fromMinute - b.fromMinute));

/** A version of the tariff that holds from a slot border on. */
export const TARIFF = z.strictObject({ validFrom: instant, bands: BANDS });
export type TariffRequest = z.input<typeof TARIFF>;

/** Which prices each mechanism can make; the first is its default. */
const PRICINGS_OF: Readonly<Record<Mechanism, readonly Pricing[]>> = {
  metered: ['clearing', 'mid-market', 'supply-demand-ratio', 'pay-as-bid'],
  'call-auction': ['clearing', 'mid-market', 'supply-demand-ratio', 'pay-as-bid'],
  // Each trade has the price of the order that rested: nothing is cleared.
  continuous: ['clearing'],
  sharing: ['mid-market', 'supply-demand-ratio', 'fixed'],
};

const SLOT_MINUTES = z.literal([5, 15, 30, 60], 'must be 5, 15, 30 or 60');

export const FOUNDING = z
  .strictObject({
    microgrid: ident,
    name: z.string().trim().min(1).max(100),
    timeZone: z
      .string()
      .default('UTC')
      .refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin'),
    currency: z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as EUR'),
    slotMinutes: SLOT_MINUTES.default(15),
    mechanism: z.enum(MECHANISMS).default('metered'),
    pricing: z.enum(PRICINGS).optional(),
    priceKThousandths: z.int().min(0).max(1000).default(500),
    rationing: z.enum(RATIONINGS).default('pro-rata'),
    sharingKey: z.enum(SHARING_KEYS).default('dynamic'),
    sharingPriceMicroPerKwh: nonNegative.nullable().default(null),
    graceSeconds: z.int().min(0).max(86_400).default(300),
    gateClosureSeconds: z.int().min(0).max(86_400).default(0),
    correctionDays: z.int().min(0).max(366).default(14),
    unexplainedToleranceWh: z.int().min(0).max(1_000_000).default(10),
    creditLimitMicro: nonNegative.default(0),
    startsAt: instant,
    tariff: z.strictObject({ bands: BANDS }),
  })
  .transform((one) => ({ ...one, pricing: one.pricing ?? PRICINGS_OF[one.mechanism][0]! }))
  .refine(({ mechanism, pricing }) => PRICINGS_OF[mechanism].includes(pricing), {
    path: ['pricing'],
    error: ({ input }) => {
      const { mechanism } = input as { mechanism: Mechanism };
      return `must be ${PRICINGS_OF[mechanism].join(', or ')} under ${mechanism}`;
    },
  })
  .refine(({ mechanism, rationing }) => rationing !== 'time' || takesOrders(mechanism), {
    path: ['rationing'],
    message: 'time is for orders: what was metered has none. Choose pro-rata or max-min',
  })
  .refine((one) => (one.pricing === 'fixed') === (one.sharingPriceMicroPerKwh !== null), {
    path: ['sharingPriceMicroPerKwh'],
    message: 'belongs to pricing fixed, and to no other',
  })
  .refine((one) => isSlotBorder(parseInstant(one.startsAt), one.slotMinutes), {
    path: ['startsAt'],
    message: 'must be a slot border',
  });
export type FoundingRequest = z.input<typeof FOUNDING>;

/** The microgrid that a founding request describes. */
export function foundedMicrogrid(request: z.output<typeof FOUNDING>): Microgrid {
  const { microgrid, tariff: _tariff, ...rest } = request;
  return { microgridId: microgrid, ...rest };
}

/** Why a version cannot begin then: a tariff is never retroactive. Null when it can. */
export function tariffFault(
  validFrom: Instant,
  microgrid: { slotMinutes: SlotMinutes; startsAt: Instant },
  now: Instant,
): string | null {
  const from = parseInstant(validFrom);
  if (!isSlotBorder(from, microgrid.slotMinutes)) {
    return `${validFrom} is no slot border; slots are ${microgrid.slotMinutes} minutes long.`;
  }
  if (from < parseInstant(now)) {
    return `${validFrom} is before the market's time ${now}, and a tariff is never retroactive. Choose a later slot.`;
  }
  if (from < parseInstant(microgrid.startsAt)) {
    return `${validFrom} is before the microgrid starts, ${microgrid.startsAt}.`;
  }
  return null;
}

export function foundingDraft(microgrid: Microgrid, now: Instant, by: string): EnrolmentDraft {
  const { microgridId, name: _name, timeZone, ...rest } = microgrid;
  return {
    kind: 'operator-action',
    at: now,
    cause: `microgrid/${microgridId}/created`,
    keyHolder: '',
    households: [],
    facts: { action: 'microgrid-created', by, microgrid: microgridId, timeZone, ...rest },
    transfers: [],
  };
}

export function tariffDraft(
  validFrom: Instant,
  bands: readonly TariffBand[],
  now: Instant,
): EnrolmentDraft {
  return {
    kind: 'tariff',
    at: now,
    cause: `tariff/${validFrom}`,
    keyHolder: '',
    households: [],
    facts: { validFrom, bands: bands.map((band) => ({ ...band })) },
    transfers: [],
  };
}
