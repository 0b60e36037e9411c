import {
  bad,
  good,
  isJson,
  type Checked,
  type Receipt,
  type ShownRecord,
} from '../ledger/receipt.js';
import { costMicro } from '../units/money.js';
import {
  dealsOf,
  isSettlement,
  isTrueUp,
  settlementOf,
  trueUpOf,
  whatHappened,
  type DealShown,
  type SettlementShown,
  type TrueUpShown,
} from './receipt-facts.js';

/**
 * What the figures of a receipt have to add up to: energy follows from the registers, every Wh has a
 * source and a use, the imbalance is what was metered less what was traded, and money is energy at
 * its price. Counted here from the receipt alone, without the program that settled the slot.
 */

/** A field, what it has to be, and what it is. */
type Equation = readonly [record: number, field: string, expected: number, found: number];

/** Whether the head says what the opened fields say, and whether all of it adds up. */
export function checkSums(receipt: Receipt, shown: readonly ShownRecord[]): Checked {
  const { household } = receipt;
  const [first] = shown;
  const own = ownershipMisfit(shown, household);
  if (own) return own;
  const what = whatHappened(shown, household);
  for (const name of new Set([...Object.keys(what), ...Object.keys(receipt.what)])) {
    const [expected, found] = [what[name], receipt.what[name]];
    if (expected === undefined || found === undefined || !isJson(expected, found)) {
      return bad(null, `what.${name}`, expected ?? 'nothing', found ?? 'nothing');
    }
  }
  const settles = isSettlement(first!);
  const settlement = settles ? settlementOf(first!) : null;
  if (settles && !settlement) {
    return bad(first!.sequence, 'facts', 'all facts of a settlement', 'fewer, or others');
  }
  const books = isTrueUp(first!);
  const trueUp = books ? trueUpOf(first!) : null;
  if (books && !trueUp) {
    return bad(first!.sequence, 'facts', 'all facts of a true-up', 'fewer, or others');
  }
  const deals = shown.filter(({ kind }) => kind === 'trade').map((one) => dealsOf(one, household));
  const equations = [
    ...(settlement ? ofSettlement(first!.sequence, settlement) : []),
    ...(trueUp ? ofTrueUp(first!.sequence, trueUp) : []),
    ...deals.flat().flatMap(ofDeal),
    // Trades of a corrected slot stand in a record that names other households too.
    ...(settlement && first!.kind === 'household-slot'
      ? ofTrades(first!.sequence, settlement, deals.flat())
      : []),
  ];
  for (const [record, field, expected, found] of equations) {
    if (expected !== found) return bad(record, field, expected, found);
  }
  const stray = settlement && deals.flat().find(({ slot }) => slot !== settlement.slot);
  if (stray) return bad(stray.sequence, 'facts.slot', settlement.slot, stray.slot);
  if (equations.length === 0) return good('It has no figures to add up.', null);
  const count = deals.length === 1 ? 'its trade' : `its ${deals.length} trades`;
  const trades = deals.length > 0 ? ` and ${count}` : '';
  const booked = trueUp ? 'the true-up' : 'the trade';
  const of = settlement ? `the settlement${trades}` : booked;
  return good(`The figures of ${of} add up: ${equations.length} sums.`, null);
}

/** Every record of the receipt is about its household; after the first come trades alone. */
function ownershipMisfit(shown: readonly ShownRecord[], household: string): Checked | null {
  const seen = new Set<number>();
  for (const [at, record] of shown.entries()) {
    const { sequence, kind, values } = record;
    const isOwn =
      kind === 'trade'
        ? dealsOf(record, household).length > 0
        : !values.has('facts.household') || values.get('facts.household') === household;
    if (!isOwn) return bad(sequence, 'household', household, 'another household');
    if (at > 0 && kind !== 'trade') return bad(sequence, 'kind', 'trade', kind);
    if (seen.has(sequence)) return bad(sequence, 'record', 'each record once', 'twice');
    seen.add(sequence);
  }
  return null;
}

function ofSettlement(record: number, shown: SettlementShown): Equation[] {
  const { energy: e, settlement: s, tariff } = shown;
  const of = (role: string, register: string) =>
    shown.registers
      .filter((one) => one.role === role && one.register === register)
      .reduce(
        (sum, { startWh, endWh }) =>
          startWh === null || endWh === null ? sum : sum + endWh - startWh,
        0,
      );
  const hasGeneration = shown.registers.some(({ role }) => role === 'generation');
  const inferredWh = e.exportWh - e.dischargedWh + Math.max(e.chargedWh - e.importWh, 0);
  const balanceWh = e.importWh + e.generatedWh + e.dischargedWh - e.exportWh - e.chargedWh;
  const netExportWh = e.exportWh - e.importWh;
  const equations: [string, number, number][] = [
    ['energy.importWh', of('grid', 'import'), e.importWh],
    ['energy.exportWh', of('grid', 'export'), e.exportWh],
    ['energy.chargedWh', of('storage', 'import'), e.chargedWh],
    ['energy.dischargedWh', of('storage', 'export'), e.dischargedWh],
    [
      'energy.generatedWh',
      hasGeneration ? of('generation', 'export') : Math.max(inferredWh, 0),
      e.generatedWh,
    ],
    ['energy.consumptionWh', Math.max(balanceWh, 0), e.consumptionWh],
    ['energy.unexplainedWh', Math.max(-balanceWh, 0), e.unexplainedWh],
    ['settlement.producedWh', e.generatedWh + e.dischargedWh, s.producedWh],
    ['settlement.consumedWh', e.consumptionWh, s.consumedWh],
    ['settlement.usedWh', e.consumptionWh + e.chargedWh, s.usedWh],
    ['settlement.toGridWh', s.producedWh - s.selfWh - s.toNeighborsWh, s.toGridWh],
    [
      'settlement.fromGridWh',
      s.usedWh - s.selfWh - s.fromNeighborsWh - s.unexplainedUseWh,
      s.fromGridWh,
    ],
    ['settlement.imbalanceWh', netExportWh - (s.soldWh - s.boughtWh), s.imbalanceWh],
    ['settlement.utilityMicro', withUtility(s.imbalanceWh, tariff), s.utilityMicro],
    ['settlement.tariffMicro', withUtility(netExportWh, tariff), s.tariffMicro],
    ['settlement.netMicro', s.neighborMicro + s.utilityMicro, s.netMicro],
  ];
  return equations.map(([field, expected, found]) => [record, `facts.${field}`, expected, found]);
}

/** What registers show beyond what was settled and booked is what the utility is paid for. */
function ofTrueUp(record: number, { registers, energy, tariff, money }: TrueUpShown): Equation[] {
  const of = (role: string, register: string) =>
    sum(
      registers
        .filter((one) => one.role === role && one.register === register)
        .map(({ energyWh }) => energyWh),
    );
  const costOf = (energyWh: number, priceMicroPerKwh: number) =>
    energyWh >= 0
      ? costMicro(energyWh, priceMicroPerKwh)
      : 0 - costMicro(-energyWh, priceMicroPerKwh);
  const { importWh, exportWh } = energy;
  const supplied =
    energy.generatedWh + energy.dischargedWh + energy.unexplainedWh + energy.importWh;
  const equations: [string, number, number][] = [
    ...registers.map((one): [string, number, number] => [
      `registers of ${one.meter} ${one.register}`,
      one.nowWh - one.settledWh - one.bookedWh,
      one.energyWh,
    ]),
    ['energy.importWh', of('grid', 'import'), importWh],
    ['energy.exportWh', of('grid', 'export'), exportWh],
    ['energy.chargedWh', of('storage', 'import'), energy.chargedWh],
    ['energy.dischargedWh', of('storage', 'export'), energy.dischargedWh],
    ['energy.consumptionWh', supplied - exportWh - energy.chargedWh, energy.consumptionWh],
    ['money.importMicro', costOf(importWh, tariff.retailMicroPerKwh), money.importMicro],
    ['money.exportMicro', costOf(exportWh, tariff.feedInMicroPerKwh), money.exportMicro],
    ['money.netMicro', money.exportMicro - money.importMicro, money.netMicro],
  ];
  return equations.map(([field, expected, found]) => [record, `facts.${field}`, expected, found]);
}

function ofDeal(deal: DealShown): Equation[] {
  const money = deal.side === 'bought' ? 'facts.costMicro' : 'facts.proceedsMicro';
  const claimedWh = sum(deal.claimed.map(({ energyWh }) => energyWh));
  return [
    [deal.sequence, money, costMicro(deal.settledWh, deal.priceMicroPerKwh), deal.micro],
    [deal.sequence, 'facts.claimedWh', claimedWh, deal.claimedWh],
    ...(deal.firm
      ? []
      : [[deal.sequence, 'facts.settledWh', deal.claimedWh, deal.settledWh] as const]),
  ];
}

/** The trades are all there are: together they are what the settlement says was traded. */
function ofTrades(record: number, { settlement }: SettlementShown, deals: readonly DealShown[]) {
  const of = (side: DealShown['side'], figure: 'settledWh' | 'claimedWh' | 'micro') =>
    sum(deals.filter((deal) => deal.side === side).map((deal) => deal[figure]));
  const equations: [keyof SettlementShown['settlement'], number][] = [
    ['boughtWh', of('bought', 'settledWh')],
    ['soldWh', of('sold', 'settledWh')],
    ['fromNeighborsWh', of('bought', 'claimedWh')],
    ['toNeighborsWh', of('sold', 'claimedWh')],
    ['neighborMicro', of('sold', 'micro') - of('bought', 'micro')],
  ];
  return equations.map(([field, expected]): Equation => [
    record,
    `facts.settlement.${field}`,
    expected,
    Number(settlement[field]),
  ]);
}

/** What the utility pays for a surplus at the feed-in tariff, or takes for a lack at the retail one. */
function withUtility(surplusWh: number, tariff: SettlementShown['tariff']): number {
  return surplusWh >= 0
    ? costMicro(surplusWh, tariff.feedInMicroPerKwh)
    : 0 - costMicro(-surplusWh, tariff.retailMicroPerKwh);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
