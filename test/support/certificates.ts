import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Real certificates, made with openssl: an authority, a broker's on the loopback, and those of devices. */
export class Authority {
  readonly certificate: string;

  private constructor(
    private readonly folder: string,
    private readonly name: string,
  ) {
    this.certificate = join(folder, `${name}.pem`);
  }

  static async make(folder: string, name: string): Promise<Authority> {
    const authority = new Authority(folder, name);
    const key = join(folder, `${name}.key`);
    await openssl(
      `req -x509 ${NEW_KEY} -days 2`,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      key,
      '-out',
      authority.certificate,
    );
    return authority;
  }

  /** A certificate with this CN; a broker's is also for 127.0.0.1. */
  async issue(name: string): Promise<{ cert: string; key: string }> {
    const path = (suffix: string): string => join(this.folder, `${this.name}-${name}.${suffix}`);
    await openssl(
      `req ${NEW_KEY}`,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      path('key'),
      '-out',
      path('csr'),
    );
    await writeFile(path('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    const authority = ['-CA', this.certificate, '-CAkey', join(this.folder, `${this.name}.key`)];
    const files = ['-in', path('csr'), '-extfile', path('ext'), '-out', path('pem')];
    await openssl('x509 -req -days 2', ...authority, ...files);
    return { cert: path('pem'), key: path('key') };
  }

  /** Writes the list of its revoked certificates, with these on it from now on. @returns its file */
  async revoke(...certificates: string[]): Promise<string> {
    const path = (suffix: string): string => join(this.folder, `${this.name}-ca.${suffix}`);
    await writeFile(path('index'), '', { flag: 'a' });
    const lines = [
      '[ca]\ndefault_ca = own\n[own]',
      `database = ${path('index')}`,
      `certificate = ${this.certificate}`,
      `private_key = ${join(this.folder, `${this.name}.key`)}`,
      'default_md = sha256\ndefault_crl_days = 2\n',
    ];
    await writeFile(path('cnf'), lines.join('\n'));
    const list = path('crl');
    for (const one of certificates) await openssl('ca', '-config', path('cnf'), '-revoke', one);
    await openssl('ca -gencrl', '-config', path('cnf'), '-out', list);
    return list;
  }
}

const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

/** @param words separated by spaces; what may hold one itself stands in `more` */
async function openssl(words: string, ...more: string[]): Promise<void> {
  await promisify(execFile)('openssl', [...words.split(' '), ...more]);
}
