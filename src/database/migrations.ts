import type { MigrationInterface } from 'typeorm';
import { Parties0001 } from './migrations/0001-parties.js';
import { Ledger0002 } from './migrations/0002-ledger.js';
import { Metering0003 } from './migrations/0003-metering.js';
import { Market0004 } from './migrations/0004-market.js';
import { Settlement0005 } from './migrations/0005-settlement.js';
import { Rewards0006 } from './migrations/0006-rewards.js';
import { Feed0007 } from './migrations/0007-feed.js';
import { Posting0008 } from './migrations/0008-posting.js';
import { Erasure0009 } from './migrations/0009-erasure.js';
import { Publication0010 } from './migrations/0010-publication.js';
import { Manifest0011 } from './migrations/0011-manifest.js';
import { Autopilot0014 } from './migrations/0014-autopilot.js';
import { MarketRules0015 } from './migrations/0015-market-rules.js';
import { MarketWatch0016 } from './migrations/0016-market-watch.js';
import { MeterProfiles0017 } from './migrations/0017-meter-profiles.js';
import { Plausibility0018 } from './migrations/0018-plausibility.js';
import { MeterKeys0019 } from './migrations/0019-meter-keys.js';
import { Continuous0020 } from './migrations/0020-continuous.js';
import { Wishes0022 } from './migrations/0022-wishes.js';
import { CheapChecks0025 } from './migrations/0025-cheap-checks.js';
import { MeterExchange0038 } from './migrations/0038-meter-exchange.js';
import { LongGaps0041 } from './migrations/0041-long-gaps.js';
import { TrueUp0044 } from './migrations/0044-true-up.js';
import { AwardQuality0046 } from './migrations/0046-award-quality.js';
import { FirstReading0050 } from './migrations/0050-first-reading.js';

/** Every migration there is, in the order in which they run. The list only grows, at its end. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  Parties0001,
  Ledger0002,
  Metering0003,
  Market0004,
  Settlement0005,
  Rewards0006,
  Feed0007,
  Posting0008,
  Erasure0009,
  Publication0010,
  Manifest0011,
  Autopilot0014,
  MarketRules0015,
  MarketWatch0016,
  MeterProfiles0017,
  Plausibility0018,
  MeterKeys0019,
  Continuous0020,
  Wishes0022,
  CheapChecks0025,
  MeterExchange0038,
  LongGaps0041,
  TrueUp0044,
  AwardQuality0046,
  FirstReading0050,
];
