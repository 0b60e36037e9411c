import { Desk, merged, parsePayload, session } from './desk.js';
import { readTelegram } from './p1-telegram.js';
import { nothing, refused, Refusal } from './session.js';
import type { Profile, ProfileContext, ProfileMessage, ProfileOutput } from './session.js';
import { memberAt } from './value.js';

/**
 * P1 telegrams as they come from the port: whole ones, as `dsmr/raw` has them, or line by line, as a
 * Tasmota serial bridge sends them (`{"SerialReceived":"1-0:1.8.1(005779.835*kWh)\r"}`).
 */
export const p1: Profile = {
  name: 'p1',
  filters: (topic) => [topic, `${topic}/raw`, `${topic}/RESULT`],
  open(context) {
    const telegrams = new Telegrams(context);
    return session((message) => {
      if (message.payload.length === 0) {
        return refused('device_gone', 'an empty payload: the device is gone');
      }
      return telegrams.take(textOf(message.payload), message);
    });
  },
};

/** The text of a line in a serial bridge's message; undefined when it is none. */
export function serialLine(json: unknown): string | undefined {
  const line = memberAt(json, ['SerialReceived']) ?? memberAt(json, ['SSerialReceived']);
  return typeof line === 'string' ? line : undefined;
}

/** Puts telegrams together from whatever pieces of text come, in order. */
export class Telegrams {
  private readonly desk: Desk;
  /** Lines from the header on; null before the first header. */
  private lines: string[] | null = null;
  private bytes = 0;
  /** Whether any piece of it was only replayed. */
  private isRetained = false;
  private saidStray = false;

  constructor(private readonly context: ProfileContext) {
    this.desk = new Desk(context);
  }

  take(text: string, message: ProfileMessage): ProfileOutput {
    const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
    // What follows the last line end is no line.
    if (lines.length > 1 && lines.at(-1) === '') lines.pop();
    return merged(lines.map((line) => this.line(line, message)));
  }

  private line(line: string, message: ProfileMessage): ProfileOutput {
    if (line.startsWith('/')) {
      const wasOpen = this.lines !== null;
      this.lines = [line];
      this.bytes = line.length;
      this.isRetained = message.retained;
      return wasOpen ? refused('incomplete', 'a telegram without its end') : nothing();
    }
    if (this.lines === null) return this.stray(line);
    this.isRetained ||= message.retained;
    const end = /^!([0-9A-Fa-f]{0,4})\s*$/.exec(line);
    if (!end) {
      this.lines.push(line);
      this.bytes += line.length + 2;
      if (this.lines.length <= MOST_LINES && this.bytes <= MOST_BYTES) return nothing();
      this.lines = null;
      return refused('too_large', `a telegram of more than ${MOST_LINES} lines`);
    }
    const { lines } = this;
    this.lines = null;
    this.saidStray = false;
    try {
      const { found, at } = readTelegram(lines, end[1]!, {
        timeZone: this.desk.timeZone,
        needsCrc: this.context.mapping.crc !== 'absent',
      });
      return this.desk.readings(found, at, { ...message, retained: this.isRetained });
    } catch (error) {
      if (error instanceof Refusal) return refused(error.reason, error.message);
      throw error;
    }
  }

  /** After a start in the middle of a telegram its rest is said once, not line by line. */
  private stray(line: string): ProfileOutput {
    if (this.saidStray || line === '') return nothing();
    this.saidStray = true;
    return refused('incomplete', 'a line of a telegram whose head is not known');
  }
}

/** Telegrams are ASCII; their check value is over bytes. */
function textOf(payload: Buffer): string {
  if (payload[0] !== 0x7b) return payload.toString('latin1');
  const line = serialLine(parsePayload(payload));
  if (line === undefined) throw new Refusal('not_understood', 'JSON without SerialReceived');
  return `${line.replace(/[\r\n]+$/, '')}\n`;
}

const MOST_LINES = 300;
const MOST_BYTES = 16_384;
