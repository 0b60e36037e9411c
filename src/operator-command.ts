import type { ParseArgsConfig } from 'node:util';
import type { INestApplicationContext } from '@nestjs/common';

/** What a command of `npm run operator` is. */

/** What a command answers: a document, and the same for people. */
export interface Outcome {
  document: unknown;
  text: string;
  failed?: boolean;
}

export interface Command {
  usage: string;
  summary: string;
  help?: string;
  options: NonNullable<ParseArgsConfig['options']>;
  required: readonly string[];
  /** What stands on the command line without an option. */
  positional?: boolean;
  run(app: INestApplicationContext, given: Given): Promise<Outcome>;
}

/** The command line, read: `text` of an option that is required or was checked before. */
export interface Given {
  positional: readonly string[];
  text(option: string): string;
  optional(option: string): string | undefined;
  list(option: string): string[];
  flag(option: string): boolean;
}

/** Something to correct on the command line. */
export class UsageError extends Error {}
