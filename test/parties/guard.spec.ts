import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Street } from './street.js';

/** Who is let in, and for what. */

let street: Street;
let olga: string;
let otto: string;
beforeAll(async () => {
  street = await Street.open();
  [olga, otto] = await Promise.all([street.logIn('olga'), street.logIn('otto')]);
});
afterAll(() => street.stop());

const STREET = '/v1/operator/microgrids/street';

describe('the guard', () => {
  test('refuses a route that does not say who may call it', async () => {
    const answer = await street.call('GET', '/v1/forgotten', { token: olga });
    expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });

  test('refuses strangers and foreign households alike', async () => {
    const token = await street.logIn('anna');
    const foreign = await street.call('GET', '/v1/households/h2', { token });
    const unknown = await street.call('GET', '/v1/households/nosuch', { token });
    expect(foreign.status).toBe(403);
    expect(unknown).toMatchObject({ status: 403, body: foreign.body });
    const operating = await street.call('GET', `${STREET}/members`, { token });
    expect(operating.status).toBe(403);
  });

  test('refuses a request that names two households', async () => {
    const token = await street.logIn('anna');
    const answer = await street.call('GET', '/v1/households/h1?household=h2', { token });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  });

  test('refuses a household of another microgrid under one’s own', async () => {
    const body = { at: '2026-06-02T00:00:00Z' };
    const path = `${STREET}/households/x1/move-out`;
    expect((await street.call('POST', path, { token: otto, body })).status).toBe(403);
  });

  test('answers an unknown route and a broken body as problems', async () => {
    const unknown = await street.call('GET', '/v1/nowhere', { token: olga });
    expect(unknown).toMatchObject({ status: 404, body: { code: 'not_found' } });
    const response = await street.raw('/v1/sessions', '{"user":');
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
  });
});
