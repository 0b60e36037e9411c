/** Passwords and tokens as they are stored: nothing here can be turned back. */

import { createHash, scrypt, timingSafeEqual } from 'node:crypto';
import type { ScryptOptions } from 'node:crypto';

/** SHA-256 of a token: tokens carry 256 random bits, so a fast hash suffices. */
export function sha256(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

// OWASP password storage: with N = 2^15, r = 8 and p = 3, 32 MiB each.
const BLOCK = 8;
const PARALLEL = 3;
const KEY_BYTES = 32;

/**
 * `$scrypt$ln=15,r=8,p=3$salt$key`, base64url: the costs stand in the hash, so that they can grow.
 * @param salt 16 random bytes
 * @param costLog2 of N
 */
export async function hashPassword(
  password: string,
  salt: Buffer,
  costLog2: number,
): Promise<string> {
  const key = await derive(password, salt, costLog2, BLOCK, PARALLEL);
  const costs = `ln=${costLog2},r=${BLOCK},p=${PARALLEL}`;
  return `$scrypt$${costs}$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/**
 * Whether the password is the one that was hashed. Without a hash (an unknown user) it takes as long
 * and is false, so that the time tells nobody which users exist.
 * @param costLog2 that passwords are hashed with now
 */
export async function verifyPassword(
  password: string,
  hash: string | null,
  costLog2: number,
): Promise<boolean> {
  const nobody = ['', `${costLog2}`, `${BLOCK}`, `${PARALLEL}`, 'A'.repeat(22), 'A'.repeat(43)];
  const match =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w-]+)\$([\w-]+)$/.exec(hash ?? '') ??
    nobody;
  const [, ln, block, parallel, salt, key] = match as unknown as [string, ...string[]];
  const expected = Buffer.from(key!, 'base64url');
  const derived = await derive(
    password,
    Buffer.from(salt!, 'base64url'),
    Number(ln),
    Number(block),
    Number(parallel),
  );
  return timingSafeEqual(derived, expected) && match !== nobody;
}

function derive(
  password: string,
  salt: Buffer,
  costLog2: number,
  block: number,
  parallel: number,
): Promise<Buffer> {
  const options: ScryptOptions = {
    N: 2 ** costLog2,
    r: block,
    p: parallel,
    maxmem: 256 * 2 ** costLog2 * block,
  };
  // NFKC: the same characters typed on another keyboard are the same password (NIST SP 800-63B).
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, KEY_BYTES, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
