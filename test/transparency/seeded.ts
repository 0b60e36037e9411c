import fc from 'fast-check';

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const FACTOR = Number(process.env['FUZZ_FACTOR'] ?? 1);

/**
 * Holds a property against random inputs and prints the seed, so that a run can be had again:
 * `FUZZ_SEED=... npm test -- test/transparency`. `FUZZ_FACTOR` multiplies the number of inputs.
 */
export function seeded<T>(property: fc.IProperty<T>, runs: number): void {
  process.stderr.write(`FUZZ_SEED=${SEED}\n`);
  fc.assert(property, { seed: SEED, numRuns: runs * FACTOR });
}
