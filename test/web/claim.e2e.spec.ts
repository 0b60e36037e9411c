import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import mqtt from 'mqtt';
import { chromium, type Browser } from 'playwright-core';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { ClaimService } from '../../src/parties/claim.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { PeopleService } from '../../src/parties/people.service.js';
import { startService, type RunningService } from '../../src/service.js';
import { emptyDatabase } from '../support/database.js';
import { projectPath } from '../support/project.js';
import { hasProgram } from '../support/require.js';
import { runCommand } from '../flow/program.js';

/** A household takes its meter into use on its page, in a real browser, on a running service. */

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => hasProgram(name));
const PASSWORD = 'correct horse battery';

(CHROMIUM ? describe : describe.skip)('the page of a household with a new meter', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let dataDir: string;
  let service: RunningService;
  let browser: Browser;
  let code: string;

  beforeAll(async () => {
    // Builds the pages, unless they are fresh.
    await readFile(projectPath('web/dist/index.html')).catch(() => runCommand(['start', '--help']));
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
      await service.app
        .get(PeopleService)
        .createPerson(
          tx,
          { person: 'anna', name: 'Anna', password: PASSWORD, grants },
          COMMAND_LINE,
        );
    });
    const claims = service.app.get(ClaimService);
    ({ code } = await sql.transaction((tx) => claims.makeCode(tx, 'street', 'm1', 'otto')));
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

  test('shows its secret once, and its first reading as it comes', async () => {
    const page = await browser.newPage({ bypassCSP: true, viewport: { width: 1280, height: 900 } });
    await page.goto(`http://127.0.0.1:${service.httpPort}/`);
    await page.fill('input[name=user]', 'anna');
    await page.fill('input[name=password]', PASSWORD);
    await page.keyboard.press('Enter');
    page.setDefaultTimeout(15_000);
    await page.getByTestId('claim-code').fill('11111-11111');
    await page.getByTestId('claim').click();
    await page.getByText('This code is not of this meter').waitFor();
    await page.getByTestId('claim-code').fill(code.toLowerCase());
    await page.getByTestId('claim').click();
    await page.getByTestId('claim-secret').waitFor();
    await page.getByText('Waiting for its first reading.').waitFor();
    await page.addScriptTag({ path: AXE });
    const violations = await page.evaluate(
      `axe.run('.panel-claim').then(({ violations }) => violations.map(({ id }) => id))`,
    );
    expect(violations).toEqual([]);
    if (process.env['PICTURES'] !== undefined) {
      await page.screenshot({ path: join(process.env['PICTURES'], 'claim.png') });
    }
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
    await meter.endAsync();
    await page.getByText('Its first reading has come').waitFor({ timeout: 60_000 });
  }, 120_000);
});
