import { Body, Controller, Get, HttpCode, Param, Post, Put } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller } from '../parties/access.decorator.js';
import type { Caller } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { ownTopic, PROFILE, PROFILE_NAMES, profileFacts } from '../parties/meter-profile.js';
import type { MeterProfile, RequestedProfile } from '../parties/meter-profile.js';
import { MeterProfileService } from '../parties/meter-profile.service.js';
import { bodyOf } from '../parties/openapi.js';
import { ident, instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { parseInstant } from '../units/slot.js';
import { DeviceIntakeService } from './device-intake.service.js';
import { shownMessage } from './device-watch.js';
import { MeterTest } from './meter-test.js';
import { MAPPING } from './profiles/mapping.js';
import { PROFILES } from './profiles/profile.js';

const PATH = z.object({ microgrid: ident, meter: ident });
/** What of a request the profiles understand; the rest is checked by parties. */
const MAPPED = z.object({ mapping: MAPPING.nullish() });
const MICROGRID = z.object({ microgrid: ident });

/** Payloads that an operator tries out: what would be read from them, and what is wrong. */
const TRIAL = z.strictObject({
  profile: z.enum(PROFILE_NAMES),
  topic: z.string().min(1).max(512),
  mapping: MAPPING.nullish(),
  role: z.enum(['grid', 'generation', 'storage']).nullish(),
  messages: z
    .array(
      z.strictObject({
        /** By default the topic of the trial. */
        topic: z.string().min(1).max(512).nullish(),
        payload: z.string().max(65_536),
        encoding: z.enum(['utf8', 'hex', 'base64']).default('utf8'),
        retained: z.boolean().default(false),
        receivedAt: instant.nullish(),
      }),
    )
    .min(1)
    .max(200, 'must have at most 200 messages'),
});
type TrialRequest = z.input<typeof TRIAL>;

/** How meters' devices speak, and what is heard of them. */
@ApiTags('operator')
@ApiBearerAuth()
@ApiParam({ name: 'microgrid' })
@Controller('v1/operator/microgrids/:microgrid')
export class DeviceController {
  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly parties: PartiesService,
    private readonly profiles: MeterProfileService,
    private readonly devices: DeviceIntakeService,
  ) {}

  @Get('meters/:meter/profile')
  @Allow('operator.read')
  @ApiParam({ name: 'meter' })
  @ApiOperation({ summary: "How the meter's device speaks" })
  async profile(@Param() params: unknown) {
    const { microgrid, meter } = parse(PATH, params);
    const { profile } = await this.device(microgrid, meter);
    return shownProfile(microgrid, meter, profile);
  }

  @Put('meters/:meter/profile')
  @Allow('operator.write')
  @ApiParam({ name: 'meter' })
  @ApiOperation({ summary: "Say how the meter's device speaks from now on" })
  @ApiBody(bodyOf(PROFILE))
  async setProfile(
    @Param() params: unknown,
    @Body() body: RequestedProfile,
    @CurrentCaller() caller: Caller,
  ) {
    const { microgrid, meter } = parse(PATH, params);
    parse(MAPPED, body);
    const profile = await this.database.transaction((sql) =>
      this.profiles.set(sql, microgrid, meter, body, caller.personId),
    );
    await this.devices.changed(meter);
    return shownProfile(microgrid, meter, profile);
  }

  @Get('meters/:meter/heard')
  @Allow('operator.read')
  @ApiParam({ name: 'meter' })
  @ApiOperation({
    summary: "Listen to the meter's device from the first call on: what was heard since",
    description:
      'In memory of the instance that is asked, which hears what its own broker brings; two minutes after the last call it is forgotten.',
  })
  async heard(@Param() params: unknown) {
    const { microgrid, meter } = parse(PATH, params);
    const { role, profile } = await this.device(microgrid, meter);
    const topic = profile?.topic ?? ownTopic({ microgridId: microgrid, meterId: meter });
    return this.devices.watch(meter, { topic, profile: profile?.profile ?? 'native', role });
  }

  @Post('device-trials')
  @Allow('operator.read')
  @HttpCode(200)
  @ApiOperation({
    summary: 'What would be read from these payloads, and what is wrong; keeps nothing',
  })
  @ApiBody(bodyOf(TRIAL))
  async trial(@Param() params: unknown, @Body() body: TrialRequest) {
    const { microgrid } = parse(MICROGRID, params);
    const { profile, topic, mapping, role, messages } = parse(TRIAL, body);
    const known = await this.parties.microgrid(this.database, microgrid);
    const timeZone = known?.timeZone ?? 'UTC';
    const session = PROFILES[profile].open({ mapping: mapping ?? {}, timeZone });
    const nowMillis = parseInstant(await this.clock.now());
    const test = new MeterTest();
    const heard = messages.map(({ payload, encoding, retained, ...one }) => {
      const message = {
        topic: one.topic ?? topic,
        payload: Buffer.from(payload, encoding),
        retained,
        receivedAtMillis: one.receivedAt ? parseInstant(one.receivedAt) : nowMillis,
      };
      const output = session.take(message);
      test.take(message, output);
      return shownMessage(message, output);
    });
    const report = test.report({ topic, profile, seconds: 0, role: role ?? undefined });
    return { report, messages: heard.reverse() };
  }

  /** @throws Problem 404 for no such meter */
  private async device(microgridId: string, meterId: string) {
    const [meter] = await this.parties.metersById(this.database, microgridId, [meterId]);
    if (!meter) {
      throw new Problem(404, 'unknown_meter', `There is no meter ${meterId} in ${microgridId}.`);
    }
    const profiles = await this.profiles.of(this.database, microgridId, [meterId]);
    return { role: meter.role, profile: profiles.get(meterId) ?? null };
  }
}

function shownProfile(microgridId: string, meterId: string, profile: MeterProfile | null) {
  const topic = ownTopic({ microgridId, meterId });
  return { meter: meterId, topic, mapping: null, ...profileFacts(profile) };
}
