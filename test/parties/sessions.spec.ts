import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PartiesService } from '../../src/parties/parties.service.js';
import { networkOf } from '../../src/parties/login-limit.service.js';
import { PASSWORD, Street } from './street.js';

/** Log-in, refresh, log-out, one-time passwords, invitations and resets over real HTTP. */

let street: Street;
beforeAll(async () => {
  street = await Street.open();
});
afterAll(async () => {
  await street.stop();
});

describe('a session', () => {
  test('shows who is signed in and what they are granted', async () => {
    const token = await street.logIn('anna');
    const { status, body } = await street.call('GET', '/v1/sessions/current', { token });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      person: 'anna',
      name: 'Test anna',
      grants: [{ role: 'household', microgrid: 'street', household: 'h1' }],
    });
    expect(Date.parse(body['expiresAt'] as string)).toBeGreaterThan(Date.now());
  });

  test('is refused without a token, with a wrong one, and with an old one', async () => {
    const none = await street.call('GET', '/v1/sessions/current');
    expect(none.status).toBe(401);
    expect(none.headers.get('content-type')).toContain('application/problem+json');
    expect(none.body).toMatchObject({ type: '/problems/unauthorized', code: 'unauthorized' });
    const wrong = await street.call('GET', '/v1/sessions/current', { token: 'A'.repeat(43) });
    expect(wrong.status).toBe(401);

    const token = await street.logIn('anna');
    const caller = await street.get(PartiesService).callerOf(token);
    await street.database.query(
      `UPDATE session SET expires_at = now() - interval '1 second' WHERE session_id = $1`,
      [caller!.sessionId],
    );
    expect((await street.call('GET', '/v1/sessions/current', { token })).status).toBe(401);
  });

  test('ends at log-out, and is then no longer live', async () => {
    const token = await street.logIn('anna');
    const parties = street.get(PartiesService);
    const { sessionId } = (await parties.callerOf(token))!;
    expect(await parties.liveSessions([sessionId])).toEqual(new Set([sessionId]));
    expect((await street.call('DELETE', '/v1/sessions', { token })).status).toBe(204);
    expect((await street.call('GET', '/v1/sessions/current', { token })).status).toBe(401);
    expect(await parties.liveSessions([sessionId])).toEqual(new Set());
  });

  test('stores no token and no password in the clear', async () => {
    const token = await street.logIn('anna');
    const rows = await street.database.query<{ row: string }>(
      `SELECT session::text || person::text AS row FROM session JOIN person USING (person_id)`,
    );
    expect(rows.some(({ row }) => row.includes(token) || row.includes(PASSWORD))).toBe(false);
  });
});

describe('a refresh token', () => {
  const body = { user: 'anna', password: PASSWORD };

  test('is good once; used again, it ends the session for everyone', async () => {
    const first = (await street.call('POST', '/v1/sessions', { body })).body;
    const refresh = { body: { refreshToken: first['refreshToken'] } };
    const second = await street.call('POST', '/v1/sessions/refresh', refresh);
    expect(second.status).toBe(200);
    expect(second.body['token']).not.toBe(first['token']);
    const token = second.body['token'] as string;
    expect((await street.call('GET', '/v1/sessions/current', { token })).status).toBe(200);

    const replayed = await street.call('POST', '/v1/sessions/refresh', refresh);
    expect(replayed).toMatchObject({ status: 401, body: { code: 'refresh_refused' } });
    expect((await street.call('GET', '/v1/sessions/current', { token })).status).toBe(401);
    const stolen = { body: { refreshToken: second.body['refreshToken'] } };
    expect((await street.call('POST', '/v1/sessions/refresh', stolen)).status).toBe(401);
  });

  test('exchanged twice at the same moment gives at most one session, and that one ends', async () => {
    const first = (await street.call('POST', '/v1/sessions', { body })).body;
    const refresh = { body: { refreshToken: first['refreshToken'] } };
    const answers = await Promise.all([
      street.call('POST', '/v1/sessions/refresh', refresh),
      street.call('POST', '/v1/sessions/refresh', refresh),
    ]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 401]);
  });
});

describe('log-in', () => {
  test('tells an unknown user nothing that a wrong password would not', async () => {
    const wrong = await street.call('POST', '/v1/sessions', {
      body: { user: 'otto', password: 'not this one' },
    });
    const unknown = await street.call('POST', '/v1/sessions', {
      body: { user: 'nobody', password: 'not this one' },
    });
    expect(unknown).toMatchObject({ status: 401, body: wrong.body });
  });

  test('is limited per user: after ten failures even the right password waits', async () => {
    const attempts = Array.from({ length: 12 }, () =>
      street.call('POST', '/v1/sessions', { body: { user: 'olga', password: 'wrong wrong' } }),
    );
    const statuses = (await Promise.all(attempts)).map((answer) => answer.status);
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(11);
    expect(statuses).toContain(429);
    const right = await street.call('POST', '/v1/sessions', {
      body: { user: 'olga', password: PASSWORD },
    });
    expect(right).toMatchObject({ status: 429, body: { code: 'too_many_requests' } });
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    // Somebody else at the same address is not locked out.
    expect(await street.logIn('otto')).toHaveLength(43);
  });

  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:0:1:aaaa::7', '2001:db8:0:1::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('counts %s as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe('a one-time password', () => {
  test('opens nothing but its own change', async () => {
    const olga = await operator();
    const created = await street.call('POST', '/v1/operator/people', {
      token: olga,
      body: {
        person: 'ben',
        name: 'Ben',
        grants: [{ role: 'household', microgrid: 'street', household: 'h2' }],
      },
    });
    expect(created.status).toBe(201);
    const oneTime = created.body['oneTimePassword'] as string;
    expect(oneTime).toHaveLength(24);

    const token = await street.logIn('ben', oneTime);
    const refused = await street.call('GET', '/v1/households/h2', { token });
    expect(refused).toMatchObject({ status: 403, body: { code: 'password_change_required' } });
    expect((await street.get(PartiesService).callerOf(token))!.grants).toEqual([]);

    const change = { currentPassword: oneTime, password: 'a password of my own' };
    const changed = await street.call('POST', '/v1/people/me/password', { token, body: change });
    expect(changed.status).toBe(204);
    expect((await street.call('GET', '/v1/households/h2', { token })).status).toBe(200);
    await street.logIn('ben', 'a password of my own');
  });

  test('cannot be changed without knowing it, nor to something short', async () => {
    const token = await street.logIn('anna');
    const wrong = { currentPassword: 'something else', password: 'long enough, really' };
    const answer = await street.call('POST', '/v1/people/me/password', { token, body: wrong });
    expect(answer.status).toBe(401);
    const short = { currentPassword: PASSWORD, password: 'short' };
    const refused = await street.call('POST', '/v1/people/me/password', { token, body: short });
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    expect(refused.body['detail']).toContain('password: must have at least 10 characters');
  });
});

describe('an invitation', () => {
  test('makes a person with a grant for that household, once', async () => {
    const token = await operator();
    const path = '/v1/operator/microgrids/street/households/h2/invitations';
    const invited = await street.call('POST', path, { token, body: {} });
    expect(invited.status).toBe(201);
    const body = {
      token: invited.body['token'],
      user: 'carla',
      name: 'Carla',
      password: 'the sun is shining',
    };
    const accepted = await street.call('POST', '/v1/invitations/accept', { body });
    expect(accepted).toMatchObject({ status: 201, body: { person: 'carla', household: 'h2' } });
    const again = { ...body, user: 'carla2' };
    const refused = await street.call('POST', '/v1/invitations/accept', { body: again });
    expect(refused).toMatchObject({ status: 403, body: { code: 'token_refused' } });
    const carla = await street.logIn('carla', 'the sun is shining');
    const home = await street.call('GET', '/v1/households/h2', { token: carla });
    expect(home).toMatchObject({ status: 200, body: { household: 'h2', currency: 'EUR' } });
    expect((await street.call('GET', '/v1/households/h1', { token: carla })).status).toBe(403);
  });

  test('stays good when the user name is taken', async () => {
    const token = await operator();
    const path = '/v1/operator/microgrids/street/households/h2/invitations';
    const invited = await street.call('POST', path, { token, body: {} });
    const body = { token: invited.body['token'], name: 'D', password: 'the sun is shining' };
    const taken = await street.call('POST', '/v1/invitations/accept', {
      body: { ...body, user: 'h1-grid' },
    });
    expect(taken).toMatchObject({ status: 409, body: { code: 'already_taken' } });
    const free = await street.call('POST', '/v1/invitations/accept', {
      body: { ...body, user: 'dora' },
    });
    expect(free.status).toBe(201);
  });
});

describe('a password reset', () => {
  test('sets a new password and ends every session', async () => {
    const session = await street.logIn('anna');
    const token = await operator();
    const path = '/v1/operator/people/anna/password-reset';
    const superseded = await street.call('POST', path, { token });
    const issued = await street.call('POST', path, { token });
    expect(issued.status).toBe(201);
    const password = 'moonlight on water';
    const old = { token: superseded.body['token'], password };
    expect((await street.call('POST', '/v1/password-resets', { body: old })).status).toBe(403);
    const body = { token: issued.body['token'], password };
    expect((await street.call('POST', '/v1/password-resets', { body })).status).toBe(204);
    const ended = await street.call('GET', '/v1/sessions/current', { token: session });
    expect(ended.status).toBe(401);
    await street.logIn('anna', password);
  });

  test('of a greater operator is not the street operator’s to give', async () => {
    const token = await operator();
    const path = '/v1/operator/people/olga/password-reset';
    expect((await street.call('POST', path, { token })).status).toBe(403);
  });
});

/** The street's own operator. */
function operator(): Promise<string> {
  return street.logIn('otto');
}
