import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  addSignatures,
  parseNote,
  type SignerKey,
  type VerifierKey,
} from './transparency/signed-note.js';
import { cosigner } from './transparency/cosignature.js';
import { formatSignature } from './transparency/signed-note.js';
import { formatSizeLine, judgeAddCheckpoint } from './transparency/witness-protocol.js';
import type { WitnessStore } from './witness-store.js';

export interface WitnessOptions {
  readonly store: WitnessStore;
  readonly key: SignerKey;
  /** The keys trusted for an origin, at present. */
  readonly keysOf: (origin: string) => readonly VerifierKey[];
  /** Path before that of the protocol, such as `/witness`; '' for none. */
  readonly prefix?: string;
  /** Told of what went wrong inside. */
  readonly onFault?: (error: unknown) => void;
}

/** A note has up to 100 signatures; those of ML-DSA-44 take 3.3 kB each. */
const MAX_BODY_BYTES = 400_000;
const TEXT = 'text/plain; charset=utf-8';

/** A C2SP tlog-witness over HTTP, one prefix for submission and monitoring. Not listening yet. */
export function witnessServer(options: WitnessOptions): Server {
  const { prefix = '', onFault = () => undefined } = options;
  const latest = new RegExp(`^${literal(prefix)}/([0-9a-f]{64})/checkpoint$`);
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000 },
    (request, response) => {
      const path = (request.url ?? '').split('?')[0]!;
      const respond = async (): Promise<void> => {
        const hash = latest.exec(path)?.[1];
        if (request.method === 'POST' && path === `${prefix}/add-checkpoint`) {
          const body = await bodyOf(request);
          if (body === null) answer(response, 400, TEXT, 'the request is too large\n');
          else addCheckpoint(options, body, response);
        } else if (hash !== undefined && (request.method === 'GET' || request.method === 'HEAD')) {
          const known = options.store.latestByHash(hash);
          response.setHeader('cache-control', 'no-cache');
          answer(response, known ? 200 : 404, TEXT, known?.note ?? 'no checkpoint of such a log\n');
        } else answer(response, 404, TEXT, 'there is nothing here\n');
      };
      respond().catch((error: unknown) => {
        onFault(error);
        if (response.headersSent) response.destroy();
        else answer(response, 500, TEXT, 'the witness has a fault\n');
      });
    },
  );
  server.maxConnections = 1_000;
  return server;
}

/**
 * From the look at what was cosigned last to its successor on the disk nothing is waited for, so that
 * no other request comes between; between processes the store decides.
 */
function addCheckpoint(
  { store, key, keysOf }: WitnessOptions,
  body: Uint8Array,
  response: ServerResponse,
): void {
  const verdict = judgeAddCheckpoint(body, keysOf, (origin) => store.latest(origin));
  if (verdict.status === 409) return conflict(response, verdict.size);
  if (verdict.status !== 200) {
    return answer(response, verdict.status, TEXT, `${verdict.reason}\n`);
  }
  const { checkpoint, note } = verdict;
  const { origin, size } = checkpoint;
  const oldSize = store.latest(origin)?.size ?? 0;
  const signed = parseNote(addSignatures(note, [cosigner(key, Math.floor(Date.now() / 1000))]));
  if (size > oldSize && !store.advance(origin, oldSize, addSignatures(signed, []))) {
    return conflict(response, store.latest(origin)?.size ?? 0);
  }
  answer(response, 200, TEXT, formatSignature(signed.signatures.at(-1)!));
}

function conflict(response: ServerResponse, size: number): void {
  answer(response, 409, 'text/x.tlog.size', formatSizeLine(size));
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}

/** Null when it is larger than any request; what follows is dropped. */
function bodyOf(request: IncomingMessage): Promise<Uint8Array | null> {
  const pieces: Buffer[] = [];
  let size = 0;
  return new Promise((done, failed) => {
    request.on('data', (piece: Buffer) => {
      size += piece.length;
      if (size <= MAX_BODY_BYTES) pieces.push(piece);
      else done(null);
    });
    request.once('end', () => done(Buffer.concat(pieces)));
    request.once('error', failed);
  });
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
