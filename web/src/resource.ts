/** One thing a panel shows, loaded over HTTP: its data, whether it is loading, and what went wrong. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { ApiProblem } from './problem.js';
import { Reader, type Wanted } from './reader.js';

export interface Resource<T> {
  data: T | undefined;
  loading: boolean;
  /** The data is of before the last change, and being read again. */
  behind: boolean;
  problem: ApiProblem | undefined;
  reload: () => void;
}

interface Shown<T> {
  key: string | null;
  data?: T;
  /** What was wanted when the data was read. */
  wanted?: Wanted;
  problem?: ApiProblem;
}

/**
 * Loads `load` whenever `key` or `version` changes. A new key forgets the old data; a new version
 * keeps showing it until newer data is there, or beside the problem if it does not come.
 * @param key names what is loaded; null loads nothing yet
 */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  version: number | string = 0,
): Resource<T> {
  const [shown, setShown] = useState<Shown<T>>({ key: null });
  const [tries, setTries] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  const reader = useRef<Reader<T> | null>(null);
  useEffect(() => {
    if (key === null) return undefined;
    const opened = new Reader<T>(
      (signal) => latest.current(signal),
      (told) =>
        setShown((old) => {
          if ('data' in told) return { key, data: told.data, wanted: told.wanted };
          return { ...(old.key === key && old), key, problem: told.problem };
        }),
    );
    reader.current = opened;
    return () => opened.close();
  }, [key]);
  useEffect(() => {
    if (key !== null) reader.current?.want({ version, tries });
  }, [key, version, tries]);

  const reload = useCallback(() => setTries((count) => count + 1), []);
  const current = shown.key === key ? shown : undefined;
  const [data, wanted, problem] = [current?.data, current?.wanted, current?.problem];
  const behind = wanted !== undefined && (wanted.version !== version || wanted.tries !== tries);
  return useMemo(() => {
    const loading = data === undefined && problem === undefined;
    return { data, problem, loading, behind, reload };
  }, [data, problem, behind, reload]);
}

/** The same resource seen through `see`. */
export function mapResource<A, B>(resource: Resource<A>, see: (data: A) => B): Resource<B> {
  return { ...resource, data: resource.data === undefined ? undefined : see(resource.data) };
}
