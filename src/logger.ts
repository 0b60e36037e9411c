import type { LoggerService } from '@nestjs/common';
import { destination, pino, type Level, type Logger } from 'pino';

/** Nest's messages as JSON lines on standard error, through pino; standard output stays free. */
export class ServiceLogger implements LoggerService {
  private readonly pino: Logger;

  constructor(level: string) {
    this.pino = pino({ level, base: null }, destination(2));
  }

  log(message: unknown, ...context: unknown[]): void {
    this.write('info', message, context);
  }

  error(message: unknown, ...context: unknown[]): void {
    this.write('error', message, context);
  }

  warn(message: unknown, ...context: unknown[]): void {
    this.write('warn', message, context);
  }

  debug(message: unknown, ...context: unknown[]): void {
    this.write('debug', message, context);
  }

  verbose(message: unknown, ...context: unknown[]): void {
    this.write('trace', message, context);
  }

  fatal(message: unknown, ...context: unknown[]): void {
    this.write('fatal', message, context);
  }

  /** Nest passes the stack, if any, and the name of the place last. */
  private write(level: Level, message: unknown, context: readonly unknown[]): void {
    const names = context.filter((one) => typeof one === 'string');
    const room = names.at(-1);
    const stack = names.length > 1 ? names[0] : undefined;
    if (message instanceof Error) this.pino[level]({ room, err: message }, message.message);
    else this.pino[level]({ room, ...(stack ? { stack } : {}) }, String(message));
  }
}
