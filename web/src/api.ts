/**
 * The page's one way to the HTTP interface: bearer token, its rotation, and problem details as
 * values a panel can show. A session that cannot be renewed ends; a network that is away does not
 * end it.
 */
import type { Page } from './answers.js';
import { ApiProblem } from './problem.js';

export interface Session {
  token: string;
  expiresAt: string;
  refreshToken: string;
}

const STORED_AS = 'neighborwatt.session';
/** A token this close to its end is renewed before it is used. */
const RENEW_MILLIS = 60_000;

export class Api {
  private session: Session | null = readStored();
  private renewing: Promise<void> | null = null;

  constructor(private readonly signedOut: (reason: 'expired' | 'left') => void) {}

  hasSession(): boolean {
    return this.session !== null;
  }

  async logIn(user: string, password: string): Promise<void> {
    this.keep(await send<Session>('POST', '/v1/sessions', { body: { user, password } }));
  }

  /** Ends the session here in any case, and at the service if it can be reached. */
  async logOut(): Promise<void> {
    const token = this.session?.token;
    this.keep(null);
    this.signedOut('left');
    if (token) await send('DELETE', '/v1/sessions', { token }).catch(() => undefined);
  }

  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.authorised((token) => send<T>('GET', path, { token, ...(signal && { signal }) }));
  }

  /** The answer as it is spelled, to be kept as a file. */
  text(path: string, signal?: AbortSignal): Promise<string> {
    return this.authorised((token) =>
      send<string>('GET', path, { token, spelled: true, ...(signal && { signal }) }),
    );
  }

  /** @param key the same one tells the service that this is the same request, sent again */
  post<T>(path: string, body: unknown, key?: string): Promise<T> {
    return this.authorised((token) =>
      send<T>('POST', path, { token, body, ...(key !== undefined && { key }) }),
    );
  }

  delete<T>(path: string): Promise<T> {
    return this.authorised((token) => send<T>('DELETE', path, { token }));
  }

  put<T>(path: string, body: unknown): Promise<T> {
    return this.authorised((token) => send<T>('PUT', path, { token, body }));
  }

  /** Follows `next` until the list ends or `most` items are there. */
  async list<T>(path: string, signal?: AbortSignal, most = 2_000): Promise<Page<T>> {
    const items: T[] = [];
    const base = `${path}${path.includes('?') ? '&' : '?'}limit=1000`;
    let next: string | null = null;
    do {
      const after: string = next === null ? '' : `&after=${encodeURIComponent(next)}`;
      const page: Page<T> = await this.get<Page<T>>(`${base}${after}`, signal);
      items.push(...page.items);
      next = page.next;
    } while (next !== null && items.length < most);
    return { items, next };
  }

  /** A token that still holds for a while, e.g. for the socket. @throws ApiProblem */
  async token(): Promise<string> {
    if (this.session && Date.parse(this.session.expiresAt) - Date.now() < RENEW_MILLIS) {
      await this.renew();
    }
    if (!this.session) throw new ApiProblem(401, 'no_session', 'Please log in.');
    return this.session.token;
  }

  private async authorised<T>(request: (token: string) => Promise<T>): Promise<T> {
    const token = await this.token();
    try {
      return await request(token);
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.status !== 401) throw error;
      // Another request may have rotated the token meanwhile; then only the retry is needed.
      if (this.session?.token === token) await this.renew();
      return request(await this.token());
    }
  }

  /** Rotates the refresh token, once for all who wait. */
  private renew(): Promise<void> {
    this.renewing ??= this.rotate().finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  private async rotate(): Promise<void> {
    const refreshToken = this.session?.refreshToken;
    try {
      this.keep(await send<Session>('POST', '/v1/sessions/refresh', { body: { refreshToken } }));
    } catch (error) {
      if (error instanceof ApiProblem && error.status >= 400 && error.status < 500) {
        this.keep(null);
        this.signedOut('expired');
      }
      throw error;
    }
  }

  private keep(session: Session | null): void {
    this.session = session;
    if (session) sessionStorage.setItem(STORED_AS, JSON.stringify(session));
    else sessionStorage.removeItem(STORED_AS);
  }
}

/** Sends one request. @throws ApiProblem on every answer but success, and when there is none. */
export async function send<T>(
  method: string,
  path: string,
  options: {
    token?: string;
    body?: unknown;
    key?: string;
    signal?: AbortSignal;
    spelled?: boolean;
  } = {},
): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  if (options.key !== undefined) headers['idempotency-key'] = options.key;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiProblem(0, 'unreachable', 'The service does not answer. Is it running?');
  }
  const text = await response.text();
  if (!response.ok) throw problemOf(response.status, text);
  if (options.spelled) return text as T;
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** RFC 9457 problem details where there are any, else what the status alone says. */
function problemOf(status: number, text: string): ApiProblem {
  let said: { code?: unknown; detail?: unknown; title?: unknown } = {};
  try {
    said = (JSON.parse(text) ?? {}) as typeof said;
  } catch {
    // A proxy's page instead of problem details: the status must do.
  }
  const detail = [said.detail, said.title].find((field) => typeof field === 'string');
  const code = typeof said.code === 'string' ? said.code : `http_${status}`;
  return new ApiProblem(status, code, detail ?? `The service answered with status ${status}.`);
}

function readStored(): Session | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STORED_AS) ?? 'null') as Session | null;
    return typeof kept?.token === 'string' && typeof kept.refreshToken === 'string' ? kept : null;
  } catch {
    return null;
  }
}
