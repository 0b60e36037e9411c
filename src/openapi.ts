import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

/**
 * Serves the HTTP interface's description: for reading at `/docs`, as OpenAPI 3.1 at
 * `/docs/openapi.json`. Call it before the application listens.
 */
export function serveOpenApi(app: INestApplication): void {
  const description = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Neighborwatt')
    .setDescription(
      'Households of a microgrid sell electricity to one another. Energy is integer Wh, money and ' +
        'prices are integer millionths of the currency, instants are RFC 3339 UTC. Errors are ' +
        'RFC 9457 problem details. MQTT topics and the live feed are described in docs/asyncapi.yaml.',
    )
    .setVersion('1')
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addBearerAuth({ type: 'http', scheme: 'bearer' })
    .addSecurityRequirements('bearer')
    .build();
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, description), {
    jsonDocumentUrl: 'docs/openapi.json',
    yamlDocumentUrl: 'docs/openapi.yaml',
    customSiteTitle: 'Neighborwatt: HTTP interface',
  });
}
