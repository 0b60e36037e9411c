import { Controller, Get, Header, Param, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { DatabaseService } from '../database/database.service.js';
import { Public } from '../parties/access.decorator.js';
import { ident, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { MalformedError, fromUtf8 } from '../transparency/bytes.js';
import { parseTilePath } from '../transparency/tile.js';
import { formatPolicy } from '../transparency/tlog-policy.js';
import { Problem } from '../units/problem.js';
import { LogService } from './log.service.js';

const TEXT = 'text/plain; charset=utf-8';
const BRIEFLY = 'public, max-age=5';
const FOREVER = 'public, max-age=31536000, immutable';

/** The log of a microgrid as C2SP tlog-tiles: commitments only, open to everyone. */
@ApiTags('log')
@Controller('log/:microgrid')
export class LogController {
  constructor(
    private readonly database: DatabaseService,
    private readonly log: LogService,
    private readonly parties: PartiesService,
  ) {}

  @Get('checkpoint')
  @Public()
  @Header('content-type', TEXT)
  @Header('cache-control', BRIEFLY)
  @ApiOperation({
    summary: 'The latest published checkpoint, cosigned by witnesses (C2SP tlog-checkpoint)',
  })
  async checkpoint(@Param('microgrid') microgrid: string): Promise<string> {
    const checkpoint = await this.log.latestPublished(this.database, parse(ident, microgrid));
    if (!checkpoint) throw noLog(microgrid);
    return checkpoint.note;
  }

  @Get('vkey')
  @Public()
  @Header('content-type', TEXT)
  @ApiOperation({ summary: "The log's verifier key (C2SP signed-note vkey)" })
  async verifierKey(@Param('microgrid') microgrid: string): Promise<string> {
    await this.assertExists(microgrid);
    return `${this.log.verifierKey(microgrid)}\n`;
  }

  @Get('policy')
  @Public()
  @Header('content-type', TEXT)
  @ApiOperation({ summary: 'Whose signatures make a checkpoint good (C2SP tlog-policy)' })
  async policy(@Param('microgrid') microgrid: string): Promise<string> {
    await this.assertExists(microgrid);
    return fromUtf8(formatPolicy(this.log.policy(microgrid)));
  }

  @Get('tile/*path')
  @Public()
  @ApiOperation({ summary: 'A tile of hashes or a bundle of entries (C2SP tlog-tiles)' })
  async tile(
    @Param('microgrid') microgrid: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const path = readTilePath(request.path.slice(request.path.indexOf('/tile/') + 1));
    const bytes = path && (await this.log.readTile(this.database, parse(ident, microgrid), path));
    if (!bytes) {
      throw new Problem(404, 'no_such_tile', 'The log has no tile of this name and width yet.');
    }
    response.type('application/octet-stream').setHeader('cache-control', FOREVER).end(bytes);
  }

  private async assertExists(microgrid: string): Promise<void> {
    if (!(await this.parties.microgrid(this.database, parse(ident, microgrid)))) {
      throw noLog(microgrid);
    }
  }
}

function readTilePath(text: string) {
  try {
    return parseTilePath(text);
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

function noLog(microgrid: string): Problem {
  return new Problem(404, 'no_such_log', `There is no log of a microgrid ${microgrid}.`);
}
