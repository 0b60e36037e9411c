import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/**
 * The service over HTTP, as one person: logs in when needed, refreshes the token before it expires, and
 * turns refusals into errors that say what the service said.
 */
export class ServiceSession {
  #tokens: Tokens | null = null;
  #renewal: Promise<Tokens> | null = null;

  /** @param baseUrl asked for at every request: a restarted service may listen on another port */
  constructor(
    readonly baseUrl: () => string,
    private readonly logIn: { user: string; password: string },
  ) {}

  get user(): string {
    return this.logIn.user;
  }

  /** A token that is good for another minute at least, and when it expires, epoch milliseconds. */
  async token(): Promise<{ token: string; expiresAtMillis: number }> {
    if (this.#tokens && this.#tokens.expiresAtMillis > Date.now() + 60_000) return this.#tokens;
    this.#renewal ??= this.#renew().finally(() => (this.#renewal = null));
    return this.#renewal;
  }

  /** The token proved worthless, whatever it says of itself: the next one comes from a new log-in. */
  forget(): void {
    this.#tokens = null;
  }

  /** @throws ServiceRefusal with the service's reason; other errors when it cannot be reached */
  async request(
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<unknown> {
    const { token } = await this.token();
    try {
      return await call(this.baseUrl(), method, path, body, token, headers);
    } catch (error) {
      if (!(error instanceof ServiceRefusal) || error.status !== 401) throw error;
      // Revoked, or issued by a database that is gone: once more with a new log-in.
      this.forget();
      return call(this.baseUrl(), method, path, body, (await this.token()).token, headers);
    }
  }

  async #renew(): Promise<Tokens> {
    const refreshToken = this.#tokens?.refreshToken;
    if (refreshToken) {
      try {
        return (this.#tokens = await this.#open('/v1/sessions/refresh', { refreshToken }));
      } catch (error) {
        if (!(error instanceof ServiceRefusal)) throw error;
      }
    }
    const { user, password } = this.logIn;
    return (this.#tokens = await this.#open('/v1/sessions', { user, password }));
  }

  async #open(path: string, body: unknown): Promise<Tokens> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = SESSION.parse(await call(this.baseUrl(), 'POST', path, body));
        return { ...answer, expiresAtMillis: Date.parse(answer.expiresAt) };
      } catch (error) {
        // Log-ins are rate-limited; a street of households logs in at once.
        if (!(error instanceof ServiceRefusal) || error.status !== 429 || attempt > 30) throw error;
        await sleep(error.retryAfterSeconds * 1000);
      }
    }
  }
}

/** What the service refused, in its own words. */
export class ServiceRefusal extends Error {
  override name = 'ServiceRefusal';

  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfterSeconds: number,
  ) {
    super(detail);
  }
}

interface Tokens {
  token: string;
  refreshToken: string;
  expiresAtMillis: number;
}

const SESSION = z.object({ token: z.string(), refreshToken: z.string(), expiresAt: z.string() });
const PROBLEM = z.object({ code: z.string().optional(), detail: z.string().optional() });
const REQUEST_TIMEOUT_MILLIS = 120_000;

async function call(
  baseUrl: string,
  method: string,
  path: string,
  body?: unknown,
  token?: string,
  more: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const headers: Record<string, string> = { accept: 'application/json', ...more };
  if (token) headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(new URL(path, baseUrl), {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MILLIS),
  });
  const text = await response.text();
  if (response.ok) return text === '' ? null : JSON.parse(text);
  const problem = PROBLEM.safeParse(jsonOrNull(text)).data ?? {};
  throw new ServiceRefusal(
    response.status,
    problem.code ?? 'unknown',
    `${method} ${path}: ${problem.detail ?? response.statusText} (${response.status})`,
    Math.max(Number(response.headers.get('retry-after')) || 0, 1),
  );
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
