/** For a grant that is not bound to one microgrid: which one to look at. */
import { useEffect, useState, type FormEvent, type ReactNode } from 'react';
import type { Page } from '../answers.js';
import type { Api } from '../api.js';
import type { Place } from '../grants.js';
import { Loaded } from '../panels/panel.js';
import { useResource } from '../resource.js';

interface ChooseMicrogridProps {
  api: Api;
  role: Place['role'];
}

export function ChooseMicrogrid({ api, role }: ChooseMicrogridProps): ReactNode {
  // Only operators have a list of what they look after.
  const operated = useResource(role === 'operator' ? 'operated' : null, (signal) =>
    api.get<Page<{ microgrid: string; name: string }>>('/v1/operator/microgrids', signal),
  );
  const only = operated.data?.items.length === 1 ? operated.data.items[0]!.microgrid : null;
  useEffect(() => {
    // Replaced, so that Back does not lead to a choice without a choice.
    if (only !== null) window.location.replace(`#/${role}/${only}`);
  }, [only, role]);
  return (
    <div className="within sheet">
      <div className="choose" data-testid="choose-microgrid">
        <h1>Which microgrid?</h1>
        {role === 'operator' ? (
          <Loaded
            of={operated}
            isEmpty={(page) => page.items.length === 0}
            empty="There is no microgrid yet. Found one with npm run operator."
          >
            {(page) => (
              <ul className="choices">
                {page.items.map(({ microgrid, name }) => (
                  <li key={microgrid}>
                    <a href={`#/${role}/${microgrid}`}>
                      <b>{name}</b> <span>{microgrid}</span>
                    </a>
                  </li>
                ))}
              </ul>
            )}
          </Loaded>
        ) : (
          <ByName role={role} />
        )}
      </div>
    </div>
  );
}

function ByName({ role }: { role: string }): ReactNode {
  const [typed, setTyped] = useState('');
  const open = (event: FormEvent): void => {
    event.preventDefault();
    window.location.hash = `#/${role}/${typed.trim()}`;
  };
  return (
    <form className="choose" onSubmit={open}>
      <label>
        <span>Its id, as its operator gave it to you</span>
        <input
          value={typed}
          required
          pattern="[A-Za-z0-9_\-]{1,64}"
          autoCapitalize="none"
          spellCheck={false}
          onChange={(event) => setTyped(event.target.value)}
        />
      </label>
      <button type="submit" className="primary">
        Open
      </button>
    </form>
  );
}
