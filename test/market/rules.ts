import type { ClearingRules } from '../../src/market/clearing.js';

/** A street's rules unless it chose others. */
export function rules(chosen: Partial<ClearingRules> = {}): ClearingRules {
  return {
    pricing: 'clearing',
    kThousandths: 500,
    rationing: 'pro-rata',
    network: null,
    slotMinutes: 15,
    ...chosen,
  };
}
