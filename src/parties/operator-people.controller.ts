import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller } from './access.decorator.js';
import type { Caller } from './access.decorator.js';
import { JoiningService } from './joining.service.js';
import { bodyOf } from './openapi.js';
import { pageOf, parsePage } from './page.js';
import { GRANT, GRANT_END, PERSON } from './people.js';
import type { GrantEnd, GrantRequest, PersonRequest } from './people.js';
import { PeopleService } from './people.service.js';

/** What operators do with people; the service refuses what their own grants do not cover. */
@ApiTags('operator')
@ApiBearerAuth()
@Controller('v1/operator')
export class OperatorPeopleController {
  constructor(
    private readonly database: DatabaseService,
    private readonly people: PeopleService,
    private readonly joining: JoiningService,
  ) {}

  @Get('microgrids/:microgrid/people')
  @Allow('operator.read')
  @ApiOperation({ summary: 'Who is granted what in the microgrid.' })
  async peopleOf(@Param('microgrid') microgridId: string, @Query() query: unknown) {
    const { limit, after } = parsePage(query);
    const rows = await this.people.grantsIn(this.database, microgridId, after ?? '', limit + 1);
    return pageOf(
      rows,
      limit,
      (row) => `${row.person}/${row.grantId}`,
      ({ grantId: _grantId, ...row }) => row,
    );
  }

  @Post('people')
  @Allow('people.manage')
  @ApiOperation({ summary: 'A new person; without a password they get a one-time password.' })
  @ApiBody(bodyOf(PERSON))
  async create(@Body() body: PersonRequest, @CurrentCaller() caller: Caller) {
    return this.database.transaction((sql) => this.people.createPerson(sql, body, caller));
  }

  @Delete('people/:person')
  @Allow('people.manage')
  @HttpCode(204)
  @ApiOperation({ summary: "End a person's access for good." })
  async disable(@Param('person') person: string, @CurrentCaller() caller: Caller): Promise<void> {
    await this.database.transaction((sql) => this.people.disable(sql, person, caller));
  }

  @Post('people/:person/grants')
  @Allow('people.manage')
  @ApiOperation({ summary: 'A further grant.' })
  @ApiBody(bodyOf(GRANT))
  async grant(
    @Param('person') person: string,
    @Body() body: GrantRequest,
    @CurrentCaller() caller: Caller,
  ) {
    const granted = await this.database.transaction((sql) =>
      this.people.addGrant(sql, person, body, caller),
    );
    const { role, microgridId, householdId, validFrom } = granted;
    return { person, role, microgrid: microgridId, household: householdId, validFrom };
  }

  @Post('people/:person/grants/end')
  @Allow('people.manage')
  @HttpCode(204)
  @ApiOperation({ summary: 'End a grant at a slot border.' })
  @ApiBody(bodyOf(GRANT_END))
  async endGrant(
    @Param('person') person: string,
    @Body() body: GrantEnd,
    @CurrentCaller() caller: Caller,
  ): Promise<void> {
    await this.database.transaction((sql) => this.people.endGrant(sql, person, body, caller));
  }

  @Post('people/:person/password-reset')
  @Allow('people.manage')
  @ApiOperation({ summary: 'A token by which the person sets a new password; good for a day.' })
  async reset(@Param('person') person: string, @CurrentCaller() caller: Caller) {
    const issued = await this.database.transaction((sql) =>
      this.joining.issueReset(sql, person, caller),
    );
    return { person, ...issued };
  }
}
