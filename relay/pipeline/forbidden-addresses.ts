import {
  ADDRESS_PORT,
  ADDRESS_WORDS,
  isBroadcast,
  isMulticast,
  isUnspecified,
  sameAddress,
} from '../protocol/address.ts';

/** Addresses that no peer can have (design-relay 2): to accept one would aim the relay at many, at itself or at nobody. */
export class ForbiddenAddresses {
  #own: Int32Array = new Int32Array(0);

  /** The relay's own endpoints, six words each. */
  setOwn(addresses: Int32Array): void {
    this.#own = addresses.slice();
  }

  has(address: Int32Array, base: number): boolean {
    if (
      address[base + ADDRESS_PORT] === 0 ||
      isUnspecified(address, base) ||
      isMulticast(address, base) ||
      isBroadcast(address, base)
    ) {
      return true;
    }
    for (let at = 0; at < this.#own.length; at += ADDRESS_WORDS) {
      if (sameAddress(this.#own, at, address, base)) return true;
    }
    return false;
  }
}
