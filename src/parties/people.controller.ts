import { Body, Controller, HttpCode, Post, Req } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request } from 'express';
import { Allow, CurrentCaller, Public } from './access.decorator.js';
import type { Caller } from './access.decorator.js';
import { JoiningService } from './joining.service.js';
import { bodyOf } from './openapi.js';
import { ACCEPTANCE, PASSWORD_CHANGE, PASSWORD_RESET } from './people.js';
import type { AcceptanceRequest, PasswordChangeRequest, PasswordResetRequest } from './people.js';

/** What people do for themselves: accept an invitation, set a password. */
@ApiTags('people')
@Controller('v1')
export class PeopleController {
  constructor(private readonly joining: JoiningService) {}

  @Post('invitations/accept')
  @Public()
  @ApiOperation({ summary: 'Join a household by the token of an invitation, which is good once.' })
  @ApiBody(bodyOf(ACCEPTANCE))
  async accept(@Body() body: AcceptanceRequest) {
    return this.joining.acceptInvitation(body);
  }

  @Post('password-resets')
  @Public()
  @HttpCode(204)
  @ApiOperation({ summary: 'Set a new password by a reset token; every session ends.' })
  @ApiBody(bodyOf(PASSWORD_RESET))
  async reset(@Body() body: PasswordResetRequest): Promise<void> {
    await this.joining.resetPassword(body);
  }

  @Post('people/me/password')
  @Allow('self')
  @HttpCode(204)
  @ApiBearerAuth()
  @ApiOperation({ summary: 'Change the own password; every other session ends.' })
  @ApiBody(bodyOf(PASSWORD_CHANGE))
  async change(
    @Body() body: PasswordChangeRequest,
    @CurrentCaller() caller: Caller,
    @Req() request: Request,
  ): Promise<void> {
    await this.joining.changePassword(caller, body, request.ip ?? 'unknown');
  }
}
