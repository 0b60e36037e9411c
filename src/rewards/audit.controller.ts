import { Controller, Get, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { ident, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { MANIFEST_KINDS, type ManifestKind } from '../settlement/manifest-release.js';
import { ManifestService, type ManifestList } from '../settlement/manifest.service.js';
import { Problem } from '../units/problem.js';
import { logQuery } from './efficiency.service.js';

const QUESTION: z.ZodType<{
  microgrid: string;
  kind: ManifestKind;
  after: number;
  limit: number;
}> = z.object({
  microgrid: ident,
  kind: z.enum(MANIFEST_KINDS).default('manifest'),
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
  limit: z.coerce.number().int().min(1).max(100).default(100),
});

/** The supply of every asset, money and small microgrids included, for auditors and operators. */
@ApiTags('regulator')
@ApiBearerAuth()
@Controller('v1/regulator/manifests')
export class AuditController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly manifests: ManifestService,
  ) {}

  @Get()
  @Allow('manifest.read')
  @ApiOperation({
    summary: 'Manifests with all their facts open, each with its proof',
    description:
      'By day (`kind=manifest`) or by slot (`kind=slot-closed`), in the form of `/log/{microgrid}/manifests`. Every look is in the access log that the households read.',
  })
  @ApiQuery({ name: 'microgrid' })
  @ApiQuery({ name: 'kind', required: false, enum: MANIFEST_KINDS })
  @ApiQuery({ name: 'after', required: false, example: 0 })
  @ApiQuery({ name: 'limit', required: false, example: 100 })
  async list(
    @Query() query: unknown,
    @CurrentCaller() { personId }: Caller,
  ): Promise<ManifestList> {
    const { microgrid, kind, after, limit } = parse(QUESTION, query);
    return this.database.transaction(async (sql) => {
      if (!(await this.parties.microgrid(sql, microgrid))) {
        throw new Problem(404, 'unknown_microgrid', 'There is no such microgrid.');
      }
      const asked = { what: 'manifests', kind, after, limit };
      await logQuery(sql, microgrid, personId, asked, 'answered', []);
      return this.manifests.all(sql, microgrid, kind, { after, limit });
    });
  }
}
