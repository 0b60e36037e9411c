import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { SETTINGS, type Settings } from './config.js';
import { Public } from './parties/access.decorator.js';
import { Problem } from './units/problem.js';

const LOGINS_FILE = 'demo-logins.json';

const LOGINS = z.object({
  people: z.array(
    z.object({ user: z.string(), role: z.string(), household: z.string().optional() }),
  ),
});

/** Whom a visitor of the demo may log in as. Names only: passwords stay in the operator's file. */
@ApiTags('operations')
@Controller('v1/demo')
export class DemoController {
  constructor(@Inject(SETTINGS) private readonly settings: Settings) {}

  @Get()
  @Public()
  @ApiOperation({ summary: 'The people of the simulated street; 404 outside of a demo' })
  async people() {
    if (this.settings.marketClock === 'simulated') {
      const file = join(this.settings.dataDir, LOGINS_FILE);
      const text = await readFile(file, 'utf8').catch(() => null);
      const logins = text === null ? null : LOGINS.safeParse(JSON.parse(text));
      // zod keeps only the fields named above: the passwords are not among them.
      if (logins?.success) return { ...logins.data, file: LOGINS_FILE };
    }
    throw new Problem(404, 'no_demo', 'This service runs no demo. Log in with your own name.');
  }
}
