import type { RecordBody } from '../ledger/record.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { HouseholdFacts } from '../settlement/slot-facts.js';
import type { TrueUpFacts } from '../settlement/true-up.js';
import { TABLES_BY_SEQUENCE } from './tables.js';
import type { Row } from './finding.js';

/** The rows that a record leaves in tables keyed by its sequence, column by column. */
export type RowsByTable = Record<keyof typeof TABLES_BY_SEQUENCE, Row[]>;

export function rowsByTable(): RowsByTable {
  return {
    transfer: [],
    recordHousehold: [],
    measurement: [],
    settlement: [],
    trueUp: [],
    trade: [],
    tradeSettlement: [],
  };
}

/** Adds what this record left. @param metered whether trades are made at close rather than at a gate */
export function addRows(rows: RowsByTable, body: RecordBody, metered: boolean): void {
  const { sequence, facts } = body;
  addRemnant(rows, body, false);
  if (body.kind === 'household-slot' || (body.kind === 'correction' && 'household' in facts)) {
    rows.measurement.push(measurementRow(facts as HouseholdFacts, sequence));
    rows.settlement.push(settlementRow(facts as HouseholdFacts, sequence));
  }
  if (body.kind === 'true-up') rows.trueUp.push(trueUpRow(facts as TrueUpFacts, sequence));
  const trades = tradesIn(body);
  const isAhead = body.kind === 'gate' || body.kind === 'order';
  for (const trade of trades) {
    if (isAhead || metered) rows.trade.push(tradeRow(trade, sequence));
    if (!isAhead) rows.tradeSettlement.push(tradeSettlementRow(trade, sequence));
  }
}

/** Of a record that was erased these stay alone. */
export function addRemnant(rows: RowsByTable, body: RecordBody, isErased: boolean): void {
  const { sequence } = body;
  body.transfers.forEach((transfer, line) => {
    rows.transfer.push({
      transfer_id: transfer.id,
      sequence,
      line,
      debit_account: transfer.debit,
      credit_account: transfer.credit,
      asset: transfer.asset,
      amount: transfer.amount,
      code: transfer.code,
      state: transfer.state,
      pending_id: transfer.pending ?? null,
    });
  });
  for (const household of body.households) {
    // Which number an erased record had follows from no other.
    const number = isErased ? undefined : (body.numbers?.[household] ?? null);
    rows.recordHousehold.push({ household_id: household, sequence, number });
  }
}

/** The trades a record tells of, each with the slot and the revision it belongs to. */
function tradesIn({ kind, facts }: RecordBody): JsonObject[] {
  if (kind === 'trade') return [{ revision: 0, ...facts }];
  if (kind !== 'gate' && kind !== 'order' && kind !== 'correction') return [];
  const { slot, revision, trades } = facts;
  if (!Array.isArray(trades)) return [];
  return (trades as JsonObject[]).map((trade) => ({
    ...trade,
    slot: slot!,
    revision: revision ?? 0,
  }));
}

function measurementRow(facts: HouseholdFacts, sequence: number): Row {
  const { energy } = facts;
  return {
    slot_start: facts.slot,
    household_id: facts.household,
    revision: facts.revision ?? 0,
    sequence,
    import_wh: energy.importWh,
    export_wh: energy.exportWh,
    generated_wh: energy.generatedWh,
    charged_wh: energy.chargedWh,
    discharged_wh: energy.dischargedWh,
    consumption_wh: energy.consumptionWh,
    unexplained_wh: energy.unexplainedWh,
    quality: energy.quality,
  };
}

function settlementRow(facts: HouseholdFacts, sequence: number): Row {
  const { settlement } = facts;
  return {
    slot_start: settlement.slot,
    household_id: settlement.household,
    revision: facts.revision ?? 0,
    sequence,
    produced_wh: settlement.producedWh,
    consumed_wh: settlement.consumedWh,
    used_wh: settlement.usedWh,
    self_wh: settlement.selfWh,
    clean_self_wh: settlement.cleanSelfWh,
    from_neighbors_wh: settlement.fromNeighborsWh,
    clean_from_neighbors_wh: settlement.cleanFromNeighborsWh,
    to_neighbors_wh: settlement.toNeighborsWh,
    from_grid_wh: settlement.fromGridWh,
    to_grid_wh: settlement.toGridWh,
    unexplained_use_wh: settlement.unexplainedUseWh,
    sold_wh: settlement.soldWh,
    bought_wh: settlement.boughtWh,
    imbalance_wh: settlement.imbalanceWh,
    neighbor_micro: settlement.neighborMicro,
    fee_micro: settlement.feeMicro,
    utility_micro: settlement.utilityMicro,
    net_micro: settlement.netMicro,
    tariff_micro: settlement.tariffMicro,
    quality: settlement.quality,
  };
}

function trueUpRow({ energy, money, tariff, ...facts }: TrueUpFacts, sequence: number): Row {
  return {
    sequence,
    household_id: facts.household,
    border_at: facts.border,
    revision: facts.revision,
    booked_at: facts.currentSlot,
    import_wh: energy.importWh,
    export_wh: energy.exportWh,
    generated_wh: energy.generatedWh,
    charged_wh: energy.chargedWh,
    discharged_wh: energy.dischargedWh,
    consumption_wh: energy.consumptionWh,
    unexplained_wh: energy.unexplainedWh,
    retail_micro_per_kwh: tariff.retailMicroPerKwh,
    feed_in_micro_per_kwh: tariff.feedInMicroPerKwh,
    import_micro: money.importMicro,
    export_micro: money.exportMicro,
    net_micro: money.netMicro,
  };
}

function tradeRow(trade: JsonObject, sequence: number): Row {
  return {
    slot_start: trade['slot'],
    number: trade['number'],
    revision: trade['revision'],
    trade_id: trade['trade'],
    buyer_id: trade['buyer'],
    seller_id: trade['seller'],
    bid_id: trade['bid'],
    ask_id: trade['ask'],
    energy_wh: trade['energyWh'],
    buyer_price_micro_per_kwh: trade['buyerPriceMicroPerKwh'],
    seller_price_micro_per_kwh: trade['sellerPriceMicroPerKwh'],
    congestion_micro_per_kwh: trade['congestionMicroPerKwh'] ?? 0,
    firm: trade['firm'],
    hold_id: trade['hold'],
    sequence,
  };
}

function tradeSettlementRow(trade: JsonObject, sequence: number): Row {
  return {
    slot_start: trade['slot'],
    number: trade['number'],
    revision: trade['revision'],
    sequence,
    buyer_id: trade['buyer'],
    seller_id: trade['seller'],
    settled_wh: trade['settledWh'],
    claimed_wh: trade['claimedWh'],
    cost_micro: trade['costMicro'],
    proceeds_micro: trade['proceedsMicro'],
    firm: trade['firm'],
  };
}
