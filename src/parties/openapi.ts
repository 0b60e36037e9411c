import type { ApiBodyOptions } from '@nestjs/swagger';
import { z } from 'zod';
import type { ZodType } from 'zod';

/** A request body's zod schema as OpenAPI shows it, so that neither can drift from the other. */
export function bodyOf(schema: ZodType): ApiBodyOptions {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  });
  return { schema: json as NonNullable<Extract<ApiBodyOptions, { schema: unknown }>['schema']> };
}
