import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * `npm run bench`: runs one benchmark, or all in turn, each in a process of its own so that none
 * warms or fills the memory of the next.
 */

const BENCHMARKS: Readonly<Record<string, string>> = {
  ingest: 'durable readings a second, publish to commit, against the bare pipe',
  'close-slot': 'seconds to close a slot of 1,000 households, and where they go',
  market: 'the engines: call auction, continuous book, sharing, network, each beside a peer',
  orders: 'milliseconds to place an order, where it trades at once and where it waits',
  ledger: 'transfers, log entries and proofs a second; posting against COPY and row by row',
};

const HELP = `npm run bench -- [${Object.keys(BENCHMARKS).join('|')}] [--json] [--help]

Measures against a peer or a limit, in the same run and on this machine; without a name, everything.
Exits 1 where a limit is missed. bench/README.md says how to read the figures.

${Object.entries(BENCHMARKS)
  .map(([name, summary]) => `  ${name.padEnd(12)}${summary}\n`)
  .join('')}
  --json      one JSON document on standard output
  --help      with a name: that benchmark's own options
`;

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name !== undefined && !name.startsWith('-')) {
    if (Object.hasOwn(BENCHMARKS, name)) return (await run(name, rest)).status;
    process.stderr.write(`There is no benchmark ${name}.\n\n${HELP}`);
    return 2;
  }
  if (args.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = args.find((argument) => argument !== '--json');
  if (unknown !== undefined) {
    process.stderr.write(`Not understood: ${unknown}\n\n${HELP}`);
    return 2;
  }
  return args.includes('--json') ? runAllAsJson() : runAll();
}

async function runAll(): Promise<number> {
  let worst = 0;
  for (const name of Object.keys(BENCHMARKS)) {
    process.stdout.write(`\n== ${name} ==\n`);
    worst = Math.max(worst, (await run(name, [])).status);
  }
  return worst;
}

async function runAllAsJson(): Promise<number> {
  const benchmarks: Record<string, unknown> = {};
  let worst = 0;
  for (const name of Object.keys(BENCHMARKS)) {
    const { status, output } = await run(name, ['--json'], 'pipe');
    benchmarks[name] = output === '' ? null : (JSON.parse(output) as unknown);
    worst = Math.max(worst, status);
  }
  process.stdout.write(`${JSON.stringify({ ok: worst === 0, benchmarks })}\n`);
  return worst;
}

/** @param output whether what it prints is shown or handed back; progress is always shown */
function run(
  name: string,
  args: readonly string[],
  output: 'inherit' | 'pipe' = 'inherit',
): Promise<{ status: number; output: string }> {
  const program = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', program, ...args], {
      stdio: ['ignore', output, 'inherit'],
    });
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ status: code ?? 1, output: Buffer.concat(chunks).toString() });
    });
  });
}

process.exitCode = await main(process.argv.slice(2));
