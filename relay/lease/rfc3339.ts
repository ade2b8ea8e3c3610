/** Longest accepted text: `2026-02-13T10:00:00.123456789+00:00`. */
const MAX_LENGTH = 35;
const DATE_TIME =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const DAY_MS = 86_400_000;

/**
 * Unix milliseconds of an RFC 3339 date-time (section 5.6), or undefined when `text` is none.
 *
 * The fraction is kept: a float64 of today's milliseconds is exact to about a quarter of a microsecond. One to nine
 * fractional digits; `Z` or a numeric offset; no blank instead of the T. A leap second (section 5.7) is only accepted where one
 * can be, in the last second of a month in UTC, and is the same instant as the second after it.
 */
export function parseRfc3339(text: string): number | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const match = DATE_TIME.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetHour = Number(match[9] ?? 0);
  const offsetMinute = Number(match[10] ?? 0);
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return undefined;

  const offset = (match[8] === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute);
  const ms = midnight(year, month, day) + ((hour * 60 + minute - offset) * 60 + second) * 1000;
  if (second === 60 && !isStartOfMonth(ms)) return undefined;
  return ms + Number(`0.${match[7] ?? 0}`) * 1000;
}

function isLeapYear(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

function daysIn(year: number, month: number): number {
  return month === 2 && isLeapYear(year) ? 29 : DAYS_IN_MONTH[month - 1]!;
}

function midnight(year: number, month: number, day: number): number {
  // Date.UTC takes the years 0 to 99 for 1900 to 1999; 400 years are always the same number of days.
  return Date.UTC(year + 400, month - 1, day) - 146_097 * DAY_MS;
}

function isStartOfMonth(ms: number): boolean {
  return ms % DAY_MS === 0 && new Date(ms).getUTCDate() === 1;
}
