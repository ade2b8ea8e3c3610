import { relayExposure, type RelayExposure } from '../api/exposure.ts';

/** An exposure as it is written on a relay's Deployment. */
export function exposureRecord({ type, addressType, serviceTemplate }: RelayExposure): string {
  return JSON.stringify({ type, addressType, serviceTemplate });
}

/** What such a record says; undefined when it is none. */
export function readExposureRecord(text: string | undefined): RelayExposure | undefined {
  try {
    return relayExposure.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}
