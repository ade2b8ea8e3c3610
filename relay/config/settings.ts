import type { OptionKey } from './options.ts';
import type { OptionValue } from './schema.ts';

/** Values that are right one by one, with where they came from; before the checks across options. */
export interface Settings {
  readonly values: Readonly<Partial<Record<OptionKey, OptionValue>>>;
  /** `--flag` or the variable's name; absent for a default. */
  readonly origins: ReadonlyMap<OptionKey, string>;
}
