import { neighborhood } from './neighborhood.js';
import { Patience, reasonOf } from './patience.js';
import { ServiceWhereabouts } from './service.whereabouts.js';
import { parseSimulateOptions, SIMULATE_HELP, type SimulateOptions } from './simulate-options.js';
import { StreetRun, type StreetCounts } from './street-run.js';

/**
 * `npm run simulate`: plays the street against a running service until it is told to stop or the time
 * asked for is over. It survives restarts of the service and its own.
 */
async function simulate(options: SimulateOptions, signal: AbortSignal): Promise<Summary> {
  const startedAt = Date.now();
  const households = neighborhood(options.seed, options.households);
  const service = new ServiceWhereabouts(options);
  const tell = teller(options.quiet);
  const patience = new Patience(signal, { tell, lookAgain: () => service.look() });
  const run = new StreetRun(options, households, service, tell, patience);
  try {
    await run.prepare();
    await run.play();
  } catch (error) {
    // Being told to stop ends the run as it should.
    if (!signal.aborted) throw error;
  } finally {
    await run.close();
  }
  return { ...run.counts(), seconds: Math.round((Date.now() - startedAt) / 100) / 10 };
}

type Summary = StreetCounts & { seconds: number };

/** Says each thing on standard error, the same thing at most once in ten seconds. */
function teller(quiet: boolean): (message: string) => void {
  const lastSaid = new Map<string, number>();
  return (message) => {
    const now = Date.now();
    if (quiet || now - (lastSaid.get(message) ?? 0) < 10_000) return;
    if (lastSaid.size > 1_000) lastSaid.clear();
    lastSaid.set(message, now);
    process.stderr.write(`simulate: ${message}\n`);
  };
}

async function main(): Promise<void> {
  const parsed = parseSimulateOptions(process.argv.slice(2), process.env);
  if (parsed === 'help') {
    process.stdout.write(SIMULATE_HELP);
    return;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  // Whoever started it over a channel is gone.
  process.once('disconnect', () => stop.abort());
  const summary = await simulate(parsed, stop.signal);
  if (parsed.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stderr.write(`simulate: ${JSON.stringify(summary)}\n`);
}

try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(`simulate: ${reasonOf(error)}\n`);
  process.exit(1);
}
