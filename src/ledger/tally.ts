import { isOutOfCirculation, SYSTEM, TOKENS, type Token } from './accounts.js';
import type { TransferState } from './record.js';

/**
 * What records come to: how many there are of each kind, and what their transfers did to the supply of
 * each asset, and to what each household minted, retired and holds of a token.
 */

/** Money comes from the bank and goes back to it; tokens are issued, and leave circulation. */
export interface SupplyChange {
  minted: number;
  retired: number;
}

/** Of one household and token, in Wh; `held` is what came to its account less what left it. */
export interface Part {
  minted: number;
  retired: number;
  held: number;
}

/** Transfers of one debit, credit, asset and state, added up. */
export interface Moved {
  debit: string;
  credit: string;
  asset: string;
  amount: number;
  state?: TransferState;
}

export class Tally {
  readonly records = new Map<string, number>();
  readonly supply = new Map<string, SupplyChange>();
  readonly parts = new Map<Token, Map<string, Part>>();
  transfers = 0;

  addRecords(kind: string, count = 1): void {
    this.records.set(kind, (this.records.get(kind) ?? 0) + count);
  }

  /** @param lines how many transfers `moved` stands for */
  addTransfers(moved: Moved, lines = 1): void {
    this.transfers += lines;
    const { asset, state = 'posted' } = moved;
    if (!this.supply.has(asset)) this.supply.set(asset, { minted: 0, retired: 0 });
    // A hold moves nothing yet, and one that is let go never does.
    if (state !== 'posted' && state !== 'post') return;
    const token = TOKENS.find((one) => one === asset);
    if (token) this.addEnergy(token, moved);
    else this.addMoney(moved);
  }

  private addMoney({ debit, credit, asset, amount }: Moved): void {
    const change = this.supply.get(asset)!;
    if (debit === SYSTEM.bank) change.minted += amount;
    if (credit === SYSTEM.bank) change.retired += amount;
  }

  private addEnergy(token: Token, { debit, credit, amount }: Moved): void {
    const change = this.supply.get(token)!;
    const issued = SYSTEM.issued(token);
    const [from, to] = [this.partOf(token, debit), this.partOf(token, credit)];
    if (from) from.held -= amount;
    if (to) to.held += amount;
    if (debit === issued) {
      change.minted += amount;
      if (to) to.minted += amount;
    }
    if (credit === issued) {
      change.minted -= amount;
      if (from) from.minted -= amount;
    }
    if (isOutOfCirculation(credit)) {
      change.retired += amount;
      if (from) from.retired += amount;
    }
    if (isOutOfCirculation(debit)) {
      change.retired -= amount;
      if (to) to.retired -= amount;
    }
  }

  private partOf(token: Token, account: string): Part | null {
    const [kind, household] = account.split('/');
    if (kind !== 'household' || household === undefined) return null;
    const parts = this.parts.get(token) ?? new Map<string, Part>();
    this.parts.set(token, parts);
    const part = parts.get(household) ?? { minted: 0, retired: 0, held: 0 };
    parts.set(household, part);
    return part;
  }
}
