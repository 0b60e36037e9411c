import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS } from '../config.js';
import type { Settings } from '../config.js';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import type { Sql } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { claimCode, CODE_BYTES, readClaimCode } from './claim-code.js';
import * as store from './claim.store.js';
import { DeviceService } from './device.service.js';
import { COUNT_CHANGE } from './device.store.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { LoginLimit } from './login-limit.service.js';
import { MarketClockService } from './market-clock.service.js';
import { causeOfDevice, ownTopic } from './meter-profile.js';
import { MeterProfileService } from './meter-profile.service.js';
import { parse } from './parse.js';
import { hashPassword, verifyPassword } from './secret.js';

export const CLAIM = z.strictObject({ code: z.string().max(40) });
export type ClaimRequest = z.input<typeof CLAIM>;

/** A code shown once. */
export interface ClaimCode {
  meter: string;
  household: string;
  code: string;
  expiresAt: Instant;
}

/** What a claimed meter needs at the broker; its secret is kept nowhere. */
export interface ClaimedMeter {
  meter: string;
  username: string;
  secret: string;
  profile: string;
  topic: string;
}

/** Who a claim is made for, as far as the way it came says so. */
export interface Claimant {
  meterId: string;
  /** Null where the code alone speaks, as a device's. */
  householdId: string | null;
  /** The person who claims, or `claim-code`. */
  by: string;
  address: string;
}

const CODE_HOURS = 72;

/** Takes meters into use: operators hand out one-time codes, households and devices redeem them. */
@Injectable()
export class ClaimService {
  private readonly limit = new LoginLimit();

  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly journal: EnrolmentJournal,
    private readonly devices: DeviceService,
    private readonly profiles: MeterProfileService,
    @Inject(SETTINGS) private readonly settings: Pick<Settings, 'passwordCostLog2'>,
  ) {}

  /**
   * A code for the meter; one made before is worth nothing any more.
   * @throws Problem 404 for no such meter, 409 when it has ended
   */
  async makeCode(sql: Sql, microgridId: string, meterId: string, by: string): Promise<ClaimCode> {
    const [meter] = await sql.query<store.ClaimedRow>(store.METER, [meterId]);
    if (meter?.microgridId !== microgridId) {
      throw new Problem(404, 'unknown_meter', `There is no meter ${meterId} in ${microgridId}.`);
    }
    if (meter.activeUntil !== null) {
      throw new Problem(409, 'moved_out', `${meterId} ends at ${meter.activeUntil}.`);
    }
    const code = claimCode(randomBytes(CODE_BYTES));
    const hash = await hashPassword(code, randomBytes(16), this.settings.passwordCostLog2);
    const [made] = await sql.query<{ expiresAt: Instant }>(store.PUT_CODE, [
      microgridId,
      meterId,
      hash,
      CODE_HOURS,
    ]);
    const [count] = await sql.query<{ changes: number }>(COUNT_CHANGE, [meterId]);
    const { householdId } = meter;
    await this.journal.append(sql, microgridId, [
      {
        kind: 'operator-action',
        at: await this.clock.now(sql),
        cause: causeOfDevice(meterId, count!.changes),
        keyHolder: householdId,
        households: [householdId],
        facts: { action: 'claim-code-made', by, meter: meterId },
        transfers: [],
      },
    ]);
    return { meter: meterId, household: householdId, code, expiresAt: made!.expiresAt };
  }

  /**
   * The meter's new secret for its code, which is good once.
   * @throws Problem 403 for a code that is not the meter's, used, or out of date; RetryLater after
   *   too many of them
   */
  async claim(claimant: Claimant, request: ClaimRequest): Promise<ClaimedMeter> {
    const code = readClaimCode(parse(CLAIM, request).code);
    const { meterId, householdId, by } = claimant;
    const [open] = await this.database.query<store.OpenClaim>(store.OPEN_CLAIM, [meterId]);
    const isOthers = householdId !== null && open?.householdId !== householdId;
    await this.requireCode(claimant, code, isOthers ? null : (open?.codeHash ?? null));
    const { microgridId, codeHash } = open!;
    return this.database.transaction(async (sql) => {
      const used = await sql.query(store.USE_CODE, [microgridId, meterId, codeHash]);
      if (used.length === 0) throw codeRefused();
      const { username, secret } = await this.devices.rotateSecret(sql, microgridId, meterId, by);
      const device = (await this.profiles.of(sql, microgridId, [meterId])).get(meterId);
      const topic = device?.topic ?? `${ownTopic({ microgridId, meterId })}/readings`;
      return { meter: meterId, username, secret, profile: device?.profile ?? 'native', topic };
    });
  }

  /** It takes as long for a meter that has no code, so that the time tells nobody which have. */
  private async requireCode(
    { meterId, address }: Claimant,
    code: string | null,
    hash: string | null,
  ): Promise<void> {
    try {
      const { passwordCostLog2 } = this.settings;
      await this.limit.attempt(meterId, address, () =>
        verifyPassword(code ?? '', hash, passwordCostLog2),
      );
    } catch (error) {
      if (error instanceof Problem && error.code === 'wrong_credentials') throw codeRefused();
      throw error;
    }
  }
}

function codeRefused(): Problem {
  const detail =
    'This code is not of this meter, or is used or out of date. Ask your operator for a new one.';
  return new Problem(403, 'code_refused', detail);
}
