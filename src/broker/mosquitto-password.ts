import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * Secrets as Mosquitto's password file keeps them, so that its users and ours are checked alike:
 * `$7$<iterations>$<base64 salt>$<base64 PBKDF2-HMAC-SHA512 of 64 bytes>`.
 * @param random at least 12 random bytes; the first 12 are the salt: Mosquitto 2.0 takes no other length
 */
export async function hashSecret(
  secret: string | Buffer,
  random: Buffer,
  iterations: number = DEFAULT_ITERATIONS,
): Promise<string> {
  if (random.length < SALT_BYTES) throw new RangeError(`a salt has ${SALT_BYTES} bytes`);
  const salt = random.subarray(0, SALT_BYTES);
  const hash = await derive(secret, salt, iterations, HASH_BYTES, 'sha512');
  return `$7$${iterations}$${salt.toString('base64')}$${hash.toString('base64')}`;
}

/** Whether the secret is the one that was hashed; in time that does not depend on how nearly. */
export async function verifySecret(secret: string | Buffer, hashed: string): Promise<boolean> {
  const parsed = parse(hashed);
  if (!parsed) return false;
  const { iterations, salt, hash } = parsed;
  return timingSafeEqual(await derive(secret, salt, iterations, HASH_BYTES, 'sha512'), hash);
}

/** Whether the text is of this form, as a guard before it is stored. */
export function isSecretHash(text: string): boolean {
  return parse(text) !== undefined;
}

function parse(text: string): { iterations: number; salt: Buffer; hash: Buffer } | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const iterations = Number(match[1]);
  const salt = Buffer.from(match[2]!, 'base64');
  const hash = Buffer.from(match[3]!, 'base64');
  const fits =
    iterations >= 1 &&
    iterations <= MAX_ITERATIONS &&
    salt.length > 0 &&
    hash.length === HASH_BYTES;
  return fits ? { iterations, salt, hash } : undefined;
}

const derive = promisify(pbkdf2);

const FORM = /^\$7\$(\d{1,7})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$/;
const HASH_BYTES = 64;

/** How many random bytes a salt has. */
export const SALT_BYTES = 12;

// Mosquitto's own number. Secrets of devices are random, of 128 bits or more: stretching them adds
// nothing, and twenty thousand meters may connect at once.
const DEFAULT_ITERATIONS = 101;

// A stored form must not be able to keep a processor busy for minutes.
const MAX_ITERATIONS = 5_000_000;
