/** One thing a panel shows, loaded over HTTP: its data, whether it is loading, and what went wrong. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { ApiProblem } from './api.js';

export interface Resource<T> {
  data: T | undefined;
  loading: boolean;
  problem: ApiProblem | undefined;
  reload: () => void;
}

/** A service that was away is asked again after this long. */
const RETRY_MILLIS = 5_000;

/**
 * Loads `load` whenever `key` or `version` changes. A new key forgets the old data; a new version
 * keeps showing it until the new data is there, or beside the problem if it does not come.
 * @param key names what is loaded; null loads nothing yet
 */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  version: number | string = 0,
): Resource<T> {
  const [state, setState] = useState<{ key: string | null; data?: T; problem?: ApiProblem }>({
    key: null,
  });
  const [tries, setTries] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    if (key === null) return undefined;
    const abort = new AbortController();
    let retry: number | undefined;
    latest.current(abort.signal).then(
      (data) => {
        if (!abort.signal.aborted) setState({ key, data });
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const problem = asProblem(error);
        setState((old) =>
          old.key === key && old.data !== undefined
            ? { key, data: old.data, problem }
            : { key, problem },
        );
        if (problem.status === 0) {
          retry = window.setTimeout(() => setTries((count) => count + 1), RETRY_MILLIS);
        }
      },
    );
    return () => {
      abort.abort();
      window.clearTimeout(retry);
    };
  }, [key, version, tries]);

  const reload = useCallback(() => setTries((count) => count + 1), []);
  const current = state.key === key ? state : undefined;
  const [data, problem] = [current?.data, current?.problem];
  return useMemo(
    () => ({ data, problem, loading: data === undefined && problem === undefined, reload }),
    [data, problem, reload],
  );
}

/** Whatever was thrown, as something a panel can show. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  return new ApiProblem(0, 'unexpected', 'Something unexpected happened on this page.');
}

/** The same resource seen through `see`. */
export function mapResource<A, B>(resource: Resource<A>, see: (data: A) => B): Resource<B> {
  return { ...resource, data: resource.data === undefined ? undefined : see(resource.data) };
}
