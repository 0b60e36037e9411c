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
    await openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-days', '2', '-subj', `/CN=${name}`, '-keyout', join(folder, `${name}.key`)],
      ...['-out', authority.certificate],
    );
    return authority;
  }

  /** A certificate with this CN; a broker's is also for 127.0.0.1. */
  async issue(name: string): Promise<{ cert: string; key: string }> {
    const path = (suffix: string): string => join(this.folder, `${this.name}-${name}.${suffix}`);
    await openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', `/CN=${name}`, '-keyout', path('key'), '-out', path('csr')],
    );
    await writeFile(path('ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    await openssl(
      ...['x509', '-req', '-days', '2', '-in', path('csr'), '-CA', this.certificate],
      ...['-CAkey', join(this.folder, `${this.name}.key`), '-extfile', path('ext')],
      ...['-out', path('pem')],
    );
    return { cert: path('pem'), key: path('key') };
  }
}

async function openssl(...args: string[]): Promise<void> {
  await promisify(execFile)('openssl', args);
}
