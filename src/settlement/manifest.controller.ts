import { Controller, Get, Header, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Public } from '../parties/access.decorator.js';
import { ident, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { Problem } from '../units/problem.js';
import { ManifestService, type ManifestList } from './manifest.service.js';

/** Where in the list to go on, and how much of it. */
export const MANIFEST_PAGE = z.object({
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  limit: z.coerce.number().int().min(1).max(100).default(100),
});

/** What a microgrid's manifests open to everyone. */
@ApiTags('log')
@Controller('log/:microgrid/manifests')
export class ManifestController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly manifests: ManifestService,
  ) {}

  @Get()
  @Public()
  @Header('cache-control', 'public, max-age=60')
  @ApiOperation({
    summary: 'Supply of energy tokens over days, opened once it tells of nobody, with proofs',
    description:
      'Each record is a manifest of the journal: the opened windows with their salts, the entry of the log, and a C2SP tlog-proof. The windows of a token follow one another without a gap; `after` is the sequence to go on behind.',
  })
  @ApiQuery({ name: 'after', required: false, example: 0 })
  @ApiQuery({ name: 'limit', required: false, example: 100 })
  async list(@Param('microgrid') id: string, @Query() query: unknown): Promise<ManifestList> {
    const microgrid = parse(ident, id);
    const page = parse(MANIFEST_PAGE as z.ZodType<{ after: number; limit: number }>, query);
    if (!(await this.parties.microgrid(this.database, microgrid))) {
      throw new Problem(404, 'no_such_log', `There is no log of a microgrid ${microgrid}.`);
    }
    return this.manifests.opened(this.database, microgrid, page);
  }
}
