import { Body, Controller, Delete, Get, HttpCode, Post, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { z } from 'zod';
import { Allow, CurrentCaller, Public } from './access.decorator.js';
import type { Caller } from './access.decorator.js';
import { bodyOf } from './openapi.js';
import { parse } from './parse.js';
import { SessionService } from './session.service.js';
import type { IssuedSession } from './session.service.js';

const LOGIN = z.strictObject({ user: z.string().min(1).max(64), password: z.string().max(200) });
const REFRESH = z.strictObject({ refreshToken: z.string().max(100) });

/** Log-in, refresh, log-out, and who is signed in. */
@ApiTags('sessions')
@Controller('v1/sessions')
export class SessionController {
  constructor(private readonly sessions: SessionService) {}

  @Post()
  @Public()
  @HttpCode(201)
  @ApiOperation({
    summary: 'Log in. 401 for a wrong user or password, 429 after too many of them.',
  })
  @ApiBody(bodyOf(LOGIN))
  async logIn(@Body() body: unknown, @Req() request: Request): Promise<IssuedSession> {
    const { user, password } = parse(LOGIN, body);
    return this.sessions.logIn(user, password, request.ip ?? 'unknown');
  }

  @Post('refresh')
  @Public()
  @HttpCode(200)
  @ApiOperation({ summary: 'New tokens for a refresh token, which is good once.' })
  @ApiBody(bodyOf(REFRESH))
  async refresh(@Body() body: unknown): Promise<IssuedSession> {
    return this.sessions.refresh(parse(REFRESH, body).refreshToken);
  }

  @Delete()
  @Allow('self')
  @HttpCode(204)
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Log out: both tokens of this session end.' })
  async logOut(@CurrentCaller() caller: Caller): Promise<void> {
    await this.sessions.logOut(caller.sessionId);
  }

  @Get('current')
  @Allow('self')
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Who is signed in, and what they are granted.' })
  async current(@CurrentCaller() caller: Caller) {
    return {
      person: caller.personId,
      name: await this.sessions.nameOf(caller.personId),
      mustChangePassword: caller.mustChangePassword,
      grants: caller.grants.map((grant) => ({
        role: grant.role,
        microgrid: grant.microgridId,
        household: grant.householdId,
        validFrom: grant.validFrom,
        validUntil: grant.validUntil,
      })),
      expiresAt: caller.expiresAt,
    };
  }
}
