import { expect, test } from '@jest/globals';
import type { DynamicModule, Type } from '@nestjs/common';
import { AppModule } from '../../src/app.module.js';
import { loadSettings } from '../../src/config.js';
import { ACCESS_RULE } from '../../src/parties/access.decorator.js';
import { ForgottenController } from './street.js';

/** Every route of every controller says who may call it. */

test('no route of the application was forgotten', () => {
  const routes = controllersOf(AppModule.of(loadSettings({}))).flatMap(routesOf);
  expect(routes.length).toBeGreaterThan(20);
  expect(routes.filter((route) => !route.ruled).map((route) => route.name)).toEqual([]);
});

test('a forgotten route would be found', () => {
  expect(routesOf(ForgottenController)).toEqual([
    { name: 'ForgottenController.read', ruled: false },
  ]);
});

function controllersOf(module: DynamicModule | Type): Type[] {
  const dynamic = typeof module === 'function' ? undefined : module;
  const type = typeof module === 'function' ? module : module.module;
  const declared = (key: string): unknown[] => (Reflect.getMetadata(key, type) ?? []) as unknown[];
  const controllers = [...(dynamic?.controllers ?? []), ...declared('controllers')] as Type[];
  const imports = [...(dynamic?.imports ?? []), ...declared('imports')] as (DynamicModule | Type)[];
  return [...controllers, ...imports.flatMap(controllersOf)];
}

function routesOf(controller: Type): { name: string; ruled: boolean }[] {
  const methods = Object.entries(Object.getOwnPropertyDescriptors(controller.prototype));
  return methods.flatMap(([name, { value }]) => {
    if (name === 'constructor' || typeof value !== 'function') return [];
    if (!Reflect.hasMetadata('path', value)) return [];
    const ruled =
      Reflect.hasMetadata(ACCESS_RULE, value) || Reflect.hasMetadata(ACCESS_RULE, controller);
    return [{ name: `${controller.name}.${name}`, ruled }];
  });
}
