/**
 * Energy, money, prices, power and instants as people read them. Every digit comes from integer
 * arithmetic; Intl only groups thousands, finds the currency's sign and knows the time zones.
 */
import { divideHalfEven, safeInteger } from '../../src/units/integer.js';
import { parseInstant, type Instant } from '../../src/units/slot.js';

/** U+2212: as wide as a digit, so that signed columns line up. */
const MINUS = '\u2212';
/** U+202F: keeps a number and its unit on one line. */
const THIN = '\u202f';

const grouping = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** Money cut where people stop reading: `-€1,204.50` and the `3700` behind it. */
export interface MoneyParts {
  sign: '' | typeof MINUS | '+';
  symbol: string;
  whole: string;
  cents: string;
  /** The third to sixth decimal, always four digits. */
  rest: string;
}

/**
 * Micro-units taken apart without rounding.
 * @example moneyParts(-1_842_310, 'EUR') // { sign: '−', symbol: '€', whole: '1', cents: '84', rest: '2310' }
 */
export function moneyParts(micro: number, currency: string, signed = false): MoneyParts {
  const magnitude = BigInt(Math.abs(safeInteger(micro, 'amount')));
  const fraction = (magnitude % 1_000_000n).toString().padStart(6, '0');
  return {
    sign: micro < 0 ? MINUS : signed && micro > 0 ? '+' : '',
    symbol: currencySymbol(currency),
    whole: grouping.format(magnitude / 1_000_000n),
    cents: fraction.slice(0, 2),
    rest: fraction.slice(2),
  };
}

/** An exact amount in one text: at least two decimals, at most six. */
export function formatMoney(micro: number, currency: string, signed = false): string {
  const { sign, symbol, whole, cents, rest } = moneyParts(micro, currency, signed);
  return `${sign}${symbol}${whole}.${cents}${rest.replace(/0+$/, '')}`;
}

/** An exact price per kWh, e.g. `€0.1755`; the unit is said beside it. */
export function formatPrice(microPerKwh: number, currency: string): string {
  return formatMoney(microPerKwh, currency);
}

/** Wh as kWh with its three decimals, which is exact: `formatKwh(1640) === '1.640'`. */
export function formatKwh(wh: number): string {
  const magnitude = BigInt(Math.abs(safeInteger(wh, 'energyWh')));
  const fraction = (magnitude % 1000n).toString().padStart(3, '0');
  return `${wh < 0 ? MINUS : ''}${grouping.format(magnitude / 1000n)}.${fraction}`;
}

/** Wh with its unit: whole Wh below one kWh, exact kWh from there on. */
export function formatEnergy(wh: number): string {
  if (Math.abs(wh) >= 1000) return `${formatKwh(wh)}${THIN}kWh`;
  return `${wh < 0 ? MINUS : ''}${Math.abs(safeInteger(wh, 'energyWh'))}${THIN}Wh`;
}

/** Power for a glance: whole W below one kW, two decimals of kW (half to even) from there on. */
export function formatPower(watts: number): string {
  const magnitude = Math.abs(safeInteger(Math.round(watts), 'power'));
  const sign = watts < 0 && magnitude > 0 ? MINUS : '';
  if (magnitude < 1000) return `${sign}${magnitude}${THIN}W`;
  const hundredths = divideHalfEven(BigInt(magnitude), 10n);
  const fraction = (hundredths % 100n).toString().padStart(2, '0');
  return `${sign}${grouping.format(hundredths / 100n)}.${fraction}${THIN}kW`;
}

/** `part / whole` in percent with one decimal, half to even; a dash where there is no whole. */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0) return '–';
  const tenths = divideHalfEven(BigInt(part) * 1000n, BigInt(whole));
  return `${tenths / 10n}.${tenths % 10n}${THIN}%`;
}

/** The currency's own sign where there is one (`€`), else its code and a space (`CREDIT `). */
export function currencySymbol(currency: string): string {
  const known = symbols.get(currency);
  if (known !== undefined) return known;
  let symbol = `${currency}\u00a0`;
  if (/^[A-Z]{3}$/.test(currency)) {
    const parts = new Intl.NumberFormat('en', {
      style: 'currency',
      currency,
      currencyDisplay: 'narrowSymbol',
    }).formatToParts(0);
    const found = parts.find((part) => part.type === 'currency')?.value;
    if (found !== undefined && found !== currency) symbol = found;
  }
  symbols.set(currency, symbol);
  return symbol;
}
const symbols = new Map<string, string>();

/** `10:15` on the wall of the microgrid. */
export function formatTime(at: Instant | number, timeZone: string): string {
  return zoned(timeZone, 'time').format(epochMillis(at));
}

/**
 * When a slot began, as lists of the last slots say it: the time alone for one of today, with its weekday
 * for one of the days before, with its date where the weekday would be taken for a later one.
 */
export function formatSlot(
  slot: Instant,
  { now, timeZone }: { now: Instant; timeZone: string },
): string {
  const days = Math.round((dayOf(now, timeZone) - dayOf(slot, timeZone)) / DAY_MILLIS);
  if (days === 0) return formatTime(slot, timeZone);
  if (days < 0 || days > 6) return formatMoment(slot, timeZone);
  return `${zoned(timeZone, 'weekday').format(epochMillis(slot))} ${formatTime(slot, timeZone)}`;
}

/** `Mon 1 Jun` in the microgrid's time zone. */
export function formatDay(at: Instant | number, timeZone: string): string {
  return zoned(timeZone, 'day').format(epochMillis(at)).replace(',', '');
}

/** `1 Jun 2026` in the microgrid's time zone. */
export function formatDate(at: Instant | number, timeZone: string): string {
  return zoned(timeZone, 'date').format(epochMillis(at));
}

/** `1 Jun, 10:15`. */
export function formatMoment(at: Instant | number, timeZone: string): string {
  return zoned(timeZone, 'moment').format(epochMillis(at));
}

/** `1 Jun, 10:15:07`: where seconds matter. */
export function formatSecond(at: Instant | number, timeZone: string): string {
  return zoned(timeZone, 'second').format(epochMillis(at));
}

/** How long ago or for how long, in the coarsest unit that still says something: `7 min`, `2 h 05`. */
export function formatSpan(millis: number): string {
  const seconds = Math.max(0, Math.round(millis / 1000));
  if (seconds < 60) return `${seconds}${THIN}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}${THIN}min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}${THIN}h ${String(minutes % 60).padStart(2, '0')}`;
  return `${Math.floor(hours / 24)} days`;
}

/** The instant, in epoch milliseconds, at which the microgrid's day of `at` began. */
export function dayStart(at: number, timeZone: string): number {
  const midnight = localDay(at, timeZone);
  // Where clocks change, midnight lies an hour beside the offset that holds at `at`.
  const first = midnight - (localMillis(at, timeZone) - at);
  return midnight - (localMillis(first, timeZone) - first);
}

/** The microgrid's calendar month of `at`, as `2026-06`. */
export function monthOf(at: number, timeZone: string): string {
  return new Date(localMillis(at, timeZone)).toISOString().slice(0, 7);
}

/** The microgrid's calendar day of `at`, as `2026-06-01`. */
export function dateOf(at: number, timeZone: string): string {
  return new Date(localMillis(at, timeZone)).toISOString().slice(0, 10);
}

/** The calendar months from that of `first` to that of `last`, both included, at least one. */
export function monthsBetween(first: number, last: number, timeZone: string): string[] {
  const end = monthOf(last, timeZone);
  const months: string[] = [];
  for (let month = monthOf(Math.min(first, last), timeZone); month <= end; month = after(month)) {
    months.push(month);
  }
  return months;
}

/** When a month such as `2026-06` begins in the time zone, in epoch milliseconds. */
export function monthStart(month: string, timeZone: string): number {
  // 11:00 UTC lies on the same calendar day in every zone from UTC-11 to UTC+12.
  return dayStart(Date.parse(`${month}-01T11:00:00Z`), timeZone);
}

function after(month: string): string {
  const [year, number] = month.split('-').map(Number) as [number, number];
  return new Date(Date.UTC(year, number)).toISOString().slice(0, 7);
}

function localDay(at: number, timeZone: string): number {
  return Math.floor(localMillis(at, timeZone) / DAY_MILLIS) * DAY_MILLIS;
}

/** What a clock on the wall shows at `at`, read as if it were UTC. */
function localMillis(at: number, timeZone: string): number {
  const field = new Map<string, number>();
  for (const part of zoned(timeZone, 'parts').formatToParts(at)) {
    field.set(part.type, Number(part.value));
  }
  const get = (name: string): number => field.get(name) ?? 0;
  return Date.UTC(
    get('year'),
    get('month') - 1,
    get('day'),
    get('hour'),
    get('minute'),
    get('second'),
  );
}

const DAY_MILLIS = 86_400_000;

function dayOf(at: Instant, timeZone: string): number {
  return localDay(epochMillis(at), timeZone);
}

function epochMillis(at: Instant | number): number {
  return typeof at === 'number' ? at : parseInstant(at);
}

const styles = {
  time: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  weekday: { weekday: 'short' },
  day: { weekday: 'short', day: 'numeric', month: 'short' },
  date: { day: 'numeric', month: 'short', year: 'numeric' },
  moment: { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  second: {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  },
  parts: {
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    hourCycle: 'h23',
  },
} as const satisfies Record<string, Intl.DateTimeFormatOptions>;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Date formats cost about a millisecond to build, so one of each is kept per zone. */
function zoned(timeZone: string, style: keyof typeof styles): Intl.DateTimeFormat {
  const key = `${style} ${timeZone}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', { ...styles[style], timeZone });
    formats.set(key, format);
  }
  return format;
}
