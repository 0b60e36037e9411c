/** The simulated clock, on which passwords may be hashed at the least cost: a hash each takes a moment. */
export const SIMULATED = { MARKET_CLOCK: 'simulated', PASSWORD_COST_LOG2: '4' };
