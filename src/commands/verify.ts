import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { loadSettings, SettingsModule } from '../config.js';
import { DatabaseModule } from '../database/database.module.js';
import { LogService } from '../ledger/log.service.js';
import type { MicrogridReport } from '../verify/verify.service.js';
import { VerifyService } from '../verify/verify.service.js';

const HELP = `npm run verify -- [--microgrid ID] [--json]

Recomputes every balance, every energy equation, every hash and every signature from the journal and
the readings it names, and compares all tables with the result. Exits 1 and names the first row that
does not fit. Settings as for the service (DATABASE_URL, DATA_DIR); docs/verify.md lists what is
covered.

  --microgrid ID  only this microgrid
  --json          one JSON document on standard output
`;

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`verify: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      microgrid: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const settings = loadSettings(process.env);
  class VerifyModule {}
  Module({
    imports: [SettingsModule.of(settings), DatabaseModule],
    providers: [LogService, VerifyService],
  })(VerifyModule);
  const app = await NestFactory.createApplicationContext(VerifyModule, {
    logger: ['error', 'fatal'],
    abortOnError: false,
  });
  try {
    const service = app.get(VerifyService);
    const known = await service.microgrids();
    if (values.microgrid !== undefined && !known.includes(values.microgrid)) {
      throw new Error(`there is no microgrid ${values.microgrid}; there are: ${known.join(', ')}`);
    }
    const microgrids = values.microgrid === undefined ? known : [values.microgrid];
    const started = Date.now();
    const reports: MicrogridReport[] = [];
    for (const microgrid of microgrids) reports.push(await service.verify(microgrid));
    const ok = reports.every(({ findings }) => findings.length === 0);
    const seconds = (Date.now() - started) / 1000;
    if (values.json)
      process.stdout.write(`${JSON.stringify({ ok, seconds, microgrids: reports })}\n`);
    else for (const report of reports) process.stdout.write(readable(report));
    return ok ? 0 : 1;
  } finally {
    await app.close();
  }
}

function readable(report: MicrogridReport): string {
  const { microgrid, records, slots, readings, checkpoints, findings } = report;
  const counted = `${records} records, ${slots} slots, ${readings} readings, ${checkpoints} checkpoints`;
  if (findings.length === 0) return `${microgrid}: everything fits (${counted})\n`;
  const lines = findings.map(
    ({ table, row, field, expected, found }) =>
      `  ${table} [${row}] ${field}: expected ${expected}, found ${found}\n`,
  );
  return `${microgrid}: ${findings.length} do not fit, first of ${counted}\n${lines.join('')}`;
}
