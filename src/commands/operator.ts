import { parseArgs } from 'node:util';
import { Module } from '@nestjs/common';
import type { DynamicModule, INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { loadSettings, SettingsModule } from '../config.js';
import type { Settings } from '../config.js';
import { DatabaseModule } from '../database/database.module.js';
import { LedgerModule } from '../ledger/ledger.module.js';
import { MeteringModule } from '../metering/metering.module.js';
import { UsageError, type Command, type Given } from '../operator-command.js';
import { OPERATOR_COMMANDS } from '../operator-commands.js';
import { PartiesModule } from '../parties/parties.module.js';
import { Problem } from '../units/problem.js';

/**
 * `npm run operator`: what an operator does at the machine itself, on the same database as the
 * service, which may be running. Every command prints for people, or with `--json` one document.
 */

@Module({})
class OperatorModule {
  static of(settings: Settings): DynamicModule {
    const rooms = [DatabaseModule, PartiesModule, LedgerModule, MeteringModule];
    return { module: OperatorModule, imports: [SettingsModule.of(settings), ...rooms] };
  }
}

/** @returns the exit status: 0 done, 1 refused or failed, 2 wrong command line */
async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const json = args.includes('--json');
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(overview());
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(OPERATOR_COMMANDS, name) ? OPERATOR_COMMANDS[name] : undefined;
  if (!command) return fail(json, 2, 'usage', `There is no command ${name}. See --help.`);
  if (rest.includes('--help')) {
    process.stdout.write(helpOf(name, command));
    return 0;
  }
  let app: INestApplicationContext | undefined;
  try {
    const given = read(command, rest);
    app = await NestFactory.createApplicationContext(OperatorModule.of(loadSettings(process.env)), {
      logger: false,
      abortOnError: false,
    });
    const outcome = await command.run(app, given);
    if (json) process.stdout.write(`${JSON.stringify(outcome.document)}\n`);
    else (outcome.failed ? process.stderr : process.stdout).write(`${outcome.text}\n`);
    return outcome.failed ? 1 : 0;
  } catch (error) {
    if (error instanceof UsageError) {
      return fail(json, 2, 'usage', `${error.message} See npm run operator -- ${name} --help.`);
    }
    const code = error instanceof Problem ? error.code : 'failed';
    return fail(json, 1, code, error instanceof Error ? error.message : String(error));
  } finally {
    await app?.close();
  }
}

function fail(json: boolean, status: number, code: string, detail: string): number {
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, detail } })}\n`);
  process.stderr.write(`operator: ${detail}\n`);
  return status;
}

function overview(): string {
  const lines = Object.entries(OPERATOR_COMMANDS).map(
    ([name, one]) => `  ${name.padEnd(18)}${one.summary}`,
  );
  return `What an operator does at the machine, on the database of the service.

npm run operator -- COMMAND [options] [--json]

${lines.join('\n')}

npm run operator -- COMMAND --help says more. The database is that of DATABASE_URL, or the embedded
one in DATA_DIR, also while the service runs.
`;
}

function helpOf(name: string, command: Command): string {
  const more = command.help === undefined ? '' : `\n${command.help}\n`;
  return `npm run operator -- ${name} ${command.usage} [--json]\n\n${command.summary}\n${more}`;
}

function read(command: Command, args: readonly string[]): Given & { json: boolean } {
  const options = { ...command.options, json: { type: 'boolean' as const } };
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: command.positional === true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const values = parsed.values as Record<string, string | boolean | string[] | undefined>;
  const missing = command.required.filter((option) => !values[option]);
  if (missing.length > 0) {
    throw new UsageError(`Missing: ${missing.map((option) => `--${option}`).join(', ')}.`);
  }
  return {
    positional: parsed.positionals,
    text: (option) => String(values[option]),
    optional: (option) => (typeof values[option] === 'string' ? values[option] : undefined),
    list: (option) => (Array.isArray(values[option]) ? values[option] : []),
    flag: (option) => values[option] === true,
    json: values['json'] === true,
  };
}

// A context that could not be made leaves its connections open: nobody else would end the process.
process.exit(await main(process.argv.slice(2)));
