import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import mqtt from 'mqtt';
import { chromium, type Browser, type Page } from 'playwright-core';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { ClaimService } from '../../src/parties/claim.service.js';
import { JoiningService } from '../../src/parties/joining.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { PeopleService } from '../../src/parties/people.service.js';
import { SettlementService } from '../../src/settlement/settlement.service.js';
import { startService, type RunningService } from '../../src/service.js';
import { emptyDatabase } from '../support/database.js';
import { hasProgram } from '../support/require.js';
import { runCommand } from '../flow/program.js';

/**
 * A street on its first day, in a real browser on a running service: a meter is taken into use by its
 * operator, who tries what its device says and makes a code, and by its household, who claims it; money
 * moves faster than it is read; an auditor looks at it all.
 */

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => hasProgram(name));
const PASSWORD = 'correct horse battery';

(CHROMIUM ? describe : describe.skip)('the pages of a street on its first day', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let dataDir: string;
  let service: RunningService;
  let browser: Browser;
  let code: string;

  beforeAll(async () => {
    // Builds the pages, unless they are fresh.
    await runCommand(['start', '--help']);
    database = await emptyDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'claim-'));
    service = await startService(
      loadSettings({
        DATABASE_URL: database.url,
        DATA_DIR: dataDir,
        HTTP_PORT: '0',
        MQTT_PORT: '0',
        LOG_LEVEL: 'silent',
      }),
    );
    const sql = service.app.get(DatabaseService);
    const startsAt = new Date(Math.floor(Date.now() / 900_000) * 900_000).toISOString();
    await sql.transaction(async (tx) => {
      const parties = service.app.get(PartiesService);
      const band = {
        fromMinute: 0,
        retailMicroPerKwh: 300_000,
        feedInMicroPerKwh: 50_000,
        gridFeeMicroPerKwh: 0,
      };
      await parties.createMicrogrid(
        tx,
        {
          microgrid: 'street',
          name: 'Street',
          currency: 'EUR',
          startsAt,
          tariff: { bands: [band] },
        },
        'otto',
      );
      const meters = [{ meter: 'm1', role: 'grid' as const }];
      await parties.enrolMembers(
        tx,
        'street',
        { members: [{ household: 'h1', activeFrom: startsAt, meters }] },
        'otto',
      );
      const grants = [{ role: 'household' as const, microgrid: 'street', household: 'h1' }];
      const people = service.app.get(PeopleService);
      await people.createPerson(
        tx,
        { person: 'anna', name: 'Anna', password: PASSWORD, grants },
        COMMAND_LINE,
      );
      const audits = [{ role: 'auditor' as const, microgrid: 'street' }];
      await people.createPerson(
        tx,
        { person: 'ada', name: 'Ada', password: PASSWORD, grants: audits },
        COMMAND_LINE,
      );
      const operates = [{ role: 'operator' as const, microgrid: 'street' }];
      await people.createPerson(
        tx,
        { person: 'otto', name: 'Otto', password: PASSWORD, grants: operates },
        COMMAND_LINE,
      );
    });
    browser = await chromium.launch({
      executablePath: `/usr/bin/${CHROMIUM}`,
      args: ['--headless', '--no-sandbox', '--disable-gpu'],
    });
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    await service?.stop();
    await database?.drop();
    await rm(dataDir, { recursive: true });
  });

  test('an operator tries a message, sets the profile, makes a code, and listens', async () => {
    const page = await open('otto', { width: 360, height: 740 });
    const panel = page.getByTestId('panel-devices');
    await panel.locator('[name=device-profile]').selectOption('zigbee2mqtt');
    await panel.locator('[name=device-topic]').fill('zigbee2mqtt/plug');
    await panel.locator('[name=device-payload]').fill('{"energy":1.05,"power":"a lot"}');
    // By keyboard alone, from the payload over topic and encoding to the button.
    await panel.locator('[name=device-payload]').focus();
    for (let steps = 0; steps < 3; steps += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await panel.getByText('import 1050 Wh').waitFor();
    await panel.locator('[data-code=refused]').waitFor();
    expect(await faultsOf(page, '.panel-devices')).toEqual([]);
    await keepPicture(page, 'device-tried');
    await panel.locator('[name=device-mapping]').fill('{"invert"');
    await panel.getByText('This is not JSON yet').waitFor();
    expect(await page.getByTestId('device-try').isDisabled()).toBe(true);

    await panel.locator('[name=device-meter]').selectOption('m1');
    await page.getByTestId('device-save').waitFor();
    await panel.locator('[name=device-topic]').fill('shellies/em-1');
    await page.getByTestId('device-save').click();
    await panel.getByText('Not saved. A native meter has its own topic').waitFor();
    await panel.locator('[name=device-topic]').fill('');
    await page.getByTestId('device-save').click();
    await panel.getByText('Saved. m1 is read like this from now on.').waitFor();
    expect(await panel.locator('[name=device-topic]').inputValue()).toBe(
      'microgrids/street/meters/m1',
    );
    await page.getByTestId('device-make-code').click();
    code = await page.getByTestId('device-code').locator('strong').innerText();
    await page.getByTestId('device-listen').click();
    await panel.getByText('Nothing was heard yet').waitFor();
    expect(await faultsOf(page, '.panel-devices')).toEqual([]);
    await keepPicture(page, 'devices-narrow');
    await page.setViewportSize({ width: 1280, height: 900 });
    expect(await faultsOf(page, '.panel-devices')).toEqual([]);
    await keepPicture(page, 'devices');
    await page.close();
  }, 60_000);

  test('its household is shown its secret once, and its first reading as it comes', async () => {
    const page = await open('anna', { width: 1280, height: 900 });
    await page.getByTestId('claim-code').fill('11111-11111');
    await page.getByTestId('claim').click();
    await page.getByText('This code is not of this meter').waitFor();
    await page.getByTestId('claim-code').fill(code.toLowerCase());
    await page.getByTestId('claim').click();
    await page.getByTestId('claim-secret').waitFor();
    await page.getByText('Waiting for the first reading of m1.').waitFor();
    expect(await faultsOf(page, '.panel-claim')).toEqual([]);
    await keepPicture(page, 'claim');
    const [username, password] = await page
      .getByTestId('claim-secret')
      .locator('strong')
      .allInnerTexts();
    const meter = await mqtt.connectAsync(`mqtt://127.0.0.1:${service.mqttPort}`, {
      username: username!,
      password: password!,
    });
    const reading = JSON.stringify({ readAt: new Date().toISOString(), importWh: 1_234 });
    await meter.publishAsync('microgrids/street/meters/m1/readings', reading, { qos: 1 });
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await meter.endAsync();
    await page.getByText('The first reading of m1 has come').waitFor({ timeout: 10_000 });
    // The feed told the page; it never asked on its own.
    expect(asked.filter((path) => path === '/v1/households/h1/meters').length).toBeLessThan(3);
    await page.close();
  }, 120_000);

  test('a meter that is claimed once more is waited for anew, whatever was read before', async () => {
    const claims = service.app.get(ClaimService);
    const sql = service.app.get(DatabaseService);
    const made = await sql.transaction((tx) => claims.makeCode(tx, 'street', 'm1', 'otto'));
    const claimant = { meterId: 'm1', householdId: 'h1', by: 'anna', address: 'test' };
    const { username, secret } = await claims.claim(claimant, { code: made.code });
    const page = await open('anna', { width: 1280, height: 900 });
    await page.getByText('Waiting for the first reading of m1.').waitFor();
    const meter = await mqtt.connectAsync(`mqtt://127.0.0.1:${service.mqttPort}`, {
      username,
      password: secret,
    });
    const reading = JSON.stringify({ readAt: new Date().toISOString(), importWh: 1_235 });
    await meter.publishAsync('microgrids/street/meters/m1/readings', reading, { qos: 1 });
    await meter.endAsync();
    await page.getByText('The first reading of m1 has come').waitFor({ timeout: 10_000 });
    await page.close();
  }, 60_000);

  test('money that moves faster than it is read is shown while it moves', async () => {
    const page = await open('anna', { width: 1280, height: 900 });
    const shown = page.getByTestId('available').locator('data');
    await shown.waitFor();
    let [running, mostAtOnce, answered] = [0, 0, 0];
    await page.route('**/v1/households/h1/balances', async (route) => {
      running += 1;
      mostAtOnce = Math.max(mostAtOnce, running);
      await sleep(700);
      running -= 1;
      answered += 1;
      await route.continue().catch(() => undefined);
    });
    const settlement = service.app.get(SettlementService);
    const sql = service.app.get(DatabaseService);
    const parties = service.app.get(PartiesService);
    const microgrid = (await parties.microgrid(sql, 'street'))!;
    const household = (await parties.householdOf(sql, 'h1'))!;
    const seen = new Set<string | null>();
    for (let paid = 1; paid <= 10; paid += 1) {
      const request = { direction: 'deposit' as const, amountMicro: 1_000_000 };
      await settlement.deposit(microgrid, household, { ...request, reference: `storm ${paid}` });
      await sleep(250);
      seen.add(await shown.getAttribute('value'));
    }
    expect(seen.size).toBeGreaterThan(2);
    await page.waitForFunction(
      `document.querySelector('[data-testid=available] data').value === '10000000'`,
    );
    expect(mostAtOnce).toBe(1);
    expect(answered).toBeLessThan(8);
    await page.close();
  }, 60_000);

  test('an auditor is shown the log, the sums, the books and who looked, and nothing interrupted', async () => {
    const refused: string[] = [];
    const page = await open('ada', { width: 1280, height: 900 });
    page.on('response', (response) => {
      if (response.status() === 403) refused.push(response.url());
    });
    await page.getByText('You check the books of this microgrid').waitFor();
    await page.getByTestId('panel-log').getByText('--microgrid street').waitFor();
    const money = page.getByTestId('books').getByRole('row').filter({ hasText: 'EUR' });
    await money.first().waitFor();
    expect(await page.getByTestId('books').innerText()).not.toContain('household/');
    await page.getByText('Nobody has asked for anything yet.').waitFor();
    await page.getByRole('button', { name: 'Show the days' }).click();
    // The look is in the log that the households read, and nobody looked before it was asked for.
    await page.getByTestId('looks').getByText('manifests').waitFor();
    expect(await page.getByTestId('looks').getByRole('row').count()).toBe(2);
    expect(await page.getByTestId('feed-status').count()).toBe(0);
    expect(await page.getByTestId('offline').count()).toBe(0);
    expect(refused).toEqual([]);
    expect(await faultsOf(page, 'main')).toEqual([]);
    await keepPicture(page, 'auditor');
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await keepPicture(page, 'auditor-narrow');
    await page.close();
  }, 60_000);

  test('who was invited joins on the page, and sets a new password there when it is forgotten', async () => {
    const joining = service.app.get(JoiningService);
    const sql = service.app.get(DatabaseService);
    const page = await browser.newPage({
      bypassCSP: true,
      viewport: { width: 360, height: 740 },
    });
    page.setDefaultTimeout(15_000);
    const arrive = () => page.goto(`http://127.0.0.1:${service.httpPort}/`);
    const { token } = await sql.transaction((tx) => joining.invite(tx, 'street', 'h1', {}, 'otto'));
    await arrive();
    await page.getByText('I was invited').click();
    await page.fill('[name=token]', `${token}x`);
    await page.fill('[name=name]', 'Ben Elm');
    await page.fill('[name=user]', 'ben');
    await page.fill('[name=password]', `${PASSWORD} `);
    await page.keyboard.press('Enter');
    await page.getByText('This token is unknown, used or out of date').waitFor();
    expect(await faultsOf(page, 'main')).toEqual([]);
    await keepPicture(page, 'join');
    await page.fill('[name=token]', ` ${token}`);
    await page.keyboard.press('Enter');
    await page.getByTestId('panel-limits').waitFor();
    await page.getByTestId('log-out').click();

    const reset = await sql.transaction((tx) => joining.issueReset(tx, 'ben', COMMAND_LINE));
    await page.getByText('I have forgotten my password').click();
    await page.fill('[name=token]', reset.token);
    await page.fill('[name=password]', ' another horse battery ');
    await page.keyboard.press('Enter');
    await page.getByText('Your new password is set. Log in with it.').waitFor();
    await page.fill('[name=user]', 'ben');
    // Blanks count where they were chosen, and not where they came along with a copy.
    await page.fill('[name=password]', ' another horse battery ');
    await page.keyboard.press('Enter');
    await page.getByTestId('panel-limits').waitFor();
    await page.getByTestId('log-out').click();
    await page.fill('[name=user]', 'anna');
    await page.fill('[name=password]', `${PASSWORD} `);
    await page.keyboard.press('Enter');
    await page.getByTestId('panel-limits').waitFor();
    await page.close();
  }, 60_000);

  async function open(user: string, viewport: { width: number; height: number }): Promise<Page> {
    const page = await browser.newPage({ bypassCSP: true, viewport });
    await page.goto(`http://127.0.0.1:${service.httpPort}/`);
    await page.fill('input[name=user]', user);
    await page.fill('input[name=password]', PASSWORD);
    await page.keyboard.press('Enter');
    page.setDefaultTimeout(15_000);
    return page;
  }
});

/** What axe-core finds wrong with a part of the page. */
async function faultsOf(page: Page, part: string): Promise<unknown> {
  await page.addScriptTag({ path: AXE });
  return page.evaluate(
    `axe.run('${part}').then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))`,
  );
}

async function keepPicture(page: Page, name: string): Promise<void> {
  const folder = process.env['PICTURES'];
  if (folder !== undefined) {
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  }
}
