import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express from 'express';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { formatReceipt } from '../../src/ledger/receipt.js';
import { POLICY } from '../settlement/sealed-slot.js';
import { busyStreet } from '../settlement/busy-street.js';
import { signedStreet } from '../settlement/signed-street.js';
import { hasProgram } from '../support/require.js';

/** The page that checks receipts, in a real browser, served as the service serves it and then alone. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const AXE = require.resolve('axe-core/axe.min.js');
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => hasProgram(name));
const DESKTOP = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
/** Pictures of the page are kept here, for people to look at. */
const PICTURES = process.env['PICTURES'];

(CHROMIUM ? describe : describe.skip)('the page that checks receipts', () => {
  let folder = '';
  let server: Server;
  let browser: Browser;
  let url = '';
  let good = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neighborwatt-verify-'));
    await promisify(execFile)(
      process.execPath,
      [
        join(ROOT, 'node_modules/vite/bin/vite.js'),
        'build',
        'web',
        '--logLevel',
        'error',
        '--outDir',
        join(folder, 'dist'),
      ],
      { cwd: ROOT, env: { ...process.env, NODE_OPTIONS: '' } },
    );
    const app = express();
    app.use((_request, response, next) => {
      response.setHeader(
        'content-security-policy',
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'",
      );
      next();
    });
    app.get('/log/street/policy', (_request, response) => void response.type('text').send(POLICY));
    app.use(express.static(join(folder, 'dist'), { extensions: ['html'] }));
    server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/verify`;
    const { slot, places } = busyStreet();
    good = join(folder, 'receipt.json');
    await writeFile(good, formatReceipt(slot.receipt('h0', places)));
    browser = await chromium.launch({
      executablePath: `/usr/bin/${CHROMIUM}`,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  /** A page on which nothing may go wrong unnoticed. */
  async function open(options: BrowserContextOptions = DESKTOP): Promise<Page> {
    const page = await (await browser.newContext(options)).newPage();
    page.on('pageerror', (error) => {
      throw error;
    });
    await page.goto(url);
    await state(page, 'empty');
    return page;
  }

  test('says of a good receipt what it holds, step by step, by the policy it fetched', async () => {
    const page = await open();
    await picture(page, 'verify-empty');
    await page.locator('[name=receipt]').setInputFiles(good);
    await state(page, 'good');
    const outcomes = await page.evaluate(
      `[...document.querySelectorAll('[data-outcome]')].map((step) => step.dataset.outcome)`,
    );
    expect(outcomes).toEqual(Array.from({ length: 7 }, () => 'good'));
    expect(await page.getByTestId('step-witnesses').innerText()).toContain('witness-2.example');
    expect(await page.getByTestId('happened').innerText()).toMatch(/To neighbors\s+[\d.,]+/);
    expect(await page.getByTestId('policy-note').innerText()).toMatch(/this very service/);
    await picture(page, 'verify-good');
    await page.context().close();
  }, 60_000);

  test('works without a network once it is there, and names the first thing that is wrong', async () => {
    const page = await open();
    await page.context().setOffline(true);
    await page.locator('[name=receipt]').setInputFiles(good);
    await state(page, 'no-policy');
    expect(await page.getByTestId('policy-note').innerText()).toMatch(/Paste the one/);
    await page.locator('[name=policy]').fill('log nothing');
    await state(page, 'bad-policy');
    await page.locator('[name=policy]').fill(POLICY);
    await state(page, 'good');
    // The figure is what the head and the record say; changed in both, it is not what was sealed.
    const { netMicro } = (
      JSON.parse(await readFile(good, 'utf8')) as { what: { settlement: { netMicro: number } } }
    ).what.settlement;
    const forged = (await readFile(good, 'utf8')).replaceAll(
      `"netMicro": ${netMicro}`,
      `"netMicro": ${netMicro + 1_000_000}`,
    );
    await page.locator('summary').click();
    await page.locator('[name=receipt-text]').fill(forged);
    await state(page, 'bad');
    expect(await page.getByTestId('step-fields').getAttribute('data-outcome')).toBe('bad');
    expect(await page.getByTestId('step-sums').getAttribute('data-outcome')).toBe('unchecked');
    await picture(page, 'verify-bad');
    await page.context().close();
  }, 60_000);

  test.each([
    ['ECDSA-secp192r1-SHA256', 'prime192v1'],
    ['ECDSA-brainpoolP384r1-SHA256', 'brainpoolP384r1'],
  ])(
    'follows a meter’s own signature, Ed25519 and %s, and names what was changed of it',
    async (algorithm, namedCurve) => {
      const { receipt } = signedStreet({ algorithm, namedCurve });
      const page = await open({ ...PHONE, reducedMotion: 'reduce' });
      await page.locator('[name=policy]').fill(POLICY);
      await page.locator('summary').click();
      const text = page.locator('[name=receipt-text]');
      await text.fill(formatReceipt(receipt));
      await state(page, 'good');
      const said = await page.getByTestId('step-meters').innerText();
      expect(said).toContain("The meters' own signatures vouch for 8 of 10 readings");
      expect(said).toMatch(/SHA-256 [0-9a-f]{64}/);
      const overflow = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      expect(overflow).toBe(0);
      await picture(page, 'verify-signed');
      const [first] = receipt.signed!.messages;
      const counted = Buffer.from(first!.bytes, 'base64').toString();
      const bytes = Buffer.from(counted.replace('"counter":1', '"counter":7')).toString('base64');
      await page.locator('[name=receipt-text]').fill(
        formatReceipt({
          ...receipt,
          signed: {
            ...receipt.signed!,
            messages: [{ ...first!, bytes }, ...receipt.signed!.messages.slice(1)],
          },
        }),
      );
      await state(page, 'bad');
      expect(await page.getByTestId('step-sums').getAttribute('data-outcome')).toBe('good');
      expect(await page.getByTestId('step-meters').innerText()).toContain(
        'signed.messages.0.counter: expected 1, found 7.',
      );
      await page.context().close();
    },
    60_000,
  );

  test.each(['light', 'dark'] as const)(
    'has no accessibility fault and fits a phone (%s)',
    async (colorScheme) => {
      const page = await open({ ...PHONE, colorScheme, reducedMotion: 'reduce' });
      await expectAccessible(page);
      await page.locator('[name=receipt]').setInputFiles(good);
      await state(page, 'good');
      await expectAccessible(page);
      await picture(page, `verify-phone-${colorScheme}`);
      const overflow = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      expect(overflow).toBe(0);
      await page.context().close();
    },
    60_000,
  );
});

async function state(page: Page, expected: string): Promise<void> {
  await page.locator(`[data-testid=verdict][data-state=${expected}]`).waitFor({ timeout: 20_000 });
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}

/** WCAG 2.1 A and AA as axe-core judges them, contrast included. */
async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const violations = await page.evaluate(`axe
    .run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))`);
  expect(violations).toEqual([]);
}
