import type { MeterRole } from '../parties/microgrid.js';
import { formatRegisterWh } from '../units/energy.js';
import { formatInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { ProfileMessage, ProfileOutput, ProfileReading } from './profiles/profile.js';
import { registersFor } from './reading.js';
import type { Register, Rejection } from './reading.js';

/**
 * What is heard of one meter and what is wrong with it, in words for whoever installs it. Messages go
 * in as they come; the report may be asked for at any time. Its memory does not grow with them.
 */

/** What can be wrong, the most telling first. */
export type MeterProblemCode =
  | 'silence'
  | 'only_retained'
  | 'not_understood'
  | 'refused'
  | 'power_only'
  | 'wrong_register'
  | 'wrong_unit'
  | 'falling_register'
  | 'clock_drift';

export interface MeterProblem {
  code: MeterProblemCode;
  /** What is wrong and what to do about it. */
  advice: string;
}

/** A register's last value. */
export interface HeardRegister {
  register: Register;
  readAt: Instant;
  valueWh: string;
  note?: string;
}

export interface MeterReport {
  messages: number;
  retained: number;
  registers: HeardRegister[];
  /** The last power, for display. */
  powerW: number | null;
  /** How far the device's clock is behind ours, the median; null where payloads tell no time. */
  clockBehindSeconds: number | null;
  /** How many messages were refused, by reason. */
  rejections: { reason: Rejection['reason']; detail: string; count: number }[];
  problems: MeterProblem[];
}

/** How long was listened, where, and to what kind of meter. */
export interface Listened {
  topic: string;
  profile: string;
  seconds: number;
  role?: MeterRole | undefined;
}

interface Seen {
  microWh: bigint;
  atMillis: number;
}

/** What one register did while it was heard. */
interface Course {
  first: Seen;
  last: Seen;
  latest: ProfileReading;
  fell: { from: bigint; to: bigint } | null;
}

export class MeterTest {
  private messages = 0;
  private retained = 0;
  private readonly courses = new Map<Register, Course>();
  private readonly refusals = new Map<Rejection['reason'], { detail: string; count: number }>();
  private readonly behindMillis: number[] = [];
  private readonly powersW: number[] = [];

  /** @param output what the meter's session made of the message */
  take(
    message: Pick<ProfileMessage, 'retained' | 'receivedAtMillis'>,
    output: ProfileOutput,
  ): void {
    this.messages += 1;
    if (message.retained) this.retained += 1;
    for (const { reason, detail } of output.rejections) {
      const known = this.refusals.get(reason);
      this.refusals.set(reason, { detail, count: (known?.count ?? 0) + 1 });
    }
    for (const reading of output.readings) this.takeReading(reading, message.receivedAtMillis);
  }

  report(listened: Listened): MeterReport {
    const registers = [...this.courses.values()].map(({ latest }): HeardRegister => {
      const { register, readAtMillis, microWh, note } = latest;
      return {
        register,
        readAt: formatInstant(readAtMillis),
        valueWh: formatRegisterWh(microWh!),
        ...(note === undefined ? {} : { note }),
      };
    });
    return {
      messages: this.messages,
      retained: this.retained,
      registers,
      powerW: this.powersW.at(-1) ?? null,
      clockBehindSeconds: this.clockBehindSeconds(),
      rejections: [...this.refusals]
        .map(([reason, refusal]) => ({ reason, ...refusal }))
        .sort((a, b) => b.count - a.count),
      problems: this.problems(listened),
    };
  }

  private takeReading(reading: ProfileReading, receivedAtMillis: number): void {
    const { register, readAtMillis, microWh, powerW, quality } = reading;
    if (powerW !== null) keep(this.powersW, powerW);
    if (microWh === null || quality !== 'measured') return;
    // Exactly then means that the payload has no time and the moment of arrival was taken.
    if (readAtMillis !== receivedAtMillis) keep(this.behindMillis, receivedAtMillis - readAtMillis);
    const now: Seen = { microWh, atMillis: readAtMillis };
    const course = this.courses.get(register);
    if (!course) {
      this.courses.set(register, { first: now, last: now, latest: reading, fell: null });
    } else if (readAtMillis >= course.last.atMillis) {
      if (microWh < course.last.microWh) course.fell = { from: course.last.microWh, to: microWh };
      course.last = now;
      course.latest = reading;
    }
  }

  private clockBehindSeconds(): number | null {
    const sorted = [...this.behindMillis].sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1];
    return median === undefined ? null : Math.round(median / 1_000);
  }

  private problems(listened: Listened): MeterProblem[] {
    const { topic, profile, seconds, role } = listened;
    if (this.messages === 0) {
      const advice = `Nothing was heard on ${topic} for ${seconds} s. Is the device on and connected, and is this the topic it publishes on? Look for its broker address, user and topic in its own settings.`;
      return [{ code: 'silence', advice }];
    }
    const problems: MeterProblem[] = [];
    const say = (code: MeterProblemCode, advice: string): void => {
      problems.push({ code, advice });
    };
    if (this.retained === this.messages) {
      say(
        'only_retained',
        'Only kept (retained) messages were heard: the broker repeats an old value, and nothing new comes from the device. Switch "retain" off there, and see whether it is still connected.',
      );
    } else if (this.courses.size === 0 && this.powersW.length > 0) {
      say(
        'power_only',
        'Only a power in watts was heard, no register in watt-hours. Energy is counted from registers alone: let the device publish its total energy too.',
      );
    } else if (this.courses.size === 0) {
      say(
        'not_understood',
        `Messages come, but none holds a register that the profile ${profile} knows. Choose the profile of this device, or say in a mapping which field is the register.`,
      );
    }
    for (const [reason, { detail, count }] of this.refusals) {
      if (reason !== 'retained') say('refused', `${count} refused (${reason}): ${detail}.`);
    }
    this.addRegisterProblems(role, say);
    return problems;
  }

  private addRegisterProblems(
    role: MeterRole | undefined,
    say: (code: MeterProblemCode, advice: string) => void,
  ): void {
    const counted = role && registersFor(role);
    if (counted && this.courses.size > 0 && !counted.some((one) => this.courses.has(one))) {
      say(
        'wrong_register',
        `A ${role} meter counts ${counted.join(' or ')}, and this one sends ${[...this.courses.keys()].join(' and ')}. Set "invert": true in its mapping if it is mounted the other way round.`,
      );
    }
    for (const [register, course] of this.courses) {
      const unit = unitAdvice(course, this.meanPowerW());
      if (unit) say('wrong_unit', `The ${register} register ${unit}`);
      if (course.fell) {
        const { from, to } = course.fell;
        say(
          'falling_register',
          `The ${register} register fell from ${formatRegisterWh(from)} to ${formatRegisterWh(to)} Wh. Registers only grow: this may be a counter that starts anew every day, or two devices on one topic.`,
        );
      }
    }
    const behind = this.clockBehindSeconds();
    if (behind !== null && Math.abs(behind) > MOST_DRIFT_SECONDS) {
      const [way, why] =
        behind > 0
          ? ['behind', 'or sends old readings']
          : ['ahead of', 'and readings from the future are refused'];
      say(
        'clock_drift',
        `The device's clock is ${Math.abs(behind)} s ${way} ours, ${why}. Set its time server (NTP) and, where it tells a local time, the time zone in its mapping.`,
      );
    }
  }

  /** Null where the device told none. */
  private meanPowerW(): number | null {
    if (this.powersW.length === 0) return null;
    return this.powersW.reduce((sum, power) => sum + power, 0) / this.powersW.length;
  }
}

/** What a register's pace says about its unit; null where nothing is odd, or too little was heard. */
function unitAdvice({ first, last }: Course, meanPowerW: number | null): string | null {
  const hours = (last.atMillis - first.atMillis) / 3_600_000;
  const energyWh = Number(last.microWh - first.microWh) / 1e6;
  if (hours <= 0 || energyWh <= 0) return null;
  const paceW = energyWh / hours;
  if (paceW > MOST_POWER_W) {
    return `grows as if ${Math.round(paceW / 1000)} kW flowed, more than a house connection carries. Is its unit smaller than it was taken for, e.g. Wh for kWh, or watt-minutes for Wh?`;
  }
  // Against its own power, once the last digit of the register does not matter any more.
  if (meanPowerW === null || Math.abs(meanPowerW) < 20 || energyWh < LEAST_ENERGY_WH) return null;
  const ratio = paceW / Math.abs(meanPowerW);
  const factor = FACTORS.find(({ times }) => ratio > times / 2 && ratio < times * 2);
  return factor ? `grows ${factor.words} its own power says. Set its unit in the mapping.` : null;
}

/** Units that are taken for one another. */
const FACTORS = [
  { times: 1000, words: '1000 times as fast as' },
  { times: 60, words: '60 times as fast as' },
  { times: 1 / 60, words: 'at a sixtieth of what' },
  { times: 1 / 1000, words: 'at a thousandth of what' },
];

/** Keeps the latest of them. */
function keep(values: number[], value: number): void {
  values.push(value);
  if (values.length > MOST_KEPT) values.shift();
}

const MOST_KEPT = 500;
const MOST_DRIFT_SECONDS = 60;
/** What three phases of 63 A carry, roughly doubled. */
const MOST_POWER_W = 100_000;
const LEAST_ENERGY_WH = 0.5;
