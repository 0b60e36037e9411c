import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { may } from './access.js';
import { Allow, CurrentCaller } from './access.decorator.js';
import type { Caller } from './access.decorator.js';
import { DeviceService } from './device.service.js';
import { ENROLMENT, MEMBER } from './enrolment.js';
import type { EnrolmentRequest } from './enrolment.js';
import { FOUNDING, TARIFF } from './founding.js';
import type { FoundingRequest, TariffRequest } from './founding.js';
import { JoiningService } from './joining.service.js';
import { MarketClockService } from './market-clock.service.js';
import type { Microgrid } from './microgrid.js';
import { NETWORK, type NetworkRequest } from './network.js';
import { bodyOf } from './openapi.js';
import { pageOf, parsePage } from './page.js';
import { instant, parse } from './parse.js';
import { INVITATION } from './people.js';
import type { InvitationRequest } from './people.js';
import { PartiesService } from './parties.service.js';

const MOVE_OUT = z.strictObject({ at: instant });
type Member = NonNullable<EnrolmentRequest['members']>[number];

/** What operators do with microgrids, members, tariffs and devices. Secrets are shown once. */
@ApiTags('operator')
@ApiBearerAuth()
@Controller('v1/operator/microgrids')
export class OperatorController {
  constructor(
    private readonly database: DatabaseService,
    private readonly clock: MarketClockService,
    private readonly parties: PartiesService,
    private readonly joining: JoiningService,
    private readonly devices: DeviceService,
  ) {}

  @Get()
  @Allow('operator.list')
  @ApiOperation({ summary: 'The microgrids the caller operates.' })
  async microgrids(@CurrentCaller() caller: Caller) {
    const now = await this.clock.now();
    const all = await this.parties.microgrids(this.database);
    const items = all.filter(({ microgridId }) =>
      may(caller.grants, 'operator.read', { microgrid: microgridId }, now),
    );
    return { items: items.map(shownMicrogrid), next: null };
  }

  @Post()
  @Allow('microgrid.create')
  @ApiOperation({ summary: 'A new microgrid with its first tariff.' })
  @ApiBody(bodyOf(FOUNDING))
  async create(@Body() body: FoundingRequest, @CurrentCaller() caller: Caller) {
    const created = await this.database.transaction((sql) =>
      this.parties.createMicrogrid(sql, body, caller.personId),
    );
    return shownMicrogrid(created);
  }

  @Get(':microgrid/members')
  @Allow('operator.read')
  @ApiOperation({ summary: 'Households with their meters, by id; also those that moved out.' })
  async members(@Param('microgrid') microgridId: string, @Query() query: unknown) {
    const { limit, after } = parsePage(query);
    const sql = this.database;
    const households = await this.parties.householdsAfter(sql, microgridId, after ?? '', limit + 1);
    const ids = households.map((one) => one.householdId);
    const meters = await this.parties.metersOf(sql, microgridId, ids);
    return pageOf(
      households,
      limit,
      (one) => one.householdId,
      ({ householdId, microgridId: _microgrid, ...one }) => ({
        household: householdId,
        ...one,
        meters: meters
          .filter((meter) => meter.householdId === householdId)
          .map(({ meterId, role, usableWh, gatewayId, activeFrom, activeUntil }) => ({
            meter: meterId,
            role,
            usableWh,
            gateway: gatewayId,
            activeFrom,
            activeUntil,
          })),
      }),
    );
  }

  @Post(':microgrid/members')
  @Allow('operator.write')
  @ApiOperation({ summary: 'Enrol members, meters and gateways: all of them or none.' })
  @ApiBody(bodyOf(ENROLMENT))
  async enrol(
    @Param('microgrid') microgridId: string,
    @Body() body: EnrolmentRequest,
    @CurrentCaller() caller: Caller,
  ) {
    const items = await this.database.transaction((sql) =>
      this.parties.enrolMembers(sql, microgridId, body, caller.personId),
    );
    return { items, next: null };
  }

  @Post(':microgrid/tariffs')
  @Allow('operator.write')
  @ApiOperation({ summary: 'A version of the tariff from a coming slot on; never retroactive.' })
  @ApiBody(bodyOf(TARIFF))
  async addTariff(@Param('microgrid') microgridId: string, @Body() body: TariffRequest) {
    return this.database.transaction((sql) => this.parties.addTariff(sql, microgridId, body));
  }

  @Get(':microgrid/tariffs')
  @Allow('operator.read')
  @ApiOperation({ summary: 'All versions of the tariff, in order.' })
  async tariffs(@Param('microgrid') microgridId: string) {
    const items = await this.parties.tariffsBetween(this.database, microgridId, FIRST, LAST);
    return { items, next: null };
  }

  @Post(':microgrid/networks')
  @Allow('operator.write')
  @ApiOperation({ summary: 'The wires from a coming slot on: a tree with fees and capacities.' })
  @ApiBody(bodyOf(NETWORK))
  async addNetwork(
    @Param('microgrid') microgridId: string,
    @Body() body: NetworkRequest,
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.parties.addNetwork(sql, microgridId, body, caller.personId),
    );
  }

  @Get(':microgrid/networks')
  @Allow('operator.read')
  @ApiOperation({ summary: 'All versions of the network, in order.' })
  async networks(@Param('microgrid') microgridId: string) {
    const items = await this.parties.networksBetween(this.database, microgridId, FIRST, LAST);
    return { items, next: null };
  }

  @Post(':microgrid/move-ins')
  @Allow('operator.write')
  @ApiOperation({ summary: 'A new household from a slot border on, and an invitation to it.' })
  @ApiBody(bodyOf(MEMBER))
  async moveIn(
    @Param('microgrid') microgridId: string,
    @Body() body: Member,
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.joining.moveIn(sql, microgridId, parse(MEMBER, body), caller.personId),
    );
  }

  @Post(':microgrid/households/:household/move-out')
  @Allow('operator.write')
  @HttpCode(200)
  @ApiOperation({ summary: 'End a household, its meters, grants and devices at a slot border.' })
  @ApiBody(bodyOf(MOVE_OUT))
  async moveOut(
    @Param('microgrid') microgridId: string,
    @Param('household') householdId: string,
    @Body() body: unknown,
    @CurrentCaller() caller: Caller,
  ) {
    const { at } = parse(MOVE_OUT, body);
    const { meters } = await this.database.transaction((sql) =>
      this.parties.moveOut(sql, microgridId, householdId, at, caller.personId),
    );
    return { household: householdId, activeUntil: at, meters };
  }

  @Post(':microgrid/households/:household/invitations')
  @Allow('operator.write')
  @ApiOperation({ summary: 'A token by which somebody new joins the household; good for 7 days.' })
  @ApiBody(bodyOf(INVITATION))
  async invite(
    @Param('microgrid') microgridId: string,
    @Param('household') householdId: string,
    @Body() body: InvitationRequest | undefined,
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.joining.invite(sql, microgridId, householdId, body ?? {}, caller.personId),
    );
  }

  @Post(':microgrid/devices/:device/secret')
  @Allow('operator.write')
  @ApiOperation({ summary: 'A new secret for a meter, gateway or household device.' })
  async rotateSecret(
    @Param('microgrid') microgridId: string,
    @Param('device') username: string,
    @CurrentCaller() caller: Caller,
  ) {
    return this.database.transaction((sql) =>
      this.devices.rotateSecret(sql, microgridId, username, caller.personId),
    );
  }

  @Delete(':microgrid/devices/:device/secret')
  @Allow('operator.write')
  @HttpCode(204)
  @ApiOperation({ summary: "End a device's access at once." })
  async revoke(
    @Param('microgrid') microgridId: string,
    @Param('device') username: string,
    @CurrentCaller() caller: Caller,
  ): Promise<void> {
    await this.database.transaction((sql) =>
      this.devices.revoke(sql, microgridId, username, caller.personId),
    );
  }
}

const FIRST = '1970-01-01T00:00:00Z';
const LAST = '9999-12-31T00:00:00Z';

function shownMicrogrid({ microgridId, ...rest }: Microgrid) {
  return { microgrid: microgridId, ...rest };
}
