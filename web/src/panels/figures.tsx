/** Figures in running text and tables: money with its small change set small, marks of a source. */
import type { ReactNode } from 'react';
import type { Share } from '../day-book.js';
import { formatEnergy, moneyParts } from '../format.js';

interface MoneyProps {
  micro: number;
  currency: string;
  /** Also marks what was earned with a plus. */
  signed?: boolean;
}

/** An exact amount: two decimals at full size, the other four small. */
export function Money({ micro, currency, signed = false }: MoneyProps): ReactNode {
  const { sign, symbol, whole, cents, rest } = moneyParts(micro, currency, signed);
  return (
    <data className="money" value={micro}>
      {sign}
      {symbol}
      {whole}.{cents}
      <small>{rest}</small>
    </data>
  );
}

interface AmountProps {
  /** The microgrid's currency, or the name of an energy token. */
  asset: string;
  /** In micro-units of the currency, or in Wh. */
  amount: number;
  currency: string;
}

/** What an account or a manifest has of an asset. */
export function Amount({ asset, amount, currency }: AmountProps): ReactNode {
  if (asset === currency) return <Money micro={amount} currency={currency} />;
  return <data value={amount}>{formatEnergy(amount)}</data>;
}

/** The colour of a source as a small square beside its name. */
export function SourceMark({ kind }: { kind: Share['kind'] }): ReactNode {
  return <i className={`mark ${kind}`} aria-hidden="true" />;
}
