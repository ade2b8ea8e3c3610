/** A peer's part in a session, as the role byte of LEASE_PRESENT says it (wire reference 1). */
export const Role = { Client: 0, Server: 1 } as const;
export type Role = (typeof Role)[keyof typeof Role];

/** The `role` claim of a lease for that role (wire reference 2). */
export function roleClaim(role: Role): 'client' | 'server' {
  return role === Role.Client ? 'client' : 'server';
}

export function otherRole(role: Role): Role {
  return role === Role.Client ? Role.Server : Role.Client;
}
