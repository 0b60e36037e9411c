import { SingleBar } from 'cli-progress';
import { formatMicro } from '../src/units/money.js';
import type { ReplaySummary } from './replay-run.js';

/** What a replay shows: its progress on a terminal, and its result for people. */
export function readable(result: ReplayResult): string {
  const { energy, money, market, ledger } = result;
  const kWh = (wh: number) =>
    `${(wh / 1000).toLocaleString('en', { minimumFractionDigits: 3 })} kWh`;
  const amount = (micro: number) => `${formatMicro(micro)} ${money.currency}`;
  const derived = result.source.derived
    ? ` (derived from ${result.source.stepMinutes}-minute values)`
    : '';
  return [
    `${result.households} households, ${result.slots} slots of ${result.source.slotMinutes} min${derived}, ${result.readings} readings, ${result.seconds} s`,
    `produced       ${kWh(energy.productionMintedWh)}`,
    `consumed       ${kWh(energy.consumptionMintedWh)}`,
    `  own use      ${kWh(energy.selfClaimedWh)}`,
    `  neighbors    ${kWh(energy.neighborClaimedWh)} of ${kWh(energy.matchableWh)} matchable`,
    `  to grid      ${kWh(energy.toGridWh)}`,
    `  from grid    ${kWh(energy.fromGridWh)}`,
    `  unexplained  ${kWh(energy.unexplainedWh)}`,
    `${market.trades} trades of ${kWh(market.tradedWh)} in ${market.orders} orders`,
    `cost ${amount(money.householdsCostMicro)}, at the tariff ${amount(money.tariffCostMicro)}, saved ${amount(money.savedMicro)}`,
    ...homesWorseOff(result),
    `${ledger.records} records, ${ledger.transfers} transfers, journal ${ledger.journalSha256}`,
    `verify: ${result.verify.ok ? 'ok' : 'FAILED'}`,
    ...(result.dataDir === undefined ? [] : [`kept in ${result.dataDir}`]),
  ].join('\n');
}

function homesWorseOff({ homes }: ReplayResult): string[] {
  const worse = homes.filter(({ costMicro, tariffCostMicro }) => costMicro > tariffCostMicro);
  const names = worse.map(({ household }) => household).join(', ');
  return worse.length === 0 ? [] : [`paid more than by the tariff: ${names}`];
}

export interface ReplayResult extends ReplaySummary {
  households: number;
  slots: number;
  readings: number;
  energy: ReplaySummary['energy'] & { matchableWh: number };
  verify: { ok: boolean };
  seconds: number;
  source: { stepMinutes: number; slotMinutes: number; derived: boolean };
  dataDir?: string;
}

interface Progress {
  update(done: number, total: number): void;
  stop(): void;
}

/** On standard error where that is a terminal; elsewhere silent. */
export function progressBar(): Progress {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: 'replay {bar} {percentage}% | {value}/{total} steps | {eta_formatted} left',
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
  });
  let started = false;
  return {
    update: (done, total) => {
      if (!started) bar.start(total, done);
      started = true;
      bar.update(done);
    },
    stop: () => {
      if (started) bar.stop();
    },
  };
}
