/** What trading with neighbors was worth, and what is in the wallet, on the bill and in store. */
import type { ReactNode } from 'react';
import type { Balances } from '../answers.js';
import type { DayBook } from '../day-book.js';
import { formatEnergy } from '../format.js';
import type { Resource } from '../resource.js';
import { Money } from './figures.js';
import { Loaded, Panel } from './panel.js';

/** What was saved since a day, that day and today included. */
export interface SavedEver {
  savedMicro: number;
  since: string;
}

interface MoneyPanelProps {
  balances: Resource<Balances>;
  today: Resource<DayBook>;
  ever: Resource<SavedEver>;
  currency: string;
  hasStorage: boolean;
}

export function MoneyPanel({
  balances,
  today,
  ever,
  currency,
  hasStorage,
}: MoneyPanelProps): ReactNode {
  return (
    <Panel title="Your money" name="money">
      <Loaded of={today} lines={3}>
        {(book) => <Savings book={book} ever={ever.data} currency={currency} />}
      </Loaded>
      <Loaded of={balances} lines={3}>
        {(balance) => (
          <dl className="ledger" data-testid="balances">
            <div>
              <dt>
                Wallet <span>{walletSaid(balance)}</span>
              </dt>
              <dd data-testid="wallet">
                <Money micro={balance.walletMicro} currency={currency} />
              </dd>
            </div>
            <div>
              <dt>
                Free to spend <span>{heldSaid(balance)}</span>
              </dt>
              <dd data-testid="available">
                <Money micro={balance.availableMicro} currency={currency} />
              </dd>
            </div>
            <div>
              <dt>
                Utility bill <span>{billSaid(balance)}</span>
              </dt>
              <dd data-testid="bill">
                <Money micro={balance.billMicro} currency={currency} />
              </dd>
            </div>
            {(hasStorage || balance.storageWh > 0) && (
              <div>
                <dt>
                  In your battery <span>tokens of stored energy</span>
                </dt>
                <dd data-testid="tokens-storage">{formatEnergy(balance.storageWh)}</dd>
              </div>
            )}
            {balance.productionWh > 0 && (
              <div>
                <dt>
                  Production tokens <span>not yet claimed</span>
                </dt>
                <dd data-testid="tokens-production">{formatEnergy(balance.productionWh)}</dd>
              </div>
            )}
          </dl>
        )}
      </Loaded>
    </Panel>
  );
}

interface SavingsProps {
  book: DayBook;
  ever: SavedEver | undefined;
  currency: string;
}

function Savings({ book, ever, currency }: SavingsProps): ReactNode {
  const most = Math.max(Math.abs(book.netMicro), Math.abs(book.tariffMicro), 1);
  return (
    <>
      <dl className="savings">
        <div>
          <dt>{book.savedMicro < 0 ? 'Lost today' : 'Better off today'}</dt>
          <dd className="figure" data-testid="saved-today">
            <Money micro={book.savedMicro} currency={currency} />
          </dd>
        </div>
        <div>
          <dt>{ever ? `Since ${ever.since}` : 'In all'}</dt>
          <dd className="figure lesser" data-testid="saved-all">
            {ever ? <Money micro={ever.savedMicro} currency={currency} /> : '–'}
          </dd>
        </div>
      </dl>
      <dl className="bills">
        <Bill name="With neighbors" micro={book.netMicro} most={most} currency={currency} mine />
        <Bill name="Tariff alone" micro={book.tariffMicro} most={most} currency={currency} />
      </dl>
    </>
  );
}

interface BillProps {
  name: string;
  micro: number;
  most: number;
  currency: string;
  mine?: boolean;
}

/** Today in all under one way of billing: earned or paid, and a bar to compare. */
function Bill({ name, micro, most, currency, mine = false }: BillProps): ReactNode {
  return (
    <div className={mine ? 'bill mine' : 'bill'}>
      <dt>
        {name} <span>{micro < 0 ? 'paid today' : 'earned today'}</span>
      </dt>
      <dd>
        <svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
          <rect width={Math.max(0.5, (100 * Math.abs(micro)) / most)} height="4" />
        </svg>
        <Money micro={Math.abs(micro)} currency={currency} />
      </dd>
    </div>
  );
}

function walletSaid({ walletMicro }: Balances): string {
  return walletMicro < 0 ? 'on credit with your neighbors' : 'what you have with your neighbors';
}

function heldSaid({ walletMicro, availableMicro, creditLimitMicro }: Balances): string {
  const held = walletMicro + creditLimitMicro - availableMicro;
  if (held > 0) return 'less what your open orders hold';
  return creditLimitMicro > 0 ? 'with your credit limit' : 'nothing is held';
}

function billSaid({ billMicro }: Balances): string {
  if (billMicro === 0) return 'even';
  return billMicro < 0 ? 'you owe the utility' : 'the utility owes you';
}
