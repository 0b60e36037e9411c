import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { hasProgram } from '../support/require.js';
import { SIMULATED } from '../support/settings.js';

/** The pages in a real browser, on the street that `npm start` runs. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => hasProgram(name));

interface Login {
  user: string;
  password: string;
  role: string;
}

const DESKTOP = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

(CHROMIUM ? describe : describe.skip)('the pages', () => {
  let dataDir = '';
  let street: ChildProcess;
  let url = '';
  let people: Login[] = [];
  let browser: Browser;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'neighborwatt-page-'));
    street = startStreet(dataDir);
    const { httpPort } = await untilJson<{ httpPort: number }>(join(dataDir, 'service.json'));
    url = `http://localhost:${httpPort}`;
    ({ people } = await untilJson<{ people: Login[]; ready: boolean }>(
      join(dataDir, 'demo-logins.json'),
      ({ ready }) => ready,
    ));
    browser = await chromium.launch({
      executablePath: `/usr/bin/${CHROMIUM}`,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    const ended = new Promise((resolve) => street.once('exit', resolve));
    street.kill('SIGTERM');
    await ended;
    await rm(dataDir, { recursive: true, force: true });
  }, 60_000);

  /** A page on which nothing may go wrong unnoticed. */
  async function open(options: BrowserContextOptions = DESKTOP): Promise<Page> {
    const context = await browser.newContext({ ...options, bypassCSP: false });
    const page = await context.newPage();
    await page.goto(url);
    return page;
  }

  async function logIn(page: Page, user: string): Promise<void> {
    const login = people.find((one) => one.user === user)!;
    await page.getByTestId(`demo-${user}`).click();
    await page.locator('[name=password]').fill(login.password);
    await page.getByTestId('log-in').getByRole('button', { name: 'Log in' }).click();
  }

  test('a household sees trades within a minute, its power, its energy and its money', async () => {
    const page = await open();
    await logIn(page, 'ash');
    await page.getByTestId('live-power').waitFor();
    await page.getByTestId('tape-trade').first().waitFor({ timeout: 60_000 });
    expect(await page.getByTestId('tape-trade').first().innerText()).toMatch(/Wh/);
    await page.getByTestId('settlement').first().waitFor();
    expect(await page.getByTestId('microgrid-name').innerText()).toBe('Arbor Street');
    expect(await page.getByTestId('feed-status').innerText()).toBe('Live');
    expect(await page.getByTestId('live-sentence').innerText()).toMatch(/kW|W/);
    expect(await page.getByTestId('slot-clock').isVisible()).toBe(true);
    expect(await page.getByTestId('price-chart').getAttribute('aria-label')).toMatch(/\d/);
    expect(await page.getByTestId('energy-used-total').innerText()).toMatch(/^[\d.,]+\s?k?Wh$/);
    expect(await page.getByTestId('available').locator('data').getAttribute('value')).toMatch(
      /^-?\d+$/,
    );
    // Why its order was served as it was, and both bills of each slot.
    expect(await page.getByTestId('fairness-slot').innerText()).toMatch(
      /EUR\/kWh|nothing to trade/,
    );
    expect(await page.getByTestId('fairness-share').innerText()).toMatch(/%|nothing to gain/);
    const history = page.getByTestId('fairness-history');
    const time = await history.getByRole('button').nth(1).innerText();
    await history.getByRole('button', { name: time }).click();
    await expectText(page, 'fairness-slot', new RegExp(`^${time}`));
    expect(await page.getByTestId('bill-line').last().locator('data').count()).toBe(5);
    // What the page says was settled is what the interface says.
    const shown = await page
      .getByTestId('settlement')
      .last()
      .locator('time')
      .first()
      .getAttribute('datetime');
    expect(Number.isNaN(Date.parse(shown ?? ''))).toBe(false);
    await page.context().close();
  }, 120_000);

  test('limits are explained, refused where they make no sense, and kept', async () => {
    const page = await open();
    await logIn(page, 'birch');
    const sellAbove = page.locator('[name=sell-above]');
    await sellAbove.fill('0.1234567');
    expect(await page.getByRole('button', { name: 'Save limits' }).isDisabled()).toBe(true);
    await expectText(page, 'panel-limits', /six|decimal|digits/i);
    await sellAbove.fill('0.11');
    await page.locator('[name=buy-below]').fill('0.25');
    await expectText(page, 'sell-above-words', /0\.11/);
    await page.getByRole('button', { name: 'Save limits' }).click();
    await expectText(page, 'limits-said', /\S/);
    await page.reload();
    await page.getByTestId('live-power').waitFor();
    await expect(sellAbove.inputValue()).resolves.toBe('0.11');
    const premium = page.locator('[name=premium]');
    await premium.fill('0.02');
    await page.getByLabel('I would rather buy').selectOption('neighbor');
    await page.getByLabel('called').fill('Nobody Known');
    await page.getByRole('button', { name: 'Add wish' }).click();
    await expectText(page, 'wishes-said', /Not saved.*Nobody Known/);
    await page.getByLabel('I would rather buy').selectOption('solar');
    await page.getByRole('button', { name: 'Add wish' }).click();
    await expectText(page, 'wishes-list', /Clean energy, up to .*0\.02/);
    await page.reload();
    await expectText(page, 'wishes-list', /Clean energy/);
    await expect(sellAbove.inputValue()).resolves.toBe('0.11');
    await page.getByRole('button', { name: 'Give up: Clean energy' }).click();
    await expectText(page, 'no-wishes', /none/);
    await page.context().close();
  }, 60_000);

  test('a wrong password is said, and nothing else', async () => {
    const page = await open();
    await page.locator('[name=user]').fill('ash');
    await page.locator('[name=password]').fill('not the password');
    await page.getByTestId('log-in').getByRole('button', { name: 'Log in' }).click();
    await expectText(page, 'log-in-problem', /\S/);
    await page.context().close();
  }, 30_000);

  test('everything can be reached by keyboard', async () => {
    const page = await open();
    const login = people.find(({ user }) => user === 'cedar')!;
    await page.locator('[name=user]').focus();
    await page.keyboard.type(login.user);
    await page.keyboard.press('Tab');
    await page.keyboard.type(login.password);
    await page.keyboard.press('Enter');
    await page.getByTestId('live-power').waitFor();
    const reached = new Set<string>();
    for (let step = 0; step < 40; step += 1) {
      await page.keyboard.press('Tab');
      const name = await page.evaluate(
        `(document.activeElement?.getAttribute('name') ?? document.activeElement?.textContent ?? '').trim()`,
      );
      reached.add(String(name));
    }
    for (const wanted of ['Log out', 'sell-above', 'buy-below', 'Save limits']) {
      expect([...reached]).toContain(wanted);
    }
    await page.context().close();
  }, 60_000);

  test.each(['light', 'dark'] as const)(
    'has no accessibility fault and fits a phone (%s)',
    async (colorScheme) => {
      const page = await open({ ...PHONE, colorScheme, reducedMotion: 'reduce' });
      await expectAccessible(page);
      await logIn(page, 'elm');
      await page.getByTestId('settlement').first().waitFor({ timeout: 60_000 });
      await expectAccessible(page);
      const overflow = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      expect(overflow).toBe(0);
      await page.context().close();
    },
    120_000,
  );

  test.each(['operator', 'regulator'])(
    '%s has a page of their own',
    async (role) => {
      const page = await open();
      await logIn(page, role);
      if (role === 'operator') {
        await page.getByTestId('overview').waitFor();
        // An honest street.
        await page.getByText('Nobody trades in circles').waitFor();
      }
      if (role === 'regulator') {
        await page.getByTestId('ask-efficiency').click();
        // Nobody was settled in the month before the demo's first day: the refusal says so.
        await page.getByTestId('refusal').waitFor();
        expect(await page.getByTestId('refusal').getAttribute('data-code')).toBe(
          'too_few_households',
        );
        // The street's program has been run for its first hour.
        await page.getByTestId('awards').waitFor({ timeout: 60_000 });
      }
      await page.getByTestId('market-fairness').waitFor();
      const told = await page.getByTestId('market-fairness').innerText();
      expect(told.includes('Traded')).toBe(role === 'operator');
      await expectAccessible(page);
      await page.context().close();
    },
    60_000,
  );

  test('a household keeps a receipt, and the page that checks it finds it good', async () => {
    const page = await open();
    await logIn(page, 'maple');
    await page.getByTestId('save-receipt').first().waitFor({ timeout: 60_000 });
    const saved = page.waitForEvent('download');
    await page.getByTestId('save-receipt').first().click();
    const file = await (await saved).path();
    await expectText(page, 'receipt-said', /^Saved receipt-/);
    await page.goto(`${url}/verify`);
    await page.locator('[name=receipt]').setInputFiles(file);
    await page.locator('[data-testid=verdict][data-state=good]').waitFor({ timeout: 20_000 });
    await page.context().close();
  }, 120_000);

  test('an order is placed, met, listed and taken back, on a street that trades at once', async () => {
    await foundMarket(
      url,
      people.find(({ user }) => user === 'operator')!,
    );
    const [seller, buyer] = await Promise.all(
      ['stall-1', 'stall-2'].map(async (user) => {
        const page = await open({ ...PHONE, reducedMotion: 'reduce' });
        await page.locator('[name=user]').fill(`tenant-${user}`);
        await page.locator('[name=password]').fill(MARKET_PASSWORD);
        await page.getByTestId('log-in').getByRole('button', { name: 'Log in' }).click();
        // The last slot that is offered: gates close every few seconds here.
        const slots = page.locator('[name=order-slot]');
        await slots.waitFor();
        await slots.selectOption({ index: 47 });
        return page;
      }),
    );
    const order = async (page: Page, side: string, energy: string, price: string) => {
      await page.locator('[name=order-side]').selectOption(side);
      await page.locator('[name=order-energy]').fill(energy);
      await page.locator('[name=order-price]').fill(price);
      await page.getByRole('button', { name: 'Place order' }).click();
    };
    await expectText(seller!, 'panel-orders', /You have placed no order yet/);
    await seller!.locator('[name=order-energy]').fill('much');
    await expectText(seller!, 'order-words', /such as 0\.5/);
    expect(await seller!.getByRole('button', { name: 'Place order' }).isDisabled()).toBe(true);
    await order(seller!, 'ask', '0.9', '0.31');
    await expectText(seller!, 'order-said', /^Not placed\. The price lies outside the tariffs/);
    const slot = await seller!.locator('[name=order-slot]').inputValue();
    await order(seller!, 'ask', '0.9', '0.12');
    await expectText(seller!, 'order-said', /^Placed: waiting\.$/);
    await buyer!.locator('[name=order-slot]').selectOption(slot);
    await expectText(buyer!, 'order-book', /900\sWh|0\.9\skWh/);
    await order(buyer!, 'bid', '0.5', '0.20');
    await expectText(buyer!, 'order-said', /^Placed: traded in full\.$/);
    // The feed tells the seller, whose page reads its orders again.
    await expectText(seller!, 'order-list', /waiting, .* of .* traded/);
    await picture(seller!, 'orders');
    await expectAccessible(seller!);
    await seller!.getByRole('button', { name: /^Take back/ }).click();
    await expectText(seller!, 'order-list', /the rest taken back/);
    for (const page of [seller!, buyer!]) await page.context().close();
  }, 120_000);

  test('a lost connection is said, and the feed goes on without a gap', async () => {
    const page = await open();
    await logIn(page, 'hazel');
    await page.getByTestId('settlement').first().waitFor({ timeout: 60_000 });
    await page.context().setOffline(true);
    await page.getByTestId('offline').waitFor({ timeout: 60_000 });
    await page.context().setOffline(false);
    await page.getByTestId('offline').waitFor({ state: 'detached', timeout: 60_000 });
    await expectText(page, 'feed-status', /Live/);
    await page.context().close();
  }, 180_000);
});

function startStreet(dataDir: string): ChildProcess {
  const own = { DATA_DIR: dataDir, HTTP_PORT: '0', MQTT_PORT: '0', NODE_OPTIONS: '' };
  return spawn(process.execPath, ['scripts/run.mjs', 'start', '--seconds-per-slot', '4'], {
    cwd: ROOT,
    env: { ...process.env, ...SIMULATED, ...own },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

const MARKET_PASSWORD = 'a-stall-on-the-market';

/** A second street, whose orders trade the moment they come, with two households. */
async function foundMarket(url: string, { user, password }: Login): Promise<void> {
  const send = async (path: string, body: unknown, token?: string) => {
    const response = await fetch(`${url}/v1/${path}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as Record<string, string>;
    expect([path, response.ok, answer]).toEqual([path, true, answer]);
    return answer;
  };
  const { token } = await send('sessions', { user, password });
  const street = await fetch(`${url}/v1/microgrids/street`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { now } = (await street.json()) as { now: string };
  const microgrid = 'market-place';
  await send(
    'operator/microgrids',
    {
      microgrid,
      name: 'Market Place',
      currency: 'EUR',
      mechanism: 'continuous',
      creditLimitMicro: 5_000_000,
      // The hour that runs: slots from the morning on would all have to be closed first.
      startsAt: `${now.slice(0, 13)}:00:00Z`,
      tariff: { bands: [{ fromMinute: 0, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 80_000 }] },
    },
    token,
  );
  const stalls = ['stall-1', 'stall-2'];
  const members = stalls.map((household) => ({
    household,
    meters: [{ meter: `${household}-grid`, role: 'grid' }],
  }));
  await send(`operator/microgrids/${microgrid}/members`, { members }, token);
  for (const household of stalls) {
    const person = { person: `tenant-${household}`, name: 'A stall', password: MARKET_PASSWORD };
    const grants = [{ role: 'household', microgrid, household }];
    await send('operator/people', { ...person, grants }, token);
  }
}

/** Into the folder `PICTURES`, for people to look at. */
async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['PICTURES'];
  if (folder !== undefined) {
    await page.getByTestId('panel-orders').screenshot({ path: join(folder, `${name}.png`) });
  }
}

async function untilJson<T>(file: string, good: (value: T) => boolean = () => true): Promise<T> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const text = await readFile(file, 'utf8').catch(() => null);
    const value = text === null ? null : (JSON.parse(text) as T);
    if (value !== null && good(value)) return value;
    await sleep(250);
  }
  throw new Error(`${file} was not written`);
}

async function expectText(page: Page, testId: string, pattern: RegExp): Promise<void> {
  const element = page.getByTestId(testId);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (pattern.test(await element.innerText().catch(() => ''))) return;
    await sleep(100);
  }
  expect(await element.innerText()).toMatch(pattern);
}

/** WCAG 2.1 A and AA as axe-core judges them, contrast included. */
async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const violations = await page.evaluate(`axe
    .run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))`);
  expect(violations).toEqual([]);
}
