import { Unreadable, type LogSource } from './public-log.js';

const WITHIN_MILLIS = 20_000;

/**
 * A log behind a URL, read from a server that need not be honest: no answer is larger or slower than
 * it may be, and none sends us elsewhere.
 */
export class HttpLog implements LogSource {
  private readonly base: string;

  /** @throws Error on an address that is not http or https */
  constructor(
    url: string,
    private readonly withinMillis = WITHIN_MILLIS,
  ) {
    const { protocol, search, hash } = new URL(url);
    if (!/^https?:$/.test(protocol) || search !== '' || hash !== '') {
      throw new Error(`${url} is not the address of a log: http(s)://host/path`);
    }
    this.base = url.replace(/\/+$/, '');
  }

  async read(path: string, mostBytes: number): Promise<Uint8Array | null> {
    const within = AbortSignal.timeout(this.withinMillis);
    try {
      const response = await fetch(`${this.base}/${path}`, { redirect: 'manual', signal: within });
      const { status } = response;
      if (status === 200) return await bounded(response, mostBytes);
      await response.body?.cancel();
      if (status === 404 || status === 410) return null;
      const isElsewhere = status >= 300 && status < 400;
      throw new Unreadable(isElsewhere ? 'a redirect, which is not followed' : `HTTP ${status}`);
    } catch (error) {
      if (error instanceof Unreadable) throw error;
      if (within.aborted) throw new Unreadable(`no answer within ${this.withinMillis} ms`);
      throw new Unreadable(reasonOf(error));
    }
  }
}

/** What the body holds once it is unpacked, which is what counts against a small packed one. */
async function bounded(response: Response, mostBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > mostBytes) {
      throw new Unreadable(`more than ${mostBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** fetch says "fetch failed" and keeps the reason to itself. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return cause?.message ?? message ?? String(error);
}
