/** What a person may look at, as places with an address of their own (`#/household/h07`). */
import type { Grant, Role } from './answers.js';

export interface Place {
  role: Exclude<Role, 'simulator'>;
  /** The household of a household's place; the microgrid of the others, null while to be chosen. */
  id: string | null;
}

/** The places of these grants, in order, each once. The simulator has nothing to look at. */
export function placesOf(grants: readonly Grant[]): Place[] {
  const places = grants.flatMap(({ role, microgrid, household }): Place[] => {
    if (role === 'simulator') return [];
    return [{ role, id: role === 'household' ? household : microgrid }];
  });
  const addresses = places.map(addressOf);
  return places.filter((place, index) => addresses.indexOf(addressOf(place)) === index);
}

export function addressOf({ role, id }: Place): string {
  return id === null ? `#/${role}` : `#/${role}/${id}`;
}

/**
 * The place an address means for a person with these places; their first one where it means none.
 * A grant for every microgrid lets the address choose one.
 */
export function placeAt(address: string, places: readonly Place[]): Place | undefined {
  const [, role, id] = /^#\/([a-z]+)(?:\/([A-Za-z0-9_-]{1,64}))?$/.exec(address) ?? [];
  const exact = places.find((place) => addressOf(place) === address);
  if (exact) return exact;
  const open = places.find((place) => place.role === role && place.id === null);
  if (open && id !== undefined) return { role: open.role, id };
  return places[0];
}

export function placeName({ role, id }: Place): string {
  const noun = {
    household: 'Household',
    operator: 'Operator',
    regulator: 'Regulator',
    auditor: 'Auditor',
  }[role];
  return id === null ? noun : `${noun} ${id}`;
}
