/**
 * The chart of accounts. An account id names its owner and purpose, and holds one asset: a token
 * (`PRODUCTION`, `CONSUMPTION`, `STORAGE`, in Wh) or money (a currency code, in micro-units).
 */

export const TOKENS = ['PRODUCTION', 'CONSUMPTION', 'STORAGE'] as const;
export type Token = (typeof TOKENS)[number];

/** Money for trades with neighbors and for holds; limited by what was paid in and the credit limit. */
export const walletOf = (household: string): string => `household/${household}/wallet`;
/** What the utility supplies and takes; invoiced, never limited. */
export const billOf = (household: string): string => `household/${household}/bill`;
export const productionOf = (household: string): string => `household/${household}/production`;
export const consumptionOf = (household: string): string => `household/${household}/consumption`;
export const storageOf = (household: string): string => `household/${household}/storage`;
/** What a regulator has put into a reward program. */
export const programOf = (program: string): string => `program/${program}/fund`;

/** Accounts of the microgrid itself; the counterparts that make every asset sum to zero. */
export const SYSTEM = {
  utility: 'system/utility',
  gridFees: 'system/grid-fees',
  congestionRent: 'system/congestion-rent',
  /** Between a buyer's hold and the seller's wallet; empty once every slot is settled. */
  market: 'system/market',
  /** Money that comes from and goes to outside. */
  bank: 'system/bank',
  issued: (token: Token): string => `system/${token.toLowerCase()}-issued`,
  retired: (token: Token): string => `system/${token.toLowerCase()}-retired`,
  loss: (token: Token): string => `system/${token.toLowerCase()}-loss`,
  grid: (token: Token): string => `system/${token.toLowerCase()}-grid`,
} as const;

/** Accounts whose posted balance, credits − debits, is what has left circulation. */
export function isOutOfCirculation(account: string): boolean {
  return /^system\/[a-z]+-(retired|loss|grid)$/.test(account);
}

/** The households whose accounts these are, sorted; the microgrid and programs are none. */
export function householdsOf(...accounts: string[]): string[] {
  const owners = accounts.flatMap((account) => {
    const [kind, owner] = account.split('/');
    return kind === 'household' ? [owner!] : [];
  });
  return [...new Set(owners)].sort();
}

/**
 * The opening terms of an account. A `limited` one may owe at most `creditLimit`: what its debits,
 * pending ones included, exceed its posted credits by. One with a `debitLimit` may hold at most that:
 * what its credits, pending ones included, exceed its posted debits by.
 */
export type AccountTerms = {
  account: string;
  limited: boolean;
  creditLimit: number;
  debitLimit?: number;
};

/** Cumulative sides of an account; all non-negative. */
export interface Balance {
  debitsPending: number;
  creditsPending: number;
  debitsPosted: number;
  creditsPosted: number;
  limited: boolean;
  creditLimit: number;
  /** Null: it may hold any amount. */
  debitLimit: number | null;
}

/** Credits minus debits, posted only. */
export function postedBalance(balance: Balance): number {
  return balance.creditsPosted - balance.debitsPosted;
}

/** What can still be spent: posted balance and credit limit, less what holds have taken. */
export function availableBalance(balance: Balance): number {
  return balance.creditsPosted + balance.creditLimit - balance.debitsPosted - balance.debitsPending;
}
