import { Global, Module } from '@nestjs/common';
import { SETTINGS, type Settings } from '../config.js';
import { DatabaseService } from './database.service.js';
import { openDatabase } from './open-database.service.js';

/** Provides the database, connected and migrated before anything that asks for it is made. */
@Global()
@Module({
  providers: [
    {
      provide: DatabaseService,
      inject: [SETTINGS],
      useFactory: (settings: Settings): Promise<DatabaseService> => openDatabase(settings),
    },
  ],
  exports: [DatabaseService],
})
export class DatabaseModule {}
