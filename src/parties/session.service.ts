import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SETTINGS } from '../config.js';
import type { Settings } from '../config.js';
import { DatabaseService } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { LoginLimit } from './login-limit.service.js';
import { sha256, verifyPassword } from './secret.js';
import * as store from './session.store.js';

/** What a client keeps: a short-lived access token, and a refresh token that is good once. */
export interface IssuedSession {
  token: string;
  expiresAt: Instant;
  refreshToken: string;
}

type SessionSettings = Pick<Settings, 'tokenMinutes' | 'refreshDays' | 'passwordCostLog2'>;

/** Log-in, refresh and log-out. Only hashes of tokens are stored. */
@Injectable()
export class SessionService {
  private readonly limit = new LoginLimit();

  constructor(
    @Inject(SETTINGS) private readonly settings: SessionSettings,
    private readonly database: DatabaseService,
  ) {}

  /**
   * @param address where the attempt comes from
   * @throws Problem 401 for a wrong user or password alike; RetryLater after too many of them
   */
  async logIn(user: string, password: string, address: string): Promise<IssuedSession> {
    await this.confirm(user, password, address);
    const tokens = newTokens();
    await this.database.query(store.DELETE_OLD_SESSIONS, [user]);
    const [session] = await this.database.query<{ expiresAt: Instant }>(store.INSERT_SESSION, [
      user,
      ...this.stored(tokens),
    ]);
    return { ...tokens, expiresAt: session!.expiresAt };
  }

  /** Resolves when this is the user's password. @throws Problem 401, RetryLater, as log-in does */
  async confirm(user: string, password: string, address: string): Promise<void> {
    await this.limit.attempt(user, address, async () => {
      const [person] = await this.database.query<{ passwordHash: string | null }>(store.PERSON, [
        user,
      ]);
      return verifyPassword(password, person?.passwordHash ?? null, this.settings.passwordCostLog2);
    });
  }

  /**
   * New tokens for a refresh token. One that was exchanged before has been copied: its session ends,
   * for the thief and the owner alike.
   * @throws Problem 401
   */
  async refresh(refreshToken: string): Promise<IssuedSession> {
    const tokens = newTokens();
    const old = sha256(refreshToken);
    const [session] = await this.database.query<{ expiresAt: Instant }>(store.ROTATE_SESSION, [
      old,
      ...this.stored(tokens),
    ]);
    if (session) return { ...tokens, expiresAt: session.expiresAt };
    await this.database.query(store.REVOKE_BY_SPENT, [old]);
    throw new Problem(401, 'refresh_refused', 'This refresh token is not valid. Log in again.');
  }

  async logOut(sessionId: string): Promise<void> {
    await this.database.query(store.REVOKE_SESSION, [sessionId]);
  }

  async nameOf(personId: string): Promise<string> {
    const [row] = await this.database.query<{ name: string }>(store.NAME_OF, [personId]);
    return row?.name ?? personId;
  }

  private stored(tokens: { token: string; refreshToken: string }): unknown[] {
    const { tokenMinutes, refreshDays } = this.settings;
    return [sha256(tokens.token), sha256(tokens.refreshToken), tokenMinutes, refreshDays];
  }
}

function newTokens(): { token: string; refreshToken: string } {
  return {
    token: randomBytes(32).toString('base64url'),
    refreshToken: randomBytes(32).toString('base64url'),
  };
}
