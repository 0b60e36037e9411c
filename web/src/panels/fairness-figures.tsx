/** A slot's price in the interval where it is competitive, and its gain of what was possible, drawn. */
import type { ReactNode } from 'react';
import type { MarketFairness, Microgrid, SlotFairness } from '../answers.js';
import { formatKwh, formatMoney, formatPrice } from '../format.js';

/** The tariffs as ends, the competitive interval between them, and the price in it. */
export function PriceRuler({
  slot,
  microgrid,
}: {
  slot: MarketFairness;
  microgrid: Microgrid;
}): ReactNode {
  const { currency } = slot;
  const { feedInMicroPerKwh, retailMicroPerKwh } = microgrid.tariff;
  const { priceMicroPerKwh: price, priceIntervalMicroPerKwh: interval } = slot;
  const known = [price, ...(interval ?? [])].filter((at) => at !== null);
  const low = Math.min(feedInMicroPerKwh, ...known);
  const high = Math.max(retailMicroPerKwh, ...known, low + 1);
  const x = (at: number): number => ((at - low) / (high - low)) * 100;
  return (
    <div className="ruler" data-testid="fairness-ruler">
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect className="ruler-ground" y="3" width="100" height="2" />
        {interval && (
          <rect
            className="ruler-interval"
            x={x(interval[0])}
            y="2"
            width={Math.max(x(interval[1]) - x(interval[0]), 0.5)}
            height="4"
          />
        )}
        {price !== null && (
          <rect className="ruler-price" x={Math.min(x(price), 99.4)} width="0.6" height="8" />
        )}
      </svg>
      <p>
        <span>Feed-in {formatPrice(feedInMicroPerKwh, currency)}</span>
        <span>{price === null ? priceText(slot) : `Price ${priceText(slot)}`}</span>
        <span>Retail {formatPrice(retailMicroPerKwh, currency)}</span>
      </p>
    </div>
  );
}

export function ShareBar({ slot }: { slot: MarketFairness }): ReactNode {
  const { currency, shareThousandths: share } = slot;
  return (
    <div className="share" data-testid="fairness-share">
      <div className="part">
        <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
          <rect className="part-ground" width="100" height="6" />
          <rect className="neighbor" width={Math.min((share ?? 0) / 10, 100)} height="6" />
        </svg>
        <b>{shareText(share)}</b>
      </div>
      <p className="soft">
        {share === null
          ? 'Within everybody’s limits there was nothing to gain by trading.'
          : `Neighbors gained ${formatMoney(slot.welfareMicro, currency)} at their limits, of ${formatMoney(slot.possibleWelfareMicro, currency)} possible, with ${formatKwh(slot.tradedWh)} kWh of ${formatKwh(slot.possibleWh)} kWh.`}
      </p>
    </div>
  );
}

/** The one price of a slot, or why there is none: a regulator is not told what was traded. */
export function priceText(slot: SlotFairness & Partial<MarketFairness>): string {
  const { priceMicroPerKwh, shareThousandths, tradedWh, currency } = slot;
  if (priceMicroPerKwh !== null) return formatPrice(priceMicroPerKwh, currency);
  return tradedWh === 0 || shareThousandths === null ? 'no trade' : 'no single price';
}

/** `100 %`, or a dash where nothing was possible. */
export function shareText(thousandths: number | null): string {
  if (thousandths === null) return '–';
  const rest = thousandths % 10;
  return `${Math.floor(thousandths / 10)}${rest === 0 ? '' : `.${rest}`}\u202f%`;
}
